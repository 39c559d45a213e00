//! What would change a flag, and how one closed.

use super::grammar::either;
use super::pattern::{noun, raising};
use super::record::Record;
use super::{Manner, Person};
use crate::domain::{Closing, Episode, FlagKind, SignalKind, Why};

/// Why an episode closed; empty while it stands.
pub fn closing(episode: &Episode) -> &'static str {
    let Some((_, how)) = episode.closed else { return "" };
    match how {
        Closing::Resolved if episode.why == Why::NoContact => "in contact again",
        Closing::Resolved => "the pattern faded",
        Closing::FalseAlarm => "judged to be no rupture",
        Closing::Disengaged => "no contact for eight weeks; disengaged, not recovered",
        Closing::Ended => "treatment ended",
        Closing::Acknowledged => "seen by a practitioner",
        Closing::AnsweredZero => "a later answer was 0",
    }
}

/// What would open or close each flag, in plain words.
pub fn what_would_change(record: &Record, person: &Person, _manner: &Manner) -> Vec<String> {
    let Some(now) = record.current.filter(|_| record.ended().is_none()) else {
        return vec!["Nothing: assessment has ended, or has not begun.".into()];
    };
    let mut said = Vec::new();
    let dropping = record.active(FlagKind::EngagementDrop);
    if dropping.is_some_and(|episode| episode.why == Why::NoContact) {
        said.push(
            "The engagement flag closes as soon as a session is booked or held; after eight weeks without either it \
             closes as disengaged."
                .into(),
        );
    } else if dropping.is_some() {
        let good: Vec<&str> = raising(record).into_iter().filter_map(good).collect();
        said.push(match good.as_slice() {
            [] => "The engagement flag closes after two steady sessions running.".into(),
            good => format!(
                "The engagement flag closes by itself when the pattern stays low at two sessions running and \
                 something good comes back: {}.",
                either(good)
            ),
        });
        said.push(
            "It also closes when you say that there was no rupture. Naming it in session lets it fade sooner.".into(),
        );
    } else if now.warming_up {
        said.push("After three sessions there is a baseline, and flags can open.".into());
    } else {
        let one = match raising(record).as_slice() {
            [one] => format!(" So far it is {} alone.", noun(*one)),
            _ => String::new(),
        };
        said.push(format!(
            "The engagement flag opens when at least two signals together differ enough from {} own record.{one} It \
             also opens (no contact) when nothing is booked for twice the usual time between sessions.",
            person.hers()
        ));
    }
    said.push(match record.active(FlagKind::NotOnTrack).map(|episode| episode.why) {
        Some(Why::Plateau) => {
            "The treatment-response flag closes after two scores running that are no longer part of a standstill: the \
             scores improve again, or leave the clinical range."
                .into()
        }
        Some(Why::ReliableDeterioration) => {
            "The treatment-response flag closes after two scores running that are no longer reliably worse than the \
             best level so far, and inside the expected range."
                .into()
        }
        Some(_) => "The treatment-response flag closes after two scores running back inside the expected range.".into(),
        None if record.sessions() > 0 && record.columns.iter().all(|c| c.rom.is_empty()) => {
            "The treatment-response flag needs an outcome questionnaire; none is used here.".into()
        }
        None => "The treatment-response flag opens after two scores running outside the expected range, two that are \
         reliably worse than the best level so far, or a standstill in the clinical range after an earlier gain (five scores at \
         least, more where they scatter)."
            .into(),
    });
    said.push(
        "A cancellation by clinician or service, a questionnaire that was not sent and homework that was not set \
         change nothing."
            .into(),
    );
    said
}

fn good(kind: SignalKind) -> Option<&'static str> {
    match kind {
        SignalKind::RomTrajectory => None,
        SignalKind::RomEngagement => Some("a questionnaire filled in whole"),
        SignalKind::HomeworkEngagement => Some("homework done"),
        SignalKind::Attendance => Some("a session kept on time"),
        SignalKind::AllianceMeasure => Some("an alliance questionnaire as usual"),
    }
}
