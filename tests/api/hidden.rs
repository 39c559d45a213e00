//! What is another client's answers exactly as what never was, whatever is asked of it.

use crate::server::{Answer, Backend};
use crate::smart::{World, in_a_world};
use crate::story::{appointment, at, homework, patient, phq9};
use reqwest::Method;
use serde_json::{Value, json};

const OTHER: &str = "somebody-else";

/// Everything of an answer that its asker can tell apart, the id itself left out.
fn told(answer: &Answer, id: &str) -> (u16, Vec<(String, String)>, String) {
    let names = ["etag", "last-modified", "location", "www-authenticate", "allow", "content-type", "content-length"];
    let headers = names.iter().map(|name| ((*name).to_owned(), answer.header(name).to_owned()));
    let headers = headers.filter(|(name, _)| name != "content-length" || id.is_empty());
    let mut text = answer.text.replace(id, "{id}");
    // Each searchset has a name and a moment of its own.
    if let Ok(mut body) = serde_json::from_str::<Value>(&text)
        && body["resourceType"] == "Bundle"
    {
        body["id"] = Value::Null;
        body["meta"] = Value::Null;
        text = body.to_string();
    }
    (answer.status.as_u16(), headers.collect(), text)
}

type Headers = Vec<(&'static str, &'static str)>;
type Asked = (Method, String, Headers, Option<Value>);

/// Request line, headers and body; `{id}` is what may or may not be there.
fn asked() -> Vec<Asked> {
    let task = |of: &str| json!({"resourceType": "Task", "id": "{id}", "status": "requested", "intent": "order", "for": {"reference": format!("Patient/{of}")}});
    let flip = json!([{"op": "replace", "path": "/status", "value": "completed"}]);
    let mut out = Vec::new();
    let mut add = |method: Method, path: &str, headers: &[(&'static str, &'static str)], body: Option<Value>| {
        out.push((method, path.to_owned(), headers.to_vec(), body));
    };
    for path in [
        "Task/{id}",
        "Task/{id}?_summary=true",
        "Task/{id}/_history",
        "Task/{id}/_history/1",
        "Task/{id}/_history/7",
        "Task?_id={id}",
        "Task?_id={id}&_summary=count",
        "Task?_id={id},a-h1",
        "Task?_id:not={id}",
        "Task?focus=Task/{id}",
        "Task?based-on=Task/{id}",
        "Task?part-of:Task._id={id}",
        "Patient?_has:Task:patient:_id={id}",
        "Provenance?target=Task/{id}",
        "Observation?derived-from=QuestionnaireResponse/{id}",
        "Task/_history?_id={id}",
        "Patient/a/_history?_id={id}",
        "Task?_id={id}&_include=*&_revinclude=Provenance:target",
        "Patient/a/Task?_id={id}",
        "Patient/{id}/Task",
        "Patient/{id}/$everything",
        "Patient/{id}/$detect-rupture",
        "Patient/{id}",
        "Patient/{id}/_history",
        "Patient/{id}/_history/1",
        "Task?patient={id}",
        "Task?patient:Patient.family=Muster&patient={id}",
        "Flag?patient=Patient/{id}",
        "Patient?_id={id}",
        "Patient?_id={id}&_total=accurate",
        "QuestionnaireResponse/{id}",
        "Appointment/{id}",
        "Flag/{id}",
        "Observation/{id}",
        "Observation/{id}/_history",
        "Provenance/{id}",
    ] {
        add(Method::GET, path, &[], None);
        add(Method::HEAD, path, &[], None);
    }
    for headers in [
        &[][..],
        &[("if-match", "W/\"1\"")],
        &[("if-match", "W/\"9\"")],
        &[("if-none-match", "*")],
        &[("if-match", "*")],
    ] {
        // A free id may be taken: that one is not asked for here is the only way in which it shows.
        if headers.iter().any(|(name, _)| *name == "if-match") {
            add(Method::PUT, "Task/{id}", headers, Some(task("a")));
        }
        add(Method::PUT, "Task/{id}", headers, Some(task(OTHER)));
        add(Method::PUT, "Patient/{id}", headers, Some(json!({"resourceType": "Patient", "id": "{id}"})));
        add(Method::PUT, "Task?_id={id}", headers, Some(task(OTHER)));
        add(Method::DELETE, "Task/{id}", headers, None);
        add(Method::DELETE, "Patient/{id}", headers, None);
        add(Method::DELETE, "Task?_id={id}", headers, None);
        let mut patch = vec![("content-type", "application/json-patch+json")];
        patch.extend(headers);
        add(Method::PATCH, "Task/{id}", &patch, Some(flip.clone()));
        add(Method::PATCH, "Task?_id={id}", &patch, Some(flip.clone()));
    }
    add(Method::POST, "Task", &[("if-none-exist", "_id={id}&status=nonsense")], Some(json!({"resourceType": "Task"})));
    add(Method::POST, "Task/_search?_id={id}", &[("content-type", "application/x-www-form-urlencoded")], None);
    let judged = json!({"resourceType": "Observation", "id": "j", "status": "final", "code": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/signal", "code": "judgement"}]},
        "subject": {"reference": "Patient/a"}, "focus": [{"reference": "Flag/{id}"}], "issued": "2026-01-01T00:00:00Z", "valueCodeableConcept": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/judgement", "code": "rupture-yes"}]}});
    add(Method::POST, "Observation", &[], Some(judged));
    for method in ["GET", "DELETE"] {
        for kind in ["batch", "transaction"] {
            let entry = json!({"request": {"method": method, "url": "Task/{id}"}});
            add(Method::POST, "", &[], Some(json!({"resourceType": "Bundle", "type": kind, "entry": [entry]})));
        }
    }
    for (kind, of, expects) in [
        ("batch", "a", Some("W/\"1\"")),
        ("batch", OTHER, None),
        ("transaction", "a", Some("W/\"9\"")),
        ("transaction", OTHER, None),
    ] {
        let mut request = json!({"method": "PUT", "url": "Task/{id}"});
        if let Some(version) = expects {
            request["ifMatch"] = json!(version);
        }
        let entry = json!({"request": request, "resource": task(of)});
        add(Method::POST, "", &[], Some(json!({"resourceType": "Bundle", "type": kind, "entry": [entry]})));
    }
    // A reference that is a search.
    let mut linked = task("a");
    linked["id"] = json!("own");
    linked["focus"] = json!({"reference": "Task?_id={id}"});
    let entry = json!({"request": {"method": "PUT", "url": "Task/own"}, "resource": linked});
    add(Method::POST, "", &[], Some(json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})));
    out
}

in_a_world! {
    async fn what_is_anothers_answers_as_what_never_was(world: &World) {
        world.two_clients().await;
        let start = at("2026-03-02T10:00:00Z", 0);
        world
            .push(&[
                patient(OTHER),
                appointment(OTHER, 1, start, "fulfilled"),
                homework(OTHER, 1, start, at("2026-03-09T10:00:00Z", 0), None),
                phq9(OTHER, 1, start, 9),
            ])
            .await;
        let all = world.token("system/*.cruds");
        // Something that was, and was deleted; and ids of every type of the other client's, findings too.
        world.server.settle().await;
        let gone = json!({"resourceType": "Task", "id": "other-gone", "status": "requested", "intent": "order", "for": {"reference": format!("Patient/{OTHER}")}});
        world.push(&[gone]).await;
        world.send(&all, Method::DELETE, "/fhir/Task/other-gone", None).await.expect(204);
        let mut theirs = vec![OTHER.to_owned(), format!("{OTHER}-h1"), "other-gone".into(), format!("{OTHER}-a1"), format!("{OTHER}-q1")];
        for kind in ["Observation", "Provenance"] {
            let found = crate::smart::entries(&world.get(&all, &format!("/fhir/{kind}?patient={OTHER}&_count=1")).await.expect(200).json());
            theirs.extend(found.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)));
        }
        let tokens = [
            ("patient", world.patient_token("a", "patient/*.cruds")),
            ("update alone", world.patient_token("a", "patient/*.u")),
            ("no reading", world.patient_token("a", "patient/*.cud")),
            ("a filter", world.token("user/Task.cruds?code=http://x|y user/Patient.cruds?_id=a user/Observation.cruds?code=z")),
        ];
        for (name, token) in &tokens {
            let bearer = format!("Bearer {token}");
            for (method, path, more, body) in asked() {
                let ask = async |id: &str| {
                    let mut headers = vec![("authorization", bearer.as_str())];
                    if !more.iter().any(|(name, _)| *name == "content-type") {
                        headers.push(("content-type", "application/fhir+json"));
                    }
                    headers.extend(&more);
                    let body = body.as_ref().map(|body| body.to_string().replace("{id}", id).into_bytes());
                    let path = format!("/fhir/{}", path.replace("{id}", id));
                    loop {
                        let answer = world.server.send(method.clone(), &path, &headers, body.clone()).await;
                        if answer.status != 429 {
                            return answer;
                        }
                        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                    }
                };
                let never = told(&ask("never-was").await, "never-was");
                for id in &theirs {
                    let there = told(&ask(id).await, id);
                    assert_eq!(there, never, "{name}: {method} {path} {more:?} with {id}: {body:?}");
                }
            }
        }
        // None of it has changed anything.
        world.get(&all, &format!("/fhir/Task/{OTHER}-h1/_history")).await.expect(200);
        assert_eq!(world.get(&all, &format!("/fhir/Task/{OTHER}-h1")).await.expect(200).header("etag"), "W/\"1\"");
    }
}
