//! Data by launch: what the EHR holds of the launch's patient comes in through the intake that pushed bundles take.

use super::access::{Access, Holder};
use super::{State, flags, launch};
use crate::error::Result;
use crate::fhir::check;
use crate::fhir::outcome::Issue;
use crate::fhir::read;
use crate::pipeline::ingest::{Action, Target, Write};
use crate::smart::ehr::Ehr;
use crate::smart::pull::{self, Missing};
use crate::smart::scope;
use crate::smart::session::{Ending, Progress, Session};
use crate::store::{Key, Query};
use actix_web::web;
use futures_util::StreamExt;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Resources written at once.
const CHUNK_MAX: usize = 500;
/// Of what a search does not show any more, so many are asked for one by one, so many at once, for so long.
const CHECKED_MAX: usize = 200;
const CHECKED_AT_ONCE: usize = 4;
const CHECKING_MAX: Duration = Duration::from_secs(30);
/// How often the other processes are told how far it is.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Reads what the EHR has of the patient, in the background; the page says how far it is.
pub fn read(state: &web::Data<State>, session: Session, user_name: Option<String>, address: Option<String>) {
    let progress = Arc::new(Progress::default());
    if let Some(name) = user_name {
        let _ = progress.user_name.set(name);
    }
    let state = state.clone();
    tokio::spawn(async move {
        {
            let _ending = Ending(Arc::clone(&progress));
            // Side by side: one that waits for the other would wait for what it holds.
            let telling = async {
                loop {
                    tokio::time::sleep(TELL_EVERY).await;
                    tell(&state, &session, &progress).await;
                }
            };
            tokio::select! {
                () = read_in(&state, &session, &progress, address) => {}
                () = telling => {}
            }
        }
        tell(&state, &session, &progress).await;
        flags::keep_in_step(&state, session);
    });
}

async fn tell(state: &State, session: &Session, progress: &Progress) {
    let Some(launches) = &state.smart.launches else { return };
    if let Err(error) = launches.note(session, &progress.report(state.pipeline.clock.now())).await {
        tracing::warn!(%error, "how far reading has come could not be kept");
    }
}

async fn read_in(state: &State, session: &Session, progress: &Progress, address: Option<String>) {
    let ehr = state.smart.launches.as_ref().and_then(|launches| launches.ehrs.get(session.ehr));
    let Some(ehr) = ehr.filter(|ehr| session.patient.is_some() && !ehr.pushes) else { return };
    let found = pull::read_all(ehr, session, progress).await;
    if let Err(error) = keep(state, session, progress, address, found).await {
        super::respond::log(&error);
        tracing::warn!(status = error.status, "what a record system holds could not be kept");
        pull::KINDS.iter().for_each(|kind| progress.note_unread(kind));
    }
}

/// Keeps what was read, through the intake that pushed bundles take. What does not pass its check is left out; what
/// was read before and is not there any more is deleted.
async fn keep(
    state: &State,
    session: &Session,
    progress: &Progress,
    address: Option<String>,
    found: pull::Found,
) -> Result<()> {
    // What is not about the patient has been left out; a group's appointment is about others as well.
    let holder = Holder { grants: scope::grants("system/*.cud"), ..Holder::default() };
    let access = Access::of(holder, launch::asker(session, address), state.pipeline.term_context());
    let mut left_out = 0_usize;
    let mut seen = std::collections::HashSet::new();
    let mut writes = Vec::new();
    for (kind, resource) in found.resources {
        let Some(id) = resource.get("id").and_then(serde_json::Value::as_str).map(str::to_owned) else { continue };
        if check::check(&resource).iter().any(Issue::refuses) || !super::rest::is_id(&id) {
            left_out += 1;
            progress.note_unread(kind);
            // It is there, whatever it says: what an earlier reading kept of it stays.
            seen.insert((kind, id));
            continue;
        }
        if seen.insert((kind, id.clone())) {
            let action = Action::Update { target: Target::Id(id), resource, if_match: None, must_be_new: false };
            writes.push(Write { kind, full_url: None, prefix: String::new(), action });
        }
    }
    if left_out > 0 {
        tracing::warn!(left_out, "resources of a record system are no valid R4 and were left out");
    }
    let mut missing = Vec::new();
    for kind in found.whole {
        let before = kept_before(state, session, kind).await?;
        missing.extend(before.into_iter().filter(|one| !seen.contains(&(kind, one.id.clone()))));
    }
    writes.extend(settled(state, session, progress, missing).await);
    while !writes.is_empty() {
        let rest = writes.split_off(writes.len().min(CHUNK_MAX));
        state.pipeline.write_by(&access, std::mem::replace(&mut writes, rest)).await?;
    }
    Ok(())
}

/// What becomes of what the searches do not show any more. A search may show less than there is without a word
/// (consent, a narrower role): nothing is deleted unless the EHR says, of that one, that it is not there.
async fn settled(state: &State, session: &Session, progress: &Progress, missing: Vec<Before>) -> Vec<Write> {
    let ehr = state.smart.launches.as_ref().and_then(|launches| launches.ehrs.get(session.ehr));
    let Some(ehr) = ehr else { return Vec::new() };
    let until = tokio::time::Instant::now() + CHECKING_MAX;
    let asked = futures_util::stream::iter(missing.into_iter().enumerate()).map(|(place, one)| async move {
        let remote = one.remote.as_deref().filter(|_| place < CHECKED_MAX);
        let verdict = match remote {
            Some(remote) => tokio::time::timeout_at(until, pull::look_for(ehr, session, one.kind, remote)).await.ok(),
            None => None,
        };
        (one, verdict.unwrap_or(Missing::Unsaid))
    });
    let mut writes = Vec::new();
    for (before, verdict) in asked.buffered(CHECKED_AT_ONCE).collect::<Vec<_>>().await {
        let kind = before.kind;
        let fits = |resource: &Value| !check::check(resource).iter().any(Issue::refuses);
        // What a group shares goes for this one alone: a patient's token may not be told of what the others still have.
        let left = match &verdict {
            Missing::Gone => before.without(session.patient.as_deref().unwrap_or_default()).filter(fits),
            Missing::Elsewhere(resource) => Some(resource.clone()).filter(|one| before.shares(one) && fits(one)),
            _ => None,
        };
        let id = before.id;
        let update =
            |resource| Action::Update { target: Target::Id(id.clone()), resource, if_match: None, must_be_new: false };
        let action = match (verdict, left) {
            (_, Some(left)) => update(left),
            (Missing::Gone | Missing::Elsewhere(_), None) => Action::Delete { target: Target::Id(id), if_match: None },
            (Missing::There(resource), None) if fits(&resource) => update(resource),
            (Missing::There(_) | Missing::Unsaid, None) => {
                progress.note_unread(kind);
                continue;
            }
        };
        writes.push(Write { kind, full_url: None, prefix: String::new(), action });
    }
    writes
}

/// What an earlier launch of this EHR's read of the patient.
struct Before {
    kind: &'static str,
    id: String,
    /// The EHR's id of it, where it was kept.
    remote: Option<String>,
    resource: Value,
}

impl Before {
    /// Whether somebody of those it was about is still among those of `now`.
    fn shares(&self, now: &Value) -> bool {
        let before = read::clients(&self.resource);
        read::clients(now).iter().any(|client| before.contains(client))
    }

    /// The same for the others alone; `None`: there are none.
    fn without(&self, patient: &str) -> Option<Value> {
        let own = format!("Patient/{patient}");
        let mut left = self.resource.clone();
        let participants = left.get_mut("participant")?.as_array_mut()?;
        participants.retain(|one| one.get("actor").and_then(|actor| actor.get("reference")?.as_str()) != Some(&own));
        let others = read::clients(&left);
        (!others.is_empty() && !others.iter().any(|client| **client == *patient)).then_some(left)
    }
}

async fn kept_before(state: &State, session: &Session, kind: &'static str) -> Result<Vec<Before>> {
    let ehr = state.smart.launches.as_ref().and_then(|launches| launches.ehrs.get(session.ehr));
    let (Some(ehr), Some(patient)) = (ehr, &session.patient) else { return Ok(Vec::new()) };
    let mut query = Query { kind, client: Some(Arc::clone(patient)), count: CHUNK_MAX, ..Query::default() };
    let mut all = Vec::new();
    loop {
        let page = state.pipeline.store.search(&query).await?;
        let own = page.versions.iter().filter(|version| version.key.id.starts_with(&ehr.prefix()));
        all.extend(own.map(|version| {
            let resource = serde_json::from_str(&version.json).unwrap_or_default();
            let remote = pull::remote_id(ehr, kind, &resource);
            Before { kind, id: version.key.id.to_string(), remote, resource }
        }));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(all),
        }
    }
}

/// The EHR's id of a client whose record was read from there.
///
/// # Errors
/// The database.
pub async fn remote_patient(state: &State, ehr: &Ehr, client: &str) -> Result<Option<String>> {
    let stored = state.pipeline.store.read(&Key { kind: "Patient", id: client.into() }).await?;
    let patient = stored.and_then(|version| serde_json::from_str(&version.json).ok());
    Ok(patient.and_then(|patient| pull::remote_id(ehr, "Patient", &patient)))
}
