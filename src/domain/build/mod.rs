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
use super::{Administration, Covered, Judgement, Measures, Source, SourceKind, Timeline, Verdict};
use jiff::Timestamp;
use std::ops::Range;

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
    /// When this server wrote it: for the safety item alone, and there only where the sender's clock is ahead of ours.
    pub received: Option<Timestamp>,
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
///
/// Where the Patient was deleted, nothing is known: who deletes a Patient says that there is no such client (a double,
/// a slip, a record erased), so whatever else is still stored is about nobody, and what was said of it was wrong. It is
/// no ending: that has a date, and a deletion has none but that of our own write, which is never evidence.
pub fn timeline(facts: impl IntoIterator<Item = VersionedFact>, measures: &Measures) -> Timeline {
    let all = Resources::new(facts.into_iter().collect());
    let mut timeline = Timeline::default();
    if all.each().any(|(source, versions)| source.kind == SourceKind::Patient && is_deleted(versions)) {
        return timeline;
    }
    let arrivals = sessions::arrivals(&all);
    for (source, versions) in all.each() {
        let Some(Standing { updated, received, fact }) = standing(versions) else { continue };
        match fact {
            Fact::Appointment(_) => {
                timeline.slots.extend(sessions::slot(source, versions, arrivals.get(&*source.id)));
            }
            Fact::Response(response) => {
                let known = forms::Known { updated, received };
                forms::read(source, response, known, measures, &mut timeline);
            }
            Fact::Task(task) => tasks::read(source, task, updated, measures, &all, &mut timeline),
            Fact::Judgement(judgement) => {
                let known = judgement.issued.or(updated);
                if let (Some(verdict), Some(known)) = (judgement.verdict, known) {
                    timeline.judgements.push(Judgement {
                        source: source.clone(),
                        known,
                        verdict,
                        flag: judgement.flag.as_deref().map(str::to_owned),
                        note: judgement.note.as_deref().map(str::to_owned),
                        covers: covers(judgement),
                    });
                }
            }
            Fact::Encounter(_) | Fact::Episode(_) | Fact::Patient(_) | Fact::Questionnaire(_) => {}
        }
    }
    sort(&mut timeline);
    once(&mut timeline.administrations);
    last_word(&mut timeline.judgements);
    sessions::replacements(&mut timeline.slots, &all);
    timeline.endings = endings::endings(&all, &timeline);
    timeline
}

fn covers(judgement: &super::fact::Judgement) -> Option<Vec<Covered>> {
    let covered = |(id, value): &(Box<str>, Option<f64>)| Covered {
        source: Source::new(SourceKind::QuestionnaireResponse, &**id),
        value: *value,
    };
    let covers: Vec<Covered> = judgement.covers.iter().map(covered).collect();
    (!covers.is_empty()).then_some(covers)
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

/// A form that was sent again under another id (a POST repeated) is one form; the first id stands.
fn once(forms: &mut Vec<Administration>) {
    let mut kept: Vec<Administration> = Vec::with_capacity(forms.len());
    for form in forms.drain(..) {
        let again = kept.iter().rev().take_while(|other| other.at == form.at).any(|other| {
            other.source != form.source
                && other.measure.canonical == form.measure.canonical
                && (other.finished, other.score, other.seconds) == (form.finished, form.score, form.seconds)
                && other.answers == form.answers
        });
        if !again {
            kept.push(form);
        }
    }
    *forms = kept;
}

/// Of several answers to "was there a rupture?" about one Flag the last one stands, and what was said twice was
/// said once, first. Answers seen are seen again only where all of them are listed before.
fn last_word(judgements: &mut Vec<Judgement>) {
    let answers =
        |one: &Judgement| matches!(one.verdict, Verdict::RuptureYes | Verdict::RuptureNo | Verdict::RuptureUnsure);
    let again = |before: &Judgement, one: &Judgement| match (&before.covers, &one.covers) {
        _ if before.verdict != one.verdict => false,
        _ if one.verdict != Verdict::SafetyAcknowledged => true,
        (Some(before), Some(one)) => one.iter().all(|answer| before.contains(answer)),
        _ => false,
    };
    let all = judgements.clone();
    let mut place = 0;
    judgements.retain(|judgement| {
        let (before, after) = (&all[..place], &all[place + 1..]);
        place += 1;
        let about = |other: &&Judgement| other.flag == judgement.flag;
        if answers(judgement) {
            !after.iter().filter(about).any(answers)
        } else {
            judgement.note.is_some() || !before.iter().filter(about).any(|other| again(other, judgement))
        }
    });
}

/// Every resource of the client with its versions in the sender's order.
struct Resources {
    versions: Vec<VersionedFact>,
    /// Where each resource's versions are.
    spans: Vec<Range<usize>>,
}

impl Resources {
    fn new(mut versions: Vec<VersionedFact>) -> Self {
        versions.sort_unstable_by(|a, b| (&a.source, a.version, a.current).cmp(&(&b.source, b.version, b.current)));
        versions.dedup_by(|a, b| a.version == b.version && a.source == b.source);
        let mut spans = Vec::with_capacity(versions.len());
        let mut from = 0;
        for same in versions.chunk_by_mut(|a, b| a.source == b.source) {
            in_order(same);
            spans.push(from..from + same.len());
            from += same.len();
        }
        Resources { versions, spans }
    }

    fn each(&self) -> impl Iterator<Item = (&Source, &[VersionedFact])> {
        self.spans.iter().map(|span| (&self.versions[span.start].source, &self.versions[span.clone()]))
    }

    fn get(&self, source: &Source) -> Option<&[VersionedFact]> {
        let at = self.spans.binary_search_by(|span| self.versions[span.start].source.cmp(source)).ok()?;
        Some(&self.versions[self.spans[at].clone()])
    }

    /// What stands of one kind.
    fn standing(&self, kind: SourceKind) -> impl Iterator<Item = (&Source, Standing<'_>)> {
        let from = self.spans.partition_point(|span| self.versions[span.start].source.kind < kind);
        let of_kind = self.spans[from..].iter().take_while(move |span| self.versions[span.start].source.kind == kind);
        of_kind.filter_map(|span| Some((&self.versions[span.start].source, standing(&self.versions[span.clone()])?)))
    }
}

/// Sorts versions by the sender's time: each goes to the end as it arrives, but behind those its sender dated
/// later. The last one is then the one that [`supersedes`] would have made current.
fn in_order(versions: &mut [VersionedFact]) {
    for n in 1..versions.len() {
        let arriving = versions[n].sender_updated;
        let at =
            versions[..n].iter().rposition(|other| supersedes(arriving, other.sender_updated)).map_or(0, |at| at + 1);
        versions[at..=n].rotate_right(1);
    }
    // What the store calls current is current.
    if let Some(at) = versions.iter().rposition(|version| version.current) {
        versions[at..].rotate_left(1);
    }
}

/// What stands of a resource, and the sender's time of it.
struct Standing<'a> {
    fact: &'a Fact,
    updated: Option<Timestamp>,
    received: Option<Timestamp>,
}

fn is_deleted(versions: &[VersionedFact]) -> bool {
    versions.last().is_some_and(|last| last.deleted)
}

fn standing(versions: &[VersionedFact]) -> Option<Standing<'_>> {
    let last = versions.last().filter(|last| !last.deleted)?;
    Some(Standing { fact: last.fact.as_ref()?, updated: last.sender_updated, received: last.received })
}
