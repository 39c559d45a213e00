//! The safety item: not a statistic. It stands above everything and never feeds the model.

use super::Manner;
use super::grammar::{date, figure, times};
use super::record::Record;
use crate::domain::{Administration, EpisodeKey, FlagKind, SafetyAnswer};
use jiff::Timestamp;

#[derive(Clone, Debug, PartialEq)]
pub struct SafetyWords {
    pub title: String,
    pub text: String,
}

/// What stands above everything. Of an answer without a date the day is not said: nobody knows it.
pub fn safety_item(record: &Record, manner: &Manner) -> Option<SafetyWords> {
    let episode = record.active(FlagKind::SafetyItem)?;
    let (timeline, source) = match &episode.key {
        EpisodeKey::Response(source) => (record.timeline, Some(source)),
        EpisodeKey::Step(_) => (None, None),
    };
    let dated = timeline.and_then(|t| t.administrations.iter().find(|given| Some(&given.source) == source));
    let undated = timeline.and_then(|t| t.undated.iter().find(|given| Some(&given.source) == source));
    let title = match undated {
        Some(_) => "Safety item answered above zero, on a day not recorded".to_owned(),
        None => {
            let at = dated.map_or(episode.opened, |given| given.at);
            format!("Safety item answered above zero on {}", date(at, record.as_of, manner))
        }
    };
    let measure = dated.map(|given| &given.measure).or(undated.map(|given| &given.measure));
    let answer = dated.and_then(|given| given.safety).or(undated.and_then(|given| given.safety));
    let again = dated.map(|given| again(record, given, manner)).unwrap_or_default();
    Some(SafetyWords { title, text: text(measure.map(|m| m.name.as_str()), answer, &again, manner) })
}

/// " Since then it was answered above zero twice more, last 2 on 3 July." Empty where it was not.
fn again(record: &Record, first: &Administration, manner: &Manner) -> String {
    let later = |given: &&Administration| {
        given.measure.canonical == first.measure.canonical && given.at > first.at && given.safety_told < record.as_of
    };
    let forms = record.timeline.into_iter().flat_map(|t| &t.administrations).filter(later);
    let mut answers: Vec<(Timestamp, f64)> =
        forms.filter_map(|given| Some((given.at, given.safety?.value))).filter(|(_, value)| *value > 0.0).collect();
    answers.sort_by_key(|(at, _)| *at);
    let Some((at, value)) = answers.last() else { return String::new() };
    let day = date(*at, record.as_of, manner);
    let highest = answers.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let highest =
        if highest > *value { format!("; the highest was {}", figure(highest, manner)) } else { String::new() };
    format!(
        " Since then it was answered above zero {} more, last {} on {day}{highest}.",
        times(answers.len()),
        figure(*value, manner)
    )
}

fn text(measure: Option<&str>, answer: Option<SafetyAnswer>, again: &str, manner: &Manner) -> String {
    let asked = measure.map_or_else(
        || "The question about suicide or self-harm".to_owned(),
        |name| format!("The question about suicide or self-harm ({name}{})", item(name)),
    );
    let answer = answer.map_or_else(
        || "above zero".to_owned(),
        |answer| format!("{}, where 0 is not at all", figure(answer.value, manner)),
    );
    format!(
        "{asked} was answered {answer}.{again} Please ask about it in the session. \
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
