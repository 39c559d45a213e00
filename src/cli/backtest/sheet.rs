//! One client to look at: what was said at each appointment, and in words where a Flag opened.

use super::history::{Assessed, Client};
use super::labels::Label;
use super::report::escape;
use crate::domain::{FlagKind, SignalKind};
use crate::words::{self, At, Gender, Manner, Person};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt::Write;

const SIGNALS: [(SignalKind, &str); 5] = [
    (SignalKind::Attendance, "Attendance"),
    (SignalKind::HomeworkEngagement, "Homework"),
    (SignalKind::RomEngagement, "Questionnaires"),
    (SignalKind::AllianceMeasure, "Alliance"),
    (SignalKind::RomTrajectory, "Scores"),
];

/// A part of the page that opens on a click.
pub fn write(client: &Client, label: Option<&Label>, zone: &TimeZone) -> String {
    let mut out = String::with_capacity(client.slots.len() * 220);
    out.push_str("<details><summary>Appointment by appointment</summary>");
    flags_in_words(&mut out, client, zone);
    out.push_str("<table><thead><tr><th>Appointment</th><th>Probability</th><th>Carried over</th>");
    for (_, name) in SIGNALS {
        let _ = write!(out, "<th>{name}</th>");
    }
    out.push_str("<th class=\"t\">Said</th>");
    out.push_str(if label.is_some() { "<th class=\"t\">Was</th></tr></thead><tbody>" } else { "</tr></thead><tbody>" });
    for slot in &client.slots {
        row(&mut out, slot, label, zone);
    }
    out.push_str("</tbody></table></details>");
    out
}

fn day(at: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(at).date().to_string()
}

fn row(out: &mut String, slot: &Assessed, label: Option<&Label>, zone: &TimeZone) {
    let said = &slot.said;
    let _ = write!(
        out,
        "<tr><td>{}</td><td>{:.2}</td><td>{:+.2}</td>",
        day(slot.start, zone),
        said.probability,
        said.carried
    );
    for (kind, _) in SIGNALS {
        let signal = said.signal(kind);
        let _ = match signal.absent {
            true => write!(out, "<td></td>"),
            false => write!(out, "<td>{:+.2}</td>", signal.evidence),
        };
    }
    let flags = said.flags.iter().map(|flag| match flag {
        FlagKind::EngagementDrop => "engagement",
        FlagKind::NotOnTrack => "not on track",
        FlagKind::SafetyItem => "safety item",
    });
    let mut told: Vec<&str> = flags.collect();
    if said.warming_up {
        told.push("warming up");
    }
    if slot.is_break {
        told.push("called off by the service");
    }
    let _ = write!(out, "<td class=\"t\">{}</td>", told.join(", "));
    if let Some(label) = label {
        let gone = label.dropout.is_some_and(|gone| slot.start >= gone);
        let was = if gone {
            "gone"
        } else if label.in_rupture(slot.start) {
            "rupture"
        } else {
            ""
        };
        let _ = write!(out, "<td class=\"t\">{was}</td>");
    }
    out.push_str("</tr>");
}

/// Each engagement and not-on-track Flag as the page would have explained it at the next appointment.
fn flags_in_words(out: &mut String, client: &Client, zone: &TimeZone) {
    let course = &client.course;
    let (person, manner) = (Person::nameless(Gender::Unknown), Manner { time_zone: zone.clone(), ..Manner::default() });
    for episode in course.episodes.iter().filter(|episode| episode.kind != FlagKind::SafetyItem) {
        let Some(step) = course.steps.iter().position(|step| step.as_of >= episode.opened) else { continue };
        let said = &course.steps[step];
        let _ = write!(
            out,
            "<p>{}: {}",
            day(said.as_of, zone),
            escape(&words::pattern_sentence(course, At::Step(step), &person, &manner))
        );
        for (kind, _) in SIGNALS.iter().filter(|(kind, _)| !said.signal(*kind).absent) {
            let sentence = words::signal_sentence(course, At::Step(step), *kind, &person, &manner);
            let _ = write!(out, "<br>{}", escape(&sentence));
        }
        out.push_str("</p>");
    }
}
