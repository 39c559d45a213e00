//! Faults that were found by trying the server out, each as it was found.

use crate::on_both;
use crate::story::{appointment, at, patient};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::json;

on_both! {
    async fn a_sender_whose_clock_is_ahead_does_not_hide_the_update_of_a_reader(server: &Server) {
        let mut resource = patient("ahead");
        resource["meta"] = json!({"lastUpdated": (Timestamp::now() + SignedDuration::from_mins(3)).to_string()});
        server.put("/fhir/Patient/ahead", &resource).await.expect(201);
        // Read, change, write: once with our meta sent back, once with If-Match.
        let mut read = server.get("/fhir/Patient/ahead").await.expect(200).json();
        read["gender"] = json!("male");
        server.put("/fhir/Patient/ahead", &read).await.expect(200);
        assert_eq!(server.get("/fhir/Patient/ahead").await.json()["gender"], "male");
        resource["gender"] = json!("other");
        resource["meta"] = json!({"lastUpdated": "2020-01-01T00:00:00Z"});
        server.with(Method::PUT, "/fhir/Patient/ahead", &[("if-match", "W/\"2\"")], &resource).await.expect(200);
        assert_eq!(server.get("/fhir/Patient/ahead").await.json()["gender"], "other");
    }

    async fn references_that_are_searches_are_resolved_or_refused(server: &Server) {
        let mut known = patient("known");
        known["identifier"] = json!([{"system": "http://mrn.example", "value": "77"}]);
        server.push(&[known]).await;
        let bundle = |reference: &str| {
            let mut slot = appointment("known", 1, at("2026-03-02T10:00:00Z", 0), "booked");
            slot["participant"][0]["actor"]["reference"] = json!(reference);
            json!({"resourceType": "Bundle", "type": "transaction", "entry": [
                {"resource": slot, "request": {"method": "PUT", "url": "Appointment/known-a1"}}]})
        };
        server.post("/fhir", &bundle("Patient?identifier=http://mrn.example|78")).await.expect(412);
        let nowhere = server.post("/fhir", &bundle("urn:uuid:7d0f3e2a-0d0e-4f0a-9a55-00000000000f")).await.expect(422);
        assert_eq!(nowhere.issues()[0].1, "Bundle.entry[0].resource.participant[0].actor.reference");
        server.get("/fhir/Appointment/known-a1").await.expect(404);
        server.post("/fhir", &bundle("Patient?identifier=http://mrn.example|77")).await.expect(200);
        let stored = server.get("/fhir/Appointment/known-a1").await.expect(200).json();
        assert_eq!(stored["participant"][0]["actor"]["reference"], "Patient/known");
    }

    async fn a_corrected_answer_replaces_the_earlier_one(server: &Server) {
        server.push(&crate::story::withdrawing("word", &crate::story::start_for(15), 3)).await;
        server.settle().await;
        let active = "Flag?patient=word&status=active&code=engagement-drop";
        let flag = server.all(active).await.pop().expect("a flag")["id"].as_str().expect("id").to_owned();
        for (n, code) in ["rupture-no", "rupture-yes"].into_iter().enumerate() {
            let issued = (Timestamp::now() - SignedDuration::from_secs(10 - n as i64)).to_string();
            let judgement = json!({"resourceType": "Observation", "id": format!("word-{n}"), "status": "final",
                "code": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/signal", "code": "judgement"}]},
                "subject": {"reference": "Patient/word"}, "focus": [{"reference": format!("Flag/{flag}")}],
                "issued": issued, "effectiveDateTime": issued,
                "valueCodeableConcept": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/judgement", "code": code}]}});
            server.put(&format!("/fhir/Observation/word-{n}"), &judgement).await.expect(201);
            server.settle().await;
            assert_eq!(server.all(active).await.len(), n, "{code}");
        }
    }

    async fn many_faults_are_no_large_request(server: &Server) {
        let items: Vec<_> = (0..80).map(|_| json!({"text": "no linkId"})).collect();
        let form = json!({"resourceType": "QuestionnaireResponse", "status": "completed", "item": items});
        server.post("/fhir/QuestionnaireResponse", &form).await.expect(422);
    }
}
