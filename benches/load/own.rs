//! Our own server in this process, on a runtime of its own, as `tautline serve` runs it.

use crate::postgres_support;
use jiff::Timestamp;
use std::sync::Arc;
use std::thread::JoinHandle;
use tautline::app;
use tautline::clock::{Clock, SystemClock};
use tautline::config::{Auth, Config, Options};
use tokio::sync::oneshot;

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
    /// `http://127.0.0.1:…`
    pub root: String,
    /// The FHIR base.
    pub base: String,
    pub stands_still: bool,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Jobs are due a moment after their write, which under this clock never comes.
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

impl Own {
    pub fn start(place: &Place, stands_still: bool) -> Self {
        let options = Options {
            listen: "127.0.0.1:0".parse().ok(),
            database_url: Some(place.url.clone()),
            auth: Some(Auth::None),
            ..Options::default()
        };
        let config = Config::read(&options).expect("the configuration reads");
        let clock: Arc<dyn Clock> =
            if stands_still { Arc::new(Still(Timestamp::now())) } else { Arc::new(SystemClock) };
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            tautline::cli::block_on(async move {
                let running = app::start_with(config, clock).await.expect("the server starts");
                let _ = tell.send(running.address);
                let _ = stopped.await;
                running.stop().await;
            });
        });
        let root = format!("http://{}", told.recv().expect("an address"));
        Self { base: format!("{root}/fhir"), root, stands_still, stop, thread }
    }

    pub fn stop(self) {
        let _ = self.stop.send(());
        self.thread.join().expect("the server ends well");
    }
}
