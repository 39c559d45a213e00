//! Whose turn it is to write a client's Flags into an EHR, and what of them stands there: one row for all processes.
//!
//! A process takes the claim for [`LEASE`], works for less than that, and leaves what it wrote behind with it. Where it
//! dies instead, another takes over when the lease ends. The row tells ids and versions of Flags and nothing of a
//! client, under the digest of (iss, client).

use super::State;
use crate::smart::vault::Shelf;
use crate::store::{Result, Sealed};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long a claim holds without a sign of life.
pub const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// Work under a claim takes no longer.
pub const WORK_MAX: Duration = Duration::from_secs(25);
/// What stands is remembered for so long after the last write.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
const SHELF: i16 = Shelf::Flags as i16;

/// What of a client's Flags stands in the EHR.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stand(Vec<Written>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Written {
    id: String,
    version: u64,
    active: bool,
}

impl Stand {
    /// This version, or a later one, has been written.
    #[must_use]
    pub fn has(&self, id: &str, version: u64) -> bool {
        self.0.iter().any(|one| one.id == id && one.version >= version)
    }

    /// Whether it was written as active, where it was.
    #[must_use]
    pub fn active(&self, id: &str) -> Option<bool> {
        self.0.iter().find(|one| one.id == id).map(|one| one.active)
    }

    pub fn note(&mut self, id: &str, version: u64, active: bool) {
        self.0.retain(|one| one.id != id);
        self.0.push(Written { id: id.to_owned(), version, active });
    }
}

/// What the row is called.
#[must_use]
pub fn name(iss: &str, client: &str) -> [u8; 32] {
    Sha256::digest(format!("flags\n{iss}\n{client}")).into()
}

/// What stands, as far as any process has said.
///
/// # Errors
/// The database.
pub async fn stand(state: &State, name: &[u8; 32], now: Timestamp) -> Result<Stand> {
    let row = state.pipeline.store.sealed(SHELF, name, now).await?;
    Ok(row.and_then(|row| serde_json::from_slice(&row.bytes).ok()).unwrap_or_default())
}

/// Takes the claim; `None`: another process has it.
///
/// # Errors
/// The database.
pub async fn take(state: &State, name: &[u8; 32], now: Timestamp) -> Result<Option<Stand>> {
    let store = &state.pipeline.store;
    let held = async || store.hold(SHELF, name, now, now + LEASE).await;
    // The first time there is no row to hold.
    let new = async || store.seal(&row(name, &Stand::default(), now), now, u64::MAX).await;
    if held().await? || (new().await? && held().await?) { stand(state, name, now).await.map(Some) } else { Ok(None) }
}

/// Lets go of it, and says what stands now.
///
/// # Errors
/// The database: the claim then ends with its lease.
pub async fn leave(state: &State, name: &[u8; 32], stand: &Stand, now: Timestamp) -> Result<()> {
    state.pipeline.store.reseal(&row(name, stand, now)).await.map(drop)
}

fn row(name: &[u8; 32], stand: &Stand, now: Timestamp) -> Sealed {
    let bytes = serde_json::to_vec(stand).unwrap_or_default();
    Sealed { shelf: SHELF, name: *name, bytes, until: now + KEPT }
}
