//! Requests, and how long their answers took.

use reqwest::{Client, Method};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SETTLED_WITHIN: Duration = Duration::from_secs(300);

#[derive(Clone)]
pub struct Ask {
    method: Method,
    /// Under the FHIR base, or whole.
    url: String,
    body: Option<Vec<u8>>,
}

impl Ask {
    pub fn post(url: &str, body: Vec<u8>) -> Self {
        Self { method: Method::POST, url: url.to_owned(), body: Some(body) }
    }

    pub fn get(url: &str) -> Self {
        Self { method: Method::GET, url: url.to_owned(), body: None }
    }
}

pub struct Asker {
    base: String,
    client: Client,
}

/// What one kind of request took.
pub struct Measured {
    name: String,
    /// Sorted.
    took: Vec<Duration>,
    whole: Duration,
}

impl Asker {
    pub fn new(base: &str) -> Self {
        let host = base.split("://").nth(1).unwrap_or_default();
        let local = ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
        assert!(local, "load goes to this machine alone");
        Self { base: base.to_owned(), client: Client::builder().no_proxy().build().expect("a client") }
    }

    /// Sends every request once, by `clients` at the same time.
    pub async fn all(&self, name: &str, clients: usize, asks: Vec<Ask>) -> Measured {
        let asks: Arc<[Ask]> = asks.into();
        let next = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let tasks: Vec<_> = (0..clients)
            .map(|_| {
                let (asks, next) = (Arc::clone(&asks), Arc::clone(&next));
                let (client, base) = (self.client.clone(), self.base.clone());
                tokio::spawn(async move {
                    let mut took = Vec::with_capacity(asks.len());
                    while let Some(ask) = asks.get(next.fetch_add(1, Ordering::Relaxed)) {
                        took.push(one(&client, &base, ask).await);
                    }
                    took
                })
            })
            .collect();
        let mut took = Vec::with_capacity(asks.len());
        for task in tasks {
            took.extend(task.await.expect("every request is answered"));
        }
        let whole = began.elapsed();
        took.sort();
        Measured { name: name.to_owned(), took, whole }
    }

    /// Waits until our server has nobody left to assess, and says how long that was.
    pub async fn settle(&self, root: &str) -> f64 {
        let began = Instant::now();
        // A job is due a moment after its write.
        tokio::time::sleep(Duration::from_millis(150)).await;
        while began.elapsed() < SETTLED_WITHIN {
            let response = self.client.get(format!("{root}/metrics")).send().await.expect("an answer");
            let metrics = response.text().await.expect("a body");
            if metrics.lines().any(|line| line == "tautline_jobs_pending 0") {
                let seconds = began.elapsed().as_secs_f64();
                if seconds > 0.5 {
                    println!("  (everybody is assessed {seconds:.1} s later)");
                }
                return seconds;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the assessments did not end within {SETTLED_WITHIN:?}");
    }
}

async fn one(client: &Client, base: &str, ask: &Ask) -> Duration {
    let url = if ask.url.starts_with("http") { ask.url.clone() } else { format!("{base}{}", ask.url) };
    let mut request = client.request(ask.method.clone(), url);
    if let Some(body) = &ask.body {
        request = request.header("content-type", "application/fhir+json").body(body.clone());
    }
    let began = Instant::now();
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let body = response.bytes().await.expect("a body");
    let took = began.elapsed();
    assert!(status.is_success(), "{} {}: {status} {}", ask.method, ask.url, String::from_utf8_lossy(&body));
    took
}

pub fn heading() {
    println!(
        "{:<46}{:>9}{:>9}{:>9}{:>9}{:>12}{:>13}",
        "milliseconds", "p50", "p95", "p99", "max", "answers/s", "resources/s"
    );
}

impl Measured {
    fn at(&self, share: f64) -> f64 {
        let place = ((self.took.len() as f64 * share) as usize).min(self.took.len().saturating_sub(1));
        self.took.get(place).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    }

    /// From the first request to the last answer.
    pub fn whole_ms(&self) -> f64 {
        self.whole.as_secs_f64() * 1000.0
    }

    pub fn median_ms(&self) -> f64 {
        self.at(0.5)
    }

    pub fn print(&self, resources: usize) {
        let rate = self.took.len() as f64 / self.whole.as_secs_f64();
        let resources = rate * resources as f64;
        let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|share| self.at(share));
        println!("{:<46}{p50:>9.2}{p95:>9.2}{p99:>9.2}{max:>9.2}{rate:>12.0}{resources:>13.0}", self.name);
    }
}
