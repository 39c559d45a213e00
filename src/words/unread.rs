//! What a launch could not read: said, since the absence of what was not read proves nothing.

use super::grammar::list;

/// FHIR types that could not be read whole; `None` where everything was.
#[must_use]
pub fn unread(kinds: &[&str]) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for kind in kinds {
        let part = match *kind {
            "Patient" => "who the client is",
            "QuestionnaireResponse" => "questionnaires",
            "Task" => "homework",
            "Appointment" | "Encounter" => "appointments",
            "EpisodeOfCare" => "the course of treatment",
            "CareTeam" => "the care team",
            _ => "other parts of the record",
        };
        if !parts.iter().any(|said| said == part) {
            parts.push(part.to_owned());
        }
    }
    if parts.is_empty() {
        return None;
    }
    let mut text = format!(
        "The record system did not give us all of it ({}). What is shown as missing may be there.",
        list(&parts)
    );
    if kinds.contains(&"QuestionnaireResponse") {
        text.push_str(" An answer to a safety item may be missing too.");
    }
    text.push_str(" Look in the chart, or launch again.");
    Some(text)
}
