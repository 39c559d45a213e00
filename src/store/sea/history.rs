//! History: current and superseded versions together, newest first.

use super::cursor::{self, Key as SortKey};
use super::layout::{KIND_SHARED, kind_code, kind_name};
use super::rows::{VERSION, get, number, version};
use super::sql::Sql;
use crate::store::{Cursor, HistoryOf, Key, Page, Result, StoreError, Version};
use jiff::Timestamp;
use sea_orm::ConnectionTrait;

pub(super) async fn read_version<C: ConnectionTrait>(db: &C, key: &Key, wanted: u64) -> Result<Option<Version>> {
    let Ok(wanted) = i64::try_from(wanted) else { return Ok(None) };
    let mut sql = Sql::new(db.get_database_backend(), "SELECT ");
    sql.push(VERSION).push(" FROM resource WHERE kind = ").bind(kind_code(key.kind));
    sql.push(" AND id = ").bind(key.id.as_ref()).push(" AND version = ").bind(wanted);
    sql.push(" UNION ALL SELECT ").push(VERSION);
    sql.push(" FROM history WHERE rid = (SELECT rid FROM resource WHERE kind = ").bind(kind_code(key.kind));
    sql.push(" AND id = ").bind(key.id.as_ref()).push(") AND version = ").bind(wanted);
    sql.one(db).await?.as_ref().map(version).transpose()
}

/// The numbers of the types that have resources, by hopping through the index.
async fn kinds<C: ConnectionTrait>(db: &C) -> Result<Vec<i16>> {
    let text = "WITH RECURSIVE k (kind) AS (
            SELECT MIN(kind) FROM resource
            UNION ALL
            SELECT (SELECT MIN(r.kind) FROM resource r WHERE r.kind > k.kind) FROM k WHERE k.kind IS NOT NULL)
        SELECT kind FROM k WHERE kind IS NOT NULL";
    Sql::new(db.get_database_backend(), text).all(db).await?.iter().map(|row| get(row, "kind")).collect()
}

pub(super) async fn history<C: ConnectionTrait>(
    db: &C,
    of: &HistoryOf,
    since: Option<Timestamp>,
    count: usize,
    after: Option<&Cursor>,
) -> Result<Page> {
    let question = format!("{of:?} {since:?}");
    let after = match after.map(|after| cursor::decode(&question, after)).transpose()?.as_deref() {
        None => None,
        Some([SortKey::Integer(updated), SortKey::Integer(rid), SortKey::Integer(version)]) => {
            Some((*updated, *rid, *version))
        }
        Some(_) => return Err(StoreError::BadCursor),
    };
    let kinds = match of {
        HistoryOf::Instance(key) => vec![kind_code(key.kind)],
        HistoryOf::Type(kind) => vec![kind_code(kind)],
        HistoryOf::System => kinds(db).await?,
        HistoryOf::Within(kinds) => kinds.iter().map(|(kind, _)| kind_code(kind)).collect(),
    };
    let limit = i64::try_from(count.saturating_add(1)).unwrap_or(i64::MAX);
    let columns = format!("rid, {VERSION}");
    let mut sql = Sql::new(db.get_database_backend(), "SELECT * FROM (");
    let mut first = true;
    // Each type from its own index, no more than the page can use.
    for kind in kinds.iter().filter(|kind| kind_name(**kind).is_some()) {
        for table in ["resource", "history"] {
            sql.push(if first { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" });
            first = false;
            sql.push("SELECT ").push(&columns).push(" FROM ").push(table).push(" WHERE ");
            if let HistoryOf::Instance(key) = of {
                sql.push("rid = (SELECT i.rid FROM resource i WHERE i.kind = ").bind(*kind);
                sql.push(" AND i.id = ").bind(key.id.as_ref()).push(")");
            } else {
                sql.push("kind = ").bind(*kind);
            }
            if let HistoryOf::Within(kinds) = of
                && let Some((_, Some(client))) = kinds.iter().find(|(name, _)| kind_code(name) == *kind)
            {
                sql.push(" AND (client = ").bind(client.as_ref());
                if *kind == kind_code(KIND_SHARED) {
                    sql.push(" OR (rid, version) IN (SELECT s.rid, s.version FROM sharer s WHERE s.client = ");
                    sql.bind(client.as_ref()).push(")");
                }
                sql.push(")");
            }
            if let Some(since) = since {
                sql.push(" AND updated >= ").bind(since.as_microsecond());
            }
            if let Some((updated, rid, version)) = after {
                sql.push(" AND (updated, rid, version) < (").bind(updated).push(", ");
                sql.bind(rid).push(", ").bind(version).push(")");
            }
            sql.push(" ORDER BY updated DESC, rid DESC, version DESC LIMIT ").bind(limit);
            sql.push(if first { ")" } else { ") s" });
        }
    }
    if first {
        return Ok(Page::default());
    }
    sql.push(") h ORDER BY updated DESC, rid DESC, version DESC LIMIT ").bind(limit);
    let mut rows = sql.all(db).await?;
    let mut page = Page::default();
    if rows.len() > count {
        rows.truncate(count);
        if let Some(last) = rows.last() {
            let keys = [get(last, "updated")?, get(last, "rid")?, number(last, "version")? as i64];
            page.next = Some(cursor::encode(&question, &keys.map(SortKey::Integer)));
        }
    }
    page.versions = rows.iter().map(version).collect::<Result<_>>()?;
    Ok(page)
}
