//! The commands as a shell runs them: usage errors, pipes, compressed input, import.

use crate::server::{Backend, Place, Server};
use serde_json::json;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn tautline(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tautline"));
    command.args(arguments).env_clear();
    command
}

fn run(arguments: &[&str]) -> Output {
    tautline(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A simulated caseload in a folder of its own, labels beside it.
fn simulated(clients: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    let done = run(&["simulate", "--clients", clients, "--seed", "3", "--output", &path]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    (folder, path)
}

fn zipped(from: &Path, to: &Path) {
    let mut out =
        flate2::write::GzEncoder::new(std::fs::File::create(to).expect("a file"), flate2::Compression::fast());
    out.write_all(&std::fs::read(from).expect("readable")).expect("written");
    out.finish().expect("whole");
}

#[test]
fn usage_errors_are_one_line() {
    for arguments in [
        &[][..],
        &["serve", "--nonsense"],
        &["backtest"],
        &["serve", "--listen", "nowhere"],
        &["brew"],
        &["simulate", "--clients", "x"],
        &["import", "x", "--url", "http://x", "--database-url", "y"],
    ] {
        let done = run(arguments);
        let told = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{arguments:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{arguments:?}: {told}");
        assert!(told.starts_with("tautline: ") && done.stdout.is_empty(), "{arguments:?}: {told}");
    }
    assert!(run(&["--help"]).status.success());
}

#[test]
fn a_variable_set_to_nothing_is_not_set() {
    let (folder, path) = simulated("2");
    let done = tautline(&["backtest", &path])
        .envs([("TAUTLINE_TIME_ZONE", ""), ("TAUTLINE_LABELS", ""), ("TAUTLINE_FORMAT", "")])
        .output()
        .expect("it runs");
    assert!(done.status.success() && !done.stdout.is_empty(), "{}", text(&done.stderr));
    drop(folder);
}

#[test]
fn whoever_has_seen_enough_of_a_backtest_may_go() {
    let (_folder, path) = simulated("30");
    let mut child =
        tautline(&["backtest", &path]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut few = [0; 16];
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut few).expect("some");
    drop(out);
    let done = child.wait_with_output().expect("it ends");
    assert_eq!((done.status.code(), text(&done.stderr).as_str()), (Some(0), ""));
}

#[test]
fn compressed_input_and_labels_beside_it() {
    let (folder, path) = simulated("5");
    let plain = run(&["backtest", &path]);
    assert_eq!(text(&plain.stderr), "");
    let other = tempfile::tempdir().expect("a folder");
    zipped(&folder.path().join("resources.ndjson"), &other.path().join("resources.ndjson.gz"));
    let packed = run(&["backtest", &other.path().display().to_string()]);
    assert!(packed.status.success() && !packed.stdout.is_empty(), "{}", text(&packed.stderr));
    assert_eq!(packed.stdout, plain.stdout);
}

#[actix_web::test]
async fn a_history_is_imported_into_a_database_or_a_server() {
    let (folder, path) = simulated("5");
    let resources = std::fs::read_to_string(folder.path().join("resources.ndjson")).expect("readable");
    let count = resources.lines().count();
    zipped(&folder.path().join("resources.ndjson"), &folder.path().join("again.ndjson.gz"));
    let bad = json!({"resourceType": "Patient", "id": "bad", "gender": "x"});
    std::fs::write(
        folder.path().join("z.ndjson"),
        format!("{bad}\n{{half\n{}\n", json!({"resourceType": "Medication"})),
    )
    .expect("written");
    std::fs::write(
        folder.path().join("y.json"),
        json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": bad}]}).to_string(),
    )
    .expect("written");
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let into = |target: &[&str]| {
        let arguments = [&["import", path.as_str()][..], target].concat();
        tautline(&arguments).output().expect("it runs")
    };
    let done = into(&["--database-url", &place.url]);
    let told = text(&done.stderr);
    assert!(done.status.success(), "{told}");
    assert!(text(&done.stdout).starts_with(&format!("{count} resources new, {count} updated or there already, 1 of other types left out (Medication), 3 refused; ")), "{}", text(&done.stdout));
    let places: Vec<String> = told.lines().map(|line| line.rsplit('/').next().expect("a name").to_owned()).collect();
    assert!(
        places.len() == 3
            && places[0].starts_with("y.json: resource 1: Patient.gender: ")
            && places[1].starts_with("z.ndjson:1: Patient.gender: ")
            && places[2].starts_with("z.ndjson:2: "),
        "{told}"
    );
    let first = Server::start(&place).await;
    first.settle().await;
    assert_eq!(first.all("Patient").await.len(), 5);
    let found = first.all("Observation?code=pattern&_count=1000").await.len();
    assert!(found > 50, "{found}");
    // Into a server, the same.
    let other = Place::new(Backend::Sqlite).await.expect("a place");
    let second = Server::start(&other).await;
    let base = format!("{}/fhir", second.base);
    let (path, arguments) = (path.clone(), ["--url".to_owned(), base]);
    let done = tokio::task::spawn_blocking(move || {
        tautline(&["import", &path, &arguments[0], &arguments[1]]).output().expect("it runs")
    })
    .await
    .expect("it ends");
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(
        text(&done.stdout).starts_with(&format!("{count} resources new, {count} updated or there already")),
        "{}",
        text(&done.stdout)
    );
    second.settle().await;
    assert_eq!(second.all("Observation?code=pattern&_count=1000").await.len(), found);
    second.stop().await;
    first.stop().await;
    assert_eq!(run(&["import", "/nowhere", "--database-url", &place.url]).status.code(), Some(1));
}

/// `demo | head -1`: the reader goes, the demo stays until it is told to end.
#[test]
fn a_demo_whose_reader_has_gone_goes_on() {
    let mut demo = tautline(&["demo", "--clients", "1", "--listen", "127.0.0.1:0"]);
    let mut demo = demo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(demo.stdout.take());
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(4) && demo.try_wait().expect("its state").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let ended = demo.try_wait().expect("its state");
    let _ = demo.kill();
    let told = demo.wait_with_output().map(|done| text(&done.stderr)).unwrap_or_default();
    assert!(ended.is_none() && !told.contains("panicked"), "{ended:?} {told}");
}
