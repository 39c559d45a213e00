//! The pattern: which signals carry it, on which it opened, and its row.

use super::flags::{ENGAGEMENT, nouns};
use super::grammar::{date, number};
use super::record::Record;
use super::seen::{as_usual, changes};
use super::signals::{Line, raised};
use super::{Manner, Person, RAISED_NATS_MIN};
use crate::domain::{Band, Closing, Episode, FlagKind, Pattern, SignalKind};

/// Which signals keep the engagement flag up, strongest first.
pub(super) fn raising(record: &Record) -> Vec<SignalKind> {
    let mut kinds: Vec<SignalKind> = SignalKind::ALL
        .into_iter()
        .filter(|kind| *kind != SignalKind::RomTrajectory && raised(record, *kind))
        .collect();
    let weight = |kind: &SignalKind| record.current.map_or(0.0, |now| now.signal(*kind).accumulated);
    kinds.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    kinds
}

/// On which signals an engagement episode opened: those of what it rests on; where that does not say, those that
/// stood out at the first assessment with it.
pub(super) fn opened_on(record: &Record, episode: &Episode) -> Vec<SignalKind> {
    let rests = |source: &crate::domain::Source| episode.rests_on.contains(source);
    let columns = || record.columns.iter().filter(|column| column.start < record.as_of || column.assessment.is_some());
    let on = |kind: &SignalKind| {
        columns().any(|column| match kind {
            SignalKind::RomTrajectory => false,
            SignalKind::RomEngagement => column.rom.iter().any(|form| form.source.iter().chain(&form.task).any(rests)),
            SignalKind::HomeworkEngagement => column.homework.iter().any(|h| rests(&h.source)),
            SignalKind::Attendance => {
                column.assessment.is_some_and(|a| a.seen.attendance.iter().any(|(_, source)| rests(source)))
            }
            SignalKind::AllianceMeasure => column.alliance.iter().any(|given| rests(&given.source)),
        })
    };
    let by_source: Vec<SignalKind> = ENGAGEMENT.into_iter().filter(on).collect();
    if by_source.len() > 1 {
        return by_source;
    }
    let assessments = record.columns.iter().filter_map(|column| column.assessment);
    let then = assessments.into_iter().find(|a| a.as_of >= episode.opened);
    let stood_out = |kind: &SignalKind| then.is_some_and(|a| a.signal(*kind).accumulated >= RAISED_NATS_MIN);
    let kinds: Vec<SignalKind> = ENGAGEMENT.into_iter().filter(stood_out).collect();
    // It takes two: one alone would be half an answer.
    if kinds.len() > 1 { kinds } else { Vec::new() }
}

pub(super) fn noun(kind: SignalKind) -> &'static str {
    match kind {
        SignalKind::RomTrajectory => "the score",
        SignalKind::RomEngagement => "the questionnaire",
        SignalKind::HomeworkEngagement => "homework",
        SignalKind::Attendance => "attendance",
        SignalKind::AllianceMeasure => "the alliance questionnaire",
    }
}

pub(super) fn pattern_line(record: &Record, person: &Person, manner: &Manner) -> Line {
    let Some(now) = record.current else {
        return Line::absent("Nothing to go on yet");
    };
    if let Some(ended) = record.ended() {
        return Line::new(
            format!("Assessment ended on {}", date(ended, record.as_of, manner)),
            vec!["a planned ending is no dropout".into()],
        );
    }
    let raising = raising(record);
    let agree = match raising.as_slice() {
        [] => String::new(),
        [one] => format!("now {} alone", noun(*one)),
        [first, ..] => format!("{} signals agree; {} counts most", number(raising.len()), noun(*first)),
    };
    let hint = match now.pattern {
        // The gist speaks of withdrawal already; only the rarer reading needs a word here.
        Pattern::None | Pattern::Withdrawal => String::new(),
        Pattern::Confrontation => "more like dissatisfaction than withdrawal (a hint)".into(),
    };
    let mut line = if let Some(episode) = record.active(FlagKind::EngagementDrop) {
        let since = date(episode.opened, record.as_of, manner);
        let opened = match opened_on(record, episode).as_slice() {
            [] => String::new(),
            kinds => format!("at first for {}", nouns(kinds)),
        };
        Line::new(format!("Flagged since {since}"), vec![opened, agree, hint])
    } else if now.no_contact && !now.warming_up {
        let closed = record.last_closed(FlagKind::EngagementDrop).and_then(|episode| episode.closed);
        let sub = match closed {
            Some((closed, Closing::Disengaged)) => {
                let day = date(closed, record.as_of, manner);
                format!("the flag closed on {day} as disengaged, which does not mean recovered")
            }
            _ => "nothing is booked".into(),
        };
        Line::new("No contact", vec![sub])
    } else if now.warming_up {
        let so_far = match record.sessions() {
            0 => "no session yet".to_owned(),
            n => format!("{} so far", record.columns_counted(n)),
        };
        Line::new("Too early to say", vec![so_far, "no flag before three".into()])
    } else {
        let alone = if raising.len() > 1 { "" } else { "one signal alone raises no flag" }.to_owned();
        match now.band {
            Band::Flag => Line::new("Worth watching", vec![agree, alone, hint]),
            Band::Watch => Line::new("Worth watching", vec![agree, "not enough for a flag".into(), hint]),
            Band::NothingUnusual => Line::new(
                match changes(record, &ENGAGEMENT, manner).is_empty() {
                    true if record.active(FlagKind::SafetyItem).is_some() => {
                        super::grammar::capital(&as_usual(record, person))
                    }
                    true => "Nothing unusual".to_owned(),
                    false => "No pattern so far".to_owned(),
                },
                vec![format!(
                    "against {} own record of {}",
                    person.hers(),
                    record.columns_counted(now.baseline_steps as usize)
                )],
            ),
        }
    };
    line.raised = record.active(FlagKind::EngagementDrop).is_some();
    line
}
