//! Bulk data: `$export` (FHIR Bulk Data Access) of the system, of all patients and of a Group, `$import` of NDJSON; both run beside
//! the requests, and are asked after at a URL of their own.
//!
//! Files are held open without a name: nobody else on the machine can open them, and they are gone with the process, or
//! an hour after they were made. A job belongs to who started it; anybody else is told that there is none.

mod export;
mod import;
mod jobs;

pub use jobs::Jobs;

use super::access::Access;
use super::http::body;
use super::respond;
use super::{State, audit, auth};
use crate::error::{Error, Result};
use crate::fhir::audit::Interaction;
use crate::fhir::check;
use crate::fhir::outcome::IssueType;
use actix_web::http::header;
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use export::Of;
use jobs::{Job, Made, Phase};
use serde_json::{Value, json};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

/// Seconds after which to ask again.
const RETRY_SECONDS: u32 = 1;
/// Bytes of a file that are in memory while it is sent.
const CHUNK_BYTES: usize = 64 * 1024;

pub fn configure(service: &mut web::ServiceConfig) {
    service
        .route("/fhir/$export", web::get().to(export_system))
        .route("/fhir/$export", web::post().to(export_system))
        .route("/fhir/Patient/$export", web::get().to(export_patients))
        .route("/fhir/Patient/$export", web::post().to(export_patients))
        .route("/fhir/Group/{id}/$export", web::get().to(export_group))
        .route("/fhir/Group/{id}/$export", web::post().to(export_group))
        .route("/fhir/$import", web::post().to(start_import))
        .route("/fhir/bulk/{job}", web::get().to(status))
        .route("/fhir/bulk/{job}", web::delete().to(cancel))
        .route("/fhir/bulk/{job}/{file}", web::get().to(file));
}

/// As the table of interactions names its own.
pub const OPERATIONS: &[&str] = &["$export", "$import"];

async fn export_system(state: Data<State>, http: HttpRequest, payload: web::Payload) -> HttpResponse {
    answered(&state, &http, kick_off(&state, &http, payload, Of::System)).await
}

async fn export_patients(state: Data<State>, http: HttpRequest, payload: web::Payload) -> HttpResponse {
    answered(&state, &http, kick_off(&state, &http, payload, Of::Patients)).await
}

async fn export_group(state: Data<State>, http: HttpRequest, payload: web::Payload) -> HttpResponse {
    let work = async {
        let access = system(&state, &http).await?;
        let members = export::members(&state, &access, http.match_info().get("id").unwrap_or_default()).await?;
        kick_off(&state, &http, payload, Of::Members(members)).await
    };
    answered(&state, &http, work).await
}

async fn start_import(state: Data<State>, http: HttpRequest, payload: web::Payload) -> HttpResponse {
    answered(&state, &http, import::kick_off(&state, &http, payload)).await
}

async fn status(state: Data<State>, http: HttpRequest) -> HttpResponse {
    answered(&state, &http, status_of(&state, &http)).await
}

async fn cancel(state: Data<State>, http: HttpRequest) -> HttpResponse {
    answered(&state, &http, cancelled(&state, &http)).await
}

async fn file(state: Data<State>, http: HttpRequest) -> HttpResponse {
    answered(&state, &http, file_of(&state, &http)).await
}

async fn answered(state: &State, http: &HttpRequest, work: impl Future<Output = Result<HttpResponse>>) -> HttpResponse {
    let started = Instant::now();
    let answer = work.await;
    let mut response =
        answer.unwrap_or_else(|error| respond::failure_as(&error, super::format::asked(http).unwrap_or_default()));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    state.metrics.request(http.method().as_str(), response.status().as_u16(), started.elapsed());
    response
}

/// Who asks, as a system: bulk data is for nobody else.
async fn system(state: &State, http: &HttpRequest) -> Result<Access> {
    let access = auth::access(state, http).await?;
    access.of_system().ok_or_else(|| {
        Error::new(IssueType::Forbidden, "Bulk data is for systems: the token needs scopes that begin with system/.")
    })
}

fn must_respond_async(http: &HttpRequest) -> Result<()> {
    let prefer = http.headers().get_all("prefer").filter_map(|value| value.to_str().ok());
    let asked = prefer.flat_map(|value| value.split([',', ';'])).any(|part| part.trim() == "respond-async");
    if asked {
        return Ok(());
    }
    let text = "This runs beside the request: send the header Prefer: respond-async, then ask at the Content-Location.";
    Err(Error::new(IssueType::Invalid, text))
}

async fn kick_off(state: &Data<State>, http: &HttpRequest, payload: web::Payload, of: Of) -> Result<HttpResponse> {
    let access = system(state, http).await?;
    must_respond_async(http)?;
    let mut pairs = crate::fhir::bundle::pairs(http.query_string());
    if http.method() == actix_web::http::Method::POST {
        let (bytes, _held) = body(state, http, payload).await?;
        if !bytes.is_empty() {
            pairs.extend(parameters(&check::parse(&bytes, check::Limits::default()).map_err(Error::from)?)?);
        }
    }
    let lenient = http
        .headers()
        .get_all("prefer")
        .any(|value| value.to_str().is_ok_and(|text| text.contains("handling=lenient")));
    let asked = export::asked(state, &access, &pairs, of, lenient)?;
    let line = format!("{}{}", state.config.base_url, http.uri().path_and_query().map_or("", |whole| whole.as_str()));
    let access = Arc::new(access);
    let job = state.bulk.start(&access, line, state.pipeline.clock.as_ref())?;
    trace(state, &access, http, 202).await?;
    state.bulk.run(&job, export::run(state.clone(), Arc::clone(&access), Arc::clone(&job), asked));
    Ok(accepted(state, &job))
}

fn accepted(state: &State, job: &Job) -> HttpResponse {
    let location = format!("{}/bulk/{}", state.config.fhir_base(), job.id);
    let outcome = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "information", "code": "informational",
        "diagnostics": format!("Started. Ask {location} how far it is.")}]});
    HttpResponse::Accepted()
        .insert_header((header::CONTENT_LOCATION, location))
        .content_type(respond::FHIR_JSON)
        .body(outcome.to_string())
}

/// Parameters of a POST as pairs.
fn parameters(body: &Value) -> Result<Vec<(String, String)>> {
    if body.get("resourceType").and_then(Value::as_str) != Some("Parameters") {
        return Err(Error::new(IssueType::Structure, "The operation takes Parameters.").at("resourceType"));
    }
    let all = body.get("parameter").and_then(Value::as_array).into_iter().flatten().enumerate();
    all.map(|(index, one)| {
        let name = one.get("name").and_then(Value::as_str).unwrap_or_default();
        let value = one.as_object().into_iter().flatten().find(|(key, _)| key.starts_with("value"));
        let value = value.and_then(|(_, value)| value.as_str()).ok_or_else(|| {
            let place = format!("Parameters.parameter[{index}]");
            Error::new(IssueType::Value, "The parameters of this operation are texts or instants.")
                .with_status(400)
                .at(place)
        })?;
        Ok((name.to_owned(), value.to_owned()))
    })
    .collect()
}

async fn found(state: &State, http: &HttpRequest) -> Result<(Access, Arc<Job>)> {
    let access = system(state, http).await?;
    let id = http.match_info().get("job").unwrap_or_default();
    let job = state.bulk.find(id).filter(|job| job.belongs_to(&access)).ok_or_else(|| {
        let text = "There is no such job: it has ended longer than an hour ago, was cancelled, or the server was started anew. Start it again.";
        Error::new(IssueType::NotFound, text)
    })?;
    Ok((access, job))
}

async fn status_of(state: &State, http: &HttpRequest) -> Result<HttpResponse> {
    let (_, job) = found(state, http).await?;
    match &*job.phase() {
        Phase::Running(progress) => Ok(HttpResponse::Accepted()
            .insert_header(("X-Progress", progress.as_str()))
            .insert_header((header::RETRY_AFTER, RETRY_SECONDS.to_string()))
            .finish()),
        Phase::Failed(issues) => {
            Err(Error { status: 500, issues: issues.clone(), source: None, retry_after_seconds: None })
        }
        Phase::Done(made) => Ok(HttpResponse::Ok()
            .insert_header((header::EXPIRES, header::HttpDate::from(made.expires)))
            .content_type("application/json")
            .body(manifest(state, &job, made).to_string())),
    }
}

fn manifest(state: &State, job: &Job, made: &Made) -> Value {
    let base = state.config.fhir_base();
    let list = |part: jobs::Part| -> Vec<Value> {
        let all = made.files.iter().enumerate().filter(|(_, file)| file.part == part);
        all.map(|(n, file)| {
            json!({"type": file.kind, "url": format!("{base}/bulk/{}/{n}.ndjson", job.id), "count": file.lines})
        })
        .collect()
    };
    let mut out = json!({
        "transactionTime": format!("{:.3}", job.started),
        "request": job.request,
        "requiresAccessToken": state.config.auth == crate::config::Auth::Smart,
        "output": list(jobs::Part::Output),
        "deleted": list(jobs::Part::Deleted),
        "error": list(jobs::Part::Error),
    });
    if let Some(summary) = &made.summary {
        out["extension"] = summary.clone();
    }
    out
}

async fn cancelled(state: &State, http: &HttpRequest) -> Result<HttpResponse> {
    let (_, job) = found(state, http).await?;
    state.bulk.cancel(&job);
    Ok(HttpResponse::Accepted().finish())
}

async fn file_of(state: &Data<State>, http: &HttpRequest) -> Result<HttpResponse> {
    let (access, job) = found(state, http).await?;
    let number = http.match_info().get("file").and_then(|name| name.strip_suffix(".ndjson")?.parse::<usize>().ok());
    let nothing = || Error::new(IssueType::NotFound, "There is no such file in this job.");
    let (handle, kind) = match &*job.phase() {
        Phase::Done(made) => {
            let file = number.and_then(|number| made.files.get(number)).ok_or_else(nothing)?;
            (Arc::clone(&file.handle), file.of)
        }
        _ => return Err(nothing()),
    };
    // The token of now decides, not the one that started it.
    if let Some(kind) = kind {
        access.read(kind)?;
    }
    trace(state, &access, http, 200).await?;
    let chunks = futures_util::stream::unfold((handle, 0_u64), |(handle, at)| async move {
        let reader = Arc::clone(&handle);
        let read = web::block(move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = reader.read_at(&mut chunk, at)?;
            chunk.truncate(read);
            Ok::<_, std::io::Error>(chunk)
        })
        .await
        .unwrap_or_else(|_| Err(std::io::Error::other("the server stops")));
        match read {
            Ok(chunk) if chunk.is_empty() => None,
            Ok(chunk) => {
                let next = at + chunk.len() as u64;
                Some((Ok(Bytes::from(chunk)), (handle, next)))
            }
            Err(error) => Some((Err(error), (handle, at))),
        }
    });
    Ok(HttpResponse::Ok().content_type("application/fhir+ndjson").streaming(chunks))
}

/// That somebody started a job, or took a file. Whose data is in it stands in the events of the job itself.
async fn trace(state: &State, access: &Access, http: &HttpRequest, status: u16) -> Result<()> {
    let line = format!("{} {}", http.method(), http.uri().path_and_query().map_or("", |whole| whole.as_str()));
    let asked = audit::Asked { interaction: Interaction::Search, request: &line, named: None, status };
    let now = state.pipeline.clock.now();
    state.trail.keep(audit::of_request(access, &asked, now, &state.pipeline.term_context())).await
}
