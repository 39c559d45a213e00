//! The queue of clients to assess again. Times due and claimed are microseconds; `due` is NULL where nothing is.

use super::error::broken;
use super::rows::{get, number, time};
use super::sql::{Sql, chunks};
use crate::store::{End, Job, Result, Standing};
use jiff::Timestamp;
use sea_orm::{ConnectionTrait, QueryResult};
use std::sync::Arc;

const CLIENTS_PER_STATEMENT_MAX: usize = 256;

pub(super) async fn enqueue<C: ConnectionTrait>(db: &C, clients: &[Arc<str>], due: Timestamp) -> Result<()> {
    // In one order everywhere: two writers that wait for each other's rows would both stand still.
    let mut clients: Vec<&str> = clients.iter().map(AsRef::as_ref).collect();
    clients.sort_unstable();
    clients.dedup();
    let mut rest = clients.as_slice();
    for size in chunks(clients.len(), CLIENTS_PER_STATEMENT_MAX) {
        let (chunk, left) = rest.split_at(size);
        rest = left;
        let mut sql = Sql::new(db.get_database_backend(), "INSERT INTO job (client, generation, due) VALUES ");
        for (place, client) in chunk.iter().enumerate() {
            sql.push(if place == 0 { "(" } else { ", (" }).bind(*client).push(", 1, ");
            sql.bind(due.as_microsecond()).push(")");
        }
        sql.push(DUE_AGAIN).execute(db).await?;
    }
    Ok(())
}

const DUE_AGAIN: &str = " ON CONFLICT (client) DO UPDATE SET generation = job.generation + 1,
    due = CASE WHEN job.due < excluded.due THEN job.due ELSE excluded.due END";
/// No fact has come.
const FACTS_STAND: &str = ", assessed = job.assessed + 1";

pub(super) async fn enqueue_all<C: ConnectionTrait>(db: &C, due: Timestamp) -> Result<u64> {
    let mut sql = Sql::new(db.get_database_backend(), "INSERT INTO job (client, generation, due) SELECT client, 1, ");
    sql.push("CAST(").bind(due.as_microsecond()).push(" AS BIGINT) FROM (SELECT DISTINCT client FROM resource");
    sql.push(" WHERE client IS NOT NULL AND event IS NOT NULL AND deleted = 0 UNION SELECT client FROM sharer");
    sql.push(" WHERE current = 1 AND event IS NOT NULL) c WHERE 1 = 1 ORDER BY client");
    Ok(sql.push(DUE_AGAIN).push(FACTS_STAND).execute(db).await?.rows_affected())
}

/// The file is one process's: what stands claimed when it opens was claimed by a process that died.
pub(super) async fn free_all<C: ConnectionTrait>(db: &C) -> Result<()> {
    let mut sql = Sql::new(db.get_database_backend(), "UPDATE job SET claimed_until = NULL");
    sql.push(" WHERE claimed_until IS NOT NULL").execute(db).await.map(drop)
}

pub(super) async fn is_claimable<C: ConnectionTrait>(db: &C, now: Timestamp) -> Result<bool> {
    let now = now.as_microsecond();
    let mut sql = Sql::new(db.get_database_backend(), "SELECT client FROM job WHERE due <= ");
    sql.bind(now).push(" AND (claimed_until IS NULL OR claimed_until <= ").bind(now).push(") ORDER BY due LIMIT 1");
    Ok(sql.one(db).await?.is_some())
}

pub(super) async fn claim<C: ConnectionTrait>(
    db: &C,
    now: Timestamp,
    lease_until: Timestamp,
    count: usize,
) -> Result<Vec<Job>> {
    let now = now.as_microsecond();
    let mut sql = Sql::new(db.get_database_backend(), "UPDATE job SET claimed_until = ");
    sql.bind(lease_until.as_microsecond());
    sql.push(" WHERE client IN (SELECT client FROM job WHERE due <= ").bind(now);
    sql.push(" AND (claimed_until IS NULL OR claimed_until <= ").bind(now);
    sql.push(") ORDER BY due LIMIT ").bind(i64::try_from(count).unwrap_or(i64::MAX));
    if sql.is_postgres() {
        sql.push(" FOR UPDATE SKIP LOCKED");
    }
    sql.push(") RETURNING client, generation, due, assessed, release, inputs, stands_from, stands_until");
    let mut jobs = sql.all(db).await?.iter().map(job).collect::<Result<Vec<_>>>()?;
    jobs.sort_by(|a, b| (a.due, &a.client).cmp(&(b.due, &b.client)));
    Ok(jobs)
}

fn job(row: &QueryResult) -> Result<Job> {
    let generation = get(row, "generation")?;
    let stands = get::<Option<i64>>(row, "assessed")? == Some(generation);
    let standing = if stands { standing(row)? } else { None };
    Ok(Job { client: get::<String>(row, "client")?.into(), generation, due: time(get(row, "due")?)?, standing })
}

fn standing(row: &QueryResult) -> Result<Option<Standing>> {
    let digest = |column| Ok(get::<Option<Vec<u8>>>(row, column)?.and_then(|bytes| bytes.try_into().ok()));
    let instant = |column| get::<Option<i64>>(row, column)?.map(time).transpose();
    let (release, inputs, from) = (digest("release")?, digest("inputs")?, instant("stands_from")?);
    let (Some(release), Some(inputs), Some(from)) = (release, inputs, from) else { return Ok(None) };
    Ok(Some(Standing { release, inputs, from, until: instant("stands_until")? }))
}

pub(super) async fn renew<C: ConnectionTrait>(db: &C, jobs: &[Job], from: Timestamp, to: Timestamp) -> Result<()> {
    let mut clients: Vec<&str> = jobs.iter().map(|job| job.client.as_ref()).collect();
    clients.sort_unstable();
    for chunk in clients.chunks(CLIENTS_PER_STATEMENT_MAX) {
        let mut sql = Sql::new(db.get_database_backend(), "UPDATE job SET claimed_until = ");
        sql.bind(to.as_microsecond()).push(" WHERE claimed_until = ").bind(from.as_microsecond());
        if sql.is_postgres() {
            // In one order, as above; whoever holds one is about to end it.
            sql.push(" AND client IN (SELECT client FROM job WHERE client IN ").bind_list(chunk);
            sql.push(" ORDER BY client FOR UPDATE SKIP LOCKED)");
        } else {
            sql.push(" AND client IN ").bind_list(chunk);
        }
        sql.execute(db).await?;
    }
    Ok(())
}

pub(super) async fn finish<C: ConnectionTrait>(db: &C, ends: &[End]) -> Result<()> {
    // In one order everywhere, as above.
    let mut ends: Vec<_> = ends.iter().collect();
    ends.sort_unstable_by(|a, b| a.job.client.cmp(&b.job.client));
    let mut rest = ends.as_slice();
    for size in chunks(ends.len(), CLIENTS_PER_STATEMENT_MAX) {
        let (chunk, left) = rest.split_at(size);
        rest = left;
        let mut sql = Sql::new(db.get_database_backend(), "WITH done (client, generation, next, assessed, ");
        sql.push("release, inputs, stands_from, stands_until) AS (VALUES ");
        for (place, End { job, next, standing }) in chunk.iter().enumerate() {
            let number = |sql: &mut Sql, number: Option<i64>| {
                sql.push(", CAST(").bind(number).push(" AS BIGINT)");
            };
            let micros = |instant: Timestamp| instant.as_microsecond();
            sql.push(if place == 0 { "(" } else { ", (" }).bind(job.client.as_ref());
            number(&mut sql, Some(job.generation));
            number(&mut sql, next.map(micros));
            number(&mut sql, standing.map(|_| job.generation));
            for digest in [standing.map(|one| one.release), standing.map(|one| one.inputs)] {
                sql.push(", ").bind(digest.map(|digest| digest.to_vec()));
            }
            number(&mut sql, standing.map(|one| micros(one.from)));
            number(&mut sql, standing.and_then(|one| one.until).map(micros));
            sql.push(")");
        }
        let done = if sql.is_postgres() {
            sql.push("), held AS MATERIALIZED (SELECT done.* FROM done JOIN job ON job.client = done.client");
            sql.push(" ORDER BY job.client FOR UPDATE OF job");
            "held"
        } else {
            "done"
        };
        sql.push(") UPDATE job SET claimed_until = NULL, due = CASE WHEN job.generation = d.generation ");
        sql.push("THEN d.next ELSE job.due END, assessed = d.assessed, release = d.release, inputs = d.inputs, ");
        sql.push("stands_from = d.stands_from, stands_until = d.stands_until FROM ").push(done);
        sql.push(" d WHERE job.client = d.client");
        sql.execute(db).await?;
    }
    Ok(())
}

pub(super) async fn next_due<C: ConnectionTrait>(db: &C) -> Result<Option<Timestamp>> {
    // What is claimed is due again when its lease ends.
    let text = "SELECT MIN(due) AS due FROM (
            SELECT * FROM (SELECT due FROM job WHERE due IS NOT NULL AND claimed_until IS NULL ORDER BY due LIMIT 1) a
            UNION ALL
            SELECT * FROM (SELECT CASE WHEN claimed_until < due THEN due ELSE claimed_until END AS due FROM job
                WHERE claimed_until IS NOT NULL AND due IS NOT NULL ORDER BY claimed_until LIMIT 1) b) j";
    let row = Sql::new(db.get_database_backend(), text).one(db).await?;
    let due: Option<i64> = row.map(|row| get(&row, "due")).transpose()?.flatten();
    due.map(time).transpose()
}

pub(super) async fn pending<C: ConnectionTrait>(db: &C, now: Timestamp) -> Result<u64> {
    let mut sql = Sql::new(db.get_database_backend(), "SELECT COUNT(*) AS total FROM job WHERE due <= ");
    let row = sql.bind(now.as_microsecond()).one(db).await?.ok_or_else(|| broken("a count gave no row"))?;
    number(&row, "total")
}
