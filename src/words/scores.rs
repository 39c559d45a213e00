//! How a course of scores is told: first and latest, a standstill, a rise, a sudden change. Every figure is a score
//! that was given, or "about" the middle of several.

use super::Manner;
use super::grammar::{counted, date, number, points};
use super::record::days_between;
use crate::domain::{ScoreSeen, Worse};

/// Scores from which a course may be called on track.
pub(super) const SCORES_MIN: usize = 3;
/// Scores from which a change may be expected.
const CHANGED_SCORES_MIN: usize = 3;
/// Scores from which "flat" may be said.
const FLAT_SCORES_MIN: usize = 4;
/// Scores without change that make a plateau (detection's own rule).
const PLATEAU_SCORES: usize = 5;
/// A flat stretch stays within this share of reliable change: a slow drift is no flat line.
const FLAT_RCI_SHARE: f64 = 0.25;
/// Scores within reliable change of each other from which a long course is told by its range.
const LEVEL_SCORES_MIN: usize = 8;
/// Scores from which one best score lies too far back to tell the course by.
const LONG: usize = 10;
/// The latest scores, against so many before them: whether the level has risen.
const LATEST: usize = 3;
const BEFORE_LATEST: usize = 6;
/// A change between two scores running that asks what happened, in reliable changes.
const SUDDEN_RCI: f64 = 1.5;

/// "18 to 10, flat for the last five scores"; "18 to 11, the last five between 10 and 11"; "21 at first; lately up from
/// about 15 to about 19". The first figure is the first score, the second the latest.
pub(super) fn trend(scores: &[&ScoreSeen], manner: &Manner) -> String {
    let (Some(first), Some(last)) = (scores.first(), scores.last()) else {
        return String::new();
    };
    let shown = |seen: &ScoreSeen| points(seen.score, &seen.measure, manner);
    let n = scores.len();
    if n == 1 {
        return shown(last);
    }
    let flat = flat(scores);
    if flat >= FLAT_SCORES_MIN {
        let (low, high) = ends(&scores[n - flat..], manner);
        let (from, to, last_ones) = (shown(first), shown(last), number(flat));
        return match (flat == n, low == high) {
            (true, true) => format!("flat at {to} for {last_ones} scores"),
            (true, false) => format!("{from} to {to}, all {last_ones} between {low} and {high}"),
            (false, true) => format!("{from} to {to}, flat for the last {last_ones} scores"),
            (false, false) => format!("{from} to {to}, the last {last_ones} between {low} and {high}"),
        };
    }
    if let Some((from, to)) = risen(scores) {
        let (from, to) = (points(from, &last.measure, manner), points(to, &last.measure, manner));
        let way = if last.measure.worse == Worse::Up { "up" } else { "down" };
        if from == shown(first) {
            return format!("{way} from about {from} to {}", shown(last));
        }
        return format!("{} at first, then {way} from about {from} to about {to}", shown(first));
    }
    if let Some(turn) = turn(scores, manner).filter(|_| n < LONG) {
        return turn;
    }
    let level = within(scores, 1.0);
    if level >= LEVEL_SCORES_MIN && n >= LONG {
        let (low, high) = ends(&scores[n - level..], manner);
        let (from, to, last_ones) = (shown(first), shown(last), number(level));
        let which = if level == n { "all" } else { "the last" };
        return format!("{from} to {to}, {which} {last_ones} between {low} and {high}");
    }
    if let Some(turn) = turn(scores, manner) {
        return turn;
    }
    if n <= 4 {
        let all: Vec<String> = scores.iter().map(|seen| shown(seen)).collect();
        return all.join(", ");
    }
    format!("{} to {} over {} scores", shown(first), shown(last), number(n))
}

/// The same of a record. Where more than one measure is in use, the scores that were followed are not all there are of
/// this one: then from when, and not how many.
pub(super) fn told(record: &super::Record, scores: &[&ScoreSeen], manner: &Manner) -> String {
    let (Some(first), Some(last)) = (scores.first(), scores.last()) else { return String::new() };
    if !record.several_measures() || scores.len() < 2 {
        return trend(scores, manner);
    }
    let shown = |seen: &ScoreSeen| points(seen.score, &seen.measure, manner);
    let since = date(first.at, record.as_of, manner);
    format!("{} on {since}, {} on {}", shown(first), shown(last), date(last.at, record.as_of, manner))
}

fn ends(scores: &[&ScoreSeen], manner: &Manner) -> (String, String) {
    let Some(last) = scores.last() else { return Default::default() };
    let (low, high) =
        scores.iter().fold((f64::MAX, f64::MIN), |(low, high), seen| (low.min(seen.score), high.max(seen.score)));
    (points(low, &last.measure, manner), points(high, &last.measure, manner))
}

/// "17 to 13, the last five between 11 and 13": a plateau is told by the scores it was found in.
pub(super) fn plateau(scores: &[&ScoreSeen], manner: &Manner) -> String {
    let (Some(first), Some(last), n) = (scores.first(), scores.last(), scores.len()) else { return String::new() };
    if flat(scores) >= PLATEAU_SCORES || n <= PLATEAU_SCORES {
        return trend(scores, manner);
    }
    let shown = |score: f64| points(score, &last.measure, manner);
    let (low, high) = ends(&scores[n - PLATEAU_SCORES..], manner);
    format!(
        "{} to {}, the last {} between {low} and {high}",
        shown(first.score),
        shown(last.score),
        number(PLATEAU_SCORES)
    )
}

fn worse_by(last: &ScoreSeen, from: f64, to: f64) -> f64 {
    if last.measure.worse == Worse::Up { to - from } else { from - to }
}

fn middle(scores: &[&ScoreSeen]) -> f64 {
    let mut values: Vec<f64> = scores.iter().map(|seen| seen.score).collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// From about where to about where the level of the latest scores has worsened, by half a reliable change or more,
/// each of them worse than the level before.
pub(super) fn risen(scores: &[&ScoreSeen]) -> Option<(f64, f64)> {
    let last = scores.last()?;
    let rci = last.measure.rci?;
    let from = scores.len().checked_sub(LATEST + BEFORE_LATEST)?;
    let (before, latest) = scores[from..].split_at(BEFORE_LATEST);
    let (then, now) = (middle(before), middle(latest));
    let each = latest.iter().all(|seen| worse_by(last, then, seen.score) > 0.0);
    (each && worse_by(last, then, now) >= rci / 2.0).then_some((then, now))
}

/// The best of the worse of two scores running: one good score alone is no level.
fn best_level(scores: &[&ScoreSeen]) -> Option<f64> {
    let last = scores.last()?;
    let worse_of = |pair: &[&ScoreSeen]| {
        let (a, b) = (pair[0].score, pair[1].score);
        if worse_by(last, a, b) > 0.0 { b } else { a }
    };
    scores.windows(2).map(worse_of).reduce(|a, b| if worse_by(last, a, b) < 0.0 { b } else { a })
}

/// The best level so far, where the last score is worse than it by reliable change, and how many scores running are.
pub(super) fn reliably_worse(scores: &[&ScoreSeen]) -> Option<(f64, usize)> {
    let last = scores.last()?;
    let rci = last.measure.rci?;
    let best = best_level(scores)?;
    let run = scores.iter().rev().take_while(|seen| worse_by(last, best, seen.score) >= rci).count();
    (run > 0).then_some((best, run))
}

/// "16 to 12, then up to 16": the best level lies well before the last score.
fn turn<'s>(scores: &[&'s ScoreSeen], manner: &Manner) -> Option<String> {
    let (first, last) = (scores.first()?, scores.last()?);
    let better = |a, b: &'s ScoreSeen| if worse_by(last, a, b.score) < 0.0 { b.score } else { a };
    let best = match scores.len() < LONG {
        true => scores.iter().fold(first.score, |a, b| better(a, b)),
        false => best_level(scores)?,
    };
    let lost = worse_by(last, best, last.score) >= last.measure.rci? / 2.0;
    let gained = worse_by(last, first.score, best) < 0.0;
    // Worse in between than at either end: "15 to 11, then up to 15" would hide a 20.
    let worst = scores.iter().copied().reduce(|a, b| if worse_by(last, a.score, b.score) > 0.0 { b } else { a })?;
    let hidden = worse_by(last, first.score.max(last.score), worst.score) >= last.measure.rci? / 2.0;
    let shown = |score: f64| points(score, &last.measure, manner);
    let way = if last.score > best { "up" } else { "down" };
    if hidden && last.measure.worse == Worse::Up && lost && gained {
        let (low, high) = ends(scores, manner);
        return Some(format!("{} to {}, between {low} and {high} on the way", shown(first.score), shown(last.score)));
    }
    (lost && gained).then(|| format!("{} to {}, then {way} to {}", shown(first.score), shown(best), shown(last.score)))
}

/// How many of the last scores lie within this share of reliable change.
fn within(scores: &[&ScoreSeen], share: f64) -> usize {
    let Some(last) = scores.last() else { return 0 };
    let width = last.measure.rci.unwrap_or((last.measure.max - last.measure.min) / 5.0) * share;
    let (mut low, mut high, mut count) = (f64::MAX, f64::MIN, 0);
    for seen in scores.iter().rev() {
        low = low.min(seen.score);
        high = high.max(seen.score);
        if high - low > width {
            break;
        }
        count += 1;
    }
    count
}

/// How many of the last scores keep one level: within reliable change of each other, the latest like the earliest.
fn level(scores: &[&ScoreSeen]) -> Option<usize> {
    let rci = scores.last()?.measure.rci?;
    let run = within(scores, 1.0);
    let of = &scores[scores.len() - run..];
    let same = run >= LEVEL_SCORES_MIN && (middle(&of[..LATEST]) - middle(&of[run - LATEST..])).abs() < rci / 2.0;
    same.then_some(run)
}

/// How many of the last scores stay within a quarter of reliable change.
fn flat(scores: &[&ScoreSeen]) -> usize {
    within(scores, FLAT_RCI_SHARE)
}

/// Still in the clinical range, and either hardly better than the first, or on one level for long: no rule is
/// broken, but "on track" would say too much.
pub(super) fn little_changed(scores: &[&ScoreSeen]) -> bool {
    let (Some(first), Some(last), true) = (scores.first(), scores.last(), scores.len() >= CHANGED_SCORES_MIN) else {
        return false;
    };
    let now = middle(&scores[scores.len() - LATEST..]);
    let hardly = last.measure.rci.is_some_and(|rci| worse_by(last, now, first.score) < rci / 2.0);
    in_clinical_range(last) && (hardly || (level(scores).is_some() && gained(scores) < 1.0))
}

/// How far the latest level is better than the first score, in reliable changes.
pub(super) fn gained(scores: &[&ScoreSeen]) -> f64 {
    let (Some(first), Some(last), true) = (scores.first(), scores.last(), scores.len() >= SCORES_MIN) else {
        return 0.0;
    };
    let now = middle(&scores[scores.len().saturating_sub(LATEST).max(1)..]);
    last.measure.rci.map_or(0.0, |rci| worse_by(last, now, first.score) / rci)
}

/// "from 14 to 1 between 28 November and 11 December": a fall between two of the latest scores, much more than chance,
/// that has lasted since.
pub(super) fn sudden_gain(scores: &[&ScoreSeen], manner: &Manner) -> Option<String> {
    let last = scores.last()?;
    let rci = last.measure.rci?;
    let from = scores.len().saturating_sub(LATEST + 1);
    let (i, pair) = scores[from..]
        .windows(2)
        .enumerate()
        .find(|(_, pair)| worse_by(last, pair[1].score, pair[0].score) >= SUDDEN_RCI * rci)?;
    let lasted = scores[from + i + 1..].iter().all(|seen| worse_by(last, seen.score, pair[0].score) >= rci);
    lasted.then(|| {
        let shown = |seen: &ScoreSeen| points(seen.score, &seen.measure, manner);
        let weeks = (days_between(pair[0].at, pair[1].at) / 7.0).round().max(1.0) as usize;
        format!("from {} to {} within {}", shown(pair[0]), shown(pair[1]), counted(weeks, "week", "weeks"))
    })
}

/// How many of the last scores running are worse than expected.
pub(super) fn outside(scores: &[&ScoreSeen]) -> usize {
    scores.iter().rev().take_while(|seen| worse_than_expected(seen)).count()
}

/// Where the last score lies against what was to be expected.
pub(super) fn range(scores: &[&ScoreSeen]) -> String {
    let Some(last) = scores.last() else { return String::new() };
    let (low, high) = last.expected;
    let better = if last.measure.worse == Worse::Up { last.score < low } else { last.score > high };
    match (better, outside(scores)) {
        (true, _) => "better than the expected range".into(),
        (_, 0) => "within the expected range".into(),
        (_, 1) => "the last score is worse than expected".into(),
        (_, n) => format!("worse than the expected range {} running", super::grammar::times(n)),
    }
}

pub(super) fn worse_than_expected(seen: &ScoreSeen) -> bool {
    match seen.measure.worse {
        Worse::Up => seen.score > seen.expected.1,
        Worse::Down => seen.score < seen.expected.0,
    }
}

pub(super) fn in_clinical_range(seen: &ScoreSeen) -> bool {
    seen.measure.cutoff.is_some_and(|cut| match seen.measure.worse {
        Worse::Up => seen.score >= cut,
        Worse::Down => seen.score <= cut,
    })
}

/// The day of the last score, where more than one has been due since: it says nothing of the last weeks.
pub(super) fn stale_score(record: &super::Record, manner: &Manner) -> Option<String> {
    let last = record.scores().last()?.at;
    let missed = record.columns.iter().filter(|column| column.start > last && !column.rom.is_empty()).count();
    (missed > 1).then(|| date(last, record.as_of, manner))
}
