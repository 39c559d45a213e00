//! read, vread, create, update, delete, conditional forms, search, history.

use crate::on_both;
use crate::story::{appointment, at, patient};
use reqwest::Method;
use serde_json::{Value, json};

on_both! {
    async fn what_was_accepted_comes_back_without_loss(server: &Server) {
        let sent = r#"{"resourceType":"Patient","id":"x1","extension":[{"url":"http://unknown.example/e","valueDecimal":1.00}],"_birthDate":{"extension":[{"url":"http://unknown.example/f","valueString":"ü"}]},"name":[{"family":"Z","_family":{"id":"n1"}}]}"#;
        server.send(Method::PUT, "/fhir/Patient/x1", &[("content-type", "application/json; charset=utf-8")], Some(sent.into())).await.expect(201);
        let answer = server.get("/fhir/Patient/x1").await.expect(200);
        assert!(answer.text.contains("1.00"), "decimals keep their digits: {}", answer.text);
        let mut back = answer.json();
        assert_eq!(back["meta"]["versionId"], "1");
        back.as_object_mut().expect("an object").remove("meta");
        assert_eq!(back, serde_json::from_str::<Value>(sent).expect("json"));
        assert_eq!(answer.header("etag"), "W/\"1\"");
        assert_eq!(answer.header("cache-control"), "no-store");
    }

    async fn versions_etags_and_preconditions(server: &Server) {
        let mut resource = patient("v1");
        server.put("/fhir/Patient/v1", &resource).await.expect(201);
        resource["active"] = json!(true);
        let second = server.with(Method::PUT, "/fhir/Patient/v1", &[("if-match", "W/\"1\"")], &resource).await.expect(200);
        assert_eq!(second.header("etag"), "W/\"2\"");
        assert!(second.header("location").ends_with("/fhir/Patient/v1/_history/2"));
        resource["active"] = json!(false);
        let stale = server.with(Method::PUT, "/fhir/Patient/v1", &[("if-match", "W/\"1\"")], &resource).await.expect(412);
        assert_eq!(stale.issues()[0].0, "conflict");
        assert_eq!(server.get("/fhir/Patient/v1/_history/1").await.expect(200).json()["active"], Value::Null);
        server.delete("/fhir/Patient/v1").await.expect(204);
        server.get("/fhir/Patient/v1").await.expect(410);
        server.get("/fhir/Patient/v1/_history/2").await.expect(200);
        let history = server.get("/fhir/Patient/v1/_history").await.expect(200).json();
        assert_eq!(history["total"], 3, "{history}");
        assert_eq!(history["entry"][0]["request"]["method"], "DELETE");
        assert_eq!(history["entry"][2]["resource"]["meta"]["versionId"], "1");
        // It may come back.
        let back = server.put("/fhir/Patient/v1", &patient("v1")).await.expect(201);
        assert_eq!(back.header("etag"), "W/\"4\"");
        server.get("/fhir/Patient/nobody").await.expect(404);
        server.delete("/fhir/Patient/nobody").await.expect(204);
    }

    async fn an_older_version_that_comes_late_changes_nothing_and_says_so(server: &Server) {
        let dated = |family: &str, at: &str| json!({"resourceType": "Patient", "id": "late", "meta": {"lastUpdated": at}, "name": [{"family": family}]});
        let first = server.put("/fhir/Patient/late", &dated("new", "2026-03-02T10:00:00Z")).await.expect(201);
        let prefer = [("prefer", "return=OperationOutcome")];
        let old = dated("old", "2026-03-01T10:00:00Z");
        for _ in 0..2 {
            let answer = server.put("/fhir/Patient/late", &old).await.expect(200);
            assert_eq!((answer.header("etag"), answer.header("last-modified")), ("W/\"1\"", first.header("last-modified")));
            assert!(answer.header("location").ends_with("/Patient/late/_history/1"), "{}", answer.header("location"));
            assert_eq!(answer.json()["name"][0]["family"], "new");
            let told = server.with(Method::PUT, "/fhir/Patient/late", &prefer, &old).await.expect(200);
            assert_eq!(told.issues()[0].0, "informational");
            assert!(told.text.contains("kept in history as version 2") && told.text.contains("version 1 stands"), "{}", told.text);
        }
        assert_eq!(server.get("/fhir/Patient/late/_history/2").await.expect(200).json()["name"][0]["family"], "old");
        assert_eq!(server.get("/fhir/Patient/late/_history").await.expect(200).json()["total"], 2);
        // Whoever goes on from the answer is not refused.
        let next = server.with(Method::PUT, "/fhir/Patient/late", &[("if-match", "W/\"1\"")], &dated("next", "2026-03-03T10:00:00Z")).await.expect(200);
        assert_eq!(next.header("etag"), "W/\"3\"");
        let same = server.put("/fhir/Patient/late", &dated("next", "2026-03-03T10:00:00Z")).await.expect(200);
        assert_eq!(same.header("last-modified"), next.header("last-modified"));
    }

    async fn the_same_content_again_makes_no_version(server: &Server) {
        server.put("/fhir/Patient/s1", &patient("s1")).await.expect(201);
        let again = server.put("/fhir/Patient/s1", &patient("s1")).await.expect(200);
        assert_eq!(again.header("etag"), "W/\"1\"");
        assert_eq!(again.json()["name"][0]["family"], "Muster");
    }

    async fn an_older_version_that_comes_late_goes_behind(server: &Server) {
        let version = |updated: &str, status: &str| {
            let mut slot = appointment("b1", 1, at("2026-03-02T10:00:00Z", 0), status);
            slot["meta"] = json!({"lastUpdated": updated});
            slot
        };
        let path = "/fhir/Appointment/b1-a1";
        server.put(path, &version("2026-03-01T12:00:00Z", "cancelled")).await.expect(201);
        server.put(path, &version("2026-02-20T12:00:00Z", "booked")).await;
        assert_eq!(server.get(path).await.expect(200).json()["status"], "cancelled");
        let history = server.get(&format!("{path}/_history")).await.expect(200).json();
        assert_eq!(history["total"], 2, "{history}");
        // Again, and again: nothing more.
        server.put(path, &version("2026-02-20T12:00:00Z", "booked")).await;
        server.put(path, &version("2026-03-01T12:00:00Z", "cancelled")).await;
        let history = server.get(&format!("{path}/_history")).await.expect(200).json();
        assert_eq!(history["total"], 2, "{history}");
    }

    async fn creates_conditional_and_not(server: &Server) {
        let mut resource = json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "7"}]});
        let first = server.with(Method::POST, "/fhir/Patient", &[("if-none-exist", "identifier=urn:mrn|7")], &resource).await.expect(201);
        let id = first.json()["id"].as_str().expect("an id").to_owned();
        let second = server.with(Method::POST, "/fhir/Patient", &[("if-none-exist", "identifier=urn:mrn|7")], &resource).await.expect(200);
        assert_eq!(second.json()["id"], id.as_str());
        resource["active"] = json!(true);
        let updated = server.put("/fhir/Patient?identifier=urn:mrn|7", &resource).await.expect(200);
        assert_eq!((updated.json()["id"].as_str(), updated.header("etag")), (Some(id.as_str()), "W/\"2\""));
        server.post("/fhir/Patient", &resource).await.expect(201);
        server.put("/fhir/Patient?identifier=urn:mrn|7", &json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "7"}], "active": false})).await.expect(412);
        let minimal = server.with(Method::POST, "/fhir/Patient", &[("prefer", "return=minimal")], &json!({"resourceType": "Patient"})).await.expect(201);
        assert!(minimal.text.is_empty());
        server.delete("/fhir/Patient?identifier=urn:mrn|nobody").await.expect(204);
    }

    async fn a_race_of_conditional_creates_has_one_winner(server: &Server) {
        let resource = json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "race"}]});
        let headers = [("if-none-exist", "identifier=urn:mrn|race")];
        let all = futures_util::future::join_all((0..12).map(|_| server.with(Method::POST, "/fhir/Patient", &headers, &resource))).await;
        let mut ids: Vec<String> = all.iter().map(|answer| answer.json()["id"].as_str().expect("an id").to_owned()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 1);
        assert_eq!(all.iter().filter(|answer| answer.status == 201).count(), 1);
        assert_eq!(server.all("Patient?identifier=urn:mrn|race").await.len(), 1);
    }

    async fn search_finds_pages_counts_and_tells_what_it_did_not_use(server: &Server) {
        let mut resources = vec![patient("p1"), patient("p2")];
        for n in 0..25 {
            resources.push(appointment("p1", n, at("2026-03-02T10:00:00Z", n as i64), if n % 5 == 0 { "noshow" } else { "fulfilled" }));
        }
        resources.push(appointment("p2", 1, at("2026-03-02T10:00:00Z", 0), "fulfilled"));
        server.push(&resources).await;
        assert_eq!(server.all("Appointment?patient=p1&_count=7").await.len(), 25);
        assert_eq!(server.all("Appointment?patient=Patient/p1&status=noshow").await.len(), 5);
        assert_eq!(server.all("Appointment?patient=p1&date=ge2026-03-20&date=lt2026-03-22").await.len(), 2);
        assert_eq!(server.all("Appointment?status=noshow,fulfilled").await.len(), 26);
        let sorted = server.all("Appointment?patient=p1&_sort=-date&_count=10").await;
        let starts: Vec<&str> = sorted.iter().map(|a| a["start"].as_str().expect("start")).collect();
        assert!(starts.is_sorted_by(|a, b| a >= b) && starts.len() == 25, "{starts:?}");
        let count = server.get("/fhir/Appointment?patient=p1&_summary=count").await.expect(200).json();
        assert_eq!((&count["total"], &count["entry"]), (&json!(25), &Value::Null));
        let lenient = server.get("/fhir/Appointment?colour=red&_count=1").await.expect(200).json();
        assert!(lenient["entry"].as_array().expect("entries").iter().any(|e| e["search"]["mode"] == "outcome"));
        let strict = server.send(Method::GET, "/fhir/Appointment?colour=red", &[("prefer", "handling=strict")], None).await;
        strict.expect(400);
        let post = server.send(Method::POST, "/fhir/Appointment/_search", &[("content-type", "application/x-www-form-urlencoded")], Some(b"patient=p2".to_vec())).await.expect(200);
        assert_eq!(post.json()["total"], 1);
        server.get("/fhir/Appointment?_cursor=nonsense").await.expect(400);
        assert_eq!(server.all("Patient?name=must").await.len(), 2);
    }

    async fn findings_are_ours_to_write(server: &Server) {
        for kind in ["Flag", "Observation", "Provenance", "Device"] {
            let body = json!({"resourceType": kind, "id": "f"});
            server.post(&format!("/fhir/{kind}"), &body).await.expect(405);
            server.put(&format!("/fhir/{kind}/f"), &body).await.expect(405);
            server.delete(&format!("/fhir/{kind}/f")).await.expect(405);
            server.get(&format!("/fhir/{kind}")).await.expect(200);
        }
        server.get("/fhir/Medication/1").await.expect(404);
        assert_eq!(server.get("/fhir/Device/tautline").await.expect(200).json()["resourceType"], "Device");
    }

    async fn metadata_lists_what_is_there(server: &Server) {
        let statement = server.get("/fhir/metadata").await.expect(200).json();
        assert_eq!(statement["fhirVersion"], "4.0.1");
        let flag = statement["rest"][0]["resource"].as_array().expect("types").iter().find(|r| r["type"] == "Flag").expect("Flag");
        let parameters: Vec<&str> = flag["searchParam"].as_array().expect("parameters").iter().filter_map(|p| p["name"].as_str()).collect();
        for name in ["patient", "status", "code", "category", "_id"] {
            assert!(parameters.contains(&name), "{name}");
        }
        for name in ["/healthz", "/readyz"] {
            server.get(name).await.expect(200);
        }
    }
}
