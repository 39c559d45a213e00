//! Facts joined into a timeline: versions put in order, corrections and deletions applied, scores worked out,
//! and each entry given the time at which it could be known.
//!
//! Everything here is a function of the set of facts. With the sender's `meta.lastUpdated` on every version the
//! order of arrival cannot matter; where it is missing, arrival is the fact.

mod endings;
mod forms;
mod sessions;
mod tasks;

use super::fact::Fact;
use super::{Judgement, Measures, Source, SourceKind, Timeline};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One version of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionedFact {
    pub source: Source,
    /// In the order of arrival; the same number twice is the same version.
    pub version: u64,
    /// The store says this one stands now.
    pub current: bool,
    pub deleted: bool,
    /// `meta.lastUpdated` as the sender wrote it.
    pub sender_updated: Option<Timestamp>,
    /// Nothing for a deletion.
    pub fact: Option<Fact>,
}

/// Whether a version that arrives becomes the current one, or goes into history behind it.
pub fn supersedes(arriving: Option<Timestamp>, current: Option<Timestamp>) -> bool {
    match (arriving, current) {
        (Some(arriving), Some(current)) => arriving >= current,
        _ => true,
    }
}

/// The timeline of one client. Facts of other clients must not be among them.
pub fn timeline(facts: impl IntoIterator<Item = VersionedFact>, measures: &Measures) -> Timeline {
    let mut all: BTreeMap<Source, Vec<VersionedFact>> = BTreeMap::new();
    for fact in facts {
        all.entry(fact.source.clone()).or_default().push(fact);
    }
    let all: BTreeMap<Source, Vec<VersionedFact>> =
        all.into_iter().map(|(source, versions)| (source, in_order(versions))).collect();

    let mut timeline = Timeline::default();
    let arrivals = sessions::arrivals(&all);
    let mut tasks = Vec::new();
    for (source, versions) in &all {
        let Some(Standing { updated, fact, .. }) = standing(versions) else { continue };
        match fact {
            Fact::Appointment(_) => {
                timeline.slots.extend(sessions::slot(source, versions, arrivals.get(&source.id)));
            }
            Fact::Response(response) => forms::read(source, response, updated, measures, &mut timeline),
            Fact::Task(task) => tasks.push((source, task, updated)),
            Fact::Judgement(judgement) => {
                let known = judgement.issued.or(updated);
                if let (Some(verdict), Some(known)) = (judgement.verdict, known) {
                    timeline.judgements.push(Judgement {
                        source: source.clone(),
                        known,
                        verdict,
                        flag: judgement.flag.as_deref().map(str::to_owned),
                        note: judgement.note.as_deref().map(str::to_owned),
                    });
                }
            }
            Fact::Encounter(_) | Fact::Episode(_) | Fact::Patient(_) | Fact::Questionnaire(_) => {}
        }
    }
    for (source, task, updated) in tasks {
        tasks::read(source, task, updated, measures, &all, &mut timeline);
    }
    sort(&mut timeline);
    sessions::replacements(&mut timeline.slots, &all);
    timeline.endings = endings::endings(&all, &timeline);
    timeline
}

fn sort(timeline: &mut Timeline) {
    timeline.slots.sort_by(|a, b| (a.start, &a.source).cmp(&(b.start, &b.source)));
    timeline
        .administrations
        .sort_by(|a, b| (a.at, &a.source, &a.measure.canonical).cmp(&(b.at, &b.source, &b.measure.canonical)));
    timeline.dues.sort_by(|a, b| {
        let canonical = |due: &super::MeasureDue| due.measure.as_ref().map(|measure| measure.canonical.clone());
        (a.asked, &a.source, canonical(a)).cmp(&(b.asked, &b.source, canonical(b)))
    });
    timeline.homework.sort_by(|a, b| (a.assigned, &a.source).cmp(&(b.assigned, &b.source)));
    timeline.judgements.sort_by(|a, b| (a.known, &a.source).cmp(&(b.known, &b.source)));
}

/// Versions in the sender's order: each goes to the end as it arrives, but behind those its sender dated later.
/// The last one is then the one that [`supersedes`] would have made current.
fn in_order(mut versions: Vec<VersionedFact>) -> Vec<VersionedFact> {
    versions.sort_by_key(|version| (version.version, version.current));
    versions.dedup_by_key(|version| version.version);
    let mut ordered: Vec<VersionedFact> = Vec::with_capacity(versions.len());
    for version in versions {
        let later = |other: &VersionedFact| !supersedes(version.sender_updated, other.sender_updated);
        let at = ordered.iter().rposition(|other| !later(other)).map_or(0, |at| at + 1);
        ordered.insert(at, version);
    }
    // What the store calls current is current.
    if let Some(at) = ordered.iter().rposition(|version| version.current) {
        let current = ordered.remove(at);
        ordered.push(current);
    }
    ordered
}

/// What stands of a resource, and the sender's time of it.
struct Standing<'a> {
    fact: &'a Fact,
    updated: Option<Timestamp>,
}

fn standing(versions: &[VersionedFact]) -> Option<Standing<'_>> {
    let last = versions.last().filter(|last| !last.deleted)?;
    Some(Standing { fact: last.fact.as_ref()?, updated: last.sender_updated })
}

/// The facts that stand of one kind.
fn standing_of<'a>(
    all: &'a BTreeMap<Source, Vec<VersionedFact>>,
    kind: SourceKind,
) -> impl Iterator<Item = (&'a Source, Standing<'a>)> {
    let first = Source { kind, id: Arc::from("") };
    all.range(first..)
        .take_while(move |(source, _)| source.kind == kind)
        .filter_map(|(source, versions)| Some((source, standing(versions)?)))
}
