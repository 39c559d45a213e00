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

/// Those of a type, by `url`, `_id` or `name` where given. They are few: no pages.
pub fn search(name: &str, query: &[(String, String)], base: &str) -> String {
    let found: Vec<String> = artefacts::of_kind(name)
        .filter_map(|artefact| Some((artefact, serde_json::from_str::<Value>(artefact.json).ok()?)))
        .filter(|(artefact, value)| {
            query.iter().all(|(key, wanted)| match key.as_str() {
                "_id" => artefact.id == wanted,
                "url" | "name" => value.get(key).and_then(Value::as_str) == Some(wanted),
                _ => true,
            })
        })
        .map(|(artefact, _)| {
            let url = json!(format!("{base}/{name}/{}", artefact.id));
            format!("{{\"fullUrl\":{url},\"resource\":{},\"search\":{{\"mode\":\"match\"}}}}", artefact.json)
        })
        .collect();
    let link = json!([{"relation": "self", "url": format!("{base}/{name}")}]);
    let head =
        format!("{{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"total\":{},\"link\":{link}", found.len());
    if found.is_empty() { format!("{head}}}") } else { format!("{head},\"entry\":[{}]}}", found.join(",")) }
}
