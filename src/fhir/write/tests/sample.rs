//! Courses made by hand, and a store that is a map.

use crate::domain::*;
use crate::fhir::write::*;
use crate::store::{Key, Mark};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const CLIENT: &str = "p1";

pub fn instant(hours: i64) -> Timestamp {
    let start: Timestamp = "2026-01-05T10:00:00Z".parse().expect("instant");
    start + SignedDuration::from_hours(hours)
}

pub fn week(number: i64) -> Timestamp {
    instant(number * 168)
}

pub struct Words;

impl Sentences for Words {
    fn signal(&self, _: &Course, _: &Assessment, signal: &Signal) -> Option<String> {
        Some(format!("Usually more of it: {}.", signal.kind.code()))
    }

    fn pattern(&self, _: &Course, _: &Assessment) -> Option<String> {
        Some("Three small things changed over the last two weeks.".to_owned())
    }
}

pub fn context(model: &str) -> WriteContext<'_> {
    WriteContext {
        software: "0.1.0",
        model,
        constants: "shipped",
        recorded: "2026-06-01T08:00:00.123456Z".parse().expect("instant"),
        open_effective: None,
        sentences: &Words,
    }
}

pub fn source(kind: SourceKind, id: &str) -> Source {
    Source::new(kind, id)
}

fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

/// One assessment; `weight` moves all its numbers, `present` tells which signals have data.
pub fn assessment(key: StepKey, as_of: Timestamp, weight: f64, present: [bool; 5]) -> Assessment {
    let signals = SignalKind::ALL.map(|kind| {
        let i = kind as usize;
        let absent = !present[i];
        let share = [0.11, 0.37, 0.29, 0.231, 0.05][i] * weight;
        let rests_on = match kind {
            _ if absent => Vec::new(),
            SignalKind::Attendance => vec![source(SourceKind::Appointment, "a1"), source(SourceKind::Encounter, "e1")],
            SignalKind::HomeworkEngagement => vec![source(SourceKind::Task, "t1")],
            SignalKind::RomEngagement => {
                vec![source(SourceKind::QuestionnaireResponse, "q1"), source(SourceKind::Task, "t2")]
            }
            _ => vec![source(SourceKind::QuestionnaireResponse, "q1")],
        };
        Signal {
            kind,
            absent,
            evidence: if absent { 0.0 } else { share },
            current: (!absent).then_some(weight.abs()),
            baseline: (i != 4).then_some(0.123_456_789),
            deviation: (!absent && i != 4).then_some(weight / 3.0),
            baseline_count: 4,
            accumulated: share,
            rests_on,
        }
    });
    let carried = -2.0 + weight / 7.0;
    let total: f64 = carried + signals.iter().map(|signal| signal.evidence).sum::<f64>();
    let probability = 1.0 / (1.0 + (-total).exp());
    debug_assert!((logit(probability) - total).abs() < 1e-9);
    let appointments = match &key {
        StepKey::Appointment(id) => vec![id.clone()],
        _ => Vec::new(),
    };
    Assessment {
        key,
        appointments,
        as_of,
        probability,
        engagement_probability: probability * 0.9,
        carried,
        signals,
        pattern: if weight > 1.0 { Pattern::Withdrawal } else { Pattern::None },
        band: if weight > 2.0 {
            Band::Flag
        } else if weight > 1.0 {
            Band::Watch
        } else {
            Band::NothingUnusual
        },
        baseline_steps: 3,
        warming_up: false,
        flags: Vec::new(),
        seen: Seen {
            attendance: vec![(AttendanceOutcome::Attended, source(SourceKind::Appointment, "a0"))],
            spacing_days: (weight > 2.0).then_some(14.0),
            ..Seen::default()
        },
        no_contact: false,
    }
}

pub fn appointment(number: usize) -> StepKey {
    StepKey::Appointment(format!("a{number}").into())
}

pub fn episode(kind: FlagKind, key: EpisodeKey, opened: Timestamp, why: Why) -> Episode {
    Episode { kind, key, opened, closed: None, rests_on: Vec::new(), judged: Vec::new(), why }
}

/// `weights`: one step a week; then an open assessment before the next appointment.
pub fn course(weights: &[f64], open: Option<f64>) -> Course {
    let steps: Vec<Assessment> = weights
        .iter()
        .enumerate()
        .map(|(i, weight)| assessment(appointment(i), week(i as i64), *weight, [true; 5]))
        .collect();
    let as_of = week(weights.len() as i64) - SignedDuration::from_hours(24);
    let open =
        open.map(|weight| assessment(appointment(weights.len()), as_of, weight, [true, true, false, true, false]));
    Course {
        as_of,
        steps,
        open,
        episodes: Vec::new(),
        primary: None,
        ended: None,
        next_change: None,
        interval_days: 7.0,
    }
}

/// A course with every kind of Flag, open and closed.
pub fn eventful() -> Course {
    let mut course = course(&[0.1, 0.4, 1.2, 2.4, 3.1, 0.2], Some(2.2));
    course.steps[1].signals = assessment(appointment(1), week(1), 0.4, [false; 5]).signals;
    let at = |n: usize| EpisodeKey::Step(appointment(n));
    let mut drop = episode(FlagKind::EngagementDrop, at(3), week(3), Why::Signals);
    drop.rests_on = vec![source(SourceKind::Task, "t1"), source(SourceKind::QuestionnaireResponse, "q1")];
    drop.closed = Some((week(5), Closing::FalseAlarm));
    drop.judged = vec![
        (week(4), Verdict::Named, source(SourceKind::Observation, "j1")),
        (week(5), Verdict::RuptureNo, source(SourceKind::Observation, "j2")),
    ];
    let mut gone = episode(FlagKind::EngagementDrop, EpisodeKey::Step(appointment(6)), course.as_of, Why::NoContact);
    gone.rests_on = vec![source(SourceKind::Appointment, "a5")];
    let track = episode(FlagKind::NotOnTrack, at(4), week(4), Why::Plateau);
    let answer = source(SourceKind::QuestionnaireResponse, "q1");
    let safety = episode(FlagKind::SafetyItem, EpisodeKey::Response(answer), instant(24), Why::SafetyAnswer);
    course.episodes = vec![safety, drop, track, gone];
    course
}

/// Findings of every kind.
pub fn all() -> Vec<Finding> {
    findings(CLIENT, &eventful(), &context("1"))
}

/// What a server keeps of one client's findings.
#[derive(Clone, Default)]
pub struct Kept(pub BTreeMap<(&'static str, String), ExistingFinding>);

impl Kept {
    pub fn heads(&self) -> Vec<ExistingFinding> {
        self.0.values().cloned().collect()
    }

    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            let key = (change.kind, change.id.clone());
            let old = self.0.get(&key).map(|old| old.version);
            assert_eq!(old, change.replaces, "a change names the version it replaces");
            let json: Arc<str> = change.resource.to_string().into();
            let id: Arc<str> = change.id.as_str().into();
            let kept =
                ExistingFinding { kind: change.kind, id, version: old.unwrap_or(0) + 1, hash: change.hash, json };
            self.0.insert(key, kept);
        }
    }

    pub fn publish(&mut self, course: &Course, context: &WriteContext) -> Vec<Change> {
        let desired = findings(CLIENT, course, context);
        let changes = reconcile(&desired, &self.heads());
        assert_eq!(reconcile(&desired, &self.read_in_part(&desired)), changes, "what is not read does not matter");
        self.apply(&changes);
        changes
    }

    /// As the server reads it: what is not asked for is not there.
    fn read_in_part(&self, desired: &[Finding]) -> Vec<ExistingFinding> {
        let mark = |head: &ExistingFinding| {
            let said: serde_json::Value = serde_json::from_str(&head.json).expect("json");
            let status = said["status"].as_str().map(Into::into);
            let key = Key { kind: head.kind, id: Arc::clone(&head.id) };
            Mark { key, version: head.version, hash: head.hash, status }
        };
        let marks: Vec<Mark> = self.heads().iter().map(mark).collect();
        let read = to_read(desired, &marks);
        let mut heads = self.heads();
        for head in &mut heads {
            if !read.iter().any(|key| key.kind == head.kind && key.id == head.id) {
                head.json = "".into();
            }
        }
        heads
    }

    pub fn json(&self, kind: &'static str, id: &str) -> serde_json::Value {
        let kept = &self.0[&(kind, id.to_owned())];
        serde_json::from_str(&kept.json).expect("json")
    }
}
