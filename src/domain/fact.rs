//! What ONE version of one resource says, read once at the border and kept beside the resource.
//!
//! A fact knows nothing of other resources, of measures or of the time of reading: joining, scoring and
//! knowledge times are the work of [`super::build`], so that the order of arrival cannot matter.
//! Words a client wrote are counted, not kept.

use super::{Definition, EndingKind, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    Response(Response),
    Task(Task),
    Appointment(Appointment),
    Encounter(Encounter),
    Episode(Episode),
    Patient(Patient),
    Judgement(Judgement),
    Questionnaire(Questionnaire),
}

/// A QuestionnaireResponse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    pub state: ResponseState,
    /// Canonical or reference of the Questionnaire, version stripped.
    pub questionnaire: Option<Box<str>>,
    #[serde(with = "micros")]
    pub authored: Option<Timestamp>,
    /// The earliest instant that `authored` may mean: the beginning of the day, where it is a date.
    #[serde(with = "micros")]
    pub authored_from: Option<Timestamp>,
    pub seconds: Option<f64>,
    /// Every answer a measure could score, in document order, groups and nested items flattened.
    pub answers: Vec<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResponseState {
    Finished,
    Unfinished,
    /// Entered in error.
    Void,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub link: Box<str>,
    pub value: AnswerValue,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AnswerValue {
    /// A bare number.
    Number(f64),
    /// A choice that carries its own ordinal or weight: points already.
    Ordinal(f64),
    /// A choice that only the measure (or its Questionnaire) can turn into points.
    Coded(Code),
}

/// A code in a system; `None` where the sender gives none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    pub system: System,
    pub code: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum System {
    Unsaid,
    Loinc,
    Other(Box<str>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub state: TaskState,
    /// When it was asked for, as far as the Task says.
    #[serde(with = "micros")]
    pub given: Option<Timestamp>,
    #[serde(with = "micros")]
    pub due: Option<Timestamp>,
    /// executionPeriod.end, else lastModified.
    #[serde(with = "micros")]
    pub done: Option<Timestamp>,
    pub ask: Ask,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    Open,
    Done,
    /// Failed, or cancelled by the client.
    NotDone,
    /// Cancelled by the clinician, or on hold: no evidence.
    Withdrawn,
    /// Entered in error, or still a draft: as if never sent.
    Void,
    /// Rejected by the client: not done, and said so.
    Declined,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    Measure {
        /// Canonicals or references of the Questionnaires asked for.
        questionnaires: Vec<Box<str>>,
        /// Logical id of the QuestionnaireResponse the output names.
        response: Option<Box<str>>,
    },
    Homework {
        /// 0 to 1.
        completion: Option<f64>,
        /// 0 to 4.
        quality: Option<f64>,
        minutes: Option<f64>,
        words: Option<u32>,
        title: Option<Box<str>>,
    },
    /// Not the client's to do, or no longer.
    Neither,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Appointment {
    pub state: AppointmentState,
    #[serde(with = "micros")]
    pub start: Option<Timestamp>,
    #[serde(with = "micros")]
    pub end: Option<Timestamp>,
    #[serde(with = "micros")]
    pub created: Option<Timestamp>,
    /// The patient participant's period.start, where it is an instant.
    #[serde(with = "micros")]
    pub came: Option<Timestamp>,
    /// Cancelled because unhappy with, or changed, provider.
    pub unhappy_or_changed_provider: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppointmentState {
    Booked,
    /// Arrived, checked in, fulfilled.
    Kept,
    NoShow,
    CancelledByClient,
    CancelledByService,
    CancelledUnattributed,
    /// Proposed, pending, waitlist: no slot.
    NotYet,
    Void,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encounter {
    /// Under way or over; otherwise planned, cancelled or in error.
    pub happened: bool,
    /// period.start, where it is an instant.
    #[serde(with = "micros")]
    pub start: Option<Timestamp>,
    /// Logical ids of the Appointments it carries out.
    pub appointments: Vec<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    pub state: EpisodeState,
    #[serde(with = "micros")]
    pub start: Option<Timestamp>,
    #[serde(with = "micros")]
    pub end: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EpisodeState {
    /// Planned, waitlist, active, on hold.
    Open,
    Finished,
    Cancelled,
    Void,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Patient {
    /// Inactive or deceased.
    pub ended: Option<EndingKind>,
    /// Date of death, where given.
    #[serde(with = "micros")]
    pub at: Option<Timestamp>,
}

/// A judgement Observation; one undone has no verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    pub verdict: Option<Verdict>,
    #[serde(with = "micros")]
    pub issued: Option<Timestamp>,
    /// Logical id of the Flag in `focus`.
    pub flag: Option<Box<str>>,
    pub note: Option<Box<str>>,
    /// The QuestionnaireResponses in `derivedFrom`, by logical id, each with the answer as it was seen.
    pub covers: Vec<(Box<str>, Option<f64>)>,
}

/// A stored Questionnaire: what its items mean, and the measure it defines, if it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Questionnaire {
    /// Canonical, without version.
    pub url: Option<Box<str>>,
    pub items: Vec<QuestionnaireItem>,
    pub definition: Option<Box<Definition>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionnaireItem {
    pub link: Box<str>,
    /// LOINC codes.
    pub codes: Vec<Box<str>>,
    /// Points by answer option.
    pub options: Vec<(Code, f64)>,
}

/// An instant as microseconds since 1970: small, and quick to read back.
mod micros {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::as_microsecond).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        Option::<i64>::deserialize(from)?.map(Timestamp::from_microsecond).transpose().map_err(serde::de::Error::custom)
    }
}
