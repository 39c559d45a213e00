//! What goes by itself: sessions and launches past their time, and events of the trail past theirs.

use crate::pipeline::Pipeline;
use crate::store::Result;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(60);
/// Events forgotten in one transaction.
const EVENTS_MAX: usize = 500;

/// Until `stop` says so. `audit_days`: how long the trail is kept, if not for ever.
pub async fn run(pipeline: Arc<Pipeline>, audit_days: Option<u32>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let now = pipeline.clock.now();
        match pipeline.store.sweep(now).await {
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "sessions past their time could not be taken away"),
        }
        if let Some(days) = audit_days {
            match forget(&pipeline, days, now, &stop).await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, "events of the audit trail are past their time and gone"),
                Err(error) => {
                    tracing::warn!(%error, "events of the audit trail past their time could not be taken away")
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}

async fn forget(pipeline: &Pipeline, days: u32, now: Timestamp, stop: &watch::Receiver<bool>) -> Result<u64> {
    let before = now - SignedDuration::from_hours(24 * i64::from(days));
    let mut gone = 0;
    while !*stop.borrow() {
        match pipeline.store.forget("AuditEvent", before, EVENTS_MAX).await? {
            0 => break,
            some => gone += some,
        }
    }
    Ok(gone)
}
