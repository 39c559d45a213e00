//! One client: records to timeline to course, and of it what the backtest shows. The assessment itself is
//! `domain::build` and `detection`, the same as in the server.

use super::record::{self, Record};
use super::rivals::{self, Rivals};
use crate::detection::{self, Constants};
use crate::domain::{self, Assessment, Course, FlagKind, Measures, Slot, SlotOutcome, Timeline};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A client with the assessment of every slot.
pub struct Client {
    pub patient: String,
    pub timeline: Timeline,
    pub slots: Vec<Assessed>,
    pub course: Course,
}

/// A slot and what was said as of its start.
pub struct Assessed {
    pub appointment: Arc<str>,
    pub start: Timestamp,
    pub said: Assessment,
    /// Called off by clinician or service: a line, but no step.
    pub is_break: bool,
    /// Booked for a time after the last thing the record says: nobody can know how it went.
    pub is_beyond: bool,
}

pub fn assess(patient: String, records: Vec<Record>, measures: &Measures, constants: &Constants) -> Client {
    let timeline = domain::build::timeline(record::facts(records), measures);
    let Some(last) = timeline.slots.iter().map(|slot| slot.start).max() else {
        let course = detection::assess(&timeline, Timestamp::UNIX_EPOCH, constants);
        return Client { patient, timeline, slots: Vec::new(), course };
    };
    let course = detection::assess(&timeline, last, constants);
    let slots = said_at_steps(&course, &timeline, constants);
    Client { patient, timeline, slots, course }
}

fn said_at_steps(course: &Course, timeline: &Timeline, constants: &Constants) -> Vec<Assessed> {
    let mut by_slot: BTreeMap<&Arc<str>, &Assessment> = BTreeMap::new();
    for step in &course.steps {
        by_slot.extend(step.appointments.iter().map(|appointment| (appointment, step)));
    }
    let said = |slot: &Slot| {
        let step = by_slot.get(&slot.source.id).filter(|step| step.as_of == slot.start);
        step.map_or_else(|| between_steps(slot.start, course, timeline, constants), |step| Some((*step).clone()))
    };
    let end = record_end(timeline);
    let assessed = timeline.slots.iter().filter_map(|slot| {
        Some(Assessed {
            appointment: Arc::clone(&slot.source.id),
            start: slot.start,
            said: said(slot)?,
            is_break: slot.outcome == SlotOutcome::CancelledByService,
            is_beyond: slot.outcome == SlotOutcome::Booked && Some(slot.start) > end,
        })
    });
    let mut slots: Vec<Assessed> = assessed.collect();
    slots.sort_by(|a, b| (a.start, &a.appointment).cmp(&(b.start, &b.appointment)));
    slots
}

/// The last thing that a record says has happened.
fn record_end(timeline: &Timeline) -> Option<Timestamp> {
    let slots = timeline.slots.iter().filter(|slot| slot.outcome != SlotOutcome::Booked).map(|slot| slot.start);
    let forms = timeline.administrations.iter().map(|form| form.at);
    let homework = timeline.homework.iter().filter_map(|homework| homework.state_known);
    slots.chain(forms).chain(homework).max()
}

/// What was said as of an instant that is no step: the open assessment of then. Where assessment has ended, what
/// was carried to the end, with nothing added.
fn between_steps(at: Timestamp, course: &Course, timeline: &Timeline, constants: &Constants) -> Option<Assessment> {
    if let Some(open) = detection::assess(timeline, at, constants).open {
        return Some(open);
    }
    let last = course.steps.iter().rev().find(|step| step.as_of <= at)?;
    let mut said = last.clone();
    said.as_of = at;
    said.carried = (said.probability / (1.0 - said.probability)).ln();
    said.flags.retain(|flag| *flag == FlagKind::SafetyItem);
    for signal in &mut said.signals {
        signal.absent = true;
        signal.evidence = 0.0;
    }
    Some(said)
}

impl Client {
    /// What the first design would have said at each slot.
    pub fn first_design(&self) -> Vec<f64> {
        let Some(last) = self.slots.last() else { return Vec::new() };
        let constants = Constants::first_design();
        let course = detection::assess(&self.timeline, last.start, &constants);
        said_at_steps(&course, &self.timeline, &constants).iter().map(|slot| slot.said.probability).collect()
    }

    /// The scores of the rivals at each slot, from the same record and no more.
    pub fn rivals(&self) -> Vec<Rivals> {
        rivals::scores(&self.timeline, self.slots.iter().map(|slot| slot.start))
    }
}
