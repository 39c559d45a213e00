//! A server for one test.

use crate::server::postgres_support as postgres;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tautline::app::{self, Running};
use tautline::clock::{Clock, SystemClock};
use tautline::config::{Auth, Config, Options};

#[path = "../support/postgres.rs"]
pub mod postgres_support;

/// Longest wait for findings.
const FINDINGS_WITHIN: Duration = Duration::from_secs(30);

/// Where the test's data is.
pub struct Place {
    pub url: String,
    pub _folder: Option<tempfile::TempDir>,
}

#[derive(Clone, Copy, Debug)]
pub enum Backend {
    Sqlite,
    Postgres,
}

impl Place {
    /// `None`: PostgreSQL is not installed, which has been said on stderr.
    pub async fn new(backend: Backend) -> Option<Self> {
        match backend {
            Backend::Sqlite => {
                let folder = tempfile::tempdir().expect("a folder");
                let url = format!("sqlite://{}", folder.path().join("test.db").display());
                Some(Self { url, _folder: Some(folder) })
            }
            Backend::Postgres => postgres::new_database().await.map(|url| Self { url, _folder: None }),
        }
    }
}

pub struct Server {
    running: Running,
    pub client: Client,
    pub base: String,
}

/// The machine's clock, set forward.
#[derive(Default)]
pub struct Ahead(AtomicI64);

impl Ahead {
    pub fn by_minutes(&self, minutes: i64) {
        self.0.fetch_add(minutes * 60, Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now() + jiff::SignedDuration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// `issue.code` and `issue.expression` of an OperationOutcome.
    pub fn issues(&self) -> Vec<(String, String)> {
        let outcome = self.json();
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        outcome["issue"]
            .as_array()
            .expect("issues")
            .iter()
            .map(|i| (text(&i["code"]), text(&i["expression"][0])))
            .collect()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Server {
    pub async fn start(place: &Place) -> Self {
        let options = Options {
            listen: "127.0.0.1:0".parse().ok(),
            database_url: Some(place.url.clone()),
            auth: Some(Auth::None),
            ..Options::default()
        };
        Self::start_with(&options).await
    }

    /// With a configuration file of these lines, on a port of its own.
    pub async fn configured(place: &Place, lines: &str) -> Self {
        Self::clocked(place, lines, Arc::new(SystemClock)).await
    }

    /// The same by a clock of the test's.
    pub async fn clocked(place: &Place, lines: &str, clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tautline.toml");
        std::fs::write(&path, lines).expect("written");
        let options = Options {
            config: Some(path),
            listen: "127.0.0.1:0".parse().ok(),
            database_url: Some(place.url.clone()),
            ..Options::default()
        };
        Self::start_at(&options, clock).await
    }

    async fn start_with(options: &Options) -> Self {
        Self::start_at(options, Arc::new(SystemClock)).await
    }

    async fn start_at(options: &Options, clock: Arc<dyn Clock>) -> Self {
        let config = Config::read(options).expect("the configuration reads");
        let running = app::start_with(config, clock).await.expect("the server starts");
        let scheme = if running.state.config.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", running.address);
        let client = Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().expect("a client");
        Self { running, client, base }
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Answer {
        self.try_send(method, path, headers, body).await.expect("an answer")
    }

    /// `None`: the connection ended before an answer.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Option<Answer> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        Some(Answer { status, headers, text: response.text().await.expect("a body") })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.with(Method::POST, path, &[], body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.with(Method::PUT, path, &[], body).await
    }

    pub async fn with(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![("content-type", "application/fhir+json")];
        all.extend(headers);
        self.send(method, path, &all, Some(body.to_string().into_bytes())).await
    }

    /// Puts these resources (each with an id) in one transaction.
    #[track_caller]
    pub fn push<'a>(&'a self, resources: &'a [Value]) -> impl Future<Output = Answer> + 'a {
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
        async move {
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
            self.post("/fhir", &bundle).await.expect(200)
        }
    }

    /// Waits until nobody is waiting to be assessed.
    pub async fn settle(&self) {
        self.settle_within(FINDINGS_WITHIN).await;
    }

    pub async fn settle_within(&self, most: Duration) {
        let began = Instant::now();
        // A job is due a moment after its write.
        tokio::time::sleep(Duration::from_millis(150)).await;
        while began.elapsed() < most {
            let metrics = self.get("/metrics").await.text;
            let pending = metrics.lines().find_map(|line| line.strip_prefix("tautline_jobs_pending "));
            if pending == Some("0") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the findings did not come within {most:?}");
    }

    /// Every current resource of a search, over all pages.
    pub async fn all(&self, search: &str) -> Vec<Value> {
        let mut out = Vec::new();
        let mut next = Some(format!("{}/fhir/{search}", self.base));
        while let Some(url) = next {
            let path = url.strip_prefix(&self.base).expect("our own link").to_owned();
            let bundle = self.get(&path).await.expect(200).json();
            out.extend(bundle["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"].clone()));
            next = bundle["link"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|link| link["relation"] == "next")
                .and_then(|link| link["url"].as_str().map(str::to_owned));
        }
        out
    }
}

/// The same test on both databases.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident: &Server) $body:block)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn body($server: &$crate::server::Server) $body

            async fn on(backend: $crate::server::Backend) {
                let Some(place) = $crate::server::Place::new(backend).await else { return };
                let server = $crate::server::Server::start(&place).await;
                body(&server).await;
                server.stop().await;
            }

            #[actix_web::test]
            async fn sqlite() {
                on($crate::server::Backend::Sqlite).await;
            }

            #[actix_web::test]
            async fn postgres() {
                on($crate::server::Backend::Postgres).await;
            }
        }
    )*};
}
