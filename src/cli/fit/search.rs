//! `tautline fit --search MINUTES`: how the shipped constants of the filter and of the engagement signals were found.
//! For whoever works on the model, on thousands of labelled clients; a service has not the labels for it, and needs no
//! more than the rest of `fit`.
//!
//! Coordinate search: one number after another is made larger, then smaller; what gains stays. Gain is the mean over the
//! histories (each path is one) of AUROC + .35·sensitivity at 5 % + .2·sensitivity at 2 % false alarms − .5·log-loss
//! after recalibration − .1·(false alarms of unreliable clients above .09); and nothing gains that lets a run of only
//! good outcomes end higher than where a new client starts. How far it gets in its time, the machine decides; the
//! published calibration is fitted afterwards, as without a search.

use super::judged;
use super::regression::{self, Logit};
use crate::cli::backtest::labels::Label;
use crate::cli::backtest::statistics::Roc;
use crate::detection::{self, Constants};
use crate::domain::{Slot, SlotOutcome, Source, SourceKind, Timeline};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::{Duration, Instant};

/// What is searched: every number at or below these places.
pub const SEARCHED: [&str; 17] = [
    "/transition",
    "/prior",
    "/unknown",
    "/evidence_max",
    "/shrink",
    "/forget",
    "/floor",
    "/attendance/outcomes",
    "/attendance/spacing",
    "/homework/outcomes",
    "/homework/quality_effect",
    "/homework/content_effect",
    "/homework/justification",
    "/rom/outcomes",
    "/rom/speed_effect",
    "/alliance/effect",
    "/alliance/level_effect",
];
const FIRST_STEP: f64 = 0.35;
/// Below it a step begins anew at [`STEP_AGAIN`].
const LEAST_STEP: f64 = 0.02;
const STEP_AGAIN: f64 = 0.1;
const LEAST_GAIN: f64 = 2e-5;
const UNRELIABLE_MAX: f64 = 0.09;

pub type Client = (Timeline, Label);

/// What ends a search: the first that is reached.
pub struct Limit {
    pub time: Duration,
    pub rounds: u32,
}

/// The best constants found, and what they are worth; progress goes to stderr.
pub fn search(
    histories: &[Vec<Client>],
    from: &Constants,
    searched: &[&str],
    limit: Limit,
) -> Result<(Constants, f64), String> {
    let begun = Instant::now();
    let failed = |error: serde_json::Error| error.to_string();
    let mut best = serde_json::to_value(from).map_err(failed)?;
    let faultless = [3, 7, 21].map(faultless);
    let mut gain = worth(histories, &faultless, from);
    let mut places = Vec::new();
    for place in searched {
        numbers(&best, place, &mut places);
    }
    let mut steps = vec![FIRST_STEP; places.len()];
    eprintln!("{} numbers; to begin with {gain:.5}", places.len());
    'rounds: for round in 1..=limit.rounds {
        for (place, step) in places.iter().zip(&mut steps) {
            if begun.elapsed() >= limit.time {
                break 'rounds;
            }
            let won = [*step, -*step].into_iter().find(|step| {
                let Some(tried) = moved(&best, place, *step) else { return false };
                let Some(c) = constants(&tried) else { return false };
                let now = worth(histories, &faultless, &c);
                let won = now > gain + LEAST_GAIN;
                if won {
                    (gain, best) = (now, tried);
                }
                won
            });
            *step = won.map_or(*step * 0.5, |step| (step * 1.3).clamp(-0.9, 0.9));
            if step.abs() < LEAST_STEP {
                *step = STEP_AGAIN;
            }
        }
        eprintln!("round {round}: {gain:.5}");
    }
    Ok((serde_json::from_value(best).map_err(failed)?, gain))
}

fn numbers(of: &Value, place: &str, into: &mut Vec<String>) {
    match of.pointer(place) {
        Some(Value::Number(_)) => into.push(place.to_owned()),
        Some(Value::Array(list)) => (0..list.len()).for_each(|n| numbers(of, &format!("{place}/{n}"), into)),
        Some(Value::Object(map)) => map.keys().for_each(|key| numbers(of, &format!("{place}/{key}"), into)),
        _ => {}
    }
}

/// The constants with one number made larger by a share of itself, and chances brought back to a sum of one.
fn moved(constants: &Value, place: &str, share: f64) -> Option<Value> {
    let mut tried = constants.clone();
    let number = tried.pointer_mut(place)?;
    *number = (number.as_f64().filter(|x| *x != 0.0)? * (1.0 + share)).into();
    let (row, _) = place.rsplit_once('/')?;
    if [
        "/prior",
        "/unknown",
        "/transition",
        "/attendance/outcomes/mean",
        "/homework/outcomes/mean",
        "/rom/outcomes/mean",
    ]
    .iter()
    .any(|chances| row.starts_with(chances))
    {
        let chances = tried.pointer_mut(row)?.as_array_mut()?;
        let sum: f64 = chances.iter().filter_map(Value::as_f64).sum();
        chances.iter_mut().for_each(|p| *p = (p.as_f64().unwrap_or(0.0) / sum).into());
    }
    Some(tried)
}

fn constants(tried: &Value) -> Option<Constants> {
    serde_json::from_value::<Constants>(tried.clone()).ok().filter(|c| c.check().is_ok())
}

fn worth(histories: &[Vec<Client>], faultless: &[Timeline], c: &Constants) -> f64 {
    if faultless.iter().any(|timeline| rises(timeline, c)) {
        return f64::MIN;
    }
    histories.iter().map(|clients| worth_on(clients, c)).sum::<f64>() / histories.len() as f64
}

fn worth_on(clients: &[Client], c: &Constants) -> f64 {
    let raw = Constants { calibration: super::NONE, ..c.clone() };
    let (one, other) = clients.split_at(clients.len() / 2);
    let said = |clients: &[Client]| -> Vec<(bool, Vec<Logit>)> {
        let unreliable = |label: &Label| label.kinds.iter().any(|kind| kind == "unreliable");
        clients.iter().map(|(timeline, label)| (unreliable(label), judged::by_label(timeline, label, &raw))).collect()
    };
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| said(one));
        all.extend(said(other));
        all.extend(beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    });
    let scored = || all.iter().flat_map(|(_, said)| said);
    let Some(roc) = Roc::of(scored().map(|one| (one.said, one.was)).collect()) else { return f64::MIN };
    let cut = roc.threshold(0.05);
    let quiet: Vec<f64> = (all.iter().filter(|(unreliable, _)| *unreliable))
        .flat_map(|(_, said)| said.iter().filter(|one| !one.was).map(|one| f64::from(u8::from(one.said >= cut))))
        .collect();
    let alarms = quiet.iter().sum::<f64>() / quiet.len().max(1) as f64;
    let slots: Vec<Logit> = scored().copied().collect();
    let Some(loss) = regression::log_loss(&slots, c.calibration) else { return f64::MIN };
    roc.area() + 0.35 * roc.sensitivity(0.05) + 0.2 * roc.sensitivity(0.02)
        - 0.5 * loss
        - 0.1 * (alarms - UNRELIABLE_MAX).max(0.0)
}

/// Sixty sessions, kept and on time, so many days apart.
fn faultless(days: i64) -> Timeline {
    let start = |n: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * days * n);
    let slot = |n: i64| Slot {
        source: Source::new(SourceKind::Appointment, format!("{n:02}")),
        start: start(n),
        booked: None,
        outcome: SlotOutcome::Kept { late_minutes: None },
        outcome_known: start(n),
        moves: Vec::new(),
        replaces: None,
        unhappy_or_changed_provider: false,
        also: Vec::new(),
    };
    Timeline { slots: (0..60).map(slot).collect(), ..Timeline::default() }
}

fn rises(faultless: &Timeline, c: &Constants) -> bool {
    let last = faultless.slots.last().map_or(Timestamp::UNIX_EPOCH, |slot| slot.start);
    let steps = detection::assess(faultless, last, c).steps;
    steps.iter().any(|step| step.probability > steps[0].probability + 1e-12)
}
