//! The rows of questionnaires, homework and attendance: what came back lately, beside all that came before. No session
//! is in neither count.

use super::counts::{USUAL_MIN, content, crowded, finished, forms, homework_fell, in_part, kept_of, whole};
use super::grammar::{capital, counted, date, date_short, number, times};
use super::record::{Column, Record};
use super::signals::{Line, of_last, raised, thin};
use super::{Manner, Person};
use crate::domain::{AttendanceOutcome, FlagKind, HomeworkOutcome, HomeworkSeen, RomOutcome, RomSeen, SignalKind};

fn every(record: &Record) -> &'static str {
    match record.interval_days {
        d if (6.0..=8.5).contains(&d) => "every week",
        d if (12.0..=16.0).contains(&d) => "every two weeks",
        _ => "every time",
    }
}

/// "then, until 27 June, two of nine whole": what lies between the baseline and lately, where a flag stands for long.
fn between(record: &Record, manner: &Manner, counted: (usize, usize), what: &str) -> String {
    let last = record.between().last().filter(|_| counted.1 > 0);
    last.map_or_else(String::new, |column| {
        let until = date(column.start, record.as_of, manner);
        format!("then, until {until}, {} of {} {what}", counted.0, counted.1)
    })
}

pub(super) fn questionnaire(record: &Record, manner: &Manner) -> Line {
    let recent: Vec<(&Column, &RomSeen)> = forms(record.recent()).collect();
    let before: Vec<&RomSeen> = forms(record.baseline()).map(|(_, form)| form).collect();
    let since: Vec<&RomSeen> = forms(record.between()).map(|(_, form)| form).collect();
    if record.columns.iter().all(|c| c.rom.is_empty()) {
        return Line::absent("No questionnaire was asked for");
    }
    let n = recent.len();
    let count = |outcome: RomOutcome| recent.iter().filter(|(_, r)| r.outcome == outcome).count();
    let asked = |(_, r): &(&Column, &RomSeen)| r.outcome == RomOutcome::Missed && r.task.is_some();
    let missed = recent.iter().filter(|form| asked(form)).count();
    // Nobody is on record as having asked: it did not come, and that is all that is known.
    let unreceived = count(RomOutcome::Missed) - missed;
    let parts = [
        (missed, "missed", "missed"),
        (unreceived, "not received", "not received"),
        (count(RomOutcome::Partial), "with items left out", "with items left out"),
        (count(RomOutcome::Perfunctory), "whole but very fast", "very fast"),
        (count(RomOutcome::Alike), "with every question answered alike", "answered all alike"),
    ];
    let mut said: Vec<String> = Vec::new();
    for (k, alone, after) in parts.into_iter().filter(|(k, ..)| *k > 0) {
        said.push(match said.is_empty() {
            true => format!("{} {alone}", of_last(k, n)),
            false => format!("{} {after}", number(k)),
        });
    }
    let main = match (n, said.is_empty()) {
        (0, _) => format!("None asked for {}", record.lately(manner)),
        (_, false) => capital(&said.join(", ")),
        (1, _) => "The last one filled in whole".into(),
        (2, _) => "Both of the last two filled in whole".into(),
        _ => format!("All of the last {} filled in whole", number(n)),
    };
    let full = before.iter().filter(|form| whole(form)).count();
    let fast = before.iter().filter(|form| form.outcome == RomOutcome::Perfunctory).count();
    let fast = if fast > 0 { format!(" ({fast} of them very fast)") } else { String::new() };
    let items = recent.iter().map(|(_, r)| r.expected).chain(before.iter().map(|r| r.expected)).max().unwrap_or(0);
    let usual = match (before.len(), full) {
        (b, _) if b < USUAL_MIN => thin(b),
        (b, f) if b == f && items > 1 && !record.several_measures() => {
            format!("usually all {items}, {}{fast}", every(record))
        }
        (b, f) if b == f => format!("usually {}{fast}", every(record)),
        (b, 0) => format!("none of {b} whole before"),
        (b, f) => format!("{f} of {b} whole before{fast}"),
    };
    let middle = between(record, manner, (since.iter().filter(|form| whole(form)).count(), since.len()), "whole");
    let detail = recent.iter().rev().find_map(|(column, rom)| {
        let left_out = rom.expected.saturating_sub(rom.answered);
        let filled =
            column.scores.iter().find(|score| rom.source.as_ref() == Some(&score.source)).map(|score| score.at);
        let on = date_short(filled.unwrap_or(column.start), manner);
        match rom.outcome {
            RomOutcome::Partial if left_out > 0 => {
                Some(format!("{} left out on {on}", counted(left_out.into(), "item", "items")))
            }
            RomOutcome::Partial => Some(format!("begun and not finished on {on}")),
            RomOutcome::Perfunctory => Some(format!("under two seconds an item on {on}")),
            RomOutcome::Alike => Some(format!("all answered alike on {on}")),
            _ => None,
        }
    });
    Line::new(main, vec![usual, middle, detail.unwrap_or_default()])
}

pub(super) fn homework(record: &Record, person: &Person, manner: &Manner) -> Line {
    let recent: Vec<&HomeworkSeen> = record.recent().flat_map(|c| c.homework.iter().copied()).collect();
    let before: Vec<&HomeworkSeen> = record.baseline().flat_map(|c| c.homework.iter().copied()).collect();
    let since: Vec<&HomeworkSeen> = record.between().flat_map(|c| c.homework.iter().copied()).collect();
    if record.columns.iter().all(|c| c.homework.is_empty()) {
        return Line::absent("No homework in this record");
    }
    let n = recent.len();
    let declined = recent.iter().filter(|h| h.declined).count();
    let undone = recent.iter().filter(|h| h.outcome == HomeworkOutcome::NotDone).count() - declined;
    let partly = recent.iter().filter(|h| in_part(h)).count();
    let late = recent.iter().filter(|h| h.outcome == HomeworkOutcome::Late).count();
    let parts = [(undone, "undone"), (declined, "declined"), (partly, "in part"), (late, "late")];
    let mut said: Vec<String> = Vec::new();
    for (k, what) in parts.into_iter().filter(|(k, _)| *k > 0) {
        said.push(match said.is_empty() {
            true => format!("{} {what}", of_last(k, n)),
            false => format!("{} {what}", number(k)),
        });
    }
    let main = match (n, said.is_empty()) {
        (0, _) => format!("None due {}", record.lately(manner)),
        (_, false) => capital(&said.join(", ")),
        (1, _) => "The last one done".into(),
        (2, _) => "Both of the last two done".into(),
        _ => format!("All of the last {} done", number(n)),
    };
    let done = before.iter().filter(|h| finished(h)).count();
    let usual = match before.len() {
        b if b < USUAL_MIN => thin(b),
        b if b == done => format!("usually done, all {b} before"),
        b if done == 0 => format!("none of {b} done before"),
        b if done * 2 >= b => format!("usually done, {done} of {b} before"),
        b => format!("{done} of {b} done before"),
    };
    let middle = between(record, manner, (since.iter().filter(|h| finished(h)).count(), since.len()), "done");
    // One in part is no news that asks for a reason; nor is what was so before.
    let justified = recent.iter().map(|h| h.justified).fold(0.0, f64::max);
    let off_track = record.active(FlagKind::NotOnTrack).is_some();
    let why = match ((undone + declined) * 2 + partly, justified >= 0.5) {
        (0 | 1, _) => String::new(),
        _ if !homework_fell(record) => String::new(),
        (_, true) if off_track => String::new(),
        (_, true) if raised(record, SignalKind::HomeworkEngagement) => {
            format!("{} improvement may explain some of it", person.hers())
        }
        (_, true) => format!("{} improvement may explain it", person.hers()),
        _ if record.scores().is_empty() => String::new(),
        _ => "the score does not explain it".into(),
    };
    Line::new(main, vec![usual, middle, content(record, manner).unwrap_or_default(), why])
}

pub(super) fn attendance(record: &Record, manner: &Manner) -> Line {
    use AttendanceOutcome as O;
    let recent: Vec<O> = record.recent().filter_map(Column::attended).collect();
    let before: Vec<O> = record.baseline().filter_map(Column::attended).collect();
    let now = record.current;
    if now.is_some_and(|now| now.no_contact) {
        let since =
            record.last_kept().map_or_else(String::new, |c| format!(" since {}", date(c.start, record.as_of, manner)));
        return Line::new(format!("No session kept{since}, and nothing is booked"), Vec::new());
    }
    if record.columns.iter().all(|c| c.attendance.is_empty()) {
        return Line::absent(if record.weekly() {
            "No appointments in this record"
        } else if record.sessions() == 0 {
            "No session yet"
        } else {
            "The record does not say who came"
        });
    }
    let count = |f: fn(&O) -> bool| recent.iter().filter(|o| f(o)).count();
    let missed = count(|o| matches!(o, O::NoShow));
    let cancelled = count(|o| matches!(o, O::CancelledByClient));
    let late = count(|o| matches!(o, O::Late { .. }));
    let moved = count(|o| matches!(o, O::Rescheduled)) + record.recent().filter(|c| c.moved()).count();
    let kept = count(|o| matches!(o, O::Attended | O::Late { .. }));
    let service = count(|o| matches!(o, O::CancelledByService));
    let unsaid = count(|o| matches!(o, O::CancelledUnattributed));
    let n = kept + missed + cancelled;
    let crowded = crowded(record);
    let mut parts: Vec<String> = match crowded {
        Some(c) if c.cancelled => vec![format!("cancelled {}", of_last(c.lost, c.of))],
        Some(c) => vec![format!("missed or cancelled {}", of_last(c.lost, c.of))],
        None => [(missed, "did not come to"), (cancelled, "cancelled")]
            .into_iter()
            .filter(|(k, _)| *k > 0)
            .map(|(k, what)| format!("{what} {}", of_last(k, n)))
            .collect(),
    };
    let spaced = now.is_some_and(|now| now.seen.spacing_days.is_some());
    if parts.is_empty() && (moved + late > 0 || spaced) && kept > 0 {
        parts.push(match kept {
            1 => "came to the last one".into(),
            2 => "came both times".into(),
            k => format!("came all {} times", number(k)),
        });
    }
    let others = [(moved, "moved"), (late, "late")].into_iter().filter(|(k, _)| *k > 0);
    parts.extend(others.map(|(k, what)| format!("{what} {}", times(k))));
    if let Some(days) = now.and_then(|now| now.seen.spacing_days) {
        parts.push(format!("{} between the last session and this one, as booked", super::grammar::weeks(days)));
    }
    let main = match (parts.is_empty(), kept) {
        (false, _) => capital(&parts.join(", ")),
        (true, 0) => format!("No session {}", record.lately(manner)),
        (true, 1) => "Came to the last one, on time".into(),
        (true, 2) => "Came both times, on time".into(),
        (true, k) => format!("Came all {} times, on time", number(k)),
    };
    let (held, of) = kept_of(&before);
    let on_time = before.iter().filter(|o| matches!(o, O::Attended)).count();
    let usual = match of {
        _ if crowded.is_some() => {
            let (held, of) = crowded.map_or((0, 0), |crowded| crowded.before);
            if held == of { format!("all {of} kept before that") } else { format!("{held} of {of} kept before that") }
        }
        n if n < USUAL_MIN => thin(n),
        n if held == n && on_time * 10 >= n * 8 => format!("usually on time; {held} of {n} kept before"),
        n => format!("{held} of {n} kept before"),
    };
    let since: Vec<O> = record.between().filter_map(Column::attended).collect();
    let middle = if crowded.is_none() { between(record, manner, kept_of(&since), "kept") } else { String::new() };
    let mut sub = vec![usual, middle];
    if service > 0 {
        sub.push(format!("{} cancelled by clinician or service, which counts for nothing", number(service)));
    }
    if unsaid > 0 {
        sub.push(format!("{} cancelled, by whom is not recorded, counts for nothing", number(unsaid)));
    }
    if let Some(start) = record.slot_outcome_says_unhappy() {
        sub.push(format!(
            "for {} the reason recorded is \"unhappy with, or changed, provider\"",
            date_short(start, manner)
        ));
    }
    Line::new(main, sub)
}
