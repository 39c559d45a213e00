//! `tautline conformance DIR`: what we claim, as an IG-style package folder.

use crate::api::rest;
use crate::fhir::read::SHIPPED;
use crate::fhir::write::codes::BASE;
use crate::fhir::{artefacts, capability};
use serde_json::{Value, json};
use std::path::Path;

/// Name of the package.
const PACKAGE: &str = "tautline";
/// The CapabilityStatement of a release has no instance and no start: the date of the artefacts.
const DATE: &str = "2026-01-01";

/// Writes `DIR/package.json` and `DIR/package/…`: the ImplementationGuide, the CapabilityStatement, our artefacts,
/// the shipped measures. The same release writes the same bytes.
///
/// # Errors
/// What could not be written, in one line.
pub fn run(folder: &Path) -> Result<usize, String> {
    let mut all: Vec<(String, String)> = Vec::new();
    for artefact in artefacts::ALL {
        all.push((format!("{}-{}", artefact.kind, artefact.id), artefact.json.trim_end().to_owned()));
    }
    for (id, text) in SHIPPED {
        all.push((format!("Questionnaire-{id}"), text.trim_end().to_owned()));
    }
    let interactions: Vec<&str> = rest::interactions().collect();
    let mut statement = capability::statement(&format!("{BASE}/"), DATE, &interactions);
    // Of the software, wherever it runs.
    statement["kind"] = json!("capability");
    if let Some(object) = statement.as_object_mut() {
        object.shift_remove("implementation");
    }
    all.push(("CapabilityStatement-tautline".into(), pretty(&statement)));
    let guide = guide(all.iter().map(|(name, _)| name.as_str()));
    all.push(("ImplementationGuide-tautline".into(), pretty(&guide)));
    let package = folder.join("package");
    std::fs::create_dir_all(&package).map_err(|error| format!("cannot create {}: {error}", package.display()))?;
    let write = |name: &str, text: &str| {
        let path = package.join(name);
        std::fs::write(&path, format!("{text}\n")).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    for (name, text) in &all {
        write(&format!("{name}.json"), text)?;
    }
    write("package.json", &pretty(&manifest()))?;
    write(".index.json", &pretty(&index(&all)))?;
    Ok(all.len())
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn manifest() -> Value {
    json!({
        "name": PACKAGE,
        "version": env!("CARGO_PKG_VERSION"),
        "canonical": BASE,
        "url": BASE,
        "title": "Tautline",
        "description": env!("CARGO_PKG_DESCRIPTION"),
        "fhirVersions": ["4.0.1"],
        "type": "fhir.ig",
        "license": "CC0-1.0",
        "author": "Tautline",
        "dependencies": {"hl7.fhir.r4.core": "4.0.1"},
    })
}

fn index(all: &[(String, String)]) -> Value {
    let files: Vec<Value> = all
        .iter()
        .filter_map(|(name, text)| {
            let resource: Value = serde_json::from_str(text).ok()?;
            let mut row = json!({"filename": format!("{name}.json")});
            for key in ["resourceType", "id", "url", "version", "kind", "type"] {
                if let Some(value) = resource.get(key).filter(|value| value.is_string()) {
                    row[key] = value.clone();
                }
            }
            Some(row)
        })
        .collect();
    json!({"index-version": 1, "files": files})
}

fn guide<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    let resources: Vec<Value> = names
        .filter_map(|name| name.split_once('-'))
        .map(|(kind, id)| json!({"reference": {"reference": format!("{kind}/{id}")}, "exampleBoolean": false}))
        .collect();
    json!({
        "resourceType": "ImplementationGuide",
        "id": PACKAGE,
        "url": format!("{BASE}/ImplementationGuide/{PACKAGE}"),
        "version": env!("CARGO_PKG_VERSION"),
        "name": "Tautline",
        "title": "Tautline",
        "status": "active",
        "publisher": "Tautline",
        "description": env!("CARGO_PKG_DESCRIPTION"),
        "packageId": PACKAGE,
        "license": "CC0-1.0",
        "fhirVersion": ["4.0.1"],
        "dependsOn": [{"uri": "http://hl7.org/fhir", "packageId": "hl7.fhir.r4.core", "version": "4.0.1"}],
        "definition": {"resource": resources},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_whole_and_sound() {
        let folder = tempfile::tempdir().expect("a folder");
        let count = run(folder.path()).expect("writes");
        let package = folder.path().join("package");
        let mut seen = 0;
        for file in std::fs::read_dir(&package).expect("a folder").flatten() {
            let text = std::fs::read_to_string(file.path()).expect("readable");
            let resource: Value = serde_json::from_str(&text).expect("json");
            let Some(kind) = resource["resourceType"].as_str() else { continue };
            let name = format!("{kind}-{}.json", resource["id"].as_str().expect("an id"));
            assert_eq!(file.file_name().to_string_lossy(), name);
            let faults = crate::fhir::check::check(&resource);
            assert!(!faults.iter().any(crate::fhir::outcome::Issue::refuses), "{name}: {faults:?}");
            seen += 1;
        }
        assert_eq!(seen, count);
        assert!(package.join("package.json").exists() && package.join(".index.json").exists());
    }
}
