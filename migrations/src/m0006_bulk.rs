//! Bulk jobs and their files, and what the index was made by.
//!
//! - `bulk_job`: an export or import that runs, or has ended and can still be had. `asked` is who wants what, `state` how
//!   far it is, or what came of it. `holder` is the process that carries it out, until `held_until` unless it says more.
//! - `bulk_part`: pieces of a job's files, compressed. File -1 is what an import was given.
//! - `indexing`: one row. `made_by` is what the search terms were read by (release of the terms, time zone), `making`
//!   what they are being read by anew, up to the resource `done`.
//!
//! Times are microseconds since 1970.

use crate::words;
use sea_orm_migration::prelude::*;

pub const NAME: &str = "m0006_bulk";

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        NAME
    }
}

const STATEMENTS: &[&str] = &[
    "CREATE TABLE bulk_job (
        id {text} NOT NULL PRIMARY KEY,
        owner {text} NOT NULL,
        asked TEXT NOT NULL,
        started BIGINT NOT NULL,
        phase SMALLINT NOT NULL,
        progress TEXT NOT NULL,
        state TEXT NOT NULL,
        tries SMALLINT NOT NULL,
        holder {text},
        held_until BIGINT,
        expires BIGINT NOT NULL
    )",
    "CREATE TABLE bulk_part (
        job {text} NOT NULL,
        file SMALLINT NOT NULL,
        n BIGINT NOT NULL,
        bytes {bytes} NOT NULL,
        PRIMARY KEY (job, file, n)
    )",
    "CREATE TABLE indexing (
        id SMALLINT NOT NULL PRIMARY KEY,
        made_by TEXT NOT NULL,
        making TEXT,
        done BIGINT NOT NULL,
        held_until BIGINT
    )",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        words::carry_out(manager.get_connection(), STATEMENTS.iter()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["indexing", "bulk_part", "bulk_job"] {
            manager.get_connection().execute_unprepared(&format!("DROP TABLE {table}")).await?;
        }
        Ok(())
    }
}
