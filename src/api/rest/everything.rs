//! `Patient/{id}/$everything`: the compartment, type by type, and what its resources refer to.

use super::include::included;
use super::searchset::{Frame, bundle, entry, link};
use super::{Request, Response, may_ask};
use crate::api::State;
use crate::api::access::Access;
use crate::error::{Error, Result};
use crate::fhir::kinds::{KINDS, KindRow, in_compartment};
use crate::fhir::outcome::IssueType;
use crate::fhir::search::{self, Include, Shape};
use crate::smart::scope::Right;
use crate::store::{Cursor, Key, Query, Version};

pub async fn everything(state: &State, access: &Access, request: Request) -> Result<Response> {
    let client = request.target.path[1].as_str();
    access.read("Patient")?;
    let key = Key { kind: "Patient", id: client.into() };
    if state.pipeline.store.read(&key).await?.is_none_or(|version| version.deleted || !access.sees(&version)) {
        return Err(Error::not_found("Patient", client));
    }
    let asked = asked(state, &request)?;
    if asked.counted {
        return counted(state, access, &request, &asked).await;
    }
    let (mut at, mut after) = (asked.at, asked.after.clone());
    let mut versions: Vec<Version> = Vec::new();
    while at < asked.kinds.len() && versions.len() < asked.count {
        let kind = asked.kinds[at].name;
        let (count, filters) = (asked.count - versions.len(), asked.filters.clone());
        let mut query =
            Query { kind, client: Some(client.into()), count, after: after.take(), filters, ..Query::default() };
        if may_ask(access, &mut query).is_ok() {
            let mut page = state.pipeline.store.search(&query).await?;
            page.versions.retain(|version| access.sees_by(version, Right::Search));
            versions.extend(page.versions);
            after = page.next;
        }
        at += usize::from(after.is_none());
    }
    let next = (at < asked.kinds.len()).then(|| format!("{at}.{}", after.map(|after| after.0).unwrap_or_default()));
    answer(state, access, &request, &asked.used, next, &versions).await
}

async fn answer(
    state: &State,
    access: &Access,
    request: &Request,
    used: &[(String, String)],
    next: Option<String>,
    versions: &[Version],
) -> Result<Response> {
    let (base, shape) = (state.config.fhir_base(), Shape::default());
    // Who the client's resources name: people and organizations, nobody else's client.
    let mut beside = included(state, access, &[Include::outward()], versions).await?.versions;
    beside.retain(|version| !in_compartment(version.key.kind));
    let url = format!("{base}/{}", request.target.path.join("/"));
    let frame =
        Frame { total: None, own: link(&url, used, None), next: next.map(|next| link(&url, used, Some(&next))) };
    let mut entries: Vec<String> = versions.iter().map(|version| entry(&base, version, &shape, "match")).collect();
    entries.extend(beside.iter().map(|version| entry(&base, version, &shape, "include")));
    Ok(Response::text(bundle(&frame, &entries)))
}

/// `_summary=count`: how many resources the compartment holds, and none of them.
async fn counted(state: &State, access: &Access, request: &Request, asked: &Asked) -> Result<Response> {
    let client = request.target.path[1].as_str();
    let mut total = 0;
    for row in &asked.kinds {
        let filters = asked.filters.clone();
        let mut query = Query { kind: row.name, client: Some(client.into()), total: true, filters, ..Query::default() };
        if may_ask(access, &mut query).is_ok() {
            total += state.pipeline.store.search(&query).await?.total.unwrap_or_default();
        }
    }
    let url = format!("{}/{}", state.config.fhir_base(), request.target.path.join("/"));
    let frame = Frame { total: Some(total), own: link(&url, &asked.used, None), next: None };
    Ok(Response::text(bundle(&frame, &[])))
}

struct Asked {
    counted: bool,
    kinds: Vec<&'static KindRow>,
    count: usize,
    at: usize,
    after: Option<Cursor>,
    filters: Vec<crate::store::Filter>,
    used: Vec<(String, String)>,
}

fn asked(state: &State, request: &Request) -> Result<Asked> {
    let of_patients = |row: &&KindRow| in_compartment(row.name);
    let mut asked = Asked {
        counted: false,
        kinds: KINDS.iter().filter(of_patients).collect(),
        count: search::COUNT_MAX,
        at: 0,
        after: None,
        filters: Vec::new(),
        used: Vec::new(),
    };
    let bad = |key: &str| Error::new(IssueType::Value, format!("The value of '{key}' cannot be.")).with_status(400);
    for (key, value) in &request.target.query {
        match key.as_str() {
            "_count" => {
                asked.count =
                    value.parse().map(|count: usize| count.clamp(1, search::COUNT_MAX)).map_err(|_| bad(key))?
            }
            "_summary" => match value.as_str() {
                "count" => asked.counted = true,
                "false" => {}
                _ => {
                    let text = "'_summary' here is count or false: what is asked for is everything.";
                    return Err(Error::new(IssueType::Value, text).with_status(400));
                }
            },
            "_type" => asked.kinds.retain(|row| value.split(',').any(|name| name == row.name)),
            "_since" => {
                let pair = [("_lastUpdated".to_owned(), format!("ge{value}"))];
                asked.filters = search::read("Patient", &pair, &state.pipeline.term_context(), true)
                    .map_err(Error::of_query)?
                    .query
                    .filters;
            }
            "_cursor" => {
                let (at, after) = value.split_once('.').ok_or_else(|| bad(key))?;
                asked.at = at.parse().map_err(|_| bad(key))?;
                asked.after = (!after.is_empty()).then(|| Cursor(after.to_owned()));
                continue;
            }
            "start" | "end" => {
                let text = format!("'{key}' is not supported; search the types by their dates instead.");
                return Err(Error::new(IssueType::NotSupported, text));
            }
            _ => continue,
        }
        asked.used.push((key.clone(), value.clone()));
    }
    Ok(asked)
}
