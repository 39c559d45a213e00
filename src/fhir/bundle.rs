//! Bundles that are posted to the base: `transaction` and `batch`, read into entries.

use super::check;
use super::outcome::{Issue, IssueType};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// Most entries of one Bundle.
pub const BUNDLE_ENTRIES_MAX: usize = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleType {
    Batch,
    Transaction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    // In the order in which a transaction is carried out.
    Delete,
    Post,
    Put,
    Patch,
    Get,
    Head,
}

impl Verb {
    /// HTTP's name of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

/// One `Bundle.entry`, as its `request` describes it.
#[derive(Debug)]
pub struct Entry {
    /// Place in the Bundle, from 0.
    pub index: usize,
    pub full_url: Option<String>,
    pub verb: Verb,
    /// As sent: `Task/1`, `Patient?identifier=…`.
    pub url: String,
    pub resource: Option<Value>,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub if_none_exist: Option<String>,
}

impl Entry {
    /// FHIRPath of this entry's part.
    #[must_use]
    pub fn expression(&self, part: &str) -> String {
        format!("Bundle.entry[{}].{part}", self.index)
    }
}

/// A Bundle, taken apart.
#[derive(Debug)]
pub struct Parts {
    pub kind: BundleType,
    /// Entries of the Bundle, sound or not.
    pub count: usize,
    /// Those that say what is to be done, in order.
    pub entries: Vec<Entry>,
    /// Those that do not, by their place, with what is wrong.
    pub refused: BTreeMap<usize, Vec<Issue>>,
}

/// Takes a Bundle apart. The resources are not looked into.
///
/// # Errors
/// Every fault of the Bundle itself. Those of single entries are in [`Parts::refused`].
pub fn read(mut bundle: Value) -> Result<Parts, Vec<Issue>> {
    let kind = match bundle.get("type").and_then(Value::as_str) {
        Some("transaction") => BundleType::Transaction,
        Some("batch") => BundleType::Batch,
        Some("document") => {
            return Err(refusal("a document is not taken apart here; send its resources in a transaction or batch"));
        }
        Some("message") => {
            return Err(refusal("messages are not processed here; send the resources in a transaction or batch"));
        }
        Some("collection" | "history" | "searchset" | "transaction-response" | "batch-response") => {
            return Err(refusal(
                "nothing in it says what to do with its entries; use type transaction or batch, with a request on each entry",
            ));
        }
        _ => return Err(refusal("the base takes Bundles of type transaction or batch")),
    };
    let count = bundle.get("entry").and_then(Value::as_array).map_or(0, Vec::len);
    if count > BUNDLE_ENTRIES_MAX {
        let text = format!("A Bundle takes at most {BUNDLE_ENTRIES_MAX} entries; send several.");
        return Err(vec![Issue::error(IssueType::TooLong, text).at("Bundle.entry")]);
    }
    let sound = !check::check_bundle_shell(&bundle).iter().any(Issue::refuses);
    let mut refused = if sound { BTreeMap::new() } else { faults(&mut bundle)? };
    let entries = match bundle.get_mut("entry").map(Value::take) {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    };
    let mut out = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate().filter(|(_, entry)| !entry.is_null()) {
        match one(index, entry) {
            Ok(entry) => out.push(entry),
            Err(issue) => refused.entry(index).or_default().push(issue),
        }
    }
    Ok(Parts { kind, count, entries: out, refused })
}

/// What is wrong with each entry by itself; entries that are at fault are taken out of the Bundle, null in their place.
fn faults(bundle: &mut Value) -> Result<BTreeMap<usize, Vec<Issue>>, Vec<Issue>> {
    let entries = bundle.get_mut("entry").filter(|entries| entries.as_array().is_some_and(|list| !list.is_empty()));
    let mut entries = entries.map(Value::take);
    if let (Some(object), true) = (bundle.as_object_mut(), entries.is_some()) {
        object.shift_remove("entry");
    }
    let whole = check::check_bundle_shell(bundle);
    if whole.iter().any(Issue::refuses) {
        return Err(whole);
    }
    let mut refused = BTreeMap::new();
    let mut names = HashSet::new();
    for (index, entry) in entries.as_mut().and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
        let place = format!("Bundle.entry[{index}]");
        let text = |path: &str| entry.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let name = text("/fullUrl").map(|url| (url, text("/resource/meta/versionId")));
        let alone = json!({"resourceType": "Bundle", "type": bundle["type"], "entry": [entry.take()]});
        let mut issues = check::check_bundle_shell(&alone);
        for issue in &mut issues {
            let inside = issue.expression.as_deref().and_then(|inside| inside.strip_prefix("Bundle.entry[0]"));
            issue.expression = Some(format!("{place}{}", inside.unwrap_or_default()));
        }
        if name.is_some_and(|name| !names.insert(name)) {
            let text = "bdl-7: A fullUrl must be unique in a bundle, but for different versions.";
            issues.push(Issue::error(IssueType::Invariant, text).at(format!("{place}.fullUrl")));
        }
        if issues.iter().any(Issue::refuses) {
            refused.insert(index, issues);
        } else if let Value::Object(mut alone) = alone {
            *entry = alone.get_mut("entry").and_then(|list| list.get_mut(0)).map(Value::take).unwrap_or_default();
        }
    }
    if let Some(entries) = entries {
        bundle["entry"] = entries;
    }
    Ok(refused)
}

fn one(index: usize, mut entry: Value) -> Result<Entry, Issue> {
    let request = entry.get_mut("request").map(Value::take).unwrap_or_default();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let verb = match request.get("method").and_then(Value::as_str) {
        Some("DELETE") => Verb::Delete,
        Some("POST") => Verb::Post,
        Some("PUT") => Verb::Put,
        Some("PATCH") => Verb::Patch,
        Some("GET") => Verb::Get,
        Some("HEAD") => Verb::Head,
        _ => {
            let text = "An entry needs a request with a method (POST, PUT, DELETE, GET).";
            return Err(Issue::error(IssueType::Required, text).at(format!("Bundle.entry[{index}].request.method")));
        }
    };
    let url = text(&request, "url").ok_or_else(|| {
        let expression = format!("Bundle.entry[{index}].request.url");
        Issue::error(IssueType::Required, "An entry's request needs a url.").at(expression)
    })?;
    Ok(Entry {
        index,
        full_url: text(&entry, "fullUrl"),
        verb,
        url,
        resource: entry.get_mut("resource").map(Value::take).filter(|resource| !resource.is_null()),
        if_match: text(&request, "ifMatch"),
        if_none_match: text(&request, "ifNoneMatch"),
        if_none_exist: text(&request, "ifNoneExist"),
    })
}

fn refusal(why: &str) -> Vec<Issue> {
    vec![Issue::error(IssueType::NotSupported, format!("This Bundle was not processed: {why}.")).at("Bundle.type")]
}

/// Where an entry (or an HTTP request under the base) points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Path segments, decoded.
    pub path: Vec<String>,
    /// Decoded pairs of the query, in order.
    pub query: Vec<(String, String)>,
}

impl Target {
    /// Reads `Task/1?x=y`, with or without a leading slash or our own base in front.
    #[must_use]
    pub fn read(url: &str, base: &str) -> Self {
        let local = url.strip_prefix(base).unwrap_or(url);
        let (path, query) = local.split_once('?').unwrap_or((local, ""));
        Self { path: path.split('/').filter(|part| !part.is_empty()).map(decode).collect(), query: pairs(query) }
    }
}

/// `a=b&c=d`, decoded.
#[must_use]
pub fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Percent-decoding; what is not UTF-8 afterwards is replaced, and finds nothing.
fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Replaces, everywhere in `resource`, references to `from` names by what they became.
/// Only whole values are replaced: `reference`, uri-like values that are `urn:uuid:` or `urn:oid:`, and what the
/// narrative's links and pictures point to (R4, transaction rules).
pub fn rewrite(resource: &mut Value, names: &std::collections::HashMap<String, String>) {
    match resource {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(text) if key == "reference" || text.starts_with("urn:") => {
                        if let Some(name) = names.get(text.as_str())
                            && (key == "reference" || key.starts_with("valueU"))
                        {
                            name.clone_into(text);
                        }
                    }
                    Value::String(text) if key == "div" && text.contains("urn:") => {
                        for (from, to) in names {
                            for (attribute, quote) in [("href", '"'), ("href", '\''), ("src", '"'), ("src", '\'')] {
                                let whole = |value: &str| format!("{attribute}={quote}{value}{quote}");
                                *text = text.replace(&whole(from), &whole(to));
                            }
                        }
                    }
                    Value::String(_) => {}
                    _ => rewrite(value, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, names)),
        _ => {}
    }
}

/// The resources of a Bundle of any type, or the one that stands alone. Entries named `urn:uuid:…` that have no id get
/// that one, and references by such names, or by a `fullUrl`, become references to type and id.
#[must_use]
pub fn unpack(mut resource: Value) -> Vec<Value> {
    if resource.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
        return vec![resource];
    }
    let Some(Value::Array(entries)) = resource.get_mut("entry").map(Value::take) else { return Vec::new() };
    let mut names = std::collections::HashMap::new();
    let mut out = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let Some(mut inner) = entry.get_mut("resource").map(Value::take).filter(Value::is_object) else { continue };
        if let Some(url) = entry.get("fullUrl").and_then(Value::as_str) {
            let uuid = url.strip_prefix("urn:uuid:").filter(|_| inner.get("id").is_none());
            if let Some(uuid) = uuid {
                inner["id"] = Value::from(uuid);
            }
            let text = |key: &str| inner.get(key).and_then(Value::as_str);
            if let (Some(kind), Some(id)) = (text("resourceType"), text("id")) {
                names.insert(url.to_owned(), format!("{kind}/{id}"));
            }
        }
        out.extend(unpack(inner));
    }
    if !names.is_empty() {
        out.iter_mut().for_each(|inner| rewrite(inner, &names));
    }
    out
}

/// Type and id of what a transaction (as an export tells deletions) or a batch deletes.
#[must_use]
pub fn deletions(resource: &Value) -> Vec<(String, String)> {
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let told = text(resource, "/resourceType").as_deref() == Some("Bundle")
        && matches!(text(resource, "/type").as_deref(), Some("transaction" | "batch"));
    let entries = resource.get("entry").filter(|_| told).and_then(Value::as_array).into_iter().flatten();
    let gone = entries.filter(|entry| text(entry, "/request/method").as_deref() == Some("DELETE"));
    let named = gone.filter_map(|entry| text(entry, "/request/url"));
    named.filter_map(|url| url.split_once('/').map(|(kind, id)| (kind.to_owned(), id.to_owned()))).collect()
}

/// `Patient?identifier=http://mrn|7`: a type, then a question.
fn is_search(reference: &str) -> bool {
    reference.split_once('?').is_some_and(|(kind, _)| kind.bytes().all(|b| b.is_ascii_alphabetic()))
}

/// References to names of Bundle entries (`urn:uuid:…`) that nothing in the Bundle has, with their places.
#[must_use]
pub fn unresolved(resource: &Value, root: &str) -> Vec<String> {
    fn walk(value: &Value, place: &str, out: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match value {
                        Value::String(text) if key == "reference" && text.starts_with("urn:") => {
                            out.push(format!("{place}.reference"));
                        }
                        Value::Object(_) | Value::Array(_) => walk(value, &format!("{place}.{key}"), out),
                        _ => {}
                    }
                }
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, item)| walk(item, &format!("{place}[{n}]"), out));
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(resource, root, &mut out);
    out
}

/// Every `reference` of `resource` that is a search (`Patient?identifier=…`), once each.
#[must_use]
pub fn conditional_references(resource: &Value) -> Vec<String> {
    fn walk(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match value {
                        Value::String(text) if key == "reference" && is_search(text) => {
                            if !out.contains(text) {
                                out.push(text.clone());
                            }
                        }
                        _ => walk(value, out),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(resource, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_rewritten_and_nothing_else() {
        let names = [("urn:uuid:a".to_owned(), "Patient/1".to_owned())].into();
        let mut resource = json!({"subject": {"reference": "urn:uuid:a"}, "identifier": [{"system": "urn:uuid:a", "value": "urn:uuid:a"}],
            "text": {"div": "<div><a href=\"urn:uuid:a\">urn:uuid:a</a><img src='urn:uuid:a'/><a href=\"urn:uuid:ab\"/></div>"},
            "note": [{"text": "urn:uuid:a"}], "extension": [{"url": "x", "valueUri": "urn:uuid:a"}]});
        rewrite(&mut resource, &names);
        assert_eq!(resource["subject"]["reference"], "Patient/1");
        assert_eq!(resource["extension"][0]["valueUri"], "Patient/1");
        assert_eq!(
            resource["text"]["div"],
            "<div><a href=\"Patient/1\">urn:uuid:a</a><img src='Patient/1'/><a href=\"urn:uuid:ab\"/></div>"
        );
        assert_eq!(resource["note"][0]["text"], "urn:uuid:a");
        assert_eq!(resource["identifier"][0]["system"], "urn:uuid:a");
    }

    #[test]
    fn bundles_are_unpacked_with_their_names() {
        let urn = "urn:uuid:7d0f3e2a-0d0e-4f0a-9a55-000000000001";
        let all = unpack(json!({"resourceType": "Bundle", "type": "collection", "entry": [
            {"fullUrl": urn, "resource": {"resourceType": "Patient"}},
            {"fullUrl": "http://y/Task/3", "resource": {"resourceType": "Task", "id": "3", "for": {"reference": urn}}},
            {"resource": {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Flag", "subject": {"reference": "http://y/Task/3"}}}]}},
            {"fullUrl": "http://y/nothing"}]}));
        assert_eq!(all.len(), 3);
        assert_eq!(all[0]["id"], "7d0f3e2a-0d0e-4f0a-9a55-000000000001");
        assert_eq!(all[1]["for"]["reference"], "Patient/7d0f3e2a-0d0e-4f0a-9a55-000000000001");
        assert_eq!(all[2]["subject"]["reference"], "Task/3");
    }

    #[test]
    fn urls_are_read_with_and_without_our_base() {
        let base = "http://x/fhir";
        for url in ["Task/1?a=b%20c", "/Task/1?a=b+c", "http://x/fhir/Task/1?a=b%20c"] {
            let target = Target::read(url, base);
            assert_eq!(target.path, ["Task", "1"]);
            assert_eq!(target.query, [("a".to_owned(), "b c".to_owned())]);
        }
        assert_eq!(decode("%zz%41%"), "%zzA%");
    }
}
