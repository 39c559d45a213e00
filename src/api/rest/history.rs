//! history of a resource, a type, the system.

use super::{Request, Response, row};
use crate::api::State;
use crate::api::access::Access;
use crate::error::{Error, Result};
use crate::fhir::outcome::IssueType;
use crate::fhir::search::{COUNT_DEFAULT, COUNT_MAX};
use crate::fhir::time;
use crate::smart::scope::Right;
use crate::store::{Cursor, HistoryOf, Key, Method, Version};
use jiff::Timestamp;
use serde_json::{Value, json};

pub async fn system(state: &State, access: &Access, request: Request) -> Result<Response> {
    let some = crate::fhir::kinds::KINDS.iter().any(|row| access.search(row.name).is_ok());
    if !some {
        return Err(Error::new(IssueType::Forbidden, "The token's scopes cover no type's history."));
    }
    page(state, access, Right::Search, request, HistoryOf::System).await
}

pub async fn of_type(state: &State, access: &Access, request: Request) -> Result<Response> {
    let row = row(&request)?;
    access.search(row.name)?;
    page(state, access, Right::Search, request, HistoryOf::Type(row.name)).await
}

pub async fn instance(state: &State, access: &Access, request: Request) -> Result<Response> {
    let row = row(&request)?;
    access.read(row.name)?;
    let key = Key { kind: row.name, id: request.target.path[1].as_str().into() };
    // Who may not see what stands now sees none of what was.
    let now = state.pipeline.store.read(&key).await?;
    if now.is_some_and(|version| !access.sees(&version)) {
        return Err(Error::new(IssueType::NotFound, "There is no such resource."));
    }
    page(state, access, Right::Read, request, HistoryOf::Instance(key)).await
}

async fn page(state: &State, access: &Access, right: Right, request: Request, of: HistoryOf) -> Result<Response> {
    let mut count = COUNT_DEFAULT;
    let mut since = None;
    let mut after = None;
    let mut used: Vec<(&str, &str)> = Vec::new();
    for (key, value) in &request.target.query {
        let bad =
            |expected: &str| Error::new(IssueType::Value, format!("'{key}' has to be {expected}.")).with_status(400);
        match key.as_str() {
            "_count" => {
                count = value.parse::<usize>().map_err(|_| bad("a whole number"))?.clamp(1, COUNT_MAX);
            }
            "_since" => {
                let (from, _) = time::interval(&value.replace(' ', "+"), &state.pipeline.zone)
                    .ok_or_else(|| bad("a FHIR instant"))?;
                since = Timestamp::from_microsecond(from).ok();
            }
            "_cursor" => {
                after = Some(Cursor(value.clone()));
                continue;
            }
            _ => continue,
        }
        used.push((key, value));
    }
    let first = after.is_none();
    let instance = matches!(of, HistoryOf::Instance(_));
    let mut page = state.pipeline.store.history(of, since, count, after).await?;
    page.versions.retain(|version| access.sees_by(version, right));
    if instance && first && since.is_none() && page.versions.is_empty() {
        return Err(Error::new(IssueType::NotFound, "There is no such resource."));
    }
    let base = state.config.fhir_base();
    let path = format!("{base}/{}", request.target.path.join("/"));
    let used = form_urlencoded::Serializer::new(String::new()).extend_pairs(used).finish();
    let own = if used.is_empty() { path.clone() } else { format!("{path}?{used}") };
    let mut links = vec![json!({"relation": "self", "url": own})];
    if let Some(next) = &page.next {
        let cursor: String = form_urlencoded::byte_serialize(next.0.as_bytes()).collect();
        let mark = if used.is_empty() { '?' } else { '&' };
        links.push(json!({"relation": "next", "url": format!("{own}{mark}_cursor={cursor}")}));
    }
    let total = page.total.or((first && page.next.is_none()).then_some(page.versions.len() as u64));
    let mut out = String::from("{\"resourceType\":\"Bundle\",\"type\":\"history\"");
    if let Some(total) = total {
        out.push_str(&format!(",\"total\":{total}"));
    }
    out.push_str(&format!(",\"link\":{}", Value::from(links)));
    if !page.versions.is_empty() {
        let entries: Vec<String> = page.versions.iter().map(|version| entry(&base, version)).collect();
        out.push_str(",\"entry\":[");
        out.push_str(&entries.join(","));
        out.push(']');
    }
    out.push('}');
    Ok(Response::text(out))
}

fn entry(base: &str, version: &Version) -> String {
    let Key { kind, id } = &version.key;
    let (method, url) = match version.method {
        Method::Post => ("POST", (*kind).to_owned()),
        Method::Put => ("PUT", format!("{kind}/{id}")),
        Method::Patch => ("PATCH", format!("{kind}/{id}")),
        Method::Delete => ("DELETE", format!("{kind}/{id}")),
    };
    let status = match (version.deleted, version.version) {
        (true, _) => "204",
        (false, 1) => "201",
        _ => "200",
    };
    let mut entry = json!({
        "fullUrl": format!("{base}/{kind}/{id}"),
        "request": {"method": method, "url": url},
        "response": {
            "status": status,
            "etag": format!("W/\"{}\"", version.version),
            "lastModified": format!("{:.3}", version.updated),
        },
    })
    .to_string();
    if !version.deleted {
        // The stored text goes in as it is.
        entry.truncate(entry.len() - 1);
        entry.push_str(",\"resource\":");
        entry.push_str(&version.json);
        entry.push('}');
    }
    entry
}
