//! The program itself, as a process that can be killed and whose log can be read.

use reqwest::Client;
use serde_json::Value;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_TRIES: usize = 3000;
const READY_PAUSE: Duration = Duration::from_millis(20);
const STARTS_MAX: usize = 10;
const SETTLED_WITHIN: Duration = Duration::from_secs(1200);
/// Nobody is asked, and nobody is held back.
pub const OPEN: &[&str] = &["--auth", "none", "--requests-per-second", "1000000"];

/// Another build of the program than the one under test.
const PROGRAM_VARIABLE: &str = "TAUTLINE_TEST_PROGRAM";

/// The program, to be run.
pub fn program() -> Command {
    Command::new(std::env::var(PROGRAM_VARIABLE).unwrap_or_else(|_| env!("CARGO_BIN_EXE_tautline").to_owned()))
}

pub struct Process {
    child: Child,
    pub base: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// To talk to it with: no server of this process has set up TLS.
pub fn client() -> Client {
    tautline::smart::fetch::install_tls();
    Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("a client")
}

impl Process {
    /// Open to all.
    pub async fn start(url: &str, client: &Client) -> Self {
        Self::start_with(url, client, OPEN, None).await
    }

    /// With these options; its log, all of it, to `log`.
    pub async fn start_with(url: &str, client: &Client, options: &[&str], log: Option<&Path>) -> Self {
        let mut process = Self::launch(program(), url, options, log);
        // Where the database does not answer yet it ends, and is started again, as systemd would.
        for _ in 0..STARTS_MAX {
            if process.answers(client).await {
                return process;
            }
            process = Self::launch(program(), url, options, log);
        }
        panic!("it ends by itself");
    }

    /// `command` is the program, or runs it with the arguments that follow.
    pub fn launch(mut command: Command, url: &str, options: &[&str], log: Option<&Path>) -> Self {
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let base = format!("http://127.0.0.1:{port}");
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--database-url", url]).args(options);
        let stderr = match log {
            None => Stdio::null(),
            Some(path) => {
                command.env("TAUTLINE_LOG", "trace");
                File::create(path).expect("a log").into()
            }
        };
        let child = command.stdout(Stdio::null()).stderr(stderr).spawn().expect("the program starts");
        Self { child, base }
    }

    pub async fn ready(&mut self, client: &Client) {
        assert!(self.answers(client).await, "it has ended by itself");
    }

    /// Until it is ready; `false`: it ends.
    async fn answers(&mut self, client: &Client) -> bool {
        // Tries, not time: the machine may stand still.
        for _ in 0..READY_TRIES {
            let answer = client.get(format!("{}/readyz", self.base)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return true;
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
        panic!("not ready after {READY_TRIES} tries");
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// STOP, CONT …
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{name}");
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
