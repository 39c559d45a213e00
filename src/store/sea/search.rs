//! Search: a plan, its SQL, and pages.
//!
//! SQLite has no statistics to plan by (and would have to be told when to gather them), so that the plan is made
//! here: one filter leads to the rows by an index, the others are checked on each. PostgreSQL gets the same text
//! and plans for itself.

use super::cursor::{self, Key as SortKey};
use super::error::broken;
use super::filter::{Leads, any_system, condition, exact, has_rows, param_condition, rows_of};
use super::layout::{KIND_SHARED, Place, kind_code, param_code, place};
use super::rows::{VERSION, get, key, version};
use super::sql::Sql;
use crate::store::{Cursor, Filter, Key, Kind, Match, Page, Prefix, Query, Result, Sort, StoreError};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult};
use std::fmt::Write;

/// How the rows are come by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plan {
    /// By the unique key.
    Id,
    /// By the client's own index.
    Client,
    /// From the terms equal to one text, in the order of the rows.
    Term(usize),
    /// From a list of rows that this filter gives.
    Rows(usize),
    Date,
    Status,
    Updated,
    /// All of the type.
    Kind,
}

pub(super) fn plan(query: &Query) -> Plan {
    let kind = query.kind;
    let asserts = |filter: &Filter, wanted: fn(&Match) -> bool| !filter.not && filter.any.iter().all(wanted);
    let position = |test: &dyn Fn(&Filter) -> bool| query.filters.iter().position(test);
    let of_place = |wanted: Place, test: fn(&Match) -> bool| {
        query.filters.iter().any(|filter| place(kind, filter.param) == wanted && asserts(filter, test))
    };
    if position(&|f| f.param == "_id" && asserts(f, |m| matches!(m, Match::Id(_)))).is_some() {
        return Plan::Id;
    }
    if query.client.is_some() {
        return Plan::Client;
    }
    if let Some(found) = position(&|f| matches!(place(kind, f.param), Place::Client(_)) && has_rows(kind, f)) {
        return Plan::Rows(found);
    }
    if let Some(found) = position(&|f| exact(kind, f).is_some()) {
        return Plan::Term(found);
    }
    if let Some(found) = position(&|f| has_rows(kind, f)) {
        return Plan::Rows(found);
    }
    let bounded_date = of_place(Place::Date, |m| matches!(m, Match::Date { prefix: Prefix::Eq | Prefix::Ap, .. }))
        || of_place(Place::Date, is_lower) && of_place(Place::Date, is_upper);
    if bounded_date {
        return Plan::Date;
    }
    if of_place(Place::Status, |m| matches!(m, Match::Token { code: Some(_), .. })) {
        return Plan::Status;
    }
    if of_place(Place::Date, |m| is_lower(m) || is_upper(m)) {
        return Plan::Date;
    }
    if position(&|f| f.param == "_lastUpdated" && asserts(f, |m| matches!(m, Match::Date { .. }))).is_some() {
        return Plan::Updated;
    }
    Plan::Kind
}

fn is_lower(wanted: &Match) -> bool {
    matches!(wanted, Match::Date { prefix: Prefix::Gt | Prefix::Ge | Prefix::Sa, .. })
}

fn is_upper(wanted: &Match) -> bool {
    matches!(wanted, Match::Date { prefix: Prefix::Lt | Prefix::Le | Prefix::Eb, .. })
}

/// ` FROM … WHERE …`, without the cursor's part.
pub(super) fn rows(sql: &mut Sql, query: &Query, plan: Plan) {
    match plan {
        Plan::Term(_) => sql.push(" FROM term d CROSS JOIN resource r WHERE r.rid = d.rid"),
        _ => sql.push(" FROM resource r WHERE r.deleted = 0"),
    };
    let mut leader = None;
    match plan {
        Plan::Term(place) => {
            let filter = &query.filters[place];
            sql.push(" AND r.deleted = 0 AND d.param = ").bind(param_code(query.kind, filter.param));
            sql.push(" AND d.text = ").bind(exact(query.kind, filter).unwrap_or_default());
            leader = Some(place);
        }
        Plan::Rows(place) => {
            sql.push(" AND ");
            rows_of(sql, query.kind, &query.filters[place]);
            leader = Some(place);
        }
        _ => {}
    }
    sql.push(" AND ");
    match plan {
        Plan::Term(_) | Plan::Rows(_) => sql.push_unindexed("r.kind"),
        _ => sql.push("r.kind"),
    };
    sql.push(" = ").bind(kind_code(query.kind));
    if let Some(client) = &query.client {
        of_client(sql.push(" AND "), query.kind, client, plan == Plan::Client);
    }
    let leads = Leads {
        id: plan == Plan::Id,
        status: plan == Plan::Status,
        date: matches!(plan, Plan::Date | Plan::Client),
        updated: plan == Plan::Updated,
    };
    for (place, filter) in query.filters.iter().enumerate() {
        if Some(place) != leader {
            sql.push(" AND ");
            condition(sql, query.kind, filter, leads);
        }
    }
    for (place, allowed) in query.allowed.iter().enumerate() {
        sql.push(if place == 0 { " AND ((1 = 1" } else { " OR (1 = 1" });
        if let Some(client) = &allowed.client {
            of_client(sql.push(" AND "), query.kind, client, false);
        }
        for filter in &allowed.filters {
            sql.push(" AND ");
            condition(sql, query.kind, filter, Leads::default());
        }
        sql.push(if place + 1 == query.allowed.len() { "))" } else { ")" });
    }
}

/// `r` is in the client's compartment.
fn of_client(sql: &mut Sql, kind: Kind, client: &str, indexed: bool) {
    let shared = kind == KIND_SHARED;
    sql.push(if shared { "(" } else { "" });
    if indexed {
        sql.push("r.client")
    } else {
        sql.push_unindexed("r.client")
    };
    sql.push(" = ").bind(client);
    if shared {
        // An array is there before the rows are looked for, so that PostgreSQL takes both from an index.
        let (open, close) = if sql.is_postgres() { (" = ANY(ARRAY(", "))") } else { (" IN (", ")") };
        sql.push(" OR ");
        if indexed {
            sql.push("r.rid")
        } else {
            sql.push_unindexed("r.rid")
        };
        sql.push(open).push("SELECT s.rid FROM sharer s WHERE s.client = ").bind(client);
        sql.push(" AND s.current = 1").push(close).push(")");
    }
}

/// One column to sort by.
struct SortColumn {
    expression: Sql,
    kind: SortKind,
    descending: bool,
}

#[derive(Clone, Copy)]
enum SortKind {
    Integer,
    Real,
    Text,
}

/// Resources without the element sort as if it was smaller than any.
fn sort_columns(backend: DbBackend, query: &Query, plan: Plan) -> Vec<SortColumn> {
    let mut columns = Vec::new();
    let mut add = |expression: Sql, kind, descending| columns.push(SortColumn { expression, kind, descending });
    for Sort { param, descending } in &query.sort {
        let plain = |text| Sql::new(backend, text);
        match (*param, place(query.kind, param)) {
            ("_id", _) => add(plain("r.id"), SortKind::Text, *descending),
            ("_lastUpdated", _) => add(plain("r.updated"), SortKind::Integer, *descending),
            (_, Place::Date) => add(plain("r.date_from"), SortKind::Integer, *descending),
            (_, Place::Status) => add(plain("COALESCE(r.status, '')"), SortKind::Text, *descending),
            (_, at) => {
                if let Place::Client(bit) = at {
                    let mut held = plain("COALESCE(CASE WHEN (r.held & ");
                    held.bind(bit).push(") <> 0 THEN r.client END, '')");
                    add(held, SortKind::Text, *descending);
                }
                // The store does not know the parameter's type: two of these are the same for every resource. Where
                // pairs answer for a half of theirs, it is that half.
                let half = match (at, *param) {
                    (Place::Shared(_), "combo-value-quantity" | "component-value-quantity" | "value-quantity") => {
                        Some("t.num")
                    }
                    (Place::Shared(_), "combo-code" | "component-code") => Some("t.text"),
                    _ => None,
                };
                let extreme = if *descending { "MAX" } else { "MIN" };
                for (column, smallest, kind) in [
                    ("t.lo", "-4611686018427387904", SortKind::Integer),
                    ("t.num", "-1.7976931348623157e308", SortKind::Real),
                    ("t.text", "''", SortKind::Text),
                ] {
                    if half.is_some_and(|half| half != column) {
                        continue;
                    }
                    let mut term = plain("COALESCE((SELECT ");
                    term.push(extreme).push("(").push(column).push(") FROM term t WHERE t.rid = r.rid AND ");
                    param_condition(&mut term, query.kind, param);
                    term.push("), ");
                    term.push(smallest).push(")");
                    add(term, kind, *descending);
                }
            }
        }
    }
    let rid = if matches!(plan, Plan::Term(_)) { "d.rid" } else { "r.rid" };
    let descending = query.sort.first().is_none_or(|first| first.descending);
    add(Sql::new(backend, rid), SortKind::Integer, descending);
    columns
}

/// Everything that makes two pages belong to the same question.
fn question(query: &Query) -> String {
    let mut text = String::new();
    let _ = write!(text, "{} {:?} {:?} {:?}", query.kind, query.client, query.filters, query.sort);
    if !query.allowed.is_empty() {
        let _ = write!(text, " {:?}", query.allowed);
    }
    text
}

/// The rows behind the cursor.
fn push_after(sql: &mut Sql, columns: &[SortColumn], keys: &[SortKey]) {
    let bind = |sql: &mut Sql, key: &SortKey| match key {
        SortKey::Integer(value) => drop(sql.bind(*value)),
        SortKey::Real(value) => drop(sql.bind(*value)),
        SortKey::Text(text) => drop(sql.bind(text.as_str())),
    };
    let descending = columns.first().is_none_or(|column| column.descending);
    if columns.iter().all(|column| column.descending == descending) {
        sql.push(" AND (");
        for (place, column) in columns.iter().enumerate() {
            sql.push(if place == 0 { "" } else { ", " }).nest(&column.expression);
        }
        sql.push(if descending { ") < (" } else { ") > (" });
        for (place, key) in keys.iter().enumerate() {
            sql.push(if place == 0 { "" } else { ", " });
            bind(sql, key);
        }
        sql.push(")");
        return;
    }
    sql.push(" AND (");
    for last in 0..columns.len() {
        sql.push(if last == 0 { "(" } else { " OR (" });
        for (place, (column, key)) in columns.iter().zip(keys).enumerate().take(last + 1) {
            sql.push(if place == 0 { "" } else { " AND " }).nest(&column.expression);
            sql.push(match (place == last, column.descending) {
                (false, _) => " = ",
                (true, true) => " < ",
                (true, false) => " > ",
            });
            bind(sql, key);
        }
        sql.push(")");
    }
    sql.push(")");
}

fn cursor_keys(question: &str, columns: &[SortColumn], after: &Cursor) -> Result<Vec<SortKey>> {
    let keys = cursor::decode(question, after)?;
    let fits = |(key, column): (&SortKey, &SortColumn)| {
        matches!(
            (key, column.kind),
            (SortKey::Integer(_), SortKind::Integer)
                | (SortKey::Real(_), SortKind::Real)
                | (SortKey::Text(_), SortKind::Text)
        )
    };
    if keys.len() == columns.len() && keys.iter().zip(columns).all(fits) {
        Ok(keys)
    } else {
        Err(StoreError::BadCursor)
    }
}

/// The sorted rows of one page, as `SELECT rid, k0, k1, …`.
fn page(backend: DbBackend, query: &Query, limit: usize, keys: Option<&[SortKey]>) -> (Sql, Vec<SortColumn>) {
    let plan = plan(query);
    let columns = sort_columns(backend, query, plan);
    let mut sql = Sql::new(backend, "SELECT ");
    for (place, column) in columns.iter().enumerate() {
        sql.push(if place == 0 { "" } else { ", " }).nest(&column.expression);
        sql.push(&format!(" AS k{place}"));
    }
    rows(&mut sql, query, plan);
    if let Some(keys) = keys {
        push_after(&mut sql, &columns, keys);
    }
    push_order(&mut sql, &columns);
    sql.push(" LIMIT ").bind(i64::try_from(limit).unwrap_or(i64::MAX));
    (sql, columns)
}

fn push_order(sql: &mut Sql, columns: &[SortColumn]) {
    for (place, column) in columns.iter().enumerate() {
        sql.push(if place == 0 { " ORDER BY " } else { ", " });
        sql.push(&format!("k{place}")).push(if column.descending { " DESC" } else { " ASC" });
    }
}

/// A code in any system is nearly always a code in one: asked for as that, its terms are in the order of their
/// rows, and a page of them is found without sorting them all.
async fn pin_systems<C: ConnectionTrait>(db: &C, query: &Query) -> Result<Option<Query>> {
    let Plan::Rows(place) = plan(query) else { return Ok(None) };
    let Some(filter) = query.filters.get(place) else { return Ok(None) };
    let Some((low, high)) = any_system(query.kind, filter) else { return Ok(None) };
    let mut sql = Sql::new(db.get_database_backend(), "SELECT ");
    for (extreme, end) in [("MIN", ", "), ("MAX", "")] {
        sql.push("(SELECT ").push(extreme).push("(text) FROM term WHERE param = ");
        sql.bind(param_code(query.kind, filter.param)).push(" AND text >= ").bind(low.as_str());
        sql.push(" AND text < ").bind(high.as_str()).push(") AS ").push(extreme).push("_text").push(end);
    }
    let Some(row) = sql.one(db).await? else { return Ok(None) };
    let bounds = (get::<Option<String>>(&row, "min_text")?, get::<Option<String>>(&row, "max_text")?);
    let (Some(first), Some(last)) = bounds else { return Ok(None) };
    let mut pinned = query.clone();
    let wanted = pinned.filters.get_mut(place).and_then(|filter| filter.any.first_mut());
    match (first == last, first.strip_prefix(&low), wanted) {
        (true, Some(only), Some(Match::Token { system, .. })) => *system = Some(only.to_owned()),
        _ => return Ok(None),
    }
    Ok(Some(pinned))
}

pub(super) async fn search<C: ConnectionTrait>(db: &C, query: &Query) -> Result<Page> {
    let backend = db.get_database_backend();
    let question = question(query);
    let pinned = pin_systems(db, query).await?;
    let query = pinned.as_ref().unwrap_or(query);
    let mut found = Page::default();
    if query.total {
        let mut sql = Sql::new(backend, "SELECT COUNT(*) AS total");
        rows(&mut sql, query, plan(query));
        let row = sql.one(db).await?.ok_or_else(|| broken("a count gave no row"))?;
        found.total = Some(super::rows::number(&row, "total")?);
    }
    let columns = sort_columns(backend, query, plan(query));
    let keys = query.after.as_ref().map(|after| cursor_keys(&question, &columns, after)).transpose()?;
    if query.count == 0 {
        return Ok(found);
    }
    let (inner, columns) = page(backend, query, query.count.saturating_add(1), keys.as_deref());
    let rid = format!("k{}", columns.len() - 1);
    // Sorted without the resources themselves, which are fetched for the page alone.
    let mut sql = Sql::new(backend, "WITH page AS (");
    sql.nest(&inner).push(") SELECT page.*, ").push(VERSION);
    sql.push(" FROM page CROSS JOIN resource WHERE resource.rid = page.").push(&rid);
    push_order(&mut sql, &columns);
    let mut rows = sql.all(db).await?;
    if rows.len() > query.count {
        rows.truncate(query.count);
        if let Some(last) = rows.last() {
            found.next = Some(cursor::encode(&question, &sort_keys(last, &columns)?));
        }
    }
    found.versions = rows.iter().map(version).collect::<Result<_>>()?;
    Ok(found)
}

fn sort_keys(row: &QueryResult, columns: &[SortColumn]) -> Result<Vec<SortKey>> {
    let key = |(place, column): (usize, &SortColumn)| {
        let name = format!("k{place}");
        Ok(match column.kind {
            SortKind::Integer => SortKey::Integer(get(row, &name)?),
            SortKind::Real => SortKey::Real(get(row, &name)?),
            SortKind::Text => SortKey::Text(get(row, &name)?),
        })
    };
    columns.iter().enumerate().map(key).collect()
}

/// Keys of what the query matches, at most `limit`; its own sort, count and cursor do not matter.
pub(super) async fn matches<C: ConnectionTrait>(db: &C, query: &Query, limit: usize) -> Result<Vec<Key>> {
    let mut sql = Sql::new(db.get_database_backend(), "SELECT r.kind, r.id");
    rows(&mut sql, query, plan(query));
    sql.push(" LIMIT ").bind(i64::try_from(limit).unwrap_or(i64::MAX));
    sql.all(db).await?.iter().map(key).collect()
}
