//! Exports and imports that run beside the requests, and their files: kept in the database, so that any process can
//! tell how far one is, and take over from one that has ended.

use super::Result;
use async_trait::async_trait;
use jiff::Timestamp;

/// The file that an import was given.
pub const INPUT: i16 = -1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkPhase {
    Running,
    Done,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkJob {
    pub id: String,
    /// Whose it is, as the border writes it.
    pub owner: String,
    /// Who wants what, as the border writes it.
    pub asked: String,
    pub started: Timestamp,
    pub phase: BulkPhase,
    /// In words.
    pub progress: String,
    /// How far it is, or what came of it, as the border writes it.
    pub state: String,
    /// Processes that have begun it.
    pub tries: u16,
    /// Gone after that.
    pub expires: Timestamp,
}

/// A piece of a file, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkPart {
    pub file: i16,
    pub n: i64,
    pub bytes: Vec<u8>,
}

/// Who carries a job out, and until when unless they say more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    pub holder: String,
    pub until: Timestamp,
}

#[async_trait]
pub trait BulkStore: Send + Sync {
    /// Keeps a new one with what it was given, unless `running_max` run or `kept_max` are kept; whether it did.
    async fn bulk_start(
        &self,
        job: &BulkJob,
        held: &Holding,
        parts: Vec<BulkPart>,
        running_max: u64,
        kept_max: u64,
    ) -> Result<bool>;
    async fn bulk_find(&self, id: &str, now: Timestamp) -> Result<Option<BulkJob>>;
    /// One that runs and that nobody holds, if there is one: now it is held.
    async fn bulk_claim(&self, now: Timestamp, held: &Holding) -> Result<Option<BulkJob>>;
    /// How far it is now, and the pieces that are new since, in one transaction; `false`, and nothing is kept: it was
    /// cancelled, or somebody else holds it.
    async fn bulk_save(&self, job: &BulkJob, held: &Holding, parts: Vec<BulkPart>) -> Result<bool>;
    async fn bulk_part(&self, id: &str, file: i16, n: i64) -> Result<Option<Vec<u8>>>;
    /// Cancelled, or past its time; whether there was one.
    async fn bulk_delete(&self, id: &str) -> Result<bool>;
    /// Ids of those past their time.
    async fn bulk_expired(&self, now: Timestamp) -> Result<Vec<String>>;
    /// Whatever this one holds is free.
    async fn bulk_release(&self, holder: &str) -> Result<()>;
}
