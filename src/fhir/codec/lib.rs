//! The one door to fhirbolt, the typed R4 model.
//!
//! Plain functions, nothing generic: the model's code is generated once, here, and in no crate that calls.
//!
//! **Only for JSON that `fhir::check` has accepted.** In strict mode an empty array on a known element makes
//! the model panic; in its compatibility mode an unknown element that holds an array never returns.
//!
//! # What it earns
//! Measured with Rust 1.95 on two cores, on HL7's public examples. A cold build took 110 s in debug (2.7 GB at
//! the peak, in fhirbolt-serde) and 348 s in release (220 s of it here, 3 GB at the peak). Reading a resource
//! takes 2.5 to 3 times as long as serde_json takes to parse it, where our check takes a third to two thirds.
//! Single types instead of `Resource` were not tried: each contains any resource, so the whole model comes along.
//!
//! As a second judge it found two faults in our table (extensions on `Element.id`, a resource narrowed to
//! OperationOutcome). Since they were mended, it refused none of 700,000 broken resources that our check
//! accepts, and read a third of those that our check refuses. So it earns its keep in `tests/differential.rs`;
//! on the path of a write it finds nothing that the check has not found.

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
