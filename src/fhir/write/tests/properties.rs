//! The way to a state leaves no trace in it.

use super::sample::*;
use crate::domain::*;
use crate::fhir::write::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Any course: which steps are there, what they weigh, which are Flags.
fn any_course() -> impl Strategy<Value = Course> {
    let step = (any::<bool>(), -3.0..4.0f64, any::<[bool; 5]>());
    let flags = prop::collection::vec((0..6usize, any::<bool>(), any::<bool>(), any::<bool>()), 0..4);
    (prop::collection::vec(step, 0..6), prop::option::of(-3.0..4.0f64), flags).prop_map(|(steps, open, flags)| {
        let mut made = course(&vec![0.0; steps.len()], open);
        let mut kept = Vec::new();
        for (i, (there, weight, present)) in steps.into_iter().enumerate() {
            if there {
                kept.push(assessment(appointment(i), week(i as i64), weight, present));
            }
        }
        made.steps = kept;
        for (step, engagement, closed, response) in flags {
            let kind = if engagement { FlagKind::EngagementDrop } else { FlagKind::NotOnTrack };
            let (kind, key) = if response {
                let answer = source(SourceKind::QuestionnaireResponse, &format!("q{step}"));
                (FlagKind::SafetyItem, EpisodeKey::Response(answer))
            } else {
                (kind, EpisodeKey::Step(appointment(step)))
            };
            if made.episodes.iter().any(|other: &Episode| other.kind == kind && other.key == key) {
                continue;
            }
            let mut flag = episode(kind, key, week(step as i64), Why::Signals);
            flag.closed = closed.then(|| (week(step as i64 + 1), Closing::Resolved));
            made.episodes.push(flag);
        }
        made
    })
}

/// What a reader sees: everything but versions, `recorded`, what was taken back, and Provenances without targets.
fn seen(kept: &Kept) -> BTreeMap<(String, String), [u8; 16]> {
    let wrong = |head: &ExistingFinding| head.json.contains(r#""status":"entered-in-error""#);
    kept.heads()
        .into_iter()
        .filter(|head| !wrong(head) && head.kind != "Provenance")
        .map(|head| ((head.kind.to_owned(), head.id.to_string()), head.hash))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(24), ..ProptestConfig::default() })]

    #[test]
    fn any_path_ends_where_a_fresh_start_ends(path in prop::collection::vec(any_course(), 1..6)) {
        let mut walked = Kept::default();
        for course in &path {
            walked.publish(course, &context("1"));
        }
        let last = path.last().expect("one");
        let mut fresh = Kept::default();
        fresh.publish(last, &context("1"));
        prop_assert_eq!(seen(&walked), seen(&fresh));
        for (key, head) in &fresh.0 {
            prop_assert_eq!(walked.0[key].hash, head.hash);
        }
        prop_assert_eq!(walked.publish(last, &context("1")), vec![]);
    }

    #[test]
    fn releases_settle_at_once(path in prop::collection::vec((any_course(), 0..3u8), 1..6)) {
        let mut kept = Kept::default();
        for (course, release) in &path {
            let release = release.to_string();
            kept.publish(course, &context(&release));
            prop_assert_eq!(kept.publish(course, &context(&release)), vec![]);
        }
    }

    #[test]
    fn published_text_has_no_nulls_or_empty_things(course in any_course()) {
        for finding in findings(CLIENT, &course, &context("1")) {
            let text = finding.resource.to_string();
            for odd in ["null", "[]", "{}", "\"\""] {
                prop_assert!(!text.contains(odd), "{} in {}", odd, text);
            }
        }
    }
}

/// Clients whose 20 appointments arrive in a burst: what is written grows with what is said (each step is said
/// once while open and once when it is past), not with the square of it.
#[test]
fn no_storm() {
    const CLIENTS: usize = 20;
    let (mut writes, mut rewrites) = (0, 0);
    for client in 0..CLIENTS {
        let mut kept = Kept::default();
        let weights: Vec<f64> = (0..20).map(|step| ((client * 7 + step * 13) % 40) as f64 / 10.0).collect();
        // Debounced by client, the burst is seen in five looks.
        for known in [4, 8, 12, 16, 20] {
            let changes = kept.publish(&course(&weights[..known], Some(weights[known - 1])), &context("1"));
            rewrites += changes.iter().filter(|change| change.what != ChangeKind::New).count();
            writes += changes.len();
        }
    }
    let least = CLIENTS * 21 * 7;
    assert!(rewrites <= CLIENTS * 5 * 7, "{rewrites} rewrites");
    assert!(writes <= least + CLIENTS * 5 * 7, "{writes} writes for at least {least}");
}
