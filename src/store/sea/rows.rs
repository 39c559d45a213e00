//! Rows as the store's types.

use super::error::{broken, failed};
use super::layout::kind_name;
use crate::store::{Head, Key, Kind, Mark, Method, Result, StoredEvent, Version};
use jiff::Timestamp;
use sea_orm::{QueryResult, TryGetable};
use std::sync::Arc;

pub(super) fn get<T: TryGetable>(row: &QueryResult, column: &str) -> Result<T> {
    row.try_get("", column).map_err(failed)
}

fn text(row: &QueryResult, column: &str) -> Result<Arc<str>> {
    get::<String>(row, column).map(Into::into)
}

fn kind(row: &QueryResult) -> Result<Kind> {
    kind_name(get(row, "kind")?).ok_or_else(|| broken("a row has an unknown kind"))
}

pub(super) fn key(row: &QueryResult) -> Result<Key> {
    Ok(Key { kind: kind(row)?, id: text(row, "id")? })
}

pub(super) fn time(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|_| broken("a row has a time out of range"))
}

pub(super) fn number(row: &QueryResult, column: &str) -> Result<u64> {
    u64::try_from(get::<i64>(row, column)?).map_err(|_| broken("a row has a negative number"))
}

pub(super) fn method_code(method: Method) -> i16 {
    match method {
        Method::Post => 1,
        Method::Put => 2,
        Method::Patch => 3,
        Method::Delete => 4,
    }
}

fn method(code: i16) -> Result<Method> {
    match code {
        1 => Ok(Method::Post),
        2 => Ok(Method::Put),
        3 => Ok(Method::Patch),
        4 => Ok(Method::Delete),
        _ => Err(broken("a row has an unknown method")),
    }
}

pub(super) const VERSION: &str = "kind, id, version, updated, deleted, client, method, json";

pub(super) fn version(row: &QueryResult) -> Result<Version> {
    Ok(Version {
        key: key(row)?,
        version: number(row, "version")?,
        updated: time(get(row, "updated")?)?,
        deleted: get::<i16>(row, "deleted")? != 0,
        client: get::<Option<String>>(row, "client")?.map(Into::into),
        method: method(get(row, "method")?)?,
        json: text(row, "json")?,
    })
}

pub(super) const HEAD: &str =
    "r.rid, r.kind, r.id, r.version, r.last_version, r.sender_updated, r.deleted, r.client, r.hash, r.json";

fn hash(row: &QueryResult) -> Result<[u8; 16]> {
    get::<Vec<u8>>(row, "hash")?.try_into().map_err(|_| broken("a row has a hash of another length"))
}

pub(super) const MARK: &str = "r.kind, r.id, r.version, r.hash, r.status";

pub(super) fn mark(row: &QueryResult) -> Result<Mark> {
    let status = get::<Option<String>>(row, "status")?.map(Into::into);
    Ok(Mark { key: key(row)?, version: number(row, "version")?, hash: hash(row)?, status })
}

pub(super) fn head(row: &QueryResult) -> Result<Head> {
    Ok(Head {
        key: key(row)?,
        version: number(row, "version")?,
        last_version: number(row, "last_version")?,
        sender_updated: get::<Option<i64>>(row, "sender_updated")?.map(time).transpose()?,
        deleted: get::<i16>(row, "deleted")? != 0,
        client: get::<Option<String>>(row, "client")?.map(Into::into),
        hash: hash(row)?,
        json: text(row, "json")?,
    })
}

pub(super) const EVENT: &str = "r.kind, r.id, r.version, r.sender_updated, r.updated, r.deleted, r.event";

pub(super) fn event(row: &QueryResult, current: bool) -> Result<StoredEvent> {
    Ok(StoredEvent {
        key: key(row)?,
        version: number(row, "version")?,
        current,
        deleted: get::<i16>(row, "deleted")? != 0,
        sender_updated: get::<Option<i64>>(row, "sender_updated")?.map(time).transpose()?,
        received: time(get(row, "updated")?)?,
        event: get::<Option<Vec<u8>>>(row, "event")?.unwrap_or_default(),
    })
}
