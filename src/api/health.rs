//! Liveness, readiness, metrics.

use super::State;
use actix_web::{HttpResponse, web};

/// The process answers.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// The database is reachable and migrated.
pub async fn readyz(state: web::Data<State>) -> HttpResponse {
    match state.pipeline.store.ready().await {
        Ok(()) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body("the database is away\n")
        }
    }
}

/// Prometheus text.
pub async fn metrics(state: web::Data<State>) -> HttpResponse {
    if let Ok(pending) = state.pipeline.store.pending(state.pipeline.clock.now()).await {
        state.metrics.jobs_pending(pending);
    }
    state.metrics.store(state.pipeline.store.figures());
    state.metrics.bodies(state.bodies.bytes());
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(state.metrics.text())
}
