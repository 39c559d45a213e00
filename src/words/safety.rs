//! The safety item: not a statistic. It stands above everything and never feeds the model.

use super::Manner;
use super::grammar::{date, figure};
use super::record::Record;
use crate::domain::{EpisodeKey, FlagKind};

#[derive(Clone, Debug, PartialEq)]
pub struct SafetyWords {
    pub title: String,
    pub text: String,
}

pub fn safety_item(record: &Record, manner: &Manner) -> Option<SafetyWords> {
    let episode = record.active(FlagKind::SafetyItem)?;
    let EpisodeKey::Response(source) = &episode.key else {
        return Some(words(record, manner, episode.opened, None, None));
    };
    let raised = record.timeline.and_then(|t| t.administrations.iter().find(|given| given.source == *source));
    Some(words(
        record,
        manner,
        raised.map_or(episode.opened, |given| given.at),
        raised.map(|given| given.measure.name.as_str()),
        raised.and_then(|given| given.safety).map(|answer| answer.value),
    ))
}

fn words(
    record: &Record,
    manner: &Manner,
    at: jiff::Timestamp,
    measure: Option<&str>,
    value: Option<f64>,
) -> SafetyWords {
    let day = date(at, record.as_of, manner);
    let asked = measure.map_or_else(
        || "The question about suicide or self-harm".to_owned(),
        |name| format!("The question about suicide or self-harm ({name}{})", item(name)),
    );
    let answer =
        value.map_or_else(|| "above zero".to_owned(), |value| format!("{}, where 0 is not at all", figure(value)));
    SafetyWords {
        title: format!("Safety item answered above zero on {day}"),
        text: format!(
            "{asked} was answered {answer}. Please ask about it in the session. \
             It stays here until it is marked as seen, or a later answer is 0; the pattern below does not use it."
        ),
    }
}

fn item(measure: &str) -> &'static str {
    match measure {
        "PHQ-9" => ", item 9",
        "EPDS" => ", item 10",
        "CORE-10" => ", item 6",
        _ => "",
    }
}
