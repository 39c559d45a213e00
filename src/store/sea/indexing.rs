//! Reading search terms anew, by pages of resources in the order of their rows.

use super::SeaStore;
use super::rows::{VERSION, get, version};
use super::sql::Sql;
use crate::store::{IndexStore, Put, Result, Stale, Tx as _};
use async_trait::async_trait;
use jiff::Timestamp;

#[async_trait]
impl IndexStore for SeaStore {
    async fn index_by(&self, wanted: &str) -> Result<bool> {
        let row = self.words("SELECT made_by, making FROM indexing WHERE id = 1").one(self.db()).await?;
        if let Some(row) = &row {
            let (made_by, making): (String, Option<String>) = (get(row, "made_by")?, get(row, "making")?);
            match making {
                None if made_by == wanted => return Ok(false),
                Some(making) if making == wanted => return Ok(true),
                _ => {}
            }
        }
        // A database that is new has nothing to read; one that an earlier release made does not say by what.
        let is_new = row.is_none() && self.words("SELECT rid FROM resource LIMIT 1").one(self.db()).await?.is_none();
        let (made_by, making) = if is_new { (wanted, None) } else { ("", Some(wanted)) };
        let mut sql = self.words("INSERT INTO indexing (id, made_by, making, done) VALUES (1, ");
        sql.bind(made_by).push(", ").bind(making).push(", 0) ON CONFLICT (id) DO UPDATE SET ");
        sql.push("making = excluded.making, done = 0, held_until = NULL");
        self.of_ours(sql).await?;
        Ok(!is_new)
    }

    async fn index_hold(&self, wanted: &str, now: Timestamp, until: Timestamp) -> Result<bool> {
        let mut sql = self.words("UPDATE indexing SET held_until = ");
        sql.bind(until.as_microsecond()).push(" WHERE id = 1 AND making = ").bind(wanted);
        sql.push(" AND (held_until IS NULL OR held_until <= ").bind(now.as_microsecond()).push(")");
        Ok(self.of_ours(sql).await? > 0)
    }

    async fn index_stale(&self, count: usize) -> Result<Stale> {
        let mut sql = self.words("SELECT rid, ");
        sql.push(VERSION).push(" FROM resource WHERE rid > (SELECT done FROM indexing WHERE id = 1) AND deleted = 0");
        sql.push(" ORDER BY rid LIMIT ").bind(i64::try_from(count).unwrap_or(i64::MAX));
        let rows = sql.all(self.db()).await?;
        let upto = rows.last().map(|row| get(row, "rid")).transpose()?.unwrap_or_default();
        Ok(Stale { versions: rows.iter().map(version).collect::<Result<_>>()?, upto })
    }

    async fn index_anew(&self, wanted: &str, puts: Vec<Put>, upto: i64, until: Timestamp) -> Result<()> {
        let mut tx = self.ours().await?;
        tx.reindex(puts).await?;
        let mut sql = self.words("UPDATE indexing SET done = ");
        sql.bind(upto).push(", held_until = ").bind(until.as_microsecond());
        sql.push(" WHERE id = 1 AND done < ").bind(upto).push(" AND making = ").bind(wanted);
        tx.execute(&mut sql).await?;
        Box::new(tx).commit().await
    }

    async fn index_done(&self, wanted: &str) -> Result<()> {
        let mut sql = self.words("UPDATE indexing SET made_by = ");
        sql.bind(wanted).push(", making = NULL, held_until = NULL WHERE id = 1 AND making = ").bind(wanted);
        self.of_ours(sql).await.map(drop)
    }
}

impl SeaStore {
    async fn of_ours(&self, mut sql: Sql) -> Result<u64> {
        let mut tx = self.ours().await?;
        let rows = tx.execute(&mut sql).await?;
        Box::new(tx).commit().await?;
        Ok(rows)
    }
}
