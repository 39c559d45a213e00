//! What counts, and what does not.

use super::*;
use crate::detection::laws::records::gad7;
use crate::domain::AttendanceOutcome as Came;

/// A gap beyond one interval is a break: with nothing in it, it moves the state no further than a week does.
#[test]
fn a_break_does_not_elapse() {
    let next = |days: i64| {
        let mut client = Client::new();
        client.good(8);
        client.week(SlotOutcome::NoShow, false, Some(12.0));
        // booked from the start: not asked for
        client.t.slots.push(slot("next", 8 * WEEK + days * DAY, SlotOutcome::Booked));
        client.until(8 * WEEK + days * DAY).steps[9].carried
    };
    assert_eq!(next(7), next(28));
    assert_ne!(next(7), next(3), "half a week is half an interval");
}

/// Whole, and as poor as can be: it counts, and never more than nothing done at all.
#[test]
fn homework_poorly_done_is_no_worse_than_not_done() {
    let say = |done: Option<i64>, quality: Option<f64>, minutes: Option<f64>, words: Option<u32>| {
        let mut client = Client::new();
        client.good(8);
        for h in &mut client.t.homework {
            (h.quality, h.minutes, h.words) = (Some(4.0), Some(60.0), Some(200));
        }
        client.week(KEPT, false, Some(11.0));
        let mut last = homework("z", 7 * WEEK + HOUR, Some(8 * WEEK - HOUR), done);
        (last.quality, last.minutes, last.words) = (quality, minutes, words);
        *client.t.homework.last_mut().unwrap() = last;
        client.at_slot(8).steps[8].signal(SignalKind::HomeworkEngagement).evidence
    };
    let (poor, undone) = (say(Some(8 * WEEK - 2 * HOUR), Some(0.0), Some(1.0), Some(1)), say(None, None, None, None));
    let good = say(Some(8 * WEEK - 2 * HOUR), Some(4.0), Some(60.0), Some(200));
    assert!(good < 0.0 && poor > 0.0 && poor <= undone, "{good} {poor} {undone}");
}

/// An open no is no silent omission: shown, and no evidence.
#[test]
fn declined_homework_is_shown_and_says_nothing() {
    let say = |change: fn(&mut Homework)| {
        let mut client = Client::new();
        client.good(8).week(KEPT, false, Some(11.0));
        change(client.t.homework.last_mut().unwrap());
        client.week(KEPT, false, Some(11.0));
        client.t.homework.pop();
        client.at_slot(9).steps[8].clone()
    };
    let (silent, declined) = (say(|_| ()), say(|h| (h.state, h.declined) = (HomeworkState::NotDone, true)));
    let never_given = say(|h| h.state = HomeworkState::Withdrawn);
    assert!(silent.signal(SignalKind::HomeworkEngagement).evidence > 0.3);
    assert!(declined.signal(SignalKind::HomeworkEngagement).absent);
    assert_eq!(declined.probability, never_given.probability);
    assert!(declined.seen.homework[0].declined);
}

/// PHQ-9 from the start, GAD-7 from the second week: one is left out now and then, and each is ahead in turn.
#[test]
fn the_primary_measure_changes_only_when_it_is_given_up() {
    let course = |phq: &[i64], gad: &[i64], weeks: i64| {
        let mut client = Client::new();
        for n in 0..weeks {
            client.t.slots.push(slot(&format!("a{n:02}"), n * WEEK, KEPT));
        }
        for (name, measure, at_weeks) in [("p", phq9(), phq), ("g", gad7(), gad)] {
            for n in at_weeks {
                client.t.administrations.push(form(&format!("{name}{n:02}"), &measure, n * WEEK - DAY, 9.0));
            }
        }
        (0..weeks).map(|n| client.at_slot(n).primary.unwrap().name.clone()).collect::<Vec<_>>()
    };
    let first = course(&[0, 1, 4, 7, 8, 11], &[1, 2, 3, 4, 5, 7, 8, 9, 10, 11], 12);
    assert!(first.iter().all(|name| name == "PHQ-9"), "{first:?}");
    let given_up = course(&[0, 1, 2], &[2, 3, 4, 5, 6, 7], 8);
    assert_eq!(given_up, ["PHQ-9", "PHQ-9", "PHQ-9", "PHQ-9", "PHQ-9", "PHQ-9", "GAD-7", "GAD-7"]);
    let only_at_intake = course(&[0], &[1, 2, 3], 4);
    assert_eq!(only_at_intake, ["PHQ-9", "PHQ-9", "GAD-7", "GAD-7"]);
}

#[test]
fn an_expectation_is_learned_and_a_monthly_measure_is_not_missed_weekly() {
    for (period, count) in [(1, 6), (4, 4)] {
        let mut client = Client::new();
        let last = period * (count - 1);
        for n in 0..last + 12 {
            client.t.slots.push(slot(&format!("a{n:02}"), n * WEEK, KEPT));
            if n <= last && n % period == 0 {
                client.t.administrations.push(form(&format!("q{n:02}"), &phq9(), n * WEEK - DAY, 14.0));
            }
        }
        let course = client.until((last + 11) * WEEK);
        let missed: Vec<i64> = (0..last + 12)
            .filter(|n| course.steps[*n as usize].seen.rom.iter().any(|r| r.outcome == RomOutcome::Missed))
            .collect();
        let expected = match period {
            1 => vec![6, 7, 8, 9],
            _ => vec![last + 5, last + 9],
        };
        assert_eq!(missed, expected, "period {period}");
    }
}

#[test]
fn stalled_above_the_cut_off_is_not_on_track() {
    let scores = [18.0, 16.0, 14.0, 13.0, 13.0, 13.0, 13.0, 13.0, 13.0, 13.0];
    for (drop, flagged) in [(0.0, true), (5.0, false)] {
        let mut client = Client::new();
        for (n, score) in scores.iter().enumerate() {
            let score = if n == 0 { *score } else { score - drop };
            client.week(KEPT, true, Some(score));
        }
        let course = client.at_slot(9);
        let found = course.episodes.iter().any(|e| e.kind == FlagKind::NotOnTrack && e.why == Why::Plateau);
        assert_eq!(found, flagged);
        assert!(engagement(&course).is_empty(), "it never raises the other");
        let last = course.steps[9].signal(SignalKind::RomTrajectory).evidence;
        assert_eq!(last > 0.0, flagged, "{last}");
    }
}

#[test]
fn scores_never_move_the_engagement_probability() {
    let mut calm = Client::new();
    let mut worse = Client::new();
    for n in 0..10 {
        calm.week(KEPT, true, Some(10.0));
        worse.week(KEPT, true, Some(10.0 + f64::from(n)));
    }
    // but that a client who gets better is excused from homework
    calm.t.homework.clear();
    worse.t.homework.clear();
    let (a, b) = (calm.at_slot(9), worse.at_slot(9));
    assert!(b.steps[9].probability > a.steps[9].probability);
    let gap = a.steps[9].engagement_probability - b.steps[9].engagement_probability;
    assert!(gap.abs() < 1e-12, "{gap}");
}

/// Booked after the last session for three weeks later. All else as ever: the clinic may be closed. Beside homework left
/// undone it counts.
#[test]
fn a_longer_gap_by_itself_says_nothing() {
    let say = |done: bool, booked: Option<i64>| {
        let mut client = Client::new();
        client.good(8);
        let (last, next) = (7 * WEEK, 10 * WEEK);
        let done = done.then_some(last + 2 * DAY);
        client.t.homework.push(homework("z", last + HOUR, Some(last + 6 * DAY), done));
        let mut slot = slot("next", next, SlotOutcome::Booked);
        slot.booked = booked.map(|after| at(last + after));
        client.t.slots.push(slot);
        client.until(next).steps[8].clone()
    };
    let (gap, planned) = (say(true, Some(HOUR)), say(true, None));
    assert_eq!(gap.seen.spacing_days, None);
    assert_eq!(gap.probability, planned.probability);
    let (gap, planned) = (say(false, Some(HOUR)), say(false, None));
    assert_eq!(gap.seen.spacing_days, Some(21.0));
    assert!(gap.probability > planned.probability);
}

/// Weekly for six sessions, then three gaps of this many days each, booked at the session before, homework never done.
fn spaced_out(kept: i64, days: i64) -> Vec<Option<f64>> {
    let mut client = Client::new();
    let mut start = 0;
    for n in 0..kept + 3 {
        let mut slot = slot(&format!("a{n:02}"), start, KEPT);
        slot.booked = (n >= kept).then(|| at(start - days * DAY + HOUR));
        client.t.slots.push(slot);
        client.t.homework.push(homework(&format!("h{n:02}"), start + HOUR, Some(start + DAY), None));
        start += if n + 1 >= kept { days * DAY } else { WEEK };
    }
    client.until(start).steps.iter().map(|step| step.seen.spacing_days).collect()
}

#[test]
fn sessions_further_apart_are_told_once_and_against_two_gaps() {
    assert_eq!(spaced_out(6, 21)[5..], [None, Some(21.0), None, None]);
    assert_eq!(spaced_out(6, 11)[5..], [None; 4], "1.7 intervals are 12 days");
    assert_eq!(spaced_out(2, 21)[1..3], [None, None], "one gap before is no habit");
}

/// The median gap; two sessions of a day are no gap, and of the first gap less than half a week is not believed.
#[test]
fn the_interval_is_the_usual_gap() {
    let interval = |starts: &[i64]| {
        let mut client = Client::new();
        client.t.slots.extend(starts.iter().enumerate().map(|(n, start)| slot(&format!("a{n}"), *start, KEPT)));
        client.until(starts[starts.len() - 1] + HOUR).interval_days
    };
    assert_eq!(interval(&[0, 5 * DAY, 12 * DAY, 19 * DAY]), 7.0);
    assert_eq!(interval(&[0, 3 * HOUR, WEEK, WEEK + 4 * HOUR]), 6.875);
    assert_eq!(interval(&[0]), 7.0);
    let mut client = Client::new();
    client.t.slots.extend([slot("a", 0, KEPT), slot("b", DAY, SlotOutcome::Booked)]);
    assert_eq!(client.until(HOUR).interval_days, 3.5);
}

/// What each start was taken for.
#[test]
fn of_a_start_the_truest_outcome_counts() {
    let seen = |first: SlotOutcome, second: Option<SlotOutcome>, replaced: bool| {
        let mut client = Client::new();
        client.t.slots.push(slot("a", 0, first));
        client.t.slots.extend(second.map(|outcome| slot("b", 0, outcome)));
        let mut next = slot("c", WEEK, SlotOutcome::Booked);
        next.replaces = replaced.then(|| client.t.slots[0].source.clone());
        client.t.slots.push(next);
        client.until(WEEK).steps[1].seen.attendance[0].0
    };
    let late = |minutes| SlotOutcome::Kept { late_minutes: Some(minutes) };
    assert_eq!(seen(late(8.0), None, false), Came::Late { minutes: 8.0 });
    assert_eq!(seen(late(7.9), None, false), Came::Attended);
    assert_eq!(seen(SlotOutcome::NoShow, Some(KEPT), false), Came::Attended, "a double booking");
    assert_eq!(seen(SlotOutcome::CancelledByClient, Some(SlotOutcome::NoShow), false), Came::NoShow);
    assert_eq!(seen(SlotOutcome::CancelledByClient, None, true), Came::Rescheduled);
    assert_eq!(seen(SlotOutcome::CancelledByClient, None, false), Came::CancelledByClient);
}

/// Evidence of one homework after eight good weeks, by the share of it that was done; and of several.
#[test]
fn how_much_of_the_homework_was_done_counts() {
    let say = |shares: &[f64]| {
        let mut client = Client::new();
        client.good(8).week(KEPT, false, Some(11.0));
        client.t.homework.pop();
        for (n, share) in shares.iter().enumerate() {
            let done = Some(8 * WEEK - 2 * HOUR);
            let mut h = homework(&format!("z{n}"), 7 * WEEK + HOUR, Some(8 * WEEK - HOUR), done);
            h.completion = Some(*share);
            client.t.homework.push(h);
        }
        client.at_slot(8).steps[8].signal(SignalKind::HomeworkEngagement).evidence
    };
    let [none, third, half, whole] = [0.0, 0.3, 0.5, 1.0].map(|share| say(&[share]));
    assert!(none > third && third > half && half > whole, "{none} {third} {half} {whole}");
    let two = say(&[0.0, 0.0]);
    assert!(two > 1.2 * none && two < 1.7 * none, "two are not independent: {two} against {none}");
}

/// Minutes and words count against the client's own, to two deviations on the good side.
#[test]
fn much_more_than_usual_says_no_more_than_more() {
    let say = |minutes: f64| {
        let mut client = Client::new();
        client.good(8).week(KEPT, true, Some(11.0));
        client.t.homework.iter_mut().for_each(|h| h.minutes = Some(20.0));
        client.t.homework.last_mut().unwrap().minutes = Some(minutes);
        client.at_slot(8).steps[8].signal(SignalKind::HomeworkEngagement).evidence
    };
    assert!(say(10.0) > say(20.0) && say(20.0) > say(40.0));
    assert_eq!(say(400.0), say(4000.0));
    let quality = |quality: f64| {
        let mut client = Client::new();
        client.good(10).week(KEPT, true, Some(11.0));
        client.t.homework.iter_mut().for_each(|h| h.quality = Some(0.0));
        client.t.homework.last_mut().unwrap().quality = Some(quality);
        client.at_slot(10).steps[10].signal(SignalKind::HomeworkEngagement).evidence
    };
    assert!(quality(1.0) > quality(3.0));
    assert_eq!(quality(3.0), quality(4.0));
}

/// Who fills the form in at the session misses nothing where there was none.
#[test]
fn a_form_filled_in_at_sessions_is_not_missed_without_one() {
    let missed = |after: i64, outcome: SlotOutcome| {
        let mut client = Client::new();
        for n in 0..8 {
            client.t.slots.push(slot(&format!("a{n}"), n * WEEK, if n == 6 { outcome } else { KEPT }));
            if n < 6 {
                client.t.administrations.push(form(&format!("q{n}"), &phq9(), n * WEEK + after, 14.0));
            }
        }
        client.t.slots[6].outcome_known = at(6 * WEEK - 3 * DAY);
        let course = client.until(7 * WEEK);
        [6, 7].map(|n: usize| course.steps[n].seen.rom.iter().any(|rom| rom.outcome == RomOutcome::Missed))
    };
    let (session, day_before) = (HOUR, -DAY);
    assert_eq!(missed(session, SlotOutcome::NoShow), [false, false]);
    assert_eq!(missed(session, KEPT), [false, true]);
    assert_eq!(missed(day_before, SlotOutcome::CancelledByClient), [false, true], "of a cancelled one none is due");
    assert_eq!(missed(day_before, KEPT), [true, true]);
}

/// One score back inside the expected range does not take the Flag down; the second does.
#[test]
fn not_on_track_closes_at_the_second_score_inside() {
    let closed = |scores: &[f64]| {
        let mut client = Client::new();
        for score in [15.0, 15.0, 14.0].iter().chain(scores) {
            client.week(KEPT, true, Some(*score));
        }
        let course = client.at_slot(client.n - 1);
        let episode = course.episodes.iter().find(|e| e.kind == FlagKind::NotOnTrack).expect("a Flag");
        episode.closed.is_some()
    };
    assert!(!closed(&[22.0, 23.0, 13.0]));
    assert!(closed(&[22.0, 23.0, 13.0, 13.0]));
}

/// Written down days after it was held, it is known to have been booked when it was held.
#[test]
fn a_session_written_down_later_is_a_session_all_the_same() {
    let say = |booked: Option<i64>| {
        let mut client = Client::new();
        client.good(7);
        client.t.slots[5].booked = booked.map(at);
        client.at_slot(6).steps[6].clone()
    };
    assert_eq!(say(Some(5 * WEEK + 2 * DAY)), say(Some(5 * WEEK)));
}

/// A cancellation of which nobody said whose it was is shown, and no evidence.
#[test]
fn an_unattributed_cancellation_says_nothing() {
    let say = |outcome: SlotOutcome| {
        let mut client = Client::new();
        client.good(8).week(outcome, true, Some(11.0)).week(SlotOutcome::Booked, true, Some(11.0));
        let signal = client.at_slot(9).steps[9].signal(SignalKind::Attendance).clone();
        (signal.absent, signal.evidence)
    };
    assert_eq!(say(SlotOutcome::CancelledUnattributed), (true, 0.0));
    assert!(say(SlotOutcome::CancelledByClient).1 > 0.0);
}

/// Of two forms due at one step the worse counts.
#[test]
fn the_worse_of_two_forms_counts() {
    let say = |of_gad7: Option<i64>| {
        let mut client = Client::new();
        client.good(8);
        let start = 7 * WEEK;
        client.t.dues.push(due("g", &gad7(), start - 3 * DAY, Some(start - HOUR)));
        client.t.administrations.extend(of_gad7.map(|when| form("g", &gad7(), when, 5.0)));
        client.at_slot(7).steps[7].signal(SignalKind::RomEngagement).evidence
    };
    assert!(say(Some(7 * WEEK - DAY)) < 0.0 && say(None) > 0.0);
}
