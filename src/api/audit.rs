//! The trail: an AuditEvent for every access to a client's data, allowed or refused.
//!
//! A write's event is kept in the write's own transaction: it is lost with it or not at all. A read's goes into a
//! queue that a task of its own empties in batches, so that reading does not wait for the disk; a crash loses at
//! most what is in the queue (a fraction of a second), and a queue that is full makes readers wait, then refuses
//! them: nothing is read untraced while the server lives.

use super::access::{Access, Noted};
use crate::error::{Error, Result};
use crate::fhir::audit::{Asker, Audited, Interaction, event, refused_sign_in, sign_in};
use crate::fhir::outcome::IssueType;
use crate::fhir::parameters::{TermContext, terms};
use crate::fhir::write::judgement;
use crate::pipeline::Pipeline;
use crate::pipeline::ingest::{Traced, stamp};
use crate::store::{Key, Kind, Method, Put};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Requests whose events wait to be written, at most.
const QUEUE_MAX: usize = 4_096;
/// Events written at once.
const BATCH_MAX: usize = 1_000;
/// How long a reader waits for room in the queue.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How long events gather before they are written.
const GATHER: Duration = Duration::from_millis(50);
/// Pause after the database failed.
const PAUSE: Duration = Duration::from_millis(500);
/// Tries to write a batch when the server stops.
const LAST_TRIES_MAX: usize = 5;

/// The way into the queue.
#[derive(Clone, Debug)]
pub struct Trail {
    queue: mpsc::Sender<Vec<Put>>,
}

impl Trail {
    /// Starts the task that writes. It ends, with the queue empty, after `stop` says so.
    #[must_use]
    pub fn start(pipeline: Arc<Pipeline>, stop: watch::Receiver<bool>) -> (Self, JoinHandle<()>) {
        let (queue, events) = mpsc::channel(QUEUE_MAX);
        (Self { queue }, tokio::spawn(write(pipeline, events, stop)))
    }

    /// Keeps the events of one request.
    ///
    /// # Errors
    /// The queue stayed full: the request must not be answered.
    pub async fn keep(&self, puts: Vec<Put>) -> Result<()> {
        if puts.is_empty() {
            return Ok(());
        }
        match self.queue.try_reserve() {
            Ok(place) => {
                place.send(puts);
                Ok(())
            }
            Err(_) => match tokio::time::timeout(WAIT_MAX, self.queue.send(puts)).await {
                Ok(Ok(())) => Ok(()),
                _ => Err(Error {
                    retry_after_seconds: Some(5),
                    ..Error::new(IssueType::Transient, "The audit trail cannot be written at the moment.")
                }),
            },
        }
    }

    /// Keeps events of somebody unknown where there is room: strangers cannot fill the queue.
    pub fn keep_if_room(&self, puts: Vec<Put>) {
        if self.queue.capacity() > QUEUE_MAX / 2 {
            let _ = self.queue.try_send(puts);
        }
    }
}

async fn write(pipeline: Arc<Pipeline>, mut events: mpsc::Receiver<Vec<Put>>, mut stop: watch::Receiver<bool>) {
    let mut stopping = *stop.borrow();
    loop {
        let first = tokio::select! {
            biased;
            first = events.recv() => first,
            _ = stop.changed(), if !stopping => {
                stopping = true;
                // Nobody comes in any more; what is in the queue still comes out.
                events.close();
                continue;
            }
        };
        let Some(mut batch) = first else { return };
        if !stopping {
            tokio::time::sleep(GATHER).await;
        }
        while batch.len() < BATCH_MAX
            && let Ok(more) = events.try_recv()
        {
            batch.extend(more);
        }
        let mut tries = 0;
        while let Err(error) = once(&pipeline, &batch).await {
            tracing::error!(%error, "the audit trail could not be written");
            tries += 1;
            if *stop.borrow() && tries >= LAST_TRIES_MAX {
                tracing::error!(events = batch.len(), "events of the audit trail are lost");
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn once(pipeline: &Pipeline, batch: &[Put]) -> crate::store::Result<()> {
    let mut tx = pipeline.store.begin_behind(Duration::ZERO).await?;
    tx.put(batch.to_vec()).await?;
    tx.commit().await
}

/// What a request was, for its events.
pub struct Asked<'a> {
    pub interaction: Interaction,
    /// `GET Task?patient=1`; logged for searches and refusals.
    pub request: &'a str,
    /// Logical id of the Patient that the path names.
    pub named: Option<&'a str>,
    pub status: u16,
}

impl<'a> Asked<'a> {
    /// `path`: below the FHIR base, in parts. `line`: the request's own words.
    #[must_use]
    pub fn of(method: &str, path: &[&'a str], line: &'a str, status: u16) -> Self {
        let named = match path {
            ["Patient", id, ..] => Some(*id).filter(|id| super::rest::is_id(id)),
            _ => None,
        };
        let interaction = match (method, path) {
            (_, [.., last]) if last.starts_with('$') => Interaction::Operation,
            ("GET" | "HEAD", [_, _, "_history", _]) => Interaction::Vread,
            ("GET" | "HEAD", [.., "_history"]) => Interaction::History,
            ("GET" | "HEAD", [_, _]) => Interaction::Read,
            ("GET" | "HEAD", _) | ("POST", [.., "_search"]) => Interaction::Search,
            ("POST", []) => Interaction::Batch,
            ("POST", _) => Interaction::Create,
            ("PUT", _) => Interaction::Update,
            ("DELETE", _) => Interaction::Delete,
            _ => Interaction::Patch,
        };
        Self { interaction, request: line, named, status }
    }
}

/// Events of a request that read, or was refused: one for each client.
#[must_use]
pub fn of_request(access: &Access, asked: &Asked, now: Timestamp, context: &TermContext) -> Vec<Put> {
    let Some(asker) = &access.asker else { return Vec::new() };
    let notes = access.take_notes();
    let refused = asked.status >= 400;
    let mut about: BTreeMap<Option<Arc<str>>, Vec<Noted>> = BTreeMap::new();
    for note in notes.into_iter().filter(|_| !refused) {
        about.entry(note.client.clone()).or_default().push(note);
    }
    if about.is_empty() {
        // A refusal; or a search that found nothing, which tells something too.
        if !refused && asked.interaction != Interaction::Search {
            return Vec::new();
        }
        about.insert(asked.named.map(Arc::from), Vec::new());
    }
    let single = matches!(asked.interaction, Interaction::Read | Interaction::Vread | Interaction::History);
    about
        .into_iter()
        .map(|(client, notes)| {
            let data = notes.first().and_then(|note| note.key.as_ref()).filter(|_| single);
            let data = data.filter(|key| key.kind != "Patient").map(|key| format!("{}/{}", key.kind, key.id));
            let query = (!single || refused).then_some(asked.request);
            one(asker, asked.interaction, client, data, query, asked.status, now, context)
        })
        .collect()
}

/// An event for somebody who is not known: no token, or none that holds.
#[must_use]
pub fn of_stranger(asker: &Asker, asked: &Asked, now: Timestamp, context: &TermContext) -> Vec<Put> {
    let client = asked.named.map(Arc::from);
    vec![one(asker, asked.interaction, client, None, Some(asked.request), asked.status, now, context)]
}

/// An event for somebody who came to sign in: let in, or refused with these words.
#[must_use]
pub fn of_sign_in(
    asker: &Asker,
    refused: Option<(u16, &'static str)>,
    now: Timestamp,
    context: &TermContext,
) -> Vec<Put> {
    let id = uuid::Uuid::now_v7().to_string();
    let made = match refused {
        None => sign_in(&id, now, asker),
        Some((status, why)) => refused_sign_in(&id, now, asker, status, why),
    };
    vec![put("AuditEvent", made, id, None, now, context)]
}

/// Events of a transaction's writes.
#[must_use]
pub fn of_writes(asker: &Asker, writes: &[Traced], now: Timestamp, context: &TermContext) -> Vec<Put> {
    writes
        .iter()
        .flat_map(|write| {
            let interaction = match write.method {
                _ if write.created && write.method != Method::Delete => Interaction::Create,
                Method::Post => Interaction::Create,
                Method::Put => Interaction::Update,
                Method::Patch => Interaction::Patch,
                Method::Delete => Interaction::Delete,
            };
            let data = (write.key.kind != "Patient").then(|| format!("{}/{}", write.key.kind, write.key.id));
            let about = match write.clients.as_slice() {
                [] => vec![None],
                all => all.iter().map(|client| Some(client.as_str().into())).collect(),
            };
            about.into_iter().map(move |client| one(asker, interaction, client, data.clone(), None, 200, now, context))
        })
        .collect()
}

#[expect(clippy::too_many_arguments, reason = "the parts of one event")]
fn one(
    asker: &Asker,
    interaction: Interaction,
    client: Option<Arc<str>>,
    data: Option<String>,
    query: Option<&str>,
    status: u16,
    now: Timestamp,
    context: &TermContext,
) -> Put {
    let id = uuid::Uuid::now_v7().to_string();
    let audited =
        Audited { id: &id, recorded: now, interaction, asker, client: client.as_deref(), data, query, status };
    put("AuditEvent", event(&audited), id, client, now, context)
}

/// Who made judgements, or took them back: Provenances for the transaction of the writes.
#[must_use]
pub fn of_judgements(asker: Option<&Asker>, writes: &[Traced], now: Timestamp, context: &TermContext) -> Vec<Put> {
    // Findings are written by ourselves, past the door: what comes through it as an Observation is a judgement.
    let judged = writes
        .iter()
        .filter(|write| write.key.kind == "Observation" && write.method != Method::Delete && write.changed);
    judged
        .map(|write| {
            let id = uuid::Uuid::now_v7().to_string();
            let made = judgement::provenance(&id, &write.key.id, write.created, &write.performers, asker, now);
            put("Provenance", made, id, write.clients.first().map(|client| client.as_str().into()), now, context)
        })
        .collect()
}

/// Something of ours, as the store keeps it.
#[must_use]
pub fn put(
    kind: Kind,
    mut resource: serde_json::Value,
    id: String,
    client: Option<Arc<str>>,
    now: Timestamp,
    context: &TermContext,
) -> Put {
    let terms = terms(kind, &resource, context);
    stamp(&mut resource, &id, 1, now);
    Put {
        key: Key { kind, id: id.into() },
        version: 1,
        updated: now,
        sender_updated: None,
        deleted: false,
        method: Method::Post,
        json: resource.to_string().into(),
        client,
        sharers: Vec::new(),
        event: None,
        hash: [0; 16],
        terms,
        behind: false,
    }
}
