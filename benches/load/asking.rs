//! Requests, and how long their answers took.

use reqwest::{Client, Method};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SETTLED_WITHIN: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub struct Ask {
    method: Method,
    /// Under the FHIR base; with `/app`, under the server's root.
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

#[derive(Clone)]
pub struct Asker {
    /// FHIR bases of one service: the clients are dealt out to them.
    bases: Arc<[String]>,
    client: Client,
}

/// What one kind of request took.
pub struct Measured {
    name: String,
    /// Sorted.
    took: Vec<Duration>,
    whole: Duration,
}

/// How one request ended.
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub took: Duration,
}

impl Asker {
    pub fn new(bases: Vec<String>) -> Self {
        for base in &bases {
            let host = base.split("://").nth(1).unwrap_or_default();
            let local = ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host.starts_with(name));
            assert!(local, "load goes to this machine alone");
        }
        Self { bases: bases.into(), client: Client::builder().no_proxy().build().expect("a client") }
    }

    /// Sends every request once, by `clients` at the same time.
    pub async fn all(&self, name: &str, clients: usize, asks: Vec<Ask>) -> Measured {
        let asks: Arc<[Ask]> = asks.into();
        let next = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let tasks: Vec<_> = (0..clients)
            .map(|number| {
                let (asks, next, asker) = (Arc::clone(&asks), Arc::clone(&next), self.clone());
                tokio::spawn(async move {
                    let mut took = Vec::with_capacity(asks.len());
                    while let Some(ask) = asks.get(next.fetch_add(1, Ordering::Relaxed)) {
                        took.push(asker.well(number, ask).await.took);
                    }
                    took
                })
            })
            .collect();
        let mut took = Vec::with_capacity(asks.len());
        for task in tasks {
            took.extend(task.await.expect("every request is answered"));
        }
        Measured::new(name, took, began.elapsed())
    }

    /// One request by client `number`, whatever comes of it.
    pub async fn one(&self, number: usize, ask: &Ask) -> Answer {
        let base = &self.bases[number % self.bases.len()];
        let root = base.strip_suffix("/fhir").unwrap_or(base);
        let url = if ask.url.starts_with("/app") { format!("{root}{}", ask.url) } else { format!("{base}{}", ask.url) };
        let mut request = self.client.request(ask.method.clone(), url);
        if let Some(body) = &ask.body {
            request = request.header("content-type", "application/fhir+json").body(body.clone());
        }
        let began = Instant::now();
        let answer = request.send().await;
        let status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
        let body = match answer {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => format!("{error:?}"),
        };
        Answer { status, body, took: began.elapsed() }
    }

    /// One that has to succeed.
    pub async fn well(&self, number: usize, ask: &Ask) -> Answer {
        let answer = self.one(number, ask).await;
        let short: String = answer.body.chars().take(500).collect();
        assert!((200..300).contains(&answer.status), "{} {}: {} {short}", ask.method, ask.url, answer.status);
        answer
    }

    /// Sums of our server's figures that begin so; `None`: another server.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let mut sum = None;
        for base in self.bases.iter() {
            let url = format!("{}/metrics", base.strip_suffix("/fhir")?);
            let text = self.client.get(url).send().await.ok()?.text().await.ok()?;
            for value in text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok()) {
                *sum.get_or_insert(0.0) += value;
            }
        }
        sum
    }

    /// Waits until our server has nobody left to assess, and says how long that was, seconds.
    pub async fn settle(&self) -> f64 {
        let began = Instant::now();
        // A job is due a moment after its write.
        tokio::time::sleep(Duration::from_millis(150)).await;
        loop {
            match self.metric("tautline_jobs_pending ").await {
                Some(pending) if pending > 0.0 => {}
                _ => break,
            }
            assert!(began.elapsed() < SETTLED_WITHIN, "the assessments did not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        began.elapsed().as_secs_f64()
    }
}

pub fn heading() {
    println!(
        "{:<50}{:>9}{:>9}{:>9}{:>9}{:>12}{:>13}",
        "milliseconds", "p50", "p95", "p99", "max", "answers/s", "resources/s"
    );
}

impl Measured {
    pub fn new(name: &str, mut took: Vec<Duration>, whole: Duration) -> Self {
        took.sort();
        Self { name: name.to_owned(), took, whole }
    }

    /// Milliseconds.
    pub fn at(&self, share: f64) -> f64 {
        let place = ((self.took.len() as f64 * share) as usize).min(self.took.len().saturating_sub(1));
        self.took.get(place).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    }

    /// From the first request to the last answer.
    pub fn whole_ms(&self) -> f64 {
        self.whole.as_secs_f64() * 1000.0
    }

    pub fn per_second(&self) -> f64 {
        self.took.len() as f64 / self.whole.as_secs_f64()
    }

    pub fn print(&self, resources: usize) {
        let rate = self.per_second();
        let resources = rate * resources as f64;
        let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|share| self.at(share));
        println!("{:<50}{p50:>9.2}{p95:>9.2}{p99:>9.2}{max:>9.2}{rate:>12.0}{resources:>13.0}", self.name);
    }
}
