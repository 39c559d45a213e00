//! When treatment ended as planned, and when it goes on after that.
//!
//! An ended episode of care is taken up again by the start of another one, or by sessions alone: two kept ones, no
//! further apart than in treatment ([`TOGETHER_DAYS_MAX`]), both well after the end ([`AFTERCARE_DAYS`]); from the
//! second of them on. A session near the end is the last one written down late, or aftercare; a single one long
//! after it is a follow-up. Neither resumes anything, and so neither is followed by "no contact". Who is inactive or
//! has died is so until the Patient says otherwise.

use super::Resources;
use crate::domain::fact::{EpisodeState, Fact};
use crate::domain::{Ending, EndingKind, SlotOutcome, SourceKind, Timeline};
use jiff::{SignedDuration, Timestamp};

/// Kept sessions in the four weeks after the end are aftercare.
const AFTERCARE_DAYS: i64 = 28;
/// Two kept sessions are treatment again where they are no more than a fortnight apart, an hour's shift allowed.
const TOGETHER_DAYS_MAX: i64 = 15;

/// Endings in the order they took effect. The end of one episode of care while another goes on is none.
pub fn endings(all: &Resources, timeline: &Timeline) -> Vec<Ending> {
    let mut endings = Vec::new();
    let episodes: Vec<_> = all
        .standing(SourceKind::EpisodeOfCare)
        .filter_map(|(source, standing)| match standing.fact {
            Fact::Episode(episode) if episode.state != EpisodeState::Void => Some((source, episode, standing.updated)),
            _ => None,
        })
        .collect();
    for (source, episode, updated) in &episodes {
        let kind = match episode.state {
            EpisodeState::Finished => EndingKind::EpisodeFinished,
            EpisodeState::Cancelled => EndingKind::EpisodeCancelled,
            EpisodeState::Open | EpisodeState::Void => continue,
        };
        let Some(at) = episode.end.or(*updated).or_else(|| last_event(timeline)) else { continue };
        let goes_on = episodes.iter().any(|(other, episode, _)| {
            other != source
                && episode.start.is_none_or(|start| start <= at)
                && match episode.state {
                    EpisodeState::Open => true,
                    _ => episode.end.is_some_and(|end| end > at),
                }
        });
        if !goes_on {
            let began = episodes.iter().filter(|(other, _, _)| other != source).filter_map(|(_, other, _)| other.start);
            let resumed = began.filter(|start| *start > at).chain(sessions_again(timeline, at)).min();
            endings.push(Ending { source: (*source).clone(), at, kind, resumed });
        }
    }
    for (source, standing) in all.standing(SourceKind::Patient) {
        let Fact::Patient(patient) = standing.fact else { continue };
        let Some(kind) = patient.ended else { continue };
        if let Some(at) = patient.at.or(standing.updated).or_else(|| last_event(timeline)) {
            endings.push(Ending { source: source.clone(), at, kind, resumed: None });
        }
    }
    endings.sort_by(|a, b| (a.at, &a.source).cmp(&(b.at, &b.source)));
    endings
}

/// The start of the session with which treatment goes on though no episode of care says so.
fn sessions_again(timeline: &Timeline, ended: Timestamp) -> Option<Timestamp> {
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let kept = timeline.slots.iter().filter(|slot| matches!(slot.outcome, SlotOutcome::Kept { .. }));
    let after: Vec<Timestamp> =
        kept.map(|slot| slot.start).filter(|start| start.duration_since(ended) > days(AFTERCARE_DAYS)).collect();
    let mut pairs = after.windows(2).filter(|pair| pair[0] != pair[1]);
    pairs.find(|pair| pair[1].duration_since(pair[0]) <= days(TOGETHER_DAYS_MAX)).map(|pair| pair[1])
}

/// An ending nobody dated: after the last thing that is known to have happened.
fn last_event(timeline: &Timeline) -> Option<Timestamp> {
    use crate::domain::SlotOutcome::Booked;
    let slots = timeline.slots.iter().filter(|slot| slot.outcome != Booked).map(|slot| slot.start);
    let forms = timeline.administrations.iter().map(|form| form.at);
    slots.chain(forms).chain(timeline.homework.iter().map(|homework| homework.assigned)).max()
}
