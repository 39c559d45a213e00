//! SRS and WAI-SR: a drop below the client's own mean.
//!
//! L_s = −d_s·z − d_s²/2, z in standard deviations from session to session (1.9 points of 40 on the SRS,
//! carried over to other measures by their range), d shrunk by n/(n + `shrink`), n earlier values of their own.

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
    /// Begins at a usual value of some weight.
    pub fn around([mean, weight]: [f64; 2]) -> OwnMean {
        OwnMean { mean, weight, count: 0 }
    }

    pub fn learn(&mut self, value: f64, aligned: f64, follow: f64) {
        self.count += 1;
        self.weight += aligned;
        if self.count == 1 && self.weight <= aligned {
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

/// Standard deviations by which it lies on the worse side of the measure's cut-off, for the level beside the change.
pub fn below_cutoff(measure: &Measure, score: f64, c: &AllianceConstants) -> Option<f64> {
    let sd = c.level_sd_share * (measure.max - measure.min);
    let cutoff = measure.cutoff.filter(|_| sd > 0.0)?;
    Some(match measure.worse {
        Worse::Down => (cutoff - score) / sd,
        Worse::Up => (score - cutoff) / sd,
    })
}

/// Evidence of a level: d·z − d²/2.
pub fn level(worse: f64, effect: [f64; 2]) -> Evidence {
    effect.map(|d| d * worse - d * d / 2.0)
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

    /// Practice makes faster: the mean follows by a quarter at least, however many values came before.
    #[test]
    fn a_mean_can_follow_practice() {
        let after_twenty = |follow: f64| {
            let mut own = OwnMean::default();
            (0..20).for_each(|_| own.learn(10.0, 1.0, follow));
            own.learn(6.0, 1.0, follow);
            own.mean
        };
        assert!((after_twenty(0.25) - 9.0).abs() < 1e-9);
        assert!((after_twenty(0.0) - (10.0 - 4.0 / 21.0)).abs() < 1e-9);
    }

    /// By hand: mean 38 after four values; 34.2 is 2 sd below; d_W = .3·4/4.958 = 0.24203; L_W = 0.48407 − 0.02929 = 0.45478.
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
        assert!((l[0] - 0.4548).abs() < 1e-4, "{l:?}");
    }
}
