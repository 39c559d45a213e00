//! Findings as FHIR R4: what detection says of one client, as the resources that are published.
//!
//! [`findings`] is a function of the client's [`Course`] and the model release; it reads no clock and no store.
//! [`reconcile`] compares what would be said today with what stands, and answers with the writes that lead
//! from one to the other; [`detect_rupture_bundle`] is the same content as of any instant, stored nowhere.
//!
//! | published | one per | id made of |
//! | --- | --- | --- |
//! | Observation, five signals and the pattern | client, code, step | the same |
//! | Flag | episode of one kind | client, kind, opening step (safety: the response) |
//! | Provenance | step (for its Observations), and Flag | the same |
//! | Device | server | `tautline` |
//!
//! A Flag has a Provenance of its own because its first `recorded` is when *the Flag* was first published: the
//! step's Provenance may be older, when the data that raised the Flag came in late.

pub mod codes;
pub mod judgement;

mod basis;
mod bundle;
mod device;
mod flag;
mod ids;
mod observation;
mod provenance;
mod reconcile;

#[cfg(test)]
pub(crate) mod tests;

pub use bundle::detect_rupture_bundle;
pub use codes::{BASE, EVIDENCE_DIGITS, PROBABILITY_DIGITS, decimal};
pub use device::device;
pub use ids::{
    DEVICE_ID, content_hash, flag as flag_id, flag_provenance as flag_provenance_id, observation as observation_id,
    step_provenance as step_provenance_id,
};
pub use reconcile::{Change, ChangeKind, ExistingFinding, entered_in_error, reconcile};

use crate::domain::{Assessment, Course, Episode, Signal};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The plain sentences that findings carry; `crate::words` says them, the lead wires it.
pub trait Sentences {
    /// `Observation.note` of a signal: the one sentence the page shows in its row.
    fn signal(&self, course: &Course, assessment: &Assessment, signal: &Signal) -> Option<String>;
    /// `Observation.note` of the pattern: the gist.
    fn pattern(&self, course: &Course, assessment: &Assessment) -> Option<String>;
}

/// No sentences: for tests, and where only the numbers matter.
pub struct NoSentences;

impl Sentences for NoSentences {
    fn signal(&self, _: &Course, _: &Assessment, _: &Signal) -> Option<String> {
        None
    }

    fn pattern(&self, _: &Course, _: &Assessment) -> Option<String> {
        None
    }
}

/// What findings need to know beside the course.
pub struct WriteContext<'a> {
    /// Version of this software: into the Device alone, so that an upgrade rewrites no finding.
    pub software: &'a str,
    /// Model version. With `constants` it is the release that each finding names.
    pub model: &'a str,
    /// Id of the constants in use: `shipped`, or made of the fitted file's content.
    pub constants: &'a str,
    /// Now: `Provenance.recorded` of what is published for the first time.
    pub recorded: Timestamp,
    /// Effective instant of the open assessment; `None`: the instant asked about. Give the latest instant at
    /// which a fact became known, and the published text is a function of the data alone.
    pub open_effective: Option<Timestamp>,
    pub sentences: &'a (dyn Sentences + Sync),
}

impl WriteContext<'_> {
    /// Model version and constants in one word.
    pub fn release(&self) -> String {
        format!("{}+{}", self.model, self.constants)
    }

    /// The reference by which a finding names this software and the release that said it.
    fn device(&self) -> Value {
        json!({
            "reference": format!("Device/{DEVICE_ID}"),
            "identifier": {"system": format!("{BASE}/model-release"), "value": self.release()},
            "display": format!("Tautline, model {}, constants {}", self.model, self.constants),
        })
    }
}

/// One resource to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Observation, Flag, Provenance or Device.
    pub kind: &'static str,
    pub id: String,
    pub resource: Value,
    /// Of the content without `meta` and the moment of publishing: equal means nothing to write.
    pub hash: [u8; 16],
    pub place: Place,
}

/// Where in the course a finding belongs: what a new model release may and may not say again.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Of one step: its Provenance's id, and whether it is the open assessment.
    Step { provenance: String, pattern: String, as_of: Timestamp, open: bool },
    /// Of one Flag's episode: the Provenance of the step that opened it (`None`: a safety item).
    Episode { code: &'static str, opening: Option<String>, opened: Timestamp, closed: Option<Timestamp> },
    /// Of the server.
    Server,
}

impl Finding {
    fn new(resource: Value, kind: &'static str, id: String, open: bool, place: Place) -> Finding {
        Finding { kind, id, hash: content_hash(&resource, open), resource, place }
    }
}

/// Everything to be published about one client, in the order in which it is to be written: what is referred
/// to comes first.
pub fn findings(client: &str, course: &Course, context: &WriteContext) -> Vec<Finding> {
    let steps = published_steps(course);
    let bases = basis::of_course(course);
    let mut all = Vec::with_capacity(steps.len() * 7 + course.episodes.len() * 2);
    let mut before = None;
    for step in &steps {
        let observations = observation::of_step(client, course, step, context);
        let provenance = provenance::of_step(client, step, before, bases.get(&step.assessment.key), context);
        all.extend(observations);
        all.push(provenance);
        before = Some(step.assessment);
    }
    for episode in &course.episodes {
        all.push(flag::of_episode(client, course, &steps, episode, context));
        all.push(provenance::of_episode(client, course, &steps, episode, &bases, context));
    }
    all
}

/// A step as it is published.
#[derive(Clone, Copy)]
struct Step<'a> {
    assessment: &'a Assessment,
    open: bool,
}

/// The steps and the open assessment, one per key. With nothing booked the open assessment is keyed to the last
/// appointment: what is said now then stands in the place of what was said at its start.
fn published_steps(course: &Course) -> Vec<Step<'_>> {
    let open = course.open.as_ref();
    let past = course
        .steps
        .iter()
        .filter(|step| open.is_none_or(|open| open.key != step.key))
        .map(|assessment| Step { assessment, open: false });
    past.chain(open.map(|assessment| Step { assessment, open: true })).collect()
}

/// The assessment in which an episode opened, else the last one before it opened.
fn opening_step<'a>(steps: &[Step<'a>], episode: &Episode) -> Option<&'a Assessment> {
    use crate::domain::EpisodeKey::{Response, Step as Opened};
    let by_key = match &episode.key {
        Opened(key) => steps.iter().find(|step| step.assessment.key == *key),
        Response(_) => return None,
    };
    by_key
        .or_else(|| steps.iter().rev().find(|step| step.assessment.as_of <= episode.opened))
        .map(|step| step.assessment)
}

/// Whether an episode's period still moves with "now": it was opened or closed by the open assessment.
fn moves_with_now(course: &Course, episode: &Episode) -> bool {
    match episode.closed {
        None => episode.opened == course.as_of,
        Some((closed, _)) => closed == course.as_of,
    }
}
