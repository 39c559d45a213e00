//! Hand-made clients for tests and for looking at the page. One letter a session:
//! questionnaire `C` complete `P` partial `F` fast `M` missed; homework `D` done `P` partial `L` late `N` not
//! done; attendance `A` came `L` late `X` cancelled `R` moved `N` no-show `S` by the service `U` unattributed;
//! `.` nothing. Timing follows the rule that only what was known strictly before a session counts.

mod cases;

pub use cases::all;

use crate::domain::*;
use crate::words::{Gender, Person};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

pub struct Case {
    pub name: &'static str,
    pub person: Person,
    pub course: Course,
    pub timeline: Timeline,
    pub treatment: Option<&'static str>,
    pub planned: Option<u32>,
}

#[derive(Clone)]
pub struct Script<'a> {
    pub name: &'static str,
    pub person: Person,
    pub rom: &'a str,
    pub homework: &'a str,
    pub attendance: &'a str,
    pub scores: &'a [f64],
    pub minutes: &'a [f64],
    pub alliance: &'a [f64],
    /// Engagement probability at each session and now; the last value repeats backwards from the end.
    pub p: &'a [f64],
    pub interval_days: i64,
    pub pattern: Pattern,
    pub measure: Measure,
    /// (kind, session, why); session `usize::MAX` is now.
    pub episodes: &'a [(FlagKind, usize, Why)],
    pub no_contact: bool,
    /// Weeks between the last session and now.
    pub idle_weeks: i64,
    pub booked: bool,
    pub ended: bool,
}

pub fn phq9() -> Measure {
    Measure {
        canonical: "http://loinc.org/q/44249-1".into(),
        name: "PHQ-9".into(),
        role: Role::Outcome,
        min: 0.0,
        max: 27.0,
        worse: Worse::Up,
        rci: Some(6.0),
        cutoff: Some(10.0),
        items: 9,
    }
}

pub fn srs() -> Measure {
    Measure {
        canonical: "https://tautline.example/fhir/Questionnaire/srs".into(),
        name: "SRS".into(),
        role: Role::Alliance,
        min: 0.0,
        max: 40.0,
        worse: Worse::Down,
        rci: None,
        cutoff: Some(36.0),
        items: 1,
    }
}

impl Default for Script<'_> {
    fn default() -> Self {
        Script {
            name: "case",
            person: Person::new("Ana M.", Some("Ana"), Gender::Female),
            rom: "",
            homework: "",
            attendance: "",
            scores: &[],
            minutes: &[],
            alliance: &[],
            p: &[0.05],
            interval_days: 7,
            pattern: Pattern::None,
            measure: phq9(),
            episodes: &[],
            no_contact: false,
            idle_weeks: 0,
            booked: true,
            ended: false,
        }
    }
}

/// Monday 9 March 2026, 14:00 UTC: the session about to begin.
pub fn session_today() -> Timestamp {
    "2026-03-09T14:00:00Z".parse().expect("a timestamp")
}

fn minutes_before(at: Timestamp, minutes: i64) -> Timestamp {
    at.checked_sub(SignedDuration::from_mins(minutes)).expect("in range")
}

fn source(kind: SourceKind, name: &str, i: usize) -> Source {
    Source::new(kind, format!("{name}{i}"))
}

fn at(text: &str, i: usize) -> char {
    text.chars().nth(i).unwrap_or('.')
}

impl Script<'_> {
    pub fn case(self) -> Case {
        let n = self.attendance.chars().count();
        let today = session_today();
        let gap_days = self.interval_days + self.idle_weeks * 7;
        let start = |i: usize| {
            let back = (n - i) as i64;
            let days = if back == 0 { 0 } else { gap_days + (back - 1) * self.interval_days };
            minutes_before(today, days * 24 * 60)
        };
        let as_of = minutes_before(today, 20);
        let measure = Arc::new(self.measure.clone());
        let mut timeline = Timeline::default();
        for i in 0..n + usize::from(self.booked) {
            timeline.slots.push(slot(i, start(i), at(self.attendance, i)));
        }
        let mut steps: Vec<Assessment> = Vec::new();
        let mut acc = [0.0; 5];
        let mut open = None;
        let mut pending: Vec<(AttendanceOutcome, Source)> = Vec::new();
        for i in 0..=n {
            let mut seen = Seen { attendance: std::mem::take(&mut pending), ..Seen::default() };
            if i > 0 {
                seen.attendance.extend(attended(i - 1, at(self.attendance, i - 1)));
                self.left_undone(i - 1, &mut seen, &measure);
            }
            self.done(i, start(i), &mut seen, &measure, &mut timeline);
            if i > 0 {
                timeline.homework.extend(self.homework_set(i, start(i - 1), start(i)));
            }
            if at(self.attendance, i) == 'S' {
                // No step of the model: what it saw goes to the next.
                pending = seen.attendance;
                continue;
            }
            let now = self.assess(i, n, start(i).min(if i == n { as_of } else { today }), seen, &mut acc);
            if i == n { open = Some(now) } else { steps.push(now) }
        }
        if self.ended {
            open = None;
        }
        let episodes = self.episodes.iter().map(|e| episode(e, &start, as_of)).collect();
        Case {
            name: self.name,
            person: self.person.clone(),
            treatment: None,
            planned: None,
            course: Course {
                as_of,
                steps,
                open,
                episodes,
                primary: Some(measure),
                ended: self.ended.then(|| minutes_before(today, 3 * 24 * 60)),
                next_change: None,
                interval_days: self.interval_days as f64,
            },
            timeline,
        }
    }

    /// Missed and not done: known once the session has begun.
    fn left_undone(&self, i: usize, seen: &mut Seen, measure: &Arc<Measure>) {
        if at(self.rom, i) == 'M' {
            seen.rom.push(rom(i, RomOutcome::Missed, measure));
        }
        if at(self.homework, i) == 'N' {
            seen.homework.push(self.homework_seen(i, HomeworkOutcome::NotDone));
        }
    }

    fn done(&self, i: usize, start: Timestamp, seen: &mut Seen, measure: &Arc<Measure>, timeline: &mut Timeline) {
        let outcome = match at(self.rom, i) {
            'C' => Some(RomOutcome::Complete),
            'P' => Some(RomOutcome::Partial),
            'F' => Some(RomOutcome::Perfunctory),
            _ => None,
        };
        let filled = minutes_before(start, 120);
        if let Some(outcome) = outcome {
            seen.rom.push(rom(i, outcome, measure));
            let score = self.scores.get(i).copied().filter(|s| s.is_finite());
            if let Some(score) = score {
                let first = self.scores.iter().copied().find(|s| s.is_finite()).unwrap_or(score);
                let expected = first - 2.6 * (1.0 + i as f64).ln() * first / 15.0;
                let sd = 1.28 * (8.0 + 1.2 * i as f64).sqrt();
                seen.scores.push(ScoreSeen {
                    source: source(SourceKind::QuestionnaireResponse, "q", i),
                    at: filled,
                    measure: measure.clone(),
                    score,
                    expected: ((expected - sd).max(measure.min), expected + sd),
                    innovation: 0.0,
                });
            }
            let mut given = administration(i, filled, measure, score);
            let answered = if outcome == RomOutcome::Partial { measure.items * 2 / 3 } else { measure.items };
            given.answers = (0..measure.items).map(|item| (item < answered).then_some(1.0)).collect();
            given.complete = answered == measure.items;
            let raised = self.episodes.iter().any(|(kind, session, _)| *kind == FlagKind::SafetyItem && *session == i);
            given.safety = Some(SafetyAnswer { value: if raised { 1.0 } else { 0.0 } });
            timeline.administrations.push(given);
        }
        let outcome = match at(self.homework, i) {
            'D' => Some(HomeworkOutcome::Done),
            'P' => Some(HomeworkOutcome::Partial),
            'L' => Some(HomeworkOutcome::Late),
            _ => None,
        };
        seen.homework.extend(outcome.map(|outcome| self.homework_seen(i, outcome)));
        if let Some(score) = self.alliance.get(i).filter(|s| s.is_finite()) {
            let given = administration(1000 + i, filled, &Arc::new(srs()), Some(*score));
            timeline.administrations.push(given.clone());
            seen.alliance.push(given);
        }
    }

    fn homework_set(&self, i: usize, before: Timestamp, start: Timestamp) -> Option<Homework> {
        let letter = at(self.homework, i);
        let minutes = self.minutes.get(i).copied().filter(|m| m.is_finite());
        (letter != '.').then(|| Homework {
            source: source(SourceKind::Task, "h", i),
            assigned: minutes_before(before, -50),
            due: None,
            state: if letter == 'N' { HomeworkState::Open } else { HomeworkState::Done },
            state_known: (letter != 'N').then(|| minutes_before(start, 20 * 60)),
            completion: (letter == 'P').then_some(0.5),
            quality: None,
            minutes,
            words: None,
            title: Some("Thought record".into()),
            declined: false,
        })
    }

    fn homework_seen(&self, i: usize, outcome: HomeworkOutcome) -> HomeworkSeen {
        HomeworkSeen {
            source: source(SourceKind::Task, "h", i),
            outcome,
            due: None,
            quality: None,
            minutes: self.minutes.get(i).copied().filter(|m| m.is_finite()),
            words: None,
            completion: None,
            title: Some("Thought record".into()),
            declined: false,
            justified: 0.0,
        }
    }

    fn assess(&self, i: usize, n: usize, as_of: Timestamp, seen: Seen, acc: &mut [f64; 5]) -> Assessment {
        let from_end = n - i;
        let k = self.p.len().saturating_sub(1).saturating_sub(from_end);
        let probability = self.p.get(k).copied().unwrap_or(0.05);
        let worst = worst(&seen);
        let signals = SignalKind::ALL.map(|kind| {
            let c = kind as usize;
            let evidence = worst[c].map_or(0.0, |u| if u > 0.0 { 0.9 * u } else { -0.08 });
            acc[c] = 0.7 * acc[c] + probability.max(0.3) * evidence;
            Signal {
                kind,
                absent: worst[c].is_none(),
                evidence,
                current: worst[c],
                baseline: worst[c].map(|_| 0.08),
                deviation: worst[c].map(|u| u * 2.5),
                baseline_count: i as u32,
                accumulated: acc[c],
                rests_on: Vec::new(),
            }
        });
        let logit = (probability / (1.0 - probability)).ln();
        let band = match probability {
            p if p >= 0.40 => Band::Flag,
            p if p >= 0.35 => Band::Watch,
            _ => Band::NothingUnusual,
        };
        let opened = |kind: FlagKind| {
            self.episodes.iter().any(|(k, at, _)| *k == kind && (*at == usize::MAX || i >= *at) && (i == n || *at <= i))
        };
        let kinds = [FlagKind::EngagementDrop, FlagKind::NotOnTrack, FlagKind::SafetyItem];
        Assessment {
            key: StepKey::Appointment(format!("a{i}").into()),
            appointments: match (i == n && !self.booked, i.checked_sub(1)) {
                (false, _) => vec![format!("a{i}").into()],
                // Nothing booked: keyed to the last session.
                (true, Some(last)) => vec![format!("a{last}").into()],
                (true, None) => Vec::new(),
            },
            as_of,
            probability,
            engagement_probability: probability,
            carried: logit - signals.iter().map(|s| s.evidence).sum::<f64>(),
            signals,
            pattern: if band == Band::NothingUnusual { Pattern::None } else { self.pattern },
            band,
            baseline_steps: i as u32,
            warming_up: i < 3,
            flags: kinds.into_iter().filter(|kind| opened(*kind)).collect(),
            seen,
            no_contact: self.no_contact && i == n,
        }
    }
}

fn worst(seen: &Seen) -> [Option<f64>; 5] {
    let max = |values: Vec<f64>| values.into_iter().reduce(f64::max);
    [
        seen.scores.last().map(|_| 0.0),
        max(seen
            .rom
            .iter()
            .map(|r| match r.outcome {
                RomOutcome::Complete => 0.0,
                RomOutcome::Missed => 1.0,
                _ => 0.6,
            })
            .collect()),
        max(seen
            .homework
            .iter()
            .map(|h| match h.outcome {
                HomeworkOutcome::Done => 0.0,
                HomeworkOutcome::NotDone => 1.0,
                _ => 0.6,
            })
            .collect()),
        max(seen
            .attendance
            .iter()
            .filter_map(|(o, _)| match o {
                AttendanceOutcome::Attended => Some(0.0),
                AttendanceOutcome::Late { .. } => Some(0.4),
                AttendanceOutcome::CancelledByClient | AttendanceOutcome::Rescheduled => Some(0.6),
                AttendanceOutcome::NoShow => Some(1.0),
                _ => None,
            })
            .collect()),
        seen.alliance.last().and_then(|a| a.score).map(|s| if s < 34.0 { 1.0 } else { 0.0 }),
    ]
}

fn rom(i: usize, outcome: RomOutcome, measure: &Arc<Measure>) -> RomSeen {
    let missed = outcome == RomOutcome::Missed;
    RomSeen {
        source: (!missed).then(|| source(SourceKind::QuestionnaireResponse, "q", i)),
        task: missed.then(|| source(SourceKind::Task, "asked", i)),
        measure: Some(measure.clone()),
        outcome,
        answered: match outcome {
            RomOutcome::Missed => 0,
            RomOutcome::Partial => measure.items * 2 / 3,
            _ => measure.items,
        },
        expected: measure.items,
        newly_skipped: 0,
        seconds: None,
    }
}

fn administration(i: usize, at: Timestamp, measure: &Arc<Measure>, score: Option<f64>) -> Administration {
    Administration {
        source: source(SourceKind::QuestionnaireResponse, "q", i),
        measure: measure.clone(),
        at,
        finished: true,
        score,
        answers: Vec::new(),
        seconds: None,
        subscales: Vec::new(),
        safety: None,
        safety_told: at,
        safety_known: at,
        complete: true,
    }
}

fn slot(i: usize, start: Timestamp, letter: char) -> Slot {
    Slot {
        source: source(SourceKind::Appointment, "a", i),
        start,
        booked: None,
        outcome: match letter {
            'A' => SlotOutcome::Kept { late_minutes: None },
            'L' => SlotOutcome::Kept { late_minutes: Some(12.0) },
            'X' | 'R' => SlotOutcome::CancelledByClient,
            'N' => SlotOutcome::NoShow,
            'S' => SlotOutcome::CancelledByService,
            'U' => SlotOutcome::CancelledUnattributed,
            _ => SlotOutcome::Booked,
        },
        outcome_known: start,
        moves: Vec::new(),
        replaces: None,
        unhappy_or_changed_provider: false,
        also: Vec::new(),
    }
}

fn attended(i: usize, letter: char) -> Option<(AttendanceOutcome, Source)> {
    let outcome = match letter {
        'A' => AttendanceOutcome::Attended,
        'L' => AttendanceOutcome::Late { minutes: 12.0 },
        'X' => AttendanceOutcome::CancelledByClient,
        'R' => AttendanceOutcome::Rescheduled,
        'N' => AttendanceOutcome::NoShow,
        'S' => AttendanceOutcome::CancelledByService,
        'U' => AttendanceOutcome::CancelledUnattributed,
        _ => return None,
    };
    Some((outcome, source(SourceKind::Appointment, "a", i)))
}

fn episode(
    (kind, session, why): &(FlagKind, usize, Why),
    start: &dyn Fn(usize) -> Timestamp,
    as_of: Timestamp,
) -> Episode {
    let now = *session == usize::MAX;
    Episode {
        kind: *kind,
        key: match kind {
            FlagKind::SafetyItem => {
                EpisodeKey::Response(source(SourceKind::QuestionnaireResponse, "q", if now { 0 } else { *session }))
            }
            _ => EpisodeKey::Step(StepKey::Client),
        },
        opened: if now { minutes_before(as_of, 60) } else { start(*session) },
        closed: None,
        rests_on: Vec::new(),
        judged: Vec::new(),
        why: *why,
    }
}
