//! How good detection was, where labels say what really happened.
//!
//! What is counted: slots before the client left; not breaks, nor bookings beyond the end of the record. A slot is positive if it starts in a rupture,
//! from onset until that was resolved or the client left. An alarm begins where a slot warns and the one before
//! did not; it is false if that slot is not in a rupture.

use super::history::Client;
use super::labels::Label;
use super::rivals;
use super::statistics::{self, Bin, Roc, median};
use crate::domain::{FlagKind, Pattern, Role, Timeline};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The rate of false alarms at which detectors are compared.
pub const COMPARED_AT: f64 = 0.05;
/// Fewer clients say nothing about accuracy (200 moved the area by .07).
pub const CLIENTS_MIN: usize = 1000;
const CURVE_POINTS: usize = 160;

/// One slot that counts.
#[derive(Clone, Debug)]
struct Point {
    start: Timestamp,
    truth: bool,
    flagged: bool,
    probability: f64,
    rivals: rivals::Rivals,
    first_design: f64,
    pattern: Pattern,
}

/// One labelled client.
#[derive(Clone, Debug)]
pub struct Judged {
    patient: String,
    label: Label,
    /// What the record holds, one name for each combination.
    coverage: Vec<String>,
    points: Vec<Point>,
    outcome: Option<Outcome>,
}

/// How the scores ended, and whether "not on track" was said before the last one.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// By a reliable change, from the first score to the last (Jacobson & Truax 1991).
    worse: bool,
    better: bool,
    flagged: bool,
}

/// Fewer scores say nothing of how it ended.
const SCORES_MIN: usize = 4;

fn outcome(client: &Client) -> Option<Outcome> {
    let last = client.timeline.administrations.iter().rfind(|form| form.score.is_some())?.at;
    let scores = rivals::course(&client.timeline, Timestamp::MAX);
    let change = scores.last()? - scores.first()?;
    let flagged = |episode: &crate::domain::Episode| episode.kind == FlagKind::NotOnTrack && episode.opened < last;
    (scores.len() >= SCORES_MIN).then(|| Outcome {
        worse: change >= rivals::RELIABLE,
        better: change <= -rivals::RELIABLE,
        flagged: client.course.episodes.iter().any(flagged),
    })
}

pub fn judge(client: &Client, label: &Label) -> Judged {
    let rivals = client.rivals();
    let all = client.slots.iter().zip(rivals).zip(client.first_design());
    let counts = all.filter(|((slot, _), _)| {
        !slot.is_break && !slot.is_beyond && label.dropout.is_none_or(|dropout| slot.start < dropout)
    });
    let points = counts.map(|((slot, rivals), first_design)| Point {
        start: slot.start,
        truth: label.in_rupture(slot.start),
        flagged: slot.said.flags.contains(&FlagKind::EngagementDrop),
        probability: slot.said.probability,
        rivals,
        first_design,
        pattern: slot.said.pattern,
    });
    Judged {
        patient: client.patient.clone(),
        label: label.clone(),
        coverage: vec![coverage(&client.timeline)],
        points: points.collect(),
        outcome: outcome(client),
    }
}

/// "attendance, questionnaires, homework": what this client's record says anything about.
fn coverage(timeline: &Timeline) -> String {
    let filled = |role: Role| timeline.administrations.iter().any(|form| form.measure.role == role);
    let mut held = vec!["attendance"];
    if filled(Role::Outcome) {
        held.push("questionnaires");
    }
    if !timeline.homework.is_empty() {
        held.push("homework");
    }
    if filled(Role::Alliance) {
        held.push("alliance");
    }
    match held.as_slice() {
        [only] => format!("{only} alone"),
        all => all.join(", "),
    }
}

/// What one detector is worth.
pub struct Worth {
    pub name: String,
    /// For detectors that give a score.
    pub area: Option<f64>,
    pub sensitivity_at_2: Option<f64>,
    pub sensitivity_at_5: Option<f64>,
    /// Of the slots, at its alarm.
    pub sensitivity: f64,
    pub false_alarms: f64,
    pub episodes_seen: f64,
    pub dropouts_warned: f64,
    pub delay_slots: Option<f64>,
    pub lead_days: Option<f64>,
    pub false_per_course: f64,
    pub slots_between_false: f64,
    pub false_per_100_clients_a_week: f64,
    pub curve: Vec<(f64, f64)>,
}

/// A part of the caseload.
pub struct Share {
    pub name: String,
    pub clients: usize,
    pub slots: usize,
    pub area: Option<f64>,
    /// At the threshold that the whole caseload sets.
    pub sensitivity: f64,
    pub false_alarms: f64,
    pub flags_false_per_course: f64,
}

pub struct Accuracy {
    pub clients: usize,
    pub slots: usize,
    pub positive: f64,
    pub dropouts: usize,
    pub worth: Vec<Worth>,
    pub calibration: Vec<Bin>,
    pub calibration_error: f64,
    pub by_kind: Vec<Share>,
    pub by_coverage: Vec<Share>,
    /// Of the flagged slots in a rupture: how often the pattern was named right, and how often named at all.
    pub pattern: (usize, usize, usize),
    pub not_on_track: NotOnTrack,
}

/// What the not-on-track Flag is worth: how many clients ended so, and how many of them were flagged before the last score.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotOnTrack {
    pub worse: (usize, usize),
    /// Neither reliably better nor worse.
    pub unchanged: (usize, usize),
    pub better: (usize, usize),
}

fn not_on_track(judged: &[Judged]) -> NotOnTrack {
    let mut all = NotOnTrack::default();
    for outcome in judged.iter().filter_map(|client| client.outcome) {
        let one = match (outcome.worse, outcome.better) {
            (true, _) => &mut all.worse,
            (false, true) => &mut all.better,
            (false, false) => &mut all.unchanged,
        };
        one.0 += 1;
        one.1 += usize::from(outcome.flagged);
    }
    all
}

/// `None` where no labelled client has a slot that counts.
pub fn measure(mut judged: Vec<Judged>) -> Option<Accuracy> {
    judged.sort_by(|a, b| a.patient.cmp(&b.patient));
    judged.retain(|client| !client.points.is_empty());
    if judged.is_empty() {
        return None;
    }
    let all = || judged.iter().flat_map(|client| &client.points);
    let scored: Vec<(f64, bool)> = all().map(|point| (point.probability, point.truth)).collect();
    let calibration = statistics::calibration(&scored);
    let mut worth = vec![
        with_alarm(&judged, "flags as published", |point| point.flagged),
        with_score(&judged, "probability", |point| point.probability),
    ];
    for (n, name) in rivals::NAMES.into_iter().enumerate() {
        worth.push(with_score(&judged, name, |point| point.rivals[n]));
    }
    worth.push(with_score(&judged, "model as first designed", |point| point.first_design));
    let threshold = Roc::of(scored).map_or(f64::INFINITY, |roc| roc.threshold(COMPARED_AT));
    Some(Accuracy {
        clients: judged.len(),
        slots: all().count(),
        positive: rate(all().map(|point| point.truth)),
        dropouts: judged.iter().filter(|client| client.label.dropout.is_some()).count(),
        calibration_error: statistics::calibration_error(&calibration),
        calibration,
        worth,
        by_kind: shares(&judged, threshold, |client| &client.label.kinds),
        by_coverage: shares(&judged, threshold, |client| &client.coverage),
        pattern: patterns(&judged),
        not_on_track: not_on_track(&judged),
    })
}

fn rate(of: impl Iterator<Item = bool>) -> f64 {
    let (yes, all) = of.fold((0.0, 0.0), |(yes, all), one| (yes + f64::from(u8::from(one)), all + 1.0));
    if all > 0.0 { yes / all } else { 0.0 }
}

fn with_score(judged: &[Judged], name: &str, score: impl Fn(&Point) -> f64) -> Worth {
    let scored = judged.iter().flat_map(|client| &client.points).map(|point| (score(point), point.truth));
    let roc = Roc::of(scored.collect());
    let threshold = roc.as_ref().map_or(f64::INFINITY, |roc| roc.threshold(COMPARED_AT));
    Worth {
        area: roc.as_ref().map(Roc::area),
        sensitivity_at_2: roc.as_ref().map(|roc| roc.sensitivity(0.02)),
        sensitivity_at_5: roc.as_ref().map(|roc| roc.sensitivity(0.05)),
        curve: roc.map_or_else(Vec::new, |roc| roc.curve(CURVE_POINTS)),
        ..with_alarm(judged, name, |point| score(point) >= threshold)
    }
}

fn with_alarm(judged: &[Judged], name: &str, warns: impl Fn(&Point) -> bool) -> Worth {
    let (mut seen, mut episodes) = (0.0, 0.0);
    let (mut warned, mut left) = (0.0, 0.0);
    let (mut false_alarms, mut weeks) = (0.0, 0.0);
    let (mut delays, mut leads) = (Vec::new(), Vec::new());
    for Judged { label, points, .. } in judged {
        for rupture in &label.ruptures {
            let inside: Vec<&Point> = points.iter().filter(|point| label.lasts(rupture, point.start)).collect();
            if inside.is_empty() {
                continue;
            }
            episodes += 1.0;
            if let Some(first) = inside.iter().position(|point| warns(point)) {
                seen += 1.0;
                delays.push(first as f64);
            }
        }
        if let (Some(rupture), Some(dropout)) = (label.left_in(), label.dropout) {
            left += 1.0;
            let first = points.iter().find(|point| label.lasts(rupture, point.start) && warns(point));
            if let Some(first) = first {
                warned += 1.0;
                leads.push((dropout.as_second() - first.start.as_second()) as f64 / 86_400.0);
            }
        }
        let mut before = false;
        for point in points {
            let now = warns(point);
            false_alarms += f64::from(u8::from(now && !before && !point.truth));
            before = now;
        }
        if let (Some(first), Some(last)) = (points.first(), points.last()) {
            // The last session stands for a week of its own.
            weeks += (last.start.as_second() - first.start.as_second()) as f64 / 604_800.0 + 1.0;
        }
    }
    let all = || judged.iter().flat_map(|client| &client.points);
    let quiet = all().filter(|point| !point.truth).count() as f64;
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    Worth {
        name: name.to_owned(),
        area: None,
        sensitivity_at_2: None,
        sensitivity_at_5: None,
        sensitivity: rate(all().filter(|point| point.truth).map(&warns)),
        false_alarms: rate(all().filter(|point| !point.truth).map(&warns)),
        episodes_seen: share(seen, episodes),
        dropouts_warned: share(warned, left),
        delay_slots: median(delays),
        lead_days: median(leads),
        false_per_course: share(false_alarms, judged.len() as f64),
        slots_between_false: if false_alarms > 0.0 { quiet / false_alarms } else { f64::INFINITY },
        false_per_100_clients_a_week: 100.0 * share(false_alarms, weeks),
        curve: Vec::new(),
    }
}

fn shares(judged: &[Judged], threshold: f64, names: impl Fn(&Judged) -> &Vec<String>) -> Vec<Share> {
    let mut groups: BTreeMap<&str, Vec<&Judged>> = BTreeMap::new();
    for client in judged {
        let names = names(client);
        for name in names {
            groups.entry(name).or_default().push(client);
        }
        if names.is_empty() {
            groups.entry("none of these").or_default().push(client);
        }
    }
    if groups.len() < 2 {
        return Vec::new();
    }
    let share = |(name, clients): (&str, Vec<&Judged>)| {
        let points = || clients.iter().flat_map(|client| &client.points);
        let scored = points().map(|point| (point.probability, point.truth)).collect();
        let mut false_flags = 0.0;
        for client in &clients {
            let mut before = false;
            for point in &client.points {
                false_flags += f64::from(u8::from(point.flagged && !before && !point.truth));
                before = point.flagged;
            }
        }
        let warns = |truth: bool| {
            rate(points().filter(|point| point.truth == truth).map(|point| point.probability >= threshold))
        };
        Share {
            name: name.to_owned(),
            clients: clients.len(),
            slots: points().count(),
            area: Roc::of(scored).map(|roc| roc.area()),
            sensitivity: warns(true),
            false_alarms: warns(false),
            flags_false_per_course: false_flags / clients.len() as f64,
        }
    };
    groups.into_iter().map(share).collect()
}

fn patterns(judged: &[Judged]) -> (usize, usize, usize) {
    let mut counts = (0, 0, 0);
    for client in judged {
        for point in client.points.iter().filter(|point| point.flagged) {
            let label = &client.label;
            let open = label.ruptures.iter().find(|rupture| label.lasts(rupture, point.start));
            let Some(true_pattern) = open.and_then(|rupture| rupture.pattern.as_deref()) else { continue };
            counts.2 += 1;
            counts.1 += usize::from(point.pattern != Pattern::None);
            counts.0 += usize::from(point.pattern.code() == true_pattern);
        }
    }
    counts
}
