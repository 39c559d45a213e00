//! What a resource has to be before it is kept, whichever door it comes by.

use super::kinds::{Writer, kind};
use super::outcome::{Issue, IssueType};
use super::write::judgement;
use super::{check, read};
use crate::store::Kind;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What is wrong with a resource of type `kind`, and, where it goes to a URL with an id, with that.
#[must_use]
pub fn faults(kind: &str, resource: &Value, root: &str, id: Option<&str>) -> Vec<Issue> {
    let sent = resource.get("resourceType").and_then(Value::as_str);
    if sent.is_some_and(|sent| sent != kind) {
        let text = format!("The resource's type is not the one of the URL ({kind}).");
        return vec![Issue::error(IssueType::Invalid, text).at(format!("{root}.resourceType"))];
    }
    let mut issues = check::check_at(resource, root);
    if let Some(id) = id
        && resource.get("id").and_then(Value::as_str) != Some(id)
    {
        let text = "The resource needs the id that stands in the URL.";
        issues.push(Issue::error(IssueType::Invalid, text).at(format!("{root}.id")));
    }
    if kind == "Questionnaire"
        && !issues.iter().any(Issue::refuses)
        && let Err(problem) = read::definition(resource)
    {
        let text = format!("The scoring in this Questionnaire cannot be used; expected: {}.", problem.expected);
        let place = problem.expression.replacen("Questionnaire", root, 1);
        issues.push(Issue::error(IssueType::BusinessRule, text).at(place));
    }
    issues
}

/// Why a resource of a bulk load is left aside.
#[derive(Debug)]
pub enum Aside {
    /// A type that this server does not keep.
    NotKept(String),
    /// A finding, or a type that this server alone writes: it makes its own from the same data.
    Ours(Kind),
    Refused(Vec<Issue>),
}

/// A resource of a bulk load: its type and id, where it may be kept. Without an id it gets one that follows from its
/// content, so that the same load twice makes no second one.
///
/// # Errors
/// Why not.
pub fn bulk(resource: &mut Value) -> Result<(Kind, String), Aside> {
    let name = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default();
    let Some(row) = kind(name) else {
        let faults = check::check(resource);
        let sound = !faults.iter().any(Issue::refuses);
        return Err(if sound { Aside::NotKept(name.to_owned()) } else { Aside::Refused(faults) });
    };
    if row.writer == Writer::Ours && !judgement::is_judgement(resource) {
        return Err(Aside::Ours(row.name));
    }
    let faults = faults(row.name, resource, row.name, None);
    if faults.iter().any(Issue::refuses) {
        return Err(Aside::Refused(faults));
    }
    let id = match resource.get("id").and_then(Value::as_str) {
        Some(id) => id.to_owned(),
        None => {
            let id: String =
                Sha256::digest(resource.to_string()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            resource["id"] = Value::from(id.as_str());
            id
        }
    };
    Ok((row.name, id))
}
