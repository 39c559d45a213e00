//! The gist: one to three sentences. What changed, over which weeks, what did not, and no more.

use super::counts::crowded;
use super::flags::{ENGAGEMENT, running};
use super::grammar::{capital, date, day_name, figure, list, number, points, same_day, weeks};
use super::pattern::raising;
use super::record::{Record, days_between};
use super::scores::{
    self, gained, in_clinical_range, little_changed, outside, reliably_worse, risen, stale_score, sudden_gain, told,
    trend,
};
use super::seen::{all_usual, as_usual_sentence, changes};
use super::{Manner, Person, ui};
use crate::domain::{
    AttendanceOutcome, Band, Closing, FlagKind, Pattern, ScoreSeen, SignalKind, SlotOutcome, Why, Worse,
};

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

/// Where nothing is assessed: nothing has happened, or nothing but an answer of which nobody says when.
pub fn nothing_yet(record: &Record) -> &'static str {
    if record.active(FlagKind::SafetyItem).is_some() { ui::NOTHING_ELSE_YET } else { ui::NOTHING_YET }
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
        return said.say(nothing_yet(record));
    };
    let dropping = record.active(FlagKind::EngagementDrop);
    let off_track = record.active(FlagKind::NotOnTrack);
    if now.no_contact {
        return no_contact(record, person, manner);
    }
    if now.warming_up {
        return warming_up(record, person, manner, off_track.is_some());
    }
    let alarm = record.active(FlagKind::SafetyItem).is_some();
    // Crowded among the latest sessions says its own span, further back.
    let lately = if crowded(record).is_some() { "lately".to_owned() } else { record.lately(manner) };
    let said = match (dropping, now.band) {
        (Some(_), _) => return dropping_gist(record, person, manner, off_track.is_some()),
        (None, Band::Watch | Band::Flag) => {
            let changed = changed(record, manner);
            match changed.is_empty() {
                true => said.say(format!(
                    "{} a little less has come back from {} than usual.",
                    capital(&lately),
                    person.called()
                )),
                false => said
                    .say(format!("{} a little differs from {} usual: ", capital(&lately), person.hers()))
                    .say(format!("{}.", list(&changed))),
            }
            .say(" It is not enough for a flag.")
        }
        (None, Band::NothingUnusual) if off_track.is_some() => said,
        (None, Band::NothingUnusual) => {
            let once = changes(record, &ENGAGEMENT, manner);
            let closed = record.last_closed(FlagKind::EngagementDrop).and_then(|episode| episode.closed);
            let closed = closed.filter(|(at, _)| record.recent().any(|c| c.start <= *at)).map(|(at, _)| at);
            match (once.len(), closed) {
                (0, _) if alarm => said.say(as_usual_sentence(record, person)),
                (0, Some(at)) => {
                    said.say(format!("Steady since the engagement flag closed on {}.", date(at, record.as_of, manner)))
                }
                (0, None) => said.say(format!("Nothing unusual for {} {lately}.", person.her())),
                (_, closed) => {
                    let after = closed.map_or_else(
                        || format!("no pattern so far, against {} own record", person.hers()),
                        |at| {
                            format!(
                                "no new pattern since the engagement flag closed on {}",
                                date(at, record.as_of, manner)
                            )
                        },
                    );
                    said.say(format!("{}: {}; {after}.", capital(&lately), list(&once)))
                }
            }
        }
    };
    let said = match by_service(record) {
        Some(gap) => Gist { parts: [vec![Part::Plain(format!("{gap} "))], said.parts].concat() },
        None => said,
    };
    let said = match called_off_today(record, manner) {
        Some(today) => {
            let lead = if said_nothing(&said) { "" } else { " " };
            said.say(format!("{lead}{today}"))
        }
        None => said,
    };
    match off_track {
        Some(_) => {
            let lead = if said_nothing(&said) { "" } else { " " };
            let said = said.say(lead).strong(off_track_strong(record, person)).say(off_track_rest(record, manner));
            if now.band == Band::NothingUnusual { said.say(takes_part(record, person, manner)) } else { said }
        }
        None => said.say(score_sentence(record, person, manner)),
    }
}

fn said_nothing(said: &Gist) -> bool {
    said.parts.iter().all(|part| matches!(part, Part::Plain(text) | Part::Strong(text) if text.is_empty()))
}

/// Too early to compare: so far only what the record holds of sessions, and what the service did to them.
fn warming_up(record: &Record, person: &Person, manner: &Manner, off_track: bool) -> Gist {
    let so_far = match record.sessions() {
        0 => "no session".to_owned(),
        n => record.columns_counted(n),
    };
    let said = match by_service(record) {
        Some(gap) => Gist::default().say(format!("{gap} ")),
        None => Gist::default(),
    };
    let said = said.say(format!("{} so far: too few to say what is usual for {}.", capital(&so_far), person.called()));
    let changed = changes(record, &[SignalKind::Attendance], manner);
    let said = match changed.as_slice() {
        [] => said,
        _ => said.say(format!(" {}.", capital(&list(&changed)))),
    };
    if off_track { said.say(response(record, person, manner)) } else { said }
}

/// "Four weeks since the last session: three were cancelled by clinician or service."
fn by_service(record: &Record) -> Option<String> {
    let last = record.last_kept()?;
    let days = days_between(last.start, record.as_of);
    let cancelled = |c: &&super::Column| c.attended() == Some(AttendanceOutcome::CancelledByService);
    let n = record.columns.iter().filter(|c| c.start > last.start).filter(cancelled).count();
    let verb = if n == 1 { "was" } else { "were" };
    (n > 0 && days > record.interval_days * 1.5).then(|| {
        format!(
            "{} since the last session: {} since {verb} cancelled by clinician or service.",
            capital(&weeks(days)),
            number(n)
        )
    })
}

/// "Today's session was cancelled; the next is on Monday 13 April."
fn called_off_today(record: &Record, manner: &Manner) -> Option<String> {
    let slots = &record.timeline?.slots;
    let known = |at: jiff::Timestamp| at < record.as_of;
    let today = slots.iter().find(|slot| same_day(slot.start, record.as_of, manner) && known(slot.outcome_known))?;
    let by = match today.outcome {
        SlotOutcome::CancelledByClient | SlotOutcome::CancelledUnattributed => "",
        SlotOutcome::CancelledByService => " by clinician or service",
        SlotOutcome::Booked | SlotOutcome::Kept { .. } | SlotOutcome::NoShow => return None,
    };
    let ahead = slots.iter().filter(|slot| slot.start > record.as_of && slot.booked.is_none_or(known));
    let standing = ahead.filter(|slot| slot.outcome == SlotOutcome::Booked || !known(slot.outcome_known));
    let next = standing.map(|slot| slot.start).min();
    if next.is_some_and(|next| same_day(next, record.as_of, manner)) {
        return None;
    }
    let next = next.map_or_else(
        || "no other is booked".to_owned(),
        |at| format!("the next is on {} {}", day_name(at, manner), date(at, record.as_of, manner)),
    );
    Some(format!("Today's session was cancelled{by}; {next}."))
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
    let lately = if crowded(record).is_some() { "lately".to_owned() } else { record.lately(manner) };
    let confrontation = record.current.is_some_and(|now| now.pattern == Pattern::Confrontation);
    let worse = scores_worse(record);
    let changed = changed(record, manner);
    let less = |verb: &str| format!("less {verb} back from {}", person.called());
    let (strong, last) = match (record.fading(), confrontation, dissatisfied(record)) {
        (true, ..) => (
            less("came"),
            " The pattern is fading: the flag closes when it stays low at two sessions running and something good \
             comes back.",
        ),
        (_, true, true) => (
            format!("something seems not to sit well with {}", person.called()),
            " This looks more like dissatisfaction than withdrawal: a hint, no more.",
        ),
        (_, true, false) if worse => (
            "something has changed".to_owned(),
            " With a score that rises too, this may be dissatisfaction rather than withdrawal: a hint, no more.",
        ),
        _ => (less("is coming"), " This is a pattern that often comes before a client withdraws."),
    };
    let said = Gist::default();
    let said = if changed.is_empty() {
        let opened = record.active(FlagKind::EngagementDrop).map_or(record.as_of, |episode| episode.opened);
        said.say(format!(
            "The engagement flag of {} still stands, but {lately} nothing differs from {} usual.",
            date(opened, record.as_of, manner),
            person.hers()
        ))
    } else {
        said.say(format!("{} ", capital(&over(&lately)))).strong(strong).say(format!(": {}.", list(&changed)))
    };
    match off_track {
        // The pattern is that of the sentence before it.
        true => {
            let said = if changed.is_empty() { said } else { said.say(last) };
            said.say(" ").strong(off_track_strong(record, person)).say(off_track_rest(record, manner))
        }
        false => {
            let said = said.say(score_sentence(record, person, manner));
            if changed.is_empty() { said } else { said.say(last) }
        }
    }
}

/// "over the last three weeks": what goes on, not what happened.
fn over(lately: &str) -> String {
    lately.strip_prefix("in the ").map_or_else(|| lately.to_owned(), |rest| format!("over the {rest}"))
}

fn scores_worse(record: &Record) -> bool {
    let scores = record.scores();
    risen(&scores).is_some()
        || reliably_worse(&scores).is_some()
        || scores.last().is_some_and(|last| scores::worse_than_expected(last))
        || record.off_track().is_some_and(|why| why != Why::Plateau)
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
    // A call or a form may have come since: of sessions alone it can be said.
    let said = said.strong(format!("No session with {}", person.called()));
    let said = match record.last_kept() {
        Some(c) => said.say(format!(
            " since that of {} ({} ago), and nothing is booked.",
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
    let name = scores.last().map_or("score", |seen| seen.measure.name.as_str());
    match record.off_track() {
        Some(Why::Plateau) => format!("{} {name} has stopped improving", person.hers_capital()),
        Some(Why::ReliableDeterioration) => format!("{} {name} has got worse", person.hers_capital()),
        _ => format!("{} {name} is worse than expected by now", person.hers_capital()),
    }
}

/// The score off track in a few words: the standstill, where it is that.
fn course(record: &Record, scores: &[&ScoreSeen], manner: &Manner) -> String {
    if stands_still(record) { scores::plateau(scores, manner) } else { trend(scores, manner) }
}

fn stands_still(record: &Record) -> bool {
    record.off_track() == Some(Why::Plateau)
}

fn off_track_rest(record: &Record, manner: &Manner) -> String {
    let scores = record.scores();
    let clinical = scores.last().is_some_and(|seen| in_clinical_range(seen));
    let plateau = stands_still(record);
    let range = match (clinical, plateau) {
        (true, true) => ", still in the clinical range",
        (true, false) => ", in the clinical range",
        (false, _) => "",
    };
    let course = course(record, &scores, manner);
    let long = match outside(&scores) {
        n if n > 2 && !plateau => format!(", outside the expected range {}", running(n)),
        _ => String::new(),
    };
    format!(": {course}{range}{long}.{}", rating_low(record, manner))
}

/// " SRS 34 is below 36, as in six of eight.": an alliance in the range worth asking about belongs beside a score off track.
fn rating_low(record: &Record, manner: &Manner) -> String {
    let given: Vec<_> = record.columns.iter().flat_map(|c| &c.alliance).filter(|a| a.score.is_some()).collect();
    let Some(last) = given.last() else { return String::new() };
    let cut = last.measure.cutoff.filter(|_| last.measure.worse == Worse::Down);
    let (Some(cut), Some(score)) = (cut, last.score) else { return String::new() };
    if score >= cut {
        return String::new();
    }
    let same: Vec<f64> =
        given.iter().filter(|a| a.measure.canonical == last.measure.canonical).filter_map(|a| a.score).collect();
    let below = same.iter().filter(|score| **score < cut).count();
    let often = if below > 1 { format!(", as in {} of {}", number(below), number(same.len())) } else { String::new() };
    let name = &last.measure.name;
    format!(" {name} {} is below {}{often}.", points(score, &last.measure, manner), figure(cut, manner))
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
    let clinical = match (in_clinical_range(last), last.measure.cutoff) {
        (true, Some(_)) => ", in the clinical range",
        (false, Some(_)) if scores.iter().any(|seen| in_clinical_range(seen)) => ", out of the clinical range",
        (false, Some(_)) => ", not in the clinical range",
        _ => "",
    };
    let gain = gained(&scores);
    let stale = stale_score(record, manner);
    let is = match (outside(&scores), reliably_worse(&scores)) {
        (1, _) => "is worse than expected this once".to_owned(),
        (n, _) if n > 1 => format!("is worse than expected {}", running(n)),
        (_, Some((_, run))) => format!("is reliably worse than the best level so far, {}", running(run)),
        _ if risen(&scores).is_some() => "has got worse lately".to_owned(),
        _ if little_changed(&scores) => "has changed little".to_owned(),
        _ if gain >= 1.5 => "is much better".to_owned(),
        _ if gain >= 1.0 => "is better".to_owned(),
        _ if record.active(FlagKind::SafetyItem).is_some() => "is within the expected range".to_owned(),
        _ => "is on track".to_owned(),
    };
    // Of weeks that nobody measured nothing is said.
    let is = match (&stale, is.strip_prefix("is "), is.strip_prefix("has ")) {
        (Some(_), Some(rest), _) => format!("was {rest}"),
        (Some(_), None, Some(rest)) => format!("had {rest}"),
        _ => is,
    };
    let sudden = sudden_gain(&scores, manner).map_or_else(String::new, |fell| format!("; it fell {fell}"));
    let stale = stale.map_or_else(String::new, |day| format!("; last score on {day}"));
    format!(
        " {} {} {is}: {}{}{sudden}{stale}.",
        person.hers_capital(),
        last.measure.name,
        told(record, &scores, manner),
        if scores.len() > 2 { clinical } else { "" }
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
            capital(&format!("{}; {name} {}.", list(&changed), course(record, &scores, manner)))
        }
        (true, false, false) => capital(&format!("{}.", list(&changed))),
        (true, _, true) => "Nothing differs lately; the flag still stands.".into(),
        (false, true, _) if calm => response,
        (false, true, false) => format!("{} {response}", capital(&format!("{}.", list(&changed)))),
        (false, true, true) => response,
        (false, false, false) if !calm => capital(&format!("{}.", list(&changed))),
        (false, false, true) if record.active(FlagKind::SafetyItem).is_some() => as_usual_sentence(record, person),
        (false, false, true) => format!("Nothing unusual for {}.", person.her()),
        (false, false, false) => format!("{}: no pattern so far.", capital(&list(&changed))),
    }
}
