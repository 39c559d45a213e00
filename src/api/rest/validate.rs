//! `$validate`: the check of a write, without the write.

use super::{Request, Response, read, row};
use crate::api::State;
use crate::api::access::Access;
use crate::error::{Error, Result};
use crate::fhir::accept::faults;
use crate::fhir::outcome::{Issue, IssueType, Severity, operation_outcome};
use crate::fhir::profile::{self, Profile};
use serde_json::Value;

/// A resource that is sent, alone or in Parameters.
pub async fn validate(_: &State, access: &Access, request: Request) -> Result<Response> {
    let row = row(&request)?;
    access.read(row.name)?;
    let Sent { resource, under, mode, profile } = sent(&request)?;
    let id = request.target.path.get(1).filter(|id| !id.starts_with('$')).map(String::as_str);
    let checked = resource.clone().filter(|_| mode.as_deref() != Some("delete"));
    let mut issues = match (mode.as_deref(), resource) {
        (Some("delete"), _) => Vec::new(),
        (None | Some("create" | "update" | "profile"), None) => {
            let text = "$validate takes a resource, or Parameters with one named resource.";
            return Err(Error::new(IssueType::Required, text).with_status(400));
        }
        (None | Some("profile"), Some(resource)) => faults(row.name, &resource, row.name, None),
        (Some("create"), Some(resource)) => {
            let mut issues = faults(row.name, &resource, row.name, None);
            if id.is_some() {
                issues
                    .push(Issue::error(IssueType::BusinessRule, "The resource stands already; it cannot be created."));
            }
            issues
        }
        (Some("update"), Some(resource)) => {
            // At the type's level the resource has to bring its id itself.
            let own = resource.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            faults(row.name, &resource, row.name, Some(id.unwrap_or(&own)))
        }
        (Some(_), _) => {
            let text = "mode has to be create, update, delete or profile.";
            return Err(Error::new(IssueType::Value, text).with_status(400));
        }
    };
    if let Some(resource) = checked {
        issues.extend(profiled(&resource, row.name, profile.as_deref()));
    }
    if let Some(source) = &request.source {
        source.locate(&under, issues.iter_mut());
    }
    Ok(Response::json(&operation_outcome(&issues)))
}

/// A resource that stands here.
pub async fn stored(state: &State, access: &Access, request: Request) -> Result<Response> {
    let kind = row(&request)?.name;
    let asked = request.target.query.iter().find(|(key, _)| key == "profile").map(|(_, url)| url.clone());
    let found = read::read(state, access, request).await?;
    let resource: Value = serde_json::from_str(found.body.as_deref().unwrap_or("null")).unwrap_or_default();
    let mut issues = faults(kind, &resource, kind, None);
    issues.extend(profiled(&resource, kind, asked.as_deref()));
    Ok(Response::json(&operation_outcome(&issues)))
}

struct Sent {
    resource: Option<Value>,
    /// Where it stands in the Parameters.
    under: String,
    mode: Option<String>,
    profile: Option<String>,
}

fn sent(request: &Request) -> Result<Sent> {
    let query = |name: &str| request.target.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let mut sent = Sent { resource: None, under: String::new(), mode: query("mode"), profile: query("profile") };
    let Some(body) = &request.body else { return Ok(sent) };
    if body.get("resourceType").and_then(Value::as_str) != Some("Parameters") {
        sent.resource = Some(body.clone());
        return Ok(sent);
    }
    for (index, parameter) in body.get("parameter").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let text = |keys: &[&str]| keys.iter().find_map(|key| parameter.get(*key)?.as_str().map(str::to_owned));
        match parameter.get("name").and_then(Value::as_str) {
            Some("resource") => {
                sent.resource = parameter.get("resource").cloned();
                sent.under = format!("parameter[{index}].resource");
            }
            Some("mode") => sent.mode = text(&["valueCode", "valueString"]),
            Some("profile") => sent.profile = text(&["valueUri", "valueCanonical", "valueString"]),
            _ => {}
        }
    }
    Ok(sent)
}

/// Against the profile that is asked for, those that the resource says it meets, and the extensions of ours in it.
fn profiled(resource: &Value, root: &str, asked: Option<&str>) -> Vec<Issue> {
    let said = resource.pointer("/meta/profile").and_then(Value::as_array);
    let mut urls: Vec<&str> = said.into_iter().flatten().filter_map(Value::as_str).collect();
    urls.extend(asked);
    urls.sort_unstable();
    urls.dedup();
    let mut issues = profile::extension_faults(resource, root);
    for url in urls {
        match profile::find(url) {
            Profile::Ours(definition) => issues.extend(profile::faults(&definition, resource, root)),
            Profile::Base(kind) if kind == root => {}
            Profile::Base(kind) => {
                issues.push(Issue::error(IssueType::Structure, format!("The profile is one of {kind}.")).at(root));
            }
            Profile::Unknown => {
                let text = "This server does not know a profile that is asked for; it knows R4 and its own, in /StructureDefinition.";
                let severity = if asked == Some(url) { Severity::Error } else { Severity::Warning };
                issues.push(
                    Issue { severity, ..Issue::error(IssueType::NotSupported, text) }
                        .at(format!("{root}.meta.profile")),
                );
            }
        }
    }
    issues
}
