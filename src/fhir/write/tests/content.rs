//! What findings say.

use super::sample::*;
use crate::domain::*;
use crate::fhir::write::*;
use serde_json::Value;
use std::collections::HashSet;

fn number(value: &Value) -> f64 {
    value["value"].to_string().parse().expect("number")
}

fn component<'a>(observation: &'a Value, code: &str) -> Option<&'a Value> {
    observation["component"].as_array()?.iter().find(|part| part["code"]["coding"][0]["code"] == code)
}

#[test]
fn published_evidence_adds_up_to_the_published_probability() {
    let mut weights: Vec<f64> = (0..40).map(|i| f64::from(i) * 0.377 - 9.0).collect();
    weights.extend([-60.0, -9.0, 8.0]);
    let course = course(&weights, Some(1.0));
    let all = findings(CLIENT, &course, &context("1"));
    let get = |id: &str| all.iter().find(|finding| finding.id == id).map(|finding| &finding.resource);
    let mut checked = 0;
    for step in &course.steps {
        let pattern = get(&observation_id(CLIENT, "pattern", &step.key)).expect("pattern");
        let p = number(&pattern["valueQuantity"]);
        if !(1e-6..1.0 - 1e-6).contains(&p) {
            continue;
        }
        let carried = number(&component(pattern, "carried").expect("carried")["valueQuantity"]);
        let evidence: f64 = pattern["hasMember"]
            .as_array()
            .expect("members")
            .iter()
            .map(|member| member["reference"].as_str().expect("reference").strip_prefix("Observation/").expect("type"))
            .map(|id| number(&get(id).expect("signal")["valueQuantity"]))
            .sum();
        let logit = (p / (1.0 - p)).ln();
        assert!((carried + evidence - logit).abs() < 1e-6, "{carried} + {evidence} != {logit}");
        checked += 1;
    }
    assert!(checked > 35);
}

#[test]
fn a_signal_without_data_says_so_and_has_no_value() {
    let all = findings(CLIENT, &eventful(), &context("1"));
    let absent: Vec<_> = all.iter().filter(|f| f.resource.get("dataAbsentReason").is_some()).collect();
    assert_eq!(absent.len(), 7, "five of the second step, two of the open assessment");
    for finding in absent {
        assert!(finding.resource.get("valueQuantity").is_none());
        assert!(finding.resource.get("interpretation").is_none());
        assert_eq!(finding.resource["dataAbsentReason"]["coding"][0]["code"], "not-performed");
    }
}

#[test]
fn derived_from_names_responses_and_supporting_info_the_rest() {
    let course = course(&[1.0], None);
    let all = findings(CLIENT, &course, &context("1"));
    let rom = &all[1].resource;
    assert_eq!(rom["derivedFrom"][0]["reference"], "QuestionnaireResponse/q1");
    assert_eq!(rom["extension"][0]["url"], codes::SUPPORTING_INFO);
    assert_eq!(rom["extension"][0]["valueReference"]["reference"], "Task/t2");
    let attendance = &all[3].resource;
    assert!(attendance.get("derivedFrom").is_none());
    assert_eq!(attendance["extension"].as_array().map(Vec::len), Some(2));
}

#[test]
fn ids_are_valid_unique_and_tell_nothing() {
    let all = findings("mrs-miller", &eventful(), &context("1"));
    let ids: HashSet<_> = all.iter().map(|finding| (finding.kind, &finding.id)).collect();
    assert_eq!(ids.len(), all.len());
    for finding in &all {
        assert_eq!(finding.resource["id"], finding.id.as_str());
        assert_eq!(finding.resource["resourceType"], finding.kind);
        assert!(finding.id.len() <= 64 && finding.id.bytes().all(|b| b.is_ascii_hexdigit()), "{}", finding.id);
    }
    let others = findings("mrs-millet", &eventful(), &context("1"));
    assert!(others.iter().all(|other| !ids.contains(&(other.kind, &other.id))));
}

#[test]
fn every_observation_and_flag_is_the_target_of_one_provenance() {
    let all = findings(CLIENT, &eventful(), &context("1"));
    let mut targets: Vec<String> = all
        .iter()
        .filter(|finding| finding.kind == "Provenance")
        .flat_map(|finding| finding.resource["target"].as_array().expect("target"))
        .map(|target| target["reference"].as_str().expect("reference").to_owned())
        .collect();
    let mut said: Vec<String> =
        all.iter().filter(|f| f.kind != "Provenance").map(|f| format!("{}/{}", f.kind, f.id)).collect();
    targets.sort();
    said.sort();
    assert_eq!(targets, said);
}

#[test]
fn a_flag_tells_its_episode() {
    let course = eventful();
    let all = findings(CLIENT, &course, &context("1"));
    let flag = |i: usize| {
        let episode = &course.episodes[i];
        let id = flag_id(CLIENT, episode.kind, &episode.key);
        &all.iter().find(|f| f.kind == "Flag" && f.id == id).expect("flag").resource
    };
    let safety = flag(0);
    assert_eq!(safety["extension"][0]["valueReference"]["reference"], "QuestionnaireResponse/q1");
    assert_eq!(safety["category"][0]["coding"][0]["code"], "safety");
    assert_eq!(safety["status"], "active");
    let closed = flag(1);
    assert_eq!(closed["status"], "inactive");
    assert_eq!(closed["period"]["end"], week(5).to_string());
    let text = closed.to_string();
    for said in ["false-alarm", "named-in-session", "rupture-no", "Observation/j2"] {
        assert!(text.contains(said), "{said}");
    }
    assert_eq!(flag(3)["code"]["text"], "Engagement drop: no contact");
}

#[test]
fn time_alone_writes_nothing_and_the_passing_of_the_start_updates() {
    let mut kept = Kept::default();
    let mut course = eventful();
    let first = kept.publish(&course, &context("1"));
    assert!(first.iter().all(|change| change.what == ChangeKind::New));
    // An hour later nothing is different but the hour.
    let later = course.as_of + jiff::SignedDuration::from_hours(1);
    course.as_of = later;
    course.open.as_mut().expect("open").as_of = later;
    assert_eq!(kept.publish(&course, &context("1")), []);
    // The start passes: the same Observations, now as of the start.
    let mut open = course.open.take().expect("open");
    open.as_of = week(6);
    let key = open.key.clone();
    course.steps.push(open);
    course.as_of = week(6);
    let changes = kept.publish(&course, &context("1"));
    assert!(changes.iter().all(|change| change.what == ChangeKind::Changed));
    let pattern = kept.json("Observation", &observation_id(CLIENT, "pattern", &key));
    assert_eq!(pattern["effectiveDateTime"], week(6).to_string());
}

/// A caller that knows since when the open assessment stands has it published, and then it is content.
#[test]
fn a_named_instant_is_content() {
    let course = eventful();
    let at = |hours| WriteContext { open_effective: Some(instant(hours)), ..context("1") };
    let mut kept = Kept::default();
    kept.publish(&course, &at(900));
    assert_eq!(kept.publish(&course, &at(900)), []);
    assert_eq!(kept.publish(&course, &at(901)).len(), 7);
    let pattern = kept.json("Observation", &observation_id(CLIENT, "pattern", &appointment(6)));
    assert_eq!(pattern["effectiveDateTime"], instant(901).to_string());
}

/// Opened between two steps: it points at the first assessment that shows it, not at the step it is keyed to.
#[test]
fn a_flag_points_at_the_assessment_that_shows_it() {
    let mut course = course(&[0.1, 0.4, 1.2], Some(0.5));
    let key = EpisodeKey::Step(appointment(1));
    course.episodes =
        vec![episode(FlagKind::EngagementDrop, key, week(1) + jiff::SignedDuration::from_hours(5), Why::Signals)];
    let all = findings(CLIENT, &course, &context("1"));
    let flag = all.iter().find(|finding| finding.kind == "Flag").expect("flag");
    let shown = format!("Observation/{}", observation_id(CLIENT, "pattern", &appointment(2)));
    assert_eq!(flag.resource["extension"][0]["valueReference"]["reference"], shown);
}

#[test]
fn nothing_booked_and_the_open_assessment_stands_beside_the_last_one() {
    let mut course = course(&[0.1, 0.2], Some(1.5));
    let (StepKey::Appointment(last), Some(open)) = (appointment(1), &mut course.open) else { panic!("an appointment") };
    open.key = StepKey::After(last);
    let all = findings(CLIENT, &course, &context("1"));
    let ids: HashSet<_> = all.iter().map(|finding| &finding.id).collect();
    assert_eq!((all.len(), ids.len()), (21, 21));
    let about = |finding: &Finding| finding.resource["extension"][0]["valueReference"]["reference"] == "Appointment/a1";
    let patterns = all.iter().filter(|finding| finding.resource["code"]["coding"][0]["code"] == "pattern");
    assert_eq!(patterns.filter(|finding| about(finding)).count(), 2);
}

#[test]
fn the_bundle_has_the_stored_content() {
    let course = eventful();
    let stored = findings(CLIENT, &course, &context("1"));
    let bundle = detect_rupture_bundle(CLIENT, &course, "https://h.example/fhir", &context("1"));
    let entries = bundle["entry"].as_array().expect("entries");
    assert_eq!(entries.len(), 6 + 3, "the open assessment, and the Flags that are active");
    for entry in entries {
        let resource = &entry["resource"];
        let (kind, id) = (resource["resourceType"].as_str().expect("type"), resource["id"].as_str().expect("id"));
        assert_eq!(entry["fullUrl"], format!("https://h.example/fhir/{kind}/{id}"));
        assert!(stored.iter().any(|finding| finding.resource == *resource));
    }
    let mut at_start = course.clone();
    at_start.as_of = week(5);
    let bundle = detect_rupture_bundle(CLIENT, &at_start, "https://h.example/fhir", &context("1"));
    let last = observation_id(CLIENT, "pattern", &appointment(5));
    assert!(bundle["entry"].as_array().expect("entries").iter().any(|entry| entry["resource"]["id"] == last.as_str()));
    let mut nothing = at_start;
    (nothing.steps, nothing.open, nothing.episodes) = (Vec::new(), None, Vec::new());
    assert!(detect_rupture_bundle(CLIENT, &nothing, "https://h.example/fhir", &context("1")).get("entry").is_none());
}

#[test]
fn decimals_are_short_and_never_odd() {
    let text = |value: f64, digits| decimal(value, digits).map(|number| number.to_string());
    assert_eq!(text(0.1, 9).as_deref(), Some("0.1"));
    assert_eq!(text(-0.0, 9).as_deref(), Some("0"));
    assert_eq!(text(-1e-12, 9).as_deref(), Some("0"));
    assert_eq!(text(100.0, 6).as_deref(), Some("100"));
    assert_eq!(text(1.0 / 3.0, 12).as_deref(), Some("0.333333333333"));
    assert_eq!(text(f64::NAN, 9), None);
    assert_eq!(text(f64::INFINITY, 9), None);
}

#[test]
fn the_hash_knows_content_and_not_its_order() {
    let text = r#"{"a":1,"b":{"c":"x","d":[1,2]},"meta":{"versionId":"1"}}"#;
    let other = r#"{"b":{"d":[1,2],"c":"x"},"a":1}"#;
    let changed = r#"{"b":{"d":[2,1],"c":"x"},"a":1}"#;
    let hash = |text: &str| content_hash(&serde_json::from_str(text).expect("json"), false);
    assert_eq!(hash(text), hash(other));
    assert_ne!(hash(text), hash(changed));
}

#[test]
fn the_device_names_the_release() {
    let made = device(&context("7"), &jiff::tz::TimeZone::UTC);
    assert_eq!((made.kind, &*made.id), ("Device", "tautline"));
    assert_eq!(made.resource["identifier"][0]["value"], "7+shipped");
}

#[test]
fn no_flag_kind_or_pattern_is_without_words() {
    for kind in [FlagKind::EngagementDrop, FlagKind::NotOnTrack, FlagKind::SafetyItem] {
        assert!(!codes::flag_display(kind).is_empty());
    }
    for pattern in [Pattern::None, Pattern::Withdrawal, Pattern::Confrontation] {
        assert!(!codes::pattern_display(pattern).is_empty());
    }
}
