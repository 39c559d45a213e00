//! A new model release or fit: what an earlier one said stands, with its Provenance.
//!
//! * What an earlier release said of a past step stands as long as the facts behind that step are the same (the
//!   digest in its Provenance). The open assessment and every later step are the new release's.
//! * Where a *correction of the data* changed the facts, that step and those behind it are said again, by the
//!   release in use: the old statement was about data that no longer exist.
//! * A Flag stands by the same measure, by the facts behind the last step before it opened. One that is closed
//!   stays as it was. One that is active stays the Flag of its kind while the new release has one active,
//!   whenever that would have opened; if the new release has none, it closes: with the new release's reason
//!   where that had one of its own, else with `superseded`.
//! * An episode that the new release finds wholly within the past that stands, or in the place of a Flag that
//!   stands, is not published.
//! * New judgements are added to Flags that stand.

use super::codes::{FLAG_DETAIL, extension_url};
use super::flag::{closing_extension, period};
use super::ids::hex;
use super::reconcile::{Change, ChangeKind, ExistingFinding, change, put};
use super::stored::{basis, closing_of, end, extensions, flag_code, is_ours, parse, release, start, status, target};
use super::{Finding, Place};
use crate::domain::FlagKind;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// What stands, and which of it an earlier release said of facts that are still the same.
pub struct Standing<'a> {
    existing: HashMap<(&'a str, &'a str), &'a ExistingFinding>,
    desired: &'a [Finding],
    /// Provenances (ids) of the past steps that stand as an earlier release said them.
    steps: HashSet<&'a str>,
    /// The latest of them.
    until: Option<Timestamp>,
    /// First instant that this release speaks for.
    now: Option<Timestamp>,
    /// Flags of an earlier release that stand and that this one does not name.
    flags: Vec<(&'a str, Value)>,
}

impl<'a> Standing<'a> {
    pub fn new(desired: &'a [Finding], existing: &'a [ExistingFinding]) -> Standing<'a> {
        let existing = existing.iter().map(|old| ((old.kind, &*old.id), old)).collect();
        let mut standing =
            Standing { existing, desired, steps: HashSet::new(), until: None, now: None, flags: Vec::new() };
        standing.find_steps();
        let instants = || {
            desired.iter().filter_map(|finding| match &finding.place {
                Place::Step { as_of, .. } => Some(*as_of),
                _ => None,
            })
        };
        let after = instants().filter(|as_of| standing.until.is_none_or(|until| *as_of > until)).min();
        standing.now = if standing.until.is_some() { after } else { None }.or(instants().max());
        standing.flags = standing.find_flags();
        standing
    }

    pub fn existing(&self, kind: &str, id: &str) -> Option<&'a ExistingFinding> {
        self.existing.get(&(kind, id)).copied()
    }

    /// A step stands where its Provenance names another release and the same facts, and its pattern was not
    /// taken back in between.
    fn find_steps(&mut self) {
        for finding in self.desired.iter().filter(|finding| finding.kind == "Provenance") {
            let Place::Step { pattern, as_of, open: false, .. } = &finding.place else { continue };
            let Some(old) = self.existing(finding.kind, &finding.id) else { continue };
            if old.hash == finding.hash {
                continue;
            }
            let was = parse(old);
            let same_facts = basis(&was) == basis(&finding.resource);
            let same_release = release(&was) == release(&finding.resource);
            if !same_release && same_facts && self.is_said("Observation", pattern) {
                self.steps.insert(&finding.id);
                self.until = self.until.max(Some(*as_of));
            }
        }
    }

    fn find_flags(&self) -> Vec<(&'a str, Value)> {
        let Some(now) = self.desired.iter().find_map(|finding| release(&finding.resource)) else { return Vec::new() };
        let named: HashSet<&str> =
            self.desired.iter().filter(|finding| finding.kind == "Flag").map(|finding| &*finding.id).collect();
        let olds = self.existing.values().filter(|old| old.kind == "Flag" && !named.contains(&*old.id));
        let mut flags: Vec<(&str, Value)> = olds
            .map(|old| (&*old.id, parse(old)))
            .filter(|(_, was)| is_ours(was) && status(was) != Some("entered-in-error") && release(was) != Some(now))
            // A safety item is no matter of a model: not said any more, the answer was taken back.
            .filter(|(_, was)| flag_code(was) != Some(FlagKind::SafetyItem.code()))
            .collect();
        if flags.is_empty() {
            return flags;
        }
        let facts: HashSet<String> = self
            .desired
            .iter()
            .filter_map(|finding| match &finding.place {
                Place::Step { behind, .. } => Some(hex(behind)),
                _ => None,
            })
            .collect();
        let provenances = self.existing.values().filter(|old| old.kind == "Provenance").map(|old| parse(old));
        let same_facts: HashSet<String> = provenances
            .filter(|was| basis(was).is_some_and(|basis| facts.contains(basis)))
            .filter_map(|was| target(&was)?.strip_prefix("Flag/").map(str::to_owned))
            .collect();
        flags.retain(|(id, _)| same_facts.contains(*id));
        flags
    }

    fn is_said(&self, kind: &str, id: &str) -> bool {
        self.existing(kind, id).is_some_and(|old| status(&parse(old)) != Some("entered-in-error"))
    }

    /// An Observation or the Provenance of one step.
    pub fn step(&self, finding: &Finding, old: Option<&ExistingFinding>, provenance: &str) -> Option<Change> {
        if !self.steps.contains(provenance) || !self.is_said(finding.kind, &finding.id) {
            return put(finding, old);
        }
        None
    }

    /// A Flag, or the Provenance of one.
    pub fn episode(&self, finding: &Finding, old: Option<&ExistingFinding>) -> Option<Change> {
        let Place::Episode { flag, provenance, code, opened, closed, behind } = &finding.place else { return None };
        let Some(old_flag) = self.existing("Flag", flag) else {
            let told = closed.is_some_and(|closed| self.until.is_some_and(|until| closed <= until));
            return if told || self.has_one_in_its_place(code, *opened, *closed) { None } else { put(finding, old) };
        };
        let was = parse(old_flag);
        let facts = self.existing("Provenance", provenance).map(parse);
        let same_facts = facts.is_some_and(|facts| basis(&facts) == Some(&hex(behind)));
        if status(&was) == Some("entered-in-error") || release(&was) == release(&finding.resource) || !same_facts {
            return put(finding, old);
        }
        if finding.kind == "Provenance" {
            return None;
        }
        match closed {
            Some(closed) if status(&was) == Some("active") => {
                let told = self.until.is_some_and(|until| *closed <= until);
                let at = if told { self.now } else { None }.unwrap_or(*closed);
                let reason = closing_of(&finding.resource).cloned();
                let resource = judged(finding, &was).unwrap_or(was);
                closed_at(old_flag, resource, at, reason)
            }
            _ => judged(finding, &was).map(|resource| change(old_flag, resource, ChangeKind::Changed)),
        }
    }

    /// Whether a Flag of this kind that stands is active with it or, where it is closed, overlaps it.
    fn has_one_in_its_place(&self, code: &str, opened: Timestamp, closed: Option<Timestamp>) -> bool {
        self.flags.iter().filter(|(_, flag)| flag_code(flag) == Some(code)).any(|(_, flag)| match closed {
            None => status(flag) == Some("active"),
            Some(closed) => start(flag).is_none_or(|start| start < closed) && end(flag).is_none_or(|end| opened < end),
        })
    }

    /// Whether this is a Flag of an earlier release that stands, though this one does not name it.
    pub fn flag_stands(&self, old: &ExistingFinding) -> bool {
        old.kind == "Flag" && self.flags.iter().any(|(id, _)| **id == *old.id)
    }

    /// A Flag that stands stays as it is; but an active one closes when no Flag of its kind is active any more.
    pub fn superseded(&self, old: &ExistingFinding, was: &Value) -> Option<Change> {
        let code = flag_code(was)?;
        let same_kind: Vec<(Option<Timestamp>, &Finding)> = self
            .desired
            .iter()
            .filter(|finding| finding.kind == "Flag")
            .filter_map(|finding| match finding.place {
                Place::Episode { code: its, closed, .. } if its == code => Some((closed, finding)),
                _ => None,
            })
            .collect();
        if status(was) != Some("active") || same_kind.iter().any(|(closed, _)| closed.is_none()) {
            return None;
        }
        let ended = same_kind.iter().filter(|(closed, _)| *closed > self.until.max(start(was))).max_by_key(|one| one.0);
        let reason = ended.and_then(|(_, finding)| closing_of(&finding.resource).cloned());
        let at = ended.and_then(|(closed, _)| *closed).or(self.now)?;
        closed_at(old, was.clone(), at, reason)
    }
}

/// A Flag of an earlier release, closed.
fn closed_at(old: &ExistingFinding, was: Value, at: Timestamp, reason: Option<Value>) -> Option<Change> {
    let began = start(&was)?;
    let mut resource = without_meta(was);
    resource["status"] = "inactive".into();
    resource["period"] = period(began, Some(at.max(began)));
    let reason = reason.unwrap_or_else(|| closing_extension("superseded", "Not seen by a newer model release"));
    resource["extension"].as_array_mut()?.push(reason);
    Some(change(old, resource, ChangeKind::Changed))
}

/// A Flag of an earlier release keeps what it says; what practitioners say of it is still added, and it points
/// at the assessment that shows it now. `None`: nothing to add.
fn judged(finding: &Finding, was: &Value) -> Option<Value> {
    let url = extension_url("flag-judgement");
    let taken = |flag: &Value| -> Vec<Value> {
        [FLAG_DETAIL, &url].into_iter().flat_map(|url| extensions(flag, url)).cloned().collect()
    };
    let now = taken(&finding.resource);
    if taken(was) == now {
        return None;
    }
    let mut resource = without_meta(was.clone());
    let all = resource["extension"].as_array_mut()?;
    all.retain(|extension| extension["url"] != url.as_str() && extension["url"] != FLAG_DETAIL);
    all.extend(now);
    Some(resource)
}

fn without_meta(mut resource: Value) -> Value {
    if let Some(members) = resource.as_object_mut() {
        members.shift_remove("meta");
    }
    resource
}
