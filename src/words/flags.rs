//! The two flags, always both: what they say, since when and why.

use super::grammar::{capital, counted, date, figure, list, points, times};
use super::pattern::{noun, opened_on, raising};
use super::record::Record;
use super::safety::zero_answer;
use super::scores::{
    SCORES_MIN, in_clinical_range, little_changed, outside, plateau, range, reliably_worse, risen, stale_score, told,
    trend, worse_than_expected,
};
use super::seen::{as_usual, changes};
use super::signals::Line;
use super::{Manner, Person};
use crate::domain::{Band, Closing, FlagKind, Pattern, ScoreSeen, SignalKind, Why};

/// Where a flag stands; the page gives each a shape of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    On,
    Watch,
    Off,
    /// No flag, and no all-clear either.
    Quiet,
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
        let opened = match opened_on(record, episode).as_slice() {
            [] => format!("flagged {since}"),
            kinds => format!("flagged {since} for {}", nouns(kinds)),
        };
        let signs = if now.pattern == Pattern::Confrontation { "signs of strain" } else { "signs of withdrawing" };
        let why = match raising(record).as_slice() {
            _ if record.fading() => format!("{signs} {own}, less so now; {opened}"),
            [] => format!("{signs} {own}, now fading; {opened}"),
            [one] => format!("{signs} {own}: {} alone; {opened}", noun(*one)),
            many if many == opened_on(record, episode) => format!("{signs} {own}; {opened}"),
            many => format!("{signs} {own}: {}; {opened}", nouns(many)),
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
            let changed = changes(record, &ENGAGEMENT, manner);
            let why = match recently {
                Some((episode, at)) => format!("the flag closed on {}: {}", day(at), super::closing(episode)),
                // No all-clear beside an alarm.
                None if changed.is_empty() && record.active(FlagKind::SafetyItem).is_some() => as_usual(record, person),
                None if changed.is_empty() => format!("no sign of withdrawing {own}"),
                None => format!("no pattern of withdrawing so far, {own}"),
            };
            let calm = changed.is_empty() && record.active(FlagKind::SafetyItem).is_none();
            let (standing, word) = if calm { (Standing::Off, "steady") } else { (Standing::Quiet, "no flag") };
            FlagWords::new(standing, OF, word, why)
        }
        Band::Watch | Band::Flag => {
            let why = match raising(record).as_slice() {
                [] => format!("no clear sign of withdrawing: a little less than usual, {own}"),
                [one] => format!("no clear sign of withdrawing: {} alone, which raises no flag", noun(*one)),
                many => format!("some signs of withdrawing: {}, not enough for a flag", nouns(many)),
            };
            FlagWords::new(Standing::Watch, OF, "worth watching", why)
        }
    }
}

pub fn response_flag(record: &Record, manner: &Manner) -> FlagWords {
    const OF: &str = "Treatment response";
    let scores = record.scores();
    let Some(last) = scores.last() else {
        // Where none is used, none is to come: and no safety question is asked either.
        return match record.sessions() > 0 && record.columns.iter().all(|c| c.rom.is_empty()) {
            true => FlagWords::new(Standing::Unknown, OF, "not measured", NOT_MEASURED),
            false => FlagWords::new(Standing::Unknown, OF, "no score yet", "no outcome questionnaire with a score"),
        };
    };
    let trend = format!("{} {}", last.measure.name, told(record, &scores, manner));
    if record.ended().is_some() {
        return FlagWords::new(Standing::Ended, OF, "ended", trend);
    }
    if let Some(episode) = record.active(FlagKind::NotOnTrack) {
        let since = date(episode.opened, record.as_of, manner);
        return FlagWords::new(
            Standing::On,
            OF,
            "not on track",
            format!("since {since}; {}", not_on_track(record.off_track().unwrap_or(episode.why), &scores, manner)),
        );
    }
    if scores.len() < SCORES_MIN {
        let why = match scores.len() {
            1 => format!("{trend}; one score so far"),
            _ => trend,
        };
        return FlagWords::new(Standing::Unknown, OF, "too early to say", why);
    }
    let last_on = stale_score(record, manner);
    let stale = last_on.as_ref().map_or_else(String::new, |day| format!("; last score on {day}"));
    if let Some((best, run)) = reliably_worse(&scores) {
        let best = points(best, &last.measure, manner);
        let why = format!("{trend}; {} reliably worse than the best level so far ({best}){stale}", running(run));
        return FlagWords::new(Standing::Watch, OF, "worth watching", why);
    }
    let why = format!("{trend}; {}{stale}", range(&scores));
    if worse_than_expected(last) || risen(&scores).is_some() {
        return FlagWords::new(Standing::Watch, OF, "worth watching", why);
    }
    let (standing, word) = match (last_on, little_changed(&scores), record.active(FlagKind::SafetyItem)) {
        (Some(_), ..) => (Standing::Unknown, "no recent score"),
        (None, true, _) => (Standing::Quiet, "little change"),
        (None, false, Some(_)) => (Standing::Quiet, "no flag"),
        (None, false, None) => (Standing::Off, "on track"),
    };
    FlagWords::new(standing, OF, word, why)
}

/// What is said where no outcome questionnaire is used.
pub(super) const NOT_MEASURED: &str = "no outcome questionnaire is used, so no safety question is asked either";

/// "once", "twice running".
pub(super) fn running(n: usize) -> String {
    if n == 1 { times(1) } else { format!("{} running", times(n)) }
}

pub(super) fn nouns(kinds: &[SignalKind]) -> String {
    list(&kinds.iter().map(|kind| noun(*kind).to_owned()).collect::<Vec<_>>())
}

fn not_on_track(why: Why, scores: &[&ScoreSeen], manner: &Manner) -> String {
    let Some(last) = scores.last() else { return String::new() };
    let name = &last.measure.name;
    match why {
        Why::AboveExpected => match outside(scores) {
            0 | 1 => format!("{name} {}; {}", trend(scores, manner), range(scores)),
            n => format!("{name} {}, worse than the expected range {}", trend(scores, manner), running(n)),
        },
        Why::ReliableDeterioration => {
            format!("{name} {}, reliably worse than the best level so far", trend(scores, manner))
        }
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
    let stale = stale_score(record, manner);
    let track = match record.active(FlagKind::NotOnTrack) {
        Some(_) => "; not on track",
        None if scores.len() < SCORES_MIN || worse_than_expected(last) => "",
        None if reliably_worse(&scores).is_some() => "; reliably worse than the best level so far",
        None if risen(&scores).is_some() => "; worth watching",
        None if record.ended().is_some() || stale.is_some() => "",
        None if little_changed(&scores) => "; little change so far",
        None if record.active(FlagKind::SafetyItem).is_some() => "",
        None => "; on track",
    };
    let sub = match record.active(FlagKind::NotOnTrack) {
        Some(_) if worse_than_expected(last) => format!("{}{track}", range(&scores)),
        Some(_) if record.off_track() == Some(Why::Plateau) => {
            format!("no longer improving, though inside the expected range{track}")
        }
        _ => format!("{}{track}", range(&scores)),
    };
    let plateau_now = record.off_track() == Some(Why::Plateau);
    let main = if plateau_now { plateau(&scores, manner) } else { told(record, &scores, manner) };
    let sub = match estimated(record, &scores, manner) {
        Some(estimated) => format!("{sub}; {estimated}"),
        None => sub,
    };
    let sub = [stale.map(|day| format!("no score since {day}")), zero_answer(record, &last.measure.name, manner)]
        .into_iter()
        .flatten()
        .fold(sub, |sub, more| format!("{sub}; {more}"));
    Line { main: capital(&main), sub, ..Line::default() }
}

/// Which of the scores named are made up for items left out.
fn estimated(record: &Record, scores: &[&ScoreSeen], manner: &Manner) -> Option<String> {
    const NAMED: usize = 3;
    let latest = &scores[scores.len().saturating_sub(NAMED)..];
    let day = |seen: &&&ScoreSeen| date(seen.at, record.as_of, manner);
    let days: Vec<String> = latest.iter().filter(|seen| record.left_out_of(seen) > 0).map(|s| day(&s)).collect();
    let last = scores.last()?;
    match (record.left_out_of(last), days.is_empty()) {
        (_, true) => None,
        (0, false) => Some(format!("estimated on {}, where an item was left out", list(&days))),
        (n, false) if days.len() == 1 => {
            Some(format!("the last is estimated, {} left out", counted(n.into(), "item", "items")))
        }
        _ => Some(format!("estimated on {}, where an item was left out", list(&days))),
    }
}

fn clinical(seen: &ScoreSeen, manner: &Manner) -> String {
    match seen.measure.cutoff {
        Some(cut) if in_clinical_range(seen) => format!("in the clinical range (cut-off {})", figure(cut, manner)),
        Some(cut) => format!("not in the clinical range (cut-off {})", figure(cut, manner)),
        None => "this measure has no cut-off".into(),
    }
}

/// All five, in the order of the sheet.
pub(super) const ENGAGEMENT: [SignalKind; 4] =
    [SignalKind::RomEngagement, SignalKind::HomeworkEngagement, SignalKind::Attendance, SignalKind::AllianceMeasure];
