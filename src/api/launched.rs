//! Data by launch: what the EHR holds of the launch's patient comes in through the intake that pushed bundles take.

use super::access::{Access, Holder};
use super::{State, flags, launch};
use crate::error::Result;
use crate::fhir::check;
use crate::fhir::outcome::Issue;
use crate::pipeline::ingest::{Action, Target, Write};
use crate::smart::session::{Ending, Progress, Session};
use crate::smart::{pull, scope};
use crate::store::Query;
use actix_web::web;
use std::sync::Arc;
use std::time::Duration;

/// Resources written at once.
const CHUNK_MAX: usize = 500;
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
    let holder = Holder {
        grants: scope::grants("patient/*.cud"),
        patient: session.patient.as_deref().map(str::to_owned),
        fhir_user: None,
    };
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
    for kind in found.whole {
        for id in kept_before(state, session, kind).await? {
            if !seen.contains(&(kind, id.clone())) {
                let action = Action::Delete { target: Target::Id(id), if_match: None };
                writes.push(Write { kind, full_url: None, prefix: String::new(), action });
            }
        }
    }
    while !writes.is_empty() {
        let rest = writes.split_off(writes.len().min(CHUNK_MAX));
        state.pipeline.write_by(&access, std::mem::replace(&mut writes, rest)).await?;
    }
    Ok(())
}

/// Ids of what earlier launches of this EHR's read of the patient.
async fn kept_before(state: &State, session: &Session, kind: &'static str) -> Result<Vec<String>> {
    let ehr = state.smart.launches.as_ref().and_then(|launches| launches.ehrs.get(session.ehr));
    let (Some(ehr), Some(patient)) = (ehr, &session.patient) else { return Ok(Vec::new()) };
    let mut query = Query { kind, client: Some(Arc::clone(patient)), count: CHUNK_MAX, ..Query::default() };
    let mut ids = Vec::new();
    loop {
        let page = state.pipeline.store.search(&query).await?;
        let all = page.versions.iter().map(|version| version.key.id.to_string());
        ids.extend(all.filter(|id| id.starts_with(&ehr.prefix())));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(ids),
        }
    }
}
