//! What a practitioner said about a Flag: an Observation, the only ground truth anyone will ever have.
//!
//! The page builds it with [`observation`], or an EHR posts it; `fhir::read` reads both. Its shape:
//!
//! ```json
//! {
//!   "resourceType": "Observation",
//!   "status": "final",
//!   "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
//!                             "code": "therapy", "display": "Therapy"}], "text": "Therapy"}],
//!   "code": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/signal",
//!                        "code": "judgement", "display": "Judgement of a practitioner"}],
//!            "text": "Judgement of a practitioner"},
//!   "subject": {"reference": "Patient/p1"},
//!   "focus": [{"reference": "Flag/5f0c…"}],
//!   "effectiveDateTime": "2026-03-02T11:05:00Z",
//!   "issued": "2026-03-02T11:05:00Z",
//!   "performer": [{"reference": "Practitioner/dr1"}],
//!   "valueCodeableConcept": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/judgement",
//!                                        "code": "named-in-session", "display": "Named in session"}],
//!                            "text": "Named in session"},
//!   "note": [{"text": "…"}]
//! }
//! ```
//!
//! * Told by `code`: system `CodeSystem/signal`, code `judgement`.
//! * The verdict is the coding of system `CodeSystem/judgement` in `valueCodeableConcept`: `named-in-session`,
//!   `rupture-yes`, `rupture-no`, `rupture-unsure`, `safety-acknowledged` ([`verdict_of`]).
//! * `focus` names the Flag; without one the judgement is about the client as of then. It may name an absolute
//!   URL that ends in `Flag/{id}`.
//! * Known at `issued`; `effectiveDateTime` is the same instant, for those who search by date.
//! * `note` is optional, for people alone.
//! * Undone by `status` `entered-in-error` ([`undone`]); as if never made. Other statuses that count: `final`,
//!   `amended`, `corrected`.

use super::codes::{self, code_system, concept, ours};
use super::entered_in_error;
use crate::domain::Verdict;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What goes into one judgement. The id is the caller's, random: a second one is another judgement.
pub struct JudgementInput<'a> {
    pub id: &'a str,
    pub client: &'a str,
    /// Logical id of the Flag.
    pub flag: Option<&'a str>,
    /// `Practitioner/dr1`, as the launch or the token says who it is.
    pub performer: Option<&'a str>,
    pub verdict: Verdict,
    pub issued: Timestamp,
    pub note: Option<&'a str>,
}

pub fn observation(input: &JudgementInput) -> Value {
    let (code, display) = codes::verdict(input.verdict);
    let category = "http://terminology.hl7.org/CodeSystem/observation-category";
    let mut body = json!({
        "resourceType": "Observation",
        "id": input.id,
        "status": "final",
        "category": [concept(category, "therapy", "Therapy")],
        "code": ours("signal", "judgement", "Judgement of a practitioner"),
        "subject": {"reference": format!("Patient/{}", input.client)},
    });
    if let Some(flag) = input.flag {
        body["focus"] = json!([{"reference": format!("Flag/{flag}")}]);
    }
    body["effectiveDateTime"] = input.issued.to_string().into();
    body["issued"] = input.issued.to_string().into();
    if let Some(performer) = input.performer {
        body["performer"] = json!([{"reference": performer}]);
    }
    body["valueCodeableConcept"] = ours("judgement", code, display);
    if let Some(note) = input.note.map(str::trim).filter(|note| !note.is_empty()) {
        body["note"] = json!([{"text": note}]);
    }
    body
}

/// The same judgement, taken back.
pub fn undone(judgement: &Value) -> Value {
    entered_in_error(judgement)
}

/// Whether an Observation is a judgement.
pub fn is_judgement(observation: &Value) -> bool {
    coded(&observation["code"], "signal") == Some("judgement")
}

/// The verdict of a judgement's `valueCodeableConcept`.
pub fn verdict_of(observation: &Value) -> Option<Verdict> {
    let code = coded(&observation["valueCodeableConcept"], "judgement")?;
    const ALL: [Verdict; 5] =
        [Verdict::Named, Verdict::RuptureYes, Verdict::RuptureNo, Verdict::RuptureUnsure, Verdict::SafetyAcknowledged];
    ALL.into_iter().find(|verdict| codes::verdict(*verdict).0 == code)
}

fn coded<'a>(concept: &'a Value, system: &str) -> Option<&'a str> {
    let system = code_system(system);
    concept["coding"].as_array()?.iter().find(|coding| coding["system"] == system.as_str())?["code"].as_str()
}
