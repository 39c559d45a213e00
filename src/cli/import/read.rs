//! Files into batches of checked resources.

use crate::cli::backtest::input::{self, Faults};
use crate::fhir::bundle::{deletions, unpack};
use crate::fhir::check::{self, Limits};
use crate::fhir::outcome::Issue;
use crate::pipeline::load::{BATCH, Loadable, Loaded, Place};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::Sender;

/// Bytes of one line.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one document, which is read whole.
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Reads every file; what is left aside is counted.
///
/// # Errors
/// A file that cannot be read.
pub fn all(files: &[PathBuf], faults: &Faults, send: &Sender<Vec<Loadable>>) -> Result<Loaded, String> {
    let mut reader = Reader { faults, files, send, loaded: Loaded::default(), batch: Vec::new(), stopped: false };
    for (file, path) in files.iter().enumerate() {
        let read = match input::lines_or_document(path) {
            Ok(true) => reader.lines(file, path),
            Ok(false) => reader.document(file, path),
            Err(error) => Err(error),
        };
        read.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        if reader.stopped {
            break;
        }
    }
    reader.flush();
    Ok(reader.loaded)
}

/// A fault with its place in the file.
pub fn tell(faults: &Faults, files: &[PathBuf], place: Place, issue: &Issue) {
    let at = issue.expression.as_deref().map(|expression| format!("{expression}: ")).unwrap_or_default();
    let document = files.get(place.file).is_some_and(|path| matches!(input::lines_or_document(path), Ok(false)));
    if document {
        faults.add(place.file, 0, format!("resource {}: {at}{}", place.line, issue.diagnostics));
    } else {
        faults.add(place.file, place.line, format!("{at}{}", issue.diagnostics));
    }
}

struct Reader<'a> {
    faults: &'a Faults,
    files: &'a [PathBuf],
    send: &'a Sender<Vec<Loadable>>,
    loaded: Loaded,
    batch: Vec<Loadable>,
    /// Nobody takes any more.
    stopped: bool,
}

impl Reader<'_> {
    fn lines(&mut self, file: usize, path: &Path) -> std::io::Result<()> {
        let mut reader = std::io::BufReader::with_capacity(1024 * 1024, input::open(path)?);
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            let read = reader.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes)?;
            if read == 0 || self.stopped {
                break;
            }
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let limits = Limits { body_bytes_max: LINE_BYTES_MAX, ..Limits::default() };
            match check::parse(&bytes, limits) {
                Ok(resource) if input::is_label(&resource) => {}
                Ok(resource) => {
                    self.gone(Place { file, line }, &resource);
                    unpack(resource).into_iter().for_each(|one| self.one(Place { file, line }, one));
                }
                Err(issue) => self.refused(Place { file, line }, &issue),
            }
        }
        Ok(())
    }

    fn document(&mut self, file: usize, path: &Path) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        input::open(path)?.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        let limits = Limits { body_bytes_max: DOCUMENT_BYTES_MAX, nodes_max: usize::MAX, ..Limits::default() };
        match check::parse(&bytes, limits) {
            Ok(resource) => {
                self.gone(Place { file, line: 0 }, &resource);
                for (line, one) in (1..).zip(unpack(resource)) {
                    self.one(Place { file, line }, one);
                }
            }
            Err(issue) => {
                self.loaded.refused += 1;
                self.faults.add(file, 0, issue.diagnostics);
            }
        }
        Ok(())
    }

    fn one(&mut self, place: Place, resource: serde_json::Value) {
        let (faults, files) = (self.faults, self.files);
        self.batch.extend(self.loaded.check(place, resource, &mut |place, issue| tell(faults, files, place, issue)));
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    fn gone(&mut self, place: Place, resource: &serde_json::Value) {
        let gone = deletions(resource).into_iter();
        self.batch.extend(gone.filter_map(|(kind, id)| Loaded::deletion(place, &kind, id)));
    }

    fn refused(&mut self, place: Place, issue: &Issue) {
        self.loaded.refused += 1;
        tell(self.faults, self.files, place, issue);
    }

    fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.stopped |= !batch.is_empty() && self.send.blocking_send(batch).is_err();
    }
}
