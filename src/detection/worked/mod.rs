//! Worked examples: small records, and what is said of them.

mod evidence;

use super::laws::records::{DAY, HOUR, KEPT, at, due, form, homework, phq9, slot};
use super::{Constants, assess};
use crate::domain::*;
use jiff::{Timestamp, ToSpan};

const WEEK: i64 = 7 * DAY;

/// A client who comes every week, does the homework and fills in the PHQ-9 the day before.
struct Client {
    t: Timeline,
    n: i64,
}

impl Client {
    fn new() -> Self {
        Client { t: Timeline::default(), n: 0 }
    }

    fn week(&mut self, outcome: SlotOutcome, done: bool, score: Option<f64>) -> &mut Self {
        let (n, start) = (self.n, self.n * WEEK);
        self.t.slots.push(slot(&format!("a{n:02}"), start, outcome));
        if n > 0 {
            let done = done.then_some(start - 2 * DAY);
            self.t.homework.push(homework(&format!("h{n:02}"), start - WEEK + HOUR, Some(start - 4 * HOUR), done));
        }
        self.t.dues.push(due(&format!("d{n:02}"), &phq9(), start - 3 * DAY, Some(start - HOUR)));
        if let Some(score) = score {
            self.t.administrations.push(form(&format!("q{n:02}"), &phq9(), start - DAY, score));
        }
        self.n += 1;
        self
    }

    fn good(&mut self, weeks: usize) -> &mut Self {
        for _ in 0..weeks {
            let score = (15.0 - 0.4 * self.n as f64).max(5.0);
            self.week(KEPT, true, Some(score));
        }
        self
    }

    fn at_slot(&self, n: i64) -> Course {
        self.until(n * WEEK)
    }

    fn until(&self, seconds: i64) -> Course {
        assess(&self.t, at(seconds), &Constants::default())
    }

    fn judge(&mut self, seconds: i64, verdict: Verdict) {
        self.t.judgements.push(Judgement {
            source: Source::new(SourceKind::Observation, format!("j{seconds}")),
            known: at(seconds),
            verdict,
            flag: None,
            note: None,
            covers: None,
        });
    }

    fn end(&mut self, seconds: i64, kind: EndingKind) {
        self.t.endings.push(Ending {
            source: Source::new(SourceKind::EpisodeOfCare, "e"),
            at: at(seconds),
            kind,
            resumed: None,
        });
    }
}

fn engagement(course: &Course) -> Vec<&Episode> {
    course.episodes.iter().filter(|e| e.kind == FlagKind::EngagementDrop).collect()
}

/// By hand: nothing is known, so the base rate: raw P .087, logit -2.3508, P′ = 1/(1 + e^(.15 + .75·2.3508)) = 0.12863.
/// Every signal is absent.
#[test]
fn where_a_new_client_starts() {
    let mut client = Client::new();
    client.t.slots.push(slot("a", 0, KEPT));
    let course = client.until(0);
    let first = &course.steps[0];
    assert!((first.probability - 0.12863).abs() < 1e-5, "{}", first.probability);
    assert!(first.signals.iter().all(|s| s.absent && s.evidence == 0.0));
    assert_eq!((first.baseline_steps, first.warming_up), (0, true));
}

/// By hand: treatment begins at α = [.9721 .0199 .008]; times T it is [0.94108 0.04619 0.01273]; a kept slot
/// says -0.11658 and -0.47926: odds 0.052059; P′ = 1/(1 + e^(.15 − .75·ln 0.052059)) = 0.08576.
#[test]
fn after_one_kept_slot() {
    let mut client = Client::new();
    client.t.slots.extend([slot("a", 0, KEPT), slot("b", WEEK, SlotOutcome::Booked)]);
    let course = client.until(WEEK);
    assert!((course.steps[1].probability - 0.08576).abs() < 1e-5, "{}", course.steps[1].probability);
    assert!(course.steps[1].signal(SignalKind::Attendance).evidence < 0.0);
}

#[test]
fn thinning_out_raises_the_flag_before_the_session() {
    let mut client = Client::new();
    client.good(8);
    let calm = client.at_slot(7);
    assert!(engagement(&calm).is_empty());
    assert_eq!(calm.steps[7].band, Band::NothingUnusual);
    client.week(SlotOutcome::NoShow, false, None);
    client.week(SlotOutcome::CancelledByClient, false, None);
    client.week(SlotOutcome::Booked, false, None);
    let course = client.at_slot(10);
    let last = &course.steps[10];
    assert!(last.probability > 0.6, "{}", last.probability);
    assert_eq!((last.pattern, last.band), (Pattern::Withdrawal, Band::Flag));
    assert_eq!(last.flags, [FlagKind::EngagementDrop]);
    let episode = engagement(&course)[0];
    assert!(episode.opened < at(10 * WEEK), "before the session");
    assert_eq!((episode.why, episode.closed), (Why::Signals, None));
    assert!(episode.rests_on.iter().any(|s| s.kind == SourceKind::Task));
}

#[test]
fn one_signal_alone_raises_nothing() {
    let mut client = Client::new();
    for n in 0..14 {
        let outcome = if n > 7 { SlotOutcome::NoShow } else { KEPT };
        client.t.slots.push(slot(&format!("a{n:02}"), n * WEEK, outcome));
    }
    let course = client.until(13 * WEEK);
    assert!(course.steps[13].probability > 0.4, "{}", course.steps[13].probability);
    assert!(engagement(&course).is_empty());
    assert_eq!(course.steps[13].band, Band::Watch);
}

#[test]
fn no_flag_before_three_slots() {
    let mut client = Client::new();
    for _ in 0..3 {
        client.week(SlotOutcome::NoShow, false, None);
    }
    assert!(engagement(&client.at_slot(2)).is_empty());
    client.week(SlotOutcome::NoShow, false, None);
    assert_eq!(engagement(&client.at_slot(3)).len(), 1);
}

#[test]
fn repair_lets_the_flag_fade() {
    let mut client = Client::new();
    client.good(8);
    client.week(SlotOutcome::NoShow, false, None).week(SlotOutcome::NoShow, false, None);
    client.good(8);
    let course = client.at_slot(17);
    let episode = engagement(&course)[0];
    let (closed, how) = episode.closed.unwrap();
    assert_eq!(how, Closing::Resolved);
    assert!(closed > at(10 * WEEK) && closed < at(16 * WEEK), "{closed}");
    assert_eq!(engagement(&course).len(), 1);
}

#[test]
fn silence_is_told_and_becomes_disengagement() {
    let mut client = Client::new();
    client.good(6);
    let last = 5 * WEEK;
    let quiet = client.until(last + 2 * WEEK);
    assert!(engagement(&quiet).is_empty());
    assert!(!quiet.open.as_ref().unwrap().no_contact);
    let next = quiet.next_change.unwrap();
    assert!(next > at(last + 2 * WEEK) && next < at(last + 2 * WEEK + 1));
    let told = assess(&client.t, next, &Constants::default());
    assert_eq!(engagement(&told)[0].opened, at(last + 2 * WEEK));
    assert_eq!(engagement(&told)[0].why, Why::NoContact);
    let open = told.open.unwrap();
    assert!(open.no_contact && open.flags == [FlagKind::EngagementDrop]);
    let gone = client.until(last + 8 * WEEK + 1);
    assert_eq!(engagement(&gone)[0].closed, Some((at(last + 8 * WEEK), Closing::Disengaged)));
    // a booking made in time: no silence
    let mut next = slot("next", last + 5 * WEEK, SlotOutcome::Booked);
    next.booked = Some(at(last + DAY));
    client.t.slots.push(next);
    assert!(engagement(&client.until(last + 4 * WEEK)).is_empty());
}

/// A silence that was judged a false alarm is not told again, and one that has gone on for eight weeks opens nothing.
#[test]
fn a_silence_is_told_once() {
    let mut client = Client::new();
    client.good(6).week(SlotOutcome::NoShow, false, None);
    let last = 6 * WEEK;
    client.judge(last + 3 * WEEK, Verdict::RuptureNo);
    assert_eq!(engagement(&client.until(last + 5 * WEEK)).len(), 1);
    client.t.judgements.clear();
    for n in 0..6 {
        let asked = last + (9 + n) * WEEK;
        client.t.dues.push(due(&format!("late{n}"), &phq9(), asked, Some(asked + DAY)));
        client.t.homework.push(homework(&format!("late{n}"), asked, Some(asked + DAY), None));
    }
    let course = client.until(last + 20 * WEEK);
    let closed = engagement(&course).iter().map(|e| e.closed.unwrap().1).collect::<Vec<_>>();
    assert_eq!(closed, [Closing::Disengaged]);
}

/// The tester's: last kept at week 5, booked at week 8 for week 9; the Flag had opened at week 7.
#[test]
fn a_booking_ends_no_contact() {
    let mut client = Client::new();
    client.good(6);
    let (last, booked) = (5 * WEEK, 8 * WEEK);
    let mut next = slot("next", 9 * WEEK + DAY, SlotOutcome::Booked);
    next.booked = Some(at(booked));
    client.t.slots.push(next);
    let told = client.until(booked);
    assert_eq!((engagement(&told)[0].why, engagement(&told)[0].closed), (Why::NoContact, None));
    let course = client.until(9 * WEEK);
    let episodes = engagement(&course);
    assert_eq!(episodes.len(), 1);
    assert_eq!(episodes[0].opened, at(last + 2 * WEEK));
    assert_eq!(episodes[0].closed, Some((at(booked), Closing::Resolved)));
    let open = course.open.unwrap();
    assert!(!open.no_contact && open.flags.is_empty());
    // the service calls it off: nothing is booked again, and the silence is told again
    client.t.slots.last_mut().unwrap().outcome = SlotOutcome::CancelledByService;
    client.t.slots.last_mut().unwrap().outcome_known = at(booked + DAY);
    let course = client.until(booked + 2 * DAY);
    assert_eq!(engagement(&course)[1].opened, at(booked + DAY));
    assert!(course.open.unwrap().no_contact);
}

/// Never booked, only held: written down at its start or later.
#[test]
fn a_walk_in_ends_no_contact() {
    let mut client = Client::new();
    client.good(6);
    let came = 5 * WEEK + 24 * DAY;
    let mut walk_in = slot("walk-in", came, KEPT);
    walk_in.booked = Some(at(came));
    client.t.slots.push(walk_in);
    let course = client.until(came + DAY);
    assert_eq!(engagement(&course)[0].closed, Some((at(came), Closing::Resolved)));
    assert!(!course.open.unwrap().no_contact);
    // silence starts again from there
    let course = client.until(came + 40 * DAY);
    assert_eq!(engagement(&course).len(), 2);
    assert!(engagement(&course)[1].opened > at(came + 2 * WEEK) - DAY.seconds());
}

#[test]
fn absence_alone_is_neither_withdrawal_nor_confrontation() {
    let mut client = Client::new();
    client.good(12);
    for days in [15, 30, 60, 100] {
        let open = client.until(11 * WEEK + days * DAY).open.unwrap();
        assert!(open.no_contact);
        assert_eq!(open.pattern, Pattern::None, "after {days} days");
        assert_ne!(open.band, Band::NothingUnusual, "after {days} days, disengaged or not");
    }
    // the same, with a session far ahead: no silence, but a flag may stand
    let mut next = slot("next", 11 * WEEK + 80 * DAY, SlotOutcome::Booked);
    next.booked = Some(at(11 * WEEK + 50 * DAY));
    client.t.slots.push(next);
    assert_ne!(client.until(11 * WEEK + 60 * DAY).open.unwrap().pattern, Pattern::Confrontation);
}

#[test]
fn a_planned_ending_is_no_dropout() {
    let mut client = Client::new();
    client.good(8);
    client.week(SlotOutcome::NoShow, false, None).week(SlotOutcome::NoShow, false, None);
    client.end(9 * WEEK + DAY, EndingKind::EpisodeFinished);
    let course = client.until(30 * WEEK);
    assert_eq!(course.ended, Some(at(9 * WEEK + DAY)));
    assert!(course.open.is_none());
    assert_eq!(engagement(&course)[0].closed, Some((at(9 * WEEK + DAY), Closing::Ended)));
    assert_eq!(engagement(&course).len(), 1);
}

#[test]
fn a_session_after_the_end_is_no_silence() {
    let mut client = Client::new();
    client.good(8);
    client.end(7 * WEEK + HOUR, EndingKind::EpisodeFinished);
    client.t.slots.push(slot("aftercare", 7 * WEEK + DAY, KEPT));
    for week in 8..20 {
        let course = client.until(week * WEEK);
        assert_eq!((course.ended, course.episodes.len()), (Some(at(7 * WEEK + HOUR)), 0));
    }
    // Taken up again: silence counts from the next session on, not from the one before the end.
    client.t.endings[0].resumed = Some(at(20 * WEEK));
    for (name, week) in [("b0", 23), ("b1", 24), ("b2", 25)] {
        client.t.slots.push(slot(name, week * WEEK, KEPT));
    }
    for week in 20..28 {
        assert!(client.until(week * WEEK).episodes.is_empty(), "week {week}");
    }
    assert_eq!(engagement(&client.until(28 * WEEK))[0].why, Why::NoContact);
}

#[test]
fn who_died_is_not_brought_back_by_an_episode_of_care() {
    let mut client = Client::new();
    client.good(4);
    client.end(4 * WEEK, EndingKind::Deceased);
    client.end(5 * WEEK, EndingKind::EpisodeFinished);
    client.t.endings[1].resumed = Some(at(6 * WEEK));
    assert_eq!(client.until(7 * WEEK).ended, Some(at(4 * WEEK)));
}

#[test]
fn a_safety_answer_is_told_at_once() {
    let mut client = Client::new();
    let mut first = form("q", &phq9(), 0, 12.0);
    first.safety = Some(SafetyAnswer { value: 1.0 });
    client.t.administrations.push(first);
    assert!(client.until(0).episodes.is_empty(), "what became known at this very instant is not known before it");
    let course = client.until(1);
    assert_eq!(course.episodes[0].kind, FlagKind::SafetyItem);
    assert_eq!(course.episodes[0].opened, at(0));
    assert_eq!(course.open.as_ref().unwrap().flags, [FlagKind::SafetyItem]);
    client.end(2 * DAY, EndingKind::EpisodeFinished);
    assert!(client.until(3 * DAY).episodes[0].closed.is_none(), "an ending does not close it");
    client.judge(4 * DAY, Verdict::SafetyAcknowledged);
    let closed = client.until(5 * DAY).episodes[0].closed;
    assert_eq!(closed, Some((at(4 * DAY), Closing::Acknowledged)));
}

/// A nightly interface: what was filled in, or amended, before the acknowledgement and came after it was not seen.
#[test]
fn what_was_not_seen_is_not_acknowledged() {
    let answer = |id: &str, when: i64, value: f64, written: i64| {
        let mut form = form(id, &phq9(), when, 12.0);
        form.safety = Some(SafetyAnswer { value });
        form.safety_known = at(written);
        form
    };
    let seen = |id: &str, value: f64| Covered {
        source: Source::new(SourceKind::QuestionnaireResponse, id),
        value: Some(value),
    };
    // forms, what is listed (None: no list), whether the Flag is closed
    let one = answer("q1", 0, 1.0, 0);
    let cases = [
        (vec![one.clone()], Some(vec![seen("q1", 1.0)]), true),
        (vec![one.clone(), answer("q2", DAY, 3.0, DAY)], Some(vec![seen("q1", 1.0)]), false),
        (vec![one.clone(), answer("q2", DAY, 3.0, DAY)], Some(vec![seen("q1", 1.0), seen("q2", 3.0)]), true),
        (vec![answer("q1", 0, 3.0, 3 * DAY)], Some(vec![seen("q1", 1.0)]), false),
        (vec![answer("q1", 0, 1.0, 3 * DAY)], Some(vec![seen("q1", 1.0)]), true),
        (vec![one.clone(), answer("q2", DAY, 3.0, DAY)], None, true),
        (vec![one, answer("q2", DAY, 3.0, 3 * DAY)], None, false),
        (vec![answer("q1", 0, 3.0, 3 * DAY)], None, false),
    ];
    for (n, (forms, covers, closed)) in cases.into_iter().enumerate() {
        let mut client = Client::new();
        client.t.administrations = forms;
        client.judge(2 * DAY, Verdict::SafetyAcknowledged);
        client.t.judgements[0].covers = covers;
        let course = client.until(4 * DAY);
        assert_eq!(course.open.as_ref().unwrap().flags.is_empty(), closed, "{n}");
        assert_eq!(course.episodes[0].closed, closed.then_some((at(2 * DAY), Closing::Acknowledged)), "{n}");
        client.judge(3 * DAY + HOUR, Verdict::SafetyAcknowledged);
        assert!(client.until(4 * DAY).open.unwrap().flags.is_empty(), "{n}: seen by then");
    }
    // Of a clock that was ahead: told after it was seen.
    let mut client = Client::new();
    client.t.administrations.push(answer("q1", 2 * DAY + HOUR, 1.0, 2 * DAY + HOUR));
    client.judge(2 * DAY, Verdict::SafetyAcknowledged);
    client.t.judgements[0].covers = Some(vec![seen("q1", 1.0)]);
    assert!(client.until(4 * DAY).episodes.is_empty());
}

#[test]
fn a_later_complete_zero_closes_a_safety_answer() {
    let mut client = Client::new();
    for (n, (value, complete)) in [(2.0, true), (0.0, false), (0.0, true)].into_iter().enumerate() {
        let mut f = form(&format!("q{n}"), &phq9(), n as i64 * WEEK, 12.0);
        f.safety = Some(SafetyAnswer { value });
        f.complete = complete;
        client.t.administrations.push(f);
    }
    assert!(client.until(WEEK + DAY).episodes[0].closed.is_none());
    assert_eq!(client.until(3 * WEEK).episodes[0].closed, Some((at(2 * WEEK), Closing::AnsweredZero)));
}

#[test]
fn a_false_alarm_starts_again() {
    let mut client = Client::new();
    client.good(8);
    client.week(SlotOutcome::NoShow, false, None).week(SlotOutcome::NoShow, false, None);
    client.week(SlotOutcome::Booked, false, None);
    let judged = 10 * WEEK - 30 * 60;
    let before = client.at_slot(10);
    client.judge(judged, Verdict::RuptureNo);
    let after = client.at_slot(10);
    assert_eq!(engagement(&after)[0].closed, Some((at(judged), Closing::FalseAlarm)));
    assert_eq!(engagement(&after)[0].judged.len(), 1);
    let (was, is) = (before.steps[10].probability, after.steps[10].probability);
    assert!(was > 0.5 && is < 0.15, "{was} {is}");
    assert_eq!(before.steps[9], after.steps[9]);
}

#[test]
fn named_in_session_makes_return_likelier() {
    let mut client = Client::new();
    client.good(8);
    client.week(SlotOutcome::NoShow, false, None).week(KEPT, false, Some(12.0)).week(KEPT, true, Some(12.0));
    let before = client.at_slot(10).steps[10].probability;
    client.judge(9 * WEEK + HOUR, Verdict::Named);
    let after = client.at_slot(10);
    assert!(after.steps[10].probability < before);
    // for two steps, not for ever: what is carried from one good week to the next is as it was
    let carried = |client: &Client| client.at_slot(client.n - 1).steps.last().unwrap().carried;
    client.good(20);
    let named = carried(&client);
    client.t.judgements.clear();
    assert!((named - carried(&client)).abs() < 1e-4, "{named} {}", carried(&client));
}

#[test]
fn without_appointments_a_step_a_week() {
    let mut client = Client::new();
    for n in 0..6 {
        client.t.administrations.push(form(&format!("q{n}"), &phq9(), n * WEEK + n * 60, 14.0));
    }
    let course = client.until(8 * WEEK);
    let weeks: Vec<_> = course.steps.iter().map(|s| s.key.clone()).collect();
    assert_eq!(weeks, (1..=8).map(StepKey::Week).collect::<Vec<_>>());
    assert_eq!(course.open.as_ref().unwrap().key, StepKey::Client);
    // expected weekly by then, and missed
    let rom = course.steps[7].signal(SignalKind::RomEngagement);
    assert!(!rom.absent && rom.evidence > 0.0);
    assert!(client.until(40 * WEEK).steps.len() < 15, "no weeks without end");
}

#[test]
fn constants_survive_a_file() {
    let constants = Constants::default();
    let text = serde_json::to_string(&constants).unwrap();
    assert_eq!(serde_json::from_str::<Constants>(&text).unwrap(), constants);
    assert_eq!(serde_json::from_str::<Constants>(r#"{"floor": 0.875}"#).unwrap(), constants);
    assert!(serde_json::from_str::<Constants>(r#"{"flor": 0.7}"#).is_err());
}

#[test]
fn the_open_assessment_is_keyed_to_what_comes_next() {
    let mut client = Client::new();
    client.good(3);
    let key = |id: &str| StepKey::Appointment(id.into());
    assert_eq!(client.until(WEEK + DAY).open.unwrap().key, key("a02"));
    // Nothing is booked: beside the last step, not in its place.
    let course = client.until(2 * WEEK + DAY);
    assert_eq!(course.open.unwrap().key, StepKey::After("a02".into()));
    assert_eq!(course.steps[2].key, key("a02"));
    let nothing = assess(&Timeline::default(), Timestamp::UNIX_EPOCH, &Constants::default());
    assert!(nothing.open.is_none() && nothing.next_change.is_none());
}
