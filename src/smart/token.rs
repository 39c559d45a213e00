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
    // What is there and is not what it has to be is no claim that may be passed over: it may have narrowed the token.
    for key in ["fhirUser", "patient", "client_id", "azp", "cid", "sub"] {
        if claims.get(key).is_some_and(|value| !(value.is_string() || value.is_null() && key != "fhirUser")) {
            return Err(Refusal::Malformed);
        }
    }
    let scope = ["scope", "scp"].iter().find_map(|key| claims.get(*key)).map_or(Ok(String::new()), scopes)?;
    Ok(Claims {
        issuer: issuer.name.clone(),
        client_id: text("client_id").or_else(|| text("azp")).or_else(|| text("cid")),
        subject: text("sub"),
        fhir_user: text("fhirUser"),
        patient: text("patient"),
        grants: grants(&scope),
    })
}

/// One text, or a list of them.
fn scopes(value: &Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(items) => {
            let all: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            Ok(all.ok_or(Refusal::Malformed)?.join(" "))
        }
        _ => Err(Refusal::Malformed),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smart::keys::KeySet;
    use serde_json::json;

    #[test]
    fn a_claim_of_another_type_than_it_has_to_be_refuses_the_token() {
        let keys = || RemoteKeys::given(KeySet::read(&json!({"keys": []})));
        let issuer = Issuer { name: "i".into(), audience: "a".into(), keys: keys(), introspection: None };
        let now = Timestamp::from_second(1_000).expect("a time");
        let with = |key: &str, value: Value| {
            let mut claims = json!({"iss": "i", "aud": "a", "exp": 2_000, "scope": "user/*.rs"});
            claims[key] = value;
            of(&claims, &issuer, now).map(|claims| claims.grants.len())
        };
        assert_eq!(with("fhirUser", json!("Patient/1")), Ok(1));
        assert_eq!(with("scope", json!(["user/Task.r", "user/Flag.r"])), Ok(2));
        assert_eq!(with("patient", Value::Null), Ok(1));
        let odd = [json!(["Patient/1"]), json!({"reference": "Patient/1"}), json!(7), json!(true)];
        for key in ["iss", "aud", "exp", "nbf", "fhirUser", "patient", "client_id", "azp", "cid", "sub", "scope"] {
            for value in &odd {
                let fits = matches!((key, value), ("exp" | "nbf", Value::Number(_)) | ("scope", Value::Array(_)));
                assert!(fits || with(key, value.clone()).is_err(), "{key}: {value}");
            }
        }
        for (key, value) in [("fhirUser", Value::Null), ("scope", json!(["user/*.rs", 7])), ("exp", json!("2000"))] {
            assert!(with(key, value.clone()).is_err(), "{key}: {value}");
        }
    }
}
