//! Plain reads.

use super::layout::kind_code;
use super::rows::{EVENT, MARK, VERSION, event, get, mark, number, time, version};
use super::sql::Sql;
use super::write::select_keys;
use crate::store::{Key, Kind, Mark, Result, StoredEvent, Version};
use jiff::Timestamp;
use sea_orm::{ConnectionTrait, QueryResult};
use std::collections::HashMap;
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

/// Current versions of these, in no order.
pub(super) async fn read_all<C: ConnectionTrait>(db: &C, keys: &[Key]) -> Result<Vec<Version>> {
    let columns: Vec<String> = VERSION.split(", ").map(|column| format!("r.{column}")).collect();
    select_keys(db, &columns.join(", "), keys, false).await?.iter().map(version).collect()
}

fn codes(kinds: &[Kind]) -> Vec<i16> {
    kinds.iter().map(|kind| kind_code(kind)).collect()
}

pub(super) async fn marks<C: ConnectionTrait>(db: &C, clients: &[Arc<str>], kinds: &[Kind]) -> Result<Vec<Vec<Mark>>> {
    let mut each = Each::new(clients);
    for chunk in each.chunks() {
        let mut sql = Sql::new(db.get_database_backend(), "SELECT r.client AS owner, ");
        sql.push(MARK).push(" FROM resource r WHERE r.client IN ").bind_list(&chunk);
        sql.push(" AND r.kind IN ").bind_list(&codes(kinds)).push(" AND r.deleted = 0");
        for row in sql.all(db).await? {
            each.push(&row, mark(&row)?)?;
        }
    }
    Ok(each.all)
}

/// Rows of several clients, told apart by their column `owner`.
struct Each<'a, T> {
    clients: &'a [Arc<str>],
    places: HashMap<&'a str, usize>,
    all: Vec<Vec<T>>,
}

impl<'a, T> Each<'a, T> {
    fn new(clients: &'a [Arc<str>]) -> Self {
        let places = clients.iter().enumerate().map(|(place, client)| (client.as_ref(), place)).collect();
        Self { clients, places, all: clients.iter().map(|_| Vec::new()).collect() }
    }

    fn chunks(&self) -> impl Iterator<Item = Vec<&'a str>> + use<'a, T> {
        self.clients.chunks(CLIENTS_PER_STATEMENT_MAX).map(|chunk| chunk.iter().map(AsRef::as_ref).collect())
    }

    fn push(&mut self, row: &QueryResult, one: T) -> Result<()> {
        let owner = get::<String>(row, "owner")?;
        if let Some(rows) = self.places.get(owner.as_str()).and_then(|place| self.all.get_mut(*place)) {
            rows.push(one);
        }
        Ok(())
    }
}

/// Of each client: current facts and deletions, then superseded ones of what still is this client's.
pub(super) async fn events<C: ConnectionTrait>(db: &C, clients: &[Arc<str>]) -> Result<Vec<Vec<StoredEvent>>> {
    let backend = db.get_database_backend();
    let mut each = Each::new(clients);
    for chunk in each.chunks() {
        let mut sql = Sql::new(backend, "SELECT r.client AS owner, ");
        sql.push(EVENT).push(" FROM resource r");
        if !sql.is_postgres() {
            // It keeps no statistics, and would take the index that findings are in too.
            sql.push(" INDEXED BY resource_event");
        }
        sql.push(" WHERE r.client IN ").bind_list(&chunk);
        sql.push(" AND (r.event IS NOT NULL OR r.deleted <> 0) UNION ALL SELECT s.client AS owner, ");
        sql.push(SHARED_EVENT).push(" FROM sharer s JOIN resource r ON r.rid = s.rid WHERE s.client IN ");
        sql.bind_list(&chunk).push(" AND s.current = 1 ORDER BY 1, 2, 3");
        for row in sql.all(db).await? {
            each.push(&row, event(&row, true)?)?;
        }
        let mut sql = Sql::new(backend, "SELECT r.client AS owner, ");
        sql.push(EVENT).push(" FROM history r JOIN resource now ON now.rid = r.rid WHERE r.client IN ");
        sql.bind_list(&chunk).push(" AND r.event IS NOT NULL AND (now.client = r.client OR r.client IN (");
        sql.push(STILL_SHARES).push(")) UNION ALL SELECT s.client AS owner, ").push(SHARED_EVENT);
        sql.push(" FROM sharer s JOIN history r ON r.rid = s.rid AND r.version = s.version");
        sql.push(" JOIN resource now ON now.rid = r.rid WHERE s.client IN ").bind_list(&chunk);
        sql.push(" AND s.current = 0 AND (now.client = s.client OR s.client IN (");
        sql.push(STILL_SHARES).push(")) ORDER BY 1, 2, 3, 4");
        for row in sql.all(db).await? {
            each.push(&row, event(&row, false)?)?;
        }
    }
    Ok(each.all)
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

/// Asked for at a time.
const CLIENTS_PER_STATEMENT_MAX: usize = 32;

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
