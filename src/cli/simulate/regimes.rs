//! The `regimes` generator: the alliance is in one of five states and stays in each for a while that has a length
//! of its own (a semi-Markov chain); what a client does depends on the state and on what they did last time.
//! Nothing is continuous here but symptoms, and those move in steps. It shares the clinic and the language of
//! [`super::history`] with the `strain` generator, and nothing else.

use super::chance::{Chance, exp, logistic};
use super::history::*;
use super::person::Channels;
use super::regime_acts::{Acts, Week};
use super::{Label, Rupture, clinic, names};
use jiff::Timestamp;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Regime {
    /// The first weeks: nothing is settled, early dropouts happen here.
    Settling,
    Working,
    /// Withdrawal: here, and elsewhere in thought.
    Drifting,
    /// Confrontation: said aloud.
    Disputing,
    /// A rupture named and being worked on; still a rupture until it is over.
    Mending,
}

impl Regime {
    pub fn ruptured(self) -> bool {
        matches!(self, Regime::Drifting | Regime::Disputing | Regime::Mending)
    }

    /// How long it lasts, in sessions: shifted negative binomials, unlike the exponential waiting of a hazard.
    fn length(self, chance: &mut Chance) -> i64 {
        let trials = |chance: &mut Chance, least: i64, successes: i64, p: f64| {
            let mut length = least;
            for _ in 0..successes {
                while !chance.happens(p) && length < 60 {
                    length += 1;
                }
            }
            length
        };
        match self {
            Regime::Settling => trials(chance, 2, 1, 0.5),
            // A median of some 18 sessions without a rupture gives the 46-50 % of McLaughlin 2014, Stevens 2007.
            Regime::Working => trials(chance, 3, 2, 0.14),
            // The longest decline before a rupture on session scores is six sessions (Gumz 2012).
            Regime::Drifting => trials(chance, 2, 2, 0.38),
            Regime::Disputing => trials(chance, 1, 1, 0.42),
            Regime::Mending => trials(chance, 1, 1, 0.6),
        }
    }

    fn next(self, chance: &mut Chance) -> Regime {
        let toward: &[(Regime, f64)] = match self {
            Regime::Settling => &[(Regime::Working, 0.88), (Regime::Drifting, 0.09), (Regime::Disputing, 0.03)],
            Regime::Working => &[(Regime::Drifting, 0.7), (Regime::Disputing, 0.3)],
            // Therapists miss many (Hill 1993): a drift may end only because the client comes back to it, or turn
            // into a dispute.
            Regime::Drifting => &[(Regime::Mending, 0.52), (Regime::Working, 0.3), (Regime::Disputing, 0.18)],
            Regime::Disputing => &[(Regime::Mending, 0.72), (Regime::Drifting, 0.28)],
            Regime::Mending => &[(Regime::Working, 0.85), (Regime::Drifting, 0.15)],
        };
        let weights: Vec<f64> = toward.iter().map(|(_, weight)| *weight).collect();
        toward[chance.weighted(&weights)].0
    }
}

/// Trouble that is none of the alliance's: it comes, stays so many sessions, and goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outside {
    Crisis,
    BusyWeeks,
    ClinicianIll,
    WrongAddress,
}

impl Outside {
    pub fn name(self) -> &'static str {
        match self {
            Outside::Crisis => "life-event",
            Outside::BusyWeeks => "busy-weeks",
            Outside::ClinicianIll => "clinician-cancels",
            Outside::WrongAddress => "bounced",
        }
    }

    fn draw(chance: &mut Chance, sessions: i64) -> Vec<(Outside, std::ops::Range<i64>)> {
        let all = [
            (Outside::Crisis, 0.2, 5),
            (Outside::BusyWeeks, 0.25, 3),
            (Outside::ClinicianIll, 0.14, 3),
            (Outside::WrongAddress, 0.07, 4),
        ];
        let mut drawn = Vec::new();
        for (what, share, longest) in all {
            let from = chance.whole(2, sessions.max(3));
            let length = chance.whole(1, longest);
            if chance.happens(share) {
                drawn.push((what, from..from + length));
            }
        }
        drawn
    }
}

/// Symptoms in PHQ-9 points: level stretches, small steps, and now and then a sudden gain.
pub struct Severity {
    pub first: f64,
    pub level: f64,
    step: f64,
}

impl Severity {
    fn draw(chance: &mut Chance) -> Severity {
        let first = chance.within(14.5, 4.5, 5.0, 25.0);
        Severity { first, level: first, step: chance.within(0.5, 0.3, -0.1, 1.2) }
    }

    fn pass(&mut self, chance: &mut Chance, regime: Regime, crisis: bool) {
        let works = match regime {
            Regime::Working | Regime::Mending => 1.0,
            Regime::Settling => 0.6,
            Regime::Drifting | Regime::Disputing => 0.05,
        };
        let near = (self.level / self.first.max(1.0)).min(1.0);
        let moves = chance.happens(0.55);
        let size = chance.waiting(self.step.abs().max(0.05)) * self.step.signum();
        if moves {
            self.level -= works * near * size * 1.6;
        }
        // Sudden gains: about four in ten clients have one (Tang & DeRubeis 1999).
        if chance.happens(0.028 * works) {
            self.level -= chance.within(5.0, 1.5, 3.0, 9.0);
        }
        if crisis {
            self.level += chance.within(1.6, 0.8, 0.0, 4.0);
        }
        if regime == Regime::Disputing {
            self.level += chance.within(0.5, 0.6, -0.5, 2.0);
        }
        self.level = self.level.clamp(0.0, 27.0);
    }
}

pub fn life(chance: &mut Chance, patient: String) -> (History, Label) {
    let practice = chance.whole(0, 7) as usize;
    let identity = names::identity(chance);
    let channels = Channels::draw(chance);
    let sessions = (6 + chance.waiting(14.0) as i64).min(48);
    let outside = Outside::draw(chance, sessions);
    let mut acts = Acts::draw(chance, channels);
    let mut severity = Severity::draw(chance);
    let leave = clinic::Leave::draw(chance);
    let mut history = History {
        patient: patient.clone(),
        identity,
        therapists: vec![names::therapist("sim", practice)],
        slots: Vec::new(),
        asks: Vec::new(),
        forms: Vec::new(),
        homework: Vec::new(),
        episode: None,
    };
    let mut regime = Regime::Settling;
    let mut left = regime.length(chance);
    let mut since = 0;
    let mut ruptures: Vec<Rupture> = Vec::new();
    let mut dropout = None;
    let mut happened = acts.traits();
    let mut start = leave.next_open(clinic::first_session(chance));
    let mut booked = start - days(chance.whole(3, 28));
    let began = booked;
    let mut last = start;
    let mut session = 0;
    let interval = if chance.happens(0.1) { 14 } else { 7 };
    while session < sessions {
        session += 1;
        if start >= clinic::records_end() {
            acts.slot(&mut history, start, booked.min(clinic::records_end() - days(1)), Fate::Booked);
            break;
        }
        let now = |what: Outside| outside.iter().any(|(other, when)| *other == what && when.contains(&session));
        happened.extend(outside.iter().filter(|(_, when)| when.contains(&session)).map(|(what, _)| what.name()));
        if now(Outside::ClinicianIll) && chance.happens(0.6) {
            let at = (start - hours(chance.whole(2, 40))).max(booked + hours(1));
            acts.slot(&mut history, start, booked, Fate::Cancelled { at, reason: Some("prov-pers") });
            booked = start - hours(1);
            start = leave.next_open(start + days(7));
            continue;
        }
        severity.pass(chance, regime, now(Outside::Crisis));
        if chance.happens(leaving(regime, since, session, acts.missed_in_a_row)) {
            acts.gone(chance, &mut history, start, booked, interval);
            dropout = Some(start);
            break;
        }
        let week = Week {
            regime,
            burden: now(Outside::Crisis) || now(Outside::BusyWeeks),
            wrong_address: now(Outside::WrongAddress),
            last,
            start,
        };
        acts.between(chance, &mut history, &week, &severity);
        let kept = acts.comes(chance, &mut history, &week, booked);
        last = start;
        if kept {
            acts.in_session(chance, &mut history, regime);
            since += 1;
            left -= 1;
        }
        // States change in sessions, and a change shows only after.
        if left <= 0 && kept {
            let before = regime;
            regime = regime.next(chance);
            left = regime.length(chance);
            since = 0;
            let at = history.slots.last().map_or(start, |slot| slot.start);
            if regime.ruptured() && !before.ruptured() {
                let pattern = if regime == Regime::Disputing { "confrontation" } else { "withdrawal" };
                ruptures.push(Rupture { onset: at, resolved: None, pattern: pattern.to_owned() });
            } else if let (false, true, Some(rupture)) = (regime.ruptured(), before.ruptured(), ruptures.last_mut()) {
                rupture.resolved = Some(at);
            }
        }
        let next = leave.next_open(start + days(acts.gap(chance, regime, interval, kept)));
        let held = history.slots.last().map_or(last, |slot| slot.start);
        booked = if kept { held + minutes(SESSION_MINUTES) } else { last + days(1) };
        start = next;
    }
    let ended = dropout.is_none() && session >= sessions && last + days(1) < clinic::records_end();
    history.episode = Some(Episode { from: began, finished: ended.then(|| last + hours(1)) });
    happened.sort_unstable();
    happened.dedup();
    let label = Label {
        patient,
        ruptures,
        dropout,
        kinds: happened.into_iter().map(str::to_owned).collect(),
        coverage: acts.channels.names(),
    };
    (history, label)
}

/// Chance of not coming back: 19.7 % over all (Swift & Greenberg 2012), growing with the time spent adrift.
fn leaving(regime: Regime, since: i64, session: i64, missed_in_a_row: usize) -> f64 {
    let since = since as f64;
    let base = match regime {
        Regime::Settling if session > 1 => 0.02,
        Regime::Settling => 0.0,
        Regime::Working => 0.0028,
        Regime::Drifting => 0.03 + 0.022 * since.min(6.0),
        Regime::Disputing => 0.075 * exp(-0.2 * since),
        Regime::Mending => 0.012,
    };
    base * (1.0 + 0.5 * missed_in_a_row as f64)
}

/// Odds multiplied: what a state makes of a habit.
pub fn tilted(p: f64, log_odds: f64) -> f64 {
    let p = p.clamp(1e-4, 1.0 - 1e-4);
    logistic(super::chance::ln(p / (1.0 - p)) + log_odds)
}

pub fn reason(chance: &mut Chance, channels: &Channels, regime: Regime) -> Option<&'static str> {
    let unhappy = regime == Regime::Disputing && chance.happens(0.15);
    let reason = if unhappy { "pat-ucp" } else { chance.pick(&["pat", "pat-crs", "pat-fb"]) };
    channels.reasons.then_some(reason)
}

/// When a form or task is taken up, within the days before a session.
pub fn some_time(chance: &mut Chance, from: Timestamp, to: Timestamp) -> Timestamp {
    clinic::moment_between(chance, from, to)
}
