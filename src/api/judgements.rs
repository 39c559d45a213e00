//! What a judgement has to be beyond valid R4, whether the page writes it or another system posts it.

use super::State;
use crate::error::Result;
use crate::fhir::outcome::{Issue, IssueType};
use crate::fhir::person::{best_name, display_name};
use crate::fhir::read;
use crate::fhir::write::judgement;
use crate::pipeline::ingest::{Action, Write};
use crate::store::Key;
use jiff::SignedDuration;
use serde_json::Value;

/// Clocks may differ by this much, seconds.
const LEEWAY_SECONDS: i64 = 60;

/// Of a Flag that is not there, or another client's.
pub const NO_FLAG: &str = "A judgement is about a Flag of the same client; there is none of this name.";

/// Judges a write of a judgement: one of our answers, about a Flag of the same client, said by now.
///
/// # Errors
/// 422 with every fault's place; the database.
pub async fn check(state: &State, write: &Write) -> Result<()> {
    let (Action::Create { resource, .. } | Action::Update { resource, .. }) = &write.action else { return Ok(()) };
    if write.kind != "Observation" {
        return Ok(());
    }
    let root = if write.prefix.is_empty() { "Observation".to_owned() } else { format!("{}resource", write.prefix) };
    let latest = state.pipeline.clock.now() + SignedDuration::from_secs(LEEWAY_SECONDS);
    let mut issues = judgement::faults(resource, &root, latest, &state.pipeline.zone);
    let client = read::client(resource);
    // Undoing one is never held up by what it was about.
    let focus = resource.get("focus").and_then(Value::as_array).into_iter().flatten().enumerate();
    for (at, focus) in focus.filter(|_| !judgement::is_undone(resource)) {
        let named = focus.get("reference").and_then(Value::as_str).unwrap_or_default();
        let flag = match named.rsplit_once("Flag/") {
            Some((_, id)) => state.pipeline.store.read(&Key { kind: "Flag", id: id.into() }).await?,
            None => None,
        };
        // One that is another client's is told apart from none by nobody.
        if !flag.is_some_and(|flag| !flag.deleted && client.is_some() && flag.client.as_deref() == client.as_deref()) {
            issues.push(Issue::error(IssueType::BusinessRule, NO_FLAG).at(format!("{root}.focus[{at}].reference")));
        }
    }
    if issues.is_empty() { Ok(()) } else { Err(issues.into()) }
}

/// Who made a judgement, as the page shows it.
///
/// # Errors
/// The database.
pub async fn by(state: &State, observation: &Value) -> Result<Option<String>> {
    let Some(performer) = observation.get("performer").and_then(|all| all.get(0)) else { return Ok(None) };
    let text = |key: &str| performer.get(key).and_then(Value::as_str);
    if let Some(display) = text("display") {
        return Ok(Some(display.to_owned()));
    }
    let Some((_, id)) = text("reference").and_then(|reference| reference.rsplit_once("Practitioner/")) else {
        return Ok(None);
    };
    let stored = state.pipeline.store.read(&Key { kind: "Practitioner", id: id.into() }).await?;
    let practitioner = stored.and_then(|version| serde_json::from_str::<Value>(&version.json).ok());
    Ok(practitioner.as_ref().and_then(best_name).map(display_name).filter(|name| !name.is_empty()))
}
