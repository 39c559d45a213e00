//! What a browser's secret alone opens: launches that wait for their callback, sessions, how far reading has come.
//!
//! `name` is the secret's SHA-256, `bytes` are encrypted under a key made of the secret: a copy of the database opens
//! nothing. `until` and `held_until` (somebody is at work on it) are microseconds since 1970.

use crate::words;
use sea_orm_migration::prelude::*;

pub const NAME: &str = "m0003_sealed";

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        NAME
    }
}

const STATEMENTS: &[&str] = &[
    "CREATE TABLE sealed (
        shelf SMALLINT NOT NULL,
        name {bytes} NOT NULL,
        bytes {bytes} NOT NULL,
        until BIGINT NOT NULL,
        held_until BIGINT,
        PRIMARY KEY (shelf, name)
    ) {clustered}",
    "CREATE INDEX sealed_until ON sealed (shelf, until)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        words::carry_out(manager.get_connection(), STATEMENTS.iter()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP TABLE sealed").await?;
        Ok(())
    }
}
