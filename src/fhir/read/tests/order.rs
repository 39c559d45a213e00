//! The order of arrival, repeats and the way it was split change nothing.

use super::*;
use proptest::prelude::*;

fn instant(hours: u32) -> String {
    (at("2026-01-05T10:00:00Z") + jiff::SignedDuration::from_hours(i64::from(hours))).to_string()
}

fn appointment(id: u8, version: u32, hours: u32, status: usize, reason: usize) -> Value {
    const STATUS: [&str; 6] = ["booked", "fulfilled", "noshow", "cancelled", "entered-in-error", "pending"];
    const REASON: [&str; 3] = ["pat", "prov", "pat-ucp"];
    let base = u32::from(id) * 168;
    sent(
        json!({"resourceType": "Appointment", "id": format!("a{id}"), "status": STATUS[status % 6],
            "start": instant(base + hours), "created": instant((base + hours).saturating_sub(60)),
            "cancelationReason": {"coding": [{"code": REASON[reason % 3]}]},
            "participant": [{"actor": {"reference": "Patient/p1"}}]}),
        &instant(base + version * 7),
    )
}

fn response(id: u8, version: u32, score: u32, status: usize) -> Value {
    const STATUS: [&str; 4] = ["completed", "amended", "in-progress", "entered-in-error"];
    sent(
        json!({"resourceType": "QuestionnaireResponse", "id": format!("r{id}"), "status": STATUS[status % 4],
            "questionnaire": "http://loinc.org/q/44249-1", "authored": instant(u32::from(id) * 24),
            "item": [{"linkId": "/44261-6", "answer": [{"valueInteger": score}]}]}),
        &instant(u32::from(id) * 24 + version),
    )
}

fn homework(id: u8, version: u32, status: usize) -> Value {
    const STATUS: [&str; 5] = ["requested", "completed", "failed", "cancelled", "rejected"];
    sent(
        json!({"resourceType": "Task", "id": format!("t{id}"), "status": STATUS[status % 5],
            "for": {"reference": "Patient/p1"}, "owner": {"reference": "Patient/p1"},
            "authoredOn": instant(u32::from(id) * 100), "restriction": {"period": {"end": instant(u32::from(id) * 100 + 90)}}}),
        &instant(u32::from(id) * 100 + version),
    )
}

fn encounter(id: u8, minutes: u32) -> Value {
    let start = at(&instant(u32::from(id) * 168)) + jiff::SignedDuration::from_mins(i64::from(minutes));
    sent(
        json!({"resourceType": "Encounter", "id": format!("e{id}-{minutes}"), "status": "finished",
            "appointment": [{"reference": format!("Appointment/a{id}")}], "period": {"start": start.to_string()}}),
        &start.to_string(),
    )
}

fn resource() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0..4u8, 0..4u32, 0..90u32, 0..6usize, 0..3usize).prop_map(|(a, b, c, d, e)| appointment(a, b, c, d, e)),
        2 => (0..4u8, 0..4u32, 0..30u32, 0..4usize).prop_map(|(a, b, c, d)| response(a, b, c, d)),
        2 => (0..4u8, 0..4u32, 0..5usize).prop_map(|(a, b, c)| homework(a, b, c)),
        1 => (0..4u8, 0..90u32).prop_map(|(a, b)| encounter(a, b)),
    ]
}

/// Resources in which the sender's time tells all versions of one id apart.
fn history() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(resource(), 0..24).prop_map(|all| {
        let mut seen = std::collections::HashSet::new();
        let key = |resource: &Value| (resource["id"].to_string(), resource["meta"]["lastUpdated"].to_string());
        all.into_iter().filter(|resource| seen.insert(key(resource))).collect()
    })
}

proptest! {
    #[test]
    fn any_order_with_repeats_gives_the_same_timeline(
        (all, shuffled) in history().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let expected = read(&all);
        prop_assert_eq!(&read(&shuffled), &expected);
        let mut repeated = shuffled.clone();
        if !all.is_empty() {
            for at in repeats {
                repeated.insert(at.index(repeated.len() + 1), all[at.index(all.len())].clone());
            }
        }
        prop_assert_eq!(&read(&repeated), &expected);
    }

    /// The store gives its rows in any order, and from more than one query.
    #[test]
    fn the_order_of_the_facts_themselves_is_nothing(
        facts in history().prop_map(|all| kept(&all)).prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
        cut in any::<prop::sample::Index>(),
    ) {
        let (facts, shuffled) = facts;
        let expected = timeline(facts.clone(), shipped());
        let at = cut.index(shuffled.len() + 1);
        let split: Vec<_> = shuffled[at..].iter().chain(&shuffled[..at]).chain(&facts[..at]).cloned().collect();
        prop_assert_eq!(timeline(split, shipped()), expected);
    }

    #[test]
    fn facts_survive_their_bytes_and_bytes_never_panic(all in history(), noise in prop::collection::vec(any::<u8>(), 0..64)) {
        for resource in &all {
            let read = fact(resource, &context());
            prop_assert_eq!(read.as_ref().and_then(|fact| decode(&encode(fact))), read.clone());
        }
        let mut bytes = vec![1];
        bytes.extend(&noise);
        let _ = (decode(&noise), decode(&bytes));
    }

    /// Whatever stands where, nothing panics.
    #[test]
    fn any_json_is_read(resource in anything()) {
        let _ = (crate::fhir::read::client(&resource), crate::fhir::read::definition(&resource), sender_updated(&resource));
        if let Some(fact) = fact(&resource, &context()) {
            let source = Source::new(SourceKind::Task, "x");
            let one = VersionedFact {
                source, version: 1, current: true, deleted: false, sender_updated: sender_updated(&resource),
                received: None, fact: decode(&encode(&fact)),
            };
            let _ = timeline([one], shipped());
        }
    }
}

const KEYS: [&str; 40] = [
    "status",
    "start",
    "end",
    "period",
    "created",
    "participant",
    "actor",
    "reference",
    "cancelationReason",
    "coding",
    "system",
    "code",
    "for",
    "owner",
    "output",
    "type",
    "valueInteger",
    "valueDecimal",
    "valueCoding",
    "valueQuantity",
    "value",
    "item",
    "answer",
    "linkId",
    "questionnaire",
    "authored",
    "extension",
    "url",
    "meta",
    "lastUpdated",
    "restriction",
    "executionPeriod",
    "focus",
    "input",
    "answerOption",
    "active",
    "deceasedDateTime",
    "issued",
    "subject",
    "text",
];
const TEXTS: [&str; 24] = [
    "booked",
    "cancelled",
    "fulfilled",
    "completed",
    "finished",
    "pat",
    "prov",
    "2026-03-02",
    "9999-12-30T21:00:00Z",
    "0001-01-01",
    "9999",
    "Patient/p1",
    "Patient/",
    "Questionnaire/srs",
    "http://loinc.org",
    "http://loinc.org/q/44249-1",
    "/44250-9",
    "/44260-8",
    "LA6568-5",
    "total",
    "judgement",
    "",
    "min",
    "-",
];
const TYPES: [&str; 8] = [
    "Appointment",
    "Encounter",
    "EpisodeOfCare",
    "Observation",
    "Patient",
    "Questionnaire",
    "QuestionnaireResponse",
    "Task",
];

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)),
        Just(serde_json::from_str("1e999").unwrap_or(Value::Null)),
        prop::sample::select(&TEXTS[..]).prop_map(Value::from),
    ];
    let inner = leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(&KEYS[..]), inner), 0..6)
                .prop_map(|all| Value::Object(all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        ]
    });
    let fields = prop::collection::vec((prop::sample::select(&KEYS[..]), inner), 0..10);
    (prop::sample::select(&TYPES[..]), fields).prop_map(|(kind, fields)| {
        let mut object: serde_json::Map<String, Value> =
            fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        object.insert("resourceType".into(), kind.into());
        Value::Object(object)
    })
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    let mut gone = appointment(0, 0, 0, 3, 0);
    let mut booked = appointment(1, 0, 0, 0, 0);
    for time in ["9999-12-30T21:00:00Z", "0001-01-01T00:00:00Z"] {
        for key in ["start", "created"] {
            gone[key] = json!(time);
            booked[key] = json!(time);
        }
        gone["meta"]["lastUpdated"] = json!(time);
        assert_eq!(read(&[gone.clone(), booked.clone()]).slots.len(), 2);
    }
}
