//! JSON Patch, RFC 6902.

use super::{OPERATIONS_MAX, too_many, within};
use crate::fhir::outcome::{Issue, IssueType};
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

pub(super) fn read(body: &Value) -> Result<Patch, Issue> {
    if body.as_array().map_or(0, Vec::len) > OPERATIONS_MAX {
        return Err(too_many());
    }
    // The crate's message might say a value back.
    serde_json::from_value(body.clone()).map_err(|_| {
        let text = "A JSON Patch is an array of operations (RFC 6902): op, path, and value or from where it needs one.";
        Issue::error(IssueType::Structure, text)
    })
}

pub(super) fn apply(patch: &Patch, resource: &mut Value) -> Result<(), Issue> {
    for (number, operation) in patch.0.iter().enumerate() {
        json_patch::patch_unsafe(resource, std::slice::from_ref(operation)).map_err(|_| {
            let what =
                if matches!(operation, PatchOperation::Test(_)) { "the test failed" } else { "its path leads nowhere" };
            Issue::error(IssueType::Processing, format!("Operation {number} of the patch was not possible: {what}."))
        })?;
        if matches!(operation, PatchOperation::Copy(_) | PatchOperation::Add(_) | PatchOperation::Move(_)) {
            within(resource)?;
        }
    }
    Ok(())
}
