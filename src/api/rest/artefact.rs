//! Our own conformance resources and shipped measures, read and searched; nobody writes them.

use crate::fhir::artefacts;
use crate::fhir::read::SHIPPED;
use serde_json::{Value, json};

/// Whether the type is one of conformance resources alone.
pub fn is_kind(name: &str) -> bool {
    artefacts::of_kind(name).next().is_some()
}

/// The text of one.
pub fn find(kind: &str, id: &str) -> Option<&'static str> {
    if kind == "Questionnaire" {
        return SHIPPED.iter().find(|(name, _)| *name == id).map(|(_, text)| *text);
    }
    artefacts::find(kind, id).map(|artefact| artefact.json)
}

/// A search for a shipped measure alone: by what these answer to.
pub fn asks_for_shipped(name: &str, query: &[(String, String)]) -> bool {
    let known = ["_id", "url", "name", "_format", "_pretty", "_count"];
    let names = |key: &str| matches!(key, "_id" | "url" | "name");
    name == "Questionnaire"
        && query.iter().all(|(key, _)| known.contains(&key.as_str()))
        && query.iter().any(|(key, _)| names(key))
}

fn all(name: &str) -> Vec<(&'static str, &'static str)> {
    match name {
        "Questionnaire" => SHIPPED.to_vec(),
        _ => artefacts::of_kind(name).map(|artefact| (artefact.id, artefact.json)).collect(),
    }
}

/// Those of a type, by `url`, `_id` or `name` where given. They are few: no pages.
pub fn search(name: &str, query: &[(String, String)], base: &str) -> String {
    let found: Vec<String> = all(name)
        .into_iter()
        .filter_map(|(id, text)| Some((id, text, serde_json::from_str::<Value>(text).ok()?)))
        .filter(|(id, _, value)| {
            query.iter().all(|(key, wanted)| match key.as_str() {
                "_id" => id == wanted,
                "url" | "name" => value.get(key).and_then(Value::as_str) == Some(wanted),
                _ => true,
            })
        })
        .map(|(id, text, _)| {
            let url = json!(format!("{base}/{name}/{id}"));
            format!("{{\"fullUrl\":{url},\"resource\":{text},\"search\":{{\"mode\":\"match\"}}}}")
        })
        .collect();
    let link = json!([{"relation": "self", "url": format!("{base}/{name}")}]);
    let head =
        format!("{{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"total\":{},\"link\":{link}", found.len());
    if found.is_empty() { format!("{head}}}") } else { format!("{head},\"entry\":[{}]}}", found.join(",")) }
}
