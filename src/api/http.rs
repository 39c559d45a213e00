//! HTTP under `/fhir` as a [`Request`] of the table, and its answer back.

use super::access::Access;
use super::bodies::Held;
use super::format;
use super::rest::{self, Prefer, Request, Return, Source};
use super::{BODY_BYTES_MAX, State, respond};
use super::{audit, auth, sender};
use crate::config::Auth;
use crate::error::{Error, Result};
use crate::fhir::audit::Asker;
use crate::fhir::bundle::{Target, Verb, pairs};
use crate::fhir::outcome::{Issue, IssueType};
use crate::fhir::{check, xml};
use crate::store::StoreError;
use actix_web::dev::Decompress;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Everything under the FHIR base.
pub async fn fhir(state: web::Data<State>, http: HttpRequest, payload: web::Payload) -> HttpResponse {
    let started = std::time::Instant::now();
    let form = format::asked(&http).unwrap_or_default();
    if http.method() == Method::OPTIONS {
        return options(&http);
    }
    let answer = guarded(&state, &http, payload).await;
    let response = match answer {
        Ok(response) if http.match_info().get("path") == Some("metadata") => {
            let mut response = respond::success(response, form);
            let any = header::HeaderValue::from_static("*");
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
            response
        }
        Ok(response) => respond::success(response, form),
        Err(error) => {
            state.metrics.refused(error.issues.first().map_or("exception", |issue| issue.code.as_str()));
            let mut response = respond::failure_as(&error, form);
            if let (405, Some(methods)) = (error.status, allow(&http)) {
                response.headers_mut().insert(header::ALLOW, methods);
            }
            response
        }
    };
    state.metrics.request(http.method().as_str(), response.status().as_u16(), started.elapsed());
    response
}

/// What a path takes. Nothing here depends on who asks.
fn options(http: &HttpRequest) -> HttpResponse {
    match allow(http) {
        Some(methods) => HttpResponse::NoContent().insert_header((header::ALLOW, methods)).finish(),
        None => respond::failure(&Error::new(IssueType::NotFound, "There is nothing at this path.")),
    }
}

fn allow(http: &HttpRequest) -> Option<header::HeaderValue> {
    let path = Target::read(http.match_info().get("path").unwrap_or_default(), "").path;
    let methods = rest::allowed(&path);
    if methods.is_empty() { None } else { header::HeaderValue::from_str(&methods.join(", ")).ok() }
}

pub async fn nowhere() -> HttpResponse {
    respond::failure(&Error::new(IssueType::NotFound, "There is nothing at this path."))
}

/// Asks who it is, answers, and keeps what left in the trail.
async fn guarded(state: &State, http: &HttpRequest, payload: web::Payload) -> Result<rest::Response> {
    let context = state.pipeline.term_context();
    let path = http.match_info().get("path").unwrap_or_default();
    if path == "metadata" && matches!(*http.method(), Method::GET | Method::HEAD) {
        return carry(state, &Access::open(context), http, payload).await;
    }
    let now = state.pipeline.clock.now();
    let line = format!("{} {}", http.method(), http.uri().path_and_query().map_or("", |whole| whole.as_str()));
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let asked = |status| audit::Asked::of(http.method().as_str(), &parts, &line, status);
    let access = match auth::access(state, http).await {
        Ok(access) => access,
        Err(error) => {
            let stranger = Asker { address: auth::address(http), ..Asker::default() };
            if state.config.auth == Auth::Smart {
                state.trail.keep_if_room(audit::of_stranger(&stranger, &asked(error.status), now, &context));
            }
            return Err(error);
        }
    };
    let answer = carry(state, &access, http, payload).await;
    let status = answer.as_ref().map_or_else(|error| error.status, |response| response.status);
    state.trail.keep(audit::of_request(&access, &asked(status), now, &context)).await?;
    answer
}

async fn carry(state: &State, access: &Access, http: &HttpRequest, payload: web::Payload) -> Result<rest::Response> {
    let headers = http.headers();
    let path = http.match_info().get("path").unwrap_or_default();
    if format::asked(http).is_none() {
        let text = "Answers are JSON (application/fhir+json) or XML (application/fhir+xml).";
        return Err(Error::new(IssueType::NotSupported, text).with_status(406));
    }
    let mut target = Target::read(path, "");
    target.query = pairs(http.query_string());
    let verb = verb(http.method())?;
    let mut source = None;
    // Until it is answered.
    let _held;
    let body = match verb {
        Verb::Post if target.path.last().is_some_and(|last| last == "_search") => {
            format::is_form(headers)?;
            let (form, _held) = body(state, http, payload).await?;
            target.query.extend(pairs(&String::from_utf8_lossy(&form)));
            None
        }
        // Before its body is read.
        Verb::Post | Verb::Put | Verb::Patch | Verb::Delete if state.pipeline.store.is_crowded() => {
            return Err(StoreError::Busy.into());
        }
        Verb::Post | Verb::Put | Verb::Patch => {
            let (bytes, held) = body(state, http, payload).await?;
            _held = held;
            if bytes.is_empty() && target.path.last().is_some_and(|last| last.starts_with('$')) {
                None
            } else {
                let is_xml = format::is_xml(headers, verb)?;
                let read = if is_xml { xml::read } else { check::parse };
                let resource = read(&bytes, check::Limits::default()).map_err(Error::from)?;
                if verb == Verb::Patch && format::is_json_patch(headers) && !resource.is_array() {
                    return Err(Error::new(IssueType::Structure, "A JSON Patch is an array of operations."));
                }
                source = Some(Source { text: bytes, is_xml });
                Some(resource)
            }
        }
        _ => None,
    };
    let request = Request {
        verb,
        target,
        prefer: prefer(headers),
        if_match: text(headers, header::IF_MATCH).map(str::to_owned),
        if_none_match: text(headers, header::IF_NONE_MATCH).map(str::to_owned),
        if_none_exist: headers.get("if-none-exist").and_then(|value| value.to_str().ok()).map(str::to_owned),
        if_modified_since: text(headers, header::IF_MODIFIED_SINCE)
            .and_then(|text| text.parse::<header::HttpDate>().ok())
            .and_then(|date| Timestamp::try_from(SystemTime::from(date)).ok()),
        body,
        source: source.clone(),
        prefix: String::new(),
        full_url: None,
    };
    rest::answer(state, access, request).await.map_err(|mut error| {
        if let Some(source) = source {
            // Of a patch alone what is about it: what it would make stands nowhere in it.
            let of_body = |issue: &&mut Issue| {
                let place = issue.expression.as_deref().unwrap_or_default();
                verb != Verb::Patch || place.starts_with("$this") || place.starts_with("Parameters.")
            };
            source.locate("", error.issues.iter_mut().filter(of_body));
        }
        error
    })
}

fn verb(method: &Method) -> Result<Verb> {
    match *method {
        Method::GET => Ok(Verb::Get),
        Method::HEAD => Ok(Verb::Head),
        Method::POST => Ok(Verb::Post),
        Method::PUT => Ok(Verb::Put),
        Method::PATCH => Ok(Verb::Patch),
        Method::DELETE => Ok(Verb::Delete),
        _ => Err(Error::new(IssueType::NotSupported, "This method is not supported.").with_status(405)),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The whole body, decompressed, within its limits of size and slowness, and its share of what all may take.
pub(super) async fn body(state: &State, http: &HttpRequest, payload: web::Payload) -> Result<(web::Bytes, Held)> {
    if let Some(encoding) = text(http.headers(), header::CONTENT_ENCODING)
        && !["gzip", "x-gzip", "deflate", "identity", ""].contains(&encoding.trim().to_ascii_lowercase().as_str())
    {
        let text = "Bodies may be sent plain or with Content-Encoding gzip.";
        return Err(Error::new(IssueType::NotSupported, text).with_status(415));
    }
    let too_long = || {
        let text = format!("The body is larger than {} MB.", BODY_BYTES_MAX / (1024 * 1024));
        Error::new(IssueType::TooLong, text)
    };
    let announced = text(http.headers(), header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_long());
    }
    let (payload, cut) = sender::paced(payload.into_inner());
    let mut arriving = Decompress::from_headers(payload, http.headers());
    let (mut bytes, mut held) = (web::BytesMut::new(), state.bodies.another());
    while let Some(chunk) = arriving.next().await {
        let chunk = chunk.map_err(|_| {
            if cut.load(Ordering::Relaxed) {
                Error::new(IssueType::Timeout, "The body took too long to arrive.").with_status(408)
            } else {
                let text = "The body did not arrive whole, or is not the gzip it claims to be.";
                Error::new(IssueType::Structure, text)
            }
        })?;
        if bytes.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(too_long());
        }
        held.grow(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes.freeze(), held))
}

fn prefer(headers: &HeaderMap) -> Prefer {
    let mut prefer = Prefer::default();
    for value in headers.get_all("prefer").filter_map(|value| value.to_str().ok()) {
        for part in value.split([',', ';']) {
            match part.trim().to_ascii_lowercase().as_str() {
                "return=minimal" => prefer.answer = Some(Return::Minimal),
                "return=representation" => prefer.answer = Some(Return::Representation),
                "return=operationoutcome" => prefer.answer = Some(Return::OperationOutcome),
                "handling=strict" => prefer.strict = true,
                _ => {}
            }
        }
    }
    prefer
}
