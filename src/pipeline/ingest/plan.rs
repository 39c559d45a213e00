//! Which resource each write is about, once criteria and references within the transaction are resolved.

use super::stamp::set_id;
use super::{Action, Expected, Gate, Lost, Target, Write};
use crate::error::{Error, Result};
use crate::fhir::bundle::{self, conditional_references, rewrite, unresolved};
use crate::fhir::kinds::kind;
use crate::fhir::outcome::{Issue, IssueType};
use crate::fhir::parameters::TermContext;
use crate::fhir::search;
use crate::pipeline::Pipeline;
use crate::store::{Head, Key, Kind, Method, Query, Tx};
use serde_json::Value;
use std::collections::HashMap;

/// More than the one that may be found.
const SEVERAL: usize = 2;

pub(super) struct Plan {
    pub(super) key: Key,
    /// The id is new: nothing can stand there.
    pub(super) fresh: bool,
    full_url: Option<String>,
    pub(super) prefix: String,
    pub(super) work: Work,
    /// The search that it rested on.
    criteria: Vec<(String, String)>,
}

pub(super) enum Work {
    Put {
        resource: Value,
        method: Method,
        check: Check,
    },
    Delete {
        check: Check,
        /// Also where there was never one.
        bury: bool,
    },
    /// It is there already (conditional create), or there is nothing to do.
    Keep,
}

pub(super) enum Check {
    None,
    /// If-Match
    Stands(Expected),
    /// If-None-Match: *
    New,
}

impl Check {
    pub(super) fn holds(&self, head: Option<&Head>, prefix: &str) -> Result<()> {
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

impl Pipeline {
    /// Settles which key a write is about.
    pub(super) async fn plan(
        &self,
        tx: &mut dyn Tx,
        gate: &dyn Gate,
        write: Write,
        context: &TermContext,
    ) -> std::result::Result<Plan, Lost> {
        let Write { kind, full_url, prefix, action } = write;
        let criteria = match &action {
            Action::Create { if_none_exist: Some(criteria), .. }
            | Action::Update { target: Target::Criteria(criteria), .. } => criteria.clone(),
            _ => Vec::new(),
        };
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
                    Target::Id(id) => (new(id), false, Work::Delete { check, bury: false }),
                    Target::Criteria(criteria) => match self.find(tx, gate, kind, &criteria, context).await?.as_slice()
                    {
                        [] => (new(String::new()), true, Work::Keep),
                        [one] => (one.clone(), false, Work::Delete { check, bury: false }),
                        _ => return Err(several(&prefix, "request.url").into()),
                    },
                }
            }
            Action::Bury { id } => (new(id), false, Work::Delete { check: Check::None, bury: kind == "Patient" }),
        };
        Ok(Plan { key, fresh, full_url, prefix, work, criteria })
    }

    async fn find(
        &self,
        tx: &mut dyn Tx,
        gate: &dyn Gate,
        kind: Kind,
        criteria: &[(String, String)],
        context: &TermContext,
    ) -> std::result::Result<Vec<Key>, Lost> {
        Ok(tx.matches(&criteria_query(gate, kind, criteria, context)?, SEVERAL).await?)
    }

    /// What a reference that is a search finds once the transaction is carried out (R4: conditional references are
    /// resolved last): what stands, and what its entries put, as they put it.
    async fn meant(
        &self,
        tx: &mut dyn Tx,
        gate: &dyn Gate,
        plans: &[Plan],
        kind: Kind,
        criteria: &[(String, String)],
        context: &TermContext,
    ) -> std::result::Result<Vec<Key>, Lost> {
        let query = criteria_query(gate, kind, criteria, context)?;
        let mut here: Vec<Key> = Vec::new();
        // Those of which the transaction leaves something else than what stands.
        let mut changed: Vec<&Key> = Vec::new();
        for plan in plans.iter().filter(|plan| plan.key.kind == kind) {
            let fits = match &plan.work {
                Work::Keep => continue,
                Work::Delete { .. } => Some(false),
                Work::Put { .. } if plan.criteria == criteria => Some(true),
                Work::Put { resource, .. } => search::fits(&query.filters, &plan.key.id, kind, resource, context),
            };
            match fits {
                Some(true) => here.push(plan.key.clone()),
                Some(false) => {}
                // Only the database can tell: by what stood.
                None => continue,
            }
            changed.push(&plan.key);
        }
        let stood = tx.matches(&query, SEVERAL + changed.len()).await?;
        here.extend(stood.into_iter().filter(|key| !changed.contains(&key)));
        Ok(here)
    }

    /// Every search that these writes rest on, as far as they can be read; what is wrong with the others is said in
    /// its place.
    pub(super) fn all_criteria(&self, gate: &dyn Gate, writes: &[Write], context: &TermContext) -> Vec<Query> {
        let mut queries = Vec::new();
        for write in writes {
            let (criteria, resource) = match &write.action {
                Action::Create { resource, if_none_exist } => (if_none_exist.as_ref(), Some(resource)),
                Action::Update { target: Target::Criteria(criteria), resource, .. } => (Some(criteria), Some(resource)),
                Action::Update { resource, .. } | Action::Patch { resource, .. } => (None, Some(resource)),
                Action::Delete { target: Target::Criteria(criteria), .. } => (Some(criteria), None),
                Action::Delete { .. } | Action::Bury { .. } => (None, None),
            };
            let own = criteria.and_then(|criteria| criteria_query(gate, write.kind, criteria, context).ok());
            queries.extend(own);
            for reference in resource.map(conditional_references).unwrap_or_default() {
                let target = bundle::Target::read(&reference, &self.base);
                let row = target.path.first().and_then(|name| kind(name));
                queries.extend(row.and_then(|row| criteria_query(gate, row.name, &target.query, context).ok()));
            }
        }
        queries
    }

    /// Makes references between the entries of one Bundle, and references that are searches, point where they mean.
    pub(super) async fn link(
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
                let target = bundle::Target::read(&reference, &self.base);
                let known = target.path.first().and_then(|name| kind(name));
                let unresolved = || {
                    let text = "A reference that is a search has to find exactly one resource.";
                    Error::from(at(Issue::error(IssueType::Processing, text), &plan.prefix, "resource"))
                        .with_status(412)
                };
                let row = known.ok_or_else(unresolved)?;
                match self.meant(tx, gate, plans, row.name, &target.query, context).await?.as_slice() {
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
}

/// The search that a conditional interaction rests on.
fn criteria_query(
    gate: &dyn Gate,
    kind: Kind,
    criteria: &[(String, String)],
    context: &TermContext,
) -> std::result::Result<Query, Lost> {
    let mut found = search::read(kind, criteria, context, true).map_err(Error::of_query)?;
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
pub(super) fn twice(plans: &[Plan]) -> Option<Issue> {
    let mut seen = std::collections::HashSet::new();
    plans.iter().filter(|plan| !matches!(plan.work, Work::Keep)).find(|plan| !seen.insert(&plan.key)).map(|plan| {
        let text = "The same resource is changed by two entries of this transaction.";
        at(Issue::error(IssueType::Invalid, text), &plan.prefix, "request.url")
    })
}
