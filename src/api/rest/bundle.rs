//! `POST /fhir`: transaction and batch.

use super::patch::shown;
use super::write::{respond, write_of};
use super::{Prefer, Request, Response, Return, Source};
use crate::api::State;
use crate::api::access::Access;
use crate::api::audit::{self, Asked};
use crate::error::{Error, Result};
use crate::fhir::bundle::{self, BundleType, Entry, Parts, Target, Verb};
use crate::fhir::kinds::kind;
use crate::fhir::outcome::{Issue, IssueType, operation_outcome};
use serde_json::{Value, json};

/// What the reads of one Bundle may answer together, bytes: a small request is not to cost a large answer.
const READ_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is left of [`READ_BYTES_MAX`].
struct Room(usize);

impl Room {
    /// Before a read is carried out.
    fn left(&self) -> Result<()> {
        if self.0 > 0 {
            return Ok(());
        }
        let most = READ_BYTES_MAX / 1024 / 1024;
        let text = format!("The reads of a Bundle answer with {most} MiB at most: ask for the rest in another.");
        Err(Error::new(IssueType::TooCostly, text))
    }

    fn take(&mut self, response: &Response) {
        self.0 = self.0.saturating_sub(response.body.as_deref().map_or(0, str::len));
    }
}

pub async fn post(state: &State, access: &Access, request: Request) -> Result<Response> {
    let Request { prefer, body, source, .. } = request;
    let body = body.unwrap_or_default();
    if body.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
        let text = "The base takes a Bundle of type transaction or batch; other resources go to their type's URL.";
        return Err(Error::new(IssueType::Structure, text).at("resourceType"));
    }
    let parts = bundle::read(body)?;
    match parts.kind {
        BundleType::Transaction => transaction(state, access, prefer, parts).await,
        BundleType::Batch => batch(state, access, prefer, parts, source).await,
    }
}

/// All or nothing. Every fault of every entry is told at once, and nothing of a refused transaction is stored.
async fn transaction(state: &State, access: &Access, prefer: Prefer, parts: Parts) -> Result<Response> {
    let base = state.config.fhir_base();
    let Parts { count, entries, refused, .. } = parts;
    let mut issues: Vec<Issue> = refused.into_values().flatten().collect();
    let mut statuses: Vec<u16> = issues.iter().map(|_| 400).collect();
    let mut writes = Vec::new();
    let mut reads = Vec::new();
    for entry in entries {
        let (index, expression) = (entry.index, entry.expression("request.url"));
        let request = request_of(entry, &base, prefer);
        if matches!(request.verb, Verb::Get | Verb::Head) {
            reads.push((index, request));
            continue;
        }
        let (verb, shown) = (request.verb, shown(access, &request, prefer));
        match entry_write(state, access, request).await {
            Ok(write) => writes.push((verb, index, shown, write)),
            Err(error) => {
                statuses.push(error.status);
                issues.extend(error.issues.into_iter().map(|issue| placed(issue, &expression)));
            }
        }
    }
    if !issues.is_empty() {
        let mut error = Error::from(issues);
        error.status = statuses.into_iter().min().unwrap_or(error.status);
        return Err(error);
    }
    // R4: DELETE, then POST, then PUT; reads see what was written.
    writes.sort_by_key(|(verb, index, ..)| (*verb, *index));
    let (places, writes): (Vec<_>, Vec<_>) =
        writes.into_iter().map(|(_, index, shown, write)| ((index, shown), write)).unzip();
    first_look(state, access, &reads, &writes).await?;
    let done = state.pipeline.write_by(access, writes).await?;
    let mut answers: Vec<Option<String>> = vec![None; count];
    for ((index, shown), done) in places.into_iter().zip(done) {
        answers[index] = Some(answer_entry(&base, &respond(&base, prefer_in_bundle(shown), done)));
    }
    for (index, request) in reads {
        let expression = format!("Bundle.entry[{index}].request.url");
        let response = super::answer(state, access, request).await.map_err(|mut error| {
            error.issues = error.issues.into_iter().map(|issue| placed(issue, &expression)).collect();
            error
        })?;
        answers[index] = Some(answer_entry(&base, &response));
    }
    Ok(Response::text(whole("transaction-response", answers)))
}

/// Reads that would be refused refuse the whole before anything is written: those the asker may not make, and those
/// of what is not there and is not about to be.
async fn first_look(
    state: &State,
    access: &Access,
    reads: &[(usize, Request)],
    writes: &[crate::pipeline::ingest::Write],
) -> Result<()> {
    let mut room = Room(READ_BYTES_MAX);
    for (index, request) in reads {
        let id = request.target.path.get(1).map(String::as_str);
        let comes = writes.iter().any(|write| {
            Some(write.kind) == request.target.path.first().map(String::as_str) && id.is_some_and(|id| write.names(id))
        });
        let looked = match room.left() {
            Ok(()) => super::answer(state, access, request.clone()).await,
            Err(full) => Err(full),
        };
        match looked {
            Ok(response) => room.take(&response),
            Err(error) if matches!(error.status, 403 | 413) || !comes => {
                let expression = format!("Bundle.entry[{index}].request.url");
                let issues: Vec<Issue> = error.issues.into_iter().map(|issue| placed(issue, &expression)).collect();
                return Err(Error { issues, ..error });
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// Each entry for itself.
async fn batch(
    state: &State,
    access: &Access,
    prefer: Prefer,
    parts: Parts,
    source: Option<Source>,
) -> Result<Response> {
    let base = state.config.fhir_base();
    let mut answers: Vec<Option<String>> = vec![None; parts.count];
    let mut refused: Vec<(usize, Error)> =
        parts.refused.into_iter().map(|(index, issues)| (index, Error::from(issues).with_status(400))).collect();
    let mut room = Room(READ_BYTES_MAX);
    let mut events = Vec::new();
    for entry in parts.entries {
        let (index, expression) = (entry.index, entry.expression("request.url"));
        let line = format!("{} {}", entry.verb.as_str(), entry.url);
        let request = request_of(entry, &base, prefer_in_bundle(prefer));
        let (method, path) = (request.verb.as_str(), request.target.path.clone());
        let reads = matches!(request.verb, Verb::Get | Verb::Head);
        let answer = match room.left() {
            Err(full) if reads => Err(full),
            _ => Box::pin(super::answer(state, access, request)).await,
        };
        // An access for itself, as if it had come alone.
        let status = answer.as_ref().map_or_else(|error| error.status, |response| response.status);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let asked = Asked::of(method, &path, &line, status);
        events.extend(audit::of_request(access, &asked, state.pipeline.clock.now(), &state.pipeline.term_context()));
        match answer {
            Ok(response) => {
                room.take(&response);
                answers[index] = Some(answer_entry(&base, &response));
            }
            Err(mut error) => {
                crate::api::respond::log(&error);
                error.issues = error.issues.into_iter().map(|issue| placed(issue, &expression)).collect();
                refused.push((index, error));
            }
        }
    }
    if let Some(source) = source {
        source.locate("", refused.iter_mut().flat_map(|(_, error)| error.issues.iter_mut()));
    }
    for (index, error) in refused {
        answers[index] = Some(refused_entry(&error));
    }
    state.trail.keep(events).await?;
    Ok(Response::text(whole("batch-response", answers)))
}

fn refused_entry(error: &Error) -> String {
    let outcome = operation_outcome(&error.issues);
    json!({"response": {"status": status_line(error.status), "outcome": outcome}}).to_string()
}

async fn entry_write(state: &State, access: &Access, request: Request) -> Result<crate::pipeline::ingest::Write> {
    let path = &request.target.path;
    let known = path.first().is_some_and(|name| kind(name).is_some());
    let (verb, depth) = (request.verb, path.len());
    if !known {
        let text = "This server does not keep resources of this type; the whole transaction was refused.";
        return Err(Error::new(IssueType::NotSupported, text).with_status(422));
    }
    let sensible = match verb {
        Verb::Post => depth == 1,
        Verb::Put | Verb::Patch | Verb::Delete => depth == 2 || (depth == 1 && !request.target.query.is_empty()),
        _ => false,
    };
    if !sensible || path.get(1).is_some_and(|id| !super::is_id(id)) {
        let text = "This request cannot be part of a transaction here.";
        return Err(Error::new(IssueType::NotSupported, text));
    }
    write_of(state, access, request).await
}

fn request_of(entry: Entry, base: &str, prefer: Prefer) -> Request {
    let prefix = entry.expression("");
    Request {
        verb: entry.verb,
        target: Target::read(&entry.url, base),
        prefer,
        if_match: entry.if_match,
        if_none_match: entry.if_none_match,
        if_none_exist: entry.if_none_exist,
        if_modified_since: None,
        body: entry.resource,
        source: None,
        prefix,
        full_url: entry.full_url,
    }
}

/// In a response Bundle the resources stand only where they were asked for.
fn prefer_in_bundle(prefer: Prefer) -> Prefer {
    Prefer { answer: prefer.answer.or(Some(Return::Minimal)), ..prefer }
}

fn placed(mut issue: Issue, expression: &str) -> Issue {
    match &issue.expression {
        Some(place) if place.starts_with("Bundle.") => {}
        Some(_) | None => issue.expression = Some(expression.to_owned()),
    }
    issue
}

fn answer_entry(base: &str, response: &Response) -> String {
    let mut out = json!({"status": status_line(response.status)});
    if let Some(version) = response.version {
        out["etag"] = json!(format!("W/\"{version}\""));
    }
    if let Some(location) = &response.location {
        // Relative to the base, as R4's examples do.
        out["location"] =
            json!(location.strip_prefix(base).map_or(location.as_str(), |rest| rest.trim_start_matches('/')));
    }
    if let Some(updated) = response.updated {
        out["lastModified"] = json!(format!("{updated:.3}"));
    }
    if let Some(remark) = &response.remark {
        out["outcome"] = remark.clone();
    }
    match &response.body {
        Some(body) => format!("{{\"resource\":{body},\"response\":{out}}}"),
        None => format!("{{\"response\":{out}}}"),
    }
}

fn status_line(status: u16) -> String {
    let reason = actix_web::http::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    format!("{status} {}", reason.unwrap_or_default()).trim_end().to_owned()
}

fn whole(kind: &str, answers: Vec<Option<String>>) -> String {
    let entries: Vec<String> = answers.into_iter().flatten().collect();
    if entries.is_empty() {
        return format!("{{\"resourceType\":\"Bundle\",\"type\":\"{kind}\"}}");
    }
    format!("{{\"resourceType\":\"Bundle\",\"type\":\"{kind}\",\"entry\":[{}]}}", entries.join(","))
}
