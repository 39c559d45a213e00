//! The first layout. Published: never edited again.
//!
//! - `resource`: one wide row for each current resource. `rid` is given once and kept for life, so that pages of
//!   a search stay where they are while resources change.
//! - `history`: a version, once it is superseded (or came too late to ever be current).
//! - `term`: what a search can find, unless `resource` has a column for it. Each row is in exactly one of the
//!   three indexes. Texts that are pairs (code and system, id and type) are joined by U+001F.
//! - `span`: the longest main date of each type, which turns a comparison of intervals into a range of the index.
//! - `job`: clients to assess again. A row is never deleted: its generation must never start anew.
//!
//! Times are microseconds since 1970. Texts compare bytewise on both databases.

use crate::words;
use sea_orm_migration::prelude::*;

pub const NAME: &str = "m0001_first";

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        NAME
    }
}

const TABLES: &[&str] = &[
    "CREATE TABLE resource (
        rid {identity},
        kind SMALLINT NOT NULL,
        version BIGINT NOT NULL,
        last_version BIGINT NOT NULL,
        updated BIGINT NOT NULL,
        sender_updated BIGINT,
        deleted SMALLINT NOT NULL,
        method SMALLINT NOT NULL,
        held SMALLINT NOT NULL,
        date_from BIGINT NOT NULL,
        date_to BIGINT NOT NULL,
        id {text} NOT NULL,
        client {text},
        status {text},
        hash {bytes} NOT NULL,
        event {bytes},
        json TEXT NOT NULL
    )",
    "CREATE TABLE history (
        rid BIGINT NOT NULL,
        version BIGINT NOT NULL,
        kind SMALLINT NOT NULL,
        updated BIGINT NOT NULL,
        sender_updated BIGINT,
        deleted SMALLINT NOT NULL,
        method SMALLINT NOT NULL,
        id {text} NOT NULL,
        client {text},
        event {bytes},
        json TEXT NOT NULL
    )",
    "CREATE TABLE term (
        rid BIGINT NOT NULL,
        n SMALLINT NOT NULL,
        param INTEGER NOT NULL,
        lo BIGINT,
        hi BIGINT,
        num DOUBLE PRECISION,
        text {text},
        raw {text},
        PRIMARY KEY (rid, n)
    ) {clustered}",
    "CREATE TABLE span (
        kind SMALLINT NOT NULL PRIMARY KEY,
        longest BIGINT NOT NULL
    )",
    "CREATE TABLE job (
        client {text} NOT NULL PRIMARY KEY,
        generation BIGINT NOT NULL,
        due BIGINT,
        claimed_until BIGINT
    )",
];

const INDEXES: &[&str] = &[
    "CREATE UNIQUE INDEX resource_key ON resource (kind, id)",
    "CREATE INDEX resource_kind ON resource (kind, rid) WHERE deleted = 0",
    "CREATE INDEX resource_client ON resource (client, kind, date_from, rid) WHERE client IS NOT NULL",
    "CREATE INDEX resource_date ON resource (kind, date_from, rid) WHERE deleted = 0",
    "CREATE INDEX resource_status ON resource (kind, status, rid) WHERE deleted = 0 AND status IS NOT NULL",
    "CREATE INDEX resource_updated ON resource (kind, updated, rid)",
    "CREATE UNIQUE INDEX history_key ON history (rid, version)",
    "CREATE INDEX history_updated ON history (kind, updated, rid, version)",
    "CREATE INDEX history_event ON history (client) WHERE event IS NOT NULL",
    "CREATE INDEX term_text ON term (param, text, rid) WHERE text IS NOT NULL",
    "CREATE INDEX term_date ON term (param, lo, hi, rid) WHERE lo IS NOT NULL",
    "CREATE INDEX term_number ON term (param, num, rid) WHERE num IS NOT NULL",
    "CREATE INDEX job_due ON job (due) WHERE due IS NOT NULL",
    "CREATE INDEX job_claimed ON job (claimed_until) WHERE claimed_until IS NOT NULL",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        words::carry_out(manager.get_connection(), TABLES.iter().chain(INDEXES)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for table in ["job", "span", "term", "history", "resource"] {
            db.execute_unprepared(&format!("DROP TABLE {table}")).await?;
        }
        Ok(())
    }
}
