//! When a Flag opens, and what it rests on.

use super::evaluate::{self, Evaluation};
use super::fusion::predict;
use super::pass::Pass;
use crate::domain::*;
use jiff::Timestamp;

impl Pass<'_> {
    pub(super) fn flags_at_step(&mut self, at: Timestamp, e: &Evaluation) {
        if self.ended.is_some() {
            return;
        }
        let good = self.good();
        let silent = self.silent(at);
        let p = e.engagement_probability(self.c);
        self.flags.step_engagement(p, good, silent, at, &self.c.flag);
        self.raise(at, e);
        self.raise_not_on_track(at);
    }

    /// Good outcomes taken in, per signal.
    pub(super) fn good(&self) -> [bool; 5] {
        let intake = &self.intake;
        let mut good = [false; 5];
        good[evaluate::ATTENDANCE] = intake.attendance.iter().any(|a| a.severity == Some(0));
        good[evaluate::HOMEWORK] = intake.homework.iter().any(|h| h.severity == Some(0));
        good[evaluate::ROM] = intake.rom.iter().any(|r| r.severity == 0);
        good[evaluate::ALLIANCE] = intake.alliance.iter().any(|a| a.worse.is_some_and(|(worse, _)| worse <= 0.0));
        good
    }

    /// Opens the engagement Flag where the evidence carries it.
    fn raise(&mut self, at: Timestamp, e: &Evaluation) {
        if self.ended.is_some()
            || self.flags.engagement()
            || self.disengaged()
            || self.warming_up()
            || e.engagement_probability(self.c) < self.c.flag.open
        {
            return;
        }
        let raised = e.raising(self.c);
        if raised.iter().filter(|r| **r).count() < 2 {
            return;
        }
        let rests_on = self.grounds(raised);
        self.flags.open_engagement(self.key(), at, Why::Signals, raised, rests_on);
    }

    /// Keeps what spoke against alignment at this step, for some steps.
    pub(super) fn remember_sources(&mut self, e: &Evaluation) {
        let step = self.state.steps();
        self.state.recent.retain(|(at, _, _)| at + 4 > step);
        for (signal, kind) in SignalKind::ALL.iter().enumerate() {
            if e.evidence[signal][0] + e.evidence[signal][1] > 0.0 {
                let sources = self.rests_on(*kind);
                self.state.recent.extend(sources.into_iter().map(|source| (step, signal, source)));
            }
        }
    }

    /// What these signals rest on, now and at the last steps with evidence.
    fn grounds(&self, raised: [bool; 5]) -> Vec<Source> {
        let mut rests_on: Vec<Source> = Vec::new();
        for kind in SignalKind::ALL.iter().filter(|kind| raised[**kind as usize]) {
            rests_on.extend(self.rests_on(*kind));
        }
        let recent = self.state.recent.iter().filter(|(_, signal, _)| raised[*signal]);
        rests_on.extend(recent.map(|(_, _, source)| source.clone()));
        rests_on.sort_unstable();
        rests_on.dedup();
        rests_on
    }

    pub(super) fn raise_not_on_track(&mut self, at: Timestamp) {
        if self.ended.is_some() || self.flags.not_on_track() || self.warming_up() {
            return;
        }
        let Some(t) = self.primary.and_then(|p| self.instruments[p].trajectory.as_ref()) else {
            return;
        };
        if let Some(why) = t.outside {
            let from = t.scores.len().saturating_sub(match why {
                Why::Plateau => self.c.not_on_track.plateau_scores[0],
                _ => 2,
            });
            let rests_on = t.sources[from..].to_vec();
            self.flags.open_not_on_track(self.key(), at, why, rests_on);
        }
    }

    /// Something became known: the Flag may open before the session.
    pub(super) fn check(&mut self, at: Timestamp) {
        if self.ended.is_some() || self.flags.engagement() || self.warming_up() {
            return;
        }
        // as of the next session, whenever that is: a slot that the service cancels later must not matter
        let elapsed = if self.state.since == Some(at) { 0.0 } else { 1.0 };
        let before = predict(&self.state.engaged, &self.state.transition, elapsed);
        if !self.intake.any_bad() && before[1] + before[2] < self.open_odds * before[0] {
            return;
        }
        let e = self.inputs().evaluate(elapsed, None, Vec::new());
        self.raise(at, &e);
    }
}
