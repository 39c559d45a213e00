//! One version of one resource on its way from the input to its client: small, ordered, and without a word that
//! the client wrote.

use crate::domain::build::VersionedFact;
use crate::domain::fact::{Fact, Questionnaire};
use crate::domain::{Source, SourceKind};
use crate::fhir::read;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub client: String,
    pub source: Source,
    /// `meta.lastUpdated`, microseconds.
    updated: Option<i64>,
    /// `meta.versionId`, where it is a number.
    version: Option<u64>,
    fact: Vec<u8>,
}

/// What a resource is to the backtest.
pub enum Read {
    /// One for each client whom it is about.
    Records(Vec<Record>),
    Questionnaire(StoredQuestionnaire),
    /// Of a type, or about somebody, that the timeline does not know.
    Nothing,
}

pub struct StoredQuestionnaire {
    pub id: Arc<str>,
    order: (Option<u64>, Option<i64>, Vec<u8>),
    pub fact: Questionnaire,
}

pub fn read(resource: &Value, context: &read::ReadContext) -> Read {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let (Some(id), Some(fact)) = (text(resource, "id"), read::fact(resource, context)) else { return Read::Nothing };
    let version = resource.get("meta").and_then(|meta| text(meta, "versionId")).and_then(|text| text.parse().ok());
    let updated = read::sender_updated(resource).map(Timestamp::as_microsecond);
    let kind = match &fact {
        Fact::Questionnaire(questionnaire) => {
            let order = (version, updated, read::encode(&fact));
            return Read::Questionnaire(StoredQuestionnaire { id: id.into(), order, fact: questionnaire.clone() });
        }
        Fact::Response(_) => SourceKind::QuestionnaireResponse,
        Fact::Task(_) => SourceKind::Task,
        Fact::Appointment(_) => SourceKind::Appointment,
        Fact::Encounter(_) => SourceKind::Encounter,
        Fact::Episode(_) => SourceKind::EpisodeOfCare,
        Fact::Patient(_) => SourceKind::Patient,
        Fact::Judgement(_) => SourceKind::Observation,
    };
    let source = Source::new(kind, id);
    let about = |client: String| {
        let fact = read::fact_of(resource, Some(&client), context)?;
        Some(Record { client, source: source.clone(), updated, version, fact: read::encode(&fact) })
    };
    Read::Records(read::clients(resource).into_iter().filter_map(about).collect())
}

/// The facts of one client, whatever the order and number of its records.
pub fn facts(mut records: Vec<Record>) -> Vec<VersionedFact> {
    records.sort_by(|a, b| a.source.cmp(&b.source));
    let mut facts = Vec::with_capacity(records.len());
    for versions in records.chunk_by_mut(|a, b| a.source == b.source) {
        in_order(versions);
        let mut number = 0;
        let mut before: Option<&Record> = None;
        for record in versions.iter() {
            if before == Some(record) {
                continue;
            }
            before = Some(record);
            number += 1;
            facts.push(VersionedFact {
                source: record.source.clone(),
                version: number,
                current: false,
                deleted: false,
                sender_updated: record.updated.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
                received: None,
                fact: read::decode(&record.fact),
            });
        }
    }
    facts
}

/// By the sender's time; where a version has none, by number; and where neither tells them apart, by content, so
/// that the order of the input never matters.
fn in_order(versions: &mut [Record]) {
    let dated = versions.iter().all(|record| record.updated.is_some());
    versions.sort_by(|a, b| {
        let by_time = a.updated.cmp(&b.updated);
        let by_number = a.version.cmp(&b.version);
        let told = if dated { by_time.then(by_number) } else { by_number.then(by_time) };
        told.then_with(|| a.fact.cmp(&b.fact))
    });
}

/// The version of each Questionnaire that stands.
pub fn standing(mut all: Vec<StoredQuestionnaire>) -> Vec<(Arc<str>, Questionnaire)> {
    all.sort_by(|a, b| (&a.id, &a.order).cmp(&(&b.id, &b.order)));
    let mut standing: Vec<(Arc<str>, Questionnaire)> = Vec::with_capacity(all.len());
    for stored in all {
        if standing.last().is_some_and(|(id, _)| *id == stored.id) {
            standing.pop();
        }
        standing.push((stored.id, stored.fact));
    }
    standing
}
