//! One forward pass over the record.

use super::attendance;
use super::constants::Constants;
use super::evaluate::{self, Evaluation, Inputs};
use super::flags::Flags;
use super::homework;
use super::intake::{AttendanceItem, Intake};
use super::record::{Group, Moment, Record, Standing, days};
use super::silence::Silence;
use super::state::{Instrument, Scales, State};
use crate::domain::*;
use jiff::Timestamp;
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Not asked yet.
    Unknown,
    Waiting,
    Missed,
    /// The Task says it was done; no form has come yet.
    Done,
    Settled,
}

pub(super) struct Pass<'a> {
    pub c: &'a Constants,
    pub record: &'a Record<'a>,
    pub scales: Scales,
    pub state: State,
    pub intake: Intake,
    pub instruments: Vec<Instrument>,
    pub primary: Option<usize>,
    pub flags: Flags,
    pub steps: Vec<Assessment>,
    /// Per group, homework, due: already taken in.
    pub counted_groups: Vec<bool>,
    pub counted_homework: Vec<bool>,
    pub dues: Vec<Due>,
    pub ended: Option<Timestamp>,
    /// Which ending that was: another one's resumption does not undo it.
    ended_by: usize,
    /// Some slot is known: weeks are no steps any more.
    pub appointments: bool,
    /// Anything is known at all.
    begun: bool,
    pub(super) quiet: Silence,
    /// Odds against alignment at which the engagement Flag opens, before calibration.
    pub(super) open_odds: f64,
    /// Standings before it have started.
    pub(super) standing: usize,
    /// Evaluation of the look at the step that comes next.
    looked: Option<(Timestamp, Evaluation)>,
}

impl<'a> Pass<'a> {
    pub fn new(record: &'a Record<'a>, c: &'a Constants) -> Self {
        let scales = Scales::new(c);
        Pass {
            c,
            record,
            state: State::new(c, &scales),
            scales,
            intake: Intake::default(),
            instruments: Vec::new(),
            primary: None,
            flags: Flags::default(),
            steps: Vec::with_capacity(record.groups.len()),
            counted_groups: vec![false; record.groups.len()],
            counted_homework: vec![false; record.homework.len()],
            dues: vec![Due::Unknown; record.dues.len()],
            ended: None,
            ended_by: 0,
            appointments: record.slots.iter().any(|s| s.booked.is_none()),
            begun: record.slots.iter().any(|s| s.booked.is_none()),
            quiet: Silence::default(),
            open_odds: c.calibration.undo(c.flag.open).exp(),
            standing: 0,
            looked: None,
        }
    }

    pub fn run(mut self, as_of: Timestamp) -> Course {
        let moments = &self.record.moments;
        let first = moments.first().map_or(as_of, |(at, _)| (*at).min(as_of));
        for form in &self.record.undated {
            self.flags.undated_safety_answer(form, first);
        }
        let mut n = 0;
        while n < moments.len() && moments[n].0 <= as_of {
            let at = moments[n].0;
            self.silence(at);
            let mut facts = false;
            while n < moments.len() && moments[n].0 == at {
                let moment = moments[n].1;
                let fact = !matches!(
                    moment,
                    Moment::Look(_)
                        | Moment::LookWeek(_)
                        | Moment::Step(_)
                        | Moment::StepMoved(_)
                        | Moment::StepWeek(_)
                );
                if fact && at >= as_of {
                    break;
                }
                facts |= fact && self.may_be_evidence(at, moment);
                self.begun |= fact;
                self.happen(at, moment);
                n += 1;
            }
            self.looked = None;
            if at >= as_of {
                break;
            }
            self.settle(at);
            if facts {
                self.check(at);
            }
        }
        self.silence(as_of);
        let next_change = self.next_change(n, as_of);
        self.finish(as_of, next_change)
    }

    /// Whether a Flag may open on it between two steps: declined homework, which is no evidence, is no occasion either.
    fn may_be_evidence(&self, at: Timestamp, moment: Moment) -> bool {
        match moment {
            Moment::Asked(_) | Moment::SafetyTold(_) => false,
            Moment::HomeworkKnown(n) | Moment::HomeworkDue(n) => {
                let (h, c) = (self.record.homework[n], &self.c.homework);
                homework::severity(h, homework::outcome(h, at, c), c).is_some()
            }
            _ => true,
        }
    }

    fn happen(&mut self, at: Timestamp, moment: Moment) {
        match moment {
            Moment::Look(group) => self.look_at_group(at, group),
            Moment::LookWeek(week) => self.look_at_week(at, week),
            Moment::Step(group) => {
                let group = &self.record.groups[group];
                let key = StepKey::Appointment(self.record.slots[group.from].source.id.clone());
                self.step(at, key, Some(group.start));
            }
            Moment::StepMoved(slot) => {
                let key = StepKey::Appointment(self.record.slots[slot].source.id.clone());
                self.step(at, key, Some(at));
            }
            Moment::StepWeek(week) => {
                if !self.appointments {
                    self.step(at, StepKey::Week(week), None);
                }
            }
            Moment::Booked(_) => self.appointments = true,
            Moment::Moved(slot, n) => self.moved(at, slot, n),
            Moment::SlotKnown(slot) => self.slot_known(at, slot),
            Moment::HomeworkKnown(n) => self.homework_known(at, n),
            Moment::HomeworkDue(n) => self.homework_due(at, n),
            Moment::Asked(n) => self.asked(n),
            Moment::SafetyTold(n) => self.flags.safety_told(self.record.administrations[n]),
            Moment::FilledIn(n) => self.filled_in(at, n),
            Moment::MeasureDone(n) => self.measure_done(n),
            Moment::MeasureDue(n) => self.measure_due(n),
            Moment::Judged(n) => self.judged(n),
            Moment::Ended(n) => self.end(n),
            Moment::Resumed(n) => self.resume(at, n),
        }
    }

    pub(super) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            c: self.c,
            scales: &self.scales,
            state: &self.state,
            intake: &self.intake,
            instruments: &self.instruments,
            primary: self.primary,
        }
    }

    /// Nominal intervals from the last step to `target`; the time beyond one is a break, whoever made it (a
    /// gap the client asked for speaks by itself). With nothing booked: whole intervals of silence.
    fn elapsed(&self, target: Option<Timestamp>, now: Timestamp) -> f64 {
        let Some(since) = self.state.since else { return 0.0 };
        let interval = self.state.interval(target, self.c);
        match target {
            Some(target) => (days(since, target) / interval).clamp(0.0, 1.0),
            None => (days(since, now) / interval).floor().clamp(1.0, self.c.elapsed_max),
        }
    }

    fn evaluate(&self, target: Option<Timestamp>, now: Timestamp, missed: Vec<usize>) -> Evaluation {
        self.inputs().evaluate(self.elapsed(target, now), self.spacing(target, now), missed)
    }

    fn spacing(&self, target: Option<Timestamp>, now: Timestamp) -> Option<f64> {
        let target = target.filter(|_| !self.intake.mute_spacing)?;
        let kept = self.state.kept.filter(|k| Some(*k) == self.state.last_slot)?;
        if self.state.gaps() < 2 {
            return None;
        }
        // sessions that are already further apart than they used to be were spaced out once, not each time
        let interval = self.state.interval(None, self.c).max(self.state.last_gap.min(self.c.interval_days_max));
        attendance::spacing_days(self.record, kept, target, now, interval, &self.c.attendance)
    }

    fn look_at_group(&mut self, at: Timestamp, index: usize) {
        let record = self.record;
        let group = &record.groups[index];
        let slots = &record.slots[group.from..group.to];
        let key = StepKey::Appointment(slots[0].source.id.clone());
        let ids = slots.iter().map(|s| s.source.id.clone()).collect();
        if group.step == Some(at) {
            let e = self.evaluate(Some(at), at, self.expected_and_missed(Some(group), at));
            self.flags_at_step(at, &e);
            let line = self.assessment(key, ids, at, &e);
            self.steps.push(line);
            self.looked = Some((at, e));
        } else {
            let e = self.evaluate(Some(at), at, Vec::new());
            let line = self.assessment(key, ids, at, &e);
            self.steps.push(line);
        }
    }

    fn look_at_week(&mut self, at: Timestamp, week: u32) {
        if self.appointments {
            return;
        }
        let e = self.evaluate(Some(at), at, self.expected_and_missed(None, at));
        self.flags_at_step(at, &e);
        let line = self.assessment(StepKey::Week(week), Vec::new(), at, &e);
        self.steps.push(line);
        self.looked = Some((at, e));
    }

    fn step(&mut self, at: Timestamp, key: StepKey, slot: Option<Timestamp>) {
        if self.state.since == Some(at) && self.state.key.is_some() {
            return;
        }
        let e = match self.looked.take() {
            Some((looked, e)) if looked == at => e,
            _ => {
                let e = self.evaluate(Some(at), at, self.expected_and_missed(None, at));
                self.flags_at_step(at, &e);
                e
            }
        };
        if self.ended.is_some() {
            self.intake.clear();
            return;
        }
        self.remember_sources(&e);
        evaluate::commit(&mut self.state, &self.scales, &mut self.instruments, &mut self.intake, &e, self.c);
        self.state.since = Some(at);
        self.state.key = Some(key);
        match slot {
            Some(start) => {
                self.state.slot_steps += 1;
                self.state.slot_passed(start);
                self.quiet.busy = self.quiet.busy.max(Some(at));
            }
            None => self.state.week_steps += 1,
        }
    }

    /// Instruments that no Task asks for, whose usual fill did not come before this step.
    fn expected_and_missed(&self, group: Option<&Group>, at: Timestamp) -> Vec<usize> {
        let step = self.state.steps();
        let cancelled = group.is_some_and(|g| {
            self.record.slots[g.from..g.to].iter().filter(|s| !s.by_service()).all(|s| s.cancelled() && s.known() < at)
        });
        let session = self.state.last_slot.filter(|s| self.state.kept == Some(*s));
        (0..self.instruments.len())
            .filter(|n| {
                let instrument = &self.instruments[*n];
                let due = instrument.measure.role == Role::Outcome && instrument.habit.missed(step, &self.c.rom);
                if !due || !instrument.habit.in_session() {
                    return due && !cancelled;
                }
                // in session: only of one that was kept, and of which nothing came
                session.is_some_and(|start| instrument.habit.last_at.is_none_or(|last| last < start))
            })
            .collect()
    }

    pub(super) fn warming_up(&self) -> bool {
        self.baseline_steps() < self.c.flag.warm_up
    }

    pub(super) fn baseline_steps(&self) -> u32 {
        if self.appointments { self.state.slot_steps } else { self.state.week_steps }
    }

    pub(super) fn key(&self) -> StepKey {
        self.state.key.clone().unwrap_or(StepKey::Client)
    }

    fn moved(&mut self, at: Timestamp, index: usize, n: usize) {
        let slot = self.record.slots[index];
        let (from, to) = (slot.moves[n].from, slot.moves[n].to);
        let twin = self.intake.attendance.iter().any(|a| a.moved == Some((from, to)));
        if twin || self.ended.is_some() || (slot.by_service() && slot.known() <= at) {
            return;
        }
        self.intake.attendance.push(AttendanceItem {
            outcome: AttendanceOutcome::Rescheduled,
            severity: attendance::severity(AttendanceOutcome::Rescheduled),
            moved: Some((from, to)),
            rests_on: vec![slot.source.clone()],
            muted: false,
        });
    }

    fn slot_known(&mut self, at: Timestamp, index: usize) {
        let record = self.record;
        let slot = record.slots[index];
        self.appointments = true;
        if slot.by_service() {
            self.show_slot(slot, AttendanceOutcome::CancelledByService, None);
        } else if slot.cancelled() {
            self.gave_up_time(at);
        }
        let group = record.group_of[index];
        if self.counted_groups[group] {
            return;
        }
        let Some((outcome, index)) = attendance::of_group(record, group, at, &self.c.attendance) else {
            return;
        };
        if outcome == AttendanceOutcome::CancelledByService {
            return;
        }
        self.counted_groups[group] = true;
        let slot = record.slots[index];
        if slot.kept() {
            self.state.kept = self.state.kept.max(Some(slot.start));
        }
        self.show_slot(slot, outcome, attendance::severity(outcome));
    }

    fn show_slot(&mut self, slot: &Slot, outcome: AttendanceOutcome, severity: Option<usize>) {
        let mut rests_on = vec![slot.source.clone()];
        rests_on.extend(slot.also.iter().cloned());
        self.intake.attendance.push(AttendanceItem { outcome, severity, moved: None, rests_on, muted: false });
    }

    fn judged(&mut self, n: usize) {
        let judgement = self.record.judgements[n];
        self.flags.judge(judgement);
        match judgement.verdict {
            Verdict::RuptureNo => {
                self.state.restart(judgement.known, self.c);
                self.intake.mute();
            }
            Verdict::Named => {
                self.state.named = self.c.flag.named_steps;
                self.state.refresh(self.c);
            }
            Verdict::RuptureYes | Verdict::RuptureUnsure | Verdict::SafetyAcknowledged => {}
        }
    }

    fn end(&mut self, n: usize) {
        let ending = self.record.endings[n];
        self.flags.end(ending);
        let lasting = |n: usize| matches!(self.record.endings[n].kind, EndingKind::Inactive | EndingKind::Deceased);
        if self.ended.is_none() || !lasting(self.ended_by) {
            self.ended = Some(ending.at);
            self.ended_by = n;
        }
        self.state.restart(ending.at, self.c);
        self.intake.clear();
    }

    /// Treatment goes on, from where a new client starts; silence counts from the next session on.
    fn resume(&mut self, at: Timestamp, n: usize) {
        if self.ended.is_none() || self.ended_by != n {
            return;
        }
        self.ended = None;
        self.quiet = Silence::default();
        self.state.restart(at, self.c);
        self.intake.clear();
    }

    fn finish(mut self, as_of: Timestamp, next_change: Option<Timestamp>) -> Course {
        let open = self.begun && self.ended.is_none();
        let next = self.record.next_standing(self.standing, as_of, false).copied();
        let interval_days = self.state.interval(next.map(|s| s.start), self.c);
        let open = open.then(|| {
            let e = self.evaluate(next.map(|s| s.start), as_of, Vec::new());
            let ids = self.open_slots(next.map(|s| s.start), as_of);
            let key = match ids.first() {
                Some(id) if next.is_some() => StepKey::Appointment(id.clone()),
                Some(id) => StepKey::After(id.clone()),
                None => StepKey::Client,
            };
            self.assessment(key, ids, as_of, &e)
        });
        Course {
            as_of,
            steps: std::mem::take(&mut self.steps),
            open,
            primary: self.primary.map(|p| self.instruments[p].measure.clone()),
            episodes: self.flags.episodes,
            ended: self.ended,
            next_change,
            interval_days,
        }
    }

    /// The slots that the open assessment is keyed to: those booked next, else the last ones, else those
    /// that were to come and were cancelled.
    fn open_slots(&self, next: Option<Timestamp>, as_of: Timestamp) -> Vec<Arc<str>> {
        let stands = |s: &&Standing| s.from < as_of && s.until >= as_of;
        let placed = |s: &&Standing| s.from < as_of && (s.last || s.until >= as_of);
        let standings = &self.record.standings;
        let start = next
            .or_else(|| {
                let mut past = standings.iter().rev().filter(|s| s.start <= as_of);
                past.find(placed).map(|s| s.start)
            })
            .or_else(|| standings.iter().find(placed).map(|s| s.start));
        let mut ids: Vec<Arc<str>> = standings
            .iter()
            .filter(|s| Some(s.start) == start)
            .filter(|s| if next.is_some() { stands(s) } else { placed(s) })
            .map(|s| self.record.slots[s.slot].source.id.clone())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
