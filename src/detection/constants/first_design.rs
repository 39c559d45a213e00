//! The model as it was first designed (release 1.0), as a rival to measure this one against: three outcomes a channel,
//! evidence within ± 1.2, no graded content, no level beside change. What is no constant is as in this release (one
//! expected course, spacing told once).

use super::{
    AllianceConstants, AttendanceConstants, Calibration, ChannelConstants, Constants, HomeworkConstants, RomConstants,
};

impl Constants {
    #[must_use]
    pub fn first_design() -> Constants {
        Constants {
            unknown: [0.93, 0.06, 0.01],
            prior: [0.93, 0.06, 0.01],
            transition: [[0.96, 0.035, 0.005], [0.28, 0.52, 0.2], [0.18, 0.08, 0.74]],
            forget: 0.015,
            floor: 0.3,
            evidence_max: 1.2,
            shrink: 1.5,
            attendance: AttendanceConstants {
                outcomes: ChannelConstants {
                    severity: [0.0, 0.4, 0.6, 0.6, 1.0],
                    mean: [0.77, 0.08, 0.04, 0.04, 0.07],
                    weight: 3.5,
                    tilt: [0.8, 1.4],
                },
                spacing: [0.875, 1.386],
                ..AttendanceConstants::default()
            },
            homework: HomeworkConstants {
                outcomes: ChannelConstants {
                    severity: [0.0, 0.6, 0.6, 0.6, 1.0],
                    mean: [0.57, 0.08, 0.08, 0.08, 0.19],
                    weight: 2.1,
                    tilt: [1.0, 1.8],
                },
                quality_effect: [0.0; 2],
                content_effect: [0.0; 2],
                justification: 0.8,
                ..HomeworkConstants::default()
            },
            rom: RomConstants {
                outcomes: ChannelConstants {
                    severity: [0.0, 0.6, 0.6, 0.6, 1.0],
                    mean: [0.8, 0.02, 0.02, 0.02, 0.14],
                    weight: 2.8,
                    tilt: [1.0, 1.8],
                },
                speed_effect: [0.4, 0.8],
                ..RomConstants::default()
            },
            alliance: AllianceConstants { effect: [0.7, 1.2], level_effect: [0.0; 2], ..AllianceConstants::default() },
            calibration: Calibration { intercept: -0.39, slope: 0.71 },
            ..Constants::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_run() {
        assert_eq!(Constants::first_design().check(), Ok(()));
    }
}
