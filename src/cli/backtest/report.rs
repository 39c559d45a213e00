//! The report for a clinical-safety officer: one file, nothing from outside, readable without this program.

use super::accuracy::{Accuracy, CLIENTS_MIN, COMPARED_AT, Share};
use super::history::Client;
use super::labels::Label;
use super::spill::Texts;
use super::summary::maybe;
use super::{Count, Options, picture, sheet};
use crate::domain::{Closing, Episode, FlagKind, Why};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::{self, Write};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;margin:2rem auto;max-width:78rem;padding:0 1rem}\
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}table{border-collapse:collapse;font-size:.9rem}\
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #e5e7eb;vertical-align:top}\
th{font-weight:600;background:#f3f4f6}th:first-child,td:first-child,.t{text-align:left}\
.note{color:#4b5563;max-width:52rem}.row{display:flex;flex-wrap:wrap;gap:2rem}\
svg .frame{fill:none;stroke:#9ca3af}svg .even{stroke:#d1d5db}svg .tick{font-size:12px;fill:#374151}\
svg .base{stroke:#9ca3af}svg .quiet{fill:#7aa3bf}svg .flagged{fill:#b3541e}svg .break{fill:#d1d5db}\
svg .rupture{fill:#7a1f3d}svg .left{fill:#111827}svg .bin{fill:#1b5e8c;fill-opacity:.6}\
@media print{body{margin:0}tr{break-inside:avoid}}";

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The whole page; the clients' rows come from `rows`.
pub fn write(
    out: &mut dyn Write,
    count: &Count,
    options: &Options,
    accuracy: Option<&Accuracy>,
    rows: Texts,
) -> io::Result<()> {
    head(out, count, options)?;
    if let Some(accuracy) = accuracy {
        figures(out, accuracy)?;
    }
    clients(out, options.labels.is_some())?;
    rows.copy(out)?;
    writeln!(out, "</tbody></table></body></html>")
}

fn head(out: &mut dyn Write, count: &Count, options: &Options) -> io::Result<()> {
    writeln!(
        out,
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Tautline backtest</title>\
         <style>{STYLE}</style></head><body><h1>Detection over a history</h1>\
         <p class=\"note\">For every appointment, what Tautline would have said as of its start, from what was known \
         strictly before. What the data can show is a pattern that often precedes withdrawal; whether it is a rupture, \
         therapist and client find out.</p>\
         <table><tbody><tr><td>Clients with appointments</td><td>{}</td></tr>\
         <tr><td>Appointments assessed</td><td>{}</td></tr><tr><td>Resources read</td><td>{}</td></tr>\
         <tr><td>Files</td><td>{}</td></tr><tr><td>Lines or resources left out as faulty (listed on stderr)</td><td>{}</td></tr>\
         <tr><td>Software</td><td>tautline {}, model {}</td></tr><tr><td>Constants</td><td>{}</td></tr>\
         <tr><td>Time zone of dates</td><td>{}</td></tr></tbody></table>",
        count.clients,
        count.slots,
        count.resources,
        count.files,
        count.faults,
        env!("CARGO_PKG_VERSION"),
        crate::detection::MODEL,
        escape(&options.constants_name),
        escape(options.time_zone.iana_name().unwrap_or("UTC")),
    )
}

fn figures(out: &mut dyn Write, accuracy: &Accuracy) -> io::Result<()> {
    let flags = &accuracy.worth[0];
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    writeln!(
        out,
        "<h2>How often it was right</h2><p class=\"note\">Of {} labelled clients, {} dropped out; {} of {} slots lay in \
         a rupture. The engagement flag stood at some time in {} of the ruptures, {} slots after the onset (median), and \
         before {} of the dropouts that followed a rupture, {} days ahead (median). It opened falsely {:.2} times a course \
         of treatment, or {:.1} times a week for a hundred clients.</p>",
        accuracy.clients,
        accuracy.dropouts,
        percent(accuracy.positive),
        accuracy.slots,
        percent(flags.episodes_seen),
        maybe(flags.delay_slots, 0),
        percent(flags.dropouts_warned),
        maybe(flags.lead_days, 0),
        flags.false_per_course,
        flags.false_per_100_clients_a_week,
    )?;
    if accuracy.clients < CLIENTS_MIN {
        writeln!(
            out,
            "<p class=\"note\"><strong>Fewer than {CLIENTS_MIN} labelled clients: these figures may be off by far.</strong></p>"
        )?;
    }
    writeln!(
        out,
        "<table><thead><tr><th>Detector</th><th>Area under the curve</th><th>Sensitivity at 2 %</th><th>at 5 % false alarms</th>\
         <th>Ruptures seen</th><th>Dropouts warned</th><th>Delay, slots</th><th>Lead, days</th><th>False alarms a course</th>\
         <th>Quiet slots a false alarm</th><th>False alarms, 100 clients a week</th></tr></thead><tbody>"
    )?;
    for worth in &accuracy.worth {
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2}</td>\
             <td>{:.0}</td><td>{:.1}</td></tr>",
            escape(&worth.name),
            maybe(worth.area, 3),
            maybe(worth.sensitivity_at_2, 2),
            maybe(worth.sensitivity_at_5, 2),
            percent(worth.episodes_seen),
            percent(worth.dropouts_warned),
            maybe(worth.delay_slots, 1),
            maybe(worth.lead_days, 0),
            worth.false_per_course,
            worth.slots_between_false,
            worth.false_per_100_clients_a_week,
        )?;
    }
    writeln!(
        out,
        "</tbody></table><p class=\"note\">Flags are counted as published. The scores are cut where {:.0} % of quiet slots \
         warn. The last five are rivals on the same record: four simple detectors, and the model as it was first designed.</p><div class=\"row\"><figure>{}\
         <figcaption>Sensitivity and false alarms</figcaption></figure><figure>{}<figcaption>Calibration: dots on the \
         line mean that a probability says what it says (error {:.3})</figcaption></figure></div>",
        100.0 * COMPARED_AT,
        picture::roc(&accuracy.worth),
        picture::calibration(&accuracy.calibration),
        accuracy.calibration_error,
    )?;
    writeln!(
        out,
        "<table><thead><tr><th>Probability said</th><th>Was in a rupture</th><th>Slots</th></tr></thead><tbody>"
    )?;
    for bin in accuracy.calibration.iter().filter(|bin| bin.count > 0) {
        writeln!(out, "<tr><td>{:.3}</td><td>{:.3}</td><td>{}</td></tr>", bin.said, bin.was, bin.count)?;
    }
    writeln!(out, "</tbody></table>")?;
    let track = &accuracy.not_on_track;
    writeln!(
        out,
        "<h2>Not on track</h2><p class=\"note\">Clients with four scores or more, by how the last differs from the first, and \
         how many of them were flagged as not on track before the last.</p><table><thead><tr><th></th><th>Clients</th>\
         <th>Flagged</th></tr></thead><tbody><tr><td>Reliably worse</td><td>{}</td><td>{}</td></tr><tr><td>No reliable \
         change</td><td>{}</td><td>{}</td></tr><tr><td>Reliably better</td><td>{}</td><td>{}</td></tr></tbody></table>",
        track.worse.0, track.worse.1, track.unchanged.0, track.unchanged.1, track.better.0, track.better.1,
    )?;
    shares(out, "By kind of client", "A client may be of several kinds.", &accuracy.by_kind)?;
    shares(out, "By what the record holds", "Each client stands in one row.", &accuracy.by_coverage)
}

fn shares(out: &mut dyn Write, title: &str, rows: &str, shares: &[Share]) -> io::Result<()> {
    if shares.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>{title}</h2><p class=\"note\">{rows} Sensitivity and false alarms at the cut that \
         gives {:.0} % over all.</p><table><thead><tr><th></th><th>Clients</th><th>Slots</th><th>Area under the curve</th>\
         <th>Sensitivity</th><th>False alarms</th><th>False flags a course</th></tr></thead><tbody>",
        100.0 * COMPARED_AT
    )?;
    for share in shares {
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2}</td><td>{:.3}</td><td>{:.2}</td></tr>",
            escape(&share.name),
            share.clients,
            share.slots,
            maybe(share.area, 3),
            share.sensitivity,
            share.false_alarms,
            share.flags_false_per_course,
        )?;
    }
    writeln!(out, "</tbody></table>")
}

fn clients(out: &mut dyn Write, labelled: bool) -> io::Result<()> {
    let truth = if labelled { "<th class=\"t\">What really happened</th>" } else { "" };
    let bars =
        if labelled { " The bar above shows what really happened: a rupture in red, gone in black." } else { "" };
    writeln!(
        out,
        "<h2>Every client</h2><p class=\"note\">One column an appointment, its height the probability that the alliance was \
         in rupture; orange while the engagement flag stood; grey where clinician or service called off.{bars} Below each client, on a \
         click: every appointment, the evidence of each signal for (+) and against (-) a rupture, which with what was carried over \
         sums to the log-odds of the probability, and each Flag in the words that the page has for it.</p>\
         <table><thead><tr><th>Client</th><th>Slots</th><th class=\"t\">From, to</th><th class=\"t\">Course</th>\
         <th class=\"t\">Flags</th>{truth}</tr></thead><tbody>"
    )
}

/// One client's row.
pub fn row(client: &Client, label: Option<&Label>, zone: &TimeZone) -> String {
    let day = |at: Timestamp| zone.to_datetime(at).date().to_string();
    let first = client.slots.first().map(|slot| day(slot.start)).unwrap_or_default();
    let last = client.slots.last().map(|slot| day(slot.start)).unwrap_or_default();
    let flags: Vec<String> = client.course.episodes.iter().map(|episode| told(episode, &day)).collect();
    let truth = label.map_or_else(String::new, |label| {
        let mut said: Vec<String> = Vec::new();
        for rupture in &label.ruptures {
            let until = rupture.resolved.map_or_else(|| "not resolved".to_owned(), |at| format!("until {}", day(at)));
            let pattern = rupture.pattern.as_deref().unwrap_or("rupture");
            said.push(format!("{} from {}, {until}", escape(pattern), day(rupture.onset)));
        }
        said.push(label.dropout.map_or_else(|| "stayed".to_owned(), |at| format!("left on {}", day(at))));
        said.join("<br>")
    });
    let truth = if label.is_some() { format!("<td class=\"t\">{truth}</td>") } else { truth };
    format!(
        "<tr><td>{}</td><td>{}</td><td class=\"t\">{first}<br>{last}</td><td class=\"t\">{}</td><td class=\"t\">{}</td>{truth}</tr>\
         <tr><td colspan=\"6\" class=\"t\">{}</td></tr>\n",
        escape(&client.patient),
        client.slots.len(),
        picture::course(client, label),
        if flags.is_empty() { "none".to_owned() } else { flags.join("<br>") },
        sheet::write(client, label, zone),
    )
}

fn told(episode: &Episode, day: &impl Fn(Timestamp) -> String) -> String {
    let kind = match episode.kind {
        FlagKind::EngagementDrop => "engagement",
        FlagKind::NotOnTrack => "not on track",
        FlagKind::SafetyItem => "safety item",
    };
    let why = match episode.why {
        Why::Signals => "several signals together",
        Why::NoContact => "no contact",
        Why::AboveExpected => "above the expected course",
        Why::ReliableDeterioration => "reliably worse",
        Why::Plateau => "plateau",
        Why::SafetyAnswer => "answered above zero",
    };
    let end = episode.closed.map_or_else(
        || "open".to_owned(),
        |(at, closing)| {
            let how = match closing {
                Closing::Resolved => "resolved",
                Closing::FalseAlarm => "judged a false alarm",
                Closing::Disengaged => "disengaged",
                Closing::Ended => "treatment ended",
                Closing::Acknowledged => "acknowledged",
                Closing::AnsweredZero => "answered zero",
            };
            format!("{how} {}", day(at))
        },
    );
    format!("{kind} from {}: {why}; {end}", day(episode.opened))
}
