//! The vault of launches and sessions, over the store.

use crate::smart::vault::{Away, Row, Shelf, Vault};
use crate::store::{Result, Sealed, Store};
use async_trait::async_trait;
use jiff::Timestamp;
use std::sync::Arc;

pub struct InStore(pub Arc<dyn Store>);

fn sealed(row: Row) -> Sealed {
    Sealed { shelf: row.shelf as i16, name: row.name, bytes: row.bytes, until: row.until }
}

fn row(shelf: Shelf) -> impl Fn(Sealed) -> Row {
    move |found| Row { shelf, name: found.name, bytes: found.bytes, until: found.until }
}

fn told<T>(answer: Result<T>) -> std::result::Result<T, Away> {
    answer.map_err(|error| {
        tracing::error!(error = crate::app::chain(&error), "a session could not be looked up or kept");
        Away
    })
}

#[async_trait]
impl Vault for InStore {
    async fn insert(&self, row: Row, now: Timestamp, most: u64) -> std::result::Result<bool, Away> {
        told(self.0.seal(&sealed(row), now, most).await)
    }

    async fn replace(&self, row: Row) -> std::result::Result<bool, Away> {
        told(self.0.reseal(&sealed(row)).await)
    }

    async fn get(&self, shelf: Shelf, name: &[u8; 32], now: Timestamp) -> std::result::Result<Option<Row>, Away> {
        Ok(told(self.0.sealed(shelf as i16, name, now).await)?.map(row(shelf)))
    }

    async fn take(&self, shelf: Shelf, name: &[u8; 32], now: Timestamp) -> std::result::Result<Option<Row>, Away> {
        Ok(told(self.0.unseal(shelf as i16, name, now).await)?.map(row(shelf)))
    }

    async fn extend(&self, shelf: Shelf, name: &[u8; 32], until: Timestamp) -> std::result::Result<(), Away> {
        told(self.0.extend(shelf as i16, name, until).await)
    }

    async fn hold(
        &self,
        shelf: Shelf,
        name: &[u8; 32],
        now: Timestamp,
        until: Timestamp,
    ) -> std::result::Result<bool, Away> {
        told(self.0.hold(shelf as i16, name, now, until).await)
    }
}
