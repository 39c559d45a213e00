//! The sentences of hand-made clients, word for word (`sentences.txt`), and the rules they all keep.
//! `UPDATE_SENTENCES=1 cargo test` writes the file anew, for a reviewer to read.

mod truth;

use super::*;
use crate::domain::{Closing, FlagKind, HomeworkOutcome, ScoreSeen, Why};
use crate::domain::{Course, SignalKind};
use crate::view::samples::{Case, Script, all};
use std::fmt::Write;

fn sentences(case: &Case, person: &Person) -> String {
    let manner = Manner::default();
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    let mut said = format!("## {}\n", case.name);
    let mut line = |text: String| writeln!(said, "{text}").expect("a string takes everything");
    if let Some(safety) = safety_item(&record, &manner) {
        line(format!("! {}. {}", safety.title, safety.text));
    }
    line(gist(&record, person, &manner).text());
    for flag in [engagement_flag(&record, person, &manner), response_flag(&record, &manner)] {
        line(format!("[{}] {}", flag.title, flag.why));
    }
    for kind in SignalKind::ALL {
        let row = signal_line(&record, kind, person, &manner);
        line(format!("{}{}: {}", kind.code(), if row.raised { " *" } else { "" }, row.sentence()));
    }
    line(format!("pattern: {}", pattern_line(&record, person, &manner).sentence()));
    for item in listen_for(&record, person).items {
        line(format!("? {item}"));
    }
    line(format!("> {}", caseload_line(&record, person, &manner)));
    line(small_print(&record, person, &manner, "1.0"));
    said
}

#[test]
fn sentences_are_as_reviewed() {
    let said: String = all().iter().map(|case| sentences(case, &case.person) + "\n").collect();
    let path = std::path::Path::new(file!()).with_file_name("sentences.txt");
    if std::env::var_os("UPDATE_SENTENCES").is_some() {
        std::fs::write(&path, &said).expect("the snapshot is writable");
        return;
    }
    for (now, reviewed) in said.lines().zip(include_str!("sentences.txt").lines()) {
        assert_eq!(now, reviewed);
    }
    assert_eq!(said, include_str!("sentences.txt"));
}

#[test]
fn pronouns_come_from_the_record() {
    let words_of = |gender: Gender| -> Vec<String> {
        let person = Person::nameless(gender);
        let text: String = all().iter().map(|case| sentences(case, &person)).collect();
        text.to_lowercase().split(|c: char| !c.is_alphabetic()).map(str::to_owned).collect()
    };
    let none = |words: &[String], banned: &[&str]| {
        let found = words.iter().find(|word| banned.contains(&word.as_str()));
        assert_eq!(found, None);
    };
    none(&words_of(Gender::Female), &["he", "him", "his"]);
    none(&words_of(Gender::Male), &["she", "her", "hers"]);
    for gender in [Gender::Other, Gender::Unknown] {
        none(&words_of(gender), &["he", "him", "his", "she", "her", "hers"]);
    }
}

#[test]
fn nobody_is_blamed_and_no_figure_is_a_percentage() {
    for case in all() {
        let said = sentences(&case, &case.person).to_lowercase();
        for banned in ["at risk", "fail", "refus", "complian", "should have", "dropout risk", "%", "poor", "resist"] {
            assert!(!said.contains(banned), "{}: {banned}", case.name);
        }
    }
}

/// The note of an Observation stands: what came later does not change it.
#[test]
fn a_note_depends_on_nothing_later() {
    let manner = Manner::default();
    for case in all() {
        for i in 0..case.course.steps.len() {
            let steps = case.course.steps[..=i].to_vec();
            let cut = Course { steps, open: None, interval_days: 28.0, primary: None, ..case.course.clone() };
            for kind in SignalKind::ALL {
                let of = |course: &Course| signal_sentence(course, At::Step(i), kind, &case.person, &manner);
                assert_eq!(of(&case.course), of(&cut), "{} step {i}", case.name);
            }
        }
    }
}

#[test]
fn never_more_than_three_things_to_listen_for() {
    for case in all() {
        let record = Record::new(&case.course, At::Open, Some(&case.timeline));
        assert!(listen_for(&record, &case.person).items.len() <= 3);
    }
}

#[test]
fn counts_are_words_to_ten() {
    assert_eq!(number(10), "ten");
    assert_eq!(number(11), "11");
    assert_eq!([times(1), times(2), times(3)], ["once", "twice", "three times"]);
}

#[test]
fn dates_follow_the_time_zone() {
    let at: jiff::Timestamp = "2026-03-01T23:30:00Z".parse().expect("a timestamp");
    let berlin = TimeZone::get("Europe/Berlin").expect("bundled");
    let manner = Manner { time_zone: berlin, ..Manner::default() };
    assert_eq!(date_and_time(at, at, &manner), "2 March, 00:30");
    assert_eq!(date(at, at, &Manner::default()), "1 March");
}

/// Ada: kept every session until some weeks ago, nothing booked.
fn gone_quiet(idle_weeks: i64, no_contact: bool) -> Case {
    let episodes: &[_] =
        if no_contact { &[(FlagKind::EngagementDrop, usize::MAX, Why::NoContact)] } else { Default::default() };
    Script {
        name: "ada",
        person: Person::new("Ada N.", Some("Ada"), Gender::Female),
        attendance: "AAAAAAAA",
        episodes,
        idle_weeks,
        no_contact,
        booked: false,
        ..Script::default()
    }
    .case()
}

#[test]
fn a_kept_session_stands_at_its_own_day_when_nothing_is_booked() {
    let manner = Manner::default();
    let case = gone_quiet(0, false);
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    assert!(record.columns.last().is_some_and(|now| now.kind == ColumnKind::Now && now.attendance.is_empty()));
    let line = signal_line(&record, SignalKind::Attendance, &case.person, &manner);
    assert_eq!(line.main, "Came all three times, on time");

    let case = gone_quiet(2, true);
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    let said = gist(&record, &case.person, &manner).text();
    assert!(said.starts_with("No session with Ada since that of 16 February (three weeks ago)"), "{said}");
    let line = signal_line(&record, SignalKind::Attendance, &case.person, &manner);
    assert_eq!(line.main, "No session kept since 16 February, and nothing is booked");
    let now = record.current.expect("an assessment");
    assert_eq!(evidence_seen(now, SignalKind::Attendance, &manner), "Kept");
    // The card too says since when there was no contact, not only since when there is a flag.
    let card = engagement_flag(&record, &case.person, &manner);
    assert_eq!(card.why, "since the session of 16 February; nothing booked; flagged on 9 March");
}

/// The note that other systems read is no calmer than the page.
#[test]
fn who_is_disengaged_is_not_called_unremarkable() {
    let mut case = gone_quiet(10, true);
    case.course.episodes[0].closed = Some((case.course.as_of, Closing::Disengaged));
    let note = pattern_sentence(&case.course, At::Open, &case.person, &Manner::default());
    assert!(note.starts_with("No contact; the flag closed on") && note.contains("does not mean recovered"), "{note}");
}

#[test]
fn with_a_session_booked_nobody_says_that_none_is() {
    let mut case = gone_quiet(2, true);
    let open = case.course.open.as_mut().expect("an open assessment");
    open.no_contact = false;
    for closed in [None, Some((case.course.as_of, Closing::Resolved))] {
        case.course.episodes[0].closed = closed;
        let said = sentences(&case, &case.person);
        assert!(!said.contains("othing is booked") && !said.contains("othing booked"), "{said}");
        assert!(closed.is_none() || said.contains("the flag closed on 9 March: in contact again"), "{said}");
    }
}

#[test]
fn a_course_of_scores_says_the_first_and_the_latest() {
    let case = Script { rom: "C", attendance: "A", scores: &[16.0], ..Script::default() }.case();
    let like = case.course.steps[0].seen.scores.first().expect("a score");
    let trend = |scores: &[f64]| {
        let seen: Vec<ScoreSeen> = scores.iter().map(|score| ScoreSeen { score: *score, ..like.clone() }).collect();
        scores::trend(&seen.iter().collect::<Vec<_>>(), &Manner::default())
    };
    let mut long = vec![16.0, 12.0, 8.0];
    long.extend([5.0; 4]);
    long.extend([4.0; 40]);
    assert_eq!(trend(&long), "16 to 4, the last 44 between 4 and 5");
    assert_eq!(trend(&[16.0, 4.0, 4.0, 4.0, 4.0]), "16 to 4, flat for the last four scores");
    // One good score alone is no level to fall from; a rise of the level is told.
    let scattered =
        [14.0, 10.0, 8.0, 9.0, 5.0, 9.0, 4.0, 1.0, 5.0, 6.0, 10.0, 6.0, 8.0, 9.0, 6.0, 7.0, 5.0, 8.0, 9.0, 9.0];
    assert_eq!(trend(&scattered), "14 to 9, the last 12 between 5 and 10");
    let risen = [21.0, 18.0, 11.0, 15.0, 13.0, 15.0, 15.0, 17.0, 15.0, 14.0, 20.0, 18.0, 19.0, 19.0];
    assert_eq!(trend(&risen), "21 at first, then up from about 15 to about 19");
    assert_eq!(trend(&[15.0, 20.0, 11.0, 12.0, 15.0, 15.0]), "15 to 15, between 11 and 20 on the way");
    let long = [15.0, 15.0, 20.0, 17.0, 18.0, 13.0, 11.0, 12.0, 15.0, 15.0];
    assert_eq!(trend(&long), "15 to 15, between 11 and 20 on the way");
    assert_eq!(trend(&[9.0, 11.0, 9.0]), "9, 11, 9");
    let small = [13.0, 12.0, 12.0, 12.0, 12.0, 11.0, 11.0];
    assert_eq!(trend(&small), "13 to 11, the last six between 11 and 12");
    assert_eq!(trend(&[12.0, 13.0, 12.0, 12.0]), "12 to 12, all four between 12 and 13");
    assert_eq!(trend(&[12.0; 4]), "flat at 12 for four scores");
}

#[test]
fn a_second_homework_undone_for_one_session_counts() {
    let mut case =
        Script { attendance: "AAAAAAAAA", homework: "DDDDDDDNN", rom: "CCCCCCCCC", ..Script::default() }.case();
    let line = |case: &Case| {
        let record = Record::new(&case.course, At::Open, Some(&case.timeline));
        signal_line(&record, SignalKind::HomeworkEngagement, &case.person, &Manner::default()).main
    };
    assert_eq!(line(&case), "Two of the last three undone");
    let seen = &mut case.course.open.as_mut().expect("an open assessment").seen;
    let mut another = seen.homework[0].clone();
    another.source.id = "another".into();
    another.outcome = HomeworkOutcome::NotDone;
    another.due = Some(case.course.steps[8].as_of);
    seen.homework.push(another);
    assert_eq!(line(&case), "Three of the last four undone");
}

#[test]
fn a_future_instant_is_no_look_back() {
    let (now, manner) = (crate::view::samples::session_today(), Manner::default());
    let future = "2030-01-01T12:00:00Z".parse().expect("a timestamp");
    assert!(looking_back(future, now, &manner).starts_with("Looking ahead: what would be said on 1 January 2030"));
    assert!(looking_back(now, future, &manner).starts_with("Looking back"));
}

/// One course, said alike on the page and in its row of the caseload.
#[test]
fn a_standstill_is_one_in_the_caseload_too() {
    let case = Script {
        attendance: "AAAAAAAAAAAA",
        homework: "DDDDDDDDDNNN",
        rom: "CCCCCCCCCCCC",
        scores: &[17.0, 16.0, 13.0, 16.0, 12.0, 10.0, 14.0, 11.0, 11.0, 12.0, 11.0, 13.0],
        p: &[0.1, 0.5],
        episodes: &[(FlagKind::NotOnTrack, 10, Why::Plateau), (FlagKind::EngagementDrop, 11, Why::Signals)],
        ..Script::default()
    }
    .case();
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    let (person, manner) = (&case.person, Manner::default());
    let row = caseload_line(&record, person, &manner);
    let course = row.split("PHQ-9 ").nth(1).expect("the score is in the row").trim_end_matches('.');
    let page = gist(&record, person, &manner).text();
    assert!(page.contains(&format!("has stopped improving: {course}, still")), "{row} / {page}");
}

/// What was flagged as a standstill and has got worse since is told as that.
#[test]
fn a_standstill_that_got_worse_is_one_no_more() {
    let case = Script {
        attendance: "AAAAAAAAAAAA",
        homework: "DDDDDDDDDDDD",
        rom: "CCCCCCCCCCCC",
        scores: &[20.0, 20.0, 20.0, 12.0, 12.0, 12.0, 12.0, 12.0, 12.0, 19.0, 20.0, 22.0],
        episodes: &[(FlagKind::NotOnTrack, 8, Why::Plateau)],
        ..Script::default()
    }
    .case();
    let record = Record::new(&case.course, At::Open, Some(&case.timeline));
    let (person, manner) = (&case.person, Manner::default());
    let said = [
        gist(&record, person, &manner).text(),
        caseload_line(&record, person, &manner),
        response_flag(&record, &manner).why,
        signal_line(&record, SignalKind::RomTrajectory, person, &manner).sentence(),
    ];
    for text in &said {
        assert!(!text.contains("improving") && !text.contains("between 12 and 22"), "{said:?}");
    }
    assert!(said[0].contains("has got worse"), "{said:?}");
}
