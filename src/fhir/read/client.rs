//! Whose a resource is.

use super::json::{each, id, text};
use serde_json::Value;

/// Logical id of the Patient whose compartment a resource belongs to: R4's compartment definition, and `Task.for`.
///
/// References may be relative (`Patient/1`) or absolute URLs that end so, with or without a version. One by
/// identifier alone, to a contained resource or to another type names nobody. Where a resource names several
/// Patients (a group's Appointment), the first one counts. Types that belong to no Patient have none.
pub fn client(resource: &Value) -> Option<String> {
    let one = |key: &str| resource.get(key).and_then(|reference| id(reference, "Patient"));
    let many = |key: &str| each(resource, key).find_map(|reference| id(reference, "Patient"));
    let inside = |key: &str, inner: &str| {
        each(resource, key).find_map(|part| part.get(inner).and_then(|reference| id(reference, "Patient")))
    };
    let found = match text(resource, "resourceType")? {
        "Appointment" => inside("participant", "actor"),
        "AuditEvent" => inside("entity", "what").or_else(|| inside("agent", "who")),
        "CareTeam" => one("subject").or_else(|| inside("participant", "member")),
        "Encounter" | "Flag" => one("subject"),
        "EpisodeOfCare" => one("patient"),
        "Observation" => one("subject").or_else(|| many("performer")),
        "Patient" => text(resource, "id"),
        "Provenance" => many("target"),
        "QuestionnaireResponse" => one("subject").or_else(|| one("author")),
        "Task" => one("for"),
        _ => None,
    };
    found.map(str::to_owned)
}
