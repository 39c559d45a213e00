//! Messages as they arrive in life: references of every kind, elements of later releases, Bundles that are no request.

use crate::on_both;
use serde_json::{Value, json};

fn task(subject: Value) -> Value {
    json!({"resourceType": "Task", "status": "requested", "intent": "order", "for": subject})
}

on_both! {
    async fn references_of_every_kind_are_kept_as_they_came(server: &Server) {
        for subject in [
            json!({"identifier": {"system": "urn:mrn", "value": "7"}}),
            json!({"reference": "https://other.example/fhir/Patient/9"}),
            json!({"reference": "urn:uuid:7d0f3e2a-0d0e-4f0a-9a55-0000000000ab"}),
            json!({"reference": "Patient/later"}),
            json!({"reference": "Patient/later/_history/1"}),
            json!({"reference": "Patient/later", "type": "Patient", "display": "Ana"}),
        ] {
            let stored = server.post("/fhir/Task", &task(subject.clone())).await.expect(201).json();
            let again = server.get(&format!("/fhir/Task/{}", stored["id"].as_str().expect("an id"))).await.expect(200).json();
            assert_eq!(again["for"], subject);
        }
        let mut inside = task(json!({"reference": "#c"}));
        inside["contained"] = json!([{"resourceType": "Patient", "id": "c"}]);
        let stored = server.post("/fhir/Task", &inside).await.expect(201).json();
        assert_eq!(stored["contained"], inside["contained"]);
        assert_eq!(server.all("Task?subject:identifier=urn:mrn|7").await.len(), 1);
        // With or without the version, and before the patient has come.
        assert_eq!(server.all("Task?patient=later").await.len(), 3);
    }

    async fn what_is_of_another_release_is_named(server: &Server) {
        let mut later = task(json!({"reference": "Patient/p"}));
        later["requestedPeriod"] = json!({"start": "2026-01-01"});
        let refused = server.post("/fhir/Task", &later).await.expect(400);
        assert_eq!(refused.issues(), [("structure".to_owned(), "Task.requestedPeriod".to_owned())]);
        assert!(refused.text.contains("FHIR R4") && refused.text.contains("line 1, column "), "{}", refused.text);
        for (kind, words) in [("document", "a document is not taken apart"), ("message", "messages are not processed"), ("collection", "nothing in it says what to do")] {
            let refused = server.post("/fhir", &json!({"resourceType": "Bundle", "type": kind})).await.expect(400);
            assert!(refused.text.contains(words), "{}", refused.text);
            assert_eq!(refused.issues()[0].1, "Bundle.type");
        }
    }
}
