//! Laws that hold for every record: property tests over generated ones.

use super::{Constants, assess};
use crate::domain::*;
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use std::sync::Arc;

pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 24 * HOUR;
const ORIGIN: i64 = 1_767_600_000;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(ORIGIN + seconds).unwrap()
}

pub(super) fn phq9() -> Arc<Measure> {
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

pub(super) fn srs() -> Arc<Measure> {
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

pub(super) fn slot(id: &str, start: i64, outcome: SlotOutcome) -> Slot {
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

pub(super) const KEPT: SlotOutcome = SlotOutcome::Kept { late_minutes: None };

pub(super) fn form(id: &str, measure: &Arc<Measure>, when: i64, score: f64) -> Administration {
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
        complete: true,
    }
}

pub(super) fn homework(id: &str, assigned: i64, due: Option<i64>, done: Option<i64>) -> Homework {
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
    }
}

pub(super) fn due(id: &str, measure: &Arc<Measure>, asked: i64, due: Option<i64>) -> MeasureDue {
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
struct Week {
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

fn timeline(weeks: &[Week]) -> Timeline {
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
            });
        }
    }
    sorted(t)
}

fn sorted(mut t: Timeline) -> Timeline {
    t.slots.sort_by(|a, b| (a.start, &a.source).cmp(&(b.start, &b.source)));
    t.administrations.sort_by(|a, b| (a.at, &a.source).cmp(&(b.at, &b.source)));
    t.homework.sort_by(|a, b| (a.assigned, &a.source).cmp(&(b.assigned, &b.source)));
    t.dues.sort_by(|a, b| (a.asked, &a.source).cmp(&(b.asked, &b.source)));
    t.judgements.sort_by(|a, b| (a.known, &a.source).cmp(&(b.known, &b.source)));
    t
}

/// The record as it stood at `cut`: nothing that was known then or later.
fn cut_off(t: &Timeline, cut: Timestamp) -> Timeline {
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

fn weeks() -> impl Strategy<Value = Vec<Week>> {
    prop::collection::vec(week(), 1..16)
}

/// Some clients have no appointments, some bookings come late, some treatments end (and some go on).
fn record() -> impl Strategy<Value = Timeline> {
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

/// The line of an appointment, for comparing: everything but what is only shown.
fn line<'a>(course: &'a Course, id: &str) -> Option<&'a Assessment> {
    course.steps.iter().find(|s| s.appointments.iter().any(|a| &**a == id))
}

fn same_line(a: &Assessment, b: &Assessment) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.as_of, b.as_of);
    prop_assert_eq!(a.probability.to_bits(), b.probability.to_bits());
    prop_assert_eq!(a.carried.to_bits(), b.carried.to_bits());
    prop_assert_eq!(a.engagement_probability.to_bits(), b.engagement_probability.to_bits());
    prop_assert_eq!(&a.signals, &b.signals);
    prop_assert_eq!(a.pattern, b.pattern);
    prop_assert_eq!(&a.flags, &b.flags);
    prop_assert_eq!(a.band, b.band);
    Ok(())
}

fn end(t: &Timeline) -> Timestamp {
    t.slots.last().map_or(at(60 * DAY), |s| s.start) + (30 * 24).hours()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Cutting the record off at T changes nothing before T, nor at T.
    #[test]
    fn nothing_looks_ahead(t in record(), share in 0f64..1.1) {
        let c = Constants::default();
        let last = end(&t);
        let cut = at((share * (last.as_second() - ORIGIN) as f64) as i64);
        let (whole, part) = (assess(&t, last, &c), assess(&cut_off(&t, cut), last, &c));
        for slot in t.slots.iter().filter(|s| s.start <= cut && s.placed() < cut) {
            let id = &slot.source.id;
            let (a, b) = (line(&whole, id).unwrap(), line(&part, id).unwrap());
            same_line(a, b)?;
            prop_assert_eq!(&a.seen, &b.seen);
        }
        let (whole, part) = (assess(&t, cut, &c), assess(&cut_off(&t, cut), cut, &c));
        prop_assert_eq!(&whole.open, &part.open);
        prop_assert_eq!(&whole.episodes, &part.episodes);
        prop_assert_eq!(whole.interval_days, part.interval_days);
    }

    /// Between two instants of `next_change`, time changes nothing.
    #[test]
    fn time_alone_changes_nothing_unannounced(t in record(), share in 0f64..1.3, part in 0f64..1.0) {
        let c = Constants::default();
        let now = at((share * (end(&t).as_second() - ORIGIN) as f64) as i64);
        let course = assess(&t, now, &c);
        let next = course.next_change.unwrap_or(now + (24 * 400).hours());
        prop_assert!(next > now);
        let span = next.as_nanosecond() - now.as_nanosecond();
        let then = now + ((span as f64 * part) as i64).min(span as i64 - 1).nanoseconds();
        let mut later = assess(&t, then, &c);
        let (mut open, open_later) = (course.open.clone(), later.open.take());
        if let (Some(a), Some(b)) = (&mut open, &open_later) {
            a.as_of = b.as_of;
        }
        prop_assert_eq!(open, open_later);
        prop_assert_eq!(&course.steps, &later.steps);
        prop_assert_eq!(&course.episodes, &later.episodes);
        prop_assert_eq!(course.next_change, later.next_change);
    }

    /// Order and repeats change nothing.
    #[test]
    fn order_and_repeats_change_nothing(t in record(), seed in any::<u64>()) {
        let mut mixed = t.clone();
        let turn = |len: usize| if len == 0 { 0 } else { (seed % len as u64) as usize };
        mixed.slots.reverse();
        mixed.administrations.rotate_left(turn(t.administrations.len()));
        mixed.homework.reverse();
        mixed.dues.reverse();
        mixed.slots.extend(t.slots.iter().take(3).cloned());
        mixed.administrations.extend(t.administrations.iter().take(2).cloned());
        mixed.homework.extend(t.homework.iter().take(2).cloned());
        mixed.judgements.extend(t.judgements.iter().cloned());
        let c = Constants::default();
        prop_assert_eq!(assess(&t, end(&t), &c), assess(&mixed, end(&t), &c));
    }

    /// A shift of the whole record shifts the answer.
    #[test]
    fn a_shift_in_time_shifts_the_answer(weeks in weeks(), shift in 1i64..400) {
        let t = timeline(&weeks);
        let by = |x: Timestamp| x + (shift * 24).hours();
        let mut s = t.clone();
        for x in &mut s.slots {
            x.start = by(x.start);
            x.booked = x.booked.map(by);
            x.outcome_known = by(x.outcome_known);
            for m in &mut x.moves {
                (m.from, m.to, m.known) = (by(m.from), by(m.to), by(m.known));
            }
        }
        s.administrations.iter_mut().for_each(|x| x.at = by(x.at));
        for x in &mut s.homework {
            x.assigned = by(x.assigned);
            x.due = x.due.map(by);
            x.state_known = x.state_known.map(by);
        }
        for x in &mut s.dues {
            x.asked = by(x.asked);
            x.due = x.due.map(by);
        }
        s.judgements.iter_mut().for_each(|x| x.known = by(x.known));
        let c = Constants::default();
        let (a, b) = (assess(&t, end(&t), &c), assess(&s, by(end(&t)), &c));
        prop_assert_eq!(a.steps.len(), b.steps.len());
        for (x, y) in a.steps.iter().zip(&b.steps) {
            prop_assert_eq!(by(x.as_of), y.as_of);
            prop_assert_eq!(x.probability.to_bits(), y.probability.to_bits());
            prop_assert_eq!(&x.flags, &y.flags);
        }
        prop_assert_eq!(a.next_change.map(by), b.next_change);
        prop_assert_eq!(a.episodes.len(), b.episodes.len());
        for (x, y) in a.episodes.iter().zip(&b.episodes) {
            prop_assert_eq!(by(x.opened), y.opened);
        }
    }

    /// carried + Σ evidence = logit(probability); an absent signal says exactly nothing; an episode has an
    /// identity of its own.
    #[test]
    fn evidence_adds_up(t in record()) {
        let course = assess(&t, end(&t), &Constants::default());
        for s in course.steps.iter().chain(&course.open) {
            prop_assert!(s.probability > 0.0 && s.probability < 1.0);
            let sum = s.carried + s.signals.iter().map(|x| x.evidence).sum::<f64>();
            prop_assert!((sum - (s.probability / (1.0 - s.probability)).ln()).abs() < 1e-9);
            for x in &s.signals {
                prop_assert!(!x.absent || x.evidence == 0.0);
                prop_assert!(x.evidence.is_finite());
            }
        }
        for (n, e) in course.episodes.iter().enumerate() {
            prop_assert!(course.episodes[..n].iter().all(|x| x.kind != e.kind || x.key != e.key));
            if let Some((closed, _)) = e.closed {
                prop_assert!(closed >= e.opened);
            }
        }
    }

    /// A slot that the service cancelled, a double booking and a withdrawn Task change no other line.
    #[test]
    fn what_is_never_evidence_changes_nothing(weeks in weeks(), day in 0i64..80, n in any::<prop::sample::Index>()) {
        let mut t = timeline(&weeks);
        // a gap the client asked for is the clinician's once they cancelled a slot in it: the one exception
        t.slots.iter_mut().for_each(|s| s.booked = None);
        let c = Constants::default();
        let before = assess(&t, end(&t), &c);
        let mut more = t.clone();
        let mut extra = slot("extra", day * DAY + 1234, SlotOutcome::CancelledByService);
        extra.outcome_known = extra.start - 30.hours();
        extra.booked = Some(extra.outcome_known - 1.hours());
        more.slots.push(extra);
        let mut twin = n.get(&t.slots).clone();
        twin.source.id = "b-twin".into();
        more.slots.push(twin);
        let mut withdrawn = homework("w", day * DAY, Some(day * DAY + DAY), None);
        withdrawn.state = HomeworkState::Withdrawn;
        more.homework.push(withdrawn);
        let mut withdrawn = due("wd", &phq9(), day * DAY, Some(day * DAY + DAY));
        withdrawn.withdrawn = true;
        more.dues.push(withdrawn);
        let after = assess(&more, end(&t), &c);
        for slot in &t.slots {
            let (a, b) = (line(&before, &slot.source.id).unwrap(), line(&after, &slot.source.id).unwrap());
            prop_assert_eq!(a.probability.to_bits(), b.probability.to_bits(), "{}", slot.source);
            prop_assert_eq!(a.carried.to_bits(), b.carried.to_bits());
            prop_assert_eq!(&a.flags, &b.flags);
            for (x, y) in a.signals.iter().zip(&b.signals) {
                prop_assert_eq!(x.evidence.to_bits(), y.evidence.to_bits());
            }
        }
        // the twin's own line is equal
        let twin = line(&after, "b-twin").unwrap();
        prop_assert!(twin.appointments.len() >= 2);
    }

    /// At one step a better outcome in place of a worse one never raises the probability.
    #[test]
    fn better_is_never_worse(weeks in weeks(), last in 0u8..4) {
        let mut t = timeline(&weeks);
        t.slots.retain(|s| s.moves.is_empty());
        // a measure filled in during sessions is not expected of one that fell through: Tasks ask for it here
        t.dues.push(due("first", &phq9(), -30 * DAY, Some(-29 * DAY)));
        prop_assume!(!t.slots.is_empty());
        let start = end(&t).as_second() - ORIGIN;
        let look = start + 7 * DAY;
        let outcomes = [
            KEPT,
            SlotOutcome::Kept { late_minutes: Some(20.0) },
            SlotOutcome::CancelledByClient,
            SlotOutcome::NoShow,
        ];
        let c = Constants::default();
        let say = |attend: usize, done: Option<i64>, complete: u8, score: f64, srs_score: f64| {
            let mut t = t.clone();
            t.slots.push(slot("z", start, outcomes[attend]));
            t.slots.push(slot("zz", look, SlotOutcome::Booked));
            t.homework.push(homework("zh", start - DAY, Some(start + 3 * DAY), done));
            t.dues.push(due("zd", &phq9(), start + HOUR, Some(start + 5 * DAY)));
            if complete < 2 {
                let mut f = form("zq", &phq9(), start + 4 * DAY, score);
                f.seconds = None;
                if complete == 1 {
                    f.answers[2] = None;
                }
                t.administrations.push(f);
            }
            t.administrations.push(form("zs", &srs(), start + HOUR, srs_score));
            let course = assess(&sorted(t), at(look), &c);
            line(&course, "zz").unwrap().probability
        };
        let done = [Some(start + DAY), Some(start + 5 * DAY), None];
        let worst = usize::from(last);
        let base = say(worst, done[1], 1, 14.0, 30.0);
        if worst > 0 {
            prop_assert!(say(worst - 1, done[1], 1, 14.0, 30.0) <= base + 1e-12);
        }
        prop_assert!(say(worst, done[0], 1, 14.0, 30.0) <= base + 1e-12);
        prop_assert!(say(worst, done[2], 1, 14.0, 30.0) >= base - 1e-12);
        prop_assert!(say(worst, done[1], 0, 14.0, 30.0) <= base + 1e-12);
        prop_assert!(say(worst, done[1], 1, 11.0, 30.0) <= base + 1e-12);
        prop_assert!(say(worst, done[1], 1, 14.0, 34.0) <= base + 1e-12);
    }

    /// A measure that was missed never lowers the probability, against its not having been asked for.
    #[test]
    fn a_missed_measure_never_lowers(weeks in weeks()) {
        let t = timeline(&weeks);
        let start = end(&t).as_second() - ORIGIN;
        let c = Constants::default();
        let say = |asked: bool| {
            let mut t = t.clone();
            t.slots.push(slot("z", start, KEPT));
            t.slots.push(slot("zz", start + 7 * DAY, SlotOutcome::Booked));
            // the measure is one that Tasks ask for, so that nothing is expected without one
            t.dues.push(due("first", &phq9(), -30 * DAY, Some(-29 * DAY)));
            if asked {
                t.dues.push(due("zd", &phq9(), start + HOUR, Some(start + 5 * DAY)));
            }
            let last = end(&t) + 2400.hours();
            line(&assess(&sorted(t), last, &c), "zz").unwrap().probability
        };
        prop_assert!(say(true) >= say(false) - 1e-12);
    }

    /// A run of only good outcomes ends no higher than where a new client starts, whatever is measured.
    #[test]
    fn faultless_ends_no_higher_than_new(
        len in 1usize..60, days in prop::sample::select(vec![3i64, 7, 14, 21]),
        with in prop::array::uniform3(any::<bool>()), first in 4f64..24.0,
    ) {
        let (phq9, srs) = (phq9(), srs());
        let mut t = Timeline::default();
        for n in 0..len as i64 {
            let start = n * days * DAY;
            t.slots.push(slot(&format!("a{n:03}"), start, KEPT));
            if with[0] {
                t.homework.push(homework(&format!("h{n}"), start + HOUR, Some(start + days * DAY - HOUR), Some(start + 2 * DAY)));
            }
            if with[1] {
                // the course that is expected of treatment
                let mut score = first;
                for slot in 1..=n {
                    score -= 0.48 * first / 15.0 * (-(slot as f64) / 6.0).exp();
                }
                t.administrations.push(form(&format!("q{n}"), &phq9, start + DAY, score));
            }
            if with[2] {
                t.administrations.push(form(&format!("s{n}"), &srs, start + HOUR, 37.0));
            }
        }
        let course = assess(&sorted(t), at(70 * 21 * DAY), &Constants::default());
        let (new, last) = (course.steps[0].probability, course.steps.last().unwrap().probability);
        prop_assert!(last <= new + 1e-12, "{last} against {new}");
    }
}
