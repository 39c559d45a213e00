//! One launch of one person: what it says, how long it lasts, whom it reaches.

use super::cover::Cover;
use super::ehr::{Ehr, is_id};
use super::launch::{LaunchError, Launches, SESSION_SECONDS_MAX, lock};
use super::style::Palette;
use super::token::seconds;
use super::vault::{Row, Secret, Shelf};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Life of a token whose answer does not say.
const TOKEN_SECONDS: i64 = 300;
/// The launch waits this long for the EHR's colours, no longer.
const STYLE_WAIT: Duration = Duration::from_secs(2);
/// Longest `intent` that is looked at, bytes.
const INTENT_BYTES_MAX: usize = 64;
/// While one process renews a token, the others look again so often, so many times.
const RENEWING_LOOK: Duration = Duration::from_millis(250);
const RENEWING_LOOKS_MAX: usize = 80;
/// Whoever renews a token has so long, seconds.
const RENEWING_SECONDS: i64 = 40;
/// Reading of which nothing was heard for so long has died with its process, seconds.
const SILENT_SECONDS: i64 = 30;

/// How far reading from the EHR has come, where it is being read.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicBool,
    pub read: AtomicUsize,
    /// The EHR does not take our token any more.
    pub refused: AtomicBool,
    /// Types that could not be read whole, or of which something was no valid R4.
    unread: Mutex<BTreeSet<&'static str>>,
    /// Who signed in, as the record system names them.
    pub user_name: OnceLock<String>,
}

impl Progress {
    pub fn note_unread(&self, kind: &'static str) {
        lock(&self.unread).insert(kind);
    }

    pub fn end(&self) {
        self.done.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn report(&self, now: Timestamp) -> Report {
        Report {
            done: self.done.load(Ordering::Acquire),
            read: self.read.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Acquire),
            unread: lock(&self.unread).iter().map(ToString::to_string).collect(),
            user_name: self.user_name.get().cloned(),
            heard: now.as_second(),
        }
    }
}

/// The same, for every process to see.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub done: bool,
    pub read: usize,
    pub refused: bool,
    pub unread: Vec<String>,
    pub user_name: Option<String>,
    /// When it was written, seconds since 1970.
    heard: i64,
}

impl Report {
    /// Nobody is reading any more, and nobody has said that it is done.
    #[must_use]
    pub fn has_stopped(&self, now: Timestamp) -> bool {
        !self.done && self.heard + SILENT_SECONDS < now.as_second()
    }
}

/// What the EHR says of the moment (SMART 2.2, launch context), beside the patient. Ids are the EHR's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Moment {
    pub encounter: Option<String>,
    /// Named in `fhirContext`.
    pub appointment: Option<String>,
    /// The EHR shows who the patient is: we need not.
    pub no_banner: bool,
    /// The EHR's colours, where they can be read against.
    pub palette: Option<Palette>,
    pub intent: Option<String>,
}

impl Moment {
    pub(super) async fn read(ehr: &Ehr, answer: &Value) -> Self {
        let text = |key: &str| answer.get(key).and_then(Value::as_str);
        // "Appointment/1", or under the EHR's own address; with a role of its own it is something else.
        let named = |kind: &str| {
            let all = answer.get("fhirContext").and_then(Value::as_array).into_iter().flatten();
            let launched =
                all.filter(|one| one.get("role").and_then(Value::as_str).is_none_or(|role| role == "launch"));
            launched.filter_map(|one| one.get("reference")?.as_str()).find_map(|reference| {
                let local = reference.strip_prefix(&ehr.iss).map_or(reference, |rest| rest.trim_start_matches('/'));
                local.strip_prefix(kind)?.strip_prefix('/').filter(|id| is_id(id)).map(str::to_owned)
            })
        };
        let encounter = text("encounter").map(|id| id.strip_prefix("Encounter/").unwrap_or(id));
        Self {
            encounter: encounter.filter(|id| is_id(id)).map(str::to_owned).or_else(|| named("Encounter")),
            appointment: named("Appointment"),
            no_banner: answer.get("need_patient_banner").and_then(Value::as_bool) == Some(false),
            palette: match text("smart_style_url") {
                Some(url) => palette(ehr, url).await,
                None => None,
            },
            intent: text("intent").filter(|intent| intent.len() <= INTENT_BYTES_MAX).map(str::to_owned),
        }
    }
}

/// Colours are worth little: whatever goes wrong, there are ours.
async fn palette(ehr: &Ehr, url: &str) -> Option<Palette> {
    let fetched = tokio::time::timeout(STYLE_WAIT, ehr.style(url)).await.ok()?;
    Palette::read(&fetched.ok()?)
}

/// One launch of one person.
#[derive(Clone)]
pub struct Session {
    pub(super) secret: Secret,
    pub ehr: usize,
    /// Our id of the launch's patient; `None`: a practitioner's own launch.
    pub patient: Option<Arc<str>>,
    pub(super) kept: Arc<Kept>,
}

/// What is kept of a session, sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Kept {
    pub iss: String,
    /// The EHR's id of the launch's patient.
    pub remote_patient: Option<String>,
    pub fhir_user: Option<String>,
    pub scope: String,
    pub token: String,
    pub(super) refresh: Option<String>,
    /// When the token ends.
    pub until: Timestamp,
    pub(super) ends: Timestamp,
    pub moment: Moment,
}

impl std::ops::Deref for Session {
    type Target = Kept;

    fn deref(&self) -> &Kept {
        &self.kept
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a session")
    }
}

impl Session {
    /// What its pages may show.
    #[must_use]
    pub fn cover(&self) -> Cover {
        Cover::of(&self.scope, self.patient.is_some())
    }

    /// What tokens in its forms are made with.
    #[must_use]
    pub fn csrf(&self) -> String {
        self.secret.derived("csrf")
    }
}

/// Ends reading, however it ends.
pub struct Ending(pub Arc<Progress>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Launches {
    /// The session that this secret opens, its token renewed where that is due and possible. `None`: launch again.
    ///
    /// # Errors
    /// The database or the EHR is away.
    pub async fn session(&self, secret: &str, now: Timestamp) -> Result<Option<Session>, LaunchError> {
        let secret = Secret::new(secret);
        let Some((session, row)) = self.current(&secret, now).await? else { return Ok(None) };
        // Somebody looks: idle time begins anew. Not at each look, for that is a write.
        let wanted = (now + self.idle).min(session.ends);
        if wanted.duration_since(row.until) > self.idle / 10 {
            self.vault.extend(Shelf::Session, &row.name, wanted).await?;
        }
        Ok(Some(session))
    }

    /// The same for our own work: it keeps nobody signed in.
    ///
    /// # Errors
    /// The database or the EHR is away.
    pub async fn unattended(&self, session: &Session, now: Timestamp) -> Result<Option<Session>, LaunchError> {
        Ok(self.current(&session.secret, now).await?.map(|(session, _)| session))
    }

    async fn current(&self, secret: &Secret, now: Timestamp) -> Result<Option<(Session, Row)>, LaunchError> {
        for _ in 0..RENEWING_LOOKS_MAX {
            let Some((session, row)) = self.opened(secret, now).await? else { return Ok(None) };
            if session.until > now {
                return Ok(Some((session, row)));
            }
            if session.refresh.is_none() {
                self.end(secret.text(), now).await?;
                return Ok(None);
            }
            // A refresh token may be good once: one process at a time.
            let held = now + SignedDuration::from_secs(RENEWING_SECONDS);
            if self.vault.hold(Shelf::Session, &row.name, now, held).await? {
                // It may have been renewed between our look and our turn.
                match self.opened(secret, now).await? {
                    Some((session, _)) if session.until <= now => return self.renewed(session, row, now).await,
                    other => return Ok(other),
                }
            }
            tokio::time::sleep(RENEWING_LOOK).await;
        }
        Err(LaunchError::Away)
    }

    /// What this secret opens, its token as it is.
    ///
    /// # Errors
    /// The database is away.
    pub async fn peek(&self, secret: &str, now: Timestamp) -> Result<Option<Session>, LaunchError> {
        Ok(self.opened(&Secret::new(secret), now).await?.map(|(session, _)| session))
    }

    async fn renewed(&self, session: Session, row: Row, now: Timestamp) -> Result<Option<(Session, Row)>, LaunchError> {
        match self.renew(&session, now).await {
            Ok(kept) => {
                let session = Session { kept: Arc::new(kept), ..session };
                let row = session.secret.seal(Shelf::Session, &*session.kept, row.until).ok_or(LaunchError::Full)?;
                // Signed out meanwhile: it stays so.
                let stands = self.vault.replace(row.clone()).await?;
                Ok(stands.then_some((session, row)))
            }
            // It may be there again in a moment.
            Err(LaunchError::Away) => {
                self.vault.replace(row).await?;
                Err(LaunchError::Away)
            }
            Err(_) => {
                self.end(session.secret.text(), now).await?;
                Ok(None)
            }
        }
    }

    async fn opened(&self, secret: &Secret, now: Timestamp) -> Result<Option<(Session, Row)>, LaunchError> {
        let Some(row) = self.vault.get(Shelf::Session, &secret.name(), now).await? else { return Ok(None) };
        let session = secret.open::<Kept>(&row).and_then(|kept| {
            // Another list of EHRs than when it began.
            let ehr = self.ehrs.iter().position(|ehr| ehr.iss == kept.iss)?;
            let local = kept.remote_patient.as_deref().map(|id| self.ehrs[ehr].local_id("Patient", id).into());
            Some(Session { secret: secret.clone(), ehr, patient: local, kept: Arc::new(kept) })
        });
        Ok(session.filter(|session| session.ends > now).map(|session| (session, row)))
    }

    async fn renew(&self, session: &Session, now: Timestamp) -> Result<Kept, LaunchError> {
        let ehr = &self.ehrs[session.ehr];
        let refresh = session.refresh.as_deref().ok_or(LaunchError::Answer)?;
        let described = ehr.described().await?;
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        let answer = ehr.ask(&described.token, &pairs, now).await?;
        let text = |key: &str| answer.get(key).and_then(Value::as_str);
        // Another patient than before is another launch.
        let same = text("patient").is_none_or(|id| session.remote_patient.as_deref() == Some(id));
        let token = text("access_token").filter(|token| same && !token.is_empty()).ok_or(LaunchError::Answer)?;
        Ok(Kept {
            token: token.into(),
            refresh: Some(text("refresh_token").unwrap_or(refresh).into()),
            until: until(&answer, now),
            ..Kept::clone(&session.kept)
        })
    }

    /// Keeps a new session, and that nothing has been read for it yet.
    pub(super) async fn keep(&self, session: &Session, now: Timestamp) -> Result<(), LaunchError> {
        let secret = &session.secret;
        let idle = (now + self.idle).min(session.ends);
        let row = secret.seal(Shelf::Session, &*session.kept, idle).ok_or(LaunchError::Full)?;
        if !self.vault.insert(row, now, self.sessions_max).await? {
            return Err(LaunchError::Full);
        }
        let report = Report { heard: now.as_second(), ..Report::default() };
        let row = secret.seal(Shelf::Report, &report, session.ends).ok_or(LaunchError::Full)?;
        self.vault.insert(row, now, u64::MAX).await?;
        Ok(())
    }

    /// Ends it, for every process.
    ///
    /// # Errors
    /// The database is away.
    pub async fn end(&self, secret: &str, now: Timestamp) -> Result<(), LaunchError> {
        let name = Secret::new(secret).name();
        self.vault.take(Shelf::Session, &name, now).await?;
        self.vault.take(Shelf::Report, &name, now).await?;
        Ok(())
    }

    /// Ends it, and tells the EHR, where it wants to know (RFC 7009), that its tokens are not needed any more.
    ///
    /// # Errors
    /// The database is away.
    pub async fn sign_out(&self, secret: &str, now: Timestamp) -> Result<(), LaunchError> {
        let session = self.peek(secret, now).await?;
        self.end(secret, now).await?;
        if let Some(session) = session {
            self.ehrs[session.ehr].revoke(session.refresh.as_deref().unwrap_or(&session.token), now).await;
        }
        Ok(())
    }

    /// How far reading for this session has come.
    ///
    /// # Errors
    /// The database is away.
    pub async fn report(&self, session: &Session, now: Timestamp) -> Result<Report, LaunchError> {
        let row = self.vault.get(Shelf::Report, &session.secret.name(), now).await?;
        Ok(row.and_then(|row| session.secret.open(&row)).unwrap_or_default())
    }

    /// Says how far it has come.
    ///
    /// # Errors
    /// The database is away.
    pub async fn note(&self, session: &Session, report: &Report) -> Result<(), LaunchError> {
        let row = session.secret.seal(Shelf::Report, report, session.ends).ok_or(LaunchError::Full)?;
        self.vault.replace(row).await?;
        Ok(())
    }

    /// Whether it is ours to read on where another process has stopped.
    ///
    /// # Errors
    /// The database is away.
    pub async fn takes_over(&self, session: &Session, now: Timestamp) -> Result<bool, LaunchError> {
        let until = now + SignedDuration::from_secs(SILENT_SECONDS);
        Ok(self.vault.hold(Shelf::Report, &session.secret.name(), now, until).await?)
    }

    /// Whether a practitioner's session may show this client: one of its own EHR's.
    #[must_use]
    pub fn reaches(&self, session: &Session, client: &str) -> bool {
        match &session.patient {
            Some(patient) => **patient == *client,
            None => self.is_of(&self.ehrs[session.ehr], client),
        }
    }

    /// Whether a client's record is this EHR's.
    #[must_use]
    pub fn is_of(&self, ehr: &Ehr, client: &str) -> bool {
        if ehr.pushes {
            return self.ehrs.iter().all(|other| other.pushes || !client.starts_with(&other.prefix()));
        }
        client.starts_with(&ehr.prefix())
    }
}

pub(super) fn until(answer: &Value, now: Timestamp) -> Timestamp {
    let seconds = seconds(answer.get("expires_in")).unwrap_or(TOKEN_SECONDS).clamp(0, SESSION_SECONDS_MAX);
    now + SignedDuration::from_secs(seconds)
}
