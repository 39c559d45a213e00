//! The small print, the headings with dates in them, and the cells of the table of values.

use super::counts::finished;
use super::grammar::{capital, counted, date, date_and_time, day_name, figure, number, points, same_day, time};
use super::record::{Column, Record};
use super::{Manner, Person, ui};
use crate::domain::{
    Assessment, Band, Episode, FlagKind, HomeworkOutcome, HomeworkSeen, RomOutcome, RomSeen, ScoreSeen, SignalKind,
};
use jiff::{SignedDuration, Timestamp};

/// "session 13 of 16, today 14:00".
pub fn session_and_time(
    session: Option<u32>,
    planned: Option<u32>,
    next: Option<Timestamp>,
    now: Timestamp,
    manner: &Manner,
) -> String {
    let Some(session) = session else {
        return "treatment has ended".into();
    };
    let of = planned.map_or_else(String::new, |planned| format!(" of {planned}"));
    let when = match next {
        Some(at) if same_day(at, now, manner) => format!("today {}", time(at, manner)),
        Some(at) => format!("{}, {}", day_and_date(at, now, manner), time(at, manner)),
        None => ui::NOTHING_BOOKED.into(),
    };
    format!("session {session}{of}, {when}")
}

pub fn with_therapist(therapist: &str) -> String {
    format!("with {therapist}")
}

pub fn looking_back(as_of: Timestamp, now: Timestamp, manner: &Manner) -> String {
    let day = date_and_time(as_of, now, manner);
    if as_of > now {
        return format!("Looking ahead: what would be said on {day} if nothing more becomes known until then.");
    }
    format!("Looking back: what could be known on {day}.")
}

/// Everything under the page in one line.
pub fn small_print(record: &Record, person: &Person, manner: &Manner, model: &str) -> String {
    let mut parts = vec![format!("As of {}", date_and_time(record.as_of, record.as_of, manner))];
    let steps = record.current.map_or(0, |now| now.baseline_steps as usize);
    parts.push(match steps {
        n if n < 3 => "no baseline yet".to_owned(),
        n => format!("baseline from {}", record.columns_counted(n)),
    });
    parts.extend(not_covered(record, person));
    match record.timeline.map_or(0, |t| t.undated.len()) {
        0 => {}
        n => parts.push(format!("{} without a date, not scored", counted(n, "questionnaire", "questionnaires"))),
    }
    parts.push(format!("model {model}"));
    parts.join(" · ")
}

/// Channels this record says nothing about.
fn not_covered(record: &Record, person: &Person) -> Vec<String> {
    let with = match person.her() {
        "the client" => "this client",
        her => her,
    };
    let none = |f: fn(&super::Column) -> bool| !record.columns.iter().any(f);
    let mut said = Vec::new();
    if none(|c| !c.alliance.is_empty()) {
        said.push(format!("no alliance questionnaire is used with {with}"));
    }
    if none(|c| !c.homework.is_empty()) {
        said.push("no homework is recorded".into());
    }
    if none(|c| !c.rom.is_empty()) && record.timeline.is_none_or(|t| t.undated.is_empty()) {
        said.push("no outcome questionnaire is used, so no safety question is asked".into());
    }
    said
}

/// Where a Flag was first shown later than the data could have shown it.
pub fn first_shown(episode: &Episode, first: Option<Timestamp>, now: Timestamp, manner: &Manner) -> Option<String> {
    let first = first?;
    // Findings follow within seconds; a quarter of an hour is no late arrival.
    let late = first > episode.opened.checked_add(SignedDuration::from_mins(15)).ok()?;
    late.then(|| {
        format!(
            "{}: by the days in the record from {}; first shown on {}, when its data had arrived.",
            ui::flag_kind(episode.kind),
            date(episode.opened, now, manner),
            date_and_time(first, now, manner)
        )
    })
}

pub fn threshold(open: f64) -> String {
    format!("the flag opens at {:.0} %, with two signals or more", open * 100.0)
}

/// Over a table that does not go back to the beginning.
pub fn left_out(sessions: usize) -> String {
    let earlier = capital(&counted(sessions, "earlier session is", "earlier sessions are"));
    format!("{earlier} left out; looking back shows them.")
}

pub fn amount(value: f64, manner: &Manner) -> String {
    figure(value, manner)
}

pub fn rom_cell(seen: &RomSeen) -> String {
    let name = seen.measure.as_ref().map(|m| m.name.as_str());
    let what = match (seen.outcome, &seen.task) {
        // Nobody is on record as having asked.
        (RomOutcome::Missed, None) => ui::NOT_RECEIVED.to_owned(),
        _ => ui::rom(seen.outcome, seen.answered, seen.expected),
    };
    name.map_or(what.clone(), |name| format!("{name} {what}"))
}

/// The same with its total, where the score's own column does not have it: another measure, or another time.
pub fn rom_cell_with_total(record: &Record, column: &Column, seen: &RomSeen, manner: &Manner) -> String {
    let shown = column.scores.iter().any(|score| seen.source.as_ref() == Some(&score.source) && primary(record, score));
    let total = record.total_of(seen).filter(|_| !shown);
    let said = rom_cell(seen);
    total.map_or(said.clone(), |(score, measure)| {
        format!("{said}, {}{}", points(score, measure, manner), estimate(seen.expected.saturating_sub(seen.answered)))
    })
}

fn primary(record: &Record, score: &ScoreSeen) -> bool {
    record.measure().is_none_or(|measure| measure.canonical == score.measure.canonical)
}

/// Scores of the measure that the column is headed with, and no other.
pub fn scores_of<'c, 'a>(record: &Record<'a>, column: &'c Column<'a>) -> impl Iterator<Item = &'c &'a ScoreSeen> {
    let measure = record.measure().map(|measure| measure.canonical.clone());
    column.scores.iter().filter(move |score| measure.as_ref().is_none_or(|m| *m == score.measure.canonical))
}

/// "16 (estimated)".
pub fn score_cell(record: &Record, score: &ScoreSeen, manner: &Manner) -> String {
    format!("{}{}", points(score.score, &score.measure, manner), estimate(record.left_out_of(score)))
}

fn estimate(left_out: u16) -> &'static str {
    if left_out > 0 { " (estimated)" } else { "" }
}

pub fn homework_cell(seen: &HomeworkSeen, manner: &Manner) -> String {
    let mut parts = vec![match seen.outcome {
        HomeworkOutcome::NotDone if seen.declined => ui::DECLINED.to_owned(),
        // Finished is finished; its quality stands beside it.
        HomeworkOutcome::Partial if finished(seen) => ui::homework(HomeworkOutcome::Done).to_owned(),
        outcome => ui::homework(outcome).to_owned(),
    }];
    parts.extend(seen.completion.map(|share| format!("{:.0} %", share * 100.0)));
    parts.extend(seen.quality.map(|q| format!("quality {} of 4", figure(q, manner))));
    parts.extend(seen.minutes.map(|m| format!("{} min", figure(m, manner))));
    parts.extend(seen.words.map(|w| format!("{w} words")));
    let what = parts.join(", ");
    match seen.title.as_deref().map(str::trim).filter(|title| !title.is_empty()) {
        Some(title) => format!("{title}: {what}"),
        None => what,
    }
}

pub fn pattern_cell(now: &Assessment) -> String {
    let early = if now.warming_up { ui::TOO_EARLY } else { ui::band(now.band) };
    let fades = now.engagement_probability < super::FADES_BELOW && !now.no_contact;
    match now.flags.contains(&FlagKind::EngagementDrop) {
        true if fades => "flag, fading".to_owned(),
        true => "flag".to_owned(),
        false => early.to_owned(),
    }
}

/// "Monday 9 March".
pub fn caseload_day(now: Timestamp, manner: &Manner) -> String {
    format!("{}, {}", day_and_date(now, now, manner), time(now, manner))
}

fn day_and_date(at: Timestamp, now: Timestamp, manner: &Manner) -> String {
    let comma = if manner.formats.month_first { "," } else { "" };
    format!("{}{comma} {}", day_name(at, manner), date(at, now, manner))
}

/// Clients today, engagement flags, response flags, safety items.
pub fn caseload_count(counts: &[usize; 4]) -> String {
    let [today, engagement, response, safety] = *counts;
    let mut parts = vec![format!("{} today", counted(today, "client", "clients"))];
    if safety > 0 {
        parts.push(counted(safety, "safety item", "safety items"));
    }
    parts.push(format!("engagement dropping: {}", number(engagement)));
    parts.push(format!("not on track: {}", number(response)));
    capital(&parts.join(" · "))
}

/// What is new since this hour yesterday, in two words.
pub fn changed_since_yesterday(
    record: &Record,
    band_yesterday: Option<Band>,
    now: Timestamp,
    _manner: &Manner,
) -> Option<String> {
    let yesterday = now.checked_sub(SignedDuration::from_hours(24)).ok()?;
    let new = |at: Timestamp| at > yesterday && at <= now;
    let opened =
        record.course.episodes.iter().find(|e| new(e.opened) && e.closed.is_none_or(|(closed, _)| closed > now));
    if let Some(episode) = opened {
        return Some(match episode.kind {
            FlagKind::SafetyItem => "New safety item".into(),
            FlagKind::EngagementDrop | FlagKind::NotOnTrack => "New flag".into(),
        });
    }
    if record.course.episodes.iter().any(|e| e.closed.is_some_and(|(closed, _)| new(closed))) {
        return Some("Flag closed".into());
    }
    let band = record.current?.band;
    match band_yesterday {
        Some(before) if band > before => Some("More".into()),
        Some(before) if band < before => Some("Less".into()),
        _ => None,
    }
}

/// Name of a signal where no measure is known.
pub fn signal_name(kind: SignalKind) -> String {
    ui::row_name(kind, None)
}
