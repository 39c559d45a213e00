//! SRS and WAI-SR: a drop below the client's own mean.
//!
//! L_s = −d_s·z − d_s²/2, z in standard deviations from session to session (1.9 points of 40 on the SRS,
//! carried over to other measures by their range), d shrunk by n/(n + 1.5), n earlier values of their own.

use super::baseline::Evidence;
use super::constants::AllianceConstants;
use crate::domain::{Measure, Worse};

/// A running mean of the client's own values, each weighted by how far the client was aligned.
#[derive(Clone, Debug, Default)]
pub struct OwnMean {
    pub mean: f64,
    weight: f64,
    pub count: u32,
}

impl OwnMean {
    pub fn learn(&mut self, value: f64, aligned: f64, follow: f64) {
        self.count += 1;
        self.weight += aligned;
        if self.count == 1 {
            self.mean = value;
            return;
        }
        let rate = (aligned / self.weight.max(1e-9)).max(follow * aligned);
        self.mean += rate.min(1.0) * (value - self.mean);
    }
}

/// Standard deviations by which `score` lies on the worse side of the client's mean.
pub fn drop(measure: &Measure, own: &OwnMean, score: f64, c: &AllianceConstants) -> Option<f64> {
    if own.count == 0 {
        return None;
    }
    let sd = c.sd_share * (measure.max - measure.min);
    let change = match measure.worse {
        Worse::Down => own.mean - score,
        Worse::Up => score - own.mean,
    };
    (sd > 0.0).then(|| change / sd)
}

/// `worse`: standard deviations towards the worse side; `n`: earlier values.
pub fn evidence(worse: f64, n: u32, effect: [f64; 2], shrink: f64) -> Evidence {
    let n = f64::from(n);
    effect.map(|d| {
        let d = d * n / (n + shrink);
        d * worse - d * d / 2.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::Constants;

    /// By hand: mean 38 after four values; 34.2 is 2 sd below; d_W = .7·4/5.5 = .50909;
    /// L_W = 1.01818 − .12959 = .88860.
    #[test]
    fn a_drop_of_two_deviations_on_the_srs() {
        let mut own = OwnMean::default();
        for _ in 0..4 {
            own.learn(38.0, 1.0, 0.0);
        }
        let srs = Measure {
            canonical: String::new(),
            name: String::new(),
            role: crate::domain::Role::Alliance,
            min: 0.0,
            max: 40.0,
            worse: Worse::Down,
            rci: None,
            cutoff: Some(36.0),
            items: 1,
        };
        let c = Constants::default();
        let worse = drop(&srs, &own, 34.2, &c.alliance).unwrap();
        assert!((worse - 2.0).abs() < 1e-9);
        let l = evidence(worse, own.count, c.alliance.effect, c.shrink);
        assert!((l[0] - 0.8886).abs() < 1e-4, "{l:?}");
    }
}
