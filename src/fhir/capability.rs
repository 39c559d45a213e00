//! The CapabilityStatement, made from the tables that route and search.

use super::kinds::{KINDS, Writer};
use super::parameters::parameters;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What this server does, as R4 says it.
#[must_use]
pub fn statement(fhir_base: &str, started: Timestamp) -> Value {
    let resources: Vec<Value> = KINDS.iter().map(|row| resource(row.name, row.writer)).collect();
    json!({
        "resourceType": "CapabilityStatement",
        "id": "tautline",
        "url": "https://tautline.example/fhir/CapabilityStatement/tautline",
        "version": env!("CARGO_PKG_VERSION"),
        "name": "Tautline",
        "title": "Tautline: notices when a psychotherapy client is quietly leaving",
        "status": "active",
        "date": format!("{started:.0}"),
        "kind": "instance",
        "software": {"name": "Tautline", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "Tautline", "url": fhir_base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{
            "mode": "server",
            "resource": resources,
            "interaction": [{"code": "transaction"}, {"code": "batch"}, {"code": "history-system"}],
        }],
    })
}

fn resource(name: &str, writer: Writer) -> Value {
    let mut interactions = vec!["read", "vread", "search-type", "history-instance", "history-type"];
    if writer == Writer::Others {
        interactions.extend(["create", "update", "delete"]);
    }
    let mut search = vec![json!({"name": "_id", "type": "token"}), json!({"name": "_lastUpdated", "type": "date"})];
    search.extend(parameters(name).iter().map(|parameter| {
        let mut row = json!({"name": parameter.code, "type": parameter.kind.as_str()});
        if name == "Flag" && ["category", "code", "status"].contains(&parameter.code) {
            row["definition"] = json!(format!("https://tautline.example/fhir/SearchParameter/flag-{}", parameter.code));
        }
        row
    }));
    let mut out = json!({
        "type": name,
        "interaction": interactions.iter().map(|code| json!({"code": code})).collect::<Vec<_>>(),
        "versioning": "versioned",
        "readHistory": true,
        "searchParam": search,
    });
    if writer == Writer::Others {
        out["updateCreate"] = json!(true);
        out["conditionalCreate"] = json!(true);
        out["conditionalUpdate"] = json!(true);
        out["conditionalDelete"] = json!("single");
    } else if name == "Observation" {
        out["documentation"] =
            json!("Written by this server alone, but for judgements (code judgement), which may be posted.");
    }
    if name == "Patient" {
        out["operation"] = json!([{
            "name": "detect-rupture",
            "definition": "https://tautline.example/fhir/OperationDefinition/detect-rupture",
        }]);
    }
    out
}
