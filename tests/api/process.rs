//! The program itself, as a process that can be killed and whose log can be read.

use crate::server::Place;
use reqwest::Client;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(30);

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
    Client::builder().no_proxy().build().expect("a client")
}

impl Process {
    /// With these options; its log, all of it, to `log`.
    pub async fn start(place: &Place, client: &Client, options: &[&str], log: Option<&Path>) -> Self {
        // A port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let base = format!("http://127.0.0.1:{port}");
        let stderr = log.map_or_else(Stdio::null, |path| File::create(path).expect("a log").into());
        let child = Command::new(env!("CARGO_BIN_EXE_tautline"))
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--database-url", &place.url])
            .args(options)
            .env("TAUTLINE_LOG", "trace")
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        let process = Self { child, base };
        let began = Instant::now();
        while began.elapsed() < READY_WITHIN {
            let answer = client.get(format!("{}/readyz", process.base)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return process;
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
}
