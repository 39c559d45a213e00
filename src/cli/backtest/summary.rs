//! Accuracy in plain text, and as JSON for machines.

use super::accuracy::{Accuracy, CLIENTS_MIN, COMPARED_AT, Share, Worth};
use serde_json::{Value, json};
use std::fmt::Write;

pub fn text(accuracy: &Accuracy) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} labelled clients, {} of them dropped out; {} slots, {:.1} % in a rupture",
        accuracy.clients,
        accuracy.dropouts,
        accuracy.slots,
        100.0 * accuracy.positive
    );
    if accuracy.clients < CLIENTS_MIN {
        let _ = writeln!(out, "Fewer than {CLIENTS_MIN} clients say little about accuracy.");
    }
    let _ = writeln!(
        out,
        "\n{:<24}{:>7}{:>9}{:>9}{:>10}{:>10}{:>7}{:>7}{:>9}{:>9}{:>8}",
        "detector",
        "AUROC",
        "sens.2%",
        "sens.5%",
        "episodes",
        "dropouts",
        "delay",
        "lead",
        "false/",
        "slots/",
        "false/"
    );
    let _ = writeln!(
        out,
        "{:<24}{:>7}{:>9}{:>9}{:>10}{:>10}{:>7}{:>7}{:>9}{:>9}{:>8}",
        "", "", "", "", "seen", "warned", "slots", "days", "course", "false", "100 cw"
    );
    for worth in &accuracy.worth {
        let _ = writeln!(
            out,
            "{:<24}{:>7}{:>9}{:>9}{:>10.3}{:>10.3}{:>7}{:>7}{:>9.2}{:>9.0}{:>8.2}",
            worth.name,
            maybe(worth.area, 3),
            maybe(worth.sensitivity_at_2, 3),
            maybe(worth.sensitivity_at_5, 3),
            worth.episodes_seen,
            worth.dropouts_warned,
            maybe(worth.delay_slots, 1),
            maybe(worth.lead_days, 0),
            worth.false_per_course,
            worth.slots_between_false,
            worth.false_per_100_clients_a_week,
        );
    }
    let flags = &accuracy.worth[0];
    let _ = writeln!(
        out,
        "\nAlarms: flags as published (sensitivity {:.3}, false alarms {:.3} of quiet slots); the others at {:.0} % false alarms.",
        flags.sensitivity,
        flags.false_alarms,
        100.0 * COMPARED_AT
    );
    let (right, named, all) = accuracy.pattern;
    let _ = writeln!(out, "Pattern at flagged slots in a rupture: named at {named} of {all}, rightly at {right}.");
    let (worse, unchanged, better) =
        (accuracy.not_on_track.worse, accuracy.not_on_track.unchanged, accuracy.not_on_track.better);
    let _ = writeln!(
        out,
        "Not on track, said before the last score: of {} who ended reliably worse {}, of {} unchanged {}, of {} reliably better {}.",
        worse.0, worse.1, unchanged.0, unchanged.1, better.0, better.1
    );
    let _ = writeln!(out, "\nCalibration error {:.3}; said, was, slots:", accuracy.calibration_error);
    for bin in accuracy.calibration.iter().filter(|bin| bin.count > 0) {
        let _ = writeln!(out, "  {:.3}  {:.3}  {}", bin.said, bin.was, bin.count);
    }
    for (title, shares) in [("kind of client", &accuracy.by_kind), ("coverage", &accuracy.by_coverage)] {
        if shares.is_empty() {
            continue;
        }
        let _ = writeln!(
            out,
            "\n{title:<48}{:>9}{:>9}{:>8}{:>9}{:>9}{:>12}",
            "clients", "slots", "AUROC", "sens.", "false", "flags/course"
        );
        for share in shares {
            let _ = writeln!(
                out,
                "{:<48}{:>9}{:>9}{:>8}{:>9.3}{:>9.3}{:>12.2}",
                share.name,
                share.clients,
                share.slots,
                maybe(share.area, 3),
                share.sensitivity,
                share.false_alarms,
                share.flags_false_per_course
            );
        }
    }
    out
}

pub fn maybe(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

pub fn json(accuracy: &Accuracy) -> Value {
    let worth = |worth: &Worth| {
        json!({
            "detector": worth.name,
            "auroc": worth.area,
            "sensitivityAt2": worth.sensitivity_at_2,
            "sensitivityAt5": worth.sensitivity_at_5,
            "sensitivity": worth.sensitivity,
            "falseAlarms": worth.false_alarms,
            "episodesSeen": worth.episodes_seen,
            "dropoutsWarned": worth.dropouts_warned,
            "delaySlots": worth.delay_slots,
            "leadDays": worth.lead_days,
            "falsePerCourse": worth.false_per_course,
            "slotsBetweenFalse": worth.slots_between_false.is_finite().then_some(worth.slots_between_false),
            "falsePer100ClientsAWeek": worth.false_per_100_clients_a_week,
        })
    };
    let shares = |shares: &[Share]| {
        let share = |share: &Share| {
            json!({
                "name": share.name,
                "clients": share.clients,
                "slots": share.slots,
                "auroc": share.area,
                "sensitivity": share.sensitivity,
                "falseAlarms": share.false_alarms,
                "falseFlagsPerCourse": share.flags_false_per_course,
            })
        };
        shares.iter().map(share).collect::<Vec<_>>()
    };
    let bins = accuracy.calibration.iter().map(|bin| json!({"slots": bin.count, "said": bin.said, "was": bin.was}));
    json!({
        "clients": accuracy.clients,
        "dropouts": accuracy.dropouts,
        "slots": accuracy.slots,
        "positive": accuracy.positive,
        "detectors": accuracy.worth.iter().map(worth).collect::<Vec<_>>(),
        "calibrationError": accuracy.calibration_error,
        "calibration": bins.collect::<Vec<_>>(),
        "notOnTrack": {
            "worse": {"clients": accuracy.not_on_track.worse.0, "flagged": accuracy.not_on_track.worse.1},
            "unchanged": {"clients": accuracy.not_on_track.unchanged.0, "flagged": accuracy.not_on_track.unchanged.1},
            "better": {"clients": accuracy.not_on_track.better.0, "flagged": accuracy.not_on_track.better.1},
        },
        "byKind": shares(&accuracy.by_kind),
        "byCoverage": shares(&accuracy.by_coverage),
    })
}
