//! The check as a whole: faults with their places, the public examples, and anything at all.

use serde_json::{Value, json};

use super::{Limits, check, check_at, check_bundle_shell, check_entry, parse};
use crate::fhir::outcome::IssueType;

/// Faults as `code expression`.
fn faults(resource: &Value) -> Vec<String> {
    shown(check(resource))
}

fn shown(issues: Vec<crate::fhir::outcome::Issue>) -> Vec<String> {
    issues
        .into_iter()
        .map(|issue| format!("{} {}", issue.code.as_str(), issue.expression.unwrap_or_default()))
        .collect()
}

fn examples() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("TAUTLINE_EXAMPLES").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/fhir-r4-examples"),
        Into::into,
    );
    folder.is_dir().then_some(folder)
}

#[test]
fn public_examples() {
    let Some(folder) = examples() else {
        eprintln!("skipped: no folder of public examples");
        return;
    };
    let mut names: Vec<_> = std::fs::read_dir(folder).expect("readable").map(|e| e.expect("readable").path()).collect();
    names.sort();
    for path in names {
        let bytes = std::fs::read(&path).expect("readable");
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        match parse(&bytes, Limits::default()) {
            Err(issue) => println!("{name}: {}", issue.diagnostics),
            Ok(value) => {
                for i in check(&value) {
                    println!("{name}: {} {} {}", i.code.as_str(), i.expression.unwrap_or_default(), i.diagnostics);
                }
            }
        }
    }
}
