//! The embedded authorization server, for systems alone: `client_credentials` with a signed assertion (SMART
//! Backend Services), so that the product stands alone where there is no other.

use super::keys::{RemoteKeys, header};
use super::scope::{self, Grant, Level, Right};
use super::signing::Signing;
use super::token::{names, seconds};
use jiff::Timestamp;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

/// How long an access token lives.
pub const TOKEN_SECONDS: i64 = 300;
/// How far ahead an assertion may expire.
const ASSERTION_SECONDS_MAX: i64 = 300;
/// Clocks may differ by this much.
const LEEWAY_SECONDS: i64 = 5;
/// Longest `jti`, bytes.
const JTI_BYTES_MAX: usize = 512;
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A system that may ask.
pub struct System {
    pub client_id: String,
    pub keys: RemoteKeys,
    pub scopes: Vec<(String, Grant)>,
}

/// The server.
pub struct Systems {
    pub issuer: String,
    pub token_url: String,
    pub audience: String,
    pub signing: Vec<Signing>,
    pub clients: Vec<System>,
}

/// OAuth's refusal: its status, its code, and words that may be told to anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OauthError {
    pub status: u16,
    pub error: &'static str,
    pub description: &'static str,
}

const fn refusal(status: u16, error: &'static str, description: &'static str) -> OauthError {
    OauthError { status, error, description }
}

const fn client(description: &'static str) -> OauthError {
    refusal(401, "invalid_client", description)
}

/// A request that is in order; its assertion must not have been used before, which is the caller's to see to.
#[derive(Clone, Debug)]
pub struct Approved {
    pub client_id: String,
    pub jti: String,
    pub scope: String,
}

impl Systems {
    /// Judges a token request.
    ///
    /// # Errors
    /// See [`OauthError`].
    pub async fn judge(&self, form: &[(String, String)], now: Timestamp) -> Result<Approved, OauthError> {
        let one = |name: &str| {
            let mut values = form.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
            match (values.next(), values.next()) {
                (first, None) => Ok(first.filter(|text| !text.is_empty())),
                _ => Err(refusal(400, "invalid_request", "A parameter is given twice.")),
            }
        };
        match one("grant_type")? {
            Some("client_credentials") => {}
            None => return Err(refusal(400, "invalid_request", "grant_type is needed.")),
            Some(_) => return Err(refusal(400, "unsupported_grant_type", "grant_type has to be client_credentials.")),
        }
        if one("client_assertion_type")? != Some(ASSERTION_TYPE) {
            return Err(refusal(400, "invalid_request", "client_assertion_type has to be …:jwt-bearer."));
        }
        let assertion =
            one("client_assertion")?.ok_or(refusal(400, "invalid_request", "client_assertion is needed."))?;
        let wanted = one("scope")?.ok_or(refusal(400, "invalid_scope", "scope is needed."))?;
        let (system, jti) = self.authenticate(assertion, now).await?;
        // RFC 7521, 4.2: where it is said as well, it is the same client.
        if one("client_id")?.is_some_and(|named| named != system.client_id) {
            return Err(client("client_id is not the client of the assertion."));
        }
        let scope = granted(&system.scopes, wanted);
        if scope.is_empty() {
            return Err(refusal(400, "invalid_scope", "None of the scopes is registered for this client."));
        }
        Ok(Approved { client_id: system.client_id.clone(), jti, scope })
    }

    async fn authenticate(&self, assertion: &str, now: Timestamp) -> Result<(&System, String), OauthError> {
        let malformed = client("The assertion is not a JWT signed with RS384 or ES384 that names its key.");
        let head = header(assertion).map_err(|_| malformed)?;
        if !matches!(head.algorithm, Algorithm::RS384 | Algorithm::ES384) || head.key_id.is_none() {
            return Err(malformed);
        }
        let claimed = super::keys::unverified_claims(assertion).map_err(|_| malformed)?;
        let text = |claims: &Value, key: &str| claims.get(key).and_then(Value::as_str).map(str::to_owned);
        let unknown = client("The client is not known, or its assertion does not hold.");
        let name = text(&claimed, "iss").ok_or(unknown)?;
        let system = self.clients.iter().find(|system| system.client_id == name).ok_or(unknown)?;
        let claims = system.keys.verify(assertion).await.map_err(|fault| match fault {
            None => refusal(503, "temporarily_unavailable", "The client's keys cannot be had at the moment."),
            Some(_) => unknown,
        })?;
        if text(&claims, "iss").as_deref() != Some(&*name) || text(&claims, "sub").as_deref() != Some(&*name) {
            return Err(client("iss and sub have to be the client_id."));
        }
        if !names(claims.get("aud"), &self.token_url) {
            return Err(client("aud has to be the URL of this token endpoint."));
        }
        let now = now.as_second();
        let exp = seconds(claims.get("exp")).ok_or(client("exp is needed."))?;
        if exp.saturating_add(LEEWAY_SECONDS) <= now {
            return Err(client("The assertion has expired."));
        }
        if exp > now + ASSERTION_SECONDS_MAX + LEEWAY_SECONDS {
            return Err(client("exp is more than five minutes ahead."));
        }
        if claims.get("nbf").is_some_and(|nbf| seconds(Some(nbf)).is_none_or(|nbf| nbf > now + LEEWAY_SECONDS)) {
            return Err(client("The assertion is not valid yet."));
        }
        let jti = text(&claims, "jti").filter(|jti| !jti.is_empty() && jti.len() <= JTI_BYTES_MAX);
        Ok((system, jti.ok_or(client("jti is needed."))?))
    }

    /// The registered client that a request says it is of; whether it is stays open.
    #[must_use]
    pub fn named(&self, form: &[(String, String)]) -> Option<&str> {
        let of = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let claims = of("client_assertion").and_then(|assertion| super::keys::unverified_claims(assertion).ok());
        let claimed = claims.as_ref().and_then(|claims| claims.get("iss")?.as_str()).or_else(|| of("client_id"))?;
        self.clients.iter().map(|system| system.client_id.as_str()).find(|known| *known == claimed)
    }

    /// The access token.
    ///
    /// # Errors
    /// The key does not sign.
    pub fn token(&self, approved: &Approved, id: &str, now: Timestamp) -> Result<String, &'static str> {
        let now = now.as_second();
        let claims = json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": approved.client_id,
            "client_id": approved.client_id,
            "scope": approved.scope,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "jti": id,
        });
        self.signing.first().ok_or("there is no key")?.sign(&claims, "at+jwt")
    }
}

/// Registered scopes, as they may be granted: for systems alone.
#[must_use]
pub fn registered(text: &str) -> Vec<(String, Grant)> {
    text.split_ascii_whitespace()
        .filter_map(|scope| Some((scope.to_owned(), scope::grant(scope)?)))
        .filter(|(_, grant)| grant.level == Level::System)
        .collect()
}

/// What is both asked for and registered: what was asked for where a registered scope covers it, and registered
/// scopes that lie within what was asked for (`system/*.rs`).
fn granted(registered: &[(String, Grant)], wanted: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut add = |scope: &str| {
        if !out.iter().any(|one| one == scope) {
            out.push(scope.to_owned());
        }
    };
    for text in wanted.split_ascii_whitespace().take(100) {
        let Some(asked) = scope::grant(text).filter(|grant| grant.level == Level::System) else { continue };
        if registered.iter().any(|(_, own)| covers(own, &asked)) {
            add(text);
        } else {
            registered.iter().filter(|(_, own)| covers(&asked, own)).for_each(|(scope, _)| add(scope));
        }
    }
    out.join(" ")
}

fn covers(wide: &Grant, narrow: &Grant) -> bool {
    let kind = match (&wide.kind, &narrow.kind) {
        // `*` never reaches the audit trail.
        (None, Some(kind)) => wide.covers(kind),
        (wide, narrow) => wide == narrow,
    };
    kind && Right::EACH.iter().all(|right| wide.has(*right) || !narrow.has(*right))
        && (wide.filter.is_empty() || wide.filter == narrow.filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_granted_than_is_registered() {
        let own = registered("system/Flag.rs system/Observation.rs?category=therapy patient/Task.rs nonsense");
        assert_eq!(own.len(), 2);
        for (wanted, got) in [
            ("system/Flag.rs", "system/Flag.rs"),
            ("system/Flag.s", "system/Flag.s"),
            ("system/Flag.read", "system/Flag.read"),
            ("system/Flag.cruds", "system/Flag.rs"),
            ("system/*.rs", "system/Flag.rs system/Observation.rs?category=therapy"),
            ("system/*.r", ""),
            ("system/Observation.rs", "system/Observation.rs?category=therapy"),
            ("system/Observation.r?category=therapy", "system/Observation.r?category=therapy"),
            ("system/Observation.rs?category=other", ""),
            ("patient/Flag.rs user/Flag.rs system/Patient.rs", ""),
            ("system/Flag.rs system/Flag.rs openid", "system/Flag.rs"),
        ] {
            assert_eq!(granted(&own, wanted), got, "{wanted}");
        }
        assert_eq!(granted(&registered("system/*.rs"), "system/AuditEvent.rs system/Task.r"), "system/Task.r");
    }
}
