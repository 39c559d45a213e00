//! The `strain` generator: the alliance bears a continuous strain that ruptures load and repair relieves.
//! A client leaves with a hazard that grows with the square of unrepaired strain; strain shows, more or less
//! plainly and in some channels more than in others, as withdrawal or as confrontation.

use super::chance::{Chance, exp, logistic};
use super::history::*;
use super::person::Person;
use super::symptoms::Symptoms;
use super::{Label, Rupture, clinic, names, visit};
use jiff::Timestamp;

/// How plainly strain shows, by channel; 1 is average.
pub struct Show {
    pub attendance: f64,
    pub homework: f64,
    pub measures: f64,
    pub scales: f64,
}

impl Show {
    pub fn draw(chance: &mut Chance) -> Show {
        Show {
            attendance: chance.log_normal(1.0, 0.5),
            homework: chance.log_normal(1.0, 0.5),
            measures: chance.log_normal(1.0, 0.5),
            scales: chance.within(0.7, 0.3, 0.1, 1.4),
        }
    }
}

/// What the alliance bears now.
pub struct Strain {
    load: f64,
    depth: f64,
    /// Share of the way to `depth` in a week: some ruptures are sudden, most grow.
    pace: f64,
    relief: Option<f64>,
    jitter: f64,
    pub confrontation: bool,
    open: bool,
}

/// Below this a rupture under repair is over.
const OVER: f64 = 0.3;

impl Strain {
    fn new() -> Strain {
        Strain { load: 0.0, depth: 0.0, pace: 0.0, relief: None, jitter: 0.0, confrontation: false, open: false }
    }

    pub fn now(&self) -> f64 {
        (self.load + self.jitter).max(0.0)
    }

    fn begin(&mut self, chance: &mut Chance) {
        self.open = true;
        self.depth = chance.log_normal(1.35, 0.4);
        self.pace = chance.log_normal(0.9, 0.6);
        self.relief = None;
        // Withdrawal is the commoner kind (Eubanks 2019, observers of early sessions).
        self.confrontation = chance.happens(0.27);
        self.load = self.load.max(0.2 * self.depth);
    }

    /// Lets time pass; says whether a rupture under repair has just ended.
    fn pass(&mut self, chance: &mut Chance, weeks: f64) -> bool {
        let keep = exp(-weeks / 1.5);
        self.jitter = self.jitter * keep + chance.normal(0.0, 0.2 * (1.0 - keep * keep).sqrt());
        match self.relief {
            Some(rate) => self.load *= exp(-rate * weeks),
            None if self.open => self.load += (self.depth - self.load) * (1.0 - exp(-self.pace * weeks)),
            None => self.load *= exp(-0.5 * weeks),
        }
        let over = self.open && self.relief.is_some() && self.load < OVER;
        if over {
            self.open = false;
            self.relief = None;
        }
        over
    }

    /// Chance of leaving in so many weeks.
    fn leaves(&self, weeks: f64, session: usize, wellness: f64) -> f64 {
        // 19.7 % leave (Swift & Greenberg 2012), some of them early and for reasons of their own; a weak
        // alliance makes it likelier by d = .55 (Sharf 2010).
        let early = if session <= 3 { 0.007 } else { 0.0015 };
        let unrepaired = if self.relief.is_some() { 0.3 } else { 1.0 };
        let hazard = early + 0.003 * wellness * wellness + 0.035 * self.load * self.load * unrepaired;
        1.0 - exp(-hazard * weeks)
    }

    /// Strain as it shows in a channel: withdrawal takes away, confrontation says so.
    pub fn shown(&self, withdrawal: f64, confrontation: f64) -> f64 {
        self.now() * if self.confrontation { confrontation } else { withdrawal }
    }
}

/// One treatment under way.
pub struct Treatment {
    pub person: Person,
    pub strain: Strain,
    pub symptoms: Symptoms,
    /// A life event's weight now.
    pub burden: f64,
    pub history: History,
    pub therapist: usize,
    pub filled: usize,
    /// Homework given at the last kept session, not yet come back.
    pub pending: Option<Timestamp>,
    pub happened: Vec<&'static str>,
}

pub fn life(chance: &mut Chance, patient: String) -> (History, Label) {
    let person = Person::draw(chance);
    let practice = chance.whole(0, 7) as usize;
    let history = History {
        identity: names::identity(chance),
        patient,
        therapists: vec![names::therapist("sim", practice)],
        slots: Vec::new(),
        asks: Vec::new(),
        forms: Vec::new(),
        homework: Vec::new(),
        episode: None,
    };
    let mut treatment = Treatment {
        symptoms: Symptoms::draw(chance),
        strain: Strain::new(),
        burden: 0.0,
        history,
        therapist: 0,
        filled: 0,
        pending: None,
        happened: Vec::new(),
        person,
    };
    let (ruptures, dropout) = treatment.run(chance, practice);
    let label = Label {
        patient: treatment.history.patient.clone(),
        ruptures,
        dropout,
        kinds: treatment.person.kinds(&treatment.happened),
        coverage: treatment.person.channels.names(),
    };
    (treatment.history, label)
}

impl Treatment {
    fn run(&mut self, chance: &mut Chance, practice: usize) -> (Vec<Rupture>, Option<Timestamp>) {
        let leave = clinic::Leave::draw(chance);
        let mut start = leave.next_open(clinic::first_session(chance));
        let mut booked = start - days(chance.whole(4, 21));
        let began = booked;
        let mut ruptures: Vec<Rupture> = Vec::new();
        let mut last = start;
        let mut interval = self.person.interval_days;
        let mut session = 1;
        let mut dropout = None;
        while session <= self.person.sessions {
            if start >= clinic::records_end() {
                self.slot(start, booked.min(clinic::records_end() - days(1)), Fate::Booked);
                break;
            }
            let weeks = weeks_between(last, start);
            if self.pass(chance, weeks, session)
                && let Some(rupture) = ruptures.last_mut()
            {
                rupture.resolved = Some(start);
            }
            if self.clinician_away(chance, &leave, start, booked) {
                last = start;
                booked = start - days(1);
                start = leave.next_open(start + days(interval));
                continue;
            }
            if chance.happens(self.strain.leaves(weeks, session, self.symptoms.wellness())) {
                self.leave(chance, start, booked, interval);
                dropout = Some(start);
                break;
            }
            self.between_sessions(chance, last, start, session);
            let kept = self.attend(chance, start, booked);
            last = start;
            if kept {
                self.in_session(chance, session);
                if self.session_changes_alliance(chance) {
                    let pattern = if self.strain.confrontation { "confrontation" } else { "withdrawal" };
                    let onset = self.history.slots.last().map_or(start, |slot| slot.start);
                    ruptures.push(Rupture { onset, resolved: None, pattern: pattern.to_owned() });
                }
            }
            if Some(session) == self.person.new_therapist {
                self.change_therapist(chance, practice);
                start += days(7 * chance.whole(1, 3));
            }
            interval = self.next_interval(interval, session);
            let gap = interval + self.asks_for_space(chance, kept, interval);
            let held = self.history.slots.last().map_or(start, |slot| slot.start);
            let seen = if kept { held + minutes(SESSION_MINUTES) } else { start + days(1) };
            // Moved sessions keep their old day of the week from the next one on.
            start = leave.next_open(start + days(gap));
            booked = if self.person.series { (start - days(28)).max(began) } else { seen };
            session += 1;
        }
        self.close(chance, began, dropout, last, session);
        (ruptures, dropout)
    }

    /// Strain, symptoms and burden over the time since the last slot; true if a rupture has just ended.
    fn pass(&mut self, chance: &mut Chance, weeks: f64, session: usize) -> bool {
        self.burden *= exp(-weeks / 3.5);
        if let Some((at, weight)) = self.person.life_event
            && at == session
        {
            self.burden += weight;
            self.symptoms.hit(4.0 * weight);
            self.happened.push("life-event");
            self.person.life_event = None;
        }
        let over = self.strain.pass(chance, weeks);
        self.symptoms.pass(chance, weeks, self.strain.now());
        if self.symptoms.wellness() > 0.85 {
            self.happened.push("improved");
        }
        over
    }

    /// A rupture arises, or its repair begins. True for a new rupture.
    fn session_changes_alliance(&mut self, chance: &mut Chance) -> bool {
        let (arises, mends) = (chance.unit(), chance.unit());
        if self.strain.open {
            // What is said aloud is noticed and worked on sooner.
            let noticed = self.person.repair_per_session * if self.strain.confrontation { 1.4 } else { 1.0 };
            if self.strain.relief.is_none() && mends < noticed {
                self.strain.relief = Some(chance.log_normal(0.8, 0.4));
            }
            return false;
        }
        if arises < self.person.rupture_per_session {
            self.strain.begin(chance);
            return true;
        }
        false
    }

    fn leave(&mut self, chance: &mut Chance, start: Timestamp, booked: Timestamp, interval: i64) {
        let tries = chance.weighted(&[0.35, 0.45, 0.2]);
        let mut at = start;
        let mut known = booked;
        for _ in 0..=tries {
            let fate = if chance.happens(0.55) {
                Fate::NoShow
            } else {
                let notice = hours(chance.whole(2, 60));
                Fate::Cancelled {
                    at: (at - notice).max(known + hours(1)),
                    reason: visit::reason(chance, &self.person, &["pat", "pat", "pat-crs", "pat-ucp"]),
                }
            };
            self.slot(at, known, fate);
            known = at + days(1);
            at += days(interval);
        }
        self.overdue_homework(start);
    }

    fn close(
        &mut self,
        chance: &mut Chance,
        began: Timestamp,
        dropout: Option<Timestamp>,
        last: Timestamp,
        session: usize,
    ) {
        let administrative = chance.happens(0.3);
        let finished = match dropout {
            Some(at) => administrative.then_some(at + days(7 * chance.whole(6, 12))),
            None if session > self.person.sessions => Some(last + minutes(SESSION_MINUTES + 10)),
            None => None,
        };
        let finished = finished.filter(|at| *at < clinic::records_end());
        self.history.episode = Some(Episode { from: began, finished });
    }

    fn next_interval(&mut self, interval: i64, session: usize) -> i64 {
        if Some(session) == self.person.fortnightly_from && interval == 7 {
            self.happened.push("fortnightly");
            return 14;
        }
        interval
    }

    fn asks_for_space(&mut self, chance: &mut Chance, kept: bool, interval: i64) -> i64 {
        let wish = logistic(-3.7 + self.strain.shown(0.9, 0.4) * self.person.shows.attendance);
        if chance.happens(wish) && kept { interval } else { 0 }
    }

    fn change_therapist(&mut self, chance: &mut Chance, practice: usize) {
        self.history.therapists.push(names::therapist("sim", practice + 3));
        self.therapist = 1;
        self.person.diligence += chance.normal(0.0, 0.4);
        self.person.alliance += chance.normal(-0.5, 1.5);
        self.happened.push("new-therapist");
    }

    pub fn slot(&mut self, start: Timestamp, booked: Timestamp, fate: Fate) {
        let encounter = self.person.channels.encounters;
        let slot = Slot { start, booked, therapist: self.therapist, fate, moved: None, encounter };
        self.history.slots.push(slot);
    }
}
