//! From what was pushed to what is published.

use crate::on_both;
use crate::server::{Backend, Place, Server};
use crate::story::{appointment, at, phq9, said_later, start_for, withdrawing};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every finding by type and id, without what depends on the moment of publishing.
async fn findings(server: &Server) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for kind in ["Flag", "Observation", "Provenance"] {
        for mut finding in server.all(&format!("{kind}?_count=500")).await {
            let object = finding.as_object_mut().expect("an object");
            object.remove("meta");
            object.remove("recorded");
            out.insert(format!("{kind}/{}", finding["id"].as_str().expect("id")), finding);
        }
    }
    out
}

fn said(findings: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    findings.iter().filter(|(_, f)| f["status"] != "entered-in-error").map(|(k, f)| (k.clone(), f.clone())).collect()
}

async fn active(server: &Server, client: &str, code: &str) -> Vec<Value> {
    server.all(&format!("Flag?patient={client}&status=active&code={code}")).await
}

on_both! {
    async fn a_withdrawing_client_is_flagged_and_told_why(server: &Server) {
        server.push(&withdrawing("w", &start_for(15), 3)).await;
        server.settle().await;
        let flags = active(server, "w", "engagement-drop").await;
        assert_eq!(flags.len(), 1, "{:?}", server.all("Flag").await);
        assert!(active(server, "w", "not-on-track").await.is_empty());
        let flag = &flags[0];
        let detail = flag["extension"].as_array().expect("extensions").iter()
            .find(|e| e["url"] == "http://hl7.org/fhir/StructureDefinition/flag-detail").expect("flag-detail");
        let pattern = detail["valueReference"]["reference"].as_str().expect("a reference");
        let pattern = server.get(&format!("/fhir/{pattern}")).await.expect(200).json();
        assert_eq!(pattern["hasMember"].as_array().expect("members").len(), 5);
        let probability = pattern["valueQuantity"]["value"].as_f64().expect("a probability");
        assert!((0.0..=1.0).contains(&probability));
        // Evidence adds up to the log-odds of the probability.
        let carried = pattern["component"].as_array().expect("components").iter()
            .find(|c| c["code"]["coding"][0]["code"] == "carried").expect("carried")["valueQuantity"]["value"].as_f64().expect("nats");
        let mut sum = carried;
        for member in pattern["hasMember"].as_array().expect("members") {
            let signal = server.get(&format!("/fhir/{}", member["reference"].as_str().expect("reference"))).await.expect(200).json();
            sum += signal["valueQuantity"]["value"].as_f64().unwrap_or(0.0);
        }
        let odds = (probability / (1.0 - probability)).ln();
        assert!((sum - odds).abs() < 1e-6, "{sum} {odds}");
    }

    async fn the_same_again_in_any_order_changes_nothing(server: &Server) {
        let mut resources = withdrawing("o", &start_for(15), 3);
        server.push(&resources).await;
        server.settle().await;
        let before = findings(server).await;
        let versions = server.get("/fhir/_history?_summary=count&_count=1000").await;
        drop(versions);
        resources.reverse();
        for chunk in resources.chunks(7) {
            server.push(chunk).await;
        }
        server.settle().await;
        assert_eq!(findings(server).await, before);
        for flag in server.all("Flag").await {
            assert_eq!(flag["meta"]["versionId"], "1");
        }
    }

    async fn one_resource_at_a_time_ends_where_one_bundle_does(server: &Server) {
        let start = start_for(15);
        let whole = withdrawing("same", &start, 3);
        server.push(&whole).await;
        server.settle().await;
        let once = said(&findings(server).await);
        for resource in &whole {
            server.delete(&format!("/fhir/{}/{}", resource["resourceType"].as_str().expect("type"), resource["id"].as_str().expect("id"))).await.expect(204);
        }
        server.settle().await;
        assert!(said(&findings(server).await).values().all(|f| f["resourceType"] == "Provenance"), "nothing is said of nothing");
        let mut shuffled: Vec<Value> = whole.iter().map(|one| said_later(one, 1)).collect();
        shuffled.sort_by_key(|r| r["id"].as_str().map(|id| id.bytes().rev().collect::<Vec<_>>()));
        for (n, resource) in shuffled.iter().enumerate() {
            server.push(std::slice::from_ref(resource)).await;
            if n % 10 == 0 {
                server.settle().await;
            }
        }
        server.settle().await;
        let again = said(&findings(server).await);
        let keys = |f: &BTreeMap<String, Value>| f.keys().filter(|k| !k.starts_with("Provenance")).cloned().collect::<Vec<_>>();
        assert_eq!(keys(&again), keys(&once));
        for (key, finding) in &once {
            if !key.starts_with("Provenance") {
                assert_eq!(&again[key], finding, "{key}");
            }
        }
    }

    async fn detect_rupture_and_the_stored_observations_agree(server: &Server) {
        server.push(&withdrawing("d", &start_for(15), 3)).await;
        server.settle().await;
        let patterns: Vec<Value> = server.all("Observation?patient=d&code=pattern&_count=100").await;
        assert!(patterns.len() >= 15, "{}", patterns.len());
        for stored in patterns {
            let as_of = stored["effectiveDateTime"].as_str().expect("an instant");
            let answer = server.get(&format!("/fhir/Patient/d/$detect-rupture?asOf={as_of}")).await.expect(200).json();
            assert_eq!(answer["type"], "collection");
            let same = answer["entry"].as_array().expect("entries").iter().map(|e| &e["resource"]).find(|r| r["id"] == stored["id"]);
            let same = same.unwrap_or_else(|| panic!("{as_of}: no {}", stored["id"]));
            assert_eq!(same["valueQuantity"], stored["valueQuantity"], "{as_of}");
            assert_eq!(same["note"], stored["note"], "{as_of}");
        }
        let count = server.get("/fhir/Observation?_summary=count").await.json()["total"].clone();
        server.post("/fhir/Patient/d/$detect-rupture", &json!({"resourceType": "Parameters", "parameter": [{"name": "asOf", "valueInstant": "2026-01-01T00:00:00Z"}]})).await.expect(200);
        assert_eq!(server.get("/fhir/Observation?_summary=count").await.json()["total"], count, "it stores nothing");
        server.get("/fhir/Patient/nobody/$detect-rupture").await.expect(404);
        server.get("/fhir/Patient/d/$detect-rupture?asOf=soon").await.expect(422);
    }

    async fn a_correction_takes_back_what_would_not_be_said_today(server: &Server) {
        let start = start_for(15);
        server.push(&withdrawing("c", &start, 3)).await;
        server.settle().await;
        assert_eq!(active(server, "c", "engagement-drop").await.len(), 1);
        // It turns out that the client came, did everything, and the service's interface had been down.
        let mut truth = Vec::new();
        for week in 12..15 {
            let session = at(&start, 7 * week);
            truth.push(appointment("c", week as usize, session, "fulfilled"));
            truth.push(phq9("c", week as usize, session - SignedDuration::from_hours(3), 9));
        }
        for week in 11..15 {
            let due = at(&start, 7 * (week + 1)) - SignedDuration::from_hours(12);
            truth.push(crate::story::homework("c", week as usize, at(&start, 7 * week), due, Some(due - SignedDuration::from_hours(24))));
        }
        server.push(&truth).await;
        server.settle().await;
        assert!(active(server, "c", "engagement-drop").await.is_empty());
        let withdrawn = server.all("Flag?patient=c&code=engagement-drop").await;
        assert_eq!(withdrawn.len(), 1);
        assert_eq!(withdrawn[0]["status"], "entered-in-error");
    }

    async fn a_safety_item_is_raised_at_once_and_answered(server: &Server) {
        let client = "s";
        let now = Timestamp::now();
        let mut form = phq9(client, 1, now - SignedDuration::from_hours(1), 10);
        form["item"][8]["answer"][0]["valueCoding"]["code"] = json!("LA6569-3");
        server.push(&[crate::story::patient(client), form]).await;
        server.settle().await;
        assert_eq!(active(server, client, "safety-item").await.len(), 1);
        server.push(&[phq9(client, 2, now - SignedDuration::from_mins(5), 9)]).await;
        server.settle().await;
        assert!(active(server, client, "safety-item").await.is_empty());
        assert_eq!(server.all("Flag?patient=s&code=safety-item&status=inactive").await.len(), 1);
    }

    async fn a_safety_item_waits_for_no_date(server: &Server) {
        // The day, the month or the year it was given on is not over; the sender's clock is ahead.
        let now = Timestamp::now();
        let today = now.to_string()[..10].to_owned();
        let ahead = (now + SignedDuration::from_mins(10)).to_string();
        let dates = [&today[..], &today[..7], &today[..4], &ahead];
        for (n, authored) in dates.iter().enumerate() {
            let client = format!("sd{n}");
            let mut form = phq9(&client, 1, now, 10);
            form["authored"] = json!(authored);
            form["item"][8]["answer"][0]["valueCoding"]["code"] = json!("LA6571-9");
            server.push(&[crate::story::patient(&client), form]).await;
        }
        server.settle().await;
        for (n, authored) in dates.iter().enumerate() {
            let client = format!("sd{n}");
            assert_eq!(active(server, &client, "safety-item").await.len(), 1, "{authored}");
            let page = server.get(&format!("/app/patients/{client}")).await.expect(200).text;
            assert!(page.contains("Safety item answered above zero"), "{authored}");
        }
        // Nor does a zero of the same day close it: which came first, nobody says.
        server.push(&[phq9("sd0", 2, now, 9)]).await;
        server.settle().await;
        assert_eq!(active(server, "sd0", "safety-item").await.len(), 1);
    }

    async fn a_planned_ending_closes_flags(server: &Server) {
        server.push(&withdrawing("e", &start_for(15), 3)).await;
        server.settle().await;
        assert_eq!(active(server, "e", "engagement-drop").await.len(), 1);
        let ended = (Timestamp::now() - SignedDuration::from_hours(1)).to_string();
        server.push(&[json!({"resourceType": "EpisodeOfCare", "id": "e-eoc", "status": "finished",
            "patient": {"reference": "Patient/e"}, "period": {"end": ended}})]).await;
        server.settle().await;
        assert!(server.all("Flag?patient=e&status=active").await.is_empty());
    }

    async fn a_session_after_a_planned_ending_is_no_silence(server: &Server) {
        // Ended ten weeks ago with the last session; the next day somebody came once more.
        let start = at(&Timestamp::now().to_string(), -7 * 18).to_string();
        let mut resources = vec![crate::story::patient("aft")];
        resources.extend((0..8).map(|week| appointment("aft", week, at(&start, 7 * week as i64), "fulfilled")));
        let ended = at(&start, 7 * 7) + SignedDuration::from_hours(1);
        resources.push(json!({"resourceType": "EpisodeOfCare", "id": "aft-e", "status": "finished",
            "patient": {"reference": "Patient/aft"}, "period": {"start": start, "end": ended.to_string()}}));
        resources.push(appointment("aft", 8, at(&start, 7 * 7 + 1), "fulfilled"));
        server.push(&resources).await;
        server.settle().await;
        assert_eq!(server.all("Flag?patient=aft").await, Vec::<Value>::new());
        let page = server.get("/app/patients/aft").await.expect(200).text;
        assert!(page.contains("Treatment ended") && !page.contains("o contact"), "{page}");
    }

    async fn with_nothing_booked_the_last_steps_own_record_stays(server: &Server) {
        let start = start_for(10);
        let mut resources = vec![crate::story::patient("nb")];
        for week in 0..10_usize {
            let session = at(&start, 7 * week as i64);
            resources.push(appointment("nb", week, session, "fulfilled"));
            resources.push(phq9("nb", week, session - SignedDuration::from_hours(3), 14));
        }
        server.push(&resources).await;
        server.settle().await;
        let last = at(&start, 7 * 9);
        let own = |all: &[Value]| {
            let at_start = |one: &&Value| one["effectiveDateTime"].as_str().and_then(|at| at.parse().ok()) == Some(last);
            all.iter().filter(at_start).cloned().collect::<Vec<Value>>()
        };
        let patterns = server.all("Observation?patient=nb&code=pattern&_count=100").await;
        let step = own(&patterns);
        assert_eq!((step.len(), patterns.len()), (1, 11), "ten steps, and now");
        let about = |one: &&Value| one["extension"][0]["valueReference"]["reference"] == "Appointment/nb-a9";
        let open = patterns.iter().filter(about).find(|one| one["id"] != step[0]["id"]).expect("after it");
        // The next one is booked: now is keyed to it, and the step is as it was.
        server.push(&[appointment("nb", 10, at(&start, 7 * 10), "booked")]).await;
        server.settle().await;
        let patterns = server.all("Observation?patient=nb&code=pattern&_count=100").await;
        assert_eq!(own(&patterns), step);
        let gone = patterns.iter().find(|one| one["id"] == open["id"]).expect("kept");
        assert_eq!(gone["status"], "entered-in-error");
    }

    async fn of_a_deleted_patient_nothing_is_said(server: &Server) {
        let story = withdrawing("del", &start_for(15), 3);
        server.push(&story).await;
        let mut form = phq9("del", 99, Timestamp::now() - SignedDuration::from_hours(1), 10);
        form["item"][8]["answer"][0]["valueCoding"]["code"] = json!("LA6569-3");
        server.push(&[form]).await;
        server.settle().await;
        let before = said(&findings(server).await);
        assert_eq!(server.all("Flag?patient=del&status=active").await.len(), 2);
        server.delete("/fhir/Patient/del").await.expect(204);
        server.settle().await;
        assert!(said(&findings(server).await).values().all(|f| f["resourceType"] == "Provenance"));
        assert!(server.all("Flag?patient=del&status=active").await.is_empty());
        server.get("/fhir/Patient/del/$detect-rupture").await.expect(404);
        // A mistake: the Patient is sent again.
        server.push(&story[..1]).await;
        server.settle().await;
        assert_eq!(said(&findings(server).await), before);
    }

    async fn time_alone_assesses_again(server: &Server) {
        // A due instant a few seconds away, and nobody pushes anything after it.
        let now = Timestamp::now();
        let start = at(&now.to_string(), -7 * 12).to_string();
        let mut resources = vec![crate::story::patient("t")];
        for week in 0..12 {
            let session = at(&start, 7 * week);
            resources.push(appointment("t", week as usize, session, "fulfilled"));
            let due = if week == 11 { now + SignedDuration::from_secs(3) } else { at(&start, 7 * (week + 1)) - SignedDuration::from_hours(12) };
            let done = (week < 11).then(|| due - SignedDuration::from_hours(24));
            resources.push(crate::story::homework("t", week as usize, session, due, done));
        }
        resources.push(appointment("t", 12, now + SignedDuration::from_hours(2), "booked"));
        server.push(&resources).await;
        server.settle().await;
        let homework = |observations: Vec<Value>| {
            let mut all = observations;
            all.sort_by_key(|o| o["effectiveDateTime"].as_str().map(str::to_owned));
            all.pop().expect("an open assessment")
        };
        let before = homework(server.all("Observation?patient=t&code=homework-engagement&_count=100").await);
        tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        server.settle().await;
        let after = homework(server.all("Observation?patient=t&code=homework-engagement&_count=100").await);
        assert_eq!(before["id"], after["id"], "the open assessment keeps its identity");
        assert_ne!(before["valueQuantity"], after["valueQuantity"], "{before} {after}");
    }

    async fn judgements_are_taken_and_undone(server: &Server) {
        server.push(&withdrawing("j", &start_for(15), 3)).await;
        server.settle().await;
        let flag = active(server, "j", "engagement-drop").await.pop().expect("a flag");
        let issued = (Timestamp::now() - SignedDuration::from_secs(1)).to_string();
        let mut judgement = json!({"resourceType": "Observation", "id": "j1", "status": "final",
            "code": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/signal", "code": "judgement"}]},
            "subject": {"reference": "Patient/j"}, "focus": [{"reference": format!("Flag/{}", flag["id"].as_str().expect("id"))}],
            "issued": issued, "effectiveDateTime": issued,
            "valueCodeableConcept": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/judgement", "code": "rupture-no"}]}});
        server.put("/fhir/Observation/j1", &judgement).await.expect(201);
        server.settle().await;
        assert!(active(server, "j", "engagement-drop").await.is_empty(), "a false alarm closes the flag");
        judgement["status"] = json!("entered-in-error");
        server.put("/fhir/Observation/j1", &judgement).await.expect(200);
        server.settle().await;
        assert_eq!(active(server, "j", "engagement-drop").await.len(), 1, "undone");
        // A finding is not to be written over.
        let finding = server.all("Observation?patient=j&code=pattern&_count=1").await.remove(0);
        let id = finding["id"].as_str().expect("id");
        judgement["id"] = json!(id);
        server.put(&format!("/fhir/Observation/{id}"), &judgement).await.expect(405);
    }
}

/// Days begin and end elsewhere: what was read in the old time zone is read again, and everyone assessed again.
async fn another_time_zone(backend: Backend) {
    let Some(place) = Place::new(backend).await else { return };
    let ended = "2026-03-31";
    let at_start = |flag: &Value| flag["period"]["end"].clone();
    let mut server = Server::configured(&place, "auth = \"none\"\ntime_zone = \"Europe/Berlin\"\n").await;
    server.push(&withdrawing("z", "2025-12-15T10:00:00Z", 3)).await;
    server
        .push(&[json!({"resourceType": "EpisodeOfCare", "id": "z-e", "status": "finished",
            "patient": {"reference": "Patient/z"}, "period": {"end": ended}})])
        .await;
    server.settle().await;
    let flags = server.all("Flag?patient=z&code=engagement-drop").await;
    assert_eq!(flags.iter().map(at_start).collect::<Vec<_>>(), ["2026-03-31T21:59:59.999999Z"]);
    server.stop().await;
    server = Server::configured(&place, "auth = \"none\"\ntime_zone = \"America/New_York\"\n").await;
    server.settle().await;
    let flags = server.all("Flag?patient=z&code=engagement-drop").await;
    assert_eq!(flags.iter().map(at_start).collect::<Vec<_>>(), ["2026-04-01T03:59:59.999999Z"]);
    server.stop().await;
}

#[actix_web::test]
async fn another_time_zone_on_sqlite() {
    another_time_zone(Backend::Sqlite).await;
}

#[actix_web::test]
async fn another_time_zone_on_postgres() {
    another_time_zone(Backend::Postgres).await;
}
