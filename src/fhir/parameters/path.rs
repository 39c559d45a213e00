//! The FHIRPaths of search parameters: where in a resource the values are.

use serde_json::Value;

/// A FHIRPath of the few shapes that R4's search parameters have.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
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

pub(super) fn paths(expression: &'static str) -> Vec<Path> {
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

pub(super) fn collect(value: &Value, steps: &[Step], found: &mut dyn FnMut(&Value)) {
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
