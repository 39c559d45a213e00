//! What a client's findings rest on, beside the job: where all of it still holds, the client is passed over.
//!
//! - `assessed`: the generation whose facts they rest on. Where it is not `generation`, facts have come since, or a
//!   release that knows nothing of this has been at work: then the other columns mean nothing.
//! - `release`, `inputs`: digests of who says it and of the timeline it is said of.
//! - `stands_from`, `stands_until`: within these instants time alone changes nothing; microseconds since 1970.

use crate::words;
use sea_orm_migration::prelude::*;

pub const NAME: &str = "m0004_standing";

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        NAME
    }
}

const STATEMENTS: &[&str] = &[
    "ALTER TABLE job ADD COLUMN assessed BIGINT",
    "ALTER TABLE job ADD COLUMN release {bytes}",
    "ALTER TABLE job ADD COLUMN inputs {bytes}",
    "ALTER TABLE job ADD COLUMN stands_from BIGINT",
    "ALTER TABLE job ADD COLUMN stands_until BIGINT",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        words::carry_out(manager.get_connection(), STATEMENTS.iter()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["assessed", "release", "inputs", "stands_from", "stands_until"] {
            manager.get_connection().execute_unprepared(&format!("ALTER TABLE job DROP COLUMN {column}")).await?;
        }
        Ok(())
    }
}
