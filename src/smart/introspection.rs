//! Tokens that only their issuer can read (RFC 7662): it is asked, and its answer believed for a moment.

use super::ehr::basic;
use super::fetch::{FetchError, Fetcher};
use super::keys::TOKEN_BYTES_MAX;
use super::launch::{hash, lock};
use super::token::Refusal;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How long "active" is believed: a token that is revoked lives on here for so long.
const GOOD_FOR: Duration = Duration::from_secs(30);
/// How long "not active" is: so that guessing the same one again costs the issuer nothing.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// Answers that are kept.
const KEPT_MAX: usize = 10_000;
/// Questions to the issuer at once.
const ASKING_MAX: usize = 16;

/// When, and what: `None` is "not active".
type Answered = (Instant, Option<Value>);

/// One issuer's endpoint.
pub struct Introspection {
    url: String,
    basic: String,
    fetcher: Fetcher,
    /// By the token's digest.
    kept: Mutex<HashMap<[u8; 32], Answered>>,
    asking: Semaphore,
}

impl Introspection {
    #[must_use]
    pub fn new(url: &str, client_id: &str, secret: &str, fetcher: Fetcher) -> Self {
        Self {
            url: url.to_owned(),
            basic: basic(client_id, secret),
            fetcher,
            kept: Mutex::default(),
            asking: Semaphore::new(ASKING_MAX),
        }
    }

    /// What the issuer says of an active token. The caller judges audience and time.
    ///
    /// # Errors
    /// It is not active, or the issuer cannot be asked.
    pub async fn claims(&self, token: &str) -> Result<Value, Refusal> {
        // The characters of RFC 6750; anything else was never a token.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.len() > TOKEN_BYTES_MAX || !token.bytes().all(plain) {
            return Err(Refusal::Malformed);
        }
        let key = hash(token);
        if let Some(kept) = self.kept(&key) {
            return kept.ok_or(Refusal::Inactive);
        }
        let _place = self.asking.acquire().await.map_err(|_| Refusal::IssuerAway)?;
        // Somebody may have asked meanwhile.
        if let Some(kept) = self.kept(&key) {
            return kept.ok_or(Refusal::Inactive);
        }
        let pairs = [("token", token), ("token_type_hint", "access_token")];
        let answer = self.fetcher.post_form(&self.url, Some(&self.basic), &pairs).await.map_err(|error| {
            tracing::warn!(%error, "an issuer could not be asked about a token");
            match error {
                FetchError::NotJson | FetchError::TooLong => Refusal::Inactive,
                _ => Refusal::IssuerAway,
            }
        })?;
        let active = (answer.get("active").and_then(Value::as_bool) == Some(true)).then_some(answer);
        let mut kept = lock(&self.kept);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (at, answer)| fresh(*at, answer.is_some()));
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
        }
        kept.insert(key, (Instant::now(), active.clone()));
        active.ok_or(Refusal::Inactive)
    }

    fn kept(&self, key: &[u8; 32]) -> Option<Option<Value>> {
        lock(&self.kept).get(key).filter(|(at, answer)| fresh(*at, answer.is_some())).map(|(_, answer)| answer.clone())
    }
}

fn fresh(at: Instant, active: bool) -> bool {
    at.elapsed() < if active { GOOD_FOR } else { REFUSED_FOR }
}
