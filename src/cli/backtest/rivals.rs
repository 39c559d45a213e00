//! What is in use elsewhere, or would be tried first: four simple detectors on the same record, so that the
//! figures say what detection is worth beyond them. Each is a score; higher is worse.

use crate::domain::{Administration, Homework, HomeworkState, Role, Slot, SlotOutcome, Timeline};
use jiff::Timestamp;

/// Name of each rival, in the order of [`Rivals`].
pub const NAMES: [&str; 4] =
    ["two misses in a row", "reliable deterioration", "expected trajectory", "Shewhart-EWMA chart"];

pub type Rivals = [f64; 4];

/// Ten minutes late is late.
const LATE_MINUTES: f64 = 10.0;
/// Steps from which a chart takes its centre and width.
const CHART_BASELINE_STEPS: usize = 5;
const EWMA_WEIGHT: f64 = 0.3;
/// Reliable change on the common scale.
pub const RELIABLE: f64 = 6.0;
/// A client who filled in at least this share so far is expected to go on.
const HABIT_SHARE: f64 = 0.5;

/// What one step shows: 0 good, 1 bad; `None` where there was nothing to see.
#[derive(Clone, Copy, Default)]
struct Step {
    came: Option<f64>,
    homework: Option<f64>,
    form: Option<f64>,
}

impl Step {
    fn all(self) -> [Option<f64>; 3] {
        [self.came, self.homework, self.form]
    }

    fn mean(self) -> Option<f64> {
        let seen = self.all().into_iter().flatten();
        let count = seen.clone().count();
        (count > 0).then(|| seen.sum::<f64>() / count as f64)
    }
}

/// The score of each rival as of each start; `starts` in order.
pub fn scores(timeline: &Timeline, starts: impl Iterator<Item = Timestamp>) -> Vec<Rivals> {
    let mut steps: Vec<Step> = Vec::new();
    let mut last: Option<Timestamp> = None;
    let mut filled = (0.0, 0.0);
    let mut out: Vec<Rivals> = Vec::new();
    for at in starts {
        if last == Some(at) {
            out.push(out.last().copied().unwrap_or_default());
            continue;
        }
        steps.push(step(timeline, last, at, &mut filled));
        out.push([misses(&steps), deterioration(timeline, at), trajectory(timeline, at), chart(&steps)]);
        last = Some(at);
    }
    out
}

fn step(timeline: &Timeline, last: Option<Timestamp>, at: Timestamp, filled: &mut (f64, f64)) -> Step {
    let Some(last) = last else { return Step::default() };
    let came = timeline.slots.iter().filter(|slot| slot.start == last).filter_map(attended).reduce(f64::max);
    let homework = timeline.homework.iter().filter_map(|homework| done(homework, last, at)).reduce(f64::max);
    let outcome = |form: &&Administration| form.measure.role == Role::Outcome && form.finished;
    let form = timeline.administrations.iter().filter(outcome).find(|form| last <= form.at && form.at < at);
    let expected = filled.1 > 0.0 && filled.0 / filled.1 >= HABIT_SHARE;
    let missed = match form {
        Some(form) => Some(if form.complete { 0.0 } else { 0.5 }),
        None => expected.then_some(1.0),
    };
    if form.is_some() || filled.0 > 0.0 {
        *filled = (filled.0 + f64::from(u8::from(form.is_some())), filled.1 + 1.0);
    }
    Step { came, homework, form: missed }
}

fn attended(slot: &Slot) -> Option<f64> {
    match slot.outcome {
        SlotOutcome::Kept { late_minutes } => Some(if late_minutes.unwrap_or(0.0) >= LATE_MINUTES { 0.5 } else { 0.0 }),
        SlotOutcome::NoShow => Some(1.0),
        SlotOutcome::CancelledByClient => Some(0.75),
        SlotOutcome::Booked | SlotOutcome::CancelledByService | SlotOutcome::CancelledUnattributed => None,
    }
}

/// Homework that was due between two sessions.
fn done(homework: &Homework, last: Timestamp, at: Timestamp) -> Option<f64> {
    let due = homework.due.unwrap_or(at);
    let here = homework.assigned < at
        && (if homework.due.is_some() { last <= due && due < at } else { last <= homework.assigned });
    if !here || homework.state == HomeworkState::Withdrawn {
        return None;
    }
    let known = homework.state_known.is_some_and(|known| known < at);
    let done = known && homework.state == HomeworkState::Done;
    Some(if !done {
        1.0
    } else if homework.completion.is_some_and(|share| share < 0.9) {
        0.5
    } else {
        0.0
    })
}

/// The longest run of misses in any one channel, up to now.
fn misses(steps: &[Step]) -> f64 {
    let run = |channel: usize| {
        let seen = steps.iter().rev().filter_map(|step| step.all()[channel]);
        seen.take_while(|bad| *bad >= 0.7).count()
    };
    (0..3).map(run).max().unwrap_or(0) as f64
}

/// Scores of the measure filled in most often, on the common scale, up to now.
pub(super) fn course(timeline: &Timeline, at: Timestamp) -> Vec<f64> {
    let scored = || {
        let known = timeline.administrations.iter().filter(|form| form.at < at && form.measure.role == Role::Outcome);
        known.filter_map(|form| Some((form.measure.canonical.as_str(), form.measure.u(form.score?)?)))
    };
    let count = |name: &str| scored().filter(|(other, _)| *other == name).count();
    let Some(primary) = scored().map(|(name, _)| name).max_by_key(|name| (count(name), std::cmp::Reverse(*name)))
    else {
        return Vec::new();
    };
    scored().filter(|(name, _)| *name == primary).map(|(_, score)| score).collect()
}

/// Jacobson & Truax 1991: worse than at the start by so many reliable changes (6 points on the common scale).
fn deterioration(timeline: &Timeline, at: Timestamp) -> f64 {
    let course = course(timeline, at);
    match (course.first(), course.last()) {
        (Some(first), Some(last)) if course.len() > 1 => (last - first) / RELIABLE,
        _ => -3.0,
    }
}

/// Lambert's expected treatment response: how far above a log-linear course the last score lies, in its width.
fn trajectory(timeline: &Timeline, at: Timestamp) -> f64 {
    let course = course(timeline, at);
    let (Some(first), Some(last), true) = (course.first(), course.last(), course.len() > 1) else { return -3.0 };
    let n = (course.len() - 1) as f64;
    let expected = first - 2.6 * n.ln_1p() * first / 15.0;
    (last - expected) / (8.0 + 1.2 * n).sqrt()
}

/// Lipner 2022, Eubanks-Carter 2012 chart alliance scales; here what everyone has, the mean badness of a step,
/// against the client's own first steps: the larger of the Shewhart and the EWMA statistic.
fn chart(steps: &[Step]) -> f64 {
    let seen: Vec<f64> = steps.iter().filter_map(|step| step.mean()).collect();
    if seen.len() <= CHART_BASELINE_STEPS {
        return 0.0;
    }
    let (base, since) = seen.split_at(CHART_BASELINE_STEPS);
    let mean = base.iter().sum::<f64>() / base.len() as f64;
    let variance = base.iter().map(|bad| (bad - mean).powi(2)).sum::<f64>() / base.len() as f64;
    // A client without a fault so far still varies.
    let sd = variance.sqrt().max(0.15);
    let ewma = since.iter().fold(mean, |so_far, bad| so_far + EWMA_WEIGHT * (bad - so_far));
    let last = since.last().copied().unwrap_or(mean);
    let ewma_sd = sd * (EWMA_WEIGHT / (2.0 - EWMA_WEIGHT)).sqrt();
    ((last - mean) / sd / 3.0).max((ewma - mean) / ewma_sd / 2.7)
}
