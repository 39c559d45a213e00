//! `write_flags`: our Flags in the EHR's own list, kept in step.
//!
//! Whatever Flag changes is written within a moment, by the token of a launch of its client that lasts, or by our own
//! as a system (`system_scope`), which needs nobody to look. What fails is tried again, later and later. Of several
//! processes one writes for a client at a time, and the others learn from it what stands there ([`claim`]).

use super::claim::{self, Stand};
use super::{State, launched};
use crate::error::Result;
use crate::smart::ehr::Ehr;
use crate::smart::fetch::FetchError;
use crate::smart::launch::Launches;
use crate::smart::session::Session;
use crate::smart::write_back::{self, Kept, Pen};
use crate::store::{HistoryOf, Key, Query, StoreError, Version};
use actix_web::web;
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Flags of one client that are written.
const FLAGS_MAX: usize = 200;
/// Versions of a Flag that are looked through where nobody remembers what was written of it.
const VERSIONS_MAX: usize = 8;
/// How soon it is looked again whether another process has done it.
const TAKEN_PAUSE: SignedDuration = SignedDuration::from_secs(2);
/// How often changes are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Changes read at once.
const PAGE: usize = 200;
/// Clients written for side by side, and clients that wait at most.
const PARALLEL: usize = 4;
const WAITING_MAX: usize = 20_000;
/// After a failure; twice as long after each further one, up to the most.
const PAUSE_SECONDS: i64 = 1;
const PAUSE_SECONDS_MAX: i64 = 300;
/// A process that starts writes what has changed in this time, in case nobody did.
const CATCH_UP: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Ids and versions.
type Written = Vec<(Arc<str>, u64)>;

/// What is to be written, and by whose leave.
#[derive(Default)]
pub struct Keeper {
    waiting: Mutex<HashMap<Arc<str>, Waiting>>,
    /// Sessions of launches that may write, by client.
    launches: Mutex<HashMap<Arc<str>, Session>>,
    /// What stands in the EHR, as far as this process has written it.
    written: Mutex<HashMap<Arc<str>, Written>>,
    bell: Notify,
}

#[derive(Clone, Copy)]
struct Waiting {
    tries: u32,
    due: Timestamp,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    fn add(&self, client: Arc<str>, due: Timestamp) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() < WAITING_MAX || waiting.contains_key(&client) {
            waiting.insert(client, Waiting { tries: 0, due });
        }
    }

    fn due(&self, now: Timestamp) -> Vec<(Arc<str>, Waiting)> {
        let waiting = lock(&self.waiting);
        waiting.iter().filter(|(_, one)| one.due <= now).map(|(client, one)| (Arc::clone(client), *one)).collect()
    }

    /// What was tried is done, or due again; what was asked for meanwhile stays.
    fn tried(&self, client: &Arc<str>, before: Waiting, again: Option<Waiting>) {
        let mut waiting = lock(&self.waiting);
        if waiting.get(client).is_none_or(|one| one.due != before.due || one.tries != before.tries) {
            return;
        }
        match again {
            Some(again) => waiting.insert(Arc::clone(client), again),
            None => waiting.remove(client),
        };
    }
}

/// Somebody has launched for a client, looks, or has said something: what stands in the EHR is brought in step.
pub fn keep_in_step(state: &State, session: Session) {
    let ehr = state.smart.launches.as_ref().and_then(|launches| launches.ehrs.get(session.ehr));
    let Some(client) = session.patient.clone().filter(|_| ehr.is_some_and(|ehr| ehr.write_flags)) else { return };
    lock(&state.flags.launches).insert(Arc::clone(&client), session);
    state.flags.add(client, state.pipeline.clock.now());
    state.flags.bell.notify_one();
}

/// Until `stop` says so.
pub async fn run(state: web::Data<State>, mut stop: watch::Receiver<bool>) {
    let Some(launches) = &state.smart.launches else { return };
    if !launches.ehrs.iter().any(|ehr| ehr.write_flags) {
        return;
    }
    let mut since = state.pipeline.clock.now() - CATCH_UP;
    while !*stop.borrow() {
        match changed(&state, since).await {
            Ok((clients, last)) => {
                let now = state.pipeline.clock.now();
                clients.into_iter().for_each(|client| state.flags.add(client, now));
                since = last;
            }
            Err(error) => tracing::warn!(%error, "changes of flags could not be looked for"),
        }
        let due = state.flags.due(state.pipeline.clock.now());
        futures_util::stream::iter(due)
            .for_each_concurrent(PARALLEL, |(client, before)| one(&state, launches, client, before))
            .await;
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = state.flags.bell.notified() => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}

/// Clients of whom a Flag has changed since, and when the last one did.
async fn changed(state: &State, since: Timestamp) -> Result<(Vec<Arc<str>>, Timestamp)> {
    let mut clients = Vec::new();
    let (mut last, mut after) = (since, None);
    loop {
        let page = state.pipeline.store.history(HistoryOf::Type("Flag"), Some(since), PAGE, after).await?;
        for version in page.versions {
            // The last one seen comes again: two may have one instant.
            let written = lock(&state.flags.written);
            let known = version.client.as_ref().and_then(|client| written.get(client));
            let stands =
                known.is_some_and(|all| all.iter().any(|(id, v)| *id == version.key.id && *v >= version.version));
            drop(written);
            last = last.max(version.updated);
            clients.extend(version.client.filter(|client| !stands && !clients.contains(client)));
        }
        after = page.next;
        if after.is_none() {
            return Ok((clients, last));
        }
    }
}

async fn one(state: &State, launches: &Launches, client: Arc<str>, before: Waiting) {
    let now = state.pipeline.clock.now();
    let again = match brought_in_step(state, launches, &client, now).await {
        Ok(true) => None,
        Ok(false) => Some(Waiting { tries: before.tries, due: now + TAKEN_PAUSE }),
        Err(why) => {
            let pause = PAUSE_SECONDS.saturating_mul(1 << before.tries.min(16)).min(PAUSE_SECONDS_MAX);
            tracing::warn!(%why, pause, "flags could not be written to the record system, and will be tried again");
            Some(Waiting { tries: before.tries + 1, due: now + SignedDuration::from_secs(pause) })
        }
    };
    state.flags.tried(&client, before, again);
}

/// `false`: another process is at it.
///
/// # Errors
/// Why not, for the log.
async fn brought_in_step(
    state: &State,
    launches: &Launches,
    client: &Arc<str>,
    now: Timestamp,
) -> std::result::Result<bool, String> {
    let said = |error: StoreError| error.to_string();
    let flags = current(state, client).await.map_err(said)?;
    let stand: Written = flags.iter().map(|flag| (Arc::clone(&flag.key.id), flag.version)).collect();
    if lock(&state.flags.written).get(client) == Some(&stand) {
        return Ok(true);
    }
    let Some((ehr, pen)) = pen(state, launches, client, now).await? else { return Ok(true) };
    let name = claim::name(&ehr.iss, client);
    let known = claim::stand(state, &name, now).await.map_err(said)?;
    if stand.iter().all(|(id, version)| known.has(id, *version)) {
        lock(&state.flags.written).insert(Arc::clone(client), stand);
        return Ok(true);
    }
    let Some(mut known) = claim::take(state, &name, now).await.map_err(said)? else { return Ok(false) };
    // They may have moved on until it was our turn.
    let done = match current(state, client).await {
        Ok(flags) => {
            let written = tokio::time::timeout(claim::WORK_MAX, write_all(state, ehr, &pen, &flags, &mut known)).await;
            written.unwrap_or_else(|_| Err("the record system takes too long".to_owned())).map(|all| (flags, all))
        }
        Err(error) => Err(said(error)),
    };
    claim::leave(state, &name, &known, state.pipeline.clock.now()).await.map_err(said)?;
    let (flags, all) = done?;
    if all {
        let stand = flags.iter().map(|flag| (Arc::clone(&flag.key.id), flag.version)).collect();
        lock(&state.flags.written).insert(Arc::clone(client), stand);
    }
    Ok(true)
}

async fn current(state: &State, client: &Arc<str>) -> std::result::Result<Vec<Version>, StoreError> {
    let query = Query { kind: "Flag", client: Some(Arc::clone(client)), count: FLAGS_MAX, ..Query::default() };
    Ok(state.pipeline.store.search(&query).await?.versions)
}

/// Writes what does not stand yet, and notes it in `known`; `false`: the scope does not let us.
async fn write_all(
    state: &State,
    ehr: &Ehr,
    pen: &Pen,
    flags: &[Version],
    known: &mut Stand,
) -> std::result::Result<bool, String> {
    let mut failed = None;
    for flag in flags.iter().filter(|flag| !known.has(&flag.key.id, flag.version)).collect::<Vec<_>>() {
        let Ok(resource) = serde_json::from_str::<Value>(&flag.json) else { continue };
        let active = resource["status"] == "active";
        match write(state, ehr, pen, flag, &resource, known).await {
            Ok(kept @ (Kept::Created | Kept::Updated | Kept::Same | Kept::Theirs)) => {
                if kept == Kept::Theirs {
                    tracing::info!("a flag that was closed in the record system stays closed there");
                }
                known.note(&flag.key.id, flag.version, active);
            }
            // Another launch may be let.
            Ok(Kept::NotAllowed) => return Ok(false),
            Err(FetchError::Status(401, _)) => {
                ehr.forget_token();
                failed = Some("the record system does not take our token".to_owned());
            }
            Err(error) => failed = Some(error.to_string()),
        }
    }
    failed.map_or(Ok(true), Err)
}

/// By whose leave it is written: a launch's for this client, else ours as a system. `None`: by nobody's.
async fn pen<'a>(
    state: &State,
    launches: &'a Launches,
    client: &Arc<str>,
    now: Timestamp,
) -> std::result::Result<Option<(&'a Ehr, Pen)>, String> {
    let session = lock(&state.flags.launches).get(client).cloned();
    if let Some(session) = session {
        match launches.unattended(&session, now).await {
            Ok(Some(session)) => {
                let ehr = &launches.ehrs[session.ehr];
                if let Some(patient) = session.remote_patient.clone() {
                    return Ok(Some((
                        ehr,
                        Pen { token: session.token.clone(), scope: session.scope.clone(), patient },
                    )));
                }
            }
            Ok(None) => drop(lock(&state.flags.launches).remove(client)),
            Err(error) => return Err(error.to_string()),
        }
    }
    let own = |ehr: &&Ehr| ehr.write_flags && ehr.is_system() && launches.is_of(ehr, client);
    let Some(ehr) = launches.ehrs.iter().find(own) else { return Ok(None) };
    let patient = match ehr.pushes {
        true => Some(client.to_string()),
        false => launched::remote_patient(state, ehr, client).await.map_err(|error| error.to_string())?,
    };
    let Some(patient) = patient else { return Ok(None) };
    let (token, scope) = ehr.system_token(now).await.map_err(|error| error.to_string())?;
    Ok(Some((ehr, Pen { token, scope, patient })))
}

async fn write(
    state: &State,
    ehr: &Ehr,
    pen: &Pen,
    flag: &Version,
    resource: &Value,
    known: &Stand,
) -> std::result::Result<Kept, FetchError> {
    // One that we closed there may be open again, when what was said of it is taken back.
    let reopened = resource["status"] == "active"
        && match known.active(&flag.key.id) {
            Some(active) => !active,
            None => was_closed(state, &flag.key).await,
        };
    write_back::keep(ehr, pen, &state.pipeline.base, resource, reopened).await
}

/// By its last versions.
async fn was_closed(state: &State, key: &Key) -> bool {
    let all = state.pipeline.store.history(HistoryOf::Instance(key.clone()), None, VERSIONS_MAX, None).await;
    let closed =
        |version: &Version| serde_json::from_str::<Value>(&version.json).is_ok_and(|flag| flag["status"] != "active");
    all.is_ok_and(|page| page.versions.iter().any(closed))
}
