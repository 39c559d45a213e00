//! Opening PostgreSQL.

use super::error::failed;
use crate::store::Result;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use std::time::Duration;

const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
const IDLE_UNCHECKED_MAX: Duration = Duration::from_secs(5);

/// For each new connection: nobody waits forever for a lock, and a commit that is acknowledged is on disk,
/// whatever the server's default is.
const SESSION: &str = "
    SET lock_timeout = '15s';
    SET idle_in_transaction_session_timeout = '60s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local');";

pub(super) async fn open(url: &str, connections_max: u32) -> Result<DatabaseConnection> {
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
