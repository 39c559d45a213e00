use super::*;
use std::collections::BTreeMap;

const NOW: &str = "2026-03-02T09:10:00Z";

fn text(resource: &Value, name: &str) -> String {
    resource[name].as_str().unwrap_or_default().to_owned()
}

/// The last version of each appointment, by start.
fn appointments(resources: &[Value]) -> Vec<(Timestamp, String)> {
    let mut last = BTreeMap::new();
    for resource in resources.iter().filter(|resource| resource["resourceType"] == "Appointment") {
        last.insert(text(resource, "id"), resource);
    }
    let mut all: Vec<(Timestamp, String)> =
        last.values().map(|resource| (text(resource, "start").parse().unwrap(), text(resource, "status"))).collect();
    all.sort();
    all
}

#[test]
fn a_seed_names_the_same_bytes() {
    for generator in Generator::ALL {
        let written = |seed, n| serde_json::to_string(&client(seed, n, generator).resources).unwrap();
        assert_eq!(written(7, 3), written(7, 3));
        assert_ne!(written(7, 3), written(7, 4));
        assert_ne!(written(7, 3), written(8, 3));
    }
}

#[test]
fn labels_and_resources_tell_one_story() {
    for generator in Generator::ALL {
        for n in 1..=200 {
            let SimulatedClient { resources, label } = client(5, n, generator);
            let slots = appointments(&resources);
            let starts: Vec<Timestamp> = slots.iter().map(|(start, _)| *start).collect();
            for rupture in &label.ruptures {
                assert!(starts.contains(&rupture.onset), "onset is a session: {label:?}");
                assert!(rupture.resolved.is_none_or(|resolved| resolved > rupture.onset), "{label:?}");
            }
            for pair in label.ruptures.windows(2) {
                let resolved = pair[0].resolved.expect("the next one arose only after this one was over");
                assert!(resolved <= pair[1].onset, "{label:?}");
            }
            if let Some(dropout) = label.dropout {
                let after = slots.iter().filter(|(start, _)| *start >= dropout);
                assert!(after.clone().count() > 0);
                assert!(after.clone().all(|(_, status)| status != "fulfilled"), "came after leaving: {label:?}");
                assert!(label.ruptures.iter().all(|rupture| rupture.onset < dropout));
            }
        }
    }
}

#[test]
fn rates_are_the_published_ones() {
    for generator in Generator::ALL {
        let labels: Vec<Label> = (1..=1500).map(|n| client(11, n, generator).label).collect();
        let share = |of: &dyn Fn(&Label) -> bool| labels.iter().filter(|label| of(label)).count() as f64 / 1500.0;
        let left = share(&|label| label.dropout.is_some());
        let ruptured = share(&|label| !label.ruptures.is_empty());
        // Swift & Greenberg 2012; McLaughlin 2014, Stevens 2007.
        assert!((0.16..=0.25).contains(&left), "{}: {left} leave", generator.name());
        assert!((0.43..=0.54).contains(&ruptured), "{}: {ruptured} have a rupture", generator.name());
    }
}

#[test]
fn nothing_is_written_before_it_happened() {
    for generator in Generator::ALL {
        for n in 1..=60 {
            for resource in client(3, n, generator).resources {
                let Some(updated) = resource["meta"]["lastUpdated"].as_str() else { continue };
                let updated: Timestamp = updated.parse().unwrap();
                for name in ["authored", "authoredOn", "lastModified", "created"] {
                    if let Some(at) = resource[name].as_str() {
                        assert!(at.parse::<Timestamp>().unwrap() <= updated, "{name} of {resource}");
                    }
                }
                if let (Some(asked), Some(changed)) =
                    (resource["authoredOn"].as_str(), resource["lastModified"].as_str())
                {
                    assert!(asked.parse::<Timestamp>().unwrap() <= changed.parse().unwrap(), "inv-1 of {resource}");
                }
                if resource["status"] == "fulfilled" || resource["status"] == "noshow" {
                    assert!(text(&resource, "start").parse::<Timestamp>().unwrap() <= updated);
                }
            }
        }
    }
}

#[test]
fn the_files_hold_every_client_and_each_practitioner_once() {
    let folder = std::env::temp_dir().join(format!("tautline-simulate-{}", std::process::id()));
    let options = Options { clients: 20, seed: 9, output: folder.clone(), generator: Generator::default() };
    run(&options).unwrap();
    let first = std::fs::read(folder.join("resources.ndjson")).unwrap();
    run(&options).unwrap();
    assert!(first == std::fs::read(folder.join("resources.ndjson")).unwrap(), "the same seed, other bytes");
    let lines: Vec<Value> = first
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let mut practitioners: Vec<String> =
        lines.iter().filter(|line| line["resourceType"] == "Practitioner").map(|line| text(line, "id")).collect();
    let count = practitioners.len();
    practitioners.sort();
    practitioners.dedup();
    assert_eq!(count, practitioners.len());
    let labels = std::fs::read_to_string(folder.join("labels.ndjson")).unwrap();
    assert_eq!(labels.lines().count(), 20);
    assert_eq!(lines.iter().filter(|line| line["resourceType"] == "Patient").count(), 20);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn demo_bundles_are_small_idempotent_and_stand_by_themselves() {
    let bundles = demo_caseload(40, 1, NOW.parse().unwrap());
    let mut patients = HashSet::new();
    for bundle in &bundles {
        let entries = bundle["entry"].as_array().unwrap();
        assert!(entries.len() <= 100);
        let urls: Vec<String> = entries.iter().map(|entry| text(&entry["request"], "url")).collect();
        assert_eq!(urls.len(), urls.iter().collect::<HashSet<_>>().len(), "twice in one transaction");
        for entry in entries {
            assert_eq!(entry["request"]["method"], "PUT");
            let resource = &entry["resource"];
            if resource["resourceType"] == "Patient" {
                patients.insert(resource["name"].to_string());
            }
            for name in ["subject", "for", "patient"] {
                if let Some(reference) = resource[name]["reference"].as_str() {
                    assert!(urls.iter().any(|url| url == reference), "{reference} is not in the Bundle");
                }
            }
        }
    }
    assert_eq!(patients.len(), 40, "two clients share a name");
}

#[test]
fn the_demo_knows_nothing_of_the_future() {
    // All round the week: weekends, late evenings and the hours before dawn too.
    for hour in (0..168).step_by(5) {
        let now = NOW.parse::<Timestamp>().unwrap() + history::hours(hour);
        let mut soon = 0;
        for bundle in demo_caseload(40, 1, now) {
            for entry in bundle["entry"].as_array().unwrap() {
                let resource = &entry["resource"];
                if let Some(updated) = resource["meta"]["lastUpdated"].as_str() {
                    assert!(updated.parse::<Timestamp>().unwrap() <= now, "{resource}");
                }
                if resource["resourceType"] == "Appointment" && resource["status"] == "booked" {
                    let start: Timestamp = text(resource, "start").parse().unwrap();
                    soon += usize::from(start > now && start < now + history::hours(24));
                }
            }
        }
        assert!(soon >= 8, "{soon} clients within a day of {now}");
    }
}
