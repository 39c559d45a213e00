//! Clients that take their time: each is let go, and nobody waits for them.

use crate::server::{Backend, Place, Server};
use crate::story::patient;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Sends `head`, then a byte each half second until the server ends it; what it says, and after how long.
async fn dribble(server: &Server, head: &str) -> (String, Duration) {
    let address = server.base.trim_start_matches("http://").to_owned();
    let began = Instant::now();
    let socket = TcpStream::connect(&address).await.expect("connected");
    let (mut from, mut to) = socket.into_split();
    to.write_all(head.as_bytes()).await.expect("sent");
    let dribbling = tokio::spawn(async move {
        while to.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(100), async {
        let mut bytes = [0; 4096];
        // The first words are enough: the connection may be kept for what is still coming.
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            answer.extend_from_slice(&bytes[..count]);
            if answer.windows(4).any(|four| four == b"\r\n\r\n") {
                break;
            }
        }
    });
    read.await.expect("the server ends it");
    dribbling.abort();
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
}

#[actix_web::test]
async fn heads_and_bodies_that_never_end_are_ended() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let server = Server::start(&place).await;
    server.push(&[patient("a")]).await;
    let json = "Host: x\r\nContent-Type: application/fhir+json\r\nContent-Length: 5000\r\n\r\n{";
    let form =
        "Host: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n\r\ncsrf=";
    let cases = [
        ("GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(), "408", 20),
        (format!("POST /fhir/Patient HTTP/1.1\r\n{}", json.replace("Host: x", "Host: 127.0.0.1")), "408", 45),
        (format!("POST /app/patients/a/judgements HTTP/1.1\r\n{form}"), "400", 20),
    ];
    let ended = futures_util::future::join_all(cases.iter().map(|(head, ..)| dribble(&server, head)));
    // Meanwhile the others are served.
    let others = async {
        for _ in 0..10 {
            let began = Instant::now();
            server.get("/fhir/Patient/a").await.expect(200);
            assert!(began.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let (ended, ()) = tokio::join!(ended, others);
    for ((head, status, within), (answer, took)) in cases.iter().zip(ended) {
        assert!(took < Duration::from_secs(*within), "{head:?}: {took:?}");
        assert!(answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}")), "{head:?}: {answer}");
    }
    server.stop().await;
}

/// Eight Patients of 900 kB each.
async fn push_heavy(server: &Server) {
    let mut heavy = patient("a");
    heavy["contact"] = json!([{"name": {"text": "x".repeat(900_000)}}]);
    for id in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        heavy["id"] = json!(id);
        server.push(&[heavy.clone()]).await;
    }
}

#[actix_web::test]
async fn a_reader_who_does_not_read_is_let_go() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let server = Server::start(&place).await;
    push_heavy(&server).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("set");
    let address = server.base.trim_start_matches("http://").parse().expect("an address");
    let mut stream = socket.connect(address).await.expect("connected");
    stream.write_all(b"GET /fhir/Patient?_count=100 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.expect("sent");
    let mut first = [0; 16];
    stream.read_exact(&mut first).await.expect("the answer begins");
    assert_eq!(&first[..12], b"HTTP/1.1 200");
    // Longer than anything may lie unread; then the connection is gone before the answer's end.
    tokio::time::sleep(Duration::from_secs(75)).await;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    assert!(rest.len() < 6_000_000, "{} bytes came all the same", rest.len());
    server.get("/healthz").await.expect(200);
    server.stop().await;
}

/// Reads an answer of about `whole` bytes, `piece` bytes at a time and so many a second, until it ends or the time is
/// over; how much came, and how long it took.
async fn sip(server: &Server, piece: usize, per_second: f64, most: Duration) -> (usize, Duration) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("set");
    let address = server.base.trim_start_matches("http://").parse().expect("an address");
    let mut stream = socket.connect(address).await.expect("connected");
    let head = b"GET /fhir/Patient?_count=100 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    stream.write_all(head).await.expect("sent");
    let (began, mut read, mut bytes) = (Instant::now(), 0, vec![0; piece]);
    while began.elapsed() < most {
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => break,
            Ok(count) => read += count,
        }
        let due = Duration::from_secs_f64(read as f64 / per_second);
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
    }
    let took = began.elapsed();
    // What was on its way when the line was cut still comes; had it not been cut, all of it would.
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    (read + rest.len(), took)
}

#[actix_web::test]
async fn a_reader_who_trickles_is_cut_off_and_a_slow_one_is_not() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let server = Server::start(&place).await;
    push_heavy(&server).await;
    let whole = 8 * 900_000;
    let (trickle, slow) = tokio::join!(
        sip(&server, 50, 100.0, Duration::from_secs(75)),
        sip(&server, 16 * 1024, 96.0 * 1024.0, Duration::from_secs(150)),
    );
    assert!(slow.0 >= whole, "an honest reader got {} bytes in {:?}", slow.0, slow.1);
    assert!(trickle.0 < whole / 2, "{trickle:?}");
    server.get("/healthz").await.expect(200);
    server.stop().await;
}

/// Sends a Patient of `whole` bytes, `piece` bytes at a time and so many a second; the answer's first line, and after
/// how long.
async fn pour(server: &Server, id: &str, whole: usize, piece: usize, per_second: f64) -> (String, Duration) {
    let mut patient = patient(id);
    patient["contact"] = json!([{"name": {"text": "x".repeat(900_000)}}]);
    let mut body = patient.to_string().into_bytes();
    body.resize(whole, b' ');
    let stream = TcpStream::connect(server.base.trim_start_matches("http://")).await.expect("connected");
    let (mut from, mut to) = stream.into_split();
    let head = format!(
        "PUT /fhir/Patient/{id} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/fhir+json\r\nContent-Length: {whole}\r\n\r\n"
    );
    to.write_all(head.as_bytes()).await.expect("sent");
    let began = Instant::now();
    let sending = tokio::spawn(async move {
        for (n, piece_of) in body.chunks(piece).enumerate() {
            if to.write_all(piece_of).await.is_err() {
                return to;
            }
            let due = Duration::from_secs_f64(((n + 1) * piece) as f64 / per_second);
            tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        }
        to
    });
    let mut first = vec![0; 12];
    let read = tokio::time::timeout(Duration::from_secs(150), from.read_exact(&mut first)).await;
    let took = began.elapsed();
    sending.abort();
    let said = read.expect("an answer in time").map(|_| String::from_utf8_lossy(&first).into_owned());
    (said.unwrap_or_default(), took)
}

#[actix_web::test]
async fn a_sender_who_trickles_is_cut_off_and_a_slow_one_is_not() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let server = Server::start(&place).await;
    let (trickle, slow) = tokio::join!(
        pour(&server, "a", 1_000_000, 50, 100.0),
        // Longer than a minute, at a rate that is slow and honest.
        pour(&server, "b", 3_000_000, 8 * 1024, 40.0 * 1024.0),
    );
    assert!(trickle.1 < Duration::from_secs(45), "{trickle:?}");
    assert!(trickle.0.is_empty() || trickle.0.ends_with("408"), "{trickle:?}");
    assert!(slow.0.ends_with("201") && slow.1 > Duration::from_secs(65), "{slow:?}");
    server.get("/fhir/Patient/a").await.expect(404);
    server.get("/fhir/Patient/b").await.expect(200);
    server.stop().await;
}
