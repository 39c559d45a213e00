//! Writing: the same statements for both databases. The caller has a transaction open.

use super::error::broken;
use super::index::{Indexed, TermRow, index};
use super::layout::{KIND_WITH_PAST_EVENTS, kind_code};
use super::rows::{get, key, method_code, number};
use super::sql::{Sql, chunks, placeholder};
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
const TERM_COLUMNS: &[&str] = &["rid", "n", "param", "lo", "hi", "num", "text", "raw"];
const HISTORY_COLUMNS: &str = "rid, version, kind, updated, sender_updated, deleted, method, id, client, event, json";

/// Rows of resources by key, in the order of their keys; on PostgreSQL locked until the transaction ends.
pub(super) async fn select_locked<C: ConnectionTrait>(db: &C, columns: &str, keys: &[Key]) -> Result<Vec<QueryResult>> {
    let backend = db.get_database_backend();
    let mut keys = keys.to_vec();
    keys.sort();
    keys.dedup();
    let mut rows = Vec::with_capacity(keys.len());
    let mut rest = keys.as_slice();
    for size in chunks(keys.len(), KEYS_PER_STATEMENT_MAX) {
        let (chunk, left) = rest.split_at(size);
        rest = left;
        let mut sql = Sql::new(backend, "WITH k (kind, id) AS (VALUES ");
        for (place, key) in chunk.iter().enumerate() {
            sql.push(if place == 0 { "(" } else { ", (" }).bind(kind_code(key.kind)).push(", ");
            sql.bind(key.id.as_ref()).push(")");
        }
        sql.push(") SELECT ").push(columns);
        sql.push(" FROM k JOIN resource r ON r.kind = k.kind AND r.id = k.id");
        if sql.is_postgres() {
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
    supersede(db, &replaced).await?;
    insert_resources(db, &mut replaced, true).await?;
    insert_behind(db, &behind).await?;
    insert_resources(db, &mut fresh, false).await?;
    for row in &fresh {
        let standing = Standing { rid: row.rid, last_version: row.put.version };
        memory.standing.insert(row.put.key.clone(), standing);
    }

    let mut terms = Vec::new();
    let mut longest = BTreeMap::<i16, i64>::new();
    for row in fresh.iter_mut().chain(&mut replaced) {
        let length = longest.entry(kind_code(row.put.key.kind)).or_default();
        *length = row.indexed.length().max(*length);
        let rows = std::mem::take(&mut row.indexed.terms);
        terms.extend(rows.into_iter().zip(0..).map(|(term, n)| (row.rid, n, term)));
    }
    memory.rows += fresh.len() + 2 * replaced.len() + behind.len() + terms.len();
    insert_terms(db, terms).await?;
    for (kind, length) in longest {
        let known = longest_known.get(&kind).max(memory.longest.get(&kind)).copied().unwrap_or_default();
        if length > known {
            raise_longest(db, kind, length).await?;
            memory.longest.insert(kind, length);
        }
    }
    Ok(())
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

/// Copies the current rows into history, and drops their terms.
async fn supersede<C: ConnectionTrait>(db: &C, rows: &[Row]) -> Result<()> {
    for chunk in rows.chunks(KEYS_PER_STATEMENT_MAX) {
        let rids: Vec<i64> = chunk.iter().map(|row| row.rid).collect();
        let columns = HISTORY_COLUMNS.replace("event", "CASE WHEN kind = {past} THEN event END");
        let columns = columns.replace("{past}", &kind_code(KIND_WITH_PAST_EVENTS).to_string());
        let mut sql = Sql::new(db.get_database_backend(), "INSERT INTO history (");
        sql.push(HISTORY_COLUMNS).push(") SELECT ").push(&columns).push(" FROM resource WHERE rid IN ");
        sql.bind_list(&rids).execute(db).await?;
        let mut sql = Sql::new(db.get_database_backend(), "DELETE FROM term WHERE rid IN ");
        sql.bind_list(&rids).execute(db).await?;
    }
    Ok(())
}

/// The start of `INSERT INTO table (columns) VALUES (?, ?), …`, for so many rows.
fn insert_text(db: DbBackend, table: &str, columns: &[&str], rows: usize) -> String {
    let mut text = String::with_capacity(64 + rows * columns.len() * 6);
    text.push_str("INSERT INTO ");
    text.push_str(table);
    text.push_str(" (");
    text.push_str(&columns.join(", "));
    text.push_str(") VALUES ");
    let mut number = 0;
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns.len() {
            if column > 0 {
                text.push_str(", ");
            }
            number += 1;
            placeholder(db, number, &mut text);
        }
        text.push(')');
    }
    text
}

/// Inserts new resources, giving them their `rid`, or replaces those that have one.
async fn insert_resources<C: ConnectionTrait>(db: &C, rows: &mut [Row], replace: bool) -> Result<()> {
    let backend = db.get_database_backend();
    let columns = if replace { RESOURCE_COLUMNS } else { &RESOURCE_COLUMNS[1..] };
    let mut rest = rows;
    for size in chunks(rest.len(), RESOURCES_PER_STATEMENT_MAX) {
        let (chunk, left) = rest.split_at_mut(size);
        rest = left;
        let mut text = insert_text(backend, "resource", columns, size);
        if replace {
            text.push_str(" ON CONFLICT (rid) DO UPDATE SET ");
            let set = columns[1..].iter().map(|column| format!("{column} = excluded.{column}"));
            text.push_str(&set.collect::<Vec<_>>().join(", "));
        } else if backend == DbBackend::Postgres {
            text.push_str(" RETURNING rid, kind, id");
        }
        let mut sql = Sql::with_capacity(backend, text, size * columns.len());
        for row in chunk.iter() {
            if replace {
                sql.value(row.rid);
            }
            bind_resource(&mut sql, row);
        }
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
                row.rid = i64::try_from(rid).map_err(|_| broken("row numbers have run out"))?;
            }
        }
    }
    Ok(())
}

/// In the order of `RESOURCE_COLUMNS`, without `rid`.
fn bind_resource(sql: &mut Sql, row: &Row) {
    let Row { put, indexed, .. } = row;
    let version = put.version as i64;
    sql.value(kind_code(put.key.kind))
        .value(version)
        .value(version)
        .value(put.updated.as_microsecond())
        .value(put.sender_updated.map(|time| time.as_microsecond()))
        .value(i16::from(put.deleted))
        .value(method_code(put.method))
        .value(indexed.held)
        .value(indexed.date.0)
        .value(indexed.date.1)
        .value(put.key.id.as_ref())
        .value(put.client.as_deref())
        .value(indexed.status.clone())
        .value(put.hash.to_vec())
        .value(put.event.clone())
        .value(put.json.as_ref());
}

/// Versions that came too late to be current.
async fn insert_behind<C: ConnectionTrait>(db: &C, rows: &[Row]) -> Result<()> {
    for row in rows {
        let Row { rid, put, .. } = row;
        let version = put.version as i64;
        let event = put.event.clone().filter(|_| put.key.kind == KIND_WITH_PAST_EVENTS);
        let columns: Vec<&str> = HISTORY_COLUMNS.split(", ").collect();
        let text = insert_text(db.get_database_backend(), "history", &columns, 1);
        let mut sql = Sql::with_capacity(db.get_database_backend(), text, columns.len());
        sql.value(*rid)
            .value(version)
            .value(kind_code(put.key.kind))
            .value(put.updated.as_microsecond())
            .value(put.sender_updated.map(|time| time.as_microsecond()))
            .value(i16::from(put.deleted))
            .value(method_code(put.method))
            .value(put.key.id.as_ref())
            .value(put.client.as_deref())
            .value(event)
            .value(put.json.as_ref());
        sql.execute(db).await?;
        let mut sql = Sql::new(db.get_database_backend(), "UPDATE resource SET last_version = ");
        sql.bind(version).push(" WHERE rid = ").bind(*rid);
        sql.execute(db).await?;
    }
    Ok(())
}

async fn insert_terms<C: ConnectionTrait>(db: &C, terms: Vec<(i64, i16, TermRow)>) -> Result<()> {
    let backend = db.get_database_backend();
    let sizes: Vec<usize> = chunks(terms.len(), TERMS_PER_STATEMENT_MAX).collect();
    let mut terms = terms.into_iter();
    for size in sizes {
        let text = insert_text(backend, "term", TERM_COLUMNS, size);
        let mut sql = Sql::with_capacity(backend, text, size * TERM_COLUMNS.len());
        for (rid, n, term) in terms.by_ref().take(size) {
            sql.value(rid).value(n).value(term.param).value(term.lo).value(term.hi);
            sql.value(term.num).value(term.text).value(term.raw);
        }
        sql.execute(db).await?;
    }
    Ok(())
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
