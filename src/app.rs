//! Composition root: the only place that knows every concrete type.

use crate::api::audit::Trail;
use crate::api::metrics::Metrics;
use crate::api::{self, State};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::detection::Constants;
use crate::pipeline::{MeasuresInUse, Pipeline};
use crate::smart::Smart;
use crate::{store, worker};
use actix_web::dev::{ServerHandle, Service as _};
use actix_web::{App, HttpServer, web};
use futures_util::TryFutureExt as _;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Time that requests in hand get when the server stops, seconds.
const DRAIN_SECONDS: u64 = 20;
/// Time a client may take to send a request's head, seconds.
const HEAD_SECONDS: u64 = 10;

/// How long a connection stays open for a next request: longer than the minute after which the usual proxies and clients
/// let go of an idle one by themselves. Whoever ends it first while the other sends leaves a request without an answer.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How long a client may leave what is sent to it unread. The sockets of the connections inherit it.
const UNREAD_MAX: Duration = Duration::from_secs(30);

/// The corridor over its database, which is created and migrated where needed.
///
/// # Errors
/// The database, the constants file.
pub async fn pipeline(config: &Config, clock: Arc<dyn Clock>) -> Result<Arc<Pipeline>, StartError> {
    let constants = match &config.constants {
        None => (Constants::default(), None),
        Some(path) => read_constants(path).map(|(constants, name)| (constants, Some(name)))?,
    };
    let store = store::connect(&config.database_url)
        .await
        .map_err(|error| StartError(format!("cannot open the database: {}", chain(&error))))?;
    let pipeline = Arc::new(Pipeline {
        store,
        clock,
        zone: config.zone.clone(),
        base: config.fhir_base(),
        constants: constants.0,
        constants_name: constants.1,
        measures: RwLock::new(MeasuresInUse {
            measures: Arc::new(crate::fhir::read::shipped().clone()),
            print: Default::default(),
        }),
        reading_measures: Default::default(),
        changing_measures: Default::default(),
        shared: config.database_url.starts_with("postgres"),
    });
    let broken = |error: crate::error::Error| {
        let source = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
        StartError(format!("the database does not answer: {error} {source}"))
    };
    pipeline.load_measures().await.map_err(broken)?;
    // What was read otherwise is read anew by a server that runs.
    pipeline.store.index_by(&pipeline.terms_mark()).await.map_err(|error| broken(error.into()))?;
    Ok(pipeline)
}

/// A running server.
pub struct Running {
    /// Where it listens: the real port where 0 was asked for.
    pub address: SocketAddr,
    pub state: web::Data<State>,
    handle: ServerHandle,
    server: JoinHandle<std::io::Result<()>>,
    worker: JoinHandle<()>,
    scribe: JoinHandle<()>,
    keeping: JoinHandle<()>,
    flags: JoinHandle<()>,
    bulk: JoinHandle<()>,
    indexing: JoinHandle<()>,
    stop: watch::Sender<bool>,
    _alone: Option<File>,
}

/// Something that kept the server from starting; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// Opens the database (created and migrated where needed), binds, and starts server and worker.
///
/// # Errors
/// The database, the address, the constants file.
pub async fn start(config: Config) -> Result<Running, StartError> {
    start_with(config, Arc::new(SystemClock)).await
}

/// The same with a clock of the caller's.
///
/// # Errors
/// As [`start`].
pub async fn start_with(mut config: Config, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
    let listener = std::net::TcpListener::bind(config.listen)
        .map_err(|error| StartError(format!("cannot listen on {}: {error}. Use another --listen.", config.listen)))?;
    socket2::SockRef::from(&listener)
        .set_tcp_user_timeout(Some(UNREAD_MAX))
        .and_then(|()| socket2::SockRef::from(&listener).set_send_buffer_size(api::patience::SEND_BUFFER_BYTES))
        .map_err(|error| StartError(format!("the address cannot be set up: {error}")))?;
    let address = listener.local_addr().map_err(|error| StartError(error.to_string()))?;
    if config.listen.port() == 0 && config.base_url.ends_with(":0") {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        config.base_url = format!("{scheme}://{address}");
        config.listen = address;
    }
    let alone = alone(&config.database_url)?;
    let pipeline = pipeline(&config, Arc::clone(&clock)).await?;
    let broken = |error: crate::error::Error| {
        let source = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
        StartError(format!("the database does not answer: {error} {source}"))
    };
    pipeline.publish_device().await.map_err(broken)?;
    let metrics = Metrics::new().map_err(|error| StartError(error.to_string()))?;
    let tls = config.tls.as_ref().map(|(cert, key)| tls(cert, key)).transpose()?;
    let vault = Arc::new(api::sealed::InStore(Arc::clone(&pipeline.store)));
    let smart = Smart::new(&config, vault).map_err(StartError)?;
    let (stop, stopping) = watch::channel(false);
    // On a thread of its own: this one commits, and nobody waits for our sums.
    let (runtime, work) = (Handle::current(), worker::run(Arc::clone(&pipeline), metrics.clone(), stopping.clone()));
    let worker = tokio::task::spawn_blocking(move || runtime.block_on(work));
    let keeping = tokio::spawn(api::housekeeping::run(Arc::clone(&pipeline), config.audit_days, stopping.clone()));
    let (trail, scribe) = Trail::start(Arc::clone(&pipeline), stopping.clone());
    let started = clock.now();
    let secret = clock.new_id();
    let flags = api::flags::Keeper::default();
    let bulk = api::bulk::Jobs::new(tokio::runtime::Handle::current());
    let bodies = Default::default();
    let state = web::Data::new(State { config, pipeline, metrics, smart, trail, bulk, bodies, flags, started, secret });
    let indexing = tokio::spawn(crate::pipeline::reindex::run(Arc::clone(&state.pipeline), stopping.clone()));
    let bulk = tokio::spawn(api::bulk::run(state.clone(), stopping.clone()));
    let flags = tokio::spawn(api::flags::run(state.clone(), stopping));
    let shared = state.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .wrap(actix_web::middleware::Compress::default())
            .wrap(api::respond::unless_said())
            .wrap_fn(|request, service| service.call(request).map_ok(api::patience::watched))
            .configure(api::configure)
    })
    .on_connect(api::patience::on_connect)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(Duration::from_secs(HEAD_SECONDS))
    .shutdown_timeout(DRAIN_SECONDS)
    .disable_signals();
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls),
        None => server.listen(listener),
    };
    let server = server.map_err(|error| StartError(error.to_string()))?.run();
    let handle = server.handle();
    let server = tokio::spawn(server);
    Ok(Running { address, state, handle, server, worker, scribe, keeping, flags, bulk, indexing, stop, _alone: alone })
}

/// One server for one SQLite file: each takes for granted that nobody else claims its jobs, and remembers what stands
/// in the index. The lock is on a file beside the database (closing the database's own file would let go of SQLite's
/// locks), and goes with the process, however that ends.
fn alone(database_url: &str) -> Result<Option<File>, StartError> {
    let Some(database) = store::file(database_url) else { return Ok(None) };
    let mut path = database.clone().into_os_string();
    path.push(".lock");
    let failed = |what: String| StartError(format!("{}: {what}", Path::new(&path).display()));
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| failed(error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StartError(format!(
            "another server runs on {}. Stop it first, or use PostgreSQL, which several may share.",
            database.display()
        ))),
        // Some network filesystems know no locks.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, "whether another server runs on the database cannot be told");
            Ok(None)
        }
    }
}

/// TLS by ourselves, 1.2 and later.
fn tls(cert: &Path, key: &Path) -> Result<ServerConfig, StartError> {
    crate::smart::fetch::install_tls();
    let named = |path: &Path, what: String| StartError(format!("{}: {what}", path.display()));
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| named(cert, error.to_string()))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| named(key, error.to_string()))?;
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| named(cert, error.to_string()))
}

impl Running {
    /// Waits for SIGTERM or SIGINT, then drains.
    ///
    /// # Errors
    /// The server failed by itself.
    pub async fn until_signal(mut self) -> std::io::Result<()> {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = term.recv() => {}
            done = tokio::signal::ctrl_c() => done?,
            ended = &mut self.server => return ended.map_err(std::io::Error::other)?,
        }
        tracing::info!("stopping");
        self.stop().await;
        Ok(())
    }

    /// Stops taking requests, finishes those in hand and the jobs that were claimed.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        let _ = self.stop.send(true);
        let _ = self.worker.await;
        let _ = self.scribe.await;
        let _ = self.keeping.await;
        let _ = self.flags.await;
        let _ = self.bulk.await;
        let _ = self.indexing.await;
    }
}

/// Fitted constants and their name.
///
/// # Errors
/// A file that cannot be read, is none, or holds what no model can run with: the file, and the key in it.
pub fn read_constants(path: &Path) -> Result<(Constants, String), StartError> {
    let failed = |what: String| StartError(format!("constants: {}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let mut json = serde_json::Deserializer::from_str(&text);
    let constants: Constants = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| failed(format!("{}: {}", error.path(), error.inner())))?;
    json.end().map_err(|error| failed(error.to_string()))?;
    constants.check().map_err(failed)?;
    Ok((constants, fingerprint(&text)))
}

/// Names a fitted file by its content, so that a Provenance tells which one spoke.
fn fingerprint(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// An error and what caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        out.push_str(": ");
        out.push_str(&inner.to_string());
        source = inner.source();
    }
    out
}
