//! The safety item: not a statistic. It stands above everything and never feeds the model.

use super::Manner;
use super::grammar::{date, figure};
use super::record::Record;
use crate::domain::{EpisodeKey, FlagKind, SafetyAnswer, Undated, Verdict};

#[derive(Clone, Debug, PartialEq)]
pub struct SafetyWords {
    pub title: String,
    pub text: String,
}

/// What stands above everything: the item that raised the Flag, else an answer of which nobody says when.
pub fn safety_item(record: &Record, manner: &Manner) -> Option<SafetyWords> {
    flagged(record, manner).or_else(|| undated(record))
}

fn flagged(record: &Record, manner: &Manner) -> Option<SafetyWords> {
    let episode = record.active(FlagKind::SafetyItem)?;
    let raised = match &episode.key {
        EpisodeKey::Response(source) => {
            record.timeline.and_then(|t| t.administrations.iter().find(|given| given.source == *source))
        }
        EpisodeKey::Step(_) => None,
    };
    let at = raised.map_or(episode.opened, |given| given.at);
    Some(SafetyWords {
        title: format!("Safety item answered above zero on {}", date(at, record.as_of, manner)),
        text: text(raised.map(|given| given.measure.name.as_str()), raised.and_then(|given| given.safety)),
    })
}

/// Shown until a practitioner has said that they have seen it.
fn undated(record: &Record) -> Option<SafetyWords> {
    let timeline = record.timeline?;
    let seen = timeline
        .judgements
        .iter()
        .any(|j| j.verdict == Verdict::SafetyAcknowledged && j.flag.is_none() && j.known < record.as_of);
    let above = |given: &&Undated| given.safety.is_some_and(|answer| answer.value > 0.0);
    let given = timeline.undated.iter().filter(|_| !seen).find(above)?;
    Some(SafetyWords {
        title: "Safety item answered above zero, on a day not recorded".into(),
        text: text(Some(&given.measure.name), given.safety),
    })
}

fn text(measure: Option<&str>, answer: Option<SafetyAnswer>) -> String {
    let asked = measure.map_or_else(
        || "The question about suicide or self-harm".to_owned(),
        |name| format!("The question about suicide or self-harm ({name}{})", item(name)),
    );
    let answer = answer
        .map_or_else(|| "above zero".to_owned(), |answer| format!("{}, where 0 is not at all", figure(answer.value)));
    format!(
        "{asked} was answered {answer}. Please ask about it in the session. \
         It stays here until it is marked as seen, or a later answer is 0; the pattern below does not use it."
    )
}

fn item(measure: &str) -> &'static str {
    match measure {
        "PHQ-9" => ", item 9",
        "EPDS" => ", item 10",
        "CORE-10" => ", item 6",
        _ => "",
    }
}
