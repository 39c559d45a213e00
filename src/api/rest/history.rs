//! history of a resource, a type, the system.

use super::searchset::link;
use super::{Request, Response, row};
use crate::api::State;
use crate::api::access::Access;
use crate::error::{Error, Result};
use crate::fhir::kinds::KINDS;
use crate::fhir::outcome::IssueType;
use crate::fhir::search::{COUNT_DEFAULT, COUNT_MAX};
use crate::fhir::time;
use crate::smart::scope::Right;
use crate::store::{Cursor, HistoryOf, Key, Method, Page, StoreError, Version};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Versions that `_at` and `_summary=count` look at, at most.
const WALKED_MAX: usize = 100_000;

pub async fn system(state: &State, access: &Access, request: Request) -> Result<Response> {
    // What is another's makes no page, no cursor and no count.
    let kinds = KINDS.iter().map(|row| row.name).filter(|kind| access.search(kind).is_ok());
    let within: Vec<_> = kinds.map(|kind| (kind, access.only_client(kind))).collect();
    if within.is_empty() {
        return Err(Error::new(IssueType::Forbidden, "The token's scopes cover no type's history."));
    }
    page(state, access, Right::Search, request, HistoryOf::Within(within)).await
}

pub async fn of_type(state: &State, access: &Access, request: Request) -> Result<Response> {
    let row = row(&request)?;
    access.search(row.name)?;
    let within = vec![(row.name, access.only_client(row.name))];
    page(state, access, Right::Search, request, HistoryOf::Within(within)).await
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

/// What is asked of a history.
#[derive(Default)]
struct Asked {
    count: usize,
    since: Option<Timestamp>,
    /// `_at`: what was current at some moment of this interval, microseconds.
    at: Option<(i64, i64)>,
    counted: bool,
    after: Option<Cursor>,
    used: Vec<(String, String)>,
}

fn asked(state: &State, request: &Request) -> Result<Asked> {
    let mut asked = Asked { count: COUNT_DEFAULT, ..Asked::default() };
    for (key, value) in &request.target.query {
        let bad =
            |expected: &str| Error::new(IssueType::Value, format!("'{key}' has to be {expected}.")).with_status(400);
        let interval = || time::interval(&value.replace(' ', "+"), &state.pipeline.zone);
        match key.as_str() {
            "_count" => {
                let count = value.parse::<usize>().map_err(|_| bad("a whole number"))?;
                asked.counted |= count == 0;
                asked.count = count.clamp(1, COUNT_MAX);
            }
            "_since" => {
                let (from, _) = interval().ok_or_else(|| bad("a FHIR instant"))?;
                asked.since = Timestamp::from_microsecond(from).ok();
            }
            "_at" => asked.at = Some(interval().ok_or_else(|| bad("a FHIR date or instant"))?),
            "_summary" => match value.as_str() {
                "count" => asked.counted = true,
                "false" => {}
                _ => return Err(bad("count or false: a history holds whole resources")),
            },
            "_cursor" => {
                asked.after = Some(Cursor(value.clone()));
                continue;
            }
            "_format" | "_pretty" => continue,
            _ if request.prefer.strict => {
                let text = "A history takes _since, _at, _count and _summary=count.";
                return Err(Error::new(IssueType::NotSupported, text));
            }
            _ => continue,
        }
        asked.used.push((key.clone(), value.clone()));
    }
    Ok(asked)
}

async fn page(state: &State, access: &Access, right: Right, request: Request, of: HistoryOf) -> Result<Response> {
    let asked = asked(state, &request)?;
    let (instance, first) = (matches!(of, HistoryOf::Instance(_)), asked.after.is_none());
    let mut page = match (asked.at, asked.counted) {
        (None, false) => state.pipeline.store.history(of, asked.since, asked.count, asked.after.clone()).await?,
        _ => walked(state, access, right, of, &asked).await?,
    };
    page.versions.retain(|version| access.sees_by(version, right));
    if instance
        && first
        && asked.since.is_none()
        && asked.at.is_none()
        && page.total.is_none_or(|total| total == 0)
        && page.versions.is_empty()
    {
        return Err(Error::new(IssueType::NotFound, "There is no such resource."));
    }
    let base = state.config.fhir_base();
    let path = format!("{base}/{}", request.target.path.join("/"));
    let own = link(&path, &asked.used, None);
    let mut links = vec![json!({"relation": "self", "url": own})];
    if let Some(next) = &page.next {
        links.push(json!({"relation": "next", "url": link(&path, &asked.used, Some(&next.0))}));
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

/// `_summary=count` and `_at`, for which every version that came later has to be seen. The cursor of `_at` is the
/// number of matches before it: what was current then does not change.
async fn walked(state: &State, access: &Access, right: Right, of: HistoryOf, asked: &Asked) -> Result<Page> {
    let skip = match &asked.after {
        None => 0,
        Some(after) => after.0.parse::<usize>().map_err(|_| StoreError::BadCursor)?,
    };
    let mut newer: HashMap<Key, Timestamp> = HashMap::new();
    let mut page = Page::default();
    let (mut walked, mut matched, mut after) = (0, 0, None);
    loop {
        let one = state.pipeline.store.history(of.clone(), asked.since, COUNT_MAX, after).await?;
        walked += one.versions.len();
        for version in one.versions {
            let end = newer.insert(version.key.clone(), version.updated);
            if asked.at.is_some_and(|at| !current_in(&version, end, at)) || !access.sees_by(&version, right) {
                continue;
            }
            matched += 1;
            if !asked.counted && matched > skip && page.versions.len() <= asked.count {
                page.versions.push(version);
            }
        }
        after = one.next;
        if after.is_none() {
            break;
        }
        if walked >= WALKED_MAX {
            let text = format!(
                "This would walk more than {WALKED_MAX} versions; ask for one type, for one resource, or _since."
            );
            return Err(Error::new(IssueType::TooCostly, text).with_status(400));
        }
    }
    if page.versions.len() > asked.count {
        page.versions.truncate(asked.count);
        page.next = Some(Cursor((skip + asked.count).to_string()));
    }
    page.total = Some(matched as u64);
    Ok(page)
}

/// Whether a version, replaced at `end`, was what stood at some moment of the interval. Of a deletion its own moment
/// counts: afterwards nothing stands.
fn current_in(version: &Version, end: Option<Timestamp>, (from, to): (i64, i64)) -> bool {
    let began = version.updated.as_microsecond();
    let lasted = if version.deleted { began >= from } else { end.is_none_or(|end| end.as_microsecond() > from) };
    began < to && lasted
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
