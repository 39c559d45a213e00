//! `Patient/{id}/$detect-rupture`: the assessment as of an instant, stored nowhere.

use super::{Request, Response};
use crate::api::State;
use crate::api::access::Access;
use crate::error::{Error, Result};
use crate::fhir::outcome::IssueType;
use crate::fhir::{time, write};
use crate::pipeline::assess::Spoken;
use crate::smart::scope::Right;
use crate::store::Key;
use crate::words::{Manner, Person};
use serde_json::Value;

pub async fn detect_rupture(state: &State, access: &Access, request: Request) -> Result<Response> {
    for kind in ["Patient", "Observation", "Flag"] {
        access.read(kind)?;
    }
    let client = request.target.path[1].as_str();
    if !access.may_see("Patient", &[client], Right::Read, || None) {
        return Err(Error::not_found("Patient", client));
    }
    let pipeline = &state.pipeline;
    let as_of = match as_of(&request)? {
        None => pipeline.clock.now(),
        Some(text) => time::instant(&text.replace(' ', "+"), &pipeline.zone).ok_or_else(|| {
            Error::new(IssueType::Value, "asOf has to be an instant, such as 2026-03-02T10:00:00Z.").at("asOf")
        })?,
    };
    let assessed = pipeline.look(client, as_of).await?;
    let key = Key { kind: "Patient", id: client.into() };
    let known = pipeline.store.read(&key).await?.is_some_and(|version| !version.deleted);
    if !known && assessed.timeline == crate::domain::Timeline::default() {
        return Err(Error::not_found("Patient", client));
    }
    let person = Person { given: None, ..pipeline.person(client).await? };
    let sentences = Spoken { person, manner: Manner { time_zone: pipeline.zone.clone(), ..Manner::default() } };
    let context = pipeline.write_context(as_of, None, &sentences);
    let mut bundle = write::detect_rupture_bundle(client, &assessed.course, &pipeline.base, &context);
    if let Some(entries) = bundle.get_mut("entry").and_then(Value::as_array_mut) {
        entries.retain(|entry| {
            let resource = entry.get("resource");
            let kind = resource.and_then(|one| one.get("resourceType")).and_then(Value::as_str).unwrap_or_default();
            let of = resource.map(crate::fhir::read::clients).unwrap_or_default();
            access.may_see(kind, &of, Right::Read, || resource.cloned())
        });
    }
    access.note_client(client);
    Ok(Response::json(&bundle))
}

/// What the operation takes.
const PARAMETER: &str = "asOf";

/// From the query, or from the Parameters of a POST. What the operation does not know is refused: an `asof` that is
/// overlooked would answer for now.
fn as_of(request: &Request) -> Result<Option<String>> {
    let mut found = None;
    for (key, value) in &request.target.query {
        match key.as_str() {
            PARAMETER if found.is_none() => found = Some(value.clone()),
            PARAMETER => return Err(twice()),
            "_format" | "_pretty" => {}
            other => return Err(unknown(other)),
        }
    }
    let Some(body) = &request.body else { return Ok(found) };
    if body.get("resourceType").and_then(Value::as_str) != Some("Parameters") {
        return Err(Error::new(IssueType::Structure, "The operation takes Parameters.").at("resourceType"));
    }
    for (index, one) in body.get("parameter").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let name = one.get("name").and_then(Value::as_str).unwrap_or_default();
        if name != PARAMETER {
            return Err(unknown(name).at(format!("Parameters.parameter[{index}]")));
        }
        let keys = ["valueInstant", "valueDateTime", "valueDate", "valueString"];
        let text = keys.iter().find_map(|key| one.get(*key).and_then(Value::as_str).map(str::to_owned));
        if found.is_some() {
            return Err(twice());
        }
        found = Some(text.ok_or_else(|| {
            let place = format!("Parameters.parameter[{index}]");
            Error::new(IssueType::Value, "asOf has to be a valueInstant or valueDateTime.").with_status(400).at(place)
        })?);
    }
    Ok(found)
}

fn twice() -> Error {
    Error::new(IssueType::Value, "asOf can be given once.").with_status(400).at(PARAMETER)
}

fn unknown(name: &str) -> Error {
    let name: String = name.chars().filter(char::is_ascii_graphic).take(64).collect();
    let text = format!("The operation has no parameter '{name}'; it takes {PARAMETER}.");
    Error::new(IssueType::NotSupported, text)
}
