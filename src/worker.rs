//! The background worker: claims clients that are due, assesses them, publishes. Bounded, idempotent; a job
//! that fails or whose process dies comes back when its lease ends.

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

/// Jobs claimed at once: as many as take about so long, that a lease never ends under our hands.
const CLAIM_SECONDS: f64 = 2.0;
const CLAIM_FIRST: usize = 4;
const CLAIM_MAX: usize = 64;
/// Jobs published together.
const SHARE: usize = 8;
/// Shares worked on side by side: one reckons while the other is being written.
const PARALLEL: usize = 2;
/// Findings after which a transaction is long enough.
const ROWS_MAX: usize = 150;
/// A claimed job is another's after this long, seconds.
const LEASE_SECONDS: i64 = 10;
/// Longest sleep, so that jobs written by other processes are seen, milliseconds.
const SLEEP_MAX_MS: i64 = 500;
/// Pause after the database failed, milliseconds.
const PAUSE_MS: u64 = 1_000;

/// Runs until `stop` says so, or whoever could say it is gone; the jobs in hand are finished first.
pub async fn run(pipeline: Arc<Pipeline>, metrics: Metrics, mut stop: watch::Receiver<bool>) {
    let mut wanted = CLAIM_FIRST;
    while !*stop.borrow() && stop.has_changed().is_ok() {
        let now = pipeline.clock.now();
        let lease = now + SignedDuration::from_secs(LEASE_SECONDS);
        let jobs = match pipeline.store.claim(now, lease, wanted).await {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::error!(%error, "jobs could not be claimed");
                tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
                continue;
            }
        };
        if jobs.is_empty() {
            let wait = until_next(&pipeline).await;
            tokio::select! {
                () = pipeline.bell.notified() => {}
                () = tokio::time::sleep(wait) => {}
                _ = stop.changed() => {}
            }
            continue;
        }
        // Another process may have taken in a Questionnaire.
        if pipeline.shared
            && let Err(error) = pipeline.load_measures().await
        {
            tracing::error!(%error, "measures could not be read anew");
        }
        let (began, count) = (Instant::now(), jobs.len());
        let share = count.div_ceil(PARALLEL).clamp(1, SHARE);
        let shares: Vec<Vec<Job>> = jobs.chunks(share).map(<[Job]>::to_vec).collect();
        futures_util::stream::iter(shares)
            .for_each_concurrent(PARALLEL, |share| assess(&pipeline, &metrics, share))
            .await;
        let fitting = count as f64 * CLAIM_SECONDS / began.elapsed().as_secs_f64().max(0.001);
        wanted = (fitting as usize).clamp(1, CLAIM_MAX).min(wanted * 2);
    }
}

/// Assesses a few clients, and publishes them in transactions of a few hundred rows: a request never waits for more.
async fn assess(pipeline: &Pipeline, metrics: &Metrics, jobs: Vec<Job>) {
    let (mut drafts, mut rows) = (Vec::new(), 0);
    for job in jobs {
        match pipeline.draft(job).await {
            Ok(draft) => {
                rows += draft.puts.len();
                drafts.push(draft);
            }
            Err(error) => failed(metrics, &error),
        }
        if rows >= ROWS_MAX {
            publish(pipeline, metrics, std::mem::take(&mut drafts)).await;
            rows = 0;
        }
    }
    publish(pipeline, metrics, drafts).await;
}

/// All together; should that fail, each anew by itself, so that no client stands in the way of another.
async fn publish(pipeline: &Pipeline, metrics: &Metrics, drafts: Vec<Draft>) {
    if drafts.is_empty() {
        return;
    }
    let jobs: Vec<(Job, usize)> = drafts.iter().map(|draft| (draft.job.clone(), draft.puts.len())).collect();
    match pipeline.publish(drafts).await {
        Ok(()) => jobs.into_iter().for_each(|(_, written)| metrics.assessed(written)),
        Err(error) if jobs.len() == 1 => failed(metrics, &error),
        Err(_) => {
            for (job, _) in jobs {
                match alone(pipeline, job).await {
                    Ok(written) => metrics.assessed(written),
                    Err(error) => failed(metrics, &error),
                }
            }
        }
    }
}

async fn alone(pipeline: &Pipeline, job: Job) -> Result<usize> {
    let draft = pipeline.draft(job).await?;
    let written = draft.puts.len();
    pipeline.publish(vec![draft]).await?;
    Ok(written)
}

/// The client's id stays out of the log.
fn failed(metrics: &Metrics, error: &Error) {
    metrics.assessment_failed();
    let source = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    tracing::error!(%error, %source, "an assessment failed and will be tried again");
}

async fn until_next(pipeline: &Pipeline) -> Duration {
    let next = pipeline.store.next_due().await.ok().flatten();
    let wait = next.map_or(SLEEP_MAX_MS, |due| due.duration_since(pipeline.clock.now()).as_millis() as i64);
    // At least a millisecond, so that a due job that another holds does not spin us.
    Duration::from_millis(wait.clamp(1, SLEEP_MAX_MS).unsigned_abs())
}
