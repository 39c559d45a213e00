//! Jobs that run beside the requests: who started them, how far they are, what they made. All of it is in the database:
//! any process of the same one tells how far a job is and gives its files, and one that was cut off is taken up again by
//! whoever comes first.

use super::export::{self, Of};
use super::import;
use super::lines::OneFile;
use crate::api::State;
use crate::api::access::{Access, Holder};
use crate::error::{Error, Result};
use crate::fhir::audit::Asker;
use crate::fhir::outcome::{IssueType, operation_outcome};
use crate::pipeline::load::Loaded;
use crate::smart::scope;
use crate::store::{BulkJob, BulkPart, BulkPhase, Holding, StoreError};
use actix_web::web::Data;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Jobs that run at the same time, over all processes of one database.
const RUNNING_MAX: u64 = 4;
/// Jobs that are kept, ended ones included.
const KEPT_MAX: u64 = 20;
/// How long a job that nobody carries on is kept.
const STRANDED: SignedDuration = SignedDuration::from_hours(24);
/// Who carries a job out says so at least this often, or it is taken up by another.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
const RENEW: Duration = Duration::from_secs(3);
/// Processes that may end while they carry out one job, before it is given up.
const TRIES_MAX: u16 = 5;
/// How often jobs that nobody carries out are looked for, and those past their time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who wants what: enough to carry it out later.
#[derive(Serialize, Deserialize)]
struct Asked {
    /// The request's line.
    request: String,
    what: What,
    /// Scopes of the token that started it; `None`: anything.
    scopes: Option<String>,
    asker: Option<Asker>,
}

#[derive(Serialize, Deserialize)]
pub enum What {
    Export { of: Of, pairs: Vec<(String, String)>, lenient: bool },
    Import,
}

/// How far a job is, and what it has made.
#[derive(Default, Serialize, Deserialize)]
pub struct Kept {
    pub files: Vec<OneFile>,
    /// Types that are written, or lines that are read.
    pub next: usize,
    /// Whose data is in it.
    pub clients: BTreeSet<Arc<str>>,
    pub loaded: Loaded,
    /// Faults told so far, and the pieces that hold them.
    pub told: u64,
    pub pieces: i64,
    /// Of an import: its counts.
    pub summary: Option<Value>,
    /// Why it failed.
    pub outcome: Option<Value>,
}

/// Why a job is not carried on here.
#[derive(Debug)]
pub enum Stop {
    /// It was cancelled, or another process has it.
    Lost,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// A job, as this process carries it out.
pub struct Work {
    pub state: Data<State>,
    pub access: Arc<Access>,
    pub job: BulkJob,
    pub request: String,
    pub kept: Kept,
    saved: Instant,
}

impl Work {
    /// How far it is is kept, with these pieces.
    ///
    /// # Errors
    /// It is not ours any more; the database.
    pub async fn save(&mut self, parts: Vec<BulkPart>) -> std::result::Result<(), Stop> {
        self.job.state = serde_json::to_string(&self.kept).unwrap_or_default();
        let store = &self.state.pipeline.store;
        let held = self.state.bulk.holding(self.state.pipeline.clock.now());
        if !store.bulk_save(&self.job, &held, parts).await? {
            return Err(Stop::Lost);
        }
        self.saved = Instant::now();
        Ok(())
    }

    /// In words; and that it goes on.
    ///
    /// # Errors
    /// As [`Work::save`].
    pub async fn progress(&mut self, words: String) -> std::result::Result<(), Stop> {
        let changed = self.job.progress != words;
        self.job.progress = words;
        if changed || self.saved.elapsed() > RENEW {
            self.save(Vec::new()).await?;
        }
        Ok(())
    }
}

/// What of them this process carries out.
#[derive(Debug)]
pub struct Jobs {
    holder: String,
    running: Mutex<HashMap<String, JoinHandle<()>>>,
    /// Where they run: beside the worker, away from the threads that answer requests.
    beside: Handle,
}

/// Whose a job is: issuer, client and subject of who started it.
fn owner(access: &Access) -> String {
    let owner = access.asker.as_ref().map(|asker| (&asker.issuer, &asker.client_id, &asker.subject));
    serde_json::to_string(&owner).unwrap_or_default()
}

impl Jobs {
    #[must_use]
    pub fn new(beside: Handle) -> Self {
        Self { holder: uuid::Uuid::new_v4().simple().to_string(), running: Mutex::default(), beside }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, JoinHandle<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holding(&self, now: Timestamp) -> Holding {
        Holding { holder: self.holder.clone(), until: now + LEASE }
    }

    /// Keeps a new job, and begins it.
    ///
    /// # Errors
    /// 429 where enough are running, or kept; the database.
    pub async fn start(
        &self,
        state: &Data<State>,
        access: &Access,
        request: String,
        what: What,
        input: Vec<BulkPart>,
    ) -> Result<BulkJob> {
        let now = state.pipeline.clock.now();
        let asker = access.asker.as_deref().cloned();
        let asked = Asked { request, what, scopes: access.scopes(), asker };
        let job = BulkJob {
            // Not to be guessed.
            id: uuid::Uuid::new_v4().simple().to_string(),
            owner: owner(access),
            asked: serde_json::to_string(&asked).unwrap_or_default(),
            started: now,
            phase: BulkPhase::Running,
            progress: "started".into(),
            state: serde_json::to_string(&Kept::default()).unwrap_or_default(),
            tries: 1,
            expires: now + STRANDED,
        };
        let held = self.holding(now);
        if !state.pipeline.store.bulk_start(&job, &held, input, RUNNING_MAX, KEPT_MAX).await? {
            let text = "Enough bulk jobs are running or kept. Wait, or delete one that is done with.";
            return Err(Error { retry_after_seconds: Some(30), ..Error::new(IssueType::Throttled, text) });
        }
        Ok(job)
    }

    /// Carries it out beside the requests.
    pub fn carry_out(&self, state: &Data<State>, job: BulkJob) {
        let id = job.id.clone();
        let all = state.clone();
        let mut running = self.running();
        let task = self.beside.spawn(async move {
            let id = job.id.clone();
            one(&all, job).await;
            drop(all.bulk.running().remove(&id));
        });
        running.insert(id, task);
    }

    /// The job of that id, if it is this one's.
    ///
    /// # Errors
    /// 404; the database.
    pub async fn find(&self, state: &State, access: &Access, id: &str) -> Result<(BulkJob, Kept, String)> {
        let nothing = || {
            let text = "There is no such job: its time is past, or it was cancelled.";
            Error::new(IssueType::NotFound, text)
        };
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(nothing());
        }
        let found = state.pipeline.store.bulk_find(id, state.pipeline.clock.now()).await?;
        let job = found.filter(|job| job.owner == owner(access)).ok_or_else(nothing)?;
        let kept = serde_json::from_str(&job.state).map_err(|_| nothing())?;
        let asked: Asked = serde_json::from_str(&job.asked).map_err(|_| nothing())?;
        Ok((job, kept, asked.request))
    }

    /// Ends it, and forgets what it made.
    ///
    /// # Errors
    /// The database.
    pub async fn cancel(&self, state: &State, id: &str) -> Result<()> {
        state.pipeline.store.bulk_delete(id).await?;
        if let Some(task) = self.running().remove(id) {
            task.abort();
        }
        Ok(())
    }
}

/// Takes up jobs that nobody carries out, and forgets those past their time; until `stop` says so.
pub async fn run(state: Data<State>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(error) = look(&state).await {
            tracing::warn!(%error, "bulk jobs could not be looked after");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            changed = stop.changed() => if changed.is_err() { break },
        }
    }
    // Others, or we when we start again, go on at once.
    let tasks: Vec<JoinHandle<()>> = state.bulk.running().drain().map(|(_, task)| task).collect();
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
    if let Err(error) = state.pipeline.store.bulk_release(&state.bulk.holder).await {
        tracing::warn!(%error, "bulk jobs could not be handed over; they are taken up a little later");
    }
}

async fn look(state: &Data<State>) -> std::result::Result<(), StoreError> {
    let (store, now) = (&state.pipeline.store, state.pipeline.clock.now());
    for id in store.bulk_expired(now).await? {
        store.bulk_delete(&id).await?;
    }
    while (state.bulk.running().len() as u64) < RUNNING_MAX {
        let Some(job) = store.bulk_claim(now, &state.bulk.holding(now)).await? else { break };
        if state.bulk.running().contains_key(&job.id) {
            // Somebody who opened the file let go of our hold (`tautline import` beside a server on SQLite).
            continue;
        }
        tracing::info!(tries = job.tries, "a bulk job that was cut off is taken up again");
        state.bulk.carry_out(state, job);
    }
    Ok(())
}

/// From beginning, or from where it was, to end.
async fn one(state: &Data<State>, job: BulkJob) {
    let kept: Kept = serde_json::from_str(&job.state).unwrap_or_default();
    let asked: Option<Asked> = serde_json::from_str(&job.asked).ok();
    let given_up = job.tries > TRIES_MAX;
    let terms = state.pipeline.term_context();
    let access = match asked.as_ref().map(|asked| (&asked.scopes, &asked.asker)) {
        Some((Some(scopes), asker)) => {
            let holder = Holder { grants: scope::grants(scopes), ..Holder::default() };
            Access::of(holder, asker.clone().unwrap_or_default(), terms)
        }
        _ => Access::open(terms),
    };
    let request = asked.as_ref().map(|asked| asked.request.clone()).unwrap_or_default();
    let (state, access, saved) = (state.clone(), Arc::new(access), Instant::now());
    let mut work = Work { state, access, job, request, kept, saved };
    let done = match asked.map(|asked| asked.what) {
        _ if given_up => {
            let text = "The job was cut off again and again, and is given up. Ask for less at once.";
            Err(Error::new(IssueType::Exception, text).into())
        }
        Some(What::Export { of, pairs, lenient }) => {
            match export::asked(&work.state, &work.access, &pairs, of, lenient) {
                Ok(asked) => export::run(&mut work, asked).await,
                Err(error) => Err(error.into()),
            }
        }
        Some(What::Import) => import::run(&mut work).await,
        None => Err(Error::new(IssueType::Exception, "The server failed.").into()),
    };
    let now = work.state.pipeline.clock.now();
    work.job.expires = now + SignedDuration::from_mins(i64::from(work.state.config.bulk_keep_minutes));
    work.kept.clients.clear();
    let ended = match done {
        Ok(()) => {
            work.job.phase = BulkPhase::Done;
            work.save(Vec::new()).await
        }
        // The database was away, or is crowded: whoever comes first after the lease goes on.
        Err(Stop::Failed(error)) if error.status == 503 => Err(Stop::Failed(error)),
        Err(Stop::Failed(error)) => {
            crate::api::respond::log(&error);
            work.job.phase = BulkPhase::Failed;
            work.kept.outcome = Some(operation_outcome(&error.issues));
            work.save(Vec::new()).await
        }
        Err(Stop::Lost) => Err(Stop::Lost),
    };
    if let Err(Stop::Failed(error)) = ended {
        crate::api::respond::log(&error);
    }
}
