//! An evaluation put into the words of the domain.

use super::baseline::{Baseline, Scale};
use super::evaluate::{self, ALLIANCE, ATTENDANCE, Evaluation, HOMEWORK, ORDER, ROM, TRAJECTORY};
use super::fusion::{decompose, log_odds, logistic};
use super::pass::Pass;
use crate::domain::*;
use jiff::Timestamp;
use std::sync::Arc;

impl Pass<'_> {
    pub(super) fn assessment(
        &self,
        key: StepKey,
        appointments: Vec<Arc<str>>,
        as_of: Timestamp,
        e: &Evaluation,
    ) -> Assessment {
        let c = self.c;
        if self.ended.is_some() {
            return self.after_ending(key, appointments, as_of);
        }
        let parts = decompose(&e.predicted, &ORDER.map(|s| e.evidence[s]));
        let mut evidence = [0.0; 5];
        for (signal, part) in ORDER.iter().zip(parts) {
            evidence[*signal] = c.calibration.slope * part;
        }
        let carried = c.calibration.apply(log_odds(&e.predicted));
        let probability = logistic(carried + evidence.iter().sum::<f64>());
        let engagement_probability = e.engagement_probability(c);
        let flags = self.flags.active();
        let band = if self.flags.engagement() {
            Band::Flag
        } else if engagement_probability >= c.flag.watch || (self.silent(as_of) && !self.warming_up()) {
            Band::Watch
        } else {
            Band::NothingUnusual
        };
        Assessment {
            key,
            appointments,
            as_of,
            probability,
            engagement_probability,
            carried,
            signals: SignalKind::ALL.map(|kind| self.signal(kind, evidence[kind as usize], e)),
            pattern: if self.silent(as_of) { Pattern::None } else { self.pattern(probability, &e.gathered) },
            band,
            baseline_steps: self.baseline_steps(),
            warming_up: self.warming_up(),
            flags,
            seen: self.seen(e),
            no_contact: self.silent(as_of),
        }
    }

    /// After a planned ending: where a new client starts, and nothing said.
    fn after_ending(&self, key: StepKey, appointments: Vec<Arc<str>>, as_of: Timestamp) -> Assessment {
        let carried = self.c.calibration.apply(log_odds(&self.c.prior));
        Assessment {
            key,
            appointments,
            as_of,
            probability: logistic(carried),
            engagement_probability: logistic(carried),
            carried,
            signals: SignalKind::ALL.map(|kind| Signal {
                kind,
                absent: true,
                evidence: 0.0,
                current: None,
                baseline: None,
                deviation: None,
                baseline_count: 0,
                accumulated: 0.0,
                rests_on: Vec::new(),
            }),
            pattern: Pattern::None,
            band: Band::NothingUnusual,
            baseline_steps: self.baseline_steps(),
            warming_up: self.warming_up(),
            flags: self.flags.active(),
            seen: Seen::default(),
            no_contact: false,
        }
    }

    /// Withdrawal shows in what is left undone, dissatisfaction in what is said and scored; good behaviour with
    /// nothing said is neither.
    fn pattern(&self, probability: f64, gathered: &[f64; 5]) -> Pattern {
        let c = &self.c.flag;
        if probability < c.resolve && !self.flags.engagement() {
            return Pattern::None;
        }
        let quiet = gathered[ATTENDANCE] + gathered[HOMEWORK] + gathered[ROM];
        let said = gathered[ALLIANCE].max(0.0) + gathered[TRAJECTORY].max(0.0);
        let balance = quiet - c.pattern_weight * said;
        if balance >= c.pattern {
            Pattern::Withdrawal
        } else if balance <= -c.pattern && said > 0.0 {
            Pattern::Confrontation
        } else {
            Pattern::None
        }
    }

    fn signal(&self, kind: SignalKind, evidence: f64, e: &Evaluation) -> Signal {
        let (state, scales) = (&self.state, &self.scales);
        let n = kind as usize;
        let against = |own: &Baseline, scale: &Scale, worst: Option<usize>| {
            let current = worst.map(|o| scale.severity[o]);
            let level = own.level(scale);
            let deviation = current.map(|u| (u - level) / own.spread(scale).max(1e-6));
            let baseline = (current.is_some() || own.seen > 0).then_some(level);
            (current, baseline, deviation, own.seen)
        };
        let (current, baseline, deviation, baseline_count) = match kind {
            SignalKind::Attendance => {
                let worst = self.intake.attendance.iter().filter_map(|a| a.severity).max();
                against(&state.attendance, &scales.attendance, worst)
            }
            SignalKind::HomeworkEngagement => {
                let worst = self.intake.homework.iter().filter_map(|h| h.severity).max();
                against(&state.homework, &scales.homework, worst)
            }
            SignalKind::RomEngagement => {
                let worst = evaluate::worst_rom(&self.intake, !e.missed.is_empty());
                against(&state.rom, &scales.rom, worst)
            }
            SignalKind::RomTrajectory => {
                let item = e.primary.and_then(|p| self.intake.scores.iter().rev().find(|s| s.instrument == p));
                let known = e.primary.and_then(|p| self.instruments[p].trajectory.as_ref());
                let new = self.intake.scores.iter().filter(|s| Some(s.instrument) == e.primary).count();
                let count = known.map_or(0, |t| (t.scores.len() - new) as u32);
                let earlier = item.filter(|i| i.evidence.is_some());
                (item.map(|i| i.seen.score), earlier.map(|i| i.predicted), earlier.map(|i| i.seen.innovation), count)
            }
            SignalKind::AllianceMeasure => {
                let item = self.intake.alliance.last();
                let count = item.map_or_else(
                    || self.instruments.iter().map(|i| i.alliance.count).max().unwrap_or(0),
                    |i| self.instruments[i.instrument].alliance.count,
                );
                (
                    item.map(|i| i.score),
                    item.and_then(|i| i.worse).map(|(_, mean)| mean),
                    item.and_then(|i| i.worse).map(|(worse, _)| worse),
                    count,
                )
            }
        };
        Signal {
            kind,
            absent: e.absent[n],
            evidence,
            current,
            baseline,
            deviation,
            baseline_count,
            accumulated: e.gathered[n],
            rests_on: self.rests_on(kind),
        }
    }

    /// What a signal rests on since the last step.
    pub(super) fn rests_on(&self, kind: SignalKind) -> Vec<Source> {
        let intake = &self.intake;
        match kind {
            SignalKind::Attendance => intake
                .attendance
                .iter()
                .filter(|a| a.severity.is_some())
                .flat_map(|a| a.rests_on.iter().cloned())
                .collect(),
            SignalKind::HomeworkEngagement => {
                intake.homework.iter().filter(|h| h.severity.is_some()).map(|h| h.seen.source.clone()).collect()
            }
            SignalKind::RomEngagement => {
                intake.rom.iter().flat_map(|r| [r.seen.source.clone(), r.seen.task.clone()]).flatten().collect()
            }
            SignalKind::RomTrajectory => intake
                .scores
                .iter()
                .filter(|s| Some(s.instrument) == self.primary)
                .map(|s| s.seen.source.clone())
                .collect(),
            SignalKind::AllianceMeasure => {
                intake.alliance.iter().map(|a| self.record.administrations[a.administration].source.clone()).collect()
            }
        }
    }

    fn seen(&self, e: &Evaluation) -> Seen {
        let intake = &self.intake;
        let mut rom: Vec<RomSeen> = intake.rom.iter().map(|r| r.seen.clone()).collect();
        for missed in &e.missed {
            let measure = &self.instruments[*missed].measure;
            rom.push(RomSeen {
                source: None,
                task: None,
                measure: Some(measure.clone()),
                outcome: RomOutcome::Missed,
                answered: 0,
                expected: measure.items,
                newly_skipped: 0,
                seconds: None,
            });
        }
        Seen {
            attendance: intake.attendance.iter().map(|a| (a.outcome, a.rests_on[0].clone())).collect(),
            spacing_days: e.spacing_days,
            homework: intake.homework.iter().map(|h| h.seen.clone()).collect(),
            rom,
            scores: intake.scores.iter().filter(|s| Some(s.instrument) == e.primary).map(|s| s.seen.clone()).collect(),
            alliance: intake.alliance.iter().map(|a| self.record.administrations[a.administration].clone()).collect(),
        }
    }
}
