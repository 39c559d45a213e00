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
    let token = bearer(http)?.ok_or_else(|| Error::new(IssueType::Login, "An access token is needed."))?;
    let claims = token::judge(&state.smart.issuers, token, state.pipeline.clock.now()).await.map_err(refused)?;
    let asker = Asker {
        issuer: Some(claims.issuer.clone()),
        client_id: claims.client_id.clone(),
        subject: claims.subject.clone(),
        fhir_user: claims.fhir_user.clone(),
        address: address(http),
    };
    let Claims { grants, patient, fhir_user, .. } = claims;
    Ok(Access::of(Holder { grants, patient, fhir_user }, asker, context))
}

fn refused(refusal: Refusal) -> Error {
    let code = match refusal {
        Refusal::KeysAway => {
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
