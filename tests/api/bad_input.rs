//! Bad input is normal input: a clear error, nothing stored, nothing panics.

use crate::on_both;
use crate::story::patient;
use reqwest::Method;
use serde_json::{Value, json};

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

    async fn the_place_of_a_fault_is_said_by_line_and_column(server: &Server) {
        let text = "{\"resourceType\": \"Patient\",\n  \"name\": [{\"family\": \"Ü\"},\n    {\"family\": \"B\", \"use\": \"SECRET\"}],\n  \"gender\": \"x\"}";
        let placed = |outcome: &Value| -> Vec<(String, i64, i64)> {
            let part = |issue: &Value, end: &str| {
                let all = issue["extension"].as_array().cloned().unwrap_or_default();
                let url = format!("http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-{end}");
                all.iter().find(|one| one["url"] == url.as_str()).and_then(|one| one["valueInteger"].as_i64()).unwrap_or(-1)
            };
            let told = |issue: &Value| (issue["expression"][0].as_str().unwrap_or_default().to_owned(), part(issue, "line"), part(issue, "col"));
            let issues = outcome["issue"].as_array().cloned().unwrap_or_default();
            for issue in &issues {
                let words = format!("line {}, column {}", part(issue, "line"), part(issue, "col"));
                assert!(issue["diagnostics"].as_str().is_some_and(|text| text.contains(&words)), "{issue}");
            }
            issues.iter().map(told).collect()
        };
        let expected = |root: &str, line: i64| vec![(format!("{root}.name[1].use"), line + 3, 21), (format!("{root}.gender"), line + 4, 3)];
        let refused = server.send(Method::POST, "/fhir/Patient", JSON, Some(text.into())).await;
        assert!(refused.status.is_client_error());
        assert_eq!(placed(&refused.json()), expected("Patient", 0));
        let within = format!("{{\"resourceType\": \"Parameters\", \"parameter\": [{{\"name\": \"resource\", \"resource\":\n{text}}}]}}");
        let told = server.send(Method::POST, "/fhir/Patient/$validate", JSON, Some(within.into())).await.expect(200);
        assert_eq!(placed(&told.json()), expected("Patient", 1));
        for kind in ["batch", "transaction"] {
            let bundle = format!("{{\"resourceType\": \"Bundle\", \"type\": \"{kind}\", \"entry\": [\n{{\"request\": {{\"method\": \"GET\", \"url\": \"Patient\"}}}},\n{{\"request\": {{\"method\": \"POST\", \"url\": \"Patient\"}}, \"resource\":\n{text}}}]}}");
            let answer = server.send(Method::POST, "/fhir", JSON, Some(bundle.into())).await.json();
            let outcome = if kind == "batch" { &answer["entry"][1]["response"]["outcome"] } else { &answer };
            assert_eq!(placed(outcome), expected("Bundle.entry[1].resource", 3), "{answer}");
        }
        let xml = "<Patient xmlns=\"http://hl7.org/fhir\">\n <name><family value=\"Ü\"/></name>\n <name><use value=\"x\"/></name><gender value=\"x\"/></Patient>";
        let headers = [("content-type", "application/fhir+xml"), ("accept", "application/fhir+json")];
        let refused = server.send(Method::POST, "/fhir/Patient", &headers, Some(xml.into())).await.json();
        assert_eq!(placed(&refused), [("Patient.name[1].use".to_owned(), 3, 8), ("Patient.gender".to_owned(), 3, 31)]);
        for (content, half) in [("application/fhir+json", "{\n \"a\" 1}"), ("application/fhir+xml", "<Patient xmlns=\"http://hl7.org/fhir\">\n<id value=\"a\" colour=\"b\"/>")] {
            let headers = [("content-type", content), ("accept", "application/fhir+json")];
            let refused = server.send(Method::POST, "/fhir/Patient", &headers, Some(half.into())).await.expect(400);
            assert_eq!(placed(&refused.json())[0].1, 2, "{}", refused.text);
        }
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
        server.put("/fhir/Patient/a", &patient("b")).await.expect(400);
        server.put("/fhir/Task/a", &patient("a")).await.expect(400);
        for query in ["_count=x", "_count=-1", "_summary=some", "date=yesterday", "date=", "status:above=x", "_sort=nonsense", "_filter=status%20eq%20booked"] {
            server.get(&format!("/fhir/Appointment?{query}")).await.expect(400);
        }
        server.get("/fhir/Appointment/a?_summary=some").await.expect(404);
        server.with(Method::POST, "/fhir/Appointment", &[("if-none-exist", "date=yesterday")], &json!({"resourceType": "Appointment", "status": "proposed", "participant": [{"status": "accepted", "actor": {"display": "x"}}]})).await.expect(400);
        server.get("/fhir/Patient?name=%27%3B%20drop%20table%20resource%3B--").await.expect(200);
    }
}
