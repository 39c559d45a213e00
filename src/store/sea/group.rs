//! SQLite's one writer, and the commit that writers share.
//!
//! Writers take turns on one connection. The first of a batch opens a transaction; each further one writes inside
//! a savepoint of it. A writer that is done joins the batch and lets go of the turn; the batch's first then queues
//! for the turn again, behind those who were waiting already, and when it gets there commits for all of them. So a
//! lone writer commits at once, and eight busy ones pay for one sync.
//!
//! Our own work (findings) goes behind requests: it waits, for a while, until none of them wants the turn, and while
//! there are some about, what it wrote is committed with the next of them.
//!
//! Nobody is told of success before the synced COMMIT has returned; should it fail, all who joined are told so.
//! Whoever gets the turn first tidies up after a writer that was dropped half-way.

use super::error::{Cause, failed, unavailable};
use super::sqlite;
use crate::store::{Result, StoreError};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, oneshot};

/// A batch that has one of these commits before it takes another writer in.
const BATCH_WRITERS_MAX: usize = 256;
const BATCH_ROWS_MAX: usize = 20_000;
const BATCH_TIME_MAX: Duration = Duration::from_millis(50);
/// Whoever pushes one Bundle after another comes again sooner than this.
const QUIET: Duration = Duration::from_millis(8);
/// Requests are about while the last one wrote less than this ago.
const ABOUT: Duration = Duration::from_millis(500);
/// How long our own work waits for a request to commit with.
const LINGER: Duration = Duration::from_millis(20);
/// Requests that may wait for the turn: the next one is told to come again.
pub(super) const WRITERS_MAX: usize = 256;
/// How long a commit may take: a disk that stands still.
const COMMIT_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a writer waits for its turn.
pub(super) const TURN_WAIT_MAX: Duration = Duration::from_secs(30);

type Outcome = std::result::Result<(), Cause>;

/// Who wants to write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Who {
    /// Somebody waits for the answer.
    Request,
    /// Nobody does: requests go first for so long.
    Ourselves(Duration),
}

/// The requests that wait for the turn or have it.
#[derive(Debug)]
pub(super) struct Crowd {
    count: AtomicUsize,
    /// When one last went.
    went: std::sync::Mutex<Instant>,
    gone: Notify,
    max: usize,
    shed: AtomicU64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct InCrowd(Arc<Crowd>);

impl InCrowd {
    pub(super) fn new(crowd: &Arc<Crowd>) -> Result<Self> {
        let before = crowd.count.fetch_add(1, Ordering::SeqCst);
        let entered = Self(Arc::clone(crowd));
        if before < crowd.max {
            return Ok(entered);
        }
        crowd.shed.fetch_add(1, Ordering::Relaxed);
        Err(StoreError::Busy)
    }
}

impl Drop for InCrowd {
    fn drop(&mut self) {
        *self.0.went.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.gone.notify_waiters();
        }
    }
}

impl Crowd {
    pub(super) fn new(max: usize) -> Self {
        let went = std::sync::Mutex::new(Instant::now());
        Self { count: AtomicUsize::new(0), went, gone: Notify::new(), max, shed: AtomicU64::new(0) }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Whether the next one would be refused; then it counts as refused.
    pub(super) fn is_full(&self) -> bool {
        let full = self.count() >= self.max;
        self.shed.fetch_add(u64::from(full), Ordering::Relaxed);
        full
    }

    pub(super) fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// Until there are none and none seems to follow, or patience ends.
    pub(super) async fn pass(&self, patience: Duration) {
        let waiting = async {
            loop {
                let gone = self.gone.notified();
                let went = self.went.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
                match (self.count.load(Ordering::SeqCst), QUIET.checked_sub(went)) {
                    (0, None) => return,
                    (0, Some(rest)) => tokio::time::sleep(rest).await,
                    _ => gone.await,
                }
            }
        };
        let _ = tokio::time::timeout(patience, waiting).await;
    }
}

#[derive(Clone)]
pub(super) struct Writer {
    batch: Arc<Mutex<Batch>>,
    crowd: Arc<Crowd>,
    /// Commits run here, so that a request that is dropped does not take others' commit with it.
    runtime: Handle,
}

pub(super) struct Batch {
    path: PathBuf,
    db: Option<DatabaseConnection>,
    open: Option<DatabaseTransaction>,
    number: u64,
    opened: Instant,
    rows: usize,
    joined: Vec<oneshot::Sender<Outcome>>,
    /// Somebody has been sent to commit it as soon as those who wait have had their turn.
    promised: bool,
    /// When a request last joined a batch.
    requested: Option<Instant>,
    /// A writer has begun and neither joined nor been undone.
    half_done: bool,
    /// It has written.
    wrote: bool,
    /// Its savepoint, if others joined before it.
    savepoint: Option<Savepoint>,
    /// The savepoint is being opened: it may not stand yet.
    opening: bool,
    /// The savepoint of the last who joined: released by the next, or by the commit.
    left: Option<Savepoint>,
}

/// Two names in turn, so that undoing a writer can never undo the one before it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Savepoint {
    Even,
    Odd,
}

impl Savepoint {
    fn open(self, left: Option<Savepoint>) -> &'static str {
        match (self, left) {
            (Savepoint::Even, None) => "SAVEPOINT even",
            (Savepoint::Odd, None) => "SAVEPOINT odd",
            (Savepoint::Even, Some(_)) => "RELEASE odd; SAVEPOINT even",
            (Savepoint::Odd, Some(_)) => "RELEASE even; SAVEPOINT odd",
        }
    }

    fn undo(self) -> &'static str {
        match self {
            Savepoint::Even => "ROLLBACK TO even; RELEASE even",
            Savepoint::Odd => "ROLLBACK TO odd; RELEASE odd",
        }
    }
}

/// One writer's turn.
pub(super) struct Turn {
    guard: Option<OwnedMutexGuard<Batch>>,
    runtime: Handle,
    /// Of a request.
    crowd: Option<InCrowd>,
}

impl Writer {
    pub(super) fn new(path: PathBuf, db: DatabaseConnection, crowd: Arc<Crowd>) -> Self {
        let batch = Batch {
            path,
            db: Some(db),
            open: None,
            number: 0,
            opened: Instant::now(),
            rows: 0,
            joined: Vec::new(),
            promised: false,
            requested: None,
            half_done: false,
            wrote: false,
            savepoint: None,
            opening: false,
            left: None,
        };
        Writer { batch: Arc::new(Mutex::new(batch)), crowd, runtime: Handle::current() }
    }

    pub(super) async fn begin(&self, who: Who) -> Result<Turn> {
        let crowd = match who {
            Who::Request => Some(InCrowd::new(&self.crowd)?),
            Who::Ourselves(patience) => {
                self.crowd.pass(patience).await;
                None
            }
        };
        let waiting = tokio::time::timeout(TURN_WAIT_MAX, Arc::clone(&self.batch).lock_owned());
        let guard = waiting.await.map_err(|_| unavailable("the writer's turn did not come in time"))?;
        let mut turn = Turn { guard: Some(guard), runtime: self.runtime.clone(), crowd };
        let batch = turn.batch()?;
        batch.tidy().await;
        batch.enter().await?;
        Ok(turn)
    }

    /// The turn's work is to be durable when this returns.
    pub(super) async fn commit(&self, mut turn: Turn, rows: usize) -> Result<()> {
        let Some(mut batch) = turn.guard.take() else { return Err(unavailable("the writer's turn is over")) };
        let (tell, told) = oneshot::channel();
        batch.join(tell, rows);
        if turn.crowd.is_some() {
            batch.requested = Some(Instant::now());
        }
        if batch.is_full() {
            self.runtime.spawn(async move { batch.commit().await });
        } else if !batch.promised {
            // A request does not wait for others to come; our own work does where others are about.
            let lingers = turn.crowd.is_none() && batch.requested.is_some_and(|last| last.elapsed() < ABOUT);
            batch.promised = !lingers;
            let number = batch.number;
            drop(batch);
            let all = Arc::clone(&self.batch);
            self.runtime.spawn(async move {
                if lingers {
                    tokio::time::sleep(LINGER).await;
                }
                let mut batch = all.lock_owned().await;
                batch.tidy().await;
                if batch.number == number {
                    batch.commit().await;
                }
            });
        } else {
            drop(batch);
        }
        drop(turn);
        match tokio::time::timeout(COMMIT_WAIT_MAX, told).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(cause))) => Err(StoreError::Unavailable(Box::new(cause))),
            Ok(Err(_)) | Err(_) => Err(unavailable("the commit did not come through")),
        }
    }
}

impl Turn {
    fn batch(&mut self) -> Result<&mut Batch> {
        self.guard.as_deref_mut().ok_or_else(|| unavailable("the writer's turn is over"))
    }

    /// To be called before each write.
    pub(super) async fn before_write(&mut self) -> Result<()> {
        self.batch()?.before_write().await
    }

    pub(super) fn is_a_requests(&self) -> bool {
        self.crowd.is_some()
    }

    /// The open transaction.
    pub(super) fn db(&self) -> Result<&DatabaseTransaction> {
        let open = self.guard.as_ref().and_then(|batch| batch.open.as_ref());
        open.ok_or_else(|| unavailable("the writer's turn is over"))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(mut batch) = self.guard.take()
            && batch.half_done
        {
            self.runtime.spawn(async move { batch.tidy().await });
        }
    }
}

impl Batch {
    /// Opens a transaction if none is open.
    async fn enter(&mut self) -> Result<()> {
        if self.open.is_none() {
            let db = match &self.db {
                Some(db) => db,
                None => self.db.insert(sqlite::open_writer(&self.path).await?),
            };
            let options = TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            };
            self.open = Some(db.begin_with_options(options).await.map_err(failed)?);
            self.number += 1;
            self.rows = 0;
            self.promised = false;
            self.opened = Instant::now();
            self.left = None;
        }
        self.half_done = true;
        self.wrote = false;
        self.savepoint = None;
        self.opening = false;
        Ok(())
    }

    /// What a writer does in a batch that others have joined can be undone without them.
    async fn before_write(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.wrote, true) || self.joined.is_empty() {
            return Ok(());
        }
        let left = self.left.take();
        let mine = if left == Some(Savepoint::Even) { Savepoint::Odd } else { Savepoint::Even };
        self.savepoint = Some(mine);
        self.opening = true;
        self.run(mine.open(left)).await?;
        self.opening = false;
        Ok(())
    }

    async fn run(&self, sql: &str) -> Result<()> {
        let open = self.open.as_ref().ok_or_else(|| unavailable("no transaction is open"))?;
        open.execute_unprepared(sql).await.map_err(failed)?;
        Ok(())
    }

    fn join(&mut self, tell: oneshot::Sender<Outcome>, rows: usize) {
        self.half_done = false;
        if let Some(mine) = self.savepoint.take() {
            self.left = Some(mine);
        }
        self.rows += rows;
        self.joined.push(tell);
    }

    fn is_full(&self) -> bool {
        self.joined.len() >= BATCH_WRITERS_MAX || self.rows >= BATCH_ROWS_MAX || self.opened.elapsed() > BATCH_TIME_MAX
    }

    /// Undoes what a writer left half done. Cancelled half-way, it can be called again.
    async fn tidy(&mut self) {
        if !self.half_done {
            return;
        }
        let undone = match self.savepoint {
            // Cancelled while it opened: it may stand or not, and nothing was written in it.
            Some(mine) if self.opening => {
                let _ = self.run(mine.undo()).await;
                self.open.is_some()
            }
            Some(mine) => self.run(mine.undo()).await.is_ok(),
            None if self.joined.is_empty() => match self.open.take() {
                Some(open) => open.rollback().await.is_ok(),
                None => true,
            },
            None => true,
        };
        if !undone {
            self.give_up("the transaction was lost");
        }
        self.half_done = false;
        self.savepoint = None;
        self.opening = false;
    }

    async fn commit(&mut self) {
        let Some(open) = self.open.take() else { return };
        match open.commit().await.map_err(failed) {
            Ok(()) => self.joined.drain(..).for_each(|tell| drop(tell.send(Ok(())))),
            Err(error) => {
                tracing::error!(%error, cause = std::error::Error::source(&error), "a commit failed");
                self.give_up("the commit failed; what it did is not known");
            }
        }
    }

    /// Everyone who joined is told; the connection is not to be trusted any more.
    fn give_up(&mut self, why: &str) {
        self.open = None;
        self.db = None;
        self.joined.drain(..).for_each(|tell| drop(tell.send(Err(Cause::new(why)))));
    }
}
