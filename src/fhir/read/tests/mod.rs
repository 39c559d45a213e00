//! Worked cases: FHIR JSON in, timeline out.

mod client;
mod forms;
mod order;
mod profiles;
mod sessions;
mod tasks;

use super::{ReadContext, decode, encode, fact, sender_updated, shipped};
use crate::domain::build::{VersionedFact, supersedes, timeline};
use crate::domain::{Measures, Source, SourceKind, Timeline};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::HashMap;

fn context() -> ReadContext {
    ReadContext { zone: TimeZone::get("Europe/Berlin").expect("bundled") }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn kind(resource: &Value) -> SourceKind {
    match resource["resourceType"].as_str().expect("a type") {
        "Appointment" => SourceKind::Appointment,
        "Encounter" => SourceKind::Encounter,
        "EpisodeOfCare" => SourceKind::EpisodeOfCare,
        "Observation" => SourceKind::Observation,
        "Patient" => SourceKind::Patient,
        "QuestionnaireResponse" => SourceKind::QuestionnaireResponse,
        "Task" => SourceKind::Task,
        other => panic!("{other} has no place in a timeline"),
    }
}

/// The facts a store would give back after these resources arrived one after the other: numbered, one of each id
/// current, each through its bytes.
fn kept(resources: &[Value]) -> Vec<VersionedFact> {
    let mut all: Vec<VersionedFact> = Vec::new();
    let mut heads: HashMap<Source, usize> = HashMap::new();
    for (n, resource) in resources.iter().enumerate() {
        let source = Source::new(kind(resource), resource["id"].as_str().expect("an id"));
        let updated = sender_updated(resource);
        let head = heads.get(&source).copied();
        let current = head.is_none_or(|head| supersedes(updated, all[head].sender_updated));
        if current {
            if let Some(head) = head {
                all[head].current = false;
            }
            heads.insert(source.clone(), all.len());
        }
        all.push(VersionedFact {
            source,
            version: n as u64,
            current,
            deleted: false,
            sender_updated: updated,
            received: None,
            fact: fact(resource, &context()).map(|fact| decode(&encode(&fact)).expect("decodes")),
        });
    }
    all
}

fn read(resources: &[Value]) -> Timeline {
    read_with(resources, shipped())
}

fn read_with(resources: &[Value], measures: &Measures) -> Timeline {
    timeline(kept(resources), measures)
}

/// A resource with `meta.lastUpdated`.
fn sent(mut resource: Value, updated: &str) -> Value {
    resource["meta"] = json!({"lastUpdated": updated});
    resource
}
