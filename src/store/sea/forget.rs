//! Resources past their time, with their history and everything that finds them.

use super::layout::kind_code;
use super::rows::get;
use super::sql::Sql;
use crate::store::{Kind, Result};
use jiff::Timestamp;
use sea_orm::ConnectionTrait;

/// Rows of the oldest of a type, written before.
pub(super) async fn oldest<C: ConnectionTrait>(
    db: &C,
    kind: Kind,
    before: Timestamp,
    count: usize,
) -> Result<Vec<i64>> {
    let mut sql = Sql::new(db.get_database_backend(), "SELECT rid FROM resource WHERE kind = ");
    sql.bind(kind_code(kind)).push(" AND updated < ").bind(before.as_microsecond());
    sql.push(" ORDER BY updated LIMIT ").bind(i64::try_from(count).unwrap_or(i64::MAX));
    sql.all(db).await?.iter().map(|row| get(row, "rid")).collect()
}

pub(super) async fn forget<C: ConnectionTrait>(db: &C, kind: Kind, before: Timestamp, count: usize) -> Result<u64> {
    let rids = oldest(db, kind, before, count).await?;
    if !rids.is_empty() {
        for table in ["term", "sharer", "history", "resource"] {
            let mut sql = Sql::new(db.get_database_backend(), &format!("DELETE FROM {table} WHERE rid IN "));
            sql.bind_list(&rids).execute(db).await?;
        }
    }
    Ok(rids.len() as u64)
}
