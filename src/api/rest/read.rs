//! read, vread, metadata.

use super::{Request, Response, artefact, row};
use crate::api::State;
use crate::api::access::Access;
use crate::api::discovery::security;
use crate::config::Auth;
use crate::error::{Error, Result};
use crate::fhir::capability;
use crate::fhir::outcome::IssueType;
use crate::store::{Key, Version};

pub async fn metadata(state: &State, _: &Access, _: Request) -> Result<Response> {
    let mut statement = capability::statement(&state.config.fhir_base(), state.started);
    if state.config.auth == Auth::Smart {
        statement["rest"][0]["security"] = security(&state.smart.describe().await);
    }
    Ok(Response::json(&statement))
}

pub async fn read(state: &State, access: &Access, request: Request) -> Result<Response> {
    let own = artefact::find(&request.target.path[0], &request.target.path[1]);
    if artefact::is_kind(&request.target.path[0]) {
        let text = own.ok_or_else(|| Error::new(IssueType::NotFound, "There is no such resource."))?;
        return Ok(Response::text(text.to_owned()));
    }
    let row = row(&request)?;
    let key = Key { kind: row.name, id: request.target.path[1].as_str().into() };
    access.read(row.name)?;
    let Some(version) = state.pipeline.store.read(&key).await?.filter(|version| access.sees(version)) else {
        // A measure that is shipped, where nobody has stored one of the same name.
        return own.map(|text| Response::text(text.to_owned())).ok_or_else(|| Error::not_found(row.name, &key.id));
    };
    let response = found(version)?;
    let known = request.if_none_match.as_deref().and_then(|tag| super::version_of(tag).ok());
    if known.is_some() && known == response.version {
        return Ok(Response { status: 304, body: None, ..response });
    }
    Ok(response)
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
    found(then.filter(|version| access.sees(version)).ok_or_else(|| Error::not_found(row.name, &key.id))?)
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
    })
}
