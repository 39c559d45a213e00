//! The page before the session, the caseload, and what is said on them.

use super::access::Access;
use super::{State, audit, auth, launch};
use crate::config::Auth;
use crate::detection;
use crate::domain::{Course, SourceKind, Timeline, Verdict};
use crate::error::{Error, Result};
use crate::fhir::audit::Interaction;
use crate::fhir::outcome::{Issue, IssueType};
use crate::fhir::person::{best_name, display_name};
use crate::fhir::write::{flag_id, flag_provenance_id, judgement};
use crate::fhir::{check, search, time};
use crate::pipeline::MODEL;
use crate::pipeline::ingest::{Action, Target, Write};
use crate::smart::launch::Session;
use crate::store::{Key, Query};
use crate::view::{self, CaseloadModel, CaseloadRow, PageModel, Published, Said, Thresholds};
use crate::words::{Manner, Person};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Clients on the caseload at most.
const CASELOAD_MAX: usize = 200;
/// Clients looked at side by side.
const PARALLEL_MAX: usize = 8;
/// Longest note, characters.
const NOTE_CHARS_MAX: usize = 2_000;
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
        .route("", web::get().to(home))
        .route("/", web::get().to(home))
        .route("/caseload", web::get().to(caseload))
        .route("/page.css", web::get().to(stylesheet))
        .route("/patients/{id}", web::get().to(page))
        .route("/patients/{id}/judgements", web::post().to(judge));
}

async fn home() -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, "/app/caseload")).finish()
}

async fn stylesheet() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(view::stylesheet())
}

pub(super) fn html(state: &State, status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, csp(state)))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
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
}

/// By the session of a launch for this client, or a practitioner's own; else by a token.
async fn looker(state: &State, http: &HttpRequest, client: Option<&str>) -> Result<Looker> {
    if state.config.auth == Auth::Smart {
        if let Some(session) = launch::session(state, http, client).await {
            let access = launch::access(state, &session, auth::address(http));
            return Ok(Looker { access, session: Some(session) });
        }
        if http.headers().get(header::AUTHORIZATION).is_none() {
            return Err(launch::nobody(http));
        }
    }
    Ok(Looker { access: auth::access(state, http).await?, session: None })
}

/// Keeps in the trail that a page was shown, or refused.
async fn trace(state: &State, access: &Access, http: &HttpRequest, client: Option<&str>, status: u16) -> Result<()> {
    let line = format!("{} {}", http.method(), http.uri().path());
    let interaction = if client.is_some() { Interaction::Read } else { Interaction::Search };
    let named = client.filter(|id| super::rest::is_id(id));
    let asked = audit::Asked { interaction, request: &line, named, status };
    let context = state.pipeline.term_context();
    state.trail.keep(audit::of_request(access, &asked, state.pipeline.clock.now(), &context)).await
}

/// While the EHR is being read, the page says so and asks again by itself.
fn reading(state: &State, session: Option<&Session>) -> Option<HttpResponse> {
    let progress = &session?.progress;
    if progress.done.load(Ordering::Acquire) {
        return None;
    }
    let read = progress.read.load(Ordering::Relaxed);
    let text = format!("Reading from your record system: {read} entries so far. This page goes on by itself.");
    let mut response = html(state, StatusCode::OK, notice("One moment", &text));
    response.headers_mut().insert(header::REFRESH, header::HeaderValue::from_static("1"));
    Some(response)
}

#[derive(Deserialize)]
struct Look {
    #[serde(rename = "asOf")]
    as_of: Option<String>,
}

async fn page(
    state: web::Data<State>,
    http: HttpRequest,
    id: web::Path<String>,
    look: web::Query<Look>,
) -> HttpResponse {
    let looker = match looker(&state, &http, Some(&id)).await {
        Ok(looker) => looker,
        Err(error) => return refusal(&state, &error),
    };
    if let Some(wait) = reading(&state, looker.session.as_ref()) {
        return wait;
    }
    let made = async {
        looker.access.page(&id)?;
        looker.access.note_client(&id);
        draw_page(&state, &looker, &id, look.as_of.as_deref()).await
    };
    answer(&state, &looker.access, &http, Some(&id), made.await).await
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

async fn draw_page(state: &State, looker: &Looker, id: &str, as_of: Option<&str>) -> Result<String> {
    let pipeline = &state.pipeline;
    let now = pipeline.clock.now();
    // A form sends an empty field where nothing was chosen.
    let asked = as_of.map(str::trim).filter(|text| !text.is_empty());
    let as_of = match asked {
        None => now,
        Some(text) => time::instant(&text.replace(' ', "+"), &pipeline.zone).ok_or_else(|| {
            Error::new(IssueType::Value, "The day to look back to has to be a date.").with_status(400)
        })?,
    };
    if !super::rest::is_id(id) {
        return Err(Error::not_found("client", id));
    }
    let assessed = pipeline.look(id, as_of).await?;
    let key = Key { kind: "Patient", id: id.into() };
    let known = pipeline.store.read(&key).await?.is_some_and(|version| !version.deleted);
    if !known && assessed.timeline == Timeline::default() {
        return Err(Error::new(IssueType::NotFound, "There is no such client."));
    }
    let person = pipeline.person(id).await?;
    let published = published(state, id, &assessed.course).await?;
    let judgements = said(&assessed.timeline, &assessed.course, &published, as_of);
    Ok(view::page(&PageModel {
        id,
        person,
        course: &assessed.course,
        timeline: &assessed.timeline,
        now,
        looking_back: asked.is_some(),
        manner: manner(state),
        therapist: therapist(state, &assessed.timeline, now).await?,
        treatment: treatment(state, id).await?,
        session_number: None,
        sessions_planned: None,
        published,
        judgements,
        csrf: Some(csrf(secret(state, looker.session.as_ref()), id)),
        base_path: String::new(),
        caseload_link: looker.access.caseload(),
        model_version: MODEL.to_owned(),
        thresholds: thresholds(state),
    }))
}

fn day(state: &State, at: Timestamp) -> jiff::civil::Date {
    state.pipeline.zone.to_datetime(at).date()
}

fn manner(state: &State) -> Manner {
    Manner { time_zone: state.pipeline.zone.clone(), ..Manner::default() }
}

fn thresholds(state: &State) -> Thresholds {
    let _ = state;
    Thresholds::default()
}

/// When each Flag was first published: the first `Provenance.recorded`, which is never rewritten.
async fn published(state: &State, client: &str, course: &Course) -> Result<Vec<Published>> {
    let mut out = Vec::with_capacity(course.episodes.len());
    for (index, episode) in course.episodes.iter().enumerate() {
        let id = flag_provenance_id(client, episode.kind, &episode.key);
        let stored = state.pipeline.store.read(&Key { kind: "Provenance", id: id.into() }).await?;
        let first =
            stored.and_then(|version| serde_json::from_str::<Value>(&version.json).ok()).and_then(|provenance| {
                provenance.get("recorded").and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok())
            });
        out.push(Published { episode: index, flag_id: flag_id(client, episode.kind, &episode.key), first });
    }
    Ok(out)
}

fn said(timeline: &Timeline, course: &Course, published: &[Published], as_of: Timestamp) -> Vec<Said> {
    let about = |flag: Option<&str>| {
        published.iter().find(|one| Some(one.flag_id.as_str()) == flag).map(|one| course.episodes[one.episode].kind)
    };
    timeline
        .judgements
        .iter()
        .filter(|judgement| judgement.known <= as_of && judgement.source.kind == SourceKind::Observation)
        .map(|judgement| Said {
            id: judgement.source.id.to_string(),
            at: judgement.known,
            verdict: judgement.verdict,
            about: about(judgement.flag.as_deref()),
            note: judgement.note.clone(),
            by: None,
        })
        .collect()
}

/// The practitioner of the next appointment, else of the last.
async fn therapist(state: &State, timeline: &Timeline, now: Timestamp) -> Result<Option<String>> {
    let next = timeline.slots.iter().find(|slot| slot.start >= now).or(timeline.slots.last());
    let Some(slot) = next else { return Ok(None) };
    let Some(appointment) = json(state, "Appointment", &slot.source.id).await? else { return Ok(None) };
    let actors = appointment.get("participant").and_then(Value::as_array).into_iter().flatten();
    let Some(actor) = actors.filter_map(|participant| participant.get("actor")).find(|actor| {
        actor.get("reference").and_then(Value::as_str).is_some_and(|text| text.contains("Practitioner/"))
    }) else {
        return Ok(None);
    };
    if let Some(display) = actor.get("display").and_then(Value::as_str) {
        return Ok(Some(display.to_owned()));
    }
    let id =
        actor.get("reference").and_then(Value::as_str).and_then(|text| text.rsplit('/').next()).unwrap_or_default();
    let practitioner = json(state, "Practitioner", id).await?;
    Ok(practitioner.as_ref().and_then(best_name).map(display_name).filter(|name| !name.is_empty()))
}

/// The words of the episode of care, where there is one.
async fn treatment(state: &State, client: &str) -> Result<Option<String>> {
    let query = Query { kind: "EpisodeOfCare", client: Some(client.into()), count: 5, ..Query::default() };
    let page = state.pipeline.store.search(&query).await?;
    Ok(page.versions.iter().find_map(|version| {
        let episode: Value = serde_json::from_str(&version.json).ok()?;
        let kind = episode.get("type")?.get(0)?;
        let text = kind.get("text").or_else(|| kind.get("coding")?.get(0)?.get("display"))?;
        text.as_str().map(str::to_owned)
    }))
}

async fn json(state: &State, kind: &'static str, id: &str) -> Result<Option<Value>> {
    let stored = state.pipeline.store.read(&Key { kind, id: id.into() }).await?;
    Ok(stored.filter(|version| !version.deleted).and_then(|version| serde_json::from_str(&version.json).ok()))
}

async fn caseload(state: web::Data<State>, http: HttpRequest) -> HttpResponse {
    let looker = match looker(&state, &http, None).await {
        Ok(looker) => looker,
        Err(error) => return refusal(&state, &error),
    };
    let made = async {
        if !looker.access.caseload() {
            return Err(Error::new(IssueType::Forbidden, "This launch is for one client alone."));
        }
        draw_caseload(&state, &looker).await
    };
    answer(&state, &looker.access, &http, None, made.await).await
}

struct Row {
    id: Arc<str>,
    person: Person,
    timeline: Timeline,
    course: Course,
    appointment: Option<Timestamp>,
    yesterday: Option<crate::domain::Band>,
}

async fn draw_caseload(state: &State, looker: &Looker) -> Result<String> {
    let pipeline = &state.pipeline;
    let now = pipeline.clock.now();
    let today = day(state, now);
    let mut clients = caseload_clients(state, today).await?;
    if let (Some(session), Some(launches)) = (&looker.session, &state.smart.launches) {
        clients.retain(|client| launches.reaches(session, client));
    }
    let mut rows: Vec<Row> = Vec::with_capacity(clients.len());
    let mut made = futures_util::stream::iter(clients)
        .map(|id| async move {
            let assessed = pipeline.look(&id, now).await?;
            let before =
                detection::assess(&assessed.timeline, now - SignedDuration::from_hours(24), &pipeline.constants);
            let appointment =
                assessed.timeline.slots.iter().map(|slot| slot.start).find(|start| day(state, *start) == today);
            let person = pipeline.person(&id).await?;
            Ok::<Row, Error>(Row {
                id,
                person,
                yesterday: before.open.as_ref().map(|open| open.band),
                timeline: assessed.timeline,
                course: assessed.course,
                appointment,
            })
        })
        .buffered(PARALLEL_MAX);
    while let Some(row) = made.next().await {
        let row = row?;
        looker.access.note_client(&row.id);
        // Whoever has ended and is not expected today is on nobody's list.
        if row.course.open.is_some() || row.appointment.is_some() {
            rows.push(row);
        }
    }
    rows.sort_by(|a, b| {
        let next = |row: &Row| row.timeline.slots.iter().map(|slot| slot.start).find(|start| *start >= now);
        let key = |row: &Row| (row.appointment.is_none(), row.appointment, next(row).is_none(), next(row));
        key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
    });
    let model = CaseloadModel {
        rows: rows
            .iter()
            .map(|row| CaseloadRow {
                id: &row.id,
                person: row.person.clone(),
                course: &row.course,
                timeline: Some(&row.timeline),
                appointment: row.appointment,
                band_yesterday: row.yesterday,
            })
            .collect(),
        now,
        manner: manner(state),
        therapist: None,
        base_path: String::new(),
        thresholds: thresholds(state),
    };
    Ok(view::caseload(&model))
}

/// Those with an appointment today first, then others, up to the limit.
async fn caseload_clients(state: &State, today: jiff::civil::Date) -> Result<Vec<Arc<str>>> {
    let store = &state.pipeline.store;
    let pairs = [("date".to_owned(), today.to_string())];
    let context = state.pipeline.term_context();
    let mut query = search::read("Appointment", &pairs, &context, true)?.query;
    query.count = CASELOAD_MAX;
    let mut clients: Vec<Arc<str>> = Vec::new();
    for version in store.search(&query).await?.versions {
        let client =
            serde_json::from_str::<Value>(&version.json).ok().and_then(|json| crate::fhir::read::client(&json));
        if let Some(client) = client.map(Arc::from).filter(|client| !clients.contains(client)) {
            clients.push(client);
        }
    }
    for client in store.clients(None, CASELOAD_MAX).await? {
        if clients.len() >= CASELOAD_MAX {
            break;
        }
        if !clients.contains(&client) {
            clients.push(client);
        }
    }
    Ok(clients)
}

/// What a therapist says on the page.
#[derive(Deserialize)]
struct Judged {
    #[serde(default)]
    csrf: String,
    /// named-in-session, rupture-yes, rupture-no, rupture-unsure, safety-acknowledged
    verdict: Option<String>,
    flag: Option<String>,
    note: Option<String>,
    /// Id of the judgement to take back.
    undo: Option<String>,
}

async fn judge(
    state: web::Data<State>,
    http: HttpRequest,
    id: web::Path<String>,
    form: web::Form<Judged>,
) -> HttpResponse {
    let looker = match looker(&state, &http, Some(&id)).await {
        Ok(looker) => looker,
        Err(error) => return refusal(&state, &error),
    };
    let done = async {
        looker.access.page(&id)?;
        if !same(&form.csrf, &csrf(secret(&state, looker.session.as_ref()), &id)) {
            let text = "The form is too old, or was not sent from this page. Please go back, reload and try again.";
            return Err(Error::new(IssueType::Forbidden, text));
        }
        let performer = looker.session.as_ref().and_then(|session| launch::performer(&state, session));
        keep_judgement(&state, &looker.access, performer.as_deref(), &id, &form).await
    };
    match done.await {
        Ok(()) => {
            let there = format!("/app/patients/{}#afterwards", *id);
            HttpResponse::SeeOther().insert_header((header::LOCATION, there)).finish()
        }
        Err(error) => refusal(&state, &error),
    }
}

/// What tokens in forms are made with: the session's own, else this process's.
fn secret<'a>(state: &'a State, session: Option<&'a Session>) -> &'a str {
    session.map_or(&state.secret, |session| &session.csrf)
}

async fn keep_judgement(
    state: &State,
    access: &Access,
    performer: Option<&str>,
    client: &str,
    form: &Judged,
) -> Result<()> {
    if !super::rest::is_id(client) {
        return Err(Error::not_found("client", client));
    }
    let pipeline = &state.pipeline;
    let (id, resource) = match form.undo.as_deref().filter(|id| !id.is_empty()) {
        Some(undo) => {
            let stands = json(state, "Observation", undo).await?.filter(judgement::is_judgement);
            let own = stands.filter(|json| crate::fhir::read::client(json).as_deref() == Some(client));
            let stands = own.ok_or_else(|| Error::not_found("judgement", undo))?;
            (undo.to_owned(), judgement::undone(&stands))
        }
        None => {
            let verdict = verdict(form.verdict.as_deref().unwrap_or_default())?;
            let note: Option<String> = form.note.as_deref().map(|note| note.chars().take(NOTE_CHARS_MAX).collect());
            let flag = form.flag.as_deref().filter(|flag| super::rest::is_id(flag));
            let id = pipeline.clock.new_id();
            let input = judgement::JudgementInput {
                id: &id,
                client,
                flag,
                performer,
                verdict,
                issued: pipeline.clock.now(),
                note: note.as_deref(),
            };
            let resource = judgement::observation(&input);
            (id, resource)
        }
    };
    let faults: Vec<Issue> = check::check(&resource).into_iter().filter(Issue::refuses).collect();
    if !faults.is_empty() {
        return Err(faults.into());
    }
    let action = Action::Update { target: Target::Id(id), resource, if_match: None, must_be_new: false };
    let write = Write { kind: "Observation", full_url: None, prefix: String::new(), action };
    pipeline.write_by(access, vec![write]).await?;
    Ok(())
}

fn verdict(code: &str) -> Result<Verdict> {
    match code {
        "named-in-session" => Ok(Verdict::Named),
        "rupture-yes" => Ok(Verdict::RuptureYes),
        "rupture-no" => Ok(Verdict::RuptureNo),
        "rupture-unsure" => Ok(Verdict::RuptureUnsure),
        "safety-acknowledged" => Ok(Verdict::SafetyAcknowledged),
        _ => Err(Error::new(IssueType::Value, "Please choose one of the answers.").with_status(400)),
    }
}

/// Ties a form to this process and this client.
fn csrf(secret: &str, client: &str) -> String {
    let digest = Sha256::new().chain_update(secret).chain_update([0]).chain_update(client).finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Compares without telling by its duration where two tokens differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
