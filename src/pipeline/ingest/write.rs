//! What is asked to be written, and what became of it.

use crate::store::{Key, Kind};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// What a write is aimed at.
#[derive(Clone, Debug)]
pub enum Target {
    Id(String),
    /// A conditional interaction: the decoded pairs of the search.
    Criteria(Vec<(String, String)>),
}

/// What has to stand (If-Match).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// `*`: something.
    Any,
    Version(u64),
}

#[derive(Clone, Debug)]
pub enum Action {
    Create {
        resource: Value,
        if_none_exist: Option<Vec<(String, String)>>,
    },
    Update {
        target: Target,
        resource: Value,
        if_match: Option<Expected>,
        must_be_new: bool,
    },
    /// What a patch made of this version.
    Patch {
        id: String,
        resource: Value,
        version: u64,
    },
    Delete {
        target: Target,
        if_match: Option<Expected>,
    },
    /// A load's word that it was deleted elsewhere: a Patient that was never here is known as deleted afterwards, since
    /// what is about nobody makes no findings.
    Bury {
        id: String,
    },
}

/// One write, already checked.
#[derive(Clone, Debug)]
pub struct Write {
    pub kind: Kind,
    /// Name by which other entries of the same Bundle refer to it.
    pub full_url: Option<String>,
    /// FHIRPath to put before faults: `Bundle.entry[3].` or nothing.
    pub prefix: String,
    pub action: Action,
}

impl Write {
    /// Whether it is about the resource of this id, as far as it says.
    #[must_use]
    pub fn names(&self, wanted: &str) -> bool {
        match &self.action {
            Action::Update { target: Target::Id(id), .. }
            | Action::Delete { target: Target::Id(id), .. }
            | Action::Patch { id, .. }
            | Action::Bury { id } => id == wanted,
            _ => false,
        }
    }
}

/// What became of one write.
#[derive(Clone, Debug)]
pub struct Done {
    pub key: Key,
    pub version: u64,
    pub updated: Timestamp,
    /// 201 created, 200 stored or unchanged, 204 deleted (or nothing to delete).
    pub status: u16,
    /// The resource as it stands now; `None` after a deletion.
    pub json: Option<Arc<str>>,
    /// What was sent is older than what stands, and is kept as this version behind it.
    pub late: Option<u64>,
}
