//! What was taken in since the last step, weighed against the client's baselines and fused.

use super::alliance::evidence as gaussian;
use super::baseline::Evidence;
use super::constants::Constants;
use super::fusion::{States, log_odds, logistic, predict, update};
use super::intake::{HomeworkItem, Intake};
use super::state::{Instrument, Scales, State};
use crate::domain::SignalKind;

pub const ATTENDANCE: usize = SignalKind::Attendance as usize;
pub const HOMEWORK: usize = SignalKind::HomeworkEngagement as usize;
pub const ROM: usize = SignalKind::RomEngagement as usize;
pub const ALLIANCE: usize = SignalKind::AllianceMeasure as usize;
pub const TRAJECTORY: usize = SignalKind::RomTrajectory as usize;

/// The order in which the evidence is taken, so that its parts add up.
pub const ORDER: [usize; 5] = [ATTENDANCE, HOMEWORK, ROM, ALLIANCE, TRAJECTORY];

pub struct Evaluation {
    pub predicted: States,
    pub after: States,
    pub engaged: States,
    /// Per signal, in the order of `SignalKind::ALL`.
    pub evidence: [Evidence; 5],
    pub absent: [bool; 5],
    pub gathered: [f64; 5],
    pub spacing_days: Option<f64>,
    /// Instruments whose expected fill did not come.
    pub missed: Vec<usize>,
    pub primary: Option<usize>,
}

impl Evaluation {
    pub fn engagement_probability(&self, c: &Constants) -> f64 {
        logistic(c.calibration.apply(log_odds(&self.engaged)))
    }

    /// Engagement signals that have gathered enough to carry a Flag.
    pub fn raising(&self, c: &Constants) -> [bool; 5] {
        std::array::from_fn(|s| s != TRAJECTORY && self.gathered[s] >= c.flag.gate)
    }
}

fn add(a: Evidence, b: Evidence) -> Evidence {
    [a[0] + b[0], a[1] + b[1]]
}

fn mean(all: impl Iterator<Item = Evidence>) -> Option<Evidence> {
    let (sum, n) = all.fold(([0.0; 2], 0.0), |(sum, n), l| (add(sum, l), n + 1.0));
    (n > 0.0).then(|| sum.map(|l| l / n))
}

pub struct Inputs<'a> {
    pub c: &'a Constants,
    pub scales: &'a Scales,
    pub state: &'a State,
    pub intake: &'a Intake,
    pub instruments: &'a [Instrument],
    pub primary: Option<usize>,
}

impl Inputs<'_> {
    pub fn evaluate(&self, elapsed: f64, spacing_days: Option<f64>, missed: Vec<usize>) -> Evaluation {
        let (c, state) = (self.c, self.state);
        // by itself a longer gap may be anybody's wish, a holiday's or a closed clinic's
        let spacing_days = spacing_days.filter(|_| self.intake.falls_short() || !missed.is_empty());
        let mut evidence = [[0.0; 2]; 5];
        let mut absent = [true; 5];
        let within = |l: Evidence| l.map(|l| l.clamp(-c.evidence_max, c.evidence_max));
        let mut put = |signal: usize, l: Option<Evidence>| {
            if let Some(l) = l {
                evidence[signal] = l;
                absent[signal] = false;
            }
        };
        put(ATTENDANCE, self.attendance(spacing_days).map(within));
        put(HOMEWORK, self.homework().map(within));
        put(ROM, self.rom(!missed.is_empty()).map(within));
        put(ALLIANCE, self.alliance().map(within));
        let [least, most] = c.trajectory.evidence;
        put(TRAJECTORY, self.trajectory().map(|l| l.map(|l| l.clamp(least, most))));

        let engaged_sum = [ATTENDANCE, HOMEWORK, ROM, ALLIANCE].iter().fold([0.0; 2], |sum, s| add(sum, evidence[*s]));
        // nothing has passed yet: the base rate. Treatment begins, and with it the state, at the first step
        let begun = state.since.is_some();
        let from = |states: &States| if begun { *states } else { c.unknown };
        let predicted = predict(&from(&state.all), &state.transition, elapsed);
        let after = update(&predicted, add(engaged_sum, evidence[TRAJECTORY]));
        let engaged = update(&predict(&from(&state.engaged), &state.transition, elapsed), engaged_sum);
        let (w, r) = (engaged[1], engaged[2]);
        let gathered = std::array::from_fn(|s| {
            let now = (w * evidence[s][0] + r * evidence[s][1]) / (w + r).max(1e-12);
            c.flag.gate_memory * state.gathered[s] + now
        });
        Evaluation {
            predicted,
            after,
            engaged,
            evidence,
            absent,
            gathered,
            spacing_days,
            missed,
            primary: self.primary,
        }
    }

    fn attendance(&self, spacing_days: Option<f64>) -> Option<Evidence> {
        let mut sum = None;
        for item in &self.intake.attendance {
            let Some(severity) = item.severity else { continue };
            let l = if item.muted {
                [0.0; 2]
            } else {
                self.state.attendance.evidence(&self.scales.attendance, severity, 0.0)
            };
            sum = Some(add(sum.unwrap_or_default(), l));
        }
        if spacing_days.is_some() {
            sum = Some(add(sum.unwrap_or_default(), self.c.attendance.spacing));
        }
        sum
    }

    fn homework(&self) -> Option<Evidence> {
        let items = || self.intake.homework.iter().filter_map(|item| Some((item, item.severity?)));
        let count = items().count();
        if count == 0 {
            return None;
        }
        let said = items().filter(|(item, _)| !item.muted);
        let sum = said.map(|(item, severity)| self.one_homework(item, severity)).fold([0.0; 2], add);
        Some(sum.map(|l| l / (count as f64).sqrt()))
    }

    /// How much of it was done, and how well against what is usual; poorly done is never worse than not done.
    fn one_homework(&self, item: &HomeworkItem, severity: usize) -> Evidence {
        let (c, state, scale) = (&self.c.homework, self.state, &self.scales.homework);
        let mut l = state.homework.evidence(scale, severity, item.excuse);
        let [quality, minutes, words] = item.content;
        if let Some(quality) = quality {
            let worse = (state.quality.mean - quality) / c.quality_sd;
            let mean_count = state.quality.count + 1;
            l = add(l, gaussian(worse.clamp(-2.0, 3.0), mean_count, c.quality_effect, self.c.shrink));
        }
        for (value, own) in [(minutes, &state.minutes), (words, &state.words)] {
            if let (Some(value), true) = (value, own.count > 0) {
                let worse = ((own.mean - value) / c.content_sd).clamp(-2.0, 3.0);
                l = add(l, gaussian(worse, own.count, c.content_effect, self.c.shrink));
            }
        }
        let worst = state.homework.evidence(scale, scale.severity.len() - 1, item.excuse);
        [l[0].min(worst[0]), l[1].min(worst[1])]
    }

    /// The worst among the measures due, and how fast they were filled in.
    fn rom(&self, missed: bool) -> Option<Evidence> {
        let worst = worst_rom(self.intake, missed)?;
        let muted = !missed && self.intake.rom.iter().all(|item| item.muted);
        let mut l = if muted { [0.0; 2] } else { self.state.rom.evidence(&self.scales.rom, worst, 0.0) };
        if let Some(speed) = mean(self.intake.speed.iter().filter_map(|s| s.evidence)) {
            l = add(l, speed);
        }
        Some(l)
    }

    fn alliance(&self) -> Option<Evidence> {
        mean(self.intake.alliance.iter().filter_map(|a| a.evidence))
    }

    /// Innovations of the primary measure, or its plateau where that says more.
    fn trajectory(&self) -> Option<Evidence> {
        let primary = self.primary?;
        let mut sum = None;
        for item in &self.intake.scores {
            if let (true, Some(l)) = (item.instrument == primary, item.evidence) {
                sum = Some(add(sum.unwrap_or_default(), l));
            }
        }
        let sum = sum?;
        let instrument = &self.instruments[primary];
        let flat = instrument
            .trajectory
            .as_ref()
            .map_or([0.0; 2], |t| t.plateau(instrument.cutoff_u, &self.c.trajectory, self.c.shrink));
        if self.intake.mute_spacing || flat == [0.0; 2] {
            return Some(sum);
        }
        Some([sum[0].max(flat[0]), sum[1].max(flat[1])])
    }
}

/// Severity index of the one outcome that ROM engagement takes a step.
pub fn worst_rom(intake: &Intake, missed: bool) -> Option<usize> {
    let seen = intake.rom.iter().map(|item| item.severity).max();
    if missed { Some(super::rom_engagement::MISSED) } else { seen }
}

/// Commits a step: the state moves on and the baselines learn.
pub fn commit(
    state: &mut State,
    scales: &Scales,
    instruments: &mut [Instrument],
    intake: &mut Intake,
    e: &Evaluation,
    c: &Constants,
) {
    if state.since.is_some() {
        state.all = e.after;
        state.engaged = e.engaged;
    } else {
        let sum = |of: &[usize]| of.iter().fold([0.0; 2], |sum, s| add(sum, e.evidence[*s]));
        state.all = update(&c.prior, sum(&ORDER));
        state.engaged = update(&c.prior, sum(&ORDER[..4]));
    }
    state.gathered = e.gathered;
    let aligned = state.engaged[0];

    let seen: Vec<usize> = intake.attendance.iter().filter_map(|a| a.severity).collect();
    let weight = (2.0 / seen.len().max(1) as f64).min(1.0);
    let seen: Vec<(usize, f64)> = seen.into_iter().map(|o| (o, weight)).collect();
    state.attendance.learn(&scales.attendance, &seen, aligned, c.forget);

    let seen: Vec<usize> = intake.homework.iter().filter_map(|h| h.severity).collect();
    let weight = 1.0 / (seen.len().max(1) as f64).sqrt();
    let seen: Vec<(usize, f64)> = seen.into_iter().map(|o| (o, weight)).collect();
    state.homework.learn(&scales.homework, &seen, aligned, c.forget);

    for item in &intake.homework {
        let own = [&mut state.quality, &mut state.minutes, &mut state.words];
        for (own, value) in own.into_iter().zip(item.content) {
            if let Some(value) = value {
                own.learn(value, aligned, 0.0);
            }
        }
    }

    if let Some(worst) = worst_rom(intake, !e.missed.is_empty()) {
        state.rom.learn(&scales.rom, &[(worst, 1.0)], aligned, c.forget);
    }
    let step = state.steps();
    for missed in &e.missed {
        instruments[*missed].habit.miss(step);
    }
    for item in &intake.speed {
        instruments[item.instrument].habit.speed.learn(item.value, aligned, c.rom.speed_follow);
    }
    for item in &intake.alliance {
        instruments[item.instrument].alliance.learn(item.score, aligned, 0.0);
    }
    intake.clear();
    state.named = state.named.saturating_sub(1);
    state.refresh(c);
}

/// Evidence of answering faster than usual. Slowness says little (a form left open), so it is cut at 1 sd.
pub fn speed(value: f64, instrument: &Instrument, c: &Constants) -> Option<Evidence> {
    let own = &instrument.habit.speed;
    (own.count > 0).then(|| {
        let faster = ((own.mean - value) / c.rom.speed_sd).clamp(-1.0, 3.0);
        gaussian(faster, own.count, c.rom.speed_effect, c.shrink)
    })
}
