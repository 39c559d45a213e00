//! Bulk jobs outlive the process that carries them out.

use crate::bulk::{ASYNC, waited};
use crate::on_both;
use crate::server::{Ahead, Backend, Place, Server};
use crate::story::{appointment, at, patient, start_for, withdrawing};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;

async fn start(server: &Server, path: &str) -> String {
    let started = server.send(Method::GET, path, &[ASYNC], None).await.expect(202);
    started.header("content-location").strip_prefix(&server.base).expect("our own").to_owned()
}

/// Waits at a job's URL.
async fn ended(server: &Server, path: &str) -> Value {
    for _ in 0..600 {
        let answer = server.get(path).await;
        if answer.status != 202 {
            return answer.expect(200).json();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the job does not end");
}

/// Type and lines of every file.
async fn files(server: &Server, job: &str) -> Vec<(String, String)> {
    let manifest = ended(server, job).await;
    let mut out = Vec::new();
    for file in manifest["output"].as_array().expect("files") {
        let url = file["url"].as_str().expect("a URL");
        let text = server.get(url.strip_prefix(&server.base).expect("our own")).await.expect(200).text;
        assert_eq!(file["count"], text.lines().count());
        out.push((file["type"].as_str().expect("a type").to_owned(), text));
    }
    out
}

async fn outlives(backend: Backend) {
    let Some(place) = Place::new(backend).await else { return };
    let first = Server::start(&place).await;
    first.push(&withdrawing("p", &start_for(16), 4)).await;
    first.settle().await;
    let done = start(&first, "/fhir/$export?_type=Patient,Appointment,Task").await;
    let made = files(&first, &done).await;
    assert_eq!(made.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["Patient", "Appointment", "Task"]);
    // Still at work when it is stopped.
    let cut = start(&first, "/fhir/$export?_type=Patient,Appointment,Task").await;
    first.get(&cut).await.expect(202);
    let ndjson = [patient("q").to_string(), patient("r").to_string(), "{".into()].join("\n");
    let headers = [ASYNC, ("content-type", "application/fhir+ndjson")];
    let import = first.send(Method::POST, "/fhir/$import", &headers, Some(ndjson.into_bytes())).await.expect(202);
    let import = import.header("content-location").strip_prefix(&first.base).expect("our own").to_owned();
    first.stop().await;

    let second = Server::start(&place).await;
    assert_eq!(files(&second, &done).await, made);
    assert_eq!(files(&second, &cut).await.len(), 3);
    let summary = ended(&second, &import).await["extension"]["https://tautline.example/fhir/import"].clone();
    let number = |name: &str| summary[name].as_u64().expect("a number");
    assert_eq!((number("created") + number("updatedOrUnchanged"), number("refused")), (2, 1));
    assert_eq!(second.all("Patient").await.len(), 3);
    if matches!(backend, Backend::Postgres) {
        // Another process beside it: tells, gives the files, and cancels.
        let third = Server::start(&place).await;
        assert_eq!(files(&third, &done).await, made);
        let running = start(&second, "/fhir/$export").await;
        third.get(&running).await.expect(202);
        third.delete(&running).await.expect(202);
        second.get(&running).await.expect(404);
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        second.get(&running).await.expect(404);
        third.stop().await;
    }
    second.delete(&done).await.expect(202);
    second.get(&done).await.expect(404);
    second.get(&format!("{done}/0.ndjson")).await.expect(404);
    second.stop().await;
}

#[actix_web::test]
async fn jobs_outlive_their_process_on_sqlite() {
    outlives(Backend::Sqlite).await;
}

#[actix_web::test]
async fn jobs_outlive_their_process_on_postgres() {
    outlives(Backend::Postgres).await;
}

async fn expires(backend: Backend) {
    let Some(place) = Place::new(backend).await else { return };
    let clock = Arc::new(Ahead::default());
    let server = Server::clocked(&place, "auth = \"none\"\nbulk_keep_minutes = 5\n", clock.clone()).await;
    server.push(&[patient("p")]).await;
    let started = server.send(Method::GET, "/fhir/$export", &[ASYNC], None).await;
    let job = started.header("content-location").strip_prefix(&server.base).expect("our own").to_owned();
    let done = waited(&server, started, &[]).await.expect(200);
    assert!(!done.header("expires").is_empty());
    let file = format!("{job}/0.ndjson");
    clock.by_minutes(4);
    server.get(&job).await.expect(200);
    server.get(&file).await.expect(200);
    clock.by_minutes(2);
    server.get(&job).await.expect(404);
    server.get(&file).await.expect(404);
    // Past its time it takes no place: twenty are kept.
    for _ in 0..21 {
        let job = start(&server, "/fhir/$export?_type=Patient").await;
        ended(&server, &job).await;
        clock.by_minutes(6);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    server.stop().await;
}

#[actix_web::test]
async fn files_expire_on_sqlite() {
    expires(Backend::Sqlite).await;
}

#[actix_web::test]
async fn files_expire_on_postgres() {
    expires(Backend::Postgres).await;
}

on_both! {
    async fn a_session_that_members_share_is_told_once(server: &Server) {
        let with = |id: &str, clients: &[&str]| {
            let mut slot = appointment("x", 1, at("2026-03-02T10:00:00Z", 0), "booked");
            slot["id"] = json!(id);
            slot["participant"] = clients.iter().map(|client| json!({"actor": {"reference": format!("Patient/{client}")}, "status": "accepted"})).collect();
            slot
        };
        server.push(&[patient("p"), patient("q"), patient("r"), with("pq", &["p", "q"]), with("rq", &["r", "q"]), with("r", &["r"]), with("pqr", &["p", "q", "r"])]).await;
        // Moved once, while others shared it.
        let mut moved = with("pq", &["q", "p"]);
        moved["start"] = json!("2026-03-03T10:00:00Z");
        moved["end"] = json!("2026-03-03T11:00:00Z");
        server.put("/fhir/Appointment/pq", &moved).await.expect(200);
        let member = |client: &str| json!({"entity": {"reference": format!("Patient/{client}")}});
        for (group, clients, expected) in [("pq", &["p", "q"][..], "pq pq pqr rq"), ("q", &["q"], "pq pq pqr rq"), ("p", &["p"], "pq pq pqr"), ("r", &["r"], "pqr r rq")] {
            let members: Vec<Value> = clients.iter().map(|client| member(client)).collect();
            let resource = json!({"resourceType": "Group", "id": group, "type": "person", "actual": true, "member": members});
            server.put(&format!("/fhir/Group/{group}"), &resource).await;
            let job = start(server, &format!("/fhir/Group/{group}/$export?_type=Patient,Appointment")).await;
            let made = files(server, &job).await;
            let of = |kind: &str| {
                let text = made.iter().find(|(one, _)| one == kind).map(|(_, text)| text.clone()).unwrap_or_default();
                let mut ids: Vec<String> = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("json")["id"].as_str().expect("an id").to_owned()).collect();
                ids.sort();
                ids.join(" ")
            };
            assert_eq!(of("Appointment"), expected, "{group}");
            assert_eq!(of("Patient"), clients.join(" "), "{group}");
            server.delete(&job).await.expect(202);
        }
    }
}

/// What is found by a date without a time follows the time zone.
async fn follows_the_zone(backend: Backend) {
    let Some(place) = Place::new(backend).await else { return };
    let at = |zone: &str| format!("auth = \"none\"\ntime_zone = \"{zone}\"\n");
    let server = Server::configured(&place, &at("Europe/Berlin")).await;
    let mut all: Vec<Value> = (0..450)
        .map(|n| json!({"resourceType": "Patient", "id": format!("p{n}"), "birthDate": "1990-05-01", "active": true}))
        .collect();
    all.push(json!({"resourceType": "Task", "id": "t", "status": "requested", "intent": "order", "authoredOn": "2026-03-02", "for": {"reference": "Patient/p1"}}));
    server.push(&all).await;
    // Morning in Auckland is before that day in Berlin.
    let found = async |server: &Server| {
        let morning = "2026-03-01T20:00:00Z";
        let tasks = server.all(&format!("Task?authored-on=lt{morning}")).await.len();
        (
            tasks,
            server.get("/fhir/Patient?birthdate=lt1990-04-30T20:00:00Z&_summary=count").await.json()["total"]
                .as_u64()
                .expect("a total"),
        )
    };
    assert_eq!(found(&server).await, (0, 0));
    server.stop().await;
    let server = Server::configured(&place, &at("Pacific/Auckland")).await;
    let mut now = found(&server).await;
    for _ in 0..200 {
        if now == (1, 450) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        now = found(&server).await;
    }
    assert_eq!(now, (1, 450));
    // Nothing else is lost by it, and no version was made.
    assert_eq!(server.get("/fhir/Patient?active=true&birthdate=1990-05-01&_summary=count").await.json()["total"], 450);
    assert_eq!(server.get("/fhir/Task/t").await.expect(200).header("etag"), "W/\"1\"");
    assert_eq!(server.all("Task?patient=p1&status=requested").await.len(), 1);
    server.stop().await;
}

#[actix_web::test]
async fn searches_follow_the_time_zone_on_sqlite() {
    follows_the_zone(Backend::Sqlite).await;
}

#[actix_web::test]
async fn searches_follow_the_time_zone_on_postgres() {
    follows_the_zone(Backend::Postgres).await;
}
