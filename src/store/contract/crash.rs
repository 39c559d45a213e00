//! A process that is killed while it writes: nothing it acknowledged is missing, nothing is half there, and no
//! assessment is forgotten.

use super::fixture::*;
use super::on_both;
use crate::store::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

on_both!(killed_while_writing);

const URL_VARIABLE: &str = "TAUTLINE_TEST_CRASH_URL";
const WRITERS: usize = 6;
const ROWS: usize = 3;

fn id(writer: usize, round: u64, row: usize) -> String {
    format!("w{writer}-{round}-{row}")
}

fn client(writer: usize, round: u64) -> Arc<str> {
    format!("c{writer}-{round}").into()
}

/// The process that is killed: this test binary again, with the database's URL in its environment. As one of the
/// ordinary tests it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer() {
    let Ok(url) = std::env::var(URL_VARIABLE) else { return };
    let store = connect(&url).await.expect("a store");
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0.. {
                let mut tx = store.begin().await.expect("a transaction");
                let client = client(writer, round);
                let puts = (0..ROWS).map(|row| resource("Task", &id(writer, round, row), 1).client(&client));
                tx.put(puts.collect()).await.expect("a write");
                tx.enqueue(&[client], at(1)).await.expect("a job");
                tx.commit().await.expect("a commit");
                // One write to the pipe, whole or not at all.
                let _ = std::io::stdout().lock().write_all(format!("\nacknowledged {writer} {round}\n").as_bytes());
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("a writer");
    }
}

async fn killed_while_writing(f: Fixture) {
    let name = format!("{}::writer", module_path!().split_once("::").expect("a path").1);
    let mut child = Command::new(std::env::current_exe().expect("our own program"))
        .args(["--exact", &name, "--nocapture"])
        .env(URL_VARIABLE, &f.url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a second process");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let reading = tokio::task::spawn_blocking(move || {
        let mut acknowledged = Vec::new();
        for line in output.lines().map_while(|line| line.ok()) {
            let mut words = line.split(' ');
            if let (Some("acknowledged"), Some(writer), Some(round)) = (words.next(), words.next(), words.next()) {
                acknowledged.push((writer.parse::<usize>().expect("a writer"), round.parse::<u64>().expect("a round")));
            }
        }
        acknowledged
    });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    child.kill().expect("the kill");
    child.wait().expect("its end");
    let acknowledged = reading.await.expect("what was acknowledged");
    assert!(acknowledged.len() > WRITERS, "it wrote {} times only", acknowledged.len());

    let store = f.again().await;
    for (writer, round) in &acknowledged {
        for row in 0..ROWS {
            let found = store.read(&key("Task", &id(*writer, *round, row))).await.unwrap();
            assert!(found.is_some(), "writer {writer}, round {round}, row {row} is missing");
        }
    }
    // What stands, stands whole, acknowledged or not, with its job.
    let total = store.search(&Query { total: true, count: 0, ..query("Task") }).await.unwrap().total.unwrap();
    let jobs = store.pending(at(1)).await.unwrap();
    assert_eq!(total, jobs * ROWS as u64);
    assert!(jobs >= acknowledged.len() as u64);
}
