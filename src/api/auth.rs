//! At the door: who is let in.

use super::State;
use super::access::{Access, Holder};
use crate::config::Auth;
use crate::error::{Error, Result};
use crate::fhir::audit::Asker;
use crate::fhir::outcome::IssueType;
use crate::smart::token::{self, Claims, Refusal};
use actix_web::HttpRequest;
use actix_web::http::header;

/// What this request may do.
///
/// # Errors
/// 401 where a token is needed, or does not hold; 403 for a page of another site (`auth = "none"`).
pub async fn access(state: &State, http: &HttpRequest) -> Result<Access> {
    let context = state.pipeline.term_context();
    if state.config.auth == Auth::None {
        super::origin::own(state, http)?;
        return Ok(Access::open(context));
    }
    let address = address(http);
    let claims = match claims(state, http).await {
        Ok(claims) => claims,
        Err(error) => {
            // Guessing is slow work; others at the same address, who have good tokens, are not held up.
            let name = address.as_deref().unwrap_or_default();
            return Err(state.smart.strangers.take(name).err().map_or(error, super::discovery::throttled));
        }
    };
    let name =
        format!("{} {}", claims.issuer, claims.client_id.as_deref().or(claims.subject.as_deref()).unwrap_or_default());
    state.smart.clients.take(&name).map_err(super::discovery::throttled)?;
    let asker = Asker {
        issuer: Some(claims.issuer.clone()),
        client_id: claims.client_id.clone(),
        subject: claims.subject.clone(),
        fhir_user: claims.fhir_user.clone(),
        address,
    };
    let Claims { grants, patient, fhir_user, .. } = claims;
    Ok(Access::of(Holder { grants, patient, fhir_user }, asker, context))
}

async fn claims(state: &State, http: &HttpRequest) -> Result<Claims> {
    let token = bearer(http)?.ok_or_else(|| Error::new(IssueType::Login, "An access token is needed."))?;
    token::judge(&state.smart.issuers, token, state.pipeline.clock.now()).await.map_err(refused)
}

fn refused(refusal: Refusal) -> Error {
    let code = match refusal {
        Refusal::KeysAway | Refusal::IssuerAway => {
            return Error { retry_after_seconds: Some(30), ..Error::new(IssueType::Transient, refusal.to_string()) };
        }
        Refusal::Expired => IssueType::Expired,
        _ => IssueType::Security,
    };
    Error::new(code, refusal.to_string())
}

/// The token of `Authorization: Bearer …`: from there alone, and one.
fn bearer(http: &HttpRequest) -> Result<Option<&str>> {
    let mut all = http.headers().get_all(header::AUTHORIZATION);
    let Some(first) = all.next() else { return Ok(None) };
    let bad = || Error::new(IssueType::Security, "The Authorization header has to be Bearer and one access token.");
    let text = first.to_str().map_err(|_| bad())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(bad)?;
    let token = token.trim();
    if all.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains(' ') {
        return Err(bad());
    }
    Ok(Some(token))
}

/// Where a request comes from.
#[must_use]
pub fn address(http: &HttpRequest) -> Option<String> {
    http.peer_addr().map(|at| at.ip().to_string())
}
