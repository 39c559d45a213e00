//! Every sentence the system says, in one place: reviewed as clinical content, ready for translation.
//!
//! Three rules hold throughout. A sentence says no more than the data. Nobody is blamed, neither client nor
//! therapist. The client is compared with their own record, never with others.
//!
//! [`Record`] lays a [`Course`](crate::domain::Course) out as columns, one a session; everything else reads it.
//! Nothing here knows HTML or FHIR: the same functions fill the page and the `note` of the Observations.

mod change;
mod counts;
pub mod covered;
mod flags;
mod formats;
mod gist;
mod grammar;
mod listen;
mod pattern;
mod place;
mod record;
mod rows;
mod safety;
mod scores;
mod seen;
mod signals;
mod small;
#[cfg(test)]
mod tests;
pub mod ui;
mod unread;

pub use change::{closing, what_would_change};
pub use counts::thin;
pub use flags::{FlagWords, Standing, engagement_flag, response_flag};
pub use formats::Formats;
pub use gist::{Gist, Part, caseload_line, gist, nothing_yet};
pub use grammar::{
    date, date_and_time, date_short, day_name, decimal, iso_date, iso_instant, number, number_capital, points,
    same_day, time, times,
};
pub use listen::{Listen, listen_for};
pub use record::{Column, ColumnKind, Record};
pub use safety::{SafetyWords, safety_item, safety_note, safety_shown};
pub use signals::{Line, evidence_seen, signal_line};
pub use small::*;
pub use unread::unread;

use crate::domain::{Course, SignalKind};
use jiff::tz::TimeZone;

/// Evidence from which a channel counts as one that keeps a flag up (detection's own gate).
pub const RAISED_NATS_MIN: f64 = 0.25;
/// Probability below which a flag that still stands fades (detection's own threshold).
pub const FADES_BELOW: f64 = 0.27;

/// Language of the sentences. English alone so far: a second one makes each function here a `match`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locale {
    #[default]
    En,
}

impl Locale {
    /// From a BCP 47 tag; a language we do not speak yet is answered in English.
    pub fn from_tag(_tag: &str) -> Self {
        Locale::En
    }

    /// For the `lang` attribute.
    pub fn tag(self) -> &'static str {
        match self {
            Locale::En => "en",
        }
    }
}

/// How dates are written and in which language.
#[derive(Clone, Debug)]
pub struct Manner {
    pub locale: Locale,
    pub time_zone: TimeZone,
    pub formats: Formats,
}

impl Default for Manner {
    fn default() -> Self {
        Manner { locale: Locale::En, time_zone: TimeZone::UTC, formats: Formats::default() }
    }
}

/// `Patient.gender`: decides the pronoun. Anything but female and male is "the client".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gender {
    Female,
    Male,
    Other,
    #[default]
    Unknown,
}

impl Gender {
    pub fn from_code(code: &str) -> Self {
        match code {
            "female" => Gender::Female,
            "male" => Gender::Male,
            "other" => Gender::Other,
            _ => Gender::Unknown,
        }
    }
}

/// Whom the sentences are about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Person {
    /// As it stands on the page: "Ana M.".
    pub name: String,
    /// What the therapist calls the client in a sentence: "Ana". `None`: the pronoun, or "the client".
    pub given: Option<String>,
    pub gender: Gender,
}

impl Person {
    pub fn new(name: impl Into<String>, given: Option<&str>, gender: Gender) -> Self {
        Person { name: name.into(), given: given.map(str::to_owned), gender }
    }

    /// Someone the sentences should not name: notes in FHIR resources.
    pub fn nameless(gender: Gender) -> Self {
        Person { gender, ..Person::default() }
    }

    /// "she", "he", "the client".
    pub fn she(&self) -> &'static str {
        match self.gender {
            Gender::Female => "she",
            Gender::Male => "he",
            Gender::Other | Gender::Unknown => "the client",
        }
    }

    /// "She", "He", "The client".
    pub fn she_capital(&self) -> &'static str {
        match self.gender {
            Gender::Female => "She",
            Gender::Male => "He",
            Gender::Other | Gender::Unknown => "The client",
        }
    }

    /// After a verb or preposition: "her", "him", "the client".
    pub fn her(&self) -> &'static str {
        match self.gender {
            Gender::Female => "her",
            Gender::Male => "him",
            Gender::Other | Gender::Unknown => "the client",
        }
    }

    /// Before a noun: "her", "his", "the client's".
    pub fn hers(&self) -> &'static str {
        match self.gender {
            Gender::Female => "her",
            Gender::Male => "his",
            Gender::Other | Gender::Unknown => "the client's",
        }
    }

    /// "Her", "His", "The client's".
    pub fn hers_capital(&self) -> &'static str {
        match self.gender {
            Gender::Female => "Her",
            Gender::Male => "His",
            Gender::Other | Gender::Unknown => "The client's",
        }
    }

    /// "Ana", or the pronoun after a preposition.
    pub fn called(&self) -> &str {
        match self.given.as_deref().map(str::trim) {
            Some(given) if !given.is_empty() => given,
            _ => self.her(),
        }
    }
}

/// Which assessment of a course is spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// `course.steps[i]`, as of its own start.
    Step(usize),
    /// `course.open`; where there is none, the last step.
    Open,
}

/// The one plain sentence for a signal: the note of its Observation.
pub fn signal_sentence(course: &Course, at: At, kind: SignalKind, person: &Person, manner: &Manner) -> String {
    signal_line(&Record::new(course, at, None), kind, person, manner).sentence()
}

/// The one plain sentence for the pattern: the note of its Observation. Never more than the data says.
pub fn pattern_sentence(course: &Course, at: At, person: &Person, manner: &Manner) -> String {
    pattern::pattern_line(&Record::new(course, at, None), person, manner).sentence()
}

/// The pattern's row on the sheet.
pub fn pattern_line(record: &Record, person: &Person, manner: &Manner) -> Line {
    pattern::pattern_line(record, person, manner)
}
