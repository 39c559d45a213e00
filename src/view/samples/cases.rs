//! The clients themselves.

use super::{Case, Script};
use crate::domain::{Closing, FlagKind, Pattern, StepKey, Why};
use crate::words::{Gender, Person};

/// No score.
const X: f64 = f64::NAN;

pub fn all() -> Vec<Case> {
    let her = |name: &str, given| Person::new(name, Some(given), Gender::Female);
    let him = |name: &str, given| Person::new(name, Some(given), Gender::Male);
    let flag = FlagKind::EngagementDrop;
    let mut ana = Script {
        name: "ana",
        rom: "CCCCCCCCCMPM",
        homework: "DDPDDDDDPNNP",
        attendance: "AAAAAAAAALAX",
        scores: &[18., 17., 15., 14., 13., 11., 10., 10., 10., X, 11., X],
        minutes: &[30., 25., 15., 30., 35., 25., 30., 30., 15., X, X, 8.],
        p: &[0.04, 0.03, 0.05, 0.04, 0.03, 0.03, 0.03, 0.04, 0.08, 0.30, 0.52, 0.71, 0.74],
        pattern: Pattern::Withdrawal,
        episodes: &[(flag, 11, Why::Signals)],
        ..Script::default()
    }
    .case();
    ana.treatment = Some("CBT for depression, weekly since 8 December");
    ana.planned = Some(16);
    let calm = Script {
        name: "calm",
        person: him("Jonas Weber", "Jonas"),
        rom: "CCCCCCCCC",
        homework: "DDDPDDDDD",
        attendance: "AAAAAALAA",
        scores: &[16., 15., 15., 13., 12., 11., 10., 9., 8.],
        ..Script::default()
    };
    let breaks = Script {
        name: "clinician-cancellations",
        person: her("Lea Brand", "Lea"),
        rom: "CCCCCC..C",
        homework: "DDDDDD..D",
        attendance: "AAAAAASSA",
        scores: &[14., 14., 13., 12., 11., 11., X, X, 9.],
        ..Script::default()
    };
    let new = Script {
        name: "new",
        person: Person::new("Kim Park", Some("Kim"), Gender::Other),
        rom: "CC",
        homework: ".D",
        attendance: "AA",
        scores: &[15., 16.],
        ..Script::default()
    };
    let first = Script { name: "first", person: him("Omar Said", "Omar"), ..Script::default() };
    let no_rom = Script {
        name: "no-rom",
        person: her("Eva Roth", "Eva"),
        homework: "DDDDDNPN",
        attendance: "AAAAALAX",
        p: &[0.04, 0.05, 0.05, 0.2, 0.36, 0.47, 0.55],
        pattern: Pattern::Withdrawal,
        episodes: &[(flag, 7, Why::Signals)],
        ..Script::default()
    };
    let no_homework = Script {
        name: "no-homework",
        person: him("Tom Hall", "Tom"),
        rom: "CCCMCCCC",
        attendance: "AAAAAAAA",
        scores: &[12., 12., 11., X, 10., 9., 9., 8.],
        ..Script::default()
    };
    let no_contact = Script {
        name: "no-contact",
        person: him("Ben Costa", "Ben"),
        rom: "CCCCCCM",
        homework: "DDDDPNN",
        attendance: "AAAAALN",
        scores: &[19., 18., 18., 17., 17., 18., X],
        p: &[0.05, 0.06, 0.2, 0.45, 0.6],
        pattern: Pattern::Withdrawal,
        episodes: &[(flag, usize::MAX, Why::NoContact)],
        no_contact: true,
        idle_weeks: 3,
        booked: false,
        ..Script::default()
    };
    let safety = Script {
        name: "safety",
        person: her("Nora Lind", "Nora"),
        rom: "CCCCCC",
        homework: "DDDDDD",
        attendance: "AAAAAA",
        scores: &[17., 16., 16., 15., 15., 16.],
        episodes: &[(FlagKind::SafetyItem, 5, Why::SafetyAnswer)],
        ..Script::default()
    };
    let confrontation = Script {
        name: "confrontation",
        person: her("Maya Quist", "Maya"),
        rom: "CCCCCCCCC",
        homework: "DDDDDDDPN",
        attendance: "AAAAAAAAA",
        scores: &[16., 15., 14., 13., 12., 12., 14., 15., 16.],
        alliance: &[38., 39., 38., 38., 39., 38., 33., 31., 29.],
        p: &[0.04, 0.05, 0.2, 0.36, 0.5, 0.6],
        pattern: Pattern::Confrontation,
        episodes: &[(flag, 8, Why::Signals)],
        ..Script::default()
    };
    let plateau = Script {
        name: "plateau",
        person: him("Paul Adler", "Paul"),
        rom: "CCCCCCCCCC",
        homework: "DDDDDDDDDD",
        attendance: "AAAAAAAAAA",
        scores: &[20., 18., 15., 13., 13., 13., 14., 13., 13., 13.],
        episodes: &[(FlagKind::NotOnTrack, 9, Why::Plateau)],
        ..Script::default()
    };
    let c40 = "C".repeat(60);
    let d40 = "D".repeat(60);
    let a40 = "A".repeat(60);
    let falling: Vec<f64> = (0..60).map(|i| (18.0 - 3.2 * (1.0 + f64::from(i)).ln()).round()).collect();
    let faultless = Script {
        name: "faultless-sixty",
        person: her("Ida Falk", "Ida"),
        rom: &c40,
        homework: &d40,
        attendance: &a40,
        scores: &falling,
        ..Script::default()
    };
    let ended = Script {
        name: "ended",
        person: him("Karl Voss", "Karl"),
        rom: "CCCCCCCC",
        homework: "DDDDDDDD",
        attendance: "AAAAAAAA",
        scores: &[14., 12., 11., 9., 8., 7., 6., 5.],
        booked: false,
        ended: true,
        ..Script::default()
    };
    let watch = Script {
        name: "watch",
        person: her("Rosa Prinz", "Rosa"),
        rom: "CCCCCCCMC",
        homework: "DDDDDDDDP",
        attendance: "AAAAAAAAR",
        scores: &[15., 14., 14., 12., 12., 11., 11., X, 10.],
        p: &[0.05, 0.06, 0.15, 0.37],
        pattern: Pattern::Withdrawal,
        ..Script::default()
    };
    let both = Script {
        name: "both",
        person: him("Luis Ortega", "Luis"),
        rom: "CCCCCCPMC",
        homework: "DDDDDDPNN",
        attendance: "AAAAAALXA",
        scores: &[14., 14., 15., 16., 18., 20., 21., X, 22.],
        p: &[0.05, 0.2, 0.44, 0.6, 0.7],
        pattern: Pattern::Withdrawal,
        episodes: &[(flag, 7, Why::Signals), (FlagKind::NotOnTrack, 6, Why::ReliableDeterioration)],
        ..Script::default()
    };
    let biweekly = Script {
        name: "biweekly",
        person: her("Sara Blum", "Sara"),
        rom: "CCCCCCC",
        homework: "DDDDDDN",
        attendance: "AAAAARA",
        scores: &[15., 14., 13., 12., 11., 11., 10.],
        interval_days: 14,
        ..Script::default()
    };
    let weekly = Script {
        name: "no-appointments",
        person: him("Nils Berg", "Nils"),
        rom: "CCCCCMM",
        homework: "DDDDDNN",
        attendance: ".......",
        scores: &[13., 13., 12., 12., 11., X, X],
        p: &[0.05, 0.1, 0.37, 0.45],
        pattern: Pattern::Withdrawal,
        episodes: &[(flag, usize::MAX, Why::Signals)],
        booked: false,
        ..Script::default()
    };
    let mut weekly = weekly.case();
    weekly.timeline.slots.clear();
    for (week, step) in weekly.course.steps.iter_mut().chain(&mut weekly.course.open).enumerate() {
        step.key = StepKey::Week(u32::try_from(week).unwrap_or(0));
        step.appointments.clear();
    }
    let mut gone = no_contact.clone().case();
    gone.name = "disengaged";
    for episode in &mut gone.course.episodes {
        episode.closed = Some((gone.course.as_of, Closing::Disengaged));
    }
    let mut cases = vec![ana];
    cases.extend(
        [
            calm,
            breaks,
            new,
            first,
            no_rom,
            no_homework,
            no_contact,
            safety,
            confrontation,
            plateau,
            faultless,
            ended,
            watch,
            both,
            biweekly,
        ]
        .map(Script::case),
    );
    cases.extend([weekly, gone]);
    cases
}
