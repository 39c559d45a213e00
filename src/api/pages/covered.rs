//! What of a client's record a launch may show ([`Cover`]), as timelines.

use crate::domain::{SourceKind, Timeline, Verdict};
use crate::smart::cover::Cover;

/// Types that the assessment rests on and the launch does not cover, in the order of a page. Empty: all of it may be
/// shown. That something of such a type is there is told; what, is not.
#[must_use]
pub(super) fn missing(cover: &Cover, timeline: &Timeline) -> Vec<&'static str> {
    let sources = timeline.slots.iter().map(|one| one.source.kind);
    let sources = sources.chain(timeline.administrations.iter().map(|one| one.source.kind));
    let sources = sources.chain(timeline.undated.iter().map(|one| one.source.kind));
    let sources = sources.chain(timeline.homework.iter().map(|one| one.source.kind));
    let sources = sources.chain(timeline.dues.iter().map(|one| one.source.kind));
    let mut kinds: Vec<SourceKind> = sources.filter(|kind| !cover.shows(kind.as_str())).collect();
    kinds.sort_unstable_by_key(|kind| order(*kind));
    kinds.dedup();
    kinds.into_iter().map(SourceKind::as_str).collect()
}

fn order(kind: SourceKind) -> u8 {
    match kind {
        SourceKind::Patient => 0,
        SourceKind::QuestionnaireResponse => 1,
        SourceKind::Observation => 2,
        SourceKind::Task => 3,
        SourceKind::Appointment => 4,
        SourceKind::Encounter => 5,
        SourceKind::EpisodeOfCare => 6,
    }
}

/// The record as if there was nothing but what the launch covers: whatever is made of it tells nothing else.
#[must_use]
pub(super) fn shown(cover: &Cover, timeline: &Timeline) -> Timeline {
    let shows = |kind: SourceKind| cover.shows(kind.as_str());
    let mut shown = timeline.clone();
    shown.slots.retain(|one| shows(one.source.kind));
    shown.administrations.retain(|one| shows(one.source.kind));
    shown.undated.retain(|one| shows(one.source.kind));
    shown.homework.retain(|one| shows(one.source.kind));
    // What was asked for tells whether an answer came.
    shown.dues.retain(|one| shows(one.source.kind) && shows(SourceKind::QuestionnaireResponse));
    shown.endings.retain(|one| shows(one.source.kind));
    // That a safety item was seen belongs to the item; what else was said belongs to the assessment.
    shown.judgements.retain(|one| one.verdict == Verdict::SafetyAcknowledged);
    shown.judgements.iter_mut().for_each(|one| one.note = None);
    shown
}
