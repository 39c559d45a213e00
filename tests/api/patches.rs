//! PATCH, conditional reads, HEAD, `$validate`, Prefer.

use crate::on_both;
use crate::server::{Answer, Server};
use crate::story::patient;
use reqwest::Method;
use serde_json::{Value, json};

async fn patch(server: &Server, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let kind = if body.is_array() { "application/json-patch+json" } else { "application/fhir+json" };
    let mut all = vec![("content-type", kind)];
    all.extend(headers);
    server.send(Method::PATCH, path, &all, Some(body.to_string().into_bytes())).await
}

fn replace(path: &str, value: &Value) -> Value {
    json!([{"op": "replace", "path": path, "value": value}])
}

fn fhirpath(path: &str, value: &Value) -> Value {
    let mut part = value.clone();
    part["name"] = json!("value");
    json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": path}, part]}]})
}

on_both! {
    async fn patches_of_both_kinds(server: &Server) {
        server.put("/fhir/Patient/p", &patient("p")).await.expect(201);
        let answer = patch(server, "/fhir/Patient/p", &[], &replace("/gender", &json!("other"))).await.expect(200);
        assert_eq!((answer.json()["gender"].as_str(), answer.header("etag")), (Some("other"), "W/\"2\""));
        // Nothing changes: no version.
        let again = patch(server, "/fhir/Patient/p", &[], &replace("/gender", &json!("other"))).await.expect(200);
        assert_eq!(again.header("etag"), "W/\"2\"");
        let answer = patch(server, "/fhir/Patient/p", &[], &fhirpath("Patient.name[0].family", &json!({"valueString": "Neu"}))).await.expect(200);
        assert_eq!(answer.json()["name"][0]["family"], "Neu");
        let history = server.get("/fhir/Patient/p/_history").await.expect(200).json();
        assert_eq!((history["total"].as_u64(), history["entry"][0]["request"]["method"].as_str()), (Some(3), Some("PATCH")));
        // What comes out is checked like anything else.
        let bad = patch(server, "/fhir/Patient/p", &[], &replace("/gender", &json!("SECRET"))).await.expect(422);
        assert_eq!(bad.issues()[0].1, "Patient.gender");
        assert!(!bad.text.contains("SECRET"));
        patch(server, "/fhir/Patient/p", &[], &replace("/id", &json!("q"))).await.expect(400);
        patch(server, "/fhir/Patient/p", &[], &replace("/resourceType", &json!("Task"))).await.expect(400);
        patch(server, "/fhir/Patient/p", &[], &json!([{"op": "test", "path": "/gender", "value": "male"}])).await.expect(422);
        patch(server, "/fhir/Patient/p", &[], &json!([{"op": "fly"}])).await.expect(400);
        patch(server, "/fhir/Patient/p", &[("if-match", "W/\"1\"")], &replace("/gender", &json!("male"))).await.expect(412);
        patch(server, "/fhir/Patient/p", &[("if-match", "W/\"3\"")], &replace("/gender", &json!("male"))).await.expect(200);
        patch(server, "/fhir/Patient/nobody", &[], &replace("/gender", &json!("male"))).await.expect(404);
        patch(server, "/fhir/Flag/f", &[], &replace("/status", &json!("inactive"))).await.expect(405);
        server.send(Method::PATCH, "/fhir/Patient/p", &[("content-type", "text/plain")], Some(b"{}".to_vec())).await.expect(415);
        server.delete("/fhir/Patient/p").await.expect(204);
        patch(server, "/fhir/Patient/p", &[], &replace("/gender", &json!("male"))).await.expect(410);
    }

    async fn faults_name_the_operation_and_where_it_is(server: &Server) {
        server.put("/fhir/Patient/p", &patient("p")).await.expect(201);
        let text = "[{\"op\": \"replace\", \"path\": \"/gender\", \"value\": \"male\"},\n {\"op\": \"replace\", \"path\": \"/name/0/family\", \"value\": 7}]";
        let send = async |kind: &str, text: &str| server.send(Method::PATCH, "/fhir/Patient/p", &[("content-type", kind)], Some(text.as_bytes().to_vec())).await;
        let json_patch = "application/json-patch+json";
        // Of what came out.
        let made = send(json_patch, text).await;
        assert!(made.status.is_client_error(), "{}", made.text);
        assert_eq!(made.issues()[0].1, "Patient.name[0].family");
        assert!(made.text.contains("operation 1 of the patch, /name/0/family") && made.text.contains("line 2, column 2"), "{}", made.text);
        // Of the patch itself.
        let nowhere = send(json_patch, &text.replace("/name/0/family", "/photo/3/title")).await.expect(422);
        assert_eq!(nowhere.issues()[0].1, "$this[1]");
        assert!(nowhere.text.contains("Operation 1 of the patch (/photo/3/title)") && nowhere.text.contains("line 2, column 2"), "{}", nowhere.text);
        let none = send(json_patch, &text.replace("\"replace\", \"path\": \"/name", "\"fly\", \"path\": \"/name")).await.expect(400);
        assert_eq!(none.issues()[0].1, "$this[1]");
        assert!(none.text.contains("Operation 1") && none.text.contains("line 2, column 2"), "{}", none.text);
        let parameters = fhirpath("Patient.gender", &json!({"valueCode": "nobody"}));
        let made = send("application/fhir+json", &format!("\n{parameters}")).await.expect(422);
        assert_eq!(made.issues()[0].1, "Patient.gender");
        assert!(made.text.contains("operation 0 of the patch, Patient.gender") && made.text.contains("line 2"), "{}", made.text);
        let nowhere = send("application/fhir+json", &parameters.to_string().replace("Patient.gender", "Patient.photo[2].title")).await.expect(422);
        assert!(nowhere.issues()[0].1 == "Parameters.parameter[0]" && nowhere.text.contains("(Patient.photo[2].title)"), "{}", nowhere.text);
        assert_eq!(server.get("/fhir/Patient/p").await.json()["gender"], "female");
    }

    async fn conditional_patches(server: &Server) {
        let of = |id: &str, mrn: &str| json!({"resourceType": "Patient", "id": id, "identifier": [{"system": "urn:mrn", "value": mrn}], "active": true});
        server.push(&[of("a", "1"), of("b", "2"), of("c", "2")]).await;
        let off = replace("/active", &json!(false));
        let answer = patch(server, "/fhir/Patient?identifier=urn:mrn|1", &[], &off).await.expect(200);
        assert_eq!((answer.json()["id"].as_str(), answer.json()["active"].as_bool()), (Some("a"), Some(false)));
        assert_eq!(patch(server, "/fhir/Patient?identifier=urn:mrn|2", &[], &off).await.expect(412).issues()[0].0, "multiple-matches");
        patch(server, "/fhir/Patient?identifier=urn:mrn|9", &[], &off).await.expect(404);
        assert!(patch(server, "/fhir/Patient?colour=red", &[], &off).await.status.is_client_error());
        patch(server, "/fhir/Patient", &[], &off).await.expect(412);
    }

    async fn patches_in_bundles(server: &Server) {
        use base64::Engine;
        server.push(&[patient("a"), patient("b")]).await;
        let data = base64::engine::general_purpose::STANDARD.encode(replace("/gender", &json!("male")).to_string());
        let binary = json!({"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data});
        let entries = json!([
            {"resource": binary, "request": {"method": "PATCH", "url": "Patient/a"}},
            {"resource": fhirpath("Patient.gender", &json!({"valueCode": "other"})), "request": {"method": "PATCH", "url": "Patient/b"}},
        ]);
        for kind in ["transaction", "batch"] {
            let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
            let answer = server.post("/fhir", &bundle).await.expect(200).json();
            assert_eq!(answer["entry"][1]["response"]["status"], "200 OK", "{answer}");
            assert_eq!(server.get("/fhir/Patient/a").await.json()["gender"], "male");
            assert_eq!(server.get("/fhir/Patient/b").await.json()["gender"], "other");
        }
    }

    async fn a_race_of_patches_loses_none(server: &Server) {
        server.put("/fhir/Patient/r", &json!({"resourceType": "Patient", "id": "r", "contact": [{"name": {"text": "x"}}]})).await.expect(201);
        let add = json!([{"op": "add", "path": "/contact/-", "value": {"name": {"text": "y"}}}]);
        let all = futures_util::future::join_all((0..4).map(|_| patch(server, "/fhir/Patient/r", &[], &add))).await;
        let done = all.iter().filter(|answer| answer.status == 200).count();
        let now = server.get("/fhir/Patient/r").await.expect(200).json();
        assert_eq!(now["contact"].as_array().map(Vec::len), Some(done + 1));
        assert!(done >= 1);
    }

    async fn merge_patches(server: &Server) {
        server.put("/fhir/Patient/m", &patient("m")).await.expect(201);
        let merge = async |content: &str, body: &str| server.send(Method::PATCH, "/fhir/Patient/m", &[("content-type", content)], Some(body.into())).await;
        let changed = merge("application/merge-patch+json", r#"{"gender": null, "birthDate": "1980-02-03"}"#).await.expect(200).json();
        assert_eq!((&changed["gender"], &changed["birthDate"], &changed["name"][0]["family"]), (&Value::Null, &json!("1980-02-03"), &json!("Muster")));
        // As fhirpy says it.
        assert_eq!(merge("application/json", r#"{"gender": "male"}"#).await.expect(200).json()["gender"], "male");
        merge("application/json", r#"{"gender": "x"}"#).await.expect(422);
        merge("application/json", r#"{"id": "other"}"#).await.expect(400);
        merge("application/json-patch+json", "{}").await.expect(400);
        merge("application/json", r#"{"resourceType": "Task"}"#).await.expect(400);
        merge("application/json", "7").await.expect(400);
        let listed = server.get("/fhir/Patient?_elements=name,id,resourceType").await.expect(200).json();
        assert_eq!((&listed["entry"][0]["resource"]["resourceType"], &listed["entry"][0]["resource"]["gender"]), (&json!("Patient"), &Value::Null));
    }

    async fn conditional_reads_and_heads(server: &Server) {
        let first = server.put("/fhir/Patient/p", &patient("p")).await.expect(201);
        let get = async |name: &str, value: &str| server.send(Method::GET, "/fhir/Patient/p", &[(name, value)], None).await;
        let not = get("if-none-match", "W/\"1\"").await.expect(304);
        assert!(not.text.is_empty());
        assert_eq!(not.header("etag"), "W/\"1\"");
        get("if-none-match", "W/\"7\", W/\"1\"").await.expect(304);
        get("if-none-match", "W/\"2\"").await.expect(200);
        get("if-modified-since", first.header("last-modified")).await.expect(304);
        get("if-modified-since", "Mon, 01 Jan 2001 00:00:00 GMT").await.expect(200);
        let head = server.send(Method::HEAD, "/fhir/Patient/p", &[], None).await.expect(200);
        assert!(head.text.is_empty());
        assert_eq!(head.header("etag"), "W/\"1\"");
        server.send(Method::HEAD, "/fhir/Patient/nobody", &[], None).await.expect(404);
    }

    async fn answers_as_preferred(server: &Server) {
        let prefer = async |method: Method, what: &str| {
            let body = (method != Method::DELETE).then(|| patient("p").to_string().into_bytes());
            server.send(method, "/fhir/Patient/p", &[("content-type", "application/json"), ("prefer", what)], body).await
        };
        assert!(prefer(Method::PUT, "return=minimal").await.expect(201).text.is_empty());
        assert_eq!(prefer(Method::PUT, "return=representation").await.expect(200).json()["resourceType"], "Patient");
        assert_eq!(prefer(Method::PUT, "return=OperationOutcome").await.expect(200).json()["resourceType"], "OperationOutcome");
        assert_eq!(prefer(Method::DELETE, "return=OperationOutcome").await.expect(200).json()["resourceType"], "OperationOutcome");
        assert!(prefer(Method::DELETE, "return=minimal").await.expect(204).text.is_empty());
        let pretty = server.get("/fhir/metadata?_pretty=true").await.expect(200);
        assert!(pretty.text.contains("\n  \"resourceType\""));
    }

    async fn validation_stores_nothing(server: &Server) {
        let severities = |answer: &Answer| -> Vec<String> {
            let outcome = answer.json();
            outcome["issue"].as_array().expect("issues").iter().map(|one| one["severity"].as_str().unwrap_or_default().to_owned()).collect()
        };
        let good = server.post("/fhir/Patient/$validate", &patient("v")).await.expect(200);
        assert_eq!(severities(&good), ["information"]);
        let bad = server.post("/fhir/Patient/$validate", &json!({"resourceType": "Patient", "gender": "x", "birthDate": "y"})).await.expect(200);
        assert_eq!(severities(&bad), ["error", "error"]);
        assert_eq!(bad.issues()[0].1, "Patient.gender");
        let parameters = |mode: &str| json!({"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": mode}, {"name": "resource", "resource": patient("v")}]});
        assert_eq!(severities(&server.post("/fhir/Patient/$validate", &parameters("update")).await.expect(200)), ["information"]);
        assert_eq!(severities(&server.post("/fhir/Patient/w/$validate", &parameters("update")).await.expect(200)), ["error"]);
        assert_eq!(severities(&server.post("/fhir/Task/$validate", &patient("v")).await.expect(200)), ["error"]);
        let finding = json!({"resourceType": "Flag", "status": "active", "code": {"text": "x"}, "subject": {"reference": "Patient/v"}});
        assert_eq!(severities(&server.post("/fhir/Flag/$validate", &finding).await.expect(200)), ["information"]);
        server.post("/fhir/Patient/$validate", &parameters("fly")).await.expect(400);
        server.send(Method::POST, "/fhir/Patient/$validate", &[], None).await.expect(400);
        server.get("/fhir/Patient/v").await.expect(404);
        server.put("/fhir/Patient/v", &patient("v")).await.expect(201);
        assert_eq!(severities(&server.get("/fhir/Patient/v/$validate").await.expect(200)), ["information"]);
    }
}
