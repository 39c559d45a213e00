//! The imagined clinic: its calendar and the window of time its records cover. Every generator lives in it.

use super::chance::Chance;
use super::history::{days, hours};
use jiff::Timestamp;

/// Monday, 6 January 2025, 00:00 UTC. A fixed date: a seed must name the same bytes next year.
const OPENS_SECOND: i64 = 1_736_121_600;
/// The records end here; whoever is still in treatment then is cut off in the middle.
const WEEKS_COVERED: i64 = 78;
const LAST_START_WEEK: i64 = 62;

const TITLES: &[&str] = &[
    "Thought record",
    "Activity diary",
    "Breathing exercise",
    "Sleep diary",
    "Letter not to be sent",
    "Graded exposure, step by step",
    "Mood diary",
    "Values worksheet",
    "Worry time",
    "Problem solving sheet",
];

pub fn records_end() -> Timestamp {
    opens() + days(7 * WEEKS_COVERED)
}

fn opens() -> Timestamp {
    Timestamp::new(OPENS_SECOND, 0).expect("a date in 2025")
}

/// A first session: some Monday to Friday, on the hour or the half-hour.
pub fn first_session(chance: &mut Chance) -> Timestamp {
    let week = chance.whole(0, LAST_START_WEEK);
    let day = chance.whole(0, 4);
    let half_hour = chance.whole(16, 35);
    opens() + days(7 * week + day) + jiff::SignedDuration::from_mins(30 * half_hour)
}

/// The weeks in which one therapist is away, known long before: two or three in summer, two at the turn of
/// the year, one in spring.
pub struct Leave {
    summer: i64,
    summer_weeks: i64,
    spring: i64,
}

impl Leave {
    pub fn draw(chance: &mut Chance) -> Self {
        Leave { summer: chance.whole(26, 33), summer_weeks: chance.whole(2, 3), spring: chance.whole(13, 17) }
    }

    pub fn covers(&self, at: Timestamp) -> bool {
        let week = (at.as_second() - OPENS_SECOND).div_euclid(604_800).rem_euclid(52);
        (self.summer..self.summer + self.summer_weeks).contains(&week) || week == self.spring || week >= 50
    }

    /// The first session on or after `start`, in steps of a week, that the therapist is there for.
    pub fn next_open(&self, mut start: Timestamp) -> Timestamp {
        while self.covers(start) {
            start += days(7);
        }
        start
    }
}

pub fn homework_title(chance: &mut Chance) -> &'static str {
    chance.pick(TITLES)
}

/// Some moment of a waking day between the two, or shortly before the later one.
pub fn moment_between(chance: &mut Chance, from: Timestamp, to: Timestamp) -> Timestamp {
    let span = (to.as_second() - from.as_second()).max(120);
    let second = from.as_second() + 60 + (chance.unit() * (span - 120) as f64) as i64;
    let at = Timestamp::new(second, 0).expect("between two valid instants");
    // Nobody writes at four in the morning.
    let hour = second.rem_euclid(86_400) / 3_600;
    let moved = if hour < 6 { at + hours(7) } else { at };
    if moved < to { moved } else { at }
}
