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
    /// How often all items were answered alike.
    alike: u32,
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
        } else if self.fills >= ALIKE_AFTER && 2 * self.alike < self.fills && all_alike(form) && between(form) {
            RomOutcome::Alike
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
        self.alike += u32::from(all_alike(form));
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

/// Forms before it from which one answered all alike can be told from the client's way of answering.
const ALIKE_AFTER: u32 = 2;
/// Fewer answers are often alike by chance.
const ALIKE_ANSWERS_MIN: usize = 5;
/// Share of the answers' range that has to lie to either side: who has no symptom, or all of them, answers alike.
const ALIKE_MARGIN: f64 = 0.15;

/// Every question got the same answer.
fn all_alike(form: &Administration) -> bool {
    let mut answers = form.answers.iter().flatten();
    let first = answers.next();
    form.answered() >= ALIKE_ANSWERS_MIN && answers.all(|answer| Some(answer) == first)
}

/// The first answer is neither about the best nor about the worst.
fn between(form: &Administration) -> bool {
    let largest = (form.measure.max - form.measure.min) / f64::from(form.measure.items.max(1));
    let first = form.answers.iter().flatten().next();
    first.is_some_and(|first| (ALIKE_MARGIN..=1.0 - ALIKE_MARGIN).contains(&(f64::from(*first) / largest)))
}

/// Index of its severity.
pub fn severity(outcome: RomOutcome, newly_skipped: u16) -> usize {
    match (outcome, newly_skipped) {
        (RomOutcome::Complete, _) => 0,
        (RomOutcome::Partial, 1) => 1,
        (RomOutcome::Partial, 4..) => 3,
        (RomOutcome::Partial | RomOutcome::Perfunctory | RomOutcome::Alike, _) => 2,
        (RomOutcome::Missed, _) => MISSED,
    }
}

pub const MISSED: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::laws::records::phq9 as measure;
    use crate::domain::{Source, SourceKind};

    fn phq9(answers: [f32; 9]) -> Administration {
        let at = Timestamp::UNIX_EPOCH;
        Administration {
            source: Source::new(SourceKind::QuestionnaireResponse, "q"),
            measure: measure(),
            at,
            finished: true,
            complete: true,
            score: Some(f64::from(answers.iter().sum::<f32>())),
            answers: answers.map(Some).to_vec(),
            seconds: Some(60.0),
            subscales: Vec::new(),
            safety: None,
            safety_told: at,
            safety_known: at,
        }
    }

    const VARIED: [f32; 9] = [2.0, 1.0, 2.0, 0.0, 1.0, 1.0, 2.0, 1.0, 0.0];

    /// What the last of these forms is taken for.
    fn last(forms: &[[f32; 9]]) -> RomOutcome {
        let c = RomConstants::default();
        let mut habit = Habit::default();
        let mut outcome = RomOutcome::Missed;
        for (n, answers) in forms.iter().enumerate() {
            let form = phq9(*answers);
            outcome = habit.fill(&form, &c).outcome;
            habit.remember(&form, n as u32, false, form.at);
        }
        outcome
    }

    #[test]
    fn all_alike_is_told_of_who_does_not_usually_answer_so() {
        assert_eq!(last(&[VARIED, VARIED, [1.0; 9]]), RomOutcome::Alike);
        assert_eq!(last(&[VARIED, [1.0; 9]]), RomOutcome::Complete, "one form before is too few");
        assert_eq!(last(&[VARIED, [1.0; 9], [1.0; 9], [1.0; 9]]), RomOutcome::Complete, "it is usual");
        assert_eq!(last(&[[0.0; 9], [0.0; 9], [1.0; 9]]), RomOutcome::Complete);
    }

    /// Weekly for twelve steps, then every fourth: nine later it is usual, and not missed at the second step.
    #[test]
    fn the_usual_gap_is_that_of_the_last_eight() {
        let mut habit = Habit::default();
        let steps: Vec<u32> = (0..12).chain((1..=9).map(|n| 11 + 4 * n)).collect();
        for step in &steps {
            habit.remember(&phq9(VARIED), *step, false, Timestamp::UNIX_EPOCH);
        }
        let (c, last) = (RomConstants::default(), steps[steps.len() - 1]);
        assert!(!habit.missed(last + 2, &c) && habit.missed(last + 5, &c));
    }

    /// Nothing the matter on any question is good news, and the worst on every one is not carelessness.
    #[test]
    fn the_best_and_the_worst_answers_may_be_alike() {
        assert_eq!(last(&[VARIED, VARIED, [0.0; 9]]), RomOutcome::Complete);
        assert_eq!(last(&[VARIED, VARIED, [3.0; 9]]), RomOutcome::Complete);
    }
}
