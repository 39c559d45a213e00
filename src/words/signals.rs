//! One line a signal: what was seen in the last weeks, beside the client's own baseline.

use super::grammar::{capital, counted, date, date_short, figure, number, points, times};
use super::record::{Column, Record};
use super::{Manner, Person, RAISED_NATS_MIN};
use crate::domain::{
    Assessment, AttendanceOutcome, Band, Closing, FlagKind, HomeworkOutcome, HomeworkSeen, Pattern, RomOutcome,
    ScoreSeen, SignalKind, Worse,
};

/// An alliance rating this far from the usual one is worth a word, as a share of the measure's range: about one standard
/// deviation from session to session.
pub(super) const ALLIANCE_SHARE_MIN: f64 = 0.05;
/// Observations from which "usually" may be said.
const USUAL_MIN: usize = 3;

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
    fn new(main: impl Into<String>, sub: Vec<String>) -> Self {
        Line {
            main: main.into(),
            sub: sub.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "),
            ..Line::default()
        }
    }

    fn absent(main: impl Into<String>) -> Self {
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

/// "baseline: 2 observations": not enough to say what is usual.
fn thin(n: usize) -> String {
    match n {
        0 => "no baseline yet".into(),
        1 => "baseline: 1 observation".into(),
        n => format!("baseline: {n} observations"),
    }
}

fn every(record: &Record) -> &'static str {
    match record.interval_days {
        d if (6.0..=8.5).contains(&d) => "every week",
        d if (12.0..=16.0).contains(&d) => "every two weeks",
        _ => "every time",
    }
}

fn questionnaire(record: &Record, manner: &Manner) -> Line {
    let seen = |c: &Column| c.rom_outcome().cloned().map(|rom| (c.start, rom));
    let recent: Vec<_> = record.recent().filter_map(seen).collect();
    let before: Vec<_> = record.baseline().filter_map(seen).collect();
    if record.columns.iter().all(|c| c.rom.is_empty()) {
        return Line::absent("No questionnaire was asked for");
    }
    let n = recent.len();
    let count = |outcome: RomOutcome| recent.iter().filter(|(_, r)| r.outcome == outcome).count();
    let (missed, partial, fast, same) = (
        count(RomOutcome::Missed),
        count(RomOutcome::Partial),
        count(RomOutcome::Perfunctory),
        count(RomOutcome::Alike),
    );
    let weeks = number(record.window_weeks);
    let main = match (n, missed, partial, fast) {
        (0, ..) => format!("None asked for in the last {weeks} weeks"),
        (_, 1.., ..) => format!("Missed {}", of_last(missed, n)),
        (_, 0, 1.., _) => format!("Items left out in {}", of_last(partial, n)),
        (_, 0, 0, 1..) => format!("Answered very fast in {}", of_last(fast, n)),
        _ if same > 0 => format!("Every question answered alike in {}", of_last(same, n)),
        (1, ..) => "The last one filled in whole".into(),
        (2, ..) => "Both of the last two filled in whole".into(),
        _ => format!("All of the last {} filled in whole", number(n)),
    };
    let full = before.iter().filter(|(_, r)| r.outcome == RomOutcome::Complete).count();
    let items = recent.iter().chain(&before).map(|(_, r)| r.expected).max().unwrap_or(0);
    let usual = match (before.len(), full) {
        (b, _) if b < USUAL_MIN => thin(b),
        (b, f) if b == f && items > 1 => format!("usually all {items}, {}", every(record)),
        (b, f) if b == f => format!("usually {}", every(record)),
        (b, 0) => format!("none of {b} whole before"),
        (b, f) => format!("{f} of {b} whole before"),
    };
    let detail = recent.iter().rev().find_map(|(start, rom)| {
        let left_out = rom.expected.saturating_sub(rom.answered);
        let on = date_short(*start, manner);
        match rom.outcome {
            RomOutcome::Partial if left_out > 0 => {
                Some(format!("{} left out on {on}", counted(left_out.into(), "item", "items")))
            }
            RomOutcome::Partial => Some(format!("begun and not finished on {on}")),
            RomOutcome::Perfunctory => Some(format!("under two seconds an item on {on}")),
            RomOutcome::Alike => Some(format!("all answered alike on {on}")),
            _ => None,
        }
    });
    Line::new(main, vec![usual, detail.unwrap_or_default()])
}

fn homework(record: &Record, person: &Person, manner: &Manner) -> Line {
    let recent: Vec<&HomeworkSeen> = record.recent().flat_map(|c| c.homework.iter().copied()).collect();
    let before: Vec<&HomeworkSeen> = record.baseline().flat_map(|c| c.homework.iter().copied()).collect();
    if record.columns.iter().all(|c| c.homework.is_empty()) {
        return Line::absent("No homework in this record");
    }
    let n = recent.len();
    let count = |o: HomeworkOutcome| recent.iter().filter(|h| h.outcome == o).count();
    let (undone, partly, late) =
        (count(HomeworkOutcome::NotDone), count(HomeworkOutcome::Partial), count(HomeworkOutcome::Late));
    let main = if n == 0 {
        format!("None set in the last {} weeks", number(record.window_weeks))
    } else if undone + partly + late == 0 {
        match n {
            1 => "The last one done".into(),
            2 => "Both of the last two done".into(),
            _ => format!("All of the last {} done", number(n)),
        }
    } else {
        let tail = [(partly, "in part"), (late, "late")];
        let mut parts: Vec<String> = Vec::new();
        if undone > 0 {
            parts.push(format!("{} undone", of_last(undone, n)));
        }
        for (k, what) in tail.into_iter().filter(|(k, _)| *k > 0) {
            parts.push(match parts.is_empty() {
                true => format!("{} {what}", of_last(k, n)),
                false => format!("{} {what}", number(k)),
            });
        }
        capital(&parts.join(", "))
    };
    let done = before.iter().filter(|h| h.outcome == HomeworkOutcome::Done).count();
    let usual = match before.len() {
        b if b < USUAL_MIN => thin(b),
        b if b == done => format!("usually done, all {b} before"),
        b if done == 0 => format!("none of {b} done in full before"),
        b if done * 2 >= b => format!("usually {done} of {b} done"),
        b => format!("{done} of {b} done in full before"),
    };
    // One in part is no news that asks for a reason; nor is what was so before.
    let justified = recent.iter().map(|h| h.justified).fold(0.0, f64::max);
    let off_track = record.active(FlagKind::NotOnTrack).is_some();
    let why = match (undone * 2 + partly, justified >= 0.5) {
        (0 | 1, _) => String::new(),
        _ if !homework_fell(record) => String::new(),
        (_, true) if off_track => String::new(),
        (_, true) if raised(record, SignalKind::HomeworkEngagement) => {
            format!("{} improvement may explain some of it", person.hers())
        }
        (_, true) => format!("{} improvement may explain it", person.hers()),
        _ if record.scores().is_empty() => String::new(),
        _ => "the score does not explain it".into(),
    };
    Line::new(main, vec![usual, content(record, manner).unwrap_or_default(), why])
}

/// Clearly less homework comes back than before; `false` where there is too little before to say.
pub(super) fn homework_fell(record: &Record) -> bool {
    let left = |h: &HomeworkSeen| match h.outcome {
        HomeworkOutcome::NotDone => 1.0,
        HomeworkOutcome::Partial => 0.5,
        HomeworkOutcome::Done | HomeworkOutcome::Late => 0.0,
    };
    let share = |seen: Vec<f64>| (!seen.is_empty()).then(|| seen.iter().sum::<f64>() / seen.len() as f64);
    let before: Vec<f64> = record.baseline().flat_map(|c| &c.homework).map(|h| left(h)).collect();
    let enough = before.len() >= USUAL_MIN;
    let recent: Vec<f64> = record.recent().flat_map(|c| &c.homework).map(|h| left(h)).collect();
    let enough = enough && recent.len() > 1;
    matches!((share(recent), share(before)), (Some(now), Some(then)) if enough && now >= then + 0.2)
}

/// The same of questionnaires not filled in whole.
pub(super) fn questionnaires_fell(record: &Record) -> bool {
    let whole = |c: &Column| c.rom_outcome().map(|rom| rom.outcome == RomOutcome::Complete);
    let share = |seen: Vec<bool>| seen.iter().filter(|whole| !**whole).count() as f64 / seen.len().max(1) as f64;
    let before: Vec<bool> = record.baseline().filter_map(whole).collect();
    let enough = before.len() >= USUAL_MIN;
    enough && share(record.recent().filter_map(whole).collect()) >= share(before) + 0.2
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

fn attendance(record: &Record, manner: &Manner) -> Line {
    use AttendanceOutcome as O;
    let recent: Vec<O> = record.recent().filter_map(Column::attended).collect();
    let before: Vec<O> = record.baseline().filter_map(Column::attended).collect();
    let now = record.current;
    if now.is_some_and(|now| now.no_contact) {
        let since =
            record.last_kept().map_or_else(String::new, |c| format!(" since {}", date(c.start, record.as_of, manner)));
        return Line::new(format!("No session kept{since}, and nothing is booked"), Vec::new());
    }
    if record.columns.iter().all(|c| c.attendance.is_empty()) {
        return Line::absent(if record.weekly() {
            "No appointments in this record"
        } else if record.sessions() == 0 {
            "No session yet"
        } else {
            "The record does not say who came"
        });
    }
    let count = |f: fn(&O) -> bool| recent.iter().filter(|o| f(o)).count();
    let missed = count(|o| matches!(o, O::NoShow));
    let cancelled = count(|o| matches!(o, O::CancelledByClient));
    let late = count(|o| matches!(o, O::Late { .. }));
    let moved = count(|o| matches!(o, O::Rescheduled)) + record.recent().filter(|c| c.moved()).count();
    let kept = count(|o| matches!(o, O::Attended | O::Late { .. }));
    let service = count(|o| matches!(o, O::CancelledByService));
    let unsaid = count(|o| matches!(o, O::CancelledUnattributed));
    let mut parts: Vec<String> = [(missed, "did not come"), (cancelled, "cancelled"), (moved, "moved"), (late, "late")]
        .into_iter()
        .filter(|(k, _)| *k > 0)
        .map(|(k, what)| format!("{what} {}", times(k)))
        .collect();
    if let Some(days) = now.and_then(|now| now.seen.spacing_days) {
        parts.push(format!("{} since the session before", super::grammar::weeks(days)));
    }
    let main = match (parts.is_empty(), kept) {
        (false, _) => capital(&parts.join(", ")),
        (true, 0) => format!("No session in the last {} weeks", number(record.window_weeks)),
        (true, 1) => "Came to the last one, on time".into(),
        (true, 2) => "Came both times, on time".into(),
        (true, k) => format!("Came all {} times, on time", number(k)),
    };
    let (held, of) = kept_of(&before);
    let on_time = before.iter().filter(|o| matches!(o, O::Attended)).count();
    let usual = match of {
        n if n < USUAL_MIN => thin(n),
        n if held == n && on_time * 10 >= n * 8 => format!("usually on time; {held} of {n} kept before"),
        n => format!("{held} of {n} kept before"),
    };
    let mut sub = vec![usual];
    if service > 0 {
        sub.push(format!("{} cancelled by clinician or service, which counts for nothing", number(service)));
    }
    if unsaid > 0 {
        sub.push(format!("{} cancelled, by whom is not recorded, counts for nothing", number(unsaid)));
    }
    if let Some(start) = record.slot_outcome_says_unhappy() {
        sub.push(format!(
            "for {} the reason recorded is \"unhappy with, or changed, provider\"",
            date_short(start, manner)
        ));
    }
    Line::new(main, sub)
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
            let outcomes = seen.attendance.iter().map(|(outcome, _)| super::ui::attendance(*outcome));
            let gap = seen.spacing_days.map(|days| format!("{} since the session before", super::grammar::weeks(days)));
            outcomes.chain(gap).collect()
        }
        SignalKind::AllianceMeasure => {
            let given = seen.alliance.iter().filter_map(|a| Some((a, a.score?)));
            given.map(|(a, score)| format!("{} {}", a.measure.name, points(score, &a.measure, manner))).collect()
        }
    };
    if parts.is_empty() { super::ui::NOTHING_NEW.to_owned() } else { capital(&parts.join("; ")) }
}

/// Sessions kept, of those that were the client's to keep.
pub(super) fn kept_of(outcomes: &[AttendanceOutcome]) -> (usize, usize) {
    use AttendanceOutcome as O;
    let of =
        outcomes.iter().filter(|o| !matches!(o, O::CancelledByService | O::CancelledUnattributed | O::Rescheduled));
    let held = of.clone().filter(|o| matches!(o, O::Attended | O::Late { .. })).count();
    (held, of.count())
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
    let same = |a: &crate::domain::Administration| a.measure.canonical == last.measure.canonical;
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
            clinical.map_or_else(String::new, |cut| format!("below {}, worth asking about", figure(cut, manner))),
            format!("given on {}", date_short(last.at, manner)),
        ],
    )
}

/// "this client" where there is no pronoun.
fn with(person: &Person) -> &'static str {
    match person.her() {
        "the client" => "this client",
        her => her,
    }
}

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

/// Engagement signals with any data as of this assessment.
pub(super) fn covered(record: &Record) -> usize {
    let has = |f: fn(&Column) -> bool| usize::from(record.columns.iter().any(f));
    has(|c| !c.attendance.is_empty())
        + has(|c| !c.homework.is_empty())
        + has(|c| !c.rom.is_empty())
        + has(|c| !c.alliance.is_empty())
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
        [one] => format!("{} alone", noun(*one)),
        [first, ..] => format!("{} signals agree; {} counts most", number(raising.len()), noun(*first)),
    };
    let hint = match now.pattern {
        // The gist speaks of withdrawal already; only the rarer reading needs a word here.
        Pattern::None | Pattern::Withdrawal => String::new(),
        Pattern::Confrontation => "more like dissatisfaction than withdrawal (a hint)".into(),
    };
    let mut line = if let Some(episode) = record.active(FlagKind::EngagementDrop) {
        let since = date(episode.opened, record.as_of, manner);
        Line::new(format!("Flagged since {since}"), vec![agree, hint])
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
        Line::new("Too early to say", vec![thin(now.baseline_steps as usize), "no flag before three sessions".into()])
    } else {
        let alone = if raising.len() > 1 { "" } else { "one signal alone raises no flag" }.to_owned();
        match now.band {
            Band::Flag => Line::new("Worth watching", vec![agree, alone, hint]),
            Band::Watch => Line::new("Worth watching", vec![agree, "not enough for a flag".into(), hint]),
            Band::NothingUnusual => Line::new(
                if super::seen::changes(record, &super::flags::ENGAGEMENT, manner).is_empty() {
                    "Nothing unusual"
                } else {
                    "No pattern so far"
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
