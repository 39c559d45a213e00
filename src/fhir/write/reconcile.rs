//! From what stands to what would be said today, in as few writes as possible.
//!
//! * Same hash: nothing. New or changed: written. Said before and not today: `entered-in-error`, never deleted;
//!   said again: valid again. A Provenance has no status: it stays, and its first `recorded` is never rewritten.
//! * The answer depends on `desired` and on what stands, never on the way there: applied at the end of any order
//!   of arrivals it leads to the same findings, apart from entered-in-error ones on the way and `recorded`.
//! * Judgements are not ours to take back: only what `Device/tautline` authored is touched.
//!
//! **A new model release.** What an earlier release said of a past step stands with its Provenance, as long as
//! the facts behind that step are the same (`basis`); the open assessment and every later step are the new
//! release's. Where a *correction of the data* changed the facts, the step and those behind it are said again,
//! by the release in use: the old statement was about data that no longer exist. For Flags:
//! * one that the earlier release closed, or that both have active, stays as it was; new judgements are added;
//! * one that is active stays the Flag of its kind while the new release has one active, whatever step the new
//!   release would have opened it at; if the new release has none, it closes now with reason `superseded`;
//! * an episode that the new release finds wholly within the past that stands is not published.

use super::codes::{BASE, FLAG_DETAIL, extension_url};
use super::flag::{closing_extension, period};
use super::provenance::basis_system;
use super::{DEVICE_ID, Finding, Place, content_hash};
use crate::domain::FlagKind;
use jiff::Timestamp;
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
    let mut changes = Vec::new();
    for finding in desired {
        if let Some(change) = standing.say(finding) {
            changes.push(change);
        }
    }
    let said: HashSet<(&str, &str)> = desired.iter().map(|finding| (finding.kind, &*finding.id)).collect();
    for old in existing.iter().filter(|old| !said.contains(&(old.kind, &*old.id))) {
        if let Some(change) = standing.unsaid(old) {
            changes.push(change);
        }
    }
    changes
}

/// What stands, and which of it an earlier release said of facts that are still the same.
struct Standing<'a> {
    existing: HashMap<(&'a str, &'a str), &'a ExistingFinding>,
    /// Provenances (ids) of the steps that stand as an earlier release said them.
    steps: HashSet<&'a str>,
    /// The latest of them: until then the past is told.
    until: Option<Timestamp>,
    /// First instant that this release speaks for.
    now: Option<Timestamp>,
    desired: &'a [Finding],
    /// Flags that an earlier release opened at one of these steps, and that this one does not name.
    flags: Vec<(&'a str, Value)>,
}

impl<'a> Standing<'a> {
    fn new(desired: &'a [Finding], existing: &'a [ExistingFinding]) -> Standing<'a> {
        let by_key = existing.iter().map(|old| ((old.kind, &*old.id), old)).collect();
        let mut standing =
            Standing { existing: by_key, steps: HashSet::new(), until: None, now: None, desired, flags: Vec::new() };
        standing.find_steps();
        standing.now = first_after(desired, standing.until);
        standing.find_flags(existing);
        standing
    }

    /// A step stands where its Provenance names another release and the same facts, and its pattern was not
    /// taken back in between.
    fn find_steps(&mut self) {
        for finding in self.desired.iter().filter(|finding| finding.kind == "Provenance") {
            let Place::Step { pattern, as_of, open: false, .. } = &finding.place else { continue };
            let Some(old) = self.existing.get(&(finding.kind, &*finding.id)) else { continue };
            if old.hash == finding.hash {
                continue;
            }
            let was = parse(old);
            let same_facts = basis(&was) == basis(&finding.resource);
            let same_release = release(&was) == release(&finding.resource);
            if same_release || !same_facts || !self.is_said("Observation", pattern) {
                continue;
            }
            self.steps.insert(&finding.id);
            self.until = self.until.max(Some(*as_of));
        }
    }

    fn find_flags(&mut self, existing: &'a [ExistingFinding]) {
        // Nothing stands but where a release has changed.
        if self.steps.is_empty() {
            return;
        }
        let patterns: HashSet<String> = self
            .desired
            .iter()
            .filter_map(|finding| match &finding.place {
                Place::Step { provenance, pattern, .. } if self.steps.contains(&**provenance) => {
                    Some(format!("Observation/{pattern}"))
                }
                _ => None,
            })
            .collect();
        let now = self.desired.iter().find_map(|finding| release(&finding.resource));
        let mut flags = Vec::new();
        for old in existing.iter().filter(|old| old.kind == "Flag" && !self.is_desired("Flag", &old.id)) {
            let was = parse(old);
            let stands = release(&was) != now && details(&was).any(|detail| patterns.contains(detail));
            if stands && is_ours(&was) && status(&was) != Some("entered-in-error") {
                flags.push((&*old.id, was));
            }
        }
        self.flags = flags;
    }

    fn is_said(&self, kind: &str, id: &str) -> bool {
        self.existing.get(&(kind, id)).is_some_and(|old| status(&parse(old)) != Some("entered-in-error"))
    }

    fn say(&self, finding: &Finding) -> Option<Change> {
        let old = self.existing.get(&(finding.kind, &*finding.id)).copied();
        match (&finding.place, old) {
            (Place::Step { provenance, .. }, Some(old)) if self.steps.contains(&**provenance) => {
                let missing = finding.kind == "Observation" && !self.is_said("Observation", &old.id);
                if missing { put(finding, Some(old)) } else { None }
            }
            (Place::Episode { code, opening, closed, .. }, _) if self.opened_in_told_past(opening.as_deref()) => {
                self.say_episode(finding, old, code, *closed)
            }
            _ => put(finding, old),
        }
    }

    fn opened_in_told_past(&self, opening: Option<&str>) -> bool {
        opening.is_some_and(|step| self.steps.contains(step))
    }

    /// An episode that the new release opens at a step an earlier one has told.
    fn say_episode(
        &self,
        finding: &Finding,
        old: Option<&ExistingFinding>,
        code: &str,
        closed: Option<Timestamp>,
    ) -> Option<Change> {
        let told = closed.is_some_and(|closed| self.until.is_some_and(|until| closed <= until));
        let Some(old) = old else {
            return if told || self.has_one_in_its_place(finding, code) { None } else { put(finding, None) };
        };
        if finding.kind == "Provenance" {
            return None;
        }
        let was = &parse(old);
        if status(was) == Some("entered-in-error") || release(was) == release(&finding.resource) {
            return put(finding, Some(old));
        }
        if closed.is_none() || status(was) == Some("inactive") {
            return rejudged(finding, old, was);
        }
        let mut ended = finding.clone();
        let end = if told { self.now.or(self.until) } else { closed };
        ended.resource["period"] = period(start(was)?, end);
        ended.hash = content_hash(&ended.resource, false);
        put(&ended, Some(old))
    }

    /// Whether a Flag of this kind that stands is active with it or, where it is closed, overlaps it.
    fn has_one_in_its_place(&self, finding: &Finding, code: &str) -> bool {
        let Place::Episode { opened, closed, .. } = finding.place else { return false };
        let overlaps = |flag: &Value| {
            start(flag).is_none_or(|start| closed.is_none_or(|closed| start < closed))
                && end(flag).is_none_or(|end| opened < end)
        };
        self.flags.iter().any(|(_, flag)| {
            let counts = if closed.is_none() { status(flag) == Some("active") } else { overlaps(flag) };
            counts && flag_code(flag) == Some(code)
        })
    }

    fn is_desired(&self, kind: &str, id: &str) -> bool {
        self.desired.iter().any(|finding| finding.kind == kind && finding.id == id)
    }

    fn unsaid(&self, old: &ExistingFinding) -> Option<Change> {
        if !matches!(old.kind, "Observation" | "Flag") {
            return None;
        }
        let was = parse(old);
        if status(&was).is_none_or(|status| status == "entered-in-error") || !is_ours(&was) {
            return None;
        }
        if self.flags.iter().any(|(id, _)| old.kind == "Flag" && **id == *old.id) {
            return self.superseded(old, &was);
        }
        let resource = entered_in_error(&was);
        let hash = content_hash(&resource, false);
        Some(change(old, resource, hash, ChangeKind::EnteredInError))
    }

    /// A Flag that stands stays as it is; but an active one closes when no Flag of its kind is active any more.
    fn superseded(&self, old: &ExistingFinding, was: &Value) -> Option<Change> {
        let code = flag_code(was)?;
        let same_kind = || {
            self.desired.iter().filter(|finding| finding.kind == "Flag").filter_map(|finding| match finding.place {
                Place::Episode { code: its, closed, .. } if its == code => Some((closed, finding)),
                _ => None,
            })
        };
        if status(was) != Some("active") || same_kind().any(|(closed, _)| closed.is_none()) {
            return None;
        }
        // The newer release may have had one of its own, opened elsewhere, and know why it closed.
        let ended = same_kind().filter(|(closed, _)| *closed > self.until).max_by_key(|(closed, _)| *closed);
        let reason = ended.and_then(|(_, finding)| closing_of(&finding.resource).cloned());
        let at = ended.and_then(|(closed, _)| closed).or(self.now).or(self.until)?;
        let mut resource = was.clone();
        resource.as_object_mut()?.shift_remove("meta");
        resource["status"] = "inactive".into();
        resource["period"] = period(start(was)?, Some(at));
        let reason = reason.unwrap_or_else(|| closing_extension("superseded", "Not seen by a newer model release"));
        resource["extension"].as_array_mut()?.push(reason);
        let hash = content_hash(&resource, false);
        Some(change(old, resource, hash, ChangeKind::Changed))
    }
}

/// The new release's first step (or open assessment) behind what stands.
fn first_after(desired: &[Finding], until: Option<Timestamp>) -> Option<Timestamp> {
    let until = until?;
    let instants = desired.iter().filter_map(|finding| match &finding.place {
        Place::Step { as_of, .. } => Some(*as_of),
        _ => None,
    });
    instants.filter(|as_of| *as_of > until).min()
}

/// A Flag of an earlier release keeps what it says; what practitioners say of it is still added.
fn rejudged(finding: &Finding, old: &ExistingFinding, was: &Value) -> Option<Change> {
    let url = extension_url("flag-judgement");
    let now: Vec<Value> = extensions(&finding.resource, &url).cloned().collect();
    if extensions(was, &url).eq(&now) {
        return None;
    }
    let mut resource = was.clone();
    resource.as_object_mut()?.shift_remove("meta");
    let extensions = resource["extension"].as_array_mut()?;
    extensions.retain(|extension| extension["url"] != url.as_str());
    extensions.extend(now);
    let hash = content_hash(&resource, false);
    Some(change(old, resource, hash, ChangeKind::Changed))
}

fn put(finding: &Finding, old: Option<&ExistingFinding>) -> Option<Change> {
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
    let what = match status(&was) {
        Some("entered-in-error") => ChangeKind::SaidAgain,
        _ => ChangeKind::Changed,
    };
    Some(change(old, resource, finding.hash, what))
}

fn change(old: &ExistingFinding, resource: Value, hash: [u8; 16], what: ChangeKind) -> Change {
    Change { kind: old.kind, id: old.id.to_string(), resource, hash, what, replaces: Some(old.version) }
}

/// Stored text is our own; should it not parse, it counts as said by nobody and is written anew.
fn parse(old: &ExistingFinding) -> Value {
    serde_json::from_str(&old.json).unwrap_or(Value::Null)
}

fn status(resource: &Value) -> Option<&str> {
    resource["status"].as_str()
}

fn start(flag: &Value) -> Option<Timestamp> {
    flag["period"]["start"].as_str()?.parse().ok()
}

fn end(flag: &Value) -> Option<Timestamp> {
    flag["period"]["end"].as_str()?.parse().ok()
}

fn extensions<'a>(flag: &'a Value, url: &'a str) -> impl Iterator<Item = &'a Value> {
    flag["extension"].as_array().into_iter().flatten().filter(move |extension| extension["url"] == url)
}

/// What a Flag points at: `Observation/…`.
fn details(flag: &Value) -> impl Iterator<Item = &str> {
    extensions(flag, FLAG_DETAIL).filter_map(|extension| extension["valueReference"]["reference"].as_str())
}

fn closing_of(flag: &Value) -> Option<&Value> {
    flag["extension"].as_array()?.iter().find(|extension| extension["url"] == extension_url("flag-closing").as_str())
}

fn flag_code(flag: &Value) -> Option<&'static str> {
    let code = flag["code"]["coding"][0]["code"].as_str()?;
    [FlagKind::EngagementDrop, FlagKind::NotOnTrack, FlagKind::SafetyItem]
        .into_iter()
        .map(FlagKind::code)
        .find(|known| *known == code)
}

fn author(resource: &Value) -> &Value {
    match resource["resourceType"].as_str() {
        Some("Flag") => &resource["author"],
        Some("Provenance") => &resource["agent"][0]["who"],
        _ => &resource["device"],
    }
}

fn is_ours(resource: &Value) -> bool {
    let reference = author(resource)["reference"].as_str();
    reference.and_then(|reference| reference.strip_prefix("Device/")) == Some(DEVICE_ID)
}

fn release(resource: &Value) -> Option<&str> {
    let identifier = &author(resource)["identifier"];
    if identifier["system"] == format!("{BASE}/model-release").as_str() { identifier["value"].as_str() } else { None }
}

fn basis(provenance: &Value) -> Option<&str> {
    let system = basis_system();
    let entities = provenance["entity"].as_array()?;
    let named = entities.iter().map(|entity| &entity["what"]["identifier"]);
    named.into_iter().find(|identifier| identifier["system"] == system.as_str())?["value"].as_str()
}
