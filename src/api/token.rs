//! `/auth/token`: access tokens for systems (SMART Backend Services).

use super::{State, audit, auth, discovery};
use crate::error::{Error, Result};
use crate::fhir::audit::Asker;
use crate::fhir::outcome::IssueType;
use crate::smart::systems::{Approved, OauthError, Systems, TOKEN_SECONDS};
use crate::store::{Key, StoreError};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Largest form.
pub const FORM_BYTES_MAX: usize = 64 * 1024;
/// Longest time to send it.
const FORM_SECONDS_MAX: u64 = 10;

pub async fn token(state: web::Data<State>, http: HttpRequest, payload: web::Payload) -> HttpResponse {
    let Some(systems) = &state.smart.systems else { return super::http::nowhere().await };
    let address = auth::address(&http).unwrap_or_default();
    if let Err(wait) = state.smart.strangers.take(&address) {
        return discovery::throttled_answer(wait);
    }
    let Some(form) = form(&http, payload).await else {
        let description = "The request has to be a form (application/x-www-form-urlencoded) of at most 64 KiB.";
        let error = OauthError { status: 400, error: "invalid_request", description };
        refused(&state, None, address, error);
        return refusal(error);
    };
    match issue(&state, systems, &form, &address).await {
        Ok(Ok(answer)) => no_store(&mut HttpResponse::Ok()).json(answer),
        Ok(Err(error)) => {
            refused(&state, systems.named(&form), address, error);
            refusal(error)
        }
        Err(error) => super::respond::failure(&error),
    }
}

/// Keeps in the trail that somebody asked for a token in vain. `client_id`: one of ours, as the request claims.
fn refused(state: &State, client_id: Option<&str>, address: String, error: OauthError) {
    let asker = Asker {
        issuer: client_id.map(|_| state.config.base_url.clone()),
        client_id: client_id.map(str::to_owned),
        address: Some(address),
        ..Asker::default()
    };
    let (now, context) = (state.pipeline.clock.now(), state.pipeline.term_context());
    state.trail.keep_if_room(audit::of_sign_in(&asker, Some((error.status, error.error)), now, &context));
}

/// A form's pairs. `None`: it is none, too long, or too slow.
pub(super) async fn form(http: &HttpRequest, payload: web::Payload) -> Option<Vec<(String, String)>> {
    let kind = http.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let read = payload.to_bytes_limited(FORM_BYTES_MAX);
    let bytes = tokio::time::timeout(Duration::from_secs(FORM_SECONDS_MAX), read).await.ok()?.ok()?.ok()?;
    Some(form_urlencoded::parse(&bytes).into_owned().collect())
}

async fn issue(
    state: &State,
    systems: &Systems,
    form: &[(String, String)],
    address: &str,
) -> Result<std::result::Result<Value, OauthError>> {
    let now = state.pipeline.clock.now();
    let approved = match systems.judge(form, now).await {
        Ok(approved) => approved,
        Err(refused) => return Ok(Err(refused)),
    };
    if !first_use(state, &approved, address).await? {
        let description = "The assertion has been used before: each needs a jti of its own.";
        return Ok(Err(OauthError { status: 401, error: "invalid_client", description }));
    }
    let token = systems
        .token(&approved, &state.pipeline.clock.new_id(), now)
        .map_err(|why| Error { source: Some(why.into()), ..Error::new(IssueType::Exception, "The server failed.") })?;
    Ok(Ok(json!({
        "access_token": token,
        "token_type": "bearer",
        "expires_in": TOKEN_SECONDS,
        "scope": approved.scope,
    })))
}

/// Keeps the sign-in in the trail under a name made of its `jti`: the same assertion finds it there, whichever
/// process it comes to, and after a restart too.
async fn first_use(state: &State, approved: &Approved, address: &str) -> Result<bool> {
    let digest =
        Sha256::new().chain_update(&approved.client_id).chain_update([0]).chain_update(&approved.jti).finalize();
    let id = digest.iter().take(30).fold(String::from("s-"), |text, byte| format!("{text}{byte:02x}"));
    let asker = Asker {
        issuer: Some(state.config.base_url.clone()),
        client_id: Some(approved.client_id.clone()),
        address: Some(address.to_owned()),
        ..Asker::default()
    };
    let now = state.pipeline.clock.now();
    let event = crate::fhir::audit::sign_in(&id, now, &asker);
    let put = audit::put("AuditEvent", event, id.clone(), None, now, &state.pipeline.term_context());
    let mut tx = state.pipeline.store.begin().await?;
    let key = Key { kind: "AuditEvent", id: id.into() };
    if !tx.heads(std::slice::from_ref(&key)).await?.is_empty() {
        return Ok(false);
    }
    let kept = async {
        tx.put(vec![put]).await?;
        tx.commit().await
    };
    match kept.await {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn no_store(builder: &mut actix_web::HttpResponseBuilder) -> &mut actix_web::HttpResponseBuilder {
    builder.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"))
}

fn refusal(error: OauthError) -> HttpResponse {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    no_store(&mut HttpResponse::build(status))
        .json(json!({"error": error.error, "error_description": error.description}))
}
