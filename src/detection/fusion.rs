//! Three hidden states (aligned, withdrawing, ruptured), filtered forward in time.
//!
//! Prediction: α·T^x, x the nominal intervals that elapsed. Update: α ∘ [1, e^ΣL_W, e^ΣL_R], normalised.
//! P = 1 − α_aligned; what is published is P′ with logit P′ = a + b·logit P. The evidence of the signals is
//! taken in a fixed order, so that what each adds to the log-odds sums exactly.

use super::baseline::Evidence;
use super::constants::Calibration;

pub type States = [f64; 3];
pub type Matrix = [[f64; 3]; 3];

/// Keeps logits finite.
const LEAST: f64 = 1e-12;

pub fn logit(p: f64) -> f64 {
    let p = p.clamp(LEAST, 1.0 - LEAST);
    (p / (1.0 - p)).ln()
}

pub fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Log-odds that the client is not aligned.
pub fn log_odds(states: &States) -> f64 {
    ((states[1] + states[2]).max(LEAST) / states[0].max(LEAST)).ln()
}

impl Calibration {
    pub fn apply(&self, log_odds: f64) -> f64 {
        self.intercept + self.slope * log_odds
    }

    /// Log-odds before calibration that are published as `probability`.
    pub fn undo(&self, probability: f64) -> f64 {
        (logit(probability) - self.intercept) / self.slope
    }
}

/// A transition with the ways back to alignment made likelier by `factor`.
pub fn returning(transition: &Matrix, factor: f64) -> Matrix {
    let mut own = *transition;
    for row in &mut own[1..] {
        let back = (row[0] * factor).min(0.9);
        let rest = (1.0 - back) / (1.0 - row[0]).max(LEAST);
        *row = [back, row[1] * rest, row[2] * rest];
    }
    own
}

fn step(states: &States, by: &Matrix) -> States {
    std::array::from_fn(|to| (0..3).map(|from| states[from] * by[from][to]).sum())
}

/// α·T^x. Powers of one matrix add up, so cutting an interval in two changes nothing.
pub fn predict(states: &States, by: &Matrix, elapsed: f64) -> States {
    if elapsed <= 0.0 {
        return *states;
    }
    if elapsed == 1.0 {
        return step(states, by);
    }
    let moved = spectral(states, by, elapsed).unwrap_or_else(|| stepwise(states, by, elapsed));
    normalise(moved.map(|p| p.max(0.0)))
}

/// By Sylvester's formula: a transition has the eigenvalue 1 and two more from its trace and determinant.
fn spectral(states: &States, by: &Matrix, elapsed: f64) -> Option<States> {
    let minors = by[1][1] * by[2][2] - by[1][2] * by[2][1];
    let determinant = by[0][0] * minors - by[0][1] * (by[1][0] * by[2][2] - by[1][2] * by[2][0])
        + by[0][2] * (by[1][0] * by[2][1] - by[1][1] * by[2][0]);
    let half = (by[0][0] + by[1][1] + by[2][2] - 1.0) / 2.0;
    let root = half * half - determinant;
    if root < 1e-6 {
        return None;
    }
    let roots = [1.0, half + root.sqrt(), half - root.sqrt()];
    if roots[2] <= 1e-6 || roots[1] >= 1.0 - 1e-9 {
        return None;
    }
    let once = step(states, by);
    let twice = step(&once, by);
    let mut sum = [0.0; 3];
    for i in 0..3 {
        let (b, c) = (roots[(i + 1) % 3], roots[(i + 2) % 3]);
        let scale = roots[i].powf(elapsed) / ((roots[i] - b) * (roots[i] - c));
        for (s, total) in sum.iter_mut().enumerate() {
            *total += scale * (twice[s] - (b + c) * once[s] + b * c * states[s]);
        }
    }
    Some(sum)
}

/// For the odd transition without three distinct positive eigenvalues: whole steps, then a part of one.
fn stepwise(states: &States, by: &Matrix, elapsed: f64) -> States {
    let mut now = *states;
    for _ in 0..elapsed.floor().min(1000.0) as u32 {
        now = step(&now, by);
    }
    let next = step(&now, by);
    let part = elapsed.fract();
    std::array::from_fn(|s| now[s] * (1.0 - part) + next[s] * part)
}

pub fn normalise(states: States) -> States {
    let total: f64 = states.iter().sum();
    if total > 0.0 { states.map(|p| p / total) } else { [1.0, 0.0, 0.0] }
}

pub fn update(predicted: &States, evidence: Evidence) -> States {
    normalise([predicted[0], predicted[1] * evidence[0].exp(), predicted[2] * evidence[1].exp()])
}

/// What each signal adds to the log-odds, in the order given; sums to
/// `log_odds(update(predicted, Σ)) − log_odds(predicted)`.
pub fn decompose<const N: usize>(predicted: &States, evidence: &[Evidence; N]) -> [f64; N] {
    let (mut withdrawing, mut ruptured) = (predicted[1].max(LEAST), predicted[2].max(LEAST));
    let mut parts = [0.0; N];
    for (part, l) in parts.iter_mut().zip(evidence) {
        if *l == [0.0; 2] {
            continue;
        }
        let before = withdrawing + ruptured;
        withdrawing *= l[0].exp();
        ruptured *= l[1].exp();
        *part = ((withdrawing + ruptured) / before).ln();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::Constants;

    #[test]
    fn powers_add_up() {
        let t = Constants::default().transition;
        let start = [0.93, 0.06, 0.01];
        let whole = predict(&start, &t, 1.0);
        let halves = predict(&predict(&start, &t, 0.4), &t, 0.6);
        for s in 0..3 {
            assert!((whole[s] - halves[s]).abs() < 1e-12, "{whole:?} {halves:?}");
        }
        let three = predict(&start, &t, 3.0);
        let steps = step(&step(&whole, &t), &t);
        for s in 0..3 {
            assert!((three[s] - steps[s]).abs() < 1e-12);
        }
    }

    /// By hand: [.9721 .0199 .008]·T = [.941077 .046189 .012734].
    #[test]
    fn one_interval_from_the_prior() {
        let c = Constants::default();
        let next = predict(&c.prior, &c.transition, 1.0);
        for (got, want) in next.iter().zip([0.941077, 0.046189, 0.012734]) {
            assert!((got - want).abs() < 1e-6, "{next:?}");
        }
    }

    #[test]
    fn parts_sum_to_the_whole() {
        let predicted = [0.8, 0.15, 0.05];
        let parts = [[0.5, 0.9], [0.0, 0.0], [-0.2, -0.4], [1.2, 1.2], [-0.03, 0.1]];
        let sum = parts.iter().fold([0.0; 2], |a, l| [a[0] + l[0], a[1] + l[1]]);
        let after = update(&predicted, sum);
        let told: f64 = decompose(&predicted, &parts).iter().sum();
        assert!((told - (log_odds(&after) - log_odds(&predicted))).abs() < 1e-12);
        assert_eq!(decompose(&predicted, &parts)[1], 0.0);
    }

    #[test]
    fn undo_undoes() {
        let c = Calibration::default();
        assert!((logistic(c.apply(c.undo(0.4))) - 0.4).abs() < 1e-12);
    }
}
