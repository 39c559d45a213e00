//! What an operator does: backup and restore, and what is said when the database cannot be opened.

use crate::server::{Backend, Place, Server};
use crate::story::{start_for, withdrawing};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn tautline(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tautline")).args(args).output().expect("the program runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[actix_web::test]
async fn a_backup_of_a_running_server_is_a_database() {
    let place = Place::new(Backend::Sqlite).await.expect("SQLite");
    let server = Server::start(&place).await;
    server.push(&withdrawing("b", &start_for(15), 3)).await;
    server.settle().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("copy.db");
    let name = file.to_string_lossy().into_owned();
    let run = || {
        let (url, name) = (place.url.clone(), name.clone());
        tokio::task::spawn_blocking(move || tautline(&["backup", &name, "--auth", "none", "--database-url", &url]))
    };
    let later = withdrawing("later", &start_for(15), 3);
    let (done, written) = tokio::join!(run(), server.push(&later));
    let done = done.expect("its end");
    assert!(done.status.success() && stderr(&done).is_empty(), "{}", stderr(&done));
    written.expect(200);

    // Restoring is opening it.
    let restored = Place { url: format!("sqlite://{name}"), ..Place::new(Backend::Sqlite).await.expect("SQLite") };
    let copy = Server::start(&restored).await;
    copy.settle().await;
    for search in ["Flag?patient=b", "Observation?patient=b", "Task?patient=b"] {
        assert_eq!(copy.all(search).await, server.all(search).await, "{search}");
    }
    let (history, before) = (copy.get("/fhir/Patient/b/_history").await, server.get("/fhir/Patient/b/_history").await);
    assert_eq!(history.expect(200).json()["total"], before.expect(200).json()["total"]);
    // A client is in it whole or not at all.
    let later = copy.all("Appointment?patient=later").await.len();
    assert!(later == 0 || later == server.all("Appointment?patient=later").await.len(), "{later}");
    copy.stop().await;
    server.stop().await;

    // Nothing is overwritten.
    let again = run().await.expect("its end");
    assert!(!again.status.success() && stderr(&again).contains("exists already"), "{}", stderr(&again));
}

#[actix_web::test]
async fn what_cannot_be_opened_is_named_in_one_line() {
    let database = |url: &str| tautline(&["migrate", "--auth", "none", "--database-url", url]);
    let sqlite = database("sqlite:///nowhere/at/all/t.db");
    assert!(!sqlite.status.success());
    assert!(
        stderr(&sqlite).contains("/nowhere/at/all/t.db") && stderr(&sqlite).lines().count() == 1,
        "{}",
        stderr(&sqlite)
    );

    let began = Instant::now();
    let postgres = database("postgres://somebody:secret@127.0.0.1:1/db");
    let said = stderr(&postgres);
    assert!(!postgres.status.success() && began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(said.contains("127.0.0.1:1") && said.lines().count() == 1, "{said}");
    assert!(!said.contains("secret") && !said.contains("somebody"), "{said}");

    let args = ["backup", "/tmp/never", "--auth", "none", "--database-url", "postgres://u@127.0.0.1:1/db"];
    assert!(stderr(&tautline(&args)).contains("pg_dump"));
}

#[actix_web::test]
async fn migrating_says_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("t.db").display());
    for _ in 0..2 {
        let done = tautline(&["migrate", "--auth", "none", "--database-url", &url]);
        assert!(done.status.success() && done.stderr.is_empty() && done.stdout.is_empty(), "{}", stderr(&done));
    }
}
