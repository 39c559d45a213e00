//! The client's own baseline of a categorical signal: Dirichlet counts, shrunk to the population, and the
//! evidence of an outcome against it.
//!
//! Under state s an outcome's own probability is tilted by its severity: p_s(o) ∝ p₀(o)·exp(τ_s·u(o)), so
//! the evidence is L_s(o) = τ_s·u(o) − ln Σ p₀(o′)·exp(τ_s·u(o′)). A no-show says more of a reliable client
//! than of one who often misses; nothing is set by hand.

/// Outcomes a channel can tell apart; channels with three leave the last at zero.
pub const OUTCOMES: usize = 4;

/// Evidence for withdrawing and for ruptured, nats against aligned.
pub type Evidence = [f64; 2];

/// What is the same for every client: severities, population mean, and the tilts worked out.
#[derive(Clone, Debug)]
pub struct Scale {
    pub severity: [f64; OUTCOMES],
    mean: [f64; OUTCOMES],
    weight: f64,
    tilt: [f64; 2],
    tilted: [[f64; OUTCOMES]; 2],
    floor: f64,
}

impl Scale {
    pub fn new<const N: usize>(severity: &[f64; N], mean: &[f64; N], weight: f64, tilt: [f64; 2], floor: f64) -> Self {
        let mut scale = Scale {
            severity: [0.0; OUTCOMES],
            mean: [0.0; OUTCOMES],
            weight,
            tilt,
            tilted: [[1.0; OUTCOMES]; 2],
            floor,
        };
        let total: f64 = mean.iter().sum();
        for o in 0..N {
            scale.severity[o] = severity[o];
            scale.mean[o] = mean[o] / total;
            for (tilted, tilt) in scale.tilted.iter_mut().zip(tilt) {
                tilted[o] = (tilt * severity[o]).exp();
            }
        }
        scale
    }
}

/// One client's counts.
#[derive(Clone, Debug)]
pub struct Baseline {
    counts: [f64; OUTCOMES],
    /// p₀ of the counts, kept because it is asked for more often than it changes.
    own: [f64; OUTCOMES],
    /// ln Σ p₀(o)·exp(τ_s·u(o)).
    norm: Evidence,
    pub seen: u32,
}

impl Baseline {
    pub fn new(scale: &Scale) -> Self {
        let mut baseline =
            Baseline { counts: scale.mean.map(|m| m * scale.weight), own: [0.0; OUTCOMES], norm: [0.0; 2], seen: 0 };
        baseline.refresh(scale);
        baseline
    }

    fn refresh(&mut self, scale: &Scale) {
        let total: f64 = self.counts.iter().sum();
        for o in 0..OUTCOMES {
            let share = self.counts[o] / total;
            self.own[o] = if scale.severity[o] > 0.0 { share.max(scale.floor * scale.mean[o]) } else { share };
        }
        let total: f64 = self.own.iter().sum();
        self.own = self.own.map(|p| p / total);
        self.norm = norm(scale, &self.own);
    }

    /// Evidence of `outcome`; `excuse` > 0 makes bad outcomes likelier without any rupture
    /// (p₀ ∝ p₀·exp(excuse·u)).
    pub fn evidence(&self, scale: &Scale, outcome: usize, excuse: f64) -> Evidence {
        let norm = if excuse > 0.0 { norm(scale, &self.excused(scale, excuse)) } else { self.norm };
        std::array::from_fn(|s| scale.tilt[s] * scale.severity[outcome] - norm[s])
    }

    fn excused(&self, scale: &Scale, excuse: f64) -> [f64; OUTCOMES] {
        let own: [f64; OUTCOMES] = std::array::from_fn(|o| self.own[o] * (excuse * scale.severity[o]).exp());
        let total: f64 = own.iter().sum();
        own.map(|p| p / total)
    }

    /// Learns outcomes in so far as the client was aligned: a rupture does not become the new normal.
    pub fn learn(&mut self, scale: &Scale, outcomes: &[(usize, f64)], aligned: f64, forget: f64) {
        if outcomes.is_empty() {
            return;
        }
        self.counts = self.counts.map(|n| n * (1.0 - forget * aligned));
        for &(outcome, weight) in outcomes {
            self.counts[outcome] += aligned * weight;
            self.seen += 1;
        }
        self.refresh(scale);
    }

    /// Mean severity the client usually shows.
    pub fn level(&self, scale: &Scale) -> f64 {
        (0..OUTCOMES).map(|o| self.own[o] * scale.severity[o]).sum()
    }

    /// Standard deviation of it.
    pub fn spread(&self, scale: &Scale) -> f64 {
        let level = self.level(scale);
        (0..OUTCOMES).map(|o| self.own[o] * (scale.severity[o] - level).powi(2)).sum::<f64>().sqrt()
    }
}

fn norm(scale: &Scale, own: &[f64; OUTCOMES]) -> Evidence {
    std::array::from_fn(|s| own.iter().zip(scale.tilted[s]).map(|(p, tilted)| p * tilted).sum::<f64>().ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attendance(floor: f64) -> Scale {
        Scale::new(&[0.0, 0.4, 0.6, 1.0], &[0.77, 0.08, 0.08, 0.07], 3.5, [0.8, 1.4], floor)
    }

    /// By hand: Σ = .77 + .08e^.32 + .08e^.48 + .07e^.8 = 1.165_26, so a kept slot says −.152_94.
    #[test]
    fn a_new_clients_first_outcomes() {
        let scale = attendance(0.3);
        let new = Baseline::new(&scale);
        let kept = new.evidence(&scale, 0, 0.0);
        assert!((kept[0] + 0.152_94).abs() < 1e-4, "{kept:?}");
        let missed = new.evidence(&scale, 3, 0.0);
        assert!((missed[0] - (0.8 + kept[0])).abs() < 1e-12);
        assert!((missed[1] - (1.4 + kept[1])).abs() < 1e-12);
    }

    #[test]
    fn a_no_show_says_more_of_a_reliable_client() {
        let scale = attendance(0.3);
        let mut reliable = Baseline::new(&scale);
        let mut unreliable = Baseline::new(&scale);
        for n in 0..20 {
            reliable.learn(&scale, &[(0, 1.0)], 1.0, 0.0);
            unreliable.learn(&scale, &[(if n % 2 == 0 { 3 } else { 0 }, 1.0)], 1.0, 0.0);
        }
        let (a, b) = (reliable.evidence(&scale, 3, 0.0), unreliable.evidence(&scale, 3, 0.0));
        assert!(a[0] > 1.5 * b[0] && a[1] > 1.5 * b[1], "{a:?} {b:?}");
    }

    #[test]
    fn a_good_outcome_never_stops_saying_something() {
        let scale = attendance(0.3);
        let mut own = Baseline::new(&scale);
        for _ in 0..1000 {
            own.learn(&scale, &[(0, 1.0)], 1.0, 0.015);
        }
        assert!(own.evidence(&scale, 0, 0.0)[0] < -0.04);
    }
}
