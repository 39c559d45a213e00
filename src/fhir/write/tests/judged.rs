//! Judgements, and what reconciliation leaves alone.

use super::sample::*;
use crate::domain::fact::Fact;
use crate::domain::{Covered, Source, SourceKind, Verdict};
use crate::fhir::write::judgement::{JudgementInput, is_judgement, observation, undone, verdict_of};
use crate::fhir::write::*;
use serde_json::json;

pub fn judgement(id: &str, verdict: Verdict) -> serde_json::Value {
    let seen = [Covered { source: Source::new(SourceKind::QuestionnaireResponse, "q1"), value: Some(2.0) }];
    observation(&JudgementInput {
        id,
        client: CLIENT,
        flag: Some("f1"),
        performer: Some("Practitioner/dr1"),
        performer_name: None,
        verdict,
        issued: week(4),
        note: Some("She said it before I did."),
        covers: if verdict == Verdict::SafetyAcknowledged { &seen } else { &[] },
    })
}

const ALL: [Verdict; 5] =
    [Verdict::Named, Verdict::RuptureYes, Verdict::RuptureNo, Verdict::RuptureUnsure, Verdict::SafetyAcknowledged];

#[test]
fn a_judgement_is_read_as_it_was_built() {
    for verdict in ALL {
        let made = judgement("j1", verdict);
        assert!(is_judgement(&made));
        assert_eq!(verdict_of(&made), Some(verdict));
        assert_eq!(made["focus"][0]["reference"], "Flag/f1");
    }
    assert!(!is_judgement(&json!({})));
    assert_eq!(verdict_of(&json!({"valueCodeableConcept": {"coding": "x"}})), None);
}

#[test]
fn what_was_seen_is_read_as_it_was_written() {
    let made = judgement("j1", Verdict::SafetyAcknowledged);
    let context = crate::fhir::read::ReadContext { zone: jiff::tz::TimeZone::UTC };
    let Some(Fact::Judgement(read)) = crate::fhir::read::fact(&made, &context) else { panic!("{made}") };
    assert_eq!(read.covers, [("q1".into(), Some(2.0))]);
    assert!(judgement("j1", Verdict::Named).get("derivedFrom").is_none());
}

#[test]
fn an_undone_judgement_differs_in_its_status_alone() {
    let made = judgement("j1", Verdict::RuptureYes);
    let mut back = undone(&made);
    assert_eq!(back["status"], "entered-in-error");
    back["status"] = "final".into();
    assert_eq!(back, made);
}

#[test]
fn reconciliation_takes_back_no_judgement() {
    let mut kept = Kept::default();
    let made = judgement("j1", Verdict::RuptureYes);
    kept.apply(&[Change {
        kind: "Observation",
        id: "j1".into(),
        hash: content_hash(&made, false),
        resource: made.clone(),
        what: ChangeKind::New,
        replaces: None,
    }]);
    kept.publish(&course(&[0.1, 0.2], Some(0.3)), &context("1"));
    kept.publish(&course(&[], None), &context("1"));
    assert_eq!(kept.json("Observation", "j1"), made);
    let taken_back = kept.heads().iter().filter(|head| head.json.contains("entered-in-error")).count();
    assert_eq!(taken_back, 18, "the six of each step");
}
