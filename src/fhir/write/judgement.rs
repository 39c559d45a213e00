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
//!   "note": [{"text": "…"}],
//!   "derivedFrom": [{"reference": "QuestionnaireResponse/q1", "extension": [{
//!     "url": "https://tautline.example/fhir/StructureDefinition/answer-seen", "valueDecimal": 1}]}]
//! }
//! ```
//!
//! * Told by `code`: system `CodeSystem/signal`, code `judgement`.
//! * The verdict is the coding of system `CodeSystem/judgement` in `valueCodeableConcept`: `named-in-session`,
//!   `rupture-yes`, `rupture-no`, `rupture-unsure`, `safety-acknowledged` ([`verdict_of`]).
//! * `focus` names the Flag; without one the judgement is about the client as of then. It may name an absolute
//!   URL that ends in `Flag/{id}`.
//! * Known at `issued`; `effectiveDateTime` is the same instant, for those who search by date.
//! * `issued` (or `effectiveDateTime`) is needed, and lies not in the future; `focus` is a Flag of the same client
//!   ([`faults`]; the Flag is looked up at the door).
//! * Each write of one leaves a Provenance that names the practitioner ([`provenance`]).
//! * `derivedFrom`, of `safety-acknowledged`: the answers above zero that were seen, each on its form, with `answer-seen`
//!   the highest on it. Another answer, or a higher one after an amendment, is not covered. Without it, and of a form
//!   without `answer-seen`, what was covered is what its sender had written by `issued` (the later of `authored` and
//!   `meta.lastUpdated`), and every answer without a date.
//! * `note` is optional, for people alone.
//! * Undone by `status` `entered-in-error` ([`undone`]); as if never made. Other statuses that count: `final`,
//!   `amended`, `corrected`.

use super::codes::{self, code_system, concept, ours};
use super::entered_in_error;
use crate::domain::{Covered, Verdict};
use crate::fhir::outcome::{Issue, IssueType};
use crate::fhir::{audit, time};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

/// What goes into one judgement. The id is the caller's, random: a second one is another judgement.
pub struct JudgementInput<'a> {
    pub id: &'a str,
    pub client: &'a str,
    /// Logical id of the Flag.
    pub flag: Option<&'a str>,
    /// `Practitioner/dr1`, as the launch or the token says who it is.
    pub performer: Option<&'a str>,
    /// Their name, where it is known.
    pub performer_name: Option<&'a str>,
    pub verdict: Verdict,
    pub issued: Timestamp,
    pub note: Option<&'a str>,
    /// Of a safety item seen: the answers that were.
    pub covers: &'a [Covered],
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
        if let Some(name) = input.performer_name.map(str::trim).filter(|name| !name.is_empty()) {
            body["performer"][0]["display"] = name.into();
        }
    }
    body["valueCodeableConcept"] = ours("judgement", code, display);
    if let Some(note) = input.note.map(str::trim).filter(|note| !note.is_empty()) {
        body["note"] = json!([{"text": note}]);
    }
    let covered = |one: &Covered| {
        let mut form = json!({"reference": one.source.to_string()});
        if let Some(value) = one.value {
            let value = if value.fract() == 0.0 { json!(value as i64) } else { json!(value) };
            form["extension"] = json!([{"url": codes::extension_url("answer-seen"), "valueDecimal": value}]);
        }
        form
    };
    if !input.covers.is_empty() {
        body["derivedFrom"] = input.covers.iter().map(covered).collect();
    }
    body
}

/// The same judgement, taken back.
pub fn undone(judgement: &Value) -> Value {
    entered_in_error(judgement)
}

/// Whether it has been taken back.
pub fn is_undone(judgement: &Value) -> bool {
    judgement["status"] == "entered-in-error"
}

/// What keeps a judgement, valid R4, from saying anything: no answer of ours, about nobody, of no time or of one
/// after `latest`. One that is taken back has no faults.
pub fn faults(judgement: &Value, root: &str, latest: Timestamp, zone: &TimeZone) -> Vec<Issue> {
    let mut issues = Vec::new();
    if is_undone(judgement) {
        return issues;
    }
    let mut fault = |code, text: &str, place: &str| issues.push(Issue::error(code, text).at(format!("{root}.{place}")));
    if verdict_of(judgement).is_none() {
        let code =
            if judgement.get("valueCodeableConcept").is_some() { IssueType::CodeInvalid } else { IssueType::Required };
        fault(code, "A judgement needs one of the answers of our CodeSystem judgement.", "value");
    }
    if judgement["subject"]["reference"].as_str().is_none_or(|subject| !subject.contains("Patient/")) {
        fault(IssueType::Required, "A judgement is about a Patient.", "subject");
    }
    let said = ["issued", "effectiveDateTime"].map(|key| (key, judgement[key].as_str()));
    if said.iter().all(|(_, text)| text.is_none()) {
        fault(IssueType::Required, "A judgement needs the instant at which it was made.", "issued");
    }
    for (key, text) in said {
        if text.and_then(|text| time::instant(text, zone)).is_some_and(|at| at > latest) {
            fault(
                IssueType::Value,
                "A judgement cannot have been made in the future.",
                key.trim_end_matches("DateTime"),
            );
        }
    }
    issues
}

/// Who made a judgement, or took it back. The practitioner is the judgement's performer, else who signed in, else
/// the system that sent it.
pub fn provenance(
    id: &str,
    judgement: &str,
    created: bool,
    performers: &[String],
    asker: Option<&audit::Asker>,
    recorded: Timestamp,
) -> Value {
    let kind = |code: &str, display: &str| {
        concept("http://terminology.hl7.org/CodeSystem/provenance-participant-type", code, display)
    };
    let mut agents: Vec<Value> = performers
        .iter()
        .map(|performer| json!({"type": kind("author", "Author"), "who": {"reference": performer}}))
        .collect();
    if let Some(user) = asker.and_then(|asker| asker.fhir_user.as_ref()) {
        // Of another server's directory, so by identifier.
        agents.push(json!({"type": kind("enterer", "Enterer"), "who": {"identifier": {"value": user}}}));
    } else if let Some(client) = asker.and_then(|asker| asker.client_id.as_ref()) {
        agents.push(json!({"type": kind("enterer", "Enterer"), "who": {"display": client}}));
    }
    if agents.is_empty() {
        agents.push(json!({"type": kind("author", "Author"), "who": {"display": "not said"}}));
    }
    let (code, display) = if created { ("CREATE", "create") } else { ("UPDATE", "revise") };
    json!({
        "resourceType": "Provenance",
        "id": id,
        "target": [{"reference": format!("Observation/{judgement}")}],
        "recorded": recorded.to_string(),
        "activity": concept("http://terminology.hl7.org/CodeSystem/v3-DataOperation", code, display),
        "agent": agents,
    })
}

/// Who the judgement says made it, as far as a Provenance may name them.
pub fn performers(judgement: &Value) -> Vec<String> {
    let all = judgement["performer"].as_array().into_iter().flatten();
    let named = all.filter_map(|performer| performer["reference"].as_str());
    named.filter(|reference| !reference.contains("CareTeam/")).map(str::to_owned).collect()
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
