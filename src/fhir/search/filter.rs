//! One `name=value` of a search as a filter: modifiers, chaining, `_has`.

use super::value::{self, parts, plain, split};
use super::{bad, clip};
use crate::fhir::artefacts;
use crate::fhir::kinds::{KINDS, kind};
use crate::fhir::outcome::{Issue, IssueType};
use crate::fhir::parameters::{Parameter, ParameterType, TermContext, parameter};
use crate::store::{Filter, Kind, Match, Query};

type Read = Result<Option<Filter>, Issue>;

/// Reads one parameter of a search over `name`; `None`: nobody here knows it. `links` more may be followed.
pub(super) fn read(name: Kind, key: &str, value: &str, context: &TermContext, links: usize) -> Read {
    if let Some(rest) = key.strip_prefix("_has:") {
        return has(name, rest, key, value, context, links);
    }
    let (head, tail) = key.split_once('.').map_or((key, None), |(head, tail)| (head, Some(tail)));
    let (code, modifier) = head.split_once(':').map_or((head, None), |(code, modifier)| (code, Some(modifier)));
    if let Some(tail) = tail {
        return match parameter(name, code) {
            Some(parameter) => chain(parameter, modifier, tail, key, value, context, links),
            None => Ok(None),
        };
    }
    match (code, modifier) {
        ("_id", None) => {
            let any = split(value).iter().map(|id| Match::Id(plain(id))).collect();
            return Ok(Some(Filter { param: "_id", any, not: false }));
        }
        ("_lastUpdated", None) => {
            let any = split(value).iter().map(|one| value::date(key, one, context)).collect::<Result<_, _>>()?;
            return Ok(Some(Filter { param: "_lastUpdated", any, not: false }));
        }
        ("_id" | "_lastUpdated", Some(_)) => {
            let text = format!("'{}': this parameter takes no modifier here.", clip(key));
            return Err(Issue::error(IssueType::NotSupported, text));
        }
        _ => {}
    }
    let Some(parameter) = parameter(name, code) else { return Ok(None) };
    if value.is_empty() {
        return Err(bad(key, "at least one value"));
    }
    filter(parameter, modifier, key, value, context).map(Some)
}

fn filter(
    parameter: &'static Parameter,
    modifier: Option<&str>,
    key: &str,
    text: &str,
    context: &TermContext,
) -> Result<Filter, Issue> {
    use ParameterType::{Reference, String, Token, Uri};
    let values = split(text);
    let all = |read: &dyn Fn(&str) -> Match| values.iter().map(|one| read(one)).collect::<Vec<_>>();
    let (param, any, not) = match (parameter.kind, modifier) {
        (_, Some("missing")) => {
            let missing = text.parse().map_err(|_| bad(key, "true or false"))?;
            (parameter.code, vec![Match::Missing(missing)], false)
        }
        (Token, None | Some("not")) => {
            let any = values.iter().flat_map(|one| value::tokens(parameter, one)).collect();
            (parameter.code, any, modifier.is_some())
        }
        (_, None) => {
            let read = |one: &std::string::String| value::one(parameter.kind, parameter, key, one, context);
            (parameter.code, values.iter().map(read).collect::<Result<_, _>>()?, false)
        }
        (Token, Some(modifier @ ("in" | "not-in"))) => {
            (parameter.code, members(parameter, key, text)?, modifier == "not-in")
        }
        (Token, Some("of-type")) if parameter.beside.is_some() => {
            let any = values.iter().map(|one| of_type(key, one)).collect::<Result<_, _>>()?;
            (parameter.beside.unwrap_or(parameter.code), any, false)
        }
        (Token, Some("text")) if parameter.text.is_some() => {
            (parameter.text.unwrap_or(parameter.code), all(&|one| Match::TextStarts(plain(one))), false)
        }
        // Findings have the words of our code systems.
        (Token, Some("text")) if parameter.implied.is_none() => {
            let named = values.iter().flat_map(|one| artefacts::displayed(&plain(one)));
            let any = named.map(|(system, code)| Match::Token { system: Some(system), code: Some(code) }).collect();
            (parameter.code, any, false)
        }
        (Reference, Some("identifier")) => (parameter.beside.unwrap_or(parameter.code), all(&value::token), false),
        // `subject:Patient=1`
        (Reference, Some(target)) if kind(target).is_some() || parameter.targets.contains(&target) => {
            (parameter.code, all(&|one| value::reference(parameter, Some(target), one, context)), false)
        }
        (String, Some("exact")) => (parameter.code, all(&|one| Match::TextExact(plain(one))), false),
        // R4 knows it of tokens alone; of a string it is what is anywhere in it.
        (String, Some("contains" | "text")) => (parameter.code, all(&|one| Match::TextContains(plain(one))), false),
        (Uri, Some("below")) => (parameter.code, all(&|one| Match::UriBelow(plain(one))), false),
        (Uri, Some("above")) => (parameter.code, values.iter().flat_map(|one| above(&plain(one))).collect(), false),
        _ => return Err(no_modifier(parameter, key)),
    };
    Ok(Filter { param, any, not })
}

fn no_modifier(parameter: &Parameter, key: &str) -> Issue {
    use ParameterType::{Reference, String, Token, Uri};
    let there = match parameter.kind {
        Token if parameter.implied.is_some() => "missing, not; its codes have neither words nor a hierarchy",
        Token if parameter.code == "identifier" => "missing, not, text, of-type",
        Token => "missing, not, text, in, not-in (value sets of this server; no code system here has a hierarchy)",
        Reference => "missing, identifier, and the name of a type",
        String => "missing, exact, contains, text",
        Uri => "missing, above, below",
        _ => "missing",
    };
    let (of, key) = (parameter.kind.as_str(), clip(key));
    let text = format!("'{key}': this modifier is not supported for this {of} parameter. There are: {there}.");
    Issue::error(IssueType::NotSupported, text)
}

/// `type-system|type-code|value`
fn of_type(key: &str, text: &str) -> Result<Match, Issue> {
    match parts(text, '|').as_slice() {
        [system, code, value] if !code.is_empty() && !value.is_empty() => {
            Ok(Match::Token { system: Some(format!("{}|{}", plain(system), plain(code))), code: Some(plain(value)) })
        }
        _ => Err(bad(key, "system|code|value, the first two of the identifier's type")),
    }
}

/// The URL itself, and every one that a slash further left ends.
fn above(uri: &str) -> Vec<Match> {
    let start = uri.find("://").map_or(0, |at| at + 3);
    let ends = uri.match_indices('/').map(|(at, _)| at).filter(|at| *at > start);
    ends.chain([uri.len()]).map(|end| Match::Uri(uri[..end].to_owned())).collect()
}

/// The codes of value sets, which have to be ours: nothing else is expanded here.
fn members(parameter: &Parameter, key: &str, text: &str) -> Result<Vec<Match>, Issue> {
    let mut any = Vec::new();
    for url in split(text) {
        let codes = artefacts::expansion(&plain(&url)).ok_or_else(|| {
            let text = format!("'{}' takes the URL of a ValueSet of this server.", clip(key));
            Issue::error(IssueType::NotFound, text)
        })?;
        let codes = codes.into_iter().map(|(system, code)| Match::Token { system: Some(system), code: Some(code) });
        // Where elements leave their system out, it is none of ours.
        any.extend(codes.filter(|_| parameter.implied.is_none()));
    }
    Ok(any)
}

/// `patient.name`, `subject:Patient.identifier:exact`
fn chain(
    parameter: &'static Parameter,
    target: Option<&str>,
    tail: &str,
    key: &str,
    value: &str,
    context: &TermContext,
    links: usize,
) -> Read {
    if parameter.kind != ParameterType::Reference {
        let text = format!("'{}': only a reference can be followed.", clip(key));
        return Err(Issue::error(IssueType::NotSupported, text));
    }
    let links = links.checked_sub(1).ok_or_else(|| too_long(key))?;
    let possible = |name: &str| parameter.targets.is_empty() || parameter.targets.contains(&name);
    let wanted = |name: &str| target.map_or_else(|| possible(name), |target| target == name);
    let mut any = Vec::new();
    let mut faults = Vec::new();
    for row in KINDS.iter().filter(|row| wanted(row.name)) {
        match read(row.name, tail, value, context, links) {
            Ok(Some(filter)) => any.push(Match::Chain(Box::new(query(row.name, filter)))),
            Ok(None) => {}
            Err(fault) => faults.push(fault),
        }
    }
    match (any.is_empty(), faults.into_iter().next()) {
        (true, Some(fault)) => Err(fault),
        (true, None) => Ok(None),
        (false, _) => Ok(Some(Filter { param: parameter.code, any, not: false })),
    }
}

/// `_has:Task:patient:status`, read as far as `Task:patient:status`.
fn has(name: Kind, rest: &str, key: &str, value: &str, context: &TermContext, links: usize) -> Read {
    let links = links.checked_sub(1).ok_or_else(|| too_long(key))?;
    let mut cells = rest.splitn(3, ':');
    let (Some(other), Some(by), Some(tail)) = (cells.next(), cells.next(), cells.next()) else {
        return Err(bad(key, "named as _has:Type:reference:parameter"));
    };
    let Some(row) = kind(other) else { return Ok(None) };
    let Some(by) = parameter(row.name, by).filter(|by| by.kind == ParameterType::Reference) else { return Ok(None) };
    if !by.targets.is_empty() && !by.targets.contains(&name) {
        return Ok(None);
    }
    let Some(filter) = read(row.name, tail, value, context, links)? else { return Ok(None) };
    let wanted = Match::Has { param: by.code, query: Box::new(query(row.name, filter)) };
    Ok(Some(Filter { param: "_has", any: vec![wanted], not: false }))
}

fn query(kind: Kind, filter: Filter) -> Query {
    Query { kind, filters: vec![filter], ..Query::default() }
}

fn too_long(key: &str) -> Issue {
    let most = super::CHAIN_LINKS_MAX;
    let text = format!("'{}' follows too many references; {most} are possible.", clip(key));
    Issue::error(IssueType::TooCostly, text)
}
