//! Observations: the five signals and the pattern of one step.

use super::codes::{
    self, EVIDENCE_DIGITS, NAT, ONE, PROBABILITY_DIGITS, SD, SUPPORTING_INFO, Unit, VALUE_DIGITS, concept, ours,
    quantity,
};
use super::{Finding, Step, WriteContext, ids};
use crate::domain::{Assessment, Band, Course, Signal, SignalKind, Source, SourceKind, StepKey};
use serde_json::{Map, Value, json};

const INTERPRETATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";

/// Evidence beyond this, in nats, is called worse (or, below its negative, better): the same as the Flag's gate.
const NOTABLE_NATS: f64 = 0.25;

pub fn of_step(client: &str, course: &Course, step: &Step, context: &WriteContext) -> Vec<Finding> {
    let mut made: Vec<Finding> = step
        .assessment
        .signals
        .iter()
        .map(|signal| {
            let note = context.sentences.signal(course, step.assessment, signal);
            finding(client, step, signal.kind.code(), signal_body(client, step, signal, note, context), context)
        })
        .collect();
    let note = context.sentences.pattern(course, step.assessment);
    made.push(finding(client, step, "pattern", pattern_body(client, step, note, context), context));
    made
}

fn finding(client: &str, step: &Step, code: &str, body: Map<String, Value>, context: &WriteContext) -> Finding {
    let id = ids::observation(client, code, &step.assessment.key);
    Finding::new(Value::Object(body), "Observation", id, step.undated(context), step.place(client))
}

fn signal_body(
    client: &str,
    step: &Step,
    signal: &Signal,
    note: Option<String>,
    context: &WriteContext,
) -> Map<String, Value> {
    let mut body = head(client, step, signal.kind.code(), codes::signal_display(signal.kind), context);
    let supporting: Vec<Value> = signal.rests_on.iter().filter(|source| !may_derive(source)).map(supporting).collect();
    if !supporting.is_empty() {
        body.insert("extension".into(), supporting.into());
    }
    if let Some(value) = evidence(signal) {
        body.insert("valueQuantity".into(), value);
        let (code, display) = direction(signal.evidence);
        body.insert("interpretation".into(), json!([concept(INTERPRETATION, code, display)]));
    } else {
        let system = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
        body.insert("dataAbsentReason".into(), concept(system, "not-performed", "Not Performed"));
    }
    tail(&mut body, note, context);
    let derived: Vec<Value> =
        signal.rests_on.iter().filter(|source| may_derive(source)).map(codes::reference).collect();
    if !derived.is_empty() {
        body.insert("derivedFrom".into(), derived.into());
    }
    let unit = codes::signal_unit(signal.kind);
    let parts = [
        measured("current", "Current value", signal.current, VALUE_DIGITS, unit),
        measured("baseline", "The client's own baseline", signal.baseline, VALUE_DIGITS, unit),
        measured("deviation", "Deviation from the baseline, positive is worse", signal.deviation, VALUE_DIGITS, SD),
        Some(counted("baseline-count", "Observations behind the baseline", signal.baseline_count)),
    ];
    body.insert("component".into(), parts.into_iter().flatten().collect());
    body
}

fn pattern_body(client: &str, step: &Step, note: Option<String>, context: &WriteContext) -> Map<String, Value> {
    let said = step.assessment;
    let mut body = head(client, step, "pattern", "Pattern that often precedes withdrawal", context);
    if let Some(about) = assessed_for(said) {
        body.insert("extension".into(), json!([about]));
    }
    if let Some(probability) = quantity(said.probability, PROBABILITY_DIGITS, ONE) {
        body.insert("valueQuantity".into(), probability);
    } else {
        let system = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
        body.insert("dataAbsentReason".into(), concept(system, "error", "Error"));
    }
    let (code, display) = normality(said.band);
    body.insert("interpretation".into(), json!([concept(INTERPRETATION, code, display)]));
    tail(&mut body, note, context);
    let members: Vec<Value> = SignalKind::ALL
        .iter()
        .map(|kind| json!({"reference": format!("Observation/{}", ids::observation(client, kind.code(), &said.key))}))
        .collect();
    body.insert("hasMember".into(), members.into());
    let display = codes::pattern_display(said.pattern);
    let (band, band_display) = codes::band(said.band);
    let parts = [
        Some(json!({
            "code": ours("component", "pattern", "Withdrawal-like or confrontation-like"),
            "valueCodeableConcept": ours("pattern", said.pattern.code(), display),
        })),
        Some(json!({
            "code": ours("component", "band", "Band"),
            "valueCodeableConcept": ours("band", band, band_display),
        })),
        measured("carried", "Carried from before this step", Some(said.carried), EVIDENCE_DIGITS, NAT),
        measured(
            "engagement-probability",
            "Probability from all channels but the score trajectory",
            Some(said.engagement_probability),
            PROBABILITY_DIGITS,
            ONE,
        ),
        Some(counted("baseline-steps", "Steps behind the baseline", said.baseline_steps)),
        Some(json!({
            "code": ours("component", "warming-up", "Fewer than three slots: no flag yet"),
            "valueBoolean": said.warming_up,
        })),
    ];
    body.insert("component".into(), parts.into_iter().flatten().collect());
    body
}

/// Members up to the value; R4's order, so that the text reads as the specification does.
fn head(client: &str, step: &Step, code: &str, display: &str, context: &WriteContext) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("resourceType".into(), "Observation".into());
    body.insert("id".into(), ids::observation(client, code, &step.assessment.key).into());
    body.insert("status".into(), "final".into());
    let category = "http://terminology.hl7.org/CodeSystem/observation-category";
    body.insert("category".into(), json!([concept(category, "therapy", "Therapy")]));
    body.insert("code".into(), ours("signal", code, display));
    body.insert("subject".into(), json!({"reference": format!("Patient/{client}")}));
    body.insert("effectiveDateTime".into(), step.effective(context).to_string().into());
    body
}

fn tail(body: &mut Map<String, Value>, note: Option<String>, context: &WriteContext) {
    if let Some(text) = note.filter(|text| !text.trim().is_empty()) {
        body.insert("note".into(), json!([{"text": text}]));
    }
    body.insert("method".into(), ours("method", "own-baseline-filter", "Evidence against the client's own baseline"));
    body.insert("device".into(), context.device());
}

fn evidence(signal: &Signal) -> Option<Value> {
    if signal.absent { None } else { quantity(signal.evidence, EVIDENCE_DIGITS, NAT) }
}

fn direction(evidence: f64) -> (&'static str, &'static str) {
    if evidence >= NOTABLE_NATS {
        ("W", "Worse")
    } else if evidence <= -NOTABLE_NATS {
        ("B", "Better")
    } else {
        ("N", "Normal")
    }
}

fn normality(band: Band) -> (&'static str, &'static str) {
    match band {
        Band::NothingUnusual => ("N", "Normal"),
        Band::Watch | Band::Flag => ("A", "Abnormal"),
    }
}

fn measured(code: &str, display: &str, value: Option<f64>, digits: usize, unit: Unit) -> Option<Value> {
    let value = quantity(value?, digits, unit)?;
    Some(json!({"code": ours("component", code, display), "valueQuantity": value}))
}

fn counted(code: &str, display: &str, count: u32) -> Value {
    json!({"code": ours("component", code, display), "valueInteger": count})
}

/// What R4 lets `derivedFrom` name; everything else goes into `workflow-supportingInfo`.
fn may_derive(source: &Source) -> bool {
    matches!(source.kind, SourceKind::QuestionnaireResponse | SourceKind::Observation)
}

fn supporting(source: &Source) -> Value {
    json!({"url": SUPPORTING_INFO, "valueReference": codes::reference(source)})
}

/// The appointment before which (or after which) this is said.
fn assessed_for(assessment: &Assessment) -> Option<Value> {
    let (StepKey::Appointment(id) | StepKey::After(id)) = &assessment.key else { return None };
    let reference = json!({"reference": format!("Appointment/{id}")});
    Some(json!({"url": codes::extension_url("assessed-for"), "valueReference": reference}))
}
