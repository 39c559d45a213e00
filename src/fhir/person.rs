//! A Patient's name and gender, as the page and the sentences need them.

use crate::words::{Gender, Person};
use serde_json::Value;

/// The name in use: official before usual before any; text before parts.
#[must_use]
pub fn person(patient: &Value) -> Person {
    let gender = patient.get("gender").and_then(Value::as_str).map_or(Gender::Unknown, Gender::from_code);
    let Some(name) = best_name(patient) else {
        return Person::nameless(gender);
    };
    let given: Vec<&str> = name
        .get("given")
        .and_then(Value::as_array)
        .map(|parts| parts.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    Person::new(display_name(name), given.first().copied(), gender)
}

/// "Ana Maria Berg", or the text as it was sent.
#[must_use]
pub fn display_name(name: &Value) -> String {
    if let Some(text) = name.get("text").and_then(Value::as_str) {
        return text.to_owned();
    }
    let given = name.get("given").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let family = name.get("family").and_then(Value::as_str);
    given.chain(family).collect::<Vec<_>>().join(" ")
}

/// The name of a Patient or Practitioner to show.
#[must_use]
pub fn best_name(resource: &Value) -> Option<&Value> {
    let names = resource.get("name")?.as_array()?;
    let rank = |name: &&Value| match name.get("use").and_then(Value::as_str) {
        Some("official") => 0,
        Some("usual") => 1,
        None => 2,
        Some("old" | "maiden") => 4,
        Some(_) => 3,
    };
    names.iter().filter(|name| name.is_object()).min_by_key(rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_official_name_wins_and_parts_are_joined() {
        let patient = json!({"gender": "female", "name": [
            {"use": "nickname", "text": "Annie"}, {"use": "official", "given": ["Ana", "Maria"], "family": "Berg"}]});
        let person = person(&patient);
        assert_eq!((person.name.as_str(), person.given.as_deref()), ("Ana Maria Berg", Some("Ana")));
        assert_eq!(person.gender, Gender::Female);
    }

    #[test]
    fn no_name_is_no_name() {
        assert_eq!(person(&json!({})).given, None);
    }
}
