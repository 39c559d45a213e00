//! PATCH: JSON Patch (RFC 6902), JSON Merge Patch (RFC 7396) and FHIRPath Patch, on a resource as it is stored. What comes out is checked like
//! anything else that is sent.

mod fhirpath;
mod json;
mod path;

use super::outcome::{Issue, IssueType};
use base64::Engine;
use serde_json::Value;

/// Most operations of one patch.
pub const OPERATIONS_MAX: usize = 200;
/// Most JSON values that a patched resource may hold.
pub const NODES_MAX: usize = 100_000;

/// A patch, read but not yet tried.
#[derive(Debug)]
pub enum Patch {
    Json(json_patch::Patch),
    /// Members that take the place of what stands; null takes away.
    Merge(Value),
    Fhirpath(Vec<fhirpath::Operation>),
}

/// Reads a patch: an array is a JSON Patch, Parameters a FHIRPath Patch, a Binary (in a Bundle) holds a JSON Patch; any
/// other object is a merge patch, as fhirpy sends.
///
/// # Errors
/// It is none of these, or too long.
pub fn read(body: &Value) -> Result<Patch, Issue> {
    match body.get("resourceType").and_then(Value::as_str) {
        Some("Parameters") => fhirpath::read(body).map(Patch::Fhirpath),
        Some("Binary") => json::read(&inside(body)?).map(Patch::Json),
        None if body.is_array() => json::read(body).map(Patch::Json),
        _ if body.is_object() => Ok(Patch::Merge(body.clone())),
        _ => Err(Issue::error(
            IssueType::Structure,
            "A patch is a JSON Patch (an array of operations), a JSON Merge Patch, or Parameters of a FHIRPath Patch.",
        )),
    }
}

/// Changes `resource`; where an operation fails, the caller throws the half-changed one away.
///
/// # Errors
/// An operation that cannot be carried out, with its place.
pub fn apply(patch: &Patch, resource: &mut Value) -> Result<(), Issue> {
    match patch {
        Patch::Json(patch) => json::apply(patch, resource),
        Patch::Merge(patch) => {
            json_patch::merge(resource, patch);
            within(resource)
        }
        Patch::Fhirpath(operations) => fhirpath::apply(operations, resource),
    }
}

impl Patch {
    /// The last operation that is about `element` (`name[0].family`), or about something around it: where in the patch
    /// it is, its number and path.
    #[must_use]
    pub fn blamed(&self, element: &str) -> Option<(String, usize, String)> {
        let about = |own: &str| {
            let rest = element.strip_prefix(own);
            !own.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        match self {
            Self::Json(patch) => {
                let number = patch.0.iter().rposition(|operation| about(&json::element(operation)))?;
                Some((json::place(number), number, clip(patch.0[number].path().as_str())))
            }
            Self::Fhirpath(operations) => {
                let number = operations.iter().rposition(|operation| about(&fhirpath::element(operation)))?;
                Some((fhirpath::place(number), number, clip(&operations[number].path)))
            }
            Self::Merge(_) => None,
        }
    }
}

/// A path as it may be said back: printable, short.
fn clip(path: &str) -> String {
    path.chars().filter(char::is_ascii_graphic).take(100).collect()
}

fn inside(binary: &Value) -> Result<Value, Issue> {
    let expected = |what: &str| Issue::error(IssueType::Structure, format!("A patch in a Bundle needs {what}."));
    if binary.get("contentType").and_then(Value::as_str) != Some("application/json-patch+json") {
        return Err(expected("contentType application/json-patch+json").at("Binary.contentType"));
    }
    let data = binary.get("data").and_then(Value::as_str).unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(data)
        .map_err(|_| expected("its operations in data, as base64").at("Binary.data"))?;
    super::check::parse(&bytes, super::check::Limits::default())
}

fn too_many() -> Issue {
    Issue::error(IssueType::TooCostly, format!("A patch takes at most {OPERATIONS_MAX} operations."))
}

/// Values and levels of nesting.
fn measure(value: &Value) -> (usize, usize) {
    let children: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    };
    let sizes = children.into_iter().map(measure);
    let (nodes, depth) = sizes.fold((0, 0), |(nodes, depth), (more, deeper)| (nodes + more, depth.max(deeper)));
    (nodes + 1, depth + 1)
}

/// A copy may double what there is, each time.
fn within(resource: &Value) -> Result<(), Issue> {
    let (nodes, depth) = measure(resource);
    if nodes > NODES_MAX || depth > super::check::DEPTH_MAX {
        return Err(Issue::error(IssueType::TooCostly, "The patched resource would be too large or nested too deep."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(patch: &Value, resource: &Value) -> Result<Value, Issue> {
        let mut out = resource.clone();
        apply(&read(patch)?, &mut out)?;
        Ok(out)
    }

    #[test]
    fn json_patches() {
        let resource = json!({"resourceType": "Task", "id": "t", "status": "requested"});
        let patch = json!([{"op": "test", "path": "/status", "value": "requested"}, {"op": "replace", "path": "/status", "value": "completed"}]);
        assert_eq!(patched(&patch, &resource).expect("applies")["status"], "completed");
        assert_eq!(
            patched(&json!([{"op": "test", "path": "/status", "value": "x"}]), &resource).expect_err("fails").code,
            IssueType::Processing
        );
        assert_eq!(
            patched(&json!([{"op": "remove", "path": "/note"}]), &resource).expect_err("fails").code,
            IssueType::Processing
        );
        for bad in [json!([{"op": "jump"}]), json!("x"), json!([1])] {
            assert_eq!(read(&bad).expect_err("no patch").code, IssueType::Structure, "{bad}");
        }
        let merged = patched(&json!({"status": "completed", "id": null, "note": null}), &resource).expect("merges");
        assert_eq!(merged, json!({"resourceType": "Task", "status": "completed"}));
    }

    #[test]
    fn a_patch_that_doubles_and_doubles_is_stopped() {
        let copies: Vec<Value> = (0..60).map(|n| json!({"op": "copy", "from": "", "path": format!("/a{n}")})).collect();
        let error = patched(&Value::from(copies), &json!({"resourceType": "Task"})).expect_err("stopped");
        assert_eq!(error.code, IssueType::TooCostly);
        let many: Vec<Value> = (0..=OPERATIONS_MAX).map(|_| json!({"op": "test", "path": "", "value": 1})).collect();
        assert_eq!(read(&Value::from(many)).expect_err("too many").code, IssueType::TooCostly);
    }

    fn operation(parts: &Value) -> Value {
        let parts: Vec<Value> = parts
            .as_object()
            .expect("parts")
            .iter()
            .map(|(name, value)| match (name.as_str(), value) {
                ("type", _) => json!({"name": name, "valueCode": value}),
                ("index" | "source" | "destination", _) => json!({"name": name, "valueInteger": value}),
                ("value", Value::Object(_)) => {
                    let mut part = value.clone();
                    part["name"] = json!("value");
                    part
                }
                _ => json!({"name": name, "valueString": value}),
            })
            .collect();
        json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]})
    }

    #[test]
    fn fhirpath_patches() {
        let patient = json!({"resourceType": "Patient", "birthDate": "1990-01-01", "deceasedBoolean": false,
            "identifier": [{"system": "a", "value": "1"}, {"system": "b", "value": "2"}, {"system": "c", "value": "3"}],
            "name": [{"given": ["Ana", "Bea"], "_given": [null, {"id": "x"}]}]});
        let go = |parts: &Value| patched(&operation(parts), &patient);
        let done = go(&json!({"type": "replace", "path": "Patient.birthDate", "value": {"valueDate": "1991"}}))
            .expect("replace");
        assert_eq!(done["birthDate"], "1991");
        let done = go(&json!({"type": "add", "path": "Patient", "name": "gender", "value": {"valueCode": "other"}}))
            .expect("add");
        assert_eq!(done["gender"], "other");
        let contact = json!({"part": [{"name": "name", "valueHumanName": {"text": "C"}}, {"name": "telecom", "valueContactPoint": {"value": "1"}}]});
        let done = go(&json!({"type": "add", "path": "Patient", "name": "contact", "value": contact})).expect("add");
        assert_eq!(done["contact"], json!([{"name": {"text": "C"}, "telecom": [{"value": "1"}]}]));
        let done = go(&json!({"type": "delete", "path": "Patient.identifier.where(system = 'b')"})).expect("delete");
        assert_eq!(done["identifier"].as_array().map(Vec::len), Some(2));
        assert_eq!(go(&json!({"type": "delete", "path": "Patient.photo"})).expect("nothing to do"), patient);
        let value = json!({"valueIdentifier": {"value": "0"}});
        let done =
            go(&json!({"type": "insert", "path": "Patient.identifier", "index": 0, "value": value})).expect("insert");
        assert_eq!(done["identifier"][0]["value"], "0");
        let done =
            go(&json!({"type": "move", "path": "Patient.identifier", "source": 0, "destination": 2})).expect("move");
        assert_eq!(done["identifier"][2]["system"], "a");
        let done = go(&json!({"type": "replace", "path": "Patient.deceased", "value": {"valueDateTime": "2026"}}))
            .expect("choice");
        assert_eq!((&done["deceasedDateTime"], done.get("deceasedBoolean")), (&json!("2026"), None));
        let done = go(&json!({"type": "delete", "path": "Patient.name[0].given[0]"})).expect("delete");
        assert_eq!(done["name"], json!([{"given": ["Bea"], "_given": [{"id": "x"}]}]));
        for bad in [
            json!({"type": "delete", "path": "Patient.identifier"}),
            json!({"type": "replace", "path": "Patient.photo", "value": {"valueString": "x"}}),
            json!({"type": "add", "path": "Patient", "name": "birthDate", "value": {"valueDate": "1991"}}),
            json!({"type": "add", "path": "Patient", "name": "colour", "value": {"valueCode": "red"}}),
            json!({"type": "insert", "path": "Patient.identifier", "index": 9, "value": {"valueString": "x"}}),
            json!({"type": "replace", "path": "Task.status", "value": {"valueCode": "x"}}),
            json!({"type": "delete", "path": "Patient.name.select(given)"}),
            json!({"type": "fly", "path": "Patient"}),
        ] {
            assert!(go(&bad).is_err(), "{bad}");
        }
    }
}
