//! Whose a resource is.

use super::json::{each, id, text};
use serde_json::Value;

/// Logical id of the Patient whose compartment a resource belongs to: R4's compartment definition, and `Task.for`.
///
/// References may be relative (`Patient/1`) or absolute URLs that end so, with or without a version. One by
/// identifier alone, to a contained resource or to another type names nobody. Where a resource names several
/// Patients, this is the first; [`clients`] has all of them. Types that belong to no Patient have none.
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

/// All whose compartments it belongs to, each once, the first as [`client`] says: several where an Appointment is a
/// group's or a couple's.
pub fn clients(resource: &Value) -> Vec<String> {
    let mut all: Vec<String> = client(resource).into_iter().collect();
    if text(resource, "resourceType").is_some_and(is_shareable) {
        let more = each(resource, "participant").filter_map(|one| id(one.get("actor")?, "Patient"));
        for id in more {
            if !all.iter().any(|known| known == id) {
                all.push(id.to_owned());
            }
        }
    }
    all
}

/// Whether resources of the type can belong to several clients.
pub fn is_shareable(kind: &str) -> bool {
    kind == "Appointment"
}

/// [`clients`] of what is stored as text, knowing the first: the text is read only where there could be more.
pub fn clients_of(kind: &str, first: Option<&str>, json: &str) -> Vec<String> {
    if is_shareable(kind)
        && json.matches("Patient/").nth(1).is_some()
        && let Ok(resource) = serde_json::from_str(json)
    {
        return clients(&resource);
    }
    first.map(str::to_owned).into_iter().collect()
}
