//! The background worker: claims clients that are due, assesses them, publishes. Bounded, idempotent; a job
//! that fails or whose process dies comes back when its lease ends.

use crate::api::metrics::Metrics;
use crate::pipeline::Pipeline;
use futures_util::StreamExt;
use jiff::SignedDuration;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Jobs claimed at once.
const CLAIM_MAX: usize = 32;
/// Jobs worked on side by side, on PostgreSQL.
const PARALLEL_MAX: usize = 4;
/// A claimed job is another's after this long, seconds.
const LEASE_SECONDS: i64 = 10;
/// Longest sleep, so that jobs written by other processes are seen, milliseconds.
const SLEEP_MAX_MS: i64 = 500;
/// Pause after the database failed, milliseconds.
const PAUSE_MS: u64 = 1_000;

/// Runs until `stop` says so; the jobs in hand are finished first.
pub async fn run(pipeline: Arc<Pipeline>, metrics: Metrics, mut stop: watch::Receiver<bool>) {
    // On SQLite writers take turns: assessments side by side would only stand in front of a request.
    let parallel = if pipeline.shared { PARALLEL_MAX } else { 1 };
    while !*stop.borrow() {
        let now = pipeline.clock.now();
        let lease = now + SignedDuration::from_secs(LEASE_SECONDS);
        let jobs = match pipeline.store.claim(now, lease, CLAIM_MAX).await {
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
        futures_util::stream::iter(jobs)
            .for_each_concurrent(parallel, |job| {
                let (pipeline, metrics) = (&pipeline, &metrics);
                async move {
                    match pipeline.assess(&job).await {
                        Ok(written) => metrics.assessed(written),
                        Err(error) => {
                            // The client's id stays out of the log.
                            metrics.assessment_failed();
                            let source = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
                            tracing::error!(%error, %source, "an assessment failed and will be tried again");
                        }
                    }
                }
            })
            .await;
    }
}

async fn until_next(pipeline: &Pipeline) -> Duration {
    let next = pipeline.store.next_due().await.ok().flatten();
    let wait = next.map_or(SLEEP_MAX_MS, |due| due.duration_since(pipeline.clock.now()).as_millis() as i64);
    // At least a millisecond, so that a due job that another holds does not spin us.
    Duration::from_millis(wait.clamp(1, SLEEP_MAX_MS).unsigned_abs())
}
