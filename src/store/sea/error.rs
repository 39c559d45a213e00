//! What went wrong, without what was being written: PostgreSQL puts values into its messages, so that only its
//! code and the names of table and constraint are kept.

use crate::store::StoreError;
use sea_orm::{DbErr, RuntimeErr, SqlxError};
use std::sync::Arc;

/// A database error that is safe to log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Cause(Arc<str>);

impl Cause {
    pub(super) fn new(text: impl Into<Arc<str>>) -> Self {
        Cause(text.into())
    }
}

pub(super) fn unavailable(text: &str) -> StoreError {
    StoreError::Unavailable(Box::new(Cause::new(text)))
}

pub(super) fn broken(text: &str) -> StoreError {
    StoreError::Failed(Box::new(Cause::new(text)))
}

pub(super) fn failed(error: DbErr) -> StoreError {
    match &error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => from_sqlx(error),
        DbErr::ConnectionAcquire(_) => unavailable("no connection became free in time"),
        DbErr::Conn(_) => unavailable("cannot connect"),
        DbErr::Custom(text) | DbErr::Migration(text) => broken(text),
        _ => broken("a row does not have the expected form"),
    }
}

fn from_sqlx(error: &SqlxError) -> StoreError {
    match error {
        SqlxError::Database(database) => {
            let code = database.code().unwrap_or_default();
            if let Some(postgres) = database.try_downcast_ref::<sea_orm::SqlxPostgresError>() {
                let place = [postgres.table(), postgres.constraint()].into_iter().flatten().collect::<Vec<_>>();
                from_postgres(&code, Cause::new(format!("PostgreSQL {code} {}", place.join(" ")).trim_end()))
            } else {
                // SQLite's messages name tables and columns, never values.
                from_sqlite(&code, Cause::new(format!("SQLite {code}: {}", database.message())))
            }
        }
        SqlxError::Io(error) => StoreError::Unavailable(Box::new(Cause::new(format!("connection: {}", error.kind())))),
        SqlxError::Tls(_) => unavailable("connection: TLS failed"),
        SqlxError::PoolTimedOut => unavailable("no connection became free in time"),
        SqlxError::PoolClosed | SqlxError::WorkerCrashed | SqlxError::BeginFailed => unavailable("connection closed"),
        SqlxError::Protocol(_) => unavailable("connection: protocol error"),
        SqlxError::Configuration(_) => broken("the database URL is not valid"),
        _ => broken("a row does not have the expected form"),
    }
}

fn from_postgres(code: &str, cause: Cause) -> StoreError {
    match code {
        // serialization_failure, deadlock_detected, unique_violation
        "40001" | "40P01" | "23505" => StoreError::Conflict,
        // read_only_sql_transaction, lock_not_available, query_canceled
        "25006" | "55P03" | "57014" => StoreError::Unavailable(Box::new(cause)),
        // connection, authorization, no such database, resources (disk, memory, connections), shutdown, system
        _ if ["08", "28", "3D", "53", "57P", "58"].iter().any(|class| code.starts_with(class)) => {
            StoreError::Unavailable(Box::new(cause))
        }
        _ => StoreError::Failed(Box::new(cause)),
    }
}

fn from_sqlite(code: &str, cause: Cause) -> StoreError {
    let code = code.parse::<u32>().unwrap_or_default();
    match (code, code & 0xff) {
        // SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE
        (1555 | 2067, _) => StoreError::Conflict,
        // BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN
        (_, 5 | 6 | 7 | 8 | 10 | 13 | 14) => StoreError::Unavailable(Box::new(cause)),
        _ => StoreError::Failed(Box::new(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_meaning() {
        let cause = || Cause::new("x");
        assert!(matches!(from_postgres("40P01", cause()), StoreError::Conflict));
        assert!(matches!(from_postgres("53100", cause()), StoreError::Unavailable(_)));
        assert!(matches!(from_postgres("57P01", cause()), StoreError::Unavailable(_)));
        assert!(matches!(from_postgres("22P02", cause()), StoreError::Failed(_)));
        assert!(matches!(from_sqlite("2067", cause()), StoreError::Conflict));
        assert!(matches!(from_sqlite("13", cause()), StoreError::Unavailable(_)));
        assert!(matches!(from_sqlite("778", cause()), StoreError::Unavailable(_)));
        assert!(matches!(from_sqlite("1", cause()), StoreError::Failed(_)));
    }
}
