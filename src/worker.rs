//! The background worker: claims clients that are due, assesses them, publishes. Bounded, idempotent; the jobs of a
//! process that dies are another's when its lease ends, which the living renew.

use crate::api::metrics::Metrics;
use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::pipeline::assess::Draft;
use crate::store::Job;
use futures_util::StreamExt;
use jiff::SignedDuration;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Jobs claimed at once: as many as take about so long, so that those who come meanwhile are soon looked at.
const CLAIM_SECONDS: f64 = 0.1;
const CLAIM_FIRST: usize = 4;
const CLAIM_MIN: usize = 2;
const CLAIM_MAX: usize = 1024;
/// Clients read together, and assessed together.
const READ_MAX: usize = 32;
const ASSESSED_MAX: usize = 4;
/// Shares worked on side by side: one reckons while the other is being written.
const PARALLEL: usize = 2;
/// Findings after which a transaction is long enough.
const ROWS_MAX: usize = 150;
/// A claimed job is another's after this long …
const LEASE: SignedDuration = SignedDuration::from_secs(3);
/// … unless it is renewed, as it is this often where there are others.
const RENEW_EVERY: Duration = Duration::from_millis(750);
/// What failed is tried again after this long.
const RETRY: SignedDuration = SignedDuration::from_secs(10);
/// Longest sleep: for what nobody told us of, and for a clock that was set.
const SLEEP_MAX: SignedDuration = SignedDuration::from_secs(1);
/// Pause after the database failed, milliseconds.
const PAUSE_MS: u64 = 1_000;

/// Runs until `stop` says so, or whoever could say it is gone; the jobs in hand are finished first.
pub async fn run(pipeline: Arc<Pipeline>, metrics: Metrics, mut stop: watch::Receiver<bool>) {
    let mut wanted = CLAIM_FIRST;
    while !*stop.borrow() && stop.has_changed().is_ok() {
        let now = pipeline.clock.now();
        let until = now + LEASE;
        let jobs = match pipeline.store.claim(now, until, wanted).await {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::error!(%error, "jobs could not be claimed");
                tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
                continue;
            }
        };
        if jobs.is_empty() {
            sleep(&pipeline, &mut stop).await;
            continue;
        }
        let (began, count) = (Instant::now(), jobs.len());
        let lease = Lease::take(&pipeline, &jobs, until);
        let failed = match pipeline.renew_measures().await {
            Ok(()) => look_at(&pipeline, &metrics, jobs).await,
            Err(error) => {
                tracing::error!(%error, "measures could not be read anew");
                jobs
            }
        };
        let until = lease.end().await;
        if !failed.is_empty()
            && let Err(error) = pipeline.store.renew(&failed, until, pipeline.clock.now() + RETRY).await
        {
            tracing::error!(%error, "jobs that failed come back at once");
        }
        let fitting = count as f64 * CLAIM_SECONDS / began.elapsed().as_secs_f64().max(0.001);
        wanted = (fitting as usize).clamp(CLAIM_MIN, CLAIM_MAX).min(wanted * 2);
    }
}

/// Until somebody is due, as far as is known or told, or we are to stop.
async fn sleep(pipeline: &Pipeline, stop: &mut watch::Receiver<bool>) {
    let now = pipeline.clock.now();
    let next = pipeline.store.next_due().await.ok().flatten();
    // At least a millisecond, so that a due job that another holds does not spin us.
    let after = |due: jiff::Timestamp| {
        let wait = due.duration_since(now).clamp(SignedDuration::from_millis(1), SLEEP_MAX);
        tokio::time::Instant::now() + wait.unsigned_abs()
    };
    let mut wake = after(next.unwrap_or(jiff::Timestamp::MAX));
    loop {
        tokio::select! {
            due = pipeline.store.rung() => wake = wake.min(after(due)),
            () = tokio::time::sleep_until(wake) => return,
            _ = stop.changed() => return,
        }
    }
}

/// What keeps the jobs in hand ours.
struct Lease {
    until: watch::Receiver<jiff::Timestamp>,
    enough: watch::Sender<bool>,
    renewing: Option<JoinHandle<()>>,
}

impl Lease {
    /// A file's one process has no need to renew; on a database of many, a task of its own does, however long the sums
    /// take.
    fn take(pipeline: &Arc<Pipeline>, jobs: &[Job], until: jiff::Timestamp) -> Self {
        let (tell, told) = watch::channel(until);
        let (enough, mut ends) = watch::channel(false);
        let (pipeline, jobs) = (Arc::clone(pipeline), jobs.to_vec());
        let renewing = pipeline.shared.then(|| {
            tokio::spawn(async move {
                while tokio::time::timeout(RENEW_EVERY, ends.changed()).await.is_err() {
                    let (from, to) = (*tell.borrow(), pipeline.clock.now() + LEASE);
                    match pipeline.store.renew(&jobs, from, to).await {
                        Ok(()) => drop(tell.send(to)),
                        Err(error) => tracing::warn!(%error, "a lease could not be renewed"),
                    }
                }
            })
        });
        Self { until: told, enough, renewing }
    }

    /// Until when it was held at last.
    async fn end(self) -> jiff::Timestamp {
        let _ = self.enough.send(true);
        if let Some(renewing) = self.renewing {
            let _ = renewing.await;
        }
        *self.until.borrow()
    }
}

/// Passes over those whose findings stand, and assesses the others. Gives back what failed.
async fn look_at(pipeline: &Pipeline, metrics: &Metrics, jobs: Vec<Job>) -> Vec<Job> {
    let (passed, jobs) = pipeline.pass_over(jobs);
    let passed = passed.into_iter().map(|end| Draft { end, puts: Vec::new(), stood: true }).collect();
    let mut lost = publish(pipeline, metrics, passed).await;
    let share = jobs.len().div_ceil(PARALLEL).max(1);
    let shares: Vec<Vec<Job>> = jobs.chunks(share).map(<[Job]>::to_vec).collect();
    let assessed = futures_util::stream::iter(shares).map(|share| assess(pipeline, metrics, share));
    lost.extend(assessed.buffer_unordered(PARALLEL).concat().await);
    lost
}

/// Assesses clients, and publishes them in transactions of a few hundred rows: a request never waits for more.
/// Gives back what failed.
async fn assess(pipeline: &Pipeline, metrics: &Metrics, jobs: Vec<Job>) -> Vec<Job> {
    let voice = pipeline.voice();
    let (mut drafts, mut lost) = (Drafts::default(), Vec::new());
    for read in jobs.chunks(READ_MAX) {
        let cases = match pipeline.cases(read.to_vec(), &voice).await {
            Ok((cases, done)) => {
                drafts.add(done);
                cases
            }
            Err(_) => {
                lost.extend(each_alone(pipeline, metrics, read.to_vec()).await);
                continue;
            }
        };
        for some in cases.chunks(ASSESSED_MAX) {
            match pipeline.drafts(some, &voice).await {
                Ok(made) => drafts.add(made),
                Err(_) => {
                    let jobs = some.iter().map(|case| case.job.clone()).collect();
                    lost.extend(each_alone(pipeline, metrics, jobs).await);
                }
            }
            if drafts.rows >= ROWS_MAX {
                lost.extend(publish(pipeline, metrics, drafts.take()).await);
            }
        }
    }
    lost.extend(publish(pipeline, metrics, drafts.take()).await);
    lost
}

#[derive(Default)]
struct Drafts {
    drafts: Vec<Draft>,
    /// Findings in them.
    rows: usize,
}

impl Drafts {
    fn add(&mut self, drafts: Vec<Draft>) {
        self.rows += drafts.iter().map(|draft| draft.puts.len()).sum::<usize>();
        self.drafts.extend(drafts);
    }

    fn take(&mut self) -> Vec<Draft> {
        self.rows = 0;
        std::mem::take(&mut self.drafts)
    }
}

/// All together; should that fail, each anew by itself, so that no client stands in the way of another. Gives back what
/// failed.
async fn publish(pipeline: &Pipeline, metrics: &Metrics, drafts: Vec<Draft>) -> Vec<Job> {
    if drafts.is_empty() {
        return Vec::new();
    }
    let jobs: Vec<(Job, usize)> = drafts.iter().map(|draft| (draft.end.job.clone(), draft.puts.len())).collect();
    let stood = drafts.iter().filter(|draft| draft.stood).count();
    match pipeline.publish(drafts).await {
        Ok(()) => {
            jobs.iter().for_each(|(job, written)| assessed(pipeline, metrics, job, *written));
            metrics.stood(stood);
            Vec::new()
        }
        Err(_) => each_alone(pipeline, metrics, jobs.into_iter().map(|(job, _)| job).collect()).await,
    }
}

fn assessed(pipeline: &Pipeline, metrics: &Metrics, job: &Job, written: usize) {
    metrics.assessed(written, pipeline.clock.now().duration_since(job.due));
}

async fn each_alone(pipeline: &Pipeline, metrics: &Metrics, jobs: Vec<Job>) -> Vec<Job> {
    let mut lost = Vec::new();
    for job in jobs {
        match alone(pipeline, job.clone()).await {
            Ok(written) => assessed(pipeline, metrics, &job, written),
            Err(error) => {
                failed(metrics, &error);
                lost.push(job);
            }
        }
    }
    lost
}

async fn alone(pipeline: &Pipeline, job: Job) -> Result<usize> {
    let voice = pipeline.voice();
    let (cases, mut drafts) = pipeline.cases(vec![job], &voice).await?;
    drafts.extend(pipeline.drafts(&cases, &voice).await?);
    let written = drafts.iter().map(|draft| draft.puts.len()).sum();
    pipeline.publish(drafts).await?;
    Ok(written)
}

/// The client's id stays out of the log.
fn failed(metrics: &Metrics, error: &Error) {
    metrics.assessment_failed();
    let source = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    tracing::error!(%error, %source, "an assessment failed and will be tried again");
}
