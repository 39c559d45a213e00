//! Every kind of finding, written to a folder for validators that are not ours (`conformance/validate`).
//! Runs only where `TAUTLINE_SAMPLES` names the folder.

use super::judged::judgement;
use super::sample::*;
use crate::domain::*;
use crate::fhir::write::*;
use serde_json::Value;
use std::path::Path;

#[test]
fn samples_for_validators() {
    let Some(folder) = std::env::var_os("TAUTLINE_SAMPLES") else { return };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).expect("folder");
    let write = |name: &str, resource: &Value| {
        let text = serde_json::to_string_pretty(resource).expect("text");
        std::fs::write(folder.join(format!("{name}.json")), text).expect("write");
    };
    let course = eventful();
    let context = context("1");
    let mut weekly = course.clone();
    for (week, step) in (0..).zip(weekly.steps.iter_mut()) {
        step.key = StepKey::Week(week);
        step.appointments.clear();
    }
    let all = findings(CLIENT, &course, &context);
    for (i, finding) in all.iter().chain(&findings(CLIENT, &weekly, &context)).enumerate() {
        write(&format!("{}-{i:03}", finding.kind.to_lowercase()), &finding.resource);
    }
    for finding in all.iter().filter(|finding| finding.kind != "Provenance") {
        write(&format!("wrong-{}", finding.id), &entered_in_error(&finding.resource));
    }
    write("device", &device(&context, &jiff::tz::TimeZone::UTC).resource);
    let verdicts =
        [Verdict::Named, Verdict::RuptureYes, Verdict::RuptureNo, Verdict::RuptureUnsure, Verdict::SafetyAcknowledged];
    for (i, verdict) in verdicts.into_iter().enumerate() {
        let made = judgement(&format!("j{i}"), verdict);
        write(&format!("judgement-{i}"), &made);
        write(&format!("judgement-{i}-undone"), &judgement::undone(&made));
    }
    write("bundle", &detect_rupture_bundle(CLIENT, &course, "https://tautline.example/fhir", &context));
    // A Flag of an earlier release that a newer one closes.
    let mut kept = Kept::default();
    kept.publish(&course, &context);
    let mut blind = course.clone();
    blind.episodes.clear();
    let newer = super::sample::context("2");
    for change in kept.publish(&blind, &newer).iter().filter(|change| change.kind == "Flag") {
        write(&format!("superseded-{}", change.id), &change.resource);
    }
}
