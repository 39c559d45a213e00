//! The Device that authors every finding: this software and its model.

use super::{BASE, DEVICE_ID, Finding, Place, WriteContext};
use serde_json::{Value, json};

/// `Device/tautline`. One per server, written when the server starts; it belongs to no client.
pub fn device(context: &WriteContext) -> Finding {
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
        "note": [{"text": "What it finds is a pattern that often precedes withdrawal. Whether it is a rupture, therapist and client find out."}],
    });
    Finding::new(resource, "Device", DEVICE_ID.to_owned(), false, Place::Server)
}
