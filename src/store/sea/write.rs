//! Writing: the same statements for both databases. The caller has a transaction open.

use super::error::broken;
use super::index::{Indexed, TermRow, index};
use super::layout::{KIND_SHARED, KIND_WITH_PAST_EVENTS, kind_code};
use super::rows::{get, key, method_code, number};
use super::sql::{Sql, chunks};
use crate::store::{Key, Put, Result, StoreError};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult};
use std::collections::{BTreeMap, HashMap, HashSet};

const RESOURCES_PER_STATEMENT_MAX: usize = 64;
const TERMS_PER_STATEMENT_MAX: usize = 256;
const KEYS_PER_STATEMENT_MAX: usize = 256;

/// Where a resource stands, as this transaction has seen it under its lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) rid: i64,
    pub(super) last_version: u64,
}

/// What a transaction remembers between its calls.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) standing: HashMap<Key, Standing>,
    /// Longest main date by type that this transaction has written, where it was longer than known before.
    pub(super) longest: BTreeMap<i16, i64>,
    /// Rows written, roughly.
    pub(super) rows: usize,
}

const RESOURCE_COLUMNS: &[&str] = &[
    "rid",
    "kind",
    "version",
    "last_version",
    "updated",
    "sender_updated",
    "deleted",
    "method",
    "held",
    "date_from",
    "date_to",
    "id",
    "client",
    "status",
    "hash",
    "event",
    "json",
];
const TERM_COLUMNS_COUNT: usize = 8;
const HISTORY_COLUMNS: &str = "rid, version, kind, updated, sender_updated, deleted, method, id, client, event, json";

/// Rows of resources by key, in the order of their keys; on PostgreSQL locked until the transaction ends.
pub(super) async fn select_locked<C: ConnectionTrait>(db: &C, columns: &str, keys: &[Key]) -> Result<Vec<QueryResult>> {
    select_keys(db, columns, keys, true).await
}

/// The same, locked or not.
pub(super) async fn select_keys<C: ConnectionTrait>(
    db: &C,
    columns: &str,
    keys: &[Key],
    locked: bool,
) -> Result<Vec<QueryResult>> {
    let backend = db.get_database_backend();
    let mut keys = keys.to_vec();
    keys.sort();
    keys.dedup();
    let mut rows = Vec::with_capacity(keys.len());
    for chunk in keys.chunks(KEYS_PER_STATEMENT_MAX) {
        let mut sql = Sql::new(backend, "WITH k (kind, id) AS (VALUES ");
        // Padded with keys that nothing has: few statements to prepare, and one call.
        for place in 0..chunk.len().next_power_of_two() {
            let (kind, id) = chunk.get(place).map_or((0, ""), |key| (kind_code(key.kind), key.id.as_ref()));
            sql.push(if place == 0 { "(" } else { ", (" }).bind(kind).push(", ").bind(id).push(")");
        }
        sql.push(") SELECT ").push(columns);
        sql.push(" FROM k JOIN resource r ON r.kind = k.kind AND r.id = k.id");
        if locked && sql.is_postgres() {
            sql.push(" ORDER BY r.kind, r.id FOR UPDATE OF r");
        }
        rows.extend(sql.all(db).await?);
    }
    Ok(rows)
}

/// Keeps these, in order: the same key again in one call supersedes its own earlier version.
pub(super) async fn put<C: ConnectionTrait>(
    db: &C,
    memory: &mut Memory,
    longest_known: &BTreeMap<i16, i64>,
    puts: Vec<Put>,
) -> Result<()> {
    let mut round = Vec::with_capacity(puts.len());
    let mut keys = HashSet::with_capacity(puts.len());
    for put in puts {
        if !keys.insert(put.key.clone()) {
            put_round(db, memory, longest_known, std::mem::take(&mut round)).await?;
            keys.clear();
            keys.insert(put.key.clone());
        }
        round.push(put);
    }
    put_round(db, memory, longest_known, round).await
}

struct Row {
    rid: i64,
    put: Put,
    indexed: Indexed,
}

/// Puts of different keys.
async fn put_round<C: ConnectionTrait>(
    db: &C,
    memory: &mut Memory,
    longest_known: &BTreeMap<i16, i64>,
    puts: Vec<Put>,
) -> Result<()> {
    look_up(db, memory, &puts).await?;
    let (mut fresh, mut replaced, mut behind) = (Vec::new(), Vec::new(), Vec::new());
    for put in puts {
        let indexed = index(&put)?;
        match memory.standing.get_mut(&put.key) {
            None if put.behind => return Err(StoreError::Conflict),
            None => fresh.push(Row { rid: 0, put, indexed }),
            Some(standing) if put.version <= standing.last_version => return Err(StoreError::Conflict),
            Some(standing) => {
                standing.last_version = put.version;
                let rows = if put.behind { &mut behind } else { &mut replaced };
                rows.push(Row { rid: standing.rid, put, indexed });
            }
        }
    }
    if db.get_database_backend() == DbBackend::Postgres {
        // Who inserts the same keys waits for us: in one order everywhere.
        fresh.sort_by(|a, b| a.put.key.cmp(&b.put.key));
    }
    let mut longest = BTreeMap::<i16, i64>::new();
    for row in fresh.iter().chain(&replaced) {
        let length = longest.entry(kind_code(row.put.key.kind)).or_default();
        *length = row.indexed.length().max(*length);
        memory.rows += 1 + row.indexed.terms.len();
    }
    memory.rows += replaced.len() + 2 * behind.len();

    match (fresh.as_mut_slice(), replaced.as_slice()) {
        ([row], []) if fits_one_call(db, row) => insert_one(db, row).await?,
        ([], [row]) if fits_one_call(db, row) => replace_one(db, row).await?,
        _ => {
            supersede(db, &replaced).await?;
            insert_resources(db, &mut replaced, true).await?;
            insert_resources(db, &mut fresh, false).await?;
            insert_terms(db, fresh.iter().chain(&replaced)).await?;
        }
    }
    insert_behind(db, &behind).await?;
    let shared = fresh.iter().chain(&replaced).map(|row| (row, true)).chain(behind.iter().map(|row| (row, false)));
    insert_sharers(db, shared).await?;
    for row in fresh {
        let standing = Standing { rid: row.rid, last_version: row.put.version };
        memory.standing.insert(row.put.key, standing);
    }
    for (kind, length) in longest {
        let known = longest_known.get(&kind).max(memory.longest.get(&kind)).copied().unwrap_or_default();
        if length > known {
            raise_longest(db, kind, length).await?;
            memory.longest.insert(kind, length);
        }
    }
    Ok(())
}

/// New terms, and columns that are made of them, for those of these versions that still stand.
pub(super) async fn reindex<C: ConnectionTrait>(
    db: &C,
    memory: &mut Memory,
    longest_known: &BTreeMap<i16, i64>,
    puts: Vec<Put>,
) -> Result<()> {
    let keys: Vec<Key> = puts.iter().map(|put| put.key.clone()).collect();
    let mut standing: HashMap<Key, (i64, u64)> = HashMap::new();
    for row in select_locked(db, "r.rid, r.kind, r.id, r.version", &keys).await? {
        standing.insert(key(&row)?, (get(&row, "rid")?, number(&row, "version")?));
    }
    let mut rows = Vec::with_capacity(puts.len());
    for put in puts {
        if let Some((rid, version)) = standing.get(&put.key).copied()
            && version == put.version
        {
            rows.push(Row { rid, indexed: index(&put)?, put });
        }
    }
    for chunk in rows.chunks(KEYS_PER_STATEMENT_MAX) {
        let rids: Vec<i64> = chunk.iter().map(|row| row.rid).collect();
        let mut sql = Sql::new(db.get_database_backend(), "");
        push_forget(&mut sql, &rids);
        sql.execute(db).await?;
    }
    for Row { rid, indexed, put } in &rows {
        let mut sql = Sql::new(db.get_database_backend(), "UPDATE resource SET held = ");
        sql.bind(indexed.held).push(", date_from = ").bind(indexed.date.0).push(", date_to = ").bind(indexed.date.1);
        sql.push(", status = ").bind(indexed.status.clone()).push(" WHERE rid = ").bind(*rid).execute(db).await?;
        let kind = kind_code(put.key.kind);
        let known = longest_known.get(&kind).max(memory.longest.get(&kind)).copied().unwrap_or_default();
        if indexed.length() > known {
            raise_longest(db, kind, indexed.length()).await?;
            memory.longest.insert(kind, indexed.length());
        }
    }
    memory.rows += rows.len();
    insert_terms(db, rows.iter()).await
}

/// Finds where those resources stand that the transaction has not seen yet. A first version is taken at its
/// word: should the key stand after all, the unique index says so.
async fn look_up<C: ConnectionTrait>(db: &C, memory: &mut Memory, puts: &[Put]) -> Result<()> {
    let unseen: Vec<Key> = puts
        .iter()
        .filter(|put| (put.version > 1 || put.behind) && !memory.standing.contains_key(&put.key))
        .map(|put| put.key.clone())
        .collect();
    for row in select_locked(db, "r.rid, r.kind, r.id, r.last_version", &unseen).await? {
        memory.remember(&row)?;
    }
    Ok(())
}

impl Memory {
    pub(super) fn remember(&mut self, row: &QueryResult) -> Result<()> {
        let standing = Standing { rid: get(row, "rid")?, last_version: number(row, "last_version")? };
        self.standing.insert(key(row)?, standing);
        Ok(())
    }
}

/// Each call to SQLite crosses to another thread and back, which costs a lone resource more than writing it:
/// one that has few terms goes in a single call of several statements. (PostgreSQL takes one at a time.)
fn fits_one_call<C: ConnectionTrait>(db: &C, row: &Row) -> bool {
    const TERMS_MAX: usize = 16;
    db.get_database_backend() == DbBackend::Sqlite && row.indexed.terms.len() <= TERMS_MAX && row.put.sharers.is_empty()
}

async fn insert_one<C: ConnectionTrait>(db: &C, row: &mut Row) -> Result<()> {
    let mut sql = Sql::new(db.get_database_backend(), "");
    push_resources(&mut sql, std::slice::from_ref(row), false);
    if !row.indexed.terms.is_empty() {
        sql.push("; ");
        // Rows of `term` have no number of their own, so that the last one given stays the resource's.
        push_terms(&mut sql, row.indexed.terms.iter().zip(0..).map(|(term, n)| (None, n, term)));
    }
    row.rid = row_number(sql.execute(db).await?.last_insert_id())?;
    Ok(())
}

async fn replace_one<C: ConnectionTrait>(db: &C, row: &Row) -> Result<()> {
    let mut sql = Sql::new(db.get_database_backend(), "");
    push_history(&mut sql, &[row.rid]);
    push_forget(sql.push("; "), &[row.rid]);
    if row.put.key.kind == KIND_SHARED {
        push_unshare(sql.push("; "), &[row.rid]);
    }
    push_resources(sql.push("; "), std::slice::from_ref(row), true);
    if !row.indexed.terms.is_empty() {
        push_terms(sql.push("; "), row.indexed.terms.iter().zip(0..).map(|(term, n)| (Some(row.rid), n, term)));
    }
    sql.execute(db).await?;
    Ok(())
}

fn row_number(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| broken("row numbers have run out"))
}

/// Copies the current rows into history, and drops their terms.
async fn supersede<C: ConnectionTrait>(db: &C, rows: &[Row]) -> Result<()> {
    for chunk in rows.chunks(KEYS_PER_STATEMENT_MAX) {
        let rids: Vec<i64> = chunk.iter().map(|row| row.rid).collect();
        for push in [push_history, push_forget] {
            let mut sql = Sql::new(db.get_database_backend(), "");
            push(&mut sql, &rids);
            sql.execute(db).await?;
        }
    }
    let shared: Vec<i64> = rows.iter().filter(|row| row.put.key.kind == KIND_SHARED).map(|row| row.rid).collect();
    for chunk in shared.chunks(KEYS_PER_STATEMENT_MAX) {
        let mut sql = Sql::new(db.get_database_backend(), "");
        push_unshare(&mut sql, chunk);
        sql.execute(db).await?;
    }
    Ok(())
}

/// Whom a superseded version belonged to, the one after it may not.
fn push_unshare(sql: &mut Sql, rids: &[i64]) {
    sql.push("UPDATE sharer SET current = 0 WHERE current = 1 AND rid IN ").bind_list(rids);
}

async fn insert_sharers<'a, C: ConnectionTrait>(db: &C, rows: impl Iterator<Item = (&'a Row, bool)>) -> Result<()> {
    let shares: Vec<_> =
        rows.flat_map(|(row, current)| row.put.sharers.iter().map(move |sharer| (row, current, sharer))).collect();
    for chunk in shares.chunks(RESOURCES_PER_STATEMENT_MAX) {
        let mut sql = Sql::new(db.get_database_backend(), "INSERT INTO sharer (rid, version, client, current, event)");
        for (place, (row, current, sharer)) in chunk.iter().enumerate() {
            sql.push(if place == 0 { " VALUES (" } else { "), (" });
            sql.bind(row.rid).push(", ").bind(row.put.version as i64).push(", ").bind(sharer.client.as_ref());
            sql.push(", ").bind(i16::from(*current)).push(", ").bind(sharer.event.clone());
        }
        sql.push(")").execute(db).await?;
    }
    Ok(())
}

fn push_history(sql: &mut Sql, rids: &[i64]) {
    let past = kind_code(KIND_WITH_PAST_EVENTS);
    let columns = HISTORY_COLUMNS.replace("event", &format!("CASE WHEN kind = {past} THEN event END"));
    sql.push("INSERT INTO history (").push(HISTORY_COLUMNS).push(") SELECT ").push(&columns);
    sql.push(" FROM resource WHERE rid IN ").bind_list(rids);
}

fn push_forget(sql: &mut Sql, rids: &[i64]) {
    sql.push("DELETE FROM term WHERE rid IN ").bind_list(rids);
}

/// New resources, or those that have their `rid` already.
fn push_resources(sql: &mut Sql, rows: &[Row], replace: bool) {
    let columns = if replace { RESOURCE_COLUMNS } else { &RESOURCE_COLUMNS[1..] };
    sql.push("INSERT INTO resource (").push(&columns.join(", ")).push(") VALUES ");
    for (place, row) in rows.iter().enumerate() {
        sql.push(if place == 0 { "(" } else { "), (" });
        if replace {
            sql.bind(row.rid).push(", ");
        }
        bind_resource(sql, row);
    }
    sql.push(")");
    if replace {
        sql.push(" ON CONFLICT (rid) DO UPDATE SET ");
        for (place, column) in columns[1..].iter().enumerate() {
            sql.push(if place == 0 { "" } else { ", " }).push(column).push(" = excluded.").push(column);
        }
    } else if sql.is_postgres() {
        sql.push(" RETURNING rid, kind, id");
    }
}

/// In the order of `RESOURCE_COLUMNS`, without `rid`.
fn bind_resource(sql: &mut Sql, row: &Row) {
    let Row { put, indexed, .. } = row;
    let version = put.version as i64;
    sql.bind(kind_code(put.key.kind)).push(", ").bind(version).push(", ").bind(version);
    sql.push(", ").bind(put.updated.as_microsecond());
    sql.push(", ").bind(put.sender_updated.map(|time| time.as_microsecond()));
    sql.push(", ").bind(i16::from(put.deleted)).push(", ").bind(method_code(put.method));
    sql.push(", ").bind(indexed.held).push(", ").bind(indexed.date.0).push(", ").bind(indexed.date.1);
    sql.push(", ").bind(put.key.id.as_ref()).push(", ").bind(put.client.as_deref());
    sql.push(", ").bind(indexed.status.clone()).push(", ").bind(put.hash.to_vec());
    sql.push(", ").bind(put.event.clone()).push(", ").bind(put.json.as_ref());
}

/// Inserts new resources, giving them their `rid`, or replaces those that have one.
async fn insert_resources<C: ConnectionTrait>(db: &C, rows: &mut [Row], replace: bool) -> Result<()> {
    let backend = db.get_database_backend();
    let mut rest = rows;
    for size in chunks(rest.len(), RESOURCES_PER_STATEMENT_MAX) {
        let (chunk, left) = rest.split_at_mut(size);
        rest = left;
        let mut sql = Sql::with_capacity(backend, size * 128, size * RESOURCE_COLUMNS.len());
        push_resources(&mut sql, chunk, replace);
        if replace {
            sql.execute(db).await?;
        } else if backend == DbBackend::Postgres {
            let mut rids = HashMap::with_capacity(size);
            for row in sql.all(db).await? {
                rids.insert(key(&row)?, get::<i64>(&row, "rid")?);
            }
            for row in chunk {
                row.rid = *rids.get(&row.put.key).ok_or_else(|| broken("an inserted row is not there"))?;
            }
        } else {
            // One statement's rows are numbered one after another: nobody else writes meanwhile.
            let last = sql.execute(db).await?.last_insert_id();
            for (row, rid) in chunk.iter_mut().rev().zip((0..=last).rev()) {
                row.rid = row_number(rid)?;
            }
        }
    }
    Ok(())
}

/// Versions that came too late to be current.
async fn insert_behind<C: ConnectionTrait>(db: &C, rows: &[Row]) -> Result<()> {
    for Row { rid, put, .. } in rows {
        let version = put.version as i64;
        let event = put.event.clone().filter(|_| put.key.kind == KIND_WITH_PAST_EVENTS);
        let mut sql = Sql::new(db.get_database_backend(), "INSERT INTO history (");
        sql.push(HISTORY_COLUMNS).push(") VALUES (").bind(*rid).push(", ").bind(version);
        sql.push(", ").bind(kind_code(put.key.kind)).push(", ").bind(put.updated.as_microsecond());
        sql.push(", ").bind(put.sender_updated.map(|time| time.as_microsecond()));
        sql.push(", ").bind(i16::from(put.deleted)).push(", ").bind(method_code(put.method));
        sql.push(", ").bind(put.key.id.as_ref()).push(", ").bind(put.client.as_deref());
        sql.push(", ").bind(event).push(", ").bind(put.json.as_ref()).push(")");
        sql.execute(db).await?;
        let mut sql = Sql::new(db.get_database_backend(), "UPDATE resource SET last_version = ");
        sql.bind(version).push(" WHERE rid = ").bind(*rid);
        sql.execute(db).await?;
    }
    Ok(())
}

async fn insert_terms<C: ConnectionTrait>(db: &C, rows: impl Iterator<Item = &Row>) -> Result<()> {
    let terms: Vec<_> =
        rows.flat_map(|row| row.indexed.terms.iter().zip(0..).map(|(term, n)| (Some(row.rid), n, term))).collect();
    let mut rest = terms.as_slice();
    for size in chunks(terms.len(), TERMS_PER_STATEMENT_MAX) {
        let (chunk, left) = rest.split_at(size);
        rest = left;
        let mut sql = Sql::with_capacity(db.get_database_backend(), size * 64, size * TERM_COLUMNS_COUNT);
        push_terms(&mut sql, chunk.iter().copied());
        sql.execute(db).await?;
    }
    Ok(())
}

/// Terms by the number of their resource, or of the one just inserted.
fn push_terms<'a>(sql: &mut Sql, terms: impl Iterator<Item = (Option<i64>, i16, &'a TermRow)>) {
    sql.push("INSERT INTO term (rid, n, param, lo, hi, num, text, raw) VALUES ");
    for (place, (rid, n, term)) in terms.enumerate() {
        sql.push(if place == 0 { "(" } else { "), (" });
        match rid {
            Some(rid) => sql.bind(rid),
            None => sql.push("last_insert_rowid()"),
        };
        sql.push(", ").bind(n).push(", ").bind(term.param).push(", ").bind(term.lo).push(", ").bind(term.hi);
        sql.push(", ").bind(term.num).push(", ").bind(term.text.clone()).push(", ").bind(term.raw.clone());
    }
    sql.push(")");
}

/// Longest main date by type.
pub(super) async fn longest<C: ConnectionTrait>(db: &C) -> Result<BTreeMap<i16, i64>> {
    let rows = Sql::new(db.get_database_backend(), "SELECT kind, longest FROM span").all(db).await?;
    rows.iter().map(|row| Ok((get(row, "kind")?, get(row, "longest")?))).collect()
}

async fn raise_longest<C: ConnectionTrait>(db: &C, kind: i16, length: i64) -> Result<()> {
    let mut sql = Sql::new(db.get_database_backend(), "INSERT INTO span (kind, longest) VALUES (");
    sql.bind(kind).push(", ").bind(length);
    sql.push(") ON CONFLICT (kind) DO UPDATE SET longest = excluded.longest WHERE span.longest < excluded.longest");
    sql.execute(db).await?;
    Ok(())
}
