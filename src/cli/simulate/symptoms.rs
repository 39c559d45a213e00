//! The course of symptoms in PHQ-9 points, and what a questionnaire makes of it.

use super::chance::{Chance, exp, logistic};
use super::history::{Answers, Instrument};

/// Exponential approach to an end level, a slow wander, blows that fade, and strain, under which treatment
/// works less.
pub struct Symptoms {
    first: f64,
    gain: f64,
    tau_weeks: f64,
    /// Weeks of treatment that took effect.
    treated: f64,
    wander: f64,
    blow: f64,
    /// How this client's points spread over the questions.
    profile: [f64; 9],
    noise: f64,
}

impl Symptoms {
    pub fn draw(chance: &mut Chance) -> Symptoms {
        let mut profile = [0.0; 9];
        for weight in &mut profile {
            *weight = chance.log_normal(1.0, 0.45);
        }
        // Thoughts of being better off dead are answered above 0 by about a fifth of depressed outpatients
        // (Simon 2013); the last question takes few of the points.
        profile[8] = if chance.happens(0.2) { 0.35 } else { 0.03 };
        Symptoms {
            // First scores around 15 with a wide spread, about half of clients reliably improved at the end
            // (Gyani 2013, IAPT).
            first: chance.within(14.8, 4.3, 6.0, 25.0),
            gain: chance.within(0.52, 0.28, -0.15, 0.92),
            tau_weeks: chance.log_normal(7.0, 0.45),
            treated: 0.0,
            wander: 0.0,
            blow: 0.0,
            profile,
            noise: chance.within(1.7, 0.4, 0.8, 3.0),
        }
    }

    pub fn pass(&mut self, chance: &mut Chance, weeks: f64, strain: f64) {
        self.treated += weeks * (1.0 - 0.55 * strain.min(1.5) / 1.5);
        let keep = exp(-weeks / 3.0);
        self.wander = self.wander * keep + chance.normal(0.0, 1.5 * (1.0 - keep * keep).sqrt());
        self.blow *= exp(-weeks / 4.0);
    }

    pub fn hit(&mut self, points: f64) {
        self.blow += points;
    }

    pub fn level(&self, strain: f64) -> f64 {
        let healed = self.gain * (1.0 - exp(-self.treated / self.tau_weeks));
        (self.first * (1.0 - healed) + self.wander + self.blow + 0.9 * strain).clamp(0.0, 27.0)
    }

    /// How well the client is: 0 as at the beginning, 1 far better.
    pub fn wellness(&self) -> f64 {
        ((self.first - self.level(0.0)) / 9.0).clamp(0.0, 1.0)
    }

    pub fn answer(&self, chance: &mut Chance, instrument: Instrument, strain: f64, skips: f64) -> Answers {
        let level = chance.normal(self.level(strain), self.noise).max(0.0);
        let items = match instrument {
            Instrument::Ors => return Answers::Total((40.0 - 1.25 * level).clamp(0.0, 40.0)),
            Instrument::Gad7 => 7,
            _ => 9,
        };
        let points = (level * items as f64 / 9.0).round().min(3.0 * items as f64) as u32;
        let mut answers = vec![0u8; items];
        for _ in 0..points {
            let weights: Vec<f64> = answers
                .iter()
                .zip(self.profile)
                .map(|(answer, weight)| if *answer < 3 { weight / f64::from(1 + *answer) } else { 0.0 })
                .collect();
            answers[chance.weighted(&weights)] += 1;
        }
        let open = logistic(skips);
        Answers::Items(answers.into_iter().map(|answer| (!chance.happens(open)).then_some(answer)).collect())
    }
}
