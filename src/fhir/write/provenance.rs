//! Provenance: what went in, which release said it, and when it was first published.

use super::basis::Basis;
use super::codes::{BASE, concept};
use super::ids::{self, hex};
use super::{Finding, Place, Step, WriteContext, episode_place, flag};
use crate::domain::{Assessment, Course, Episode, EpisodeKey, SignalKind, Source};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// For the six Observations of one step.
pub fn of_step(client: &str, step: &Step, before: Option<&Assessment>, context: &WriteContext) -> Finding {
    let said = step.assessment;
    let pattern = ids::observation(client, "pattern", &said.key);
    let targets = SignalKind::ALL.iter().map(|kind| ids::observation(client, kind.code(), &said.key));
    let targets = targets.chain([pattern]).map(|id| format!("Observation/{id}")).collect();
    let mut entities = vec![facts_known(&step.basis)];
    // What is carried came from the step before, which has a Provenance of its own.
    if let Some(before) = before {
        entities.push(used(&format!("Observation/{}", ids::observation(client, "pattern", &before.key))));
    }
    entities.extend(sources(said).iter().map(|source| used(&source.to_string())));
    let id = ids::step_provenance(client, &said.key);
    let resource = resource(&id, targets, step.effective(context), entities, context);
    Finding::new(resource, "Provenance", id, step.undated(context), step.place(client))
}

/// For one Flag.
pub fn of_episode(client: &str, course: &Course, steps: &[Step], episode: &Episode, context: &WriteContext) -> Finding {
    let id = ids::flag_provenance(client, episode.kind, &episode.key);
    let target = format!("Flag/{}", ids::flag(client, episode.kind, &episode.key));
    let place = episode_place(client, course, episode);
    let mut entities = Vec::new();
    if let Place::Episode { behind, .. } = &place {
        entities.push(facts_known(behind));
    }
    let mut rests: BTreeSet<String> = episode.rests_on.iter().map(Source::to_string).collect();
    rests.extend(episode.judged.iter().map(|(_, _, source)| source.to_string()));
    rests.extend(flag::details(client, steps, episode));
    if let EpisodeKey::Response(source) = &episode.key {
        rests.insert(source.to_string());
    }
    entities.extend(rests.iter().map(|reference| used(reference)));
    let resource = resource(&id, vec![target], episode.opened, entities, context);
    Finding::new(resource, "Provenance", id, false, place)
}

fn resource(
    id: &str,
    targets: Vec<String>,
    occurred: Timestamp,
    entities: Vec<Value>,
    context: &WriteContext,
) -> Value {
    let targets: Vec<Value> = targets.into_iter().map(|target| json!({"reference": target})).collect();
    let assembler =
        concept("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "assembler", "Assembler");
    let mut resource = json!({
        "resourceType": "Provenance",
        "id": id,
        "target": targets,
        "occurredDateTime": occurred.to_string(),
        "recorded": context.recorded.to_string(),
        "policy": [format!("{BASE}/model/{}", context.model), format!("{BASE}/constants/{}", context.constants)],
        "agent": [{"type": assembler, "who": context.device()}],
    });
    if !entities.is_empty() {
        resource["entity"] = entities.into();
    }
    resource
}

fn used(reference: &str) -> Value {
    json!({"role": "source", "what": {"reference": reference}})
}

/// System of the digest by which the facts behind a step are named.
pub(super) fn basis_system() -> String {
    format!("{BASE}/facts")
}

fn facts_known(basis: &Basis) -> Value {
    json!({
        "role": "source",
        "what": {
            "identifier": {"system": basis_system(), "value": hex(basis)},
            "display": "Digest of the facts known before this instant",
        },
    })
}

fn sources(step: &Assessment) -> BTreeSet<&Source> {
    let seen = &step.seen;
    let signals = step.signals.iter().flat_map(|signal| &signal.rests_on);
    let attendance = seen.attendance.iter().map(|(_, source)| source);
    let homework = seen.homework.iter().map(|item| &item.source);
    let rom = seen.rom.iter().flat_map(|item| item.source.iter().chain(&item.task));
    let score = seen.scores.iter().map(|score| &score.source);
    let alliance = seen.alliance.iter().map(|item| &item.source);
    signals.chain(attendance).chain(homework).chain(rom).chain(score).chain(alliance).collect()
}
