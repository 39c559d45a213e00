//! What refers to what, and invariants.

use super::*;

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
