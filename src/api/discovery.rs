//! What anyone may ask without a token: where tokens come from, and whose keys they are signed with.

use super::{State, respond};
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use serde_json::Value;

/// For pages of any origin: nothing here is about anybody.
pub fn open_to_all(builder: &mut HttpResponseBuilder) {
    builder.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
}

/// A document for anyone.
pub fn json(value: &Value) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    open_to_all(&mut builder);
    builder.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    builder.content_type("application/json").body(value.to_string())
}

/// `/fhir/.well-known/smart-configuration`
pub async fn smart_configuration(state: web::Data<State>) -> HttpResponse {
    if state.config.auth == crate::config::Auth::None {
        return super::http::nowhere().await;
    }
    json(&state.smart.describe().await)
}

/// `/auth/jwks`: the keys of our access tokens.
pub async fn keys(state: web::Data<State>) -> HttpResponse {
    match &state.smart.systems {
        Some(systems) => json(&crate::smart::signing::public_set(&systems.signing)),
        None => super::http::nowhere().await,
    }
}

/// A browser asks whether a page may ask.
pub async fn preflight() -> HttpResponse {
    let mut builder = HttpResponse::NoContent();
    open_to_all(&mut builder);
    builder.insert_header((header::ALLOW, "GET, HEAD, OPTIONS"));
    builder.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"));
    builder.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, "accept, content-type"));
    builder.insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"));
    builder.finish()
}

/// How this server is protected, as the CapabilityStatement says it (SMART App Launch).
#[must_use]
pub fn security(described: &Value) -> Value {
    let mut uris = Vec::new();
    for (name, key) in [("token", "token_endpoint"), ("authorize", "authorization_endpoint")] {
        if let Some(url) = described.get(key).and_then(Value::as_str) {
            uris.push(serde_json::json!({"url": name, "valueUri": url}));
        }
    }
    let mut out = serde_json::json!({
        "cors": true,
        "service": [{
            "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                "code": "SMART-on-FHIR",
                "display": "SMART-on-FHIR",
            }],
            "text": "OAuth2 using SMART-on-FHIR profile (see http://docs.smarthealthit.org)",
        }],
    });
    if !uris.is_empty() {
        let url = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris";
        out["extension"] = serde_json::json!([{"url": url, "extension": uris}]);
    }
    out
}

/// 429 with the wait it asks for.
#[must_use]
pub fn throttled(wait: std::time::Duration) -> crate::error::Error {
    let seconds = u32::try_from(wait.as_secs().max(1)).unwrap_or(u32::MAX);
    crate::error::Error {
        retry_after_seconds: Some(seconds),
        ..crate::error::Error::new(crate::fhir::outcome::IssueType::Throttled, "Too many requests; please wait.")
    }
}

/// The same as an answer.
#[must_use]
pub fn throttled_answer(wait: std::time::Duration) -> HttpResponse {
    respond::failure(&throttled(wait))
}
