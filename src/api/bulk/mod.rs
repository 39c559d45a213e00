//! Bulk data: `$export` (FHIR Bulk Data Access) of the system, of all patients and of a Group, `$import` of NDJSON; both run beside
//! the requests, and are asked after at a URL of their own.
//!
//! Jobs and their files are rows of the database, on SQLite and PostgreSQL alike: any process gives them, a backup has
//! them, nothing lies about on the disk, and what a process that ends was at is taken up by the next. They are gone an
//! hour (`bulk_keep_minutes`) after the job has ended. A job belongs to who started it; anybody else is told that there
//! is none.

mod export;
mod import;
mod jobs;
mod lines;

pub use jobs::{Jobs, run};

use super::access::Access;
use super::http::body;
use super::respond;
use super::{State, audit, auth};
use crate::error::{Error, Result};
use crate::fhir::audit::Interaction;
use crate::fhir::check;
use crate::fhir::outcome::IssueType;
use crate::store::{BulkJob, BulkPhase};
use actix_web::http::header;
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use export::Of;
use jobs::{Kept, What};
use lines::Part;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// Seconds after which to ask again.
const RETRY_SECONDS: u32 = 1;

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
    // What is wrong with it is told now.
    export::asked(state, &access, &pairs, of.clone(), lenient)?;
    let line = format!("{}{}", state.config.base_url, http.uri().path_and_query().map_or("", |whole| whole.as_str()));
    let job = state.bulk.start(state, &access, line, What::Export { of, pairs, lenient }, Vec::new()).await?;
    trace(state, &access, http, 202).await?;
    let answer = accepted(state, &job.id);
    state.bulk.carry_out(state, job);
    Ok(answer)
}

fn accepted(state: &State, id: &str) -> HttpResponse {
    let location = format!("{}/bulk/{id}", state.config.fhir_base());
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

async fn found(state: &State, http: &HttpRequest) -> Result<(Access, BulkJob, Kept, String)> {
    let access = system(state, http).await?;
    let id = http.match_info().get("job").unwrap_or_default();
    let (job, kept, request) = state.bulk.find(state, &access, id).await?;
    Ok((access, job, kept, request))
}

async fn status_of(state: &State, http: &HttpRequest) -> Result<HttpResponse> {
    let (_, job, kept, request) = found(state, http).await?;
    match job.phase {
        BulkPhase::Running => Ok(HttpResponse::Accepted()
            .insert_header(("X-Progress", job.progress.as_str()))
            .insert_header((header::RETRY_AFTER, RETRY_SECONDS.to_string()))
            .finish()),
        BulkPhase::Failed => Ok(HttpResponse::InternalServerError()
            .content_type(respond::FHIR_JSON)
            .body(kept.outcome.unwrap_or_default().to_string())),
        BulkPhase::Done => Ok(HttpResponse::Ok()
            .insert_header((header::EXPIRES, header::HttpDate::from(respond::system_time(job.expires))))
            .content_type("application/json")
            .body(manifest(state, &job, kept, &request).to_string())),
    }
}

fn manifest(state: &State, job: &BulkJob, kept: Kept, request: &str) -> Value {
    let base = state.config.fhir_base();
    let list = |part: Part| -> Vec<Value> {
        let all = kept.files.iter().enumerate().filter(|(_, file)| file.part == part);
        all.map(|(n, file)| {
            json!({"type": file.kind, "url": format!("{base}/bulk/{}/{n}.ndjson", job.id), "count": file.lines})
        })
        .collect()
    };
    let mut out = json!({
        "transactionTime": format!("{:.3}", job.started),
        "request": request,
        "requiresAccessToken": state.config.auth == crate::config::Auth::Smart,
        "output": list(Part::Output),
        "deleted": list(Part::Deleted),
        "error": list(Part::Error),
    });
    if let Some(summary) = kept.summary {
        out["extension"] = summary;
    }
    out
}

async fn cancelled(state: &State, http: &HttpRequest) -> Result<HttpResponse> {
    let (_, job, ..) = found(state, http).await?;
    state.bulk.cancel(state, &job.id).await?;
    Ok(HttpResponse::Accepted().finish())
}

async fn file_of(state: &Data<State>, http: &HttpRequest) -> Result<HttpResponse> {
    let (access, job, kept, _) = found(state, http).await?;
    let number = http.match_info().get("file").and_then(|name| name.strip_suffix(".ndjson")?.parse::<usize>().ok());
    let file = number.filter(|_| job.phase == BulkPhase::Done).and_then(|number| kept.files.into_iter().nth(number));
    let file = file.ok_or_else(|| Error::new(IssueType::NotFound, "There is no such file in this job."))?;
    // The token of now decides, not the one that started it.
    if let Some(kind) = &file.of {
        access.read(kind)?;
    }
    trace(state, &access, http, 200).await?;
    let store = Arc::clone(&state.pipeline.store);
    let chunks = futures_util::stream::unfold((store, job.id, 0_i64), move |(store, id, n)| async move {
        if n >= file.pieces {
            return None;
        }
        let piece = match lines::piece(store.as_ref(), &id, file.file, n).await {
            Ok(Some(piece)) => Ok(Bytes::from(piece)),
            Ok(None) => Err(std::io::Error::other("the job was cancelled")),
            Err(error) => {
                respond::log(&error);
                Err(std::io::Error::other("the file cannot be read"))
            }
        };
        // After a fault there is nothing more.
        let next = if piece.is_ok() { n + 1 } else { i64::MAX };
        Some((piece, (store, id, next)))
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
