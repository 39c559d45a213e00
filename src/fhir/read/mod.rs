//! FHIR JSON in, facts out: what one version of one resource says, to whom it belongs, and the measures that
//! Questionnaires define. Reads leniently: a resource has passed the structural check, but nothing in it is
//! certain, and what is missing or odd is simply not said.

mod appointment;
mod care;
mod client;
mod json;
mod kept;
mod loinc;
mod questionnaire;
mod response;
mod shipped;
mod task;
#[cfg(test)]
mod tests;

pub use client::{client, clients, clients_of};
pub use kept::{decode, encode, keep, recall};
pub use questionnaire::{Problem, definition};
pub use shipped::{SHIPPED, shipped};

use crate::domain::fact::Fact;
use crate::fhir::time;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// Canonical base of our artefacts.
pub(crate) const BASE: &str = "https://tautline.example/fhir";

/// What reading depends on beside the resource.
#[derive(Clone, Debug)]
pub struct ReadContext {
    /// The service's: a date without a time is the end of that day there.
    pub zone: TimeZone,
}

impl ReadContext {
    fn at(&self, value: Option<&Value>) -> Option<Timestamp> {
        time::instant(value?.as_str()?, &self.zone)
    }

    /// The beginning of what the value names.
    fn from(&self, value: Option<&Value>) -> Option<Timestamp> {
        let (from, _) = time::interval(value?.as_str()?, &self.zone)?;
        Timestamp::from_microsecond(from).ok()
    }

    /// Only what has a time of day: a date says nothing of minutes.
    fn to_the_minute(&self, value: Option<&Value>) -> Option<Timestamp> {
        self.at(value.filter(|value| value.as_str().is_some_and(|text| text.contains('T'))))
    }
}

/// What a resource says for the timeline of its (first) client; `None` for types and resources it does not read.
pub fn fact(resource: &Value, context: &ReadContext) -> Option<Fact> {
    fact_of(resource, client(resource).as_deref(), context)
}

/// What a resource says for the timeline of this one of its clients.
pub fn fact_of(resource: &Value, client: Option<&str>, context: &ReadContext) -> Option<Fact> {
    match json::text(resource, "resourceType")? {
        "Appointment" => Some(Fact::Appointment(appointment::read(resource, client, context))),
        "Encounter" => Some(Fact::Encounter(care::encounter(resource, context))),
        "EpisodeOfCare" => Some(Fact::Episode(care::episode(resource, context))),
        "Observation" => care::judgement(resource, context).map(Fact::Judgement),
        "Patient" => Some(Fact::Patient(care::patient(resource, context))),
        "Questionnaire" => Some(Fact::Questionnaire(questionnaire::read(resource))),
        "QuestionnaireResponse" => Some(Fact::Response(response::read(resource, context))),
        "Task" => Some(Fact::Task(task::read(resource, context))),
        _ => None,
    }
}

/// In `meta` of what a Tautline exports: the `meta.lastUpdated` that it was sent, which a server's own stamp has taken
/// the place of; `false`: there was none.
pub const SENT: &str = "https://tautline.example/fhir/StructureDefinition/sent-last-updated";

/// `meta.lastUpdated` as the sender wrote it.
#[must_use]
pub fn sender_updated(resource: &Value) -> Option<Timestamp> {
    let meta = resource.get("meta")?;
    let extensions = meta.get("extension").and_then(Value::as_array);
    let sent = extensions.into_iter().flatten().find(|one| json::text(one, "url") == Some(SENT));
    let text = match sent {
        Some(sent) => json::text(sent, "valueInstant")?,
        None => json::text(meta, "lastUpdated")?,
    };
    time::instant(text, &TimeZone::UTC)
}

/// In `meta` of what a Tautline exports: a version that another one has superseded, there because it tells something (a
/// session was moved). The version that stands follows it. It keeps the mark where it is imported, so that the same
/// import again knows it.
pub const SUPERSEDED: &str = "https://tautline.example/fhir/StructureDefinition/superseded";

/// Says in `meta` what was sent.
pub fn say_sent(resource: &mut Value, sent: Option<Timestamp>) {
    let extension = match sent {
        Some(at) => serde_json::json!({"url": SENT, "valueInstant": at.to_string()}),
        None => serde_json::json!({"url": SENT, "valueBoolean": false}),
    };
    say(resource, SENT, Some(extension));
}

/// Marks a version that does not stand any more by its number.
pub fn say_superseded(resource: &mut Value, number: u64) {
    say(resource, SUPERSEDED, Some(serde_json::json!({"url": SUPERSEDED, "valuePositiveInt": number})));
}

/// Takes the mark off: it stands.
pub fn unsay_superseded(resource: &mut Value) {
    say(resource, SUPERSEDED, None);
}

/// Whether it is marked so, and its number where it was exported; earlier releases did not tell that.
pub fn superseded(resource: &Value) -> Option<Option<u64>> {
    let said = resource.pointer("/meta/extension").and_then(Value::as_array);
    let mark = said.into_iter().flatten().find(|one| json::text(one, "url") == Some(SUPERSEDED))?;
    Some(mark.get("valuePositiveInt").and_then(Value::as_u64))
}

fn say(resource: &mut Value, url: &str, extension: Option<Value>) {
    let Some(meta) = resource.get_mut("meta").and_then(Value::as_object_mut) else { return };
    let mut kept: Vec<Value> = meta.get("extension").and_then(Value::as_array).cloned().unwrap_or_default();
    kept.retain(|one| json::text(one, "url") != Some(url));
    kept.extend(extension);
    if kept.is_empty() {
        drop(meta.shift_remove("extension"))
    } else {
        drop(meta.insert("extension".into(), kept.into()))
    }
}
