//! An EHR of the operator's list: its discovery document, how we show it who we are, and our names for what is its.

use super::fetch::{DOCUMENT_BYTES_MAX, FetchError, Fetcher, STYLE_BYTES_MAX};
use super::keys::{RemoteKeys, Source};
use super::launch::{LaunchError, hash, lock, random};
use super::signing::Signing;
use super::token::{names, seconds};
use crate::config;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ASSERTION_SECONDS: i64 = 240;
/// A token of ours that ends sooner is not used any more.
const SYSTEM_TOKEN_LEFT: SignedDuration = SignedDuration::from_secs(20);
const DESCRIBED_FRESH: Duration = Duration::from_secs(15 * 60);

/// How we show the EHR who we are.
enum Proof {
    Public,
    Secret(String),
    Key(Vec<Signing>),
}

/// An EHR of the list.
pub struct Ehr {
    pub iss: String,
    pub(super) client_id: String,
    pub(super) scope: String,
    proof: Proof,
    pub pushes: bool,
    pub fetcher: Fetcher,
    /// Origins of which the operator wrote that they are this EHR: its own, and those that may frame us.
    origins: Vec<String>,
    /// For whatever else it names: https to public addresses, whatever `allow_insecure` says.
    elsewhere: Fetcher,
    /// Our Flags are to be written there.
    pub write_flags: bool,
    /// What we ask for as a system of our own, nobody having launched.
    system_scope: Option<String>,
    system: Mutex<Option<SystemToken>>,
    described: Mutex<Option<(Instant, Arc<Described>)>>,
}

/// Until when it holds, the token, and what it was granted.
type SystemToken = (Timestamp, String, String);

/// What its discovery document says.
pub(super) struct Described {
    pub issuer: Option<String>,
    pub authorize: String,
    pub token: String,
    /// Where tokens that are not needed any more are handed back (RFC 7009).
    revoke: Option<String>,
    keys: Option<RemoteKeys>,
}

impl Ehr {
    /// # Errors
    /// A setting that cannot be; the text says what to do.
    pub fn new(ehr: &config::Ehr) -> Result<Self, String> {
        let named = |what: &str| format!("[[ehrs]] {}: {what}", ehr.iss);
        let read = |path: &std::path::Path| {
            std::fs::read_to_string(path).map_err(|error| named(&format!("cannot read {}: {error}", path.display())))
        };
        let proof = match (&ehr.client_secret_file, &ehr.private_key_file) {
            (None, None) => Proof::Public,
            (Some(path), None) => Proof::Secret(read(path)?.trim().to_owned()),
            (None, Some(path)) => Proof::Key(Signing::read(&read(path)?, ehr.key_id.as_deref()).map_err(named)?),
            (Some(_), Some(_)) => return Err(named("give client_secret_file or private_key_file, not both")),
        };
        if ehr.system_scope.is_some() && matches!(proof, Proof::Public) {
            return Err(named(
                "system_scope needs private_key_file or client_secret_file: a public client is no system",
            ));
        }
        let fetcher = Fetcher::new(&[&ehr.iss], ehr.allow_insecure)?;
        fetcher.allowed(&ehr.iss).map_err(|error| named(&format!("{error} (allow_insecure is for tests)")))?;
        let origins = std::iter::once(&ehr.iss).chain(&ehr.frame_ancestors);
        let origins = origins.filter_map(|url| origin(url)).collect();
        Ok(Self {
            iss: ehr.iss.trim_end_matches('/').to_owned(),
            client_id: ehr.client_id.clone(),
            scope: ehr.scope.clone(),
            proof,
            pushes: ehr.pushes,
            write_flags: ehr.write_flags,
            fetcher,
            origins,
            elsewhere: Fetcher::new(&[], false)?,
            system_scope: ehr.system_scope.clone(),
            system: Mutex::default(),
            described: Mutex::default(),
        })
    }

    /// Our public keys at this EHR.
    #[must_use]
    pub fn keys(&self) -> &[Signing] {
        match &self.proof {
            Proof::Key(keys) => keys,
            _ => &[],
        }
    }

    /// Our id for a resource of this EHR's: its own where the EHR pushes under its own ids, else one made of
    /// (iss, type, id), so that two EHRs never collide.
    #[must_use]
    pub fn local_id(&self, kind: &str, id: &str) -> String {
        if self.pushes {
            return id.to_owned();
        }
        let text = format!("{}\n{kind}\n{id}", self.iss);
        format!("{}{}", self.prefix(), hex(&hash(&text)[..20]))
    }

    /// What ids made for this EHR begin with.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("l{}-", hex(&hash(&self.iss)[..6]))
    }

    /// The document behind a `smart_style_url`, which a token answer names: from an origin that the operator wrote
    /// down, or by https from a public address; never from another port of this machine or network.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub(super) async fn style(&self, url: &str) -> Result<Value, FetchError> {
        let own = origin(url).is_some_and(|origin| self.origins.contains(&origin));
        let fetcher = if own { &self.fetcher } else { &self.elsewhere };
        fetcher.get(url, None, STYLE_BYTES_MAX).await
    }

    pub(super) async fn described(&self) -> Result<Arc<Described>, LaunchError> {
        if let Some((at, described)) = lock(&self.described).clone()
            && at.elapsed() < DESCRIBED_FRESH
        {
            return Ok(described);
        }
        let url = format!("{}/.well-known/smart-configuration", self.iss);
        let document = self.fetcher.get(&url, None, DOCUMENT_BYTES_MAX).await.map_err(of_fetch)?;
        let endpoint = |key: &str| {
            let url =
                document.get(key).and_then(Value::as_str).ok_or(LaunchError::Discovery("an endpoint is missing"))?;
            match self.fetcher.allowed(url) {
                Ok(url) => Ok(url.to_string()),
                Err(FetchError::Refused(why)) => Err(LaunchError::Discovery(why)),
                Err(_) => Err(LaunchError::Discovery("an endpoint cannot be used")),
            }
        };
        let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
        let described = Arc::new(Described {
            issuer: text("issuer"),
            authorize: endpoint("authorization_endpoint")?,
            token: endpoint("token_endpoint")?,
            revoke: text("revocation_endpoint").filter(|url| self.fetcher.allowed(url).is_ok()),
            keys: text("jwks_uri")
                .filter(|url| self.fetcher.allowed(url).is_ok())
                .map(|url| RemoteKeys::new(Source::Url(url), self.fetcher.clone())),
        });
        *lock(&self.described) = Some((Instant::now(), Arc::clone(&described)));
        Ok(described)
    }

    /// We are known there as a system, not only by launches.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.system_scope.is_some()
    }

    /// A token of our own (SMART Backend Services) and what it may do, asked for where the last one is near its end.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub async fn system_token(&self, now: Timestamp) -> Result<(String, String), LaunchError> {
        let scope = self.system_scope.as_deref().ok_or(LaunchError::Unlisted)?;
        let kept = lock(&self.system).clone();
        if let Some((until, token, granted)) = kept.filter(|(until, ..)| *until > now + SYSTEM_TOKEN_LEFT) {
            tracing::trace!(%until, "a token of ours still holds");
            return Ok((token, granted));
        }
        let described = self.described().await?;
        let pairs = [("grant_type", "client_credentials"), ("scope", scope)];
        let answer = self.ask(&described.token, &pairs, now).await?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str);
        let token = text("access_token").filter(|token| !token.is_empty()).ok_or(LaunchError::Answer)?.to_owned();
        let granted = text("scope").unwrap_or(scope).to_owned();
        *lock(&self.system) = Some((super::session::until(&answer, now), token.clone(), granted.clone()));
        Ok((token, granted))
    }

    /// It was refused: the next one is asked for.
    pub fn forget_token(&self) {
        *lock(&self.system) = None;
    }

    /// Hands a token back; whether that works is the EHR's business.
    pub(super) async fn revoke(&self, token: &str, now: Timestamp) {
        let Ok(described) = self.described().await else { return };
        if let Some(url) = &described.revoke
            && let Err(LaunchError::Away | LaunchError::Denied(_)) = self.ask(url, &[("token", token)], now).await
        {
            tracing::warn!("a record system did not take a token back");
        }
    }

    /// Asks the token endpoint, showing who we are.
    pub(super) async fn ask(
        &self,
        token_url: &str,
        pairs: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Value, LaunchError> {
        let mut pairs = pairs.to_vec();
        let mut header = None;
        let assertion;
        match &self.proof {
            Proof::Public => pairs.push(("client_id", &self.client_id)),
            Proof::Secret(secret) => {
                header = Some(basic(&self.client_id, secret));
            }
            Proof::Key(keys) => {
                let claims = json!({
                    "iss": self.client_id,
                    "sub": self.client_id,
                    "aud": token_url,
                    "exp": now.as_second() + ASSERTION_SECONDS,
                    "jti": random()?,
                });
                assertion = keys.first().and_then(|key| key.sign(&claims, "JWT").ok()).ok_or(LaunchError::Answer)?;
                pairs.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
                pairs.push(("client_assertion", &assertion));
            }
        }
        self.fetcher.post_form(token_url, header.as_deref(), &pairs).await.map_err(of_fetch)
    }
}

/// A client and its secret, for `Authorization: Basic` (RFC 6749, 2.3.1: each part form-encoded).
pub(super) fn basic(client_id: &str, secret: &str) -> String {
    let part = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    BASE64_STANDARD.encode(format!("{}:{}", part(client_id), part(secret)))
}

pub(super) fn of_fetch(error: FetchError) -> LaunchError {
    tracing::warn!(%error, "a record system did not answer as it should");
    match error {
        FetchError::Refused(why) => LaunchError::Discovery(why),
        FetchError::Status(400..=499, code) => LaunchError::Denied(code.unwrap_or("refused")),
        FetchError::Away(_) | FetchError::Status(..) => LaunchError::Away,
        FetchError::TooLong | FetchError::NotJson => LaunchError::Answer,
    }
}

/// `https://ehr.example:8443`; `None`: it has none.
fn origin(url: &str) -> Option<String> {
    let origin = Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `fhirUser` and name.
type Identity = (Option<String>, Option<String>);

/// Who signed in, from the `id_token`. One that cannot be checked, or does not hold, ends the launch.
pub(super) async fn identity(
    ehr: &Ehr,
    described: &Described,
    id_token: &str,
    nonce: &str,
    now: Timestamp,
) -> Result<Identity, LaunchError> {
    let keys = described.keys.as_ref().ok_or(LaunchError::Discovery("its keys are not published"))?;
    let claims = match keys.verify(id_token).await {
        Ok(claims) => claims,
        Err(None) => return Err(LaunchError::Away),
        Err(Some(_)) => return Err(LaunchError::Answer),
    };
    let text = |key: &str| claims.get(key).and_then(Value::as_str);
    let issuer = described.issuer.as_deref().unwrap_or(&ehr.iss);
    let holds = text("iss").is_some_and(|iss| iss.trim_end_matches('/') == issuer.trim_end_matches('/'))
        && names(claims.get("aud"), &ehr.client_id)
        && seconds(claims.get("exp")).is_some_and(|exp| exp + 60 > now.as_second())
        && text("nonce").is_none_or(|named| named == nonce);
    if !holds {
        return Err(LaunchError::Answer);
    }
    // A patient who is told in another way than as a text is a patient.
    for key in ["fhirUser", "profile", "nonce"] {
        if claims.get(key).is_some_and(|value| !value.is_string() && !value.is_null()) {
            return Err(LaunchError::Answer);
        }
    }
    let user = text("fhirUser").or_else(|| text("profile")).map(str::to_owned);
    Ok((user, text("name").map(str::to_owned)))
}

pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}
