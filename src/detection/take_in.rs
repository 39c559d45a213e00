//! Homework and questionnaires, taken in as they become known.

use super::alliance;
use super::evaluate;
use super::homework;
use super::intake::{AllianceItem, HomeworkItem, RomItem, ScoreItem, SpeedItem};
use super::pass::{Due, Pass};
use super::rom_engagement as rom;
use super::rom_trajectory::Trajectory;
use super::state::{instrument, primary};
use crate::domain::*;
use jiff::Timestamp;

impl Pass<'_> {
    pub(super) fn homework_known(&mut self, at: Timestamp, index: usize) {
        let h = self.record.homework[index];
        if h.state == HomeworkState::Open {
            return;
        }
        if !self.counted_homework[index] {
            self.take_homework(at, index);
        } else if let Some(item) = self.intake.homework.iter_mut().find(|i| i.index == index) {
            // past its time, but handed in before the step: late, not missing
            let outcome = homework::outcome(h, at, &self.c.homework);
            item.severity = homework::severity(h, outcome, &self.c.homework);
            item.content = homework::content(h, outcome);
            item.seen = seen(h, outcome, item.seen.justified);
        }
    }

    pub(super) fn homework_due(&mut self, at: Timestamp, index: usize) {
        if !self.counted_homework[index] {
            self.take_homework(at, index);
        }
    }

    fn take_homework(&mut self, at: Timestamp, index: usize) {
        self.counted_homework[index] = true;
        if self.ended.is_some() {
            return;
        }
        let h = self.record.homework[index];
        let outcome = homework::outcome(h, at, &self.c.homework);
        let justified = self
            .primary
            .and_then(|p| self.instruments[p].trajectory.as_ref())
            .map_or(0.0, |t| t.improvement(self.c.homework.justification_rci));
        self.intake.homework.push(HomeworkItem {
            index,
            severity: homework::severity(h, outcome, &self.c.homework),
            content: homework::content(h, outcome),
            excuse: self.c.homework.justification * justified,
            seen: seen(h, outcome, justified),
            muted: false,
        });
    }

    pub(super) fn asked(&mut self, index: usize) {
        self.dues[index] = Due::Waiting;
        if let Some(measure) = &self.record.dues[index].measure {
            let n = instrument(&mut self.instruments, measure);
            self.instruments[n].habit.asked = true;
        }
    }

    /// The time of a measure has passed. Of a questionnaire that is no known measure, or whose response was
    /// never sent to us, nobody can tell how it was filled in.
    pub(super) fn measure_due(&mut self, index: usize) {
        if self.dues[index] == Due::Waiting {
            let due = self.record.dues[index];
            let unread = due.response.as_ref().is_some_and(|response| self.form(response).is_none());
            if due.measure.is_none() || unread {
                self.dues[index] = Due::Settled;
            } else {
                self.dues[index] = Due::Missed;
                self.take_due(index, RomOutcome::Missed, 0);
            }
        }
    }

    /// The Task says it was done: whole, until the form itself says otherwise.
    pub(super) fn measure_done(&mut self, index: usize) {
        let open = match self.dues[index] {
            Due::Waiting => true,
            Due::Missed => self.intake.rom.iter().any(|item| item.due == Some(index)),
            Due::Unknown | Due::Done | Due::Settled => false,
        };
        if open {
            self.dues[index] = Due::Done;
            self.intake.rom.retain(|item| item.due != Some(index));
            if let Some(measure) = &self.record.dues[index].measure {
                self.take_due(index, RomOutcome::Complete, measure.items);
            }
        }
    }

    fn take_due(&mut self, index: usize, outcome: RomOutcome, answered: u16) {
        let due = self.record.dues[index];
        let (Some(measure), None) = (&due.measure, self.ended) else { return };
        self.intake.rom.push(RomItem {
            due: Some(index),
            severity: rom::severity(outcome, 0),
            seen: RomSeen {
                source: None,
                task: Some(due.source.clone()),
                measure: Some(measure.clone()),
                outcome,
                answered,
                expected: measure.items,
                newly_skipped: 0,
                seconds: None,
            },
            muted: false,
        });
    }

    fn form(&self, source: &Source) -> Option<&Administration> {
        self.record.administrations.iter().copied().find(|a| a.source == *source)
    }

    /// The Task this form answers: the one that names it, else the one asked last of the same measure that
    /// still waits, or was settled without a form since the last step.
    fn answered_due(&self, index: usize) -> Option<usize> {
        let form = self.record.administrations[index];
        let same = |d: usize| {
            let measure = self.record.dues[d].measure.as_ref();
            measure.is_some_and(|m| m.canonical == form.measure.canonical)
        };
        let names = |d: usize| self.record.dues[d].response.as_ref() == Some(&form.source);
        let asked = |d: usize| self.dues[d] != Due::Unknown;
        if self.record.claimed[index] {
            return (0..self.dues.len()).find(|d| asked(*d) && same(*d) && names(*d));
        }
        (0..self.dues.len()).rev().find(|d| {
            let open = match self.dues[*d] {
                Due::Waiting => true,
                Due::Missed | Due::Done => self.intake.rom.iter().any(|item| item.due == Some(*d)),
                Due::Unknown | Due::Settled => false,
            };
            // one Task may ask for several measures and name the response to one of them
            let other = self.record.dues[*d].response.as_ref().and_then(|r| self.form(r));
            let named = self.record.dues[*d].response.is_some()
                && other.is_none_or(|f| f.measure.canonical == form.measure.canonical);
            open && same(*d) && !named
        })
    }

    pub(super) fn filled_in(&mut self, at: Timestamp, index: usize) {
        let form = self.record.administrations[index];
        self.flags.safety_answered(form);
        let n = instrument(&mut self.instruments, &form.measure);
        let due = self.answered_due(index);
        if let Some(due) = due {
            self.dues[due] = Due::Settled;
            self.intake.rom.retain(|item| item.due != Some(due));
        }
        let fill = self.instruments[n].habit.fill(form, &self.c.rom);
        let outcome_measure = form.measure.role == Role::Outcome;
        if self.ended.is_none() && (outcome_measure || due.is_some()) {
            self.intake.rom.push(RomItem {
                due,
                severity: rom::severity(fill.outcome, fill.newly_skipped),
                seen: RomSeen {
                    source: Some(form.source.clone()),
                    task: due.map(|d| self.record.dues[d].source.clone()),
                    measure: Some(form.measure.clone()),
                    outcome: fill.outcome,
                    answered: form.answered() as u16,
                    expected: form.measure.items,
                    newly_skipped: fill.newly_skipped,
                    seconds: form.seconds,
                },
                muted: false,
            });
            if let Some(pace) = fill.pace.filter(|_| outcome_measure) {
                let value = pace.ln();
                self.intake.speed.push(SpeedItem {
                    instrument: n,
                    value,
                    evidence: evaluate::speed(value, &self.instruments[n], self.c),
                });
            }
        }
        let around = self.in_session(at);
        let step = self.state.steps();
        self.instruments[n].habit.remember(form, step, around, at);
        if let Some(score) = form.score.filter(|_| form.finished) {
            if outcome_measure {
                self.take_score(at, index, n, score);
            } else if self.ended.is_none() {
                self.take_alliance(index, n, score);
            }
        }
    }

    /// During a session or soon after: within six hours of its start.
    fn in_session(&self, at: Timestamp) -> bool {
        self.state.last_slot.is_some_and(|s| super::record::days(s, at) <= 0.25)
    }

    fn take_score(&mut self, at: Timestamp, index: usize, n: usize, score: f64) {
        let form = self.record.administrations[index];
        let (Some(u), Some(rci)) = (form.measure.u(score), form.measure.rci) else { return };
        let slot = self.state.steps();
        let c = self.c;
        let instrument = &mut self.instruments[n];
        let points = |u: f64| match form.measure.worse {
            Worse::Up => form.measure.min + u * rci / 6.0,
            Worse::Down => form.measure.max - u * rci / 6.0,
        };
        let said = match &mut instrument.trajectory {
            None => {
                instrument.trajectory = Some(Trajectory::new(slot, u, form.source.clone(), &c.trajectory));
                None
            }
            Some(t) => {
                let said = t.add(slot, u, form.source.clone(), &c.trajectory, c.shrink);
                t.judge(instrument.cutoff_u, &c.trajectory, &c.not_on_track);
                Some(said)
            }
        };
        let Some(t) = &instrument.trajectory else { return };
        let (low, high) = t.expected(slot, &c.trajectory, &c.not_on_track);
        let inside_run = t.inside_run;
        let (low, high) = (points(low), points(high));
        let within = |score: f64| score.clamp(form.measure.min, form.measure.max);
        if self.ended.is_none() {
            self.intake.scores.push(ScoreItem {
                instrument: n,
                predicted: points(said.map_or(u, |s| s.predicted)),
                evidence: said.map(|s| s.evidence),
                seen: ScoreSeen {
                    source: form.source.clone(),
                    at,
                    measure: form.measure.clone(),
                    score,
                    expected: (within(low.min(high)), within(low.max(high))),
                    innovation: said.map_or(0.0, |s| s.z),
                },
            });
        }
        self.primary = Some(primary(&mut self.instruments, self.primary, n));
        if self.primary == Some(n) {
            if self.flags.not_on_track() {
                if inside_run >= c.not_on_track.inside_scores {
                    self.flags.close_not_on_track(at, Closing::Resolved);
                }
            } else {
                self.raise_not_on_track(at);
            }
        }
    }

    fn take_alliance(&mut self, index: usize, n: usize, score: f64) {
        let instrument = &self.instruments[n];
        let own = &instrument.alliance;
        let worse = alliance::drop(&instrument.measure, own, score, &self.c.alliance);
        let c = &self.c.alliance;
        let change = worse.map(|w| alliance::evidence(w, own.count, c.effect, self.c.shrink));
        let level = alliance::below_cutoff(&instrument.measure, score, c).map(|z| alliance::level(z, c.level_effect));
        let evidence = match (change, level) {
            (Some(a), Some(b)) => Some([a[0] + b[0], a[1] + b[1]]),
            (a, b) => a.or(b),
        };
        self.intake.alliance.push(AllianceItem {
            instrument: n,
            administration: index,
            score,
            worse: worse.map(|worse| (worse, own.mean)),
            evidence,
        });
    }
}

fn seen(h: &Homework, outcome: HomeworkOutcome, justified: f64) -> HomeworkSeen {
    HomeworkSeen {
        source: h.source.clone(),
        outcome,
        due: h.due,
        quality: h.quality,
        minutes: h.minutes,
        words: h.words,
        completion: h.completion,
        title: h.title.clone(),
        declined: h.declined && outcome == HomeworkOutcome::NotDone,
        justified,
    }
}
