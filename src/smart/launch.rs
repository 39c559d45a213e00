//! The launch from an EHR (SMART App Launch 2.2), and the sessions that come of it.
//!
//! Only EHRs of the operator's list are contacted. Launches that wait and sessions are in the vault: any process may
//! go on where another began.

use super::cover::Cover;
use super::ehr::{Ehr, identity, is_id, of_fetch};
use super::session::{Kept, Moment, Session, until};
use super::vault::{Away, Secret, Shelf, Vault};
use crate::config::Config;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, PoisonError};

/// Launches that wait for their callback, at most; and how long one may wait.
const PENDING_MAX: u64 = 10_000;
pub const PENDING_SECONDS: i64 = 600;
/// How long a session may last, however often its token is renewed.
pub(super) const SESSION_SECONDS_MAX: i64 = 12 * 60 * 60;
/// Longest `launch`, `code` and `state`, bytes.
const PARAMETER_BYTES_MAX: usize = 8 * 1024;

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
    #[error(
        "This launch names no client, and does not show that a therapist signed in. Please launch from a client's chart."
    )]
    Nobody,
    #[error("Too many people have launched at once. Please try again in a moment.")]
    Full,
    #[error("Sign-ins cannot be kept at the moment. Please try again in a moment.")]
    Unkept,
}

impl LaunchError {
    /// For the trail: nothing of what was sent.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Unlisted => "not a record system of the list",
            Self::Discovery(_) => "the record system's addresses cannot be used",
            Self::Away => "the record system is away",
            Self::State => "no launch of this browser waits",
            Self::Denied(code) => code,
            Self::Answer => "the record system's answer does not hold",
            Self::NotStaff => "not one who treats",
            Self::Nobody => "no client, and nobody who treats",
            Self::Full => "too many at once",
            Self::Unkept => "sign-ins cannot be kept",
        }
    }
}

impl From<Away> for LaunchError {
    fn from(_: Away) -> Self {
        Self::Unkept
    }
}

/// A launch that waits, sealed by the browser's secret.
#[derive(Serialize, Deserialize)]
pub struct Pending {
    pub iss: String,
    state: String,
    verifier: String,
    nonce: String,
}

/// What the browser gets when it begins.
pub struct Begun {
    /// Where to send it.
    pub url: String,
    pub state: String,
    /// To be kept in a cookie of this launch alone.
    pub browser: String,
}

/// A launch that has led to a session.
pub struct Entered {
    pub session: Session,
    /// Who signed in, where the `id_token` says so.
    pub user_name: Option<String>,
}

impl Entered {
    /// For the browser's cookie.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.session.secret.text()
    }
}

/// The EHRs of the list, the launches that wait and the sessions.
pub struct Launches {
    pub ehrs: Vec<Ehr>,
    pub redirect_uri: String,
    /// How long nobody may look before a session ends.
    pub(super) idle: SignedDuration,
    pub(super) sessions_max: u64,
    pub(super) vault: Arc<dyn Vault>,
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

pub(super) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Launches {
    /// # Errors
    /// A setting that cannot be; the text says what to do.
    pub fn new(config: &Config, vault: Arc<dyn Vault>) -> Result<Self, String> {
        Ok(Self {
            ehrs: config.ehrs.iter().map(Ehr::new).collect::<Result<_, _>>()?,
            redirect_uri: format!("{}/callback", config.base_url),
            idle: SignedDuration::from_mins(i64::from(config.session_idle_minutes)),
            sessions_max: config.sessions_max.into(),
            vault,
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
        let pending = Pending { iss: ehr.iss.clone(), state: state.clone(), verifier, nonce };
        let until = now + SignedDuration::from_secs(PENDING_SECONDS);
        let row = Secret::new(&browser).seal(Shelf::Launch, &pending, until).ok_or(LaunchError::Full)?;
        if !self.vault.insert(row, now, PENDING_MAX).await? {
            return Err(LaunchError::Full);
        }
        Ok(Begun { url: url.to_string(), state, browser })
    }

    /// Takes out what waits for this browser: it is used up, whatever becomes of it.
    ///
    /// # Errors
    /// There is none of this browser's; the database is away.
    pub async fn pending(&self, state: &str, browser: &str, now: Timestamp) -> Result<Pending, LaunchError> {
        let secret = Secret::new(browser);
        let row = self.vault.take(Shelf::Launch, &secret.name(), now).await?;
        let pending: Option<Pending> = row.and_then(|row| secret.open(&row));
        // Of hashes: nothing is learned from how long it takes.
        pending.filter(|one| hash(&one.state) == hash(state)).ok_or(LaunchError::State)
    }

    /// Ends a launch: a session under a new, random secret.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub async fn finish(
        &self,
        pending: &Pending,
        code: &str,
        named_issuer: Option<&str>,
        now: Timestamp,
    ) -> Result<Entered, LaunchError> {
        let at = self.ehrs.iter().position(|ehr| ehr.iss == pending.iss).ok_or(LaunchError::Unlisted)?;
        if code.is_empty() || code.len() > PARAMETER_BYTES_MAX {
            return Err(LaunchError::State);
        }
        let ehr = &self.ehrs[at];
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
        if answer.get("id_token").is_some_and(|token| !token.is_string() && !token.is_null()) {
            return Err(LaunchError::Answer);
        }
        let who = match text("id_token") {
            None => None,
            Some(id_token) => Some(identity(ehr, &described, id_token, &pending.nonce, now).await?),
        };
        let (fhir_user, user_name) = who.unwrap_or_default();
        // "Practitioner/1", "https://…/Patient/1"
        let kind = fhir_user.as_deref().and_then(|user| user.rsplit('/').nth(1));
        if matches!(kind, Some("Patient" | "RelatedPerson")) {
            return Err(LaunchError::NotStaff);
        }
        let remote = match answer.get("patient") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.strip_prefix("Patient/").unwrap_or(id)),
            Some(_) => return Err(LaunchError::Answer),
        };
        if remote.is_some_and(|id| !is_id(id)) {
            return Err(LaunchError::Answer);
        }
        let scope = match answer.get("scope") {
            // RFC 6749, 5.1: left out where it is what was asked for.
            None | Some(Value::Null) => &ehr.scope,
            Some(Value::String(scope)) => scope,
            Some(_) => return Err(LaunchError::Answer),
        };
        if remote.is_none() {
            // Many clients at once: for somebody who is known to treat, and was granted more than one client.
            let many = scope.split_ascii_whitespace().any(|one| one.starts_with("user/"));
            if !many || !matches!(kind, Some("Practitioner" | "PractitionerRole")) {
                return Err(LaunchError::Nobody);
            }
        }
        if !Cover::of(scope, remote.is_some()).shows_anything() {
            return Err(LaunchError::Denied("insufficient_scope"));
        }
        let moment = Moment::read(ehr, &answer).await;
        let kept = Kept {
            iss: ehr.iss.clone(),
            remote_patient: remote.map(str::to_owned),
            fhir_user,
            scope: scope.clone(),
            token: token.into(),
            refresh: text("refresh_token").map(str::to_owned),
            until: until(&answer, now),
            ends: now + SignedDuration::from_secs(SESSION_SECONDS_MAX),
            moment,
        };
        let session = Session {
            secret: Secret::new(&random()?),
            ehr: at,
            patient: remote.map(|id| ehr.local_id("Patient", id).into()),
            kept: Arc::new(kept),
        };
        self.keep(&session, now).await?;
        Ok(Entered { session, user_name })
    }
}
