//! What a resource can be found by, as columns and term rows.

use super::error::broken;
use super::fold::{bounded, fold};
use super::layout::{NO_DATE, Place, pair, param_code, place, relative};
use crate::store::{Put, Result, TermValue};
use std::collections::BTreeSet;

/// The longest interval that `span` keeps: a date minus it never overflows.
const LONGEST_MAX: i64 = 1 << 61;
/// Every date's bounds are kept within this.
pub(super) const DATE_MAX: i64 = 1 << 61;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TermRow {
    pub(super) param: i32,
    pub(super) lo: Option<i64>,
    pub(super) hi: Option<i64>,
    pub(super) num: Option<f64>,
    pub(super) text: Option<String>,
    pub(super) raw: Option<String>,
}

#[derive(Debug)]
pub(super) struct Indexed {
    pub(super) status: Option<String>,
    /// Half-open; `NO_DATE` twice where there is none.
    pub(super) date: (i64, i64),
    pub(super) held: i16,
    pub(super) terms: Vec<TermRow>,
}

impl Indexed {
    /// Length of the main date, rounded up to a power of two, so that the longest seen changes seldom.
    pub(super) fn length(&self) -> i64 {
        let length = self.date.1.saturating_sub(self.date.0).clamp(0, LONGEST_MAX);
        if length == 0 { 0 } else { (length as u64).next_power_of_two() as i64 }
    }
}

pub(super) fn index(put: &Put) -> Result<Indexed> {
    let mut indexed = Indexed { status: None, date: (NO_DATE, NO_DATE), held: 0, terms: Vec::new() };
    if put.deleted || put.behind {
        return Ok(indexed);
    }
    for term in &put.terms {
        match (place(put.key.kind, term.param), &term.value) {
            (Place::Status, TermValue::Token { code, .. }) => {
                let status = bounded(code);
                if indexed.status.as_ref().is_some_and(|other| *other != status) {
                    return Err(broken("a resource has two values for its status"));
                }
                indexed.status = Some(status);
            }
            (Place::Date, TermValue::Date { from, to }) => {
                let (from, to) = interval(*from, *to);
                indexed.date = match indexed.date {
                    (NO_DATE, _) => (from, to),
                    (first, last) => (first.min(from), last.max(to)),
                };
            }
            (Place::Status | Place::Date, _) => return Err(broken("a term has another type than its parameter")),
            (Place::Client(bit), TermValue::Reference(reference)) if is_client(put, reference) => indexed.held |= bit,
            // Others' terms say it.
            (Place::Shared(params), _) if !params.contains(&term.param) => {}
            (Place::Client(_) | Place::Term | Place::Shared(_), value) => {
                indexed.terms.push(TermRow { param: param_code(put.key.kind, term.param), ..term_row(value) });
            }
        }
    }
    // No term twice: a search that starts from the terms would give the resource twice.
    indexed.terms.sort_by(|a, b| {
        let numbers = a.num.unwrap_or_default().total_cmp(&b.num.unwrap_or_default());
        (a.param, &a.text, &a.raw, a.lo, a.hi).cmp(&(b.param, &b.text, &b.raw, b.lo, b.hi)).then(numbers)
    });
    indexed.terms.dedup();
    drop_answered(put, &mut indexed.terms);
    if indexed.terms.len() > i16::MAX as usize {
        return Err(broken("a resource has too many search terms"));
    }
    Ok(indexed)
}

/// Drops the terms that another parameter's term answers as well.
fn drop_answered(put: &Put, terms: &mut Vec<TermRow>) {
    let shared = put.terms.iter().filter_map(|term| match place(put.key.kind, term.param) {
        Place::Shared(params) if params.first() == Some(&term.param) => Some(params),
        _ => None,
    });
    for params in shared.collect::<BTreeSet<_>>() {
        let codes: Vec<i32> = params.iter().map(|param| param_code(put.key.kind, param)).collect();
        let (own, mut kept): (Vec<_>, Vec<_>) = terms.drain(..).partition(|row| codes.first() == Some(&row.param));
        let is_answered = |row: &TermRow| {
            kept.iter().filter(|other| codes.contains(&other.param)).any(|other| match row.num {
                Some(_) => other.num == row.num && other.raw == row.raw,
                None => other.text == row.text,
            })
        };
        let left: Vec<_> = own.into_iter().filter(|row| !is_answered(row)).collect();
        kept.extend(left);
        *terms = kept;
    }
}

fn is_client(put: &Put, reference: &str) -> bool {
    put.client.as_ref().is_some_and(|client| reference.strip_prefix("Patient/") == Some(client.as_ref()))
}

fn term_row(value: &TermValue) -> TermRow {
    match value {
        TermValue::Token { system, code } => {
            TermRow { text: Some(token(system.as_deref(), code)), ..TermRow::default() }
        }
        TermValue::Reference(text) => TermRow { text: Some(reference(text)), ..TermRow::default() },
        TermValue::Uri(uri) => TermRow { text: Some(bounded(uri)), ..TermRow::default() },
        TermValue::Text(text) => {
            let folded = fold(text);
            let raw = (folded != *text).then(|| bounded(text));
            TermRow { text: Some(folded), raw, ..TermRow::default() }
        }
        TermValue::Date { from, to } => {
            let (from, to) = interval(*from, *to);
            TermRow { lo: Some(from), hi: Some(to), ..TermRow::default() }
        }
        TermValue::Pair { system, code, value } => {
            let row = term_row(value);
            // A quantity keeps its unit in `raw`; of a text, what it is found by takes that place.
            let raw = row.text.or(row.raw);
            TermRow { text: Some(token(system.as_deref(), code)), raw, ..row }
        }
        TermValue::Number(number) => TermRow { num: Some(*number), ..TermRow::default() },
        TermValue::Quantity { value, system, code } => TermRow {
            num: Some(*value),
            raw: Some(token(system.as_deref(), code.as_deref().unwrap_or_default())),
            ..TermRow::default()
        },
    }
}

pub(super) fn token(system: Option<&str>, code: &str) -> String {
    bounded(&pair(code, system.unwrap_or_default()))
}

/// `Patient/1` by id first, so that an id alone finds it; a URL as it is.
pub(super) fn reference(text: &str) -> String {
    match relative(text) {
        Some((id, kind)) => pair(id, kind),
        None => bounded(text),
    }
}

/// Within bounds that can be reckoned with, and never empty.
pub(super) fn interval(from: i64, to: i64) -> (i64, i64) {
    let from = from.clamp(-DATE_MAX, DATE_MAX - 1);
    (from, to.clamp(from + 1, DATE_MAX))
}
