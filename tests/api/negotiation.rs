//! What a request may ask of HTTP: methods, media types, preconditions, and the parameters of history.

use crate::on_both;
use crate::server::Server;
use crate::story::{appointment, at, patient};
use reqwest::Method;
use serde_json::{Value, json};

async fn allow(server: &Server, method: Method, path: &str, status: u16) -> Vec<String> {
    let answer = server
        .send(method, path, &[("content-type", "application/fhir+json")], Some(b"{}".to_vec()))
        .await
        .expect(status);
    answer.header("allow").split(", ").map(str::to_owned).collect()
}

on_both! {
    async fn what_a_path_takes_is_told(server: &Server) {
        for (path, has, lacks) in [
            ("/fhir", "POST", "PUT"),
            ("/fhir/metadata", "GET", "POST"),
            ("/fhir/Patient", "POST", "BREW"),
            ("/fhir/Patient/1", "PATCH", "POST"),
            ("/fhir/Flag", "GET", "PUT"),
            ("/fhir/Flag/1", "GET", "DELETE"),
            ("/fhir/Observation/1", "PUT", "DELETE"),
            ("/fhir/CodeSystem/flag", "GET", "PUT"),
            ("/fhir/Patient/_search", "POST", "GET"),
        ] {
            // The smart room answers a browser's question about metadata.
            if path != "/fhir/metadata" {
                let told = allow(server, Method::OPTIONS, path, 204).await;
                assert!(told.iter().any(|one| one == has) && told.iter().all(|one| one != lacks), "{path}: {told:?}");
            }
        }
        assert_eq!(server.send(Method::OPTIONS, "/fhir/Nonsense", &[], None).await.status, 404);
        for (method, path) in [(Method::PUT, "/fhir"), (Method::DELETE, "/fhir/metadata"), (Method::POST, "/fhir/Patient/1"), (Method::PUT, "/fhir/Flag/1"), (Method::POST, "/fhir/CodeSystem"), (Method::TRACE, "/fhir/Patient")] {
            let told = allow(server, method.clone(), path, 405).await;
            assert!(told.iter().any(|one| one == "OPTIONS"), "{method} {path}: {told:?}");
            assert!(told.iter().all(|one| one != method.as_str()), "{method} {path}: {told:?}");
        }
    }

    async fn media_types_of_other_releases_and_charsets_are_refused(server: &Server) {
        let put = async |content: &str| server.send(Method::PUT, "/fhir/Patient/m", &[("content-type", content)], Some(patient("m").to_string().into_bytes())).await;
        for good in ["application/fhir+json; fhirVersion=4.0", "application/fhir+json;charset=UTF-8;fhirVersion=\"4.0.1\"", "application/json; charset=us-ascii"] {
            assert!(put(good).await.status.is_success(), "{good}");
        }
        for bad in ["application/fhir+json; fhirVersion=5.0", "application/fhir+json; fhirVersion=3.0", "application/json; charset=latin1", "application/fhir+json; charset=utf-16"] {
            let refused = put(bad).await.expect(415);
            assert_eq!(refused.issues()[0].0, "not-supported", "{bad}");
        }
        let get = async |accept: &str| server.send(Method::GET, "/fhir/Patient/m", &[("accept", accept)], None).await;
        get("application/fhir+json; fhirVersion=4.0").await.expect(200);
        get("application/fhir+json; fhirVersion=5.0").await.expect(406);
        get("application/fhir+json; fhirVersion=5.0, application/fhir+json;q=0.5").await.expect(200);
        let search = async |content: &str, body: &str| server.send(Method::POST, "/fhir/Patient/_search", &[("content-type", content)], Some(body.as_bytes().to_vec())).await;
        search("application/json", "{\"name\": \"x\"}").await.expect(415);
        search("application/x-www-form-urlencoded; charset=utf-8", "_id=m").await.expect(200);
    }

    async fn any_version_that_stands(server: &Server) {
        let any = [("if-match", "*")];
        let with = |active: bool| { let mut one = patient("any"); one["active"] = json!(active); one };
        server.with(Method::PUT, "/fhir/Patient/any", &any, &with(true)).await.expect(412);
        server.put("/fhir/Patient/any", &with(true)).await.expect(201);
        server.with(Method::PUT, "/fhir/Patient/any", &any, &with(false)).await.expect(200);
        let patch = json!([{"op": "replace", "path": "/active", "value": true}]).to_string().into_bytes();
        server.send(Method::PATCH, "/fhir/Patient/any", &[("if-match", "*"), ("content-type", "application/json-patch+json")], Some(patch)).await.expect(200);
        server.send(Method::DELETE, "/fhir/Patient/any", &any, None).await.expect(204);
        server.send(Method::DELETE, "/fhir/Patient/any", &any, None).await.expect(412);
    }

    async fn a_create_with_criteria_makes_no_second_one(server: &Server) {
        let one = json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "gc"}]});
        let path = "/fhir/Patient?identifier=urn:mrn%7Cgc";
        let first = server.post(path, &one).await.expect(201).json();
        assert_eq!(server.post(path, &one).await.expect(200).json()["id"], first["id"]);
        server.post("/fhir/Patient?_format=json", &one).await.expect(201);
        server.post(path, &one).await.expect(412);
        server.post("/fhir/Patient?colour=red", &one).await.expect(400);
        assert_eq!(server.all("Patient").await.len(), 2);
    }

    async fn codes_of_another_system_are_not_found(server: &Server) {
        let mut person = patient("s");
        person["gender"] = json!("female");
        server.push(&[person, appointment("s", 1, at("2026-03-02T10:00:00Z", 0), "booked")]).await;
        for (search, count) in [
            ("Patient?gender=http://hl7.org/fhir/administrative-gender|female", 1),
            ("Patient?gender=http://wrong|female", 0),
            ("Patient?gender:not=http://wrong|female", 1),
            ("Patient?gender=|female", 1),
            ("Patient?gender=female", 1),
            ("Patient?gender=http://wrong|female,http://hl7.org/fhir/administrative-gender|", 1),
            ("Appointment?status=http://hl7.org/fhir/appointmentstatus|booked", 1),
            ("Appointment?status=http://wrong|booked", 0),
            ("Appointment?status=http://wrong|", 0),
            ("Appointment?patient.gender=http://wrong|female", 0),
        ] {
            assert_eq!(server.all(search).await.len(), count, "{search}");
        }
    }

    async fn the_operation_refuses_what_it_does_not_know(server: &Server) {
        server.put("/fhir/Patient/d", &patient("d")).await.expect(201);
        let path = "/fhir/Patient/d/$detect-rupture";
        server.get(&format!("{path}?asOf=2026-03-02T10:00:00Z&_format=json")).await.expect(200);
        let refused = server.get(&format!("{path}?asof=2026-03-02T10:00:00Z")).await.expect(400);
        assert!(refused.text.contains("'asof'"), "{}", refused.text);
        let with = |name: &str| json!({"resourceType": "Parameters", "parameter": [{"name": name, "valueInstant": "2026-03-02T10:00:00Z"}]});
        server.post(path, &with("asOf")).await.expect(200);
        let refused = server.post(path, &with("when")).await.expect(400);
        assert_eq!(refused.issues()[0].1, "Parameters.parameter[0]");
        assert!(refused.text.contains("'when'"));
    }

    async fn history_as_it_was_then_and_counted(server: &Server) {
        let with = |active: bool| { let mut one = patient("h"); one["active"] = json!(active); one };
        let stamp = |answer: crate::server::Answer| answer.json()["meta"]["lastUpdated"].as_str().expect("an instant").to_owned();
        let pause = async || tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let first = stamp(server.put("/fhir/Patient/h", &with(true)).await);
        pause().await;
        let second = stamp(server.put("/fhir/Patient/h", &with(false)).await);
        pause().await;
        server.delete("/fhir/Patient/h").await.expect(204);
        pause().await;
        let third = stamp(server.put("/fhir/Patient/h", &with(true)).await.expect(201));
        server.put("/fhir/Patient/other", &patient("other")).await.expect(201);
        let versions = async |path: &str| {
            let bundle = server.get(path).await.expect(200).json();
            let tags = bundle["entry"].as_array().cloned().unwrap_or_default().iter().map(|entry| entry["response"]["etag"].as_str().expect("an etag").to_owned()).collect::<Vec<_>>();
            (tags, bundle["total"].clone())
        };
        for path in ["/fhir/Patient/h/_history", "/fhir/Patient/_history"] {
            assert_eq!(versions(&format!("{path}?_at={first}")).await, (vec!["W/\"1\"".into()], json!(1)), "{path}");
            assert_eq!(versions(&format!("{path}?_at={second}")).await, (vec!["W/\"2\"".into()], json!(1)), "{path}");
            assert!(versions(&format!("{path}?_at={third}")).await.0.contains(&"W/\"4\"".to_owned()), "{path}");
            assert_eq!(versions(&format!("{path}?_at=2000")).await, (vec![], json!(0)), "{path}");
        }
        assert!(versions(&format!("/fhir/_history?_at={second}")).await.0.contains(&"W/\"2\"".to_owned()));
        // A whole day had them all; page by page.
        let day = &first[..10];
        let mut path = format!("/fhir/Patient/h/_history?_at={day}&_count=3");
        let mut seen = Vec::new();
        loop {
            let bundle = server.get(&path).await.expect(200).json();
            assert_eq!(bundle["total"], 4);
            seen.extend(bundle["entry"].as_array().cloned().unwrap_or_default());
            let next = bundle["link"].as_array().expect("links").iter().find(|link| link["relation"] == "next").cloned();
            let Some(next) = next else { break };
            path = next["url"].as_str().expect("a url").strip_prefix(&server.base).expect("ours").to_owned();
        }
        assert_eq!(seen.len(), 4);
        for (path, total) in [("/fhir/Patient/h/_history", 4), ("/fhir/Patient/_history", 5)] {
            let counted = server.get(&format!("{path}?_summary=count")).await.expect(200).json();
            assert_eq!((&counted["total"], &counted["entry"]), (&json!(total), &Value::Null));
            assert_eq!(server.get(&format!("{path}?_count=0")).await.expect(200).json()["total"], total);
        }
        let since = server.get(&format!("/fhir/Patient/h/_history?_since={third}&_summary=count")).await.expect(200).json();
        assert_eq!(since["total"], 1);
        server.get("/fhir/Patient/h/_history?_at=then").await.expect(400);
        server.get("/fhir/Patient/nobody/_history").await.expect(404);
        server.get("/fhir/Patient/nobody/_history?_summary=count").await.expect(404);
        server.send(Method::GET, "/fhir/Patient/_history?colour=red", &[("prefer", "handling=strict")], None).await.expect(400);
    }
}
