//! A search as it stands in a URL, read into the store's terms.

use super::kinds::kind;
use super::outcome::{Issue, IssueType};
use super::parameters::{Parameter, ParameterType, TermContext, parameter, relative};
use super::time;
use crate::store::{Cursor, Filter, Match, Prefix, Query, Sort};

/// Matches on one page where `_count` does not say.
pub const COUNT_DEFAULT: usize = 50;
/// Most matches on one page; a larger `_count` is cut to it.
pub const COUNT_MAX: usize = 1_000;
/// Most values (comma-separated) that one search may name in all.
pub const VALUES_MAX: usize = 500;
/// Most parameters of one search.
pub const PARAMETERS_MAX: usize = 100;

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

/// A search, understood.
#[derive(Debug, Default)]
pub struct Search {
    pub query: Query,
    pub summary: Summary,
    /// `_elements`; empty: all.
    pub elements: Vec<String>,
    /// What was used, for the `self` link.
    pub used: Vec<(String, String)>,
    /// Parameters nobody here knows: told in the Bundle under lenient handling.
    pub ignored: Vec<String>,
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
        match one(&mut search, key, value, context) {
            Ok(Used::Yes) => search.used.push((key.clone(), value.clone())),
            Ok(Used::Quietly) => {}
            Ok(Used::Unknown) if strict => issues.push(unknown(name, key)),
            Ok(Used::Unknown) => search.ignored.push(clip(key)),
            Err(issue) => issues.push(issue),
        }
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
                search.summary = Summary::Count;
            }
        }
        "_sort" => {
            for part in value.split(',') {
                let (descending, code) = part.strip_prefix('-').map_or((false, part), |rest| (true, rest));
                let param = match code {
                    "_id" => "_id",
                    "_lastUpdated" => "_lastUpdated",
                    _ => parameter(name, code).ok_or_else(|| bad(key, "parameters of this type"))?.code,
                };
                search.query.sort.push(Sort { param, descending });
            }
        }
        "_summary" => {
            search.summary = match value {
                "false" => Summary::False,
                "true" => Summary::True,
                "text" => Summary::Text,
                "data" => Summary::Data,
                "count" => Summary::Count,
                _ => return Err(bad(key, "true, false, text, data or count")),
            }
        }
        "_elements" => search.elements.extend(value.split(',').map(str::to_owned)),
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
        _ => return filter(search, key, value, context),
    }
    if search.summary == Summary::Count {
        search.query.total = true;
    }
    Ok(Used::Yes)
}

fn bad(key: &str, expected: &str) -> Issue {
    Issue::error(IssueType::Value, format!("The value of '{}' has to be {expected}.", clip(key)))
}

fn filter(search: &mut Search, key: &str, value: &str, context: &TermContext) -> Result<Used, Issue> {
    let name = search.query.kind;
    let (code, modifier) = key.split_once(':').map_or((key, None), |(code, modifier)| (code, Some(modifier)));
    if code == "_id" && modifier.is_none() {
        let any = split(value).into_iter().map(Match::Id).collect();
        search.query.filters.push(Filter { param: "_id", any, not: false });
        return Ok(Used::Yes);
    }
    if code == "_lastUpdated" && modifier.is_none() {
        let any = dates(key, value, context)?;
        search.query.filters.push(Filter { param: "_lastUpdated", any, not: false });
        return Ok(Used::Yes);
    }
    let Some(parameter) = parameter(name, code) else {
        return Ok(Used::Unknown);
    };
    if modifier == Some("missing") {
        let missing = match value {
            "true" => true,
            "false" => false,
            _ => return Err(bad(key, "true or false")),
        };
        search.query.filters.push(Filter { param: parameter.code, any: vec![Match::Missing(missing)], not: false });
        return Ok(Used::Yes);
    }
    if value.is_empty() {
        return Err(bad(key, "at least one value"));
    }
    let any = matches(parameter, modifier, key, value, context)?;
    search.query.filters.push(Filter { param: parameter.code, any, not: modifier == Some("not") });
    Ok(Used::Yes)
}

fn matches(
    parameter: &Parameter,
    modifier: Option<&str>,
    key: &str,
    value: &str,
    context: &TermContext,
) -> Result<Vec<Match>, Issue> {
    let no_modifier = || {
        Issue::error(
            IssueType::NotSupported,
            format!("'{}': this modifier is not supported for a {} parameter.", clip(key), parameter.kind.as_str()),
        )
    };
    match (parameter.kind, modifier) {
        (ParameterType::Token, None | Some("not")) => Ok(split(value).into_iter().map(token).collect()),
        (ParameterType::Reference, None) => {
            Ok(split(value).into_iter().map(|one| reference(parameter, None, &one, context)).collect())
        }
        // `subject:Patient=1`
        (ParameterType::Reference, Some(target)) if kind(target).is_some() || parameter.targets.contains(&target) => {
            Ok(split(value).into_iter().map(|one| reference(parameter, Some(target), &one, context)).collect())
        }
        (ParameterType::Date, None) => dates(key, value, context),
        (ParameterType::String, None) => Ok(split(value).into_iter().map(Match::TextStarts).collect()),
        (ParameterType::String, Some("exact")) => Ok(split(value).into_iter().map(Match::TextExact).collect()),
        (ParameterType::String, Some("contains")) => Ok(split(value).into_iter().map(Match::TextContains).collect()),
        (ParameterType::Uri, None) => Ok(split(value).into_iter().map(Match::Uri).collect()),
        (ParameterType::Uri, Some("below")) => Ok(split(value).into_iter().map(Match::UriBelow).collect()),
        (ParameterType::Number, None) => split(value)
            .iter()
            .map(|one| {
                let (prefix, number) = prefix(one);
                let (low, high) = decimal(number).ok_or_else(|| bad(key, "a number"))?;
                Ok(Match::Number { prefix, low, high })
            })
            .collect(),
        (ParameterType::Quantity, None) => split(value)
            .iter()
            .map(|one| {
                let (prefix, rest) = prefix(one);
                let mut parts = rest.split('|');
                let (low, high) = parts.next().and_then(decimal).ok_or_else(|| bad(key, "number|system|code"))?;
                let given = |part: Option<&str>| part.filter(|text| !text.is_empty()).map(str::to_owned);
                Ok(Match::Quantity { prefix, low, high, system: given(parts.next()), code: given(parts.next()) })
            })
            .collect(),
        _ => Err(no_modifier()),
    }
}

/// Values between commas; `\,` is a comma, `\|` a bar, `\\` a backslash.
fn split(value: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        let last = out.len() - 1;
        match letter {
            ',' => out.push(String::new()),
            '\\' => out[last].extend(letters.next()),
            _ => out[last].push(letter),
        }
    }
    out.retain(|one| !one.is_empty());
    out
}

fn token(text: String) -> Match {
    match text.split_once('|') {
        None => Match::Token { system: None, code: Some(text) },
        Some((system, code)) => {
            Match::Token { system: Some(system.to_owned()), code: (!code.is_empty()).then(|| code.to_owned()) }
        }
    }
}

fn reference(parameter: &Parameter, target: Option<&str>, text: &str, context: &TermContext) -> Match {
    let local = relative(text, &context.base);
    if local.contains('/') || local.contains(':') {
        return Match::Reference(local);
    }
    // A bare id: of the one type it can be, or of any.
    let only = target.or(match parameter.targets {
        [one] => Some(*one),
        _ if parameter.code == "patient" => Some("Patient"),
        _ => None,
    });
    match only {
        Some(kind) => Match::Reference(format!("{kind}/{local}")),
        None => Match::ReferenceId(local),
    }
}

fn dates(key: &str, value: &str, context: &TermContext) -> Result<Vec<Match>, Issue> {
    split(value)
        .iter()
        .map(|one| {
            let (prefix, text) = prefix(one);
            // In a form-encoded query a plus is a space.
            let text = text.replace(' ', "+");
            let (from, to) = time::interval(&text, &context.zone)
                .ok_or_else(|| bad(key, "a FHIR date, with or without a prefix"))?;
            Ok(Match::Date { prefix, from, to })
        })
        .collect()
}

fn prefix(text: &str) -> (Prefix, &str) {
    const PREFIXES: &[(&str, Prefix)] = &[
        ("eq", Prefix::Eq),
        ("ne", Prefix::Ne),
        ("gt", Prefix::Gt),
        ("lt", Prefix::Lt),
        ("ge", Prefix::Ge),
        ("le", Prefix::Le),
        ("sa", Prefix::Sa),
        ("eb", Prefix::Eb),
        ("ap", Prefix::Ap),
    ];
    PREFIXES
        .iter()
        .find_map(|(name, prefix)| text.strip_prefix(name).map(|rest| (*prefix, rest)))
        .unwrap_or((Prefix::Eq, text))
}

/// A decimal as the interval its digits stand for: 100 is [99.5, 100.5), 5.40 is [5.395, 5.405).
fn decimal(text: &str) -> Option<(f64, f64)> {
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let digits = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let exponent: i32 = exponent.parse().ok()?;
    let half = 0.5 * 10f64.powi(exponent.saturating_sub(i32::try_from(digits).ok()?));
    Some((value - half, value + half))
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(split(r"a\,b,c"), ["a,b", "c"]);
    }

    #[test]
    fn unknown_parameters_are_refused_or_told() {
        assert_eq!(search("Flag", &[("colour", "red")], true).expect_err("strict")[0].code, IssueType::NotSupported);
        assert_eq!(search("Flag", &[("colour", "red")], false).expect("lenient").ignored, ["colour"]);
        assert!(search("Flag", &[("status:exact", "x")], false).is_err());
        assert!(search("Flag", &[("date", "yesterday")], false).is_err());
        assert!(search("Flag", &[("_count", "-1")], false).is_err());
    }

    #[test]
    fn limits_hold() {
        let many = vec!["a"; VALUES_MAX + 1].join(",");
        assert_eq!(search("Flag", &[("_id", &many)], false).expect_err("too many")[0].code, IssueType::TooCostly);
        assert_eq!(search("Flag", &[("_count", "1000000000")], false).expect("cut").query.count, COUNT_MAX);
        assert_eq!(search("Flag", &[("_summary", "count")], false).expect("count").summary, Summary::Count);
    }

    #[test]
    fn a_decimal_stands_for_its_digits() {
        assert_eq!(decimal("100"), Some((99.5, 100.5)));
        let (low, high) = decimal("5.40").expect("decimal");
        assert!((low - 5.395).abs() < 1e-9 && (high - 5.405).abs() < 1e-9);
        assert_eq!(decimal("1e999"), None);
    }
}
