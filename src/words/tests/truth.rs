//! What a clinical supervisor found false, misleading or missing: each sentence is true of the whole record it speaks of.

use super::super::*;
use crate::domain::{
    Closing, Course, Covered, FlagKind, HomeworkOutcome, Judgement, RomOutcome, SafetyAnswer, SignalKind, Source,
    SourceKind, Timeline, Verdict, Why,
};
use crate::view::samples::{Case, Script, all};
use jiff::SignedDuration;
use std::sync::Arc;

fn sample(name: &str) -> Case {
    all().into_iter().find(|case| case.name == name).expect("a sample")
}

fn said_gist(case: &Case) -> String {
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    gist(&record, &case.person, &Manner::default()).text()
}

fn row(case: &Case, kind: SignalKind) -> String {
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    signal_line(&record, kind, &case.person, &Manner::default()).sentence()
}

fn cards(case: &Case) -> [FlagWords; 2] {
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    let manner = Manner::default();
    [engagement_flag(&record, &case.person, &manner), response_flag(&record, &manner)]
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The last form with a safety answer given again, some days later.
fn again(case: &mut Case, days: i32, value: Option<f64>) {
    let known =
        |given: &&crate::domain::Administration| given.safety.is_some() && !given.source.id.starts_with("again");
    let mut again = case.timeline.administrations.iter().rfind(known).expect("an answer").clone();
    again.source.id = format!("again-{days}").into();
    again.at += DAY * days;
    (again.safety_told, again.safety_known) = (again.at, again.at);
    again.safety = value.map(|value| SafetyAnswer { value });
    case.timeline.administrations.push(again);
}

/// Every answer above zero since one was marked as seen is said, with its day; and that the newest is missing.
#[test]
fn all_safety_answers_since_the_last_one_seen_are_said() {
    let mut case = sample("safety");
    let manner = Manner::default();
    let said = |case: &Case| {
        let record = Record::new(&case.course, At::Open, Some(&case.timeline));
        safety_item(&record, &manner).expect("a safety item")
    };
    assert!(said(&case).text.contains(": \u{201c}several days\u{201d} (1) on 2 March. Not yet marked as seen."));
    let first = case.timeline.administrations.iter().rfind(|given| given.safety.is_some()).expect("an answer").clone();
    again(&mut case, 1, Some(1.0));
    again(&mut case, 2, Some(0.0));
    let two = said(&case);
    assert_eq!(two.title, "Safety item answered above zero on 3 March");
    assert!(two.text.contains("\u{201c}several days\u{201d} (1) on 2 March and 3 March. Not yet"), "{}", two.text);
    again(&mut case, 3, Some(3.0));
    again(&mut case, 4, Some(2.0));
    again(&mut case, 5, None);
    let text = said(&case).text;
    assert!(
        text.contains(
            "\u{201c}more than half the days\u{201d} (2) on 6 March; above zero before that three times, \
                           last on 5 March (highest: \u{201c}nearly every day\u{201d} (3))."
        ),
        "{text}"
    );
    assert!(text.contains(" The question was left out on 7 March."), "{text}");
    case.timeline.judgements.push(Judgement {
        source: Source::new(SourceKind::Observation, "seen"),
        known: first.at + DAY * 3 + SignedDuration::from_hours(1),
        verdict: Verdict::SafetyAcknowledged,
        flag: None,
        note: None,
        covers: None,
    });
    let text = said(&case).text;
    assert!(text.contains("(2) on 6 March. Not yet") && !text.contains("2 March"), "{text}");
    // What the practitioner saw and no more, however late the rest came.
    let seen = |case: &mut Case, covers| case.timeline.judgements[0].covers = Some(covers);
    let covered = |id: &str, value| Covered { source: Source::new(first.source.kind, id), value: Some(value) };
    let all = [covered(&first.source.id, 1.0), covered("again-1", 1.0), covered("again-4", 2.0)];
    seen(&mut case, all.to_vec());
    let text = said(&case).text;
    assert!(text.contains("(3) on 5 March. Not yet"), "{text}");
    let shown = |case: &Case| safety_shown(&Record::new(&case.course, At::Open, Some(&case.timeline)));
    assert!(shown(&case).contains(&covered("again-3", 3.0)) && !shown(&case).contains(&covered("again-4", 2.0)));
    let lower = case.timeline.administrations.iter_mut().find(|given| &*given.source.id == "again-4").expect("it");
    lower.safety = Some(SafetyAnswer { value: 3.0 });
    let text = said(&case).text;
    assert!(text.contains("(3) on 5 March and 6 March. Not yet"), "{text}");
}

/// What closed by a later zero, and nobody marked as seen, is not gone; nor is a long silence an all-clear.
#[test]
fn an_answer_that_nobody_saw_and_answers_that_are_missing_are_said_without_an_alarm() {
    let manner = Manner::default();
    let note =
        |course: &Course, timeline: &Timeline| safety_note(&Record::new(course, At::Open, Some(timeline)), &manner);
    let mut case = sample("safety");
    case.course.episodes.clear();
    for step in case.course.steps.iter_mut().chain(&mut case.course.open) {
        step.flags.clear();
    }
    again(&mut case, 2, Some(0.0));
    assert_eq!(
        note(&case.course, &case.timeline).as_deref(),
        Some(
            "The question about suicide or self-harm (PHQ-9, item 9): above zero on 2 March, not marked as seen; 0 (not \
             at all) on 4 March."
        )
    );
    let long = Script { rom: "CCCCMMMMMM", attendance: "AAAAAAAAAA", scores: &[12.0; 4], ..Script::default() }.case();
    let said = note(&long.course, &long.timeline).expect("a note");
    assert!(said.starts_with("No answer to the question about suicide or self-harm (PHQ-9, item 9) since"), "{said}");
    // Two forms missed: sooner where a flag stands.
    let short = |episodes| {
        let script =
            Script { rom: "CCCCCCCCMM", attendance: "AAAAAAAAAA", scores: &[12.0; 8], episodes, ..Script::default() };
        let case = script.case();
        note(&case.course, &case.timeline)
    };
    assert_eq!(short(&[]), None);
    assert!(short(&[(FlagKind::EngagementDrop, 9, crate::domain::Why::Signals)]).is_some());
    let calm = sample("calm");
    assert_eq!(note(&calm.course, &calm.timeline), None);
}

#[test]
fn under_a_safety_alarm_nothing_reads_as_an_all_clear() {
    let mut case = sample("safety");
    for scores in [[17.0, 16.0, 16.0, 15.0, 15.0, 16.0], [17.0, 14.0, 11.0, 9.0, 7.0, 5.0]] {
        let mut scores = scores.into_iter();
        for step in case.course.steps.iter_mut().chain(&mut case.course.open) {
            for seen in &mut step.seen.scores {
                seen.score = scores.next().expect("a score");
            }
        }
        let record = Record::new(&case.course, At::Open, Some(&case.timeline));
        let [engagement, response] = cards(&case);
        let pattern = pattern_line(&record, &case.person, &Manner::default()).sentence();
        let line = caseload_line(&record, &case.person, &Manner::default());
        let words = [said_gist(&case), engagement.title, engagement.why, response.title, pattern, line].join(" ");
        for calm in ["othing unusual", "steady", "on track"] {
            assert!(!words.contains(calm), "{words}");
        }
        assert!(words.contains("Attendance, homework and questionnaires as usual for her."), "{words}");
    }
}

/// Seven in ten undone is this client's usual: one more is nothing that came back less.
#[test]
fn what_was_always_so_is_not_said_to_be_less() {
    let script = Script {
        rom: "CCCCCCCCCCFF",
        homework: ".NDNNDNNDNDN",
        attendance: "AAAAAAAAAAAA",
        p: &[0.05, 0.05, 0.5],
        episodes: &[(FlagKind::EngagementDrop, usize::MAX, Why::Signals)],
        ..Script::default()
    };
    let said = said_gist(&script.clone().case());
    assert!(said.contains("two questionnaires answered very fast."), "{said}");
    assert!(!said.contains("homework"), "{said}");
    let reliable = Script { homework: ".DDDDDDDDNNN", ..script };
    assert!(said_gist(&reliable.case()).contains("homework not done (all three times)"));
}

/// No session is in neither count, and what opened a flag is in what is said of lately.
#[test]
fn no_session_vanishes_between_before_and_lately() {
    let script = |opened, n: usize| Script {
        rom: "CCCCCCCCCCCCCCCCMMCC",
        homework: "DDDDDDDDDDNNDDDDDDDD",
        attendance: &"AAAAAAAAAAXXAAAAAAAAAAAA"[..n],
        p: &[0.05, 0.5],
        episodes: &[(FlagKind::EngagementDrop, 12, Why::Signals)][..opened],
        ..Script::default()
    };
    for (opened, n) in [(0, 14), (0, 20), (1, 14), (1, 16), (1, 20)] {
        let case = script(opened, n).case();
        let record = Record::new(&case.course, At::Open, Some(&case.timeline));
        let counted = record.baseline().count() + record.between().count() + record.recent().count();
        assert_eq!(counted, record.columns.len(), "{opened} {n}");
    }
    let case = script(1, 14).case();
    let said = said_gist(&case);
    assert!(said.starts_with("Since 9 February less"), "{said}");
    assert!(said.contains("two sessions cancelled"), "{said}");
    assert!(
        row(&case, SignalKind::Attendance).starts_with("Cancelled two of the last"),
        "{}",
        row(&case, SignalKind::Attendance)
    );
    // The flag has stood for long: what lies between is said by itself.
    let case = script(1, 22).case();
    let said = row(&case, SignalKind::HomeworkEngagement);
    assert!(said.contains("; then, until 9 February, "), "{said}");
}

/// An open no is not "not done"; a whole piece of work is not "in part", however poor.
#[test]
fn declined_and_finished_are_called_so() {
    let mut case = Script { attendance: "AAAAAAAA", homework: ".DDDDDPN", rom: "CCCCCCCC", ..Script::default() }.case();
    let all_seen = |case: &mut Case, f: &dyn Fn(&mut crate::domain::HomeworkSeen)| {
        case.course.steps.iter_mut().chain(&mut case.course.open).flat_map(|s| &mut s.seen.homework).for_each(f);
    };
    all_seen(&mut case, &|h| {
        h.declined = h.outcome == HomeworkOutcome::NotDone;
        h.completion = (h.outcome == HomeworkOutcome::Partial).then_some(1.0);
        h.quality = (h.outcome == HomeworkOutcome::Partial).then_some(1.0);
    });
    let said = row(&case, SignalKind::HomeworkEngagement);
    assert!(said.starts_with("One of the last three declined; usually done, all 4 before"), "{said}");
    assert!(said_gist(&case).contains("homework declined once"), "{}", said_gist(&case));
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    assert!(listen_for(&record, &case.person).items[0].contains("homework that was declined"));
    let cells: Vec<String> =
        record.columns.iter().flat_map(|c| &c.homework).map(|h| homework_cell(h, &Manner::default())).collect();
    assert!(cells.contains(&"Thought record: done, 100 %, quality 1 of 4".to_owned()), "{cells:?}");
    assert!(cells.contains(&"Thought record: declined".to_owned()), "{cells:?}");
    assert!(!cells.iter().any(|cell| cell.contains("in part")), "{cells:?}");
}

/// A score belongs to its own measure, and so does a row.
#[test]
fn two_measures_are_never_one_row() {
    let mut case = sample("calm");
    let other = Arc::new(crate::domain::Measure {
        canonical: "gad".into(),
        name: "GAD-7".into(),
        items: 7,
        ..(*case.timeline.administrations[0].measure).clone()
    });
    // From the fourth on it is the other one that is followed.
    for step in case.course.steps.iter_mut().chain(&mut case.course.open).skip(4) {
        step.seen.scores.iter_mut().for_each(|seen| seen.measure = other.clone());
        step.seen.rom.iter_mut().for_each(|seen| seen.measure = Some(other.clone()));
    }
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    assert_eq!(record.measure().map(|m| m.name.as_str()), Some("GAD-7"));
    let manner = Manner::default();
    for column in &record.columns {
        assert!(scores_of(&record, column).all(|score| score.measure.name == "GAD-7"));
        for form in &column.rom {
            let cell = rom_cell_with_total(&record, column, form, &manner);
            let other = form.measure.as_ref().is_some_and(|m| m.name == "PHQ-9");
            assert_eq!(cell.starts_with("PHQ-9 9 of 9, "), other, "{cell}");
        }
    }
    let said = row(&case, SignalKind::RomTrajectory);
    assert!(!said.contains("scores") && said.contains("8 on 2 March"), "{said}");
    assert_eq!(ui::items_answered(9, record.several_measures()), "items answered, of each");
}

/// What the service cancelled explains the gap; nothing that nobody can compare yet is held against the client.
#[test]
fn a_gap_of_our_own_making_is_said_to_be_ours() {
    let mut case =
        Script { attendance: "AASSS", rom: "CC...C", homework: ".D...N", scores: &[15.0, 11.0], ..Script::default() }
            .case();
    // Past the first sessions too.
    assert!(
        said_gist(&case).starts_with("Four weeks since the last session: three since were"),
        "{}",
        said_gist(&case)
    );
    case.course.open.as_mut().expect("an open assessment").warming_up = true;
    let said = said_gist(&case);
    assert!(
        said.starts_with(
            "Four weeks since the last session: three since were cancelled by clinician or service. Two sessions so far"
        ),
        "{said}"
    );
    assert!(!said.contains("omework"), "{said}");
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    assert_eq!(listen_for(&record, &case.person).items[0], "How were the cancelled sessions for her?");
}

/// Sessions lost that crowd among the latest are no steady course, and each is in one count.
#[test]
fn three_of_the_last_seven_cancelled_is_not_steady() {
    let case = Script { attendance: "AAAAAAAAAAXAAXAAX", ..Script::default() }.case();
    let said = row(&case, SignalKind::Attendance);
    assert!(
        said.starts_with("Cancelled three of the last seven") && said.contains("all 10 kept before that"),
        "{said}"
    );
    assert!(said_gist(&case).starts_with("Lately: three of the last seven sessions cancelled; no pattern so far"));
    assert_eq!(cards(&case)[0].title, "Engagement: no flag");
    // To a client to whom it happens all the time it is no news; nor is it where none of them is lately.
    let often = Script { attendance: "AXAAXAXAAXXAAXAAX", ..Script::default() }.case();
    assert!(!row(&often, SignalKind::Attendance).contains("three of the last"));
    let past = Script { attendance: "AAAAAAAAAXXXAAAAA", ..Script::default() }.case();
    assert!(said_gist(&past).starts_with("Nothing unusual"), "{}", said_gist(&past));
}

#[test]
fn a_session_called_off_today_is_said_and_when_the_next_one_is() {
    let mut case = sample("calm");
    let (as_of, mut today) = (case.course.as_of, case.timeline.slots.last().expect("a slot").clone());
    let mut next = today.clone();
    today.outcome = crate::domain::SlotOutcome::CancelledByClient;
    today.outcome_known = as_of - SignedDuration::from_hours(2);
    next.source.id = "next".into();
    next.start = today.start + DAY * 3;
    *case.timeline.slots.last_mut().expect("a slot") = today;
    assert!(said_gist(&case).contains(" Today's session was cancelled; no other is booked."), "{}", said_gist(&case));
    case.timeline.slots.push(next);
    assert!(said_gist(&case).contains("; the next is on Thursday 12 March."), "{}", said_gist(&case));
}

#[test]
fn a_flag_says_on_what_it_opened_and_what_holds_now() {
    let case = sample("ana");
    let [engagement, _] = cards(&case);
    assert_eq!(
        engagement.why,
        "signs of withdrawing against her own record: the questionnaire, homework and attendance; flagged 2 March for \
         the questionnaire and homework"
    );
    // What it rests on says more than what stood out at the next session.
    let mut case = sample("ana");
    let of = |step: &crate::domain::Assessment| step.seen.homework.first().map(|h| h.source.clone());
    let homework = case.course.steps.iter().rev().find_map(of).expect("homework");
    let late =
        case.course.steps.iter().rev().find_map(|s| s.seen.attendance.first().map(|a| a.1.clone())).expect("a slot");
    case.course.episodes[0].rests_on = vec![homework, late];
    assert!(cards(&case)[0].why.ends_with("; flagged 2 March for homework and attendance"), "{}", cards(&case)[0].why);
}

#[test]
fn after_a_flag_closed_it_is_steady_since_then() {
    let mut case = sample("clinician-cancellations");
    case.course.episodes.push(crate::domain::Episode {
        closed: Some((case.course.as_of - DAY * 9, Closing::Resolved)),
        ..sample("ana").course.episodes[0].clone()
    });
    assert!(
        said_gist(&case).starts_with("Steady since the engagement flag closed on 28 February."),
        "{}",
        said_gist(&case)
    );
}

#[test]
fn a_course_is_called_what_it_is() {
    let course = |scores: &[f64], attendance: &str| {
        let rom = "C".repeat(scores.len());
        Script { rom: &rom, attendance, scores, ..Script::default() }.case()
    };
    let weeks = "AAAAAAAAAAAA";
    let response = |case: &Case| cards(case)[1].title.clone();
    // 14 to 13 in twelve weeks.
    let same = course(&[14., 16., 17., 12., 14., 14., 15., 15., 13., 12., 13., 13.], weeks);
    assert_eq!(response(&same), "Treatment response: little change");
    let better = course(&[16., 14., 13., 12., 9., 8., 6., 5., 4., 4., 3., 3.], weeks);
    assert!(said_gist(&better).contains("Her PHQ-9 is much better: 16 to 3"), "{}", said_gist(&better));
    let sudden = course(&[24., 24., 22., 19., 17., 14., 14., 13., 14., 1., 0., 2.], weeks);
    assert!(said_gist(&sudden).contains("; it fell from 14 to 1 within one week."), "{}", said_gist(&sudden));
    let risen = course(&[21., 18., 15., 15., 13., 15., 15., 14., 15., 18., 19., 19.], weeks);
    assert_eq!(response(&risen), "Treatment response: worth watching");
    assert!(said_gist(&risen).contains(": 21 at first, then up from about 15 to about 19"), "{}", said_gist(&risen));
    // One good day, long ago, is no level that every score since is worse than.
    let isolated = course(&[9., 8., 9., 10., 2., 9., 8., 9., 10., 9., 8., 9.], weeks);
    assert!(!said_gist(&isolated).contains("reliably worse"), "{}", said_gist(&isolated));
    let left = course(&[8., 8., 15., 15., 16., 15., 16., 16., 15., 16., 16., 16.], weeks);
    assert!(said_gist(&left).contains("running"), "{}", said_gist(&left));
}

#[test]
fn an_estimate_is_called_one() {
    let case =
        Script { rom: "CCCCP", attendance: "AAAAA", scores: &[14., 13., 13., 14., 16.], ..Script::default() }.case();
    assert!(row(&case, SignalKind::RomTrajectory).contains("the last is estimated, three items left out"));
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    let cells: Vec<String> = record
        .columns
        .iter()
        .flat_map(|c| &c.scores)
        .map(|score| score_cell(&record, score, &Manner::default()))
        .collect();
    assert_eq!(cells, ["14", "13", "13", "14", "16 (estimated)"]);
}

/// A rating given at the end of a session is of that session, whatever else was filled in there.
#[test]
fn a_session_rating_stands_at_its_own_session() {
    let mut case = Script {
        rom: "CCCC",
        attendance: "AAAA",
        scores: &[14.; 4],
        alliance: &[f64::NAN, 38., 37., 36.],
        ..Script::default()
    }
    .case();
    let starts: Vec<_> = case.course.steps.iter().map(|step| step.as_of).collect();
    for (i, step) in case.course.steps.iter_mut().enumerate().skip(1) {
        step.seen.alliance.iter_mut().for_each(|given| given.at = starts[i - 1] + SignedDuration::from_mins(50));
    }
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    let given: Vec<Option<f64>> = record.columns.iter().map(|c| c.alliance.last().and_then(|a| a.score)).collect();
    assert_eq!(given, [Some(38.0), Some(37.0), Some(36.0), None, None]);
}

/// Whom nobody is on record as having asked has missed nothing.
#[test]
fn a_form_nobody_asked_for_was_not_received() {
    let mut case = Script { rom: "CCCCMCC", attendance: "AAAAAAA", scores: &[14.; 4], ..Script::default() }.case();
    assert!(row(&case, SignalKind::RomEngagement).starts_with("One of the last three missed"));
    case.course.steps.iter_mut().flat_map(|s| &mut s.seen.rom).for_each(|form| form.task = None);
    assert!(row(&case, SignalKind::RomEngagement).starts_with("One of the last three not received"));
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    let missed = record.columns.iter().flat_map(|c| &c.rom).find(|form| form.outcome == RomOutcome::Missed);
    assert_eq!(rom_cell(missed.expect("one")), "PHQ-9 not received");
}
