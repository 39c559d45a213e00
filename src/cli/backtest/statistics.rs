//! Plain statistics on scores and truths.

/// A receiver operating characteristic: scores with what was true of them.
pub struct Roc {
    /// (false alarm rate, sensitivity, threshold), from the highest score down; starts at (0, 0).
    points: Vec<(f64, f64, f64)>,
}

impl Roc {
    /// `None` without both kinds.
    pub fn of(mut scored: Vec<(f64, bool)>) -> Option<Roc> {
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let positives = scored.iter().filter(|(_, truth)| *truth).count() as f64;
        let negatives = scored.len() as f64 - positives;
        if positives == 0.0 || negatives == 0.0 {
            return None;
        }
        let mut points = vec![(0.0, 0.0, f64::INFINITY)];
        let (mut hits, mut alarms) = (0.0, 0.0);
        for tied in scored.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
            let positive = tied.iter().filter(|(_, truth)| *truth).count() as f64;
            hits += positive;
            alarms += tied.len() as f64 - positive;
            points.push((alarms / negatives, hits / positives, tied[0].0));
        }
        Some(Roc { points })
    }

    /// Area under the curve, ties counted half.
    pub fn area(&self) -> f64 {
        self.points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0).sum()
    }

    /// Sensitivity at a rate of false alarms, between two thresholds by a straight line.
    pub fn sensitivity(&self, false_alarms: f64) -> f64 {
        let after = self.points.iter().position(|point| point.0 > false_alarms);
        let Some(after) = after.filter(|after| *after > 0) else {
            return self.points.last().map_or(0.0, |point| point.1);
        };
        let (low, high) = (self.points[after - 1], self.points[after]);
        low.1 + (high.1 - low.1) * (false_alarms - low.0) / (high.0 - low.0)
    }

    /// The lowest threshold that keeps to a rate of false alarms.
    pub fn threshold(&self, false_alarms: f64) -> f64 {
        let within = self.points.iter().rev().find(|point| point.0 <= false_alarms);
        within.map_or(f64::INFINITY, |point| point.2)
    }

    /// The curve in at most so many points.
    pub fn curve(&self, count: usize) -> Vec<(f64, f64)> {
        let stride = self.points.len().div_ceil(count).max(1);
        let mut curve: Vec<(f64, f64)> = self.points.iter().step_by(stride).map(|point| (point.0, point.1)).collect();
        curve.push((1.0, 1.0));
        curve
    }
}

pub struct Bin {
    pub count: usize,
    pub said: f64,
    pub was: f64,
}

/// Ten bins of equal width: what was said, and what was.
pub fn calibration(scored: &[(f64, bool)]) -> Vec<Bin> {
    let mut sums = [(0usize, 0.0, 0.0); 10];
    for (said, truth) in scored {
        let bin = &mut sums[((said * 10.0) as usize).min(9)];
        bin.0 += 1;
        bin.1 += said;
        bin.2 += f64::from(u8::from(*truth));
    }
    let mean = |(count, said, was): (usize, f64, f64)| {
        let n = count.max(1) as f64;
        Bin { count, said: said / n, was: was / n }
    };
    sums.into_iter().map(mean).collect()
}

/// Expected calibration error.
pub fn calibration_error(bins: &[Bin]) -> f64 {
    let all = bins.iter().map(|bin| bin.count).sum::<usize>().max(1) as f64;
    bins.iter().map(|bin| bin.count as f64 / all * (bin.said - bin.was).abs()).sum()
}

pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worked_example() {
        // Two positives, three negatives; one pair tied. Of six pairs 4.5 are in the right order.
        let scored = vec![(0.9, true), (0.5, true), (0.5, false), (0.6, false), (0.1, false)];
        let roc = Roc::of(scored).unwrap();
        assert!((roc.area() - 4.5 / 6.0).abs() < 1e-12);
        assert!((roc.sensitivity(0.0) - 0.5).abs() < 1e-12);
        assert!((roc.sensitivity(0.5) - 0.75).abs() < 1e-12, "half way between 1/3 and 2/3");
        assert_eq!(roc.threshold(0.4), 0.6);
        assert!(Roc::of(vec![(0.1, true)]).is_none());
    }

    #[test]
    fn a_coin_is_worth_a_half() {
        let roc = Roc::of((0..1000).map(|n| (f64::from(n * 7919 % 1000), n % 2 == 0)).collect()).unwrap();
        assert!((roc.area() - 0.5).abs() < 0.05);
    }

    #[test]
    fn perfect_calibration_has_no_error() {
        let scored: Vec<(f64, bool)> = (0..100).map(|n| (0.25, n % 4 == 0)).collect();
        assert!(calibration_error(&calibration(&scored)) < 1e-12);
        assert_eq!(median(vec![3.0, 1.0, 2.0, 10.0]), Some(2.5));
    }
}
