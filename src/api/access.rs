//! Who asks, and what they may see: a type in each handler's signature, so that it cannot be forgotten.
//!
//! Code that answers asks three things of it:
//! - [`Access::may`] before anything else: does any scope cover this interaction on this type at all (403);
//! - [`Access::restrict`] on every query to the store: what is not theirs is not found, counted or sorted;
//! - [`Access::sees`] for every resource that leaves by another way (read, history, `_include`): what is not
//!   theirs answers as if it did not exist.
//!
//! Writes are judged inside their transaction, where before and after are known ([`Gate`]).

use super::audit;
use crate::error::{Error, Result};
use crate::fhir::audit::Asker;
use crate::fhir::kinds::in_compartment;
use crate::fhir::outcome::IssueType;
use crate::fhir::parameters::{TermContext, terms};
use crate::fhir::read;
use crate::fhir::search;
use crate::pipeline::ingest::{Change, Gate, Traced};
use crate::smart::scope::{Grant, Level, Right};
use crate::store::{Allowed, Filter, Key, Match, Put, Query, Term, Version};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// Lets everything through: `auth = "none"`, and our own work.
#[derive(Clone, Debug)]
enum Reach {
    All,
    Shares(Vec<Share>),
}

/// A grant, made ready: its patient known, its filters read.
#[derive(Clone, Debug)]
struct Share {
    grant: Grant,
    /// Only this client's compartment.
    client: Option<Arc<str>>,
    filters: Vec<Filter>,
}

/// What the asker may do. Made at the door alone.
#[derive(Clone, Debug)]
pub struct Access {
    reach: Reach,
    /// The one patient of a launch or of a token.
    pub patient: Option<Arc<str>>,
    /// `None`: nobody was asked who they are.
    pub asker: Option<Arc<Asker>>,
    terms: TermContext,
    noted: Arc<Mutex<Vec<Noted>>>,
}

/// Something that left, for the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    pub key: Option<Key>,
    pub client: Option<Arc<str>>,
}

/// What a token, a launch or the configuration says of the asker.
#[derive(Clone, Debug, Default)]
pub struct Holder {
    pub grants: Vec<Grant>,
    pub patient: Option<String>,
    /// `Practitioner/1`, or a URL that ends so.
    pub fhir_user: Option<String>,
}

impl Access {
    /// Anyone, anything.
    #[must_use]
    pub fn open(terms: TermContext) -> Self {
        Self { reach: Reach::All, patient: None, asker: None, terms, noted: Arc::default() }
    }

    /// What these grants come to.
    #[must_use]
    pub fn of(holder: Holder, asker: Asker, terms: TermContext) -> Self {
        let Holder { grants, patient, fhir_user } = holder;
        let patient: Option<Arc<str>> = patient.map(|id| id.strip_prefix("Patient/").unwrap_or(&id).into());
        let person = person(fhir_user.as_deref());
        let shares = grants
            .into_iter()
            .filter_map(|grant| {
                let client = match (grant.level, &person) {
                    // Without a patient there is nobody to be asked about.
                    (Level::Patient, _) => Some(patient.clone()?),
                    (Level::System, _) | (Level::User, Person::Staff) => None,
                    (Level::User, Person::Patient(id)) => Some(id.clone()),
                    (Level::User, Person::Stranger) => return None,
                };
                let filters = filters(&grant, &terms)?;
                Some(Share { grant, client, filters })
            })
            .collect();
        Self { reach: Reach::Shares(shares), patient, asker: Some(Arc::new(asker)), terms, noted: Arc::default() }
    }

    /// The same asker by what is granted to it as a system, nobody behind it; `None` where that is nothing.
    #[must_use]
    pub fn of_system(&self) -> Option<Self> {
        let reach = match &self.reach {
            Reach::All => Reach::All,
            Reach::Shares(shares) => {
                let of_system = shares.iter().filter(|share| share.grant.level == Level::System);
                Reach::Shares(of_system.cloned().collect())
            }
        };
        let some = !matches!(&reach, Reach::Shares(shares) if shares.is_empty());
        some.then(|| Self { reach, noted: Arc::default(), ..self.clone() })
    }

    /// What is granted, as scopes; `None`: anything.
    #[must_use]
    pub fn scopes(&self) -> Option<String> {
        let Reach::Shares(shares) = &self.reach else { return None };
        let scopes: Vec<String> = shares.iter().map(|share| share.grant.to_string()).collect();
        Some(scopes.join(" "))
    }

    fn shares(&self, kind: &str, right: Right) -> Option<impl Iterator<Item = &Share>> {
        match &self.reach {
            Reach::All => None,
            Reach::Shares(shares) => {
                let kind = kind.to_owned();
                Some(shares.iter().filter(move |share| {
                    share.grant.has(right)
                        && share.grant.covers(&kind)
                        // The trail is for systems that audit.
                        && (kind != "AuditEvent" || share.grant.level == Level::System)
                }))
            }
        }
    }

    /// # Errors
    /// 403 where no scope covers `right` on `kind`.
    pub fn may(&self, kind: &str, right: Right) -> Result<()> {
        match self.shares(kind, right).map(|mut shares| shares.next().is_some()) {
            None | Some(true) => Ok(()),
            Some(false) => {
                Err(Error::new(IssueType::Forbidden, format!("The token's scopes do not cover this on {kind}.")))
            }
        }
    }

    /// # Errors
    /// 403 where the scopes do not cover reading `kind`.
    pub fn read(&self, kind: &str) -> Result<()> {
        self.may(kind, Right::Read)
    }

    /// # Errors
    /// 403 where the scopes do not cover searching `kind`.
    pub fn search(&self, kind: &str) -> Result<()> {
        self.may(kind, Right::Search)
    }

    /// Narrows a query to what may be found. Without a share nothing is found.
    pub fn restrict(&self, query: &mut Query) {
        let Some(shares) = self.shares(query.kind, Right::Search) else { return };
        let mut allowed: Vec<Allowed> = shares
            .map(|share| Allowed {
                client: share.client.clone().filter(|_| in_compartment(query.kind)),
                filters: share.filters.clone(),
            })
            .collect();
        if allowed.iter().any(|one| one.client.is_none() && one.filters.is_empty()) {
            return;
        }
        if allowed.is_empty() {
            // A filter without a value matches nothing.
            let nothing = Filter { param: "_id", any: Vec::new(), not: false };
            allowed.push(Allowed { client: None, filters: vec![nothing] });
        }
        // Where all are about one client, the store finds its way by the client.
        let first = allowed[0].client.clone();
        if query.client.is_none() && first.is_some() && allowed.iter().all(|one| one.client == first) {
            query.client = first;
        }
        query.allowed = allowed;
    }

    /// The one client of whom anything of the type may be found, where there is one: every share is about it.
    #[must_use]
    pub fn only_client(&self, kind: &str) -> Option<Arc<str>> {
        let mut shares = self.shares(kind, Right::Search).filter(|_| in_compartment(kind))?;
        let first = shares.next()?.client.clone()?;
        shares.all(|share| share.client.as_ref() == Some(&first)).then_some(first)
    }

    /// Whether a stored version may leave.
    #[must_use]
    pub fn sees(&self, version: &Version) -> bool {
        self.sees_by(version, Right::Read)
    }

    /// The same for another right than reading. What may leave is noted for the trail.
    #[must_use]
    pub fn sees_by(&self, version: &Version, right: Right) -> bool {
        let kind = version.key.kind;
        let clients = read::clients_of(kind, version.client.as_deref(), &version.json);
        let seen = self.may_see(kind, &clients, right, || serde_json::from_str(&version.json).ok());
        if seen && self.traced() {
            let note = |client: Option<Arc<str>>| self.note(Noted { key: Some(version.key.clone()), client });
            match clients.as_slice() {
                [] => note(None),
                all => all.iter().for_each(|client| note(Some(client.as_str().into()))),
            }
        }
        seen
    }

    /// For the trail: something about this client leaves.
    pub fn note_client(&self, client: &str) {
        if self.traced() {
            self.note(Noted { key: None, client: Some(client.into()) });
        }
    }

    fn note(&self, noted: Noted) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
    }

    /// What has left so far; empty afterwards.
    #[must_use]
    pub fn take_notes(&self) -> Vec<Noted> {
        std::mem::take(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a resource may leave: its type, whose it is (of several clients one is enough), and itself where a
    /// filter asks.
    pub fn may_see(
        &self,
        kind: &str,
        clients: &[impl AsRef<str>],
        right: Right,
        resource: impl FnOnce() -> Option<Value>,
    ) -> bool {
        let Some(shares) = self.shares(kind, right) else { return true };
        let mut resource = Some(resource);
        let mut found: Option<Vec<Term>> = None;
        for share in shares {
            if let Some(own) = &share.client
                && in_compartment(kind)
                && !clients.iter().any(|client| client.as_ref() == own.as_ref())
            {
                continue;
            }
            if share.filters.is_empty() {
                return true;
            }
            if let Some(resource) = resource.take() {
                found = resource().map(|resource| terms(static_kind(kind), &resource, &self.terms));
            }
            if let Some(found) = &found
                && share.filters.iter().all(|filter| search::matches(filter, found))
            {
                return true;
            }
        }
        false
    }

    /// A page about this client may be drawn.
    ///
    /// # Errors
    /// 403 on scope, 404 for a client who is not theirs.
    pub fn page(&self, client: &str) -> Result<()> {
        const DRAWN: &[&str] = &["Patient", "Observation", "Flag", "Appointment", "QuestionnaireResponse", "Task"];
        for kind in DRAWN {
            self.read(kind)?;
            let whole = self.may_see(kind, &[client], Right::Read, || None);
            if !whole {
                return Err(Error::new(IssueType::NotFound, "There is no such client."));
            }
        }
        Ok(())
    }

    /// Clients other than one's own may be looked through.
    #[must_use]
    pub fn caseload(&self) -> bool {
        self.patient.is_none() && self.may_see("Patient", NOBODY, Right::Search, || None)
    }

    /// Whether what is done is to be written into the trail.
    #[must_use]
    pub fn traced(&self) -> bool {
        self.asker.is_some()
    }

    fn reaches(&self, kind: &str, client: &str, right: Right) -> bool {
        self.shares(kind, right).is_none_or(|mut shares| shares.any(|share| share.client.as_deref() == Some(client)))
    }

    /// Not everything of the type: some of it is hidden.
    fn is_narrow(&self, kind: &str, right: Right) -> bool {
        self.shares(kind, right).is_some_and(|mut shares| {
            shares.all(|share| (share.client.is_some() && in_compartment(kind)) || !share.filters.is_empty())
        })
    }

    /// One client, and no other, for every type that belongs to clients.
    fn only(&self, kind: &str, right: Right) -> bool {
        self.shares(kind, right).is_some_and(|mut shares| shares.all(|share| share.client.is_some()))
    }
}

const NOBODY: &[&str] = &[];

impl Gate for Access {
    fn narrow(&self, query: &mut Query) -> Result<()> {
        self.search(query.kind)?;
        self.restrict(query);
        Ok(())
    }

    fn admits(&self, change: &Change) -> Result<()> {
        if matches!(self.reach, Reach::All) {
            return Ok(());
        }
        let kind = change.kind;
        let nowhere = || Error::not_found(kind, "");
        // What no share of theirs reaches is to them as if it had never been: it goes the way of what is not there,
        // step by step, and gets the same answer.
        let seen = change.before.as_ref().filter(|before| {
            let json = || serde_json::from_str(before.json).ok();
            Right::EACH.into_iter().any(|right| self.may_see(kind, before.clients, right, json))
        });
        let hidden = change.before.is_some() && seen.is_none();
        let right = match (seen.is_some_and(|before| !before.deleted), &change.after) {
            (_, None) => Right::Delete,
            (true, Some(_)) => Right::Update,
            (false, Some(_)) => Right::Create,
        };
        self.may(kind, right)?;
        if !in_compartment(kind) && self.only(kind, right) {
            let text = format!("{kind} belongs to no patient; one patient's token does not change it.");
            return Err(Error::new(IssueType::Forbidden, text));
        }
        if let Some(after) = &change.after {
            if let Some(before) = seen
                && !before.clients.is_empty()
                && !after.clients.iter().any(|client| before.clients.contains(client))
            {
                let text = "A resource stays with its patient: it cannot be moved to another one.";
                return Err(Error::new(IssueType::BusinessRule, text));
            }
            if !self.may_see(kind, after.clients, right, || Some(after.resource.clone())) {
                let text = "The token does not reach what this resource would be: another patient, none, or outside its scope.";
                return Err(Error::new(IssueType::Forbidden, text));
            }
        }
        // Deleting or expecting what is not there, told apart from what is not theirs, would tell.
        let there = seen.is_some_and(|before| !before.deleted);
        if hidden || (!there && (change.after.is_none() || change.expects) && self.is_narrow(kind, right)) {
            return Err(nowhere());
        }
        if let Some(before) = seen
            && !self.may_see(kind, before.clients, right, || serde_json::from_str(before.json).ok())
        {
            return Err(nowhere());
        }
        let before = seen.map(|before| before.clients).unwrap_or_default();
        let after = change.after.as_ref().map(|after| after.clients).unwrap_or_default();
        if self.only(kind, right) && !before.iter().chain(after).all(|client| self.reaches(kind, client, right)) {
            let text = "This belongs to other patients as well; one patient's token does not change it.";
            return Err(Error::new(IssueType::Forbidden, text));
        }
        Ok(())
    }

    fn trace(&self, writes: &[Traced], now: jiff::Timestamp) -> Vec<Put> {
        let mut puts = audit::of_judgements(self.asker.as_deref(), writes, now, &self.terms);
        if let Some(asker) = &self.asker {
            puts.extend(audit::of_writes(asker, writes, now, &self.terms));
        }
        puts
    }
}

enum Person {
    Staff,
    Patient(Arc<str>),
    /// Somebody whose reach is not known here (a relative).
    Stranger,
}

fn person(fhir_user: Option<&str>) -> Person {
    let Some(user) = fhir_user else { return Person::Staff };
    let mut parts = user.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some(id), Some("Patient")) => Person::Patient(id.into()),
        (Some(_), Some("Practitioner" | "PractitionerRole")) => Person::Staff,
        _ => Person::Stranger,
    }
}

/// A granular scope's filters; `None`, so that it grants nothing, where one cannot be judged both by the store
/// and on a single resource.
fn filters(grant: &Grant, context: &TermContext) -> Option<Vec<Filter>> {
    if grant.filter.is_empty() {
        return Some(Vec::new());
    }
    let kind = crate::fhir::kinds::kind(grant.kind.as_deref()?)?.name;
    let plain = grant.filter.iter().all(|(key, value)| !value.is_empty() && !key.contains([':', '.']));
    let search = search::read(kind, &grant.filter, context, true).ok().filter(|_| plain)?;
    let filters = search.query.filters;
    let judged = |wanted: &Match| matches!(wanted, Match::Token { .. } | Match::Reference(_) | Match::Uri(_));
    let all = filters.len() == grant.filter.len() && filters.iter().all(|filter| filter.any.iter().all(judged));
    all.then_some(filters)
}

fn static_kind(kind: &str) -> &'static str {
    crate::fhir::kinds::kind(kind).map_or("", |row| row.name)
}
