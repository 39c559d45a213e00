//! Bulk jobs and the pieces of their files.

use super::SeaStore;
use super::error::broken;
use super::group::Who;
use super::rows::{get, number, time};
use super::sql::Sql;
use super::tx::SeaTx;
use crate::store::{BulkJob, BulkPart, BulkPhase, BulkStore, Holding, Result, Tx as _};
use async_trait::async_trait;
use jiff::Timestamp;
use sea_orm::{ConnectionTrait, QueryResult};
use std::time::Duration;

/// How long requests go first.
const PATIENCE: Duration = Duration::from_millis(100);
const COLUMNS: &str = "id, owner, asked, started, phase, progress, state, tries, expires";

fn phase_code(phase: BulkPhase) -> i16 {
    match phase {
        BulkPhase::Running => 0,
        BulkPhase::Done => 1,
        BulkPhase::Failed => 2,
    }
}

fn job(row: &QueryResult) -> Result<BulkJob> {
    let phase = match get::<i16>(row, "phase")? {
        0 => BulkPhase::Running,
        1 => BulkPhase::Done,
        2 => BulkPhase::Failed,
        _ => return Err(broken("a bulk job has an unknown phase")),
    };
    Ok(BulkJob {
        id: get(row, "id")?,
        owner: get(row, "owner")?,
        asked: get(row, "asked")?,
        started: time(get(row, "started")?)?,
        phase,
        progress: get(row, "progress")?,
        state: get(row, "state")?,
        tries: u16::try_from(get::<i16>(row, "tries")?).unwrap_or_default(),
        expires: time(get(row, "expires")?)?,
    })
}

/// A process that starts on SQLite is the only one: nobody else holds anything.
pub(super) async fn free_all<C: ConnectionTrait>(db: &C) -> Result<()> {
    Sql::new(db.get_database_backend(), "UPDATE bulk_job SET held_until = NULL").execute(db).await?;
    Sql::new(db.get_database_backend(), "UPDATE indexing SET held_until = NULL").execute(db).await?;
    Ok(())
}

impl SeaStore {
    pub(super) fn words(&self, text: &str) -> Sql {
        Sql::new(self.db().get_database_backend(), text)
    }

    pub(super) async fn ours(&self) -> Result<SeaTx> {
        Ok(SeaTx::new(self.clone(), self.open(Who::Ourselves(PATIENCE)).await?))
    }

    async fn keep_parts(&self, tx: &mut SeaTx, id: &str, parts: Vec<BulkPart>) -> Result<()> {
        for part in parts {
            let mut sql = self.words("INSERT INTO bulk_part (job, file, n, bytes) VALUES (");
            sql.bind(id).push(", ").bind(part.file).push(", ").bind(part.n).push(", ").bind(part.bytes);
            sql.push(") ON CONFLICT (job, file, n) DO UPDATE SET bytes = excluded.bytes");
            tx.execute(&mut sql).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl BulkStore for SeaStore {
    async fn bulk_start(
        &self,
        job: &BulkJob,
        held: &Holding,
        parts: Vec<BulkPart>,
        running_max: u64,
        kept_max: u64,
    ) -> Result<bool> {
        let mut tx = self.ours().await?;
        let most = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let mut sql = self.words("INSERT INTO bulk_job (");
        sql.push(COLUMNS).push(", holder, held_until) SELECT n.* FROM (SELECT CAST(").bind(job.id.as_str());
        sql.push(" AS TEXT) AS id, CAST(").bind(job.owner.as_str()).push(" AS TEXT) AS owner, CAST(");
        sql.bind(job.asked.as_str()).push(" AS TEXT) AS asked, CAST(").bind(job.started.as_microsecond());
        sql.push(" AS BIGINT) AS started, CAST(").bind(phase_code(job.phase)).push(" AS SMALLINT) AS phase, CAST(");
        sql.bind(job.progress.as_str()).push(" AS TEXT) AS progress, CAST(").bind(job.state.as_str());
        sql.push(" AS TEXT) AS state, CAST(1 AS SMALLINT) AS tries, CAST(").bind(job.expires.as_microsecond());
        sql.push(" AS BIGINT) AS expires, CAST(").bind(held.holder.as_str()).push(" AS TEXT) AS holder, CAST(");
        sql.bind(held.until.as_microsecond()).push(" AS BIGINT) AS held_until) n");
        sql.push(" WHERE (SELECT COUNT(*) FROM bulk_job) < ").bind(most(kept_max));
        sql.push(" AND (SELECT COUNT(*) FROM bulk_job WHERE phase = 0) < ").bind(most(running_max));
        if tx.execute(&mut sql).await? == 0 {
            return Ok(false);
        }
        self.keep_parts(&mut tx, &job.id, parts).await?;
        Box::new(tx).commit().await?;
        Ok(true)
    }

    async fn bulk_find(&self, id: &str, now: Timestamp) -> Result<Option<BulkJob>> {
        let mut sql = self.words("SELECT ");
        sql.push(COLUMNS).push(" FROM bulk_job WHERE id = ").bind(id);
        sql.push(" AND expires > ").bind(now.as_microsecond());
        sql.one(self.db()).await?.as_ref().map(job).transpose()
    }

    async fn bulk_claim(&self, now: Timestamp, held: &Holding) -> Result<Option<BulkJob>> {
        let now = now.as_microsecond();
        let free = " WHERE phase = 0 AND (held_until IS NULL OR held_until <= ";
        let mut sql = self.words("SELECT id FROM bulk_job");
        sql.push(free).bind(now).push(") ORDER BY started LIMIT 1");
        let Some(row) = sql.one(self.db()).await? else { return Ok(None) };
        let id: String = get(&row, "id")?;
        let mut tx = self.ours().await?;
        let mut sql = self.words("UPDATE bulk_job SET tries = tries + 1, holder = ");
        sql.bind(held.holder.as_str()).push(", held_until = ").bind(held.until.as_microsecond());
        sql.push(free).bind(now).push(") AND id = ").bind(id.as_str());
        let mine = tx.execute(&mut sql).await? > 0;
        Box::new(tx).commit().await?;
        if !mine {
            return Ok(None);
        }
        let mut sql = self.words("SELECT ");
        sql.push(COLUMNS).push(" FROM bulk_job WHERE id = ").bind(id.as_str());
        sql.one(self.db()).await?.as_ref().map(job).transpose()
    }

    async fn bulk_save(&self, job: &BulkJob, held: &Holding, parts: Vec<BulkPart>) -> Result<bool> {
        let mut tx = self.ours().await?;
        let mut sql = self.words("UPDATE bulk_job SET phase = ");
        sql.bind(phase_code(job.phase)).push(", progress = ").bind(job.progress.as_str());
        sql.push(", state = ").bind(job.state.as_str()).push(", expires = ").bind(job.expires.as_microsecond());
        sql.push(", held_until = ").bind(held.until.as_microsecond());
        sql.push(" WHERE phase = 0 AND id = ").bind(job.id.as_str()).push(" AND holder = ").bind(held.holder.as_str());
        if tx.execute(&mut sql).await? == 0 {
            return Ok(false);
        }
        self.keep_parts(&mut tx, &job.id, parts).await?;
        Box::new(tx).commit().await?;
        Ok(true)
    }

    async fn bulk_part(&self, id: &str, file: i16, n: i64) -> Result<Option<Vec<u8>>> {
        let mut sql = self.words("SELECT bytes FROM bulk_part WHERE job = ");
        sql.bind(id).push(" AND file = ").bind(file).push(" AND n = ").bind(n);
        sql.one(self.db()).await?.as_ref().map(|row| get(row, "bytes")).transpose()
    }

    async fn bulk_delete(&self, id: &str) -> Result<bool> {
        let mut tx = self.ours().await?;
        // The job first: whoever saves it meanwhile waits, and then finds it gone.
        let mut sql = self.words("DELETE FROM bulk_job WHERE id = ");
        let there = tx.execute(sql.bind(id)).await? > 0;
        let mut sql = self.words("DELETE FROM bulk_part WHERE job = ");
        tx.execute(sql.bind(id)).await?;
        Box::new(tx).commit().await?;
        Ok(there)
    }

    async fn bulk_expired(&self, now: Timestamp) -> Result<Vec<String>> {
        let mut sql = self.words("SELECT id FROM bulk_job WHERE expires <= ");
        sql.bind(now.as_microsecond()).all(self.db()).await?.iter().map(|row| get(row, "id")).collect()
    }

    async fn bulk_release(&self, holder: &str) -> Result<()> {
        let mut sql = self.words("SELECT COUNT(*) AS total FROM bulk_job WHERE phase = 0 AND holder = ");
        let row = sql.bind(holder).one(self.db()).await?.ok_or_else(|| broken("a count gave no row"))?;
        if number(&row, "total")? == 0 {
            return Ok(());
        }
        let mut tx = self.ours().await?;
        let mut sql =
            self.words("UPDATE bulk_job SET held_until = NULL, tries = tries - 1 WHERE phase = 0 AND holder = ");
        tx.execute(sql.bind(holder)).await?;
        Box::new(tx).commit().await
    }
}
