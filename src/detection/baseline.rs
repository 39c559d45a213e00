//! The client's own baseline of a categorical signal: Dirichlet counts, shrunk to the population, and the
//! evidence of an outcome against it.
//!
//! Under state s an outcome's own probability is tilted by its severity: p_s(o) ∝ p₀(o)·exp(τ_s·u(o)), so
//! the evidence is L_s(o) = τ_s·u(o) − ln Σ p₀(o′)·exp(τ_s·u(o′)). A no-show says more of a reliable client
//! than of one who often misses; nothing is set by hand.

use super::constants::ChannelConstants;

/// Outcomes a channel can tell apart.
pub const OUTCOMES: usize = 5;

/// Evidence for withdrawing and for ruptured, nats against aligned.
pub type Evidence = [f64; 2];

/// What is the same for every client: severities, the two kinds of client, and the tilts worked out.
#[derive(Clone, Debug)]
pub struct Scale {
    pub severity: [f64; OUTCOMES],
    /// Dirichlet counts of a new client.
    prior: [f64; OUTCOMES],
    tilt: [f64; 2],
    tilted: [[f64; OUTCOMES]; 2],
    /// Least probability of each bad outcome.
    least: [f64; OUTCOMES],
}

impl Scale {
    pub fn new(c: &ChannelConstants, floor: f64) -> Self {
        let total: f64 = c.mean.iter().sum();
        let mean = c.mean.map(|m| m / total);
        Scale {
            severity: c.severity,
            prior: mean.map(|m| m * c.weight),
            tilt: c.tilt,
            tilted: c.tilt.map(|tilt| c.severity.map(|u| (tilt * u).exp())),
            least: std::array::from_fn(|o| if c.severity[o] > 0.0 { floor * mean[o] } else { 0.0 }),
        }
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
        let mut baseline = Baseline { counts: scale.prior, own: [0.0; OUTCOMES], norm: [0.0; 2], seen: 0 };
        baseline.refresh(scale);
        baseline
    }

    fn refresh(&mut self, scale: &Scale) {
        let total: f64 = self.counts.iter().sum();
        self.own = std::array::from_fn(|o| (self.counts[o] / total).max(scale.least[o]));
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
        let c = ChannelConstants {
            severity: [0.0, 0.4, 0.6, 0.6, 1.0],
            mean: [0.77, 0.08, 0.04, 0.04, 0.07],
            weight: 3.5,
            tilt: [0.8, 1.4],
        };
        Scale::new(&c, floor)
    }

    /// By hand: Σ = .77 + .08e^.32 + .08e^.48 + .07e^.8 = 1.165_26, so a kept slot says −.152_94.
    #[test]
    fn a_new_clients_first_outcomes() {
        let scale = attendance(0.3);
        let new = Baseline::new(&scale);
        let kept = new.evidence(&scale, 0, 0.0);
        assert!((kept[0] + 0.152_94).abs() < 1e-4, "{kept:?}");
        let missed = new.evidence(&scale, 4, 0.0);
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
            unreliable.learn(&scale, &[(if n % 2 == 0 { 4 } else { 0 }, 1.0)], 1.0, 0.0);
        }
        let (a, b) = (reliable.evidence(&scale, 4, 0.0), unreliable.evidence(&scale, 4, 0.0));
        assert!(a[0] > 1.5 * b[0] && a[1] > 1.5 * b[1], "{a:?} {b:?}");
    }

    /// What is done in a rupture does not become the new normal; half a rupture is half a lesson.
    #[test]
    fn it_learns_in_so_far_as_the_client_is_aligned() {
        let scale = attendance(0.3);
        let after = |aligned: f64| {
            let mut own = Baseline::new(&scale);
            for _ in 0..10 {
                own.learn(&scale, &[(4, 1.0)], aligned, 0.0);
            }
            own.evidence(&scale, 4, 0.0)[0]
        };
        let new = Baseline::new(&scale).evidence(&scale, 4, 0.0)[0];
        assert_eq!(after(0.0), new);
        assert!(after(1.0) < after(0.5) && after(0.5) < new);
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
