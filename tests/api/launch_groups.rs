//! A group's Appointments, read by the launches of its members.

use crate::ehr::Ehr;
use crate::story::{appointment, at, start_for};
use crate::visitor::{Browser, server};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Sessions by client, ours: the ids that the store has for each.
async fn sessions(url: &str, clients: &[&str]) -> BTreeMap<String, usize> {
    let store = tautline::store::connect(url).await.expect("the store");
    let mut all = BTreeMap::new();
    for client in clients {
        let query = tautline::store::Query {
            kind: "Appointment",
            client: Some((*client).into()),
            count: 100,
            ..Default::default()
        };
        all.insert((*client).to_owned(), store.search(&query).await.expect("a search").versions.len());
    }
    all
}

#[actix_web::test]
async fn a_groups_sessions_are_each_ones_and_one_launch_takes_nothing_from_the_others() {
    let ehr = Ehr::start().await;
    let start = start_for(8);
    ehr.with(|ward| {
        for (id, name) in [("p1", "Of One"), ("p2", "Of Two")] {
            ward.resources.push(json!({"resourceType": "Patient", "id": id, "name": [{"text": name}]}));
        }
        for week in 0..6 {
            let mut one = appointment("g", week, at(&start, 7 * week as i64), "fulfilled");
            let who = |id: &str| json!({"actor": {"reference": format!("Patient/{id}")}, "status": "accepted"});
            one["participant"] = json!([who("p1"), who("p2")]);
            if week == 5 {
                one["participant"][1]["period"] =
                    json!({"start": (at(&start, 35) + jiff::SignedDuration::from_mins(25)).to_string()});
            }
            ward.resources.push(one);
        }
    });
    let (server, place) = server(&[(&ehr, "")]).await;
    let mut browser = Browser::new(&server);
    let mut look = async |patient: &str| {
        ehr.with(|ward| ward.context = json!({"patient": patient}));
        let there = browser.enter(&ehr).await;
        let page = browser.page(&there).await.expect(200).text;
        let id = there.trim_start_matches("/app/patients/").split('?').next().expect("an id").to_owned();
        (id, page)
    };
    let (one, first) = look("p1").await;
    let (two, second) = look("p2").await;
    assert_ne!(one, two);
    assert!(first.contains("session 7") && second.contains("session 7"), "six were kept by each");
    assert!(!first.contains("Of Two") && !second.contains("Of One"), "who else is in the group is not said");
    assert!(second.contains("25 min") && !first.contains("25 min"), "each comes late for themselves");
    let both = |a: usize, b: usize| BTreeMap::from([(one.clone(), a), (two.clone(), b)]);
    assert_eq!(sessions(&place.url, &[&one, &two]).await, both(6, 6));
    // Again, by either: the same.
    look("p1").await;
    look("p2").await;
    assert_eq!(sessions(&place.url, &[&one, &two]).await, both(6, 6));
    // One leaves a session: it stays the other's.
    ehr.with(|ward| {
        let left = ward.resources.iter_mut().find(|one| one["id"] == "g-a2").expect("a session");
        left["participant"].as_array_mut().expect("participants").remove(0);
    });
    look("p1").await;
    assert_eq!(sessions(&place.url, &[&one, &two]).await, both(5, 6));
    // The EHR tells this launch no more of another one: for the other patient it has said nothing.
    ehr.with(|ward| {
        ward.hides = vec!["g-a3".to_owned()];
        ward.hidden_says = Some(404);
    });
    look("p1").await;
    assert_eq!(sessions(&place.url, &[&one, &two]).await, both(4, 6));
    ehr.with(|ward| {
        ward.hides.clear();
        ward.hidden_says = None;
    });
    // It is gone for good: the last one takes it along.
    ehr.with(|ward| ward.resources.retain(|one: &Value| one["id"] != "g-a2" && one["id"] != "g-a3"));
    look("p2").await;
    assert_eq!(sessions(&place.url, &[&one, &two]).await, both(4, 4));
    server.stop().await;
}
