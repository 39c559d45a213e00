//! Several processes on one PostgreSQL, and writers that want the same things in different orders.

use crate::crash::transaction;
use crate::process::{OPEN, Process, all, client, program};
use crate::server::{Backend, Place, Server};
use crate::story::{start_for, withdrawing};
use reqwest::Client;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, QueryResult, Statement};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CLIENTS: usize = 24;
const WRITERS: usize = 8;
const ROUNDS: usize = 6;
/// What a killed process had in hand is another's when its lease (3 s) ends and that one looks (every second): twice
/// that, for a busy machine.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(8);

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

/// On an empty database all of them migrate and write the Device; none ends.
#[actix_web::test]
async fn processes_that_start_together_all_start() {
    let client = client();
    for _ in 0..3 {
        let Some(place) = Place::new(Backend::Postgres).await else { return };
        let mut all: Vec<Process> = (0..4).map(|_| Process::launch(program(), &place.url, OPEN, None)).collect();
        for process in &mut all {
            process.ready(&client).await;
        }
    }
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

/// Clients that are claimed, and until when.
async fn claimed(db: &DatabaseConnection) -> Vec<(String, i64)> {
    let sql = "SELECT client, claimed_until FROM job WHERE due IS NOT NULL AND claimed_until IS NOT NULL";
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("an answer");
    let pair = |row: &QueryResult| {
        (row.try_get("", "client").expect("a client"), row.try_get("", "claimed_until").expect("a time"))
    };
    rows.iter().map(pair).collect()
}

#[actix_web::test]
async fn a_killed_ones_jobs_are_taken_over() {
    let Some(place) = Place::new(Backend::Postgres).await else { return };
    let client = client();
    let db = Database::connect(&place.url).await.expect("the database");
    let heir = Process::start(&place.url, &client).await;
    // Asleep, so that all that is claimed is the other's.
    heir.signal("STOP");
    let (mut lost, mut pushed) = (Vec::new(), Vec::new());
    while lost.is_empty() {
        let mut doomed = Process::start(&place.url, &client).await;
        for n in 0..CLIENTS / 4 {
            pushed.push(format!("t{}-{n}", pushed.len()));
            push(&client, &doomed, pushed.last().expect("it was pushed")).await;
        }
        let began = Instant::now();
        while claimed(&db).await.is_empty() && began.elapsed() < TAKEN_OVER_WITHIN {}
        doomed.kill();
        // It may have ended them as it died.
        lost = claimed(&db).await;
    }
    heir.signal("CONT");
    let began = Instant::now();
    while claimed(&db).await.iter().any(|job| lost.contains(job)) {
        assert!(began.elapsed() < TAKEN_OVER_WITHIN, "{} jobs were not taken over", lost.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{} jobs taken over after {:?}", lost.len(), began.elapsed());
    heir.settle(&client).await;
    for id in pushed {
        let flags = all(&client, &heir, &format!("Flag?patient={id}&status=active&code=engagement-drop")).await;
        assert_eq!(flags.len(), 1, "{id}");
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
