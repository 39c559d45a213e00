//! The score's own course: a local level with the drift expected of treatment, a robust filter, and a
//! statistic for plateaus. All on the common scale u (PHQ-9 points; worse is up).
//!
//! Innovation z of a score against the predicted level: L_s = d_s·z − d_s²/2. Flat scores after a gain have
//! z ≈ 0, which alone would speak *for* alignment; so a plateau is looked for by itself: over the last four
//! to eight scores, how far the posterior of the slope lies below half of what is expected of someone still
//! as ill as the client is now. Scored only while the last four are, on average, in the clinical range; at
//! the cut-off counts as clinical, as in [`crate::domain::Measure::cutoff`].

use super::baseline::Evidence;
use super::constants::{NotOnTrackConstants, TrajectoryConstants};
use crate::domain::{Source, Why};

/// Reliable change on the common scale.
pub const RELIABLE: f64 = 6.0;

#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// Steps before it, from the client's first.
    pub slot: u32,
    pub u: f64,
}

/// What one score said when it came.
#[derive(Clone, Copy, Debug)]
pub struct Innovation {
    pub z: f64,
    pub predicted: f64,
    pub evidence: Evidence,
}

#[derive(Clone, Debug)]
pub struct Trajectory {
    pub scores: Vec<Score>,
    /// What each score was taken from.
    pub sources: Vec<Source>,
    pub level: f64,
    /// The level after each score.
    levels: Vec<f64>,
    variance: f64,
    best: f64,
    /// What rule the last score broke, if any, and how many in a row broke none.
    pub outside: Option<Why>,
    pub inside_run: u32,
    above_run: u32,
    worse_run: u32,
}

impl Trajectory {
    pub fn new(slot: u32, u: f64, source: Source, c: &TrajectoryConstants) -> Self {
        Trajectory {
            scores: vec![Score { slot, u }],
            sources: vec![source],
            level: u,
            levels: vec![u],
            variance: (RELIABLE / c.error_divisor).powi(2),
            best: u,
            outside: None,
            inside_run: 1,
            above_run: 0,
            worse_run: 0,
        }
    }

    fn first(&self) -> Score {
        self.scores[0]
    }

    /// A later score: what it says against the level predicted for it, and the level moved by it.
    pub fn add(&mut self, slot: u32, u: f64, source: Source, c: &TrajectoryConstants, shrink: f64) -> Innovation {
        let first = self.first();
        let since = self.scores[self.scores.len() - 1].slot;
        let error = (RELIABLE / c.error_divisor).powi(2);
        let predicted = self.level - gain(first, since, slot, c);
        let variance = self.variance + c.walk * f64::from(slot - since);
        let spread = (variance + error).sqrt();
        let z = (u - predicted) / spread;
        let mut moved = variance / (variance + error);
        if z.abs() > c.robust {
            moved *= c.robust / z.abs();
        }
        self.level = predicted + moved * (u - predicted);
        self.levels.push(self.level);
        self.variance = variance * (1.0 - moved);

        let n = self.scores.len() as f64;
        let evidence = c.effect.map(|d| {
            let d = d * n / (n + shrink);
            d * z - d * d / 2.0
        });
        self.scores.push(Score { slot, u });
        self.sources.push(source);
        Innovation { z, predicted, evidence }
    }

    /// Evidence of a plateau, never negative.
    pub fn plateau(&self, cutoff_u: Option<f64>, c: &TrajectoryConstants, shrink: f64) -> Evidence {
        let [least, most] = c.plateau_scores;
        let (Some(cutoff), true) = (cutoff_u, least >= 2 && self.scores.len() >= least) else {
            return [0.0; 2];
        };
        let recent = &self.scores[self.scores.len() - least..];
        let mean = recent.iter().map(|s| s.u).sum::<f64>() / least as f64;
        if mean < cutoff {
            return [0.0; 2];
        }
        let error = (RELIABLE / c.error_divisor).powi(2);
        let expected = c.drift * mean / 15.0;
        let mut most_flat: f64 = 0.0;
        for len in least..=most.min(self.scores.len()) {
            let window = &self.scores[self.scores.len() - len..];
            if let Some(line) = regression(window) {
                let noise = error / line.squares;
                // posterior of the slope under a prior N(expected/2, expected²), in its own deviations
                let z = (line.slope + expected / 2.0) * expected / (noise * (noise + expected * expected)).sqrt();
                most_flat = most_flat.max(z);
            }
        }
        let n = self.scores.len() as f64;
        c.effect.map(|d| d * n / (n + shrink) * most_flat)
    }

    /// How far the client has come, in reliable changes: 0 to 1 over `full`.
    pub fn improvement(&self, full: f64) -> f64 {
        ((self.first().u - self.level) / (full * RELIABLE)).clamp(0.0, 1.0)
    }

    /// Expected range, u, after `slots` since the first score.
    pub fn expected(&self, slot: u32, drift: &TrajectoryConstants, c: &NotOnTrackConstants) -> (f64, f64) {
        let first = self.first();
        let n = f64::from(slot.saturating_sub(first.slot));
        let middle = first.u - gain(first, first.slot, slot.max(first.slot), drift);
        let half = c.width * (c.variance[0] + c.variance[1] * n).sqrt();
        (middle - half, middle + half)
    }

    /// Applies the not-on-track rules to the last score.
    pub fn judge(&mut self, cutoff_u: Option<f64>, drift: &TrajectoryConstants, c: &NotOnTrackConstants) {
        let Some(&last) = self.scores.last() else { return };
        if self.scores.len() == 1 {
            return;
        }
        let above = last.u > self.expected(last.slot, drift, c).1;
        self.above_run = if above { self.above_run + 1 } else { 0 };
        let worse = last.u - self.best >= c.deterioration_rci * RELIABLE;
        self.worse_run = if worse { self.worse_run + 1 } else { 0 };
        // of the filtered level: the lowest of many scores is low by chance
        self.best = self.best.min(self.level);
        self.outside = if self.above_run >= 2 {
            Some(Why::AboveExpected)
        } else if self.worse_run >= 2 {
            Some(Why::ReliableDeterioration)
        } else if self.stalled(cutoff_u, drift, c) {
            Some(Why::Plateau)
        } else {
            None
        };
        let inside = self.outside.is_none() && !above && !worse;
        self.inside_run = if inside { self.inside_run + 1 } else { 0 };
    }

    /// A plateau: after a gain, and still in the clinical range, the scores of some window neither rise nor fall by much,
    /// for certain. Once it stands it lasts until the last few show a gain, so that one noisy score does not end it.
    fn stalled(&self, cutoff_u: Option<f64>, drift: &TrajectoryConstants, c: &NotOnTrackConstants) -> bool {
        let [least, most] = c.plateau_scores;
        let (Some(cutoff), true) = (cutoff_u, least >= 3 && self.scores.len() > least) else { return false };
        let stands = self.outside == Some(Why::Plateau);
        let within = c.plateau_change_rci * RELIABLE;
        (least..=most.min(self.scores.len() - 1)).any(|len| {
            let from = self.scores.len() - len;
            let window = &self.scores[from..];
            let Some(line) = regression(window) else { return false };
            let peak = self.levels[..from].iter().fold(f64::MIN, |peak, level| peak.max(*level));
            let gained = peak - line.mean >= c.plateau_gain_rci * RELIABLE - 1e-9;
            let clinical = line.mean >= cutoff && window[len - 1].u >= cutoff;
            let span = f64::from(window[len - 1].slot - window[0].slot);
            let flat = if stands {
                len == least && -line.slope * span < within
            } else {
                // the client's own scatter about the line, shrunk to the measure's
                let error = (RELIABLE / drift.error_divisor).powi(2);
                let variance = (c.plateau_weight * error + line.residual) / (c.plateau_weight + len as f64 - 2.0);
                (line.slope * span).abs() + c.plateau_certainty * span * (variance / line.squares).sqrt() < within
            };
            gained && clinical && flat
        })
    }
}

/// What treatment is expected to bring between two slots, for a client who started there: one course, for the
/// filter and for the expected range.
fn gain(first: Score, since: u32, slot: u32, c: &TrajectoryConstants) -> f64 {
    let at = |n: u32| (-f64::from(n - first.slot) / c.drift_decay).exp();
    c.drift * first.u / 15.0 * (since + 1..=slot).map(at).sum::<f64>()
}

/// A least-squares line through scores: slope per slot, mean score, sums of squares of the slots about their mean and
/// of the scores about the line.
struct Line {
    slope: f64,
    mean: f64,
    squares: f64,
    residual: f64,
}

fn regression(window: &[Score]) -> Option<Line> {
    let n = window.len() as f64;
    let x = window.iter().map(|s| f64::from(s.slot)).sum::<f64>() / n;
    let mean = window.iter().map(|s| s.u).sum::<f64>() / n;
    let (mut squares, mut product, mut spread) = (0.0, 0.0, 0.0);
    for s in window {
        let (dx, dy) = (f64::from(s.slot) - x, s.u - mean);
        squares += dx * dx;
        product += dx * dy;
        spread += dy * dy;
    }
    (squares > 0.0).then(|| {
        let slope = product / squares;
        Line { slope, mean, squares, residual: (spread - slope * product).max(0.0) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::Constants;
    use crate::domain::SourceKind;

    /// Scores of a PHQ-9, one a slot.
    fn course(scores: &[f64]) -> (Trajectory, Vec<Innovation>, Vec<Evidence>, Vec<Option<Why>>) {
        let c = Constants::default();
        let source = Source::new(SourceKind::QuestionnaireResponse, "r");
        let mut t = Trajectory::new(0, scores[0], source.clone(), &c.trajectory);
        let (mut z, mut flat, mut outside) = (Vec::new(), Vec::new(), Vec::new());
        for (n, u) in scores.iter().enumerate().skip(1) {
            z.push(t.add(n as u32, *u, source.clone(), &c.trajectory, c.shrink));
            flat.push(t.plateau(Some(10.0), &c.trajectory, c.shrink));
            t.judge(Some(10.0), &c.trajectory, &c.not_on_track);
            outside.push(t.outside);
        }
        (t, z, flat, outside)
    }

    /// By hand: R = (6/2.77)² = 4.6918; drift .48·18/15·e^(−1/6) = .4876; predicted 17.5124;
    /// spread √(4.6918 + 1 + 4.6918) = 3.2224; z = (12 − 17.5124)/3.2224 = −1.7106; d_W = .25/1.958 = 0.1277.
    #[test]
    fn the_second_score() {
        let (_, z, _, _) = course(&[18.0, 12.0]);
        assert!((z[0].predicted - 17.5124).abs() < 1e-3, "{:?}", z[0]);
        assert!((z[0].z + 1.7106).abs() < 1e-3);
        assert!((z[0].evidence[0] - (-1.7106 * 0.12768 - 0.00815)).abs() < 1e-4);
    }

    fn flat_at(level: f64) -> Vec<f64> {
        let mut scores = vec![18.0, 18.0 - (18.0 - level) * 0.4, 18.0 - (18.0 - level) * 0.75];
        scores.extend([level; 10]);
        scores
    }

    #[test]
    fn a_plateau_in_the_clinical_range_gains_evidence_at_every_flat_step() {
        for level in [13.0, 10.0] {
            let (_, z, flat, outside) = course(&flat_at(level));
            for n in 7..12 {
                assert!(flat[n][0] > 0.0 && flat[n][1] > flat[n][0], "{level} at {n}: {flat:?}");
                assert!(flat[n][0] > z[n].evidence[0], "{level} at {n}");
            }
            assert!(flat[11][0] > flat[6][0], "a longer one says more");
            assert_eq!(outside[11], Some(Why::Plateau), "{level}: {outside:?}");
        }
    }

    #[test]
    fn flat_below_the_cut_off_is_recovery() {
        let (_, z, flat, outside) = course(&flat_at(8.0));
        for n in 5..12 {
            assert_eq!(flat[n], [0.0; 2], "at {n}");
            assert!(z[n].evidence[0] <= 0.05, "at {n}: {:?}", z[n]);
            assert_eq!(outside[n], None);
        }
    }

    /// By hand: 18 to 13 by five, then flat. Over the last five the slope is 0 and its variance 4·4.6918/7, so the change
    /// is certain to 1.2·4·√(2.681/10) = 2.49 of 3 points: a plateau at the fifth flat score, and not at the fourth.
    #[test]
    fn five_scores_without_a_change_are_a_plateau_and_four_are_not() {
        let mut scores = vec![18.0, 15.0];
        scores.extend([13.0; 5]);
        let (_, _, _, outside) = course(&scores);
        assert_eq!(outside[4..], [None, Some(Why::Plateau)]);
    }

    /// Up and down by more than the measure's error: no one can say that nothing changes.
    #[test]
    fn scores_that_scatter_are_no_plateau() {
        let mut scores = vec![20.0, 17.0, 15.0];
        scores.extend([9.0, 18.0, 11.0, 18.0, 10.0, 17.0, 12.0]);
        let (_, _, _, outside) = course(&scores);
        assert!(!outside.contains(&Some(Why::Plateau)), "{outside:?}");
    }

    /// Rising after a gain is deterioration, and told as such.
    #[test]
    fn scores_that_rise_are_no_plateau() {
        let (_, _, _, outside) = course(&[18.0, 14.0, 11.0, 12.0, 13.0, 14.0, 15.0, 17.0, 19.0, 19.0]);
        assert!(!outside.contains(&Some(Why::Plateau)), "{outside:?}");
        assert_eq!(outside[8], Some(Why::ReliableDeterioration));
    }

    /// One high first score is no earlier gain.
    #[test]
    fn an_outlier_is_no_gain_to_fall_back_from() {
        let (_, _, _, outside) = course(&[13.0, 12.0, 10.0, 16.0, 11.0, 11.0, 11.0, 11.0, 11.0, 11.0]);
        assert!(!outside.contains(&Some(Why::Plateau)), "{outside:?}");
    }

    #[test]
    fn a_plateau_lasts_until_the_scores_gain_again() {
        let mut scores = flat_at(13.0);
        scores.extend([16.0, 12.0]);
        assert_eq!(course(&scores).3.last(), Some(&Some(Why::Plateau)), "one noisy score does not end it");
        scores.extend([11.0, 11.0, 10.5, 10.0]);
        assert_eq!(course(&scores).3.last(), Some(&None));
    }

    /// Opening asks for certainty, holding does not: scores that scatter by more than opening allows, with no gain
    /// among them, do not end it.
    #[test]
    fn a_plateau_holds_while_scores_scatter() {
        let mut scores = flat_at(13.0);
        scores.extend([11.0, 16.0, 12.0, 15.0]);
        let (_, _, _, outside) = course(&scores);
        assert_eq!(outside[12..], [Some(Why::Plateau); 4]);
        // the same scatter, never a plateau before it
        let fresh = [18.0, 15.5, 14.0, 11.0, 16.0, 12.0, 15.0];
        assert!(!course(&fresh).3.contains(&Some(Why::Plateau)));
    }

    #[test]
    fn steady_gain_is_no_plateau() {
        let scores: Vec<f64> = (0..10).map(|n| 24.0 - f64::from(n)).collect();
        let (_, _, flat, outside) = course(&scores);
        assert!(flat.iter().all(|f| *f == [0.0; 2]), "{flat:?}");
        assert!(outside.iter().all(Option::is_none), "{outside:?}");
    }

    /// By hand: 15 − .48·e^(−1/6) = 14.594; sd √8.5 = 2.9155; upper 14.594 + 1.28·2.9155 = 18.326.
    #[test]
    fn two_scores_above_the_expected_range() {
        let (t, _, _, outside) = course(&[15.0, 19.0, 19.0]);
        let c = Constants::default();
        assert!((t.expected(1, &c.trajectory, &c.not_on_track).1 - 18.326).abs() < 0.01);
        assert_eq!(outside, [None, Some(Why::AboveExpected)]);
    }

    #[test]
    fn closing_takes_two_scores_back_inside() {
        let (t, _, _, _) = course(&[15.0, 20.0, 20.0, 12.0]);
        assert_eq!((t.outside, t.inside_run), (None, 1));
        let (t, _, _, _) = course(&[15.0, 20.0, 20.0, 12.0, 11.0]);
        assert_eq!(t.inside_run, 2);
    }
}
