//! Whether a set of constants is one that the model can run with. A fitted file may have been written by hand.

use super::{ChannelConstants, Constants};
use crate::detection::MODEL;

type Checked = Result<(), String>;

impl Constants {
    /// # Errors
    /// The key that cannot be used, and why, in one line.
    pub fn check(&self) -> Checked {
        if let Some(fitted) = self.fitted.as_ref().filter(|fitted| fitted.model != MODEL) {
            return Err(format!(
                "fitted.model is {}, and this is model {MODEL}: run `tautline fit` again, or leave the file out",
                fitted.model
            ));
        }
        chances("unknown", &self.unknown)?;
        chances("prior", &self.prior)?;
        for (n, row) in self.transition.iter().enumerate() {
            chances(&format!("transition[{n}]"), row)?;
        }
        for (name, channel) in [
            ("attendance", &self.attendance.outcomes),
            ("homework", &self.homework.outcomes),
            ("rom", &self.rom.outcomes),
        ] {
            outcomes(&format!("{name}.outcomes"), channel)?;
        }
        let (homework, rom, alliance) = (&self.homework, &self.rom, &self.alliance);
        let (trajectory, flag) = (&self.trajectory, &self.flag);
        for (name, value) in [
            ("interval_days_default", self.interval_days_default),
            ("interval_days_max", self.interval_days_max),
            ("evidence_max", self.evidence_max),
            ("homework.quality_sd", homework.quality_sd),
            ("homework.content_sd", homework.content_sd),
            ("homework.justification_rci", homework.justification_rci),
            ("rom.speed_sd", rom.speed_sd),
            ("alliance.sd_share", alliance.sd_share),
            ("alliance.level_sd_share", alliance.level_sd_share),
            ("trajectory.drift_decay", trajectory.drift_decay),
            ("trajectory.error_divisor", trajectory.error_divisor),
            ("trajectory.robust", trajectory.robust),
            ("flag.silence_intervals", flag.silence_intervals),
            ("flag.disengaged_days", flag.disengaged_days),
            ("calibration.slope", self.calibration.slope),
        ] {
            must(value > 0.0 && value.is_finite(), name, value, "must be above 0")?;
        }
        for (name, value) in [
            ("shrink", self.shrink),
            ("trajectory.drift", trajectory.drift),
            ("trajectory.walk", trajectory.walk),
            ("not_on_track.variance[0]", self.not_on_track.variance[0]),
            ("not_on_track.variance[1]", self.not_on_track.variance[1]),
        ] {
            must(value >= 0.0 && value.is_finite(), name, value, "must be 0 or above")?;
        }
        for (name, value) in [
            ("forget", self.forget),
            ("floor", self.floor),
            ("rom.speed_follow", rom.speed_follow),
            ("flag.gate_memory", flag.gate_memory),
            ("flag.open", flag.open),
            ("flag.watch", flag.watch),
            ("flag.resolve", flag.resolve),
        ] {
            must((0.0..=1.0).contains(&value), name, value, "must be between 0 and 1")?;
        }
        must(
            (1.0..=1000.0).contains(&self.elapsed_max),
            "elapsed_max",
            self.elapsed_max,
            "must be between 1 and 1000",
        )?;
        must(flag.resolve <= flag.watch, "flag.resolve", flag.resolve, "must not be above flag.watch")?;
        must(flag.watch <= flag.open, "flag.watch", flag.watch, "must not be above flag.open")?;
        must(
            self.calibration.intercept.is_finite(),
            "calibration.intercept",
            self.calibration.intercept,
            "is no number",
        )
    }
}

fn must(holds: bool, name: &str, value: f64, what: &str) -> Checked {
    if holds { Ok(()) } else { Err(format!("{name} is {value}, and {what}")) }
}

fn chances(name: &str, chances: &[f64; 3]) -> Checked {
    let sum: f64 = chances.iter().sum();
    let each = chances.iter().all(|p| (0.0..=1.0).contains(p));
    if each && (sum - 1.0).abs() < 1e-3 {
        Ok(())
    } else {
        Err(format!("{name} is {chances:?}, and must be chances that sum to 1"))
    }
}

fn outcomes(name: &str, channel: &ChannelConstants) -> Checked {
    let ordered = channel.severity.windows(2).all(|pair| pair[0] <= pair[1]);
    if channel.severity[0] != 0.0 || !ordered || channel.severity[4] > 1.0 {
        return Err(format!("{name}.severity is {:?}, and must rise from 0 to at most 1", channel.severity));
    }
    if channel.mean.iter().any(|m| !(0.0..=1.0).contains(m)) || channel.mean[0] <= 0.0 {
        return Err(format!("{name}.mean is {:?}, and must be chances, the first above 0", channel.mean));
    }
    must(
        channel.weight > 0.0 && channel.weight.is_finite(),
        &format!("{name}.weight"),
        channel.weight,
        "must be above 0",
    )?;
    if channel.tilt.iter().any(|tilt| !(0.0..=10.0).contains(tilt)) {
        return Err(format!("{name}.tilt is {:?}, and must be between 0 and 10", channel.tilt));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::constants::Fitted;

    #[test]
    fn what_ships_can_be_run() {
        assert_eq!(Constants::default().check(), Ok(()));
    }

    #[test]
    fn what_cannot_be_run_names_its_key() {
        type Spoil = fn(&mut Constants);
        let cases: [(Spoil, &str); 6] = [
            (|c| c.prior = [0.5, 0.1, 0.1], "prior "),
            (|c| c.transition[1] = [1.2, -0.1, -0.1], "transition[1] "),
            (|c| c.rom.outcomes.severity = [0.0, 0.9, 0.2, 1.0, 1.0], "rom.outcomes.severity "),
            (|c| c.calibration.slope = 0.0, "calibration.slope "),
            (|c| c.flag.watch = 0.9, "flag.watch "),
            (
                |c| {
                    c.fitted = Some(Fitted { version: 1, model: "0.9".into(), clients: 0, learned: Vec::new() });
                },
                "fitted.model ",
            ),
        ];
        for (spoil, key) in cases {
            let mut constants = Constants::default();
            spoil(&mut constants);
            let said = constants.check().unwrap_err();
            assert!(said.starts_with(key), "{said}");
        }
    }
}
