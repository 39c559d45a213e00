//! One line a signal: what was seen in the last weeks, beside the client's own baseline.

use super::counts::{USUAL_MIN, median, with};
use super::grammar::{capital, date_short, figure, number, points, times};
use super::record::Record;
use super::rows::{attendance, homework, questionnaire};
use super::{Manner, Person, RAISED_NATS_MIN};
use crate::domain::{Administration, Assessment, Band, FlagKind, ScoreSeen, SignalKind, Worse};

/// An alliance rating this far from the usual one is worth a word, as a share of the measure's range: about one standard
/// deviation from session to session.
pub(super) const ALLIANCE_SHARE_MIN: f64 = 0.05;

/// What stands right of a row: one sentence, and the small print under it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    pub main: String,
    pub sub: String,
    /// This signal is one that keeps a flag up, or would.
    pub raised: bool,
    /// No data in this channel at all.
    pub absent: bool,
}

impl Line {
    pub(super) fn new(main: impl Into<String>, sub: Vec<String>) -> Self {
        Line {
            main: main.into(),
            sub: sub.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "),
            ..Line::default()
        }
    }

    pub(super) fn absent(main: impl Into<String>) -> Self {
        Line { absent: true, ..Line::new(main, vec!["counts for nothing".into()]) }
    }

    /// Both halves as one sentence, for a note.
    pub fn sentence(&self) -> String {
        if self.sub.is_empty() { format!("{}.", self.main) } else { format!("{}; {}.", self.main, self.sub) }
    }
}

pub fn signal_line(record: &Record, kind: SignalKind, person: &Person, manner: &Manner) -> Line {
    let mut line = match kind {
        SignalKind::RomTrajectory => super::flags::score_line(record, manner),
        SignalKind::RomEngagement => questionnaire(record, manner),
        SignalKind::HomeworkEngagement => homework(record, person, manner),
        SignalKind::Attendance => attendance(record, manner),
        SignalKind::AllianceMeasure => alliance(record, person, manner),
    };
    line.raised = match kind {
        SignalKind::RomTrajectory => record.active(FlagKind::NotOnTrack).is_some(),
        _ => !line.absent && raised(record, kind) && seen_lately(record, kind),
    };
    line
}

/// A row without anything in the last weeks is not painted as one that speaks.
fn seen_lately(record: &Record, kind: SignalKind) -> bool {
    let no_contact = record.current.is_some_and(|now| now.no_contact);
    record.recent().any(|c| match kind {
        SignalKind::RomTrajectory => !c.scores.is_empty(),
        SignalKind::RomEngagement => !c.rom.is_empty(),
        SignalKind::HomeworkEngagement => !c.homework.is_empty(),
        SignalKind::Attendance => !c.attendance.is_empty() || no_contact,
        SignalKind::AllianceMeasure => !c.alliance.is_empty(),
    })
}

pub(super) fn raised(record: &Record, kind: SignalKind) -> bool {
    // On a calm page one signal that moved a little is no news.
    let speaks = record.active(FlagKind::EngagementDrop).is_some();
    record.current.is_some_and(|now| {
        let band = speaks || now.band != Band::NothingUnusual;
        band && !now.warming_up && now.signal(kind).accumulated >= RAISED_NATS_MIN
    })
}

/// "two of the last three", "both of the last two", "all of the last four", "the last one".
pub(super) fn of_last(k: usize, n: usize) -> String {
    match (k, n) {
        (_, 1) => "the last one".into(),
        (2, 2) => "both of the last two".into(),
        (k, n) if k == n => format!("all of the last {}", number(n)),
        (k, n) => format!("{} of the last {}", number(k), number(n)),
    }
}

/// Not enough to say what is usual.
pub(super) fn thin(n: usize) -> String {
    match n {
        0 => "none before to compare with".into(),
        n => format!("only {} before to compare with", number(n)),
    }
}

/// What the evidence of one assessment rests on: what came in since the one before, and no more (the row's own
/// sentence speaks of weeks).
pub fn evidence_seen(now: &Assessment, kind: SignalKind, manner: &Manner) -> String {
    let seen = &now.seen;
    let parts: Vec<String> = match kind {
        SignalKind::RomTrajectory => {
            let score = |s: &ScoreSeen| format!("{} {}", s.measure.name, points(s.score, &s.measure, manner));
            seen.scores.iter().map(score).collect()
        }
        SignalKind::RomEngagement => seen.rom.iter().map(super::rom_cell).collect(),
        SignalKind::HomeworkEngagement => seen.homework.iter().map(|h| super::homework_cell(h, manner)).collect(),
        SignalKind::Attendance => {
            let outcomes = each_once(seen.attendance.iter().map(|(outcome, _)| super::ui::attendance(*outcome)));
            let gap = seen.spacing_days.map(|days| format!("{} since the session before", super::grammar::weeks(days)));
            outcomes.into_iter().chain(gap).collect()
        }
        SignalKind::AllianceMeasure => {
            let given = seen.alliance.iter().filter_map(|a| Some((a, a.score?)));
            given.map(|(a, score)| format!("{} {}", a.measure.name, points(score, &a.measure, manner))).collect()
        }
    };
    if parts.is_empty() { super::ui::NOTHING_NEW.to_owned() } else { capital(&parts.join("; ")) }
}

/// "kept", "cancelled by the client (three times)".
fn each_once(said: impl Iterator<Item = String>) -> Vec<String> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for one in said {
        match counted.iter_mut().find(|(what, _)| *what == one) {
            Some((_, n)) => *n += 1,
            None => counted.push((one, 1)),
        }
    }
    let shown = |(what, n): (String, usize)| if n == 1 { what } else { format!("{what} ({})", times(n)) };
    counted.into_iter().map(shown).collect()
}

fn alliance(record: &Record, person: &Person, manner: &Manner) -> Line {
    let given: Vec<_> = record
        .columns
        .iter()
        .flat_map(|c| c.alliance.iter().map(move |a| (c, *a)))
        .filter_map(|(c, a)| a.score.map(|score| (c, a, score)))
        .collect();
    let Some((_, last, score)) = given.last() else {
        return Line::absent(format!("No alliance questionnaire is used with {}", with(person)));
    };
    let name = &last.measure.name;
    let noticed = ALLIANCE_SHARE_MIN * (last.measure.max - last.measure.min);
    let same = |a: &Administration| a.measure.canonical == last.measure.canonical;
    let before =
        median(given.iter().filter(|(c, a, _)| c.start < record.baseline_end && same(a)).map(|g| g.2).collect());
    let worse_by = |usual: f64| match last.measure.worse {
        Worse::Up => score - usual,
        Worse::Down => usual - score,
    };
    let main = match before {
        Some(usual) if worse_by(usual) >= noticed => {
            format!(
                "{name} {}, lower than {} usual {}",
                points(*score, &last.measure, manner),
                person.hers(),
                points(usual, &last.measure, manner)
            )
        }
        Some(usual) if worse_by(usual) <= -noticed => {
            format!(
                "{name} {}, better than {} usual {}",
                points(*score, &last.measure, manner),
                person.hers(),
                points(usual, &last.measure, manner)
            )
        }
        Some(_) => format!("{name} {}, as usual", points(*score, &last.measure, manner)),
        None => format!("{name} {}", points(*score, &last.measure, manner)),
    };
    let main = match last.measure.worse {
        Worse::Up => main.replace("lower than", "worse than"),
        Worse::Down => main,
    };
    let earlier = given.iter().filter(|(c, ..)| c.start < record.baseline_end).count();
    let usual = if earlier < USUAL_MIN { thin(earlier) } else { String::new() };
    let clinical = last.measure.cutoff.filter(|cut| last.measure.worse == Worse::Down && score < cut);
    Line::new(
        main,
        vec![
            usual,
            clinical.map_or_else(String::new, |cut| {
                let below = given.iter().filter(|(_, a, score)| same(a) && *score < cut).count();
                let of = given.iter().filter(|(_, a, _)| same(a)).count();
                let often =
                    if below > 1 { format!(" (as in {} of {})", number(below), number(of)) } else { String::new() };
                format!("below {}{often}, worth asking about", figure(cut, manner))
            }),
            format!("given on {}", date_short(last.at, manner)),
        ],
    )
}
