//! The plain doors: HEAD, signing in and the trail of it, one server for one file, and where colours come from.

use crate::ehr::Ehr;
use crate::server::{Backend, Place, Server};
use crate::story::{start_for, withdrawing};
use crate::trail::events;
use crate::visitor::{Browser, server};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[actix_web::test]
async fn head_is_answered_as_get_without_a_body() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let server = Server::start(&place).await;
    server.push(&withdrawing("p1", &start_for(15), 1)).await;
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/app/caseload",
        "/app/patients/p1",
        "/app/page.css",
        "/favicon.ico",
        "/auth/jwks",
        "/.well-known/jwks.json",
        "/fhir/.well-known/smart-configuration",
        "/fhir/metadata",
        "/app/patients/nobody",
    ] {
        let (get, head) = (server.get(path).await, server.send(Method::HEAD, path, &[], None).await);
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert!(head.text.is_empty(), "{path}: {}", head.text);
    }
    // What a look must not do is not looked at.
    for path in ["/launch", "/callback", "/auth/token"] {
        server.send(Method::HEAD, path, &[], None).await.expect(404);
    }
    server.stop().await;
}

#[actix_web::test]
async fn one_sqlite_file_has_one_server() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let server = Server::start(&place).await;
    let options = tautline::config::Options {
        listen: "127.0.0.1:0".parse().ok(),
        database_url: Some(place.url.clone()),
        ..Default::default()
    };
    let config = || tautline::config::Config::read(&options).expect("the configuration reads");
    let refused = tautline::app::start(config()).await.err().expect("refused").to_string();
    assert!(refused.contains("another server runs on") && refused.contains("PostgreSQL"), "{refused}");
    server.get("/readyz").await.expect(200);
    server.stop().await;
    tautline::app::start(config()).await.expect("it is free").stop().await;
}

/// A proxy that uses its connection again after some seconds does not find it closed.
#[actix_web::test]
async fn an_idle_connection_is_used_again_and_holds_up_no_end() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let server = Server::start(&place).await;
    let mut line = TcpStream::connect(server.base.trim_start_matches("http://")).await.expect("connected");
    for pause in [0, 8] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        line.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.expect("sent");
        let mut bytes = vec![0; 4096];
        let count = line.read(&mut bytes).await.expect("an answer");
        let text = String::from_utf8_lossy(&bytes[..count]);
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("ok\n"), "after {pause} s: {text:?}");
    }
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    drop(line);
}

/// Sign-ins of the trail, oldest first: outcome and what is said of it.
async fn sign_ins(url: &str) -> Vec<(String, String, Value)> {
    let mut all: Vec<Value> = events(url).await.into_iter().filter(|one| one["type"]["code"] == "110114").collect();
    all.sort_by_key(|one| one["id"].as_str().unwrap_or_default().to_owned());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.into_iter().map(|one| (text(&one["outcome"]), text(&one["outcomeDesc"]), one)).collect()
}

#[actix_web::test]
async fn whoever_comes_from_an_ehr_is_in_the_trail_let_in_or_not() {
    let ehr = Ehr::start().await;
    ehr.with(|ward| ward.resources = withdrawing("p1", &start_for(15), 1));
    let (server, place) = server(&[(&ehr, "")]).await;
    let mut browser = Browser::new(&server);
    let mut secrets = vec!["s3cret-code".to_owned(), "the-token-of-the-ehr".to_owned()];
    browser.get("/callback?state=s3cret-state&code=s3cret-code").await.expect(400);
    let mut back = async |context: Value, denies, status| {
        ehr.with(|ward| {
            ward.context = context;
            ward.denies = denies;
        });
        let asked = browser.launch(&ehr, Some("1")).await;
        secrets.extend(asked.parameters.get("state").cloned());
        secrets.extend(asked.redirect.split(['?', '&']).find_map(|pair| pair.strip_prefix("code=").map(str::to_owned)));
        browser.get(&asked.redirect).await.expect(status);
    };
    back(json!({"patient": "p1"}), Some("access_denied"), 403).await;
    back(json!({"patient": "p1"}), Some("<script>s3cret-code"), 403).await;
    back(json!({"patient": "p1", "token_type": "mac"}), None, 400).await;
    back(json!({"patient": "p1", "scope": "launch openid"}), None, 403).await;
    back(json!({}), None, 400).await;
    back(json!({"patient": "p1"}), None, 303).await;
    server.stop().await;
    let found = sign_ins(&place.url).await;
    let said: Vec<(&str, &str)> = found.iter().map(|(outcome, why, _)| (outcome.as_str(), why.as_str())).collect();
    assert_eq!(
        said,
        [
            ("4", "refused: the browser did not send the launch's cookie"),
            ("4", "refused: access_denied"),
            ("4", "refused: refused"),
            ("4", "refused: the record system's answer does not hold"),
            ("4", "refused: insufficient_scope"),
            ("4", "refused: no client, and nobody who treats"),
            ("0", ""),
        ]
    );
    for (place, (.., event)) in found.iter().enumerate() {
        let text = event.to_string();
        assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{text}");
        assert!(text.contains("127.0.0.1") && text.contains("launch"), "who it was: {text}");
        assert_eq!(text.contains(&ehr.iss), place > 0, "which record system, where that is known: {text}");
    }
}

#[actix_web::test]
async fn colours_come_from_where_the_operator_or_the_world_can_see() {
    let (ehr, framing) = (Ehr::start().await, Ehr::start().await);
    for one in [&ehr, &framing] {
        one.with(|ward| {
            ward.resources = withdrawing("p1", &start_for(15), 1);
            ward.style = json!({"color_background": "#fbfbf5", "color_text": "#101010"});
        });
    }
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("set");
    let port = trap.local_addr().expect("an address").port();
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let origin = framing.with(|ward| ward.url.clone());
    let lines = format!(
        "auth = \"smart\"\n[[ehrs]]\niss = \"{}\"\nclient_id = \"tautline\"\nallow_insecure = true\n\
         scope = \"launch patient/*.rs\"\nframe_ancestors = [\"{origin}\"]\n",
        ehr.iss
    );
    let server = Server::configured(&place, &lines).await;
    let mut browser = Browser::new(&server);
    let own = ehr.with(|ward| ward.url.clone());
    for (url, taken) in [
        (format!("{own}/style.json"), true),
        (format!("{origin}/style.json"), true),
        (format!("http://127.0.0.1:{port}/style.json"), false),
        (format!("https://127.0.0.1:{port}/style.json"), false),
        (format!("http://localhost:{port}/style.json"), false),
        (format!("https://localhost:{port}/style.json"), false),
        (own.replace("http://127.0.0.1", "http://localhost") + "/style.json", false),
        (format!("http://[::1]:{port}/style.json"), false),
        ("https://169.254.169.254/latest".to_owned(), false),
        ("file:///etc/passwd".to_owned(), false),
    ] {
        ehr.with(|ward| ward.context = json!({"patient": "p1", "smart_style_url": url}));
        let there = browser.enter(&ehr).await;
        let page = browser.page(&there).await.expect(200).text;
        assert_eq!(page.contains("palette.css"), taken, "{url}");
        assert!(trap.accept().is_err(), "{url} was asked for");
    }
    server.stop().await;
}
