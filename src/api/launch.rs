//! `/launch` and `/callback`: in from an EHR's chart, and the sessions of the pages.
//!
//! Each launch has a cookie of its own while it lasts, and each session one named after its patient: two tabs with
//! two patients stay apart. The cookies are written by hand, for `Partitioned`.

use super::access::{Access, Holder};
use super::pages::{csrf, html, notice, same};
use super::{State, audit, auth, launched, token};
use crate::error::{Error, Result};
use crate::fhir::audit::Asker;
use crate::fhir::outcome::IssueType;
use crate::smart::fetch::oauth_error;
use crate::smart::launch::{LaunchError, Launches, PENDING_SECONDS};
use crate::smart::scope;
use crate::smart::session::Session;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Cookies of a browser that are looked at.
const COOKIES_MAX: usize = 100;
/// What cookies of sessions begin with, and those of launches.
const SESSION_COOKIE: &str = "__Host-tautline-";
const LAUNCH_COOKIE: &str = "__Host-tautline-launch-";

fn short(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn launch_cookie(state: &str) -> String {
    format!("{LAUNCH_COOKIE}{}", short(state))
}

/// Of a patient's session, or of a practitioner's own.
fn session_cookie(patient: Option<&str>) -> String {
    format!("{SESSION_COOKIE}{}", patient.map_or_else(|| "caseload".into(), short))
}

fn set_cookie(name: &str, value: &str, seconds: Option<i64>) -> String {
    let age = seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned{age}")
}

fn cookies(http: &HttpRequest) -> impl Iterator<Item = (&str, &str)> {
    let headers = http.headers().get_all(header::COOKIE);
    let pairs = headers.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).take(COOKIES_MAX)
}

fn cookie<'a>(http: &'a HttpRequest, name: &str) -> Option<&'a str> {
    cookies(http).find_map(|(key, value)| (key == name).then_some(value))
}

/// Names and secrets of the sessions that the browser says it has.
fn sessions(http: &HttpRequest) -> impl Iterator<Item = (&str, &str)> {
    cookies(http).filter(|(name, _)| name.starts_with(SESSION_COOKIE) && !name.starts_with(LAUNCH_COOKIE))
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
        LaunchError::Unkept => StatusCode::SERVICE_UNAVAILABLE,
        LaunchError::NotStaff | LaunchError::Denied(_) => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut response = html(state, status, notice("This launch did not work", &error.to_string()));
    if matches!(error, LaunchError::Full | LaunchError::Unkept) {
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

/// A launch that came to nothing, kept in the trail.
fn refused(state: &State, them: &Asker, error: LaunchError) -> HttpResponse {
    let response = failed(state, error);
    signed_in(state, them, Some((response.status().as_u16(), error.why())));
    response
}

/// Keeps in the trail that somebody was let in, or was not. What they then read has events of its own, without which
/// nothing is shown.
fn signed_in(state: &State, who: &Asker, refused: Option<(u16, &'static str)>) {
    let (now, context) = (state.pipeline.clock.now(), state.pipeline.term_context());
    state.trail.keep_if_room(audit::of_sign_in(who, refused, now, &context));
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
    let now = state.pipeline.clock.now();
    let stranger = Asker { client_id: Some("launch".into()), address: auth::address(&http), ..Asker::default() };
    let Some(browser) = cookie(&http, &launch_cookie(&named)) else {
        signed_in(&state, &stranger, Some((400, "the browser did not send the launch's cookie")));
        // The launch stays as it is: a stranger's call must not end it.
        let text = "Your browser did not send back the cookie of this launch, so it cannot be finished. Please launch \
                    again from the client's chart. If it happens again, allow cookies for this site, or open it in a \
                    window of its own.";
        return html(&state, StatusCode::BAD_REQUEST, notice("This launch did not work", text));
    };
    let pending = match launches.pending(&named, browser, now).await {
        Ok(pending) => pending,
        Err(error) => return with_cookie(refused(&state, &stranger, error), &used),
    };
    let them = Asker { issuer: Some(pending.iss.clone()), ..stranger };
    if let Some(error) = parameter(&http, "error") {
        let denied = LaunchError::Denied(oauth_error(&error).unwrap_or("refused"));
        return with_cookie(refused(&state, &them, denied), &used);
    }
    let code = parameter(&http, "code").unwrap_or_default();
    let issuer = parameter(&http, "iss");
    match launches.finish(&pending, &code, issuer.as_deref(), now).await {
        Err(error) => with_cookie(refused(&state, &them, error), &used),
        Ok(entered) => {
            let session = &entered.session;
            signed_in(&state, &asker(session, them.address.clone()), None);
            let name = session_cookie(session.patient.as_deref());
            let mut set = vec![used];
            match replaced(launches, &http, &name, session, now).await {
                Ok(others) => set.extend(others),
                Err(error) => return with_cookie(failed(&state, error), &set[0]),
            }
            set.push(set_cookie(&name, entered.secret(), None));
            let there = match &session.patient {
                // The one intent we know leads to the answers.
                Some(id) if session.moment.intent.as_deref() == Some("afterwards") => {
                    format!("/app/patients/{id}?launched#afterwards")
                }
                Some(id) => format!("/app/patients/{id}?launched"),
                None => "/app/caseload?launched".to_owned(),
            };
            launched::read(&state, entered.session, entered.user_name, auth::address(&http));
            redirect(&there, &set)
        }
    }
}

/// Ends what a launch takes the place of: the same browser's session of the same name, and those of somebody else who
/// launched from the same EHR. What clears the cookies of the others.
async fn replaced(
    launches: &Launches,
    http: &HttpRequest,
    name: &str,
    session: &Session,
    now: Timestamp,
) -> std::result::Result<Vec<String>, LaunchError> {
    let mut cleared = Vec::new();
    for (other, secret) in sessions(http) {
        if other == name {
            launches.end(secret, now).await?;
        } else if let Some(old) = launches.peek(secret, now).await?
            && old.iss == session.iss
            && old.fhir_user != session.fhir_user
        {
            launches.end(secret, now).await?;
            cleared.push(set_cookie(other, "", Some(0)));
        }
    }
    Ok(cleared)
}

/// Signs out of everything that this browser has open here: no process takes its cookies any more, and the EHR is told
/// that its tokens are not needed.
pub async fn sign_out(state: web::Data<State>, http: HttpRequest, payload: web::Payload) -> HttpResponse {
    let Some(launches) = &state.smart.launches else { return failed(&state, LaunchError::Unlisted) };
    let now = state.pipeline.clock.now();
    let form = token::form(&http, payload).await.unwrap_or_default();
    let of = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default();
    let shown = cookie(&http, &session_cookie(Some(of("patient")).filter(|id| !id.is_empty())));
    let known = match shown {
        Some(secret) => launches.peek(secret, now).await,
        None => Ok(None),
    };
    let ended = match known {
        Ok(Some(session)) if same(of("csrf"), &csrf(&session.csrf(), SIGN_OUT)) => {
            let mut cleared = Vec::new();
            let mut failure = None;
            for (name, secret) in sessions(&http) {
                match launches.sign_out(secret, now).await {
                    Ok(()) => cleared.push(set_cookie(name, "", Some(0))),
                    Err(error) => failure = Some(error),
                }
            }
            failure.map_or(Ok(cleared), Err)
        }
        // Whoever is not signed in is signed out.
        Ok(None) => Ok(sessions(&http).map(|(name, _)| set_cookie(name, "", Some(0))).collect()),
        Ok(Some(_)) => {
            let text = "The form was not sent from this page. Please go back, reload and try again.";
            return html(&state, StatusCode::FORBIDDEN, notice("That did not work", text));
        }
        Err(error) => Err(error),
    };
    match ended {
        Ok(cleared) => {
            let text = "You are signed out here. To come back, open Tautline from the client's chart.";
            let response = html(&state, StatusCode::OK, notice("Signed out", text));
            cleared.iter().fold(response, |response, cookie| with_cookie(response, cookie))
        }
        Err(error) => failed(&state, error),
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
///
/// # Errors
/// The database or the EHR is away.
pub async fn session(state: &State, http: &HttpRequest, client: Option<&str>) -> Result<Option<Session>> {
    let Some(launches) = &state.smart.launches else { return Ok(None) };
    let now = state.pipeline.clock.now();
    let own = client.and_then(|client| cookie(http, &session_cookie(Some(client))));
    for name in [own, cookie(http, &session_cookie(None))].into_iter().flatten() {
        if let Some(session) = launches.session(name, now).await.map_err(away)?
            && client.is_none_or(|client| launches.reaches(&session, client))
        {
            return Ok(Some(session));
        }
    }
    Ok(None)
}

/// A session that cannot be looked at now is not one that has ended.
pub fn away(error: LaunchError) -> Error {
    Error { retry_after_seconds: Some(5), ..Error::new(IssueType::Transient, error.to_string()) }
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

pub(super) fn asker(session: &Session, address: Option<String>) -> Asker {
    Asker {
        issuer: Some(session.iss.clone()),
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

/// What the token of the form that signs out is made with, beside the session.
pub const SIGN_OUT: &str = "sign-out";

/// For a session whose token the EHR does not take any more.
#[must_use]
pub fn ended() -> Error {
    Error::new(IssueType::Login, ENDED)
}
