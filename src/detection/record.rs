//! The timeline laid out as moments in the order in which they could be known.
//!
//! Three sorts of moment share an instant in this order: a *look* (an assessment is wanted as of then), a
//! *step* (what was known strictly before is committed to the model), then the *facts* that could be known at
//! that instant. So a look at T never sees a fact of T, and cutting the record off at T changes nothing before.
//!
//! A slot is a step at its start. Where it was moved there afterwards, nobody could know: the step waits until
//! it was known, and the look at its start is only a look. A slot that was moved away only after its old start had passed was a step then, and stays one. A
//! slot cancelled by the service is a look and no step.

use crate::domain::*;
use jiff::{Timestamp, ToSpan};
use std::cmp::Ordering;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// An assessment as of the start of this group of slots.
    Look(usize),
    /// As of the end of this week without appointments.
    LookWeek(u32),
    /// The state moves on: because of this group of slots.
    Step(usize),
    /// Because of a slot (by index) that stood here and was moved away later.
    StepMoved(usize),
    StepWeek(u32),
    Booked(usize),
    /// The move of a slot: slot, which of its moves.
    Moved(usize, usize),
    /// The outcome of a slot, or that its start has passed without one.
    SlotKnown(usize),
    HomeworkKnown(usize),
    HomeworkDue(usize),
    Asked(usize),
    /// The safety item of a form is told.
    SafetyTold(usize),
    FilledIn(usize),
    /// The Task of a measure says it was done.
    MeasureDone(usize),
    MeasureDue(usize),
    Judged(usize),
    Ended(usize),
    /// A later episode of care began after this ending.
    Resumed(usize),
}

/// Slots that share one start.
#[derive(Clone, Debug)]
pub struct Group {
    pub start: Timestamp,
    /// Range into `Record::slots`.
    pub from: usize,
    pub to: usize,
    /// When it is committed; `None`: every slot of it was cancelled by the service.
    pub step: Option<Timestamp>,
}

/// One stretch of time in which a slot stood at one start.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub start: Timestamp,
    pub slot: usize,
    /// Known from then on.
    pub from: Timestamp,
    /// Known to stand there no more from then on.
    pub until: Timestamp,
    /// It was moved here.
    pub moved_here: bool,
    /// It was not moved away from here.
    pub last: bool,
}

pub struct Record<'a> {
    pub slots: Vec<&'a Slot>,
    pub group_of: Vec<usize>,
    pub groups: Vec<Group>,
    /// By start.
    pub standings: Vec<Standing>,
    pub homework: Vec<&'a Homework>,
    pub dues: Vec<&'a MeasureDue>,
    pub administrations: Vec<&'a Administration>,
    pub judgements: Vec<&'a Judgement>,
    pub endings: Vec<&'a Ending>,
    pub undated: Vec<&'a Undated>,
    /// Per administration: some Task names it as its response.
    pub claimed: Vec<bool>,
    pub moments: Vec<(Timestamp, Moment)>,
    /// First event of a client without appointments; weeks are counted from it.
    pub first: Option<Timestamp>,
}

/// Sorted and without repeats, whatever the order given.
fn ordered<T>(items: &[T], by: impl Fn(&T, &T) -> Ordering) -> Vec<&T> {
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort_by(|a, b| by(a, b));
    sorted.dedup_by(|a, b| by(a, b).is_eq());
    sorted
}

impl Slot {
    /// When it was known to be booked: what was written down after its start (a walk-in, an imported history) was
    /// known at the start, at the latest. `None`: always.
    pub(super) fn booked_known(&self) -> Option<Timestamp> {
        let start = self.moves.first().map_or(self.start, |m| m.from);
        self.booked.map(|booked| booked.min(start))
    }

    /// When it was known to be where it is now.
    pub(super) fn placed(&self) -> Timestamp {
        let moved = self.moves.last().map_or(Timestamp::MIN, |m| m.known);
        self.booked_known().unwrap_or(Timestamp::MIN).max(moved)
    }

    /// When what became of it could be known; for one that nothing was said of, when its start had passed.
    pub(super) fn known(&self) -> Timestamp {
        match self.outcome {
            SlotOutcome::Booked => self.start.max(self.placed()),
            _ => self.outcome_known.max(self.placed()),
        }
    }

    pub(super) fn cancelled(&self) -> bool {
        matches!(
            self.outcome,
            SlotOutcome::CancelledByClient | SlotOutcome::CancelledByService | SlotOutcome::CancelledUnattributed
        )
    }

    pub(super) fn by_service(&self) -> bool {
        self.outcome == SlotOutcome::CancelledByService
    }

    pub(super) fn kept(&self) -> bool {
        matches!(self.outcome, SlotOutcome::Kept { .. })
    }
}

impl<'a> Record<'a> {
    pub fn new(timeline: &'a Timeline, as_of: Timestamp, grace_hours: f64) -> Self {
        // one Task may ask for several measures
        let canonical = |d: &MeasureDue| d.measure.as_ref().map(|m| m.canonical.clone());
        let mut record = Record {
            slots: ordered(&timeline.slots, |a, b| (a.start, &a.source).cmp(&(b.start, &b.source))),
            group_of: Vec::new(),
            groups: Vec::new(),
            standings: Vec::new(),
            homework: ordered(&timeline.homework, |a, b| (a.assigned, &a.source).cmp(&(b.assigned, &b.source))),
            dues: ordered(&timeline.dues, |a, b| {
                (a.asked, &a.source).cmp(&(b.asked, &b.source)).then_with(|| canonical(a).cmp(&canonical(b)))
            }),
            administrations: ordered(&timeline.administrations, |a, b| (a.at, &a.source).cmp(&(b.at, &b.source))),
            judgements: ordered(&timeline.judgements, |a, b| (a.known, &a.source).cmp(&(b.known, &b.source))),
            endings: ordered(&timeline.endings, |a, b| {
                (a.at, &a.source).cmp(&(b.at, &b.source)).then((a.kind as u8).cmp(&(b.kind as u8)))
            }),
            undated: ordered(&timeline.undated, |a, b| a.source.cmp(&b.source)),
            claimed: Vec::new(),
            moments: Vec::new(),
            first: None,
        };
        record.homework.retain(|h| h.state != HomeworkState::Withdrawn);
        record.dues.retain(|d| !d.withdrawn);
        let mut named: Vec<&Source> = record.dues.iter().filter_map(|d| d.response.as_ref()).collect();
        named.sort_unstable();
        record.claimed = record.administrations.iter().map(|a| named.binary_search(&&a.source).is_ok()).collect();

        let count = record.slots.len() * 3
            + record.homework.len() * 2
            + record.dues.len() * 2
            + record.administrations.len()
            + record.judgements.len()
            + record.endings.len();
        record.moments.reserve(count);
        record.lay_slots();
        record.lay_rest(grace_hours);
        record.lay_weeks(as_of);
        record.moments.sort_unstable();
        record
    }

    fn lay_slots(&mut self) {
        let mut from = 0;
        while from < self.slots.len() {
            let start = self.slots[from].start;
            let to = from + self.slots[from..].iter().take_while(|s| s.start == start).count();
            let step = self.slots[from..to].iter().filter(|s| !s.by_service()).map(|s| start.max(s.placed())).min();
            let group = self.groups.len();
            self.moments.push((start, Moment::Look(group)));
            if let Some(at) = step {
                self.moments.push((at, Moment::Step(group)));
            }
            self.group_of.extend((from..to).map(|_| group));
            self.groups.push(Group { start, from, to, step });
            from = to;
        }
        for (index, slot) in self.slots.iter().enumerate() {
            let mut from = slot.booked_known().unwrap_or(Timestamp::MIN);
            if slot.booked.is_some() {
                self.moments.push((from, Moment::Booked(index)));
            }
            for (n, moved) in slot.moves.iter().enumerate() {
                let stood = moved.from.max(from);
                if stood < moved.known {
                    self.moments.push((stood, Moment::StepMoved(index)));
                }
                self.standings.push(Standing {
                    start: moved.from,
                    slot: index,
                    from,
                    until: moved.known,
                    moved_here: n > 0,
                    last: false,
                });
                from = from.max(moved.known);
                self.moments.push((from, Moment::Moved(index, n)));
            }
            self.moments.push((slot.known(), Moment::SlotKnown(index)));
            self.standings.push(Standing {
                start: slot.start,
                slot: index,
                from,
                until: if slot.cancelled() { slot.known() } else { Timestamp::MAX },
                moved_here: !slot.moves.is_empty(),
                last: true,
            });
        }
        self.standings.sort_by_key(|s| (s.start, s.slot));
    }

    fn lay_rest(&mut self, grace_hours: f64) {
        let grace = ((grace_hours * 3600.0) as i64).seconds();
        for index in 0..self.homework.len() {
            let h = self.homework[index];
            if let Some(at) = h.state_known {
                self.moments.push((at.max(h.assigned), Moment::HomeworkKnown(index)));
            }
            // Not done is known at the due instant itself (mapping.md); the grace is for what counts as late.
            if let Some(at) = h.due.or_else(|| self.next_session(h.assigned, grace)) {
                self.moments.push((at.max(h.assigned), Moment::HomeworkDue(index)));
            }
        }
        for index in 0..self.dues.len() {
            let d = self.dues[index];
            self.moments.push((d.asked, Moment::Asked(index)));
            if let Some(at) = d.completed {
                self.moments.push((at.max(d.asked), Moment::MeasureDone(index)));
            }
            if let Some(at) = d.due.or_else(|| self.next_session(d.asked, grace)) {
                self.moments.push((at.max(d.asked), Moment::MeasureDue(index)));
            }
        }
        let facts = self.administrations.iter().enumerate().map(|(n, a)| (a.at, Moment::FilledIn(n)));
        self.moments.extend(facts);
        let told = self.administrations.iter().enumerate().filter(|(_, a)| a.safety.is_some_and(|s| s.value > 0.0));
        self.moments.extend(told.map(|(n, a)| (a.safety_told, Moment::SafetyTold(n))));
        let facts = self.judgements.iter().enumerate().map(|(n, j)| (j.known, Moment::Judged(n)));
        self.moments.extend(facts);
        let facts = self.endings.iter().enumerate().map(|(n, e)| (e.at, Moment::Ended(n)));
        self.moments.extend(facts);
        let resumed = self.endings.iter().enumerate().filter_map(|(n, e)| Some((e.resumed?, Moment::Resumed(n))));
        self.moments.extend(resumed);
    }

    /// When "by the next session" has passed: some hours after the start of the first later slot that is a
    /// step, so that what is marked during the session counts as brought to it. Whatever became of the slot:
    /// otherwise who comes would be worse off than who stays away.
    fn next_session(&self, after: Timestamp, grace: jiff::Span) -> Option<Timestamp> {
        let first = self.standings.partition_point(|s| s.start <= after);
        let mut best: Option<Timestamp> = None;
        for s in &self.standings[first..] {
            let end = s.start.saturating_add(grace).ok()?;
            if best.is_some_and(|b| b <= end) {
                break;
            }
            let known = end.max(s.from);
            let held = if s.last { !self.slots[s.slot].by_service() } else { s.until > known };
            if held {
                best = Some(best.map_or(known, |b| b.min(known)));
            }
        }
        best
    }

    /// No appointments: a step a week from the first event, until eight weeks after the last thing that
    /// happened, or until the first appointment is known.
    fn lay_weeks(&mut self, as_of: Timestamp) {
        let booked =
            self.slots.iter().map(|s| s.booked_known().unwrap_or(Timestamp::MIN)).min().unwrap_or(Timestamp::MAX);
        let mut events: Vec<Timestamp> = self
            .administrations
            .iter()
            .map(|a| a.at)
            .chain(self.homework.iter().flat_map(|h| [Some(h.assigned), h.state_known]).flatten())
            .chain(self.dues.iter().map(|d| d.asked))
            .collect();
        events.sort_unstable();
        let Some(&first) = events.first() else { return };
        if booked <= first {
            return;
        }
        self.first = Some(first);
        let mut next = 0;
        for week in 1u32.. {
            let Ok(at) = first.checked_add((i64::from(week) * 7 * 24).hours()) else {
                break;
            };
            if at > as_of.max(first) || at > booked {
                break;
            }
            while next < events.len() && events[next] < at {
                next += 1;
            }
            if days(events[next - 1], at) <= 56.0 {
                self.moments.push((at, Moment::LookWeek(week)));
                self.moments.push((at, Moment::StepWeek(week)));
            }
        }
    }

    /// The start that stands next as of a moment; `open`: what is known at that instant counts too.
    pub fn next_standing(&self, from: usize, at: Timestamp, open: bool) -> Option<&Standing> {
        self.standings[from..].iter().find(|s| {
            let known = if open { s.from <= at && s.until > at } else { s.from < at && s.until >= at };
            s.start > at && known
        })
    }
}

/// Days from one instant to another.
pub fn days(from: Timestamp, to: Timestamp) -> f64 {
    let nanos = to.as_nanosecond() - from.as_nanosecond();
    nanos as f64 / 86_400e9
}

/// An instant some days later.
pub fn later(from: Timestamp, days: f64) -> Timestamp {
    from.checked_add(((days * 86_400e6) as i64).microseconds()).unwrap_or(Timestamp::MAX)
}
