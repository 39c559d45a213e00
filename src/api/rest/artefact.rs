//! Our own conformance resources and shipped measures, read and searched; nobody writes them.

use super::narrow::narrow;
use super::searchset::{Frame, bundle, link};
use crate::error::{Error, Result};
use crate::fhir::artefacts;
use crate::fhir::outcome::IssueType;
use crate::fhir::read::SHIPPED;
use crate::fhir::search::{self, Summary};
use crate::store::StoreError;
use serde_json::{Value, json};

/// Whether the type is one of conformance resources alone.
pub fn is_kind(name: &str) -> bool {
    artefacts::of_kind(name).next().is_some()
}

/// The text of one.
pub fn find(kind: &str, id: &str) -> Option<&'static str> {
    if kind == "Questionnaire" {
        return SHIPPED.iter().find(|(name, _)| *name == id).map(|(_, text)| *text);
    }
    artefacts::find(kind, id).map(|artefact| artefact.json)
}

/// A search for a shipped measure alone: by what these answer to.
pub fn asks_for_shipped(name: &str, query: &[(String, String)]) -> bool {
    let known = ["_id", "url", "name", "_format", "_pretty", "_count"];
    let names = |key: &str| matches!(key, "_id" | "url" | "name");
    name == "Questionnaire"
        && query.iter().all(|(key, _)| known.contains(&key.as_str()))
        && query.iter().any(|(key, _)| names(key))
}

fn all(name: &str) -> Vec<(&'static str, &'static str)> {
    match name {
        "Questionnaire" => SHIPPED.to_vec(),
        _ => artefacts::of_kind(name).map(|artefact| (artefact.id, artefact.json)).collect(),
    }
}

/// A page of those of a type. The cursor is the number of those before it: they do not change while we run.
///
/// # Errors
/// Values that cannot be; other parameters where `strict`.
pub fn search(name: &str, query: &[(String, String)], base: &str, strict: bool) -> Result<String> {
    let shape = search::shape(name, query).map_err(Error::of_query)?;
    let bad = || Error::new(IssueType::Value, "_count has to be a whole number, 0 or more.").with_status(400);
    let (mut count, mut from, mut used) = (search::COUNT_DEFAULT, 0, Vec::new());
    for (key, value) in query {
        match key.as_str() {
            "_count" => count = value.parse::<usize>().map_err(|_| bad())?.min(search::COUNT_MAX),
            "_cursor" => {
                from = value.parse().map_err(|_| StoreError::BadCursor)?;
                continue;
            }
            "_format" | "_pretty" => continue,
            "_summary" | "_elements" | "_total" => {}
            key if artefacts::PARAMETERS.iter().any(|(known, _)| *known == key) => {}
            _ if strict => {
                let text = format!("{name} of this server is searched by _id, name and url.");
                return Err(Error::new(IssueType::NotSupported, text));
            }
            _ => continue,
        }
        used.push((key.clone(), value.clone()));
    }
    let fits = |id: &str, value: &Value, key: &str, wanted: &str| match key {
        "_id" => wanted.split(',').any(|one| one == id),
        "url" => value.get(key).and_then(Value::as_str) == Some(wanted),
        "name" => {
            let begins = |text: &str| text.to_lowercase().starts_with(&wanted.to_lowercase());
            value.get(key).and_then(Value::as_str).is_some_and(begins)
        }
        _ => true,
    };
    let found: Vec<_> = all(name)
        .into_iter()
        .filter_map(|(id, text)| Some((id, text, serde_json::from_str::<Value>(text).ok()?)))
        .filter(|(id, _, value)| used.iter().all(|(key, wanted)| fits(id, value, key, wanted)))
        .collect();
    let counted = count == 0 || shape.summary == Summary::Count;
    let page: Vec<String> = found
        .iter()
        .skip(from)
        .take(if counted { 0 } else { count })
        .map(|(id, text, _)| {
            let url = json!(format!("{base}/{name}/{id}"));
            let narrowed = narrow(text, &shape);
            let text = narrowed.as_deref().unwrap_or(text);
            format!("{{\"fullUrl\":{url},\"resource\":{text},\"search\":{{\"mode\":\"match\"}}}}")
        })
        .collect();
    let url = format!("{base}/{name}");
    let next = (!counted && from + page.len() < found.len()).then(|| (from + page.len()).to_string());
    let frame = Frame {
        total: Some(found.len() as u64),
        own: link(&url, &used, None),
        next: next.map(|next| link(&url, &used, Some(&next))),
    };
    Ok(bundle(&frame, &page))
}
