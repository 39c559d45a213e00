//! What happened to one simulated client, before it is put into FHIR. Every generator ends here, so that
//! they may differ in everything but the language they speak.

use jiff::{SignedDuration, Timestamp};

/// A whole course of treatment as a clinic's records would hold it.
pub struct History {
    /// Logical id of the Patient; every other id begins with it.
    pub patient: String,
    pub identity: Identity,
    /// Who treats, in order; slots point into it.
    pub therapists: Vec<Therapist>,
    pub slots: Vec<Slot>,
    pub asks: Vec<Ask>,
    pub forms: Vec<Form>,
    pub homework: Vec<Homework>,
    pub episode: Option<Episode>,
}

pub struct Identity {
    pub given: String,
    pub family: String,
    /// `female`, `male`, `other` or `unknown`.
    pub gender: &'static str,
    pub birth_year: i64,
}

#[derive(Clone)]
pub struct Therapist {
    pub id: String,
    pub given: &'static str,
    pub family: &'static str,
}

pub struct Slot {
    pub start: Timestamp,
    pub booked: Timestamp,
    pub therapist: usize,
    pub fate: Fate,
    /// The start it had first, and when it was moved: written as an earlier version.
    pub moved: Option<(Timestamp, Timestamp)>,
    /// Write an Encounter for it, where it was kept.
    pub encounter: bool,
}

pub enum Fate {
    Booked,
    Kept {
        /// Minutes after the start, where the front desk writes them down.
        late: Option<i64>,
    },
    NoShow,
    Cancelled {
        at: Timestamp,
        /// Appointment.cancelationReason; some senders leave it out.
        reason: Option<&'static str>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instrument {
    Phq9,
    Gad7,
    Ors,
    Srs,
    WaiSr,
}

pub enum Answers {
    /// Per item, 0-3; `None` is a question left open.
    Items(Vec<Option<u8>>),
    Total(f64),
    /// WAI-SR: task, goal, bond.
    Alliance([f64; 3]),
}

pub struct Form {
    pub instrument: Instrument,
    pub at: Timestamp,
    pub answers: Answers,
    pub seconds: Option<f64>,
    pub finished: bool,
}

/// A Task that asks for a measure.
pub struct Ask {
    pub instrument: Instrument,
    pub asked: Timestamp,
    pub due: Timestamp,
    /// Index into `forms`.
    pub answer: Option<usize>,
    /// Taken back by the clinic (the invitation bounced, the session fell through).
    pub withdrawn: Option<Timestamp>,
}

pub struct Homework {
    pub title: &'static str,
    pub assigned: Timestamp,
    pub due: Option<Timestamp>,
    pub result: HomeworkResult,
    pub percent: Option<i64>,
    pub quality: Option<i64>,
    pub minutes: Option<i64>,
    pub words: Option<i64>,
}

pub enum HomeworkResult {
    /// Nobody has written anything yet.
    Open,
    Done(Timestamp),
    /// The client says no, or the therapist notes that it was not done.
    Failed(Timestamp),
    Rejected(Timestamp),
    Withdrawn(Timestamp),
}

pub struct Episode {
    pub from: Timestamp,
    /// Planned ending, or closed by the clinic.
    pub finished: Option<Timestamp>,
}

pub const SESSION_MINUTES: i64 = 50;

pub fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

pub fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

pub fn days(n: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * n)
}

pub fn weeks_between(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_second() - from.as_second()) as f64 / 604_800.0
}
