//! The doors: the FHIR API, the page, health and metrics. actix lives here, in `view`'s serving and in `app`.

pub mod access;
pub mod audit;
mod auth;
pub mod bodies;
pub mod bulk;
pub mod claim;
mod discovery;
pub mod flags;
mod format;
mod health;
pub mod housekeeping;
mod http;
mod judgements;
mod launch;
mod launched;
pub mod metrics;
mod origin;
mod pages;
pub mod patience;
pub mod respond;
pub mod rest;
pub mod sealed;
mod sender;
mod token;

use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::smart::Smart;
use actix_web::http::Method;
use actix_web::{guard, web};
use jiff::Timestamp;
use std::sync::Arc;

/// Largest request body, after decompression.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What every handler gets.
pub struct State {
    pub config: Config,
    pub pipeline: Arc<Pipeline>,
    pub metrics: metrics::Metrics,
    pub smart: Smart,
    pub trail: audit::Trail,
    pub bulk: bulk::Jobs,
    pub bodies: bodies::Bodies,
    pub flags: flags::Keeper,
    /// When this process started: the CapabilityStatement's date.
    pub started: Timestamp,
    /// Of this process: what tokens in forms are made with.
    pub secret: String,
}

/// A route that is looked at: HEAD is answered as GET, without the body.
fn look() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Every path of the server.
pub fn configure(service: &mut web::ServiceConfig) {
    service
        .route("/healthz", look().to(health::healthz))
        .route("/favicon.ico", look().to(pages::icon))
        .route("/readyz", look().to(health::readyz))
        .route("/metrics", look().to(health::metrics))
        .route("/launch", web::get().to(launch::launch))
        .route("/callback", web::get().to(launch::callback))
        .route("/.well-known/jwks.json", look().to(launch::keys))
        .route("/auth/token", web::post().to(token::token))
        .route("/auth/jwks", look().to(discovery::keys))
        .route("/fhir/.well-known/smart-configuration", look().to(discovery::smart_configuration))
        .route("/fhir/.well-known/smart-configuration", web::method(Method::OPTIONS).to(discovery::preflight))
        .route("/fhir/metadata", web::method(Method::OPTIONS).to(discovery::preflight))
        .route("/app/sign-out", web::post().to(launch::sign_out))
        .service(web::scope("/app").configure(pages::configure))
        .configure(bulk::configure)
        .service(
            web::scope("/fhir").route("", web::route().to(http::fhir)).route("/{path:.*}", web::route().to(http::fhir)),
        )
        .default_service(web::route().to(http::nowhere));
}
