//! The `strain` generator's outward side: what a client does around one session, given how things stand.

use super::chance::{Chance, exp, logistic};
use super::clinic::{self, Leave};
use super::history::*;
use super::person::{self, Person};
use super::strain::Treatment;
use jiff::Timestamp;

/// A reason for a cancellation, where this sender gives one.
pub fn reason(chance: &mut Chance, person: &Person, from: &[&'static str]) -> Option<&'static str> {
    let reason = chance.pick(from);
    person.channels.reasons.then_some(reason)
}

impl Treatment {
    /// Leave is planned and mostly not booked at all; illness cancels what was booked.
    pub fn clinician_away(&mut self, chance: &mut Chance, leave: &Leave, start: Timestamp, booked: Timestamp) -> bool {
        let (ill, conference) = (chance.happens(self.person.sick_clinician), chance.happens(0.01));
        let notice = hours(if ill { chance.whole(2, 20) } else { chance.whole(100, 400) });
        if !ill && !conference {
            return false;
        }
        debug_assert!(!leave.covers(start));
        let reason = Some(if ill { "prov" } else { "prov-edu" });
        self.slot(start, booked, Fate::Cancelled { at: (start - notice).max(booked + hours(1)), reason });
        if self.person.sick_clinician > 0.05 {
            self.happened.push("clinician-cancels");
        }
        true
    }

    /// Homework comes back, measures are filled in.
    pub fn between_sessions(&mut self, chance: &mut Chance, last: Timestamp, start: Timestamp, session: usize) {
        self.do_homework(chance, start);
        let bounced = self.person.bounced.is_some_and(|(from, to)| (from..to).contains(&session));
        if bounced && !self.person.channels.outcome.is_empty() {
            self.happened.push("bounced");
        }
        // One mood for all forms of one evening.
        let mood = chance.normal(0.0, 0.5);
        for instrument in self.person.channels.outcome.clone() {
            self.fill_in(chance, instrument, last, start, mood, bounced);
        }
    }

    fn fill_in(
        &mut self,
        chance: &mut Chance,
        instrument: Instrument,
        last: Timestamp,
        start: Timestamp,
        mood: f64,
        bounced: bool,
    ) {
        let shown = self.strain.shown(1.25, 0.5) * self.person.shows.measures;
        let tired = self.person.fatigue * self.filled as f64;
        let will = self.person.fills + mood - shown - 0.6 * self.burden - tired;
        let fills = chance.happens(logistic(will)) && !bounced;
        let asked = person::asked_at(start);
        let at = clinic::moment_between(chance, asked.max(last + hours(2)), start - minutes(5));
        let answer = fills.then(|| {
            let skips = self.person.skips + 0.9 * shown + 3.0 * tired.min(0.7);
            let answers = self.symptoms.answer(chance, instrument, self.strain.now(), skips);
            // Forms go faster with practice, and faster still where the heart is not in it.
            let practice = 0.12 * super::chance::ln(1.0 + self.filled as f64);
            let pace = chance.normal(0.0, 0.25) - practice - 0.24 * shown - 0.8 * tired.min(0.6);
            let items = match &answers {
                Answers::Items(answers) => answers.iter().flatten().count() as f64,
                _ => 4.0,
            };
            let seconds = (self.person.seconds_per_item * exp(pace) * items).max(4.0);
            self.history.forms.push(Form {
                instrument,
                at,
                answers,
                seconds: self.person.channels.timed.then_some(seconds),
                finished: !chance.happens(logistic(-5.5 + shown)),
            });
            self.filled += 1;
            self.history.forms.len() - 1
        });
        if self.person.channels.asked_by_task {
            let withdrawn = bounced.then_some(asked + hours(1));
            self.history.asks.push(Ask { instrument, asked, due: start, answer, withdrawn });
        }
    }

    fn do_homework(&mut self, chance: &mut Chance, start: Timestamp) {
        let Some(assigned) = self.pending.take() else { return };
        let shown = self.strain.shown(1.3, 0.8) * self.person.shows.homework;
        // Who is well needs it less; homework quality falls slowly over treatment (Haller & Watzke 2021).
        let effort = self.person.diligence + chance.normal(0.0, 0.85)
            - shown
            - 0.8 * self.burden
            - 0.9 * self.symptoms.wellness()
            - 0.01 * self.filled as f64;
        let channels = &self.person.channels;
        let due = channels.due_dates.then_some(start - hours(chance.whole(1, 20)));
        let limit = due.unwrap_or(start - hours(1));
        let late = chance.happens(0.06) && effort < 0.8;
        let refused = self.strain.confrontation && chance.happens(0.12 * self.strain.now());
        let (result, share) = if refused {
            (HomeworkResult::Rejected(clinic::moment_between(chance, assigned, limit)), 0.0)
        } else if effort > -0.6 {
            let done = if late { limit + minutes(50) } else { clinic::moment_between(chance, assigned, limit) };
            (HomeworkResult::Done(done), if effort > 0.35 { 1.0 } else { 0.35 + 0.5 * (effort + 0.6) })
        } else if chance.happens(0.25) {
            (HomeworkResult::Failed(start - minutes(1)), 0.0)
        } else {
            (HomeworkResult::Open, 0.0)
        };
        let done = share > 0.0;
        // Quality of done homework: M 2.71 of 4, SD .74 (Haller & Watzke 2021).
        let quality = (2.45 + 0.45 * effort + chance.normal(0.0, 0.5)).round().clamp(0.0, 4.0) as i64;
        let words = self.person.words * exp(0.3 * effort + chance.normal(0.0, 0.35));
        let homework = Homework {
            title: clinic::homework_title(chance),
            assigned,
            due,
            result,
            percent: done.then_some((share * 20.0).round() as i64 * 5),
            quality: (done && channels.rates_quality).then_some(quality),
            minutes: None,
            words: (done && channels.counts_words).then_some(words.round() as i64),
        };
        self.history.homework.push(homework);
    }

    /// What was still open when the client left.
    pub fn overdue_homework(&mut self, start: Timestamp) {
        let Some(assigned) = self.pending.take() else { return };
        self.history.homework.push(Homework {
            title: "Mood diary",
            assigned,
            due: self.person.channels.due_dates.then_some(start - hours(2)),
            result: HomeworkResult::Open,
            percent: None,
            quality: None,
            minutes: None,
            words: None,
        });
    }

    /// Comes, comes late, moves it, calls it off, or is not there. True if the session took place.
    pub fn attend(&mut self, chance: &mut Chance, start: Timestamp, booked: Timestamp) -> bool {
        let shown = self.strain.shown(1.15, 0.45) * self.person.shows.attendance;
        let trouble = chance.happens(logistic(self.person.trouble + shown + 0.9 * self.burden));
        let late = chance.happens(logistic(self.person.late + 0.8 * shown));
        if !trouble {
            let minutes_late = if late { 8 + chance.waiting(7.0) as i64 } else { chance.whole(-4, 4).max(0) };
            let late = self.person.channels.lateness(minutes_late.min(35));
            self.slot(start, booked, Fate::Kept { late });
            return true;
        }
        let notice = hours(1 + chance.waiting(26.0).min(90.0) as i64);
        let called = (start - notice).max(booked + hours(1));
        // No-shows, not cancellations, go with less change (Xiao 2017): silence grows with strain.
        let silent = (self.person.silent + 0.12 * shown).min(0.9);
        let willing = chance.happens(0.55 - 0.2 * shown.min(1.5));
        let elsewhere = start + days(chance.whole(1, 3));
        if chance.happens(silent) || called >= start - minutes(30) {
            self.slot(start, booked, Fate::NoShow);
            return false;
        }
        let reason = reason(chance, &self.person, &["pat", "pat-crs", "pat-crs"]);
        if !willing {
            self.slot(start, booked, Fate::Cancelled { at: called, reason });
            return false;
        }
        let rebooked = chance.happens(0.5);
        if rebooked {
            self.slot(start, booked, Fate::Cancelled { at: called, reason });
            self.slot(elsewhere, called + hours(1), Fate::Kept { late: None });
        } else {
            self.slot(elsewhere, booked, Fate::Kept { late: None });
            self.history.slots.last_mut().expect("just made").moved = Some((start, called));
        }
        true
    }

    /// At a kept session: the alliance scale at its end, and new homework.
    pub fn in_session(&mut self, chance: &mut Chance, session: usize) {
        let kept = self.history.slots.last().expect("just kept").start;
        let end = kept + minutes(SESSION_MINUTES);
        self.rate_alliance(chance, session, end);
        if self.person.channels.homework && chance.happens(0.86) {
            self.pending = Some(end);
        }
    }

    fn rate_alliance(&mut self, chance: &mut Chance, session: usize, end: Timestamp) {
        let Some(instrument) = self.person.channels.alliance else { return };
        // Politeness: some never say it on paper.
        let said = self.strain.shown(1.7, 3.2) * self.person.shows.scales;
        let score = (self.person.alliance - said + chance.normal(0.0, 1.6)).clamp(4.0, 40.0);
        let fills = chance.happens(logistic(2.6 - 0.5 * self.strain.now()));
        let answers = match instrument {
            Instrument::WaiSr if session % 4 == 1 => {
                let part = |chance: &mut Chance| (score / 2.0 + chance.normal(-0.5, 1.0)).round().clamp(4.0, 20.0);
                Answers::Alliance([part(chance), part(chance), part(chance)])
            }
            Instrument::WaiSr => return,
            _ => Answers::Total((score * 10.0).round() / 10.0),
        };
        if fills {
            let at = end + minutes(chance.whole(1, 15));
            self.history.forms.push(Form { instrument, at, answers, seconds: None, finished: true });
        }
    }
}
