//! search, by GET and by POST.

use super::{Request, Response, artefact, row};
use crate::api::State;
use crate::api::access::Access;
use crate::error::Result;
use crate::fhir::definitions::resource_type;
use crate::fhir::outcome::{Issue, IssueType, Severity, operation_outcome};
use crate::fhir::search::{self, Search, Summary};
use crate::smart::scope::Right;
use crate::store::{Page, Version};
use serde_json::{Value, json};

pub async fn search(state: &State, access: &Access, request: Request) -> Result<Response> {
    let base = state.config.fhir_base();
    let name = &request.target.path[0];
    if artefact::is_kind(name) {
        return Ok(Response::text(artefact::search(name, &request.target.query, &base)));
    }
    let row = row(&request)?;
    access.search(row.name)?;
    let context = state.pipeline.term_context();
    let mut search = search::read(row.name, &request.target.query, &context, request.prefer.strict)?;
    access.restrict(&mut search.query);
    let mut page = if search.summary == Summary::Count && search.query.after.is_none() {
        let mut query = search.query.clone();
        query.count = 0;
        query.total = true;
        state.pipeline.store.search(&query).await?
    } else {
        state.pipeline.store.search(&search.query).await?
    };
    page.versions.retain(|version| access.sees_by(version, Right::Search));
    Ok(Response::text(bundle(&base, row.name, &search, &page)))
}

/// A searchset. Stored JSON goes in as it is: what was accepted is given back without loss.
fn bundle(base: &str, name: &str, search: &Search, page: &Page) -> String {
    let query = |extra: Option<(&str, &str)>| {
        let mut out = form_urlencoded::Serializer::new(String::new());
        out.extend_pairs(search.used.iter());
        out.extend_pairs(extra);
        let query = out.finish();
        if query.is_empty() { format!("{base}/{name}") } else { format!("{base}/{name}?{query}") }
    };
    let mut links = vec![json!({"relation": "self", "url": query(None)})];
    if let Some(next) = &page.next {
        links.push(json!({"relation": "next", "url": query(Some(("_cursor", &next.0)))}));
    }
    let mut out = String::with_capacity(256 + page.versions.iter().map(|v| v.json.len() + 128).sum::<usize>());
    out.push_str("{\"resourceType\":\"Bundle\",\"type\":\"searchset\"");
    let whole = page.next.is_none() && search.query.after.is_none() && search.summary != Summary::Count;
    if let Some(total) = page.total.or(whole.then_some(page.versions.len() as u64)) {
        out.push_str(&format!(",\"total\":{total}"));
    }
    out.push_str(&format!(",\"link\":{}", Value::from(links)));
    let mut entries: Vec<String> = Vec::with_capacity(page.versions.len() + 1);
    if search.summary != Summary::Count {
        entries.extend(page.versions.iter().map(|version| entry(base, version, search)));
    }
    if !search.ignored.is_empty() {
        let issue = Issue {
            severity: Severity::Warning,
            ..Issue::error(
                IssueType::NotSupported,
                format!("Not used, because unknown for {name}: {}.", search.ignored.join(", ")),
            )
        };
        let outcome = operation_outcome(&[issue]);
        entries.push(json!({"resource": outcome, "search": {"mode": "outcome"}}).to_string());
    }
    // An empty array is not JSON that FHIR allows.
    if !entries.is_empty() {
        out.push_str(",\"entry\":[");
        out.push_str(&entries.join(","));
        out.push(']');
    }
    out.push('}');
    out
}

fn entry(base: &str, version: &Version, search: &Search) -> String {
    let url = Value::from(format!("{base}/{}/{}", version.key.kind, version.key.id));
    let narrowed = narrow(&version.json, search);
    let json = narrowed.as_deref().unwrap_or(&version.json);
    format!("{{\"fullUrl\":{url},\"resource\":{json},\"search\":{{\"mode\":\"match\"}}}}")
}

/// `_summary` and `_elements`: fewer elements, and the tag that says so. `None`: the whole resource.
fn narrow(json: &str, search: &Search) -> Option<String> {
    const ALWAYS: &[&str] = &["resourceType", "id", "meta"];
    if search.summary == Summary::False && search.elements.is_empty() {
        return None;
    }
    let mut value: Value = serde_json::from_str(json).ok()?;
    let object = value.as_object_mut()?;
    let kind = resource_type(object.get("resourceType").and_then(Value::as_str)?)?;
    let element = |key: &str| kind.property(key).map(|property| kind.element(property));
    object.retain(|key, _| {
        let name = key.strip_prefix('_').unwrap_or(key);
        if ALWAYS.contains(&name) {
            return true;
        }
        match search.summary {
            Summary::Text => name == "text" || element(name).is_some_and(|element| element.required),
            Summary::Data => name != "text",
            Summary::True => element(name).is_some_and(|element| element.summary),
            Summary::False | Summary::Count => {
                search.elements.iter().any(|element| element.rsplit('.').next() == Some(name))
                    || element(name).is_some_and(|element| element.required || element.modifier)
            }
        }
    });
    let tag = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"});
    let meta = object.entry("meta").or_insert_with(|| json!({}));
    match meta.get_mut("tag").and_then(Value::as_array_mut) {
        Some(tags) => tags.push(tag),
        None => meta["tag"] = json!([tag]),
    }
    Some(value.to_string())
}
