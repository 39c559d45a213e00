//! What the API layer fills in.

use crate::domain::{Band, Course, FlagKind, Timeline, Verdict};
use crate::words::{Manner, Person};
use jiff::Timestamp;

/// Everything the page before the session needs.
#[derive(Clone, Debug)]
pub struct PageModel<'a> {
    /// Logical id of the Patient; the only thing of the client's that stands in a URL.
    pub id: &'a str,
    pub person: Person,
    pub course: &'a Course,
    pub timeline: &'a Timeline,
    /// The clock; `course.as_of` is the instant asked about.
    pub now: Timestamp,
    /// `asOf` was asked for.
    pub looking_back: bool,
    pub manner: Manner,
    /// Who treats the client, as shown.
    pub therapist: Option<String>,
    /// "CBT for depression".
    pub treatment: Option<String>,
    /// Number of the session about to begin; `None`: counted from the sessions kept.
    pub session_number: Option<u32>,
    /// How many were agreed, where the record says so.
    pub sessions_planned: Option<u32>,
    pub published: Vec<Published>,
    /// Newest last; undone ones left out.
    pub judgements: Vec<Said>,
    /// `None`: nothing can be said from here (no session, or read-only): no forms.
    pub csrf: Option<String>,
    /// Prefix of every link, "" at the root; no trailing slash.
    pub base_path: String,
    /// Show the link to the caseload (not in a launch for one patient).
    pub caseload_link: bool,
    pub model_version: String,
    pub thresholds: Thresholds,
    /// Show whose page it is: not where the record system around it does (`need_patient_banner`).
    pub banner: bool,
    /// Start of the session that the record system says is now; `None`: found from the slots.
    pub session_at: Option<Timestamp>,
    /// The record system's colours, for `palette.css?c=…`.
    pub palette: Option<String>,
    /// Of the form that ends the session; `None`: there is none to end.
    pub sign_out: Option<String>,
    /// What could not be read of the record, in words: above everything, since what is said below may be untrue.
    pub unread: Option<String>,
}

/// When a Flag was first published, for each episode.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Index into `course.episodes`.
    pub episode: usize,
    /// Logical id of the Flag: goes back with a judgement about it.
    pub flag_id: String,
    /// First `Provenance.recorded`; `None` while it is not published yet.
    pub first: Option<Timestamp>,
}

/// A judgement already given.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Logical id of the judgement Observation: what undo names.
    pub id: String,
    pub at: Timestamp,
    pub verdict: Verdict,
    /// The Flag it is about, by kind.
    pub about: Option<FlagKind>,
    pub note: Option<String>,
    pub by: Option<String>,
}

/// Of the engagement probability; detection's constants, or the fitted ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    pub open: f64,
    pub watch: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds { open: 0.40, watch: 0.35 }
    }
}

/// The day's clients. Rows are drawn in the order given: today's appointments by start, then the others.
#[derive(Clone, Debug)]
pub struct CaseloadModel<'a> {
    pub rows: Vec<CaseloadRow<'a>>,
    pub now: Timestamp,
    pub manner: Manner,
    pub therapist: Option<String>,
    pub base_path: String,
    pub thresholds: Thresholds,
    /// Whose clients these are, where a rule chose them.
    pub rule: Option<String>,
    /// As on the page.
    pub palette: Option<String>,
    pub sign_out: Option<String>,
}

#[derive(Clone, Debug)]
pub struct CaseloadRow<'a> {
    pub id: &'a str,
    pub person: Person,
    pub course: &'a Course,
    pub timeline: Option<&'a Timeline>,
    /// Today's; `None`: no appointment today.
    pub appointment: Option<Timestamp>,
    /// Why nothing is said of the client: the launch does not cover it. `course` is then made of what it covers.
    pub withheld: Option<String>,
    /// The band as of this hour yesterday, where known; flags opened or closed since are found in the course.
    pub band_yesterday: Option<Band>,
}
