//! Who writes: asked inside the transaction, before anything is written.

use crate::error::Result;
use crate::store::{Key, Kind, Method, Put, Query};
use jiff::Timestamp;
use serde_json::Value;

/// One resource, before and after a write.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    pub kind: Kind,
    /// `None`: there never was one.
    pub before: Option<Before<'a>>,
    /// `None`: it is deleted.
    pub after: Option<After<'a>>,
    /// A version has to stand (If-Match).
    pub expects: bool,
}

#[derive(Clone, Debug)]
pub struct Before<'a> {
    /// All whose compartments it stood in.
    pub clients: &'a [String],
    pub deleted: bool,
    pub json: &'a str,
}

#[derive(Clone, Debug)]
pub struct After<'a> {
    /// All whose compartments it will stand in.
    pub clients: &'a [String],
    pub resource: &'a Value,
}

/// A write that will be carried out, for the trail.
#[derive(Clone, Debug)]
pub struct Traced {
    pub key: Key,
    pub version: u64,
    /// Whom it is about: of several clients all, before the write and after it.
    pub clients: Vec<String>,
    pub method: Method,
    /// There was none before.
    pub created: bool,
    /// A version came of it; it did not stand so already.
    pub changed: bool,
    /// Of a judgement: who it says made it.
    pub performers: Vec<String>,
}

/// Who writes, as the transaction asks: inside it, what stands is known and cannot change.
pub trait Gate: Send + Sync {
    /// Narrows a search that a write rests on (criteria, references that are searches) to what may be found.
    ///
    /// # Errors
    /// The type may not be searched at all.
    fn narrow(&self, query: &mut Query) -> Result<()>;
    /// # Errors
    /// The change is refused, and with it the whole transaction.
    fn admits(&self, change: &Change) -> Result<()>;
    /// What to keep of it, in the same transaction.
    fn trace(&self, writes: &[Traced], now: Timestamp) -> Vec<Put>;
}

/// Our own work.
pub struct Ourselves;

impl Gate for Ourselves {
    fn narrow(&self, _: &mut Query) -> Result<()> {
        Ok(())
    }

    fn admits(&self, _: &Change) -> Result<()> {
        Ok(())
    }

    fn trace(&self, _: &[Traced], _: Timestamp) -> Vec<Put> {
        Vec::new()
    }
}
