//! Getting at what may not be there.

use crate::domain::fact::{Code, System};
use serde_json::Value;

pub const LOINC: &str = "http://loinc.org";
/// How deep nested items are followed.
const DEPTH_MAX: usize = 16;

pub fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// An array's elements; a single object where an array belongs counts as one; nothing where it is missing.
pub fn each<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    let found = match value.get(key) {
        Some(Value::Array(all)) => all.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => &[],
    };
    found.iter()
}

pub fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

/// The extensions with this URL.
pub fn extensions<'a>(value: &'a Value, url: &'a str) -> impl Iterator<Item = &'a Value> + use<'a> {
    each(value, "extension").filter(move |extension| text(extension, "url") == Some(url))
}

/// The codings of a CodeableConcept.
pub fn codings<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).into_iter().flat_map(|concept| each(concept, "coding"))
}

pub fn code(coding: &Value) -> Option<Code> {
    let system = match text(coding, "system") {
        None => System::Unsaid,
        Some(LOINC) => System::Loinc,
        Some(other) => System::Other(other.into()),
    };
    Some(Code { system, code: text(coding, "code")?.into() })
}

const ORDINALS: [&str; 3] = [
    "http://hl7.org/fhir/StructureDefinition/ordinalValue",
    "http://hl7.org/fhir/StructureDefinition/itemWeight",
    "http://hl7.org/fhir/StructureDefinition/questionnaire-ordinalValue",
];

/// The points a choice carries itself: on its coding, or beside it.
pub fn ordinal(value: &Value) -> Option<f64> {
    let own = |value: &Value| {
        each(value, "extension")
            .filter(|extension| text(extension, "url").is_some_and(|url| ORDINALS.contains(&url)))
            .find_map(|extension| {
                ["valueDecimal", "valueInteger"].iter().find_map(|key| extension.get(key).and_then(number))
            })
    };
    value.get("valueCoding").and_then(own).or_else(|| own(value))
}

/// The logical id in a reference to this type: relative, or the end of an absolute URL, with or without a version.
/// A contained resource, a search or a reference by identifier has none.
pub fn id<'a>(reference: &'a Value, kind: &str) -> Option<&'a str> {
    let reference = text(reference, "reference")?;
    let whole = reference.split_once("/_history/").map_or(reference, |(whole, _)| whole);
    let (rest, id) = whole.rsplit_once('/')?;
    let named = rest == kind || rest.strip_suffix(kind).is_some_and(|rest| rest.ends_with('/'));
    let valid = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    (named && valid).then_some(id)
}

/// Every item, groups and nested ones included, in document order. Items under an answer belong to their item.
pub fn items<'a>(form: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    nested(form, DEPTH_MAX, visit);
}

fn nested<'a>(parent: &'a Value, depth: usize, visit: &mut impl FnMut(&'a Value)) {
    if depth == 0 {
        return;
    }
    for item in each(parent, "item") {
        visit(item);
        nested(item, depth - 1, visit);
        for answer in each(item, "answer") {
            nested(answer, depth - 1, visit);
        }
    }
}
