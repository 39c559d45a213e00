//! Types, cardinality, underscore siblings, extensions, bounds.

use super::*;

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
