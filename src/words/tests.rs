//! The sentences of hand-made clients, word for word (`sentences.txt`), and the rules they all keep.
//! `UPDATE_SENTENCES=1 cargo test` writes the file anew, for a reviewer to read.

use super::*;
use crate::domain::{Course, SignalKind};
use crate::view::samples::{Case, all};
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
    for item in listen_for(&record, person) {
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
        assert!(listen_for(&record, &case.person).len() <= 3);
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
