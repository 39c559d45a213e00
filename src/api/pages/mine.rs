//! Whose clients a practitioner's own launch shows: those whose record names the practitioner, as general
//! practitioner, in a care team or in an appointment, and those whose record names nobody.

use crate::api::{State, launch};
use crate::error::Result;
use crate::fhir::{read, search};
use crate::smart::session::Session;
use crate::store::{Kind, Query};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Resources of one type and client that are looked through.
const LOOKED_MAX: usize = 200;
/// Where a record names who treats: type, search parameter, the elements that hold the references.
const NAMED_IN: [(Kind, &str, &[&str]); 3] = [
    ("Appointment", "actor", &["participant", "actor"]),
    ("CareTeam", "participant", &["participant", "member"]),
    ("Patient", "general-practitioner", &["generalPractitioner"]),
];

pub(super) struct Mine {
    /// `Practitioner/1` and the roles of that person.
    me: BTreeSet<String>,
}

impl Mine {
    /// `None`: the launch is for one patient, or does not say who launched.
    ///
    /// # Errors
    /// The database.
    pub async fn of(state: &State, session: &Session) -> Result<Option<Self>> {
        let Some(user) = launch::performer(state, session).filter(|_| session.patient.is_none()) else {
            return Ok(None);
        };
        let mut me = BTreeSet::from([user.clone()]);
        if let Some(id) = user.strip_prefix("PractitionerRole/") {
            let role = super::json(state, "PractitionerRole", id).await?;
            me.extend(role.as_ref().and_then(|role| local(role.get("practitioner")?)));
        }
        for person in me.clone().iter().filter(|one| one.starts_with("Practitioner/")) {
            for role in found(state, "PractitionerRole", "practitioner", person).await? {
                me.extend(role.get("id").and_then(Value::as_str).map(|id| format!("PractitionerRole/{id}")));
            }
        }
        Ok(Some(Self { me }))
    }

    /// Those whose record names the practitioner, newest first, up to a limit.
    ///
    /// # Errors
    /// The database.
    pub async fn clients(&self, state: &State) -> Result<Vec<Arc<str>>> {
        let mut out: Vec<Arc<str>> = Vec::new();
        for (kind, parameter, _) in NAMED_IN {
            for me in &self.me {
                for resource in found(state, kind, parameter, me).await? {
                    for client in read::clients(&resource).into_iter().map(Arc::from) {
                        if !out.contains(&client) {
                            out.push(client);
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    /// Whether the client's record names the practitioner, or nobody.
    ///
    /// # Errors
    /// The database.
    pub async fn shows(&self, state: &State, client: &str) -> Result<bool> {
        let mut nobody = true;
        for (kind, _, path) in NAMED_IN {
            let resources = if kind == "Patient" {
                super::json(state, kind, client).await?.into_iter().collect()
            } else {
                let query = Query { kind, client: Some(client.into()), count: LOOKED_MAX, ..Query::default() };
                parsed(state, &query).await?
            };
            let mut named = BTreeSet::new();
            resources.iter().for_each(|resource| names(resource, path, &mut named));
            if !named.is_disjoint(&self.me) {
                return Ok(true);
            }
            nobody &= named.is_empty();
        }
        Ok(nobody)
    }
}

async fn found(state: &State, kind: Kind, parameter: &str, reference: &str) -> Result<Vec<Value>> {
    let pairs = [(parameter.to_owned(), reference.to_owned())];
    let mut query = search::read(kind, &pairs, &state.pipeline.term_context(), true)?.query;
    query.count = LOOKED_MAX;
    parsed(state, &query).await
}

async fn parsed(state: &State, query: &Query) -> Result<Vec<Value>> {
    let page = state.pipeline.store.search(query).await?;
    Ok(page.versions.iter().filter_map(|version| serde_json::from_str(&version.json).ok()).collect())
}

/// Practitioners and their roles at the end of `path`.
fn names(value: &Value, path: &[&str], out: &mut BTreeSet<String>) {
    match (value, path) {
        (Value::Array(items), _) => items.iter().for_each(|item| names(item, path, out)),
        (_, [first, rest @ ..]) => {
            if let Some(inner) = value.get(*first) {
                names(inner, rest, out);
            }
        }
        (_, []) => out.extend(local(value)),
    }
}

/// `Practitioner/1` of a reference, however it is written.
fn local(reference: &Value) -> Option<String> {
    let text = reference.get("reference")?.as_str()?;
    let text = text.split("/_history/").next().unwrap_or(text);
    let mut parts = text.rsplit('/');
    let (id, kind) = (parts.next()?, parts.next()?);
    matches!(kind, "Practitioner" | "PractitionerRole").then(|| format!("{kind}/{id}"))
}
