//! What goes by itself: sessions and launches past their time.

use crate::pipeline::Pipeline;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(60);

/// Until `stop` says so.
pub async fn run(pipeline: Arc<Pipeline>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        match pipeline.store.sweep(pipeline.clock.now()).await {
            Ok(0) => {}
            Ok(gone) => tracing::debug!(gone, "sessions and launches past their time are gone"),
            Err(error) => tracing::warn!(%error, "sessions past their time could not be taken away"),
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            changed = stop.changed() => if changed.is_err() { return },
        }
    }
}
