//! Laws of the backtest, on simulated histories.

use super::*;
use crate::cli::simulate::{self, Generator};
use serde_json::Value;
use std::path::Path;

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tautline-backtest-test-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn options(paths: &[&Path]) -> Options {
    Options {
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        format: Format::Ndjson,
        labels: None,
        constants: Constants::default(),
        constants_name: "shipped".to_owned(),
        time_zone: TimeZone::UTC,
        summary: None,
    }
}

fn backtest(options: &Options) -> String {
    let mut out = Vec::new();
    run(options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn resources(clients: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    clients.flat_map(|n| simulate::client(4, n, Generator::default()).resources).collect()
}

fn ndjson(resources: &[Value]) -> String {
    resources.iter().map(|resource| format!("{resource}\n")).collect()
}

/// What the backtest says of some resources.
fn said(resources: &[Value]) -> String {
    let scratch = Scratch::new();
    let file = scratch.file("all.ndjson", &ndjson(resources));
    backtest(&options(&[&file]))
}

#[test]
fn every_slot_has_a_line_in_order_and_its_evidence_adds_up() {
    let resources = resources(1..=40);
    let text = said(&resources);
    let mut keys = Vec::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = |value: &Value| value.as_f64().unwrap();
        let p = number(&line["probability"]);
        assert!(p > 0.0 && p < 1.0);
        let signals = line["signals"].as_object().unwrap();
        let names: Vec<&str> = signals.keys().map(String::as_str).collect();
        let all = ["rom-trajectory", "rom-engagement", "homework-engagement", "attendance", "alliance-measure"];
        assert_eq!(names, all);
        let mut sum = number(&line["carried"]);
        for signal in signals.values() {
            let evidence = number(&signal["evidence"]);
            assert!(signal.get("absent").is_none_or(|absent| absent == &Value::Bool(true) && evidence == 0.0));
            sum += evidence;
        }
        assert!((sum - (p / (1.0 - p)).ln()).abs() < 1e-6, "{line}");
        assert!(["none", "withdrawal", "confrontation"].contains(&line["pattern"].as_str().unwrap()));
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        keys.push((text("patient"), text("asOf").parse::<jiff::Timestamp>().unwrap(), text("appointment")));
    }
    assert!(keys.is_sorted());
    let mut slots: Vec<String> = resources
        .iter()
        .filter(|resource| resource["resourceType"] == "Appointment")
        .map(|resource| resource["id"].as_str().unwrap().to_owned())
        .collect();
    slots.sort();
    slots.dedup();
    let mut lines: Vec<String> = keys.into_iter().map(|(_, _, appointment)| appointment).collect();
    lines.sort();
    assert_eq!(slots, lines, "one line a slot");
}

#[test]
fn the_order_of_the_lines_and_repeats_change_nothing() {
    let mut resources = resources(1..=12);
    let said_first = said(&resources);
    resources.reverse();
    assert!(said_first == said(&resources), "reversed");
    let repeated: Vec<Value> = resources.iter().step_by(3).cloned().collect();
    resources.extend(repeated);
    let length = resources.len();
    for n in 0..length {
        resources.swap(n, (n * 7919 + 13) % length);
    }
    assert!(said_first == said(&resources), "shuffled, with repeats");
}

#[test]
fn versions_without_a_date_are_ordered_by_number_then_content() {
    let mut resources = resources(1..=30);
    resources.retain(|resource| resource["resourceType"] != "Practitioner");
    for resource in &mut resources {
        resource["meta"].as_object_mut().unwrap().shift_remove("lastUpdated");
    }
    let numbered = said(&resources);
    resources.reverse();
    assert!(numbered == said(&resources));
    for resource in &mut resources {
        resource.as_object_mut().unwrap().shift_remove("meta");
    }
    let bare = said(&resources);
    resources.reverse();
    assert!(bare == said(&resources));
}

#[test]
fn lines_bundles_and_folders_are_the_same_to_it() {
    let resources = resources(1..=6);
    let lines = said(&resources);
    let bundle = |resources: &[Value]| {
        let entries: Vec<Value> = resources.iter().map(|resource| serde_json::json!({"resource": resource})).collect();
        serde_json::json!({"resourceType": "Bundle", "type": "collection", "entry": entries})
    };
    let scratch = Scratch::new();
    let (first, second) = resources.split_at(resources.len() / 2);
    scratch.file("in/a/first.json", &format!("{:#}", bundle(first)));
    scratch.file("in/b/second.ndjson", &format!("{}\n", bundle(second)));
    scratch.file("in/notes.txt", "no resources here");
    let folder = scratch.0.join("in");
    assert!(lines == backtest(&options(&[&folder])));
    let one = scratch.file("one.json", &ndjson(&resources));
    assert!(lines == backtest(&options(&[&one])), "several documents in one .json file");
}

#[test]
fn broken_lines_are_told_and_passed_over() {
    let resources = resources(1..=3);
    let scratch = Scratch::new();
    let good = ndjson(&resources);
    let broken = format!(
        "\u{feff}{good}\n{{\"resourceType\":\"Task\",\n[1,2]\nnull\n{{\"resourceType\":\"Appointment\",\"id\":\"x\"}}\n"
    );
    let file = scratch.file("some.ndjson", &broken);
    assert!(said(&resources) == backtest(&options(&[&file])));

    let faults = input::Faults::default();
    let files = vec![file];
    input::read(&files, 2, &faults, &|_| Ok::<(), String>(()), |fault| fault).unwrap();
    let told = faults.told(&files);
    assert_eq!(told.len(), 4, "{told:?}");
    let first = good.lines().count() + 2;
    assert!(told[0].contains(&format!("some.ndjson:{first}:")), "{told:?}");
    assert!(told[3].contains("Appointment"), "{told:?}");

    let empty = scratch.file("none.ndjson", "{}\nnothing\n");
    assert!(run(&options(&[&empty]), &mut Vec::new()).unwrap_err().contains("nothing usable"));
    assert!(run(&options(&[Path::new("no/such/path")]), &mut Vec::new()).unwrap_err().contains("no/such/path"));
}

#[test]
fn nothing_after_the_start_matters() {
    // As if the sender had stopped at an instant: what was written or came to be known later is not there, and
    // what changed later is as it was.
    for n in 1..=16 {
        let whole = simulate::client(6, n, Generator::default()).resources;
        let lines = said(&whole);
        let starts: Vec<jiff::Timestamp> = lines.lines().map(as_of).collect();
        for cut in starts.iter().step_by(5) {
            let known: Vec<Value> = whole.iter().filter_map(|resource| as_known(resource, *cut)).collect();
            let before = |text: &str| -> Vec<String> {
                text.lines().filter(|line| as_of(line) <= *cut).map(str::to_owned).collect()
            };
            let (then, now) = (before(&said(&known)), before(&lines));
            assert_eq!(then, now, "client {n}, cut at {cut}");
        }
    }
}

fn as_of(line: &str) -> jiff::Timestamp {
    let line: Value = serde_json::from_str(line).unwrap();
    line["asOf"].as_str().unwrap().parse().unwrap()
}

/// A resource as a sender would have given it just before an instant; `None` if there was none yet. The slot that
/// starts at the instant stands as booked.
fn as_known(resource: &Value, cut: jiff::Timestamp) -> Option<Value> {
    let at = |value: &Value| value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let updated = at(&resource["meta"]["lastUpdated"]);
    let known = updated.is_none_or(|updated| updated < cut);
    if known {
        return Some(resource.clone());
    }
    let mut then = resource.clone();
    let fields = then.as_object_mut().unwrap();
    match resource["resourceType"].as_str().unwrap() {
        "Appointment" => {
            let (start, made) = (at(&resource["start"])?, at(&resource["created"])?);
            // Kept, late and missed are known at the start, and written a little later.
            if start < cut && resource["status"] != "cancelled" {
                return Some(then);
            }
            // A third version: an earlier one says already where it was moved to.
            if resource["meta"]["versionId"] == "3" {
                return None;
            }
            fields.shift_remove("cancelationReason");
            fields.insert("status".to_owned(), "booked".into());
            fields.insert("meta".to_owned(), serde_json::json!({"lastUpdated": made.to_string(), "versionId": "1"}));
            (made < cut).then_some(then)
        }
        "Task" => {
            let asked = at(&resource["authoredOn"])?;
            for name in ["executionPeriod", "output", "lastModified"] {
                fields.shift_remove(name);
            }
            fields.insert("status".to_owned(), "requested".into());
            fields.insert("meta".to_owned(), serde_json::json!({"lastUpdated": asked.to_string(), "versionId": "1"}));
            (asked < cut).then_some(then)
        }
        "Encounter" => at(&resource["period"]["start"]).is_some_and(|start| start < cut).then_some(then),
        "EpisodeOfCare" => {
            fields.insert("status".to_owned(), "active".into());
            fields.insert("period".to_owned(), serde_json::json!({"start": resource["period"]["start"]}));
            Some(then)
        }
        _ => None,
    }
}

#[test]
fn figures_and_report_come_with_labels() {
    let scratch = Scratch::new();
    let clients: Vec<_> = (1..=60).map(|n| simulate::client(4, n, Generator::default())).collect();
    let all: Vec<Value> = clients.iter().flat_map(|client| client.resources.clone()).collect();
    let file = scratch.file("all.ndjson", &ndjson(&all));
    let labels: String =
        clients.iter().map(|client| format!("{}\n", serde_json::to_string(&client.label).unwrap())).collect();
    let mut options = options(&[&file]);
    options.labels = Some(scratch.file("labels.ndjson", &labels));
    options.format = Format::Html;
    options.summary = Some(scratch.0.join("summary.json"));
    let page = backtest(&options);
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    for outside in ["src=", "href=", "url(", "@import", "<script"] {
        assert!(!page.contains(outside), "{outside} in a page that must stand by itself");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    let summary = options.summary.as_ref().unwrap();
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(summary).unwrap()).unwrap();
    assert_eq!(summary["clients"], 60);
    assert_eq!(summary["detectors"].as_array().unwrap().len(), 7);
    let track = &summary["notOnTrack"];
    let scored: u64 = ["worse", "unchanged", "better"].iter().map(|how| track[how]["clients"].as_u64().unwrap()).sum();
    assert!((20..=60).contains(&scored), "{track}");

    // a part for each client, with a line an appointment
    let sheets: Vec<&str> = page.split("<details>").skip(1).collect();
    assert_eq!(sheets.len(), 60);
    let lines = sheets.iter().map(|sheet| sheet.split("</details>").next().unwrap().matches("<tr>").count() - 1);
    options.format = Format::Ndjson;
    options.summary = None;
    assert_eq!(lines.sum::<usize>(), backtest(&options).lines().count());
}

#[test]
fn the_lines_are_as_promised() {
    let resources = [
        r#"{"resourceType":"Appointment","id":"a7","status":"booked","start":"2026-03-02T11:00:00+01:00","end":"2026-03-02T12:00:00+01:00","participant":[{"actor":{"reference":"Patient/p1"},"status":"accepted"}]}"#,
        r#"{"resourceType":"Appointment","id":"a8","status":"proposed","start":"2026-03-09T10:00:00Z","end":"2026-03-09T11:00:00Z","participant":[{"actor":{"reference":"Patient/p1"},"status":"accepted"}]}"#,
    ];
    let resources: Vec<Value> = resources.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let text = said(&resources);
    assert_eq!(text.lines().count(), 1, "proposed is no slot");
    assert!(
        text.starts_with(r#"{"patient":"p1","appointment":"a7","asOf":"2026-03-02T10:00:00Z","probability":0."#),
        "{text}"
    );
    assert!(text.contains(r#","pattern":"none","flags":[],"carried":-"#), "{text}");
    assert!(text.contains(r#""attendance":{"absent":true,"evidence":0.0}"#), "{text}");
}
