//! The store over sea-orm: SQLite by default, PostgreSQL where several servers share one.
//!
//! | file | what |
//! | --- | --- |
//! | `layout` | numbers of types, and which search parameters have columns |
//! | `index`, `fold` | a resource's terms as columns and rows; texts as they are compared |
//! | `write` | resources, history and terms, in few statements |
//! | `filter`, `search`, `cursor` | search |
//! | `read`, `history`, `jobs` | the other questions |
//! | `forget` | what is past its time |
//! | `sealed` | what a browser's secret opens |
//! | `bulk` | exports, imports and their files |
//! | `indexing` | reading the terms anew |
//! | `tx`, `group` | transactions; on SQLite, the commit that writers share |
//! | `sqlite`, `postgres` | opening a database |
//! | `bell` | who is told of clients that are due |
//! | `sql`, `rows`, `error` | text and bound values, rows, errors without values |
//!
//! The layout itself, and why each index is there, is in `migrations/`.

mod bell;
mod bulk;
mod cursor;
mod error;
mod filter;
mod fold;
mod forget;
mod group;
mod history;
mod index;
mod indexing;
mod jobs;
mod layout;
mod postgres;
mod read;
mod rows;
mod sealed;
mod search;
mod sql;
mod sqlite;
mod tx;
mod write;

use crate::store::{
    Cursor, Figures, HistoryOf, Job, Key, Kind, Mark, Page, Query, Result, Sealed, Store, StoredEvent, Tx, Version,
};
use async_trait::async_trait;
use bell::Bell;
use error::{broken, failed, unavailable};
use group::{Crowd, InCrowd, TURN_WAIT_MAX, WRITERS_MAX, Who, Writer};
use jiff::Timestamp;
use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait as _};
use sql::Sql;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tx::{Guest, SeaTx, Session};

/// How long requests go first where jobs are claimed: a short write.
const CLAIM_PATIENCE: Duration = Duration::from_millis(50);
/// How long they go first where what is old is forgotten.
const FORGET_PATIENCE: Duration = Duration::from_secs(1);

/// Connections to PostgreSQL that no writer takes: what is read while many write.
const READERS_MIN: usize = 2;

/// How to open a database.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// `sqlite://tautline.db` (created if missing) or `postgres://…`.
    pub url: String,
    /// Connections to read by on SQLite, beside the one that writes; all connections on PostgreSQL.
    pub connections_max: u32,
    /// Requests that may write or wait for it at the same time.
    pub writers_max: usize,
}

impl ConnectOptions {
    pub fn new(url: impl Into<String>) -> Self {
        let processors = std::thread::available_parallelism().map_or(4, |count| count.get() as u32);
        ConnectOptions {
            url: url.into(),
            connections_max: processors.saturating_mul(2).clamp(8, 32),
            writers_max: WRITERS_MAX,
        }
    }
}

/// Opens the database, creates it if missing (SQLite), migrates it.
pub async fn connect(url: &str) -> Result<Arc<dyn Store>> {
    connect_with(ConnectOptions::new(url)).await
}

pub async fn connect_with(options: ConnectOptions) -> Result<Arc<dyn Store>> {
    let url = options.url.as_str();
    let crowd = Arc::new(Crowd::new(options.writers_max));
    let (readers, writer) = if url.starts_with("sqlite:") {
        let path = sqlite::path(url)?;
        let db = sqlite::open_writer(&path).await?;
        tautline_migrations::migrate(&db).await.map_err(failed)?;
        jobs::free_all(&db).await?;
        bulk::free_all(&db).await?;
        (sqlite::open_readers(&path, options.connections_max).await?, Some(Writer::new(path, db, Arc::clone(&crowd))))
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        let db = postgres::open(url, options.connections_max).await?;
        tautline_migrations::migrate(&db).await.map_err(failed)?;
        (db, None)
    } else {
        return Err(broken("the database URL begins with neither sqlite: nor postgres:"));
    };
    let longest = Mutex::new(write::longest(&readers).await?);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let behind = Arc::new(Semaphore::new((processors / 2).max(1)));
    let ours = behind.available_permits() + READERS_MIN;
    let turns = Arc::new(Semaphore::new((options.connections_max as usize).saturating_sub(ours).max(1)));
    let inner = Inner {
        readers,
        writer,
        crowd,
        behind,
        turns,
        bell: Bell::new(),
        connections_max: options.connections_max,
        written: AtomicU64::new(0),
        taken_in: AtomicU64::new(0),
        longest,
    };
    Ok(Arc::new(SeaStore { inner: Arc::new(inner) }))
}

/// The file of an SQLite database; `None`: it is none, or its URL is not valid.
#[must_use]
pub fn file(url: &str) -> Option<std::path::PathBuf> {
    url.starts_with("sqlite:").then(|| sqlite::path(url).ok()).flatten()
}

/// Writes the SQLite database, as it is at one instant, to a new file; synced when it returns.
pub async fn backup(url: &str, output: &Path) -> Result<()> {
    if !url.starts_with("sqlite:") {
        return Err(broken("PostgreSQL is backed up by its own means, such as pg_dump --format=custom"));
    }
    sqlite::backup(&sqlite::path(url)?, output).await
}

#[derive(Clone)]
struct SeaStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// SQLite: readers alone. PostgreSQL: everything.
    readers: DatabaseConnection,
    writer: Option<Writer>,
    /// The requests that write.
    crowd: Arc<Crowd>,
    bell: Bell,
    connections_max: u32,
    /// On PostgreSQL: our own writers side by side leave half of the processors to requests.
    behind: Arc<Semaphore>,
    /// On PostgreSQL: requests that write wait here and not for a connection, so that those who read find one.
    turns: Arc<Semaphore>,
    /// Rows that this process has written.
    written: AtomicU64,
    /// Versions that requests have written.
    taken_in: AtomicU64,
    /// Longest main date by type, as far as this process knows it to be committed.
    longest: Mutex<BTreeMap<i16, i64>>,
}

impl SeaStore {
    fn db(&self) -> &DatabaseConnection {
        &self.inner.readers
    }

    fn writer(&self) -> Result<&Writer> {
        self.inner.writer.as_ref().ok_or_else(|| unavailable("no writer"))
    }

    fn longest(&self) -> BTreeMap<i16, i64> {
        self.inner.longest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a committed transaction has taught.
    fn learn(&self, puts: usize, rows: usize, longest: BTreeMap<i16, i64>) {
        self.inner.taken_in.fetch_add(puts as u64, Ordering::Relaxed);
        let before = self.inner.written.fetch_add(rows as u64, Ordering::Relaxed);
        if self.inner.writer.is_none() && postgres::is_milestone(before, before + rows as u64) {
            let store = self.clone();
            tokio::spawn(async move { postgres::analyze(store.db()).await });
        }
        if longest.is_empty() {
            return;
        }
        let mut known = self.inner.longest.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, length) in longest {
            let known = known.entry(kind).or_default();
            *known = length.max(*known);
        }
    }

    async fn open(&self, who: Who) -> Result<Session> {
        match &self.inner.writer {
            Some(writer) => Ok(Session::Sqlite(writer.begin(who).await?)),
            None => {
                let guest = match who {
                    Who::Request => {
                        let crowd = InCrowd::new(&self.inner.crowd)?;
                        let turn = Arc::clone(&self.inner.turns).acquire_owned();
                        let turn = tokio::time::timeout(TURN_WAIT_MAX, turn).await;
                        let turn = turn.map_err(|_| unavailable("the writer's turn did not come in time"))?;
                        Guest::Request(crowd, turn.map_err(|_| unavailable("nobody writes any more"))?)
                    }
                    Who::Ourselves(patience) => {
                        self.inner.crowd.pass(patience).await;
                        let behind = Arc::clone(&self.inner.behind).acquire_owned().await;
                        Guest::Ourselves(behind.map_err(|_| unavailable("nobody writes any more"))?)
                    }
                };
                Ok(Session::Postgres(self.db().begin().await.map_err(failed)?, guest))
            }
        }
    }
}

impl SeaStore {
    /// One statement in a transaction of its own, durable when it returns; how many rows it changed.
    async fn changing(&self, mut sql: Sql) -> Result<u64> {
        let mut tx = SeaTx::new(self.clone(), self.open(Who::Request).await?);
        let rows = tx.execute(&mut sql).await?;
        Box::new(tx).commit().await?;
        Ok(rows)
    }
}

#[async_trait]
impl Store for SeaStore {
    async fn begin(&self) -> Result<Box<dyn Tx>> {
        Ok(Box::new(SeaTx::new(self.clone(), self.open(Who::Request).await?)))
    }

    async fn begin_behind(&self, patience: Duration) -> Result<Box<dyn Tx>> {
        Ok(Box::new(SeaTx::new(self.clone(), self.open(Who::Ourselves(patience)).await?)))
    }

    async fn read(&self, key: &Key) -> Result<Option<Version>> {
        read::read(self.db(), key).await
    }

    async fn read_version(&self, key: &Key, version: u64) -> Result<Option<Version>> {
        history::read_version(self.db(), key, version).await
    }

    async fn history(
        &self,
        of: HistoryOf,
        since: Option<Timestamp>,
        count: usize,
        after: Option<Cursor>,
    ) -> Result<Page> {
        history::history(self.db(), &of, since, count, after.as_ref()).await
    }

    async fn search(&self, query: &Query) -> Result<Page> {
        search::search(self.db(), query).await
    }

    async fn events_each(&self, clients: &[Arc<str>]) -> Result<Vec<Vec<StoredEvent>>> {
        read::events(self.db(), clients).await
    }

    async fn events_of(&self, kind: Kind) -> Result<Vec<StoredEvent>> {
        read::events_of(self.db(), kind).await
    }

    async fn marks_each(&self, clients: &[Arc<str>], kinds: &[Kind]) -> Result<Vec<Vec<Mark>>> {
        read::marks(self.db(), clients, kinds).await
    }

    async fn read_all(&self, keys: &[Key]) -> Result<Vec<Version>> {
        read::read_all(self.db(), keys).await
    }

    async fn clients(&self, after: Option<&str>, count: usize) -> Result<Vec<Arc<str>>> {
        read::clients(self.db(), after, count).await
    }

    async fn claim(&self, now: Timestamp, lease_until: Timestamp, count: usize) -> Result<Vec<Job>> {
        // Nothing to claim is the usual answer, and costs no turn at writing.
        if count == 0 || !jobs::is_claimable(self.db(), now).await? {
            return Ok(Vec::new());
        }
        let mut tx = SeaTx::new(self.clone(), self.open(Who::Ourselves(CLAIM_PATIENCE)).await?);
        let jobs = tx.claim(now, lease_until, count).await?;
        Box::new(tx).commit().await?;
        Ok(jobs)
    }

    async fn renew(&self, jobs: &[Job], from: Timestamp, to: Timestamp) -> Result<()> {
        match &self.inner.writer {
            None => jobs::renew(self.db(), jobs, from, to).await,
            Some(_) => {
                let mut tx = SeaTx::new(self.clone(), self.open(Who::Ourselves(CLAIM_PATIENCE)).await?);
                tx.renew(jobs, from, to).await?;
                Box::new(tx).commit().await
            }
        }
    }

    async fn rung(&self) -> Timestamp {
        if self.inner.writer.is_none() {
            self.inner.bell.listen(self.db().get_postgres_connection_pool());
        }
        self.inner.bell.rung().await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        jobs::next_due(self.db()).await
    }

    async fn pending(&self, now: Timestamp) -> Result<u64> {
        jobs::pending(self.db(), now).await
    }

    async fn seal(&self, sealed: &Sealed, now: Timestamp, most: u64) -> Result<bool> {
        if sealed::count(self.db(), sealed.shelf, now).await? >= most {
            return Ok(false);
        }
        self.changing(sealed::insert(self.db().get_database_backend(), sealed)).await.map(|rows| rows > 0)
    }

    async fn reseal(&self, sealed: &Sealed) -> Result<bool> {
        self.changing(sealed::replace(self.db().get_database_backend(), sealed)).await.map(|rows| rows > 0)
    }

    async fn sealed(&self, shelf: i16, name: &[u8; 32], now: Timestamp) -> Result<Option<Sealed>> {
        sealed::read(self.db(), shelf, name, now).await
    }

    async fn unseal(&self, shelf: i16, name: &[u8; 32], now: Timestamp) -> Result<Option<Sealed>> {
        let Some(found) = sealed::read(self.db(), shelf, name, now).await? else { return Ok(None) };
        let gone = self.changing(sealed::delete(self.db().get_database_backend(), shelf, name)).await?;
        Ok(Some(found).filter(|_| gone > 0))
    }

    async fn extend(&self, shelf: i16, name: &[u8; 32], until: Timestamp) -> Result<()> {
        self.changing(sealed::extend(self.db().get_database_backend(), shelf, name, until)).await.map(drop)
    }

    async fn hold(&self, shelf: i16, name: &[u8; 32], now: Timestamp, until: Timestamp) -> Result<bool> {
        let held = sealed::hold(self.db().get_database_backend(), shelf, name, now, until);
        self.changing(held).await.map(|rows| rows > 0)
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64> {
        self.changing(sealed::sweep(self.db().get_database_backend(), now)).await
    }

    async fn forget(&self, kind: Kind, before: Timestamp, count: usize) -> Result<u64> {
        if forget::oldest(self.db(), kind, before, 1).await?.is_empty() {
            return Ok(0);
        }
        let mut tx = SeaTx::new(self.clone(), self.open(Who::Ourselves(FORGET_PATIENCE)).await?);
        let gone = tx.forget(kind, before, count).await?;
        Box::new(tx).commit().await?;
        Ok(gone)
    }

    async fn ready(&self) -> Result<()> {
        let mut sql = Sql::new(self.db().get_database_backend(), "SELECT 1 FROM seaql_migrations WHERE version = ");
        match sql.bind(tautline_migrations::NEWEST).one(self.db()).await? {
            Some(_) => Ok(()),
            None => Err(unavailable("the database is not migrated")),
        }
    }

    fn is_crowded(&self) -> bool {
        self.inner.crowd.is_full()
    }

    fn figures(&self) -> Figures {
        let (connections, idle) = match &self.inner.writer {
            Some(_) => {
                let pool = self.db().get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
            None => {
                let pool = self.db().get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
        };
        Figures {
            connections,
            connections_idle: u32::try_from(idle).unwrap_or(u32::MAX),
            connections_max: self.inner.connections_max,
            writers: self.inner.crowd.count() as u64,
            shed: self.inner.crowd.shed(),
            written: self.inner.taken_in.load(Ordering::Relaxed),
        }
    }
}

/// Held across awaits by requests that run anywhere.
const _: fn() = || {
    fn sendable<T: Send + Sync>() {}
    sendable::<DatabaseTransaction>();
};
