//! `$export`: every current resource that the asker may read, type by type, as NDJSON.

use super::jobs::{Stop, Work};
use super::lines::{Lines, OneFile, Part};
use crate::api::State;
use crate::api::access::Access;
use crate::api::audit;
use crate::error::{Error, Result};
use crate::fhir::audit::Interaction;
use crate::fhir::bundle::pairs;
use crate::fhir::kinds::{KINDS, KindRow, Writer, in_compartment};
use crate::fhir::outcome::IssueType;
use crate::fhir::parameters::relative;
use crate::fhir::{read, search, time};
use crate::smart::scope::Right;
use crate::store::{BulkPart, Filter, HistoryOf, Key, Kind, Match, Prefix, Query, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Resources read at once.
const PAGE: usize = 1_000;
/// Writes that were under way when the export began are waited for, so that none is missed both now and by `_since`.
const SETTLE: Duration = Duration::from_millis(500);

/// Whose data is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Of {
    System,
    /// All that belongs to a patient.
    Patients,
    /// What belongs to these.
    Members(Vec<Arc<str>>),
}

impl Of {
    fn has(&self, client: Option<&Arc<str>>) -> bool {
        match self {
            Self::System => true,
            Self::Patients => client.is_some(),
            Self::Members(members) => client.is_some_and(|client| members.contains(client)),
        }
    }
}

/// What is asked for.
pub struct Asked {
    kinds: Vec<&'static KindRow>,
    since: Option<Timestamp>,
    of: Of,
    /// `_typeFilter`: of a type that is named here, what one of these searches finds.
    only: HashMap<Kind, Vec<Vec<Filter>>>,
}

/// The patients of a Group, as of now, sorted.
///
/// # Errors
/// 404 for a Group that is not there, or not to be seen.
pub async fn members(state: &State, access: &Access, id: &str) -> Result<Vec<Arc<str>>> {
    access.read("Group")?;
    let key = Key { kind: "Group", id: id.into() };
    let found = state.pipeline.store.read(&key).await?.filter(|version| !version.deleted && access.sees(version));
    let group = found.and_then(|version| serde_json::from_str::<Value>(&version.json).ok());
    let group = group.ok_or_else(|| Error::not_found("Group", id))?;
    let all = group.get("member").and_then(Value::as_array).into_iter().flatten();
    let here = all.filter(|member| member.get("inactive") != Some(&Value::Bool(true)));
    let named = here.filter_map(|member| member.pointer("/entity/reference").and_then(Value::as_str));
    let base = state.config.fhir_base();
    let mut members: Vec<Arc<str>> =
        named.filter_map(|reference| relative(reference, &base).strip_prefix("Patient/").map(Arc::from)).collect();
    members.sort_unstable();
    members.dedup();
    Ok(members)
}

/// Reads the parameters of the kick-off.
///
/// # Errors
/// 400 for what cannot be, 403 for a type that the scopes do not cover.
pub fn asked(state: &State, access: &Access, pairs: &[(String, String)], of: Of, lenient: bool) -> Result<Asked> {
    let patients = !matches!(of, Of::System);
    let bad = |text: String| Error::new(IssueType::Value, text).with_status(400);
    let mut since = None;
    let mut named: Option<Vec<&'static KindRow>> = None;
    let mut only: HashMap<Kind, Vec<Vec<Filter>>> = HashMap::new();
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
            "_typeFilter" => {
                for query in queries(value) {
                    let (kind, filters) = type_filter(state, access, query)?;
                    only.entry(kind).or_default().push(filters);
                }
            }
            "_format" | "_pretty" => {}
            _ if lenient => {}
            _ => {
                let name: String = key.chars().filter(char::is_ascii_graphic).take(64).collect();
                let text = format!("$export here takes _type, _typeFilter, _since and _outputFormat, not '{name}'.");
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
    Ok(Asked { kinds, since, of, only })
}

/// `Task?status=requested,Flag?code=a,b`: a comma parts searches where a type and a question mark follow.
fn queries(value: &str) -> Vec<&str> {
    let begins = |text: &str| {
        let name = text.split('?').next().unwrap_or_default();
        text.contains('?') && !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let mut out = Vec::new();
    let mut from = 0;
    for (at, _) in value.match_indices(',').filter(|(at, _)| begins(&value[at + 1..])) {
        out.push(&value[from..at]);
        from = at + 1;
    }
    out.push(&value[from..]);
    out
}

fn type_filter(state: &State, access: &Access, query: &str) -> Result<(Kind, Vec<Filter>)> {
    let bad = |text: &str| Error::new(IssueType::Value, format!("_typeFilter: {text}")).with_status(400);
    let (name, query) = query.split_once('?').ok_or_else(|| bad("a type and a search, as Task?status=requested."))?;
    let row = crate::fhir::kinds::kind(name).ok_or_else(|| bad("this server does not keep a type that it names."))?;
    let search =
        search::read(row.name, &pairs(query), &state.pipeline.term_context(), true).map_err(Error::of_query)?;
    let plain = search.includes.is_empty() && search.query.sort.is_empty() && search.query.after.is_none();
    if !plain || search.shape != search::Shape::default() {
        return Err(bad("conditions alone; no _include, _sort, _elements or _summary."));
    }
    let mut query = search.query;
    query.walk(&mut |query| {
        access.search(query.kind)?;
        access.restrict(query);
        Ok::<_, Error>(())
    })?;
    Ok((row.name, query.filters))
}

/// Makes the files, from the type where it was cut off, if it was.
///
/// # Errors
/// It was cancelled; the database.
pub async fn run(work: &mut Work, asked: Asked) -> std::result::Result<(), Stop> {
    if work.kept.next == 0 {
        tokio::time::sleep(SETTLE).await;
    }
    let count = asked.kinds.len();
    for (n, row) in asked.kinds.iter().enumerate().skip(work.kept.next) {
        work.progress(format!("{}, type {} of {count}", row.name, n + 1)).await?;
        let lines = of_kind(work, &asked, row).await?;
        keep(work, lines.end(Part::Output, row.name, Some(row.name)).await?, n + 1).await?;
    }
    if work.kept.next == count {
        let lines = deleted(work, &asked).await?;
        keep(work, lines.end(Part::Deleted, "Bundle", None).await?, count + 1).await?;
    }
    // Before anything can be had: whose data is in it.
    let (state, access) = (&work.state, &work.access);
    for client in &work.kept.clients {
        access.note_client(client);
    }
    let of_job = audit::Asked { interaction: Interaction::Operation, request: &work.request, named: None, status: 200 };
    let events = audit::of_request(access, &of_job, state.pipeline.clock.now(), &state.pipeline.term_context());
    state.trail.keep(events).await?;
    Ok(())
}

/// A file is done, and everything before `next`.
async fn keep(
    work: &mut Work,
    (file, last): (Option<OneFile>, Vec<BulkPart>),
    next: usize,
) -> std::result::Result<(), Stop> {
    work.kept.files.extend(file);
    work.kept.next = next;
    work.save(last).await
}

fn file_of(work: &Work) -> Lines {
    Lines::new(i16::try_from(work.kept.files.len()).unwrap_or(i16::MAX))
}

async fn of_kind(work: &mut Work, asked: &Asked, row: &'static KindRow) -> std::result::Result<Lines, Stop> {
    let mut out = file_of(work);
    let whole = vec![Vec::new()];
    let searches = asked.only.get(row.name).unwrap_or(&whole);
    let mut told = HashSet::new();
    let members: Vec<Option<Arc<str>>> = match &asked.of {
        Of::Members(members) => members.iter().cloned().map(Some).collect(),
        _ => vec![None],
    };
    for client in members {
        for filters in searches {
            let mut query = Query {
                kind: row.name,
                count: PAGE,
                client: client.clone(),
                filters: filters.clone(),
                ..Query::default()
            };
            if let Some(since) = asked.since {
                let from = since.as_microsecond();
                let wanted = Match::Date { prefix: Prefix::Ge, from, to: from + 1 };
                query.filters.push(Filter { param: "_lastUpdated", any: vec![wanted], not: false });
            }
            work.access.restrict(&mut query);
            // What two searches find, or what two members share, is told once.
            let once = searches.len() == 1 && client.is_none();
            let mut fresh = |version: &Version| once || told.insert(Arc::clone(&version.key.id));
            found(work, asked, (row, query), &mut fresh, &mut out).await?;
        }
    }
    Ok(out)
}

async fn found(
    work: &mut Work,
    asked: &Asked,
    (row, mut query): (&'static KindRow, Query),
    fresh: &mut (dyn FnMut(&Version) -> bool + Send),
    out: &mut Lines,
) -> std::result::Result<(), Stop> {
    let (state, access) = (work.state.clone(), Arc::clone(&work.access));
    let mut sent = Sent::default();
    loop {
        let page = state.pipeline.store.search(&query).await?;
        for version in &page.versions {
            let whose = matches!(asked.of, Of::Members(_)) || asked.of.has(version.client.as_ref());
            if !whose || !access.sees_by(version, Right::Read) || !fresh(version) {
                continue;
            }
            work.kept.clients.extend(version.client.clone());
            for text in sent.lines(&state, row, version, asked.since).await? {
                out.push(work, &text).await?;
            }
        }
        // One event for each client is kept at the end.
        let _ = access.take_notes();
        work.progress(work.job.progress.clone()).await?;
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(()),
        }
    }
}

/// When the senders of a type's resources last updated them, client by client: evidence that our own stamp hides. And
/// the versions that were superseded, of types where they tell something: a session was moved.
#[derive(Default)]
struct Sent {
    clients: HashMap<Arc<str>, HashMap<Arc<str>, Versions>>,
}

#[derive(Clone, Default)]
struct Versions {
    current: Option<Timestamp>,
    /// Number, and the sender's time, in the order of arrival.
    superseded: BTreeMap<u64, Option<Timestamp>>,
}

impl Sent {
    /// Of all clients to whom the version belongs: each may know of others.
    async fn of(&mut self, state: &State, row: &KindRow, version: &Version) -> Result<Option<Versions>> {
        if !row.timeline || row.writer != Writer::Others {
            return Ok(None);
        }
        let mut all: Option<Versions> = None;
        for client in read::clients_of(row.name, version.client.as_deref(), &version.json) {
            let client: Arc<str> = client.into();
            if !self.clients.contains_key(&client) {
                self.clients.insert(Arc::clone(&client), known_of(state, row.name, &client).await?);
            }
            let mine = self.clients.get(&client).and_then(|mine| mine.get(&version.key.id));
            match (&mut all, mine) {
                (Some(all), Some(mine)) => all.superseded.extend(&mine.superseded),
                (None, Some(mine)) => all = Some(mine.clone()),
                (_, None) => {}
            }
        }
        Ok(all)
    }

    /// Earlier versions, each marked as such, then the one that is current.
    async fn lines(
        &mut self,
        state: &State,
        row: &KindRow,
        version: &Version,
        since: Option<Timestamp>,
    ) -> Result<Vec<String>> {
        let Some(versions) = self.of(state, row, version).await? else { return Ok(vec![version.json.to_string()]) };
        let mut out = Vec::new();
        for (number, sent) in &versions.superseded {
            let Some(earlier) = state.pipeline.store.read_version(&version.key, *number).await? else { continue };
            if earlier.deleted || since.is_some_and(|since| earlier.updated < since) {
                continue;
            }
            out.extend(said(&earlier, |resource| {
                read::say_sent(resource, *sent);
                read::say_superseded(resource, *number);
            }));
        }
        out.extend(said(version, |resource| {
            read::say_sent(resource, versions.current);
            read::unsay_superseded(resource);
        }));
        Ok(out)
    }
}

fn said(version: &Version, say: impl FnOnce(&mut Value)) -> Option<String> {
    let mut resource = serde_json::from_str(&version.json).ok()?;
    say(&mut resource);
    Some(resource.to_string())
}

async fn known_of(state: &State, kind: Kind, client: &str) -> Result<HashMap<Arc<str>, Versions>> {
    let mut mine: HashMap<Arc<str>, Versions> = HashMap::new();
    let mut gone: HashMap<Arc<str>, u64> = HashMap::new();
    for event in state.pipeline.store.events(client).await?.into_iter().filter(|one| one.key.kind == kind) {
        let versions = mine.entry(Arc::clone(&event.key.id)).or_default();
        match (event.current, event.deleted) {
            (true, _) => versions.current = event.sender_updated,
            (false, false) => drop(versions.superseded.insert(event.version, event.sender_updated)),
            (false, true) => drop(gone.insert(event.key.id, event.version)),
        }
    }
    // What was before a deletion never was.
    for (id, deletion) in gone {
        if let Some(versions) = mine.get_mut(&id) {
            versions.superseded.retain(|number, _| *number > deletion);
        }
    }
    Ok(mine)
}

/// What is deleted, as Bundles that delete it elsewhere too: since then; or, where all is asked for, the Patients, for
/// what else is stored of them would otherwise be about somebody.
async fn deleted(work: &mut Work, asked: &Asked) -> std::result::Result<Lines, Stop> {
    let mut out = file_of(work);
    let (state, access) = (work.state.clone(), Arc::clone(&work.access));
    let wanted = |row: &&&'static KindRow| asked.since.is_some() || row.name == "Patient";
    for row in asked.kinds.iter().filter(wanted) {
        let mut seen: HashSet<Key> = HashSet::new();
        let mut after = None;
        loop {
            let page = state.pipeline.store.history(HistoryOf::Type(row.name), asked.since, PAGE, after).await?;
            let mut gone: Vec<Value> = Vec::new();
            for version in page.versions.iter().filter(|version| version.deleted) {
                let mine = asked.of.has(version.client.as_ref()) && access.sees_by(version, Right::Read);
                if !mine || !seen.insert(version.key.clone()) {
                    continue;
                }
                // It may have come back since.
                let stands = state.pipeline.store.read(&version.key).await?;
                if stands.is_some_and(|stands| stands.deleted) {
                    let url = format!("{}/{}", version.key.kind, version.key.id);
                    gone.push(json!({"request": {"method": "DELETE", "url": url}}));
                }
            }
            if !gone.is_empty() {
                let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": gone});
                out.push(work, &bundle.to_string()).await?;
            }
            let _ = access.take_notes();
            work.progress(work.job.progress.clone()).await?;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(out)
}
