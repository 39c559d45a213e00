//! Intake: checked resources in, one transaction: current versions, history, index, facts and the jobs.

mod gate;
mod plan;
mod stamp;
mod write;

pub use gate::{After, Before, Change, Gate, Ourselves, Traced};
pub use stamp::{content_hash, stamp};
pub use write::{Action, Done, Expected, Target, Write};

use super::Pipeline;
use crate::error::{Error, Result};
use crate::fhir::kinds::kind;
use crate::fhir::parameters::{TermContext, terms};
use crate::fhir::read;
use crate::fhir::write::judgement;
use crate::store::{Head, HistoryOf, Key, Method, Put, Sharer, StoreError, Tx, Version};
use jiff::{SignedDuration, Timestamp};
use plan::{Check, Plan, Work, twice};
use serde_json::Value;
use stamp::{claimed, echoes, repeats_stamp, says_the_same, says_the_same_but_meta};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Times a transaction is tried anew after losing a race.
const TRIES_MAX: usize = 5;
/// A burst of writes about one client is assessed once: the worker waits this long, milliseconds.
const DEBOUNCE_MS: i64 = 50;
/// Versions of one resource that are looked through at once.
const VERSIONS_AT_ONCE: usize = 500;

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
            let late = self.late(tx.as_mut(), &plan, head).await?;
            let (mut put, mut one) = self.carry_out(plan, head, late, now, &context)?;
            if let Some(behind) = put.as_ref().filter(|put| put.behind)
                && let Some(dated) = behind.sender_updated
                && let Some(version) = tx.dated(&behind.key, dated).await?
            {
                // It came before: the same bundle again changes nothing.
                one.late = Some(version);
                put = None;
            }
            traced.extend(trace.map(|trace| Traced {
                changed: put.is_some(),
                created: trace.created && one.late.is_none(),
                ..trace
            }));
            done.push(one);
            if let Some(put) = put {
                if kind(put.key.kind).is_some_and(|row| row.timeline) {
                    clients.extend(put.client.clone());
                    clients.extend(put.sharers.iter().map(|sharer| Arc::clone(&sharer.client)));
                    clients.extend(head.map(clients_before).unwrap_or_default().into_iter().map(Arc::from));
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
        if !questionnaires {
            tx.commit().await?;
            return Ok(done);
        }
        // Responses of any client may now mean something else.
        tx.enqueue_all(due).await?;
        let changing = Changing::new(&self.changing_measures);
        tx.commit().await?;
        self.load_measures().await?;
        drop(changing);
        Ok(done)
    }

    fn carry_out(
        &self,
        plan: Plan,
        head: Option<&Head>,
        late: Late,
        now: Timestamp,
        context: &TermContext,
    ) -> Result<(Option<Put>, Done)> {
        let Plan { key, work, prefix, .. } = plan;
        let kept = |head: &Head, status| Done {
            key: key.clone(),
            version: head.version,
            updated: stamp::stamped(&head.json).unwrap_or(now),
            status,
            json: (!head.deleted).then(|| Arc::clone(&head.json)),
            late: None,
        };
        match work {
            Work::Keep => {
                let done = head.map_or_else(
                    || Done { key: key.clone(), version: 0, updated: now, status: 204, json: None, late: None },
                    |head| kept(head, 200),
                );
                Ok((None, done))
            }
            Work::Delete { bury: true, .. } if head.is_none() => {
                let client: Option<Arc<str>> = Some(Arc::clone(&key.id));
                Ok(deletion(key, 1, client, Vec::new(), now))
            }
            Work::Delete { check, .. } => {
                check.holds(head, &prefix)?;
                let Some(head) = head.filter(|head| !head.deleted) else {
                    let none = Done { key: key.clone(), version: 0, updated: now, status: 204, json: None, late: None };
                    return Ok((None, none));
                };
                let others = sharers(&clients_before(head), |_| None);
                Ok(deletion(key, head.last_version + 1, head.client.clone(), others, now))
            }
            Work::Put { mut resource, method, check } => {
                check.holds(head, &prefix)?;
                let hash = content_hash(&resource);
                if let Some(head) = head.filter(|head| !head.deleted && head.hash == hash) {
                    return Ok((None, kept(head, 200)));
                }
                if let (Late::Is(version), Some(head)) = (late, head) {
                    return Ok((None, Done { late: Some(version), ..kept(head, 200) }));
                }
                // Whoever has read the version that stands (If-Match, or our own meta sent back) writes after it.
                let follows = matches!(check, Check::Stands(Expected::Version(_)))
                    || head.is_some_and(|head| echoes(&resource, head));
                let sender_updated = read::sender_updated(&resource).filter(|_| !follows);
                // Nothing new, and not dated anew: what was read and sent back.
                if let Some(head) = head.filter(|head| !head.deleted && sender_updated.is_none())
                    && (follows || head.sender_updated.is_some())
                    && says_the_same(&resource, &head.json)
                {
                    return Ok((None, kept(head, 200)));
                }
                let buried = late == Late::BeforeDeletion;
                let behind = buried
                    || head.is_some_and(|head| {
                        !head.deleted
                            && matches!((sender_updated, head.sender_updated), (Some(new), Some(old)) if new < old)
                    });
                let version = head.map_or(1, |head| head.last_version + 1);
                let clients = read::clients(&resource);
                let reading = self.read_context();
                let event = |client: Option<&str>| {
                    if buried {
                        return None;
                    }
                    read::fact_of(&resource, client, &reading).map(|fact| read::keep(&fact, &resource, &reading))
                };
                let sharers = sharers(&clients, |client| event(Some(client)));
                let client = clients.into_iter().next().map(Arc::from);
                let event = event(client.as_deref());
                let terms = if behind { Vec::new() } else { terms(key.kind, &resource, context) };
                stamp(&mut resource, &key.id, version, now);
                let json: Arc<str> = resource.to_string().into();
                let status = if head.is_some_and(|head| !head.deleted) { 200 } else { 201 };
                let done = match head.filter(|_| behind) {
                    Some(head) => Done { late: Some(version), ..kept(head, 200) },
                    None => {
                        let json = Some(Arc::clone(&json));
                        Done { key: key.clone(), version, updated: now, status, json, late: None }
                    }
                };
                let put = Put {
                    key,
                    version,
                    updated: now,
                    sender_updated,
                    deleted: false,
                    method,
                    json,
                    client,
                    sharers,
                    event,
                    hash,
                    terms,
                    behind,
                };
                Ok((Some(put), done))
            }
        }
    }

    /// Whether a write is an older message than what stands, where more than the version that stands tells it.
    async fn late(&self, tx: &mut dyn Tx, plan: &Plan, head: Option<&Head>) -> Result<Late> {
        let (Work::Put { resource, .. }, Some(head)) = (&plan.work, head) else { return Ok(Late::No) };
        if let Some(number) = read::superseded(resource)
            && let Some(version) = self.had(head, resource, number).await?
        {
            return Ok(Late::Is(version));
        }
        if !head.deleted {
            return Ok(Late::No);
        }
        if let Some(version) = claimed(resource).filter(|version| *version < head.version)
            && let Some(own) = self.store.read_version(&head.key, version).await?
            && repeats_stamp(resource, &own.json)
        {
            return Ok(Late::Is(version));
        }
        let Some(dated) = read::sender_updated(resource) else { return Ok(Late::No) };
        let said = tx.last_dated(&head.key).await?;
        Ok(if said.is_some_and(|said| dated <= said) { Late::BeforeDeletion } else { Late::No })
    }

    /// The version of the history that an exported one, superseded as number `of` there, is here: it says the same,
    /// and has that number or came from there with it.
    async fn had(&self, head: &Head, resource: &Value, of: Option<u64>) -> Result<Option<u64>> {
        let mut after = None;
        loop {
            let history = HistoryOf::Instance(head.key.clone());
            let page = self.store.history(history, None, VERSIONS_AT_ONCE, after).await?;
            let same = |version: &&Version| says_the_same_but_meta(resource, &version.json, version.version, of);
            if let Some(same) = page.versions.iter().find(same) {
                return Ok(Some(same.version));
            }
            after = page.next;
            if after.is_none() {
                return Ok(None);
            }
        }
    }

    /// Milliseconds, as FHIR instants are given back.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

fn deletion(
    key: Key,
    version: u64,
    client: Option<Arc<str>>,
    sharers: Vec<Sharer>,
    now: Timestamp,
) -> (Option<Put>, Done) {
    let done = Done { key: key.clone(), version, updated: now, status: 204, json: None, late: None };
    let put = Put {
        version,
        updated: now,
        sender_updated: None,
        deleted: true,
        method: Method::Delete,
        json: Arc::from(""),
        client,
        sharers,
        // Kept with those facts whose past is evidence: what was before the deletion never was.
        event: (key.kind == "Appointment").then(Vec::new),
        hash: [0; 16],
        terms: Vec::new(),
        behind: false,
        key,
    };
    (Some(put), done)
}

/// What the history says of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    No,
    /// It is this version, of which there was a later one.
    Is(u64),
    /// Its sender dated it no later than what has since been deleted (or, where nothing of that was dated, than our
    /// deletion): an older message that comes late, or again, revives nothing.
    BeforeDeletion,
}

/// One write under way.
struct Changing<'a>(&'a AtomicUsize);

impl<'a> Changing<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
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

/// Asks the gate about one plan.
fn admitted(gate: &dyn Gate, plan: &Plan, head: Option<&Head>) -> Result<Option<Traced>> {
    let (method, resource) = match &plan.work {
        Work::Keep => return Ok(None),
        Work::Put { resource, method, .. } => (*method, Some(resource)),
        Work::Delete { .. } => (Method::Delete, None),
    };
    let stood_with = head.map(clients_before).unwrap_or_default();
    let stands_with = match resource {
        // Its id may be ours to give.
        Some(_) if plan.key.kind == "Patient" => vec![plan.key.id.to_string()],
        Some(resource) => read::clients(resource),
        None => Vec::new(),
    };
    let before = head.map(|head| Before { clients: &stood_with, deleted: head.deleted, json: &head.json });
    let after = resource.map(|resource| After { clients: &stands_with, resource });
    let expects =
        matches!(&plan.work, Work::Put { check: Check::Stands(_), .. } | Work::Delete { check: Check::Stands(_), .. });
    gate.admits(&Change { kind: plan.key.kind, before, after, expects }).map_err(|mut error| {
        if !plan.prefix.is_empty() {
            let place = format!("{}request.url", plan.prefix);
            error.issues.iter_mut().for_each(|issue| issue.expression = Some(place.clone()));
        }
        error
    })?;
    let mut clients = stands_with;
    for client in stood_with {
        if !clients.contains(&client) {
            clients.push(client);
        }
    }
    Ok(Some(Traced {
        key: plan.key.clone(),
        version: head.map_or(1, |head| head.last_version + 1),
        clients,
        method,
        created: head.is_none_or(|head| head.deleted),
        changed: true,
        performers: resource
            .filter(|resource| judgement::is_judgement(resource))
            .map(judgement::performers)
            .unwrap_or_default(),
    }))
}

/// All to whom what stands belongs.
fn clients_before(head: &Head) -> Vec<String> {
    read::clients_of(head.key.kind, head.client.as_deref(), &head.json)
}

/// All but the first, each with the fact that the resource is for it.
fn sharers(clients: &[String], event: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<Sharer> {
    let others = clients.get(1..).unwrap_or_default();
    others.iter().map(|client| Sharer { client: client.as_str().into(), event: event(client) }).collect()
}
