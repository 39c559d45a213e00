//! The FHIRPath that patches are written in: names, indexes, `where(a.b = 'c')`, `first()`, `last()`,
//! `extension('url')`, `ofType(X)`.

use crate::fhir::definitions::type_named;
use serde_json::Value;

/// Longest path, characters.
const PATH_CHARS_MAX: usize = 1_000;

/// A place in a resource.
pub(super) type Place = Vec<At>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    Key(String),
    Index(usize),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
    Last,
    Where(Vec<(Vec<String>, String)>),
    OfType(String),
}

/// `Patient.name[0].given` without its type, which has to be `kind`.
pub(super) fn parse(text: &str, kind: &str) -> Option<Vec<Step>> {
    if text.chars().count() > PATH_CHARS_MAX {
        return None;
    }
    let mut pieces = pieces(text, '.')?.into_iter();
    if pieces.next()? != kind {
        return None;
    }
    let mut steps = Vec::new();
    for piece in pieces {
        step(&piece, &mut steps)?;
    }
    Some(steps)
}

/// Parts between separators that stand in no bracket and no quotes.
fn pieces(text: &str, separator: char) -> Option<Vec<String>> {
    let mut out = vec![String::new()];
    let (mut depth, mut quoted) = (0_usize, false);
    for letter in text.chars() {
        match letter {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if letter == separator && depth == 0 && !quoted {
            out.push(String::new());
        } else {
            out.last_mut()?.push(letter);
        }
    }
    (depth == 0 && !quoted && out.iter().all(|piece| !piece.trim().is_empty())).then_some(out)
}

fn step(piece: &str, steps: &mut Vec<Step>) -> Option<()> {
    let piece = piece.trim();
    let (body, indexes) = match piece.find('[') {
        Some(at) if !piece[..at].contains('(') => piece.split_at(at),
        _ => piece.rfind(')').map_or((piece, ""), |at| piece.split_at(at + 1)),
    };
    match body.split_once('(') {
        None => {
            let letters = body.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            steps.push(Step::Name((!body.is_empty() && letters).then(|| body.to_owned())?));
        }
        Some((name, inside)) => {
            let inside = inside.strip_suffix(')')?.trim();
            match (name, inside) {
                ("first", "") => steps.push(Step::Index(0)),
                ("last", "") => steps.push(Step::Last),
                ("ofType" | "as", kind) => steps.push(Step::OfType(kind.rsplit('.').next()?.to_owned())),
                ("where", condition) => steps.push(Step::Where(condition_of(condition)?)),
                ("extension", url) => {
                    steps.push(Step::Name("extension".into()));
                    steps.push(Step::Where(vec![(vec!["url".into()], literal(url)?)]));
                }
                _ => return None,
            }
        }
    }
    for index in indexes.split('[').skip(1) {
        steps.push(Step::Index(index.strip_suffix(']')?.trim().parse().ok()?));
    }
    Some(())
}

/// `system = 'a' and type.code = 'b'`
fn condition_of(text: &str) -> Option<Vec<(Vec<String>, String)>> {
    let mut out = Vec::new();
    for part in text.split(" and ") {
        let (left, right) = part.split_once('=')?;
        let names: Vec<String> = left.trim().split('.').map(str::to_owned).collect();
        let plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '$') && !name.is_empty();
        out.push((names.iter().all(plain).then_some(names)?, literal(right.trim())?));
    }
    Some(out)
}

fn literal(text: &str) -> Option<String> {
    match text.strip_prefix('\'') {
        Some(rest) => rest.strip_suffix('\'').map(str::to_owned),
        None => text.chars().all(|c| c.is_ascii_alphanumeric() || ".-+@:".contains(c)).then(|| text.to_owned()),
    }
}

/// Every place that the path leads to.
pub(super) fn places(resource: &Value, steps: &[Step]) -> Vec<Place> {
    let mut here: Vec<Place> = vec![Vec::new()];
    for step in steps {
        here = match step {
            Step::Name(name) => here.iter().flat_map(|place| children(resource, place, name)).collect(),
            Step::Index(index) => here.into_iter().skip(*index).take(1).collect(),
            Step::Last => here.into_iter().last().into_iter().collect(),
            Step::Where(conditions) => {
                here.retain(|place| value(resource, place).is_some_and(|value| holds(value, conditions)));
                here
            }
            Step::OfType(kind) => {
                here.retain(|place| is_of(place, kind));
                here
            }
        };
    }
    here
}

fn children(resource: &Value, place: &Place, name: &str) -> Vec<Place> {
    let Some(Value::Object(object)) = value(resource, place) else { return Vec::new() };
    let key = if object.contains_key(name) {
        Some(name)
    } else {
        object.keys().map(String::as_str).find(|key| is_choice(key, name))
    };
    let Some((key, child)) = key.and_then(|key| Some((key, object.get(key)?))) else { return Vec::new() };
    let to = |more: Option<At>| place.iter().cloned().chain([At::Key(key.to_owned())]).chain(more).collect::<Place>();
    match child {
        Value::Array(items) => (0..items.len()).map(|index| to(Some(At::Index(index)))).collect(),
        _ => vec![to(None)],
    }
}

/// `valueQuantity` is a choice of `value`.
pub(super) fn is_choice(key: &str, name: &str) -> bool {
    key.strip_prefix(name).is_some_and(|kind| {
        let lower =
            kind.chars().next().map(|first| format!("{}{}", first.to_ascii_lowercase(), &kind[first.len_utf8()..]));
        kind.starts_with(|first: char| first.is_ascii_uppercase())
            && (type_named(kind).is_some() || lower.is_some_and(|lower| PRIMITIVES.contains(&lower.as_str())))
    })
}

const PRIMITIVES: &[&str] = &[
    "base64Binary",
    "boolean",
    "canonical",
    "code",
    "date",
    "dateTime",
    "decimal",
    "id",
    "instant",
    "integer",
    "markdown",
    "oid",
    "positiveInt",
    "string",
    "time",
    "unsignedInt",
    "uri",
    "url",
    "uuid",
];

fn is_of(place: &Place, kind: &str) -> bool {
    let key = place.iter().rev().find_map(|at| if let At::Key(key) = at { Some(key) } else { None });
    key.is_some_and(|key| key.to_ascii_lowercase().ends_with(&kind.to_ascii_lowercase()))
}

fn holds(value: &Value, conditions: &[(Vec<String>, String)]) -> bool {
    fn reach<'a>(value: &'a Value, names: &[String], out: &mut Vec<&'a Value>) {
        match (value, names.split_first()) {
            (Value::Array(items), _) => items.iter().for_each(|item| reach(item, names, out)),
            (_, None) => out.push(value),
            (_, Some((first, rest))) if first == "$this" => reach(value, rest, out),
            (_, Some((first, rest))) => {
                if let Some(child) = value.get(first) {
                    reach(child, rest, out);
                }
            }
        }
    }
    conditions.iter().all(|(names, wanted)| {
        let mut found = Vec::new();
        reach(value, names, &mut found);
        found.iter().any(|one| match one {
            Value::String(text) => text == wanted,
            other => other.to_string() == *wanted,
        })
    })
}

pub(super) fn value<'a>(resource: &'a Value, place: &[At]) -> Option<&'a Value> {
    place.iter().try_fold(resource, |value, at| match at {
        At::Key(key) => value.get(key),
        At::Index(index) => value.get(index),
    })
}

pub(super) fn value_mut<'a>(resource: &'a mut Value, place: &[At]) -> Option<&'a mut Value> {
    place.iter().try_fold(resource, |value, at| match at {
        At::Key(key) => value.get_mut(key),
        At::Index(index) => value.get_mut(index),
    })
}
