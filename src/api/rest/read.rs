//! read, vread, metadata.

use super::narrow::narrow;
use super::{Request, Response, artefact, interactions, row};
use crate::api::State;
use crate::api::access::Access;
use crate::api::discovery::security;
use crate::config::Auth;
use crate::error::{Error, Result};
use crate::fhir::outcome::IssueType;
use crate::fhir::{capability, search};
use crate::store::{Key, Version};

pub async fn metadata(state: &State, _: &Access, _: Request) -> Result<Response> {
    let claimed: Vec<&str> = interactions().collect();
    let mut statement = capability::statement(&state.config.fhir_base(), &format!("{:.0}", state.started), &claimed);
    if state.config.auth == Auth::Smart {
        statement["rest"][0]["security"] = security(&state.smart.describe().await);
    }
    Ok(Response::json(&statement))
}

pub async fn read(state: &State, access: &Access, request: Request) -> Result<Response> {
    let own = artefact::find(&request.target.path[0], &request.target.path[1]);
    if artefact::is_kind(&request.target.path[0]) {
        let text = own.ok_or_else(|| Error::new(IssueType::NotFound, "There is no such resource."))?;
        return shaped(&request, Response::text(text.to_owned()));
    }
    let row = row(&request)?;
    let key = Key { kind: row.name, id: request.target.path[1].as_str().into() };
    access.read(row.name)?;
    let Some(version) = state.pipeline.store.read(&key).await?.filter(|version| access.sees(version)) else {
        // A measure that is shipped, where nobody has stored one of the same name.
        return own.map(|text| Response::text(text.to_owned())).ok_or_else(|| Error::not_found(row.name, &key.id));
    };
    let response = found(version)?;
    if is_known(&request, &response) {
        return Ok(Response { status: 304, body: None, ..response });
    }
    shaped(&request, response)
}

pub async fn vread(state: &State, access: &Access, request: Request) -> Result<Response> {
    let row = row(&request)?;
    let key = Key { kind: row.name, id: request.target.path[1].as_str().into() };
    access.read(row.name)?;
    let version = request.target.path[3].parse().unwrap_or(u64::MAX);
    let store = &state.pipeline.store;
    // Who may not see what stands now sees none of what was.
    let now = store.read(&key).await?.filter(|version| access.sees(version));
    let then = if now.is_some() { store.read_version(&key, version).await? } else { None };
    let version = then.filter(|version| access.sees(version)).ok_or_else(|| Error::not_found(row.name, &key.id))?;
    shaped(&request, found(version)?)
}

/// Conditional read: If-None-Match goes before If-Modified-Since, whose steps are seconds.
fn is_known(request: &Request, response: &Response) -> bool {
    if let Some(tags) = &request.if_none_match {
        let known = |tag: &str| tag.trim() == "*" || super::version_of(tag).ok() == response.version;
        return tags.split(',').any(known);
    }
    match (request.if_modified_since, response.updated) {
        (Some(since), Some(updated)) => updated.as_second() <= since.as_second(),
        _ => false,
    }
}

/// `_summary` and `_elements`.
fn shaped(request: &Request, mut response: Response) -> Result<Response> {
    let shape = search::shape(&request.target.path[0], &request.target.query).map_err(Error::of_query)?;
    if let Some(narrowed) = response.body.as_deref().and_then(|body| narrow(body, &shape)) {
        response.body = Some(narrowed.into());
    }
    Ok(response)
}

fn found(version: Version) -> Result<Response> {
    if version.deleted {
        return Err(Error::new(IssueType::Deleted, "The resource has been deleted."));
    }
    Ok(Response {
        status: 200,
        body: Some(version.json),
        version: Some(version.version),
        updated: Some(version.updated),
        location: None,
        remark: None,
    })
}
