//! Laws that hold for every record: property tests over generated ones.

pub mod records;

use super::{Constants, assess};
use crate::domain::*;
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use records::*;

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
        s.administrations.iter_mut().for_each(|x| (x.at, x.safety_told) = (by(x.at), by(x.safety_told)));
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

    /// carried + Σ evidence = logit(probability); an absent signal says exactly nothing; no pattern where all is calm; an
    /// episode has an identity of its own.
    #[test]
    fn evidence_adds_up(t in record()) {
        let course = assess(&t, end(&t), &Constants::default());
        for s in course.steps.iter().chain(&course.open) {
            prop_assert!(s.probability > 0.0 && s.probability < 1.0);
            let sum = s.carried + s.signals.iter().map(|x| x.evidence).sum::<f64>();
            prop_assert!((sum - (s.probability / (1.0 - s.probability)).ln()).abs() < 1e-9);
            let calm = s.probability < Constants::default().flag.resolve && !s.flags.contains(&FlagKind::EngagementDrop);
            prop_assert!(!calm || s.pattern == Pattern::None, "a pattern where nothing is raised");
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

    /// A slot that the service cancelled, a double booking, a withdrawn Task and homework that the client declined
    /// change no other line.
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
        let mut declined = homework("d", day * DAY, Some(day * DAY + DAY), None);
        declined.declined = true;
        more.homework.push(declined);
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

/// Three sessions that end worrying, then a fourth: declined homework opens no Flag in between. (Found by chance, by the
/// law that what is never evidence changes nothing.)
#[test]
fn declined_homework_is_no_occasion() {
    let starts = [(7, 0), (22, 600), (29, 1800), (36, 1800)].map(|(days, seconds)| days * DAY + seconds);
    let mut t = Timeline::default();
    for (n, start) in starts.into_iter().enumerate() {
        let outcome = if n == 2 { SlotOutcome::CancelledByClient } else { KEPT };
        let mut slot = slot(&format!("a{n}"), start, outcome);
        slot.booked = None;
        slot.outcome_known = at(if n == 2 { start - DAY } else { start });
        t.slots.push(slot);
    }
    let mut left_out = form("q1", &phq9(), starts[0] + 2 * HOUR, 0.0);
    (left_out.answers[3], left_out.complete, left_out.seconds) = (None, false, Some(5.0));
    let mut unfinished = form("q2", &phq9(), starts[1] + 2 * HOUR, 0.0);
    (unfinished.finished, unfinished.seconds) = (false, Some(5.0));
    let whole = form("q3", &phq9(), starts[2] + 4 * DAY, 0.0);
    t.administrations = vec![left_out, unfinished, whole, form("s1", &srs(), starts[0] + HOUR, 25.0)];
    let t = sorted(t);
    let c = Constants::default();
    let now = at(starts[3] + DAY);
    let before = assess(&t, now, &c);
    assert!(before.steps[2].probability >= c.flag.open && before.episodes.is_empty(), "{:?}", before.episodes);
    let mut declined = homework("declined", 29 * DAY, Some(30 * DAY), None);
    declined.declined = true;
    let mut more = t.clone();
    more.homework.push(declined);
    assert_eq!(assess(&more, now, &c).episodes, before.episodes);
}
