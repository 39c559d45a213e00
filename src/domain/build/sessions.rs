//! Appointments and their Encounters become slots.

use super::{Resources, VersionedFact};
use crate::domain::fact::{Appointment, AppointmentState, Fact};
use crate::domain::{Move, Slot, SlotOutcome, Source, SourceKind};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// A booking made this long after the client cancelled is the same session, moved.
const REPLACES_HOURS_MAX: i64 = 48;
/// The new booking may be written down a little before the old one is struck out.
const REPLACES_MINUTES_BEFORE_MAX: i64 = 60;
/// Where an appointment has no end: a later arrival is the time of writing, not of coming.
const LATE_HOURS_MAX: i64 = 3;

/// When the client came, by appointment id, as the Encounters say: the earliest, and which it was.
pub fn arrivals(all: &Resources) -> HashMap<&str, (Timestamp, &Source)> {
    let mut arrivals: HashMap<&str, (Timestamp, &Source)> = HashMap::new();
    for (source, standing) in all.standing(SourceKind::Encounter) {
        let Fact::Encounter(encounter) = standing.fact else { continue };
        let Some(start) = encounter.start.filter(|_| encounter.happened) else { continue };
        for id in &encounter.appointments {
            let known = arrivals.entry(id).or_insert((start, source));
            *known = (*known).min((start, source));
        }
    }
    arrivals
}

/// One appointment, from its versions in order.
pub fn slot(source: &Source, versions: &[VersionedFact], arrival: Option<&(Timestamp, &Source)>) -> Option<Slot> {
    let history = history(versions);
    let (last, _) = history.last().copied()?;
    let start = last.start?;
    let mut also = Vec::new();
    let outcome = match last.state {
        AppointmentState::Booked => SlotOutcome::Booked,
        AppointmentState::Kept => {
            let came = match (last.came, arrival) {
                (Some(came), _) => Some(came),
                (None, Some((came, encounter))) => {
                    also.push((*encounter).clone());
                    Some(*came)
                }
                (None, None) => None,
            };
            SlotOutcome::Kept { late_minutes: came.and_then(|came| late_minutes(last, start, came)) }
        }
        AppointmentState::NoShow => SlotOutcome::NoShow,
        AppointmentState::CancelledByClient => SlotOutcome::CancelledByClient,
        AppointmentState::CancelledByService => SlotOutcome::CancelledByService,
        AppointmentState::CancelledUnattributed => SlotOutcome::CancelledUnattributed,
        AppointmentState::NotYet | AppointmentState::Void => return None,
    };
    Some(Slot {
        source: source.clone(),
        start,
        booked: history.iter().rev().find_map(|(appointment, _)| appointment.created),
        outcome,
        outcome_known: cancelled(&history).map_or(start, |at| at.min(start)),
        moves: moves(&history),
        replaces: None,
        unhappy_or_changed_provider: is_cancelled(last.state) && last.unhappy_or_changed_provider,
        also,
    })
}

type Dated<'a> = (&'a Appointment, Option<Timestamp>);

/// Versions that say something: those before a deletion, and those entered in error, never were. The last one
/// decides alone whether the appointment stands.
fn history(versions: &[VersionedFact]) -> Vec<Dated<'_>> {
    let deleted = versions.iter().filter(|version| version.deleted).map(|version| version.version).max();
    let mut history: Vec<Dated> = Vec::with_capacity(versions.len());
    for (n, version) in versions.iter().enumerate() {
        let last = n + 1 == versions.len();
        let Some(Fact::Appointment(appointment)) = &version.fact else { continue };
        let void = appointment.state == AppointmentState::Void;
        let gone = deleted.is_some_and(|deleted| version.version < deleted);
        if last || !(void || gone) {
            history.push((appointment, version.sender_updated));
        }
    }
    history
}

fn is_cancelled(state: AppointmentState) -> bool {
    matches!(
        state,
        AppointmentState::CancelledByClient
            | AppointmentState::CancelledByService
            | AppointmentState::CancelledUnattributed
    )
}

/// When the cancellation that stands was written: the first version of the last run of cancelled ones, so that a
/// cancelled appointment sent again later was not cancelled later.
fn cancelled(history: &[Dated]) -> Option<Timestamp> {
    let run = history.iter().rev().take_while(|(appointment, _)| is_cancelled(appointment.state));
    run.filter_map(|(_, updated)| *updated).min()
}

fn late_minutes(appointment: &Appointment, start: Timestamp, came: Timestamp) -> Option<f64> {
    let end = appointment.end.filter(|end| *end > start);
    let limit = end.or_else(|| start.checked_add(SignedDuration::from_hours(LATE_HOURS_MAX)).ok())?;
    let minutes = came.duration_since(start).as_secs_f64() / 60.0;
    (came <= limit).then(|| minutes.max(0.0))
}

/// Each change of start between two versions that were both slots.
fn moves(history: &[Dated]) -> Vec<Move> {
    let slots: Vec<_> = history
        .iter()
        .filter(|(appointment, _)| appointment.state != AppointmentState::NotYet)
        .filter_map(|(appointment, updated)| Some((appointment.start?, *updated)))
        .collect();
    let changed = slots.windows(2).filter(|pair| pair[0].0 != pair[1].0);
    changed
        .map(|pair| {
            let (from, to) = (pair[0].0, pair[1].0);
            // Like a cancellation: what was written after the fact was known at the fact, at the latest.
            let latest = from.min(to);
            Move { from, to, known: pair[1].1.map_or(latest, |updated| updated.min(latest)) }
        })
        .collect()
}

/// Which booking replaces which slot the client cancelled: made within 48 hours of the cancellation, the earliest
/// first, each used once.
pub fn replacements(slots: &mut [Slot], all: &Resources) {
    let mut cancellations: Vec<(Timestamp, Source)> = slots
        .iter()
        .filter(|slot| slot.outcome == SlotOutcome::CancelledByClient)
        .map(|slot| {
            // Not capped by the start: the 48 hours run from when it was written.
            let written = all.get(&slot.source).and_then(|versions| cancelled(&history(versions)));
            (written.unwrap_or(slot.start), slot.source.clone())
        })
        .collect();
    cancellations.sort();
    let mut bookings: Vec<(Timestamp, Timestamp, usize)> =
        (slots.iter().enumerate()).filter_map(|(n, slot)| Some((slot.booked?, slot.start, n))).collect();
    bookings.sort_unstable();
    for (at, source) in cancellations {
        let earliest = at.checked_sub(SignedDuration::from_mins(REPLACES_MINUTES_BEFORE_MAX)).unwrap_or(Timestamp::MIN);
        let latest = at.checked_add(SignedDuration::from_hours(REPLACES_HOURS_MAX)).unwrap_or(Timestamp::MAX);
        let from = bookings.partition_point(|(booked, ..)| *booked < earliest);
        let soon = bookings[from..].iter().take_while(|(booked, ..)| *booked <= latest);
        let free = |n: usize| slots[n].replaces.is_none() && slots[n].start > at && slots[n].source != source;
        if let Some(n) = soon.map(|(.., n)| *n).find(|n| free(*n)) {
            slots[n].replaces = Some(source);
        }
    }
}
