//! search, by GET and by POST: of a type, and within one patient's compartment.

use super::include::{Included, included};
use super::searchset::searchset;
use super::{Request, Response, artefact, may_ask, row};
use crate::api::State;
use crate::api::access::Access;
use crate::error::{Error, Result};
use crate::fhir::kinds::KindRow;
use crate::fhir::outcome::IssueType;
use crate::fhir::search::{self, Summary};
use crate::smart::scope::Right;
use std::sync::Arc;

pub async fn search(state: &State, access: &Access, request: Request) -> Result<Response> {
    let name = &request.target.path[0];
    if artefact::is_kind(name) {
        let (base, strict) = (state.config.fhir_base(), request.prefer.strict);
        return artefact::search(name, &request.target.query, &base, strict).map(Response::text);
    }
    let row = row(&request)?;
    let path = row.name.to_owned();
    carry_out(state, access, request, row, None, &path).await
}

/// `Patient/1/Task?…`
pub async fn compartment(state: &State, access: &Access, request: Request) -> Result<Response> {
    let (client, name) = (request.target.path[1].clone(), request.target.path[2].clone());
    let row = crate::fhir::kinds::kind(&name).ok_or_else(|| {
        Error::new(IssueType::NotSupported, "A patient's compartment holds none of this type.").with_status(404)
    })?;
    let path = format!("Patient/{client}/{}", row.name);
    if row.name == "Group" {
        // It belongs to nobody; those that have the patient as a member are in R4's compartment.
        let mut request = request;
        request.target.query.push(("member".into(), format!("Patient/{client}")));
        return carry_out(state, access, request, row, None, "Group").await;
    }
    carry_out(state, access, request, row, Some(client.into()), &path).await
}

/// A search without a type.
pub async fn everywhere(_: &State, _: &Access, _: Request) -> Result<Response> {
    let text = "A search needs a type, such as Task?status=requested; several go into one batch.";
    Err(Error::new(IssueType::NotSupported, text))
}

async fn carry_out(
    state: &State,
    access: &Access,
    request: Request,
    row: &'static KindRow,
    client: Option<Arc<str>>,
    path: &str,
) -> Result<Response> {
    let (context, base) = (state.pipeline.term_context(), state.config.fhir_base());
    let mut search =
        search::read(row.name, &request.target.query, &context, request.prefer.strict).map_err(Error::of_query)?;
    search.query.client = client;
    may_ask(access, &mut search.query)?;
    let mut query = search.query.clone();
    if search.shape.summary == Summary::Count && query.after.is_none() {
        (query.count, query.total) = (0, true);
    }
    let mut page = state.pipeline.store.search(&query).await?;
    page.versions.retain(|version| access.sees_by(version, Right::Search));
    // A measure that is shipped, where nobody has stored one that fits.
    if page.versions.is_empty() && artefact::asks_for_shipped(row.name, &request.target.query) {
        return artefact::search(row.name, &request.target.query, &base, true).map(Response::text);
    }
    let included = match search.includes.as_slice() {
        [] => Included::default(),
        includes => included(state, access, includes, &page.versions).await?,
    };
    Ok(Response::text(searchset(&base, &format!("{base}/{path}"), &search, &page, &included)))
}
