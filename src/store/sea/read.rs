//! Plain reads.

use super::layout::kind_code;
use super::rows::{EVENT, HEAD, VERSION, event, get, number, time, version};
use super::sql::Sql;
use crate::store::{Key, Kind, Result, StoredEvent, Version};
use jiff::Timestamp;
use sea_orm::{ConnectionTrait, QueryResult};
use std::sync::Arc;

pub(super) async fn read<C: ConnectionTrait>(db: &C, key: &Key) -> Result<Option<Version>> {
    let mut sql = Sql::new(db.get_database_backend(), "SELECT ");
    sql.push(VERSION).push(" FROM resource WHERE kind = ").bind(kind_code(key.kind));
    sql.push(" AND id = ").bind(key.id.as_ref());
    sql.one(db).await?.as_ref().map(version).transpose()
}

pub(super) async fn dated<C: ConnectionTrait>(db: &C, key: &Key, sender_updated: Timestamp) -> Result<Option<u64>> {
    let mut sql =
        Sql::new(db.get_database_backend(), "SELECT h.version FROM history h JOIN resource r ON r.rid = h.rid");
    sql.push(" WHERE r.kind = ").bind(kind_code(key.kind)).push(" AND r.id = ").bind(key.id.as_ref());
    sql.push(" AND h.sender_updated = ").bind(sender_updated.as_microsecond());
    sql.push(" ORDER BY h.version LIMIT 1");
    sql.one(db).await?.as_ref().map(|row| number(row, "version")).transpose()
}

pub(super) async fn last_dated<C: ConnectionTrait>(db: &C, key: &Key) -> Result<Option<Timestamp>> {
    let mut sql = Sql::new(
        db.get_database_backend(),
        "SELECT COALESCE((SELECT MAX(h.sender_updated) FROM history h WHERE h.rid = r.rid), r.updated) AS at",
    );
    sql.push(" FROM resource r WHERE r.deleted <> 0 AND r.kind = ").bind(kind_code(key.kind));
    sql.push(" AND r.id = ").bind(key.id.as_ref());
    sql.one(db).await?.as_ref().map(|row| time(get(row, "at")?)).transpose()
}

/// Rows of heads, deleted ones included; on PostgreSQL locked where `locked`.
pub(super) async fn client_heads<C: ConnectionTrait>(
    db: &C,
    client: &str,
    kinds: &[Kind],
    locked: bool,
) -> Result<Vec<QueryResult>> {
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let kinds: Vec<i16> = kinds.iter().map(|kind| kind_code(kind)).collect();
    let mut sql = Sql::new(db.get_database_backend(), "SELECT ");
    sql.push(HEAD).push(" FROM resource r WHERE r.client = ").bind(client);
    sql.push(" AND r.kind IN ").bind_list(&kinds).push(" ORDER BY r.kind, r.id");
    if locked && sql.is_postgres() {
        sql.push(" FOR UPDATE");
    }
    sql.all(db).await
}

/// Current facts and deletions, then superseded ones of what still is this client's.
pub(super) async fn events<C: ConnectionTrait>(db: &C, client: &str) -> Result<Vec<StoredEvent>> {
    let backend = db.get_database_backend();
    let mut sql = Sql::new(backend, "SELECT ");
    sql.push(EVENT).push(" FROM resource r WHERE r.client = ").bind(client);
    sql.push(" AND (r.event IS NOT NULL OR r.deleted <> 0) UNION ALL SELECT ").push(SHARED_EVENT);
    sql.push(" FROM sharer s JOIN resource r ON r.rid = s.rid WHERE s.client = ").bind(client);
    sql.push(" AND s.current = 1 ORDER BY 1, 2");
    let mut events = sql.all(db).await?.iter().map(|row| event(row, true)).collect::<Result<Vec<_>>>()?;
    let mut sql = Sql::new(backend, "SELECT ");
    sql.push(EVENT).push(" FROM history r JOIN resource now ON now.rid = r.rid WHERE r.client = ").bind(client);
    sql.push(" AND r.event IS NOT NULL AND (now.client = r.client OR r.client IN (").push(STILL_SHARES).push("))");
    sql.push(" UNION ALL SELECT ").push(SHARED_EVENT);
    sql.push(" FROM sharer s JOIN history r ON r.rid = s.rid AND r.version = s.version");
    sql.push(" JOIN resource now ON now.rid = r.rid WHERE s.client = ").bind(client);
    sql.push(" AND s.current = 0 AND (now.client = s.client OR s.client IN (")
        .push(STILL_SHARES)
        .push(")) ORDER BY 1, 2, 3");
    for row in sql.all(db).await? {
        events.push(event(&row, false)?);
    }
    Ok(events)
}

/// As `EVENT`, with the fact as it is for the client of `sharer s`.
const SHARED_EVENT: &str = "r.kind, r.id, r.version, r.sender_updated, r.updated, r.deleted, s.event";
/// `FROM sharer n`: those to whom the row `r` belongs now, beside the first.
const STILL_SHARES: &str = "SELECT n.client FROM sharer n WHERE n.rid = r.rid AND n.current = 1";

pub(super) async fn events_of<C: ConnectionTrait>(db: &C, kind: Kind) -> Result<Vec<StoredEvent>> {
    let mut sql = Sql::new(db.get_database_backend(), "SELECT ");
    sql.push(EVENT).push(" FROM resource r WHERE r.kind = ").bind(kind_code(kind));
    sql.push(" AND r.event IS NOT NULL AND r.deleted = 0 ORDER BY r.id");
    sql.all(db).await?.iter().map(|row| event(row, true)).collect()
}

/// Where clients are named.
const CLIENT_TABLES: [&str; 2] = ["resource", "sharer"];

/// Clients that have facts, by hopping through the index from one to the next.
pub(super) async fn clients<C: ConnectionTrait>(db: &C, after: Option<&str>, count: usize) -> Result<Vec<Arc<str>>> {
    let mut clients = Vec::new();
    let mut after = after.map(str::to_owned);
    while clients.len() < count {
        let wanted = i64::try_from(count - clients.len()).unwrap_or(i64::MAX);
        let mut sql =
            Sql::new(db.get_database_backend(), "WITH RECURSIVE c (client, n) AS (SELECT (SELECT MIN(m) FROM (");
        for (place, table) in CLIENT_TABLES.iter().enumerate() {
            sql.push(if place == 0 { "" } else { " UNION ALL " }).push("SELECT MIN(client) AS m FROM ").push(table);
            sql.push(" WHERE client IS NOT NULL");
            if let Some(after) = &after {
                sql.push(" AND client > ").bind(after.as_str());
            }
        }
        sql.push(") f), CAST(1 AS BIGINT) UNION ALL SELECT (SELECT MIN(m) FROM (");
        for (place, table) in CLIENT_TABLES.iter().enumerate() {
            sql.push(if place == 0 { "" } else { " UNION ALL " }).push("SELECT MIN(x.client) AS m FROM ").push(table);
            sql.push(" x WHERE x.client > c.client");
        }
        sql.push(") f), n + 1 FROM c WHERE c.client IS NOT NULL AND n < ").bind(wanted);
        sql.push(") SELECT client, CASE WHEN EXISTS (SELECT 1 FROM resource r WHERE r.client = c.client");
        sql.push(" AND r.event IS NOT NULL AND r.deleted = 0) OR EXISTS (SELECT 1 FROM sharer s");
        sql.push(" WHERE s.client = c.client AND s.current = 1 AND s.event IS NOT NULL) THEN 1 ELSE 0 END AS facts");
        sql.push(" FROM c WHERE client IS NOT NULL ORDER BY client");
        let rows = sql.all(db).await?;
        for row in &rows {
            let client = get::<String>(row, "client")?;
            if get::<i32>(row, "facts")? != 0 {
                clients.push(Arc::from(client.as_str()));
            }
            after = Some(client);
        }
        if i64::try_from(rows.len()).is_ok_and(|found| found < wanted) {
            break;
        }
    }
    Ok(clients)
}
