//! Resources that belong to several clients (a group's Appointment): `resource.client` is the first, `sharer` the others,
//! by version, with the fact that the version is for each. `current`: the version stands.

use crate::words;
use sea_orm_migration::prelude::*;

pub const NAME: &str = "m0002_sharers";

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        NAME
    }
}

const STATEMENTS: &[&str] = &[
    "CREATE TABLE sharer (
        rid BIGINT NOT NULL,
        version BIGINT NOT NULL,
        client {text} NOT NULL,
        current SMALLINT NOT NULL,
        event {bytes},
        PRIMARY KEY (rid, version, client)
    ) {clustered}",
    "CREATE INDEX sharer_client ON sharer (client, current, rid)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        words::carry_out(manager.get_connection(), STATEMENTS.iter()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP TABLE sharer").await?;
        Ok(())
    }
}
