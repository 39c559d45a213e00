//! What is read back out of a stored finding.

use super::DEVICE_ID;
use super::codes::{BASE, extension_url};
use super::provenance::basis_system;
use super::reconcile::ExistingFinding;
use crate::domain::FlagKind;
use jiff::Timestamp;
use serde_json::Value;

/// Stored text is our own; should it not parse, it counts as said by nobody and is written anew.
pub fn parse(old: &ExistingFinding) -> Value {
    serde_json::from_str(&old.json).unwrap_or(Value::Null)
}

pub fn status(resource: &Value) -> Option<&str> {
    resource["status"].as_str()
}

pub fn start(flag: &Value) -> Option<Timestamp> {
    flag["period"]["start"].as_str()?.parse().ok()
}

pub fn end(flag: &Value) -> Option<Timestamp> {
    flag["period"]["end"].as_str()?.parse().ok()
}

pub fn extensions<'a>(flag: &'a Value, url: &'a str) -> impl Iterator<Item = &'a Value> {
    flag["extension"].as_array().into_iter().flatten().filter(move |extension| extension["url"] == url)
}

pub fn closing_of(flag: &Value) -> Option<&Value> {
    flag["extension"].as_array()?.iter().find(|extension| extension["url"] == extension_url("flag-closing").as_str())
}

pub fn flag_code(flag: &Value) -> Option<&'static str> {
    let code = flag["code"]["coding"][0]["code"].as_str()?;
    [FlagKind::EngagementDrop, FlagKind::NotOnTrack, FlagKind::SafetyItem]
        .into_iter()
        .map(FlagKind::code)
        .find(|known| *known == code)
}

fn author(resource: &Value) -> &Value {
    match resource["resourceType"].as_str() {
        Some("Flag") => &resource["author"],
        Some("Provenance") => &resource["agent"][0]["who"],
        _ => &resource["device"],
    }
}

pub fn is_ours(resource: &Value) -> bool {
    let reference = author(resource)["reference"].as_str();
    reference.and_then(|reference| reference.strip_prefix("Device/")) == Some(DEVICE_ID)
}

pub fn release(resource: &Value) -> Option<&str> {
    let identifier = &author(resource)["identifier"];
    if identifier["system"] == format!("{BASE}/model-release").as_str() { identifier["value"].as_str() } else { None }
}

pub fn basis(provenance: &Value) -> Option<&str> {
    let system = basis_system();
    let entities = provenance["entity"].as_array()?;
    let named = entities.iter().map(|entity| &entity["what"]["identifier"]);
    named.into_iter().find(|identifier| identifier["system"] == system.as_str())?["value"].as_str()
}

/// The first thing that a Provenance is about.
pub fn target(provenance: &Value) -> Option<&str> {
    provenance["target"][0]["reference"].as_str()
}
