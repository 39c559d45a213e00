//! create, update, delete, and their conditional forms.

use super::{Prefer, Request, Response, Return, expected, row, writable};
use crate::api::access::Access;
use crate::api::{State, judgements};
use crate::error::{Error, Result};
use crate::fhir::accept::faults;
use crate::fhir::bundle::{Verb, pairs};
use crate::fhir::kinds::{KindRow, Writer};
use crate::fhir::outcome::{Issue, IssueType, Severity, operation_outcome};
use crate::fhir::write::judgement;
use crate::pipeline::ingest::{Action, Done, Target, Write};
use crate::smart::scope::Right;
use serde_json::Value;

pub async fn create(state: &State, access: &Access, request: Request) -> Result<Response> {
    one(state, access, request).await
}

pub async fn update(state: &State, access: &Access, request: Request) -> Result<Response> {
    one(state, access, request).await
}

pub async fn delete(state: &State, access: &Access, request: Request) -> Result<Response> {
    one(state, access, request).await
}

async fn one(state: &State, access: &Access, request: Request) -> Result<Response> {
    let prefer = request.prefer;
    let write = write_of(state, access, request).await?;
    let done = state.pipeline.write_by(access, vec![write]).await?;
    let done = done.into_iter().next().ok_or_else(|| Error::new(IssueType::Exception, "The server failed."))?;
    Ok(respond(&state.config.fhir_base(), prefer, done))
}

/// What a request asks to be written, checked: every fault of its resource at once.
pub(super) async fn write_of(state: &State, access: &Access, request: Request) -> Result<Write> {
    if request.verb == Verb::Patch {
        return Ok(super::patch::patched(state, access, &request).await?.write);
    }
    let id = request.target.path.get(1).cloned();
    let row = match request.verb {
        Verb::Post | Verb::Put if request.body.as_ref().is_some_and(judgement::is_judgement) => {
            judgement_row(state, access, &request, id.as_deref()).await?
        }
        _ => writable(&request)?,
    };
    let rights: &[Right] = match request.verb {
        Verb::Post => &[Right::Create],
        Verb::Put => &[Right::Update, Right::Create],
        _ => &[Right::Delete],
    };
    // Which of the two an update is, the transaction knows.
    if rights.iter().all(|right| access.may(row.name, *right).is_err()) {
        access.may(row.name, rights[0])?;
    }
    let Request { verb, target, if_match, if_none_match, if_none_exist, body, prefix, full_url, .. } = request;
    let if_match = if_match.as_deref().map(expected).transpose()?;
    let aim = || id.clone().map_or_else(|| Target::Criteria(target.query.clone()), Target::Id);
    let action = match verb {
        Verb::Post => Action::Create {
            resource: checked(row.name, body, &prefix, None)?,
            if_none_exist: if_none_exist
                .map(|criteria| pairs(criteria.split_once('?').map_or(&*criteria, |(_, query)| query)))
                .or_else(|| criteria(&target.query)),
        },
        Verb::Put => Action::Update {
            resource: checked(row.name, body, &prefix, id.as_deref())?,
            target: aim(),
            if_match,
            must_be_new: if_none_match.as_deref().map(str::trim) == Some("*"),
        },
        _ => Action::Delete { target: aim(), if_match },
    };
    let write = Write { kind: row.name, full_url, prefix, action };
    judgements::check(state, &write).await?;
    Ok(write)
}

/// `POST Patient?identifier=…` means what If-None-Exist means: R4 is silent about it, Aidbox and fhirpy's
/// `get_or_create` have it so, and a create that overlooks the criteria makes a second one of what stands.
fn criteria(query: &[(String, String)]) -> Option<Vec<(String, String)>> {
    let shapes = ["_format", "_pretty", "_summary", "_elements"];
    let criteria: Vec<_> = query.iter().filter(|(key, _)| !shapes.contains(&key.as_str())).cloned().collect();
    (!criteria.is_empty()).then_some(criteria)
}

/// Observation is ours to write, but for judgements: never over a finding.
async fn judgement_row(
    state: &State,
    access: &Access,
    request: &Request,
    id: Option<&str>,
) -> Result<&'static KindRow> {
    let row = row(request)?;
    if row.name != "Observation" {
        return writable(request);
    }
    if let Some(id) = id {
        let key = crate::store::Key { kind: row.name, id: id.into() };
        let stands = state.pipeline.store.read(&key).await?.filter(|version| !version.deleted);
        // What is not theirs is refused as such, by the transaction.
        let stands = stands.filter(|version| access.sees(version));
        let ours = |json: &str| !serde_json::from_str(json).is_ok_and(|value: Value| judgement::is_judgement(&value));
        if stands.is_some_and(|version| ours(&version.json)) {
            return writable(request);
        }
    }
    debug_assert_eq!(row.writer, Writer::Ours);
    Ok(row)
}

/// Every fault that our check of R4's definitions finds, at once. (The typed model behind it found no further one
/// in 700,000 broken resources, so it judges in the tests: see `src/fhir/codec`.)
pub(super) fn checked(kind: &str, body: Option<Value>, prefix: &str, id: Option<&str>) -> Result<Value> {
    let root = if prefix.is_empty() { kind.to_owned() } else { format!("{prefix}resource") };
    let Some(resource) = body else {
        return Err(Error::new(IssueType::Required, "The request needs a resource as its body.")
            .at(root)
            .with_status(400));
    };
    let issues = faults(kind, &resource, &root, id);
    if issues.iter().any(Issue::refuses) {
        // A body that disagrees with its URL is a bad request (R4, update).
        let mut error = Error::from(issues);
        error.status = error.status.min(422);
        return Err(error);
    }
    Ok(resource)
}

/// An older version that came late changed nothing of what stands: said where an outcome is asked for.
fn remarks(version: u64, late: Option<u64>, deleted: bool) -> Vec<Issue> {
    let text = |late| {
        let (than, again) = if deleted {
            let again = "; sent without meta.lastUpdated, or dated later, it would bring the resource back";
            ("what has been deleted since", again)
        } else {
            ("what stands", "")
        };
        format!(
            "What was sent is older (meta.lastUpdated) than {than}: it is kept in history as version {late}, and \
             version {version} stands{again}."
        )
    };
    let issue = |late| Issue { severity: Severity::Information, ..Issue::error(IssueType::Informational, text(late)) };
    late.map(issue).into_iter().collect()
}

/// The answer to a write, as `Prefer` asks for it.
pub(super) fn respond(base: &str, prefer: Prefer, done: Done) -> Response {
    let Done { key, version, updated, status, json, late } = done;
    // A deletion has nothing to give back but this.
    let (status, json) = match (status, prefer.answer) {
        (204, Some(Return::OperationOutcome)) => (200, Some(operation_outcome(&[]).to_string().into())),
        _ => (status, json),
    };
    let remark = late.map(|_| operation_outcome(&remarks(version, late, json.is_none())));
    let outcome = |deleted| Some(operation_outcome(&remarks(version, late, deleted)).to_string().into());
    let body = match (prefer.answer.unwrap_or(Return::Representation), json) {
        (Return::Representation, Some(json)) => Some(json),
        (Return::OperationOutcome, Some(_)) => outcome(false),
        // Nothing stands that could be given back.
        (Return::Representation | Return::OperationOutcome, None) if late.is_some() => outcome(true),
        _ => None,
    };
    if version == 0 {
        return Response { status, body, ..Response::default() };
    }
    Response {
        status,
        body,
        version: Some(version),
        updated: Some(updated),
        location: Some(format!("{base}/{}/{}/_history/{version}", key.kind, key.id)),
        remark,
    }
}
