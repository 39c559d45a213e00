//! `tautline import`: a history from files into a database, or into a running server.
//!
//! A thread reads and checks, this one writes, many resources to a transaction. What stands already is not written
//! again, so an import that was cut off is simply run anew.

mod read;
mod remote;
mod trail;

use super::Failed;
use super::backtest::input::{self, Faults};
use crate::app;
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::fhir::outcome::Issue;
use crate::pipeline::load::{Loadable, Loaded, Place};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Batches that wait between the two.
const WAITING_MAX: usize = 4;
/// How often a terminal is told.
const TELL: Duration = Duration::from_millis(500);

#[derive(clap::Args, Debug)]
pub struct Options {
    /// FHIR NDJSON, Bundles (both also .gz), or folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// FHIR base of a running server to send to, instead of a database
    #[arg(long, env = "TAUTLINE_URL", conflicts_with = "database_url")]
    url: Option<String>,
    /// File with an access token for that server
    #[arg(long, env = "TAUTLINE_TOKEN_FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// sqlite://FILE (created if missing) or postgres://… [default: sqlite://tautline.db]
    #[arg(long, env = "TAUTLINE_DATABASE_URL")]
    database_url: Option<String>,
    /// TOML file of the server: its database and time zone
    #[arg(long, env = "TAUTLINE_CONFIG")]
    config: Option<PathBuf>,
    /// IANA time zone of the service [default: UTC]
    #[arg(long, env = "TAUTLINE_TIME_ZONE")]
    time_zone: Option<String>,
}

/// Where it goes.
enum Target {
    Database(Arc<crate::pipeline::Pipeline>),
    Server(remote::Remote),
}

/// # Errors
/// Paths that cannot be read, a database or server that does not take it, nothing usable at all.
pub async fn run(options: Options) -> Result<(), Failed> {
    let began = Instant::now();
    let files = Arc::new(input::files(&options.paths).map_err(Failed)?);
    let target = target(&options).await?;
    let (send, mut receive) = tokio::sync::mpsc::channel::<Vec<Loadable>>(WAITING_MAX);
    let faults = Arc::new(Faults::default());
    let reader = {
        let (files, faults) = (Arc::clone(&files), Arc::clone(&faults));
        std::thread::spawn(move || read::all(&files, &faults, &send))
    };
    let mut loaded = Loaded::default();
    let mut failed = None;
    let mut told = Instant::now();
    while let Some(batch) = receive.recv().await {
        let mut tell = |place: Place, issue: &Issue| read::tell(&faults, &files, place, issue);
        let done = match &target {
            Target::Database(pipeline) => {
                let done =
                    pipeline.load(&trail::Importing::new(pipeline.term_context()), batch, &mut loaded, &mut tell).await;
                done.map_err(|error| cause(&error))
            }
            Target::Server(remote) => remote.send(batch, &mut loaded, &mut tell).await,
        };
        if let Err(error) = done {
            failed = Some(error);
            break;
        }
        if told.elapsed() >= TELL && std::io::stderr().is_terminal() {
            told = Instant::now();
            eprint!("\r{} resources imported", loaded.kept());
        }
    }
    // The reader stops where nobody takes what it reads.
    drop(receive);
    let checked = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    faults.told(&files).iter().for_each(|line| eprintln!("{line}"));
    let more = checked.map_err(Failed)?;
    loaded.refused += more.refused;
    loaded.ours += more.ours;
    loaded.not_kept = more.not_kept;
    let words = summary(&loaded, began.elapsed());
    if let Some(failed) = failed {
        return Err(Failed(format!("{failed} Run it again to go on: {words}")));
    }
    let _ = writeln!(std::io::stdout(), "{words}");
    if loaded.kept() == 0 && loaded.ours == 0 {
        return Err(Failed("nothing usable in the input: no FHIR R4 resource that this server keeps".into()));
    }
    Ok(())
}

async fn target(options: &Options) -> Result<Target, Failed> {
    if let Some(url) = &options.url {
        return remote::Remote::new(url, options.token_file.as_deref()).map(Target::Server).map_err(Failed);
    }
    let settings = config::Options {
        config: options.config.clone(),
        database_url: options.database_url.clone(),
        time_zone: options.time_zone.clone(),
        ..config::Options::default()
    };
    let config = Config::read(&settings).map_err(|error| Failed(error.to_string()))?;
    let pipeline = app::pipeline(&config, Arc::new(SystemClock)).await.map_err(|error| Failed(error.to_string()))?;
    Ok(Target::Database(pipeline))
}

fn cause(error: &crate::error::Error) -> String {
    let source = error.source.as_ref().map(|source| format!(" ({source})")).unwrap_or_default();
    format!("{error}{source}")
}

fn summary(loaded: &Loaded, took: Duration) -> String {
    let mut out = format!("{} resources new, {} updated or there already", loaded.created, loaded.stood);
    if loaded.deleted > 0 {
        out.push_str(&format!(", {} deleted", loaded.deleted));
    }
    if loaded.ours > 0 {
        out.push_str(&format!(", {} findings left out (this server makes its own)", loaded.ours));
    }
    let others: u64 = loaded.not_kept.values().sum();
    if others > 0 {
        let kinds: Vec<&str> = loaded.not_kept.keys().map(String::as_str).collect();
        out.push_str(&format!(", {others} of other types left out ({})", kinds.join(", ")));
    }
    if loaded.refused > 0 {
        out.push_str(&format!(", {} refused", loaded.refused));
    }
    out.push_str(&format!("; {:.1} s", took.as_secs_f64()));
    out
}
