//! What a browser's secret alone opens: rows by shelf and name, each with a time to go.

use super::error::broken;
use super::rows::{get, number, time};
use super::sql::Sql;
use crate::store::{Result, Sealed};
use jiff::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend};

pub(super) async fn count<C: ConnectionTrait>(db: &C, shelf: i16, now: Timestamp) -> Result<u64> {
    let mut sql = Sql::new(db.get_database_backend(), "SELECT COUNT(*) AS total FROM sealed WHERE shelf = ");
    sql.bind(shelf).push(" AND until > ").bind(now.as_microsecond());
    number(&sql.one(db).await?.ok_or_else(|| broken("a count gave no row"))?, "total")
}

pub(super) async fn read<C: ConnectionTrait>(
    db: &C,
    shelf: i16,
    name: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Sealed>> {
    let mut sql = Sql::new(db.get_database_backend(), "SELECT bytes, until FROM sealed WHERE shelf = ");
    sql.bind(shelf).push(" AND name = ").bind(name.to_vec()).push(" AND until > ").bind(now.as_microsecond());
    let Some(row) = sql.one(db).await? else { return Ok(None) };
    Ok(Some(Sealed { shelf, name: *name, bytes: get(&row, "bytes")?, until: time(get(&row, "until")?)? }))
}

pub(super) fn insert(backend: DbBackend, sealed: &Sealed) -> Sql {
    let mut sql = Sql::new(backend, "INSERT INTO sealed (shelf, name, bytes, until) VALUES (");
    sql.bind(sealed.shelf).push(", ").bind(sealed.name.to_vec()).push(", ").bind(sealed.bytes.clone());
    sql.push(", ").bind(sealed.until.as_microsecond()).push(") ON CONFLICT DO NOTHING");
    sql
}

pub(super) fn replace(backend: DbBackend, sealed: &Sealed) -> Sql {
    let mut sql = Sql::new(backend, "UPDATE sealed SET held_until = NULL, bytes = ");
    sql.bind(sealed.bytes.clone()).push(", until = ").bind(sealed.until.as_microsecond());
    named(&mut sql, sealed.shelf, &sealed.name);
    sql
}

pub(super) fn delete(backend: DbBackend, shelf: i16, name: &[u8; 32]) -> Sql {
    let mut sql = Sql::new(backend, "DELETE FROM sealed");
    named(&mut sql, shelf, name);
    sql
}

pub(super) fn extend(backend: DbBackend, shelf: i16, name: &[u8; 32], until: Timestamp) -> Sql {
    let mut sql = Sql::new(backend, "UPDATE sealed SET until = ");
    sql.bind(until.as_microsecond());
    named(&mut sql, shelf, name);
    sql
}

pub(super) fn hold(backend: DbBackend, shelf: i16, name: &[u8; 32], now: Timestamp, until: Timestamp) -> Sql {
    let mut sql = Sql::new(backend, "UPDATE sealed SET held_until = ");
    sql.bind(until.as_microsecond());
    named(&mut sql, shelf, name);
    sql.push(" AND until > ").bind(now.as_microsecond());
    sql.push(" AND (held_until IS NULL OR held_until <= ").bind(now.as_microsecond()).push(")");
    sql
}

pub(super) fn sweep(backend: DbBackend, now: Timestamp) -> Sql {
    let mut sql = Sql::new(backend, "DELETE FROM sealed WHERE until <= ");
    sql.bind(now.as_microsecond());
    sql
}

fn named(sql: &mut Sql, shelf: i16, name: &[u8; 32]) {
    sql.push(" WHERE shelf = ").bind(shelf).push(" AND name = ").bind(name.to_vec());
}
