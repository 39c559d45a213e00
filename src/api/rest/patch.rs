//! patch, by id and by search: the stored resource is changed, and goes through the same door as any update.

use super::write::{checked, respond};
use super::{Prefer, Request, Response, Return, expected, may_ask, writable};
use crate::api::State;
use crate::api::access::Access;
use crate::error::{Error, Result};
use crate::fhir::bundle::Verb;
use crate::fhir::kinds::KindRow;
use crate::fhir::outcome::{Issue, IssueType};
use crate::fhir::patch::{self, Patch};
use crate::fhir::search;
use crate::pipeline::ingest::{Action, Done, Expected, Write};
use crate::smart::scope::Right;
use crate::store::{Key, Version};
use serde_json::Value;
use std::sync::Arc;

/// Times that a patch is tried anew when another write came between, where the asker named no version.
const TRIES_MAX: usize = 5;

/// What a patch comes to.
pub(super) struct Patched {
    pub write: Write,
    /// What stands now, where the patch changes nothing.
    unchanged: Option<Done>,
}

pub async fn patch(state: &State, access: &Access, request: Request) -> Result<Response> {
    let (base, prefer) = (state.config.fhir_base(), shown(access, &request, request.prefer));
    let mut tries = 0;
    loop {
        tries += 1;
        let Patched { write, unchanged } = patched(state, access, &request).await?;
        if let Some(done) = unchanged {
            return Ok(respond(&base, prefer, done));
        }
        match state.pipeline.write_by(access, vec![write]).await {
            Err(error) if error.status == 412 && request.if_match.is_none() && tries < TRIES_MAX => {}
            Err(error) => return Err(error),
            Ok(done) => {
                let done = done.into_iter().next();
                return done
                    .map(|done| respond(&base, prefer, done))
                    .ok_or_else(|| Error::new(IssueType::Exception, "The server failed."));
            }
        }
    }
}

/// Who may change but not read does not get to see what stands.
pub(super) fn shown(access: &Access, request: &Request, prefer: Prefer) -> Prefer {
    let kind = request.target.path.first().map_or("", String::as_str);
    match request.verb {
        Verb::Patch if access.read(kind).is_err() => Prefer { answer: Some(Return::Minimal), ..prefer },
        _ => prefer,
    }
}

/// Reads what stands, changes it, checks it: an update that holds for this version alone.
pub(super) async fn patched(state: &State, access: &Access, request: &Request) -> Result<Patched> {
    let row = writable(request)?;
    access.may(row.name, Right::Update)?;
    let at =
        |issue: Issue| if request.prefix.is_empty() { issue } else { issue.at(format!("{}resource", request.prefix)) };
    let body = request.body.as_ref().ok_or_else(|| Error::new(IssueType::Structure, "The request needs a patch."))?;
    let patch = patch::read(body).map_err(|issue| Error::from(at(issue)))?;
    if matches!(patch, Patch::Merge(_)) && !request.prefix.is_empty() {
        let text = "A patch in a Bundle is Parameters (FHIRPath Patch), or a Binary that holds a JSON Patch.";
        return Err(at(Issue::error(IssueType::Structure, text)).into());
    }
    let current = current(state, access, request, row).await?;
    let expected = request.if_match.as_deref().map(expected).transpose()?;
    if matches!(expected, Some(Expected::Version(version)) if version != current.version) {
        let text = "The resource is not at the version that the request expects (If-Match).";
        return Err(Error::new(IssueType::Conflict, text).with_status(412));
    }
    let mut before: Value = serde_json::from_str(&current.json).map_err(|error| Error {
        source: Some(error.into()),
        ..Error::new(IssueType::Exception, "The server failed.")
    })?;
    let resource = changed(&patch, &mut before).map_err(|issue| Error::from(at(issue)))?;
    let unchanged = (resource == before).then(|| Done {
        late: None,
        key: current.key.clone(),
        version: current.version,
        updated: current.updated,
        status: 200,
        json: Some(Arc::clone(&current.json)),
    });
    let id = current.key.id.to_string();
    let resource = checked(row.name, Some(resource), &request.prefix, Some(&id))
        .map_err(|error| blamed(error, &patch, request, row.name))?;
    let action = Action::Patch { id, resource, version: current.version };
    let (full_url, prefix) = (request.full_url.clone(), request.prefix.clone());
    Ok(Patched { write: Write { kind: row.name, full_url, prefix, action }, unchanged })
}

/// Of faults in what came out: which operation made them, and where that is.
fn blamed(mut error: Error, patch: &Patch, request: &Request, kind: &str) -> Error {
    let root = if request.prefix.is_empty() { kind.to_owned() } else { format!("{}resource", request.prefix) };
    for issue in &mut error.issues {
        let element = issue.expression.as_deref().and_then(|whole| whole.strip_prefix(&*root)?.strip_prefix('.'));
        let Some((place, number, path)) = element.and_then(|element| patch.blamed(element)) else { continue };
        issue.diagnostics = format!("{} (After operation {number} of the patch, {path}.)", issue.diagnostics);
        let mut there = Issue::error(IssueType::Invalid, "").at(place);
        if let Some(source) = &request.source {
            source.locate("", std::iter::once(&mut there));
        }
        issue.place = there.place;
    }
    error
}

/// `before` loses what we stamped on it: the moment of our own write is not the sender's.
fn changed(patch: &Patch, before: &mut Value) -> std::result::Result<Value, Issue> {
    if let Some(meta) = before.get_mut("meta").and_then(Value::as_object_mut) {
        meta.remove("versionId");
        meta.remove("lastUpdated");
        if meta.is_empty() {
            before.as_object_mut().map(|object| object.remove("meta"));
        }
    }
    let mut resource = before.clone();
    patch::apply(patch, &mut resource)?;
    Ok(resource)
}

async fn current(state: &State, access: &Access, request: &Request, row: &'static KindRow) -> Result<Version> {
    let key = match request.target.path.get(1) {
        Some(id) => Key { kind: row.name, id: id.as_str().into() },
        None => found(state, access, request, row).await?,
    };
    let stands = state.pipeline.store.read(&key).await?;
    match stands.filter(|version| access.sees_by(version, Right::Update)) {
        Some(version) if version.deleted => Err(Error::new(IssueType::Deleted, "The resource has been deleted.")),
        Some(version) => Ok(version),
        None => Err(Error::not_found(row.name, &key.id)),
    }
}

/// The one resource that the criteria find.
async fn found(state: &State, access: &Access, request: &Request, row: &'static KindRow) -> Result<Key> {
    let mut query = search::read(row.name, &request.target.query, &state.pipeline.term_context(), true)?.query;
    if query.filters.is_empty() {
        let text = "A conditional interaction needs at least one search parameter.";
        return Err(Error::new(IssueType::Invalid, text).with_status(412));
    }
    query.count = 2;
    may_ask(access, &mut query)?;
    let mut versions = state.pipeline.store.search(&query).await?.versions.into_iter();
    match (versions.next(), versions.next()) {
        (Some(one), None) => Ok(one.key),
        (None, _) => Err(Error::new(IssueType::NotFound, "The search finds nothing to patch.")),
        _ => {
            let text = "The search finds more than one resource, so nothing was done. Make it more specific.";
            Err(Error::new(IssueType::MultipleMatches, text))
        }
    }
}
