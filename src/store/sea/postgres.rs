//! Opening PostgreSQL.

use super::error::{broken, failed, unavailable};
use crate::store::{Result, StoreError};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbErr, RuntimeErr};
use std::time::Duration;

const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
const IDLE_UNCHECKED_MAX: Duration = Duration::from_secs(5);

/// For each new connection: nobody waits forever for a lock; short questions are not compiled, and go by indexes
/// as they do on an SSD; and a commit that is acknowledged is on disk, whatever the server's default is.
const SESSION: &str = "
    SET lock_timeout = '15s';
    SET jit = off;
    SET random_page_cost = 1.1;
    SET idle_in_transaction_session_timeout = '60s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local');";

/// How long a server may take to answer at all when we start.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(4);

/// Says soon, and with the address, that nobody answers: the pool would try again until its patience ends.
async fn answers(url: &str) -> Result<()> {
    use sea_orm::sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};
    let options: PgConnectOptions = url.parse().map_err(|_| broken("the database URL is not valid"))?;
    let place = format!("PostgreSQL at {}:{}", options.get_host(), options.get_port());
    let what = match tokio::time::timeout(ANSWER_WAIT_MAX, options.connect()).await {
        Ok(Ok(connection)) => {
            let _ = connection.close().await;
            return Ok(());
        }
        Ok(Err(error)) => match failed(DbErr::Conn(RuntimeErr::SqlxError(error.into()))) {
            error @ (StoreError::Unavailable(_) | StoreError::Failed(_)) => {
                std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
            }
            error => error.to_string(),
        },
        Err(_) => format!("no answer within {} s", ANSWER_WAIT_MAX.as_secs()),
    };
    Err(unavailable(&format!("{place}: {what}")))
}

pub(super) async fn open(url: &str, connections_max: u32) -> Result<DatabaseConnection> {
    answers(url).await?;
    let mut pool = ConnectOptions::new(url);
    pool.max_connections(connections_max)
        .min_connections(1)
        .acquire_timeout(CONNECT_WAIT_MAX)
        .test_before_acquire_if_idle_for(IDLE_UNCHECKED_MAX)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .set_application_name("tautline")
        .map_sqlx_postgres_pool_opts(|pool| {
            pool.after_connect(|connection, _| {
                use sea_orm::sqlx::Executor;
                Box::pin(async move { connection.execute(SESSION).await.map(drop) })
            })
        });
    Database::connect(pool).await.map_err(failed)
}

/// Tells the planner what the tables are like. The server does so by itself, but up to a minute later: until then
/// it takes a table that has just been filled for an empty one.
pub(super) async fn analyze(db: &DatabaseConnection) {
    for table in ["resource", "term"] {
        if let Err(error) = db.execute_unprepared(&format!("ANALYZE {table}")).await.map_err(failed) {
            tracing::debug!(%error, table, "could not analyze");
            return;
        }
    }
}

/// Whether this process has just written so much that the planner should be told: at a thousand rows, then at
/// every four times as many.
pub(super) fn is_milestone(before: u64, after: u64) -> bool {
    const FIRST: u64 = 1000;
    let step = |rows: u64| (rows / FIRST).checked_ilog2().map(|log| log / 2);
    step(before) != step(after)
}

#[cfg(test)]
mod tests {
    use super::is_milestone;

    #[test]
    fn milestones_are_few() {
        assert!(!is_milestone(0, 999) && is_milestone(999, 1000) && !is_milestone(1000, 3999));
        assert!(is_milestone(3999, 4001) && is_milestone(0, 1_000_000) && !is_milestone(70_000, 200_000));
    }
}
