//! Bulk load: resources that come by the thousand, each for itself, written many to a transaction.

use super::Pipeline;
use super::ingest::{Action, Done, Gate, Target, Write};
use crate::error::{Error, Result};
use crate::fhir::accept::{self, Aside};
use crate::fhir::kinds::{Writer, kind};
use crate::fhir::outcome::Issue;
use crate::fhir::write::judgement;
use crate::store::{Key, Kind};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Resources written in one transaction.
pub const BATCH: usize = 500;
/// Times a batch is tried anew where the database cannot be written, and the pause between.
const TRIES_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);
/// Clocks of two servers may differ by this much, seconds.
const LEEWAY_SECONDS: i64 = 60;

/// Where a resource stood: the file's number and the line, or the entry of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: usize,
    pub line: u64,
}

/// A resource that may be kept.
#[derive(Clone, Debug)]
pub struct Loadable {
    pub place: Place,
    pub kind: Kind,
    pub id: String,
    /// `None`: it was deleted where it comes from.
    pub resource: Option<Value>,
}

/// What became of a load so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    pub created: u64,
    /// Stored anew, or there already as it is.
    pub stood: u64,
    /// Findings, and other types that are ours to write.
    pub ours: u64,
    /// Types that are not kept, and how many of each.
    pub not_kept: BTreeMap<String, u64>,
    pub refused: u64,
    /// Deleted, as where they come from.
    pub deleted: u64,
}

impl Loaded {
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.created + self.stood
    }

    /// Checks a resource; what is left aside is counted, and its faults handed to `tell`.
    pub fn check(
        &mut self,
        place: Place,
        mut resource: Value,
        tell: &mut dyn FnMut(Place, &Issue),
    ) -> Option<Loadable> {
        match accept::bulk(&mut resource) {
            Ok((kind, id)) => return Some(Loadable { place, kind, id, resource: Some(resource) }),
            Err(Aside::NotKept(name)) => *self.not_kept.entry(name).or_default() += 1,
            Err(Aside::Ours(_)) => self.ours += 1,
            Err(Aside::Refused(issues)) => {
                self.refused += 1;
                issues.iter().filter(|issue| issue.refuses()).for_each(|issue| tell(place, issue));
            }
        }
        None
    }

    /// A deletion; those of findings, and of types that are not kept, are left aside without a word.
    #[must_use]
    pub fn deletion(place: Place, name: &str, id: String) -> Option<Loadable> {
        let row = kind(name).filter(|row| row.writer == Writer::Others)?;
        Some(Loadable { place, kind: row.name, id, resource: None })
    }

    /// Counts one that was written.
    pub fn count(&mut self, status: u16) {
        match status {
            201 => self.created += 1,
            204 => self.deleted += 1,
            _ => self.stood += 1,
        }
    }
}

impl Pipeline {
    /// Writes these, each for itself: one that is refused is told, and the others stay.
    ///
    /// # Errors
    /// The database.
    pub async fn load(
        &self,
        gate: &dyn Gate,
        batch: Vec<Loadable>,
        loaded: &mut Loaded,
        tell: &mut (dyn FnMut(Place, &Issue) + Send),
    ) -> Result<()> {
        let mut rest = batch.into_iter().peekable();
        while rest.peek().is_some() {
            // One resource stands in a transaction once.
            let mut seen = HashSet::new();
            let mut part = Vec::new();
            while let Some(next) = rest.next_if(|next| seen.insert((next.kind, next.id.clone()))) {
                part.push(next);
            }
            self.load_part(gate, part, loaded, tell).await?;
        }
        Ok(())
    }

    async fn load_part(
        &self,
        gate: &dyn Gate,
        part: Vec<Loadable>,
        loaded: &mut Loaded,
        tell: &mut (dyn FnMut(Place, &Issue) + Send),
    ) -> Result<()> {
        let mut kept = Vec::with_capacity(part.len());
        for one in part {
            let Some(resource) = one.resource.as_ref().filter(|_| one.kind == "Observation") else {
                kept.push(one);
                continue;
            };
            // Its Flag may not be here yet: findings follow what is loaded.
            let latest = self.clock.now() + SignedDuration::from_secs(LEEWAY_SECONDS);
            let faults = judgement::faults(resource, one.kind, latest, &self.zone);
            if !faults.is_empty() {
                loaded.refused += 1;
                faults.iter().for_each(|issue| tell(one.place, issue));
            } else if self.is_finding(&one.id).await? {
                loaded.ours += 1;
            } else {
                kept.push(one);
            }
        }
        match self.write_all(gate, &kept).await {
            Ok(done) => done.iter().for_each(|done| loaded.count(done.status)),
            Err(error) if error.status >= 500 => return Err(error),
            Err(_) => {
                for one in kept {
                    let place = one.place;
                    match self.write_all(gate, std::slice::from_ref(&one)).await {
                        Ok(done) => done.iter().for_each(|done| loaded.count(done.status)),
                        Err(error) if error.status >= 500 => return Err(error),
                        Err(error) => {
                            loaded.refused += 1;
                            error.issues.iter().for_each(|issue| tell(place, issue));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn write_all(&self, gate: &dyn Gate, all: &[Loadable]) -> Result<Vec<Done>> {
        let write = |one: &Loadable| Write {
            kind: one.kind,
            full_url: None,
            prefix: String::new(),
            action: match &one.resource {
                Some(resource) => Action::Update {
                    target: Target::Id(one.id.clone()),
                    resource: resource.clone(),
                    if_match: None,
                    must_be_new: false,
                },
                None => Action::Bury { id: one.id.clone() },
            },
        };
        let mut tries = 0;
        loop {
            match self.write_by(gate, all.iter().map(write).collect()).await {
                // Somebody else's crowd, or the database was away: a load can wait.
                Err(error) if error.status == 503 && tries < TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    /// A judgement never takes the place of a finding.
    async fn is_finding(&self, id: &str) -> Result<bool> {
        let stands = self.store.read(&Key { kind: "Observation", id: id.into() }).await.map_err(Error::from)?;
        Ok(stands.filter(|version| !version.deleted).is_some_and(|version| {
            !serde_json::from_str(&version.json).is_ok_and(|value: Value| judgement::is_judgement(&value))
        }))
    }
}
