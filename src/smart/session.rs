//! One launch of one person: what it says, how long it lasts, whom it reaches.

use super::ehr::{Ehr, is_id};
use super::fetch::STYLE_BYTES_MAX;
use super::launch::{Launches, SESSION_SECONDS_MAX, hash, lock};
use super::style::Palette;
use super::token::seconds;
use jiff::{SignedDuration, Timestamp};
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

/// How far reading from the EHR has come.
#[derive(Debug, Default)]
pub struct Progress {
    pub done: AtomicBool,
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

    #[must_use]
    pub fn unread(&self) -> Vec<&'static str> {
        lock(&self.unread).iter().copied().collect()
    }
}

/// What the EHR says of the moment (SMART 2.2, launch context), beside the patient. Ids are the EHR's.
#[derive(Debug, Default)]
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
    let fetched = tokio::time::timeout(STYLE_WAIT, ehr.fetcher.get(url, None, STYLE_BYTES_MAX)).await.ok()?;
    Palette::read(&fetched.ok()?)
}

/// Flags by id and version.
pub type Written = Vec<(Arc<str>, u64)>;

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
    pub(super) refresh: Option<Arc<str>>,
    /// When the token ends.
    pub until: Timestamp,
    pub(super) ends: Timestamp,
    pub progress: Arc<Progress>,
    pub moment: Arc<Moment>,
    /// Held while the token is renewed: a refresh token may be good once.
    pub(super) renewing: Arc<tokio::sync::Mutex<()>>,
    /// Held while Flags are written to the EHR; what was written last, by id and version.
    pub written: Arc<tokio::sync::Mutex<Written>>,
    /// What tokens in its forms are made with.
    pub csrf: Arc<str>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a session")
    }
}

/// Marks reading as ended, however it ends.
pub struct Ending(pub Arc<Progress>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::Release);
    }
}

impl Launches {
    /// The session of this name, its token renewed where that is due and possible. `None`: launch again.
    pub async fn session(&self, name: &str, now: Timestamp) -> Option<Session> {
        let key = hash(name);
        let session = lock(&self.sessions).get(&key).cloned()?;
        let good = |session: &Session| session.ends > now && session.until > now;
        if good(&session) {
            return Some(session);
        }
        let _one_at_a_time = session.renewing.lock().await;
        let session = lock(&self.sessions).get(&key).cloned()?;
        if good(&session) {
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

pub(super) fn until(answer: &Value, now: Timestamp) -> Timestamp {
    let seconds = seconds(answer.get("expires_in")).unwrap_or(TOKEN_SECONDS).clamp(0, SESSION_SECONDS_MAX);
    now + SignedDuration::from_secs(seconds)
}
