//! The report's pictures, as inline SVG.

use super::accuracy::Worth;
use super::history::Client;
use super::labels::Label;
use super::statistics::Bin;
use crate::domain::FlagKind;
use std::fmt::Write;

const COLOURS: [&str; 7] = ["#1b5e8c", "#1b5e8c", "#b3541e", "#6b7280", "#7a5195", "#3d7d4e", "#111827"];
const DASHES: [&str; 7] = ["", "", "6 3", "2 3", "8 3 2 3", "4 4", "1 3"];
/// Pixels of a square chart and its margin.
const SIDE: f64 = 320.0;
const MARGIN: f64 = 44.0;

fn axes(out: &mut String, title: &str, across: &str, up: &str) {
    let whole = SIDE + 2.0 * MARGIN;
    let _ = write!(
        out,
        "<svg viewBox=\"0 0 {whole} {whole}\" width=\"{whole}\" height=\"{whole}\" role=\"img\" aria-label=\"{title}\">\
         <rect x=\"{MARGIN}\" y=\"{MARGIN}\" width=\"{SIDE}\" height=\"{SIDE}\" class=\"frame\"/>\
         <line x1=\"{MARGIN}\" y1=\"{}\" x2=\"{}\" y2=\"{MARGIN}\" class=\"even\"/>",
        MARGIN + SIDE,
        MARGIN + SIDE
    );
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        let (x, y) = place(share, share);
        let low = MARGIN + SIDE;
        let _ = write!(
            out,
            "<text x=\"{x:.1}\" y=\"{:.1}\" class=\"tick\" text-anchor=\"middle\">{share:.1}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" class=\"tick\" text-anchor=\"end\">{share:.1}</text>",
            low + 16.0,
            MARGIN - 6.0,
            y + 4.0
        );
    }
    let middle = MARGIN + SIDE / 2.0;
    let _ = write!(
        out,
        "<text x=\"{middle}\" y=\"{:.1}\" class=\"tick\" text-anchor=\"middle\">{across}</text>\
         <text x=\"12\" y=\"{middle}\" class=\"tick\" text-anchor=\"middle\" transform=\"rotate(-90 12 {middle})\">{up}</text>",
        MARGIN + SIDE + 34.0
    );
}

fn place(across: f64, up: f64) -> (f64, f64) {
    (MARGIN + across * SIDE, MARGIN + (1.0 - up) * SIDE)
}

/// Sensitivity against false alarms, one curve a detector.
pub fn roc(worth: &[Worth]) -> String {
    let mut out = String::new();
    axes(
        &mut out,
        "Sensitivity against false alarms",
        "share of quiet slots that warn",
        "share of slots in a rupture that warn",
    );
    let mut legend = 0.0;
    for (n, detector) in worth.iter().enumerate().filter(|(_, detector)| !detector.curve.is_empty()) {
        let points: Vec<String> = detector
            .curve
            .iter()
            .map(|(false_alarms, sensitivity)| {
                let (x, y) = place(*false_alarms, *sensitivity);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let (colour, dash) = (COLOURS[n % 7], DASHES[n % 7]);
        let (x, y) = (MARGIN + SIDE - 176.0, MARGIN + SIDE - 108.0 + legend);
        legend += 18.0;
        let _ = write!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\
             <line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\
             <text x=\"{}\" y=\"{}\" class=\"tick\">{}</text>",
            points.join(" "),
            x + 26.0,
            x + 32.0,
            y + 4.0,
            detector.name
        );
    }
    out.push_str("</svg>");
    out
}

/// What was said against what was; the area of a dot is the number of slots.
pub fn calibration(bins: &[Bin]) -> String {
    let mut out = String::new();
    axes(&mut out, "Calibration", "probability said", "share that was in a rupture");
    let all = bins.iter().map(|bin| bin.count).sum::<usize>().max(1) as f64;
    for bin in bins.iter().filter(|bin| bin.count > 0) {
        let (x, y) = place(bin.said, bin.was);
        let radius = (3.0 + 22.0 * (bin.count as f64 / all).sqrt()).min(24.0);
        let _ = write!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" class=\"bin\"><title>said {:.2}, was {:.2}, {} slots</title></circle>",
            bin.said, bin.was, bin.count
        );
    }
    out.push_str("</svg>");
    out
}

/// One client: probability by slot, flags as a bar below, what really happened as a bar above.
pub fn course(client: &Client, label: Option<&Label>) -> String {
    const STEP: f64 = 6.0;
    const HIGH: f64 = 30.0;
    let width = STEP * client.slots.len() as f64;
    let mut out = format!(
        "<svg viewBox=\"0 0 {width} 42\" width=\"{width}\" height=\"42\" role=\"img\" aria-label=\"course\">\
         <line x1=\"0\" y1=\"35\" x2=\"{width}\" y2=\"35\" class=\"base\"/>"
    );
    for (n, slot) in client.slots.iter().enumerate() {
        let x = STEP * n as f64;
        let height = HIGH * slot.said.probability;
        let flagged = slot.said.flags.contains(&FlagKind::EngagementDrop);
        let class = match (slot.is_break, flagged) {
            (true, _) => "break",
            (false, true) => "flagged",
            (false, false) => "quiet",
        };
        let _ = write!(
            out,
            "<rect x=\"{:.0}\" y=\"{:.1}\" width=\"5\" height=\"{:.1}\" class=\"{class}\"/>",
            x,
            35.0 - height.max(1.0),
            height.max(1.0)
        );
        if flagged {
            let _ = write!(out, "<rect x=\"{x:.0}\" y=\"37\" width=\"6\" height=\"3\" class=\"flagged\"/>");
        }
        let Some(label) = label else { continue };
        if label.dropout.is_some_and(|dropout| slot.start >= dropout) {
            let _ = write!(out, "<rect x=\"{x:.0}\" y=\"0\" width=\"6\" height=\"3\" class=\"left\"/>");
        } else if label.in_rupture(slot.start) {
            let _ = write!(out, "<rect x=\"{x:.0}\" y=\"0\" width=\"6\" height=\"3\" class=\"rupture\"/>");
        }
    }
    out.push_str("</svg>");
    out
}
