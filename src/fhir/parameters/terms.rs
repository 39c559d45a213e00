//! What a resource can be found by.

use super::path::collect;
use super::{CompositeValue, Parameter, ParameterType, TERM_CHARS_MAX, TERMS_MAX, TermContext, parameters};
use crate::fhir::time;
use crate::store::{Term, TermValue};
use jiff::tz::TimeZone;
use serde_json::Value;

/// Everything `resource` can be found by. Order and number depend on the resource alone. R4's combo- parameters are
/// left out: what they find is what the whole and its components are found by, and the store asks those.
#[must_use]
pub fn terms(kind: &str, resource: &Value, context: &TermContext) -> Vec<Term> {
    let mut out = Vec::new();
    for parameter in parameters(kind).iter().filter(|parameter| !parameter.code.starts_with("combo-")) {
        gather(parameter, resource, context, &mut out);
    }
    out.truncate(TERMS_MAX);
    out
}

/// What `resource` can be found by through one parameter.
#[must_use]
pub fn terms_of(parameter: &Parameter, resource: &Value, context: &TermContext) -> Vec<Term> {
    let mut out = Vec::new();
    gather(parameter, resource, context, &mut out);
    out.retain(|term| term.param == parameter.code);
    out
}

fn gather(parameter: &Parameter, resource: &Value, context: &TermContext, out: &mut Vec<Term>) {
    for path in &parameter.paths {
        collect(resource, &path.steps, &mut |found| match parameter.value {
            Some(value) => pairs(parameter, value, found, context, out),
            None => push(parameter, found, context, out),
        });
    }
}

/// The code of one element with each value beside it.
fn pairs(parameter: &Parameter, value: &CompositeValue, found: &Value, context: &TermContext, out: &mut Vec<Term>) {
    let Some(code) = found.get("code") else { return };
    let mut codes = Vec::new();
    tokens(code, &mut |term| codes.push(term));
    for beside in value.keys.iter().filter_map(|key| found.get(*key)) {
        let mut values = Vec::new();
        values_of(value.kind, beside, context, &mut |term| values.push(term));
        for (code, value) in codes.iter().flat_map(|code| values.iter().map(move |value| (code, value))) {
            if let TermValue::Token { system, code } = code {
                let (system, code, value) = (system.clone(), code.clone(), Box::new(value.clone()));
                add(parameter.code, TermValue::Pair { system, code, value }, out);
            }
        }
    }
}

fn add(param: &'static str, value: TermValue, out: &mut Vec<Term>) {
    let term = Term { param, value };
    if !out.contains(&term) {
        out.push(term);
    }
}

fn push(parameter: &Parameter, value: &Value, context: &TermContext, out: &mut Vec<Term>) {
    values_of(parameter.kind, value, context, &mut |value| add(parameter.code, value, out));
    if let Some(beside) = parameter.beside {
        push_beside(parameter.kind, beside, value, out);
    }
    if let Some(words) = parameter.text {
        worded(value, &mut |text| add(words, TermValue::Text(cut(text)), out));
    }
}

/// The words beside a code: `CodeableConcept.text`, `Coding.display`, `Identifier.type.text`.
fn worded(value: &Value, add: &mut dyn FnMut(&str)) {
    let one = |key: &str| value.get(key).and_then(Value::as_str);
    let codings = value.get("coding").and_then(Value::as_array).into_iter().flatten();
    let displays = codings.filter_map(|coding| coding.get("display").and_then(Value::as_str));
    let of_type = value.pointer("/type/text").and_then(Value::as_str);
    [one("text"), one("display"), of_type].into_iter().flatten().chain(displays).for_each(add);
}

/// What `:identifier` finds a reference by, and `:of-type` an identifier: its type takes the system's place.
fn push_beside(kind: ParameterType, beside: &'static str, value: &Value, out: &mut Vec<Term>) {
    if kind == ParameterType::Reference {
        if let Some(identifier) = value.get("identifier") {
            tokens(identifier, &mut |term| add(beside, term, out));
        }
        return;
    }
    let Some(code) = text(value, "value") else { return };
    let codings = value.pointer("/type/coding").and_then(Value::as_array).into_iter().flatten();
    for coding in codings {
        if let Some(of) = text(coding, "code") {
            let system = text(coding, "system").unwrap_or_default();
            let of_type = TermValue::Token { system: Some(format!("{system}|{of}")), code: code.clone() };
            add(beside, of_type, out);
        }
    }
}

fn values_of(kind: ParameterType, value: &Value, context: &TermContext, add: &mut dyn FnMut(TermValue)) {
    match kind {
        ParameterType::Composite => {}
        ParameterType::Token => tokens(value, add),
        ParameterType::Reference => {
            if let Some(text) = value.as_str() {
                add(TermValue::Reference(cut(text.split('|').next().unwrap_or(text))));
            } else if let Some(text) = value.get("reference").and_then(Value::as_str)
                && !text.starts_with('#')
            {
                add(TermValue::Reference(relative(text, &context.base)));
            }
        }
        ParameterType::Date => {
            if let Some((from, to)) = date_range(value, &context.zone) {
                add(TermValue::Date { from, to });
            }
        }
        ParameterType::String => texts(value, &mut |text| add(TermValue::Text(cut(text)))),
        ParameterType::Uri => {
            if let Some(text) = value.as_str() {
                add(TermValue::Uri(cut(text)));
            }
        }
        ParameterType::Number => {
            if let Some(number) = value.as_f64() {
                add(TermValue::Number(number));
            }
        }
        ParameterType::Quantity => {
            if let Some(number) = value.get("value").and_then(Value::as_f64) {
                add(TermValue::Quantity {
                    value: number,
                    system: text(value, "system"),
                    code: text(value, "code").or_else(|| text(value, "unit")),
                });
            }
        }
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(cut)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TERM_CHARS_MAX) {
        Some((at, _)) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

/// A reference as it is indexed and compared: relative where it points into this server, without a version.
#[must_use]
pub fn relative(reference: &str, base: &str) -> String {
    let local = reference.strip_prefix(base).map_or(reference, |rest| rest.trim_start_matches('/'));
    cut(local.split("/_history/").next().unwrap_or(local))
}

fn tokens(value: &Value, add: &mut dyn FnMut(TermValue)) {
    match value {
        Value::String(code) => add(TermValue::Token { system: None, code: cut(code) }),
        Value::Bool(flag) => add(TermValue::Token { system: None, code: flag.to_string() }),
        Value::Object(object) => {
            if let Some(codings) = object.get("coding").and_then(Value::as_array) {
                for coding in codings {
                    tokens(coding, add);
                }
            } else if let Some(code) = text(value, "code").or_else(|| text(value, "value")) {
                add(TermValue::Token { system: text(value, "system"), code });
            }
        }
        _ => {}
    }
}

fn texts(value: &Value, add: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => add(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, add)),
        Value::Object(object) => {
            const PARTS: &[&str] = &[
                "text",
                "family",
                "given",
                "prefix",
                "suffix",
                "line",
                "city",
                "district",
                "state",
                "postalCode",
                "country",
            ];
            for part in PARTS {
                if let Some(inner) = object.get(*part) {
                    texts(inner, add);
                }
            }
        }
        _ => {}
    }
}

/// Earliest and latest instants: what an open Period does not say.
const ALWAYS: (i64, i64) = (i64::MIN / 4, i64::MAX / 4);

fn date_range(value: &Value, zone: &TimeZone) -> Option<(i64, i64)> {
    if let Some(text) = value.as_str() {
        return time::interval(text, zone);
    }
    if let Some(events) = value.get("event").and_then(Value::as_array) {
        let all: Vec<_> = events.iter().filter_map(|event| time::interval(event.as_str()?, zone)).collect();
        return Some((all.iter().map(|range| range.0).min()?, all.iter().map(|range| range.1).max()?));
    }
    let bound = |key: &str| value.get(key).and_then(Value::as_str).and_then(|text| time::interval(text, zone));
    let (start, end) = (bound("start"), bound("end"));
    if start.is_none() && end.is_none() {
        return None;
    }
    Some((start.map_or(ALWAYS.0, |range| range.0), end.map_or(ALWAYS.1, |range| range.1)))
}
