//! `$export`: every current resource that the asker may read, type by type, as NDJSON.

use super::jobs::{Job, OneFile, Part, disk};
use crate::api::State;
use crate::api::access::Access;
use crate::api::audit;
use crate::error::{Error, Result};
use crate::fhir;
use crate::fhir::audit::Interaction;
use crate::fhir::kinds::{KINDS, KindRow, Writer, in_compartment};
use crate::fhir::outcome::IssueType;
use crate::fhir::time;
use crate::smart::scope::Right;
use crate::store::{Filter, HistoryOf, Key, Match, Prefix, Query, Version};
use actix_web::web::Data;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

/// Resources read at once.
const PAGE: usize = 1_000;
/// Writes that were under way when the export began are waited for, so that none is missed both now and by `_since`.
const SETTLE: Duration = Duration::from_millis(500);

/// What is asked for.
pub struct Asked {
    kinds: Vec<&'static KindRow>,
    since: Option<Timestamp>,
    patients: bool,
}

/// Reads the parameters of the kick-off.
///
/// # Errors
/// 400 for what cannot be, 403 for a type that the scopes do not cover.
pub fn read(
    state: &State,
    access: &Access,
    pairs: &[(String, String)],
    patients: bool,
    lenient: bool,
) -> Result<Asked> {
    let bad = |text: String| Error::new(IssueType::Value, text).with_status(400);
    let mut since = None;
    let mut named: Option<Vec<&'static KindRow>> = None;
    for (key, value) in pairs {
        match key.as_str() {
            "_outputFormat" => {
                let known = ["application/fhir+ndjson", "application/fhir ndjson", "application/ndjson", "ndjson"];
                if !known.contains(&value.as_str()) {
                    return Err(bad("_outputFormat: there is application/fhir+ndjson alone.".into()));
                }
            }
            "_since" => {
                let (from, _) = time::interval(&value.replace(' ', "+"), &state.pipeline.zone)
                    .ok_or_else(|| bad("_since has to be an instant, such as 2026-03-02T10:00:00Z.".into()))?;
                since = Timestamp::from_microsecond(from).ok();
            }
            "_type" => {
                let list = named.get_or_insert_default();
                for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                    let row = crate::fhir::kinds::kind(name)
                        .filter(|row| !patients || in_compartment(row.name))
                        .ok_or_else(|| bad("_type names a type that is not exported here; see metadata.".into()))?;
                    access.read(row.name)?;
                    access.search(row.name)?;
                    list.push(row);
                }
            }
            "_format" | "_pretty" => {}
            _ if lenient => {}
            _ => {
                let name: String = key.chars().filter(char::is_ascii_graphic).take(64).collect();
                let text = format!("$export here takes _type, _since and _outputFormat, not '{name}'.");
                return Err(Error::new(IssueType::NotSupported, text));
            }
        }
    }
    let open = |row: &&KindRow| {
        // The trail has to be named.
        let told = row.name != "AuditEvent" && (!patients || in_compartment(row.name));
        told && access.read(row.name).is_ok() && access.search(row.name).is_ok()
    };
    let kinds = named.unwrap_or_else(|| KINDS.iter().filter(open).collect());
    if kinds.is_empty() {
        return Err(Error::new(IssueType::Forbidden, "The token's scopes cover no type that could be exported."));
    }
    Ok(Asked { kinds, since, patients })
}

/// Makes the files.
///
/// # Errors
/// The database, the disk.
pub async fn run(
    state: Data<State>,
    access: Arc<Access>,
    job: Arc<Job>,
    asked: Asked,
) -> Result<(Vec<OneFile>, Option<Value>)> {
    tokio::time::sleep(SETTLE).await;
    let mut files = Vec::new();
    let mut clients: BTreeSet<Arc<str>> = BTreeSet::new();
    let count = asked.kinds.len();
    for (n, row) in asked.kinds.iter().enumerate() {
        job.progress(format!("{}, type {} of {count}", row.name, n + 1));
        files.extend(of_kind(&state, &access, &asked, row, &mut clients).await?);
    }
    if let Some(since) = asked.since {
        files.extend(deleted(&state, &access, &asked, since).await?);
    }
    // Before anything can be had: whose data is in it.
    for client in clients {
        access.note_client(&client);
    }
    let of_job = audit::Asked { interaction: Interaction::Operation, request: &job.request, named: None, status: 200 };
    let events = audit::of_request(&access, &of_job, state.pipeline.clock.now(), &state.pipeline.term_context());
    state.trail.keep(events).await?;
    Ok((files, None))
}

async fn of_kind(
    state: &State,
    access: &Access,
    asked: &Asked,
    row: &'static KindRow,
    clients: &mut BTreeSet<Arc<str>>,
) -> Result<Option<OneFile>> {
    let mut query = Query { kind: row.name, count: PAGE, ..Query::default() };
    if let Some(since) = asked.since {
        let from = since.as_microsecond();
        let wanted = Match::Date { prefix: Prefix::Ge, from, to: from + 1 };
        query.filters.push(Filter { param: "_lastUpdated", any: vec![wanted], not: false });
    }
    access.restrict(&mut query);
    let mut out = Lines::new()?;
    let mut sent = Sent::default();
    loop {
        let page = state.pipeline.store.search(&query).await?;
        for version in &page.versions {
            if (asked.patients && version.client.is_none()) || !access.sees_by(version, Right::Read) {
                continue;
            }
            clients.extend(version.client.clone());
            match sent.told(state, row, version).await? {
                Some(text) => out.push(&text)?,
                None => out.push(&version.json)?,
            }
        }
        // One event for each client is kept at the end.
        let _ = access.take_notes();
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    out.end(Part::Output, row.name, Some(row.name))
}

/// When the senders of a type's resources last updated them, client by client: evidence that our own stamp hides.
#[derive(Default)]
struct Sent {
    clients: HashMap<Arc<str>, HashMap<Arc<str>, Option<Timestamp>>>,
}

impl Sent {
    /// The resource with that said; `None`: as it is.
    async fn told(&mut self, state: &State, row: &KindRow, version: &Version) -> Result<Option<String>> {
        let (Some(client), true) = (&version.client, row.timeline && row.writer == Writer::Others) else {
            return Ok(None);
        };
        if !self.clients.contains_key(client) {
            let events = state.pipeline.store.events(client).await?;
            let mine = events.into_iter().filter(|event| event.current && event.key.kind == row.name);
            let mine = mine.map(|event| (event.key.id, event.sender_updated)).collect();
            self.clients.insert(Arc::clone(client), mine);
        }
        let sent = self.clients.get(client).and_then(|mine| mine.get(&version.key.id)).copied().flatten();
        Ok(serde_json::from_str(&version.json).ok().map(|mut resource: Value| {
            fhir::read::say_sent(&mut resource, sent);
            resource.to_string()
        }))
    }
}

/// What was deleted since, as Bundles that would delete it elsewhere too.
async fn deleted(state: &State, access: &Access, asked: &Asked, since: Timestamp) -> Result<Option<OneFile>> {
    let mut out = Lines::new()?;
    for row in &asked.kinds {
        let mut seen: HashSet<Key> = HashSet::new();
        let mut after = None;
        loop {
            let page = state.pipeline.store.history(HistoryOf::Type(row.name), Some(since), PAGE, after).await?;
            let gone: Vec<Value> = page
                .versions
                .iter()
                // Newest first: the first version of a key is the one that stands.
                .filter(|version| seen.insert(version.key.clone()) && version.deleted)
                .filter(|version| !asked.patients || version.client.is_some())
                .filter(|version| access.sees_by(version, Right::Read))
                .map(|Version { key, .. }| json!({"request": {"method": "DELETE", "url": format!("{}/{}", key.kind, key.id)}}))
                .collect();
            if !gone.is_empty() {
                out.push(&json!({"resourceType": "Bundle", "type": "transaction", "entry": gone}).to_string())?;
            }
            let _ = access.take_notes();
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    out.end(Part::Deleted, "Bundle", None)
}

/// Lines into a file without a name.
pub(super) struct Lines {
    file: BufWriter<std::fs::File>,
    lines: u64,
}

impl Lines {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { file: BufWriter::new(tempfile::tempfile().map_err(disk)?), lines: 0 })
    }

    pub(super) fn push(&mut self, line: &str) -> Result<()> {
        self.lines += 1;
        self.file.write_all(line.as_bytes()).and_then(|()| self.file.write_all(b"\n")).map_err(disk)
    }

    /// Nothing where there is no line.
    pub(super) fn end(self, part: Part, kind: &'static str, of: Option<&'static str>) -> Result<Option<OneFile>> {
        let lines = self.lines;
        let file = self.file.into_inner().map_err(|error| disk(error.into_error()))?;
        Ok((lines > 0).then(|| OneFile { part, kind, of, lines, handle: Arc::new(file) }))
    }
}
