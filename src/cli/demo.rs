//! `tautline demo`: the main job in one command, through the server's own FHIR API.

use super::{Failed, block_on, simulate, telemetry};
use crate::app::{self, Running};
use crate::config::{self, Auth, Config};
use crate::store::Query;
use jiff::Timestamp;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for the findings, seconds.
const FINDINGS_SECONDS_MAX: u64 = 60;

#[derive(clap::Args, Debug)]
pub struct Options {
    /// Clients in the caseload
    #[arg(long, default_value_t = 40, env = "TAUTLINE_CLIENTS")]
    clients: usize,
    #[arg(long, default_value_t = 1, env = "TAUTLINE_SEED")]
    seed: u64,
    /// Address and port on this machine
    #[arg(long, default_value = "127.0.0.1:8080", env = "TAUTLINE_LISTEN", value_parser = config::address)]
    listen: SocketAddr,
}

pub fn run(options: &Options) -> Result<(), Failed> {
    telemetry("warn");
    let folder = tempfile::tempdir().map_err(|error| Failed(format!("no temporary folder: {error}")))?;
    let database = folder.path().join("demo.db");
    let settings = config::Options {
        listen: Some(options.listen),
        database_url: Some(format!("sqlite://{}", database.display())),
        auth: Some(Auth::None),
        ..config::Options::default()
    };
    let config = Config::read(&settings).map_err(|error| Failed(error.to_string()))?;
    block_on(async {
        let began = Instant::now();
        let running = app::start(config).await.map_err(|error| Failed(error.to_string()))?;
        let (bundles, resources) = load(&running, options).await?;
        wait_for_findings(&running).await?;
        tell(&running, bundles, resources, began.elapsed()).await?;
        running.until_signal().await.map_err(|error| Failed(error.to_string()))
    })
}

/// Pushes the caseload as any integration engine would.
async fn load(running: &Running, options: &Options) -> Result<(usize, usize), Failed> {
    let bundles = simulate::demo_caseload(options.clients, options.seed, Timestamp::now());
    let mut resources = 0;
    for bundle in &bundles {
        resources += bundle.get("entry").and_then(Value::as_array).map_or(0, Vec::len);
        post(running.address, &bundle.to_string()).await?;
    }
    Ok((bundles.len(), resources))
}

/// One POST to our own base: an HTTP client for one request to ourselves would be the larger thing.
async fn post(address: SocketAddr, body: &str) -> Result<(), Failed> {
    let failed = |error: std::io::Error| Failed(format!("the demo could not push its caseload: {error}"));
    let mut stream = TcpStream::connect(address).await.map_err(failed)?;
    let head = format!(
        "POST /fhir HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/fhir+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.map_err(failed)?;
    stream.write_all(body.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(failed)?;
    if answer.starts_with(b"HTTP/1.1 200") {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer);
    let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
    Err(Failed(format!("the server refused a Bundle of the demo: {}", body.chars().take(500).collect::<String>())))
}

async fn wait_for_findings(running: &Running) -> Result<(), Failed> {
    let store = &running.state.pipeline.store;
    let until = Instant::now() + Duration::from_secs(FINDINGS_SECONDS_MAX);
    while Instant::now() < until {
        // What is due within the debounce counts too.
        let soon = Timestamp::now() + jiff::SignedDuration::from_secs(1);
        match store.pending(soon).await {
            Ok(0) => return Ok(()),
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => return Err(Failed(error.to_string())),
        }
    }
    Err(Failed("the findings did not come in time".into()))
}

async fn tell(running: &Running, bundles: usize, resources: usize, took: Duration) -> Result<(), Failed> {
    let base = &running.state.config.base_url;
    let flags = Query { kind: "Flag", count: 1_000, ..Query::default() };
    let page = running.state.pipeline.store.search(&flags).await.map_err(|error| Failed(error.to_string()))?;
    let active: Vec<(String, String)> = page
        .versions
        .iter()
        .filter_map(|version| {
            let flag: Value = serde_json::from_str(&version.json).ok()?;
            let code = flag.pointer("/code/coding/0/code")?.as_str()?.to_owned();
            let client = flag.pointer("/subject/reference")?.as_str()?.strip_prefix("Patient/")?.to_owned();
            (flag.get("status")?.as_str()? == "active").then_some((code, client))
        })
        .collect();
    let of = |code: &str| active.iter().filter(|(kind, _)| kind == code).map(|(_, client)| client).collect::<Vec<_>>();
    say!(
        "{resources} resources pushed in {bundles} transaction Bundles; findings ready after {:.1} s.",
        took.as_secs_f64()
    );
    say!("");
    say!("Open in a browser:");
    say!("  {base}/app/caseload");
    say!("      the day's clients in the order of their appointments");
    let looks = [
        ("engagement-drop", "less is coming back than this client's own record: read the gist, then the last columns"),
        ("not-on-track", "the treatment itself: the score against its expected range"),
        ("safety-item", "an answer above zero to a safety item stands above everything"),
    ];
    for (code, look) in looks {
        let clients = of(code);
        if let Some(client) = clients.first() {
            say!("  {base}/app/patients/{client}");
            say!("      {code} ({} active): {look}", clients.len());
        }
    }
    say!("");
    say!("Ask as another system would:");
    say!("  curl '{base}/fhir/Flag?status=active&_summary=count'");
    if let Some(client) = of("engagement-drop").first() {
        say!("  curl '{base}/fhir/Flag?patient={client}&_pretty=true'");
        say!("  curl '{base}/fhir/Patient/{client}/$detect-rupture?_pretty=true'");
    }
    say!("  curl '{base}/fhir/metadata?_pretty=true'");
    say!("");
    say!("All data is invented. Ctrl-C ends the demo and removes it.");
    Ok(())
}
