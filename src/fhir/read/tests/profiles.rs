use crate::fhir::read::shipped::SHIPPED;
use crate::fhir::read::{definition, loinc, shipped};
use serde_json::{Value, json};

fn files() -> impl Iterator<Item = (&'static str, Value)> {
    SHIPPED.iter().map(|(name, text)| (*name, serde_json::from_str(text).expect(name)))
}

#[test]
fn every_shipped_file_defines_a_measure() {
    for (name, file) in files() {
        let found = definition(&file).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(found.is_some(), "{name}");
        assert_eq!(file["id"], *name);
        for key in ["status", "name", "title", "copyright", "description"] {
            assert!(file[key].is_string(), "{name} has no {key}");
        }
    }
    assert_eq!(shipped().all().len(), SHIPPED.len());
}

fn codes(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if object.get("system") == Some(&json!("http://loinc.org")) {
                found.extend(object.get("code").and_then(Value::as_str).map(str::to_owned));
            }
            if let Some(link) = object.get("linkId").and_then(Value::as_str).and_then(|link| link.strip_prefix('/')) {
                found.push(link.to_owned());
            }
            object.values().for_each(|value| codes(value, found));
        }
        Value::Array(all) => all.iter().for_each(|value| codes(value, found)),
        _ => {}
    }
}

#[test]
fn every_loinc_code_has_its_check_digit() {
    let mut found = Vec::new();
    files().for_each(|(_, file)| codes(&file, &mut found));
    assert!(found.len() > 80, "{}", found.len());
    for code in found {
        assert!(loinc::valid(&code), "{code}");
    }
}
