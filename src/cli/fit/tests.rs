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
