//! The jobs of this process: who started them, how far they are, what they made.

use crate::api::access::Access;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fhir::outcome::{Issue, IssueType};
use crate::store::Kind;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// Jobs that run at the same time.
const RUNNING_MAX: usize = 4;
/// Jobs that are kept, ended ones included.
const KEPT_MAX: usize = 20;
/// How long what a job made can be had, seconds.
const KEPT_SECONDS: u64 = 3_600;

/// A file of a job. It has no name: it is gone when the last handle is.
#[derive(Debug)]
pub struct Made {
    pub files: Vec<OneFile>,
    pub expires: SystemTime,
    /// Of an import: its counts.
    pub summary: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Output,
    Deleted,
    Error,
}

#[derive(Debug)]
pub struct OneFile {
    pub part: Part,
    /// As the manifest has it: `OperationOutcome`, `Bundle`, or the type itself.
    pub kind: &'static str,
    /// The type that has to be readable to have it.
    pub of: Option<Kind>,
    pub lines: u64,
    pub handle: Arc<File>,
}

#[derive(Debug)]
pub enum Phase {
    /// In words, for `X-Progress`.
    Running(String),
    Failed(Vec<Issue>),
    Done(Made),
}

#[derive(Debug)]
pub struct Job {
    pub id: String,
    pub request: String,
    pub started: Timestamp,
    /// Issuer, client and subject of who started it; `None` where nobody is asked who they are.
    owner: Option<Owner>,
    phase: Mutex<Phase>,
    task: Mutex<Option<AbortHandle>>,
}

type Owner = (Option<String>, Option<String>, Option<String>);

fn owner(access: &Access) -> Option<Owner> {
    access.asker.as_ref().map(|asker| (asker.issuer.clone(), asker.client_id.clone(), asker.subject.clone()))
}

impl Job {
    pub fn belongs_to(&self, access: &Access) -> bool {
        self.owner == owner(access)
    }

    pub fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn progress(&self, words: String) {
        *self.phase() = Phase::Running(words);
    }

    fn runs(&self) -> bool {
        matches!(&*self.phase(), Phase::Running(_))
    }
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Jobs {
    jobs: Arc<Mutex<HashMap<String, Arc<Job>>>>,
    /// Where they run: beside the worker, away from the threads that answer requests.
    beside: Handle,
}

impl Jobs {
    #[must_use]
    pub fn new(beside: Handle) -> Self {
        Self { jobs: Arc::default(), beside }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn find(&self, id: &str) -> Option<Arc<Job>> {
        self.all().get(id).cloned()
    }

    /// A place for a new one.
    ///
    /// # Errors
    /// 429 where enough are running, or kept.
    pub fn start(&self, access: &Access, request: String, clock: &dyn Clock) -> Result<Arc<Job>> {
        let mut jobs = self.all();
        if jobs.len() >= KEPT_MAX || jobs.values().filter(|job| job.runs()).count() >= RUNNING_MAX {
            let text = "Enough bulk jobs are running or kept. Wait, or delete one that is done with.";
            return Err(Error { retry_after_seconds: Some(30), ..Error::new(IssueType::Throttled, text) });
        }
        let job = Arc::new(Job {
            // Not to be guessed.
            id: uuid::Uuid::new_v4().simple().to_string(),
            request,
            started: clock.now(),
            owner: owner(access),
            phase: Mutex::new(Phase::Running("started".into())),
            task: Mutex::default(),
        });
        jobs.insert(job.id.clone(), Arc::clone(&job));
        Ok(job)
    }

    /// Carries the job out beside the requests, and forgets it after its time.
    pub fn run(
        &self,
        job: &Arc<Job>,
        work: impl Future<Output = Result<(Vec<OneFile>, Option<Value>)>> + Send + 'static,
    ) {
        let (jobs, mine) = (self.clone(), Arc::clone(job));
        let task = self.beside.spawn(async move {
            let ended = work.await;
            *mine.phase() = match ended {
                Ok((files, summary)) => {
                    let expires = SystemTime::now() + Duration::from_secs(KEPT_SECONDS);
                    Phase::Done(Made { files, expires, summary })
                }
                Err(error) => {
                    crate::api::respond::log(&error);
                    Phase::Failed(error.issues)
                }
            };
            tokio::time::sleep(Duration::from_secs(KEPT_SECONDS)).await;
            jobs.all().remove(&mine.id);
        });
        *job.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
    }

    /// Ends it, and forgets what it made.
    pub fn cancel(&self, job: &Job) {
        self.all().remove(&job.id);
        if let Some(task) = job.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// The disk failed a job.
pub fn disk(error: std::io::Error) -> Error {
    Error {
        source: Some(error.into()),
        ..Error::new(IssueType::NoStore, "There is no room for the files of this job.")
    }
}
