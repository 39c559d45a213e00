use super::search::{Limit, search};
use super::{Options, run};
use crate::cli::simulate::{self, Generator};
use crate::detection::Constants;
use jiff::tz::TimeZone;

fn fitted(clients: usize, labels: bool) -> Constants {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().to_path_buf();
    simulate::run(&simulate::Options { clients, seed: 31, output, generator: Generator::Chain }).unwrap();
    let options = Options {
        paths: vec![folder.path().join("resources.ndjson")],
        labels: labels.then(|| folder.path().join("labels.ndjson")),
        output: folder.path().join("fitted.json"),
        time_zone: TimeZone::UTC,
        search_minutes: None,
    };
    run(&options).unwrap();
    let text = std::fs::read_to_string(&options.output).unwrap();
    run(&options).unwrap();
    assert_eq!(text, std::fs::read_to_string(&options.output).unwrap(), "another run, other bytes");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn too_few_clients_teach_nothing() {
    let mut constants = fitted(20, true);
    let said = constants.fitted.take().unwrap();
    assert!(said.learned.iter().all(|what| !what.learned));
    assert_eq!(constants, Constants::default());
}

#[test]
fn what_a_history_teaches() {
    let constants = fitted(420, true);
    let said = constants.fitted.as_ref().unwrap();
    assert!(said.learned.iter().all(|what| what.learned && what.standard_error > 0.0), "{said:?}");
    assert!((0.6..0.95).contains(&constants.attendance.outcomes.mean[0]), "{:?}", constants.attendance.outcomes);
    assert!(constants.calibration.slope > 0.3 && constants.trajectory.drift > 0.2);
    let without = fitted(420, false);
    assert_eq!(without.calibration, Constants::default().calibration);
    assert_eq!(without.attendance, constants.attendance);
}

/// Without labels the judgements in the input teach: here of practitioners who find half as many ruptures as are said.
#[test]
fn judgements_teach_the_calibration() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("all.ndjson");
    let mut text = String::new();
    let mut judged = 0;
    for n in 1..=150 {
        let client = simulate::client(31, n, Generator::Chain);
        for resource in &client.resources {
            text.push_str(&format!("{resource}\n"));
        }
        for (k, rupture) in client.label.ruptures.iter().enumerate() {
            judged += 1;
            let code = if judged % 4 == 0 { "rupture-yes" } else { "rupture-no" };
            let judgement = serde_json::json!({
                "resourceType": "Observation", "id": format!("judged-{n}-{k}"), "status": "final",
                "code": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/signal", "code": "judgement"}]},
                "subject": {"reference": format!("Patient/{}", client.label.patient)},
                "issued": (rupture.onset + jiff::SignedDuration::from_hours(24 * 14)).to_string(),
                "valueCodeableConcept": {"coding": [{"code": code}]},
            });
            text.push_str(&format!("{judgement}\n"));
        }
    }
    std::fs::write(&input, text).unwrap();
    let output = folder.path().join("fitted.json");
    let options = Options { paths: vec![input], labels: None, output, time_zone: TimeZone::UTC, search_minutes: None };
    run(&options).unwrap();
    let fitted: Constants = serde_json::from_str(&std::fs::read_to_string(&options.output).unwrap()).unwrap();
    let said = fitted.fitted.as_ref().unwrap().learned.iter().find(|what| what.name == "calibration by judgements");
    let said = said.expect("said what it learned from");
    assert!(said.learned && said.standard_error > 0.0 && (50..=judged).contains(&said.count), "{said:?} of {judged}");
    let (was, is) = (Constants::default().calibration, fitted.calibration);
    assert!(is.apply(0.5) < was.apply(0.5), "fewer ruptures than were said, and the probability did not fall: {is:?}");
    assert!((is.slope - was.slope).abs() < 0.6, "the prior holds it: {is:?}");
}

/// From a model that is blind to homework it finds that homework says something.
#[test]
fn a_search_finds_what_was_spoilt() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().to_path_buf();
    simulate::run(&simulate::Options { clients: 80, seed: 31, output, generator: Generator::Chain }).unwrap();
    let options = Options {
        paths: vec![folder.path().join("resources.ndjson")],
        labels: None,
        output: folder.path().join("unused"),
        time_zone: TimeZone::UTC,
        search_minutes: None,
    };
    let labels = crate::cli::backtest::labels::read(&folder.path().join("labels.ndjson")).unwrap();
    let histories = super::histories(&options, &labels).unwrap();
    assert_eq!((histories.len(), histories[0].len()), (1, 80));
    let mut spoilt = Constants::default();
    spoilt.homework.outcomes.tilt = [0.2, 0.2];
    let run = |rounds| {
        let limit = Limit { time: std::time::Duration::MAX, rounds };
        search(&histories, &spoilt, &["/homework/outcomes/tilt"], limit).unwrap()
    };
    let ((same, before), (found, after)) = (run(0), run(3));
    assert_eq!(same, spoilt);
    let tilt = found.homework.outcomes.tilt;
    assert!(after > before && tilt[0].max(tilt[1]) > 0.4, "{before} to {after}: {tilt:?}");
    assert_eq!(Constants { homework: spoilt.homework.clone(), ..found }, spoilt, "nothing else is touched");
}
