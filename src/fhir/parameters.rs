//! Search parameters of the types we keep: R4's own, from the definitions, and ours on Flag. One table finds,
//! indexes and describes (CapabilityStatement), so that it cannot lie.

use super::definitions::{search_parameter, search_parameters};
use super::kinds::KINDS;
use super::time;
use crate::store::{Term, TermValue};
use jiff::tz::TimeZone;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Longest text that is indexed, characters; a longer one is cut (and found by its beginning).
const TERM_CHARS_MAX: usize = 200;
/// Most terms that one resource may have.
const TERMS_MAX: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    Date,
    Number,
    Quantity,
    Reference,
    String,
    Token,
    Uri,
}

impl ParameterType {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Number => "number",
            Self::Quantity => "quantity",
            Self::Reference => "reference",
            Self::String => "string",
            Self::Token => "token",
            Self::Uri => "uri",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Date, Self::Number, Self::Quantity, Self::Reference, Self::String, Self::Token, Self::Uri]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// A parameter that a type can be searched by.
#[derive(Debug)]
pub struct Parameter {
    pub code: &'static str,
    pub kind: ParameterType,
    /// Types that a reference may point to; empty: any.
    pub targets: &'static [&'static str],
    paths: Vec<Path>,
}

/// A FHIRPath of the few shapes that R4's search parameters have.
#[derive(Debug)]
struct Path {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Child(&'static str),
    /// A choice element narrowed to one type: the JSON key.
    Choice(String),
    /// `where(resolve() is Patient)`
    Target(&'static str),
    /// `where(system='phone')`
    System(&'static str),
    /// `exists()`: true or false.
    Exists,
}

/// Elements whose JSON key carries the type.
const CHOICES: &[&str] = &["value", "effective", "deceased", "occurred"];
const CHOICE_TYPES: &[&str] =
    &["DateTime", "Period", "Instant", "Timing", "Boolean", "CodeableConcept", "Quantity", "String"];

/// Our own parameters, as `conformance/` describes them: R4 has none of the three on Flag.
const OURS: &[(&str, &str, ParameterType, &str)] = &[
    ("Flag", "category", ParameterType::Token, "Flag.category"),
    ("Flag", "code", ParameterType::Token, "Flag.code"),
    ("Flag", "status", ParameterType::Token, "Flag.status"),
];

/// `Resource` parameters that every type has; `_id` and `_lastUpdated` are columns of the store.
const COMMON: &[&str] = &["_profile", "_security", "_source", "_tag"];

static TABLE: LazyLock<HashMap<&'static str, Vec<Parameter>>> = LazyLock::new(|| {
    KINDS
        .iter()
        .map(|row| {
            let common = COMMON.iter().filter_map(|code| search_parameter("Resource", code));
            let mut parameters: Vec<Parameter> = search_parameters(row.name)
                .iter()
                .chain(common)
                .filter_map(|official| {
                    Some(Parameter {
                        code: official.code,
                        kind: ParameterType::named(official.kind)?,
                        targets: &official.targets,
                        paths: paths(official.expression),
                    })
                })
                .collect();
            for (_, code, kind, expression) in OURS.iter().filter(|(base, ..)| *base == row.name) {
                parameters.push(Parameter { code, kind: *kind, targets: &[], paths: paths(expression) });
            }
            parameters.sort_by_key(|parameter| parameter.code);
            (row.name, parameters)
        })
        .collect()
});

/// Every parameter of a type, by code. `_id` and `_lastUpdated` come on top.
#[must_use]
pub fn parameters(kind: &str) -> &'static [Parameter] {
    TABLE.get(kind).map_or(&[], Vec::as_slice)
}

#[must_use]
pub fn parameter(kind: &str, code: &str) -> Option<&'static Parameter> {
    let all = parameters(kind);
    all.binary_search_by(|parameter| parameter.code.cmp(code)).ok().map(|at| &all[at])
}

fn paths(expression: &'static str) -> Vec<Path> {
    expression.split('|').filter_map(|one| path(one.trim())).collect()
}

fn path(text: &'static str) -> Option<Path> {
    // "Patient.deceased.exists() and Patient.deceased != false"
    if let Some((before, _)) = text.split_once(".exists()") {
        let mut inner = path(before)?;
        inner.steps.push(Step::Exists);
        return Some(inner);
    }
    let mut steps = Vec::new();
    // "(Observation.value as CodeableConcept).text"
    let (dotted, narrowed, rest) = match text.strip_prefix('(') {
        Some(inner) => {
            let (inside, rest) = inner.split_once(')')?;
            let (dotted, narrowed) = match inside.split_once(" as ") {
                Some((dotted, narrowed)) => (dotted, Some(narrowed.trim())),
                None => (inside, None),
            };
            (dotted, narrowed, rest.strip_prefix('.').unwrap_or(rest))
        }
        None => (text, None, ""),
    };
    let mut walk = |dotted: &'static str| {
        let mut left = dotted;
        while !left.is_empty() {
            if let Some(filter) = left.strip_prefix("where(") {
                let (condition, after) = filter.split_once(')').map(|(c, a)| match c.strip_suffix('(') {
                    // resolve() holds a parenthesis of its own
                    Some(_) => a.split_once(')').unwrap_or((a, "")),
                    None => (c, a),
                })?;
                if let Some((_, target)) = condition.split_once("is ") {
                    steps.push(Step::Target(target.trim()));
                } else if let Some(system) = condition.split('\'').nth(1) {
                    steps.push(Step::System(system));
                }
                left = after.strip_prefix('.').unwrap_or(after);
                continue;
            }
            let (name, after) = left.split_once('.').unwrap_or((left, ""));
            steps.push(Step::Child(name));
            left = after;
        }
        Some(())
    };
    // The first name is the type itself.
    walk(dotted.split_once('.').map_or("", |(_, inner)| inner))?;
    walk(rest)?;
    if let Some(narrowed) = narrowed {
        let at = steps.iter().rposition(|step| matches!(step, Step::Child(name) if CHOICES.contains(name)));
        if let Some(at) = at
            && let Step::Child(name) = steps[at]
        {
            let mut letters = narrowed.chars();
            let first = letters.next()?.to_ascii_uppercase();
            steps[at] = Step::Choice(format!("{name}{first}{}", letters.as_str()));
        }
    }
    Some(Path { steps })
}

/// What to read dates and references by.
#[derive(Clone, Debug)]
pub struct TermContext {
    pub zone: TimeZone,
    /// Our FHIR base without the last slash: a reference under it is kept relative.
    pub base: String,
}

/// Everything `resource` can be found by. Order and number depend on the resource alone.
#[must_use]
pub fn terms(kind: &str, resource: &Value, context: &TermContext) -> Vec<Term> {
    let mut out = Vec::new();
    for parameter in parameters(kind) {
        for path in &parameter.paths {
            collect(resource, &path.steps, &mut |found| {
                push(parameter, found, context, &mut out);
            });
        }
    }
    out.truncate(TERMS_MAX);
    out
}

fn collect(value: &Value, steps: &[Step], found: &mut dyn FnMut(&Value)) {
    if let Value::Array(items) = value {
        for item in items {
            collect(item, steps, found);
        }
        return;
    }
    let Some((step, rest)) = steps.split_first() else {
        found(value);
        return;
    };
    match step {
        Step::Child(name) => {
            let chosen = || CHOICE_TYPES.iter().find_map(|kind| value.get(format!("{name}{kind}")));
            let child = value.get(*name).or_else(|| if CHOICES.contains(name) { chosen() } else { None });
            match child {
                Some(child) => collect(child, rest, found),
                None if matches!(rest, [Step::Exists]) => found(&Value::Bool(false)),
                None => {}
            }
        }
        Step::Choice(key) => {
            if let Some(child) = value.get(key) {
                collect(child, rest, found);
            }
        }
        Step::Target(target) => {
            let points = value.get("reference").and_then(Value::as_str).is_some_and(|reference| {
                let unversioned = reference.split("/_history/").next().unwrap_or(reference);
                unversioned.rsplit_once('/').is_some_and(|(before, _)| before.rsplit('/').next() == Some(target))
            });
            if points || value.get("type").and_then(Value::as_str) == Some(target) {
                collect(value, rest, found);
            }
        }
        Step::System(system) => {
            if value.get("system").and_then(Value::as_str) == Some(system) {
                collect(value, rest, found);
            }
        }
        Step::Exists => found(&Value::Bool(value != &Value::Bool(false))),
    }
}

fn push(parameter: &Parameter, value: &Value, context: &TermContext, out: &mut Vec<Term>) {
    let mut add = |value: TermValue| {
        let term = Term { param: parameter.code, value };
        if !out.contains(&term) {
            out.push(term);
        }
    };
    match parameter.kind {
        ParameterType::Token => tokens(value, &mut add),
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(kind: &str, resource: &Value, code: &str) -> Vec<TermValue> {
        let context = TermContext { zone: TimeZone::UTC, base: "http://x/fhir".into() };
        terms(kind, resource, &context).into_iter().filter(|term| term.param == code).map(|term| term.value).collect()
    }

    fn token(system: Option<&str>, code: &str) -> TermValue {
        TermValue::Token { system: system.map(str::to_owned), code: code.into() }
    }

    #[test]
    fn every_expression_compiles_to_at_least_one_path() {
        for row in KINDS {
            for parameter in parameters(row.name) {
                assert!(!parameter.paths.is_empty(), "{} {}", row.name, parameter.code);
                assert!(parameter.paths.iter().all(|path| !path.steps.is_empty()), "{} {}", row.name, parameter.code);
            }
        }
    }

    #[test]
    fn terms_of_an_appointment() {
        let resource = json!({"resourceType": "Appointment", "status": "booked", "start": "2026-03-02T10:00:00Z",
            "participant": [{"actor": {"reference": "http://x/fhir/Patient/p/_history/3"}, "status": "accepted"},
                            {"actor": {"reference": "Practitioner/d"}, "status": "accepted"}]});
        assert_eq!(found("Appointment", &resource, "patient"), [TermValue::Reference("Patient/p".into())]);
        assert_eq!(found("Appointment", &resource, "practitioner"), [TermValue::Reference("Practitioner/d".into())]);
        assert_eq!(found("Appointment", &resource, "actor").len(), 2);
        assert_eq!(found("Appointment", &resource, "status"), [token(None, "booked")]);
        assert_eq!(found("Appointment", &resource, "date").len(), 1);
    }

    #[test]
    fn terms_of_choices_filters_and_names() {
        let patient = json!({"resourceType": "Patient", "name": [{"family": "Müller", "given": ["Ana"]}],
            "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "a@b"}]});
        assert_eq!(found("Patient", &patient, "phone"), [token(Some("phone"), "1")]);
        assert_eq!(found("Patient", &patient, "name").len(), 2);
        assert_eq!(found("Patient", &patient, "deceased"), [token(None, "false")]);
        let observation = json!({"resourceType": "Observation", "effectiveDateTime": "2026-03",
            "valueCodeableConcept": {"coding": [{"system": "s", "code": "c"}], "text": "t"},
            "code": {"coding": [{"system": "a", "code": "b"}]}});
        assert_eq!(found("Observation", &observation, "value-concept"), [token(Some("s"), "c")]);
        assert_eq!(found("Observation", &observation, "date").len(), 1);
        assert_eq!(found("Observation", &observation, "code"), [token(Some("a"), "b")]);
        let flag =
            json!({"resourceType": "Flag", "status": "active", "code": {"coding": [{"system": "a", "code": "b"}]}});
        assert_eq!(found("Flag", &flag, "status"), [token(None, "active")]);
        assert_eq!(found("Flag", &flag, "code"), [token(Some("a"), "b")]);
    }
}
