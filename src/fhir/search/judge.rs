//! Whether one resource fits a search, by its terms alone.

use super::TermContext;
use crate::fhir::parameters::terms;
use crate::store::{Filter, Match, Term, TermValue};
use serde_json::Value;

/// Whether a resource fits all of these; `None` where one of them cannot be judged here.
#[must_use]
pub fn fits(filters: &[Filter], id: &str, kind: &str, resource: &Value, context: &TermContext) -> Option<bool> {
    if !filters.iter().all(is_judged) {
        return None;
    }
    let found = terms(kind, resource, context);
    Some(filters.iter().all(|filter| match filter.param {
        "_id" => filter.any.iter().any(|wanted| matches!(wanted, Match::Id(wanted) if wanted == id)),
        _ => matches(filter, &found),
    }))
}

fn is_judged(filter: &Filter) -> bool {
    filter.any.iter().all(|wanted| match wanted {
        Match::Token { .. } | Match::Reference(_) | Match::ReferenceId(_) | Match::Uri(_) | Match::TextExact(_) => true,
        Match::Id(_) => filter.param == "_id",
        _ => false,
    })
}

/// Whether a filter of tokens, references, URLs or exact texts finds what has these terms.
#[must_use]
pub fn matches(filter: &Filter, found: &[Term]) -> bool {
    let one = |wanted: &Match, term: &TermValue| match (wanted, term) {
        (Match::Token { system, code }, TermValue::Token { system: has, code: is }) => {
            let system_fits = match system.as_deref() {
                None => true,
                Some("") => has.is_none(),
                Some(system) => has.as_deref() == Some(system),
            };
            system_fits && code.as_ref().is_none_or(|code| code == is)
        }
        (Match::Reference(wanted), TermValue::Reference(is))
        | (Match::Uri(wanted), TermValue::Uri(is))
        | (Match::TextExact(wanted), TermValue::Text(is)) => wanted == is,
        (Match::ReferenceId(wanted), TermValue::Reference(is)) => {
            is.split_once('/').is_some_and(|(_, id)| id == wanted)
        }
        _ => false,
    };
    let of_param = found.iter().filter(|term| term.param == filter.param);
    let matched = of_param.into_iter().any(|term| filter.any.iter().any(|wanted| one(wanted, &term.value)));
    matched != filter.not
}
