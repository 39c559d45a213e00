//! `$import`: NDJSON that is posted, each line for itself.

use super::jobs::{Kept, Stop, What, Work};
use super::lines::{self, OneFile, Part};
use super::{accepted, must_respond_async, system, trace};
use crate::api::State;
use crate::api::http::body;
use crate::error::{Error, Result};
use crate::fhir::bundle::{deletions, unpack};
use crate::fhir::check::{self, Limits};
use crate::fhir::outcome::{Issue, IssueType, operation_outcome};
use crate::pipeline::load::{BATCH, Loadable, Loaded, Place};
use crate::store::INPUT;
use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use std::sync::Arc;

/// Faults that are told; those after them are counted.
const FAULTS_MAX: u64 = 10_000;
/// The file of faults.
const FAULTS: i16 = 0;

pub async fn kick_off(state: &Data<State>, http: &HttpRequest, payload: Payload) -> Result<HttpResponse> {
    let access = system(state, http).await?;
    must_respond_async(http)?;
    let content = http.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !["application/fhir+ndjson", "application/ndjson", "application/x-ndjson"].contains(&essence.as_str()) {
        let text = "$import takes the NDJSON itself as its body (Content-Type application/fhir+ndjson, gzip or plain); this server fetches nothing from a URL.";
        return Err(Error::new(IssueType::NotSupported, text).with_status(415));
    }
    let (bytes, _held) = body(state, http, payload).await?;
    let parts = lines::packed(INPUT, bytes).await?;
    let line = format!("{}{}", state.config.base_url, http.uri().path());
    let job = state.bulk.start(state, &access, line, What::Import, parts).await?;
    trace(state, &access, http, 202).await?;
    let answer = accepted(state, &job.id);
    state.bulk.carry_out(state, job);
    Ok(answer)
}

/// From the line where it was cut off, if it was: what was written then stands, and is not written again.
///
/// # Errors
/// It was cancelled; the database.
pub async fn run(work: &mut Work) -> std::result::Result<(), Stop> {
    let bytes = given(work).await?;
    let mut told: Vec<(Place, Issue)> = Vec::new();
    let mut batch = Vec::new();
    let lines = bytes.split(|byte| *byte == b'\n').collect::<Vec<_>>();
    for (n, line) in lines.iter().enumerate().skip(work.kept.next) {
        read(line, n as u64 + 1, &mut work.kept.loaded, &mut batch, &mut |place, issue| {
            told.push((place, issue.clone()))
        });
        if batch.len() >= BATCH {
            work.job.progress = format!("line {} of {}", n + 1, lines.len());
            write(work, n + 1, std::mem::take(&mut batch), std::mem::take(&mut told)).await?;
        }
    }
    write(work, lines.len(), batch, told).await?;
    let Kept { told, pieces, .. } = work.kept;
    let kind = "OperationOutcome".to_owned();
    work.kept.files = (told > 0)
        .then_some(OneFile { part: Part::Error, kind, of: None, lines: told, file: FAULTS, pieces })
        .into_iter()
        .collect();
    let Loaded { created, stood, ours, not_kept, refused, deleted } = &work.kept.loaded;
    let mut summary = json!({"https://tautline.example/fhir/import": {
        "created": created, "updatedOrUnchanged": stood, "findingsLeftOut": ours, "refused": refused, "otherTypes": not_kept}});
    if *deleted > 0 {
        summary["https://tautline.example/fhir/import"]["deleted"] = json!(deleted);
    }
    work.kept.summary = Some(summary);
    Ok(())
}

/// What was posted.
async fn given(work: &Work) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let store = work.state.pipeline.store.as_ref();
    for n in 0.. {
        match lines::piece(store, &work.job.id, INPUT, n).await? {
            Some(piece) => bytes.extend(piece),
            None => break,
        }
    }
    Ok(bytes)
}

/// One line, checked.
fn read(line: &[u8], number: u64, loaded: &mut Loaded, batch: &mut Vec<Loadable>, tell: &mut dyn FnMut(Place, &Issue)) {
    if line.trim_ascii().is_empty() {
        return;
    }
    let place = Place { file: 0, line: number };
    match check::parse(line, Limits::default()) {
        Ok(resource) => {
            let gone = deletions(&resource);
            batch.extend(gone.into_iter().filter_map(|(kind, id)| Loaded::deletion(place, &kind, id)));
            batch.extend(unpack(resource).into_iter().filter_map(|one| loaded.check(place, one, tell)));
        }
        Err(issue) => {
            loaded.refused += 1;
            tell(place, &issue);
        }
    }
}

/// Writes these, and says that everything before line `next` is done.
async fn write(
    work: &mut Work,
    next: usize,
    batch: Vec<Loadable>,
    mut told: Vec<(Place, Issue)>,
) -> std::result::Result<(), Stop> {
    let (state, access) = (work.state.clone(), Arc::clone(&work.access));
    let mut tell = |place: Place, issue: &Issue| told.push((place, issue.clone()));
    state.pipeline.load(&*access, batch, &mut work.kept.loaded, &mut tell).await?;
    let mut text = String::new();
    for (place, mut issue) in told {
        if work.kept.told >= FAULTS_MAX {
            break;
        }
        work.kept.told += 1;
        issue.diagnostics = format!("Line {}: {}", place.line, issue.diagnostics);
        text.push_str(&operation_outcome(&[issue]).to_string());
        text.push('\n');
    }
    let mut parts = lines::packed(FAULTS, text.into()).await?;
    for part in &mut parts {
        part.n = work.kept.pieces;
        work.kept.pieces += 1;
    }
    work.kept.next = next;
    work.save(parts).await
}
