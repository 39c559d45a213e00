//! transaction and batch.

use crate::on_both;
use crate::story::{appointment, at, patient};
use serde_json::{Value, json};

fn entry(method: &str, url: &str, resource: Option<Value>) -> Value {
    let mut entry = json!({"request": {"method": method, "url": url}});
    if let Some(resource) = resource {
        entry["resource"] = resource;
    }
    entry
}

fn bundle(kind: &str, entries: &[Value]) -> Value {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
}

on_both! {
    async fn references_between_entries_are_rewritten(server: &Server) {
        let urn = "urn:uuid:7d0f3e2a-0d0e-4f0a-9a55-000000000001";
        let mut slot = appointment("x", 1, at("2026-03-02T10:00:00Z", 0), "booked");
        slot["participant"][0]["actor"]["reference"] = json!(urn);
        slot.as_object_mut().expect("object").remove("id");
        let mut first = entry("POST", "Patient", Some(json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "1"}]})));
        first["fullUrl"] = json!(urn);
        first["request"]["ifNoneExist"] = json!("identifier=urn:mrn|1");
        let whole = bundle("transaction", &[entry("POST", "Appointment", Some(slot)), first]);
        let answer = server.post("/fhir", &whole).await.expect(200).json();
        assert_eq!(answer["type"], "transaction-response");
        assert_eq!(answer["entry"][0]["response"]["status"], "201 Created");
        let location = answer["entry"][0]["response"]["location"].as_str().expect("location");
        let stored = server.get(&format!("/fhir/{}", location.split("/_history").next().expect("url"))).await.expect(200).json();
        let reference = stored["participant"][0]["actor"]["reference"].as_str().expect("reference").to_owned();
        assert!(reference.starts_with("Patient/"), "{reference}");
        // Again: the Patient is found, the reference is to the same one.
        let answer = server.post("/fhir", &whole).await.expect(200).json();
        assert_eq!(answer["entry"][1]["response"]["status"], "200 OK");
        assert_eq!(server.all("Patient?identifier=urn:mrn|1").await.len(), 1);
        assert_eq!(server.all(&format!("Appointment?patient={reference}")).await.len(), 2);
    }

    async fn a_refused_transaction_stores_nothing_and_names_every_fault(server: &Server) {
        let bad = json!({"resourceType": "Appointment", "id": "bad", "status": "sleeping", "start": "yesterday", "participant": [{"status": "accepted"}]});
        let worse = json!({"resourceType": "Task", "id": "worse", "intent": "order", "colour": "red"});
        let whole = bundle("transaction", &[
            entry("PUT", "Patient/ok", Some(patient("ok"))),
            entry("PUT", "Appointment/bad", Some(bad)),
            entry("PUT", "Task/worse", Some(worse)),
        ]);
        let answer = server.post("/fhir", &whole).await;
        assert!(answer.status.is_client_error());
        let places: Vec<String> = answer.issues().into_iter().map(|(_, place)| place).collect();
        for place in ["Bundle.entry[1].resource.status", "Bundle.entry[1].resource.start", "Bundle.entry[2].resource.status", "Bundle.entry[2].resource.colour"] {
            assert!(places.iter().any(|p| p == place), "{place} of {places:?}");
        }
        server.get("/fhir/Patient/ok").await.expect(404);
    }

    async fn other_types_in_a_transaction_refuse_it_and_in_a_batch_only_themselves(server: &Server) {
        let entries = [
            entry("PUT", "Patient/t1", Some(patient("t1"))),
            entry("PUT", "Medication/m1", Some(json!({"resourceType": "Medication", "id": "m1"}))),
        ];
        let refused = server.post("/fhir", &bundle("transaction", &entries)).await;
        assert!(refused.status.is_client_error());
        assert!(refused.issues().iter().any(|(code, place)| code == "not-supported" && place.starts_with("Bundle.entry[1]")), "{:?}", refused.issues());
        server.get("/fhir/Patient/t1").await.expect(404);
        let answer = server.post("/fhir", &bundle("batch", &entries)).await.expect(200).json();
        assert_eq!(answer["entry"][0]["response"]["status"], "201 Created");
        let status = answer["entry"][1]["response"]["status"].as_str().expect("status");
        assert!(status.starts_with('4'), "{status}");
        assert_eq!(answer["entry"][1]["response"]["outcome"]["issue"][0]["code"], "not-supported");
        server.get("/fhir/Patient/t1").await.expect(200);
    }

    async fn a_transaction_is_one(server: &Server) {
        server.put("/fhir/Patient/one", &patient("one")).await.expect(201);
        let mut stale = entry("PUT", "Patient/one", Some(json!({"resourceType": "Patient", "id": "one", "active": true})));
        stale["request"]["ifMatch"] = json!("W/\"9\"");
        let whole = bundle("transaction", &[entry("PUT", "Patient/two", Some(patient("two"))), stale]);
        let answer = server.post("/fhir", &whole).await.expect(412);
        assert!(answer.issues()[0].1.starts_with("Bundle.entry[1]"));
        server.get("/fhir/Patient/two").await.expect(404);
        let twice = bundle("transaction", &[entry("PUT", "Patient/x", Some(patient("x"))), entry("DELETE", "Patient/x", None)]);
        assert!(server.post("/fhir", &twice).await.status.is_client_error());
        // Reads at the end see what was written.
        let whole = bundle("transaction", &[entry("GET", "Patient/r1", None), entry("PUT", "Patient/r1", Some(patient("r1")))]);
        let answer = server.post("/fhir", &whole).await.expect(200).json();
        assert_eq!(answer["entry"][0]["resource"]["id"], "r1");
        server.post("/fhir", &bundle("transaction", &[])).await;
    }

    async fn other_bundles_get_a_clear_answer(server: &Server) {
        for kind in ["document", "message", "collection", "searchset", "history"] {
            let answer = server.post("/fhir", &json!({"resourceType": "Bundle", "type": kind})).await;
            assert!(answer.status.is_client_error(), "{kind}");
            assert_eq!(answer.issues()[0].0, "not-supported", "{kind}");
        }
        server.post("/fhir", &patient("p")).await.expect(400);
    }
}
