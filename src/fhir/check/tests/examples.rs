//! The public examples, where they lie beside the repository.

use super::*;
use std::path::{Path, PathBuf};

/// The folder of HL7's R4 examples: `TAUTLINE_EXAMPLES`, else beside the checkout.
fn examples() -> Vec<(String, Vec<u8>)> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/fhir-r4-examples");
    let folder = std::env::var_os("TAUTLINE_EXAMPLES").map_or_else(beside, PathBuf::from);
    let Ok(files) = std::fs::read_dir(folder) else {
        println!("skipped: there is no folder of public examples");
        return Vec::new();
    };
    let mut all: Vec<_> = files
        .map(|file| file.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("readable"))
        })
        .collect();
    all.sort();
    all
}

/// Examples with a fault of their own, besides those whose items lack the required linkId.
const FAULTY: &[(&str, &str)] = &[
    // Observation.performer is an Encounter.
    ("observation-example-clinical-gender", "value Observation.performer[0]"),
    // Its narrative is blank.
    ("questionnaire-zika-virus-exposure-assessment", "invariant Questionnaire.text.div"),
];

#[test]
fn public_examples() {
    let mut without_links = 0;
    let examples = examples();
    let count = examples.len();
    for (name, bytes) in examples {
        let value = parse(&bytes, Limits::default()).expect("the examples are JSON");
        let found = faults(&value);
        if let Some((_, fault)) = FAULTY.iter().find(|(faulty, _)| *faulty == name) {
            assert_eq!(found, [*fault], "{name}");
        } else if found.iter().any(|fault| fault.ends_with(".linkId")) {
            assert!(value["resourceType"] == "Questionnaire", "{name}");
            without_links += 1;
        } else {
            assert_eq!(found, [""; 0], "{name}");
        }
    }
    if count == 241 {
        assert_eq!(without_links, 27);
    }
}
