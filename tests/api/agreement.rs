//! One truth: `$detect-rupture?asOf=`, the stored Observations, the page and the back-test say the same for the same
//! instant, on simulated clients of all generators, whatever the order in which their resources came.

use crate::disorder::shuffled;
use crate::on_both;
use crate::server::Server;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const CLIENTS: usize = 3;

fn tautline(arguments: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_tautline")).args(arguments).output().expect("the program runs");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

fn simulated(generator: &str, folder: &Path) -> Vec<Value> {
    let output = folder.join(generator);
    let clients = CLIENTS.to_string();
    let output = output.to_str().expect("a path");
    tautline(&["simulate", "--clients", &clients, "--seed", "11", "--generator", generator, "--output", output]);
    let text = std::fs::read_to_string(format!("{output}/resources.ndjson")).expect("written");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

async fn push_in_batches(server: &Server, resources: &[Value]) {
    for some in resources.chunks(100) {
        let entries: Vec<Value> = some
            .iter()
            .map(|one| {
                let url =
                    format!("{}/{}", one["resourceType"].as_str().expect("type"), one["id"].as_str().expect("id"));
                json!({"resource": one, "request": {"method": "PUT", "url": url}})
            })
            .collect();
        // A batch: two versions of one resource may come in one Bundle.
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let answer = server.post("/fhir", &bundle).await.expect(200).json();
        for entry in answer["entry"].as_array().expect("entries") {
            assert!(entry["response"]["status"].as_str().expect("a status").starts_with('2'), "{entry}");
        }
    }
}

/// Probability, log-odds carried, evidence of each signal (`None`: absent), kinds of the Flags.
#[derive(Debug, PartialEq)]
struct Said {
    probability: f64,
    carried: f64,
    evidence: BTreeMap<String, Option<f64>>,
    flags: Vec<String>,
}

impl Said {
    fn of_line(line: &Value) -> Self {
        let signals = line["signals"].as_object().expect("signals");
        let evidence = |signal: &Value| signal["absent"].is_null().then(|| signal["evidence"].as_f64().expect("nats"));
        Said {
            probability: line["probability"].as_f64().expect("a probability"),
            carried: line["carried"].as_f64().expect("nats"),
            evidence: signals.iter().map(|(code, signal)| (code.clone(), evidence(signal))).collect(),
            flags: line["flags"]
                .as_array()
                .expect("flags")
                .iter()
                .map(|f| f.as_str().expect("code").to_owned())
                .collect(),
        }
    }

    fn of_observations<'a>(all: impl Iterator<Item = &'a Value>, mut flags: Vec<String>) -> Self {
        let mut said = Said { probability: f64::NAN, carried: f64::NAN, evidence: BTreeMap::new(), flags: Vec::new() };
        flags.sort();
        said.flags = flags;
        for one in all {
            let code = one["code"]["coding"][0]["code"].as_str().expect("a code");
            let value = one["valueQuantity"]["value"].as_f64();
            if code == "pattern" {
                said.probability = value.expect("a probability");
                let carried = one["component"].as_array().expect("components").iter();
                let mut carried = carried.filter(|part| part["code"]["coding"][0]["code"] == "carried");
                said.carried = carried.next().expect("carried")["valueQuantity"]["value"].as_f64().expect("nats");
            } else {
                said.evidence.insert(code.to_owned(), value);
            }
        }
        said
    }

    /// To the digits that are published.
    #[track_caller]
    fn same(&self, other: &Self, what: &str) {
        let near = |a: f64, b: f64| (a - b).abs() < 2e-6;
        let evidence = self.evidence.iter().all(|(code, mine)| match (mine, other.evidence.get(code)) {
            (Some(mine), Some(Some(theirs))) => near(*mine, *theirs),
            (None, Some(None)) => true,
            _ => false,
        });
        let same = near(self.probability, other.probability) && near(self.carried, other.carried) && evidence;
        assert!(same && self.flags == other.flags, "{what}:\n{self:?}\n{other:?}");
    }
}

fn resources<'a>(bundle: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    entries.map(|entry| &entry["resource"]).filter(move |one| one["resourceType"] == kind)
}

fn codes<'a>(flags: impl Iterator<Item = &'a Value>) -> Vec<String> {
    flags.map(|flag| flag["code"]["coding"][0]["code"].as_str().expect("a code").to_owned()).collect()
}

async fn detected(server: &Server, client: &str, as_of: &str) -> Said {
    let bundle = server.get(&format!("/fhir/Patient/{client}/$detect-rupture?asOf={as_of}")).await.expect(200).json();
    Said::of_observations(resources(&bundle, "Observation"), codes(resources(&bundle, "Flag")))
}

/// The page in the words that show the numbers: whole percents, and each flag on or off.
async fn page_agrees(server: &Server, client: &str, as_of: &str, said: &Said) {
    let page = server.get(&format!("/app/patients/{client}?asOf={as_of}")).await.expect(200).text;
    let what = format!("{client} {as_of}");
    let on = page.matches("class=\"flag on\"").count();
    let flags = said.flags.iter().filter(|code| *code != "safety-item").count();
    assert_eq!(on, flags, "{what}: {:?}", said.flags);
    assert_eq!(page.contains("class=\"safety-item\""), said.flags.iter().any(|code| code == "safety-item"), "{what}");
    let percent = format!("<td class=\"number\">{:.0} %</td>", said.probability * 100.0);
    let first =
        page.find("<td class=\"number\">").map(|_| page.split(">Probability of a rupture<").nth(1).expect("a row"));
    let first = first.and_then(|row| row.split("</tr>").next()).unwrap_or_default();
    assert!(first.contains(&percent), "{what}: {percent} in {first}");
}

async fn all_four_agree(server: &Server, generator: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let simulated = simulated(generator, folder.path());
    push_in_batches(server, &shuffled(&simulated, 7)).await;
    server.settle().await;

    let path = folder.path().join(generator);
    let lines = tautline(&["backtest", path.join("resources.ndjson").to_str().expect("a path")]);
    let now = Timestamp::now();
    let mut clients: BTreeMap<String, Vec<(String, Said)>> = BTreeMap::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let start = line["asOf"].as_str().expect("an instant").to_owned();
        let client = line["patient"].as_str().expect("an id").to_owned();
        if start.parse::<Timestamp>().expect("an instant") <= now {
            clients.entry(client).or_default().push((start, Said::of_line(&line)));
        }
    }
    assert_eq!(clients.len(), CLIENTS);
    for (client, lines) in &clients {
        let stored = server.all(&format!("Observation?patient={client}&_count=500")).await;
        for (start, line) in lines {
            let what = format!("{client} {start}");
            detected(server, client, start).await.same(line, &what);
            let of_step = || stored.iter().filter(|one| one["effectiveDateTime"] == *start && one["status"] == "final");
            assert_eq!(of_step().count(), 6, "{what}");
            Said::of_observations(of_step(), line.flags.clone()).same(line, &what);
            page_agrees(server, client, start, line).await;
        }
        // Between the steps, and now: with nothing booked, too.
        let last: Timestamp = lines.last().and_then(|(start, _)| start.parse().ok()).expect("a start");
        for hours in [-100, -30, 30, 24 * 20, 24 * 70] {
            let as_of = (last + SignedDuration::from_hours(hours)).min(now).to_string();
            let said = detected(server, client, &as_of).await;
            if said.probability.is_finite() {
                page_agrees(server, client, &as_of, &said).await;
            }
        }
        let open = detected(server, client, &now.to_string()).await;
        let newest = stored
            .iter()
            .filter(|one| one["status"] == "final")
            .filter_map(|one| one["effectiveDateTime"].as_str()?.parse::<Timestamp>().ok());
        let newest = newest.max().expect("an Observation");
        if open.probability.is_finite() {
            assert!(newest > last, "{client}: now stands beside the last step");
            let at = |one: &&Value| one["effectiveDateTime"].as_str().and_then(|at| at.parse().ok()) == Some(newest);
            Said::of_observations(stored.iter().filter(at), open.flags.clone()).same(&open, client);
        }
        let active = server.all(&format!("Flag?patient={client}&status=active")).await;
        let mut active = codes(active.iter());
        active.sort();
        if open.probability.is_finite() {
            assert_eq!(active, open.flags, "{client}");
        }
    }
}

on_both! {
    async fn all_say_the_same_of_strain(server: &Server) {
        all_four_agree(server, "strain").await;
    }

    async fn all_say_the_same_of_regimes(server: &Server) {
        all_four_agree(server, "regimes").await;
    }

    async fn all_say_the_same_of_chain(server: &Server) {
        all_four_agree(server, "chain").await;
    }
}
