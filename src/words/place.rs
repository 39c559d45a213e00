//! Which column each thing belongs to.
//!
//! An assessment sees what became known since the one before. What was left undone is known only once the
//! session has begun, so the *next* assessment sees it; the column is still the session it was meant for.
//! An assessment that committed nothing (a slot the service cancelled) sees the same things as the next one:
//! the later sight counts.

use super::record::{Column, ColumnKind, days_between};
use crate::domain::{
    Assessment, AttendanceOutcome, HomeworkOutcome, HomeworkSeen, RomOutcome, RomSeen, SlotOutcome, Source, Timeline,
};
use jiff::Timestamp;

/// Detection's own limit for "late".
const LATE_MINUTES_MIN: f64 = 8.0;
/// "Due on the day of the session" ends after it began.
const DUE_SLACK_DAYS: f64 = 16.0 / 24.0;
/// Filled in at a session: from two hours before its start to six after (detection's own rule).
const BEFORE_SESSION_DAYS: f64 = 2.0 / 24.0;
const AFTER_SESSION_DAYS: f64 = 6.0 / 24.0;

/// How far back the same thing may have been seen by an assessment that committed nothing.
const SEEN_AGAIN_COLUMNS: usize = 8;

pub(super) fn place<'a>(columns: &mut [Column<'a>], timeline: Option<&'a Timeline>, as_of: Timestamp) {
    let steps: Vec<(usize, &Assessment)> =
        columns.iter().enumerate().filter_map(|(own, column)| Some((own, column.assessment?))).collect();
    for (own, step) in &steps {
        attendance(columns, *own, step);
    }
    let around = fills_around_sessions(columns, &steps);
    for (own, step) in steps {
        let placing = Placing { own, before: session_before(columns, own), timeline };
        let recent = own.saturating_sub(SEEN_AGAIN_COLUMNS);
        for seen in &step.seen.homework {
            for column in &mut columns[recent..=own] {
                column.homework.retain(|before| before.source != seen.source);
            }
            let i = placing.homework(columns, seen);
            columns[i].homework.push(seen);
        }
        for seen in &step.seen.rom {
            for column in &mut columns[recent..=own] {
                column.rom.retain(|before| !same_form(before, seen));
            }
            let i = placing.rom(columns, step, seen, around);
            columns[i].rom.push(seen);
        }
        for score in &step.seen.scores {
            for column in &mut columns[recent..=own] {
                column.scores.retain(|before| before.source != score.source);
            }
            let i = placing.filled(columns, score.at);
            columns[i].scores.push(score);
        }
        for given in &step.seen.alliance {
            for column in &mut columns[recent..=own] {
                column.alliance.retain(|before| before.source != given.source);
            }
            let i = placing.given(columns, given.at);
            columns[i].alliance.push(given);
        }
    }
    if let Some(timeline) = timeline {
        from_slots(columns, timeline, as_of);
    }
}

fn session_before(columns: &[Column], own: usize) -> Option<usize> {
    (0..own).rev().find(|i| columns[*i].kind != ColumnKind::Break)
}

fn attendance(columns: &mut [Column], own: usize, step: &Assessment) {
    for (outcome, source) in &step.seen.attendance {
        // With nothing booked, now is keyed to the last session too: what became of it stands at that session.
        let named = |now: bool| {
            columns.iter().rposition(|c| (c.kind == ColumnKind::Now) == now && c.appointments.contains(&source.id))
        };
        let named = named(false).or_else(|| named(true));
        let by_service = *outcome == AttendanceOutcome::CancelledByService;
        let i = match named {
            Some(i) => i,
            // It has a column of its own already.
            None if by_service => continue,
            // Its own time is still to come: called off, or moved, since the session before.
            None => own,
        };
        if by_service && columns[i].kind == ColumnKind::Session && columns[i].appointments.len() == 1 {
            columns[i].kind = ColumnKind::Break;
        }
        if !columns[i].attendance.contains(outcome) {
            columns[i].attendance.push(*outcome);
        }
    }
}

fn same_form(a: &RomSeen, b: &RomSeen) -> bool {
    let both = |x: &Option<Source>, y: &Option<Source>| x.is_some() && x == y;
    both(&a.source, &b.source) || both(&a.task, &b.task)
}

struct Placing<'a> {
    own: usize,
    /// The session before, where there was one.
    before: Option<usize>,
    timeline: Option<&'a Timeline>,
}

impl Placing<'_> {
    /// The session by which it was due.
    fn by(&self, columns: &[Column], due: Timestamp) -> usize {
        self.first(columns, |start| days_between(due, start) < -DUE_SLACK_DAYS)
    }

    /// The next session after it was asked for.
    fn after(&self, columns: &[Column], asked: Timestamp) -> usize {
        self.first(columns, |start| start <= asked)
    }

    /// The first session that is not too early.
    fn first(&self, columns: &[Column], too_early: impl Fn(Timestamp) -> bool) -> usize {
        let from = columns.partition_point(|c| too_early(c.start));
        let found = (from..self.own).find(|i| columns[*i].kind != ColumnKind::Break);
        found.unwrap_or(self.own)
    }

    fn undone(&self, before: Option<usize>) -> usize {
        before.unwrap_or(self.own)
    }

    fn homework(&self, columns: &[Column], seen: &HomeworkSeen) -> usize {
        let assigned = || {
            let homework = &self.timeline?.homework;
            homework.iter().find(|h| h.source == seen.source).map(|h| h.assigned)
        };
        match (seen.due, assigned(), seen.outcome) {
            (Some(due), ..) => self.by(columns, due),
            (None, Some(assigned), _) => self.after(columns, assigned),
            (None, None, HomeworkOutcome::NotDone) => {
                self.undone(self.before.filter(|i| columns[*i].homework.is_empty()))
            }
            (None, None, _) => self.own,
        }
    }

    fn rom(&self, columns: &[Column], step: &Assessment, seen: &RomSeen, around: bool) -> usize {
        if seen.outcome != RomOutcome::Missed {
            return self.filled_at(step, seen).map_or(self.own, |at| self.filled(columns, at));
        }
        let before = self.before.filter(|i| columns[*i].rom.is_empty());
        let Some(task) = &seen.task else {
            // Nobody asked: it did not come before this session, or not around the one before.
            return if around { self.undone(before) } else { self.own };
        };
        match self.timeline.and_then(|t| t.dues.iter().find(|due| due.source == *task)) {
            Some(asked) => asked.due.map_or_else(|| self.after(columns, asked.asked), |due| self.by(columns, due)),
            None => self.undone(before),
        }
    }

    fn filled_at(&self, step: &Assessment, seen: &RomSeen) -> Option<Timestamp> {
        let source = seen.source.as_ref()?;
        let scored = step.seen.scores.iter().find(|s| s.source == *source).map(|s| s.at);
        scored.or_else(|| self.timeline?.administrations.iter().find(|a| a.source == *source).map(|a| a.at))
    }

    /// An alliance questionnaire is about the session it is filled in at, at its end or soon after.
    fn given(&self, columns: &[Column], at: Timestamp) -> usize {
        let at_before = |i: &usize| (0.0..=AFTER_SESSION_DAYS).contains(&days_between(columns[*i].start, at));
        self.before.filter(at_before).unwrap_or(self.own)
    }

    /// Before this session, or still at the one before.
    fn filled(&self, columns: &[Column], at: Timestamp) -> usize {
        let at_before = |i: &usize| {
            let after_start = days_between(columns[*i].start, at);
            (0.0..=AFTER_SESSION_DAYS).contains(&after_start) && columns[*i].scores.is_empty()
        };
        self.before.filter(at_before).unwrap_or(self.own)
    }
}

/// Whether this client mostly fills in at the sessions themselves.
fn fills_around_sessions(columns: &[Column], steps: &[(usize, &Assessment)]) -> bool {
    let (mut fills, mut around) = (0, 0);
    for (own, step) in steps {
        let Some(score) = step.seen.scores.last() else { continue };
        let near =
            |i: usize| (-BEFORE_SESSION_DAYS..=AFTER_SESSION_DAYS).contains(&days_between(columns[i].start, score.at));
        fills += 1;
        around += usize::from(near(*own) || session_before(columns, *own).is_some_and(near));
    }
    2 * around > fills
}

/// A session that no later step has looked back on: the last one before an ending.
fn from_slots(columns: &mut [Column], timeline: &Timeline, as_of: Timestamp) {
    let silent = |c: &&mut Column| c.kind == ColumnKind::Session && c.attendance.is_empty();
    for column in columns.iter_mut().filter(silent) {
        let slots = timeline
            .slots
            .iter()
            .filter(|slot| column.appointments.contains(&slot.source.id) && slot.outcome_known < as_of);
        column.attendance.extend(slots.filter_map(|slot| attendance_of(slot.outcome)));
    }
}

fn attendance_of(outcome: SlotOutcome) -> Option<AttendanceOutcome> {
    Some(match outcome {
        SlotOutcome::Booked => return None,
        SlotOutcome::Kept { late_minutes } => match late_minutes.filter(|m| *m >= LATE_MINUTES_MIN) {
            Some(minutes) => AttendanceOutcome::Late { minutes },
            None => AttendanceOutcome::Attended,
        },
        SlotOutcome::NoShow => AttendanceOutcome::NoShow,
        SlotOutcome::CancelledByClient => AttendanceOutcome::CancelledByClient,
        SlotOutcome::CancelledByService => AttendanceOutcome::CancelledByService,
        SlotOutcome::CancelledUnattributed => AttendanceOutcome::CancelledUnattributed,
    })
}
