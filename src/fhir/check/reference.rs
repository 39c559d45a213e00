//! `Reference`: the shape of what it points with, and the types it may point at.

use serde_json::Value;

use super::path::At;
use super::primitive::{is_id, is_uri, is_uuid_shape};
use super::walk::{Checker, Object};
use crate::fhir::definitions::{Element, resource_type};
use crate::fhir::outcome::IssueType;

const EXPECTED: &str = "Expected a reference as `Patient/123`, an absolute URL, `urn:uuid:…`, `urn:oid:…` or `#id`.";

/// What a reference says about the type it points at.
#[derive(Debug, PartialEq, Eq)]
enum Pointer<'a> {
    Type(&'a str),
    /// Absolute, and not a REST URL we can read a type from.
    Open,
    Local(&'a str),
}

pub(super) fn check<'v>(checker: &mut Checker<'v>, object: &'v Object, element: &Element, at: &At) {
    let stated = object.get("type").and_then(Value::as_str).filter(|name| resource_type(name).is_some());
    let mut kind = None;
    if let Some(Value::String(text)) = object.get("reference") {
        let here = at.field("reference");
        match read(text, checker.conditional) {
            Some(Pointer::Type(name)) => kind = Some(name),
            Some(Pointer::Open) => {}
            Some(Pointer::Local("")) => {
                checker.point("");
                if !checker.is_inside() {
                    let text = "`#` alone points from a contained resource at its container.";
                    checker.fault(IssueType::Value, &here, text);
                }
            }
            Some(Pointer::Local(id)) => {
                checker.point(id);
                kind = checker.scope.contained.get(id).copied().filter(|name| !name.is_empty());
                if !checker.scope.contained.contains_key(id) {
                    let text = "ref-1: `#` and an id must name a contained resource.";
                    checker.fault(IssueType::Invariant, &here, text);
                }
            }
            None if text.is_empty() => {} // already a fault of the string
            None => checker.fault(IssueType::Value, &here, EXPECTED),
        }
        if let (Some(stated), Some(kind)) = (stated, kind)
            && stated != kind
        {
            let text = "The type of a reference must be that of what it points at.";
            checker.fault(IssueType::Value, &at.field("type"), text);
        }
    }
    if let Some(kind) = kind.or(stated)
        && !element.targets.is_empty()
        && !element.targets.contains(&kind)
    {
        let text = format!("`{}` may point at: {}.", element.name, element.targets.join(", "));
        checker.fault(IssueType::Value, at, text);
    }
}

/// Nothing where it has none of the shapes that R4 allows.
fn read(text: &str, conditional: bool) -> Option<Pointer<'_>> {
    if let Some(id) = text.strip_prefix('#') {
        return (id.is_empty() || is_id(id.as_bytes())).then_some(Pointer::Local(id));
    }
    if !is_uri(text) {
        return None;
    }
    if let Some(uuid) = text.strip_prefix("urn:uuid:") {
        return is_uuid_shape(uuid).then_some(Pointer::Open);
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        return Some(rest(path).map_or(Pointer::Open, Pointer::Type));
    }
    if conditional && let Some((name, query)) = text.split_once('?') {
        return (resource_type(name).is_some() && query.contains('=')).then_some(Pointer::Type(name));
    }
    let first = text.split('/').next().unwrap_or_default();
    if first.contains(':') {
        let scheme = first.split(':').next().unwrap_or_default();
        let sound = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        return sound.then_some(Pointer::Open);
    }
    rest(text).filter(|name| text.starts_with(name)).map(Pointer::Type)
}

/// The type in `…/Type/id` or `…/Type/id/_history/version`.
fn rest(path: &str) -> Option<&str> {
    let mut parts = path.rsplit('/');
    let mut id = parts.next()?;
    let mut name = parts.next()?;
    if name == "_history" {
        if !is_id(id.as_bytes()) {
            return None;
        }
        id = parts.next()?;
        name = parts.next()?;
    }
    (is_id(id.as_bytes()) && resource_type(name).is_some()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let kind = |name| Some(Pointer::Type(name));
        assert_eq!(read("Patient/1", false), kind("Patient"));
        assert_eq!(read("Patient/1/_history/2", false), kind("Patient"));
        assert_eq!(read("http://x/fhir/Patient/1", false), kind("Patient"));
        assert_eq!(read("https://x/a", false), Some(Pointer::Open));
        assert_eq!(read("urn:oid:1.2", false), Some(Pointer::Open));
        assert_eq!(read("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", false), Some(Pointer::Open));
        assert_eq!(read("#a", false), Some(Pointer::Local("a")));
        assert_eq!(read("Patient?identifier=a|b", true), kind("Patient"));
        for bad in [
            "",
            "1",
            "Patient",
            "Patient/",
            "/Patient/1",
            "a/Patient/1",
            "Patient/1/2",
            "Nonsense/1",
            "Patient/a_b",
            "Patient/1/_history/",
            "Patient/1/_history/a_b",
            "Patient?identifier=1",
            "# a",
            "#a b",
            "urn:uuid:1",
            "a b:c",
            "Patient/1 ",
            ":x",
            "../Patient/1",
        ] {
            assert_eq!(read(bad, false), None, "{bad}");
        }
    }
}
