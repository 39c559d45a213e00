//! A search as it stands in a URL, read into the store's terms.

mod filter;
mod include;
mod judge;
mod value;

pub use include::Include;
pub use judge::{fits, matches};

use super::definitions::resource_type;
use super::outcome::{Issue, IssueType};
use super::parameters::{ParameterType, TermContext, parameter};
use crate::store::{Cursor, Query, Sort};

/// Matches on one page where `_count` does not say.
pub const COUNT_DEFAULT: usize = 50;
/// Most matches on one page; a larger `_count` is cut to it.
pub const COUNT_MAX: usize = 1_000;
/// Most values (comma-separated) that one search may name in all.
pub const VALUES_MAX: usize = 500;
/// Most parameters of one search.
pub const PARAMETERS_MAX: usize = 100;
/// Most keys that one search may be sorted by.
pub const SORT_KEYS_MAX: usize = 8;
/// Most links that a chained parameter or `_has` may follow.
pub const CHAIN_LINKS_MAX: usize = 3;

/// `_summary`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Summary {
    #[default]
    False,
    True,
    Text,
    Data,
    Count,
}

/// How much of each resource is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub summary: Summary,
    /// `_elements`; empty: all.
    pub elements: Vec<String>,
}

/// A search, understood.
#[derive(Debug, Default)]
pub struct Search {
    pub query: Query,
    pub shape: Shape,
    /// `_include` and `_revinclude`, in the order of the request.
    pub includes: Vec<Include>,
    /// What was used, for the `self` link.
    pub used: Vec<(String, String)>,
    /// Parameters nobody here knows: told in the Bundle under lenient handling.
    pub ignored: Vec<String>,
    /// Names in `_elements` that are no element of the type.
    pub no_elements: Vec<String>,
}

/// Reads `pairs` (decoded) as a search over `name`.
///
/// # Errors
/// Every fault at once: unknown parameters where `strict`, modifiers and values that cannot be.
pub fn read(
    name: &'static str,
    pairs: &[(String, String)],
    context: &TermContext,
    strict: bool,
) -> Result<Search, Vec<Issue>> {
    let mut search = Search::default();
    search.query.kind = name;
    search.query.count = COUNT_DEFAULT;
    let mut issues = Vec::new();
    if pairs.len() > PARAMETERS_MAX {
        return Err(vec![Issue::error(
            IssueType::TooCostly,
            format!("A search takes at most {PARAMETERS_MAX} parameters."),
        )]);
    }
    let values: usize = pairs.iter().map(|(_, value)| value.matches(',').count() + 1).sum();
    if values > VALUES_MAX {
        return Err(vec![Issue::error(IssueType::TooCostly, format!("A search takes at most {VALUES_MAX} values."))]);
    }
    for (key, value) in pairs {
        if key.contains('\0') || value.contains('\0') {
            // No stored text has one, and a database may take it for the text's end.
            issues.push(bad(key, "text without NUL characters"));
            continue;
        }
        match one(&mut search, key, value, context) {
            Ok(Used::Yes) => search.used.push((key.clone(), value.clone())),
            Ok(Used::Quietly) => {}
            Ok(Used::Unknown) if strict => issues.push(unknown(name, key)),
            Ok(Used::Unknown) => search.ignored.push(clip(key)),
            Err(issue) => issues.push(issue),
        }
    }
    if strict && !search.no_elements.is_empty() {
        issues.push(Issue::error(IssueType::NotSupported, no_elements(name, &search.no_elements)));
    }
    if issues.is_empty() { Ok(search) } else { Err(issues) }
}

enum Used {
    Yes,
    /// The page cursor: not part of what was searched for.
    Quietly,
    Unknown,
}

fn unknown(name: &str, key: &str) -> Issue {
    Issue::error(IssueType::NotSupported, format!("{name} cannot be searched by '{}'.", clip(key)))
}

/// That a type does not have these elements.
#[must_use]
pub fn no_elements(name: &str, unknown: &[String]) -> String {
    format!("_elements: {name} has no {}.", unknown.join(", "))
}

/// Parameters of R4 whose neglect would find more than was asked for: what to do instead.
fn instead(key: &str, value: &str) -> Option<&'static str> {
    match key.split(':').next().unwrap_or_default() {
        "_filter" => Some("write the condition as parameters: those of one search are joined by and, values by or"),
        "_list" => Some("this server keeps no Lists; name the ids in _id"),
        "_text" | "_content" => Some("there is no full-text search; search by parameters, strings with :contains"),
        "_query" => Some("there are no named queries"),
        "_contained" if value == "false" => None,
        "_contained" | "_containedType" => {
            Some("contained resources are not found by themselves; search what contains them")
        }
        _ => None,
    }
}

/// A parameter's name as it may be said back: printable, short.
fn clip(key: &str) -> String {
    key.chars().filter(|c| c.is_ascii_graphic()).take(64).collect()
}

fn one(search: &mut Search, key: &str, value: &str, context: &TermContext) -> Result<Used, Issue> {
    let name = search.query.kind;
    match key {
        "_count" => {
            let count: u64 = value.parse().map_err(|_| bad(key, "a whole number, 0 or more"))?;
            search.query.count = usize::try_from(count).unwrap_or(usize::MAX).min(COUNT_MAX);
            if count == 0 {
                search.shape.summary = Summary::Count;
            }
        }
        "_sort" => {
            for part in value.split(',') {
                if search.query.sort.len() >= SORT_KEYS_MAX {
                    let text = format!("A search is sorted by at most {SORT_KEYS_MAX} keys.");
                    return Err(Issue::error(IssueType::TooCostly, text));
                }
                let (descending, code) = part.strip_prefix('-').map_or((false, part), |rest| (true, rest));
                let sortable = |param: &&super::parameters::Parameter| param.kind != ParameterType::Composite;
                let param = match code {
                    "_id" => "_id",
                    "_lastUpdated" => "_lastUpdated",
                    _ => {
                        parameter(name, code).filter(sortable).ok_or_else(|| bad(key, "parameters of this type"))?.code
                    }
                };
                search.query.sort.push(Sort { param, descending });
            }
        }
        "_summary" | "_elements" => search.no_elements.extend(shape_by(&mut search.shape, name, key, value)?),
        "_include"
        | "_include:iterate"
        | "_include:recurse"
        | "_revinclude"
        | "_revinclude:iterate"
        | "_revinclude:recurse" => search.includes.push(include::read(name, key, value)?),
        "_total" => {
            search.query.total = match value {
                "accurate" | "estimate" => true,
                "none" => false,
                _ => return Err(bad(key, "accurate, estimate or none")),
            }
        }
        "_cursor" => {
            search.query.after = Some(Cursor(value.to_owned()));
            return Ok(Used::Quietly);
        }
        "_format" | "_pretty" => return Ok(Used::Quietly),
        "_contained" if value == "false" => {}
        _ => {
            if let Some(instead) = instead(key, value) {
                let text = format!("'{}' is not supported: {instead}.", clip(key));
                return Err(Issue::error(IssueType::NotSupported, text));
            }
            let Some(filter) = filter::read(name, key, value, context, CHAIN_LINKS_MAX)? else {
                return Ok(Used::Unknown);
            };
            search.query.filters.push(filter);
        }
    }
    if search.shape.summary == Summary::Count {
        search.query.total = true;
    }
    Ok(Used::Yes)
}

/// `_summary` and `_elements` of a read; everything else in the query is somebody else's.
///
/// # Errors
/// Values that cannot be.
pub fn shape(name: &str, pairs: &[(String, String)]) -> Result<Shape, Issue> {
    let mut shape = Shape::default();
    for (key, value) in pairs.iter().filter(|(key, _)| matches!(key.as_str(), "_summary" | "_elements")) {
        shape_by(&mut shape, name, key, value)?;
    }
    Ok(shape)
}

/// Names that are no element of the type are given back, fit to be said.
fn shape_by(shape: &mut Shape, name: &str, key: &str, value: &str) -> Result<Vec<String>, Issue> {
    if key == "_summary" {
        shape.summary = match value {
            "false" => Summary::False,
            "true" => Summary::True,
            "text" => Summary::Text,
            "data" => Summary::Data,
            "count" => Summary::Count,
            _ => return Err(bad(key, "true, false, text, data or count")),
        };
        return Ok(Vec::new());
    }
    let known = resource_type(name);
    let mut unknown = Vec::new();
    for element in value.split(',') {
        // `Patient.name` is as good as `name`.
        let element = element.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')).unwrap_or(element);
        let choice = format!("{element}[x]");
        // What the type does not have cannot be left out either; clients name `resourceType`.
        if known.is_none_or(|kind| kind.element_named(element).or_else(|| kind.element_named(&choice)).is_some()) {
            shape.elements.push(element.to_owned());
        } else if element != "resourceType" {
            unknown.push(clip(element));
        }
    }
    Ok(unknown)
}

fn bad(key: &str, expected: &str) -> Issue {
    Issue::error(IssueType::Value, format!("The value of '{}' has to be {expected}.", clip(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::search::value::{decimal, split};
    use crate::store::{Match, Prefix};
    use jiff::tz::TimeZone;

    fn search(name: &'static str, query: &[(&str, &str)], strict: bool) -> Result<Search, Vec<Issue>> {
        let pairs: Vec<_> = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let context = TermContext { zone: TimeZone::UTC, base: "http://x/fhir".into() };
        read(name, &pairs, &context, strict)
    }

    fn only(name: &'static str, key: &str, value: &str) -> Match {
        search(name, &[(key, value)], true).expect("reads").query.filters[0].any[0].clone()
    }

    #[test]
    fn references_in_all_their_spellings_are_one() {
        for spelling in ["1", "Patient/1", "http://x/fhir/Patient/1"] {
            assert_eq!(only("Flag", "patient", spelling), Match::Reference("Patient/1".into()), "{spelling}");
        }
        assert_eq!(only("Flag", "subject", "1"), Match::ReferenceId("1".into()));
        assert_eq!(only("Flag", "subject:Patient", "1"), Match::Reference("Patient/1".into()));
    }

    #[test]
    fn tokens_dates_and_escapes() {
        let token = |system: Option<&str>, code: Option<&str>| Match::Token {
            system: system.map(Into::into),
            code: code.map(Into::into),
        };
        assert_eq!(only("Flag", "status", "active"), token(None, Some("active")));
        assert_eq!(only("Flag", "code", "s|c"), token(Some("s"), Some("c")));
        assert_eq!(only("Flag", "code", "|c"), token(Some(""), Some("c")));
        assert_eq!(only("Flag", "code", "s|"), token(Some("s"), None));
        assert!(matches!(only("Appointment", "date", "ge2026-03"), Match::Date { prefix: Prefix::Ge, .. }));
        assert_eq!(split(r"a\,b,c"), [r"a\,b", "c"]);
        assert_eq!(only("Flag", "code", r"s|a\|b\,c"), token(Some("s"), Some("a|b,c")));
    }

    /// A `code` leaves its system out; what it is follows from the element's binding.
    #[test]
    fn codes_that_stand_alone_have_the_system_of_their_binding() {
        let found = |name: &'static str, key: &str, value: &str| {
            search(name, &[(key, value)], true).expect("reads").query.filters[0].any.clone()
        };
        let bare = |code: &str| vec![Match::Token { system: Some(String::new()), code: Some(code.into()) }];
        for (name, key, system, code) in [
            ("Flag", "status", "http://hl7.org/fhir/flag-status", "active"),
            ("Appointment", "status", "http://hl7.org/fhir/appointmentstatus", "booked"),
            ("Patient", "gender", "http://hl7.org/fhir/administrative-gender", "female"),
            ("Task", "intent", "http://hl7.org/fhir/request-intent", "order"),
            ("Task", "intent", "http://hl7.org/fhir/task-intent", "unknown"),
            ("Patient", "active", "http://terminology.hl7.org/CodeSystem/special-values", "true"),
            ("Patient", "deceased", "http://hl7.org/fhir/special-values", "false"),
        ] {
            assert_eq!(found(name, key, &format!("{system}|{code}")), bare(code), "{name}.{key}");
            assert_eq!(found(name, key, &format!("|{code}")), bare(code), "{name}.{key}");
            assert_eq!(found(name, key, &format!("http://wrong|{code}")), [], "{name}.{key}");
            assert_eq!(found(name, &format!("{key}:not"), &format!("http://wrong|{code}")), [], "{name}.{key}");
        }
        assert_eq!(found("Task", "intent", "http://hl7.org/fhir/task-intent|order"), []);
        assert_eq!(found("Task", "intent", "http://hl7.org/fhir/task-intent|"), bare("unknown"));
        // Elements that name their systems are asked as before.
        assert!(
            matches!(&found("Flag", "code", "urn:x|y")[..], [Match::Token { system: Some(s), .. }] if s == "urn:x")
        );
    }

    #[test]
    fn unknown_parameters_are_refused_or_told() {
        assert_eq!(search("Flag", &[("colour", "red")], true).expect_err("strict")[0].code, IssueType::NotSupported);
        assert_eq!(search("Flag", &[("colour", "red")], false).expect("lenient").ignored, ["colour"]);
        assert!(search("Flag", &[("status:exact", "x")], false).is_err());
        assert!(search("Flag", &[("_id:not", "x")], false).is_err() && search("Flag", &[("_id", "x")], false).is_ok());
        assert!(search("Flag", &[("date", "yesterday")], false).is_err());
        assert!(search("Flag", &[("_count", "-1")], false).is_err());
    }

    #[test]
    fn limits_hold() {
        let many = vec!["a"; VALUES_MAX + 1].join(",");
        assert_eq!(search("Flag", &[("_id", &many)], false).expect_err("too many")[0].code, IssueType::TooCostly);
        assert_eq!(search("Flag", &[("_count", "1000000000")], false).expect("cut").query.count, COUNT_MAX);
        assert_eq!(search("Flag", &[("_summary", "count")], false).expect("count").shape.summary, Summary::Count);
    }

    #[test]
    fn what_would_find_too_much_is_refused_in_words() {
        for (key, value) in [
            ("_filter", "a eq b"),
            ("_list", "1"),
            ("_text", "x"),
            ("_content", "x"),
            ("_query", "q"),
            ("_contained", "true"),
        ] {
            let refused = &search("Flag", &[(key, value)], false).expect_err(key)[0];
            assert!(refused.code == IssueType::NotSupported && refused.diagnostics.contains(key), "{refused:?}");
        }
        assert!(search("Flag", &[("_contained", "false")], true).is_ok());
        let keys = ["date"; SORT_KEYS_MAX + 1].join(",");
        assert_eq!(search("Flag", &[("_sort", &keys)], false).expect_err("too many")[0].code, IssueType::TooCostly);
        assert!(search("Flag", &[("_sort", &keys[5..])], true).is_ok());
        let elements = [("_elements", "status,Flag.code,resourceType,colour")];
        assert_eq!(search("Flag", &elements, false).expect("lenient").no_elements, ["colour"]);
        assert!(search("Flag", &elements, true).expect_err("strict")[0].diagnostics.contains("colour"));
    }

    #[test]
    fn a_decimal_stands_for_its_digits() {
        assert_eq!(decimal("100"), Some((99.5, 100.5)));
        let (low, high) = decimal("5.40").expect("decimal");
        assert!((low - 5.395).abs() < 1e-9 && (high - 5.405).abs() < 1e-9);
        assert_eq!(decimal("1e999"), None);
    }
}
