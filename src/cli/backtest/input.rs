//! Where resources come from: NDJSON line by line, Bundles entry by entry, folders file by file. Nothing is held
//! but the piece that is being read.

use super::document;
use crate::fhir::check::{self, Limits};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of one line, or of one entry of a Bundle.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Lines are handed to the workers in pieces of about this size.
const PIECE_BYTES: usize = 1024 * 1024;
/// Pieces that wait at most.
const PIECES_MAX: usize = 4;
/// Faults told of one file; then how many more there were.
const FAULTS_TOLD_MAX: usize = 20;

const EXTENSIONS: [&str; 3] = ["ndjson", "json", "jsonl"];

/// The files behind the paths, sorted; folders are walked to the bottom.
///
/// # Errors
/// A path that is not there, or cannot be listed.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in paths {
        walk(path, true, &mut files).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn walk(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if std::fs::metadata(path)?.is_dir() {
        let mut inside: Vec<PathBuf> =
            std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
        inside.sort();
        return inside.iter().try_for_each(|path| walk(path, false, files));
    }
    if named || EXTENSIONS.iter().any(|known| ending(path) == *known) {
        files.push(path.to_owned());
    }
    Ok(())
}

/// The file's ending, that of the compressed one for `.gz`.
fn ending(path: &Path) -> &str {
    let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    plain.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// The file's text, decompressed where it is called `.gz`.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn io::Read>> {
    let file = File::open(path)?;
    let packed = path.extension().is_some_and(|ending| ending == "gz");
    Ok(if packed { Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) })
}

/// A line of `labels.ndjson`, which `simulate` writes beside the resources: no resource, and no fault either.
pub(crate) fn is_label(value: &Value) -> bool {
    let has = |key: &str| value.get(key).is_some();
    !has("resourceType") && has("patient") && (has("ruptures") || has("dropout"))
}

/// What was wrong with the input, kept until all is read so that it is told in order. No fault repeats content.
#[derive(Default)]
pub struct Faults {
    by_file: Mutex<BTreeMap<usize, FileFaults>>,
}

#[derive(Default)]
struct FileFaults {
    first: BTreeMap<(u64, String), ()>,
    count: u64,
}

impl Faults {
    pub fn add(&self, file: usize, line: u64, fault: String) {
        let mut by_file = self.by_file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let faults = by_file.entry(file).or_default();
        faults.count += 1;
        faults.first.insert((line, fault), ());
        if faults.first.len() > FAULTS_TOLD_MAX {
            faults.first.pop_last();
        }
    }

    pub fn count(&self) -> u64 {
        self.by_file.lock().map_or(0, |by_file| by_file.values().map(|faults| faults.count).sum())
    }

    /// One line each: file, line, fault.
    pub fn told(&self, files: &[PathBuf]) -> Vec<String> {
        let by_file = self.by_file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut told = Vec::new();
        for (file, faults) in by_file.iter() {
            let name = files[*file].display();
            told.extend(faults.first.keys().map(|(line, fault)| match line {
                0 => format!("{name}: {fault}"),
                _ => format!("{name}:{line}: {fault}"),
            }));
            let more = faults.count - faults.first.len() as u64;
            if more > 0 {
                told.push(format!("{name}: and {more} more faults"));
            }
        }
        told
    }
}

/// Whole lines of one file.
struct Piece {
    file: usize,
    first_line: u64,
    bytes: Vec<u8>,
}

/// Reads every file and hands each resource to `take`, on several threads and in no particular order.
///
/// # Errors
/// A file that cannot be opened or read, or what `take` could not do.
pub fn read<E: Send>(
    files: &[PathBuf],
    threads: usize,
    faults: &Faults,
    take: &(impl Fn(&Value) -> Result<(), E> + Sync),
    failed: impl Fn(String) -> E,
) -> Result<(), E> {
    let (send, receive) = sync_channel::<Piece>(PIECES_MAX);
    let receive = Mutex::new(receive);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(|| work(&receive, faults, take))).collect();
        let mut outcome = Ok(());
        for (n, path) in files.iter().enumerate() {
            outcome = match lines_or_document(path) {
                Ok(true) => send_lines(n, path, &send).map_err(|error| failed(unreadable(path, &error))),
                Ok(false) => read_document(n, path, faults, take),
                Err(error) => Err(failed(unreadable(path, &error))),
            };
            if outcome.is_err() {
                break;
            }
        }
        drop(send);
        for worker in workers {
            let done = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome = outcome.and(done);
        }
        outcome
    })
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

/// Lines, unless the file is called `.json`, or its first line opens something that it does not close.
pub(crate) fn lines_or_document(path: &Path) -> io::Result<bool> {
    if ending(path) == "json" {
        return Ok(false);
    }
    let mut first = Vec::new();
    let mut reader = io::Read::take(BufReader::new(open(path)?), 4096);
    while first.trim_ascii().is_empty() {
        first.clear();
        if reader.read_until(b'\n', &mut first)? == 0 {
            break;
        }
    }
    Ok(!matches!(first.trim_ascii(), b"{" | b"[" | b"\xEF\xBB\xBF{"))
}

fn send_lines(file: usize, path: &Path, send: &SyncSender<Piece>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(PIECE_BYTES, open(path)?);
    let mut line = 1;
    loop {
        let mut bytes = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        let first_line = line;
        while bytes.len() < PIECE_BYTES {
            let room = (LINE_BYTES_MAX + 1) as u64;
            let read = io::Read::take(&mut reader, room).read_until(b'\n', &mut bytes)?;
            if read == 0 {
                break;
            }
            if read as u64 == room && bytes.last() != Some(&b'\n') {
                skip_line(&mut reader)?;
                bytes.push(b'\n');
            }
            line += 1;
        }
        if bytes.is_empty() || send.send(Piece { file, first_line, bytes }).is_err() {
            return Ok(());
        }
    }
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

fn work<E>(
    receive: &Mutex<Receiver<Piece>>,
    faults: &Faults,
    take: &impl Fn(&Value) -> Result<(), E>,
) -> Result<(), E> {
    let limits = Limits { body_bytes_max: LINE_BYTES_MAX, ..Limits::default() };
    let mut outcome = Ok(());
    loop {
        let piece = receive.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok(piece) = piece else { return outcome };
        // After a failure the rest is only taken off the channel, so that the reader does not wait for ever.
        if outcome.is_err() {
            continue;
        }
        for (n, line) in (piece.first_line..).zip(piece.bytes.split(|byte| *byte == b'\n')) {
            if line.trim_ascii().is_empty() {
                continue;
            }
            match check::parse(line, limits) {
                Ok(resource) => {
                    let fault = |fault| faults.add(piece.file, n, fault);
                    outcome = outcome.and_then(|()| each(&resource, &fault, take));
                }
                Err(issue) => faults.add(piece.file, n, issue.diagnostics),
            }
        }
    }
}

/// A resource, or every resource in a Bundle. What the server would refuse is left out, and said so.
fn each<E>(resource: &Value, fault: &dyn Fn(String), take: &impl Fn(&Value) -> Result<(), E>) -> Result<(), E> {
    if resource["resourceType"] == "Bundle" {
        let entries = resource["entry"].as_array().map_or(&[][..], Vec::as_slice);
        let mut inner = entries.iter().filter_map(|entry| entry.get("resource"));
        return inner.try_for_each(|inner| each(inner, fault, take));
    }
    if is_label(resource) {
        return Ok(());
    }
    if !resource["resourceType"].is_string() {
        fault("This is not a FHIR resource: it has no resourceType.".to_owned());
        return Ok(());
    }
    if let Some(issue) = check::check(resource).iter().find(|issue| issue.refuses()) {
        let at = issue.expression.as_deref().unwrap_or("resource");
        fault(format!("{at}: {}", issue.diagnostics));
        return Ok(());
    }
    take(resource)
}

fn read_document<E>(
    file: usize,
    path: &Path,
    faults: &Faults,
    take: &impl Fn(&Value) -> Result<(), E>,
) -> Result<(), E> {
    let reader = match open(path) {
        Ok(opened) => BufReader::with_capacity(PIECE_BYTES, opened),
        Err(error) => {
            faults.add(file, 0, error.to_string());
            return Ok(());
        }
    };
    let mut failed = Ok(());
    let mut entry = 0;
    let read = document::read(reader, &mut |resource| {
        entry += 1;
        failed = each(&resource, &|fault| faults.add(file, 0, format!("resource {entry}: {fault}")), take);
        failed.is_ok()
    });
    if let (Err((line, fault)), true) = (read, failed.is_ok()) {
        faults.add(file, line, fault);
    }
    failed
}
