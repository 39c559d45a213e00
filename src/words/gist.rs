//! The gist: one to three sentences. What changed, over which weeks, what did not, and no more.

use super::flags::{
    self, ENGAGEMENT, flat, in_clinical_range, reliably_worse_than, score_word, stale_score, trend, worse_than_expected,
};
use super::grammar::{capital, date, list, number, weeks};
use super::record::{Record, days_between};
use super::seen::{all_usual, changes};
use super::signals::raising;
use super::{Manner, Person};
use crate::domain::{Band, Closing, FlagKind, Pattern, SignalKind, Why};

/// A stretch of the gist; the strong one is what the eye should catch.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Plain(String),
    Strong(String),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gist {
    pub parts: Vec<Part>,
}

impl Gist {
    fn say(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Plain(text.into()));
        self
    }

    fn strong(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Strong(text.into()));
        self
    }

    /// Without emphasis.
    pub fn text(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Plain(text) | Part::Strong(text) => text.as_str(),
            })
            .collect()
    }
}

pub fn gist(record: &Record, person: &Person, manner: &Manner) -> Gist {
    let said = Gist::default();
    if let Some(ended) = record.ended() {
        let day = date(ended, record.as_of, manner);
        return said.say(format!(
            "Treatment ended on {day}. Nothing is assessed after that, and a planned ending is no dropout."
        ));
    }
    let Some(now) = record.current else {
        return said.say("Nothing has happened in this record yet.");
    };
    let dropping = record.active(FlagKind::EngagementDrop);
    let off_track = record.active(FlagKind::NotOnTrack);
    if now.no_contact {
        return no_contact(record, person, manner);
    }
    if now.warming_up {
        let so_far = match record.sessions() {
            0 => "no session".to_owned(),
            n => record.columns_counted(n),
        };
        let said =
            said.say(format!("{} so far: too few to say what is usual for {}.", capital(&so_far), person.called()));
        let changed = changes(record, &ENGAGEMENT, manner);
        let said = match changed.as_slice() {
            [] => said,
            _ => said.say(format!(" {}.", capital(&list(&changed)))),
        };
        return match off_track {
            Some(_) => said.say(response(record, person, manner)),
            None => said,
        };
    }
    let said = match (dropping, now.band) {
        (Some(_), _) => return dropping_gist(record, person, manner, off_track.is_some()),
        (None, Band::Watch | Band::Flag) => {
            let changed = changed(record, manner);
            let weeks = number(record.window_weeks);
            match changed.is_empty() {
                true => said.say(format!(
                    "Over the last {weeks} weeks a little less has come back from {} than usual.",
                    person.called()
                )),
                false => said
                    .say(format!("In the last {weeks} weeks a little differs from {} usual: ", person.hers()))
                    .say(format!("{}.", list(&changed))),
            }
            .say(" It is not enough for a flag.")
        }
        (None, Band::NothingUnusual) if off_track.is_some() => said,
        (None, Band::NothingUnusual) => {
            let weeks = number(record.window_weeks);
            let once = changes(record, &ENGAGEMENT, manner);
            match once.len() {
                0 => said.say(format!("Nothing unusual for {} in the last {weeks} weeks.", person.her())),
                1 => said.say(format!(
                    "Nothing unusual for {} in the last {weeks} weeks. {}: no pattern so far.",
                    person.her(),
                    capital(&once[0])
                )),
                _ => said.say(format!(
                    "In the last {weeks} weeks: {}; no pattern so far, against {} own record.",
                    list(&once),
                    person.hers()
                )),
            }
        }
    };
    match off_track {
        Some(_) => {
            let lead = if said.parts.is_empty() { "" } else { " " };
            let said = said.say(lead).strong(off_track_strong(record, person)).say(off_track_rest(record, manner));
            if now.band == Band::NothingUnusual { said.say(takes_part(record, person, manner)) } else { said }
        }
        None => said.say(score_sentence(record, person, manner)),
    }
}

/// Beside a score off track: whether engagement changed too, short of a pattern.
fn takes_part(record: &Record, person: &Person, manner: &Manner) -> String {
    let once = changes(record, &ENGAGEMENT, manner);
    match (once.is_empty(), all_usual(record, manner)) {
        (true, true) => format!(
            " Nothing has changed in how {} takes part: questionnaires, homework and sessions are as usual.",
            person.she()
        ),
        (true, false) => format!(" Nothing has changed in how {} takes part.", person.she()),
        (false, _) => format!(" {}: no pattern so far.", capital(&list(&once))),
    }
}

/// What changed, the signals that carry the flag first. Few enough to read at a glance.
fn changed(record: &Record, manner: &Manner) -> Vec<String> {
    const PHRASES_MAX: usize = 4;
    let mut kinds = raising(record);
    kinds.extend(ENGAGEMENT.into_iter().filter(|kind| !raising(record).contains(kind)));
    let mut said = changes(record, &kinds, manner);
    said.truncate(PHRASES_MAX);
    said
}

fn dropping_gist(record: &Record, person: &Person, manner: &Manner, off_track: bool) -> Gist {
    let weeks = number(record.window_weeks);
    let confrontation = record.current.is_some_and(|now| now.pattern == Pattern::Confrontation);
    let changed = changed(record, manner);
    let less = |verb: &str| format!("less {verb} back from {}", person.called());
    let (strong, last) = match (record.fading(), confrontation, dissatisfied(record)) {
        (true, ..) => (less("came"), " The pattern is fading: the flag closes after two steady sessions running."),
        (_, true, true) => (
            format!("something seems not to sit well with {}", person.called()),
            " This looks more like dissatisfaction than withdrawal: a hint, no more.",
        ),
        (_, true, false) => (
            less("is coming"),
            " The score weighs more here than what is left undone, which may mean dissatisfaction rather than \
             withdrawal: a hint, no more.",
        ),
        _ => (less("is coming"), " This is a pattern that often comes before a client withdraws."),
    };
    let said = Gist::default();
    let said = if changed.is_empty() {
        said.say(format!("In the last {weeks} weeks more is coming back again from {}", person.called()))
            .say(", but the flag still stands: it closes after two steady sessions.")
    } else {
        said.say(format!("Over the last {weeks} weeks ")).strong(strong).say(format!(": {}.", list(&changed)))
    };
    match off_track {
        // The pattern is that of the sentence before it.
        true => {
            let said = if changed.is_empty() { said } else { said.say(last) };
            said.say(" ").strong(off_track_strong(record, person)).say(off_track_rest(record, manner))
        }
        false => {
            let by_score = confrontation && !record.fading() && !dissatisfied(record);
            let said = match score_word(record).filter(|word| !by_score || *word != "not worse") {
                Some(word) => match stale_score(record, manner) {
                    Some(day) => said.say(format!(" {} last score, on {day}, is {word}.", person.hers_capital())),
                    None => said.say(format!(" {} score is {word}.", person.hers_capital())),
                },
                None => said,
            };
            if changed.is_empty() { said } else { said.say(last) }
        }
    }
}

/// A pattern like dissatisfaction, and the alliance questionnaire says so.
pub(super) fn dissatisfied(record: &Record) -> bool {
    record.current.is_some_and(|now| now.pattern == Pattern::Confrontation)
        && raising(record).contains(&SignalKind::AllianceMeasure)
}

fn no_contact(record: &Record, person: &Person, manner: &Manner) -> Gist {
    let said = Gist::default();
    let closed = record.last_closed(FlagKind::EngagementDrop).and_then(|e| e.closed);
    let disengaged =
        matches!(closed, Some((_, Closing::Disengaged))) && record.active(FlagKind::EngagementDrop).is_none();
    let said = said.strong(format!("No contact with {}", person.called()));
    let said = match record.last_kept() {
        Some(c) => said.say(format!(
            " since the session of {} ({} ago), and nothing is booked.",
            date(c.start, record.as_of, manner),
            weeks(days_between(c.start, record.as_of))
        )),
        None => said.say(": no kept session yet, and nothing is booked."),
    };
    match disengaged {
        true => said.say(" The flag closed after eight weeks as disengaged, which does not mean recovered."),
        false => {
            said.say(format!(" Why, the record does not say; a call may find out more than {} data.", person.hers()))
        }
    }
}

fn off_track_strong(record: &Record, person: &Person) -> String {
    let scores = record.scores();
    let why = record.active(FlagKind::NotOnTrack).map(|episode| episode.why);
    let name = scores.last().map_or("score", |seen| seen.measure.name.as_str());
    match why {
        Some(Why::Plateau) => format!("{} {name} has stopped improving", person.hers_capital()),
        Some(Why::ReliableDeterioration) => format!("{} {name} has got worse", person.hers_capital()),
        _ => format!("{} {name} is worse than expected by now", person.hers_capital()),
    }
}

fn off_track_rest(record: &Record, manner: &Manner) -> String {
    let scores = record.scores();
    let clinical = scores.last().is_some_and(|seen| in_clinical_range(seen));
    let plateau = record.active(FlagKind::NotOnTrack).is_some_and(|e| e.why == Why::Plateau);
    let range = match (clinical, plateau) {
        (true, true) => ", still in the clinical range",
        (true, false) => ", in the clinical range",
        (false, _) => "",
    };
    let course = if plateau { flags::plateau(&scores, manner) } else { trend(&scores, manner) };
    format!(": {course}{range}.")
}

fn response(record: &Record, person: &Person, manner: &Manner) -> String {
    format!(" {}{}", off_track_strong(record, person), off_track_rest(record, manner))
}

fn score_sentence(record: &Record, person: &Person, manner: &Manner) -> String {
    let scores = record.scores();
    let Some(last) = scores.last() else {
        return String::new();
    };
    if scores.len() < 2 {
        return String::new();
    }
    let flat_too = flat(&scores) >= 4;
    let clinical = match (in_clinical_range(last), last.measure.cutoff) {
        (true, Some(_)) => ", in the clinical range",
        (false, Some(_)) if scores.iter().any(|seen| in_clinical_range(seen)) => ", out of the clinical range",
        (false, Some(_)) => ", not in the clinical range",
        _ => "",
    };
    format!(
        " {} {} {}: {}{}.",
        person.hers_capital(),
        last.measure.name,
        match (worse_than_expected(last), reliably_worse_than(&scores)) {
            (true, _) => "is once worse than expected",
            (_, Some(_)) => "is once reliably worse than the best so far",
            _ if flags::little_changed(&scores) => "has changed little",
            _ => "is on track",
        },
        trend(&scores, manner),
        if flat_too || scores.len() > 2 { clinical } else { "" }
    )
}

/// The one sentence of the caseload.
pub fn caseload_line(record: &Record, person: &Person, manner: &Manner) -> String {
    if record.ended().is_some() || record.current.is_none() {
        return gist(record, person, manner).text();
    }
    let now_no_contact = record.current.is_some_and(|now| now.no_contact);
    let dropping = record.active(FlagKind::EngagementDrop).is_some();
    let off_track = record.active(FlagKind::NotOnTrack).is_some();
    let warming = record.current.is_some_and(|now| now.warming_up);
    if now_no_contact || (warming && !off_track) {
        let text = gist(record, person, manner).text();
        return text.split_inclusive(". ").next().unwrap_or(&text).trim().to_owned();
    }
    let calm = record.current.is_some_and(|now| now.band == Band::NothingUnusual);
    let changed = changed(record, manner);
    let response = format!("{}{}", off_track_strong(record, person), off_track_rest(record, manner));
    match (dropping, off_track, changed.is_empty()) {
        (true, true, false) => {
            let scores = record.scores();
            let name = scores.last().map_or("score", |seen| seen.measure.name.as_str());
            capital(&format!("{}; {name} {}.", list(&changed), trend(&scores, manner)))
        }
        (true, false, false) => capital(&format!("{}.", list(&changed))),
        (true, _, true) => "More is coming back again; the flag still stands.".into(),
        (false, true, _) if calm => response,
        (false, true, false) => format!("{} {response}", capital(&format!("{}.", list(&changed)))),
        (false, true, true) => response,
        (false, false, false) if !calm => capital(&format!("{}.", list(&changed))),
        (false, false, true) => format!("Nothing unusual for {}.", person.her()),
        (false, false, false) => format!("{}: no pattern so far.", capital(&list(&changed))),
    }
}
