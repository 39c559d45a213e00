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

    async fn references_that_are_searches_find_what_the_transaction_makes(server: &Server) {
        let who = |mrn: &str| json!([{"system": "http://mrn.example", "value": mrn}]);
        let of = |mrn: &str| json!({"resourceType": "Patient", "identifier": who(mrn)});
        let slot = |id: &str, reference: &str| {
            let mut slot = appointment("x", 1, at("2026-03-02T10:00:00Z", 0), "booked");
            slot["id"] = json!(id);
            slot["participant"][0]["actor"]["reference"] = json!(reference);
            json!({"resource": slot, "request": {"method": "PUT", "url": format!("Appointment/{id}")}})
        };
        let go = async |entries: Vec<serde_json::Value>| server.post("/fhir", &json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})).await;
        let actor = async |id: &str| server.get(&format!("/fhir/Appointment/{id}")).await.expect(200).json()["participant"][0]["actor"]["reference"].clone();
        let create = |mrn: &str, condition: bool| {
            let mut request = json!({"method": "POST", "url": "Patient"});
            if condition { request["ifNoneExist"] = json!(format!("identifier=http://mrn.example|{mrn}")); }
            json!({"resource": of(mrn), "request": request})
        };
        // Created beside it, with a condition or without; found again where it stands.
        for (n, (mrn, condition)) in [("1", true), ("1", true), ("2", false)].into_iter().enumerate() {
            let answer = go(vec![slot(&format!("s{n}"), &format!("Patient?identifier=http://mrn.example|{mrn}")), create(mrn, condition)]).await.expect(200).json();
            let location = answer["entry"][1]["response"]["location"].as_str().expect("a place").to_owned();
            let made = actor(&format!("s{n}")).await;
            assert!(location.starts_with(&format!("{}/_history", made.as_str().expect("a reference"))), "{location} {made}");
        }
        assert_eq!(actor("s0").await, actor("s1").await);
        // Two of them: which one?
        go(vec![slot("s4", "Patient?identifier=http://mrn.example|5"), create("5", false), create("5", false)]).await.expect(412);
        go(vec![slot("s4", "Patient?identifier=http://mrn.example|2"), create("2", false)]).await.expect(412);
        // As it will be, not as it was: what is deleted, or gets another number, is not found.
        let one = actor("s0").await.as_str().expect("a reference").to_owned();
        let delete = json!({"request": {"method": "DELETE", "url": one}});
        go(vec![slot("s5", "Patient?identifier=http://mrn.example|1"), delete.clone()]).await.expect(412);
        go(vec![slot("s5", "Patient?identifier=http://mrn.example|1"), delete, create("1", false)]).await.expect(200);
        assert_ne!(actor("s5").await, json!(one));
        let two = actor("s2").await.as_str().expect("a reference").to_owned();
        let renamed = json!({"resourceType": "Patient", "id": two.split_once('/').expect("type and id").1, "identifier": who("9")});
        let rename = json!({"resource": renamed, "request": {"method": "PUT", "url": two}});
        go(vec![slot("s6", "Patient?identifier=http://mrn.example|2"), rename.clone()]).await.expect(412);
        go(vec![slot("s6", "Patient?identifier=http://mrn.example|9"), rename]).await.expect(200);
        assert_eq!(actor("s6").await, json!(two));
    }

    async fn a_nul_in_a_search_finds_nobody(server: &Server) {
        server.push(&[patient("nul")]).await;
        for search in ["Patient?name=%00", "Patient?name:contains=%00", "Patient?name:exact=Mu%00ster", "Patient?identifier=%00", "Patient?identifier=a%00|b", "Patient?_id=%00", "Patient?_id=nul%00", "Patient?_lastUpdated=%00", "Patient?gender=%00", "Patient?general-practitioner=%00", "Appointment?patient.name=%00", "Patient?_has:Task:patient:status=%00", "Patient?a%00b=c", "Patient?_sort=%00", "Patient?_tag=%00", "Patient?_count=%00", "Patient?_cursor=%00", "Patient/nul/Task?status=%00", "Patient/_history?_since=%00", "?_type=%00", "$export?_type=%00"] {
            let path = if search.starts_with('?') { format!("/fhir{search}") } else { format!("/fhir/{search}") };
            for handling in ["handling=strict", "handling=lenient", "handling=lenient, respond-async"] {
                let answer = server.send(Method::GET, &path, &[("prefer", handling)], None).await;
                assert!(answer.status.is_client_error(), "{search} {} {}", answer.status, answer.text);
            }
        }
        for path in ["/fhir/Patient/%00", "/fhir/Patient/n%00ul", "/fhir/%00", "/fhir/Patient/nul/_history/%00", "/fhir/Patient/%00/_history", "/app/patients/%00", "/fhir/bulk/%00", "/fhir/bulk/%00/0.ndjson"] {
            let answer = server.get(path).await;
            assert!(answer.status.is_client_error(), "{path} {} {}", answer.status, answer.text);
        }
        let conditional = server.with(Method::POST, "/fhir/Patient", &[("if-none-exist", "name=%00")], &json!({"resourceType": "Patient"})).await;
        assert!(conditional.status.is_client_error(), "{}", conditional.text);
        server.delete("/fhir/Patient?name=%00").await.expect(400);
        server.get("/fhir/Patient/nul").await.expect(200);
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
