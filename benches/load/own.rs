//! Our own server: the program itself, one process or several on one database.

use crate::postgres_support;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(60);
/// Another build of the program.
const PROGRAM_VARIABLE: &str = "TAUTLINE_TEST_PROGRAM";

/// Where the data is.
pub struct Place {
    pub name: &'static str,
    pub url: String,
    pub folder: Option<tempfile::TempDir>,
}

impl Place {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("load.db").display());
        Self { name: "SQLite", url, folder: Some(folder) }
    }

    pub async fn postgres() -> Option<Self> {
        let url = postgres_support::new_database().await?;
        Some(Self { name: "PostgreSQL", url, folder: None })
    }

    /// Another of the kind, empty.
    pub async fn another(&self) -> Self {
        match self.folder {
            Some(_) => Self::sqlite(),
            None => Self::postgres().await.expect("PostgreSQL was there a moment ago"),
        }
    }
}

pub struct Own {
    children: Vec<Child>,
    /// `http://127.0.0.1:…`
    pub roots: Vec<String>,
    pub ready: Duration,
}

impl Own {
    pub async fn start(place: &Place, instances: usize) -> Self {
        let mut own = Self { children: Vec::new(), roots: Vec::new(), ready: Duration::ZERO };
        let program = std::env::var(PROGRAM_VARIABLE).unwrap_or_else(|_| env!("CARGO_BIN_EXE_tautline").to_owned());
        for _ in 0..instances {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
            let began = Instant::now();
            let child = Command::new(&program)
                .args(["serve", "--auth", "none", "--requests-per-second", "1000000"])
                .args(["--listen", &format!("127.0.0.1:{port}"), "--database-url", &place.url])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            own.children.push(child);
            own.roots.push(format!("http://127.0.0.1:{port}"));
            while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(began.elapsed() < READY_WITHIN, "the server does not start");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            own.ready = began.elapsed();
        }
        own
    }

    pub fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Resident memory of these processes, MB.
pub fn resident_mb(pids: &[u32]) -> f64 {
    memory_mb(pids, "VmRSS:")
}

/// Without what is mapped from files, which the system takes back when it wants: MB.
pub fn anonymous_mb(pids: &[u32]) -> f64 {
    memory_mb(pids, "RssAnon:")
}

fn memory_mb(pids: &[u32], what: &str) -> f64 {
    let one = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(what))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    pids.iter().filter_map(one).sum::<f64>() / 1024.0
}
