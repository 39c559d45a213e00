//! Search parameters of the types we keep: R4's own, from the definitions, and ours on Flag. One table finds,
//! indexes and describes (CapabilityStatement), so that it cannot lie.

use super::definitions::{CodesOf, SearchParameter, search_parameter, search_parameters};
use super::kinds::{KINDS, Writer};
use jiff::tz::TimeZone;
use path::{Path, paths};
use std::collections::HashMap;
use std::sync::LazyLock;

mod path;
mod system;
mod terms;

pub use terms::{relative, terms, terms_of};

/// Longest text that is indexed, characters; a longer one is cut (and found by its beginning).
const TERM_CHARS_MAX: usize = 200;
/// Count it up where terms are made otherwise than before: those that are stored are then made anew.
pub const TERMS_RELEASE: u32 = 2;
/// Most terms that one resource may have.
const TERMS_MAX: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    Composite,
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
            Self::Composite => "composite",
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
        use ParameterType::*;
        [Composite, Date, Number, Quantity, Reference, String, Token, Uri]
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
    /// Canonical URL of its SearchParameter.
    pub definition: String,
    /// Of a composite: what stands beside the code.
    pub value: Option<&'static CompositeValue>,
    /// Second parameter beside this one, under which `:identifier` (of a reference) or `:of-type` (of an
    /// identifier) finds.
    pub beside: Option<&'static str>,
    /// Of a token whose elements have words: the parameter under which `:text` finds them. Of findings, whose words
    /// are those of our code systems, none is kept.
    pub text: Option<&'static str>,
    /// Of a token whose elements are primitives: the systems of their codes, which JSON does not repeat. `None`: the
    /// elements name their systems themselves.
    pub implied: Option<Vec<&'static CodesOf>>,
    paths: Vec<Path>,
}

/// The second half of a composite parameter. The first is always the element's `code`.
#[derive(Debug, PartialEq, Eq)]
pub struct CompositeValue {
    pub kind: ParameterType,
    /// JSON keys beside `code`.
    keys: &'static [&'static str],
}

/// By the end of the parameter's code. Composites of other types than ours have other halves.
const COMPOSITES: &[(&str, CompositeValue)] = &[
    ("-value-concept", CompositeValue { kind: ParameterType::Token, keys: &["valueCodeableConcept"] }),
    ("-value-date", CompositeValue { kind: ParameterType::Date, keys: &["valueDateTime", "valuePeriod"] }),
    ("-value-quantity", CompositeValue { kind: ParameterType::Quantity, keys: &["valueQuantity"] }),
    ("-value-string", CompositeValue { kind: ParameterType::String, keys: &["valueString"] }),
    ("-type-quantity", CompositeValue { kind: ParameterType::Quantity, keys: &["valueQuantity"] }),
    ("-type-value", CompositeValue { kind: ParameterType::Token, keys: &["valueCodeableConcept"] }),
];

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
            let mut parameters: Vec<Parameter> =
                search_parameters(row.name).iter().chain(common).filter_map(|one| official(row.name, one)).collect();
            for (_, code, kind, expression) in OURS.iter().filter(|(base, ..)| *base == row.name) {
                parameters.push(Parameter {
                    code,
                    kind: *kind,
                    targets: &[],
                    definition: format!("{}/SearchParameter/flag-{code}", super::write::codes::BASE),
                    value: None,
                    beside: None,
                    text: None,
                    implied: system::implied(*kind, row.name, &paths(expression)),
                    paths: paths(expression),
                });
            }
            parameters.sort_by_key(|parameter| parameter.code);
            (row.name, parameters)
        })
        .collect()
});

fn official(base: &str, official: &'static SearchParameter) -> Option<Parameter> {
    let kind = ParameterType::named(official.kind)?;
    let value = COMPOSITES.iter().find(|(end, _)| official.code.ends_with(end)).map(|(_, value)| value);
    // A composite of other halves than ours is not to be had.
    if kind == ParameterType::Composite && value.is_none() {
        return None;
    }
    // They live as long as the table, which lives as long as the program.
    let beside = match (kind, official.code) {
        (ParameterType::Reference, code) => Some(&*String::leak(format!("{code}:identifier"))),
        (ParameterType::Token, "identifier") => Some("identifier:of-type"),
        _ => None,
    };
    let implied = system::implied(kind, base, &paths(official.expression));
    let worded = kind == ParameterType::Token
        && implied.is_none()
        && super::kinds::kind(base).is_some_and(|row| row.writer == Writer::Others);
    Some(Parameter {
        code: official.code,
        kind,
        targets: &official.targets,
        definition: official.url.to_owned(),
        value: value.filter(|_| kind == ParameterType::Composite),
        beside,
        text: worded.then(|| &*String::leak(format!("{}:text", official.code))),
        implied,
        paths: paths(official.expression),
    })
}

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

/// What to read dates and references by.
#[derive(Clone, Debug)]
pub struct TermContext {
    pub zone: TimeZone,
    /// Our FHIR base without the last slash: a reference under it is kept relative.
    pub base: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::TermValue;
    use serde_json::{Value, json};

    fn found(kind: &str, resource: &Value, code: &str) -> Vec<TermValue> {
        let context = TermContext { zone: TimeZone::UTC, base: "http://x/fhir".into() };
        let all = match parameter(kind, code).filter(|_| code.starts_with("combo-")) {
            Some(combo) => terms_of(combo, resource, &context),
            None => terms(kind, resource, &context),
        };
        all.into_iter().filter(|term| term.param == code).map(|term| term.value).collect()
    }

    fn token(system: Option<&str>, code: &str) -> TermValue {
        TermValue::Token { system: system.map(str::to_owned), code: code.into() }
    }

    #[test]
    fn every_expression_compiles_to_at_least_one_path() {
        for row in KINDS {
            for parameter in parameters(row.name) {
                assert!(!parameter.paths.is_empty(), "{} {}", row.name, parameter.code);
                let composite = parameter.kind == ParameterType::Composite;
                assert_eq!(composite, parameter.value.is_some(), "{} {}", row.name, parameter.code);
                let walks = parameter.paths.iter().all(|path| !path.steps.is_empty());
                assert!(walks || composite, "{} {}", row.name, parameter.code);
                assert!(parameter.definition.contains("/SearchParameter/"), "{} {}", row.name, parameter.code);
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
    #[test]
    fn composites_keep_to_their_element() {
        let observation = json!({"resourceType": "Observation", "code": {"coding": [{"system": "s", "code": "whole"}]},
            "valueQuantity": {"value": 1, "code": "kg"},
            "component": [{"code": {"coding": [{"code": "part"}]}, "valueQuantity": {"value": 2, "unit": "g"}},
                          {"code": {"coding": [{"code": "other"}]}, "valueCodeableConcept": {"coding": [{"code": "yes"}]}}]});
        let pair = |system: Option<&str>, code: &str, value| TermValue::Pair {
            system: system.map(str::to_owned),
            code: code.into(),
            value: Box::new(value),
        };
        let quantity = |value, code: &str| TermValue::Quantity { value, system: None, code: Some(code.into()) };
        let whole = pair(Some("s"), "whole", quantity(1.0, "kg"));
        let part = pair(None, "part", quantity(2.0, "g"));
        assert_eq!(found("Observation", &observation, "code-value-quantity"), std::slice::from_ref(&whole));
        assert_eq!(found("Observation", &observation, "component-code-value-quantity"), std::slice::from_ref(&part));
        assert_eq!(found("Observation", &observation, "combo-code-value-quantity"), [whole, part]);
        let yes = pair(None, "other", token(None, "yes"));
        assert_eq!(found("Observation", &observation, "component-code-value-concept"), [yes]);
    }

    #[test]
    fn identifiers_of_references_and_their_types() {
        let task = json!({"resourceType": "Task", "for": {"identifier": {"system": "urn:mrn", "value": "7"}}});
        assert_eq!(found("Task", &task, "subject:identifier"), [token(Some("urn:mrn"), "7")]);
        let patient = json!({"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "7",
            "type": {"coding": [{"system": "urn:types", "code": "MR"}]}}]});
        assert_eq!(found("Patient", &patient, "identifier:of-type"), [token(Some("urn:types|MR"), "7")]);
        assert_eq!(found("Patient", &patient, "identifier"), [token(Some("urn:mrn"), "7")]);
    }
}
