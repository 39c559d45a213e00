//! The Bundle that a search answers with. Stored JSON goes in as it is: what was accepted is given back without loss.

use super::include::Included;
use super::narrow::narrow;
use crate::fhir::outcome::{Issue, IssueType, Severity, operation_outcome};
use crate::fhir::search::{self, Search, Shape, Summary};
use crate::store::{Page, Version};
use serde_json::{Value, json};

/// What stands beside the entries.
#[derive(Debug, Default)]
pub struct Frame {
    pub total: Option<u64>,
    pub own: String,
    pub next: Option<String>,
}

/// `url` is where the search was asked, without its query.
pub fn searchset(base: &str, url: &str, search: &Search, page: &Page, included: &Included) -> String {
    let counted = search.shape.summary == Summary::Count;
    let whole = page.next.is_none() && search.query.after.is_none() && !counted;
    let frame = Frame {
        total: page.total.or(whole.then_some(page.versions.len() as u64)),
        own: link(url, &search.used, None),
        next: page.next.as_ref().map(|next| link(url, &search.used, Some(&next.0))),
    };
    let mut entries = Vec::with_capacity(page.versions.len() + included.versions.len() + 1);
    if !counted {
        // `_elements` are of the type that was searched.
        let beside = Shape { summary: search.shape.summary, elements: Vec::new() };
        entries.extend(page.versions.iter().map(|version| entry(base, version, &search.shape, "match")));
        entries.extend(included.versions.iter().map(|version| entry(base, version, &beside, "include")));
    }
    let issues = remarks(search, included);
    if !issues.is_empty() {
        let outcome = operation_outcome(&issues);
        entries.push(json!({"resource": outcome, "search": {"mode": "outcome"}}).to_string());
    }
    bundle(&frame, &entries)
}

/// What was used, and where the next page begins.
pub fn link(url: &str, used: &[(String, String)], cursor: Option<&str>) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    out.extend_pairs(used.iter()).extend_pairs(cursor.map(|cursor| ("_cursor", cursor)));
    let query = out.finish();
    if query.is_empty() { url.to_owned() } else { format!("{url}?{query}") }
}

pub fn bundle(frame: &Frame, entries: &[String]) -> String {
    let mut out = String::with_capacity(256 + entries.iter().map(|entry| entry.len() + 1).sum::<usize>());
    out.push_str("{\"resourceType\":\"Bundle\",\"type\":\"searchset\"");
    if let Some(total) = frame.total {
        out.push_str(&format!(",\"total\":{total}"));
    }
    let mut links = vec![json!({"relation": "self", "url": frame.own})];
    links.extend(frame.next.as_ref().map(|next| json!({"relation": "next", "url": next})));
    out.push_str(&format!(",\"link\":{}", Value::from(links)));
    // An empty array is not JSON that FHIR allows.
    if !entries.is_empty() {
        out.push_str(",\"entry\":[");
        out.push_str(&entries.join(","));
        out.push(']');
    }
    out.push('}');
    out
}

pub fn entry(base: &str, version: &Version, shape: &Shape, mode: &str) -> String {
    let url = Value::from(format!("{base}/{}/{}", version.key.kind, version.key.id));
    let narrowed = narrow(&version.json, shape);
    let text = narrowed.as_deref().unwrap_or(&version.json);
    format!("{{\"fullUrl\":{url},\"resource\":{text},\"search\":{{\"mode\":\"{mode}\"}}}}")
}

fn remarks(search: &Search, included: &Included) -> Vec<Issue> {
    let warning = |code, text: String| Issue { severity: Severity::Warning, ..Issue::error(code, text) };
    let mut issues = Vec::new();
    if !search.ignored.is_empty() {
        let (name, ignored) = (search.query.kind, search.ignored.join(", "));
        issues.push(warning(IssueType::NotSupported, format!("Not used, because unknown for {name}: {ignored}.")));
    }
    if !search.no_elements.is_empty() {
        let text = search::no_elements(search.query.kind, &search.no_elements);
        issues.push(warning(IssueType::NotSupported, text));
    }
    if included.cut {
        let most = super::include::INCLUDED_MAX;
        let text =
            format!("Not everything is included: a page includes at most {most} resources. Use a smaller _count.");
        issues.push(warning(IssueType::TooCostly, text));
    }
    issues
}
