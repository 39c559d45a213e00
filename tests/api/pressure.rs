//! More writers than can wait: the rest is refused at once, and what was accepted is kept.

use crate::server::{Backend, Place, Server};
use reqwest::Method;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::json;
use std::time::{Duration, Instant};

/// Writers that may wait, by our own promise.
const WAITING_MAX: usize = 256;
const WRITERS: usize = 300;
/// The database stands still this long.
const STILL: Duration = Duration::from_secs(4);
/// Longest time for a refusal, on a machine under load.
const REFUSED_WITHIN: Duration = Duration::from_secs(3);

#[actix_web::test]
async fn sqlite() {
    beyond_its_capacity_it_sheds_and_keeps_what_it_accepted(Backend::Sqlite).await;
}

#[actix_web::test]
async fn postgres() {
    beyond_its_capacity_it_sheds_and_keeps_what_it_accepted(Backend::Postgres).await;
}

/// Nobody else writes until this is let go.
async fn hold(backend: Backend, place: &Place) -> DatabaseConnection {
    let mut options = ConnectOptions::new(place.url.clone());
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.expect("the database");
    let hold = match backend {
        Backend::Sqlite => "BEGIN IMMEDIATE",
        Backend::Postgres => "BEGIN; LOCK TABLE resource IN EXCLUSIVE MODE",
    };
    db.execute_unprepared(hold).await.expect("the lock");
    db
}

async fn beyond_its_capacity_it_sheds_and_keeps_what_it_accepted(backend: Backend) {
    let Some(place) = Place::new(backend).await else { return };
    let server = Server::start(&place).await;
    let lock = hold(backend, &place).await;
    let let_go = async {
        tokio::time::sleep(STILL).await;
        lock.execute_unprepared("ROLLBACK").await.expect("let go");
    };
    let write = async |n: usize| {
        let patient = json!({"resourceType": "Patient", "id": format!("p{n}")});
        let began = Instant::now();
        let headers = [("content-type", "application/fhir+json")];
        let body = patient.to_string().into_bytes();
        let answer = server.send(Method::PUT, &format!("/fhir/Patient/p{n}"), &headers, Some(body)).await;
        (n, began.elapsed(), answer)
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all((0..WRITERS).map(write)), let_go);
    let mut refused = 0;
    for (n, took, answer) in &answers {
        let stored = server.get(&format!("/fhir/Patient/p{n}")).await.status;
        match answer.status.as_u16() {
            201 => assert_eq!(stored, 200, "p{n} was accepted"),
            503 => {
                refused += 1;
                assert!(*took < REFUSED_WITHIN, "refused after {took:?}");
                assert_eq!(answer.header("retry-after"), "1");
                assert_eq!(answer.issues()[0].0, "transient");
                assert_eq!(stored, 404, "p{n} was refused");
            }
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert!((WRITERS - WAITING_MAX..WRITERS / 2).contains(&refused), "{refused} of {WRITERS}");
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains(&format!("tautline_writes_shed_total {refused}\n")), "{metrics}");
    assert!(metrics.contains(&format!("tautline_refusals_total{{reason=\"transient\"}} {refused}\n")), "{metrics}");
    assert!(metrics.contains("tautline_writers 0\n"), "{metrics}");
    let written = metrics.lines().find_map(|line| line.strip_prefix("tautline_resources_written_total ")?.parse().ok());
    assert!(written >= Some(WRITERS - refused), "{metrics}");
    server.stop().await;
}
