//! What was said of a client at moments of which somebody says what they were.

use super::regression::Logit;
use crate::cli::backtest::labels::Label;
use crate::detection::{self, Constants};
use crate::domain::{Timeline, Verdict};
use jiff::Timestamp;

fn log_odds(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

/// Every slot before the client left. `raw`: constants without calibration.
pub fn by_label(timeline: &Timeline, label: &Label, raw: &Constants) -> Vec<Logit> {
    let Some(last) = timeline.slots.iter().map(|slot| slot.start).max() else { return Vec::new() };
    let course = detection::assess(timeline, last, raw);
    let counts = |step: &&crate::domain::Assessment| label.dropout.is_none_or(|gone| step.as_of < gone);
    let said = |step: &crate::domain::Assessment| Logit {
        said: log_odds(step.probability),
        was: label.in_rupture(step.as_of),
    };
    course.steps.iter().filter(counts).map(said).collect()
}

/// Every moment that a practitioner judged: what stood on the page then, which knew nothing of the judgement.
pub fn by_practitioner(timeline: &Timeline, raw: &Constants) -> Vec<Logit> {
    let mut verdicts: Vec<(Timestamp, bool)> = timeline
        .judgements
        .iter()
        .filter_map(|judgement| match judgement.verdict {
            Verdict::Named | Verdict::RuptureYes => Some((judgement.known, true)),
            Verdict::RuptureNo => Some((judgement.known, false)),
            Verdict::RuptureUnsure | Verdict::SafetyAcknowledged => None,
        })
        .collect();
    verdicts.sort_unstable();
    let week = jiff::SignedDuration::from_hours(7 * 24);
    let last_of_week = |n: usize| verdicts.get(n + 1).is_none_or(|next| next.0.duration_since(verdicts[n].0) >= week);
    let moments = (0..verdicts.len()).filter(|n| last_of_week(*n)).map(|n| verdicts[n]);
    moments
        .filter_map(|(at, was)| {
            let open = detection::assess(timeline, at, raw).open?;
            Some(Logit { said: log_odds(open.probability), was })
        })
        .collect()
}
