//! What the CapabilityStatement claims is tried, claim by claim; XML; our artefacts.

use crate::on_both;
use crate::server::Server;
use crate::story::patient;
use reqwest::Method;
use serde_json::{Value, json};

const XML: &[(&str, &str)] = &[("content-type", "application/fhir+xml")];

/// A resource of the type that this server takes.
fn least(kind: &str) -> Value {
    let subject = json!({"reference": "Patient/least"});
    let mut resource = match kind {
        "Appointment" => json!({"status": "proposed", "participant": [{"status": "accepted", "actor": subject}]}),
        "Encounter" => json!({"status": "planned", "class": {"code": "AMB"}, "subject": subject}),
        "EpisodeOfCare" => json!({"status": "active", "patient": subject}),
        "Group" => json!({"type": "person", "actual": true}),
        "Organization" => json!({"name": "O"}),
        "Questionnaire" => json!({"status": "active"}),
        "QuestionnaireResponse" => json!({"status": "completed", "subject": subject}),
        "Task" => json!({"status": "requested", "intent": "order", "for": subject}),
        _ => json!({}),
    };
    resource["resourceType"] = json!(kind);
    resource["id"] = json!("least");
    resource
}

async fn allowed(server: &Server, method: Method, path: &str, body: Option<Value>) -> u16 {
    let body = body.map(|body| body.to_string().into_bytes());
    let content = if method == Method::PATCH { "application/json-patch+json" } else { "application/fhir+json" };
    let answer =
        server.send(method.clone(), path, &[("content-type", content), ("prefer", "handling=strict")], body).await;
    assert!(answer.status.as_u16() != 501 && !answer.status.is_server_error(), "{method} {path}: {}", answer.text);
    answer.status.as_u16()
}

async fn try_interaction(server: &Server, kind: &str, code: &str) {
    let one = format!("/fhir/{kind}/least");
    let (method, path, body, expected): (Method, String, Option<Value>, &[u16]) = match code {
        "read" => (Method::GET, one, None, &[200, 404]),
        "vread" => (Method::GET, format!("{one}/_history/1"), None, &[200, 404]),
        "history-instance" => (Method::GET, format!("{one}/_history"), None, &[200, 404]),
        "history-type" => (Method::GET, format!("/fhir/{kind}/_history"), None, &[200]),
        "search-type" => (Method::GET, format!("/fhir/{kind}"), None, &[200]),
        "create" => (Method::POST, format!("/fhir/{kind}"), Some(least(kind)), &[201]),
        "update" => (Method::PUT, one, Some(least(kind)), &[200, 201]),
        "patch" => (Method::PATCH, one, Some(json!([{"op": "add", "path": "/language", "value": "de"}])), &[200]),
        "delete" => (Method::DELETE, one, None, &[204]),
        other => panic!("an interaction that nobody tries: {other}"),
    };
    let status = allowed(server, method, &path, body).await;
    assert!(expected.contains(&status), "{kind} {code}: {status}");
}

fn sample(kind: &str) -> &'static str {
    match kind {
        "date" => "ge2020-01-01",
        "number" | "quantity" => "gt1",
        "reference" => "Patient/1",
        "composite" => "a$1",
        _ => "x",
    }
}

on_both! {
    async fn every_claim_holds(server: &Server) {
        server.put("/fhir/Patient/least", &patient("least")).await.expect(201);
        let statement = server.get("/fhir/metadata").await.expect(200).json();
        let rest = &statement["rest"][0];
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for resource in list(&rest["resource"]) {
            let kind = text(&resource["type"]);
            let mut codes: Vec<String> = list(&resource["interaction"]).iter().map(|one| text(&one["code"])).collect();
            // What stands is patched and deleted, not the other way round.
            codes.sort_by_key(|code| ["update", "create", "patch", "read", "vread"].iter().position(|one| one == code).unwrap_or(if code == "delete" { 99 } else { 50 }));
            for code in &codes {
                try_interaction(server, &kind, code).await;
            }
            if !codes.iter().any(|code| code == "update") {
                assert_eq!(allowed(server, Method::PUT, &format!("/fhir/{kind}/least"), Some(least(&kind))).await, 405, "{kind}");
            }
            let mut query = String::new();
            for parameter in list(&resource["searchParam"]) {
                let (name, of) = (text(&parameter["name"]), text(&parameter["type"]));
                assert!(text(&parameter["definition"]).starts_with("http"), "{kind}.{name}");
                let value = match (of.as_str(), name.ends_with("date")) {
                    ("composite", true) => "a$2020",
                    (of, _) => sample(of),
                };
                query.push_str(&format!("&{name}={value}"));
            }
            assert_eq!(allowed(server, Method::GET, &format!("/fhir/{kind}?_count=1{query}"), None).await, 200, "{kind}?{query}");
            for (name, key) in [("searchInclude", "_include"), ("searchRevInclude", "_revinclude")] {
                for include in list(&resource[name]) {
                    let path = format!("/fhir/{kind}?_count=1&{key}={}", text(&include));
                    assert_eq!(allowed(server, Method::GET, &path, None).await, 200, "{path}");
                }
            }
            for operation in list(&resource["operation"]) {
                let name = text(&operation["name"]);
                if name == "export" {
                    let path = if kind == "Group" { "/fhir/Group/least/$export" } else { "/fhir/Patient/$export" };
                    if kind == "Group" {
                        server.put("/fhir/Group/least", &least("Group")).await;
                    }
                    let status = server.send(Method::GET, path, &[("prefer", "respond-async")], None).await.status.as_u16();
                    assert!([202, 429].contains(&status), "{path}: {status}");
                    continue;
                }
                let (method, path) = match name.as_str() {
                    "validate" => (Method::POST, format!("/fhir/{kind}/$validate")),
                    _ => (Method::GET, format!("/fhir/{kind}/least2/${name}")),
                };
                let body = (method == Method::POST).then(|| least(&kind));
                if name != "validate" {
                    server.put("/fhir/Patient/least2", &patient("least2")).await;
                }
                assert_eq!(allowed(server, method, &path, body).await, 200, "{path}");
            }
        }
        for operation in list(&rest["operation"]) {
            let status = match text(&operation["name"]).as_str() {
                "export" => server.send(Method::GET, "/fhir/$export", &[("prefer", "respond-async")], None).await.status,
                "import" => server.send(Method::POST, "/fhir/$import", &[("prefer", "respond-async"), ("content-type", "application/fhir+ndjson")], None).await.status,
                other => panic!("an operation that nobody tries: {other}"),
            };
            assert!([202, 429].contains(&status.as_u16()), "{operation}: {status}");
        }
        for code in list(&rest["interaction"]) {
            let empty = |kind: &str| Some(json!({"resourceType": "Bundle", "type": kind}));
            let status = match text(&code["code"]).as_str() {
                "transaction" => allowed(server, Method::POST, "/fhir", empty("transaction")).await,
                "batch" => allowed(server, Method::POST, "/fhir", empty("batch")).await,
                "history-system" => allowed(server, Method::GET, "/fhir/_history", None).await,
                other => panic!("an interaction that nobody tries: {other}"),
            };
            assert_eq!(status, 200, "{code}");
        }
        for format in list(&statement["format"]) {
            let path = format!("/fhir/Patient?_format={}", text(&format).replace('+', "%2B"));
            assert_eq!(allowed(server, Method::GET, &path, None).await, 200, "{path}");
        }
    }

    async fn every_artefact_is_served_by_id_and_url(server: &Server) {
        let root = concat!(env!("CARGO_MANIFEST_DIR"));
        let mut count = 0;
        for folder in ["conformance/CodeSystem", "conformance/OperationDefinition", "conformance/SearchParameter", "conformance/StructureDefinition", "conformance/ValueSet", "profiles/CodeSystem", "profiles/StructureDefinition", "profiles/measures"] {
            for file in std::fs::read_dir(format!("{root}/{folder}")).expect("a folder").flatten() {
                let text = std::fs::read_to_string(file.path()).expect("readable");
                let sent: Value = serde_json::from_str(&text).expect("json");
                let (kind, id, url) = (sent["resourceType"].as_str().expect("a type"), sent["id"].as_str().expect("an id"), sent["url"].as_str().expect("a url"));
                assert_eq!(server.get(&format!("/fhir/{kind}/{id}")).await.expect(200).json(), sent);
                let found = server.get(&format!("/fhir/{kind}?url={url}")).await.expect(200).json();
                assert_eq!((&found["total"], &found["entry"][0]["resource"]["id"]), (&json!(1), &json!(id)), "{kind} {url}");
                count += 1;
            }
        }
        assert!(count > 55, "{count}");
        server.get("/fhir/StructureDefinition/nonsense").await.expect(404);
        let all = server.get("/fhir/ValueSet").await.expect(200).json();
        assert_eq!(server.all("ValueSet?_count=5").await.len() as u64, all["total"].as_u64().expect("a total"));
        let counted = server.get("/fhir/ValueSet?_summary=count").await.expect(200).json();
        assert_eq!((&counted["total"], &counted["entry"]), (&all["total"], &Value::Null));
        let short = server.get("/fhir/ValueSet?_elements=url&_count=1").await.expect(200).json();
        assert_eq!(short["entry"][0]["resource"]["compose"], Value::Null);
        server.send(Method::GET, "/fhir/ValueSet?colour=red", &[("prefer", "handling=strict")], None).await.expect(400);
        server.get("/fhir/ValueSet?_count=x").await.expect(400);
    }

    async fn validate_knows_our_profiles(server: &Server) {
        let ours = "https://tautline.example/fhir/StructureDefinition/homework";
        let task = json!({"resourceType": "Task", "status": "requested", "intent": "order"});
        let ask = async |query: &str, body: &Value| server.post(&format!("/fhir/Task/$validate{query}"), body).await.expect(200).issues();
        assert_eq!(ask("", &task).await[0].0, "informational");
        assert_eq!(ask(&format!("?profile={ours}"), &task).await, [("required".to_owned(), "Task.for".to_owned())]);
        let mut named = task.clone();
        named["meta"] = json!({"profile": [ours]});
        assert_eq!(ask("", &named).await[0].1, "Task.for");
        named["for"] = json!({"reference": "Patient/1"});
        assert_eq!(ask("", &named).await[0].0, "informational");
        let parameters = json!({"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": task}, {"name": "profile", "valueUri": ours}]});
        assert_eq!(ask("", &parameters).await[0].1, "Task.for");
        assert_eq!(ask("?profile=http://hl7.org/fhir/StructureDefinition/Task", &task).await[0].0, "informational");
        assert_eq!(ask("?profile=http://hl7.org/fhir/StructureDefinition/Patient", &task).await[0].0, "structure");
        assert_eq!(ask("?profile=http://elsewhere/x", &task).await[0].0, "not-supported");
    }

    async fn xml_in_and_out(server: &Server) {
        let sent = r#"<Patient xmlns="http://hl7.org/fhir"><id value="x"/><text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml">A &amp; B</div></text><extension url="http://unknown.example/e"><valueDecimal value="1.00"/></extension><active value="true"/><name><family value="M&#xFC;ller"/></name></Patient>"#;
        let created = server.send(Method::PUT, "/fhir/Patient/x", XML, Some(sent.into())).await.expect(201);
        assert!(created.header("content-type").starts_with("application/fhir+xml"));
        let json = server.get("/fhir/Patient/x").await.expect(200);
        assert_eq!((json.json()["name"][0]["family"].as_str(), json.json()["active"].as_bool()), (Some("Müller"), Some(true)));
        assert!(json.text.contains("1.00"));
        for (path, headers) in [("/fhir/Patient/x?_format=xml", vec![]), ("/fhir/Patient/x", vec![("accept", "application/fhir+xml, application/fhir+json;q=0.5")])] {
            let xml = server.send(Method::GET, path, &headers, None).await.expect(200).text;
            assert!(xml.contains("<div xmlns=\"http://www.w3.org/1999/xhtml\">A &amp; B</div>"), "{xml}");
            assert!(xml.contains("<valueDecimal value=\"1.00\"/>"), "{xml}");
        }
        let bundle = r#"<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/><entry><resource><Task><status value="requested"/><intent value="order"/><for><reference value="Patient/x"/></for></Task></resource><request><method value="POST"/><url value="Task"/></request></entry></Bundle>"#;
        let answer = server.send(Method::POST, "/fhir", XML, Some(bundle.into())).await.expect(200).text;
        assert!(answer.starts_with("<Bundle") && answer.contains("201 Created"), "{answer}");
        assert!(server.get("/fhir/Task?patient=x&_format=xml").await.expect(200).text.contains("<total value=\"1\"/>"));
        // Through the same door, with the same faults.
        let bad = r#"<Patient xmlns="http://hl7.org/fhir"><id value="y"/><gender value="SECRET"/><active value="maybe"/></Patient>"#;
        let refused = server.send(Method::PUT, "/fhir/Patient/y", XML, Some(bad.into())).await;
        assert!(refused.status.is_client_error());
        for part in ["<OperationOutcome", "Patient.gender", "Patient.active"] {
            assert!(refused.text.contains(part), "{part}: {}", refused.text);
        }
        assert!(!refused.text.contains("SECRET"));
        for bad in ["<!DOCTYPE a [<!ENTITY b \"c\">]><Patient xmlns=\"http://hl7.org/fhir\"/>", "<Patient", "", "<Patient xmlns=\"http://hl7.org/fhir\"><colour/></Patient>"] {
            server.send(Method::POST, "/fhir/Patient", XML, Some(bad.into())).await.expect(400);
        }
        let patch = r#"<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/><part><name value="type"/><valueCode value="replace"/></part><part><name value="path"/><valueString value="Patient.active"/></part><part><name value="value"/><valueBoolean value="false"/></part></parameter></Parameters>"#;
        server.send(Method::PATCH, "/fhir/Patient/x", XML, Some(patch.into())).await.expect(200);
        assert_eq!(server.get("/fhir/Patient/x").await.json()["active"], false);
        assert!(server.get("/fhir/metadata?_format=xml").await.expect(200).text.starts_with("<CapabilityStatement"));
    }
}
