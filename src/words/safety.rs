//! The safety item: not a statistic. It stands above everything and never feeds the model.
//!
//! All answers above zero that were not marked as seen are said, with their days; and where answers are missing, that too.

use super::Manner;
use super::grammar::{date, figure, list, number, weeks};
use super::record::{Record, days_between};
use crate::domain::{Administration, Covered, EpisodeKey, FlagKind, Measure, SafetyAnswer, Source};
use jiff::{SignedDuration, Timestamp};

/// Days named; the rest are counted.
const DAYS_NAMED: usize = 3;
/// An answer above zero, never marked as seen and followed by zero, is still worth a line for so long.
const REMEMBERED_DAYS: f64 = 56.0;
/// Without an answer for so long, the last one says nothing of now.
const SILENT_DAYS: f64 = 28.0;
/// Sooner where a flag stands.
const SILENT_FLAGGED_DAYS: f64 = 14.0;
/// Under so many seconds an item a form is filled in in haste (detection's own limit).
const HASTE_SECONDS: f64 = 2.0;

#[derive(Clone, Debug, PartialEq)]
pub struct SafetyWords {
    pub title: String,
    pub text: String,
}

/// What stands above everything. Of an answer without a date the day is not said: nobody knows it.
pub fn safety_item(record: &Record, manner: &Manner) -> Option<SafetyWords> {
    let episode = record.active(FlagKind::SafetyItem)?;
    let source = match &episode.key {
        EpisodeKey::Response(source) => Some(source),
        EpisodeKey::Step(_) => None,
    };
    let timeline = record.timeline;
    let dated = timeline.and_then(|t| t.administrations.iter().find(|given| Some(&given.source) == source));
    if let Some(first) = dated {
        let (title, said) = answers(record, first, manner);
        return Some(SafetyWords { title, text: said });
    }
    let undated = timeline.and_then(|t| t.undated.iter().find(|given| Some(&given.source) == source));
    let title = match undated {
        Some(_) => "Safety item answered above zero, on a day not recorded".to_owned(),
        None => format!("Safety item answered above zero on {}", date(episode.opened, record.as_of, manner)),
    };
    let asked = question(undated.map(|given| &*given.measure));
    let answer = undated.and_then(|given| Some(answer(given.safety?, &given.measure, manner)));
    let answer = answer.unwrap_or_else(|| "above zero".into());
    Some(SafetyWords { title, text: format!("{asked} was answered {answer}. {ASK}") })
}

const ASK: &str = "Please ask about it in the session. It stays here until it is marked as seen; should a later answer be \
                   0, a line about it stays for eight weeks.";

/// The answers that [`safety_item`] speaks of: what marking it as seen covers.
pub fn safety_shown(record: &Record) -> Vec<Covered> {
    let Some(EpisodeKey::Response(key)) = record.active(FlagKind::SafetyItem).map(|episode| &episode.key) else {
        return Vec::new();
    };
    let forms = || record.timeline.into_iter().flat_map(|t| &t.administrations);
    let undated = || record.timeline.into_iter().flat_map(|t| &t.undated);
    let mut shown: Vec<&Source> = match forms().find(|given| given.source == *key) {
        Some(first) => {
            known(record, &first.measure).iter().filter(|told| told.unseen()).map(|told| told.source).collect()
        }
        None => Vec::new(),
    };
    shown.push(key);
    shown.sort_unstable();
    shown.dedup();
    // A form may hold several measures, each with an item of its own.
    let highest = |source: &Source| {
        let dated = forms().filter(|given| given.source == *source && given.safety_told < record.as_of);
        let all = dated
            .filter_map(|given| given.safety)
            .chain(undated().filter(|given| given.source == *source).filter_map(|given| given.safety));
        all.map(|answer| answer.value).filter(|value| *value > 0.0).max_by(f64::total_cmp)
    };
    let covered = |source: &Source| Some(Covered { source: source.clone(), value: Some(highest(source)?) });
    shown.into_iter().filter_map(covered).collect()
}

/// Of the measure that raised it: every answer above zero that was not seen.
fn answers(record: &Record, first: &Administration, manner: &Manner) -> (String, String) {
    let known = known(record, &first.measure);
    let above: Vec<&Told> = known.iter().filter(|told| told.unseen()).collect();
    let day = |told: &Told| date(told.at, record.as_of, manner);
    let Some(last) = above.last() else {
        return (format!("Safety item answered above zero on {}", date(first.at, record.as_of, manner)), ASK.into());
    };
    let title = format!("Safety item answered above zero on {}", day(last));
    // The same answer running is said once, with its days.
    let same: Vec<String> = above
        .iter()
        .rev()
        .take_while(|told| told.value == last.value)
        .take(DAYS_NAMED)
        .map(|told| day(told))
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    let earlier = &above[..above.len() - same.len()];
    let said = answer(SafetyAnswer { value: last.value }, &first.measure, manner);
    let mut text = format!("{}: {said} on {}", question(Some(&first.measure)), list(&same));
    if let Some(highest) = earlier.iter().max_by(|a, b| a.value.total_cmp(&b.value)) {
        let more = match earlier.len() {
            1 => format!("before that on {}", day(earlier[0])),
            n => format!("before that {} times, last on {}", number(n), day(earlier[n - 1])),
        };
        let how_high = match highest.value > last.value {
            true => format!(" (highest: {})", answer(SafetyAnswer { value: highest.value }, &first.measure, manner)),
            false => String::new(),
        };
        text.push_str(&format!("; above zero {more}{how_high}"));
    }
    text.push_str(". Not yet marked as seen.");
    if let Some(given) = record.timeline.and_then(|t| t.administrations.iter().rfind(|g| g.at == last.at))
        && let Some(seconds) = given.seconds.filter(|s| *s < HASTE_SECONDS * f64::from(given.measure.items))
    {
        text.push_str(&format!(" The form was filled in within {} seconds.", figure(seconds.round(), manner)));
    }
    if let Some(missing) = missing(record, &first.measure, &known, manner) {
        text.push_str(&format!(" {missing}."));
    }
    text.push(' ');
    text.push_str(ASK);
    (title, text)
}

/// Without an alarm: answers that are missing, and answers above zero that nobody marked as seen. Of today's page and
/// those looked back to.
pub fn safety_note(record: &Record, manner: &Manner) -> Option<String> {
    if record.active(FlagKind::SafetyItem).is_some() || record.ended().is_some() {
        return None;
    }
    let timeline = record.timeline?;
    let asked = timeline.administrations.iter().rfind(|given| given.safety.is_some() && given.at < record.as_of)?;
    let known = known(record, &asked.measure);
    let unseen: Vec<&Told> = known.iter().filter(|told| told.unseen()).collect();
    let missing = missing(record, &asked.measure, &known, manner);
    let day = |told: &Told| date(told.at, record.as_of, manner);
    let fresh = unseen.last().is_some_and(|told| days_between(told.at, record.as_of) <= REMEMBERED_DAYS);
    let above = match unseen.as_slice() {
        [] => None,
        _ if !fresh && missing.is_none() => None,
        [one] => Some(format!("above zero on {}, not marked as seen", day(one))),
        many => {
            let (first, last) = (many[0], many[many.len() - 1]);
            let n = number(many.len());
            Some(format!("above zero {n} times from {} to {}, not marked as seen", day(first), day(last)))
        }
    };
    let zero = known.last().filter(|told| told.value <= 0.0);
    match (missing, above) {
        (None, None) => None,
        (Some(missing), None) => Some(format!("{missing}.")),
        (Some(missing), Some(above)) => Some(format!("{missing}; {above}.")),
        (None, Some(above)) => {
            let now = zero.map_or_else(String::new, |told| format!("; 0 (not at all) on {}", day(told)));
            Some(format!("{}: {above}{now}.", question(Some(&asked.measure))))
        }
    }
}

/// "item 9: 0 on 20 November": where there is nothing to warn of, when the question was last answered so.
/// The measure is named where it is not the one of the row (`beside`).
pub(super) fn zero_answer(record: &Record, beside: &str, manner: &Manner) -> Option<String> {
    if record.ended().is_some() {
        return None;
    }
    let timeline = record.timeline?;
    let asked = timeline.administrations.iter().rfind(|given| given.safety.is_some() && given.at < record.as_of)?;
    let last = known(record, &asked.measure).pop().filter(|told| told.value <= 0.0)?;
    let name = item(&asked.measure.name).strip_prefix(", ").unwrap_or("safety question");
    let of = if asked.measure.name == beside { String::new() } else { format!("{} ", asked.measure.name) };
    Some(format!("{of}{name}: 0 on {}", date(last.at, record.as_of, manner)))
}

/// One answer.
struct Told<'a> {
    source: &'a Source,
    at: Timestamp,
    value: f64,
    /// A practitioner marked it as seen.
    seen: bool,
}

impl Told<'_> {
    fn unseen(&self) -> bool {
        self.value > 0.0 && !self.seen
    }
}

fn known<'a>(record: &Record<'a>, measure: &Measure) -> Vec<Told<'a>> {
    let judgements = || record.timeline.into_iter().flat_map(|t| &t.judgements).filter(|j| j.known < record.as_of);
    let forms = record.timeline.into_iter().flat_map(|t| &t.administrations);
    let mut known: Vec<Told> = forms
        .filter(|given| given.measure.canonical == measure.canonical && given.safety_told < record.as_of)
        .filter_map(|given| {
            let value = given.safety?.value;
            let seen = judgements().any(|j| j.acknowledges(&given.source, value, Some(given.safety_known)));
            Some(Told { source: &given.source, at: given.at, value, seen })
        })
        .collect();
    known.sort_by_key(|told| told.at);
    known
}

/// "No answer to the question about suicide or self-harm (PHQ-9, item 9) since 28 March (17 weeks); it was left out on
/// 9 May": where sessions have gone by without one.
fn missing(record: &Record, measure: &Measure, known: &[Told<'_>], manner: &Manner) -> Option<String> {
    let last = known.last()?;
    let day = |at: Timestamp| date(at, record.as_of, manner);
    let forms = record.timeline.into_iter().flat_map(|t| &t.administrations);
    // With a total alone no item can be left out.
    let left_out: Vec<Timestamp> = forms
        .filter(|given| given.measure.canonical == measure.canonical && given.at > last.at && given.at < record.as_of)
        .filter(|given| given.safety.is_none() && given.answers.len() > 1)
        .map(|given| given.at)
        .collect();
    let days = days_between(last.at, record.as_of);
    let slack = SignedDuration::from_hours(12);
    let gone_by = record.columns.iter().filter(|c| c.start > last.at + slack && c.start < record.as_of).count();
    let flagged = [FlagKind::EngagementDrop, FlagKind::NotOnTrack].iter().any(|kind| record.active(*kind).is_some());
    let silent = days >= if flagged { SILENT_FLAGGED_DAYS } else { SILENT_DAYS } && gone_by > 1;
    let ago = weeks(days);
    match (left_out.last(), silent) {
        (None, false) => None,
        (None, true) => Some(format!("No answer to {} since {} ({ago})", lower(measure), day(last.at))),
        (Some(at), false) => Some(format!("The question was left out on {}", day(*at))),
        (Some(at), true) => {
            Some(format!("No answer to {} since {} ({ago}), left out on {}", lower(measure), day(last.at), day(*at)))
        }
    }
}

fn lower(measure: &Measure) -> String {
    format!("the question about suicide or self-harm ({}{})", measure.name, item(&measure.name))
}

fn question(measure: Option<&Measure>) -> String {
    measure.map_or_else(
        || "The question about suicide or self-harm".to_owned(),
        |measure| format!("The question about suicide or self-harm ({}{})", measure.name, item(&measure.name)),
    )
}

/// The answer in the measure's own words where they may be shown, else the figure.
fn answer(answer: SafetyAnswer, measure: &Measure, manner: &Manner) -> String {
    let words = ["not at all", "several days", "more than half the days", "nearly every day"];
    let said = words.get(answer.value.round().max(0.0) as usize).filter(|_| measure.name == "PHQ-9");
    match said.filter(|_| answer.value.fract() == 0.0) {
        Some(said) => format!("\u{201c}{said}\u{201d} ({})", figure(answer.value, manner)),
        None => format!("{}, where 0 is not at all,", figure(answer.value, manner)),
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
