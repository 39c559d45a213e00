//! A new model release: what an earlier one said stands.

use super::sample::*;
use crate::domain::*;
use crate::fhir::write::*;

fn status(kept: &Kept, kind: FlagKind, step: usize) -> Option<String> {
    let id = flag_id(CLIENT, kind, &EpisodeKey::Step(appointment(step)));
    kept.0.contains_key(&("Flag", id.clone())).then(|| kept.json("Flag", &id)["status"].as_str().unwrap_or("?").into())
}

fn drop_at(step: usize) -> Episode {
    episode(FlagKind::EngagementDrop, EpisodeKey::Step(appointment(step)), week(step as i64), Why::Signals)
}

/// Other numbers for the same facts: `Seen` is left as it was.
fn by_another_model(course: &Course) -> Course {
    let mut other = course.clone();
    for step in other.steps.iter_mut().chain(other.open.as_mut()) {
        step.probability *= 0.5;
        step.carried -= 0.1;
    }
    other
}

#[test]
fn past_steps_stand_and_the_open_one_is_said_anew() {
    let mut kept = Kept::default();
    let course = course(&[0.1, 0.4, 1.2], Some(0.5));
    kept.publish(&course, &context("1"));
    let changes = kept.publish(&by_another_model(&course), &context("2"));
    assert_eq!(changes.len(), 7, "six Observations and the Provenance of the open assessment");
    let open = observation_id(CLIENT, "pattern", &appointment(3));
    assert!(changes.iter().any(|change| change.id == open));
    assert_eq!(kept.publish(&by_another_model(&course), &context("2")), []);
}

#[test]
fn a_correction_of_the_past_is_said_anew_from_there() {
    let mut kept = Kept::default();
    let first = course(&[0.1, 0.4, 1.2], Some(0.5));
    kept.publish(&first, &context("1"));
    let mut corrected = by_another_model(&first);
    corrected.steps[1].seen.attendance[0].0 = AttendanceOutcome::NoShow;
    let changes = kept.publish(&corrected, &context("2"));
    let said = |step: usize| {
        let id = observation_id(CLIENT, "pattern", &appointment(step));
        changes.iter().any(|change| change.id == id)
    };
    assert!(!said(0) && said(1) && said(2) && said(3));
    let again = kept.publish(&corrected, &context("2"));
    assert_eq!(again, []);
}

#[test]
fn an_active_flag_stays_the_flag_of_its_kind() {
    let mut kept = Kept::default();
    let mut first = course(&[0.1, 0.4, 1.2, 2.4], Some(2.5));
    first.episodes = vec![drop_at(3)];
    kept.publish(&first, &context("1"));
    let mut second = by_another_model(&first);
    second.episodes = vec![drop_at(2)];
    kept.publish(&second, &context("2"));
    assert_eq!(status(&kept, FlagKind::EngagementDrop, 3).as_deref(), Some("active"));
    assert_eq!(status(&kept, FlagKind::EngagementDrop, 2), None);
    // The new release closes its own: the one that stands closes with it.
    second.episodes[0].closed = Some((second.as_of, Closing::Resolved));
    kept.publish(&second, &context("2"));
    assert_eq!(status(&kept, FlagKind::EngagementDrop, 3).as_deref(), Some("inactive"));
    assert_eq!(kept.publish(&second, &context("2")), []);
}

#[test]
fn a_flag_the_new_release_does_not_see_is_closed_and_not_taken_back() {
    let mut kept = Kept::default();
    let mut first = course(&[0.1, 0.4, 1.2, 2.4], Some(2.5));
    first.episodes = vec![drop_at(3)];
    kept.publish(&first, &context("1"));
    let mut second = by_another_model(&first);
    second.episodes.clear();
    kept.publish(&second, &context("2"));
    let id = flag_id(CLIENT, FlagKind::EngagementDrop, &EpisodeKey::Step(appointment(3)));
    let flag = kept.json("Flag", &id);
    assert_eq!(flag["status"], "inactive");
    assert_eq!(flag["period"]["end"], second.as_of.to_string());
    assert!(flag.to_string().contains("superseded"));
    assert_eq!(kept.publish(&second, &context("2")), []);
}

#[test]
fn closed_flags_stand_and_past_ones_are_not_invented() {
    let mut kept = Kept::default();
    let mut first = course(&[0.1, 0.4, 1.2, 2.4], Some(0.5));
    first.episodes = vec![drop_at(1)];
    first.episodes[0].closed = Some((week(3), Closing::Resolved));
    kept.publish(&first, &context("1"));
    let mut second = by_another_model(&first);
    second.episodes = vec![drop_at(0), drop_at(2)];
    second.episodes[0].closed = Some((week(1), Closing::Resolved));
    second.episodes[1].closed = Some((week(3), Closing::Resolved));
    let changes = kept.publish(&second, &context("2"));
    assert!(changes.iter().all(|change| change.kind != "Flag"), "{changes:?}");
    assert_eq!(status(&kept, FlagKind::EngagementDrop, 1).as_deref(), Some("inactive"));
    let other = kept.heads().into_iter().filter(|head| head.kind == "Provenance").count();
    assert_eq!(other, 6, "five steps and one Flag");
}

#[test]
fn a_judgement_still_reaches_a_flag_that_stands() {
    let mut kept = Kept::default();
    let mut first = course(&[0.1, 0.4, 1.2, 2.4], Some(2.5));
    first.episodes = vec![drop_at(3)];
    kept.publish(&first, &context("1"));
    let mut second = by_another_model(&first);
    second.episodes[0].judged = vec![(second.as_of, Verdict::Named, source(SourceKind::Observation, "j1"))];
    kept.publish(&second, &context("2"));
    let id = flag_id(CLIENT, FlagKind::EngagementDrop, &EpisodeKey::Step(appointment(3)));
    assert!(kept.json("Flag", &id).to_string().contains("named-in-session"));
    assert_eq!(kept.publish(&second, &context("2")), []);
}

#[test]
fn the_first_recorded_is_never_rewritten() {
    let mut kept = Kept::default();
    let first = course(&[0.1], Some(0.5));
    kept.publish(&first, &context("1"));
    let mut corrected = first.clone();
    corrected.steps[0].seen.attendance[0].0 = AttendanceOutcome::NoShow;
    let mut later = context("1");
    later.recorded = week(50);
    let changes = kept.publish(&corrected, &later);
    let provenance = kept.json("Provenance", &step_provenance_id(CLIENT, &appointment(0)));
    assert_eq!(provenance["recorded"], context("1").recorded.to_string());
    assert!(changes.iter().any(|change| change.kind == "Provenance"));
}
