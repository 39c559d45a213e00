//! A full disk and a read-only one (SQLite): nothing is half there, reads go on, and with room so do writes.
//! The disk is a small tmpfs in a mount namespace of the server's own, which needs root.

use crate::crash::transaction;
use crate::process::{OPEN, Process, all, client, program};
use crate::story::{start_for, withdrawing};
use reqwest::Client;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROOM_BEFORE: &str = "size=8m";
const ROOM_AFTER: &str = "size=64m";
/// More than fit.
const PUSHES_MAX: usize = 400;
const WRITES_AGAIN_WITHIN: Duration = Duration::from_secs(30);

/// The program, to see a tmpfs with these options at the folder.
fn on_tmpfs(folder: &Path, options: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = r#"mount -t tmpfs -o "$2" none "$1" && shift 2 && exec "$@""#;
    command.args(["-m", "sh", "-c", script, "sh"]).arg(folder).arg(options).arg(program().get_program());
    command
}

/// Whether this user and machine can do so; says it where not.
fn can_mount() -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("unshare");
    command.args(["-m", "mount", "-t", "tmpfs", "none"]).arg(folder.path());
    let can = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !can {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "SKIPPED: disk tests: no tmpfs can be mounted (not root?)");
    }
    can
}

/// Puts a client; its resources are counted where that was acknowledged. The status.
async fn push(client: &Client, process: &Process, id: &str, stands: &mut BTreeMap<String, usize>) -> u16 {
    let story = withdrawing(id, &start_for(15), 3);
    let request = client.post(format!("{}/fhir", process.base)).header("content-type", "application/fhir+json");
    let answer = request.body(transaction(&story).to_string()).send().await.expect("an answer");
    let status = answer.status().as_u16();
    match status {
        200 => drop(stands.insert(id.to_owned(), story.len())),
        503 => assert!(answer.headers().contains_key("retry-after")),
        other => panic!("{other}: {}", answer.text().await.unwrap_or_default()),
    }
    status
}

/// Each client stands whole or not at all.
async fn whole(client: &Client, process: &Process, ids: usize, stands: &BTreeMap<String, usize>) {
    for id in (0..ids).map(|n| format!("d{n}")) {
        let mut found = all(client, process, &format!("Patient?_id={id}")).await.len();
        for kind in ["Appointment", "QuestionnaireResponse", "Task"] {
            found += all(client, process, &format!("{kind}?patient={id}&_count=200")).await.len();
        }
        assert_eq!(found, stands.get(&id).copied().unwrap_or_default(), "{id}");
    }
}

#[actix_web::test]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("small.db").display());
    let client = client();
    let mut process = Process::launch(on_tmpfs(folder.path(), ROOM_BEFORE), &url, OPEN, None);
    process.ready(&client).await;
    let (mut stands, mut pushed) = (BTreeMap::new(), 0);
    loop {
        assert!(pushed < PUSHES_MAX, "the disk is never full");
        let status = push(&client, &process, &format!("d{pushed}"), &mut stands).await;
        pushed += 1;
        if status == 503 {
            break;
        }
    }
    assert!(stands.len() > 2, "{} fitted", stands.len());
    // Reads go on, as they were.
    whole(&client, &process, pushed, &stands).await;

    let remount = format!("remount,{ROOM_AFTER}");
    let mut room = Command::new("nsenter");
    room.args(["-m", "-t", &process.id().to_string(), "mount", "-o", &remount]).arg(folder.path());
    assert!(room.status().is_ok_and(|status| status.success()), "room could not be made");
    let began = Instant::now();
    while push(&client, &process, &format!("d{pushed}"), &mut stands).await == 503 {
        assert!(began.elapsed() < WRITES_AGAIN_WITHIN, "writes do not go on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    pushed += 1;
    whole(&client, &process, pushed, &stands).await;
    // Findings that could not be written either come after.
    process.settle(&client).await;
    for id in stands.keys() {
        let flags = all(&client, &process, &format!("Flag?patient={id}&status=active&code=engagement-drop")).await;
        assert_eq!(flags.len(), 1, "{id}");
    }
    process.kill();
}

#[actix_web::test]
async fn on_a_read_only_disk_it_says_so_and_does_not_start() {
    if !can_mount() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("small.db").display());
    let mut command = on_tmpfs(folder.path(), "ro");
    command.args(["serve", "--auth", "none", "--listen", "127.0.0.1:0", "--database-url", &url]);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("small.db") && said.lines().count() == 1, "{said}");
}
