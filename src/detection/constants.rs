//! Every number the model uses, and where it comes from.
//!
//! [`Constants::default`] is what ships; `tautline fit` writes another set to a file. "Simulation" marks a
//! number found on simulations, not in a paper; "choice" marks one that nobody has measured. The prior, the
//! transition, severities, means, weights, tilts and effects were fitted on 450 clients of each of seeds 501 to 504 of
//! strain, regimes and chain (`tautline simulate`) and of two settings of the forerunner of matched together, and are
//! reported on others in `RESULTS.md`. Units: days for time, u (PHQ-9 points, see [`crate::domain::Measure::u`]) for scores.

mod check;
mod first_design;

pub use super::baseline::OUTCOMES;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Constants {
    /// Chances that a client of whom nothing is known yet is aligned, withdrawing, ruptured: the base rate over all
    /// slots, until the first one has passed.
    pub unknown: [f64; 3],
    /// Chances as treatment begins, from the first slot on, and after a false alarm (19.7 % drop out in all, Swift &
    /// Greenberg 2012; ruptures take time to come).
    pub prior: [f64; 3],
    /// Transition in one nominal interval, rows from, columns to: aligned, withdrawing, ruptured
    /// (simulation; the longest decline before a rupture is six sessions, Gumz 2012,
    /// doi 10.1186/1471-2288-12-10).
    pub transition: [[f64; 3]; 3],
    /// Longest silence that still moves the state, nominal intervals (simulation).
    pub elapsed_max: f64,
    /// Nominal interval before the client has one of their own.
    pub interval_days_default: f64,
    /// Longest nominal interval that is believed (choice).
    pub interval_days_max: f64,

    pub attendance: AttendanceConstants,
    pub homework: HomeworkConstants,
    pub rom: RomConstants,
    pub alliance: AllianceConstants,
    pub trajectory: TrajectoryConstants,
    pub not_on_track: NotOnTrackConstants,

    /// Share of the old counts that a step spent aligned forgets (simulation).
    pub forget: f64,
    /// A bad outcome's own probability never falls below this share of the population's: after forty
    /// faultless steps a good one still says something (choice, see the law in `laws.rs`).
    pub floor: f64,
    /// Evidence of one signal at one step stays within ± this, nats: no single signal decides (simulation).
    pub evidence_max: f64,
    /// n/(n + this): how far an effect size is trusted after n values of the client's own (simulation).
    pub shrink: f64,

    pub flag: FlagConstants,
    pub calibration: Calibration,

    /// What `tautline fit` learned these from; `None`: as shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fitted: Option<Fitted>,
}

/// Where fitted constants come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitted {
    /// Version of this file's meaning.
    pub version: u32,
    /// Model release that it was fitted for.
    pub model: String,
    pub clients: usize,
    pub learned: Vec<Learned>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learned {
    pub name: String,
    /// Clients it was, or would have been, learned from.
    pub count: usize,
    /// `false`: too few; the shipped value stands.
    pub learned: bool,
    /// Of the share of good outcomes, of the drift, of the slope.
    pub standard_error: f64,
}

/// A categorical signal: its outcomes, in the order of the channel's room, from best to worst.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConstants {
    /// Severity u of each outcome.
    pub severity: [f64; OUTCOMES],
    /// How often clients show each.
    pub mean: [f64; OUTCOMES],
    /// Weight of that mean, in observations.
    pub weight: f64,
    /// Tilt when withdrawing, when ruptured.
    pub tilt: [f64; 2],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttendanceConstants {
    /// Attended, late, moved, called off by the client, no-show. No-shows, not cancellations, go with less change
    /// (Xiao 2017, 5,253 clients).
    pub outcomes: ChannelConstants,
    /// Late from this many minutes on.
    pub late_minutes: f64,
    /// More space asked for: from this many nominal intervals on.
    pub spacing_intervals: f64,
    /// Evidence of it (simulation).
    pub spacing: [f64; 2],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HomeworkConstants {
    /// Done, late, half of it or more, less than half, not done.
    pub outcomes: ChannelConstants,
    /// Quality of what was done: usual level (M 2.71 of 4, Haller & Watzke 2021) and the weight of it, standard
    /// deviation from one homework to the next, effect when withdrawing, when ruptured.
    pub quality_usual: [f64; 2],
    pub quality_sd: f64,
    pub quality_effect: [f64; 2],
    /// ln(minutes), ln(words) of what was done: the same, against the client's own mean alone.
    pub content_sd: f64,
    pub content_effect: [f64; 2],
    /// Less homework by a client who is well is no rupture: strength of that excuse (simulation).
    pub justification: f64,
    /// Improvement that excuses fully, in reliable changes.
    pub justification_rci: f64,
    /// Done from this share on (choice).
    pub done_share: f64,
    /// Quality at or below this is poor.
    pub poor_quality: f64,
    /// What is marked done during the session counts as brought to it (choice).
    pub grace_hours: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RomConstants {
    /// Whole; one question newly left open; two or three, or in haste, or unfinished; more; not filled in.
    pub outcomes: ChannelConstants,
    /// Under this many seconds an item an answer is no answer (Bowling; Behav Res Methods 2024: of the
    /// indices of careless answering only this one is better than chance).
    pub perfunctory_seconds: f64,
    /// Standard deviation of ln(seconds per item), and effect when withdrawing, when ruptured (simulation).
    pub speed_sd: f64,
    pub speed_effect: [f64; 2],
    /// Practice makes faster: the baseline moves this far to each new value at least (choice).
    pub speed_follow: f64,
    /// Fills before a measure that no Task asks for is expected (choice).
    pub expected_after: u32,
    /// Misses in a row after which it is no longer expected: nobody sends it any more (choice).
    pub expected_misses_max: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AllianceConstants {
    /// Standard deviation from session to session as a share of the measure's range: 1.9 of 40 on the SRS.
    pub sd_share: f64,
    /// Effect when withdrawing, when ruptured (simulation; drops of 1 and of 2 sd are both in use, Gumz 2012).
    pub effect: [f64; 2],
    /// The level itself, where the measure has a cut-off: standard deviation between clients about it, as a share of
    /// the range, and its effect.
    pub level_sd_share: f64,
    pub level_effect: [f64; 2],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrajectoryConstants {
    /// Expected change of a client who starts at 15, in the first slot, u; it shrinks with e^(−n/decay).
    pub drift: f64,
    pub drift_decay: f64,
    /// Variance of the level's own walk, per slot.
    pub walk: f64,
    /// Standard error of a score: the reliable change (6 u) over this.
    pub error_divisor: f64,
    /// Beyond this many standard errors a score moves the level less.
    pub robust: f64,
    pub effect: [f64; 2],
    /// Least and most evidence of one step.
    pub evidence: [f64; 2],
    /// Scores in a plateau's window, least and most (choice).
    pub plateau_scores: [usize; 2],
}

/// Placeholders until a service has its own (`tautline fit`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotOnTrackConstants {
    /// Width of the expected range, standard deviations.
    pub width: f64,
    /// sd = √(first + second·n).
    pub variance: [f64; 2],
    /// Worse than the best by this many reliable changes.
    pub deterioration_rci: f64,
    /// A plateau: certainly less than this many reliable changes, up or down …
    pub plateau_change_rci: f64,
    /// … over a window of so many scores, least and most …
    pub plateau_scores: [usize; 2],
    /// … after an earlier gain of this many. .75, not 1: 18 → 13 on the PHQ-9 is a plateau too (choice).
    pub plateau_gain_rci: f64,
    /// Certain: by so many standard errors of the change …
    pub plateau_certainty: f64,
    /// … made of the client's own scatter and of the measure's error, which weighs as so many scores.
    pub plateau_weight: f64,
    /// Scores back inside the expected range that close the Flag.
    pub inside_scores: u32,
}

/// Chosen by the number of slots between false alarms, not by eye.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlagConstants {
    /// Calibrated probability at which the engagement Flag opens, and is watched, and below which it fades.
    pub open: f64,
    pub watch: f64,
    pub resolve: f64,
    /// Two signals must have gathered this much evidence.
    pub gate: f64,
    /// Share of the gathered evidence that is still remembered a step later.
    pub gate_memory: f64,
    /// No Flag before this many slots.
    pub warm_up: u32,
    /// Steps running below `resolve`.
    pub resolve_steps: u32,
    /// No contact from this many nominal intervals on.
    pub silence_intervals: f64,
    /// Disengaged from this many days on.
    pub disengaged_days: f64,
    /// Withdrawal-like from + this on, dissatisfaction-like from − this on (AUROC .70: a hint).
    pub pattern: f64,
    /// Weight of alliance and trajectory in it.
    pub pattern_weight: f64,
    /// "Named in session": chances of leaving withdrawal and rupture are multiplied by this (choice; repair
    /// goes with outcome, r = .29, Eubanks 2018, doi 10.1037/pst0000185) …
    pub named_factor: f64,
    /// … for this many steps.
    pub named_steps: u32,
}

/// logit P′ = intercept + slope·logit P (simulation; to be refitted on judged Flags).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    pub intercept: f64,
    pub slope: f64,
}

impl Default for Constants {
    fn default() -> Self {
        Constants {
            unknown: [0.913, 0.0623, 0.0247],
            prior: [0.9721, 0.0199, 0.008],
            transition: [[0.9605, 0.0346, 0.0049], [0.291, 0.597, 0.112], [0.198, 0.0843, 0.7177]],
            elapsed_max: 3.0,
            interval_days_default: 7.0,
            interval_days_max: 28.0,
            attendance: AttendanceConstants::default(),
            homework: HomeworkConstants::default(),
            rom: RomConstants::default(),
            alliance: AllianceConstants::default(),
            trajectory: TrajectoryConstants::default(),
            not_on_track: NotOnTrackConstants::default(),
            forget: 0.0182,
            floor: 0.875,
            evidence_max: 3.0,
            shrink: 0.958,
            flag: FlagConstants::default(),
            calibration: Calibration::default(),
            fitted: None,
        }
    }
}

impl Default for AttendanceConstants {
    fn default() -> Self {
        AttendanceConstants {
            outcomes: ChannelConstants {
                severity: [0.0, 0.252, 0.278, 0.7, 1.0],
                mean: [0.792, 0.1335, 0.0053, 0.0086, 0.0606],
                weight: 3.0,
                tilt: [0.861, 2.19],
            },
            late_minutes: 8.0,
            spacing_intervals: 1.7,
            spacing: [0.573, 0.708],
        }
    }
}

impl Default for HomeworkConstants {
    fn default() -> Self {
        HomeworkConstants {
            outcomes: ChannelConstants {
                severity: [0.0, 0.0586, 0.287, 0.307, 1.0],
                mean: [0.572, 0.0448, 0.209, 0.0492, 0.125],
                weight: 1.2,
                tilt: [1.25, 1.38],
            },
            quality_usual: [2.71, 3.67],
            quality_sd: 0.7,
            quality_effect: [0.838, 1.01],
            content_sd: 0.551,
            content_effect: [0.404, 0.458],
            justification: 0.0742,
            justification_rci: 1.5,
            done_share: 0.8,
            poor_quality: 1.0,
            grace_hours: 3.0,
        }
    }
}

impl Default for RomConstants {
    fn default() -> Self {
        RomConstants {
            outcomes: ChannelConstants {
                severity: [0.0, 0.761, 0.82, 1.0, 1.0],
                mean: [0.705, 0.0889, 0.0238, 0.0152, 0.167],
                weight: 6.0,
                tilt: [1.16, 2.16],
            },
            perfunctory_seconds: 2.0,
            speed_sd: 0.26,
            speed_effect: [0.378, 0.146],
            speed_follow: 0.25,
            expected_after: 3,
            expected_misses_max: 4,
        }
    }
}

impl Default for AllianceConstants {
    fn default() -> Self {
        AllianceConstants {
            sd_share: 1.9 / 40.0,
            effect: [0.3, 1.3],
            level_sd_share: 2.6 / 40.0,
            level_effect: [0.15, 0.9],
        }
    }
}

impl Default for TrajectoryConstants {
    fn default() -> Self {
        TrajectoryConstants {
            drift: 0.48,
            drift_decay: 6.0,
            walk: 1.0,
            error_divisor: 2.77,
            robust: 3.0,
            effect: [0.25, 0.45],
            evidence: [-0.5, 1.0],
            plateau_scores: [4, 8],
        }
    }
}

impl Default for NotOnTrackConstants {
    fn default() -> Self {
        NotOnTrackConstants {
            width: 1.28,
            variance: [8.0, 0.5],
            deterioration_rci: 1.0,
            plateau_change_rci: 0.5,
            plateau_scores: [5, 10],
            plateau_gain_rci: 0.75,
            plateau_certainty: 1.2,
            plateau_weight: 4.0,
            inside_scores: 2,
        }
    }
}

impl Default for FlagConstants {
    fn default() -> Self {
        FlagConstants {
            open: 0.40,
            watch: 0.35,
            resolve: 0.27,
            gate: 0.25,
            gate_memory: 0.73,
            warm_up: 3,
            resolve_steps: 2,
            silence_intervals: 2.0,
            disengaged_days: 56.0,
            pattern: 0.5,
            pattern_weight: 1.5,
            named_factor: 1.5,
            named_steps: 2,
        }
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Calibration { intercept: -0.15, slope: 0.75 }
    }
}
