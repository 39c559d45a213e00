//! What was to be done between sessions, and how far it was.
//!
//! Each assignment counts once, at the first step after it was known done or its time had passed. Several at
//! one step are not independent: their evidence is summed and divided by √n. A client who is well does less
//! homework, and that is no rupture: bad outcomes are excused in proportion to the improvement so far. Homework that
//! the client declined is shown and never counts: an open no is talk about the work, not a silent omission, and no
//! study says how often it precedes withdrawal (choice).

use super::constants::HomeworkConstants;
use crate::domain::{Homework, HomeworkOutcome, HomeworkState};
use jiff::{Timestamp, ToSpan};

/// What became of it, as known at `now` (facts of `now` included); its time has passed or its state is known.
pub fn outcome(h: &Homework, now: Timestamp, c: &HomeworkConstants) -> HomeworkOutcome {
    let known = h.state_known.filter(|k| *k <= now);
    let share = h.completion.filter(|_| known.is_some());
    match (h.state, known) {
        (HomeworkState::Done, Some(at)) => {
            let grace = ((c.grace_hours * 3600.0) as i64).seconds();
            let late = h.due.is_some_and(|due| due.saturating_add(grace).is_ok_and(|due| at > due));
            if share.is_some_and(|s| s <= 0.0) {
                HomeworkOutcome::NotDone
            } else if share.is_some_and(|s| s < c.done_share) || h.quality.is_some_and(|q| q <= c.poor_quality) {
                HomeworkOutcome::Partial
            } else if late {
                HomeworkOutcome::Late
            } else {
                HomeworkOutcome::Done
            }
        }
        (HomeworkState::NotDone | HomeworkState::Open, Some(_)) if share.is_some_and(|s| s > 0.0) => {
            HomeworkOutcome::Partial
        }
        _ => HomeworkOutcome::NotDone,
    }
}

/// Index of its severity; `None` where it is no evidence.
pub fn severity(h: &Homework, outcome: HomeworkOutcome, c: &HomeworkConstants) -> Option<usize> {
    Some(match outcome {
        HomeworkOutcome::NotDone if h.declined => return None,
        HomeworkOutcome::Done => 0,
        HomeworkOutcome::Late => 1,
        // poor, but whole: how poor it is, is weighed by itself
        HomeworkOutcome::Partial if c.quality_effect != [0.0; 2] && h.completion.is_none_or(|s| s >= c.done_share) => 0,
        HomeworkOutcome::Partial if h.completion.is_some_and(|share| share >= 0.5) => 2,
        HomeworkOutcome::Partial => 3,
        HomeworkOutcome::NotDone => 4,
    })
}

/// Quality, ln(minutes) and ln(words), of what was done.
pub fn content(h: &Homework, outcome: HomeworkOutcome) -> [Option<f64>; 3] {
    if outcome == HomeworkOutcome::NotDone {
        return [None; 3];
    }
    let ln = |x: f64| (x > 0.0).then(|| x.ln());
    [h.quality, h.minutes.and_then(ln), h.words.map(f64::from).and_then(ln)]
}
