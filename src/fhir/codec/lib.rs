//! The one door to fhirbolt, the typed R4 model.
//!
//! Plain functions, nothing generic: the model's code is generated once, here, and in no crate that calls.
//!
//! **Only for JSON that `fhir::check` has accepted.** In strict mode an empty array on a known element makes
//! the model panic; in its compatibility mode an unknown element that holds an array never returns.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fhirbolt::model::r4::Resource;

/// Reads one resource, already found sound by our own check, into the typed model in its strict mode.
///
/// # Errors
/// A sentence for the log, not for the client: the model's messages carry no path, and may carry content.
pub fn typed_check(resource_type: &str, json: &str) -> Result<(), String> {
    let read = || fhirbolt::json::from_str::<Resource>(json, None).map(drop);
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("the typed model refused {resource_type}: {error}")),
        Err(_) => Err(format!("the typed model panicked on {resource_type}")),
    }
}
