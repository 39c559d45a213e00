//! The values of search parameters: prefixes, escapes, implied precision.

use super::bad;
use crate::fhir::outcome::Issue;
use crate::fhir::parameters::{Parameter, ParameterType, TermContext, relative};
use crate::fhir::time;
use crate::store::{Match, Prefix};

/// Pieces between commas, escapes kept; empty ones are dropped.
pub(super) fn split(value: &str) -> Vec<String> {
    parts(value, ',').into_iter().filter(|one| !one.is_empty()).collect()
}

/// Pieces between separators that no backslash stands before. Escapes are kept.
pub(super) fn parts(value: &str, separator: char) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        let last = out.len() - 1;
        if letter == separator {
            out.push(String::new());
            continue;
        }
        out[last].push(letter);
        if letter == '\\' {
            out[last].extend(letters.next());
        }
    }
    out
}

/// `\,` is a comma, `\|` a bar, `\$` a dollar sign, `\\` a backslash.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        out.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    out
}

/// One value of a parameter without a modifier.
pub(super) fn one(
    kind: ParameterType,
    parameter: &Parameter,
    key: &str,
    text: &str,
    context: &TermContext,
) -> Result<Match, Issue> {
    match kind {
        // Of a composite: its halves name their systems.
        ParameterType::Token => Ok(token(text)),
        ParameterType::Reference => Ok(reference(parameter, None, text, context)),
        ParameterType::Date => date(key, text, context),
        ParameterType::String => Ok(Match::TextStarts(plain(text))),
        ParameterType::Uri => Ok(Match::Uri(plain(text))),
        ParameterType::Number => {
            let (prefix, number) = prefix(text);
            let (low, high) = decimal(number).ok_or_else(|| bad(key, "a number"))?;
            Ok(Match::Number { prefix, low, high })
        }
        ParameterType::Quantity => quantity(key, text),
        ParameterType::Composite => pair(parameter, key, text, context),
    }
}

/// `code$value`
fn pair(parameter: &Parameter, key: &str, text: &str, context: &TermContext) -> Result<Match, Issue> {
    let expected = || bad(key, "a code and a value with a dollar sign between them, code$value");
    let halves = parts(text, '$');
    let ([first, second], Some(value)) = (halves.as_slice(), parameter.value) else { return Err(expected()) };
    let Match::Token { system, code: Some(code) } = token(first) else { return Err(expected()) };
    if second.is_empty() {
        return Err(expected());
    }
    let value = one(value.kind, parameter, key, second, context)?;
    Ok(Match::Pair { system, code, value: Box::new(value) })
}

fn quantity(key: &str, text: &str) -> Result<Match, Issue> {
    let (prefix, rest) = prefix(text);
    let mut cells = parts(rest, '|').into_iter();
    let number = cells.next().unwrap_or_default();
    let (low, high) = decimal(&number).ok_or_else(|| bad(key, "number|system|code"))?;
    let mut given = || cells.next().filter(|text| !text.is_empty()).map(|text| plain(&text));
    Ok(Match::Quantity { prefix, low, high, system: given(), code: given() })
}

/// A token of this parameter. Nothing where it names a system that the parameter's elements, which leave theirs out,
/// cannot have.
pub(super) fn tokens(parameter: &Parameter, text: &str) -> Vec<Match> {
    let (Match::Token { system: Some(system), code }, Some(implied)) = (token(text), &parameter.implied) else {
        return vec![token(text)];
    };
    // So they are kept.
    let bare = |code: Option<String>| Match::Token { system: Some(String::new()), code };
    if system.is_empty() {
        return vec![bare(code)];
    }
    let of = implied.iter().filter(|of| of.system == system);
    of.flat_map(|of| match &code {
        Some(code) if of.codes.is_empty() || of.codes.contains(&code.as_str()) => vec![bare(Some(code.clone()))],
        Some(_) => Vec::new(),
        None if of.codes.is_empty() => vec![bare(None)],
        None => of.codes.iter().map(|code| bare(Some((*code).to_owned()))).collect(),
    })
    .collect()
}

/// `code`, `system|code`, `|code` (no system), `system|` (any code of it).
pub(super) fn token(text: &str) -> Match {
    let cells = parts(text, '|');
    match cells.split_first() {
        Some((system, rest)) if !rest.is_empty() => {
            let code = plain(&rest.join("|"));
            Match::Token { system: Some(plain(system)), code: (!code.is_empty()).then_some(code) }
        }
        _ => Match::Token { system: None, code: Some(plain(text)) },
    }
}

pub(super) fn reference(parameter: &Parameter, target: Option<&str>, text: &str, context: &TermContext) -> Match {
    let local = relative(&plain(text), &context.base);
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

pub(super) fn date(key: &str, text: &str, context: &TermContext) -> Result<Match, Issue> {
    let (prefix, text) = prefix(text);
    // In a form-encoded query a plus is a space.
    let text = text.replace(' ', "+");
    let (from, to) =
        time::interval(&text, &context.zone).ok_or_else(|| bad(key, "a FHIR date, with or without a prefix"))?;
    Ok(Match::Date { prefix, from, to })
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
pub(super) fn decimal(text: &str) -> Option<(f64, f64)> {
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let digits = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let exponent: i32 = exponent.parse().ok()?;
    let half = 0.5 * 10f64.powi(exponent.saturating_sub(i32::try_from(digits).ok()?));
    Some((value - half, value + half))
}
