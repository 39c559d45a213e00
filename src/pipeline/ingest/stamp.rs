//! What is ours to set on a resource, and what tells two versions apart.

use crate::fhir::read;
use crate::store::Head;
use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Whether the resource carries the `meta` that we gave the version that stands.
pub(super) fn echoes(resource: &Value, head: &Head) -> bool {
    claimed(resource) == Some(head.version) && repeats_stamp(resource, &head.json)
}

/// The version that `meta` says it is.
pub(super) fn claimed(resource: &Value) -> Option<u64> {
    resource.pointer("/meta/versionId").and_then(Value::as_str).and_then(|text| text.parse().ok())
}

/// Whether `meta.lastUpdated` is what we gave that stored version.
pub(super) fn repeats_stamp(resource: &Value, stored: &str) -> bool {
    let updated = resource.pointer("/meta/lastUpdated").and_then(Value::as_str);
    updated.is_some_and(|updated| {
        serde_json::from_str::<Value>(stored)
            .is_ok_and(|stored| stored.pointer("/meta/lastUpdated").and_then(Value::as_str) == Some(updated))
    })
}

/// Whether nothing differs but the parts of `meta` that are ours to set.
pub(super) fn says_the_same(resource: &Value, stored: &str) -> bool {
    let bare = |mut value: Value| {
        if let Some(meta) = value.get_mut("meta").and_then(Value::as_object_mut) {
            meta.retain(|key, _| key != "versionId" && key != "lastUpdated");
            if meta.is_empty() {
                value.as_object_mut().map(|fields| fields.shift_remove("meta"));
            }
        }
        value
    };
    serde_json::from_str(stored).is_ok_and(|stored| bare(stored) == bare(resource.clone()))
}

/// Whether nothing differs but `meta`, and the stored version is number `of`, here or where it was exported. `None`:
/// any number will do.
pub(super) fn says_the_same_but_meta(resource: &Value, stored: &str, number: u64, of: Option<u64>) -> bool {
    let bare = |mut value: Value| {
        value.as_object_mut().map(|fields| fields.shift_remove("meta"));
        value
    };
    serde_json::from_str(stored).is_ok_and(|stored: Value| {
        let numbered = of.is_none() || of == Some(number) || read::superseded(&stored) == Some(of);
        numbered && bare(stored) == bare(resource.clone())
    })
}

/// Hash of what was sent. `meta.versionId` is left out: it is ours to give.
#[must_use]
pub fn content_hash(resource: &Value) -> [u8; 16] {
    struct Sink(Sha256);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut sink = Sink(Sha256::new());
    // Writing to a hash cannot fail.
    if let Value::Object(object) = resource {
        for (key, value) in object.iter().filter(|(key, _)| *key != "id") {
            sink.0.update(key.as_bytes());
            sink.0.update([0]);
            if key == "meta" {
                let mut meta = value.clone();
                if let Some(meta) = meta.as_object_mut() {
                    meta.remove("versionId");
                }
                let _ = serde_json::to_writer(&mut sink, &meta);
            } else {
                let _ = serde_json::to_writer(&mut sink, value);
            }
        }
    }
    let whole = sink.0.finalize();
    let mut hash = [0; 16];
    hash.copy_from_slice(&whole[..16]);
    hash
}

/// Our own `meta.lastUpdated` in what we stored. Within a string its quotes would be escaped, and nothing else that is
/// kept may have the element (dom-4).
pub(super) fn stamped(json: &str) -> Option<Timestamp> {
    let rest = json.split_once("\"lastUpdated\":\"")?.1;
    rest.split_once('"')?.0.parse().ok()
}

pub(super) fn set_id(resource: &mut Value, id: &str) {
    if let Some(object) = resource.as_object_mut() {
        if let Some(slot) = object.get_mut("id") {
            *slot = Value::from(id);
        } else {
            object.shift_insert(usize::from(object.contains_key("resourceType")), "id".into(), Value::from(id));
        }
    }
}

/// Sets what is ours to set: id, `meta.versionId`, `meta.lastUpdated`. Everything else stays as it was sent.
pub fn stamp(resource: &mut Value, id: &str, version: u64, updated: Timestamp) {
    set_id(resource, id);
    let Some(object) = resource.as_object_mut() else { return };
    if !object.get("meta").is_some_and(Value::is_object) {
        let place = object.keys().position(|key| key == "id").map_or(0, |at| at + 1);
        object.shift_insert(place, "meta".into(), Value::Object(Map::new()));
    }
    if let Some(meta) = object.get_mut("meta").and_then(Value::as_object_mut) {
        meta.insert("versionId".into(), Value::from(version.to_string()));
        meta.insert("lastUpdated".into(), Value::from(format!("{updated:.3}")));
    }
}
