//! Bad input is normal input: a clear error, nothing stored, nothing panics.

use crate::on_both;
use crate::story::patient;
use reqwest::Method;
use serde_json::json;

const JSON: &[(&str, &str)] = &[("content-type", "application/fhir+json")];

on_both! {
    async fn json_that_is_none_is_refused_with_its_place(server: &Server) {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", Vec::new()),
            ("half", b"{\"resourceType\":\"Patient\"".to_vec()),
            ("trailing", b"{\"resourceType\":\"Patient\"} {}".to_vec()),
            ("duplicate key", b"{\"resourceType\":\"Patient\",\"active\":true,\"active\":false}".to_vec()),
            ("deep", deep.into_bytes()),
            ("not utf-8", b"{\"resourceType\":\"Pat\xff\"}".to_vec()),
            ("lone surrogate", b"{\"resourceType\":\"Patient\",\"language\":\"\\ud800\"}".to_vec()),
            ("array", b"[]".to_vec()),
            ("number", b"1e999".to_vec()),
        ];
        for (name, body) in cases {
            let answer = server.send(Method::POST, "/fhir/Patient", JSON, Some(body)).await;
            assert!(answer.status.is_client_error(), "{name}: {} {}", answer.status, answer.text);
            assert!(!answer.issues().is_empty(), "{name}");
        }
        assert!(server.all("Patient").await.is_empty());
    }

    async fn every_fault_of_a_resource_is_told_at_once_and_no_value_is_said_back(server: &Server) {
        let bad = json!({"resourceType": "Patient", "gender": "SECRET-VALUE", "birthDate": "31.12.1999", "name": [{"given": []}], "active": "true", "nonsense": 1});
        let answer = server.post("/fhir/Patient", &bad).await;
        assert!(answer.status.is_client_error());
        let places: Vec<String> = answer.issues().into_iter().map(|(_, place)| place).collect();
        for place in ["Patient.gender", "Patient.birthDate", "Patient.name[0].given", "Patient.active", "Patient.nonsense"] {
            assert!(places.iter().any(|p| p == place), "{place} of {places:?}");
        }
        assert!(!answer.text.contains("SECRET-VALUE"));
    }

    async fn what_is_no_json_or_no_gzip_is_refused(server: &Server) {
        let body = patient("g").to_string().into_bytes();
        server.send(Method::PUT, "/fhir/Patient/g", &[("content-type", "application/fhir+xml")], Some(body.clone())).await.expect(400);
        server.send(Method::PUT, "/fhir/Patient/g", &[("content-type", "text/turtle")], Some(body.clone())).await.expect(415);
        server.send(Method::PUT, "/fhir/Patient/g", &[("content-type", "application/json"), ("content-encoding", "zstd")], Some(body.clone())).await.expect(415);
        let broken = server.send(Method::PUT, "/fhir/Patient/g", &[("content-type", "application/json"), ("content-encoding", "gzip")], Some(body.clone())).await;
        assert!(broken.status.is_client_error());
        server.send(Method::GET, "/fhir/Patient?_format=turtle", &[], None).await.expect(406);
        server.send(Method::GET, "/fhir/Patient", &[("accept", "text/turtle")], None).await.expect(406);
        let bom = [b"\xef\xbb\xbf".to_vec(), body].concat();
        server.send(Method::PUT, "/fhir/Patient/g", &[("content-type", "text/json")], Some(bom)).await.expect(201);
    }

    async fn urls_that_cannot_be_are_refused(server: &Server) {
        let long = "x".repeat(65);
        for path in ["/fhir/Patient/a%20b", "/fhir/Patient/%00", &format!("/fhir/Patient/{long}"), "/fhir/Nonsense", "/fhir/Patient/1/2/3", "/fhir/Patient/1/_history/x"] {
            let answer = server.get(path).await;
            assert!(answer.status.is_client_error(), "{path}");
            assert!(!answer.issues().is_empty(), "{path}");
        }
        server.put("/fhir/Patient/a", &patient("b")).await.expect(422);
        server.put("/fhir/Task/a", &patient("a")).await.expect(400);
        for query in ["_count=x", "date=yesterday", "status:above=x", "_sort=nonsense"] {
            let answer = server.get(&format!("/fhir/Appointment?{query}")).await;
            assert!(answer.status.is_client_error(), "{query}");
        }
        server.get("/fhir/Patient?name=%27%3B%20drop%20table%20resource%3B--").await.expect(200);
    }
}
