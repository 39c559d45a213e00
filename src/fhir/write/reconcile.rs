//! From what stands to what would be said today, in as few writes as possible.
//!
//! * Same hash: nothing. New or changed: written. Said before and not today: `entered-in-error`, never deleted;
//!   said again: valid again. A Provenance has no status: it stays, and its first `recorded` is never rewritten.
//! * The answer depends on `desired` and on what stands, never on the way there: applied at the end of any order
//!   of arrivals it leads to the same findings, apart from entered-in-error ones on the way and `recorded`.
//! * Judgements are not ours to take back: only what `Device/tautline` authored is touched.
//! * What an earlier model release said is another matter: `release`.

use super::release::Standing;
use super::stored::{is_ours, parse, status};
use super::{Finding, Place, content_hash};
use crate::store::{Key, Mark};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A finding as it is stored: what the store's head of it says.
#[derive(Clone, Debug)]
pub struct ExistingFinding {
    pub kind: &'static str,
    pub id: Arc<str>,
    pub version: u64,
    pub hash: [u8; 16],
    /// May be missing (empty) where [`to_read`] does not ask for it.
    pub json: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    New,
    Changed,
    /// It was said, and would not be said today.
    EnteredInError,
    /// It was entered in error, and is said again.
    SaidAgain,
}

/// Those of `marks` (one client's, in the store) whose text [`reconcile`] will open: what is said otherwise now, or not
/// any more. All of them where Flags or past steps change, which a new release may be the cause of.
pub fn to_read(desired: &[Finding], marks: &[Mark]) -> Vec<Key> {
    let said: HashMap<(&str, &str), &Finding> = desired.iter().map(|one| ((one.kind, &*one.id), one)).collect();
    let stands: HashMap<(&str, &str), [u8; 16]> =
        marks.iter().map(|mark| ((mark.key.kind, &*mark.key.id), mark.hash)).collect();
    let open = |mark: &Mark| match said.get(&(mark.key.kind, &*mark.key.id)) {
        Some(finding) => finding.hash != mark.hash,
        None => mark.key.kind != "Provenance" && mark.status.as_deref() != Some("entered-in-error"),
    };
    let past_changes = desired.iter().any(|finding| {
        let stands_so = |kind, id: &str| stands.get(&(kind, id)).map(|hash| *hash == finding.hash);
        match &finding.place {
            Place::Step { open: false, .. } if finding.kind == "Provenance" => {
                stands_so(finding.kind, &finding.id) == Some(false)
            }
            Place::Episode { flag, .. } => {
                stands.contains_key(&("Flag", flag)) && stands_so(finding.kind, &finding.id) != Some(true)
            }
            _ => false,
        }
    });
    let flags_go = || {
        let unsaid = |mark: &&Mark| mark.key.kind == "Flag" && !said.contains_key(&("Flag", &*mark.key.id));
        marks.iter().filter(unsaid).any(open)
    };
    let all = past_changes || flags_go();
    marks.iter().filter(|mark| all || open(mark)).map(|mark| mark.key.clone()).collect()
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub kind: &'static str,
    pub id: String,
    /// Without `meta`: the server's to add.
    pub resource: Value,
    pub hash: [u8; 16],
    pub what: ChangeKind,
    /// The version it replaces.
    pub replaces: Option<u64>,
}

/// `resource` as entered in error, without its `meta`.
pub fn entered_in_error(resource: &Value) -> Value {
    let mut wrong = resource.clone();
    if let Some(members) = wrong.as_object_mut() {
        members.shift_remove("meta");
        members.insert("status".into(), "entered-in-error".into());
    }
    wrong
}

/// The writes that lead from `existing` (Observations, Flags and Provenances of one client; others' are left
/// alone) to `desired`. The same change never comes twice: applied, the next call answers with nothing.
pub fn reconcile(desired: &[Finding], existing: &[ExistingFinding]) -> Vec<Change> {
    let standing = Standing::new(desired, existing);
    let mut changes: Vec<Change> = desired.iter().filter_map(|finding| say(finding, &standing)).collect();
    let said: HashSet<(&str, &str)> = desired.iter().map(|finding| (finding.kind, &*finding.id)).collect();
    let unsaid = existing.iter().filter(|old| !said.contains(&(old.kind, &*old.id)));
    changes.extend(unsaid.filter_map(|old| take_back(old, &standing)));
    changes
}

fn say(finding: &Finding, standing: &Standing) -> Option<Change> {
    let old = standing.existing(finding.kind, &finding.id);
    if old.is_some_and(|old| old.hash == finding.hash) {
        return None;
    }
    match &finding.place {
        Place::Step { provenance, .. } => standing.step(finding, old, provenance),
        Place::Episode { .. } => standing.episode(finding, old),
        Place::Server => put(finding, old),
    }
}

fn take_back(old: &ExistingFinding, standing: &Standing) -> Option<Change> {
    if !matches!(old.kind, "Observation" | "Flag") {
        return None;
    }
    let was = parse(old);
    if status(&was).is_none_or(|status| status == "entered-in-error") || !is_ours(&was) {
        return None;
    }
    if standing.flag_stands(old) {
        return standing.superseded(old, &was);
    }
    Some(change(old, entered_in_error(&was), ChangeKind::EnteredInError))
}

pub(super) fn put(finding: &Finding, old: Option<&ExistingFinding>) -> Option<Change> {
    let Some(old) = old else {
        return Some(Change {
            kind: finding.kind,
            id: finding.id.clone(),
            resource: finding.resource.clone(),
            hash: finding.hash,
            what: ChangeKind::New,
            replaces: None,
        });
    };
    if old.hash == finding.hash {
        return None;
    }
    let was = parse(old);
    let mut resource = finding.resource.clone();
    if let (Some(first), Some(recorded)) = (was.get("recorded"), resource.get_mut("recorded")) {
        *recorded = first.clone();
    }
    let again = status(&was) == Some("entered-in-error");
    let what = if again { ChangeKind::SaidAgain } else { ChangeKind::Changed };
    Some(Change { hash: finding.hash, ..change(old, resource, what) })
}

pub(super) fn change(old: &ExistingFinding, resource: Value, what: ChangeKind) -> Change {
    let hash = content_hash(&resource, false);
    Change { kind: old.kind, id: old.id.to_string(), resource, hash, what, replaces: Some(old.version) }
}
