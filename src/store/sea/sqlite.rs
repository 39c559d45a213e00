//! Opening SQLite: one writer that syncs every commit, and a pool of readers.

use super::error::{broken, failed, unavailable};
use super::sql::Sql;
use crate::store::{Result, StoreError};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbBackend};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

const BUSY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Pages of the write-ahead log (4 KiB each) after which a commit moves them into the database: fewer, larger
/// checkpoints write a page that changes often once.
const CHECKPOINT_PAGES: &str = "16000";
/// The log's size is brought back to this after a checkpoint.
const LOG_BYTES_MAX: &str = "134217728";
const WRITER_CACHE_KIB: &str = "-65536";
const READER_CACHE_KIB: &str = "-16384";
const MAPPED_BYTES_MAX: &str = "268435456";
const STATEMENTS_KEPT: usize = 256;
const ROWS_IN_FLIGHT: usize = 256;

/// The file an `sqlite:` URL names; a database in memory would be gone after a crash, and is refused.
pub(super) fn path(url: &str) -> Result<PathBuf> {
    let options = SqliteConnectOptions::from_str(url).map_err(|_| broken("the database URL is not valid"))?;
    let path = options.get_filename().to_path_buf();
    let text = path.to_string_lossy();
    if text.is_empty() || text.contains(":memory:") || url.contains("mode=memory") {
        return Err(broken("a database in memory keeps nothing: name a file, sqlite://tautline.db"));
    }
    Ok(path)
}

fn options(path: &Path, cache: &'static str) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_WAIT_MAX)
        .foreign_keys(false)
        .pragma("cache_size", cache)
        .pragma("mmap_size", MAPPED_BYTES_MAX)
        .pragma("temp_store", "memory")
        .statement_cache_capacity(STATEMENTS_KEPT)
        .row_buffer_size(ROWS_IN_FLIGHT)
}

/// sea-orm wants a URL; the path goes in beside it, as it is.
fn pool(options: SqliteConnectOptions, connections_max: u32) -> ConnectOptions {
    let mut pool = ConnectOptions::new("sqlite://placeholder");
    pool.max_connections(connections_max)
        .min_connections(1)
        .acquire_timeout(BUSY_WAIT_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_sqlite_opts(move |logging| {
            let _ = logging;
            use sea_orm::sqlx::ConnectOptions as _;
            options.clone().disable_statement_logging()
        });
    pool
}

pub(super) async fn open_writer(path: &Path) -> Result<DatabaseConnection> {
    let options = options(path, WRITER_CACHE_KIB)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", LOG_BYTES_MAX);
    Database::connect(pool(options, 1)).await.map_err(|error| at(path, failed(error)))
}

pub(super) async fn open_readers(path: &Path, readers_max: u32) -> Result<DatabaseConnection> {
    let options = options(path, READER_CACHE_KIB).pragma("query_only", "ON");
    Database::connect(pool(options, readers_max)).await.map_err(|error| at(path, failed(error)))
}

/// The same error, naming the file.
fn at(path: &Path, error: StoreError) -> StoreError {
    let what = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    unavailable(&format!("{}: {what}", path.display()))
}

/// Copies the database into a new file, beside those who read and write it.
pub(super) async fn backup(path: &Path, output: &Path) -> Result<()> {
    let named = |path: &Path, error: std::io::Error| unavailable(&format!("{}: {error}", path.display()));
    if output.exists() {
        return Err(unavailable(&format!("{} exists already", output.display())));
    }
    // Nothing half-written ever has the name that was asked for.
    let mut partial = output.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(named(&partial, error)),
        _ => {}
    }
    let from = Database::connect(pool(options(path, READER_CACHE_KIB).create_if_missing(false), 1));
    let from = from.await.map_err(|error| at(path, failed(error)))?;
    let mut sql = Sql::new(DbBackend::Sqlite, "VACUUM INTO ");
    let copied = sql.bind(partial.to_string_lossy().as_ref()).execute(&from).await;
    copied.map_err(|error| at(&partial, error))?;
    let _ = from.close().await;
    let synced = |path: &Path| std::fs::File::open(path).and_then(|file| file.sync_all());
    synced(&partial).map_err(|error| named(&partial, error))?;
    std::fs::rename(&partial, output).map_err(|error| named(output, error))?;
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    synced(folder).map_err(|error| named(folder, error))
}
