//! The page before the session, the caseload, and what is said on them.

mod caseload;
mod client;
mod covered;
mod judge;
mod mine;

pub(super) use judge::{csrf, same};

use super::access::Access;
use super::{State, audit, auth, launch, launched, look};
use crate::config::Auth;
use crate::error::{Error, Result};
use crate::fhir::audit::{Asker, Interaction};
use crate::fhir::outcome::IssueType;
use crate::smart::cover::Cover;
use crate::smart::session::{Report, Session};
use crate::smart::style::Palette;
use crate::store::Key;
use crate::view::{self, Thresholds};
use crate::words::{Formats, Manner};
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde_json::Value;

/// The taut line, and where it dips.
const ICON: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><path d='M1 5 H8 L11 11 L15 6' \
                    fill='none' stroke='#1f5f8b' stroke-width='2' stroke-linejoin='round'/></svg>";

/// No script, no foreign anything; framing is for the EHRs of the list alone.
fn csp(state: &State) -> String {
    let mut origins: Vec<&str> =
        state.config.ehrs.iter().flat_map(|ehr| &ehr.frame_ancestors).map(String::as_str).collect();
    origins.dedup();
    let origins = if origins.is_empty() { "'none'".to_owned() } else { origins.join(" ") };
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors {origins}"
    )
}

pub fn configure(service: &mut web::ServiceConfig) {
    service
        .route("", look().to(home))
        .route("/", look().to(home))
        .route("/caseload", look().to(caseload::caseload))
        .route("/caseload/", look().to(home))
        .route("/page.css", look().to(stylesheet))
        .route("/palette.css", look().to(palette))
        .route("/patients/{id}", look().to(client::page))
        .route("/patients/{id}/judgements", web::post().to(judge::judge))
        .default_service(web::route().to(nowhere));
}

async fn home() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, "/app/caseload")).finish()
}

async fn nowhere(state: web::Data<State>) -> HttpResponse {
    html(&state, StatusCode::NOT_FOUND, notice("Nothing here", "There is no such page."))
}

/// What browsers ask for by themselves.
pub(super) async fn icon() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("image/svg+xml")
        .insert_header((header::CACHE_CONTROL, "public, max-age=86400"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(ICON)
}

async fn stylesheet() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(view::stylesheet())
}

/// `?c=ffffff-16202b`: an EHR's colours.
async fn palette(state: web::Data<State>, http: HttpRequest) -> HttpResponse {
    let Some(palette) = http.query_string().strip_prefix("c=").and_then(Palette::parse) else {
        return nowhere(state).await;
    };
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(palette.css())
}

fn palette_of(session: Option<&Session>) -> Option<String> {
    session?.moment.palette.as_ref().map(Palette::query)
}

pub(super) fn html(state: &State, status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, csp(state)))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::VARY, "Accept-Language"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(body)
}

/// A page that says one thing.
pub(super) fn notice(title: &str, text: &str) -> String {
    view::message("", title, text)
}

fn refusal(state: &State, error: &Error) -> HttpResponse {
    super::respond::log(error);
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let title = match status.as_u16() {
        401 => "Please sign in",
        404 => "Nothing here",
        500.. => "Something went wrong",
        _ => "That did not work",
    };
    let mut response = html(state, status, notice(title, &error.to_string()));
    if let Some(seconds) = error.retry_after_seconds
        && let Ok(value) = header::HeaderValue::from_str(&seconds.to_string())
    {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// Who looks, and through which launch.
struct Looker {
    access: Access,
    session: Option<Session>,
    /// How far reading for the session has come.
    report: Report,
    /// How the reader's browser wants figures and dates.
    formats: Formats,
}

impl Looker {
    /// By the launch's scopes; a token's have been judged at the door.
    fn cover(&self) -> Cover {
        self.session.as_ref().map_or_else(Cover::all, Session::cover)
    }
}

/// By the session of a launch for this client, or a practitioner's own; else by a token.
async fn looker(state: &State, http: &HttpRequest, client: Option<&str>) -> Result<Looker> {
    let accepted = http.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let formats = Formats::accepted(accepted.unwrap_or_default());
    if state.config.auth == Auth::Smart {
        if let Some(session) = launch::session(state, http, client).await? {
            let access = launch::access(state, &session, auth::address(http));
            if let (Some(client), Some(mine)) = (client, mine::Mine::of(state, &session).await?)
                && !mine.shows(state, client).await?
            {
                trace(state, &access, http, Some(client), 404).await?;
                return Err(Error::new(IssueType::NotFound, "There is no such client."));
            }
            let report = report(state, &session).await?;
            return Ok(Looker { access, session: Some(session), report, formats });
        }
        if http.headers().get(header::AUTHORIZATION).is_none() {
            return Err(launch::nobody(http));
        }
    }
    Ok(Looker { access: auth::access(state, http).await?, session: None, report: Report::default(), formats })
}

/// Keeps in the trail that a page was shown, or refused.
async fn trace(state: &State, access: &Access, http: &HttpRequest, client: Option<&str>, status: u16) -> Result<()> {
    let line = format!("{} {}", http.method(), http.uri().path());
    let interaction = interaction(http, client);
    let named = client.filter(|id| super::rest::is_id(id));
    let asked = audit::Asked { interaction, request: &line, named, status };
    let context = state.pipeline.term_context();
    state.trail.keep(audit::of_request(access, &asked, state.pipeline.clock.now(), &context)).await
}

async fn report(state: &State, session: &Session) -> Result<Report> {
    let Some(launches) = &state.smart.launches else { return Ok(Report::default()) };
    launches.report(session, state.pipeline.clock.now()).await.map_err(launch::away)
}

fn interaction(http: &HttpRequest, client: Option<&str>) -> Interaction {
    match client {
        _ if http.method() == Method::POST => Interaction::Create,
        Some(_) => Interaction::Read,
        None => Interaction::Search,
    }
}

/// The answer to somebody who is let in nowhere, kept in the trail.
fn turned_away(state: &State, http: &HttpRequest, client: Option<&str>, error: &Error) -> HttpResponse {
    if state.config.auth == Auth::Smart && error.status == 401 {
        let line = format!("{} {}", http.method(), http.uri().path());
        let named = client.filter(|id| super::rest::is_id(id));
        let asked =
            audit::Asked { interaction: interaction(http, client), request: &line, named, status: error.status };
        let stranger = Asker { address: auth::address(http), ..Asker::default() };
        let (now, context) = (state.pipeline.clock.now(), state.pipeline.term_context());
        state.trail.keep_if_room(audit::of_stranger(&stranger, &asked, now, &context));
    }
    refusal(state, error)
}

/// While the EHR is being read, the page says so and asks again by itself. Where whoever read it is gone, reading
/// begins anew.
async fn reading(state: &web::Data<State>, http: &HttpRequest, looker: &Looker) -> Option<HttpResponse> {
    let (session, report) = (looker.session.as_ref()?, &looker.report);
    if report.done {
        return None;
    }
    let now = state.pipeline.clock.now();
    if report.has_stopped(now)
        && let Some(launches) = &state.smart.launches
        && launches.takes_over(session, now).await.unwrap_or_default()
    {
        launched::read(state, session.clone(), report.user_name.clone(), auth::address(http));
    }
    let text = format!("Reading from your record system: {} entries so far. This page goes on by itself.", report.read);
    let mut response = html(state, StatusCode::OK, notice("One moment", &text));
    response.headers_mut().insert(header::REFRESH, header::HeaderValue::from_static("1"));
    Some(response)
}

async fn answer(
    state: &State,
    access: &Access,
    http: &HttpRequest,
    client: Option<&str>,
    made: Result<String>,
) -> HttpResponse {
    let status = made.as_ref().map_or_else(|error| error.status, |_| 200);
    match trace(state, access, http, client, status).await.and(made) {
        Ok(body) => html(state, StatusCode::OK, body),
        Err(error) => refusal(state, &error),
    }
}

fn day(state: &State, at: Timestamp) -> jiff::civil::Date {
    state.pipeline.zone.to_datetime(at).date()
}

fn manner(state: &State, looker: &Looker) -> Manner {
    Manner { time_zone: state.pipeline.zone.clone(), formats: looker.formats, ..Manner::default() }
}

fn thresholds(state: &State) -> Thresholds {
    let flags = &state.pipeline.constants.flag;
    Thresholds { open: flags.open, watch: flags.watch }
}

async fn json(state: &State, kind: &'static str, id: &str) -> Result<Option<Value>> {
    let stored = state.pipeline.store.read(&Key { kind, id: id.into() }).await?;
    Ok(stored.filter(|version| !version.deleted).and_then(|version| serde_json::from_str(&version.json).ok()))
}
