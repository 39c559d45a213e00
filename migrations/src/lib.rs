//! The database's layout, one migration after another; see README.md.

pub use sea_orm_migration;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DatabaseConnection, DbBackend, TransactionTrait};

mod m0001_first;
mod m0002_sharers;
mod m0003_sealed;
mod m0004_standing;
mod m0005_facts;
mod m0006_bulk;
mod words;

pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first::Migration),
            Box::new(m0002_sharers::Migration),
            Box::new(m0003_sealed::Migration),
            Box::new(m0004_standing::Migration),
            Box::new(m0005_facts::Migration),
            Box::new(m0006_bulk::Migration),
        ]
    }
}

/// The newest migration this build knows: a database that lists it in `seaql_migrations` can be used.
pub const NEWEST: &str = m0006_bulk::NAME;

/// "tautline" in ASCII: processes that start at the same time on one PostgreSQL migrate one after another.
const POSTGRES_LOCK: i64 = 0x7461_7574_6c69_6e65;

/// Brings the database up to date, in one transaction. A database that is ahead of this build is left alone:
/// what an older build needs stays until the contracting migration after it.
pub async fn migrate(db: &DatabaseConnection) -> Result<(), DbErr> {
    let transaction = if db.get_database_backend() == DbBackend::Postgres {
        let transaction = db.begin().await?;
        transaction.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({POSTGRES_LOCK})")).await?;
        transaction
    } else {
        let options = sea_orm_migration::sea_orm::TransactionOptions {
            sqlite_transaction_mode: Some(sea_orm_migration::sea_orm::SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        db.begin_with_options(options).await?
    };
    let applied = Migrator::get_migration_models(&transaction).await?;
    let known = Migrator::migrations();
    if known.iter().any(|known| !applied.iter().any(|applied| applied.version == known.name())) {
        Migrator::up(&transaction, None).await?;
    }
    transaction.commit().await
}
