//! A measure: a questionnaire as a measuring instrument.

use serde::{Deserialize, Serialize};

/// Which end of the range is the unhealthy one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Worse {
    Up,
    Down,
}

/// What a measure is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Symptoms, functioning, well-being: feeds trajectory, ROM engagement and not-on-track.
    Outcome,
    /// SRS, WAI-SR: feeds the alliance signal alone.
    Alliance,
}

/// A known measure, as data from `profiles/` (or an operator's own Questionnaire).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Canonical URL without version; the measure's identity and last tie-breaker.
    pub canonical: String,
    /// Short name a clinician knows: "PHQ-9".
    pub name: String,
    pub role: Role,
    /// Lowest and highest possible total, in the measure's own points.
    pub min: f64,
    pub max: f64,
    pub worse: Worse,
    /// Reliable-change index in points. `None`: use the client's own standard deviation (SRS, WAI-SR).
    pub rci: Option<f64>,
    /// Clinical cut-off in points; at or beyond it (towards worse) is the clinical range.
    pub cutoff: Option<f64>,
    /// Number of items that make a full answer; 1 for score-only measures.
    pub items: u16,
}

impl Measure {
    /// Healthy end of the range, in points.
    pub fn healthy_end(&self) -> f64 {
        match self.worse {
            Worse::Up => self.min,
            Worse::Down => self.max,
        }
    }

    /// The score on the common scale u = 6·|score − healthy end| / RCI: PHQ-9 points for every measure,
    /// 0 healthy, larger worse. `None` where the measure has no reliable-change index.
    pub fn u(&self, score: f64) -> Option<f64> {
        self.rci.filter(|rci| *rci > 0.0).map(|rci| 6.0 * (score - self.healthy_end()).abs() / rci)
    }

    /// The cut-off on the common scale.
    pub fn cutoff_u(&self) -> Option<f64> {
        self.cutoff.and_then(|cutoff| self.u(cutoff))
    }
}
