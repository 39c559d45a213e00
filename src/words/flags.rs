//! The two flags, always both: what they say, since when and why.

use super::grammar::{capital, date, figure, number, points};
use super::record::Record;
use super::seen::changes;
use super::signals::{Line, covered, noun, raising};
use super::{Manner, Person};
use crate::domain::{Band, Closing, FlagKind, ScoreSeen, SignalKind, Why, Worse};

/// Scores from which a course may be called on track.
const SCORES_MIN: usize = 3;
/// Scores from which a change may be expected.
const CHANGED_SCORES_MIN: usize = 8;
/// Scores from which "flat" may be said.
const FLAT_SCORES_MIN: usize = 4;
/// Scores without change that make a plateau (detection's own rule).
const PLATEAU_SCORES: usize = 5;
/// A flat stretch stays within this share of reliable change: a slow drift is no flat line.
const FLAT_RCI_SHARE: f64 = 0.25;

/// Where a flag stands; the page gives each a shape of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    On,
    Watch,
    Off,
    /// Too little data.
    Unknown,
    Ended,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FlagWords {
    pub standing: Standing,
    /// "Engagement: dropping".
    pub title: String,
    /// Since when, and why.
    pub why: String,
    /// The one word for a small place: "dropping".
    pub short: String,
}

impl FlagWords {
    fn new(standing: Standing, of: &str, short: impl Into<String>, why: impl Into<String>) -> Self {
        let short = short.into();
        FlagWords { standing, title: format!("{of}: {short}"), why: why.into(), short }
    }
}

pub fn engagement_flag(record: &Record, person: &Person, manner: &Manner) -> FlagWords {
    const OF: &str = "Engagement";
    let day = |at| date(at, record.as_of, manner);
    if let Some(ended) = record.ended() {
        return FlagWords::new(Standing::Ended, OF, "ended", format!("treatment ended on {}", day(ended)));
    }
    let Some(now) = record.current else {
        return FlagWords::new(Standing::Unknown, OF, "no data yet", "nothing has happened yet");
    };
    let own = format!("against {} own record", person.hers());
    if let Some(episode) = record.active(FlagKind::EngagementDrop) {
        let since = day(episode.opened);
        if now.no_contact {
            let kept = match record.last_kept() {
                Some(column) => format!("since the session of {}", day(column.start)),
                None => "no kept session yet".into(),
            };
            let why = format!("{kept}; nothing booked; flagged on {since}");
            return FlagWords::new(Standing::On, OF, "no contact", why);
        }
        let raising = raising(record);
        let why = match raising.as_slice() {
            _ if record.fading() => format!("since {since}; less so now, {own}"),
            [] => format!("since {since}; now fading, {own}"),
            [one] => format!("since {since}; now {} alone, {own}", noun(*one)),
            many => format!(
                "since {since}; {} of {} signals, {own}",
                number(many.len()),
                number(covered(record).max(many.len()))
            ),
        };
        let word = match (record.fading(), super::gist::dissatisfied(record)) {
            (true, _) => "fading",
            (_, true) => "strained",
            _ => "dropping",
        };
        return FlagWords::new(Standing::On, OF, word, why);
    }
    if let Some((closed, Closing::Disengaged)) = record.last_closed(FlagKind::EngagementDrop).and_then(|e| e.closed)
        && now.no_contact
    {
        return FlagWords::new(
            Standing::Unknown,
            OF,
            "disengaged",
            format!("closed on {} after eight weeks without contact; not recovered", day(closed)),
        );
    }
    if now.warming_up {
        return FlagWords::new(
            Standing::Unknown,
            OF,
            "too early to say",
            match record.sessions() {
                0 => "no session yet; no flag before three".to_owned(),
                n => format!("{} so far; no flag before three", record.columns_counted(n)),
            },
        );
    }
    match now.band {
        Band::NothingUnusual => {
            let closed = record.last_closed(FlagKind::EngagementDrop).and_then(|e| Some((e, e.closed?.0)));
            let recently = closed.filter(|(_, at)| record.recent().any(|c| c.start <= *at));
            let why = match recently {
                Some((episode, at)) => format!("the flag closed on {}: {}", day(at), super::closing(episode)),
                None if changes(record, &ENGAGEMENT, manner).is_empty() => format!("nothing unusual {own}"),
                None => format!("no pattern so far, {own}"),
            };
            FlagWords::new(Standing::Off, OF, "steady", why)
        }
        Band::Watch | Band::Flag => {
            let why = match raising(record).as_slice() {
                [] => format!("a little less than usual, {own}"),
                [one] => format!("{} alone, which raises no flag", noun(*one)),
                many => format!("{} signals, not enough for a flag", number(many.len())),
            };
            FlagWords::new(Standing::Watch, OF, "worth watching", why)
        }
    }
}

pub fn response_flag(record: &Record, manner: &Manner) -> FlagWords {
    const OF: &str = "Treatment response";
    let scores = record.scores();
    let Some(last) = scores.last() else {
        return FlagWords::new(Standing::Unknown, OF, "no score yet", "no outcome questionnaire with a score");
    };
    let trend = format!("{} {}", last.measure.name, trend(&scores, manner));
    if record.ended().is_some() {
        return FlagWords::new(Standing::Ended, OF, "ended", trend);
    }
    if let Some(episode) = record.active(FlagKind::NotOnTrack) {
        let since = date(episode.opened, record.as_of, manner);
        return FlagWords::new(
            Standing::On,
            OF,
            "not on track",
            format!("since {since}; {}", not_on_track(episode.why, &scores, manner)),
        );
    }
    if scores.len() < SCORES_MIN {
        let why = match scores.len() {
            1 => format!("{trend}; one score so far"),
            _ => trend,
        };
        return FlagWords::new(Standing::Unknown, OF, "too early to say", why);
    }
    if let Some(best) = reliably_worse_than(&scores) {
        let why =
            format!("{trend}; once reliably worse than the best so far ({})", points(best, &last.measure, manner));
        return FlagWords::new(Standing::Watch, OF, "worth watching", why);
    }
    let stale = stale_score(record, manner).map_or_else(String::new, |day| format!("; last score on {day}"));
    let why = format!("{trend}; {}{stale}", range(&scores));
    if worse_than_expected(last) {
        return FlagWords::new(Standing::Watch, OF, "worth watching", why);
    }
    FlagWords::new(Standing::Off, OF, if little_changed(&scores) { "little change" } else { "on track" }, why)
}

/// Many scores, still in the clinical range, and hardly better than the first: no rule is broken, but "on track" would
/// say too much.
pub(super) fn little_changed(scores: &[&ScoreSeen]) -> bool {
    const LAST: usize = 3;
    let (Some(first), Some(last), true) = (scores.first(), scores.last(), scores.len() >= CHANGED_SCORES_MIN) else {
        return false;
    };
    let mean = scores[scores.len() - LAST..].iter().map(|seen| seen.score).sum::<f64>() / LAST as f64;
    let gained = if last.measure.worse == Worse::Up { first.score - mean } else { mean - first.score };
    in_clinical_range(last) && last.measure.rci.is_some_and(|rci| gained < rci / 2.0)
}

fn not_on_track(why: Why, scores: &[&ScoreSeen], manner: &Manner) -> String {
    let Some(last) = scores.last() else { return String::new() };
    let name = &last.measure.name;
    match why {
        Why::AboveExpected => format!("{name} {}, worse than the expected range twice running", trend(scores, manner)),
        Why::ReliableDeterioration => format!("{name} {}, reliably worse than the best so far", trend(scores, manner)),
        Why::Plateau => format!("{name} {}, still in the clinical range", plateau(scores, manner)),
        Why::Signals | Why::NoContact | Why::SafetyAnswer => format!("{name} {}", trend(scores, manner)),
    }
}

pub(super) fn score_line(record: &Record, manner: &Manner) -> Line {
    let scores = record.scores();
    let shown = |seen: &ScoreSeen| points(seen.score, &seen.measure, manner);
    let Some(last) = scores.last() else {
        return Line {
            main: "No score in this record".into(),
            sub: "counts for nothing".into(),
            absent: true,
            ..Line::default()
        };
    };
    if scores.len() == 1 {
        return Line {
            main: format!("{} on {}", shown(last), date(last.at, record.as_of, manner)),
            sub: format!("one score; {}", clinical(last, manner)),
            ..Line::default()
        };
    }
    let track = match record.active(FlagKind::NotOnTrack) {
        Some(_) => "; not on track",
        None if scores.len() < SCORES_MIN || worse_than_expected(last) => "",
        None if reliably_worse_than(&scores).is_some() => "; reliably worse than the best so far",
        None if record.ended().is_some() => "",
        None if little_changed(&scores) => "; little change so far",
        None => "; on track",
    };
    let sub = match record.active(FlagKind::NotOnTrack) {
        Some(_) if worse_than_expected(last) => format!("worse than the expected range{track}"),
        Some(episode) if episode.why == Why::Plateau => format!("inside the expected range, but no further{track}"),
        _ => format!("{}{track}", range(&scores)),
    };
    let plateau_now = record.active(FlagKind::NotOnTrack).is_some_and(|episode| episode.why == Why::Plateau);
    let main = if plateau_now { plateau(&scores, manner) } else { trend(&scores, manner) };
    Line { main: capital(&main), sub, ..Line::default() }
}

/// "18 to 10, flat for the last five scores"; "18 to 11, the last five between 10 and 11". The first figure is the
/// first score, the second the latest.
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
        let (low, high) = scores[n - flat..]
            .iter()
            .fold((f64::MAX, f64::MIN), |(low, high), seen| (low.min(seen.score), high.max(seen.score)));
        let (low, high) = (points(low, &last.measure, manner), points(high, &last.measure, manner));
        let (from, to, last_ones) = (shown(first), shown(last), number(flat));
        return match (flat == n, low == high) {
            (true, true) => format!("flat at {to} for {last_ones} scores"),
            (true, false) => format!("{from} to {to}, all {last_ones} between {low} and {high}"),
            (false, true) => format!("{from} to {to}, flat for the last {last_ones} scores"),
            (false, false) => format!("{from} to {to}, the last {last_ones} between {low} and {high}"),
        };
    }
    if let Some(turn) = turn(scores, manner) {
        return turn;
    }
    if first.score == last.score {
        return format!("{} then as now, over {} scores", shown(last), number(n));
    }
    format!("{} to {} over {} scores", shown(first), shown(last), number(n))
}

/// "17 to 13, the last five between 11 and 13": a plateau is told by the scores it was found in.
pub(super) fn plateau(scores: &[&ScoreSeen], manner: &Manner) -> String {
    let (Some(first), Some(last), n) = (scores.first(), scores.last(), scores.len()) else { return String::new() };
    if flat(scores) >= PLATEAU_SCORES || n <= PLATEAU_SCORES {
        return trend(scores, manner);
    }
    let shown = |score: f64| points(score, &last.measure, manner);
    let (low, high) = scores[n - PLATEAU_SCORES..]
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), seen| (low.min(seen.score), high.max(seen.score)));
    let (from, to, last_ones) = (shown(first.score), shown(last.score), number(PLATEAU_SCORES));
    format!("{from} to {to}, the last {last_ones} between {} and {}", shown(low), shown(high))
}

/// The best score, where the last one is worse than it by reliable change.
pub(super) fn reliably_worse_than(scores: &[&ScoreSeen]) -> Option<f64> {
    let last = scores.last()?;
    let rci = last.measure.rci?;
    let worse_by = |best: f64| if last.measure.worse == Worse::Up { last.score - best } else { best - last.score };
    scores
        .iter()
        .map(|seen| seen.score)
        .filter(|best| worse_by(*best) >= rci)
        .max_by(|a, b| worse_by(*a).total_cmp(&worse_by(*b)))
}

/// "16 to 12, then up to 16": the best score lies well before the last one.
fn turn(scores: &[&ScoreSeen], manner: &Manner) -> Option<String> {
    let (first, last) = (scores.first()?, scores.last()?);
    let better = |a: f64, b: f64| if last.measure.worse == Worse::Up { a < b } else { a > b };
    let best = scores.iter().copied().reduce(|a, b| if better(b.score, a.score) { b } else { a })?;
    let lost = (last.score - best.score).abs() >= last.measure.rci? / 2.0;
    let gained = better(best.score, first.score);
    let shown = |seen: &ScoreSeen| points(seen.score, &seen.measure, manner);
    let way = if last.score > best.score { "up" } else { "down" };
    (lost && gained).then(|| format!("{} to {}, then {way} to {}", shown(first), shown(best), shown(last)))
}

/// How many of the last scores stay within a quarter of reliable change.
pub(super) fn flat(scores: &[&ScoreSeen]) -> usize {
    let Some(last) = scores.last() else { return 0 };
    let width = last.measure.rci.unwrap_or((last.measure.max - last.measure.min) / 5.0) * FLAT_RCI_SHARE;
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

/// Where the last score lies against what was to be expected.
fn range(scores: &[&ScoreSeen]) -> String {
    let Some(last) = scores.last() else { return String::new() };
    let (low, high) = last.expected;
    let (better, worse) = match last.measure.worse {
        Worse::Up => (last.score < low, last.score > high),
        Worse::Down => (last.score > high, last.score < low),
    };
    match (better, worse) {
        (true, _) => "better than the expected range".into(),
        (_, true) => "the last score is worse than expected".into(),
        _ => "within the expected range".into(),
    }
}

pub(super) fn worse_than_expected(seen: &ScoreSeen) -> bool {
    match seen.measure.worse {
        Worse::Up => seen.score > seen.expected.1,
        Worse::Down => seen.score < seen.expected.0,
    }
}

fn clinical(seen: &ScoreSeen, manner: &Manner) -> String {
    match seen.measure.cutoff {
        Some(cut) if in_clinical_range(seen) => format!("in the clinical range (cut-off {})", figure(cut, manner)),
        Some(cut) => format!("not in the clinical range (cut-off {})", figure(cut, manner)),
        None => "this measure has no cut-off".into(),
    }
}

pub(super) fn in_clinical_range(seen: &ScoreSeen) -> bool {
    seen.measure.cutoff.is_some_and(|cut| match seen.measure.worse {
        Worse::Up => seen.score >= cut,
        Worse::Down => seen.score <= cut,
    })
}

/// The day of the last score, where more than one has been due since: it says nothing of the last weeks.
pub(super) fn stale_score(record: &Record, manner: &Manner) -> Option<String> {
    let last = record.scores().last()?.at;
    let missed = record.columns.iter().filter(|column| column.start > last && !column.rom.is_empty()).count();
    (missed > 1).then(|| date(last, record.as_of, manner))
}

/// Change since `since` against reliable change: "not worse", "worse", "better".
pub(super) fn score_word(record: &Record) -> Option<&'static str> {
    let scores = record.scores();
    let last = scores.last()?;
    let before = scores.iter().rev().find(|seen| seen.at < record.baseline_end)?;
    let rci = last.measure.rci?;
    let worse_by = match last.measure.worse {
        Worse::Up => last.score - before.score,
        Worse::Down => before.score - last.score,
    };
    Some(match worse_by {
        by if by >= rci => "worse",
        by if by <= -rci => "clearly better",
        by if by >= rci / 2.0 => "a little worse",
        _ => "not worse",
    })
}

/// All five, in the order of the sheet.
pub(super) const ENGAGEMENT: [SignalKind; 4] =
    [SignalKind::RomEngagement, SignalKind::HomeworkEngagement, SignalKind::Attendance, SignalKind::AllianceMeasure];
