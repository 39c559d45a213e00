//! `write_flags`: our Flags in the EHR that launched us, kept in step while somebody looks.

use super::State;
use crate::error::Result;
use crate::smart::session::Session;
use crate::smart::write_back::{self, Kept};
use crate::store::Query;
use actix_web::web;
use serde_json::Value;
use std::time::Duration;

/// Flags of one client that are written.
const FLAGS_MAX: usize = 200;
/// How long findings are waited for, at most; and how often they are looked for.
const FINDINGS_WAIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// In the background: waits until the launch's client has been assessed, then brings the EHR's copies in step.
/// What fails is logged and tried again with the next page.
pub fn keep_in_step(state: &web::Data<State>, session: Session) {
    let ehr = state.smart.launches.as_ref().and_then(|launches| launches.ehrs.get(session.ehr));
    if session.patient.is_none() || !ehr.is_some_and(|ehr| ehr.write_flags) {
        return;
    }
    let state = state.clone();
    tokio::spawn(async move {
        settled(&state).await;
        if let Err(error) = write(&state, &session).await {
            tracing::warn!(%error, "flags could not be written to the record system");
        }
    });
}

/// Waits until nobody is due, or long enough.
async fn settled(state: &State) {
    let until = tokio::time::Instant::now() + FINDINGS_WAIT;
    loop {
        // A write makes its client due a moment later.
        tokio::time::sleep(LOOK_EVERY).await;
        let pending = state.pipeline.store.pending(state.pipeline.clock.now()).await;
        if !matches!(pending, Ok(1..)) || tokio::time::Instant::now() > until {
            return;
        }
    }
}

async fn write(state: &State, session: &Session) -> Result<()> {
    let Some(ehr) = state.smart.launches.as_ref().and_then(|launches| launches.ehrs.get(session.ehr)) else {
        return Ok(());
    };
    let query = Query { kind: "Flag", client: session.patient.clone(), count: FLAGS_MAX, ..Query::default() };
    let flags = state.pipeline.store.search(&query).await?.versions;
    let (mut failed, mut changed) = (0_usize, 0_usize);
    for flag in &flags {
        let Ok(resource) = serde_json::from_str::<Value>(&flag.json) else { continue };
        match write_back::keep(ehr, session, &state.pipeline.base, &resource).await {
            Ok(Kept::Created | Kept::Updated) => changed += 1,
            Ok(Kept::Same) => {}
            Ok(Kept::NotAllowed) => failed += 1,
            Err(error) => {
                failed += 1;
                tracing::warn!(%error, "a flag could not be written to the record system");
            }
        }
    }
    tracing::info!(changed, failed, "flags of a client brought in step with the record system");
    Ok(())
}
