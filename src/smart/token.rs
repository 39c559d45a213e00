//! Access tokens: whose they are, whether they hold, and what they say.

use super::introspection::Introspection;
use super::keys::{Fault, RemoteKeys, unverified_claims};
use super::scope::{Grant, grants};
use jiff::Timestamp;
use serde_json::Value;

/// Clocks may differ by this much, seconds.
const LEEWAY_SECONDS: i64 = 30;

/// One whose tokens are accepted.
pub struct Issuer {
    pub name: String,
    pub audience: String,
    pub keys: RemoteKeys,
    /// For tokens that are no JWTs.
    pub introspection: Option<Introspection>,
}

/// What a good token says.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    pub issuer: String,
    pub client_id: Option<String>,
    pub subject: Option<String>,
    pub fhir_user: Option<String>,
    pub patient: Option<String>,
    pub grants: Vec<Grant>,
}

/// Why a token is not accepted. The words may be told to anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("The access token is not one that this server understands.")]
    Malformed,
    #[error("The access token is of an issuer that this server does not know.")]
    Issuer,
    #[error("The access token's signature does not hold.")]
    Signature,
    #[error("The access token has expired.")]
    Expired,
    #[error("The access token is not valid yet.")]
    Early,
    #[error("The access token is for another server.")]
    Audience,
    #[error("The access token is not active.")]
    Inactive,
    #[error("The token's issuer cannot be asked at the moment.")]
    IssuerAway,
    #[error("The keys of the token's issuer cannot be had at the moment.")]
    KeysAway,
}

/// Judges a token.
///
/// # Errors
/// See [`Refusal`].
pub async fn judge(issuers: &[Issuer], token: &str, now: Timestamp) -> Result<Claims, Refusal> {
    let Ok(named) = unverified_claims(token) else { return ask(issuers, token, now).await };
    let named = named.get("iss").and_then(Value::as_str).ok_or(Refusal::Issuer)?;
    let mut refusal = Refusal::Issuer;
    for issuer in issuers.iter().filter(|issuer| issuer.name == named) {
        let claims = match issuer.keys.verify(token).await {
            Ok(claims) => claims,
            Err(None) => {
                refusal = Refusal::KeysAway;
                continue;
            }
            Err(Some(Fault::Malformed)) => return Err(Refusal::Malformed),
            Err(Some(_)) => {
                refusal = Refusal::Signature;
                continue;
            }
        };
        return of(&claims, issuer, now);
    }
    Err(refusal)
}

/// A token that says nothing by itself: the issuers that can be asked are, in turn.
async fn ask(issuers: &[Issuer], token: &str, now: Timestamp) -> Result<Claims, Refusal> {
    let mut refusal = Refusal::Malformed;
    for issuer in issuers {
        let Some(introspection) = &issuer.introspection else { continue };
        match introspection.claims(token).await {
            Ok(mut claims) => {
                // What the answer leaves open the issuer vouches for by giving it; what it says has to hold.
                let said = claims.as_object_mut().ok_or(Refusal::Malformed)?;
                said.entry("iss").or_insert_with(|| issuer.name.clone().into());
                said.entry("aud").or_insert_with(|| issuer.audience.clone().into());
                said.entry("exp").or_insert_with(|| (now.as_second() + 1).into());
                return of(&claims, issuer, now);
            }
            Err(why) if refusal != Refusal::IssuerAway => refusal = why,
            Err(_) => {}
        }
    }
    Err(refusal)
}

fn of(claims: &Value, issuer: &Issuer, now: Timestamp) -> Result<Claims, Refusal> {
    let text = |key: &str| claims.get(key).and_then(Value::as_str).map(str::to_owned);
    if text("iss").as_deref() != Some(issuer.name.as_str()) {
        return Err(Refusal::Issuer);
    }
    if !names(claims.get("aud"), &issuer.audience) {
        return Err(Refusal::Audience);
    }
    let now = now.as_second();
    if seconds(claims.get("exp")).is_none_or(|exp| exp.saturating_add(LEEWAY_SECONDS) <= now) {
        return Err(Refusal::Expired);
    }
    match claims.get("nbf") {
        None => {}
        Some(nbf) if seconds(Some(nbf)).is_some_and(|nbf| nbf <= now.saturating_add(LEEWAY_SECONDS)) => {}
        Some(_) => return Err(Refusal::Early),
    }
    let scope = ["scope", "scp"].iter().find_map(|key| match claims.get(*key)? {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        _ => None,
    });
    Ok(Claims {
        issuer: issuer.name.clone(),
        client_id: text("client_id").or_else(|| text("azp")).or_else(|| text("cid")),
        subject: text("sub"),
        fhir_user: text("fhirUser"),
        patient: text("patient"),
        grants: grants(&scope.unwrap_or_default()),
    })
}

/// `aud` is `wanted`, or a list with it.
#[must_use]
pub fn names(aud: Option<&Value>, wanted: &str) -> bool {
    match aud {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(wanted)),
        _ => false,
    }
}

/// A NumericDate. Fractions are allowed and cut.
#[must_use]
pub fn seconds(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    value.as_i64().or_else(|| value.as_f64().filter(|at| at.is_finite() && at.abs() < 1e15).map(|at| at as i64))
}
