//! Bundles: bdl-1 to bdl-12, and what a transaction or batch needs before anyone looks at its entries.

use std::collections::HashSet;

use serde_json::Value;

use super::path::At;
use super::primitive::is_uuid_shape;
use super::rules::{has, list, require, text};
use super::walk::{Checker, Object};
use crate::fhir::outcome::{Issue, IssueType};

/// Checks a Bundle without what is inside `entry.resource`: the caller checks those one by one, with
/// [`check_at`](super::check_at). Empty: the shell is sound.
#[must_use]
pub fn check_bundle_shell(bundle: &Value) -> Vec<Issue> {
    let name = bundle.get("resourceType").and_then(Value::as_str);
    if name.is_some_and(|name| name != "Bundle") {
        let issue = Issue::error(IssueType::Structure, "Expected a Bundle.");
        return vec![issue.at("Bundle")];
    }
    let mut checker = Checker::default();
    checker.shell = true;
    checker.run(bundle, "Bundle")
}

pub(super) fn entry<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let holds = ["resource", "request", "response"].iter().any(|name| has(object, name));
    require(checker, holds, at, "bdl-5: An entry needs a resource, a request or a response.");
    let Some(url) = text(object, "fullUrl") else {
        return;
    };
    let here = at.field("fullUrl");
    require(checker, !url.contains("/_history/"), &here, "bdl-8: A fullUrl must not name a version.");
    let absolute = match url.strip_prefix("urn:uuid:") {
        Some(uuid) => is_uuid_shape(uuid),
        None => url.contains(':') && !url.starts_with('#'),
    };
    if !absolute {
        checker.fault(IssueType::Value, &here, "Expected an absolute URL, urn:uuid:… or urn:oid:….");
    }
}

pub(super) fn bundle<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let Some(kind) = text(object, "type") else {
        return;
    };
    let search = kind == "searchset";
    let history = kind == "history";
    let requests = history || matches!(kind, "transaction" | "batch");
    let responses = history || matches!(kind, "transaction-response" | "batch-response");
    let rule = "bdl-1: total is only for a searchset or a history.";
    require(checker, search || history || !has(object, "total"), at, rule);

    let field = at.field("entry");
    let mut urls = HashSet::new();
    for (position, one) in list(object, "entry").iter().enumerate() {
        let Value::Object(one) = one else { continue };
        let here = field.index(position);
        let rule = "bdl-2: entry.search is only for a searchset.";
        require(checker, search || !has(one, "search"), &here, rule);
        let rule = "bdl-3: entry.request is required in a transaction, batch or history, and only there.";
        require(checker, has(one, "request") == requests, &here, rule);
        let rule = "bdl-4: entry.response is required in a response or history, and only there.";
        require(checker, has(one, "response") == responses, &here, rule);
        if !history && let Some(url) = text(one, "fullUrl") {
            let version = one.get("resource").and_then(|resource| resource.pointer("/meta/versionId"));
            let rule = "bdl-7: A fullUrl must be unique in a bundle, but for different versions.";
            let new = urls.insert((url, version.and_then(Value::as_str)));
            require(checker, new, &here.field("fullUrl"), rule);
        }
        if matches!(kind, "transaction" | "batch") {
            request(checker, one, &here);
        }
    }
    match kind {
        "document" => document(checker, object, at),
        "message" => first_is(checker, object, "MessageHeader", at, "bdl-12: A message starts with a MessageHeader."),
        _ => {}
    }
}

/// What a write must bring and a read must not. Method and url themselves are required by the table.
fn request(checker: &mut Checker, entry: &Object, at: &At) {
    let Some(method) = entry.get("request").and_then(|request| request.get("method")).and_then(Value::as_str) else {
        return;
    };
    let resource = has(entry, "resource");
    match method {
        "POST" | "PUT" | "PATCH" if !resource => {
            checker.fault(IssueType::Required, &at.field("resource"), "This request needs a resource.");
        }
        "GET" | "HEAD" | "DELETE" if resource => {
            checker.fault(IssueType::Structure, &at.field("resource"), "This request takes no resource.");
        }
        _ => {}
    }
}

fn document(checker: &mut Checker, object: &Object, at: &At) {
    let identifier = object.get("identifier").and_then(Value::as_object);
    let named = identifier.is_some_and(|one| has(one, "system") && has(one, "value"));
    require(checker, named, at, "bdl-9: A document needs an identifier with system and value.");
    require(checker, object.contains_key("timestamp"), at, "bdl-10: A document needs a timestamp.");
    first_is(checker, object, "Composition", at, "bdl-11: A document starts with a Composition.");
}

fn first_is(checker: &mut Checker, object: &Object, name: &str, at: &At, rule: &str) {
    let first = list(object, "entry").first().and_then(|entry| entry.pointer("/resource/resourceType"));
    require(checker, first.and_then(Value::as_str) == Some(name), at, rule);
}
