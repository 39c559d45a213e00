//! The write transaction, on either database.

use super::SeaStore;
use super::error::failed;
use super::group::Turn;
use super::rows::{HEAD, head};
use super::sql::Sql;
use super::write::{self, Memory, select_locked};
use super::{jobs, search};
use crate::store::{Head, Job, Key, Kind, Put, Query, Result, Tx};
use async_trait::async_trait;
use jiff::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};
use sha2::{Digest, Sha256};
use std::sync::Arc;

pub(super) enum Session {
    Sqlite(Turn),
    Postgres(DatabaseTransaction),
}

pub(super) struct SeaTx {
    store: SeaStore,
    session: Session,
    memory: Memory,
}

impl SeaTx {
    pub(super) fn new(store: SeaStore, session: Session) -> Self {
        SeaTx { store, session, memory: Memory::default() }
    }

    pub(super) async fn claim(&mut self, now: Timestamp, lease_until: Timestamp, count: usize) -> Result<Vec<Job>> {
        jobs::claim(self.session.db()?, now, lease_until, count).await
    }

    pub(super) async fn enqueue_all(&mut self, due: Timestamp) -> Result<u64> {
        jobs::enqueue_all(self.session.db()?, due).await
    }
}

impl Session {
    fn db(&self) -> Result<&DatabaseTransaction> {
        match self {
            Session::Sqlite(turn) => turn.db(),
            Session::Postgres(transaction) => Ok(transaction),
        }
    }
}

#[async_trait]
impl Tx for SeaTx {
    async fn heads(&mut self, keys: &[Key]) -> Result<Vec<Head>> {
        let rows = select_locked(self.session.db()?, HEAD, keys).await?;
        let mut heads = Vec::with_capacity(rows.len());
        for row in rows {
            self.memory.remember(&row)?;
            heads.push(head(&row)?);
        }
        Ok(heads)
    }

    async fn matches(&mut self, query: &Query, limit: usize) -> Result<Vec<Key>> {
        let db = self.session.db()?;
        if db.get_database_backend() == DbBackend::Postgres {
            // Whoever decides by the same criteria waits here until we are done, and then sees what we did.
            let criteria = format!("{} {:?} {:?}", query.kind, query.client, query.filters);
            let hash = Sha256::digest(criteria);
            let mut number = [0; 8];
            number.copy_from_slice(&hash[..8]);
            let mut sql = Sql::new(DbBackend::Postgres, "SELECT 1 FROM pg_advisory_xact_lock(");
            sql.bind(i64::from_be_bytes(number)).push(")").execute(db).await?;
        }
        search::matches(db, query, limit).await
    }

    async fn client_heads(&mut self, client: &str, kinds: &[Kind]) -> Result<Vec<Head>> {
        let rows = super::read::client_heads(self.session.db()?, client, kinds, true).await?;
        let mut heads = Vec::with_capacity(rows.len());
        for row in rows {
            self.memory.remember(&row)?;
            heads.push(head(&row)?);
        }
        Ok(heads)
    }

    async fn put(&mut self, puts: Vec<Put>) -> Result<()> {
        let longest = self.store.longest();
        write::put(self.session.db()?, &mut self.memory, &longest, puts).await
    }

    async fn enqueue(&mut self, clients: &[Arc<str>], due: Timestamp) -> Result<()> {
        jobs::enqueue(self.session.db()?, clients, due).await
    }

    async fn finish(&mut self, job: &Job, next: Option<Timestamp>) -> Result<()> {
        jobs::finish(self.session.db()?, job, next).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let SeaTx { store, session, memory } = *self;
        match session {
            Session::Sqlite(turn) => store.writer()?.commit(turn, memory.rows).await?,
            Session::Postgres(transaction) => transaction.commit().await.map_err(failed)?,
        }
        store.learn(memory.rows, memory.longest);
        Ok(())
    }
}
