//! The walls of the house: who may touch what (`src/lib.rs` has the plan).

use std::path::{Path, PathBuf};

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|end| end == "rs") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).expect("under src").to_string_lossy().replace('\\', "/");
            let text = std::fs::read_to_string(&path).expect("readable");
            // Words in comments are not arrows.
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            (name, code)
        })
        .collect()
}

fn is_test(name: &str) -> bool {
    name.contains("/tests")
        || name.contains("contract")
        || name.ends_with("samples.rs")
        || name.ends_with("laws.rs")
        || name.ends_with("worked.rs")
        || name.contains("worked/")
}

/// None of `words` stands in a file of `rooms`, but for those in `doors`.
#[track_caller]
fn never(rooms: &[&str], words: &[&str], doors: &[&str]) {
    let mut faults = Vec::new();
    for (name, code) in sources() {
        let inside = rooms.iter().any(|room| name.starts_with(room));
        if !inside || is_test(&name) || doors.iter().any(|door| name.starts_with(door)) {
            continue;
        }
        // Unit tests at the end of a file may use more.
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        faults.extend(words.iter().filter(|word| code.contains(**word)).map(|word| format!("{name}: {word}")));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

const IO: &[&str] = &[
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "tokio",
    "async fn",
    "println!",
    "eprintln!",
    "tracing::",
    "Timestamp::now",
    "SystemTime",
    "Instant::now",
    "rand::",
    "uuid::",
];

#[test]
fn domain_and_detection_do_no_io_and_read_no_clock() {
    never(&["domain/", "detection/"], IO, &[]);
}

#[test]
fn domain_detection_and_words_know_no_fhir() {
    never(&["domain/", "detection/", "words/"], &["crate::fhir", "serde_json", "crate::store", "crate::api"], &[]);
}

#[test]
fn detection_touches_the_domain_alone() {
    never(
        &["detection/"],
        &["crate::words", "crate::view", "crate::pipeline", "crate::cli", "crate::app", "crate::config"],
        &[],
    );
    never(&["domain/"], &["crate::detection", "crate::words", "crate::view", "crate::pipeline", "crate::cli"], &[]);
}

#[test]
fn the_border_writes_no_sql_and_the_store_opens_no_resource() {
    never(&["fhir/"], &["sea_orm", "sqlx", "SELECT ", "actix"], &[]);
    never(&["store/"], &["crate::fhir", "crate::domain", "crate::api"], &[]);
}

#[test]
fn each_library_has_its_room() {
    let all = &[""];
    never(all, &["fhirbolt"], &["fhir/codec"]);
    never(all, &["sea_orm::", "sqlx::"], &["store/sea"]);
    never(all, &["actix_web", "actix_rt"], &["api/", "app.rs", "cli/mod.rs"]);
    never(all, &["reqwest"], &["smart/", "cli/import/"]);
    never(all, &["jsonwebtoken::"], &["smart/"]);
    never(all, &["maud"], &["view/"]);
}

#[test]
fn keys_are_made_and_judged_without_the_doors() {
    never(&["smart/"], &["crate::api", "crate::view", "crate::store", "crate::pipeline", "crate::app"], &[]);
}

#[test]
fn the_simulator_shares_nothing_with_the_detector() {
    never(&["cli/simulate"], &["crate::detection", "crate::domain"], &[]);
}
