//! The `chain` generator: a hidden Markov chain of three states drives everything a client does, as in the
//! simulation that the design reports figures of: aligned, withdrawing, ruptured, moving from session to session,
//! with no memory but the state. Every client has attendance, homework and measures in the record; what differs
//! is the client. Beside the chain stand clients who are unreliable whatever the alliance, clients who tire of
//! questionnaires, life events, clinicians who cancel, and holidays.
//!
//! It shares the clinic and the language of [`super::history`] with the other generators, and nothing else; its
//! numbers are its own and were set before any detector was run on it.

use super::chance::{Chance, exp, logistic};
use super::history::*;
use super::{Label, Rupture, clinic, names};
use jiff::Timestamp;
use std::ops::Range;

/// Index of a hidden state in the tables below.
type State = usize;
const ALIGNED: State = 0;

/// Chances of each state at the next session, by the state now. 46-50 % of clients have a rupture (McLaughlin
/// 2014; Stevens 2007); a decline lasts up to six sessions (Gumz 2012).
const MOVES: [[f64; 3]; 3] = [[0.957, 0.034, 0.009], [0.16, 0.60, 0.24], [0.13, 0.05, 0.82]];
/// Chance of not coming back after a session, by state: 19.7 % leave in all (Swift & Greenberg 2012).
const LEAVES: [f64; 3] = [0.004, 0.035, 0.12];
/// How far each state shifts the log-odds of a bad outcome: in attendance, homework, filling in, skipping.
const SHIFTS: [[f64; 4]; 3] = [[0.0; 4], [0.65, 1.0, 0.9, 0.8], [1.2, 1.75, 1.6, 1.5]];
/// What is lost on homework quality (0-4), on the log of words, on the log of seconds an item, on the SRS.
const LOSSES: [[f64; 4]; 3] = [[0.0; 4], [0.5, 0.25, 0.1, 1.3], [0.95, 0.5, 0.22, 3.2]];

struct Person {
    /// Log-odds of trouble with a session, of homework not done, of a measure not filled in, of an item skipped.
    bad: [f64; 4],
    /// Share of homework that is done in part, and of trouble that is silent.
    partly: f64,
    silent: f64,
    late: f64,
    quality: f64,
    words: f64,
    seconds: f64,
    /// Log-odds that each form takes from the next.
    tires: f64,
    first_score: f64,
    pace: f64,
    alliance: Option<f64>,
    kinds: Vec<&'static str>,
}

impl Person {
    fn draw(chance: &mut Chance) -> Person {
        // One in six is unreliable, in everything a little and in coming most: lasting differences between
        // clients predict no-shows at AUC .72-.81 (several).
        let unreliable = chance.happens(0.16);
        let tires = chance.happens(0.14);
        let less = if unreliable { 1.0 } else { 0.0 };
        let mut kinds = Vec::new();
        if unreliable {
            kinds.push("unreliable");
        }
        if tires {
            kinds.push("questionnaire-fatigue");
        }
        Person {
            bad: [
                chance.normal(-2.7, 0.45) + 1.4 * less,
                chance.normal(-1.6, 0.7) + 0.9 * less,
                chance.normal(-2.6, 0.7) + 0.9 * less,
                chance.normal(-5.0, 0.5),
            ],
            partly: chance.within(0.3, 0.12, 0.05, 0.7),
            silent: chance.within(0.35, 0.15, 0.05, 0.9),
            late: chance.normal(-2.5, 0.6) + 0.6 * less,
            // Quality of homework: M 2.71 of 4, SD .74 (Haller & Watzke 2021), of which half lies between people.
            quality: chance.normal(2.75, 0.5),
            words: chance.log_normal(80.0, 0.5),
            seconds: chance.log_normal(5.2, 0.35),
            tires: if tires { chance.within(0.16, 0.05, 0.06, 0.3) } else { 0.0 },
            first_score: chance.within(15.0, 4.4, 5.0, 26.0),
            pace: chance.within(0.5, 0.3, -0.2, 1.3),
            alliance: chance.happens(0.4).then(|| chance.normal(36.6, 1.7)),
            kinds,
        }
    }
}

struct Course {
    person: Person,
    history: History,
    score: f64,
    forms: usize,
    /// Homework given at the last kept session.
    given: Option<Timestamp>,
}

pub fn life(chance: &mut Chance, patient: String) -> (History, Label) {
    let identity = names::identity(chance);
    let therapists = vec![names::therapist("sim", chance.whole(0, 7) as usize)];
    let person = Person::draw(chance);
    let leave = clinic::Leave::draw(chance);
    let sessions = chance.log_normal(17.0, 0.4).clamp(5.0, 45.0) as i64;
    let interval = if chance.happens(0.08) { 14 } else { 7 };
    let life_event = spell(chance, 0.2, sessions, 2, 5);
    let clinician = spell(chance, 0.15, sessions, 1, 3);
    let mut start = leave.next_open(clinic::first_session(chance));
    let mut booked = start - days(chance.whole(4, 30));
    let began = booked;
    let mut kinds = person.kinds.clone();
    let mut course = Course {
        score: person.first_score,
        person,
        history: History {
            patient: patient.clone(),
            identity,
            therapists,
            slots: Vec::new(),
            asks: Vec::new(),
            forms: Vec::new(),
            homework: Vec::new(),
            episode: None,
        },
        forms: 0,
        given: None,
    };
    let mut state = ALIGNED;
    let mut ruptures: Vec<Rupture> = Vec::new();
    let mut dropout = None;
    let mut last = start - days(interval);
    let mut session = 0;
    while session < sessions {
        session += 1;
        if start >= clinic::records_end() {
            course.slot(start, booked.min(clinic::records_end() - days(1)), Fate::Booked);
            break;
        }
        if clinician.contains(&session) {
            kinds.push("clinician-cancels");
            let at = (start - hours(chance.whole(3, 50))).max(booked + hours(1));
            course.slot(start, booked, Fate::Cancelled { at, reason: Some("prov-pers") });
            start = leave.next_open(start + days(interval));
            continue;
        }
        let burden = if life_event.contains(&session) { 1.0 } else { 0.0 };
        if burden > 0.0 {
            kinds.push("life-event");
        }
        // The state moves between two sessions; all that follows shows it, and it is a rupture from the session on.
        let before = state;
        if session > 1 {
            state = chance.weighted(&MOVES[state]);
        }
        course.between(chance, state, burden, last, start);
        if session > 1 && chance.happens(LEAVES[state]) {
            course.away(chance, start, booked, interval);
            dropout = Some(start);
            break;
        }
        if before == ALIGNED && state != ALIGNED {
            ruptures.push(Rupture { onset: start, resolved: None, pattern: "withdrawal".to_owned() });
        } else if let (true, ALIGNED, Some(rupture)) = (before != ALIGNED, state, ruptures.last_mut()) {
            rupture.resolved = Some(start);
        }
        let kept = course.attend(chance, state, burden, start, booked);
        last = start;
        booked = if kept { start + minutes(SESSION_MINUTES) } else { start + hours(26) };
        // More space: asked for now and then, and more by those who drift.
        let more = kept && chance.happens([0.02, 0.05, 0.08][state]);
        start = leave.next_open(start + days(if more { 2 * interval } else { interval }));
    }
    let ended = dropout.is_none() && session >= sessions && last + days(1) < clinic::records_end();
    course.history.episode = Some(Episode { from: began, finished: ended.then(|| last + hours(1)) });
    kinds.sort_unstable();
    kinds.dedup();
    let mut coverage = vec!["asked", "homework", "lateness", "rom", "timed"];
    if course.person.alliance.is_some() {
        coverage.push("alliance");
    }
    let label = Label {
        patient,
        ruptures,
        dropout,
        kinds: kinds.into_iter().map(str::to_owned).collect(),
        coverage: coverage.into_iter().map(str::to_owned).collect(),
    };
    (course.history, label)
}

/// Sessions in which something holds; empty for most.
fn spell(chance: &mut Chance, share: f64, sessions: i64, least: i64, most: i64) -> Range<i64> {
    let (there, from, length) = (chance.happens(share), chance.whole(3, sessions.max(4)), chance.whole(least, most));
    if there { from..from + length } else { 0..0 }
}

impl Course {
    fn slot(&mut self, start: Timestamp, booked: Timestamp, fate: Fate) {
        self.history.slots.push(Slot { start, booked, therapist: 0, fate, moved: None, encounter: false });
    }

    fn odds(&self, channel: usize, state: State, burden: f64) -> f64 {
        self.person.bad[channel] + SHIFTS[state][channel] + 0.9 * burden
    }

    fn attend(&mut self, chance: &mut Chance, state: State, burden: f64, start: Timestamp, booked: Timestamp) -> bool {
        let trouble = chance.happens(logistic(self.odds(0, state, burden)));
        let silent = chance.happens((self.person.silent + 0.1 * state as f64).min(0.95));
        let late = chance.happens(logistic(self.person.late + 0.5 * SHIFTS[state][0]));
        let minutes_late = if late { chance.whole(8, 28) } else { chance.whole(0, 6) };
        let notice = hours(chance.whole(2, 70));
        let elsewhere = chance.happens(0.4);
        let fate = match (trouble, silent) {
            (false, _) => Fate::Kept { late: Some(minutes_late) },
            (true, true) => Fate::NoShow,
            (true, false) => Fate::Cancelled { at: (start - notice).max(booked + hours(1)), reason: Some("pat") },
        };
        let again = trouble && !silent && elsewhere;
        self.slot(start, booked, fate);
        let mut kept = (!trouble).then_some(start);
        if again {
            let instead = start + days(chance.whole(1, 3));
            self.slot(instead, (start - notice).max(booked + hours(1)) + minutes(20), Fate::Kept { late: None });
            kept = Some(instead);
        }
        let gives = chance.happens(0.9);
        if let Some(kept) = kept {
            let end = kept + minutes(SESSION_MINUTES);
            self.given = gives.then_some(end);
            self.rate(chance, state, end);
        }
        kept.is_some()
    }

    fn rate(&mut self, chance: &mut Chance, state: State, end: Timestamp) {
        let Some(usual) = self.person.alliance else { return };
        let score = (usual - LOSSES[state][3] + chance.normal(0.0, 1.8)).clamp(0.0, 40.0);
        if chance.happens([0.93, 0.88, 0.8][state]) {
            let answers = Answers::Total((score * 2.0).round() / 2.0);
            let at = end + minutes(chance.whole(1, 9));
            self.history.forms.push(Form { instrument: Instrument::Srs, at, answers, seconds: None, finished: true });
        }
    }

    fn between(&mut self, chance: &mut Chance, state: State, burden: f64, last: Timestamp, start: Timestamp) {
        self.homework(chance, state, burden, start);
        let works = [1.0, 0.3, 0.0][state];
        let near = (self.score / self.person.first_score.max(1.0)).clamp(0.0, 1.2);
        self.score += 0.8 * burden + chance.normal(0.0, 0.8) - 1.1 * self.person.pace * works * near;
        self.score = self.score.clamp(0.0, 27.0);
        self.measure(chance, state, burden, last, start);
    }

    fn measure(&mut self, chance: &mut Chance, state: State, burden: f64, last: Timestamp, start: Timestamp) {
        let tired = self.person.tires * self.forms as f64;
        let fills = !chance.happens(logistic(self.odds(2, state, burden) + tired));
        let skips = logistic(self.odds(3, state, 0.0) + 0.6 * tired);
        let points = chance.normal(self.score, 1.9).round().clamp(0.0, 26.0) as usize;
        let mut answers: Vec<Option<u8>> = vec![Some(0); 9];
        let mut given = 0;
        for _ in 0..200 {
            let question = chance.whole(0, 7) as usize;
            let answer = answers[question].as_mut().expect("all answered so far");
            if given == points.min(24) {
                break;
            }
            if *answer < 3 {
                *answer += 1;
                given += 1;
            }
        }
        for answer in &mut answers {
            if chance.happens(skips) {
                *answer = None;
            }
        }
        let practice = 0.2 * (1.0 - exp(-(self.forms as f64) / 4.0));
        let pace = chance.normal(0.0, 0.26) - practice - LOSSES[state][2] - 0.25 * tired.min(1.0);
        let answered = answers.iter().flatten().count() as f64;
        let asked = start - hours(60);
        let at = clinic::moment_between(chance, asked.max(last + hours(2)), start - hours(1));
        let answer = fills.then(|| {
            self.history.forms.push(Form {
                instrument: Instrument::Phq9,
                at,
                answers: Answers::Items(answers),
                seconds: Some((self.person.seconds * exp(pace) * answered).max(3.0)),
                finished: true,
            });
            self.forms += 1;
            self.history.forms.len() - 1
        });
        let due = start - minutes(30);
        self.history.asks.push(Ask { instrument: Instrument::Phq9, asked, due, answer, withdrawn: None });
    }

    fn homework(&mut self, chance: &mut Chance, state: State, burden: f64, start: Timestamp) {
        let Some(assigned) = self.given.take() else { return };
        // Who is well needs it less.
        let well = ((self.person.first_score - self.score) / 9.0).clamp(0.0, 1.0);
        let left = chance.happens(logistic(self.odds(1, state, burden) + 0.7 * well));
        let partly = chance.happens(logistic(
            super::chance::ln(self.person.partly / (1.0 - self.person.partly)) + 0.6 * SHIFTS[state][1],
        ));
        let quality = chance.normal(self.person.quality - LOSSES[state][0], 0.6).round().clamp(0.0, 4.0) as i64;
        let words = self.person.words * exp(chance.normal(-LOSSES[state][1], 0.4)) * if partly { 0.5 } else { 1.0 };
        let percent = if partly { 10 * chance.whole(3, 7) } else { 100 };
        let due = start - hours(2);
        let at = clinic::moment_between(chance, assigned, due);
        self.history.homework.push(Homework {
            title: clinic::homework_title(chance),
            assigned,
            due: Some(due),
            result: if left { HomeworkResult::Open } else { HomeworkResult::Done(at) },
            percent: (!left).then_some(percent),
            quality: (!left).then_some(quality),
            minutes: None,
            words: (!left).then_some(words.round() as i64),
        });
    }

    /// Gone: one or two bookings that nobody came to.
    fn away(&mut self, chance: &mut Chance, start: Timestamp, booked: Timestamp, interval: i64) {
        let (mut at, mut known) = (start, booked);
        for _ in 0..chance.whole(1, 2) {
            let notice = hours(chance.whole(2, 60));
            let fate = if chance.happens(0.55) {
                Fate::NoShow
            } else {
                Fate::Cancelled { at: (at - notice).max(known + minutes(30)), reason: Some("pat") }
            };
            self.slot(at, known, fate);
            known = at + hours(30);
            at += days(interval);
        }
    }
}
