//! The write transaction, on either database.

use super::SeaStore;
use super::error::{broken, failed};
use super::group::{InCrowd, Turn};
use super::rows::{HEAD, head};
use super::sql::Sql;
use super::write::{self, Memory, select_locked};
use super::{jobs, search};
use crate::store::{End, Head, Job, Key, Kind, Put, Query, Result, Tx};
use async_trait::async_trait;
use jiff::Timestamp;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbBackend, QueryResult};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

pub(super) enum Session {
    Sqlite(Turn),
    Postgres(DatabaseTransaction, Guest),
}

/// Who has the transaction, until it ends.
#[expect(dead_code, reason = "held for its end")]
pub(super) enum Guest {
    Request(InCrowd, OwnedSemaphorePermit),
    Ourselves(OwnedSemaphorePermit),
}

pub(super) struct SeaTx {
    store: SeaStore,
    session: Session,
    memory: Memory,
    /// Criteria that are locked already.
    criteria: BTreeSet<i64>,
    failed: bool,
    /// Versions put.
    puts: usize,
    /// When the first of the clients that it makes due is.
    rings: Option<Timestamp>,
}

impl SeaTx {
    pub(super) fn new(store: SeaStore, session: Session) -> Self {
        SeaTx {
            store,
            session,
            memory: Memory::default(),
            criteria: BTreeSet::new(),
            failed: false,
            puts: 0,
            rings: None,
        }
    }

    pub(super) async fn claim(&mut self, now: Timestamp, lease_until: Timestamp, count: usize) -> Result<Vec<Job>> {
        jobs::claim(self.session.writing().await?, now, lease_until, count).await
    }

    pub(super) async fn forget(&mut self, kind: Kind, before: Timestamp, count: usize) -> Result<u64> {
        super::forget::forget(self.session.writing().await?, kind, before, count).await
    }

    pub(super) async fn reindex(&mut self, puts: Vec<Put>) -> Result<()> {
        let longest = self.store.longest();
        write::reindex(self.session.writing().await?, &mut self.memory, &longest, puts).await
    }

    pub(super) async fn execute(&mut self, sql: &mut Sql) -> Result<u64> {
        Ok(sql.execute(self.session.writing().await?).await?.rows_affected())
    }

    pub(super) async fn renew(&mut self, jobs: &[Job], from: Timestamp, to: Timestamp) -> Result<()> {
        jobs::renew(self.session.writing().await?, jobs, from, to).await
    }
}

impl Session {
    /// The transaction, to be written to.
    async fn writing(&mut self) -> Result<&DatabaseTransaction> {
        if let Session::Sqlite(turn) = self {
            turn.before_write().await?;
        }
        self.db()
    }

    fn is_a_requests(&self) -> bool {
        match self {
            Session::Sqlite(turn) => turn.is_a_requests(),
            Session::Postgres(_, guest) => matches!(guest, Guest::Request(..)),
        }
    }

    fn db(&self) -> Result<&DatabaseTransaction> {
        match self {
            Session::Sqlite(turn) => turn.db(),
            Session::Postgres(transaction, _) => Ok(transaction),
        }
    }
}

/// Remembers that a call failed: PostgreSQL would take the commit that follows, and do nothing. Some of a failed
/// call's rows may stand on SQLite.
macro_rules! noting_failure {
    ($tx:ident, $work:expr) => {{
        let outcome = async { $work }.await;
        $tx.failed |= outcome.is_err();
        outcome
    }};
}

#[async_trait]
impl Tx for SeaTx {
    async fn heads(&mut self, keys: &[Key]) -> Result<Vec<Head>> {
        noting_failure!(self, {
            let rows = select_locked(self.session.db()?, HEAD, keys).await?;
            remembered(&mut self.memory, &rows)
        })
    }

    async fn expect(&mut self, queries: &[Query]) -> Result<()> {
        noting_failure!(self, {
            let numbers = queries.iter().map(criteria_number).collect();
            lock_criteria(self.session.db()?, &mut self.criteria, numbers).await
        })
    }

    async fn matches(&mut self, query: &Query, limit: usize) -> Result<Vec<Key>> {
        noting_failure!(self, {
            let db = self.session.db()?;
            lock_criteria(db, &mut self.criteria, BTreeSet::from([criteria_number(query)])).await?;
            search::matches(db, query, limit).await
        })
    }

    async fn put(&mut self, puts: Vec<Put>) -> Result<()> {
        noting_failure!(self, {
            self.puts += puts.len();
            let longest = self.store.longest();
            write::put(self.session.writing().await?, &mut self.memory, &longest, puts).await
        })
    }

    async fn dated(&mut self, key: &Key, sender_updated: Timestamp) -> Result<Option<u64>> {
        noting_failure!(self, super::read::dated(self.session.db()?, key, sender_updated).await)
    }

    async fn last_dated(&mut self, key: &Key) -> Result<Option<Timestamp>> {
        noting_failure!(self, super::read::last_dated(self.session.db()?, key).await)
    }

    async fn enqueue_all(&mut self, due: Timestamp) -> Result<u64> {
        noting_failure!(self, {
            self.rings = Some(self.rings.map_or(due, |known| known.min(due)));
            jobs::enqueue_all(self.session.writing().await?, due).await
        })
    }

    async fn enqueue(&mut self, clients: &[Arc<str>], due: Timestamp) -> Result<()> {
        noting_failure!(self, {
            self.rings = Some(self.rings.map_or(due, |known| known.min(due)));
            jobs::enqueue(self.session.writing().await?, clients, due).await
        })
    }

    async fn finish(&mut self, ends: &[End]) -> Result<()> {
        noting_failure!(self, jobs::finish(self.session.writing().await?, ends).await)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let SeaTx { store, session, memory, failed: unfit, puts, rings, .. } = *self;
        if unfit {
            return Err(broken("a transaction in which a call failed cannot be committed"));
        }
        let puts = if session.is_a_requests() { puts } else { 0 };
        match session {
            Session::Sqlite(turn) => store.writer()?.commit(turn, memory.rows).await?,
            Session::Postgres(transaction, _guest) => {
                if let Some(due) = rings {
                    store.inner.bell.announce(&transaction, due).await?;
                }
                transaction.commit().await.map_err(failed)?;
            }
        }
        if let Some(due) = rings {
            store.inner.bell.ring(due);
        }
        store.learn(puts, memory.rows, memory.longest);
        Ok(())
    }
}

fn remembered(memory: &mut Memory, rows: &[QueryResult]) -> Result<Vec<Head>> {
    let remember = |row| {
        memory.remember(row)?;
        head(row)
    };
    rows.iter().map(remember).collect()
}

/// What a search is locked by: the same for the same criteria.
fn criteria_number(query: &Query) -> i64 {
    let hash = Sha256::digest(format!("{} {:?} {:?}", query.kind, query.client, query.filters));
    let mut number = [0; 8];
    number.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(number)
}

/// Whoever decides by the same criteria waits here until we are done, and then sees what we did. On SQLite there is
/// one writer anyway.
async fn lock_criteria(db: &DatabaseTransaction, held: &mut BTreeSet<i64>, wanted: BTreeSet<i64>) -> Result<()> {
    let missing: Vec<i64> = wanted.difference(held).copied().collect();
    if db.get_database_backend() != DbBackend::Postgres || missing.is_empty() {
        return Ok(());
    }
    // One after another, the smallest first.
    let mut sql = Sql::new(DbBackend::Postgres, "SELECT pg_advisory_xact_lock(n) FROM (VALUES ");
    for (place, number) in missing.iter().enumerate() {
        sql.push(if place == 0 { "(CAST(" } else { "), (CAST(" }).bind(*number).push(" AS BIGINT)");
    }
    sql.push(")) v (n)").execute(db).await?;
    held.extend(missing);
    Ok(())
}
