//! `tautline fit`: what a service can learn from its own history. Written is a whole set of constants, with what was
//! learned in place of what ships, and beside it how much it was learned from and how sure that is.
//!
//! | learned | from | at least |
//! | --- | --- | --- |
//! | what a reliable client does, and how alike clients are (`mean`, `weight`), per signal | outcomes of the first slots, by Dirichlet-multinomial likelihood | 200 clients |
//! | the expected course (`drift`, `drift_decay`) | scores against first scores, by least squares | 200 clients with 3 scores |
//! | calibration (`intercept`, `slope`) | labels, by logistic regression of what was true on what was said | 300 labelled clients, 100 slots in a rupture |
//! | the same, without labels | judgements of practitioners (Observations with code `judgement`, `mapping.md`) in the input | 50 judged moments, 10 of each kind |
//!
//! What has too little data keeps its shipped value. The same input gives the same bytes.
//!
//! A judgement is a weak label of one moment: what was said as of it. "There was a rupture" and "named in session" say
//! yes, "false alarm" says no, "unsure" nothing; of several in one week the last stands. Nearly all are about what
//! was flagged, so they tell little of low probabilities: the shipped calibration weighs in as a prior (standard
//! deviations in [`regression::PRIOR_SD`]).

mod counts;
mod judged;
mod regression;
mod search;
#[cfg(test)]
mod tests;

use crate::cli::backtest::{self, labels};
use crate::detection::Constants;
use crate::detection::constants::{Calibration, Fitted, Learned};
use crate::domain::Timeline;
use counts::Counts;
use jiff::tz::TimeZone;
use regression::{Course, Logit};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

pub const CLIENTS_MIN: usize = 200;
pub const LABELLED_MIN: usize = 300;
pub const RUPTURE_SLOTS_MIN: usize = 100;
pub const JUDGED_MIN: usize = 50;
pub const JUDGED_OF_EACH_MIN: usize = 10;
/// Version of the file's meaning.
const VERSION: u32 = 1;

#[derive(Clone, Debug)]
pub struct Options {
    pub paths: Vec<PathBuf>,
    pub labels: Option<PathBuf>,
    pub output: PathBuf,
    pub time_zone: TimeZone,
    /// Searches the constants of the model for so many minutes first ([`search`]).
    pub search_minutes: Option<f64>,
}

/// Before calibration.
const NONE: Calibration = Calibration { intercept: 0.0, slope: 1.0 };

/// Learns and writes; what was learned goes to stderr.
///
/// # Errors
/// One line that says what to do: paths or labels that cannot be read, or an output that cannot be written.
pub fn run(options: &Options) -> Result<(), String> {
    let mut constants = Constants::default();
    let mut learned = Vec::new();
    let labels = options.labels.as_deref().map(labels::read).transpose()?;

    if let Some(minutes) = options.search_minutes {
        let histories = histories(options, labels.as_ref().ok_or("a search needs --labels")?)?;
        let time = Duration::try_from_secs_f64(60.0 * minutes).map_err(|_| "--search wants minutes, 0 or more")?;
        let limit = search::Limit { time, rounds: u32::MAX };
        (constants, _) = search::search(&histories, &constants, &search::SEARCHED, limit)?;
    }
    let seen = Mutex::new((Vec::<Counts>::new(), Vec::<Course>::new()));
    let first = constants.clone();
    each(options, &|_, timeline| {
        let (counts, course) = (Counts::of(timeline, &first), Course::of(timeline));
        let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.0.push(counts);
        seen.1.extend(course);
    })?;
    let (mut counts, mut courses) = seen.into_inner().unwrap_or_default();
    counts.sort_by(|a, b| a.0.iter().flatten().partial_cmp(b.0.iter().flatten()).unwrap_or(std::cmp::Ordering::Equal));
    courses.sort_by(|a, b| a.sums().partial_cmp(&b.sums()).unwrap_or(std::cmp::Ordering::Equal));
    let clients = counts.len();
    counts::learn(&counts, &mut constants, &mut learned);
    regression::learn_course(&courses, &mut constants, &mut learned);

    let raw = Constants { calibration: NONE, ..constants.clone() };
    let logits = Mutex::new(Vec::<(String, Vec<Logit>)>::new());
    each(options, &|patient, timeline| {
        let mine = match &labels {
            Some(labels) => labels.get(patient).map(|label| judged::by_label(timeline, label, &raw)),
            None => Some(judged::by_practitioner(timeline, &raw)).filter(|mine| !mine.is_empty()),
        };
        if let Some(mine) = mine {
            let mut logits = logits.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            logits.push((patient.to_owned(), mine));
        }
    })?;
    let mut logits = logits.into_inner().unwrap_or_default();
    logits.sort_by(|a, b| a.0.cmp(&b.0));
    let logits: Vec<Vec<Logit>> = logits.into_iter().map(|(_, mine)| mine).collect();
    regression::learn_calibration(&logits, labels.is_some(), &mut constants, &mut learned);
    for what in &learned {
        eprintln!("{}", said(what));
    }
    constants.fitted = Some(Fitted { version: VERSION, model: crate::detection::MODEL.to_owned(), clients, learned });
    write(&options.output, &constants)
}

/// Each path is a history of its own; clients by name, so that the same input gives the same search.
fn histories(options: &Options, labels: &HashMap<String, labels::Label>) -> Result<Vec<Vec<search::Client>>, String> {
    let mut histories = Vec::new();
    for path in &options.paths {
        let clients = Mutex::new(Vec::new());
        backtest::timelines(std::slice::from_ref(path), &options.time_zone, &|patient, timeline| {
            if let Some(label) = labels.get(patient) {
                let mut clients = clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                clients.push((timeline.clone(), label.clone()));
            }
        })?;
        let mut clients = clients.into_inner().unwrap_or_default();
        clients.sort_by(|a: &search::Client, b| a.1.patient.cmp(&b.1.patient));
        histories.push(clients);
    }
    Ok(histories)
}

fn said(what: &Learned) -> String {
    if what.learned {
        format!("{}: learned from {} (standard error {:.3})", what.name, what.count, what.standard_error)
    } else {
        format!("{}: as shipped; {} are too few to learn from", what.name, what.count)
    }
}

fn each(options: &Options, take: &(dyn Fn(&str, &Timeline) + Sync)) -> Result<(), String> {
    backtest::timelines(&options.paths, &options.time_zone, take)
}

fn write(path: &Path, constants: &Constants) -> Result<(), String> {
    let mut text = serde_json::to_string_pretty(constants).map_err(|error| error.to_string())?;
    text.push('\n');
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
