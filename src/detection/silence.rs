//! What time alone does: silence is told after two nominal intervals with nothing booked, and becomes
//! disengagement after eight weeks; and when time alone will next change what is said.

use super::evaluate;
use super::pass::Pass;
use super::record::{Moment, days, later};
use crate::domain::*;
use jiff::{Timestamp, ToSpan};

/// Whether anything is booked, and what has been told of it.
#[derive(Default)]
pub(super) struct Silence {
    /// Latest instant at which a slot took up time, or the client gave one up.
    pub busy: Option<Timestamp>,
    /// Nothing booked since, and since when that is known.
    pub free: Option<Timestamp>,
    freed: Option<Timestamp>,
    /// The silence (by its `free`) in which no contact was told, and the one that went on until disengaged.
    told: Option<Timestamp>,
    gone: Option<Timestamp>,
}

impl Pass<'_> {
    pub(super) fn gave_up_time(&mut self, at: Timestamp) {
        self.quiet.busy = self.quiet.busy.max(Some(at));
    }

    /// Whether anything is booked after this instant; silence begins where nothing is.
    pub(super) fn settle(&mut self, at: Timestamp) {
        let standings = &self.record.standings;
        while self.standing < standings.len() && standings[self.standing].start <= at {
            self.standing += 1;
        }
        if self.record.next_standing(self.standing, at, true).is_some() {
            self.quiet.free = None;
            self.contact(at);
        } else if self.quiet.free.is_none() || self.quiet.busy > self.quiet.free {
            // the second: a session that was held and never booked
            if self.quiet.free.is_some() {
                self.contact(at);
            }
            self.quiet.free = self.quiet.busy;
            self.quiet.freed = Some(at);
        }
    }

    /// Something is booked, or was held: an episode of no contact is over. Should the booking fall through, the
    /// same silence may be told again.
    fn contact(&mut self, at: Timestamp) {
        if self.flags.no_contact() {
            self.flags.close_engagement(at, Closing::Resolved);
            self.quiet.told = None;
        }
    }

    fn silence_limit(&self) -> Option<Timestamp> {
        let interval = self.state.interval(None, self.c);
        self.quiet
            .free
            .filter(|_| self.state.slot_steps > 0)
            .map(|free| later(free, self.c.flag.silence_intervals * interval))
    }

    pub(super) fn silent(&self, at: Timestamp) -> bool {
        self.silence_limit().is_some_and(|limit| limit < at)
    }

    /// Time alone, up to an instant at which something happens.
    pub(super) fn silence(&mut self, before: Timestamp) {
        if self.ended.is_some() {
            return;
        }
        let (Some(limit), Some(free), Some(freed)) = (self.silence_limit(), self.quiet.free, self.quiet.freed) else {
            return;
        };
        if limit < before && self.quiet.told != Some(free) {
            self.quiet.told = Some(free);
            if !self.flags.engagement() && !self.warming_up() {
                let mut raised = [false; 5];
                raised[evaluate::ATTENDANCE] = true;
                let rests_on = self.grounds_of_silence(free);
                self.flags.open_engagement(self.key(), limit.max(freed), Why::NoContact, raised, rests_on);
            }
        }
        let gone = later(free, self.c.flag.disengaged_days).max(freed);
        if gone < before && self.quiet.gone != Some(free) {
            self.quiet.gone = Some(free);
            self.flags.close_engagement(gone, Closing::Disengaged);
        }
    }

    /// Eight weeks of silence: nothing opens before there is contact again.
    pub(super) fn disengaged(&self) -> bool {
        self.quiet.free.is_some() && self.quiet.gone == self.quiet.free
    }

    fn grounds_of_silence(&self, free: Timestamp) -> Vec<Source> {
        let last = self.state.last_slot.unwrap_or(free);
        let to = self.record.slots.partition_point(|s| s.start <= last);
        let from = self.record.slots.partition_point(|s| s.start < last);
        self.record.slots[from..to].iter().map(|s| s.source.clone()).collect()
    }

    /// The next instant at which time alone may change what is said.
    pub(super) fn next_change(&self, next: usize, as_of: Timestamp) -> Option<Timestamp> {
        let after = |at: Timestamp| at.saturating_add(1.microsecond()).unwrap_or(Timestamp::MAX);
        let mut candidates: Vec<Timestamp> = Vec::new();
        if let Some(&(at, moment)) = self.record.moments.get(next) {
            let look = matches!(moment, Moment::Look(_) | Moment::LookWeek(_));
            candidates.push(if look { at } else { after(at) });
            // a step with nothing to look at, and the facts of its instant
            candidates.push(after(at));
        }
        if self.ended.is_none() {
            if let (Some(free), Some(limit)) = (self.quiet.free, self.silence_limit()) {
                candidates.push(after(limit));
                candidates.push(after(later(free, self.c.flag.disengaged_days)));
            }
            let standing = self.record.next_standing(self.standing, as_of, false);
            if let (Some(since), None) = (self.state.since, standing) {
                let interval = self.state.interval(None, self.c);
                for n in 2..=self.c.elapsed_max as u32 {
                    candidates.push(after(later(since, f64::from(n) * interval)));
                }
            }
            if let (Some(first), false) = (self.record.first, self.appointments) {
                let week = (days(first, as_of) / 7.0).floor() + 1.0;
                candidates.push(later(first, 7.0 * week));
            }
        }
        candidates.into_iter().filter(|at| *at > as_of).min()
    }
}
