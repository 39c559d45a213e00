use crate::fhir::read::client;
use serde_json::{Value, json};

fn of(resource: Value) -> Option<String> {
    client(&resource)
}

#[test]
fn every_type_says_whose_it_is() {
    let patient = json!({"reference": "Patient/p1"});
    let cases = [
        json!({"resourceType": "Patient", "id": "p1"}),
        json!({"resourceType": "QuestionnaireResponse", "subject": patient}),
        json!({"resourceType": "QuestionnaireResponse", "author": patient}),
        json!({"resourceType": "Task", "for": patient, "owner": {"reference": "Practitioner/x"}}),
        json!({"resourceType": "Appointment", "participant": [
            {"actor": {"reference": "Practitioner/x"}}, {"status": "accepted"}, {"actor": patient}]}),
        json!({"resourceType": "Encounter", "subject": patient}),
        json!({"resourceType": "EpisodeOfCare", "patient": patient}),
        json!({"resourceType": "CareTeam", "subject": patient}),
        json!({"resourceType": "CareTeam", "participant": [{"member": patient}]}),
        json!({"resourceType": "Observation", "subject": patient}),
        json!({"resourceType": "Flag", "subject": patient}),
        json!({"resourceType": "Provenance", "target": [{"reference": "Flag/f"}, patient]}),
        json!({"resourceType": "AuditEvent", "entity": [{"what": patient}]}),
    ];
    for case in cases {
        assert_eq!(of(case.clone()).as_deref(), Some("p1"), "{case}");
    }
    for kind in ["Questionnaire", "Practitioner", "PractitionerRole", "Organization", "Device", "Medication"] {
        assert_eq!(of(json!({"resourceType": kind, "id": "p1", "subject": patient})), None, "{kind}");
    }
}

#[test]
fn references_are_relative_or_absolute_and_nothing_else() {
    let by = |reference: &str| of(json!({"resourceType": "Flag", "subject": {"reference": reference}}));
    for reference in ["Patient/p1", "https://ehr.example/fhir/Patient/p1", "Patient/p1/_history/2"] {
        assert_eq!(by(reference).as_deref(), Some("p1"), "{reference}");
    }
    let others = [
        "Group/p1",
        "#p1",
        "p1",
        "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
        "Patient?identifier=x",
        "Patient/",
        "Patient/p1/",
        "Patient/a b",
        "InPatient/p1",
        "",
    ];
    for reference in others {
        assert_eq!(by(reference), None, "{reference}");
    }
    assert_eq!(of(json!({"resourceType": "Flag", "subject": {"identifier": {"value": "p1"}}})), None);
    assert_eq!(of(json!({"resourceType": "Flag", "subject": "Patient/p1"})), None);
    assert_eq!(of(json!([1])), None);
}
