//! The floor: the very rows that the server wrote, read back and written again by a bare loop to an empty
//! database of the same kind, with the same tables, indexes and durability. Statements and their values are
//! made before the clock runs.

use crate::own::Place;
use crate::support;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, QueryResult, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait, Value,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The types that are pushed; the others are findings.
const PUSHED: [&str; 7] =
    ["Appointment", "Encounter", "EpisodeOfCare", "Patient", "Practitioner", "QuestionnaireResponse", "Task"];
const RESOURCE: &str = "rid, kind, version, last_version, updated, sender_updated, deleted, method, held, date_from, \
                        date_to, id, client, status, hash, event, json";
const TERM: &str = "rid, n, param, lo, hi, num, text, raw";
/// Rows to a statement.
const ROWS_MAX: usize = 64;

/// Milliseconds, medians.
pub struct Floor {
    /// The rows of a Bundle of 100.
    pub pushed_ms: f64,
    /// 100 findings' rows.
    pub findings_ms: f64,
    /// Findings to each resource that was pushed.
    pub findings: f64,
    pub parse_ms: f64,
}

pub async fn measure(server: &Place, bundles: usize) -> Floor {
    let from = open(server).await;
    let place = server.another().await;
    let to = open(&place).await;
    tautline_migrations::migrate(&to).await.expect("tables");
    let all = rows(&from).await;
    let (pushed, findings): (Vec<_>, Vec<_>) = all.into_iter().partition(is_pushed);
    let ratio = findings.len() as f64 / pushed.len() as f64;
    let mut medians = [0.0; 2];
    for (median, rows) in medians.iter_mut().zip([pushed, findings]) {
        let bundles = statements(&from, rows.into_iter().take(bundles * support::BUNDLE_ENTRIES).collect()).await;
        *median = write(&place, &to, bundles).await;
    }
    to.close().await.expect("closed");
    Floor { pushed_ms: medians[0], findings_ms: medians[1], findings: ratio, parse_ms: parse_ms() }
}

/// Each element in a transaction of its own: the median, milliseconds.
async fn write(place: &Place, db: &DatabaseConnection, bundles: Vec<Vec<Statement>>) -> f64 {
    let mut took = Vec::with_capacity(bundles.len());
    for statements in bundles {
        let options = TransactionOptions {
            sqlite_transaction_mode: place.folder.is_some().then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let began = Instant::now();
        let transaction = db.begin_with_options(options).await.expect("a transaction");
        for statement in statements {
            transaction.execute_raw(statement).await.expect("written");
        }
        transaction.commit().await.expect("committed");
        took.push(began.elapsed());
    }
    took.sort();
    took.get(took.len() / 2).map_or(0.0, |took: &Duration| took.as_secs_f64() * 1000.0)
}

/// Milliseconds that serde_json takes for a Bundle.
fn parse_ms() -> f64 {
    let bundles = support::transactions(crate::speed::ALONE_SEED, 50);
    let began = Instant::now();
    for bundle in &bundles {
        std::hint::black_box(serde_json::from_slice::<serde_json::Value>(bundle).expect("JSON"));
    }
    began.elapsed().as_secs_f64() * 1000.0 / bundles.len() as f64
}

/// One connection, as the server's writer has it.
async fn open(place: &Place) -> DatabaseConnection {
    let mut options = ConnectOptions::new(if place.folder.is_some() { "sqlite://placeholder" } else { &place.url });
    options.max_connections(1).sqlx_logging(false).test_before_acquire(false).record_stmt_in_spans(false);
    if let Some(path) = place.url.strip_prefix("sqlite://").map(str::to_owned) {
        options.map_sqlx_sqlite_opts(move |_| {
            use sea_orm::sqlx::ConnectOptions as _;
            SqliteConnectOptions::new()
                .filename(&path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .pragma("cache_size", "-65536")
                .pragma("mmap_size", "268435456")
                .pragma("wal_autocheckpoint", "16000")
                .disable_statement_logging()
        });
    }
    Database::connect(options).await.expect("a database")
}

async fn rows(db: &DatabaseConnection) -> Vec<QueryResult> {
    let all = format!("SELECT {RESOURCE} FROM resource ORDER BY rid");
    db.query_all_raw(Statement::from_string(db.get_database_backend(), all)).await.expect("rows")
}

fn is_pushed(row: &QueryResult) -> bool {
    let json: String = row.try_get("", "json").expect("text");
    PUSHED.iter().any(|kind| json.starts_with(&format!("{{\"resourceType\":\"{kind}\"")))
}

/// For each hundred rows the statements that write them: resources, terms, and the clients' jobs.
async fn statements(db: &DatabaseConnection, rows: Vec<QueryResult>) -> Vec<Vec<Statement>> {
    let backend = db.get_database_backend();
    let mut out = Vec::with_capacity(rows.len() / support::BUNDLE_ENTRIES + 1);
    for chunk in rows.chunks(support::BUNDLE_ENTRIES) {
        let rids: Vec<i64> = chunk.iter().map(|row| row.try_get("", "rid").expect("a number")).collect();
        let list = rids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let terms = format!("SELECT {TERM} FROM term WHERE rid IN ({list}) ORDER BY rid, n");
        let terms = db.query_all_raw(Statement::from_string(backend, terms)).await.expect("rows");
        let mut statements = inserts(backend, "resource", RESOURCE, chunk.iter().map(resource).collect());
        statements.extend(inserts(backend, "term", TERM, terms.iter().map(term).collect()));
        let clients: BTreeSet<String> = chunk.iter().filter_map(|row| row.try_get("", "client").ok()).collect();
        statements.extend(clients.into_iter().map(|client| job(backend, client)));
        out.push(statements);
    }
    out
}

fn resource(row: &QueryResult) -> Vec<Value> {
    let mut values = numbers(row, &["rid"]);
    values.push(row.try_get::<i16>("", "kind").expect("a number").into());
    values.extend(numbers(row, &["version", "last_version", "updated"]));
    values.push(row.try_get::<Option<i64>>("", "sender_updated").expect("a number").into());
    values.extend(["deleted", "method", "held"].map(|name| row.try_get::<i16>("", name).expect("a number").into()));
    values.extend(numbers(row, &["date_from", "date_to"]));
    values.push(row.try_get::<String>("", "id").expect("text").into());
    values.extend(texts(row, &["client", "status"]));
    values.push(row.try_get::<Vec<u8>>("", "hash").expect("bytes").into());
    values.push(row.try_get::<Option<Vec<u8>>>("", "event").expect("bytes").into());
    values.push(row.try_get::<String>("", "json").expect("text").into());
    values
}

fn term(row: &QueryResult) -> Vec<Value> {
    let mut values = numbers(row, &["rid"]);
    values.push(row.try_get::<i16>("", "n").expect("a number").into());
    values.push(row.try_get::<i32>("", "param").expect("a number").into());
    values.extend(["lo", "hi"].map(|name| row.try_get::<Option<i64>>("", name).expect("a number").into()));
    values.push(row.try_get::<Option<f64>>("", "num").expect("a number").into());
    values.extend(texts(row, &["text", "raw"]));
    values
}

fn numbers(row: &QueryResult, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| row.try_get::<i64>("", name).expect("a number").into()).collect()
}

fn texts(row: &QueryResult, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| row.try_get::<Option<String>>("", name).expect("text").into()).collect()
}

/// Inserts of few different lengths, so that their preparation is found again.
fn inserts(backend: DbBackend, table: &str, columns: &str, rows: Vec<Vec<Value>>) -> Vec<Statement> {
    let mut out = Vec::new();
    let mut rest = rows.as_slice();
    while !rest.is_empty() {
        let (chunk, left) = rest.split_at(ROWS_MAX.min(1 << rest.len().ilog2()));
        rest = left;
        let mut place = 0;
        let tuples: Vec<String> = chunk.iter().map(|row| tuple(backend, row.len(), &mut place)).collect();
        let sql = format!("INSERT INTO {table} ({columns}) VALUES {}", tuples.join(", "));
        out.push(Statement::from_sql_and_values(backend, sql, chunk.concat()));
    }
    out
}

fn tuple(backend: DbBackend, length: usize, place: &mut usize) -> String {
    let one = |_| {
        *place += 1;
        if backend == DbBackend::Postgres { format!("${place}") } else { "?".to_owned() }
    };
    format!("({})", (0..length).map(one).collect::<Vec<_>>().join(", "))
}

fn job(backend: DbBackend, client: String) -> Statement {
    let mut place = 0;
    let tuple = tuple(backend, 3, &mut place);
    let sql = format!(
        "INSERT INTO job (client, generation, due) VALUES {tuple} \
         ON CONFLICT (client) DO UPDATE SET generation = job.generation + 1, due = excluded.due"
    );
    Statement::from_sql_and_values(backend, sql, [client.into(), 1_i64.into(), 0_i64.into()])
}
