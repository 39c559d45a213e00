//! JSON Patch, RFC 6902.

use super::{OPERATIONS_MAX, clip, too_many, within};
use crate::fhir::outcome::{Issue, IssueType};
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

pub(super) fn read(body: &Value) -> Result<Patch, Issue> {
    if body.as_array().map_or(0, Vec::len) > OPERATIONS_MAX {
        return Err(too_many());
    }
    let bad = |number: Option<usize>| {
        let which = number.map(|number| format!(" Operation {number} is none.")).unwrap_or_default();
        let text = format!(
            "A JSON Patch is an array of operations (RFC 6902): op, path, and value or from where it needs one.{which}"
        );
        let issue = Issue::error(IssueType::Structure, text);
        number.map_or(issue.clone(), |number| issue.at(place(number)))
    };
    // The crate's message might say a value back.
    let operations = body.as_array().ok_or_else(|| bad(None))?.iter().enumerate();
    let read =
        operations.map(|(n, one)| serde_json::from_value::<PatchOperation>(one.clone()).map_err(|_| bad(Some(n))));
    read.collect::<Result<_, _>>().map(Patch)
}

/// Where in the document an operation is.
pub(super) fn place(number: usize) -> String {
    format!("$this[{number}]")
}

/// `/name/0/family` as `name[0].family`; what is put at the end of a list is about the list.
pub(super) fn element(operation: &PatchOperation) -> String {
    let mut out = String::new();
    for cell in operation.path().as_str().split('/').skip(1).filter(|cell| *cell != "-") {
        match cell.parse::<usize>() {
            Ok(index) => out.push_str(&format!("[{index}]")),
            Err(_) => {
                out.push_str(if out.is_empty() { "" } else { "." });
                out.push_str(cell);
            }
        }
    }
    out
}

pub(super) fn apply(patch: &Patch, resource: &mut Value) -> Result<(), Issue> {
    for (number, operation) in patch.0.iter().enumerate() {
        json_patch::patch_unsafe(resource, std::slice::from_ref(operation)).map_err(|_| {
            let what =
                if matches!(operation, PatchOperation::Test(_)) { "the test failed" } else { "its path leads nowhere" };
            let path = clip(operation.path().as_str());
            let text = format!("Operation {number} of the patch ({path}) was not possible: {what}.");
            Issue::error(IssueType::Processing, text).at(place(number))
        })?;
        if matches!(operation, PatchOperation::Copy(_) | PatchOperation::Add(_) | PatchOperation::Move(_)) {
            within(resource)?;
        }
    }
    Ok(())
}
