//! From answers and errors to HTTP, and the one line that a failure leaves in the log.

use super::format::{Form, Format};
use super::rest::Response;
use crate::error::Error;
use crate::fhir::outcome::{IssueType, operation_outcome};
use crate::fhir::xml;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HttpDate};
use actix_web::middleware::DefaultHeaders;
use jiff::Timestamp;
use std::time::SystemTime;

pub const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";
pub const FHIR_XML: &str = "application/fhir+xml; charset=utf-8";

/// Logs a failure once. Refusals are the asker's business and leave no line.
pub fn log(error: &Error) {
    if error.status >= 500 {
        let source = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
        tracing::error!(status = error.status, %source, "request failed");
    }
}

#[must_use]
pub fn failure(error: &Error) -> HttpResponse {
    failure_as(error, Form::default())
}

#[must_use]
pub fn failure_as(error: &Error, form: Form) -> HttpResponse {
    log(error);
    let mut builder =
        HttpResponse::build(StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    if error.status == 401 {
        // Without a token nothing is said to be wrong with it (RFC 6750).
        let bare = error.issues.iter().all(|issue| issue.code == IssueType::Login);
        let challenge = if bare { "Bearer" } else { "Bearer error=\"invalid_token\"" };
        builder.insert_header((header::WWW_AUTHENTICATE, challenge));
    }
    if error.status == 403 {
        builder.insert_header((header::WWW_AUTHENTICATE, "Bearer error=\"insufficient_scope\""));
    }
    if let Some(seconds) = error.retry_after_seconds {
        builder.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    common(&mut builder);
    written(builder, &operation_outcome(&error.issues).to_string(), form)
}

/// The resource in the form that was asked for.
fn written(mut builder: actix_web::HttpResponseBuilder, json: &str, form: Form) -> HttpResponse {
    if form.format == Format::Xml
        && let Some(text) = serde_json::from_str(json).ok().and_then(|resource| xml::write(&resource))
    {
        return builder.content_type(FHIR_XML).body(text);
    }
    let body = if form.pretty { indented(json) } else { None };
    builder.content_type(FHIR_JSON).body(body.unwrap_or_else(|| json.to_owned()))
}

#[must_use]
pub fn success(response: Response, form: Form) -> HttpResponse {
    let mut builder = HttpResponse::build(StatusCode::from_u16(response.status).unwrap_or(StatusCode::OK));
    if let Some(version) = response.version {
        builder.insert_header((header::ETAG, format!("W/\"{version}\"")));
    }
    if let Some(updated) = response.updated {
        builder.insert_header((header::LAST_MODIFIED, HttpDate::from(system_time(updated))));
    }
    if let Some(location) = response.location {
        builder.insert_header((header::LOCATION, location));
    }
    common(&mut builder);
    match response.body {
        None => builder.finish(),
        Some(body) => written(builder, &body, form),
    }
}

/// Health data is never kept by anything between us and the asker.
fn common(builder: &mut actix_web::HttpResponseBuilder) {
    builder.insert_header((header::CACHE_CONTROL, "no-store"));
    builder.insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
}

/// On every answer that does not say otherwise, whoever makes it: our handlers, or actix where it refuses before them.
#[must_use]
pub fn unless_said() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::CACHE_CONTROL, "no-store"))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::REFERRER_POLICY, "no-referrer"))
}

fn indented(json: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    serde_json::to_string_pretty(&value).ok()
}

pub fn system_time(at: Timestamp) -> SystemTime {
    let millis = u64::try_from(at.as_millisecond()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(millis)
}
