//! One client's facts, without the findings made of them, which are three times as many rows.

use sea_orm_migration::prelude::*;

pub const NAME: &str = "m0005_facts";

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        NAME
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index =
            "CREATE INDEX resource_event ON resource (client, kind, id) WHERE event IS NOT NULL OR deleted <> 0";
        manager.get_connection().execute_unprepared(index).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP INDEX resource_event").await.map(drop)
    }
}
