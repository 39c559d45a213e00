//! Intake: checked resources in, one transaction: current versions, history, index, facts and the jobs.

use super::Pipeline;
use crate::error::{Error, Result};
use crate::fhir::bundle::{conditional_references, rewrite, unresolved};
use crate::fhir::kinds::kind;
use crate::fhir::outcome::{Issue, IssueType};
use crate::fhir::parameters::{TermContext, terms};
use crate::fhir::write::judgement;
use crate::fhir::{read, search};
use crate::store::{Head, Key, Kind, Method, Put, Query, StoreError, Tx};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Times a transaction is tried anew after losing a race.
const TRIES_MAX: usize = 5;
/// A burst of writes about one client is assessed once: the worker waits this long, milliseconds.
const DEBOUNCE_MS: i64 = 100;

/// What a write is aimed at.
#[derive(Clone, Debug)]
pub enum Target {
    Id(String),
    /// A conditional interaction: the decoded pairs of the search.
    Criteria(Vec<(String, String)>),
}

/// What has to stand (If-Match).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// `*`: something.
    Any,
    Version(u64),
}

#[derive(Clone, Debug)]
pub enum Action {
    Create {
        resource: Value,
        if_none_exist: Option<Vec<(String, String)>>,
    },
    Update {
        target: Target,
        resource: Value,
        if_match: Option<Expected>,
        must_be_new: bool,
    },
    /// What a patch made of this version.
    Patch {
        id: String,
        resource: Value,
        version: u64,
    },
    Delete {
        target: Target,
        if_match: Option<Expected>,
    },
}

/// One write, already checked.
#[derive(Clone, Debug)]
pub struct Write {
    pub kind: Kind,
    /// Name by which other entries of the same Bundle refer to it.
    pub full_url: Option<String>,
    /// FHIRPath to put before faults: `Bundle.entry[3].` or nothing.
    pub prefix: String,
    pub action: Action,
}

impl Write {
    /// Whether it is about the resource of this id, as far as it says.
    #[must_use]
    pub fn names(&self, wanted: &str) -> bool {
        match &self.action {
            Action::Update { target: Target::Id(id), .. }
            | Action::Delete { target: Target::Id(id), .. }
            | Action::Patch { id, .. } => id == wanted,
            _ => false,
        }
    }
}

/// What became of one write.
#[derive(Clone, Debug)]
pub struct Done {
    pub key: Key,
    pub version: u64,
    pub updated: Timestamp,
    /// 201 created, 200 stored or unchanged, 204 deleted (or nothing to delete).
    pub status: u16,
    /// The resource as it stands now; `None` after a deletion.
    pub json: Option<Arc<str>>,
}

/// One resource, before and after a write.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    pub kind: Kind,
    /// `None`: there never was one.
    pub before: Option<Before<'a>>,
    /// `None`: it is deleted.
    pub after: Option<After<'a>>,
}

#[derive(Clone, Debug)]
pub struct Before<'a> {
    pub client: Option<&'a str>,
    pub deleted: bool,
    pub json: &'a str,
}

#[derive(Clone, Debug)]
pub struct After<'a> {
    pub client: Option<&'a str>,
    pub resource: &'a Value,
}

/// A write that will be carried out, for the trail.
#[derive(Clone, Debug)]
pub struct Traced {
    pub key: Key,
    pub version: u64,
    pub client: Option<Arc<str>>,
    pub method: Method,
    /// There was none before.
    pub created: bool,
    /// A version came of it; it did not stand so already.
    pub changed: bool,
    /// Of a judgement: who it says made it.
    pub performers: Vec<String>,
}

/// Who writes, as the transaction asks: inside it, what stands is known and cannot change.
pub trait Gate: Send + Sync {
    /// Narrows a search that a write rests on (criteria, references that are searches) to what may be found.
    ///
    /// # Errors
    /// The type may not be searched at all.
    fn narrow(&self, query: &mut Query) -> Result<()>;
    /// # Errors
    /// The change is refused, and with it the whole transaction.
    fn admits(&self, change: &Change) -> Result<()>;
    /// What to keep of it, in the same transaction.
    fn trace(&self, writes: &[Traced], now: Timestamp) -> Vec<Put>;
}

/// Our own work.
pub struct Ourselves;

impl Gate for Ourselves {
    fn narrow(&self, _: &mut Query) -> Result<()> {
        Ok(())
    }

    fn admits(&self, _: &Change) -> Result<()> {
        Ok(())
    }

    fn trace(&self, _: &[Traced], _: Timestamp) -> Vec<Put> {
        Vec::new()
    }
}

impl Pipeline {
    /// [`Pipeline::write_by`] ourselves: nobody is asked, nothing is traced.
    ///
    /// # Errors
    /// As there.
    pub async fn write(&self, writes: Vec<Write>) -> Result<Vec<Done>> {
        self.write_by(&Ourselves, writes).await
    }

    /// Carries out `writes` as one transaction: all or nothing, durable when it returns.
    ///
    /// # Errors
    /// What the gate refuses, a precondition that does not hold, a reference that cannot be resolved, the database.
    pub async fn write_by(&self, gate: &dyn Gate, writes: Vec<Write>) -> Result<Vec<Done>> {
        let mut left = writes;
        for _ in 1..if self.shared { TRIES_MAX } else { 1 } {
            match self.attempt(gate, left.clone()).await {
                Err(Lost::Race) => {}
                Err(Lost::For(error)) => return Err(error),
                Ok(done) => return Ok(done),
            }
        }
        let last = std::mem::take(&mut left);
        self.attempt(gate, last).await.map_err(|lost| match lost {
            Lost::Race => StoreError::Conflict.into(),
            Lost::For(error) => error,
        })
    }

    async fn attempt(&self, gate: &dyn Gate, writes: Vec<Write>) -> std::result::Result<Vec<Done>, Lost> {
        let context = self.term_context();
        let mut tx = self.store.begin().await?;
        if self.shared {
            let queries = self.all_criteria(gate, &writes, &context);
            if queries.len() > 1 {
                tx.expect(&queries).await?;
            }
        }
        let mut plans = Vec::with_capacity(writes.len());
        for write in writes {
            plans.push(self.plan(tx.as_mut(), gate, write, &context).await?);
        }
        if let Some(issue) = twice(&plans) {
            return Err(Lost::For(issue.into()));
        }
        self.link(tx.as_mut(), gate, &mut plans, &context).await?;

        let keys: Vec<Key> = plans.iter().filter(|plan| !plan.fresh).map(|plan| plan.key.clone()).collect();
        let heads: HashMap<Key, Head> =
            tx.heads(&keys).await?.into_iter().map(|head| (head.key.clone(), head)).collect();
        let now = self.now();
        let mut puts = Vec::new();
        let mut traced = Vec::new();
        let mut done = Vec::with_capacity(plans.len());
        let mut clients: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut questionnaires = false;
        for plan in plans {
            let head = heads.get(&plan.key);
            let trace = admitted(gate, &plan, head)?;
            let (mut put, mut one) = self.carry_out(plan, head, now, &context)?;
            if let Some(late) = put.as_ref().filter(|put| put.behind)
                && let Some(dated) = late.sender_updated
                && let Some(version) = tx.dated(&late.key, dated).await?
            {
                // It came before: the same bundle again changes nothing.
                one.version = version;
                put = None;
            }
            done.push(one);
            traced.extend(trace.map(|trace| Traced { changed: put.is_some(), ..trace }));
            if let Some(put) = put {
                if kind(put.key.kind).is_some_and(|row| row.timeline) {
                    clients.extend(put.client.clone());
                    clients.extend(head.and_then(|head| head.client.clone()));
                    questionnaires |= put.key.kind == "Questionnaire";
                }
                puts.push(put);
            }
        }
        puts.extend(gate.trace(&traced, now));
        if puts.is_empty() {
            // What was decided on may be another writer's, and not yet synced.
            tx.commit().await?;
            return Ok(done);
        }
        tx.put(puts).await?;
        let clients: Vec<Arc<str>> = clients.into_iter().collect();
        let due = now + SignedDuration::from_millis(DEBOUNCE_MS);
        if !clients.is_empty() {
            tx.enqueue(&clients, due).await?;
        }
        if questionnaires {
            // Responses of any client may now mean something else.
            tx.enqueue_all(due).await?;
        }
        tx.commit().await?;
        if questionnaires {
            self.load_measures().await?;
        }
        self.bell.notify_one();
        Ok(done)
    }

    /// Settles which key a write is about.
    async fn plan(
        &self,
        tx: &mut dyn Tx,
        gate: &dyn Gate,
        write: Write,
        context: &TermContext,
    ) -> std::result::Result<Plan, Lost> {
        let Write { kind, full_url, prefix, action } = write;
        let new = |id: String| Key { kind, id: id.into() };
        let (key, fresh, work) = match action {
            Action::Create { resource, if_none_exist } => match if_none_exist {
                None => {
                    (new(self.clock.new_id()), true, Work::Put { resource, method: Method::Post, check: Check::None })
                }
                Some(criteria) => match self.find(tx, gate, kind, &criteria, context).await?.as_slice() {
                    [] => (
                        new(self.clock.new_id()),
                        true,
                        Work::Put { resource, method: Method::Post, check: Check::None },
                    ),
                    [one] => (one.clone(), false, Work::Keep),
                    _ => return Err(several(&prefix, "request.ifNoneExist").into()),
                },
            },
            Action::Update { target, mut resource, if_match, must_be_new } => {
                let check = if must_be_new { Check::New } else { if_match.map_or(Check::None, Check::Stands) };
                match target {
                    Target::Id(id) => (new(id), false, Work::Put { resource, method: Method::Put, check }),
                    Target::Criteria(criteria) => {
                        let named = resource.get("id").and_then(Value::as_str).map(str::to_owned);
                        match self.find(tx, gate, kind, &criteria, context).await?.as_slice() {
                            [] => {
                                // Update as create: the client's id where it gives one.
                                let id = named.unwrap_or_else(|| self.clock.new_id());
                                (new(id), false, Work::Put { resource, method: Method::Put, check })
                            }
                            [one] => {
                                if named.is_some_and(|id| *id != *one.id) {
                                    let text =
                                        "The search found another resource than the one whose id the body carries.";
                                    return Err(Error::from(at(
                                        Issue::error(IssueType::Invalid, text),
                                        &prefix,
                                        "resource.id",
                                    ))
                                    .into());
                                }
                                set_id(&mut resource, &one.id);
                                (one.clone(), false, Work::Put { resource, method: Method::Put, check })
                            }
                            _ => return Err(several(&prefix, "request.url").into()),
                        }
                    }
                }
            }
            Action::Patch { id, resource, version } => (
                new(id),
                false,
                Work::Put { resource, method: Method::Patch, check: Check::Stands(Expected::Version(version)) },
            ),
            Action::Delete { target, if_match } => {
                let check = if_match.map_or(Check::None, Check::Stands);
                match target {
                    Target::Id(id) => (new(id), false, Work::Delete { check }),
                    Target::Criteria(criteria) => match self.find(tx, gate, kind, &criteria, context).await?.as_slice()
                    {
                        [] => (new(String::new()), true, Work::Keep),
                        [one] => (one.clone(), false, Work::Delete { check }),
                        _ => return Err(several(&prefix, "request.url").into()),
                    },
                }
            }
        };
        Ok(Plan { key, fresh, full_url, prefix, work })
    }

    async fn find(
        &self,
        tx: &mut dyn Tx,
        gate: &dyn Gate,
        kind: Kind,
        criteria: &[(String, String)],
        context: &TermContext,
    ) -> std::result::Result<Vec<Key>, Lost> {
        Ok(tx.matches(&criteria_query(gate, kind, criteria, context)?, 2).await?)
    }

    /// Every search that these writes rest on, as far as they can be read; what is wrong with the others is said in
    /// its place.
    fn all_criteria(&self, gate: &dyn Gate, writes: &[Write], context: &TermContext) -> Vec<Query> {
        let mut queries = Vec::new();
        for write in writes {
            let (criteria, resource) = match &write.action {
                Action::Create { resource, if_none_exist } => (if_none_exist.as_ref(), Some(resource)),
                Action::Update { target: Target::Criteria(criteria), resource, .. } => (Some(criteria), Some(resource)),
                Action::Update { resource, .. } | Action::Patch { resource, .. } => (None, Some(resource)),
                Action::Delete { target: Target::Criteria(criteria), .. } => (Some(criteria), None),
                Action::Delete { .. } => (None, None),
            };
            let own = criteria.and_then(|criteria| criteria_query(gate, write.kind, criteria, context).ok());
            queries.extend(own);
            for reference in resource.map(conditional_references).unwrap_or_default() {
                let target = crate::fhir::bundle::Target::read(&reference, &self.base);
                let row = target.path.first().and_then(|name| kind(name));
                queries.extend(row.and_then(|row| criteria_query(gate, row.name, &target.query, context).ok()));
            }
        }
        queries
    }

    /// Makes references between the entries of one Bundle, and references that are searches, point where they mean.
    async fn link(
        &self,
        tx: &mut dyn Tx,
        gate: &dyn Gate,
        plans: &mut [Plan],
        context: &TermContext,
    ) -> std::result::Result<(), Lost> {
        let mut names: HashMap<String, String> = plans
            .iter()
            .filter(|plan| !matches!(plan.work, Work::Delete { .. }))
            .filter_map(|plan| Some((plan.full_url.clone()?, format!("{}/{}", plan.key.kind, plan.key.id))))
            .collect();
        for plan in plans.iter() {
            let Work::Put { resource, .. } = &plan.work else { continue };
            for reference in conditional_references(resource) {
                if names.contains_key(&reference) {
                    continue;
                }
                let target = crate::fhir::bundle::Target::read(&reference, &self.base);
                let known = target.path.first().and_then(|name| kind(name));
                let unresolved = || {
                    let text = "A reference that is a search has to find exactly one resource.";
                    Error::from(at(Issue::error(IssueType::Processing, text), &plan.prefix, "resource"))
                        .with_status(412)
                };
                let row = known.ok_or_else(unresolved)?;
                match self.find(tx, gate, row.name, &target.query, context).await?.as_slice() {
                    [one] => names.insert(reference, format!("{}/{}", one.kind, one.id)),
                    _ => return Err(unresolved().into()),
                };
            }
        }
        let mut dangling = Vec::new();
        for plan in plans {
            let Work::Put { resource, .. } = &mut plan.work else { continue };
            if !names.is_empty() {
                rewrite(resource, &names);
            }
            if !plan.prefix.is_empty() {
                dangling.extend(unresolved(resource, &format!("{}resource", plan.prefix)));
            }
        }
        let text = "Nothing in the Bundle has this name, so the reference would point nowhere.";
        let issues: Vec<Issue> =
            dangling.into_iter().map(|place| Issue::error(IssueType::Processing, text).at(place)).collect();
        if issues.is_empty() { Ok(()) } else { Err(Error::from(issues).into()) }
    }

    fn carry_out(
        &self,
        plan: Plan,
        head: Option<&Head>,
        now: Timestamp,
        context: &TermContext,
    ) -> Result<(Option<Put>, Done)> {
        let Plan { key, work, prefix, .. } = plan;
        let kept = |head: &Head, status| Done {
            key: key.clone(),
            version: head.version,
            updated: now,
            status,
            json: (!head.deleted).then(|| Arc::clone(&head.json)),
        };
        match work {
            Work::Keep => {
                let done = head.map_or_else(
                    || Done { key: key.clone(), version: 0, updated: now, status: 204, json: None },
                    |head| kept(head, 200),
                );
                Ok((None, done))
            }
            Work::Delete { check } => {
                check.holds(head, &prefix)?;
                let Some(head) = head.filter(|head| !head.deleted) else {
                    return Ok((None, Done { key: key.clone(), version: 0, updated: now, status: 204, json: None }));
                };
                let put = Put {
                    version: head.last_version + 1,
                    updated: now,
                    sender_updated: None,
                    deleted: true,
                    method: Method::Delete,
                    json: Arc::from(""),
                    client: head.client.clone(),
                    event: None,
                    hash: [0; 16],
                    terms: Vec::new(),
                    behind: false,
                    key,
                };
                let done = Done { key: put.key.clone(), version: put.version, updated: now, status: 204, json: None };
                Ok((Some(put), done))
            }
            Work::Put { mut resource, method, check } => {
                check.holds(head, &prefix)?;
                let hash = content_hash(&resource);
                if let Some(head) = head.filter(|head| !head.deleted && head.hash == hash) {
                    return Ok((None, kept(head, 200)));
                }
                // Whoever has read the version that stands (If-Match, or our own meta sent back) writes after it.
                let follows = matches!(check, Check::Stands(Expected::Version(_)))
                    || head.is_some_and(|head| echoes(&resource, head));
                let sender_updated = read::sender_updated(&resource).filter(|_| !follows);
                let behind = head.is_some_and(|head| {
                    !head.deleted
                        && matches!((sender_updated, head.sender_updated), (Some(new), Some(old)) if new < old)
                });
                let version = head.map_or(1, |head| head.last_version + 1);
                let client = read::client(&resource).map(Arc::from);
                let reading = self.read_context();
                let event = read::fact(&resource, &reading).map(|fact| read::keep(&fact, &resource, &reading));
                let terms = if behind { Vec::new() } else { terms(key.kind, &resource, context) };
                stamp(&mut resource, &key.id, version, now);
                let json: Arc<str> = resource.to_string().into();
                let status = if head.is_some_and(|head| !head.deleted) { 200 } else { 201 };
                let done = Done { key: key.clone(), version, updated: now, status, json: Some(Arc::clone(&json)) };
                let put = Put {
                    key,
                    version,
                    updated: now,
                    sender_updated,
                    deleted: false,
                    method,
                    json,
                    client,
                    event,
                    hash,
                    terms,
                    behind,
                };
                Ok((Some(put), done))
            }
        }
    }

    /// Milliseconds, as FHIR instants are given back.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

/// Why an attempt came to nothing.
enum Lost {
    Race,
    For(Error),
}

impl From<StoreError> for Lost {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Race,
            other => Self::For(other.into()),
        }
    }
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self::For(error)
    }
}

struct Plan {
    key: Key,
    /// The id is new: nothing can stand there.
    fresh: bool,
    full_url: Option<String>,
    prefix: String,
    work: Work,
}

enum Work {
    Put {
        resource: Value,
        method: Method,
        check: Check,
    },
    Delete {
        check: Check,
    },
    /// It is there already (conditional create), or there is nothing to do.
    Keep,
}

enum Check {
    None,
    /// If-Match
    Stands(Expected),
    /// If-None-Match: *
    New,
}

impl Check {
    fn holds(&self, head: Option<&Head>, prefix: &str) -> Result<()> {
        let current = head.filter(|head| !head.deleted).map(|head| head.version);
        let fails = match self {
            Self::None => false,
            Self::Stands(Expected::Any) => current.is_none(),
            Self::Stands(Expected::Version(version)) => current != Some(*version),
            Self::New => current.is_some(),
        };
        if fails {
            let text = "The resource is not at the version that the request expects (If-Match / If-None-Match).";
            return Err(Error::from(at(Issue::error(IssueType::Conflict, text), prefix, "request")).with_status(412));
        }
        Ok(())
    }
}

/// Asks the gate about one plan.
fn admitted(gate: &dyn Gate, plan: &Plan, head: Option<&Head>) -> Result<Option<Traced>> {
    let before = head.map(|head| Before { client: head.client.as_deref(), deleted: head.deleted, json: &head.json });
    let (method, resource) = match &plan.work {
        Work::Keep => return Ok(None),
        Work::Put { resource, method, .. } => (*method, Some(resource)),
        Work::Delete { .. } => (Method::Delete, None),
    };
    let client: Option<Arc<str>> = match resource {
        // Its id may be ours to give.
        Some(_) if plan.key.kind == "Patient" => Some(Arc::clone(&plan.key.id)),
        Some(resource) => read::client(resource).map(Arc::from),
        None => head.and_then(|head| head.client.clone()),
    };
    let after = resource.map(|resource| After { client: client.as_deref(), resource });
    gate.admits(&Change { kind: plan.key.kind, before, after }).map_err(|mut error| {
        if !plan.prefix.is_empty() {
            let place = format!("{}request.url", plan.prefix);
            error.issues.iter_mut().for_each(|issue| issue.expression = Some(place.clone()));
        }
        error
    })?;
    Ok(Some(Traced {
        key: plan.key.clone(),
        version: head.map_or(1, |head| head.last_version + 1),
        client,
        method,
        created: head.is_none_or(|head| head.deleted),
        changed: true,
        performers: resource
            .filter(|resource| judgement::is_judgement(resource))
            .map(judgement::performers)
            .unwrap_or_default(),
    }))
}

/// The search that a conditional interaction rests on.
fn criteria_query(
    gate: &dyn Gate,
    kind: Kind,
    criteria: &[(String, String)],
    context: &TermContext,
) -> std::result::Result<Query, Lost> {
    let mut found = search::read(kind, criteria, context, true).map_err(Error::from)?;
    if found.query.filters.is_empty() {
        let text = "A conditional interaction needs at least one search parameter.";
        return Err(Lost::For(Error::new(IssueType::Invalid, text).with_status(412)));
    }
    found.query.walk(&mut |query| gate.narrow(query))?;
    Ok(found.query)
}

fn at(issue: Issue, prefix: &str, part: &str) -> Issue {
    if prefix.is_empty() { issue } else { issue.at(format!("{prefix}{part}")) }
}

fn several(prefix: &str, part: &str) -> Error {
    let text = "The search finds more than one resource, so nothing was done. Make it more specific.";
    at(Issue::error(IssueType::MultipleMatches, text), prefix, part).into()
}

/// One resource may stand in a transaction once (R4, transaction rules).
fn twice(plans: &[Plan]) -> Option<Issue> {
    let mut seen = std::collections::HashSet::new();
    plans.iter().filter(|plan| !matches!(plan.work, Work::Keep)).find(|plan| !seen.insert(&plan.key)).map(|plan| {
        let text = "The same resource is changed by two entries of this transaction.";
        at(Issue::error(IssueType::Invalid, text), &plan.prefix, "request.url")
    })
}

/// Whether the resource carries the `meta` that we gave the version that stands.
fn echoes(resource: &Value, head: &Head) -> bool {
    let Some(meta) = resource.get("meta") else { return false };
    let version = meta.get("versionId").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let stored = || serde_json::from_str::<Value>(&head.json).ok();
    version == Some(head.version)
        && stored().is_some_and(|stored| stored.pointer("/meta/lastUpdated") == meta.get("lastUpdated"))
}

/// Hash of what was sent. `meta.versionId` is left out: it is ours to give.
#[must_use]
pub fn content_hash(resource: &Value) -> [u8; 16] {
    struct Sink(Sha256);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut sink = Sink(Sha256::new());
    // Writing to a hash cannot fail.
    if let Value::Object(object) = resource {
        for (key, value) in object.iter().filter(|(key, _)| *key != "id") {
            sink.0.update(key.as_bytes());
            sink.0.update([0]);
            if key == "meta" {
                let mut meta = value.clone();
                if let Some(meta) = meta.as_object_mut() {
                    meta.remove("versionId");
                }
                let _ = serde_json::to_writer(&mut sink, &meta);
            } else {
                let _ = serde_json::to_writer(&mut sink, value);
            }
        }
    }
    let whole = sink.0.finalize();
    let mut hash = [0; 16];
    hash.copy_from_slice(&whole[..16]);
    hash
}

fn set_id(resource: &mut Value, id: &str) {
    if let Some(object) = resource.as_object_mut() {
        if let Some(slot) = object.get_mut("id") {
            *slot = Value::from(id);
        } else {
            object.shift_insert(usize::from(object.contains_key("resourceType")), "id".into(), Value::from(id));
        }
    }
}

/// Sets what is ours to set: id, `meta.versionId`, `meta.lastUpdated`. Everything else stays as it was sent.
pub fn stamp(resource: &mut Value, id: &str, version: u64, updated: Timestamp) {
    set_id(resource, id);
    let Some(object) = resource.as_object_mut() else { return };
    if !object.get("meta").is_some_and(Value::is_object) {
        let place = object.keys().position(|key| key == "id").map_or(0, |at| at + 1);
        object.shift_insert(place, "meta".into(), Value::Object(Map::new()));
    }
    if let Some(meta) = object.get_mut("meta").and_then(Value::as_object_mut) {
        meta.insert("versionId".into(), Value::from(version.to_string()));
        meta.insert("lastUpdated".into(), Value::from(format!("{updated:.3}")));
    }
}
