//! `tautline serve` as a process.

use reqwest::Client;
use serde_json::Value;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(60);
const SETTLED_WITHIN: Duration = Duration::from_secs(1200);

pub struct Process {
    child: Child,
    pub base: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    pub async fn start(url: &str, client: &Client) -> Self {
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let base = format!("http://127.0.0.1:{port}");
        let child = Command::new(env!("CARGO_BIN_EXE_tautline"))
            .args(["serve", "--auth", "none", "--listen", &format!("127.0.0.1:{port}"), "--database-url", url])
            .args(["--requests-per-second", "1000000"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let process = Self { child, base };
        process.ready(client).await;
        process
    }

    pub async fn ready(&self, client: &Client) {
        let began = Instant::now();
        while began.elapsed() < READY_WITHIN {
            let answer = client.get(format!("{}/readyz", self.base)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not ready within {READY_WITHIN:?}");
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// A figure of `/metrics`.
    pub async fn metric(&self, client: &Client, name: &str) -> Option<u64> {
        let text = client.get(format!("{}/metrics", self.base)).send().await.ok()?.text().await.ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Waits until nobody waits to be assessed, those included whose lease has to end first.
    pub async fn settle(&self, client: &Client) {
        let began = Instant::now();
        tokio::time::sleep(Duration::from_millis(150)).await;
        while self.metric(client, "tautline_jobs_pending ").await != Some(0) {
            assert!(began.elapsed() < SETTLED_WITHIN, "the findings did not come");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Every current resource of a search, over all pages.
pub async fn all(client: &Client, process: &Process, search: &str) -> Vec<Value> {
    let mut out = Vec::new();
    let mut next = Some(format!("{}/fhir/{search}", process.base));
    while let Some(url) = next {
        let text = client.get(&url).send().await.expect("an answer").text().await.expect("a body");
        let bundle: Value = serde_json::from_str(&text).expect("json");
        assert_eq!(bundle["resourceType"], "Bundle", "{text}");
        out.extend(bundle["entry"].as_array().into_iter().flatten().map(|entry| entry["resource"].clone()));
        let links = bundle["link"].as_array().into_iter().flatten();
        next = links.filter(|link| link["relation"] == "next").find_map(|link| link["url"].as_str().map(str::to_owned));
    }
    out
}
