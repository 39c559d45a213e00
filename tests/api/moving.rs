//! A whole service moves to another server: export, import, the same findings; and again, nothing new.

use crate::bulk::{exported, imported};
use crate::on_both;
use crate::process::program;
use crate::server::{Backend, Place, Server};
use crate::story::{appointment, at, patient, start_for, withdrawing};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn dated(mut resource: Value, at: jiff::Timestamp) -> Value {
    resource["meta"] = json!({"lastUpdated": at.to_string()});
    resource
}

fn of(mut slot: Value, clients: &[&str]) -> Value {
    let actor = |client: &&str| json!({"actor": {"reference": format!("Patient/{client}")}, "status": "accepted"});
    slot["participant"] = clients.iter().map(actor).collect();
    slot
}

/// What is said, but for what was withdrawn.
async fn said(server: &Server) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for kind in ["Flag", "Observation"] {
        for mut one in server.all(&format!("{kind}?_count=500")).await {
            if one["status"] == "entered-in-error" {
                continue;
            }
            one.as_object_mut().expect("an object").remove("meta");
            let text = one.to_string().replace(&server.base, "BASE");
            let key = format!("{kind}/{}", one["id"].as_str().expect("an id"));
            out.insert(key, serde_json::from_str(&text).expect("json"));
        }
    }
    out
}

/// What each Appointment's history says, in the order of arrival.
async fn stories(server: &Server) -> BTreeMap<String, Vec<(Value, Value)>> {
    let mut out = BTreeMap::new();
    for one in server.all("Appointment?_count=500").await {
        let id = one["id"].as_str().expect("an id").to_owned();
        let history = server.get(&format!("/fhir/Appointment/{id}/_history")).await.expect(200).json();
        let mut versions: Vec<(u64, Value, Value)> = history["entry"]
            .as_array()
            .expect("entries")
            .iter()
            .map(|entry| {
                let number = entry["response"]["etag"].as_str().expect("a tag");
                let number = number.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number");
                (number, entry["resource"]["start"].clone(), entry["resource"]["status"].clone())
            })
            .collect();
        versions.sort_by_key(|version| version.0);
        out.insert(id, versions.into_iter().map(|(_, start, status)| (start, status)).collect());
    }
    out
}

async fn equal(server: &Server, other: &Server) {
    let (here, there) = (said(server).await, said(other).await);
    assert!(here.len() > 100, "{}", here.len());
    for (key, one) in &here {
        assert_eq!(Some(one), there.get(key), "{key}");
    }
    let more: Vec<&String> = there.keys().filter(|key| !here.contains_key(*key)).collect();
    assert_eq!(more, Vec::<&String>::new());
}

/// Sessions moved there and back, dated and not; a group whose members change; a deleted Patient; one that was deleted
/// and came back; older messages that came late.
async fn service(server: &Server) {
    let start = start_for(16);
    for (client, away) in [("m", 4), ("g1", 3), ("g2", 2), ("gone", 4), ("back", 3)] {
        server.push(&withdrawing(client, &start, away)).await;
    }
    let put = async |one: Value| {
        server.push(std::slice::from_ref(&one)).await;
    };
    for (n, dates) in [(40, false), (41, true)] {
        for (step, day) in [50, 52, 50, 52, 53].into_iter().enumerate() {
            let slot = appointment("m", n, at(&start, day + n as i64 % 2), "booked");
            put(if dates { dated(slot, at(&start, 40 + step as i64)) } else { slot }).await;
        }
    }
    // Out of order: the middle one last.
    for day in [60, 70, 65] {
        put(dated(appointment("m", 42, at(&start, day + 10), "booked"), at(&start, day))).await;
    }
    // A group: who is first changes, one leaves, one comes.
    for (day, clients) in [(30, &["g1", "g2"][..]), (31, &["g2", "g1"]), (33, &["g2"]), (34, &["m", "g2", "gone"])] {
        put(of(appointment("group", 1, at(&start, day), "booked"), clients)).await;
    }
    // Deleted, and booked again for another day.
    put(appointment("back", 50, at(&start, 20), "booked")).await;
    server.delete("/fhir/Appointment/back-a50").await.expect(204);
    put(appointment("back", 50, at(&start, 24), "booked")).await;
    put(appointment("back", 50, at(&start, 25), "booked")).await;
    server.settle().await;
    server.delete("/fhir/Patient/gone").await.expect(204);
    server.delete("/fhir/Patient/back").await.expect(204);
    put(patient("back")).await;
    server.settle().await;
}

on_both! {
    async fn a_service_moves_with_all_that_its_findings_rest_on(server: &Server) {
        service(server).await;
        let (manifest, types) = exported(server, "/fhir/$export").await;
        let deleted = manifest["deleted"][0]["url"].as_str().expect("the deleted").strip_prefix(&server.base).expect("our own").to_owned();
        let gone = server.get(&deleted).await.expect(200).text;
        assert!(gone.contains("Patient/gone") && !gone.contains("Patient/back"), "{gone}");
        // Of a deleted Patient the name alone.
        assert!(!types["Patient"].iter().any(|one| one["id"] == "gone"));
        let lines: String = types.values().flatten().map(|one| format!("{one}\n")).collect();

        let place = Place::new(Backend::Sqlite).await.expect("a place");
        let other = Server::start(&place).await;
        let text = format!("{lines}{gone}");
        let mut before = None;
        for again in 0..2 {
            let (summary, errors) = imported(&other, &text).await;
            assert_eq!((errors.len(), &summary["refused"]), (0, &json!(0)), "{errors:?}");
            other.settle().await;
            equal(server, &other).await;
            other.get("/fhir/Patient/gone").await.expect(410);
            let stories = stories(&other).await;
            if again > 0 {
                assert_eq!(summary["created"], 0);
                assert_eq!(before.as_ref(), Some(&stories));
            }
            before = Some(stories);
        }
        // What was moved there and back was: the versions are all there.
        assert_eq!(before.expect("stories")["m-a40"].len(), 5);
        other.stop().await;
    }

    async fn by_the_command_to_a_server_twice(server: &Server) {
        service(server).await;
        let (manifest, types) = exported(server, "/fhir/$export").await;
        let deleted = manifest["deleted"][0]["url"].as_str().expect("the deleted").strip_prefix(&server.base).expect("our own").to_owned();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("all.ndjson");
        let lines: String = types.values().flatten().map(|one| format!("{one}\n")).collect();
        std::fs::write(&path, lines + &server.get(&deleted).await.expect(200).text).expect("written");
        let place = Place::new(Backend::Sqlite).await.expect("a place");
        let other = Server::start(&place).await;
        let url = format!("{}/fhir", other.base);
        let mut before = None;
        for _ in 0..2 {
            let mut command = program();
            command.args(["import", path.to_str().expect("a path"), "--url", &url]);
            let done = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ends");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            other.settle().await;
            equal(server, &other).await;
            let now = (stories(&other).await, other.get("/fhir/_history?_summary=count").await.json()["total"].clone());
            if let Some(before) = before.replace(now.clone()) {
                assert_eq!(before, now);
            }
        }
        other.stop().await;
    }
}
