//! Couples and groups: an Appointment with several Patients is each one's session.

use crate::on_both;
use crate::server::{Backend, Server};
use crate::smart::{World, entries, in_a_world};
use crate::story::{appointment, at, patient, withdrawing};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const START: &str = "2026-01-05T10:00:00Z";

fn with_clients(mut appointment: Value, clients: &[&str]) -> Value {
    let participant =
        |client: &&str| json!({"actor": {"reference": format!("Patient/{client}")}, "status": "accepted"});
    appointment["participant"] = clients.iter().map(participant).collect();
    appointment
}

/// What is said of a client, but for when it was written.
async fn findings(server: &Server, client: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for kind in ["Observation", "Flag"] {
        for mut one in server.all(&format!("{kind}?patient={client}")).await {
            one.as_object_mut().expect("a resource").remove("meta");
            all.insert(format!("{kind}/{}", one["id"].as_str().expect("id")), one);
        }
    }
    all
}

on_both! {
    async fn a_couple_is_two_clients(server: &Server) {
        // The same weeks twice: alone, and as the second of a couple.
        for (client, couple) in [("alone", &["alone"][..]), ("second", &["first", "second"])] {
            let story = withdrawing(client, START, 5);
            let together = story.into_iter().map(|one| match one["resourceType"] == "Appointment" {
                true => with_clients(one, couple),
                false => one,
            });
            server.push(&together.collect::<Vec<_>>()).await;
        }
        server.push(&[patient("first")]).await;
        server.settle().await;
        let said = |all: BTreeMap<String, Value>| {
            let mut kinds: Vec<String> = all.values().map(|one| {
                format!("{} {} {} {}", one["resourceType"], one["code"]["coding"][0]["code"], one["valueQuantity"]["value"], one["effectiveDateTime"])
            }).collect();
            kinds.sort();
            kinds
        };
        let (alone, second) = (findings(server, "alone").await, findings(server, "second").await);
        assert!(alone.keys().any(|key| key.starts_with("Flag/")), "{:?}", alone.keys());
        assert_eq!(said(alone), said(second));
        // The first has sessions and nothing else: assessed too.
        let first = findings(server, "first").await;
        assert!(first.values().any(|one| one["code"]["coding"][0]["code"] == "attendance" || one["code"]["coding"][0]["code"] == "pattern"), "{first:?}");
    }

    async fn each_comes_late_for_themselves(server: &Server) {
        let mut one = with_clients(appointment("a", 1, at(START, 0), "fulfilled"), &["a", "b"]);
        one["participant"][1]["period"] = json!({"start": "2026-01-05T10:25:00Z"});
        server.push(&[patient("a"), patient("b"), one.clone()]).await;
        server.settle().await;
        let page = async |client: &str| server.get(&format!("/app/patients/{client}?asOf=2026-01-06T10:00:00Z")).await.expect(200).text;
        assert!(page("b").await.contains("25 min"), "{}", page("b").await);
        assert!(!page("a").await.contains("25 min"));
        // Corrected: it was the other one.
        one["participant"] = json!([
            {"actor": {"reference": "Patient/a"}, "status": "accepted", "period": {"start": "2026-01-05T10:25:00Z"}},
            {"actor": {"reference": "Patient/b"}, "status": "accepted"}]);
        server.push(&[one]).await;
        assert!(page("a").await.contains("25 min"));
        assert!(!page("b").await.contains("25 min"));
    }

    async fn who_leaves_the_group_has_the_session_no_more(server: &Server) {
        let one = appointment("a", 1, at(START, 0), "fulfilled");
        server.push(&[patient("a"), patient("b"), with_clients(one.clone(), &["a", "b"])]).await;
        server.settle().await;
        assert_eq!(server.all("Appointment?patient=b").await.len(), 1);
        assert!(!findings(server, "b").await.is_empty());
        server.push(&[with_clients(one, &["a"])]).await;
        server.settle().await;
        assert_eq!(server.all("Appointment?patient=b").await.len(), 0);
        let live = findings(server, "b").await;
        assert!(live.values().all(|one| one["status"] == "entered-in-error"), "{live:?}");
    }
}

in_a_world! {
    async fn a_shared_session_is_seen_by_each_and_changed_by_neither(world: &World) {
        world.two_clients().await;
        world.push(&[patient("c"), with_clients(appointment("g", 1, at(START, 0), "booked"), &["a", "b"])]).await;
        let scope = "patient/Appointment.cruds";
        let (a, b, c) = (world.patient_token("a", scope), world.patient_token("b", scope), world.patient_token("c", scope));
        let found = async |token: &str, path: &str| {
            let answer = world.get(token, path).await.expect(200).json();
            entries(&answer).iter().filter(|one| one["id"] == "g-a1").count()
        };
        for token in [&a, &b] {
            world.get(token, "/fhir/Appointment/g-a1").await.expect(200);
            assert_eq!(found(token, "/fhir/Appointment").await, 1);
            assert_eq!(found(token, "/fhir/Appointment/_history").await, 1);
        }
        assert_eq!(found(&b, "/fhir/Patient/b/Appointment").await, 1);
        world.get(&c, "/fhir/Appointment/g-a1").await.expect(404);
        assert_eq!((found(&c, "/fhir/Appointment").await, found(&c, "/fhir/Appointment/_history").await), (0, 0));
        // Each reading is in the trail of both.
        for client in ["a", "b"] {
            world.trail(&format!("patient=Patient/{client}&subtype=read&entity=Appointment/g-a1"), 2).await;
        }

        let path = "/fhir/Appointment/g-a1";
        for clients in [&["b"][..], &["a"], &["a", "b"], &["a", "b", "c"]] {
            let body = with_clients(appointment("g", 1, at(START, 0), "noshow"), clients);
            world.send(&a, Method::PUT, path, Some(&body)).await.expect(403);
        }
        world.send(&b, Method::DELETE, path, None).await.expect(403);
        let other = with_clients(appointment("h", 1, at(START, 0), "booked"), &["a", "b"]);
        world.send(&a, Method::PUT, "/fhir/Appointment/h-a1", Some(&other)).await.expect(403);
        let own = appointment("a", 1, at(START, 0), "booked");
        world.send(&a, Method::PUT, "/fhir/Appointment/a-a1", Some(&with_clients(own, &["a", "b"]))).await.expect(403);
        // Those who push for the whole service may.
        let system = world.token("system/*.cruds");
        let body = with_clients(appointment("g", 1, at(START, 0), "noshow"), &["b", "c"]);
        world.send(&system, Method::PUT, path, Some(&body)).await.expect(200);
        world.get(&a, path).await.expect(404);
        world.get(&c, path).await.expect(200);
    }
}
