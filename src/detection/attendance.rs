//! Coming, coming late, cancelling, moving, staying away; and asking for more space, which nothing in the record tells
//! from a clinic closed over a holiday: so a longer gap counts only beside something else that fell short.
//!
//! Slots that share a start are one: a double booking says nothing of its own. What a practitioner or the
//! service cancelled is shown and never counts; nor does a cancellation of which nobody said whose it was.

use super::constants::AttendanceConstants;
use super::record::Record;
use crate::domain::{AttendanceOutcome, Slot, SlotOutcome};
use jiff::Timestamp;

/// Index of an outcome's severity; `None` where it is no evidence.
pub fn severity(outcome: AttendanceOutcome) -> Option<usize> {
    match outcome {
        AttendanceOutcome::Attended => Some(0),
        AttendanceOutcome::Late { .. } => Some(1),
        AttendanceOutcome::Rescheduled => Some(2),
        AttendanceOutcome::CancelledByClient => Some(3),
        AttendanceOutcome::NoShow => Some(4),
        AttendanceOutcome::CancelledByService | AttendanceOutcome::CancelledUnattributed => None,
    }
}

fn outcome(slot: &Slot, c: &AttendanceConstants) -> Option<AttendanceOutcome> {
    Some(match slot.outcome {
        SlotOutcome::Booked => return None,
        SlotOutcome::Kept { late_minutes } => match late_minutes {
            Some(minutes) if minutes >= c.late_minutes => AttendanceOutcome::Late { minutes },
            _ => AttendanceOutcome::Attended,
        },
        SlotOutcome::NoShow => AttendanceOutcome::NoShow,
        SlotOutcome::CancelledByClient => AttendanceOutcome::CancelledByClient,
        SlotOutcome::CancelledByService => AttendanceOutcome::CancelledByService,
        SlotOutcome::CancelledUnattributed => AttendanceOutcome::CancelledUnattributed,
    })
}

/// Of several slots at one start the truest: who came, came; a cancelled one was the spare.
fn rank(outcome: AttendanceOutcome) -> u8 {
    match outcome {
        AttendanceOutcome::Attended => 0,
        AttendanceOutcome::Late { .. } => 1,
        AttendanceOutcome::NoShow => 2,
        AttendanceOutcome::Rescheduled | AttendanceOutcome::CancelledByClient => 3,
        AttendanceOutcome::CancelledUnattributed => 4,
        AttendanceOutcome::CancelledByService => 5,
    }
}

/// What became of a group of slots, as known at `now` (facts of `now` included): the outcome and the slot it
/// is taken from. `None` while one of them may still take place, or nothing was said.
pub fn of_group(
    record: &Record,
    group: usize,
    now: Timestamp,
    c: &AttendanceConstants,
) -> Option<(AttendanceOutcome, usize)> {
    let group = &record.groups[group];
    let mut best: Option<(AttendanceOutcome, usize)> = None;
    for index in group.from..group.to {
        let slot = record.slots[index];
        if slot.placed() > now {
            continue;
        }
        if slot.known() > now {
            if slot.start > now {
                return None;
            }
            continue;
        }
        let Some(mut outcome) = outcome(slot, c) else { continue };
        if outcome == AttendanceOutcome::CancelledByClient && replaced(record, slot, now) {
            outcome = AttendanceOutcome::Rescheduled;
        }
        if best.is_none_or(|(b, _)| rank(outcome) < rank(b)) {
            best = Some((outcome, index));
        }
    }
    best
}

fn replaced(record: &Record, slot: &Slot, now: Timestamp) -> bool {
    record.slots.iter().any(|s| s.replaces.as_ref() == Some(&slot.source) && s.placed() <= now)
}

/// Gap in days that the client may have asked for: booked after a kept session, much longer than usual, nothing else
/// ever booked in between, neither replacing a cancelled slot nor moved there. A slot in between that the
/// service cancelled makes the gap the clinician's.
pub fn spacing_days(
    record: &Record,
    kept: Timestamp,
    start: Timestamp,
    now: Timestamp,
    interval: f64,
    c: &AttendanceConstants,
) -> Option<f64> {
    let gap = super::record::days(kept, start);
    if gap < c.spacing_intervals * interval {
        return None;
    }
    let from = record.standings.partition_point(|s| s.start <= kept);
    let mut asked = false;
    for standing in record.standings[from..].iter().take_while(|s| s.start <= start) {
        let slot = record.slots[standing.slot];
        if standing.start < start {
            if standing.from < now {
                return None;
            }
        } else if standing.until >= now
            && !standing.moved_here
            && slot.replaces.is_none()
            && slot.booked.is_some_and(|b| b >= kept && b < now)
        {
            asked = true;
        }
    }
    asked.then_some(gap)
}
