//! When treatment ended as planned.

use super::Resources;
use crate::domain::fact::{EpisodeState, Fact};
use crate::domain::{Ending, EndingKind, SourceKind, Timeline};
use jiff::Timestamp;

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
            let resumed = began.filter(|start| *start > at).min();
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

/// An ending nobody dated: after the last thing that is known to have happened.
fn last_event(timeline: &Timeline) -> Option<Timestamp> {
    use crate::domain::SlotOutcome::Booked;
    let slots = timeline.slots.iter().filter(|slot| slot.outcome != Booked).map(|slot| slot.start);
    let forms = timeline.administrations.iter().map(|form| form.at);
    slots.chain(forms).chain(timeline.homework.iter().map(|homework| homework.assigned)).max()
}
