//! `$import`: NDJSON that is posted, each line for itself.

use super::export::Lines;
use super::jobs::{Job, OneFile, Part};
use super::{accepted, must_respond_async, system, trace};
use crate::api::State;
use crate::api::access::Access;
use crate::api::bodies::Held;
use crate::api::http::body;
use crate::error::{Error, Result};
use crate::fhir::bundle::{deletions, unpack};
use crate::fhir::check::{self, Limits};
use crate::fhir::outcome::{Issue, IssueType, operation_outcome};
use crate::pipeline::load::{BATCH, Loaded, Place};
use actix_web::http::header;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use std::sync::Arc;

/// Faults that are told; those after them are counted.
const FAULTS_MAX: usize = 10_000;

pub async fn kick_off(state: &Data<State>, http: &HttpRequest, payload: Payload) -> Result<HttpResponse> {
    let access = system(state, http).await?;
    must_respond_async(http)?;
    let content = http.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !["application/fhir+ndjson", "application/ndjson", "application/x-ndjson"].contains(&essence.as_str()) {
        let text = "$import takes the NDJSON itself as its body (Content-Type application/fhir+ndjson, gzip or plain); this server fetches nothing from a URL.";
        return Err(Error::new(IssueType::NotSupported, text).with_status(415));
    }
    let body = body(state, http, payload).await?;
    let line = format!("{}{}", state.config.base_url, http.uri().path());
    let access = Arc::new(access);
    let job = state.bulk.start(&access, line, state.pipeline.clock.as_ref())?;
    trace(state, &access, http, 202).await?;
    state.bulk.run(&job, run(state.clone(), Arc::clone(&access), Arc::clone(&job), body));
    Ok(accepted(state, &job))
}

async fn run(
    state: Data<State>,
    access: Arc<Access>,
    job: Arc<Job>,
    (bytes, _held): (Bytes, Held),
) -> Result<(Vec<OneFile>, Option<Value>)> {
    let mut loaded = Loaded::default();
    let mut told: Vec<(Place, Issue)> = Vec::new();
    let mut batch = Vec::new();
    let mut tell = |place: Place, issue: &Issue| {
        if told.len() < FAULTS_MAX {
            told.push((place, issue.clone()));
        }
    };
    let lines = bytes.split(|byte| *byte == b'\n').collect::<Vec<_>>();
    for (n, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()) {
        let place = Place { file: 0, line: n as u64 + 1 };
        match check::parse(line, Limits::default()) {
            Ok(resource) => {
                let gone = deletions(&resource);
                batch.extend(gone.into_iter().filter_map(|(kind, id)| Loaded::deletion(place, &kind, id)));
                batch.extend(unpack(resource).into_iter().filter_map(|one| loaded.check(place, one, &mut tell)));
            }
            Err(issue) => {
                loaded.refused += 1;
                tell(place, &issue);
            }
        }
        if batch.len() >= BATCH {
            job.progress(format!("line {} of {}", n + 1, lines.len()));
            state.pipeline.load(&*access, std::mem::take(&mut batch), &mut loaded, &mut tell).await?;
        }
    }
    state.pipeline.load(&*access, batch, &mut loaded, &mut tell).await?;
    let mut errors = Lines::new()?;
    for (place, mut issue) in told {
        issue.diagnostics = format!("Line {}: {}", place.line, issue.diagnostics);
        errors.push(&operation_outcome(&[issue]).to_string())?;
    }
    let file = errors.end(Part::Error, "OperationOutcome", None)?;
    let Loaded { created, stood, ours, not_kept, refused, deleted } = loaded;
    let mut summary = json!({"https://tautline.example/fhir/import": {
        "created": created, "updatedOrUnchanged": stood, "findingsLeftOut": ours, "refused": refused, "otherTypes": not_kept}});
    if deleted > 0 {
        summary["https://tautline.example/fhir/import"]["deleted"] = json!(deleted);
    }
    Ok((file.into_iter().collect(), Some(summary)))
}
