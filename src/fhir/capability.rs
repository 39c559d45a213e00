//! The CapabilityStatement, made from the tables that route and search.

use super::artefacts;
use super::kinds::{KINDS, KindRow, Writer, kind};
use super::parameters::{ParameterType, parameters};
use super::write::codes;
use serde_json::{Value, json};

/// Interactions that need somebody who may write.
pub const WRITES: &[&str] = &["create", "update", "patch", "delete"];

/// Operations, the type whose they are alone (empty: every type's), and their definitions.
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("detect-rupture", "Patient", "https://tautline.example/fhir/OperationDefinition/detect-rupture"),
    ("export", "Group", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export"),
    ("export", "Patient", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export"),
    ("everything", "Patient", "http://hl7.org/fhir/OperationDefinition/Patient-everything"),
    ("validate", "", "http://hl7.org/fhir/OperationDefinition/Resource-validate"),
];

/// Operations of the system as a whole.
const OF_SYSTEM: &[(&str, &str)] = &[
    ("export", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"),
    ("import", "https://tautline.example/fhir/OperationDefinition/import"),
];

/// What this server does, as R4 says it. `interactions`: codes of R4 and names of operations (`$…`), as they are
/// routed. `date`: of this process, or of the release.
#[must_use]
pub fn statement(fhir_base: &str, date: &str, interactions: &[&str]) -> Value {
    let mut resources: Vec<Value> = KINDS.iter().map(|row| resource(row, interactions)).collect();
    resources.extend(artefacts::kinds().into_iter().filter(|name| kind(name).is_none()).map(artefact));
    let of_system: Vec<Value> = ["transaction", "batch", "history-system"]
        .iter()
        // A batch comes in by the same door as a transaction.
        .filter(|code| interactions.contains(code) || **code == "batch" && interactions.contains(&"transaction"))
        .map(|code| json!({"code": code}))
        .collect();
    let operations: Vec<Value> = OF_SYSTEM
        .iter()
        .filter(|(name, _)| interactions.iter().any(|code| code.strip_prefix('$') == Some(name)))
        .map(|(name, definition)| json!({"name": name, "definition": definition}))
        .collect();
    json!({
        "resourceType": "CapabilityStatement",
        "id": "tautline",
        "url": format!("{}/CapabilityStatement/tautline", codes::BASE),
        "version": env!("CARGO_PKG_VERSION"),
        "name": "Tautline",
        "title": "Tautline: notices when a psychotherapy client is quietly leaving",
        "status": "active",
        "date": date,
        "publisher": "Tautline",
        "kind": "instance",
        "software": {"name": "Tautline", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "Tautline", "url": fhir_base},
        "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "patchFormat": ["application/json-patch+json", "application/merge-patch+json", "application/fhir+json", "application/fhir+xml"],
        "rest": [{
            "mode": "server",
            "resource": resources,
            "interaction": of_system,
            "operation": operations,
        }],
    })
}

fn resource(row: &KindRow, interactions: &[&str]) -> Value {
    let of_types =
        ["read", "vread", "search-type", "history-instance", "history-type", "create", "update", "patch", "delete"];
    let claimed = of_types
        .iter()
        .filter(|code| interactions.contains(code) && (row.writer == Writer::Others || !WRITES.contains(code)));
    let mut out = json!({
        "type": row.name,
        "profile": format!("http://hl7.org/fhir/StructureDefinition/{}", row.name),
        "interaction": claimed.map(|code| json!({"code": code})).collect::<Vec<_>>(),
        "versioning": "versioned",
        "readHistory": true,
        "conditionalRead": "full-support",
    });
    if row.writer == Writer::Others {
        out["updateCreate"] = json!(true);
        out["conditionalCreate"] = json!(true);
        out["conditionalUpdate"] = json!(true);
        out["conditionalDelete"] = json!("single");
    } else if row.name == "Observation" {
        out["documentation"] =
            json!("Written by this server alone, but for judgements (code judgement), which may be posted.");
    }
    out["referencePolicy"] = json!(["literal", "logical"]);
    let includes = references(row.name).map(|code| format!("{}:{code}", row.name)).collect::<Vec<_>>();
    if !includes.is_empty() {
        out["searchInclude"] = json!(includes);
    }
    let back = back_references(row.name);
    if !back.is_empty() {
        out["searchRevInclude"] = json!(back);
    }
    out["searchParam"] = json!(search_parameters(row.name));
    let has = |name: &str| interactions.iter().any(|code| code.strip_prefix('$') == Some(name));
    let operations: Vec<Value> = OPERATIONS
        .iter()
        .filter(|(name, of, _)| (of.is_empty() || *of == row.name) && has(name))
        .map(|(name, _, definition)| json!({"name": name, "definition": definition}))
        .collect();
    if !operations.is_empty() {
        out["operation"] = json!(operations);
    }
    out
}

/// A type of which there are conformance resources of ours, and no others.
fn artefact(name: &str) -> Value {
    let search = artefacts::PARAMETERS.iter().map(|(code, of)| {
        let base = if code.starts_with('_') { "Resource" } else { "conformance" };
        let definition = format!("http://hl7.org/fhir/SearchParameter/{base}-{}", code.trim_start_matches('_'));
        json!({"name": code, "definition": definition, "type": of})
    });
    json!({
        "type": name,
        "profile": format!("http://hl7.org/fhir/StructureDefinition/{name}"),
        "documentation": "This server's own, part of the program: read and searched.",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "searchParam": search.collect::<Vec<_>>(),
    })
}

fn search_parameters(name: &str) -> Vec<Value> {
    let official = "http://hl7.org/fhir/SearchParameter/Resource";
    let mut search = vec![
        json!({"name": "_id", "definition": format!("{official}-id"), "type": "token"}),
        json!({"name": "_lastUpdated", "definition": format!("{official}-lastUpdated"), "type": "date"}),
    ];
    search.extend(parameters(name).iter().map(|parameter| {
        json!({"name": parameter.code, "definition": parameter.definition, "type": parameter.kind.as_str()})
    }));
    search
}

fn references(name: &str) -> impl Iterator<Item = &'static str> {
    parameters(name).iter().filter(|one| one.kind == ParameterType::Reference).map(|one| one.code)
}

/// `Type:parameter` of every reference that may lead to the type.
fn back_references(name: &str) -> Vec<String> {
    let leads = |targets: &[&str]| targets.is_empty() || targets.contains(&name);
    KINDS
        .iter()
        .flat_map(|row| parameters(row.name).iter().map(move |parameter| (row.name, parameter)))
        .filter(|(_, parameter)| parameter.kind == ParameterType::Reference && leads(parameter.targets))
        // A canonical leads to what has a url.
        .filter(|(source, parameter)| !(*source == "QuestionnaireResponse" && parameter.code == "questionnaire"))
        .map(|(source, parameter)| format!("{source}:{}", parameter.code))
        .collect()
}
