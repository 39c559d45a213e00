//! `tautline fit`: what a service can learn from its own history. Written is a whole set of constants, with what was
//! learned in place of what ships, and beside it how much it was learned from and how sure that is.
//!
//! | learned | from | at least |
//! | --- | --- | --- |
//! | what a reliable client does, and how alike clients are (`mean`, `weight`), per signal | outcomes of the first slots, by Dirichlet-multinomial likelihood | 200 clients |
//! | the expected course (`drift`, `drift_decay`) | scores against first scores, by least squares | 200 clients with 3 scores |
//! | calibration (`intercept`, `slope`) | labels, by logistic regression of what was true on what was said | 300 labelled clients, 100 slots in a rupture |
//!
//! What has too little data keeps its shipped value. The same input gives the same bytes.

mod counts;
mod regression;
#[cfg(test)]
mod tests;

use crate::cli::backtest::{self, labels};
use crate::detection::constants::{Calibration, Fitted, Learned};
use crate::detection::{self, Constants};
use crate::domain::Timeline;
use counts::Counts;
use jiff::tz::TimeZone;
use regression::{Course, Logit};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

pub const CLIENTS_MIN: usize = 200;
pub const LABELLED_MIN: usize = 300;
pub const RUPTURE_SLOTS_MIN: usize = 100;
/// Version of the file's meaning.
const VERSION: u32 = 1;

#[derive(Clone, Debug)]
pub struct Options {
    pub paths: Vec<PathBuf>,
    pub labels: Option<PathBuf>,
    pub output: PathBuf,
    pub time_zone: TimeZone,
}

/// Learns and writes; what was learned goes to stderr.
///
/// # Errors
/// One line that says what to do: paths or labels that cannot be read, or an output that cannot be written.
pub fn run(options: &Options) -> Result<(), String> {
    let mut constants = Constants::default();
    let mut learned = Vec::new();
    let labels = options.labels.as_deref().map(labels::read).transpose()?;

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

    if let Some(labels) = &labels {
        let logits = Mutex::new(Vec::<(String, Vec<Logit>)>::new());
        let raw = Constants { calibration: Calibration { intercept: 0.0, slope: 1.0 }, ..constants.clone() };
        each(options, &|patient, timeline| {
            let Some(label) = labels.get(patient) else { return };
            let Some(last) = timeline.slots.iter().map(|slot| slot.start).max() else { return };
            let course = detection::assess(timeline, last, &raw);
            let counts = |step: &&crate::domain::Assessment| label.dropout.is_none_or(|gone| step.as_of < gone);
            let mine = course.steps.iter().filter(counts).map(|step| Logit {
                said: (step.probability / (1.0 - step.probability)).ln(),
                was: label.in_rupture(step.as_of),
            });
            let mine = (patient.to_owned(), mine.collect());
            logits.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(mine);
        })?;
        let mut logits = logits.into_inner().unwrap_or_default();
        logits.sort_by(|a, b| a.0.cmp(&b.0));
        let logits: Vec<Vec<Logit>> = logits.into_iter().map(|(_, mine)| mine).collect();
        regression::learn_calibration(&logits, &mut constants, &mut learned);
    }
    for what in &learned {
        eprintln!("{}", said(what));
    }
    constants.fitted = Some(Fitted { version: VERSION, model: crate::detection::MODEL.to_owned(), clients, learned });
    write(&options.output, &constants)
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
