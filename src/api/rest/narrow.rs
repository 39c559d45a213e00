//! `_summary` and `_elements`: fewer elements, and the tag that says so.

use crate::fhir::definitions::resource_type;
use crate::fhir::search::{Shape, Summary};
use serde_json::{Value, json};

/// The resource as `shape` wants it; `None`: whole.
pub fn narrow(text: &str, shape: &Shape) -> Option<String> {
    const ALWAYS: &[&str] = &["resourceType", "id", "meta"];
    if shape.summary == Summary::False && shape.elements.is_empty() {
        return None;
    }
    let mut value: Value = serde_json::from_str(text).ok()?;
    let object = value.as_object_mut()?;
    let kind = resource_type(object.get("resourceType").and_then(Value::as_str)?)?;
    let element = |key: &str| kind.property(key).map(|property| kind.element(property));
    object.retain(|key, _| {
        let name = key.strip_prefix('_').unwrap_or(key);
        if ALWAYS.contains(&name) {
            return true;
        }
        let here = element(name);
        match shape.summary {
            Summary::Text => name == "text" || here.is_some_and(|element| element.required),
            Summary::Data => name != "text",
            Summary::True => here.is_some_and(|element| element.summary),
            Summary::False | Summary::Count => here.is_some_and(|element| {
                let stem = element.name.trim_end_matches("[x]");
                element.required || element.modifier || shape.elements.iter().any(|one| one == name || one == stem)
            }),
        }
    });
    let tag = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"});
    let meta = object.entry("meta").or_insert_with(|| json!({}));
    match meta.get_mut("tag").and_then(Value::as_array_mut) {
        Some(tags) => tags.push(tag),
        None => meta["tag"] = json!([tag]),
    }
    Some(value.to_string())
}
