//! `tautline backtest`: detection over a history, offline. For every appointment the assessment as of its start,
//! knowing only what was known then.
//!
//! Two passes. The first reads the input as a stream, makes of each resource the small fact that the timeline
//! needs, and sets it aside on disk by client. The second takes client after client to timeline and assessment.
//! Memory holds a few megabytes of input, one bucket of clients a thread, and an index of the clients.

mod accuracy;
mod document;
mod history;
pub(crate) mod input;
pub(crate) mod labels;
mod line;
mod picture;
mod record;
mod report;
mod rivals;
mod sheet;
mod spill;
pub(crate) mod statistics;
mod summary;
#[cfg(test)]
mod tests;

use crate::detection::Constants;
use crate::domain::Measures;
use crate::fhir::read::{self, ReadContext};
use accuracy::Judged;
use history::Client;
use jiff::tz::TimeZone;
use labels::Label;
use record::{Read, StoredQuestionnaire};
use spill::{BUCKETS, Buckets, Folder, Texts};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More threads than this gain nothing: reading is the limit.
const THREADS_MAX: usize = 8;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A line per appointment.
    #[default]
    Ndjson,
    /// A report for a clinical-safety officer.
    Html,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "ndjson" => Ok(Format::Ndjson),
            "html" => Ok(Format::Html),
            other => Err(format!("no format \"{other}\"; there are ndjson and html")),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    /// NDJSON files, Bundles, or folders of them.
    pub paths: Vec<PathBuf>,
    pub format: Format,
    /// What really happened: adds accuracy figures.
    pub labels: Option<PathBuf>,
    pub constants: Constants,
    /// Of the constants: the file's name, or "shipped".
    pub constants_name: String,
    /// A date without a time is the end of that day here.
    pub time_zone: TimeZone,
    /// The accuracy figures as JSON, too.
    pub summary: Option<PathBuf>,
}

/// What was read, for the report.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    files: usize,
    resources: u64,
    clients: usize,
    slots: usize,
    faults: u64,
}

/// Writes lines or the report to `out`; faults in the input and figures go to stderr.
///
/// # Errors
/// One line that says what to do: paths or labels that cannot be read, nothing usable in them, or no room on disk.
pub fn run(options: &Options, out: &mut dyn Write) -> Result<(), String> {
    let files = input::files(&options.paths)?;
    let labels = options.labels.as_deref().map(labels::read).transpose()?;
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(THREADS_MAX);
    let folder = Folder::create().map_err(disk)?;
    let buckets = Buckets::create(&folder).map_err(disk)?;
    let faults = input::Faults::default();

    let first = first_pass(options, &files, threads, &faults, &buckets)?;
    for told in faults.told(&files) {
        eprintln!("{told}");
    }
    if first.resources == 0 {
        return Err("nothing usable in the input: no readable FHIR R4 resource about a client (looked for .ndjson, \
                    .jsonl and .json with resources or Bundles)"
            .to_owned());
    }
    let texts = Texts::create(&folder).map_err(disk)?;
    let second = Second {
        options,
        labels: labels.as_ref(),
        measures: read::shipped().with_questionnaires(record::standing(first.questionnaires)),
        buckets: &buckets,
        texts: &texts,
        judged: Mutex::default(),
        clients: AtomicUsize::new(0),
        slots: AtomicUsize::new(0),
    };
    second.pass(threads).map_err(disk)?;
    let count = Count {
        files: files.len(),
        resources: first.resources,
        clients: second.clients.into_inner(),
        slots: second.slots.into_inner(),
        faults: faults.count(),
    };
    let judged = second.judged.into_inner().unwrap_or_default();
    let accuracy = labels.is_some().then(|| accuracy::measure(judged)).flatten();
    if labels.is_some() && accuracy.is_none() {
        eprintln!("no labelled patient has an appointment in the input: no accuracy figures");
    }
    let written = match options.format {
        Format::Ndjson => texts.copy(out),
        Format::Html => report::write(out, &count, options, accuracy.as_ref(), texts),
    };
    written.and_then(|()| out.flush()).map_err(|error| format!("cannot write the output: {error}"))?;
    if let Some(accuracy) = &accuracy {
        eprint!("{}", summary::text(accuracy));
        if let Some(path) = &options.summary {
            let json = format!("{:#}\n", summary::json(accuracy));
            std::fs::write(path, json).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn disk(error: io::Error) -> String {
    format!("cannot set records aside in {}: {error}", std::env::temp_dir().display())
}

/// Client after client of a history, for those who want to learn from it; in no order, on several threads.
///
/// # Errors
/// As [`run`].
pub(crate) fn timelines(
    paths: &[PathBuf],
    time_zone: &TimeZone,
    take: &(dyn Fn(&str, &crate::domain::Timeline) + Sync),
) -> Result<(), String> {
    let options = Options {
        paths: paths.to_vec(),
        format: Format::Ndjson,
        labels: None,
        constants: Constants::default(),
        constants_name: String::new(),
        time_zone: time_zone.clone(),
        summary: None,
    };
    let files = input::files(paths)?;
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(THREADS_MAX);
    let folder = Folder::create().map_err(disk)?;
    let buckets = Buckets::create(&folder).map_err(disk)?;
    let faults = input::Faults::default();
    let first = first_pass(&options, &files, threads, &faults, &buckets)?;
    for told in faults.told(&files) {
        eprintln!("{told}");
    }
    if first.resources == 0 {
        return Err("nothing usable in the input: no readable FHIR R4 resource about a client".to_owned());
    }
    let measures = read::shipped().with_questionnaires(record::standing(first.questionnaires));
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let bucket = next.fetch_add(1, Ordering::Relaxed);
            if bucket >= BUCKETS {
                return Ok(());
            }
            for (patient, records) in buckets.take(bucket)? {
                take(&patient, &crate::domain::build::timeline(record::facts(records), &measures));
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, io::Result<()>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(join).fold(Ok(()), io::Result::and)
    })
    .map_err(disk)
}

struct First {
    resources: u64,
    questionnaires: Vec<StoredQuestionnaire>,
}

fn first_pass(
    options: &Options,
    files: &[PathBuf],
    threads: usize,
    faults: &input::Faults,
    buckets: &Buckets,
) -> Result<First, String> {
    let context = ReadContext { zone: options.time_zone.clone() };
    let questionnaires = Mutex::new(Vec::new());
    let resources = AtomicU64::new(0);
    let take = |resource: &serde_json::Value| {
        match record::read(resource, &context) {
            Read::Records(records) => {
                resources.fetch_add(u64::from(!records.is_empty()), Ordering::Relaxed);
                return records.iter().try_for_each(|record| buckets.put(record)).map_err(disk);
            }
            Read::Questionnaire(stored) => {
                questionnaires.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(stored);
            }
            Read::Nothing => {}
        }
        Ok(())
    };
    input::read(files, threads, faults, &take, |fault| fault)?;
    let questionnaires = questionnaires.into_inner().unwrap_or_default();
    Ok(First { resources: resources.into_inner(), questionnaires })
}

struct Second<'a> {
    options: &'a Options,
    labels: Option<&'a HashMap<String, Label>>,
    measures: Measures,
    buckets: &'a Buckets,
    texts: &'a Texts,
    judged: Mutex<Vec<Judged>>,
    clients: AtomicUsize,
    slots: AtomicUsize,
}

impl Second<'_> {
    fn pass(&self, threads: usize) -> io::Result<()> {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let work = || {
                loop {
                    let bucket = next.fetch_add(1, Ordering::Relaxed);
                    if bucket >= BUCKETS {
                        return Ok(());
                    }
                    self.bucket(bucket)?;
                }
            };
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, io::Result<()>>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().map(join).fold(Ok(()), io::Result::and)
        })
    }

    fn bucket(&self, bucket: usize) -> io::Result<()> {
        let mut texts = Vec::new();
        for (patient, records) in self.buckets.take(bucket)? {
            let client = history::assess(patient, records, &self.measures, &self.options.constants);
            if client.slots.is_empty() {
                continue;
            }
            self.clients.fetch_add(1, Ordering::Relaxed);
            self.slots.fetch_add(client.slots.len(), Ordering::Relaxed);
            let label = self.labels.and_then(|labels| labels.get(&client.patient));
            texts.push((client.patient.clone(), self.text(&client, label)));
            if let Some(label) = label {
                let judged = accuracy::judge(&client, label);
                self.judged.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(judged);
            }
        }
        self.texts.put(bucket, texts)
    }

    fn text(&self, client: &Client, label: Option<&Label>) -> String {
        if self.options.format == Format::Html {
            return report::row(client, label, &self.options.time_zone);
        }
        let mut text = String::with_capacity(client.slots.len() * 480);
        for slot in &client.slots {
            line::write(&mut text, &client.patient, &slot.appointment, slot.start, &slot.said);
        }
        text
    }
}
