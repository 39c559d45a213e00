//! The Device that authors every finding: this software and its model.

use super::{BASE, DEVICE_ID, Finding, Place, WriteContext};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

const ZONE: &str = "Time zone in which a date without a time is read";

/// The IANA name of the time zone that a stored Device names.
pub fn device_zone(json: &str) -> Option<String> {
    let device: Value = serde_json::from_str(json).ok()?;
    let zone = device["property"].as_array()?.iter().find(|property| property["type"]["text"] == ZONE)?;
    zone["valueCode"][0]["text"].as_str().map(str::to_owned)
}

/// `Device/tautline`. One per server, written when the server starts; it belongs to no client.
pub fn device(context: &WriteContext, zone: &TimeZone) -> Finding {
    let version = |what: &str, value: &str| json!({"type": {"text": what}, "value": value});
    let resource: Value = json!({
        "resourceType": "Device",
        "id": DEVICE_ID,
        "identifier": [{"system": format!("{BASE}/model-release"), "value": context.release()}],
        "status": "active",
        "manufacturer": "Tautline",
        "deviceName": [{"name": "Tautline", "type": "model-name"}],
        "type": {"text": "Software that notices when a psychotherapy client is quietly leaving"},
        "version": [
            version("software", context.software),
            version("model", context.model),
            version("constants", context.constants),
        ],
        "property": [{"type": {"text": ZONE}, "valueCode": [{"text": zone.iana_name().unwrap_or("UTC")}]}],
        "note": [{"text": "What it finds is a pattern that often precedes withdrawal. Whether it is a rupture, therapist and client find out."}],
    });
    Finding::new(resource, "Device", DEVICE_ID.to_owned(), false, Place::Server)
}
