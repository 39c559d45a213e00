//! What really happened, for the accuracy figures. Fields we do not know are passed over.

use jiff::Timestamp;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

#[derive(Clone, Debug, Deserialize)]
pub struct Label {
    pub patient: String,
    #[serde(default)]
    pub ruptures: Vec<Rupture>,
    #[serde(default)]
    pub dropout: Option<Timestamp>,
    #[serde(default)]
    pub kinds: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Rupture {
    pub onset: Timestamp,
    #[serde(default)]
    pub resolved: Option<Timestamp>,
    #[serde(default)]
    pub pattern: Option<String>,
}

impl Label {
    /// From onset until it was resolved, or the client left.
    pub fn lasts(&self, rupture: &Rupture, at: Timestamp) -> bool {
        let end = [rupture.resolved, self.dropout].into_iter().flatten().min();
        rupture.onset <= at && end.is_none_or(|end| at < end)
    }

    pub fn in_rupture(&self, at: Timestamp) -> bool {
        self.ruptures.iter().any(|rupture| self.lasts(rupture, at))
    }

    /// The rupture that was open when the client left.
    pub fn left_in(&self) -> Option<&Rupture> {
        let dropout = self.dropout?;
        let open = |rupture: &&Rupture| rupture.resolved.is_none_or(|resolved| resolved > dropout);
        self.ruptures.iter().filter(open).rfind(|rupture| rupture.onset < dropout)
    }
}

/// Labels by patient id.
///
/// # Errors
/// A file that cannot be read, or a line that is no label: figures on half the labels would mislead.
pub fn read(path: &Path) -> Result<HashMap<String, Label>, String> {
    let name = path.display();
    let file = File::open(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let mut labels = HashMap::new();
    for (n, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| format!("cannot read {name}: {error}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let label: Label = serde_json::from_str(&line).map_err(|error| {
            format!("{name}:{n}: this is no label (see docs: patient, ruptures, dropout): column {}", error.column())
        })?;
        labels.insert(label.patient.clone(), label);
    }
    Ok(labels)
}
