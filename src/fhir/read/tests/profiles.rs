use super::{context, read_with};
use crate::domain::fact::Fact;
use crate::fhir::read::{SHIPPED, definition, fact, loinc, shipped};
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

fn scored(parts: Value) -> Value {
    let item = |link: &str| {
        json!({"linkId": link, "type": "integer", "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/minValue", "valueInteger": 0},
            {"url": "http://hl7.org/fhir/StructureDefinition/maxValue", "valueInteger": 4}]})
    };
    let mut all = vec![
        json!({"url": "min", "valueDecimal": 0}),
        json!({"url": "max", "valueDecimal": 8}),
        json!({"url": "worse", "valueCode": "up"}),
        json!({"url": "total", "valueString": "t"}),
    ];
    all.extend(parts.as_array().expect("parts").iter().cloned());
    json!({"resourceType": "Questionnaire", "status": "active", "url": "https://clinic.example/Questionnaire/own|2",
        "title": "OWN", "extension": [
            {"url": "https://tautline.example/fhir/StructureDefinition/measure-scoring", "extension": all}],
        "item": [item("a"), item("b"), {"linkId": "t", "type": "decimal"}, {"linkId": "note", "type": "text"}]})
}

#[test]
fn an_operator_adds_a_measure_with_a_questionnaire() {
    let own = scored(json!([{"url": "reversed", "valueString": "b"}, {"url": "missingMax", "valueInteger": 1}]));
    let found = definition(&own).expect("right").expect("a measure");
    assert_eq!(found.measure.canonical, "https://clinic.example/Questionnaire/own");
    assert_eq!((found.measure.name.as_str(), found.measure.items), ("OWN", 2));
    let Some(Fact::Questionnaire(stored)) = fact(&own, &context()) else { panic!("a fact") };
    let measures = shipped().with_questionnaires([("own".into(), stored)]);
    let response = |items: Value| {
        json!({"resourceType": "QuestionnaireResponse", "id": "r", "status": "completed", "item": items,
            "authored": "2026-03-02T10:00:00Z", "questionnaire": "https://clinic.example/Questionnaire/own|1"})
    };
    let answer = |link: &str, value: i64| json!({"linkId": link, "answer": [{"valueInteger": value}]});
    let score = |items: Value| read_with(&[response(items)], &measures).administrations[0].score;
    assert_eq!(score(json!([answer("a", 3), answer("b", 1)])), Some(6.0));
    assert_eq!(score(json!([answer("a", 3)])), Some(6.0));
    assert_eq!(score(json!([answer("t", 5)])), Some(5.0));
    // A Task may name it by the stored Questionnaire's id.
    assert!(measures.get("Questionnaire/own").is_some());
}

#[test]
fn a_definition_that_does_not_hold_together_is_refused_with_its_place() {
    let fault = |own: Value| definition(&own).expect_err("refused").to_string();
    assert!(fault(scored(json!([{"url": "safety", "valueString": "x"}]))).contains("linkId x is no scored item"));
    assert!(fault(scored(json!([{"url": "cutoff", "valueDecimal": 9}]))).contains("cut-off"));
    assert!(fault(scored(json!([{"url": "method", "valueCode": "mean"}]))).contains("as the items add up: 0 and 4"));
    let mut digit = scored(json!([]));
    digit["item"][0]["code"] = json!([{"system": "http://loinc.org", "code": "44261-8"}]);
    assert!(fault(digit).starts_with("Questionnaire.item.where(linkId='a')"));
    let mut unbounded = scored(json!([]));
    unbounded["item"][1]["extension"] = json!([]);
    assert!(fault(unbounded).contains("minValue"));
    // Without scoring it is no measure, and no mistake.
    let mut plain = scored(json!([]));
    plain["extension"] = json!([]);
    assert_eq!(definition(&plain), Ok(None));
}
