//! `tautline simulate`: a synthetic caseload with labels, to see what detection is worth.
//!
//! The detector must not mark its own homework, so nothing in here is shared with it: no code, no constants,
//! no structure. A [`Generator`] turns a seed into a [`history::History`] and a [`Label`];
//! [`resources`] writes the history in FHIR. Generators differ in structure, not in parameters alone: a
//! detector that is good only on one of them has learned the generator.

mod caseload;
mod chain;
mod chance;
mod clinic;
mod history;
mod matched;
mod names;
mod person;
mod regime_acts;
mod regimes;
mod resources;
mod stories;
mod strain;
mod symptoms;
mod visit;

pub use caseload::demo_caseload;

use chance::Chance;
use history::History;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// How clients come to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generator {
    /// Continuous strain on the alliance, a hazard of leaving that rises with it.
    #[default]
    Strain,
    /// Five states of the alliance, each with a length of its own, and habits with memory.
    Regimes,
    /// A hidden Markov chain of three states, and every channel in every record.
    Chain,
    /// A chain whose traces come later, matched to what others report.
    Matched,
    /// The same with ruptures of two sorts, plain and faint.
    Mixed,
}

impl Generator {
    pub const ALL: [Generator; 5] =
        [Generator::Strain, Generator::Regimes, Generator::Chain, Generator::Matched, Generator::Mixed];

    pub fn name(self) -> &'static str {
        match self {
            Generator::Strain => "strain",
            Generator::Regimes => "regimes",
            Generator::Chain => "chain",
            Generator::Matched => "matched",
            Generator::Mixed => "mixed",
        }
    }

    fn life(self, chance: &mut Chance, patient: String) -> (History, Label) {
        match self {
            Generator::Strain => strain::life(chance, patient),
            Generator::Regimes => regimes::life(chance, patient),
            Generator::Chain => chain::life(chance, patient),
            Generator::Matched => matched::life(chance, patient, &matched::MATCHED),
            Generator::Mixed => matched::life(chance, patient, &matched::MIXED),
        }
    }
}

impl std::str::FromStr for Generator {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Generator::ALL.into_iter().find(|generator| generator.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = Generator::ALL.iter().map(|generator| generator.name()).collect();
            format!("no generator \"{name}\"; there are: {}", names.join(", "))
        })
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    pub clients: usize,
    pub seed: u64,
    pub output: PathBuf,
    pub generator: Generator,
}

/// What really happened to one client: a line of `labels.ndjson`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    pub patient: String,
    pub ruptures: Vec<Rupture>,
    /// The start of the first session that the client never came to, nor to any after it.
    pub dropout: Option<Timestamp>,
    /// What kinds of client this is ("unreliable", "life-event"), to break figures down by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Which channels have data ("rom", "homework", "alliance" …).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coverage: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rupture {
    /// The start of the session in which it arose.
    pub onset: Timestamp,
    /// The start of the first session at which it was over; `None` where it never was.
    pub resolved: Option<Timestamp>,
    /// `withdrawal` or `confrontation`.
    pub pattern: String,
}

/// One simulated client: everything a sender would have sent, and the truth.
pub struct SimulatedClient {
    pub resources: Vec<Value>,
    pub label: Label,
}

/// The `n`th client of a seed, whatever the size of the caseload around it.
pub fn client(seed: u64, n: u64, generator: Generator) -> SimulatedClient {
    let mut chance = Chance::new(seed, n);
    // The two may stand in one database: other generators say their names.
    let prefix = if generator == Generator::Strain { "sim" } else { generator.name() };
    let (history, label) = generator.life(&mut chance, format!("{prefix}{seed}-{n:05}"));
    SimulatedClient { resources: resources::write(&history), label }
}

/// Writes `resources.ndjson` and `labels.ndjson` into the output folder.
pub fn run(options: &Options) -> Result<(), String> {
    let folder = &options.output;
    let failed = |error: io::Error| format!("cannot write to {}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    write(options, folder).map_err(failed)
}

fn write(options: &Options, folder: &Path) -> io::Result<()> {
    let open = |name| std::fs::File::create(folder.join(name)).map(|file| BufWriter::with_capacity(1 << 16, file));
    let mut resources = open("resources.ndjson")?;
    let mut labels = open("labels.ndjson")?;
    let mut practitioners = HashSet::new();
    for n in 1..=options.clients as u64 {
        let client = client(options.seed, n, options.generator);
        for resource in &client.resources {
            let shared = resource["resourceType"] == "Practitioner";
            if shared && !practitioners.insert(resource["id"].to_string()) {
                continue;
            }
            serde_json::to_writer(&mut resources, resource)?;
            resources.write_all(b"\n")?;
        }
        serde_json::to_writer(&mut labels, &client.label)?;
        labels.write_all(b"\n")?;
    }
    resources.flush()?;
    labels.flush()
}

#[cfg(test)]
mod tests;
