//! Two judges of the same resources: our own check and the typed model. What our check accepts, the model
//! must read; a disagreement is a fault in our table or rules.
//!
//! The resources are small ones kept here and, where the folder is present (`TAUTLINE_EXAMPLES`, else beside
//! the checkout), HL7's public R4 examples; each is broken in many small ways by a seeded generator.
//! `TAUTLINE_MUTATIONS` sets how many ways.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tautline::fhir::check::{Limits, check, parse};
use tautline_codec::typed_check;

#[test]
fn a_panic_stays_inside() {
    let sound = r#"{"resourceType":"Patient","birthDate":"2020-01","name":[{"given":["a"]}]}"#;
    assert_eq!(typed_check("Patient", sound), Ok(()));
    assert!(typed_check("Patient", r#"{"resourceType":"Patient","nonsense":1}"#).is_err());
    // Never sent by us, since our check refuses empty arrays; the door holds all the same.
    let panics = r#"{"resourceType":"Patient","name":[{"given":[]}]}"#;
    assert!(typed_check("Patient", panics).is_err_and(|error| error.contains("panicked")));
}

#[test]
fn what_our_check_accepts_the_typed_model_reads() {
    let mutations = std::env::var("TAUTLINE_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (mut accepted, mut refused) = (0_u32, 0_u32);
    for (name, resource) in samples().into_iter().chain(examples()) {
        if !check(&resource).is_empty() {
            continue;
        }
        agree(&name, &resource);
        for _ in 0..mutations {
            let mut broken = resource.clone();
            break_somewhere(&mut broken, &mut dice);
            if check(&broken).is_empty() {
                accepted += 1;
                agree(&name, &broken);
            } else {
                refused += 1;
            }
        }
    }
    println!("{accepted} broken resources accepted by both, {refused} refused");
    assert!(accepted > 0 && refused > 0);
}

fn agree(name: &str, resource: &Value) {
    let kind = resource["resourceType"].as_str().expect("an accepted resource has a type");
    let text = resource.to_string();
    // The resources are public or made up: they may be shown.
    assert_eq!(typed_check(kind, &text), Ok(()), "{name}: {text}");
}

fn samples() -> Vec<(String, Value)> {
    let all = [
        json!({
            "resourceType": "QuestionnaireResponse", "id": "r1", "status": "completed",
            "questionnaire": "http://loinc.org/q/44249-1|2.0", "subject": {"reference": "Patient/p1"},
            "authored": "2026-03-01T10:00:00Z", "_authored": {"extension": [{"url": "http://x", "valueCode": "a"}]},
            "item": [
                {"linkId": "/44250-9", "answer": [{"valueCoding": {"system": "http://loinc.org", "code": "LA6569-3"}}]},
                {"linkId": "total", "answer": [{"valueDecimal": 7}], "extension": [{"url": "http://x", "valueInteger": 1}]}
            ]
        }),
        json!({
            "resourceType": "Task", "status": "completed", "intent": "order", "for": {"reference": "Patient/p1"},
            "authoredOn": "2026-03-01", "lastModified": "2026-03-02T10:00:00Z", "owner": {"reference": "Patient/p1"},
            "restriction": {"period": {"end": "2026-03-08"}},
            "output": [{"type": {"text": "minutes"}, "valueInteger": 20}]
        }),
        json!({
            "resourceType": "Appointment", "status": "cancelled", "cancelationReason": {"coding": [{"code": "pat"}]},
            "start": "2026-03-02T10:00:00Z", "end": "2026-03-02T10:50:00Z", "created": "2026-02-01",
            "participant": [{"actor": {"reference": "Patient/p1"}, "status": "declined"}]
        }),
        json!({
            "resourceType": "Patient", "meta": {"lastUpdated": "2026-03-02T10:00:00Z", "tag": [{"code": "a"}]},
            "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>"},
            "name": [{"given": ["a", null], "_given": [null, {"extension": [{"url": "http://x", "valueString": "b"}]}]}],
            "deceasedDateTime": "2026", "gender": "other", "multipleBirthInteger": 2,
            "generalPractitioner": [{"reference": "#o"}], "telecom": [{"system": "phone", "value": "1", "rank": 1}],
            "contained": [{"resourceType": "Organization", "id": "o", "name": "a"}]
        }),
        json!({
            "resourceType": "CareTeam", "status": "active", "subject": {"reference": "Patient/p1"},
            "participant": [{"member": {"reference": "Practitioner/1"}, "period": {"start": "2026"}}]
        }),
        json!({
            "resourceType": "Observation", "status": "final", "code": {"text": "a"}, "issued": "2026-03-02T10:00:00Z",
            "valueQuantity": {"value": 0.50, "system": "http://unitsofmeasure.org", "code": "{nat}"},
            "component": [{"code": {"text": "b"}, "dataAbsentReason": {"text": "c"}}]
        }),
    ];
    all.into_iter().map(|one| (format!("sample {}", one["resourceType"]), one)).collect()
}

fn examples() -> Vec<(String, Value)> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/fhir-r4-examples");
    let folder = std::env::var_os("TAUTLINE_EXAMPLES").map_or_else(beside, PathBuf::from);
    let Ok(files) = std::fs::read_dir(folder) else {
        println!("skipped: there is no folder of public examples");
        return Vec::new();
    };
    let mut paths: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let value = parse(&std::fs::read(&path).expect("readable"), Limits::default()).expect("the examples are JSON");
        (path.display().to_string(), value)
    };
    paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "json")).map(read).collect()
}

/// xorshift: the same sequence everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).expect("below a usize")
    }
}

/// Every place in a value, and every name in it.
fn places(value: &Value, here: &str, all: &mut Vec<String>, names: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Array(list) => {
            for (position, one) in list.iter().enumerate() {
                places(one, &format!("{here}/{position}"), all, names);
            }
        }
        Value::Object(object) => {
            for (name, one) in object {
                names.push(name.clone());
                places(one, &format!("{here}/{}", name.replace('~', "~0").replace('/', "~1")), all, names);
            }
        }
        _ => {}
    }
}

fn odd(dice: &mut Dice) -> Value {
    let extension = json!({"extension": [{"url": "http://x", "valueString": "a"}]});
    let all = [
        json!(null),
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(""),
        json!(" "),
        json!("true"),
        json!("7"),
        json!([]),
        json!({}),
        json!("2024-02-30"),
        json!("2024-01-01"),
        json!("2024-01-01T10:00:00Z"),
        json!("Patient/1"),
        json!("#x"),
        json!([null]),
        json!([{}]),
        extension.clone(),
        json!([extension]),
        json!(["a"]),
        json!("a b  c"),
    ];
    all[dice.below(all.len())].clone()
}

fn break_somewhere(value: &mut Value, dice: &mut Dice) {
    let (mut all, mut names) = (Vec::new(), Vec::new());
    places(value, "", &mut all, &mut names);
    names.push("id".to_owned());
    let other = value.pointer(&all[dice.below(all.len())]).cloned().unwrap_or_default();
    let name = names[dice.below(names.len())].clone();
    let Some(target) = value.pointer_mut(&all[dice.below(all.len())]) else { return };
    let new = if dice.below(2) == 0 { odd(dice) } else { other };
    match (dice.below(6), target) {
        (0, target) => *target = new,
        (1, target) => *target = json!([target.clone()]),
        (2, Value::Array(list)) => list.insert(dice.below(list.len() + 1), new),
        (2, Value::Object(object)) => {
            object.insert(name, new);
        }
        (3, Value::Object(object)) => {
            object.insert(format!("_{name}"), new);
        }
        (4, Value::Object(object)) => {
            let gone = object.keys().nth(dice.below(object.len())).cloned().unwrap_or_default();
            object.shift_remove(&gone);
        }
        (5, Value::Object(object)) => {
            let old = object.keys().nth(dice.below(object.len())).cloned().unwrap_or_default();
            if let Some(moved) = object.shift_remove(&old) {
                object.insert(name, moved);
            }
        }
        _ => {}
    }
}
