//! Messages that are older than what stands, or than its deletion; and what was read and is sent back.

use crate::on_both;
use crate::server::Server;
use crate::story::{appointment, at, patient, start_for, withdrawing};
use reqwest::Method;
use serde_json::{Value, json};

fn dated(mut resource: Value, at: &str) -> Value {
    resource["meta"] = json!({"lastUpdated": at});
    resource
}

async fn total(server: &Server, path: &str) -> u64 {
    server.get(&format!("{path}/_history")).await.expect(200).json()["total"].as_u64().expect("a total")
}

on_both! {
    async fn an_older_message_after_a_deletion_revives_nothing(server: &Server) {
        let path = "/fhir/Patient/gone";
        let first = dated(patient("gone"), "2026-03-02T10:00:00Z");
        server.put(path, &first).await.expect(201);
        server.delete(path).await.expect(204);
        let mut older = dated(patient("gone"), "2026-03-01T10:00:00Z");
        older["gender"] = json!("other");
        for _ in 0..2 {
            // The same again, and one before it.
            let again = server.put(path, &first).await.expect(200);
            assert_eq!((again.header("etag"), again.issues()[0].0.as_str()), ("W/\"2\"", "informational"));
            assert!(again.text.contains("without meta.lastUpdated"), "{}", again.text);
            server.put(path, &older).await.expect(200);
            server.get(path).await.expect(410);
            assert_eq!(total(server, path).await, 3);
        }
        // In a transaction as well; asked for nothing, it says nothing.
        let told = server.push(std::slice::from_ref(&first)).await.json();
        let outcome = &told["entry"][0]["response"]["outcome"]["issue"][0];
        assert!(outcome["code"] == "informational" && outcome["diagnostics"].as_str().expect("words").contains("deleted since"), "{told}");
        server.get(path).await.expect(410);
        let quiet = server.with(Method::PUT, path, &[("prefer", "return=minimal")], &first).await.expect(200);
        assert!(quiet.text.is_empty());
        assert_eq!(server.all("Patient").await.len(), 0);
        // Dated later it is news; and so is what has no date.
        let back = server.put(path, &dated(patient("gone"), "2026-03-03T10:00:00Z")).await.expect(201);
        assert_eq!(back.header("etag"), "W/\"4\"");
        server.delete(path).await.expect(204);
        server.put(path, &patient("gone")).await.expect(201);
        assert_eq!(server.all("Patient").await.len(), 1);
    }

    async fn what_was_read_before_a_deletion_does_not_undo_it(server: &Server) {
        let path = "/fhir/Patient/read";
        let read = server.put(path, &patient("read")).await.expect(201).json();
        server.delete(path).await.expect(204);
        server.put(path, &read).await.expect(200);
        // Undated before, now dated before the deletion.
        server.put(path, &dated(patient("read"), "2026-03-03T10:00:00Z")).await.expect(200);
        server.get(path).await.expect(410);
        let later = (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(1)).to_string();
        server.put(path, &dated(patient("read"), &later)).await.expect(201);
    }

    async fn what_was_before_a_deletion_is_no_move(server: &Server) {
        // Booked for one day, deleted, then again for another; an older message comes late.
        let path = "/fhir/Appointment/d-a30";
        let start = start_for(16);
        server.push(&withdrawing("d", &start, 4)).await;
        let slot = |days: i64| appointment("d", 30, at(&start, days), "booked");
        server.put(path, &dated(slot(30), &at(&start, 20).to_string())).await.expect(201);
        server.delete(path).await.expect(204);
        server.put(path, &dated(slot(31), &at(&start, 19).to_string())).await.expect(200);
        server.put(path, &slot(33)).await.expect(201);
        server.push(&withdrawing("e", &start, 4)).await;
        server.put("/fhir/Appointment/e-a30", &appointment("e", 30, at(&start, 33), "booked")).await.expect(201);
        server.settle().await;
        let said = async |client: &str| {
            let mut said: Vec<String> = server.all(&format!("Observation?patient={client}&_count=500")).await.iter()
                .filter(|one| one["status"] != "entered-in-error")
                .map(|one| format!("{} {} {}", one["code"]["coding"][0]["code"], one["effectiveDateTime"], one["valueQuantity"]["value"]))
                .collect();
            said.sort();
            said
        };
        assert_eq!(said("d").await, said("e").await);
    }

    async fn what_was_read_and_is_sent_back_is_no_version(server: &Server) {
        let path = "/fhir/Appointment/same-a1";
        let slot = dated(appointment("same", 1, at("2026-03-02T10:00:00Z", 0), "booked"), "2026-02-01T10:00:00Z");
        let first = server.put(path, &slot).await.expect(201);
        let read = server.get(path).await.expect(200).json();
        let mut bare = slot.clone();
        bare.as_object_mut().expect("an object").remove("meta");
        for same in [&read, &bare, &slot] {
            let again = server.put(path, same).await.expect(200);
            assert_eq!((again.header("etag"), again.header("last-modified")), ("W/\"1\"", first.header("last-modified")), "{same}");
        }
        server.with(Method::PUT, path, &[("if-match", "W/\"1\"")], &read).await.expect(200);
        assert_eq!(total(server, path).await, 1);
        // Another word is one.
        let mut changed = read.clone();
        changed["comment"] = json!("x");
        assert_eq!(server.put(path, &changed).await.expect(200).header("etag"), "W/\"2\"");
        // And so is a tag.
        let mut tagged = server.get(path).await.expect(200).json();
        tagged["meta"]["tag"] = json!([{"system": "urn:t", "code": "x"}]);
        assert_eq!(server.put(path, &tagged).await.expect(200).header("etag"), "W/\"3\"");
    }
}
