//! What a launch's permissions do not cover: said, so that nobody takes it for not being there.

use super::grammar::list;

/// Beside a row that is not shown.
pub const NOT_COVERED: &str = "not covered by this launch's permissions";

/// What is made of a FHIR type, in words.
#[must_use]
pub fn made_of(kind: &str) -> &'static str {
    match kind {
        "Patient" => "name and pronoun",
        "QuestionnaireResponse" => "scores, questionnaires and the safety item",
        "Task" => "homework and what was asked for",
        "Appointment" => "appointments and attendance",
        "Encounter" => "visits",
        "Flag" => "flags",
        _ => "other parts of the record",
    }
}

/// Types of this client's record that the launch may not show, so that nothing that rests on them is shown either.
#[must_use]
pub fn withheld(kinds: &[&str]) -> String {
    let parts: Vec<String> = kinds.iter().map(|kind| format!("{} ({kind})", made_of(kind))).collect();
    let mut text = format!(
        "This launch's permissions do not cover {}. What Tautline makes of the record rests on all of it, and is not \
         shown: no news here is no good news.",
        list(&parts)
    );
    if kinds.contains(&"QuestionnaireResponse") {
        text.push_str(" An answer to a safety item may be there as well.");
    }
    text.push_str(" Look in the chart; whoever runs the connection to the record system can grant the permissions.");
    text
}

/// The name alone is missing.
#[must_use]
pub fn unnamed() -> String {
    format!("Name and pronoun are {NOT_COVERED} (Patient).")
}
