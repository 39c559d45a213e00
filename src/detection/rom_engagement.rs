//! How the client meets the questionnaires: filled in whole, in part, in haste, or not at all.
//!
//! A Task says when a measure was due. Where none asks, the expectation is learned from the client's own
//! record: after the third time, a measure is expected again as often as it usually came (the median number
//! of steps between two fills; one step of grace where that is more than one, so that a monthly measure is
//! not missed weekly). Who fills it in during sessions (within six hours of the start) is expected to do so only
//! where the session was kept: nothing is missed before it could have been done. Four
//! misses in a row end the expectation; the next fill revives it.

use super::alliance::OwnMean;
use super::constants::RomConstants;
use crate::domain::{Administration, RomOutcome};
use jiff::Timestamp;

/// Habits of one client with one measure.
#[derive(Clone, Debug, Default)]
pub struct Habit {
    fills: u32,
    /// Per item: how often it was answered.
    answered: Vec<u32>,
    /// Step (number) in whose interval it was last filled in.
    last_step: u32,
    pub last_at: Option<Timestamp>,
    /// Steps between fills, the last eight.
    gaps: Vec<u32>,
    in_session: u32,
    missed_run: u32,
    /// Step at which it was last counted as missed.
    missed_step: Option<u32>,
    /// A Task has asked for it: no more learning when it is due.
    pub asked: bool,
    /// ln(seconds per item).
    pub speed: OwnMean,
}

pub struct Fill {
    pub outcome: RomOutcome,
    pub newly_skipped: u16,
    /// Seconds an item, for measures of several items.
    pub pace: Option<f64>,
}

impl Habit {
    /// A form filled in, against what this client used to answer.
    pub fn fill(&self, form: &Administration, c: &RomConstants) -> Fill {
        let answered = form.answered();
        let newly_skipped = form
            .answers
            .iter()
            .enumerate()
            .filter(|(item, answer)| {
                let often = self.answered.get(*item).copied().unwrap_or(0);
                // as if it had been answered once before: a first form is expected whole
                answer.is_none() && 2 * (often + 1) > self.fills
            })
            .count() as u16;
        let pace =
            form.seconds.filter(|s| *s > 0.0 && form.answers.len() > 1 && answered > 0).map(|s| s / answered as f64);
        let outcome = if !form.finished || newly_skipped > 0 {
            RomOutcome::Partial
        } else if pace.is_some_and(|p| p < c.perfunctory_seconds) {
            RomOutcome::Perfunctory
        } else {
            RomOutcome::Complete
        };
        Fill { outcome, newly_skipped, pace }
    }

    /// Remembers it. `step`: number of the interval it fell into.
    pub fn remember(&mut self, form: &Administration, step: u32, in_session: bool, at: Timestamp) {
        self.answered.resize(self.answered.len().max(form.answers.len()), 0);
        for (often, answer) in self.answered.iter_mut().zip(&form.answers) {
            *often += u32::from(answer.is_some());
        }
        if self.fills > 0 && step > self.last_step {
            if self.gaps.len() == 8 {
                self.gaps.remove(0);
            }
            self.gaps.push(step - self.last_step);
        }
        self.fills += 1;
        self.in_session += u32::from(in_session);
        self.last_step = step;
        self.last_at = Some(at);
        self.missed_run = 0;
        self.missed_step = None;
    }

    pub fn in_session(&self) -> bool {
        2 * self.in_session > self.fills
    }

    /// Whether, as of the step with this number, it should have come and has not.
    pub fn missed(&self, step: u32, c: &RomConstants) -> bool {
        if self.asked || self.fills < c.expected_after || self.missed_run >= c.expected_misses_max {
            return false;
        }
        let mut gaps = self.gaps.clone();
        if gaps.is_empty() {
            return false;
        }
        gaps.sort_unstable();
        let period = gaps[gaps.len() / 2];
        let grace = u32::from(period > 1);
        let since = self.missed_step.map_or(self.last_step, |m| m.max(grace) - grace);
        step >= since + period + grace
    }

    pub fn miss(&mut self, step: u32) {
        self.missed_run += 1;
        self.missed_step = Some(step);
    }
}

/// Index of its severity.
pub fn severity(outcome: RomOutcome, newly_skipped: u16) -> usize {
    match (outcome, newly_skipped) {
        (RomOutcome::Complete, _) => 0,
        (RomOutcome::Partial, 1) => 1,
        (RomOutcome::Partial, 4..) => 3,
        (RomOutcome::Partial | RomOutcome::Perfunctory, _) => 2,
        (RomOutcome::Missed, _) => MISSED,
    }
}

pub const MISSED: usize = 4;
