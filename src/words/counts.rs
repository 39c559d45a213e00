//! What is counted, lately and before: the rows, the gist and what to listen for count alike.

use super::grammar::figure;
use super::record::{Column, Record};
use super::{Manner, Person};
use crate::domain::{AttendanceOutcome, HomeworkOutcome, HomeworkSeen, RomOutcome, RomSeen};

/// Observations from which "usually" may be said.
pub(super) const USUAL_MIN: usize = 3;
/// More by this share than before is a change.
const CHANGE_SHARE: f64 = 0.2;
/// Share of homework from which it is finished (detection's own limit).
const DONE_SHARE: f64 = 0.8;
/// Sessions lost among so many of the latest.
const LATEST_SESSIONS: usize = 8;
const CROWDED_MIN: usize = 3;

/// `k` of `n` lately against `k0` of `n0` before: more than this client's own usual. One alone is no change for a client
/// to whom it happens now and then; with too little before, everything is said.
pub(super) fn unusual((k, n): (usize, usize), (k0, n0): (usize, usize)) -> bool {
    let (now, then) = (k as f64 / n.max(1) as f64, k0 as f64 / n0.max(1) as f64);
    k > 0 && (n0 < USUAL_MIN || (now >= then + CHANGE_SHARE && (k > 1 || k0 * 10 <= n0)))
}

/// Every form on its own, with its session.
pub(super) fn forms<'r, 'a: 'r>(
    columns: impl Iterator<Item = &'r Column<'a>>,
) -> impl Iterator<Item = (&'r Column<'a>, &'a RomSeen)> {
    columns.flat_map(|column| column.rom.iter().map(move |form| (column, *form)))
}

/// Every question answered; fast or all alike, it is whole still.
pub(super) fn whole(form: &RomSeen) -> bool {
    matches!(form.outcome, RomOutcome::Complete | RomOutcome::Perfunctory | RomOutcome::Alike)
}

/// Homework finished, whatever its quality and its day.
pub(super) fn finished(h: &HomeworkSeen) -> bool {
    match h.outcome {
        HomeworkOutcome::Done | HomeworkOutcome::Late => true,
        HomeworkOutcome::Partial => h.completion.is_some_and(|share| share >= DONE_SHARE),
        HomeworkOutcome::NotDone => false,
    }
}

pub(super) fn in_part(h: &HomeworkSeen) -> bool {
    h.outcome == HomeworkOutcome::Partial && !finished(h)
}

/// Done, but so that detection counts it as less: its quality was low.
pub fn thin(h: &HomeworkSeen) -> bool {
    h.outcome == HomeworkOutcome::Partial && finished(h)
}

/// Share of homework left undone, half for what was done in part: lately, and before.
pub(super) fn homework_left(record: &Record) -> (f64, f64) {
    let left = |h: &&HomeworkSeen| match h.outcome {
        HomeworkOutcome::NotDone => 1.0,
        _ if in_part(h) => 0.5,
        _ => 0.0,
    };
    let share = |seen: &[f64]| seen.iter().sum::<f64>() / seen.len().max(1) as f64;
    let before: Vec<f64> = record.baseline().flat_map(|c| &c.homework).map(left).collect();
    let recent: Vec<f64> = record.recent().flat_map(|c| &c.homework).map(left).collect();
    (share(&recent), share(&before))
}

/// Clearly less homework comes back than before; `false` where there is too little before to say.
pub(super) fn homework_fell(record: &Record) -> bool {
    let count = |columns: &mut dyn Iterator<Item = &Column>| columns.map(|c| c.homework.len()).sum::<usize>();
    let (now, then) = homework_left(record);
    count(&mut record.baseline()) >= USUAL_MIN && count(&mut record.recent()) > 1 && now >= then + CHANGE_SHARE
}

/// How questionnaires come back otherwise than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forms {
    Fewer,
    Faster,
    Same,
}

pub(super) fn questionnaires(record: &Record) -> Forms {
    let share = |columns: Vec<&RomSeen>, of: fn(&RomSeen) -> bool| {
        columns.iter().filter(|form| of(form)).count() as f64 / columns.len().max(1) as f64
    };
    let recent: Vec<&RomSeen> = forms(record.recent()).map(|(_, form)| form).collect();
    let before: Vec<&RomSeen> = forms(record.baseline()).map(|(_, form)| form).collect();
    let more = |of: fn(&RomSeen) -> bool| share(recent.clone(), of) >= share(before.clone(), of) + CHANGE_SHARE;
    match before.len() >= USUAL_MIN {
        false => Forms::Same,
        true if more(|form| !whole(form)) => Forms::Fewer,
        true if more(|form| form.outcome == RomOutcome::Perfunctory) => Forms::Faster,
        true => Forms::Same,
    }
}

/// Quality, minutes or words against the client's own usual, where the last two were both well below it: one alone
/// is chance.
pub(super) fn content(record: &Record, manner: &Manner) -> Option<String> {
    let kinds: [fn(&HomeworkSeen) -> Option<f64>; 3] = [|h| h.quality, |h| h.minutes, |h| h.words.map(f64::from)];
    let named = |i: usize, v: &str| match i {
        0 => format!("quality {v} of 4"),
        1 => format!("{v} minutes"),
        _ => format!("{v} words"),
    };
    kinds.into_iter().enumerate().find_map(|(i, read)| {
        let of = |c: &Column| c.homework_outcome().and_then(read);
        let usual = median(record.baseline().filter_map(of).collect())?;
        let recent: Vec<f64> = record.recent().filter_map(of).collect();
        let [.., before, last] = recent.as_slice() else { return None };
        let (before, last) = (*before, *last);
        (before.max(last) < 0.7 * usual)
            .then(|| format!("{}, usually {}", named(i, &figure(last, manner)), figure(usual, manner)))
    })
}

pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    (values.len() >= USUAL_MIN).then(|| values[values.len() / 2])
}

/// Sessions kept, of those that were the client's to keep.
pub(super) fn kept_of(outcomes: &[AttendanceOutcome]) -> (usize, usize) {
    let of: Vec<bool> = outcomes.iter().filter_map(kept).collect();
    (of.iter().filter(|kept| **kept).count(), of.len())
}

fn kept(outcome: &AttendanceOutcome) -> Option<bool> {
    use AttendanceOutcome as O;
    match outcome {
        O::Attended | O::Late { .. } => Some(true),
        O::CancelledByClient | O::NoShow => Some(false),
        O::CancelledByService | O::CancelledUnattributed | O::Rescheduled => None,
    }
}

/// Sessions that the client cancelled or did not come to, crowded among the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crowded {
    pub lost: usize,
    /// Of so many latest ones, the first of them lost.
    pub of: usize,
    /// All of them cancelled, none missed.
    pub cancelled: bool,
    /// Kept, of those before.
    pub before: (usize, usize),
}

pub(super) fn crowded(record: &Record) -> Option<Crowded> {
    let outcomes: Vec<AttendanceOutcome> =
        record.columns.iter().filter_map(Column::attended).filter(|outcome| kept(outcome).is_some()).collect();
    let lost = |outcome: &AttendanceOutcome| kept(outcome) == Some(false);
    if !record.recent().filter_map(Column::attended).any(|outcome| lost(&outcome)) {
        return None;
    }
    let latest = outcomes.len().saturating_sub(LATEST_SESSIONS);
    let first = latest + outcomes[latest..].iter().position(lost)?;
    let (before, late) = outcomes.split_at(first);
    let count = |of: &[AttendanceOutcome]| of.iter().filter(|outcome| lost(outcome)).count();
    let (k, k0) = (count(late), count(before));
    let more = before.len() >= USUAL_MIN && unusual((k, late.len()), (k0, before.len()));
    (k >= CROWDED_MIN && more).then(|| Crowded {
        lost: k,
        of: late.len(),
        cancelled: !late.contains(&AttendanceOutcome::NoShow),
        before: (before.len() - k0, before.len()),
    })
}

/// "this client" where there is no pronoun.
pub(super) fn with(person: &Person) -> &'static str {
    match person.her() {
        "the client" => "this client",
        her => her,
    }
}
