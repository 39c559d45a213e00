//! Our own check of FHIR JSON: what stands between the wire and everything else.
//!
//! Two doors. [`parse`] turns bytes into JSON, strictly. [`check`] holds one resource against the R4
//! definitions and the invariants that matter here, and reports every fault at once, each with its FHIRPath.
//! Neither panics on any input; both are linear in its size and recurse at most [`DEPTH_MAX`] levels.
//!
//! Extensions of any URL are accepted and kept. Nothing is coerced. Diagnostics say what was expected; they
//! name elements, never values.

mod bundle;
mod json;
mod narrative;
mod path;
mod primitive;
mod questionnaire;
mod reference;
mod rules;
#[cfg(test)]
mod tests;
mod walk;

pub use bundle::check_bundle_shell;
pub use json::{Limits, parse};

use serde_json::Value;

use crate::fhir::outcome::Issue;

/// Levels of nested JSON arrays and objects.
pub const DEPTH_MAX: usize = 64;
/// Faults reported for one resource; one more says that there are others.
pub const ISSUES_MAX: usize = 50;
/// Characters of a `string` or `markdown`, by the specification.
pub const STRING_CHARS_MAX: usize = 1_048_576;
/// Characters of a decimal's literal: far beyond any measurement.
pub const DECIMAL_CHARS_MAX: usize = 64;
/// Digits of a fraction of a second: nanoseconds, the finest that clocks here keep.
pub const FRACTION_DIGITS_MAX: usize = 9;
/// Open tags of a narrative.
pub const NARRATIVE_DEPTH_MAX: usize = 100;

/// Checks one resource that stands alone. Empty: it is sound.
#[must_use]
pub fn check(resource: &Value) -> Vec<Issue> {
    let root = resource
        .get("resourceType")
        .and_then(Value::as_str)
        .filter(|name| crate::fhir::definitions::resource_type(name).is_some())
        .unwrap_or("Resource");
    check_at(resource, root)
}

/// Checks one resource whose expressions start with `root`, as `Bundle.entry[3].resource`. Under such a root,
/// and only there, a reference may be conditional, `Patient?identifier=…`: a transaction resolves it.
#[must_use]
pub fn check_at(resource: &Value, root: &str) -> Vec<Issue> {
    let mut checker = walk::Checker::default();
    checker.conditional = root.starts_with("Bundle.entry[");
    checker.run(resource, root)
}
