//! `$export` and `$import`.

use crate::on_both;
use crate::process::{self, Process};
use crate::server::{Answer, Backend, Place, Server};
use crate::smart::{World, in_a_world};
use crate::story::{appointment, at, patient, start_for, withdrawing};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub const ASYNC: (&str, &str) = ("prefer", "respond-async");

/// Waits at the Content-Location of what was started.
pub async fn waited(server: &Server, started: Answer, headers: &[(&str, &str)]) -> Answer {
    let place = started.expect(202).header("content-location").strip_prefix(&server.base).expect("our own").to_owned();
    for _ in 0..600 {
        let answer = server.send(Method::GET, &place, headers, None).await;
        if answer.status != 202 {
            return answer;
        }
        assert!(!answer.header("x-progress").is_empty() && !answer.header("retry-after").is_empty());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the job does not end");
}

/// Every line of a manifest's part, by type.
async fn lines(
    server: &Server,
    manifest: &Value,
    part: &str,
    headers: &[(&str, &str)],
) -> BTreeMap<String, Vec<Value>> {
    let mut out = BTreeMap::new();
    for file in manifest[part].as_array().expect("a list") {
        let path = file["url"].as_str().expect("a url").strip_prefix(&server.base).expect("our own").to_owned();
        let answer = server.send(Method::GET, &path, headers, None).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/fhir+ndjson");
        let all: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
        assert_eq!(file["count"], all.len());
        out.insert(file["type"].as_str().expect("a type").to_owned(), all);
    }
    out
}

pub async fn exported(server: &Server, path: &str) -> (Value, BTreeMap<String, Vec<Value>>) {
    let started = server.send(Method::GET, path, &[ASYNC], None).await;
    let manifest = waited(server, started, &[]).await.expect(200).json();
    let all = lines(server, &manifest, "output", &[]).await;
    (manifest, all)
}

pub async fn imported(server: &Server, ndjson: &str) -> (Value, Vec<Value>) {
    let headers = [ASYNC, ("content-type", "application/fhir+ndjson")];
    let started = server.send(Method::POST, "/fhir/$import", &headers, Some(ndjson.as_bytes().to_vec())).await;
    let manifest = waited(server, started, &[]).await.expect(200).json();
    let errors = lines(server, &manifest, "error", &[]).await.remove("OperationOutcome").unwrap_or_default();
    (manifest["extension"]["https://tautline.example/fhir/import"].clone(), errors)
}

/// Findings by type and id, without what tells when and where they were written.
async fn findings(server: &Server) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for kind in ["Flag", "Observation", "Provenance"] {
        for mut one in server.all(&format!("{kind}?_count=500")).await {
            // Who made the judgement is said anew where it is taken in.
            if one["target"][0]["reference"] == "Observation/j1" {
                continue;
            }
            one.as_object_mut().expect("object").remove("meta");
            one.as_object_mut().expect("object").remove("recorded");
            let text = one.to_string().replace(&server.base, "BASE");
            out.insert(
                format!("{kind}/{}", one["id"].as_str().expect("id")),
                serde_json::from_str(&text).expect("json"),
            );
        }
    }
    out
}

on_both! {
    async fn everything_leaves_and_comes_back_the_same(server: &Server) {
        let start = start_for(16);
        let mut all = withdrawing("a", &start, 4);
        all.extend(withdrawing("b", &start, 2));
        // Homework that is known to be done by when it was sent, or not at all.
        for (id, sent) in [("a-h3", Some("2020-01-01T00:00:00Z")), ("b-h3", None)] {
            let task = all.iter_mut().find(|one| one["id"] == id).expect("homework");
            task.as_object_mut().expect("object").remove("executionPeriod");
            if let Some(sent) = sent { task["meta"] = json!({"lastUpdated": sent}); }
        }
        server.push(&all).await;
        server.settle().await;
        let flags = server.all("Flag?patient=a").await;
        let judgement = json!({"resourceType": "Observation", "id": "j1", "status": "final", "code": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/signal", "code": "judgement"}]},
            "subject": {"reference": "Patient/a"}, "focus": [{"reference": format!("Flag/{}", flags[0]["id"].as_str().expect("id"))}], "issued": jiff::Timestamp::now().to_string(), "effectiveDateTime": jiff::Timestamp::now().to_string(),
            "valueCodeableConcept": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/judgement", "code": "named-in-session"}]}});
        server.put("/fhir/Observation/j1", &judgement).await.expect(201);
        server.settle().await;
        let (manifest, types) = exported(server, "/fhir/$export").await;
        assert_eq!((manifest["requiresAccessToken"].as_bool(), manifest["deleted"].as_array().map(Vec::len)), (Some(false), Some(0)));
        assert!(types["Flag"].len() >= 2 && types["Patient"].len() == 2 && !types.contains_key("AuditEvent"), "{:?}", types.keys());
        let text: String = types.values().flatten().map(|one| format!("{one}\n")).collect();
        let place = Place::new(Backend::Sqlite).await.expect("a place");
        let other = Server::start(&place).await;
        let (summary, errors) = imported(&other, &text).await;
        assert_eq!(errors, Vec::<Value>::new());
        assert_eq!(summary["refused"], 0);
        assert_eq!(summary["created"], all.len() + 1);
        other.settle().await;
        let (here, there) = (findings(server).await, findings(&other).await);
        assert!(here.len() > 100, "{}", here.len());
        for (key, one) in &here {
            assert_eq!(Some(one), there.get(key), "{key}");
        }
        assert_eq!(here.len(), there.len());
        // Again: nothing new.
        let (summary, _) = imported(&other, &text).await;
        assert_eq!((&summary["created"], &summary["updatedOrUnchanged"]), (&json!(0), &json!(all.len() + 1)));
        assert_eq!(other.get("/fhir/Appointment/a-a1/_history").await.json()["total"], 1);
        other.stop().await;
    }

    async fn what_is_asked_for_is_exported(server: &Server) {
        let org = json!({"resourceType": "Organization", "id": "o", "name": "O"});
        server.push(&[patient("p"), org, appointment("p", 1, at("2026-03-02T10:00:00Z", 0), "booked"), patient("q")]).await;
        let (_, types) = exported(server, "/fhir/$export?_type=Patient,Organization&_outputFormat=ndjson").await;
        assert_eq!(types.keys().collect::<Vec<_>>(), ["Organization", "Patient"]);
        let (_, types) = exported(server, "/fhir/Patient/$export?_type=Appointment").await;
        assert_eq!(types["Appointment"].len(), 1);
        let (_, types) = exported(server, "/fhir/Patient/$export").await;
        assert!(!types.contains_key("Organization") && !types.contains_key("Device") && types["Patient"].len() == 2);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let now = server.put("/fhir/Patient/r", &patient("r")).await.expect(201).json()["meta"]["lastUpdated"].as_str().expect("an instant").to_owned();
        server.delete("/fhir/Patient/q").await.expect(204);
        let (manifest, types) = exported(server, &format!("/fhir/$export?_type=Patient&_since={now}")).await;
        assert_eq!(types["Patient"].len(), 1);
        let gone = lines(server, &manifest, "deleted", &[]).await;
        assert_eq!(gone["Bundle"][0]["entry"][0]["request"], json!({"method": "DELETE", "url": "Patient/q"}));
        let body = json!({"resourceType": "Parameters", "parameter": [{"name": "_type", "valueString": "Patient"}]});
        let started = server.with(Method::POST, "/fhir/$export", &[ASYNC], &body).await;
        assert_eq!(lines(server, &waited(server, started, &[]).await.expect(200).json(), "output", &[]).await.len(), 1);
        for (path, status) in [("/fhir/$export?_outputFormat=csv", 400), ("/fhir/$export?_type=Medication", 400), ("/fhir/Patient/$export?_type=Organization", 400), ("/fhir/$export?_since=then", 400), ("/fhir/$export?colour=red", 400), ("/fhir/Group/1/$export", 404)] {
            let refused = server.send(Method::GET, path, &[ASYNC], None).await.expect(status);
            assert!(!refused.issues().is_empty(), "{path}");
        }
        server.get("/fhir/$export").await.expect(400);
    }

    async fn a_group_exports_its_members_and_filters_choose(server: &Server) {
        for client in ["p", "q", "r"] {
            server.push(&[patient(client), appointment(client, 1, at("2026-03-02T10:00:00Z", 0), "booked"), appointment(client, 2, at("2026-03-09T10:00:00Z", 0), "noshow")]).await;
        }
        let member = |reference: &str| json!({"entity": {"reference": reference}});
        let mut gone = member("Patient/r");
        gone["inactive"] = json!(true);
        let group = json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true, "member": [member("Patient/p"), member(&format!("{}/fhir/Patient/q", server.base)), gone, member("Practitioner/x"), member("Patient/unknown")]});
        server.put("/fhir/Group/g", &group).await.expect(201);
        assert_eq!(server.all("Group?member=Patient/p").await.len(), 1);
        assert_eq!(server.all("Patient/p/Group").await.len(), 1);
        let ids = |types: &BTreeMap<String, Vec<Value>>, kind: &str| -> Vec<String> {
            let mut ids: Vec<String> = types.get(kind).into_iter().flatten().map(|one| one["id"].as_str().expect("an id").to_owned()).collect();
            ids.sort();
            ids
        };
        let (_, types) = exported(server, "/fhir/Group/g/$export").await;
        assert_eq!(ids(&types, "Patient"), ["p", "q"]);
        assert_eq!(ids(&types, "Appointment"), ["p-a1", "p-a2", "q-a1", "q-a2"]);
        let (_, types) = exported(server, "/fhir/Group/g/$export?_type=Appointment&_typeFilter=Appointment%3Fstatus%3Dnoshow%26patient%3Dp,Appointment%3F_id%3Dq-a1,q-a2,Appointment%3Fstatus%3Dnoshow").await;
        assert_eq!(ids(&types, "Appointment"), ["p-a2", "q-a1", "q-a2"]);
        let (_, types) = exported(server, "/fhir/Patient/$export?_type=Patient,Appointment&_typeFilter=Appointment%3Fstatus%3Dnoshow").await;
        assert_eq!((ids(&types, "Patient").len(), ids(&types, "Appointment")), (3, ["p-a2", "q-a2", "r-a2"].map(str::to_owned).to_vec()));
        for filter in ["Appointment", "Medication%3Fx%3Dy", "Appointment%3Fcolour%3Dred", "Appointment%3F_sort%3Ddate", "Appointment%3F_include%3DAppointment:patient"] {
            let refused = server.send(Method::GET, &format!("/fhir/$export?_typeFilter={filter}"), &[ASYNC], None).await.expect(400);
            assert!(!refused.issues().is_empty(), "{filter}");
        }
        server.delete("/fhir/Group/g").await.expect(204);
        server.send(Method::GET, "/fhir/Group/g/$export", &[ASYNC], None).await.expect(404);
        let metrics = server.get("/metrics").await.text;
        assert!(metrics.lines().any(|line| line.contains("202") && !line.ends_with(" 0")), "{metrics}");
    }

    async fn sessions_that_were_moved_come_back_as_moved(server: &Server) {
        let start = start_for(16);
        let mut all = withdrawing("m", &start, 4);
        all.retain(|one| one["resourceType"] != "Appointment" || one["status"] != "cancelled");
        // Booked for a day, moved to the next, and, once dated by the sender, once more: versions tell it, nothing else.
        let moved: Vec<Value> = [4, 9, 13, 15].iter().flat_map(|week| {
            let day = |days: i64, dated: bool| {
                let mut one = appointment("m", 100 + week, at(&start, 7 * *week as i64 + days), "booked");
                if dated { one["meta"] = json!({"lastUpdated": at(&start, 7 * *week as i64 - 5 + days).to_string()}); }
                one
            };
            let dated = week % 2 == 1;
            [day(1, dated), day(2, dated), day(4, dated)]
        }).collect();
        server.push(&all).await;
        for one in &moved {
            server.push(std::slice::from_ref(one)).await;
        }
        server.settle().await;
        let (_, types) = exported(server, "/fhir/$export").await;
        let extra = moved.len() * 2 / 3;
        assert_eq!(types["Appointment"].len(), server.all("Appointment?_count=200").await.len() + extra);
        let text: String = types.values().flatten().map(|one| format!("{one}\n")).collect();
        let place = Place::new(Backend::Sqlite).await.expect("a place");
        let other = Server::start(&place).await;
        for again in 0..2 {
            let (summary, errors) = imported(&other, &text).await;
            assert_eq!((errors.len(), &summary["refused"]), (0, &json!(0)), "{again}: {errors:?}");
            other.settle().await;
            let (here, there) = (findings(server).await, findings(&other).await);
            assert!(here.len() > 100, "{}", here.len());
            for (key, one) in &here {
                assert_eq!(Some(one), there.get(key), "{again} {key}");
            }
            assert_eq!(here.len(), there.len());
            let history = other.get("/fhir/Appointment/m-a113/_history").await.json();
            assert_eq!(history["total"], 3, "{history}");
            // The mark stays with the versions that it is of.
            assert!(!other.get("/fhir/Appointment/m-a113").await.expect(200).text.contains("superseded"));
        }
        other.stop().await;
        // Without the earlier versions it is another story, so that they matter at all.
        let place = Place::new(Backend::Sqlite).await.expect("a place");
        let poorer = Server::start(&place).await;
        let bare: String = text.lines().filter(|line| !line.contains("StructureDefinition/superseded")).map(|line| format!("{line}\n")).collect();
        imported(&poorer, &bare).await;
        poorer.settle().await;
        assert_ne!(findings(server).await, findings(&poorer).await);
        poorer.stop().await;
    }

    async fn jobs_are_cancelled_and_forgotten(server: &Server) {
        let started = server.send(Method::GET, "/fhir/$export", &[ASYNC], None).await.expect(202);
        let place = started.header("content-location").strip_prefix(&server.base).expect("our own").to_owned();
        server.get(&place).await.expect(202);
        server.get(&format!("{place}/0.ndjson")).await.expect(404);
        server.delete(&place).await.expect(202);
        let gone = server.get(&place).await.expect(404);
        assert_eq!(gone.issues()[0].0, "not-found");
        server.delete(&place).await.expect(404);
        // Four at a time.
        let mut places = Vec::new();
        for _ in 0..4 {
            let started = server.send(Method::GET, "/fhir/$export", &[ASYNC], None).await.expect(202);
            places.push(started.header("content-location").strip_prefix(&server.base).expect("our own").to_owned());
        }
        let fifth = server.send(Method::GET, "/fhir/$export", &[ASYNC], None).await.expect(429);
        assert!(!fifth.header("retry-after").is_empty());
    }

    async fn lines_at_fault_are_told_and_the_others_stay(server: &Server) {
        let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [
            {"fullUrl": "urn:uuid:7d0f3e2a-0d0e-4f0a-9a55-000000000001", "resource": {"resourceType": "Patient", "active": true}},
            {"resource": {"resourceType": "Task", "id": "t", "status": "requested", "intent": "order", "for": {"reference": "urn:uuid:7d0f3e2a-0d0e-4f0a-9a55-000000000001"}}}]});
        let text = format!("{}\n\n{{half\n{}\n{}\n{}\n{}\n{bundle}\n", patient("ok"), json!({"resourceType": "Patient", "id": "bad", "gender": "x"}),
            json!({"resourceType": "Medication", "id": "m"}), json!({"resourceType": "Flag", "id": "f", "status": "active", "code": {"text": "x"}, "subject": {"reference": "Patient/ok"}}), json!({"resourceType": "Organization", "name": "without an id"}));
        let (summary, errors) = imported(server, &text).await;
        assert_eq!(summary, json!({"created": 4, "updatedOrUnchanged": 0, "findingsLeftOut": 1, "refused": 2, "otherTypes": {"Medication": 1}}));
        let told: Vec<String> = errors.iter().map(|one| format!("{} {}", one["issue"][0]["diagnostics"].as_str().expect("words"), one["issue"][0]["expression"][0])).collect();
        assert!(told.len() == 2 && told[0].starts_with("Line 3: ") && told[1].starts_with("Line 4: ") && told[1].ends_with("\"Patient.gender\""), "{told:?}");
        assert_eq!(server.get("/fhir/Task/t").await.expect(200).json()["for"]["reference"], "Patient/7d0f3e2a-0d0e-4f0a-9a55-000000000001");
        imported(server, &text).await;
        assert_eq!(server.all("Organization").await.len(), 1);
        server.send(Method::POST, "/fhir/$import", &[ASYNC, ("content-type", "application/fhir+json")], Some(b"{}".to_vec())).await.expect(415);
    }
}

in_a_world! {
    async fn systems_alone_and_what_their_scopes_cover(world: &World) {
        world.two_clients().await;
        let ask = async |token: &str, method: Method, path: &str| {
            let bearer = format!("Bearer {token}");
            world.server.send(method, path, &[("authorization", &bearer), ASYNC], None).await
        };
        world.server.send(Method::GET, "/fhir/$export", &[ASYNC], None).await.expect(401);
        ask(&world.patient_token("a", "patient/*.rs"), Method::GET, "/fhir/$export").await.expect(403);
        ask(&world.token("user/*.rs"), Method::GET, "/fhir/$export").await.expect(403);
        ask(&world.token("system/Task.c"), Method::GET, "/fhir/$export").await.expect(403);
        let token = world.token("system/Task.rs system/Patient.rs user/*.rs");
        ask(&token, Method::GET, "/fhir/$export?_type=Appointment").await.expect(403);
        let bearer = format!("Bearer {token}");
        let own = [("authorization", bearer.as_str())];
        let started = ask(&token, Method::GET, "/fhir/$export").await.expect(202);
        let place = started.header("content-location").strip_prefix(&world.server.base).expect("our own").to_owned();
        let manifest = waited(&world.server, started, &own).await.expect(200).json();
        assert_eq!(manifest["requiresAccessToken"], true);
        let types = lines(&world.server, &manifest, "output", &own).await;
        assert_eq!(types.keys().collect::<Vec<_>>(), ["Patient", "Task"]);
        // Nobody else's, and not with less than it takes.
        let mut claims = world.claims("system/*.rs");
        claims["client_id"] = json!("another");
        let another = world.signer.sign(&claims);
        let file = manifest["output"].as_array().expect("files").iter().find(|file| file["type"] == "Task").expect("tasks")["url"].as_str().expect("a url").strip_prefix(&world.server.base).expect("our own").to_owned();
        for path in [&place, &file] {
            ask(&another, Method::GET, path).await.expect(404);
            world.server.get(path).await.expect(401);
        }
        ask(&another, Method::DELETE, &place).await.expect(404);
        ask(&world.token("system/Patient.rs"), Method::GET, &file).await.expect(403);
        // The trail: who started it, whose data is in it, who took the files.
        for client in ["a", "b"] {
            let events = world.trail(&format!("patient={client}&action=E"), 1).await;
            assert!(events.iter().any(|event| event.to_string().contains("\"operation\"")), "{events:?}");
        }
        // An import asks for the rights of each write.
        let import = async |scope: &str| {
            let bearer = format!("Bearer {}", world.token(scope));
            let headers = [("authorization", bearer.as_str()), ASYNC, ("content-type", "application/fhir+ndjson")];
            let started = world.server.send(Method::POST, "/fhir/$import", &headers, Some(patient("new").to_string().into_bytes())).await;
            waited(&world.server, started, &headers[..1]).await.expect(200).json()["extension"]["https://tautline.example/fhir/import"].clone()
        };
        assert_eq!(import("system/Patient.rs").await["refused"], 1);
        assert_eq!(import("system/Patient.cu").await["created"], 1);
    }
}

/// SIGKILL in the middle of an import: what was written stays, and the next process goes on with it by itself. So it
/// does with an export.
#[actix_web::test]
async fn an_import_goes_on_after_the_process_was_killed() {
    const CLIENTS: usize = 60;
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let client = process::client();
    let start = start_for(16);
    let all: Vec<Value> = (0..CLIENTS).flat_map(|n| withdrawing(&format!("k{n}"), &start, 4)).collect();
    let text: String = all.iter().map(|one| format!("{one}\n")).collect();
    let kick_off = async |base: &str| {
        let request = client.post(format!("{base}/fhir/$import")).header("prefer", "respond-async");
        let answer = request.header("content-type", "application/fhir+ndjson").body(text.clone()).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 202);
        answer.headers()["content-location"].to_str().expect("a URL").to_owned()
    };
    let ask = async |url: &str| client.get(url).send().await.expect("an answer");
    let count = async |base: &str, kind: &str| {
        let answer = ask(&format!("{base}/fhir/{kind}?_summary=count")).await.text().await.expect("a body");
        serde_json::from_str::<Value>(&answer).expect("json")["total"].as_u64().expect("a total")
    };

    let mut doomed = Process::start(&place.url, &client).await;
    let job = kick_off(&doomed.base).await;
    let exporting = client.get(format!("{}/fhir/$export", doomed.base)).header("prefer", "respond-async").send().await;
    let exporting = exporting.expect("an answer").headers()["content-location"].to_str().expect("a URL").to_owned();
    let words = |answer: &reqwest::Response| {
        answer.headers().get("x-progress").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    // The second batch has begun, so the first is written.
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 2 {
        let answer = ask(&job).await;
        assert_eq!(answer.status(), 202, "it was over too soon to be killed");
        seen.extend(Some(words(&answer)).filter(|words| words.starts_with("line ")));
    }
    doomed.kill();

    let heir = Process::start(&place.url, &client).await;
    let ended = async |url: &str| loop {
        let answer = ask(&format!("{}{}", heir.base, url.strip_prefix(&doomed.base).expect("our own"))).await;
        if answer.status() != 202 {
            assert_eq!(answer.status(), 200);
            break serde_json::from_str::<Value>(&answer.text().await.expect("a body")).expect("json");
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    // By itself, from where it was.
    let summary = ended(&job).await["extension"]["https://tautline.example/fhir/import"].clone();
    let whole = all.iter().filter(|one| one["resourceType"] == "Task").count() as u64;
    let number = |name: &str| summary[name].as_u64().expect("a number");
    assert_eq!((number("created") + number("updatedOrUnchanged"), number("refused")), (all.len() as u64, 0));
    // At most the batch in hand was written before.
    assert!(number("created") >= all.len() as u64 - 500, "{summary}");
    assert_eq!(count(&heir.base, "Task").await, whole);
    assert_eq!(count(&heir.base, "Patient").await, CLIENTS as u64);
    assert!(!ended(&exporting).await["output"].as_array().expect("files").is_empty());
    // The same again: nothing new.
    let again = kick_off(&heir.base).await;
    let manifest = loop {
        let answer = ask(&again).await;
        if answer.status() != 202 {
            break serde_json::from_str::<Value>(&answer.text().await.expect("a body")).expect("json");
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(manifest["extension"]["https://tautline.example/fhir/import"]["created"], 0);
}
