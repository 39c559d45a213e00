//! The program itself, killed with SIGKILL while bundles are pushed: what it acknowledged is there afterwards,
//! nothing of the rest is half there, and no assessment is forgotten.

use crate::process::{Process, client};
use crate::server::{Backend, Place};
use crate::story::{start_for, withdrawing};
use reqwest::Client;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Times the server is killed.
const KILLS: usize = 4;
/// Clients pushed at once, each in one transaction.
const WRITERS: usize = 6;

pub fn transaction(resources: &[Value]) -> Value {
    let entries: Vec<Value> = resources
        .iter()
        .map(|resource| {
            let url = format!(
                "{}/{}",
                resource["resourceType"].as_str().expect("type"),
                resource["id"].as_str().expect("id")
            );
            json!({"resource": resource, "request": {"method": "PUT", "url": url}})
        })
        .collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

async fn count(client: &Client, base: &str, search: &str) -> u64 {
    let url = format!("{base}/fhir/{search}&_summary=count");
    let answer = client.get(url).send().await.expect("an answer").text().await.expect("a body");
    let bundle: Value = serde_json::from_str(&answer).expect("json");
    bundle["total"].as_u64().expect("a total")
}

async fn killed_again_and_again(backend: Backend) {
    let Some(place) = Place::new(backend).await else { return };
    let client = client();
    let start = start_for(15);
    let mut acknowledged: Vec<String> = Vec::new();
    let mut tried: Vec<String> = Vec::new();
    let size = withdrawing("x", &start, 3).len() as u64;
    for round in 0..KILLS {
        let mut process = Process::open(&place, &client).await;
        let pushes = (0..WRITERS * 3).map(|n| {
            let (client, base, start) = (client.clone(), process.base.clone(), start.clone());
            async move {
                // Spread over the time in which the axe falls.
                tokio::time::sleep(Duration::from_millis(12 * n as u64)).await;
                let id = format!("k{round}-{n}");
                let body = transaction(&withdrawing(&id, &start, 3)).to_string();
                let request =
                    client.post(format!("{base}/fhir")).header("content-type", "application/fhir+json").body(body);
                let done = request.send().await.is_ok_and(|answer| answer.status().is_success());
                (id, done)
            }
        });
        let pushes = futures_util::future::join_all(pushes);
        let axe = async {
            tokio::time::sleep(Duration::from_millis(90 + 40 * round as u64)).await;
            process.kill();
        };
        let (pushed, ()) = tokio::join!(pushes, axe);
        for (id, done) in pushed {
            tried.push(id.clone());
            if done {
                acknowledged.push(id);
            }
        }
    }
    assert!(!acknowledged.is_empty() && acknowledged.len() < tried.len(), "{} of {}", acknowledged.len(), tried.len());
    let process = Process::open(&place, &client).await;
    for id in &tried {
        let there = count(&client, &process.base, &format!("Appointment?patient={id}")).await
            + count(&client, &process.base, &format!("Task?patient={id}")).await
            + count(&client, &process.base, &format!("QuestionnaireResponse?patient={id}")).await
            + count(&client, &process.base, &format!("Patient?_id={id}")).await;
        assert!(there == size || (there == 0 && !acknowledged.contains(id)), "{id}: {there} of {size}");
    }
    // Jobs of the killed processes are taken over when their lease ends.
    let began = Instant::now();
    let flagged = loop {
        let mut flagged = 0;
        for id in &acknowledged {
            flagged +=
                count(&client, &process.base, &format!("Flag?patient={id}&status=active&code=engagement-drop")).await;
        }
        if flagged == acknowledged.len() as u64 || began.elapsed() > Duration::from_secs(60) {
            break flagged;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(flagged, acknowledged.len() as u64, "each acknowledged client is flagged");
}

#[actix_web::test]
async fn sqlite() {
    killed_again_and_again(Backend::Sqlite).await;
}

#[actix_web::test]
async fn postgres() {
    killed_again_and_again(Backend::Postgres).await;
}
