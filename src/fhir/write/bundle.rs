//! `$detect-rupture`: what stands as of an instant, stored nowhere.

use super::{Step, WriteContext, basis, flag, observation, published_steps};
use crate::domain::{Assessment, Course};
use serde_json::{Value, json};

/// A `collection` of the six Observations and the active Flags as of `course.as_of`, with the ids and the
/// content of the stored ones. `fhir_base` is the server's FHIR URL, without a slash at its end.
pub fn detect_rupture_bundle(client: &str, course: &Course, fhir_base: &str, context: &WriteContext) -> Value {
    let mut entries = Vec::new();
    let mut add = |kind: &str, id: &str, resource: Value| {
        entries.push(json!({"fullUrl": format!("{fhir_base}/{kind}/{id}"), "resource": resource}));
    };
    if let Some(step) = step_asked_about(course) {
        for made in observation::of_step(client, course, &step, context) {
            add(made.kind, &made.id, made.resource);
        }
    }
    let steps = published_steps(course);
    for episode in course.episodes.iter().filter(|episode| episode.closed.is_none()) {
        let made = flag::of_episode(client, course, &steps, episode, context);
        add(made.kind, &made.id, made.resource);
    }
    let mut bundle = json!({
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": course.as_of.to_string(),
    });
    // R4 has no empty arrays.
    if !entries.is_empty() {
        bundle["entry"] = entries.into();
    }
    bundle
}

/// At the very start of an appointment that is its own step, as it is stored; otherwise the open assessment.
fn step_asked_about(course: &Course) -> Option<Step<'_>> {
    let at_start = |step: &&Assessment| step.as_of == course.as_of;
    // Provenance alone speaks of the facts known, and there is none in the Bundle.
    let step = |assessment, open| Step { assessment, open, basis: basis::NONE, behind: basis::NONE };
    match course.steps.last().filter(at_start) {
        Some(assessment) => Some(step(assessment, false)),
        None => course.open.as_ref().map(|assessment| step(assessment, true)),
    }
}
