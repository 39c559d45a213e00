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

    async fn a_malformed_entry_of_a_batch_refuses_itself_alone(server: &Server) {
        let none = json!({"resource": patient("m0")});
        let bogus = entry("BREW", "Patient/m1", Some(patient("m1")));
        let mut twin = entry("PUT", "Patient/m7", Some(patient("m7")));
        twin["fullUrl"] = json!("urn:uuid:7d0f3e2a-0d0e-4f0a-9a55-000000000001");
        let entries = [
            none,
            bogus,
            entry("PUT", "Patient/m2", None),
            entry("PUT", "Patient/m3", Some(patient("m3"))),
            json!({"request": {"method": "GET"}}),
            json!("entry"),
            twin.clone(),
            twin,
            json!({"request": {"method": "GET", "url": "Patient/m3"}, "colour": "red"}),
            entry("GET", "Patient/m3", None),
        ];
        let answer = server.post("/fhir", &bundle("batch", &entries)).await.expect(200).json();
        let list = answer["entry"].as_array().expect("entries");
        assert_eq!(list.len(), entries.len());
        for (index, status, place) in [
            (0, "400", "Bundle.entry[0]"),
            (1, "400", "Bundle.entry[1].request.method"),
            (2, "400", "Bundle.entry[2].resource"),
            (3, "201", ""),
            (4, "400", "Bundle.entry[4].request.url"),
            (5, "400", "Bundle.entry[5]"),
            (6, "201", ""),
            (7, "400", "Bundle.entry[7].fullUrl"),
            (8, "400", "Bundle.entry[8].colour"),
            (9, "200", ""),
        ] {
            let response = &list[index]["response"];
            assert!(response["status"].as_str().expect("a status").starts_with(status), "{index}: {response}");
            let issues = response["outcome"]["issue"].as_array().cloned().unwrap_or_default();
            assert_eq!(place.is_empty(), issues.is_empty(), "{index}: {response}");
            assert!(place.is_empty() || issues.iter().any(|issue| issue["expression"][0] == place), "{index}: {response}");
        }
        assert_eq!(list[9]["resource"]["id"], "m3");
        // More of them than one list of faults holds.
        let many: Vec<Value> = (0..80).map(|n| if n % 8 == 0 { entry("PUT", &format!("Patient/n{n}"), Some(patient(&format!("n{n}")))) } else { json!({}) }).collect();
        let answer = server.post("/fhir", &bundle("batch", &many)).await.expect(200).json();
        let created = answer["entry"].as_array().expect("entries").iter().filter(|one| one["response"]["status"] == "201 Created").count();
        assert_eq!(created, 10);
        // What is wrong with the Bundle itself refuses it, and so does any fault of a transaction: all are named.
        server.post("/fhir", &json!({"resourceType": "Bundle", "type": "batch", "entry": {}})).await.expect(400);
        let mut bad = patient("m9");
        bad["gender"] = json!("x");
        let whole = bundle("transaction", &[entry("PUT", "Patient/m9", Some(bad)), json!({"resource": patient("m8")}), entry("BREW", "Patient/m1", None), entry("PUT", "Patient/m10", Some(patient("m10")))]);
        let refused = server.post("/fhir", &whole).await.expect(400);
        let places: Vec<String> = refused.issues().into_iter().map(|(_, place)| place).collect();
        for place in ["Bundle.entry[0].resource.gender", "Bundle.entry[1]", "Bundle.entry[2].request.method"] {
            assert!(places.iter().any(|p| p == place), "{place} of {places:?}");
        }
        server.get("/fhir/Patient/m10").await.expect(404);
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
