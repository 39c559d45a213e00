//! The check as a whole: faults with their places, the public examples, and anything at all.

mod anything;
mod examples;
mod rules;
mod shape;

use super::{ISSUES_MAX, Limits, check, check_at, check_bundle_shell, parse};
use crate::fhir::outcome::Issue;
use serde_json::{Value, json};

fn shown(issues: &[Issue]) -> Vec<String> {
    let place = |issue: &Issue| issue.expression.clone().unwrap_or_default();
    issues.iter().map(|issue| format!("{} {}", issue.code.as_str(), place(issue))).collect()
}

/// Faults as `code expression`.
fn faults(resource: &Value) -> Vec<String> {
    shown(&check(resource))
}

fn sound(resource: &Value) {
    assert_eq!(check(resource), [], "{resource}");
}

fn response() -> Value {
    json!({
        "resourceType": "QuestionnaireResponse",
        "id": "r1",
        "meta": {"lastUpdated": "2026-03-01T10:00:00Z"},
        "questionnaire": "http://loinc.org/q/44249-1|2.0",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "authored": "2026-03-01T10:00:00Z",
        "item": [
            {"linkId": "/44250-9", "answer": [{"valueCoding": {"system": "http://loinc.org", "code": "LA6569-3"}}]},
            {"linkId": "/44255-8", "answer": [{"valueInteger": 1}]},
            {"linkId": "total", "answer": [{"valueDecimal": 7.50}]}
        ]
    })
}

fn with(mut resource: Value, pointer: &str, value: Value) -> Value {
    *resource.pointer_mut(pointer).expect("the pointer leads somewhere") = value;
    resource
}

fn plus(mut resource: Value, name: &str, value: Value) -> Value {
    resource[name] = value;
    resource
}

fn patient(name: &str, value: Value) -> Value {
    plus(json!({"resourceType": "Patient"}), name, value)
}
