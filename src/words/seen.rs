//! What changed lately, as short phrases for the gist: only what differs from this client's own usual.

use super::counts::{
    USUAL_MIN, content, crowded, finished, forms, homework_fell, homework_left, in_part, kept_of, median, unusual,
    whole,
};
use super::flags::ENGAGEMENT;
use super::grammar::{capital, counted, list, number, points, times, weeks};
use super::record::{Column, Record};
use super::signals::ALLIANCE_SHARE_MIN;
use super::{Manner, Person};
use crate::domain::{AttendanceOutcome, HomeworkOutcome, HomeworkSeen, RomOutcome, RomSeen, SignalKind, Worse};

/// "two questionnaires missed", "homework mostly undone (four of six)", "one session cancelled".
pub(super) fn changes(record: &Record, kinds: &[SignalKind], manner: &Manner) -> Vec<String> {
    kinds
        .iter()
        .flat_map(|kind| match kind {
            SignalKind::RomEngagement => questionnaires(record).into_iter().collect(),
            SignalKind::HomeworkEngagement => homework(record, manner),
            SignalKind::Attendance => attendance(record),
            SignalKind::AllianceMeasure => alliance(record, manner).into_iter().collect(),
            SignalKind::RomTrajectory => Vec::new(),
        })
        .collect()
}

/// Everything lately was done, filled in and kept.
pub(super) fn all_usual(record: &Record, manner: &Manner) -> bool {
    changes(record, &ENGAGEMENT, manner).is_empty()
        && record.recent().any(|c| !c.rom.is_empty())
        && record.recent().any(|c| !c.homework.is_empty())
        && record.recent().any(|c| !c.attendance.is_empty())
}

/// "attendance and questionnaires as usual for her": what may be said where an all-clear may not.
pub(super) fn as_usual(record: &Record, person: &Person) -> String {
    let has = |f: fn(&Column) -> bool| record.recent().any(f);
    let known = [
        (has(|c| !c.attendance.is_empty()), "attendance"),
        (has(|c| !c.homework.is_empty()), "homework"),
        (has(|c| !c.rom.is_empty()), "questionnaires"),
    ];
    let known: Vec<String> = known.into_iter().filter(|(has, _)| *has).map(|(_, what)| what.to_owned()).collect();
    match known.is_empty() {
        true => format!("no other change for {}", person.her()),
        false => format!("{} as usual for {}", list(&known), person.her()),
    }
}

/// "Attendance and questionnaires as usual for her."
pub(super) fn as_usual_sentence(record: &Record, person: &Person) -> String {
    format!("{}.", capital(&as_usual(record, person)))
}

fn questionnaires(record: &Record) -> Option<String> {
    let recent: Vec<&RomSeen> = forms(record.recent()).map(|(_, form)| form).collect();
    let before: Vec<&RomSeen> = forms(record.baseline()).map(|(_, form)| form).collect();
    let more = |of: &dyn Fn(&RomSeen) -> bool| {
        let count = |forms: &[&RomSeen]| (forms.iter().filter(|form| of(form)).count(), forms.len());
        let (now, then) = (count(&recent), count(&before));
        if unusual(now, then) { now.0 } else { 0 }
    };
    // Missed and left in part are one thing: fewer come back whole. Then both are said.
    let fewer = more(&|form| !whole(form)) > 0;
    let count = |outcome| recent.iter().filter(|form| form.outcome == outcome).count();
    let missed = if fewer { count(RomOutcome::Missed) } else { 0 };
    let partly = if fewer { count(RomOutcome::Partial) } else { 0 };
    // Not on record as asked for: all that is known is that none came.
    let asked = recent.iter().any(|form| form.outcome == RomOutcome::Missed && form.task.is_some());
    let parts: Vec<String> = [
        (missed, if asked { "missed" } else { "not received" }),
        (partly, "answered in part"),
        (more(&|form| form.outcome == RomOutcome::Perfunctory), "answered very fast"),
        (more(&|form| form.outcome == RomOutcome::Alike), "answered all alike"),
    ]
    .into_iter()
    .filter(|(k, _)| *k > 0)
    .enumerate()
    .map(|(i, (k, what))| match i {
        0 => format!("{} {what}", counted(k, "questionnaire", "questionnaires")),
        _ => format!("{} {what}", number(k)),
    })
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn homework(record: &Record, manner: &Manner) -> Vec<String> {
    let recent: Vec<&HomeworkSeen> = record.recent().flat_map(|c| c.homework.iter().copied()).collect();
    let before: Vec<&HomeworkSeen> = record.baseline().flat_map(|c| c.homework.iter().copied()).collect();
    let n = recent.len();
    let count = |of: fn(&HomeworkSeen) -> bool| {
        let k = recent.iter().filter(|h| of(h)).count();
        let then = before.iter().filter(|h| of(h)).count();
        (k, unusual((k, n), (then, before.len())))
    };
    let (declined, _) = count(|h| h.declined);
    let (undone, more_undone) = count(|h| h.outcome == HomeworkOutcome::NotDone && !h.declined);
    let (partly, more_partly) = count(in_part);
    let (late, more_late) = count(|h| h.outcome == HomeworkOutcome::Late);
    let fell = homework_fell(record) || before.len() < USUAL_MIN;
    // More in part may be less undone.
    let (now, then) = homework_left(record);
    let less = now > then + 0.1;
    let mut said: Vec<String> = Vec::new();
    // An open no is said whatever is usual.
    if declined > 0 {
        said.push(format!("homework declined {}", times(declined)));
    }
    match undone {
        0 => {}
        u if n > 1 && u == n && fell => said.push(format!("homework not done ({})", all_of(n))),
        u if u * 2 > n && n > 1 && fell => {
            said.push(format!("homework mostly undone ({} of {})", number(u), number(n)))
        }
        u if fell || (more_undone && less) => {
            said.push(format!("{}not done {}", if declined > 0 { "" } else { "homework " }, times(u)));
        }
        _ => {}
    }
    if said.is_empty() {
        match (partly, late) {
            (k, 0) if k > 0 && (fell || (more_partly && less)) => {
                said.push(format!("homework done in part {}", times(k)))
            }
            (0, k) if k > 0 && more_late => said.push(format!("homework done late {}", times(k))),
            (p, l) if p > 0 && l > 0 && ((more_partly && less) || more_late) => {
                said.push(format!("homework done in part or late {}", times(p + l)));
            }
            _ => {}
        }
    }
    if said.is_empty() && recent.iter().all(|h| finished(h) || in_part(h)) {
        said.extend(content(record, manner).map(|what| format!("less in the homework ({what})")));
    }
    said
}

fn all_of(n: usize) -> String {
    if n == 2 { "both times".into() } else { format!("all {} times", number(n)) }
}

fn attendance(record: &Record) -> Vec<String> {
    use AttendanceOutcome as O;
    let outcomes = |columns: Vec<&Column>| columns.into_iter().filter_map(Column::attended).collect::<Vec<O>>();
    let recent = outcomes(record.recent().collect());
    let before = outcomes(record.baseline().collect());
    let more = |of: fn(&O) -> bool| {
        let count = |seen: &[O]| (seen.iter().filter(|o| of(o)).count(), kept_of(seen).1);
        let (now, then) = (count(&recent), count(&before));
        if unusual(now, then) { now.0 } else { 0 }
    };
    let moves = |columns: Vec<&Column>| {
        let moved = columns.iter().filter(|c| c.moved() || c.attended() == Some(O::Rescheduled)).count();
        (moved, columns.iter().filter(|c| c.attended().is_some()).count())
    };
    let (moved, moved_before) = (moves(record.recent().collect()), moves(record.baseline().collect()));
    let moved = if unusual(moved, moved_before) { moved.0 } else { 0 };
    let late = more(|o| matches!(o, O::Late { .. }));
    let mut parts: Vec<String> = match crowded(record) {
        Some(c) => {
            let what = if c.cancelled { "cancelled" } else { "missed or cancelled" };
            vec![format!("{} of the last {} sessions {what}", number(c.lost), number(c.of))]
        }
        None => {
            [(more(|o| matches!(o, O::NoShow)), "missed"), (more(|o| matches!(o, O::CancelledByClient)), "cancelled")]
                .into_iter()
                .filter(|(k, _)| *k > 0)
                .map(|(k, what)| format!("{} {what}", counted(k, "session", "sessions")))
                .collect()
        }
    };
    let others = [(moved, "moved"), (late, "begun late")].into_iter().filter(|(k, _)| *k > 0);
    parts.extend(others.map(|(k, what)| format!("{} {what}", counted(k, "session", "sessions"))));
    if let Some(days) = record.current.and_then(|now| now.seen.spacing_days) {
        parts.push(format!("{} between the last session and this one, as booked", weeks(days)));
    }
    parts
}

fn alliance(record: &Record, manner: &Manner) -> Option<String> {
    let last = record.columns.iter().flat_map(|c| &c.alliance).rfind(|a| a.score.is_some())?;
    let score = last.score?;
    let usual = median(
        record
            .baseline()
            .flat_map(|c| &c.alliance)
            .filter(|a| a.measure.canonical == last.measure.canonical)
            .filter_map(|a| a.score)
            .collect(),
    )?;
    let worse_by = match last.measure.worse {
        Worse::Up => score - usual,
        Worse::Down => usual - score,
    };
    (worse_by >= ALLIANCE_SHARE_MIN * (last.measure.max - last.measure.min)).then(|| {
        format!(
            "{} {} after a usual {}",
            last.measure.name,
            points(score, &last.measure, manner),
            points(usual, &last.measure, manner)
        )
    })
}
