//! Records made up for the laws.

use crate::domain::*;
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use std::sync::Arc;

pub const HOUR: i64 = 3600;
pub const DAY: i64 = 24 * HOUR;
pub const ORIGIN: i64 = 1_767_600_000;

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(ORIGIN + seconds).unwrap()
}

pub fn phq9() -> Arc<Measure> {
    Arc::new(Measure {
        canonical: "http://loinc.org/q/44249-1".into(),
        name: "PHQ-9".into(),
        role: Role::Outcome,
        min: 0.0,
        max: 27.0,
        worse: Worse::Up,
        rci: Some(6.0),
        cutoff: Some(10.0),
        items: 9,
    })
}

pub fn gad7() -> Arc<Measure> {
    Arc::new(Measure {
        canonical: "http://loinc.org/q/69737-5".into(),
        name: "GAD-7".into(),
        max: 21.0,
        rci: Some(4.0),
        cutoff: Some(8.0),
        items: 7,
        ..Arc::unwrap_or_clone(phq9())
    })
}

pub fn srs() -> Arc<Measure> {
    Arc::new(Measure {
        canonical: "https://tautline.example/fhir/Questionnaire/srs".into(),
        name: "SRS".into(),
        role: Role::Alliance,
        min: 0.0,
        max: 40.0,
        worse: Worse::Down,
        rci: None,
        cutoff: Some(36.0),
        items: 1,
    })
}

pub fn slot(id: &str, start: i64, outcome: SlotOutcome) -> Slot {
    Slot {
        source: Source::new(SourceKind::Appointment, id),
        start: at(start),
        booked: None,
        outcome,
        outcome_known: at(start),
        moves: Vec::new(),
        replaces: None,
        unhappy_or_changed_provider: false,
        also: Vec::new(),
    }
}

pub const KEPT: SlotOutcome = SlotOutcome::Kept { late_minutes: None };

pub fn form(id: &str, measure: &Arc<Measure>, when: i64, score: f64) -> Administration {
    let items = usize::from(measure.items);
    Administration {
        source: Source::new(SourceKind::QuestionnaireResponse, id),
        measure: measure.clone(),
        at: at(when),
        finished: true,
        score: Some(score),
        answers: vec![Some((score / items as f64) as f32); items],
        seconds: Some(6.0 * items as f64),
        subscales: Vec::new(),
        safety: None,
        safety_told: at(when),
        safety_known: at(when),
        complete: true,
    }
}

pub fn homework(id: &str, assigned: i64, due: Option<i64>, done: Option<i64>) -> Homework {
    Homework {
        source: Source::new(SourceKind::Task, id),
        assigned: at(assigned),
        due: due.map(at),
        state: if done.is_some() { HomeworkState::Done } else { HomeworkState::Open },
        state_known: done.map(at),
        completion: None,
        quality: None,
        minutes: None,
        words: None,
        title: None,
        declined: false,
    }
}

pub fn due(id: &str, measure: &Arc<Measure>, asked: i64, due: Option<i64>) -> MeasureDue {
    MeasureDue {
        source: Source::new(SourceKind::Task, id),
        measure: Some(measure.clone()),
        asked: at(asked),
        due: due.map(at),
        response: None,
        completed: None,
        withdrawn: false,
    }
}

/// What happens around one slot.
#[derive(Clone, Debug)]
pub struct Week {
    gap_days: i64,
    outcome: u8,
    booked_days: Option<i64>,
    moved: Option<(i64, i64)>,
    homework: Option<(Option<i64>, Option<i64>, u8)>,
    asked: Option<Option<i64>>,
    filled: Option<(i64, f64, u8, f64)>,
    alliance: Option<f64>,
    judged: Option<u8>,
}

fn week() -> impl Strategy<Value = Week> {
    let slot = (
        prop_oneof![4 => Just(7i64), 1 => 2i64..25],
        0u8..10,
        prop::option::of(-2i64..20),
        prop::option::weighted(0.15, (-3i64..6, 0i64..12)),
    );
    let homework =
        prop::option::weighted(0.7, (prop::option::of(2i64..8), prop::option::weighted(0.7, 1i64..10), 0u8..5));
    let rest = (
        prop::option::weighted(0.5, prop::option::of(2i64..8)),
        prop::option::weighted(0.8, (0i64..7, 0f64..27.0, 0u8..8, 5f64..80.0)),
        prop::option::weighted(0.5, 25f64..40.0),
        prop::option::weighted(0.05, 0u8..3),
    );
    (slot, homework, rest).prop_map(
        |((gap_days, outcome, booked_days, moved), homework, (asked, filled, alliance, judged))| Week {
            gap_days,
            outcome,
            booked_days,
            moved,
            homework,
            asked,
            filled,
            alliance,
            judged,
        },
    )
}

pub fn timeline(weeks: &[Week]) -> Timeline {
    let (phq9, srs) = (phq9(), srs());
    let mut t = Timeline::default();
    let mut start = 0;
    for (n, w) in weeks.iter().enumerate() {
        let before = start;
        start += w.gap_days * DAY + (n as i64 % 3) * 600;
        let outcome = match w.outcome {
            0..=4 => KEPT,
            5 => SlotOutcome::Kept { late_minutes: Some(12.0) },
            6 => SlotOutcome::NoShow,
            7 => SlotOutcome::CancelledByClient,
            8 => SlotOutcome::CancelledByService,
            _ => SlotOutcome::CancelledUnattributed,
        };
        let mut s = slot(&format!("a{n}"), start, outcome);
        s.booked = w.booked_days.map(|d| at(start - d * DAY + 100));
        if s.cancelled() {
            s.outcome_known = at(start - (w.outcome as i64 % 3) * DAY);
        }
        if let Some((shift, known)) = w.moved {
            s.moves = vec![Move {
                from: at(start + shift * DAY + 50),
                to: s.start,
                known: at(start + shift * DAY - known * DAY + 2 * DAY),
            }];
        }
        t.slots.push(s);
        if let Some((due, done, kind)) = w.homework {
            let mut h = homework(
                &format!("h{n}"),
                before + HOUR,
                due.map(|d| before + d * DAY),
                done.map(|d| before + d * DAY),
            );
            match kind {
                0 => h.state = HomeworkState::Withdrawn,
                1 => h.completion = Some(0.5),
                2 => h.quality = Some(1.0),
                _ => {}
            }
            t.homework.push(h);
        }
        if let Some(d) = w.asked {
            t.dues.push(due(&format!("d{n}"), &phq9, before + 2 * HOUR, d.map(|d| before + d * DAY)));
        }
        if let Some((day, score, kind, seconds)) = w.filled {
            let mut f = form(&format!("q{n}"), &phq9, before + day * DAY + 7200, score);
            f.seconds = Some(seconds);
            match kind {
                0 => f.answers[3] = None,
                1 => f.finished = false,
                2 => f.safety = Some(SafetyAnswer { value: 1.0 }),
                3 => f.safety = Some(SafetyAnswer { value: 0.0 }),
                _ => {}
            }
            f.complete = f.answers.iter().all(Option::is_some);
            t.administrations.push(f);
        }
        if let Some(score) = w.alliance {
            t.administrations.push(form(&format!("s{n}"), &srs, before + HOUR, score));
        }
        if let Some(kind) = w.judged {
            t.judgements.push(Judgement {
                source: Source::new(SourceKind::Observation, format!("j{n}")),
                known: at(start - HOUR),
                verdict: [Verdict::Named, Verdict::RuptureNo, Verdict::SafetyAcknowledged][usize::from(kind)],
                flag: None,
                note: None,
                covers: None,
            });
        }
    }
    sorted(t)
}

pub fn sorted(mut t: Timeline) -> Timeline {
    t.slots.sort_by(|a, b| (a.start, &a.source).cmp(&(b.start, &b.source)));
    t.administrations.sort_by(|a, b| (a.at, &a.source).cmp(&(b.at, &b.source)));
    t.homework.sort_by(|a, b| (a.assigned, &a.source).cmp(&(b.assigned, &b.source)));
    t.dues.sort_by(|a, b| (a.asked, &a.source).cmp(&(b.asked, &b.source)));
    t.judgements.sort_by(|a, b| (a.known, &a.source).cmp(&(b.known, &b.source)));
    t
}

/// The record as it stood at `cut`: nothing that was known then or later.
pub fn cut_off(t: &Timeline, cut: Timestamp) -> Timeline {
    let mut t = t.clone();
    t.slots.retain(|s| s.booked_known().is_none_or(|b| b < cut));
    for s in &mut t.slots {
        if let Some(undone) = s.moves.iter().position(|m| m.known >= cut) {
            s.start = s.moves[undone].from;
            s.moves.truncate(undone);
            s.outcome = SlotOutcome::Booked;
        }
        if s.known() >= cut {
            s.outcome = SlotOutcome::Booked;
        }
    }
    t.administrations.retain(|a| a.at < cut);
    t.homework.retain(|h| h.assigned < cut || h.state == HomeworkState::Withdrawn);
    for h in &mut t.homework {
        if h.state != HomeworkState::Withdrawn && h.state_known.is_some_and(|k| k >= cut) {
            h.state = HomeworkState::Open;
            h.state_known = None;
        }
    }
    t.dues.retain(|d| d.asked < cut);
    t.judgements.retain(|j| j.known < cut);
    t.endings.retain(|e| e.at < cut);
    t.endings.iter_mut().for_each(|e| e.resumed = e.resumed.filter(|r| *r < cut));
    sorted(t)
}

pub fn weeks() -> impl Strategy<Value = Vec<Week>> {
    prop::collection::vec(week(), 1..16)
}

/// Some clients have no appointments, some bookings come late, some treatments end (and some go on).
pub fn record() -> impl Strategy<Value = Timeline> {
    (weeks(), 0u8..6, 0i64..120, prop::option::of(1i64..40)).prop_map(|(weeks, mode, day, resumed)| {
        let mut t = timeline(&weeks);
        match mode {
            0 => t.slots.clear(),
            1 => t.slots.iter_mut().for_each(|s| s.booked = Some(s.start - 50.hours())),
            2 => t.endings.push(Ending {
                source: Source::new(SourceKind::EpisodeOfCare, "e"),
                at: at(day * DAY),
                kind: EndingKind::EpisodeFinished,
                resumed: resumed.map(|r| at((day + r) * DAY)),
            }),
            _ => {}
        }
        t
    })
}
