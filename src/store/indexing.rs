//! What search terms were read by, and reading them anew where that has changed.

use super::{Put, Result, Version};
use async_trait::async_trait;
use jiff::Timestamp;

/// Resources whose terms are to be read anew, and the place behind the last of them.
#[derive(Clone, Debug, Default)]
pub struct Stale {
    pub versions: Vec<Version>,
    pub upto: i64,
}

#[async_trait]
pub trait IndexStore: Send + Sync {
    /// Terms are to be read by this from now on; whether there are some that were read by something else.
    async fn index_by(&self, wanted: &str) -> Result<bool>;
    /// Nobody else reads them anew until then; `false`: somebody does, or it is done.
    async fn index_hold(&self, wanted: &str, now: Timestamp, until: Timestamp) -> Result<bool>;
    /// The next ones; none: all are done.
    async fn index_stale(&self, count: usize) -> Result<Stale>;
    /// New terms of those of these versions that still stand; everything as far as `upto` is done, and held `until`.
    async fn index_anew(&self, wanted: &str, puts: Vec<Put>, upto: i64, until: Timestamp) -> Result<()>;
    /// All are read by this.
    async fn index_done(&self, wanted: &str) -> Result<()>;
}
