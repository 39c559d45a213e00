//! The `regimes` generator's outward side: habits with memory. A missed session makes the next miss likelier,
//! homework done makes homework easier, a question skipped once is skipped again, and every answer to a
//! questionnaire is noisy by itself (a graded response model).

use super::chance::{Chance, exp, logistic};
use super::clinic;
use super::history::*;
use super::person::Channels;
use super::regimes::{Regime, Severity, reason, some_time, tilted};
use jiff::Timestamp;

/// How things stand before one session.
pub struct Week {
    pub regime: Regime,
    /// A crisis or busy weeks: trouble that is none of the alliance's.
    pub burden: bool,
    pub wrong_address: bool,
    /// The slot before, and this one.
    pub last: Timestamp,
    pub start: Timestamp,
}

pub struct Acts {
    pub channels: Channels,
    /// Chance of missing after a session that was kept, and after one that was missed.
    miss: [f64; 2],
    announces: f64,
    late: f64,
    /// Homework as a habit: stock, what doing it adds, what leaving it takes.
    habit: f64,
    gain: f64,
    loss: f64,
    fills: f64,
    tires: f64,
    /// Per question: how hard it is to endorse, and whether it is being skipped.
    hardness: [f64; 9],
    skipped: [bool; 9],
    seconds: f64,
    candour: f64,
    rating: f64,
    forms: usize,
    pub missed_in_a_row: usize,
    pending: Option<Timestamp>,
    sessions: usize,
    unreliable: bool,
}

impl Acts {
    pub fn draw(chance: &mut Chance, channels: Channels) -> Acts {
        let unreliable = chance.happens(0.16);
        // Own history predicts no-shows at AUC .72-.81 (several): lasting differences, and streaks.
        let miss = if unreliable {
            [chance.within(0.22, 0.06, 0.1, 0.4), chance.within(0.34, 0.08, 0.15, 0.6)]
        } else {
            [chance.within(0.055, 0.025, 0.01, 0.15), chance.within(0.12, 0.05, 0.02, 0.3)]
        };
        let mut hardness = [0.0; 9];
        for question in &mut hardness {
            *question = chance.normal(0.0, 0.6);
        }
        hardness[8] = chance.normal(3.2, 0.9);
        Acts {
            channels,
            miss,
            announces: chance.within(0.65, 0.2, 0.1, 0.95),
            late: chance.within(0.07, 0.06, 0.0, 0.4),
            habit: chance.within(0.72, 0.2, 0.1, 0.98),
            gain: chance.within(0.12, 0.05, 0.02, 0.3),
            loss: chance.within(0.1, 0.05, 0.02, 0.3),
            fills: chance.within(0.9, 0.1, 0.3, 0.995),
            tires: if chance.happens(0.15) { chance.within(0.03, 0.01, 0.01, 0.06) } else { 0.0 },
            hardness,
            skipped: [false; 9],
            seconds: chance.log_normal(5.0, 0.3),
            candour: chance.within(0.75, 0.35, 0.0, 1.5),
            rating: chance.within(36.8, 1.7, 30.0, 39.5),
            forms: 0,
            missed_in_a_row: 0,
            pending: None,
            sessions: 0,
            unreliable,
        }
    }

    pub fn traits(&self) -> Vec<&'static str> {
        let mut traits = Vec::new();
        if self.unreliable {
            traits.push("unreliable");
        }
        if self.tires > 0.0 {
            traits.push("questionnaire-fatigue");
        }
        traits
    }

    pub fn slot(&self, history: &mut History, start: Timestamp, booked: Timestamp, fate: Fate) {
        let encounter = self.channels.encounters;
        history.slots.push(Slot { start, booked, therapist: 0, fate, moved: None, encounter });
    }

    /// Not there, and not there again.
    pub fn gone(
        &mut self,
        chance: &mut Chance,
        history: &mut History,
        start: Timestamp,
        booked: Timestamp,
        interval: i64,
    ) {
        let mut at = start;
        let mut known = booked;
        for _ in 0..chance.whole(1, 3) {
            let fate = if chance.happens(0.5) {
                Fate::NoShow
            } else {
                let told = (at - hours(chance.whole(1, 70))).max(known + minutes(30));
                Fate::Cancelled { at: told, reason: reason(chance, &self.channels, Regime::Drifting) }
            };
            self.slot(history, at, known, fate);
            known = at + hours(30);
            at += days(interval);
        }
        if let Some(assigned) = self.pending.take() {
            let homework = self.left_undone(chance, assigned, start);
            history.homework.push(homework);
        }
    }

    /// True if the session took place.
    pub fn comes(&mut self, chance: &mut Chance, history: &mut History, week: &Week, booked: Timestamp) -> bool {
        let (regime, start) = (week.regime, week.start);
        let tilt = match regime {
            Regime::Drifting => 1.15,
            Regime::Disputing => 0.7,
            Regime::Mending => 0.3,
            Regime::Settling => 0.15,
            Regime::Working => 0.0,
        } + if week.burden { 0.9 } else { 0.0 };
        let misses = chance.happens(tilted(self.miss[self.missed_in_a_row.min(1)], tilt));
        let late = chance.happens(tilted(self.late, 0.8 * tilt));
        let minutes_late = if late { chance.whole(8, 25) } else { chance.whole(0, 5) };
        if !misses {
            self.missed_in_a_row = 0;
            let late = self.channels.lateness(minutes_late);
            self.slot(history, start, booked, Fate::Kept { late });
            return true;
        }
        self.missed_in_a_row += 1;
        let announced = chance.happens(self.announces - if regime == Regime::Drifting { 0.15 } else { 0.0 });
        let told = (start - hours(chance.whole(1, 60))).max(booked + minutes(30));
        let again = chance.happens(if regime.ruptured() { 0.22 } else { 0.45 });
        let why = reason(chance, &self.channels, regime);
        if !announced || told >= start {
            self.slot(history, start, booked, Fate::NoShow);
            return false;
        }
        self.slot(history, start, booked, Fate::Cancelled { at: told, reason: why });
        if again {
            let instead = start + days(chance.whole(1, 4));
            self.slot(history, instead, told + minutes(40), Fate::Kept { late: None });
        }
        again
    }

    pub fn in_session(&mut self, chance: &mut Chance, history: &mut History, regime: Regime) {
        self.sessions += 1;
        let held = history.slots.last().expect("just kept").start;
        let end = held + minutes(SESSION_MINUTES);
        let sets = chance.happens(0.82);
        self.pending = (self.channels.homework && sets).then_some(end);
        let down = match regime {
            Regime::Disputing => chance.within(5.5, 2.5, 0.5, 14.0),
            Regime::Drifting => chance.within(2.2, 1.4, -1.0, 7.0),
            Regime::Mending => chance.within(1.5, 1.5, -1.0, 6.0),
            Regime::Settling | Regime::Working => 0.0,
        };
        let score = self.rating - self.candour * down + chance.normal(0.0, 1.4);
        let fills = chance.happens(if regime.ruptured() { 0.86 } else { 0.94 });
        let answers = match self.channels.alliance {
            Some(Instrument::Srs) => Answers::Total(score.clamp(0.0, 40.0).round()),
            Some(Instrument::WaiSr) if self.sessions % 3 == 1 => {
                let part = |shift: f64| (score / 2.0 - 1.0 + shift).round().clamp(4.0, 20.0);
                Answers::Alliance([
                    part(chance.normal(0.0, 1.2)),
                    part(chance.normal(0.0, 1.2)),
                    part(chance.normal(0.5, 1.2)),
                ])
            }
            _ => return,
        };
        if fills {
            let instrument = self.channels.alliance.expect("matched above");
            let at = end + minutes(chance.whole(1, 8));
            history.forms.push(Form { instrument, at, answers, seconds: None, finished: true });
        }
    }

    pub fn between(&mut self, chance: &mut Chance, history: &mut History, week: &Week, severity: &Severity) {
        if let Some(assigned) = self.pending.take() {
            let homework = self.homework(chance, week, severity, assigned);
            history.homework.push(homework);
        }
        for instrument in self.channels.outcome.clone() {
            self.form(chance, history, instrument, week, severity);
        }
    }

    fn homework(&mut self, chance: &mut Chance, week: &Week, severity: &Severity, assigned: Timestamp) -> Homework {
        let start = week.start;
        let well = ((severity.first - severity.level) / 10.0).clamp(0.0, 1.0);
        let tilt = match week.regime {
            Regime::Drifting => -1.5,
            Regime::Disputing => -1.0,
            Regime::Mending => -0.3,
            Regime::Settling | Regime::Working => 0.0,
        } - 0.8 * well
            - if week.burden { 0.9 } else { 0.0 };
        let does = chance.happens(tilted(self.habit, tilt));
        let half = chance.happens(logistic(-1.4 - 0.5 * tilt));
        self.habit = (self.habit + if does { self.gain * (1.0 - self.habit) } else { -self.loss * self.habit })
            .clamp(0.05, 0.98);
        if !does {
            return self.left_undone(chance, assigned, start);
        }
        let due = self.channels.due_dates.then_some(start - hours(3));
        let limit = due.unwrap_or(start - hours(1));
        let share = if half { chance.whole(3, 8) * 10 } else { 100 };
        let spent = chance.log_normal(25.0, 0.4) * if half { 0.5 } else { 1.0 } * exp(0.15 * tilt);
        let quality = (2.9 + 0.5 * tilt + chance.normal(0.0, 0.6)).round().clamp(0.0, 4.0) as i64;
        Homework {
            title: clinic::homework_title(chance),
            assigned,
            due,
            result: HomeworkResult::Done(some_time(chance, assigned, limit)),
            percent: (half || self.channels.rates_quality).then_some(share),
            quality: self.channels.rates_quality.then_some(quality),
            minutes: self.channels.counts_words.then_some((spent.round() as i64).max(1)),
            words: None,
        }
    }

    fn left_undone(&self, chance: &mut Chance, assigned: Timestamp, start: Timestamp) -> Homework {
        let said = chance.happens(0.3);
        Homework {
            title: clinic::homework_title(chance),
            assigned,
            due: self.channels.due_dates.then_some(start - hours(3)),
            result: if said { HomeworkResult::Failed(start - minutes(2)) } else { HomeworkResult::Open },
            percent: None,
            quality: None,
            minutes: None,
            words: None,
        }
    }

    fn form(
        &mut self,
        chance: &mut Chance,
        history: &mut History,
        instrument: Instrument,
        week: &Week,
        severity: &Severity,
    ) {
        let start = week.start;
        let tilt = match week.regime {
            Regime::Drifting => -1.5,
            Regime::Disputing => -0.6,
            Regime::Mending => -0.2,
            Regime::Settling | Regime::Working => 0.0,
        } - if week.burden { 0.7 } else { 0.0 };
        let will = tilted((self.fills - self.tires * self.forms as f64).max(0.05), tilt);
        let fills = chance.happens(will) && !week.wrong_address;
        let asked = start - hours(30);
        let careless = chance.happens(logistic(-3.2 - 1.1 * tilt + 2.0 * self.tires * self.forms as f64));
        let answers = self.answers(chance, instrument, severity, -tilt);
        let answer = fills.then(|| {
            let count = match &answers {
                Answers::Items(items) => items.iter().flatten().count() as f64,
                _ => 4.0,
            };
            let practised = 1.0 - 0.3 * (1.0 - exp(-0.25 * self.forms as f64));
            let each = self.seconds * practised * chance.log_normal(if careless { 0.4 } else { 1.0 }, 0.2);
            let at = some_time(chance, asked.max(week.last + hours(3)), start - minutes(10));
            let seconds = self.channels.timed.then_some((each * count).max(3.0));
            history.forms.push(Form { instrument, at, answers, seconds, finished: true });
            self.forms += 1;
            history.forms.len() - 1
        });
        if self.channels.asked_by_task {
            let withdrawn = week.wrong_address.then_some(asked + hours(2));
            history.asks.push(Ask { instrument, asked, due: start - minutes(5), answer, withdrawn });
        }
    }

    /// Each question by itself: an ordered logit on the level, less the question's hardness.
    fn answers(&mut self, chance: &mut Chance, instrument: Instrument, severity: &Severity, pull: f64) -> Answers {
        if instrument == Instrument::Ors {
            return Answers::Total((38.5 - 1.2 * severity.level + chance.normal(0.0, 2.2)).clamp(0.0, 40.0).round());
        }
        let questions = if instrument == Instrument::Gad7 { 7 } else { 9 };
        let mut answers = Vec::with_capacity(questions);
        for question in 0..questions {
            let skips = if self.skipped[question] { 0.7 } else { 0.008 };
            self.skipped[question] = chance.happens(tilted(skips, 0.9 * pull));
            let pressure = 0.33 * (severity.level - 13.5) - self.hardness[question] + chance.normal(0.0, 0.9);
            let answer = [-1.9, 0.0, 1.9].iter().filter(|step| pressure > **step).count() as u8;
            answers.push((!self.skipped[question]).then_some(answer));
        }
        Answers::Items(answers)
    }

    /// Days to the next session.
    pub fn gap(&mut self, chance: &mut Chance, regime: Regime, interval: i64, kept: bool) -> i64 {
        let more = match regime {
            Regime::Drifting => 0.1,
            Regime::Disputing | Regime::Mending => 0.05,
            Regime::Settling | Regime::Working => 0.025,
        };
        let asks = chance.happens(more);
        interval * if asks && kept { 2 } else { 1 }
    }
}
