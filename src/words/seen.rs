//! What changed in the last weeks, as short phrases for the gist.

use super::Manner;
use super::flags::ENGAGEMENT;
use super::grammar::{counted, points, times};
use super::record::{Column, Record};
use super::signals::{ALLIANCE_SHARE_MIN, content, homework_fell, median};
use crate::domain::{AttendanceOutcome, HomeworkOutcome, RomOutcome, SignalKind, Worse};

/// "two questionnaires missed", "homework mostly undone", "one session cancelled".
pub(super) fn changes(record: &Record, kinds: &[SignalKind], manner: &Manner) -> Vec<String> {
    kinds
        .iter()
        .flat_map(|kind| match kind {
            SignalKind::RomEngagement => questionnaires(record),
            SignalKind::HomeworkEngagement => homework(record, manner).into_iter().collect(),
            SignalKind::Attendance => attendance(record),
            SignalKind::AllianceMeasure => alliance(record, manner).into_iter().collect(),
            SignalKind::RomTrajectory => Vec::new(),
        })
        .collect()
}

/// Everything in the last weeks was done, filled in and kept.
pub(super) fn all_usual(record: &Record, manner: &Manner) -> bool {
    changes(record, &ENGAGEMENT, manner).is_empty()
        && record.recent().any(|c| !c.rom.is_empty())
        && record.recent().any(|c| !c.homework.is_empty())
        && record.recent().any(|c| !c.attendance.is_empty())
}

fn questionnaires(record: &Record) -> Vec<String> {
    let seen: Vec<RomOutcome> = record.recent().filter_map(|c| c.rom_outcome().map(|r| r.outcome)).collect();
    let count = |o| seen.iter().filter(|seen| **seen == o).count();
    let (missed, partial, fast) =
        (count(RomOutcome::Missed), count(RomOutcome::Partial), count(RomOutcome::Perfunctory));
    let alike = count(RomOutcome::Alike);
    let phrase = |k, what| format!("{} {what}", counted(k, "questionnaire", "questionnaires"));
    match (missed, partial, fast) {
        (0, 0, 0) if alike > 0 => vec![phrase(alike, "answered all alike")],
        (0, 0, 0) => Vec::new(),
        (0, 0, k) => vec![phrase(k, "answered very fast")],
        (0, k, _) => vec![phrase(k, "answered in part")],
        (k, _, _) => vec![phrase(k, "missed")],
    }
}

fn homework(record: &Record, manner: &Manner) -> Option<String> {
    let seen: Vec<HomeworkOutcome> = record.recent().flat_map(|c| &c.homework).map(|h| h.outcome).collect();
    let n = seen.len();
    let undone = seen.iter().filter(|o| **o == HomeworkOutcome::NotDone).count();
    let late = seen.iter().filter(|o| **o == HomeworkOutcome::Late).count();
    let partly = seen.iter().filter(|o| **o == HomeworkOutcome::Partial).count();
    match (undone, partly, late) {
        _ if n == 0 => None,
        (u, ..) if n > 1 && u == n => Some(format!("homework not done{}", as_before(record))),
        (u, ..) if n > 1 && u * 2 > n => Some(format!("homework mostly undone{}", as_before(record))),
        (0, 0, 0) => content(record, manner).map(|what| format!("less in the homework ({what})")),
        (0, 0, late) => Some(format!("homework done late {}", times(late))),
        (0, partly, 0) => Some(format!("homework done in part {}", times(partly))),
        (0, ..) => Some(format!("homework done in part or late {}", times(partly + late))),
        (u, ..) => Some(format!("homework not done {}", times(u))),
    }
}

/// Where the baseline knows it no better.
fn as_before(record: &Record) -> &'static str {
    let known = record.baseline().flat_map(|c| &c.homework).count() >= 3;
    if known && !homework_fell(record) { ", as before" } else { "" }
}

fn attendance(record: &Record) -> Vec<String> {
    use AttendanceOutcome as O;
    let seen: Vec<O> = record.recent().filter_map(Column::attended).collect();
    let count = |f: fn(&O) -> bool| seen.iter().filter(|o| f(o)).count();
    let moved = record.recent().filter(|c| c.moved()).count();
    let mut parts: Vec<String> = [
        (count(|o| matches!(o, O::NoShow)), "missed"),
        (count(|o| matches!(o, O::CancelledByClient)), "cancelled"),
        (count(|o| matches!(o, O::Rescheduled)) + moved, "moved"),
        (count(|o| matches!(o, O::Late { .. })), "begun late"),
    ]
    .into_iter()
    .filter(|(k, _)| *k > 0)
    .map(|(k, what)| format!("{} {what}", counted(k, "session", "sessions")))
    .collect();
    if record.current.is_some_and(|now| now.seen.spacing_days.is_some()) {
        parts.push("a longer gap than usual before this session".into());
    }
    parts
}

fn alliance(record: &Record, manner: &Manner) -> Option<String> {
    let last = record.columns.iter().flat_map(|c| &c.alliance).rfind(|a| a.score.is_some())?;
    let score = last.score?;
    let usual = median(
        record
            .baseline()
            .flat_map(|c| &c.alliance)
            .filter(|a| a.measure.canonical == last.measure.canonical)
            .filter_map(|a| a.score)
            .collect(),
    )?;
    let worse_by = match last.measure.worse {
        Worse::Up => score - usual,
        Worse::Down => usual - score,
    };
    (worse_by >= ALLIANCE_SHARE_MIN * (last.measure.max - last.measure.min)).then(|| {
        format!(
            "{} {} after a usual {}",
            last.measure.name,
            points(score, &last.measure, manner),
            points(usual, &last.measure, manner)
        )
    })
}
