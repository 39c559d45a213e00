//! Flags: one per episode, updated while it lasts.

use super::codes::{self, FLAG_DETAIL, FLAG_PRIORITY, concept, extension_url, ours};
use super::{Finding, Step, WriteContext, episode_place, ids, shows};
use crate::domain::{Course, Episode, EpisodeKey, FlagKind, SignalKind, Source, Verdict, Why};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub fn of_episode(client: &str, course: &Course, steps: &[Step], episode: &Episode, context: &WriteContext) -> Finding {
    let id = ids::flag(client, episode.kind, &episode.key);
    let body = body(client, &id, steps, episode, context);
    Finding::new(Value::Object(body), "Flag", id, false, episode_place(client, course, episode))
}

fn body(client: &str, id: &str, steps: &[Step], episode: &Episode, context: &WriteContext) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("resourceType".into(), "Flag".into());
    body.insert("id".into(), id.into());
    body.insert("extension".into(), extensions(client, steps, episode).into());
    body.insert("status".into(), if episode.closed.is_some() { "inactive" } else { "active" }.into());
    let (category, category_display) = codes::flag_category(episode.kind);
    let system = "http://terminology.hl7.org/CodeSystem/flag-category";
    body.insert("category".into(), json!([concept(system, category, category_display)]));
    body.insert("code".into(), code(episode));
    body.insert("subject".into(), json!({"reference": format!("Patient/{client}")}));
    body.insert("period".into(), period(episode.opened, episode.closed.map(|(at, _)| at)));
    body.insert("author".into(), context.device());
    body
}

pub(super) fn period(start: Timestamp, end: Option<Timestamp>) -> Value {
    let mut period = json!({"start": start.to_string()});
    if let Some(end) = end {
        period["end"] = end.to_string().into();
    }
    period
}

/// The text is what an EHR shows that knows nothing of us: it says why where the kind alone does not.
fn code(episode: &Episode) -> Value {
    let display = codes::flag_display(episode.kind);
    let mut code = ours("flag", episode.kind.code(), display);
    if episode.why == Why::NoContact {
        code["text"] = format!("{display}: no contact").into();
    }
    code
}

fn extensions(client: &str, steps: &[Step], episode: &Episode) -> Vec<Value> {
    let (priority, priority_display) = codes::flag_priority(episode.kind);
    let (why, why_display) = codes::why(episode.why);
    let mut all: Vec<Value> = details(client, steps, episode)
        .into_iter()
        .map(|reference| json!({"url": FLAG_DETAIL, "valueReference": {"reference": reference}}))
        .collect();
    all.push(json!({
        "url": FLAG_PRIORITY,
        "valueCodeableConcept": concept("http://hl7.org/fhir/flag-priority-code", priority, priority_display),
    }));
    all.push(json!({
        "url": extension_url("flag-reason"),
        "valueCodeableConcept": ours("flag-reason", why, why_display),
    }));
    all.extend(episode.judged.iter().map(judgement));
    if let Some((_, closing)) = episode.closed {
        let (code, display) = codes::closing(closing);
        all.push(closing_extension(code, display));
    }
    all
}

pub(super) fn closing_extension(code: &str, display: &str) -> Value {
    json!({"url": extension_url("flag-closing"), "valueCodeableConcept": ours("flag-closing", code, display)})
}

/// What the Flag points at: the pattern that first shows it (and the trajectory that not-on-track is about);
/// for a safety item the answers themselves.
pub(super) fn details(client: &str, steps: &[Step], episode: &Episode) -> Vec<String> {
    if let EpisodeKey::Response(source) = &episode.key {
        return vec![source.to_string()];
    }
    let Some(step) = shows(steps, episode) else { return Vec::new() };
    let mut codes = vec!["pattern"];
    if episode.kind == FlagKind::NotOnTrack {
        codes.push(SignalKind::RomTrajectory.code());
    }
    codes.into_iter().map(|code| format!("Observation/{}", ids::observation(client, code, &step.key))).collect()
}

fn judgement((at, verdict, source): &(Timestamp, Verdict, Source)) -> Value {
    let (code, display) = codes::verdict(*verdict);
    json!({
        "url": extension_url("flag-judgement"),
        "extension": [
            {"url": "verdict", "valueCodeableConcept": ours("judgement", code, display)},
            {"url": "at", "valueInstant": at.to_string()},
            {"url": "observation", "valueReference": codes::reference(source)},
        ],
    })
}
