//! More writers than can wait: the rest is refused at once, and what was accepted is kept.

use crate::server::{Backend, Place, Server};
use reqwest::Method;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

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
        // Whoever reads does not wait behind those who write.
        tokio::time::sleep(STILL / 2).await;
        let began = Instant::now();
        server.get("/fhir/Patient/none").await.expect(404);
        assert!(began.elapsed() < REFUSED_WITHIN, "read after {:?}", began.elapsed());
        tokio::time::sleep(STILL / 2).await;
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

/// Bodies that arrive hold memory: when all that they may take is taken, what comes is refused at once, and a sender who
/// goes lets go of his share.
#[actix_web::test]
async fn bodies_beyond_what_they_may_take_are_refused() {
    const HALF_SENT: usize = 64 * 1024 * 1024 - 1024;
    let place = Place::new(Backend::Sqlite).await.expect("SQLite");
    let server = Server::start(&place).await;
    let send = async || {
        let address = server.base.trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let head = "POST /fhir/Patient HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/fhir+json\r\n";
        stream.write_all(format!("{head}Content-Length: {}\r\n\r\n", HALF_SENT + 1).as_bytes()).await.expect("sent");
        let piece = vec![b' '; 1024 * 1024];
        for at in (0..HALF_SENT).step_by(piece.len()) {
            stream.write_all(&piece[..piece.len().min(HALF_SENT - at)]).await.expect("sent");
        }
        stream
    };
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(send().await);
    }
    let long = format!("{}{{\"resourceType\": \"Patient\", \"id\": \"long\"}}", " ".repeat(1024 * 1024));
    let put = async |id: &str, body: String| {
        let headers = [("content-type", "application/fhir+json")];
        server.send(Method::PUT, &format!("/fhir/Patient/{id}"), &headers, Some(body.into_bytes())).await
    };
    // What was sent may still be on its way.
    let arrived = async || {
        let metrics = server.get("/metrics").await.text;
        metrics.lines().find_map(|line| line.strip_prefix("tautline_bodies_bytes ")?.parse::<usize>().ok())
    };
    let began = Instant::now();
    while arrived().await != Some(4 * HALF_SENT) {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?} of {}", arrived().await, 4 * HALF_SENT);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = put("long", long.clone()).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.issues()[0].0, "transient");
    put("short", json!({"resourceType": "Patient", "id": "short"}).to_string()).await.expect(201);
    drop(held);
    let mut taken = put("long", long.clone()).await;
    for _ in 0..200 {
        if taken.status != 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        taken = put("long", long.clone()).await;
    }
    assert!(taken.status.is_success(), "{}", taken.text);
    server.stop().await;
}
