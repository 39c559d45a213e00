//! Several processes on one PostgreSQL, and writers that want the same things in different orders.

use crate::crash::process::{Process, all};
use crate::crash::transaction;
use crate::server::{Backend, Place, Server};
use crate::story::{start_for, withdrawing};
use reqwest::Client;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CLIENTS: usize = 24;
const WRITERS: usize = 8;
const ROUNDS: usize = 6;
/// What a killed process had in hand is another's when its lease (10 s) ends; the rest is a busy machine.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(120);

fn client() -> Client {
    tautline::smart::fetch::install_tls();
    Client::builder().no_proxy().build().expect("a client")
}

async fn push(client: &Client, process: &Process, id: &str) {
    let request = client.post(format!("{}/fhir", process.base)).header("content-type", "application/fhir+json");
    let answer =
        request.body(transaction(&withdrawing(id, &start_for(15), 3)).to_string()).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
}

async fn assessed(client: &Client, processes: &[Process]) -> Vec<u64> {
    let mut counts = Vec::new();
    for process in processes {
        counts.push(process.metric(client, "tautline_assessments_total ").await.expect("the figure"));
    }
    counts
}

#[actix_web::test]
async fn each_job_is_done_once() {
    let Some(place) = Place::new(Backend::Postgres).await else { return };
    let client = client();
    let processes = [Process::start(&place.url, &client).await, Process::start(&place.url, &client).await];
    for n in 0..CLIENTS {
        push(&client, &processes[n % 2], &format!("s{n}")).await;
    }
    processes[0].settle(&client).await;
    let counts = assessed(&client, &processes).await;
    assert_eq!(counts.iter().sum::<u64>(), CLIENTS as u64, "{counts:?}");
    for n in 0..CLIENTS {
        let flags = all(&client, &processes[1], &format!("Flag?patient=s{n}&status=active&code=engagement-drop")).await;
        assert_eq!(flags.len(), 1, "s{n}");
    }
}

#[actix_web::test]
async fn a_killed_ones_jobs_are_taken_over() {
    let Some(place) = Place::new(Backend::Postgres).await else { return };
    let client = client();
    let mut doomed = Process::start(&place.url, &client).await;
    for n in 0..CLIENTS {
        push(&client, &doomed, &format!("t{n}")).await;
    }
    // Most are due by now, and some in hand.
    tokio::time::sleep(Duration::from_millis(60)).await;
    doomed.kill();
    let began = Instant::now();
    let heir = Process::start(&place.url, &client).await;
    heir.settle(&client).await;
    assert!(began.elapsed() < TAKEN_OVER_WITHIN, "{:?}", began.elapsed());
    for n in 0..CLIENTS {
        let flags = all(&client, &heir, &format!("Flag?patient=t{n}&status=active&code=engagement-drop")).await;
        assert_eq!(flags.len(), 1, "t{n}");
    }
}

/// Conditional creates and updates of the same few, each writer in an order of its own.
fn conditional(writer: usize, round: usize) -> Value {
    let entries: Vec<Value> = (0..6)
        .map(|place| {
            let n = (place * (if writer.is_multiple_of(2) { 1 } else { 5 }) + writer) % 6;
            let patient = json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": format!("{round}-{n}")}],
                "birthDate": format!("19{:02}-01-01", 50 + writer)});
            let search = format!("identifier=urn:mrn|{round}-{n}");
            let request = if (n + writer).is_multiple_of(3) {
                json!({"method": "PUT", "url": format!("Patient?{search}")})
            } else {
                json!({"method": "POST", "url": "Patient", "ifNoneExist": search})
            };
            json!({"fullUrl": format!("urn:uuid:00000000-0000-4000-8000-00000000000{n}"), "resource": patient, "request": request})
        })
        .collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

async fn deadlocks(url: &str) -> i64 {
    let db = Database::connect(url).await.expect("the database");
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("an answer");
    row.expect("a row").try_get("", "deadlocks").expect("a number")
}

#[actix_web::test]
async fn writers_with_the_same_criteria_do_not_deadlock() {
    let Some(place) = Place::new(Backend::Postgres).await else { return };
    let server = Server::start(&place).await;
    for round in 0..ROUNDS {
        let answers = (0..WRITERS).map(|writer| {
            let (server, body) = (&server, conditional(writer, round));
            async move { server.post("/fhir", &body).await.expect(200) }
        });
        futures_util::future::join_all(answers).await;
    }
    assert_eq!(server.all("Patient?_count=200").await.len(), ROUNDS * 6);
    // The statistics are told a moment later.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(deadlocks(&place.url).await, 0);
    server.stop().await;
}
