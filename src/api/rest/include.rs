//! `_include` and `_revinclude`: what the matches refer to, and what refers to them.

use super::may_ask;
use crate::api::State;
use crate::api::access::Access;
use crate::error::Result;
use crate::fhir::kinds::kind;
use crate::fhir::parameters::{Parameter, parameter, terms_of};
use crate::fhir::search::Include;
use crate::smart::scope::Right;
use crate::store::{Filter, Key, Kind, Match, Query, TermValue, Version};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Most resources that one page includes beside its matches.
pub const INCLUDED_MAX: usize = 1_000;
/// Most times that `:iterate` goes on from what it has found.
pub const ROUNDS_MAX: usize = 5;
/// References asked for at once.
const REFERENCES_AT_ONCE: usize = 100;

/// What a page includes.
#[derive(Debug, Default)]
pub struct Included {
    pub versions: Vec<Version>,
    /// There is more than a page may include.
    pub cut: bool,
}

/// Follows `includes` from `matches`, each resource once.
pub async fn included(state: &State, access: &Access, includes: &[Include], matches: &[Version]) -> Result<Included> {
    let mut found = Included::default();
    let mut seen: HashSet<Key> = matches.iter().map(|version| version.key.clone()).collect();
    let mut from: Vec<Version> = matches.to_vec();
    for round in 0..=ROUNDS_MAX {
        let mut new = Vec::new();
        for include in includes.iter().filter(|include| round == 0 || include.iterate) {
            for mut query in queries(state, include, &from) {
                if may_ask(access, &mut query).is_err() {
                    continue;
                }
                let mut page = state.pipeline.store.search(&query).await?;
                page.versions.retain(|version| access.sees_by(version, Right::Search));
                found.cut |= page.next.is_some();
                new.extend(page.versions.into_iter().filter(|version| seen.insert(version.key.clone())));
            }
        }
        if new.is_empty() || round == ROUNDS_MAX {
            found.cut |= !new.is_empty();
            break;
        }
        found.versions.extend(new.iter().cloned());
        if found.versions.len() > INCLUDED_MAX {
            found.versions.truncate(INCLUDED_MAX);
            found.cut = true;
            break;
        }
        from = new;
    }
    Ok(found)
}

fn queries(state: &State, include: &Include, from: &[Version]) -> Vec<Query> {
    if include.reverse { backward(include, from) } else { forward(state, include, from) }
}

fn backward(include: &Include, from: &[Version]) -> Vec<Query> {
    let mut out = Vec::new();
    for (source, by) in &include.along {
        let reachable = |kind: &str| {
            include.target.is_none_or(|target| target == kind) && (by.targets.is_empty() || by.targets.contains(&kind))
        };
        let refer = |version: &Version| Match::Reference(format!("{}/{}", version.key.kind, version.key.id));
        let all: Vec<Match> = from.iter().filter(|version| reachable(version.key.kind)).map(refer).collect();
        out.extend(all.chunks(REFERENCES_AT_ONCE).map(|any| query(source, by.code, any.to_vec(), INCLUDED_MAX)));
    }
    out
}

fn forward(state: &State, include: &Include, from: &[Version]) -> Vec<Query> {
    let context = state.pipeline.term_context();
    let mut ids: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
    let mut urls: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
    for version in from {
        let along = include.along.iter().filter(|(source, _)| *source == version.key.kind);
        let Ok(resource) = serde_json::from_str::<Value>(&version.json) else { continue };
        for (_, by) in along {
            for term in terms_of(by, &resource, &context) {
                let TermValue::Reference(reference) = term.value else { continue };
                match reference.split_once('/').and_then(|(name, id)| Some((kind(name)?.name, id))) {
                    Some((name, id)) if include.target.is_none_or(|target| target == name) => {
                        ids.entry(name).or_default().insert(id.to_owned());
                    }
                    Some(_) => {}
                    // A canonical: the resource whose `url` it is.
                    None => {
                        for target in canonical_targets(by, include) {
                            urls.entry(target).or_default().insert(reference.clone());
                        }
                    }
                }
            }
        }
    }
    let by_id = ids.into_iter().flat_map(|(kind, ids)| chunks(kind, "_id", ids, Match::Id));
    let by_url = urls.into_iter().flat_map(|(kind, urls)| chunks(kind, "url", urls, Match::Uri));
    by_id.chain(by_url).collect()
}

fn canonical_targets(by: &'static Parameter, include: &Include) -> impl Iterator<Item = Kind> {
    let wanted = include.target;
    by.targets
        .iter()
        .filter_map(|name| kind(name))
        .map(|row| row.name)
        .filter(move |name| wanted.is_none_or(|wanted| wanted == *name) && parameter(name, "url").is_some())
}

fn chunks(kind: Kind, param: &'static str, texts: BTreeSet<String>, wanted: fn(String) -> Match) -> Vec<Query> {
    let all: Vec<Match> = texts.into_iter().map(wanted).collect();
    all.chunks(REFERENCES_AT_ONCE).map(|any| query(kind, param, any.to_vec(), INCLUDED_MAX)).collect()
}

fn query(kind: Kind, param: &'static str, any: Vec<Match>, count: usize) -> Query {
    Query { kind, count, filters: vec![Filter { param, any, not: false }], ..Query::default() }
}
