//! Files of a job: lines, in compressed pieces in the database.

use super::jobs::{Stop, Work};
use crate::error::{Error, Result};
use crate::fhir::outcome::IssueType;
use crate::store::{BulkPart, Store};
use actix_web::web::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// Bytes of one piece, before it is compressed.
const PIECE_BYTES: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    Output,
    Deleted,
    Error,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OneFile {
    pub part: Part,
    /// As the manifest has it: `OperationOutcome`, `Bundle`, or the type itself.
    pub kind: String,
    /// The type that has to be readable to have it.
    pub of: Option<String>,
    pub lines: u64,
    pub file: i16,
    pub pieces: i64,
}

/// A file that is being written.
pub struct Lines {
    file: i16,
    raw: Vec<u8>,
    pieces: i64,
    lines: u64,
}

impl Lines {
    pub fn new(file: i16) -> Self {
        Self { file, raw: Vec::new(), pieces: 0, lines: 0 }
    }

    /// # Errors
    /// As [`Work::save`].
    pub async fn push(&mut self, work: &mut Work, line: &str) -> std::result::Result<(), Stop> {
        self.lines += 1;
        self.raw.extend_from_slice(line.as_bytes());
        self.raw.push(b'\n');
        if self.raw.len() < PIECE_BYTES {
            return Ok(());
        }
        let piece = self.piece().await?;
        work.save(vec![piece]).await
    }

    async fn piece(&mut self) -> Result<BulkPart> {
        let bytes = gzip(std::mem::take(&mut self.raw).into()).await?;
        self.pieces += 1;
        Ok(BulkPart { file: self.file, n: self.pieces - 1, bytes })
    }

    /// The file, nothing where there is no line, and its last piece, which is still to be kept.
    ///
    /// # Errors
    /// It cannot be compressed.
    pub async fn end(mut self, part: Part, kind: &str, of: Option<&str>) -> Result<(Option<OneFile>, Vec<BulkPart>)> {
        let mut last = Vec::new();
        if !self.raw.is_empty() {
            last.push(self.piece().await?);
        }
        let Self { file, pieces, lines, .. } = self;
        let (kind, of) = (kind.to_owned(), of.map(str::to_owned));
        Ok(((lines > 0).then_some(OneFile { part, kind, of, lines, file, pieces }), last))
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error { source: Some(error.into()), ..Error::new(IssueType::Exception, "The server failed.") }
}

async fn gzip(bytes: Bytes) -> Result<Vec<u8>> {
    let packed = tokio::task::spawn_blocking(move || {
        let mut out = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
        out.write_all(&bytes).and_then(|()| out.finish())
    });
    packed.await.map_err(failed)?.map_err(failed)
}

/// A whole file in pieces.
///
/// # Errors
/// It cannot be compressed.
pub async fn packed(file: i16, bytes: Bytes) -> Result<Vec<BulkPart>> {
    let mut parts = Vec::new();
    for n in 0..bytes.len().div_ceil(PIECE_BYTES) {
        let piece = bytes.slice(n * PIECE_BYTES..bytes.len().min((n + 1) * PIECE_BYTES));
        parts.push(BulkPart { file, n: n as i64, bytes: gzip(piece).await? });
    }
    Ok(parts)
}

/// A piece of a file, as it was written; `None`: there is none of that number.
///
/// # Errors
/// The database, or what it gives is no piece.
pub async fn piece(store: &dyn Store, job: &str, file: i16, n: i64) -> Result<Option<Vec<u8>>> {
    let Some(bytes) = store.bulk_part(job, file, n).await? else { return Ok(None) };
    let plain = tokio::task::spawn_blocking(move || {
        let mut out = Vec::with_capacity(PIECE_BYTES);
        GzDecoder::new(bytes.as_slice()).read_to_end(&mut out).map(|_| out)
    });
    plain.await.map_err(failed)?.map(Some).map_err(failed)
}
