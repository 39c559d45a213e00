//! The program itself, killed with SIGKILL at random moments while bundles are pushed, again and again; PostgreSQL
//! itself too. After each restart what was acknowledged is there, and of the rest nothing is half there. At the end
//! the findings are those that a fresh server makes of the same transactions.
//!
//! A few kills in the suite; as many as wanted by hand:
//!
//! ```sh
//! TAUTLINE_CRASH_KILLS=500 cargo test --test api crash -- --nocapture
//! ```

mod cluster;
mod life;

use crate::process::{Process, all, client};
use crate::server::{Backend, Place};
use crate::story::start_for;
use cluster::Cluster;
use life::{Dice, Life, bare, url};
use reqwest::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const KILLS_VARIABLE: &str = "TAUTLINE_CRASH_KILLS";
/// Times something is killed, unless the variable says otherwise.
const KILLS: u64 = 6;
/// Clients pushed side by side.
const WRITERS: usize = 4;
/// Latest moment at which the axe falls, milliseconds.
const ROUND_MS: u64 = 700;
/// One in so many kills is PostgreSQL's.
const CLUSTER_KILLS: u64 = 3;

/// A transaction that puts these.
pub fn transaction(resources: &[Value]) -> Value {
    let put = |resource: &Value| json!({"resource": resource, "request": {"method": "PUT", "url": url(resource)}});
    let entries: Vec<Value> = resources.iter().map(put).collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

/// Pushes this client's transactions, and a new client's after its last, until an answer fails to come.
async fn write(client: &Client, base: &str, lives: &mut Vec<Life>, name: &str, start: &str, dice: &mut Dice) {
    loop {
        if lives.last().is_none_or(Life::is_over) {
            lives.push(Life::new(format!("{name}-{}", lives.len()), start));
        }
        let Some(life) = lives.last_mut() else { return };
        if !life.push(client, base, dice).await {
            return;
        }
    }
}

async fn killed_again_and_again(url: &str, mut cluster: Option<Cluster>, fresh: &str) {
    let kills = std::env::var(KILLS_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let client = client();
    let start = start_for(15);
    let seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut lives: Vec<Vec<Life>> = (0..WRITERS).map(|_| Vec::new()).collect();
    let mut process = Process::start(url, &client).await;
    for round in 0..kills {
        let base = process.base.clone();
        let mut hands: Vec<Dice> = (0..WRITERS).map(|_| Dice(seed ^ dice.roll(u64::from(u32::MAX)))).collect();
        let writers = lives.iter_mut().zip(&mut hands).enumerate();
        let writing = futures_util::future::join_all(writers.map(|(n, (lives, hand))| {
            let (client, base, start) = (&client, &base, &start);
            async move { write(client, base, lives, &format!("w{n}"), start, hand).await }
        }));
        let wait = Duration::from_millis(20 + dice.roll(ROUND_MS));
        let of_cluster = cluster.is_some() && round % CLUSTER_KILLS == CLUSTER_KILLS - 1;
        let axe = async {
            tokio::time::sleep(wait).await;
            match cluster.as_mut().filter(|_| of_cluster) {
                Some(cluster) => cluster.kill(),
                None => process.kill(),
            }
        };
        tokio::join!(writing, axe);
        match cluster.as_mut().filter(|_| of_cluster) {
            // The server finds its database again by itself.
            Some(cluster) => {
                cluster.start();
                process.ready(&client).await;
            }
            None => process = Process::start(url, &client).await,
        }
        for life in lives.iter_mut().filter_map(|lives| lives.last_mut()) {
            life.check(&client, &process).await;
        }
        if (round + 1) % 50 == 0 {
            let took_place: usize = lives.iter().flatten().map(|life| life.bundles.len()).sum();
            println!("{} kills, {took_place} transactions", round + 1);
        }
    }
    for life in lives.iter_mut().flatten() {
        life.check(&client, &process).await;
    }
    process.settle(&client).await;
    let took_place: usize = lives.iter().flatten().map(|life| life.bundles.len()).sum();
    assert!(took_place > kills as usize, "{took_place} transactions in {kills} rounds");

    let clean = Process::start(fresh, &client).await;
    for bundle in lives.iter().flatten().flat_map(|life| &life.bundles) {
        let request = client.post(format!("{}/fhir", clean.base)).header("content-type", "application/fhir+json");
        let answer = request.body(bundle.to_string()).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
    }
    clean.settle(&client).await;
    let mut compared = 0;
    for life in lives.iter().flatten() {
        for kind in ["Flag", "Observation"] {
            let (ours, theirs) =
                (findings(&client, &process, kind, life).await, findings(&client, &clean, kind, life).await);
            assert_eq!(ours, theirs, "{kind} of {}", life.id);
            compared += ours.len();
        }
    }
    println!("{kills} kills, {took_place} transactions, {compared} findings the same");
    assert!(compared > 0);
}

/// What is said of the client now, by `Type/id`. What was said between two corrections, and taken back, depends on
/// when the worker came by.
async fn findings(client: &Client, process: &Process, kind: &str, life: &Life) -> BTreeMap<String, Value> {
    let all = all(client, process, &format!("{kind}?patient={}&_count=200", life.id)).await;
    let said = all.iter().filter(|finding| finding["status"] != "entered-in-error");
    said.map(|finding| (url(finding), bare(finding))).collect()
}

#[actix_web::test]
async fn sqlite() {
    let (Some(place), Some(fresh)) = (Place::new(Backend::Sqlite).await, Place::new(Backend::Sqlite).await) else {
        return;
    };
    killed_again_and_again(&place.url, None, &fresh.url).await;
}

#[actix_web::test]
async fn postgres() {
    let (Some(place), Some(fresh)) = (Place::new(Backend::Postgres).await, Place::new(Backend::Postgres).await) else {
        return;
    };
    // Where its programs are installed, a PostgreSQL of our own is killed too.
    let cluster = Cluster::new();
    let url = cluster.as_ref().map_or(place.url.clone(), Cluster::url);
    killed_again_and_again(&url, cluster, &fresh.url).await;
}
