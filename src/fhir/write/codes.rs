//! The systems and codes that findings are made of, and the small pieces of JSON they become.

use crate::domain::{Band, Closing, FlagKind, Pattern, SignalKind, Source, Verdict, Why};
use serde_json::{Number, Value, json};

/// Canonical base of our artefacts: fixed, whatever the server's own URL is.
pub const BASE: &str = "https://tautline.example/fhir";

pub const SUPPORTING_INFO: &str = "http://hl7.org/fhir/StructureDefinition/workflow-supportingInfo";
pub const FLAG_DETAIL: &str = "http://hl7.org/fhir/StructureDefinition/flag-detail";
pub const FLAG_PRIORITY: &str = "http://hl7.org/fhir/StructureDefinition/flag-priority";

/// Digits after the point. Probability has more, so that its logit is still exact to 1e-6 at 0.000001.
pub const PROBABILITY_DIGITS: usize = 12;
pub const EVIDENCE_DIGITS: usize = 9;
pub const VALUE_DIGITS: usize = 6;

pub fn code_system(name: &str) -> String {
    format!("{BASE}/CodeSystem/{name}")
}

pub fn extension_url(name: &str) -> String {
    format!("{BASE}/StructureDefinition/{name}")
}

/// A decimal with at most `digits` after the point and no zeros at its end; `None` for what is no number.
/// The backtest prints with the same rounding, so that both are equal to the letter.
pub fn decimal(value: f64, digits: usize) -> Option<Number> {
    if !value.is_finite() {
        return None;
    }
    let mut text = format!("{value:.digits$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    if text == "-0" {
        text.remove(0);
    }
    text.parse().ok()
}

/// A unit of UCUM: what is printed, and its code.
#[derive(Clone, Copy)]
pub struct Unit(pub &'static str, pub &'static str);

pub const NAT: Unit = Unit("nat", "{nat}");
pub const ONE: Unit = Unit("1", "1");
pub const POINTS: Unit = Unit("points", "{score}");
pub const SD: Unit = Unit("baseline SD", "{SD}");

pub fn quantity(value: f64, digits: usize, unit: Unit) -> Option<Value> {
    decimal(value, digits)
        .map(|number| json!({"value": number, "unit": unit.0, "system": "http://unitsofmeasure.org", "code": unit.1}))
}

pub fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": display}], "text": display})
}

/// A concept of one of our own code systems.
pub fn ours(system: &str, code: &str, display: &str) -> Value {
    concept(&code_system(system), code, display)
}

pub fn reference(source: &Source) -> Value {
    json!({"reference": source.to_string()})
}

pub fn signal_display(kind: SignalKind) -> &'static str {
    match kind {
        SignalKind::RomTrajectory => "Outcome score trajectory",
        SignalKind::RomEngagement => "Engagement with outcome measures",
        SignalKind::HomeworkEngagement => "Engagement with homework",
        SignalKind::Attendance => "Attendance",
        SignalKind::AllianceMeasure => "Alliance measure",
    }
}

/// Unit of a signal's current value and baseline.
pub fn signal_unit(kind: SignalKind) -> Unit {
    match kind {
        SignalKind::RomTrajectory | SignalKind::AllianceMeasure => POINTS,
        SignalKind::RomEngagement | SignalKind::HomeworkEngagement | SignalKind::Attendance => ONE,
    }
}

pub fn pattern_display(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::None => "No pattern",
        Pattern::Withdrawal => "Withdrawal-like",
        Pattern::Confrontation => "Confrontation-like",
    }
}

/// Code and display in `CodeSystem/band`.
pub fn band(band: Band) -> (&'static str, &'static str) {
    match band {
        Band::NothingUnusual => ("nothing-unusual", "Nothing unusual"),
        Band::Watch => ("watch", "Watch"),
        Band::Flag => ("flag", "Flag"),
    }
}

pub fn flag_display(kind: FlagKind) -> &'static str {
    match kind {
        FlagKind::EngagementDrop => "Engagement drop",
        FlagKind::NotOnTrack => "Not on track",
        FlagKind::SafetyItem => "Safety item answered above zero",
    }
}

/// Code and display in `http://terminology.hl7.org/CodeSystem/flag-category`.
pub fn flag_category(kind: FlagKind) -> (&'static str, &'static str) {
    match kind {
        FlagKind::EngagementDrop => ("behavioral", "Behavioral"),
        FlagKind::NotOnTrack => ("clinical", "Clinical"),
        FlagKind::SafetyItem => ("safety", "Safety"),
    }
}

/// Code and display in `http://hl7.org/fhir/flag-priority-code`.
pub fn flag_priority(kind: FlagKind) -> (&'static str, &'static str) {
    match kind {
        FlagKind::SafetyItem => ("PH", "High priority"),
        FlagKind::EngagementDrop | FlagKind::NotOnTrack => ("PM", "Medium priority"),
    }
}

/// Code and display in `CodeSystem/flag-reason`.
pub fn why(why: Why) -> (&'static str, &'static str) {
    match why {
        Why::Signals => ("signals", "Several engagement signals together"),
        Why::NoContact => ("no-contact", "No contact"),
        Why::AboveExpected => ("above-expected", "Scores above the expected range"),
        Why::ReliableDeterioration => ("reliable-deterioration", "Reliable deterioration"),
        Why::Plateau => ("plateau", "No further change, still above the cut-off"),
        Why::SafetyAnswer => ("safety-answer", "Answer above zero to a safety item"),
    }
}

/// Code and display in `CodeSystem/flag-closing`.
pub fn closing(closing: Closing) -> (&'static str, &'static str) {
    match closing {
        Closing::Resolved => ("resolved", "Resolved"),
        Closing::FalseAlarm => ("false-alarm", "Judged a false alarm"),
        Closing::Disengaged => ("disengaged", "Disengaged: no contact for eight weeks"),
        Closing::Ended => ("ended", "Treatment ended as planned"),
        Closing::Acknowledged => ("acknowledged", "Acknowledged by a practitioner"),
        Closing::AnsweredZero => ("answered-zero", "A later complete answer was 0"),
    }
}

/// Code and display in `CodeSystem/judgement`.
pub fn verdict(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Named => ("named-in-session", "Named in session"),
        Verdict::RuptureYes => ("rupture-yes", "There was a rupture"),
        Verdict::RuptureNo => ("rupture-no", "There was no rupture"),
        Verdict::RuptureUnsure => ("rupture-unsure", "Unsure whether there was a rupture"),
        Verdict::SafetyAcknowledged => ("safety-acknowledged", "Safety item acknowledged"),
    }
}
