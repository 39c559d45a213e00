//! What is kept: one small interface, one implementation over sea-orm (`sea/`), one contract suite that runs
//! on SQLite and on PostgreSQL.
//!
//! The store never opens a resource: it keeps the JSON as text, beside the facts (`event`) and index terms
//! that the border made of it. Everything a write causes (current version, superseded version, index terms,
//! the job to re-assess the client) commits in one transaction; [`Tx::commit`] answers only when it is durable.

use async_trait::async_trait;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

mod bulk;
#[cfg(test)]
mod contract;
mod indexing;
pub mod sea;

pub use bulk::{BulkJob, BulkPart, BulkPhase, BulkStore, Holding, INPUT};
pub use indexing::{IndexStore, Stale};

/// A resource type that is kept, by its FHIR name ("Task").
pub type Kind = &'static str;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: Kind,
    pub id: Arc<str>,
}

/// One stored version of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    pub key: Key,
    /// 1, 2, 3 … (`meta.versionId`, ETag `W/"n"`).
    pub version: u64,
    /// Our own `meta.lastUpdated`, microseconds kept; never used as evidence.
    pub updated: Timestamp,
    pub deleted: bool,
    /// Compartment: logical id of the Patient it belonged to, the first where it belonged to several.
    pub client: Option<Arc<str>>,
    /// Method that made it: POST, PUT, PATCH or DELETE (history's `request.method`).
    pub method: Method,
    /// The whole resource as it is given back, `meta` ours; empty for a deletion.
    pub json: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

/// What the border asks to be kept: becomes the current version of its key, or, where `behind` is set,
/// goes into history behind the current one.
#[derive(Clone, Debug)]
pub struct Put {
    pub key: Key,
    pub version: u64,
    pub updated: Timestamp,
    /// `meta.lastUpdated` as the sender wrote it.
    pub sender_updated: Option<Timestamp>,
    pub deleted: bool,
    pub method: Method,
    pub json: Arc<str>,
    /// Compartment: logical id of the Patient it belongs to, the first where it belongs to several.
    pub client: Option<Arc<str>>,
    /// The other Patients it belongs to.
    pub sharers: Vec<Sharer>,
    /// The fact, encoded by the border (`fhir::read`), for types the timeline reads.
    pub event: Option<Vec<u8>>,
    /// Hash of the content without `meta`: an unchanged finding or a re-sent resource is not written again.
    pub hash: [u8; 16],
    pub terms: Vec<Term>,
    /// An older version that arrived late: kept in history with this version number, the current stays.
    pub behind: bool,
}

/// Another Patient to whom a resource belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharer {
    pub client: Arc<str>,
    /// The fact, as it is for this one.
    pub event: Option<Vec<u8>>,
}

/// What an update or a finding needs to know of the version it would replace.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub key: Key,
    pub version: u64,
    /// Highest version number ever given to this key, superseded and late ones included.
    pub last_version: u64,
    pub sender_updated: Option<Timestamp>,
    pub deleted: bool,
    pub client: Option<Arc<str>>,
    pub hash: [u8; 16],
    pub json: Arc<str>,
}

/// One thing a search can find a resource by. `param` is the FHIR search parameter's code.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    pub param: &'static str,
    pub value: TermValue,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TermValue {
    Token {
        system: Option<String>,
        code: String,
    },
    /// `Patient/1`, or an absolute URL as sent.
    Reference(String),
    /// Half-open interval, microseconds since 1970: an instant is [t, t+1), `2026-03` the whole month.
    Date {
        from: i64,
        to: i64,
    },
    /// As sent; the store folds case and accents itself for the default (starts-with) search.
    Text(String),
    Uri(String),
    Number(f64),
    Quantity {
        value: f64,
        system: Option<String>,
        code: Option<String>,
    },
    /// A code and the value that stands beside it in the same element: composite parameters.
    Pair {
        system: Option<String>,
        code: String,
        value: Box<TermValue>,
    },
}

/// One search over one type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    pub kind: Kind,
    /// Only this client's compartment.
    pub client: Option<Arc<str>>,
    /// All must hold.
    pub filters: Vec<Filter>,
    /// What the asker may find: a resource must fit one of these. Empty: anything.
    pub allowed: Vec<Allowed>,
    /// Keys in order; ties by the store's own sequence. Empty: newest first.
    pub sort: Vec<Sort>,
    pub count: usize,
    pub after: Option<Cursor>,
    /// Count all matches (costs a scan of them).
    pub total: bool,
}

/// One share of what somebody may find.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allowed {
    /// In this client's compartment; `None`: in any, or in none.
    pub client: Option<Arc<str>>,
    /// All must hold.
    pub filters: Vec<Filter>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Search parameter's code; `_id` and `_lastUpdated` are filters too.
    pub param: &'static str,
    /// Any of these must match.
    pub any: Vec<Match>,
    /// `:not`: none of them may match (a resource without the element matches).
    pub not: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// `system` None: any system; Some(""): no system. `code` None: any code of the system.
    Token {
        system: Option<String>,
        code: Option<String>,
    },
    /// Exact reference text (`Patient/1`, or a URL).
    Reference(String),
    /// Id alone, any type.
    ReferenceId(String),
    /// Comparison of intervals, by FHIR's prefix rules.
    Date {
        prefix: Prefix,
        from: i64,
        to: i64,
    },
    TextStarts(String),
    TextContains(String),
    TextExact(String),
    Uri(String),
    UriBelow(String),
    /// [low, high): what the number's last digit implies, or the number twice.
    Number {
        prefix: Prefix,
        low: f64,
        high: f64,
    },
    Quantity {
        prefix: Prefix,
        low: f64,
        high: f64,
        system: Option<String>,
        code: Option<String>,
    },
    /// `:missing`: true matches resources without the element.
    Missing(bool),
    Id(String),
    /// The code and, in the same element, the value.
    Pair {
        system: Option<String>,
        code: String,
        value: Box<Match>,
    },
    /// The reference leads to one of these: a chained search. Sort, count and cursor of the query do not matter.
    Chain(Box<Query>),
    /// One of these refers here by its parameter `param`: `_has`, also the name of the filter's own parameter.
    Has {
        param: &'static str,
        query: Box<Query>,
    },
}

impl Query {
    /// Calls `each` with this query, then with every query that its filters ask by chaining or `_has`.
    ///
    /// # Errors
    /// The first that `each` gives.
    pub fn walk<E>(
        &mut self,
        each: &mut dyn FnMut(&mut Query) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        each(self)?;
        for wanted in self.filters.iter_mut().flat_map(|filter| &mut filter.any) {
            if let Match::Chain(query) | Match::Has { query, .. } = wanted {
                query.walk(each)?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sort {
    pub param: &'static str,
    pub descending: bool,
}

/// Where a page ended; opaque to everyone else, encoded by the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor(pub String);

#[derive(Clone, Debug, Default)]
pub struct Page {
    pub versions: Vec<Version>,
    pub next: Option<Cursor>,
    pub total: Option<u64>,
}

/// Which history is asked for.
#[derive(Clone, Debug)]
pub enum HistoryOf {
    Instance(Key),
    Type(Kind),
    System,
    /// Of these types; of a type that names a client, what is about that client.
    Within(Vec<(Kind, Option<Arc<str>>)>),
}

/// A fact as it was kept, with what orders the versions of one id.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    pub key: Key,
    pub version: u64,
    pub current: bool,
    pub deleted: bool,
    pub sender_updated: Option<Timestamp>,
    /// When we wrote it.
    pub received: Timestamp,
    pub event: Vec<u8>,
}

/// A client to be assessed, claimed by this process until `lease` ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub client: Arc<str>,
    /// Grows with each write about the client; finishing an older one leaves the job in place.
    pub generation: i64,
    /// When it became due.
    pub due: Timestamp,
    /// What its findings rest on, where no fact has come since they were made.
    pub standing: Option<Standing>,
}

/// What a client's findings rest on. While all of it holds, and no fact comes, an assessment changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Digest of who says it.
    pub release: [u8; 16],
    /// Digest of the timeline it is said of.
    pub inputs: [u8; 16],
    /// From this instant, and before the other, time alone changes nothing.
    pub from: Timestamp,
    pub until: Option<Timestamp>,
}

/// A job that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    pub job: Job,
    /// When time alone makes it due again.
    pub next: Option<Timestamp>,
    /// `None`: it is to be assessed whenever it is looked at.
    pub standing: Option<Standing>,
}

/// A stored finding, without what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    pub key: Key,
    pub version: u64,
    pub hash: [u8; 16],
    /// Of types whose status has a column.
    pub status: Option<Arc<str>>,
}

/// Bytes that a secret alone opens, under the digest of that secret; gone after `until`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Which sort of thing it is.
    pub shelf: i16,
    pub name: [u8; 32],
    pub bytes: Vec<u8>,
    pub until: Timestamp,
}

/// How busy the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections that are open: on SQLite those that read, beside the one that writes.
    pub connections: u32,
    pub connections_idle: u32,
    pub connections_max: u32,
    /// Requests that write or wait for it.
    pub writers: u64,
    /// Requests that were refused because so many waited.
    pub shed: u64,
    /// Versions that requests wrote.
    pub written: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too many writers wait already: at once, before anything was done.
    #[error("too many writers wait")]
    Busy,
    /// Lost a race (serialisation failure, unique key): the caller may try again from the start.
    #[error("the write lost a race with another one")]
    Conflict,
    /// The cursor is not one this store gave out.
    #[error("the page cursor is not valid")]
    BadCursor,
    /// Database away, locked, full or read-only.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the database failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub type Result<T> = std::result::Result<T, StoreError>;

#[async_trait]
pub trait Store: BulkStore + IndexStore {
    /// Opens a write transaction. On SQLite writers take turns, and those that wait share one synced commit.
    async fn begin(&self) -> Result<Box<dyn Tx>>;
    /// The same for our own work, which nobody waits for: those who write otherwise go first, for as long as
    /// `patience`.
    async fn begin_behind(&self, patience: Duration) -> Result<Box<dyn Tx>>;

    async fn read(&self, key: &Key) -> Result<Option<Version>>;
    async fn read_version(&self, key: &Key, version: u64) -> Result<Option<Version>>;
    /// Newest first.
    async fn history(
        &self,
        of: HistoryOf,
        since: Option<Timestamp>,
        count: usize,
        after: Option<Cursor>,
    ) -> Result<Page>;
    async fn search(&self, query: &Query) -> Result<Page>;

    /// Every fact about one client: current versions, and superseded ones of Appointment.
    async fn events(&self, client: &str) -> Result<Vec<StoredEvent>> {
        Ok(self.events_each(&[client.into()]).await?.pop().unwrap_or_default())
    }
    /// The same of each of these, all different, in their order.
    async fn events_each(&self, clients: &[Arc<str>]) -> Result<Vec<Vec<StoredEvent>>>;
    /// Facts of current resources of these types, whoever they belong to (Questionnaire).
    async fn events_of(&self, kind: Kind) -> Result<Vec<StoredEvent>>;
    /// Of each of these clients, all different, in their order: resources of these types that are not deleted.
    async fn marks_each(&self, clients: &[Arc<str>], kinds: &[Kind]) -> Result<Vec<Vec<Mark>>>;
    /// Current versions of these, as many as there are, in no order; deleted ones included.
    async fn read_all(&self, keys: &[Key]) -> Result<Vec<Version>>;
    /// Clients that have facts, for a caseload or a full re-assessment; ordered by id.
    async fn clients(&self, after: Option<&str>, count: usize) -> Result<Vec<Arc<str>>>;

    /// Claims up to `count` jobs due at `now`; another process cannot claim them before `lease_until`.
    async fn claim(&self, now: Timestamp, lease_until: Timestamp, count: usize) -> Result<Vec<Job>>;
    /// Holds those of these jobs that are still claimed until `from` (as [`Store::claim`] was told) until `to`.
    async fn renew(&self, jobs: &[Job], from: Timestamp, to: Timestamp) -> Result<()>;
    /// Waits until somebody makes clients due, and says when they are; at once where that has happened since the last
    /// call. Of what another process does most is told, not all.
    async fn rung(&self) -> Timestamp;
    /// When the next unclaimed job will be due.
    async fn next_due(&self) -> Result<Option<Timestamp>>;
    /// Jobs due at `now`, claimed or not.
    async fn pending(&self, now: Timestamp) -> Result<u64>;

    /// Keeps it where none of its name stands, and fewer than `most` of its shelf do; whether it did.
    async fn seal(&self, sealed: &Sealed, now: Timestamp, most: u64) -> Result<bool>;
    /// In place of what stands under its name, letting go of it; whether something did.
    async fn reseal(&self, sealed: &Sealed) -> Result<bool>;
    async fn sealed(&self, shelf: i16, name: &[u8; 32], now: Timestamp) -> Result<Option<Sealed>>;
    /// Takes it away: of several who ask, one gets it.
    async fn unseal(&self, shelf: i16, name: &[u8; 32], now: Timestamp) -> Result<Option<Sealed>>;
    /// It stays until then.
    async fn extend(&self, shelf: i16, name: &[u8; 32], until: Timestamp) -> Result<()>;
    /// Nobody else holds it until then; `false`: somebody does, or it is gone.
    async fn hold(&self, shelf: i16, name: &[u8; 32], now: Timestamp, until: Timestamp) -> Result<bool>;
    /// Takes away what is past its time.
    async fn sweep(&self, now: Timestamp) -> Result<u64>;

    /// Forgets, history and all, up to `count` resources of a type that were written before; how many.
    async fn forget(&self, kind: Kind, before: Timestamp, count: usize) -> Result<u64>;

    /// Reachable and migrated.
    async fn ready(&self) -> Result<()>;

    /// So many writers wait that another one would be refused.
    fn is_crowded(&self) -> bool;
    fn figures(&self) -> Figures;
}

/// A write transaction. Dropping it without commit rolls it back; so does a call that failed, after which it
/// cannot be committed. It may see what others who share its commit have written: an answer that rests on what it
/// read waits for its `commit`, even where it wrote nothing.
#[async_trait]
pub trait Tx: Send {
    /// Heads of these keys (missing ones left out), locked against other writers until the end.
    async fn heads(&mut self, keys: &[Key]) -> Result<Vec<Head>>;
    /// Says beforehand which criteria will decide: those who ask for several wait for each other in one order.
    async fn expect(&mut self, queries: &[Query]) -> Result<()>;
    /// Keys that a conditional interaction's criteria match, at most `limit`; no other writer with the same
    /// criteria can decide in between.
    async fn matches(&mut self, query: &Query, limit: usize) -> Result<Vec<Key>>;
    /// Keeps these, in order. A key that stands already is superseded: its old row goes into history.
    async fn put(&mut self, puts: Vec<Put>) -> Result<()>;
    /// The superseded version of this key that its sender dated so, if one is kept: it came before.
    async fn dated(&mut self, key: &Key, sender_updated: Timestamp) -> Result<Option<u64>>;
    /// When its sender last dated a version of this key that is deleted; where none was dated, when it was deleted here.
    async fn last_dated(&mut self, key: &Key) -> Result<Option<Timestamp>>;
    /// Makes every client with facts due (a measure changed); what their findings rest on stays known.
    async fn enqueue_all(&mut self, due: Timestamp) -> Result<u64>;
    /// Makes these clients due no later than `due`, and counts their generation up.
    async fn enqueue(&mut self, clients: &[Arc<str>], due: Timestamp) -> Result<()>;
    /// The jobs are done: due again at that time, or never by time alone; left due now if its generation has moved on.
    async fn finish(&mut self, ends: &[End]) -> Result<()>;
    /// Durable when it returns.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// Opens the database, creates it if missing (SQLite), migrates it.
pub use sea::{backup, connect, file};
