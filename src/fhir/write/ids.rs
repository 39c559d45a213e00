//! Names of what we publish, and hashes of what it says.
//!
//! An id is a hash of (client, kind of finding, step or opening): the same on every server that is given the
//! same resources, and it tells a reader nothing.

use crate::domain::{EpisodeKey, FlagKind, SourceKind, StepKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Logical id of the Device that all findings name.
pub const DEVICE_ID: &str = "tautline";

/// Content that changes with the moment of publishing and not with what is said.
const MOMENTS: [&str; 2] = ["meta", "recorded"];
/// The same for an open assessment whose instant is "now".
const UNDATED: [&str; 4] = ["meta", "recorded", "effectiveDateTime", "occurredDateTime"];

/// Observation of a signal (`rom-trajectory` …) or of the pattern (`pattern`) at one step.
pub fn observation(client: &str, code: &str, step: &StepKey) -> String {
    id(&["Observation", client, code, &step_text(step)])
}

/// Flag: one episode of one kind for one client.
pub fn flag(client: &str, kind: FlagKind, opening: &EpisodeKey) -> String {
    id(&["Flag", client, kind.code(), &episode_text(opening)])
}

/// Provenance of one step's Observations.
pub fn step_provenance(client: &str, step: &StepKey) -> String {
    id(&["Provenance", client, "step", &step_text(step)])
}

/// Provenance of one Flag.
pub fn flag_provenance(client: &str, kind: FlagKind, opening: &EpisodeKey) -> String {
    id(&["Provenance", client, kind.code(), &episode_text(opening)])
}

fn id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        frame(&mut hash, part.as_bytes());
    }
    hex(&truncated(hash))
}

pub(super) fn step_text(key: &StepKey) -> String {
    match key {
        StepKey::Appointment(id) => format!("{}/{id}", SourceKind::Appointment.as_str()),
        StepKey::After(id) => format!("after {}/{id}", SourceKind::Appointment.as_str()),
        StepKey::Week(number) => format!("week {number}"),
        StepKey::Client => "client".to_owned(),
    }
}

pub(super) fn episode_text(key: &EpisodeKey) -> String {
    match key {
        EpisodeKey::Step(step) => step_text(step),
        EpisodeKey::Response(source) => source.to_string(),
    }
}

/// Hash of what a resource says: without `meta` and `Provenance.recorded`, whatever the order of its members.
/// `undated`: also without its instant, so that time alone writes nothing.
pub fn content_hash(resource: &Value, undated: bool) -> [u8; 16] {
    let left_out: &[&str] = if undated { &UNDATED } else { &MOMENTS };
    let mut hash = Sha256::new();
    let Value::Object(members) = resource else {
        hash_value(&mut hash, resource);
        return truncated(hash);
    };
    let mut kept: Vec<_> = members.iter().filter(|(name, _)| !left_out.contains(&name.as_str())).collect();
    kept.sort_unstable_by_key(|(name, _)| *name);
    hash.update([b'{', u8::from(undated)]);
    for (name, value) in kept {
        frame(&mut hash, name.as_bytes());
        hash_value(&mut hash, value);
    }
    truncated(hash)
}

fn hash_value(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"0"),
        Value::Bool(yes) => hash.update(if *yes { b"t" } else { b"f" }),
        Value::Number(number) => {
            hash.update(b"n");
            frame(hash, number.to_string().as_bytes());
        }
        Value::String(text) => {
            hash.update(b"s");
            frame(hash, text.as_bytes());
        }
        Value::Array(items) => {
            hash.update(b"[");
            hash.update((items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| hash_value(hash, item));
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            hash.update(b"{");
            hash.update((sorted.len() as u64).to_be_bytes());
            for (name, value) in sorted {
                frame(hash, name.as_bytes());
                hash_value(hash, value);
            }
        }
    }
}

/// Length first, so that no two lists of parts run together into the same bytes.
pub(super) fn frame(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

pub(super) fn truncated(hash: Sha256) -> [u8; 16] {
    let full = hash.finalize();
    std::array::from_fn(|i| full[i])
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
