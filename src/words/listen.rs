//! The fifth signal is not in the data: what to listen for, chosen by what changed. Three at most.

use super::Person;
use super::counts::{Forms, homework_fell, questionnaires};
use super::pattern::raising;
use super::record::Record;
use super::scores::{gained, in_clinical_range, sudden_gain};
use crate::domain::{Assessment, AttendanceOutcome, FlagKind, Pattern, SignalKind, Subscale, Why};

const LISTEN_MAX: usize = 3;

/// The three parts of an alliance (Bordin): agreement on tasks, on goals, and the bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strand {
    Task,
    Goal,
    Bond,
}

/// What to listen for: up to three things.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listen {
    pub items: Vec<String>,
    /// Something in the record asks for the first; else they are what one listens for in any session.
    pub pointed: bool,
}

pub fn listen_for(record: &Record, person: &Person) -> Listen {
    if record.ended().is_some() {
        return Listen::default();
    }
    let mut items = chosen(record, person);
    let pointed = !items.is_empty();
    if strands(record).is_empty() && !confrontation(record) && !no_contact(record) {
        let she = person.she();
        items.push(format!("What does {she} bring up unasked?"));
        items.push(format!("Does {she} still disagree now and then?"));
    }
    items.truncate(LISTEN_MAX);
    Listen { items, pointed }
}

fn confrontation(record: &Record) -> bool {
    record.current.is_some_and(|now| now.pattern == Pattern::Confrontation)
}

fn no_contact(record: &Record) -> bool {
    record.current.is_some_and(|now| now.no_contact)
}

/// By what the record holds; an answer to a safety question goes before everything.
fn chosen(record: &Record, person: &Person) -> Vec<String> {
    let she = person.she();
    let mut items: Vec<String> = Vec::new();
    if record.active(FlagKind::SafetyItem).is_some() {
        items.push("How is it today with what the safety question asks? It helps to ask outright.".to_owned());
    }
    if no_contact(record) {
        items.push(format!("When {she} is reached: what has made it hard to come, and what would make it easier?"));
        items.push(format!("Does {she} want to go on, pause or stop? Any of the three is worth hearing."));
        return items;
    }
    if confrontation(record) {
        items.push(format!("Is there something {she} would like done differently, and can it be said here?"));
    }
    items.extend(asks(record, person));
    for (strand, because) in strands(record) {
        items.push(match strand {
            Strand::Task => format!("Does {she} ask why we do an exercise, or just nod?{because}"),
            Strand::Goal => format!("Are we still working on what matters most to {}?{because}", person.her()),
            Strand::Bond => format!("Does {she} still disagree with anything, or agree with everything?{because}"),
        });
    }
    if record.active(FlagKind::EngagementDrop).is_some() && !confrontation(record) {
        items.push(format!("Does {she} bring up things unasked, or wait for prompts?"));
    }
    items
}

/// What one thing in the record asks for by itself.
fn asks(record: &Record, person: &Person) -> Vec<String> {
    let mut items = Vec::new();
    let scores = record.scores();
    let dropping = record.active(FlagKind::EngagementDrop).is_some();
    let service = |c: &&super::Column| c.attended() == Some(AttendanceOutcome::CancelledByService);
    if record.recent().filter(service).count() > 1 {
        items.push(format!("How were the cancelled sessions for {}?", person.her()));
    }
    if record.recent().any(|c| c.homework.iter().any(|h| h.declined)) {
        items.push("What did not fit about the homework that was declined?".to_owned());
    }
    let worse = [Why::AboveExpected, Why::ReliableDeterioration];
    if record.off_track().is_some_and(|why| worse.contains(&why)) {
        items.push("Has something happened outside therapy?".to_owned());
    }
    if sudden_gain(&scores, &super::Manner::default()).is_some() {
        items.push("What has changed since the score fell so fast?".to_owned());
    } else if dropping && gained(&scores) >= 1.5 && scores.last().is_some_and(|last| !in_clinical_range(last)) {
        items.push("With the score so much better: is it time to talk about ending?".to_owned());
    }
    items
}

/// Which strands what changed points to, each with the reason; the earliest change first.
fn strands(record: &Record) -> Vec<(Strand, String)> {
    let mut found: Vec<(Strand, String)> = Vec::new();
    let mut add = |strand: Strand, because: String| {
        if !found.iter().any(|(s, _)| *s == strand) {
            found.push((strand, because));
        }
    };
    if let Some(lowest) = lowest_subscale(record) {
        let (strand, name) = match lowest {
            Subscale::Task => (Strand::Task, "task"),
            Subscale::Goal => (Strand::Goal, "goal"),
            Subscale::Bond => (Strand::Bond, "bond"),
        };
        add(strand, format!(" (The {name} part of the alliance questionnaire fell most.)"));
    }
    let mut kinds = raising(record);
    kinds.sort_by_key(|kind| first_rise(record, *kind));
    let several = kinds.len() > 1;
    for (i, kind) in kinds.iter().enumerate() {
        let first = |fell: bool, what: &str, open: &str| match (fell, i, several) {
            (false, ..) => String::new(),
            (true, 0, true) => format!(" ({what} fell first: {open})"),
            _ => format!(" ({what} fell: {open})"),
        };
        match kind {
            SignalKind::HomeworkEngagement => {
                add(Strand::Task, first(homework_fell(record), "Homework", "does the task still fit?"));
            }
            SignalKind::RomEngagement => {
                let because = match questionnaires(record) {
                    Forms::Fewer => first(true, "Questionnaires", "do they still seem of use?"),
                    Forms::Faster => " (Questionnaires are answered faster: do they still seem of use?)".to_owned(),
                    Forms::Same => String::new(),
                };
                add(Strand::Goal, because);
            }
            SignalKind::Attendance => add(Strand::Bond, String::new()),
            SignalKind::AllianceMeasure => add(Strand::Bond, first(true, "The session rating", "what was missing?")),
            SignalKind::RomTrajectory => {}
        }
    }
    match record.off_track() {
        Some(Why::Plateau) => add(Strand::Goal, " (The score has not moved as hoped.)".into()),
        Some(_) => add(Strand::Goal, " (The score has got worse.)".into()),
        None => {}
    }
    found
}

/// The step at which a signal first rose in the run that still lasts.
fn first_rise(record: &Record, kind: SignalKind) -> usize {
    let steps: Vec<&Assessment> = record.columns.iter().filter_map(|c| c.assessment).collect();
    let quiet = steps.iter().rposition(|step| step.signal(kind).accumulated < super::RAISED_NATS_MIN);
    quiet.map_or(0, |i| i + 1)
}

/// The WAI-SR part that fell most against the one before it.
fn lowest_subscale(record: &Record) -> Option<Subscale> {
    let given: Vec<_> = record.columns.iter().flat_map(|c| &c.alliance).filter(|a| a.subscales.len() == 3).collect();
    let [.., before, last] = given.as_slice() else {
        return None;
    };
    let fall = |scale: Subscale| {
        let of = |a: &crate::domain::Administration| a.subscales.iter().find(|(s, _)| *s == scale).map(|(_, v)| *v);
        Some(of(before)? - of(last)?)
    };
    [Subscale::Task, Subscale::Goal, Subscale::Bond]
        .into_iter()
        .filter_map(|scale| Some((scale, fall(scale)?)))
        .filter(|(_, fall)| *fall >= 2.0)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(scale, _)| scale)
}
