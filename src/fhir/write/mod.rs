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
mod release;
mod stored;

#[cfg(test)]
pub(crate) mod tests;

pub use bundle::detect_rupture_bundle;
pub use codes::{BASE, EVIDENCE_DIGITS, PROBABILITY_DIGITS, decimal};
pub use device::{device, device_zone};
pub use ids::{
    DEVICE_ID, content_hash, flag as flag_id, flag_provenance as flag_provenance_id, observation as observation_id,
    step_provenance as step_provenance_id,
};
pub use reconcile::{Change, ChangeKind, ExistingFinding, entered_in_error, reconcile, to_read};

use crate::domain::{Assessment, Course, Episode, Signal};
use basis::Basis;
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
    /// Effective instant of the open assessment: the latest instant at which anything could have changed, so
    /// that what is published is a function of the record. `None`: the instant asked about, which then is no
    /// content (a later one alone writes nothing).
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
    /// Of one step.
    Step {
        /// Ids of the step's Provenance and pattern.
        provenance: String,
        pattern: String,
        as_of: Timestamp,
        open: bool,
        /// Digest of the facts known at the last step that is past: this one, or the one before the open one.
        behind: Basis,
    },
    /// Of one Flag's episode: the Flag, and its Provenance.
    Episode {
        flag: String,
        provenance: String,
        code: &'static str,
        opened: Timestamp,
        closed: Option<Timestamp>,
        /// Digest of the facts known at the last step before it opened.
        behind: Basis,
    },
    /// Of the server.
    Server,
}

impl Finding {
    fn new(resource: Value, kind: &'static str, id: String, undated: bool, place: Place) -> Finding {
        Finding { kind, id, hash: content_hash(&resource, undated), resource, place }
    }
}

/// Everything to be published about one client, in the order in which it is to be written: what is referred
/// to comes first.
pub fn findings(client: &str, course: &Course, context: &WriteContext) -> Vec<Finding> {
    let steps = published_steps(course);
    let mut all = Vec::with_capacity(steps.len() * 7 + course.episodes.len() * 2);
    let mut before = None;
    for step in &steps {
        all.extend(observation::of_step(client, course, step, context));
        all.push(provenance::of_step(client, step, before, context));
        before = Some(step.assessment);
    }
    for episode in &course.episodes {
        all.push(flag::of_episode(client, course, &steps, episode, context));
        all.push(provenance::of_episode(client, course, &steps, episode, context));
    }
    all
}

/// A step as it is published.
#[derive(Clone, Copy)]
struct Step<'a> {
    assessment: &'a Assessment,
    open: bool,
    /// Digest of the facts known before it.
    basis: Basis,
    /// The same, of the last step that is past.
    behind: Basis,
}

impl Step<'_> {
    /// Its instant as published. The open one's is "now" where the caller names no other: then it is no content.
    fn effective(&self, context: &WriteContext) -> Timestamp {
        if self.open { context.open_effective } else { None }.unwrap_or(self.assessment.as_of)
    }

    fn undated(&self, context: &WriteContext) -> bool {
        self.open && context.open_effective.is_none()
    }

    fn place(&self, client: &str) -> Place {
        let key = &self.assessment.key;
        Place::Step {
            provenance: ids::step_provenance(client, key),
            pattern: ids::observation(client, "pattern", key),
            as_of: self.assessment.as_of,
            open: self.open,
            behind: self.behind,
        }
    }
}

/// The steps as of their starts, and the open assessment as of now. With nothing booked that one is keyed to the time
/// after the last appointment: what was said at its start stands beside it, and once something is booked it is not
/// said any more.
fn published_steps(course: &Course) -> Vec<Step<'_>> {
    let chain = basis::chain(course);
    let open = course.open.as_ref();
    let mut steps: Vec<Step> = std::iter::zip(&course.steps, &chain)
        .map(|(assessment, &basis)| Step { assessment, open: false, basis, behind: basis })
        .collect();
    if let Some(assessment) = open {
        let behind = chain.last().copied().unwrap_or(basis::NONE);
        steps.push(Step { assessment, open: true, basis: basis::of_open(behind, assessment), behind });
    }
    steps
}

/// The assessment that first shows an episode: the first one at or after its opening.
fn shows<'a>(steps: &[Step<'a>], episode: &Episode) -> Option<&'a Assessment> {
    let first = steps.iter().find(|step| step.assessment.as_of >= episode.opened);
    first.or(steps.last()).map(|step| step.assessment)
}

fn episode_place(client: &str, course: &Course, episode: &Episode) -> Place {
    let past = course.steps.partition_point(|step| step.as_of <= episode.opened);
    let behind = past.checked_sub(1).and_then(|last| basis::chain(course).get(last).copied());
    Place::Episode {
        flag: ids::flag(client, episode.kind, &episode.key),
        provenance: ids::flag_provenance(client, episode.kind, &episode.key),
        code: episode.kind.code(),
        opened: episode.opened,
        closed: episode.closed.map(|(at, _)| at),
        behind: behind.unwrap_or(basis::NONE),
    }
}
