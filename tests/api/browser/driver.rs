//! Chromium, driven through its WebDriver.

use fantoccini::elements::Element;
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};

/// Longest wait for something to be seen.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// One browser at a time: it is a heavy guest.
static ONE: Mutex<()> = Mutex::const_new(());

pub struct Browser {
    pub client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Browser {
    /// With these preferences of Chromium's. `None`: it is not installed, which has been said on stderr.
    pub async fn open(preferences: Value) -> Option<Self> {
        let one = ONE.lock().await;
        let profile = tempfile::tempdir().expect("a folder");
        let Some((driver, address)) = start() else {
            // Past the test harness, which keeps what passing tests print to itself.
            let text = "SKIPPED: browser tests: chromium and chromedriver (Debian: chromium-driver) are not installed";
            let _ = writeln!(std::io::stderr(), "{text}");
            return None;
        };
        let options = json!({
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
                "--no-first-run", "--disable-background-networking", "--disable-component-update", "--no-proxy-server",
                format!("--user-data-dir={}", profile.path().display())],
            "prefs": preferences,
        });
        let capabilities = json!({"acceptInsecureCerts": true, "goog:chromeOptions": options});
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().expect("an object").clone());
        let client = builder.connect(&address).await.expect("a browser");
        Some(Self { client, driver, _profile: profile, _one: one })
    }

    pub async fn close(mut self) {
        let _ = self.client.clone().close().await;
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }

    /// A page of its own, not in a frame.
    pub async fn go(&self, url: &str) {
        self.client.goto(url).await.expect("the page loads");
    }

    pub async fn tab(&self) -> WindowHandle {
        self.client.window().await.expect("a tab")
    }

    pub async fn new_tab(&self) -> WindowHandle {
        let handle = self.client.new_window(true).await.expect("a tab").handle;
        self.switch(&handle).await;
        handle
    }

    pub async fn switch(&self, tab: &WindowHandle) {
        self.client.switch_to_window(tab.clone()).await.expect("the tab");
    }

    /// Into the page's one frame, as it is now.
    async fn enter(&self) -> bool {
        let _ = self.client.enter_parent_frame().await;
        self.client.enter_frame(0).await.is_ok()
    }

    /// What the frame shows; empty while it is between two pages.
    pub async fn framed(&self) -> String {
        if !self.enter().await {
            return String::new();
        }
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until the frame shows this.
    pub async fn sees(&self, text: &str) -> String {
        let began = Instant::now();
        let mut seen = String::new();
        while began.elapsed() < SEEN_WITHIN {
            seen = self.framed().await;
            if seen.contains(text) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{text:?} is not seen, but {seen:?}");
    }

    pub async fn find(&self, css: &str) -> Element {
        self.client.find(Locator::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A test that failed closes nothing; the driver takes its browser along.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The driver on a port of its own.
fn start() -> Option<(Child, String)> {
    Command::new("chromium").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    let mut child =
        Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut out = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    while out.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some(port) = line.trim().strip_suffix('.').and_then(|line| line.rsplit_once("on port ")) {
            let address = format!("http://127.0.0.1:{}", port.1);
            return Some((child, address));
        }
        line.clear();
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("chromedriver says no port");
}
