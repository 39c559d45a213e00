//! The launch from an EHR (SMART App Launch 2.2), and the sessions that come of it.
//!
//! Only EHRs of the operator's list are contacted. Launches that wait and sessions live in memory: a restart means
//! "launch again", and several processes behind one address need sticky sessions.

use super::fetch::{DOCUMENT_BYTES_MAX, FetchError, Fetcher};
use super::keys::{RemoteKeys, Source};
use super::signing::Signing;
use super::token::{names, seconds};
use crate::config;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Launches that wait for their callback, at most; and how long one may wait.
const PENDING_MAX: usize = 10_000;
pub const PENDING_SECONDS: i64 = 600;
/// Sessions at most; and how long one may last, however often its token is renewed.
const SESSIONS_MAX: usize = 10_000;
const SESSION_SECONDS_MAX: i64 = 12 * 60 * 60;
/// Life of a token whose answer does not say.
const TOKEN_SECONDS: i64 = 300;
/// Longest `launch`, `code` and `state`, bytes.
const PARAMETER_BYTES_MAX: usize = 8 * 1024;
const ASSERTION_SECONDS: i64 = 240;
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
    client_id: String,
    scope: String,
    proof: Proof,
    pub pushes: bool,
    pub fetcher: Fetcher,
    described: Mutex<Option<(Instant, Arc<Described>)>>,
}

/// What its discovery document says.
struct Described {
    issuer: Option<String>,
    authorize: String,
    token: String,
    keys: Option<RemoteKeys>,
}

/// Why a launch came to nothing. The words are for the person who launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    #[error("This server is not set up for that record system.")]
    Unlisted,
    #[error("The record system's address or its sign-in cannot be used: {0}.")]
    Discovery(&'static str),
    #[error("The record system cannot be reached at the moment. Please try again from the client's chart.")]
    Away,
    #[error(
        "This launch is too old, has been used already, or began in another browser. Please launch again from the client's chart."
    )]
    State,
    #[error("The record system did not let us in ({0}). Please launch again from the client's chart.")]
    Denied(&'static str),
    #[error("The record system's answer does not hold. Please launch again from the client's chart.")]
    Answer,
    #[error("This page is for those who treat.")]
    NotStaff,
    #[error("Too many launches at once. Please try again in a moment.")]
    Full,
}

/// A launch that waits.
struct Pending {
    ehr: usize,
    browser: [u8; 32],
    verifier: String,
    nonce: String,
    until: Timestamp,
}

/// What the browser gets when it begins.
pub struct Begun {
    /// Where to send it.
    pub url: String,
    pub state: String,
    /// To be kept in a cookie of this launch alone.
    pub browser: String,
}

/// How far reading from the EHR has come.
#[derive(Debug, Default)]
pub struct Progress {
    pub done: AtomicBool,
    pub read: AtomicUsize,
    pub failed: AtomicBool,
    /// Who signed in, as the record system names them.
    pub user_name: OnceLock<String>,
}

/// One launch of one person.
#[derive(Clone)]
pub struct Session {
    pub ehr: usize,
    pub iss: Arc<str>,
    /// Our id of the launch's patient; `None`: a practitioner's own launch.
    pub patient: Option<Arc<str>>,
    /// The EHR's id of it.
    pub remote_patient: Option<Arc<str>>,
    pub fhir_user: Option<String>,
    pub scope: String,
    pub token: Arc<str>,
    refresh: Option<Arc<str>>,
    /// When the token ends.
    pub until: Timestamp,
    ends: Timestamp,
    pub progress: Arc<Progress>,
    /// What tokens in its forms are made with.
    pub csrf: Arc<str>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a session")
    }
}

pub struct Launches {
    pub ehrs: Vec<Ehr>,
    pub redirect_uri: String,
    pending: Mutex<HashMap<String, Pending>>,
    sessions: Mutex<HashMap<[u8; 32], Session>>,
}

/// 256 random bits, for URLs and cookies.
///
/// # Errors
/// The machine has no randomness: nothing may go on.
pub fn random() -> Result<String, LaunchError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| LaunchError::Full)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let fetcher = Fetcher::new(&[&ehr.iss], ehr.allow_insecure)?;
        fetcher.allowed(&ehr.iss).map_err(|error| named(&format!("{error} (allow_insecure is for tests)")))?;
        Ok(Self {
            iss: ehr.iss.trim_end_matches('/').to_owned(),
            client_id: ehr.client_id.clone(),
            scope: ehr.scope.clone(),
            proof,
            pushes: ehr.pushes,
            fetcher,
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

    async fn described(&self) -> Result<Arc<Described>, LaunchError> {
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
            keys: text("jwks_uri")
                .filter(|url| self.fetcher.allowed(url).is_ok())
                .map(|url| RemoteKeys::new(Source::Url(url), self.fetcher.clone())),
        });
        *lock(&self.described) = Some((Instant::now(), Arc::clone(&described)));
        Ok(described)
    }

    /// Asks the token endpoint, showing who we are.
    async fn ask(&self, token_url: &str, pairs: &[(&str, &str)], now: Timestamp) -> Result<Value, LaunchError> {
        let mut pairs = pairs.to_vec();
        let mut basic = None;
        let assertion;
        match &self.proof {
            Proof::Public => pairs.push(("client_id", &self.client_id)),
            Proof::Secret(secret) => {
                // RFC 6749, 2.3.1: each part form-encoded.
                let part = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                basic = Some(BASE64_STANDARD.encode(format!("{}:{}", part(&self.client_id), part(secret))));
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
        self.fetcher.post_form(token_url, basic.as_deref(), &pairs).await.map_err(of_fetch)
    }
}

fn of_fetch(error: FetchError) -> LaunchError {
    tracing::warn!(%error, "a record system did not answer as it should");
    match error {
        FetchError::Refused(why) => LaunchError::Discovery(why),
        FetchError::Status(400..=499, code) => LaunchError::Denied(code.unwrap_or("refused")),
        FetchError::Away(_) | FetchError::Status(..) => LaunchError::Away,
        FetchError::TooLong | FetchError::NotJson => LaunchError::Answer,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Launches {
    /// # Errors
    /// A setting that cannot be; the text says what to do.
    pub fn new(ehrs: &[config::Ehr], base_url: &str) -> Result<Self, String> {
        Ok(Self {
            ehrs: ehrs.iter().map(Ehr::new).collect::<Result<_, _>>()?,
            redirect_uri: format!("{base_url}/callback"),
            pending: Mutex::default(),
            sessions: Mutex::default(),
        })
    }

    /// Begins a launch: by an EHR (with its `launch`), or standalone.
    ///
    /// # Errors
    /// See [`LaunchError`]; for an EHR that is not on the list, nobody is contacted.
    pub async fn begin(&self, iss: &str, launch: Option<&str>, now: Timestamp) -> Result<Begun, LaunchError> {
        let trimmed = iss.trim_end_matches('/');
        let at = self.ehrs.iter().position(|ehr| ehr.iss == trimmed).ok_or(LaunchError::Unlisted)?;
        if launch.is_some_and(|launch| launch.len() > PARAMETER_BYTES_MAX) {
            return Err(LaunchError::Denied("invalid_request"));
        }
        let ehr = &self.ehrs[at];
        let described = ehr.described().await?;
        let (state, browser, verifier, nonce) = (random()?, random()?, random()?, random()?);
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(hash(&verifier));
        let mut scope = ehr.scope.clone();
        if launch.is_none() {
            // Standalone, the EHR is asked to let the person choose a patient.
            let parts = scope.split_ascii_whitespace().map(|one| if one == "launch" { "launch/patient" } else { one });
            scope = parts.collect::<Vec<_>>().join(" ");
        }
        let mut url = ehr.fetcher.allowed(&described.authorize).map_err(of_fetch)?;
        {
            let mut pairs = url.query_pairs_mut();
            pairs
                .append_pair("response_type", "code")
                .append_pair("client_id", &ehr.client_id)
                .append_pair("redirect_uri", &self.redirect_uri)
                .append_pair("scope", &scope)
                .append_pair("state", &state)
                .append_pair("aud", iss)
                .append_pair("nonce", &nonce)
                .append_pair("code_challenge", &challenge)
                .append_pair("code_challenge_method", "S256");
            if let Some(launch) = launch {
                pairs.append_pair("launch", launch);
            }
        }
        let mut pending = lock(&self.pending);
        if pending.len() >= PENDING_MAX {
            pending.retain(|_, one| one.until > now);
            if pending.len() >= PENDING_MAX {
                return Err(LaunchError::Full);
            }
        }
        let until = now + SignedDuration::from_secs(PENDING_SECONDS);
        pending.insert(state.clone(), Pending { ehr: at, browser: hash(&browser), verifier, nonce, until });
        Ok(Begun { url: url.to_string(), state, browser })
    }

    /// Forgets a launch that the EHR refused.
    pub fn refuse(&self, state: &str) {
        lock(&self.pending).remove(state);
    }

    /// Ends a launch: a session under a new, random name.
    ///
    /// # Errors
    /// See [`LaunchError`]. The launch is used up either way.
    pub async fn finish(
        &self,
        state: &str,
        code: &str,
        browser: &str,
        named_issuer: Option<&str>,
        now: Timestamp,
    ) -> Result<(String, Session), LaunchError> {
        let pending = lock(&self.pending).remove(state).filter(|one| one.until > now).ok_or(LaunchError::State)?;
        // Of hashes: nothing is learned from how long it takes.
        if pending.browser != hash(browser) || code.is_empty() || code.len() > PARAMETER_BYTES_MAX {
            return Err(LaunchError::State);
        }
        let ehr = &self.ehrs[pending.ehr];
        let described = ehr.described().await?;
        // RFC 9207: an answer that names another issuer was mixed up.
        if let (Some(named), Some(own)) = (named_issuer, described.issuer.as_deref())
            && named != own
        {
            return Err(LaunchError::State);
        }
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &pending.verifier),
        ];
        let answer = ehr.ask(&described.token, &pairs, now).await?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str);
        let token = text("access_token").filter(|token| !token.is_empty()).ok_or(LaunchError::Answer)?;
        if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(LaunchError::Answer);
        }
        let fhir_user = match text("id_token") {
            None => None,
            Some(id_token) => identity(ehr, &described, id_token, &pending.nonce, now).await?,
        };
        // "Practitioner/1", "https://…/Patient/1"
        let kind = fhir_user.as_deref().and_then(|user| user.rsplit('/').nth(1));
        if matches!(kind, Some("Patient" | "RelatedPerson")) {
            return Err(LaunchError::NotStaff);
        }
        let remote = text("patient").map(|id| id.strip_prefix("Patient/").unwrap_or(id));
        if remote.is_some_and(|id| !is_id(id)) {
            return Err(LaunchError::Answer);
        }
        let session = Session {
            ehr: pending.ehr,
            iss: ehr.iss.as_str().into(),
            patient: remote.map(|id| ehr.local_id("Patient", id).into()),
            remote_patient: remote.map(Arc::from),
            fhir_user,
            scope: text("scope").unwrap_or(&ehr.scope).to_owned(),
            token: token.into(),
            refresh: text("refresh_token").map(Arc::from),
            until: until(&answer, now),
            ends: now + SignedDuration::from_secs(SESSION_SECONDS_MAX),
            progress: Arc::default(),
            csrf: random()?.into(),
        };
        let name = random()?;
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, one| one.ends > now && (one.refresh.is_some() || one.until > now));
            if sessions.len() >= SESSIONS_MAX {
                return Err(LaunchError::Full);
            }
        }
        sessions.insert(hash(&name), session.clone());
        Ok((name, session))
    }

    /// The session of this name, its token renewed where that is due and possible. `None`: launch again.
    pub async fn session(&self, name: &str, now: Timestamp) -> Option<Session> {
        let key = hash(name);
        let session = lock(&self.sessions).get(&key).cloned()?;
        if session.ends > now && session.until > now {
            return Some(session);
        }
        let renewed = match &session.refresh {
            Some(refresh) if session.ends > now => self.renew(&session, refresh, now).await,
            _ => None,
        };
        let mut sessions = lock(&self.sessions);
        match renewed {
            Some(session) => {
                sessions.insert(key, session.clone());
                Some(session)
            }
            None => {
                sessions.remove(&key);
                None
            }
        }
    }

    async fn renew(&self, session: &Session, refresh: &str, now: Timestamp) -> Option<Session> {
        let ehr = &self.ehrs[session.ehr];
        let described = ehr.described().await.ok()?;
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        let answer = ehr.ask(&described.token, &pairs, now).await.ok()?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str);
        // Another patient than before is another launch.
        let same = text("patient").is_none_or(|id| session.remote_patient.as_deref() == Some(id));
        let token = text("access_token").filter(|token| same && !token.is_empty())?;
        Some(Session {
            token: token.into(),
            refresh: Some(text("refresh_token").unwrap_or(refresh).into()),
            until: until(&answer, now),
            ..session.clone()
        })
    }

    /// Whether a practitioner's session may show this client: one of its own EHR's.
    #[must_use]
    pub fn reaches(&self, session: &Session, client: &str) -> bool {
        match &session.patient {
            Some(patient) => **patient == *client,
            None if self.ehrs[session.ehr].pushes => {
                self.ehrs.iter().all(|other| other.pushes || !client.starts_with(&other.prefix()))
            }
            None => client.starts_with(&self.ehrs[session.ehr].prefix()),
        }
    }
}

fn until(answer: &Value, now: Timestamp) -> Timestamp {
    let seconds = seconds(answer.get("expires_in")).unwrap_or(TOKEN_SECONDS).clamp(0, SESSION_SECONDS_MAX);
    now + SignedDuration::from_secs(seconds)
}

/// Who signed in, from the `id_token`. One that cannot be checked says nothing; one that does not hold ends the
/// launch.
async fn identity(
    ehr: &Ehr,
    described: &Described,
    id_token: &str,
    nonce: &str,
    now: Timestamp,
) -> Result<Option<String>, LaunchError> {
    let Some(keys) = &described.keys else { return Ok(None) };
    let claims = match keys.verify(id_token).await {
        Ok(claims) => claims,
        Err(None) => return Ok(None),
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
    Ok(text("fhirUser").or_else(|| text("profile")).map(str::to_owned))
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// Marks reading as ended, however it ends.
pub struct Ending(pub Arc<Progress>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::Release);
    }
}
