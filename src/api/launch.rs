//! `/launch` and `/callback`: in from an EHR's chart, and the sessions of the pages.
//!
//! Each launch has a cookie of its own while it lasts, and each session one named after its patient: two tabs with
//! two patients stay apart. The cookies are written by hand, for `Partitioned`.

use super::access::{Access, Holder};
use super::pages::{html, notice};
use super::{State, auth};
use crate::error::{Error, Result};
use crate::fhir::audit::Asker;
use crate::fhir::check;
use crate::fhir::outcome::{Issue, IssueType};
use crate::pipeline::ingest::{Action, Target, Write};
use crate::smart::fetch::oauth_error;
use crate::smart::launch::{LaunchError, PENDING_SECONDS};
use crate::smart::session::{Ending, Session};
use crate::smart::{pull, scope};
use crate::store::Query;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Resources written at once.
const CHUNK_MAX: usize = 500;

fn short(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn launch_cookie(state: &str) -> String {
    format!("__Host-tautline-launch-{}", short(state))
}

/// Of a patient's session, or of a practitioner's own.
fn session_cookie(patient: Option<&str>) -> String {
    patient.map_or_else(|| "__Host-tautline-caseload".into(), |id| format!("__Host-tautline-{}", short(id)))
}

fn set_cookie(name: &str, value: &str, seconds: Option<i64>) -> String {
    let age = seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned{age}")
}

fn cookie<'a>(http: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let headers = http.headers().get_all(header::COOKIE);
    headers.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

fn parameter(http: &HttpRequest, name: &str) -> Option<String> {
    let mut all = form_urlencoded::parse(http.query_string().as_bytes()).filter(|(key, _)| key == name);
    // Given twice, it is not given.
    match (all.next(), all.next()) {
        (Some((_, value)), None) => Some(value.into_owned()),
        _ => None,
    }
}

fn failed(state: &State, error: LaunchError) -> HttpResponse {
    let status = match error {
        LaunchError::Away => StatusCode::BAD_GATEWAY,
        LaunchError::Full => StatusCode::TOO_MANY_REQUESTS,
        LaunchError::NotStaff | LaunchError::Denied(_) => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut response = html(state, status, notice("This launch did not work", &error.to_string()));
    if error == LaunchError::Full {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    response
}

fn throttled(state: &State, http: &HttpRequest) -> Option<HttpResponse> {
    let address = auth::address(http).unwrap_or_default();
    let wait = state.smart.strangers.take(&address).err()?;
    let mut response = failed(state, LaunchError::Full);
    if let Ok(value) = header::HeaderValue::from_str(&wait.as_secs().max(1).to_string()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    Some(response)
}

/// `/launch?iss=…&launch=…`, or `/launch?iss=…` alone: standalone.
pub async fn launch(state: web::Data<State>, http: HttpRequest) -> HttpResponse {
    if let Some(throttled) = throttled(&state, &http) {
        return throttled;
    }
    let Some(launches) = &state.smart.launches else { return failed(&state, LaunchError::Unlisted) };
    let iss = parameter(&http, "iss").unwrap_or_default();
    let launch = parameter(&http, "launch");
    match launches.begin(&iss, launch.as_deref(), state.pipeline.clock.now()).await {
        Ok(begun) => {
            let cookie = set_cookie(&launch_cookie(&begun.state), &begun.browser, Some(PENDING_SECONDS));
            redirect(&begun.url, &[cookie])
        }
        Err(error) => failed(&state, error),
    }
}

fn redirect(url: &str, cookies: &[String]) -> HttpResponse {
    let mut builder = HttpResponse::SeeOther();
    builder.insert_header((header::LOCATION, url));
    builder.insert_header((header::CACHE_CONTROL, "no-store"));
    builder.insert_header((header::REFERRER_POLICY, "no-referrer"));
    for cookie in cookies {
        builder.append_header((header::SET_COOKIE, cookie.as_str()));
    }
    builder.finish()
}

/// The redirect URI.
pub async fn callback(state: web::Data<State>, http: HttpRequest) -> HttpResponse {
    if let Some(throttled) = throttled(&state, &http) {
        return throttled;
    }
    let Some(launches) = &state.smart.launches else { return failed(&state, LaunchError::Unlisted) };
    let named = parameter(&http, "state").unwrap_or_default();
    let used = set_cookie(&launch_cookie(&named), "", Some(0));
    let Some(browser) = cookie(&http, &launch_cookie(&named)) else {
        // The launch stays as it is: a stranger's call must not end it.
        let text = "Your browser did not send back the cookie of this launch, so it cannot be finished. Please launch \
                    again from the client's chart. If it happens again, allow cookies for this site, or open it in a \
                    window of its own.";
        return html(&state, StatusCode::BAD_REQUEST, notice("This launch did not work", text));
    };
    if let Some(error) = parameter(&http, "error") {
        launches.refuse(&named);
        return with_cookie(failed(&state, LaunchError::Denied(oauth_error(&error).unwrap_or("refused"))), &used);
    }
    let code = parameter(&http, "code").unwrap_or_default();
    let issuer = parameter(&http, "iss");
    let now = state.pipeline.clock.now();
    match launches.finish(&named, &code, browser, issuer.as_deref(), now).await {
        Err(error) => with_cookie(failed(&state, error), &used),
        Ok((name, session)) => {
            let patient = session.patient.clone();
            let there = match &patient {
                // The one intent we know leads to the answers.
                Some(id) if session.moment.intent.as_deref() == Some("afterwards") => {
                    format!("/app/patients/{id}?launched#afterwards")
                }
                Some(id) => format!("/app/patients/{id}?launched"),
                None => "/app/caseload?launched".to_owned(),
            };
            let kept = set_cookie(&session_cookie(patient.as_deref()), &name, None);
            read_from_ehr(&state, session, auth::address(&http));
            redirect(&there, &[used, kept])
        }
    }
}

fn with_cookie(mut response: HttpResponse, cookie: &str) -> HttpResponse {
    if let Ok(value) = header::HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// `/.well-known/jwks.json`: the public keys we show EHRs.
pub async fn keys(state: web::Data<State>) -> HttpResponse {
    let keys: Vec<_> = state.smart.launches.iter().flat_map(|l| &l.ehrs).flat_map(|ehr| ehr.keys()).cloned().collect();
    super::discovery::json(&crate::smart::signing::public_set(&keys))
}

/// The session in which a page about this client (or the caseload) may be drawn, if the browser has one.
pub async fn session(state: &State, http: &HttpRequest, client: Option<&str>) -> Option<Session> {
    let launches = state.smart.launches.as_ref()?;
    let now = state.pipeline.clock.now();
    let own = client.and_then(|client| cookie(http, &session_cookie(Some(client))));
    for name in [own, cookie(http, &session_cookie(None))].into_iter().flatten() {
        if let Some(session) = launches.session(name, now).await
            && client.is_none_or(|client| launches.reaches(&session, client))
        {
            return Some(session);
        }
    }
    None
}

/// Whether the browser came back from a launch without the cookie that it was given.
pub fn came_without_cookie(http: &HttpRequest) -> bool {
    http.query_string().split('&').any(|pair| pair == "launched")
        && http.headers().get_all(header::COOKIE).next().is_none()
}

/// What a session may do on the pages.
#[must_use]
pub fn access(state: &State, session: &Session, address: Option<String>) -> Access {
    let text = match session.patient {
        Some(_) => "patient/*.rs patient/Observation.cu",
        None => "user/*.rs user/Observation.cu",
    };
    let holder = Holder {
        grants: scope::grants(text),
        patient: session.patient.as_deref().map(str::to_owned),
        // A patient or relative has been turned away.
        fhir_user: None,
    };
    Access::of(holder, asker(session, address), state.pipeline.term_context())
}

fn asker(session: &Session, address: Option<String>) -> Asker {
    Asker {
        issuer: Some(session.iss.to_string()),
        client_id: Some("launch".into()),
        subject: None,
        fhir_user: session.fhir_user.clone(),
        address,
    }
}

/// Who judges, as a judgement's performer: `Practitioner/1` under our id.
#[must_use]
pub fn performer(state: &State, session: &Session) -> Option<String> {
    let ehr = state.smart.launches.as_ref()?.ehrs.get(session.ehr)?;
    let mut parts = session.fhir_user.as_deref()?.rsplit('/');
    let (id, kind) = (parts.next()?, parts.next()?);
    let known = matches!(kind, "Practitioner" | "PractitionerRole") && super::rest::is_id(id);
    known.then(|| format!("{kind}/{}", ehr.local_id(kind, id)))
}

/// Reads what the EHR has of the patient, in the background; the page says how far it is.
fn read_from_ehr(state: &web::Data<State>, session: Session, address: Option<String>) {
    let pushes = |state: &State| {
        state.smart.launches.as_ref().and_then(|launches| launches.ehrs.get(session.ehr)).is_none_or(|ehr| ehr.pushes)
    };
    if session.patient.is_none() || pushes(state) {
        session.progress.done.store(true, Ordering::Release);
        super::flags::keep_in_step(state, session);
        return;
    }
    let state = state.clone();
    tokio::spawn(async move {
        let _ending = Ending(Arc::clone(&session.progress));
        let Some(ehr) = state.smart.launches.as_ref().and_then(|launches| launches.ehrs.get(session.ehr)) else {
            return;
        };
        let found = pull::read_all(ehr, &session, &session.progress).await;
        if let Err(error) = keep(&state, &session, address, found).await {
            super::respond::log(&error);
            tracing::warn!(status = error.status, "what a record system holds could not be kept");
            pull::KINDS.iter().for_each(|kind| session.progress.note_unread(kind));
        }
        super::flags::keep_in_step(&state, session);
    });
}

/// Keeps what was read, through the intake that pushed bundles take. What does not pass its check is left out; what
/// was read before and is not there any more is deleted.
async fn keep(state: &State, session: &Session, address: Option<String>, found: pull::Found) -> Result<()> {
    let holder = Holder {
        grants: scope::grants("patient/*.cud"),
        patient: session.patient.as_deref().map(str::to_owned),
        fhir_user: None,
    };
    let access = Access::of(holder, asker(session, address), state.pipeline.term_context());
    let mut left_out = 0_usize;
    let mut seen = std::collections::HashSet::new();
    let mut writes = Vec::new();
    for (kind, resource) in found.resources {
        let Some(id) = resource.get("id").and_then(serde_json::Value::as_str).map(str::to_owned) else { continue };
        if check::check(&resource).iter().any(Issue::refuses) || !super::rest::is_id(&id) {
            left_out += 1;
            session.progress.note_unread(kind);
            // It is there, whatever it says: what an earlier reading kept of it stays.
            seen.insert((kind, id));
            continue;
        }
        if seen.insert((kind, id.clone())) {
            let action = Action::Update { target: Target::Id(id), resource, if_match: None, must_be_new: false };
            writes.push(Write { kind, full_url: None, prefix: String::new(), action });
        }
    }
    if left_out > 0 {
        tracing::warn!(left_out, "resources of a record system are no valid R4 and were left out");
    }
    for kind in found.whole {
        for id in kept_before(state, session, kind).await? {
            if !seen.contains(&(kind, id.clone())) {
                let action = Action::Delete { target: Target::Id(id), if_match: None };
                writes.push(Write { kind, full_url: None, prefix: String::new(), action });
            }
        }
    }
    while !writes.is_empty() {
        let rest = writes.split_off(writes.len().min(CHUNK_MAX));
        state.pipeline.write_by(&access, std::mem::replace(&mut writes, rest)).await?;
    }
    Ok(())
}

/// Ids of what earlier launches of this EHR's read of the patient.
async fn kept_before(state: &State, session: &Session, kind: &'static str) -> Result<Vec<String>> {
    let ehr = state.smart.launches.as_ref().and_then(|launches| launches.ehrs.get(session.ehr));
    let (Some(ehr), Some(patient)) = (ehr, &session.patient) else { return Ok(Vec::new()) };
    let mut query = Query { kind, client: Some(Arc::clone(patient)), count: CHUNK_MAX, ..Query::default() };
    let mut ids = Vec::new();
    loop {
        let page = state.pipeline.store.search(&query).await?;
        let all = page.versions.iter().map(|version| version.key.id.to_string());
        ids.extend(all.filter(|id| id.starts_with(&ehr.prefix())));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(ids),
        }
    }
}

/// The words for somebody who has no session.
#[must_use]
pub fn nobody(http: &HttpRequest) -> Error {
    let text = if came_without_cookie(http) {
        "Your browser does not keep this page's cookie here, so it cannot tell that it is you.\n\nAllow cookies for \
         this site, or open it in a window of its own, and launch again from the client's chart."
    } else {
        ENDED
    };
    Error::new(IssueType::Login, text)
}

const ENDED: &str = "Open this page from the client's chart in your record system. If you had it open, your sign-in has \
                     ended: launch again.";

/// For a session whose token the EHR does not take any more.
#[must_use]
pub fn ended() -> Error {
    Error::new(IssueType::Login, ENDED)
}
