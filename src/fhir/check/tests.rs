//! The check as a whole: faults with their places, the public examples, and anything at all.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ISSUES_MAX, Limits, check, check_at, check_bundle_shell, parse};
use crate::fhir::outcome::Issue;

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

#[test]
fn a_sound_response_has_no_faults() {
    sound(&response());
}

#[test]
fn every_fault_at_once_with_its_place() {
    let broken = json!({
        "resourceType": "QuestionnaireResponse",
        "status": "done",
        "subject": {"reference": "p1"},
        "authored": "2026-02-30",
        "mood": 3,
        "item": [{"answer": [{"valueInteger": "1"}, {"valueDate": "2026-13", "valueString": "a"}]}, {"linkId": ""}, {}]
    });
    assert_eq!(
        faults(&broken),
        [
            "code-invalid QuestionnaireResponse.status",
            "value QuestionnaireResponse.subject.reference",
            "value QuestionnaireResponse.authored",
            "structure QuestionnaireResponse.mood",
            "structure QuestionnaireResponse.item[0].answer[0].valueInteger",
            "value QuestionnaireResponse.item[0].answer[1].valueDate",
            "structure QuestionnaireResponse.item[0].answer[1].valueString",
            "required QuestionnaireResponse.item[0].linkId",
            "value QuestionnaireResponse.item[1].linkId",
            "invariant QuestionnaireResponse.item[2]",
            "required QuestionnaireResponse.item[2].linkId",
        ]
    );
    let root = "Bundle.entry[3].resource";
    assert_eq!(shown(&check_at(&broken, root))[2], "value Bundle.entry[3].resource.authored");
}

#[test]
fn what_is_not_a_resource() {
    for nothing in [json!(null), json!([]), json!("Patient"), json!({}), json!({"resourceType": 1})] {
        assert_eq!(faults(&nothing), ["structure Resource"], "{nothing}");
    }
    for name in ["Period", "DomainResource", "Resource", "patient", "SubscriptionStatus", ""] {
        assert_eq!(faults(&json!({"resourceType": name})), ["structure Resource"], "{name}");
    }
}

#[test]
fn cardinality_and_json_types() {
    for (name, value, fault) in [
        ("birthDate", json!(["2020"]), "structure Patient.birthDate"),
        ("name", json!({"text": "a"}), "structure Patient.name"),
        ("name", json!([]), "structure Patient.name"),
        ("name", json!(["a"]), "structure Patient.name[0]"),
        ("name", json!([{}]), "invariant Patient.name[0]"),
        ("name", json!([{"id": "1"}]), "invariant Patient.name[0]"),
        ("name", json!([null]), "structure Patient.name[0]"),
        ("name", json!([[{"text": "a"}]]), "structure Patient.name[0]"),
        ("name", json!([{"given": []}]), "structure Patient.name[0].given"),
        ("name", json!([{"given": [[]]}]), "structure Patient.name[0].given[0]"),
        ("name", json!([{"given": [1]}]), "structure Patient.name[0].given[0]"),
        ("name", json!([{"resourceType": "HumanName"}]), "structure Patient.name[0].resourceType"),
        ("active", json!("true"), "structure Patient.active"),
        ("active", json!(1), "structure Patient.active"),
        ("active", json!(null), "structure Patient.active"),
        ("birthDate", json!({"value": "2020"}), "structure Patient.birthDate"),
        ("gender", json!("Male"), "code-invalid Patient.gender"),
        ("id", json!("a_b"), "value Patient.id"),
        ("deceased", json!(true), "structure Patient.deceased"),
        ("deceasedString", json!("a"), "structure Patient.deceasedString"),
        ("fhir_comments", json!(["a"]), "structure Patient.fhir_comments"),
        ("_contact", json!([{"id": "1"}]), "structure Patient._contact"),
        ("_resourceType", json!({"id": "1"}), "structure Patient._resourceType"),
        ("contact", json!([{"gender": "male"}]), "invariant Patient.contact[0]"),
        ("link", json!([{"type": "seealso"}]), "required Patient.link[0].other"),
    ] {
        assert_eq!(faults(&patient(name, value.clone())), [fault], "{name} {value}");
    }
    assert_eq!(
        faults(&json!({"resourceType": "Patient", "deceasedBoolean": true, "deceasedDateTime": "2020"})),
        ["structure Patient.deceasedDateTime"]
    );
    assert_eq!(
        faults(
            &json!({"resourceType": "Patient", "deceasedBoolean": true, "_deceasedDateTime": {"extension": [{"url": "a", "valueCode": "b"}]}})
        ),
        ["structure Patient.deceasedDateTime"]
    );
    sound(&json!({"resourceType": "Patient", "deceasedBoolean": true, "_deceasedBoolean": {"id": "a"}}));
}

#[test]
fn underscore_siblings() {
    let extension = json!({"extension": [{"url": "http://x", "valueString": "a"}]});
    let name = |name: Value| patient("name", json!([name]));
    sound(&patient("_birthDate", extension.clone()));
    sound(&name(json!({"given": ["a", null], "_given": [null, extension]})));
    sound(&name(json!({"given": ["a"], "_given": [{"id": "1"}]})));
    sound(&name(json!({"_given": [extension, extension]})));
    // A required primitive may be only an extension.
    let unknown = json!({"extension": [{"url": "http://x/data-absent-reason", "valueCode": "unknown"}]});
    let mut masked = response();
    masked.as_object_mut().expect("an object").remove("status");
    sound(&plus(masked, "_status", unknown));
    for (value, fault) in [
        (json!({"given": ["a", null]}), "structure Patient.name[0].given[1]"),
        (json!({"given": ["a", null], "_given": [extension, null]}), "structure Patient.name[0].given[1]"),
        (json!({"given": ["a"], "_given": [null]}), ""),
        (json!({"given": ["a"], "_given": [null, extension]}), "structure Patient.name[0]._given"),
        (json!({"given": ["a"], "_given": []}), "structure Patient.name[0]._given"),
        (json!({"given": ["a"], "_given": [{}]}), ""),
        (json!({"_given": [null]}), "structure Patient.name[0]._given[0]"),
        (json!({"_given": [{"id": "1"}]}), "invariant Patient.name[0]._given[0]"),
        (json!({"_given": ["a"]}), "structure Patient.name[0]._given[0]"),
        (json!({"_given": extension}), "structure Patient.name[0]._given"),
        (json!({"family": "a", "_family": [extension]}), "structure Patient.name[0]._family"),
        (json!({"_family": {"value": "a"}}), "structure Patient.name[0]._family.value"),
        (json!({"_family": null}), "structure Patient.name[0]._family"),
        (json!({"_family": {}}), "invariant Patient.name[0]._family"),
        (json!({"text": "a", "_id": extension}), "structure Patient.name[0]._id"),
    ] {
        if !fault.is_empty() {
            let found = faults(&name(value.clone()));
            assert!(found.contains(&fault.to_owned()), "{value}: {found:?}");
        }
    }
}

#[test]
fn extensions_of_any_kind_are_kept_but_well_formed() {
    let extended = |extension: Value| patient("extension", json!([extension]));
    sound(&extended(json!({"url": "http://unknown", "valueQuantity": {"value": 1}})));
    sound(&extended(json!({"url": "http://unknown", "extension": [{"url": "inner", "valueBoolean": false}]})));
    for (extension, fault) in [
        (json!({"url": "http://x"}), "invariant Patient.extension[0]"),
        (
            json!({"url": "http://x", "valueCode": "a", "extension": [{"url": "b", "valueCode": "c"}]}),
            "invariant Patient.extension[0]",
        ),
        (json!({"valueCode": "a"}), "required Patient.extension[0].url"),
        (json!({"url": "http://x", "valueNonsense": 1}), "structure Patient.extension[0].valueNonsense"),
    ] {
        assert_eq!(faults(&extended(extension.clone()))[0], fault, "{extension}");
    }
}

#[test]
fn contained_resources() {
    let response = |contained: Value, source: &str| {
        plus(plus(response(), "contained", contained), "source", json!({"reference": source}))
    };
    let patient = json!({"resourceType": "Patient", "id": "p"});
    sound(&response(json!([patient]), "#p"));
    let outward = json!({"resourceType": "RelatedPerson", "id": "r", "patient": {"reference": "#p"}});
    sound(&response(json!([patient, outward]), "#r"));
    for (contained, source, fault) in [
        (json!([patient]), "Patient/1", "invariant QuestionnaireResponse.contained[0]"),
        (json!([patient]), "#q", "invariant QuestionnaireResponse.source.reference"),
        (json!([patient]), "#", "value QuestionnaireResponse.source.reference"),
        (json!([{"resourceType": "Patient"}]), "Patient/1", "required QuestionnaireResponse.contained[0].id"),
        (
            json!([{"resourceType": "Patient", "id": "p", "meta": {"versionId": "1"}}]),
            "#p",
            "invariant QuestionnaireResponse.contained[0].meta",
        ),
        (
            json!([{"resourceType": "Patient", "id": "p", "meta": {"security": [{"code": "R"}]}}]),
            "#p",
            "invariant QuestionnaireResponse.contained[0].meta",
        ),
        (
            json!([{"resourceType": "Patient", "id": "p", "contained": [patient]}]),
            "#p",
            "invariant QuestionnaireResponse.contained[0].contained[0]",
        ),
        (json!([{"resourceType": "Organization", "id": "p", "name": "a"}]), "#p", "value QuestionnaireResponse.source"),
        (json!([patient, patient]), "#p", "invariant QuestionnaireResponse.contained[1]"),
        (json!([{"resourceType": "Nonsense", "id": "p"}]), "#p", "structure QuestionnaireResponse.contained[0]"),
    ] {
        let found = faults(&response(contained.clone(), source));
        assert!(found.contains(&fault.to_owned()), "{contained}: {found:?}");
    }
}

#[test]
fn references_point_where_they_may() {
    let at = |reference: Value| with(response(), "/subject", reference);
    sound(&at(json!({"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"})));
    sound(&at(json!({"reference": "https://x/fhir/Patient/1", "type": "Patient", "display": "a"})));
    sound(&at(json!({"identifier": {"system": "http://x", "value": "1"}})));
    assert_eq!(
        faults(&at(json!({"reference": "Patient/1", "type": "Group"}))),
        ["value QuestionnaireResponse.subject.type"]
    );
    assert_eq!(
        faults(&plus(response(), "author", json!({"reference": "https://x/fhir/Observation/1"}))),
        ["value QuestionnaireResponse.author"]
    );
    let conditional = at(json!({"reference": "Patient?identifier=1"}));
    assert_eq!(faults(&conditional), ["value QuestionnaireResponse.subject.reference"]);
    assert_eq!(check_at(&conditional, "Bundle.entry[0].resource"), []);
}

fn appointment() -> Value {
    json!({
        "resourceType": "Appointment", "status": "booked", "start": "2026-03-02T10:00:00Z",
        "end": "2026-03-02T10:50:00Z", "participant": [{"actor": {"reference": "Patient/1"}, "status": "accepted"}]
    })
}

#[test]
fn invariants_of_what_we_take() {
    sound(&appointment());
    let mut endless = appointment();
    endless.as_object_mut().expect("an object").remove("end");
    assert_eq!(faults(&endless), ["invariant Appointment", "invariant Appointment"]); // app-2, app-3
    let reason = json!({"text": "a"});
    assert_eq!(faults(&plus(appointment(), "cancelationReason", reason)), ["invariant Appointment"]); // app-4
    assert_eq!(
        faults(&with(appointment(), "/participant/0", json!({"status": "accepted"}))),
        ["invariant Appointment.participant[0]"]
    );
    let task = json!({
        "resourceType": "Task", "status": "requested", "intent": "order",
        "authoredOn": "2026-03-02", "lastModified": "2026-03-01"
    });
    assert_eq!(faults(&task), ["invariant Task"]);
    sound(&with(task, "/lastModified", json!("2026-03-02T01:00:00+05:00")));
    let both = json!([{"linkId": "a", "answer": [{"valueBoolean": true}], "item": [{"linkId": "b"}]}]);
    assert_eq!(faults(&plus(response(), "item", both)), ["invariant QuestionnaireResponse.item[0]"]);
    let backwards = json!([{"period": {"start": "2026-02", "end": "2026-01"}, "text": "a"}]);
    assert_eq!(faults(&patient("name", backwards)), ["invariant Patient.name[0].period"]);
    assert_eq!(faults(&json!({"resourceType": "Organization", "active": true})), ["invariant Organization"]);
    let home = json!({"resourceType": "Organization", "name": "a", "telecom": [{"use": "home"}, {"use": "work"}]});
    assert_eq!(faults(&home), ["invariant Organization.telecom[0]"]);
}

#[test]
fn invariants_of_questionnaires() {
    let with_items = |items: Value| json!({"resourceType": "Questionnaire", "status": "active", "item": items});
    sound(&with_items(json!([{"linkId": "1", "type": "group", "item": [{"linkId": "1.1", "type": "integer"}]}])));
    let place = "Questionnaire.item[0]";
    for (item, rule) in [
        (json!({"linkId": "1", "type": "group"}), "que-1"),
        (json!({"linkId": "1", "type": "display", "item": [{"linkId": "2", "type": "string"}]}), "que-1"),
        (json!({"linkId": "1", "type": "display", "code": [{"code": "a"}]}), "que-3"),
        (
            json!({"linkId": "1", "type": "choice", "answerOption": [{"valueInteger": 1}], "answerValueSet": "http://x"}),
            "que-4",
        ),
        (json!({"linkId": "1", "type": "boolean", "answerOption": [{"valueInteger": 1}]}), "que-5"),
        (json!({"linkId": "1", "type": "display", "repeats": true}), "que-6"),
        (json!({"linkId": "1", "type": "display", "initial": [{"valueInteger": 1}]}), "que-8"),
        (json!({"linkId": "1", "type": "display", "readOnly": true}), "que-9"),
        (json!({"linkId": "1", "type": "choice", "maxLength": 3}), "que-10"),
        (json!({"linkId": "1", "type": "integer", "initial": [{"valueInteger": 1}, {"valueInteger": 2}]}), "que-13"),
    ] {
        let issues = check(&with_items(json!([item])));
        assert_eq!(shown(&issues), [format!("invariant {place}")], "{rule}");
        assert!(issues[0].diagnostics.starts_with(rule), "{rule}");
    }
    let twice = json!([{"linkId": "1", "type": "integer"}, {"linkId": "1", "type": "integer"}]);
    assert_eq!(faults(&with_items(twice)), ["invariant Questionnaire.item[1].linkId"]);
    let when = json!([{"linkId": "1", "type": "integer", "enableWhen": [
        {"question": "2", "operator": "exists", "answerInteger": 1}]}]);
    assert_eq!(faults(&with_items(when)), ["invariant Questionnaire.item[0].enableWhen[0]"]);
}

#[test]
fn bundles() {
    let bundle = |kind: &str, entry: Value| json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
    let post = json!({"method": "POST", "url": "Patient"});
    let ill = json!({"resourceType": "Patient", "gender": "x"});
    let shell = |value: &Value| shown(&check_bundle_shell(value));
    let sound_shell = bundle("transaction", json!({"resource": ill, "request": post}));
    assert_eq!(shell(&sound_shell), [""; 0]);
    assert_eq!(faults(&sound_shell), ["code-invalid Bundle.entry[0].resource.gender"]);
    for (kind, entry, fault) in [
        ("transaction", json!({"resource": ill}), "invariant Bundle.entry[0]"),
        ("collection", json!({"resource": ill, "request": post}), "invariant Bundle.entry[0]"),
        ("collection", json!({"link": [{"relation": "a", "url": "b"}]}), "invariant Bundle.entry[0]"),
        ("batch", json!({"request": post}), "required Bundle.entry[0].resource"),
        (
            "batch",
            json!({"request": {"method": "GET", "url": "a"}, "resource": ill}),
            "structure Bundle.entry[0].resource",
        ),
        ("batch", json!({"request": {"method": "GET"}}), "required Bundle.entry[0].request.url"),
        ("batch", json!({"request": {"method": "get", "url": "a"}}), "code-invalid Bundle.entry[0].request.method"),
        (
            "collection",
            json!({"resource": ill, "fullUrl": "http://x/Patient/1/_history/2"}),
            "invariant Bundle.entry[0].fullUrl",
        ),
        ("collection", json!({"resource": ill, "fullUrl": "Patient/1"}), "value Bundle.entry[0].fullUrl"),
        ("collection", json!({"resource": ill, "search": {"mode": "match"}}), "invariant Bundle.entry[0]"),
        ("message", json!({"resource": ill}), "invariant Bundle"),
    ] {
        assert_eq!(shell(&bundle(kind, entry.clone())), [fault], "{kind} {entry}");
    }
    let one = json!({"resource": ill, "fullUrl": "http://x/Patient/1"});
    let twice = json!({"resourceType": "Bundle", "type": "collection", "entry": [one, one]});
    assert_eq!(shell(&twice), ["invariant Bundle.entry[1].fullUrl"]);
    assert_eq!(shell(&json!({"resourceType": "Patient"})), ["structure Bundle"]);
    assert_eq!(shell(&json!({"resourceType": "Bundle"})), ["required Bundle.type"]);
    // A resource inside an entry has contained resources of its own.
    let inner = json!({"resourceType": "Patient", "managingOrganization": {"reference": "#o"}});
    assert_eq!(
        faults(&bundle("collection", json!({"resource": inner}))),
        ["invariant Bundle.entry[0].resource.managingOrganization.reference"]
    );
}

#[test]
fn values_are_never_echoed() {
    let secret = "Zanzibar";
    let broken = json!({
        "resourceType": "Patient", "id": format!("{secret} _"), "gender": secret, "birthDate": secret,
        "active": secret, "name": secret, "managingOrganization": {"reference": secret},
        "text": {"status": secret, "div": secret}, "contained": secret, "photo": [secret, {"size": secret}],
        "identifier": [{"use": secret, "system": format!("{secret} x")}]
    });
    for issue in check(&broken) {
        let place = issue.expression.unwrap_or_default();
        assert!(!issue.diagnostics.contains(secret) && !place.contains(secret), "{place}");
    }
    let odd = check(&patient("na\u{202e}me\u{0}`<script>", json!(1)));
    assert!(odd[0].diagnostics.contains("`na?me??<script>`"), "{}", odd[0].diagnostics);
}

#[test]
fn bounds_hold() {
    let many = json!({"resourceType": "Patient", "name": vec![json!({"use": "x"}); 10_000]});
    let issues = check(&many);
    assert_eq!(issues.len(), ISSUES_MAX + 1);
    assert!(issues[ISSUES_MAX].diagnostics.contains("more than"));
    // Built in memory, so past the door's own bound.
    let mut deep = json!({"url": "a", "valueCode": "a"});
    for _ in 0..200 {
        deep = json!({"url": "a", "extension": [deep]});
    }
    let issues = check(&patient("extension", json!([deep])));
    assert_eq!(issues.len(), 1);
    assert!(issues[0].diagnostics.contains("64 levels"));
    let mut item = json!({"linkId": "x", "type": "group"});
    for _ in 0..200 {
        item = json!({"linkId": "x", "type": "group", "item": [item]});
    }
    let deep = json!({"resourceType": "Questionnaire", "status": "active", "item": [item]});
    assert!(check(&deep).len() <= ISSUES_MAX + 1);
}

/// The folder of HL7's R4 examples: `TAUTLINE_EXAMPLES`, else beside the checkout.
fn examples() -> Vec<(String, Vec<u8>)> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/fhir-r4-examples");
    let folder = std::env::var_os("TAUTLINE_EXAMPLES").map_or_else(beside, PathBuf::from);
    let Ok(files) = std::fs::read_dir(folder) else {
        println!("skipped: there is no folder of public examples");
        return Vec::new();
    };
    let mut all: Vec<_> = files
        .map(|file| file.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("readable"))
        })
        .collect();
    all.sort();
    all
}

/// Examples with a fault of their own, besides those whose items lack the required linkId.
const FAULTY: &[(&str, &str)] = &[
    // Observation.performer is an Encounter.
    ("observation-example-clinical-gender", "value Observation.performer[0]"),
    // Its narrative is blank.
    ("questionnaire-zika-virus-exposure-assessment", "invariant Questionnaire.text.div"),
];

#[test]
fn public_examples() {
    let mut without_links = 0;
    let examples = examples();
    let count = examples.len();
    for (name, bytes) in examples {
        let value = parse(&bytes, Limits::default()).expect("the examples are JSON");
        let found = faults(&value);
        if let Some((_, fault)) = FAULTY.iter().find(|(faulty, _)| *faulty == name) {
            assert_eq!(found, [*fault], "{name}");
        } else if found.iter().any(|fault| fault.ends_with(".linkId")) {
            assert!(value["resourceType"] == "Questionnaire", "{name}");
            without_links += 1;
        } else {
            assert_eq!(found, [""; 0], "{name}");
        }
    }
    if count == 241 {
        assert_eq!(without_links, 27);
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "resourceType",
        "id",
        "extension",
        "url",
        "valueString",
        "valueReference",
        "reference",
        "contained",
        "item",
        "linkId",
        "answer",
        "_id",
        "_status",
        "status",
        "subject",
        "period",
        "start",
        "end",
        "name",
        "_given",
        "given",
        "text",
        "div",
        "entry",
        "resource",
        "type",
        "request",
        "parameter",
        "part",
        "meta",
        "coding",
        "code",
    ]);
    let texts = prop::sample::select(vec![
        "Patient",
        "Questionnaire",
        "QuestionnaireResponse",
        "Task",
        "Bundle",
        "Parameters",
        "",
        "#",
        "#a",
        "a",
        "2024-02-30",
        "2024-03-01T10:00:00Z",
        "<div>a</div>",
        "<",
        "Patient/1",
        "é\u{0}",
        "group",
        "transaction",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        texts.prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics(mut value in anything(), kind in prop::sample::select(vec![
        "Patient", "Questionnaire", "QuestionnaireResponse", "Task", "Appointment", "Bundle", "Parameters",
    ])) {
        if let Value::Object(object) = &mut value {
            object.insert("resourceType".to_owned(), kind.into());
        }
        let _ = check(&value);
        let _ = check_bundle_shell(&value);
        let text = value.to_string();
        let read = parse(text.as_bytes(), Limits::default()).expect("serde_json writes JSON");
        prop_assert_eq!(read, value);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, Limits::default());
    }

    /// Where serde_json reads a text, so does the door, alike; but for duplicate keys.
    #[test]
    fn the_door_agrees_with_serde_json(text in r#"[\[\]{}",:0-9eE.\-a-c\\u tn]{0,40}"#) {
        match (parse(text.as_bytes(), Limits::default()), serde_json::from_str::<Value>(&text)) {
            (Ok(ours), theirs) => prop_assert_eq!(Some(ours), theirs.ok()),
            (Err(issue), Ok(_)) => prop_assert!(issue.diagnostics.contains("twice"), "{}", issue.diagnostics),
            (Err(_), Err(_)) => {}
        }
    }
}
