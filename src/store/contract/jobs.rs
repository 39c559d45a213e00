//! The queue of clients to assess again.

use super::fixture::*;
use super::on_both;
use crate::store::*;
use std::collections::HashSet;
use std::time::Duration;

on_both!(
    a_job_lives_and_is_done,
    new_facts_while_it_runs,
    a_lease_ends,
    a_lease_is_renewed,
    whoever_waits_is_told,
    too_many_writers_are_refused_at_once,
    claimers_never_share,
    what_findings_rest_on,
    the_earliest_time_stands,
    all_or_nothing_with_the_write,
);

async fn enqueue(store: &dyn Store, clients: &[&str], due: i64) {
    let clients: Vec<Arc<str>> = clients.iter().map(|client| Arc::from(*client)).collect();
    let mut tx = store.begin().await.unwrap();
    tx.enqueue(&clients, at(due)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn finish(store: &dyn Store, job: &Job, next: Option<i64>) {
    end(store, End { job: job.clone(), next: next.map(at), standing: None }).await;
}

async fn end(store: &dyn Store, end: End) {
    let mut tx = store.begin().await.unwrap();
    tx.finish(&[end]).await.unwrap();
    tx.commit().await.unwrap();
}

/// What findings rest on is known as long as no fact comes, whoever is made due.
async fn what_findings_rest_on(f: Fixture) {
    let store = &*f.store;
    f.write(vec![resource("Task", "t", 1).client("a").event(b"fact")]).await;
    let all_due = async || {
        let mut tx = store.begin().await.unwrap();
        tx.enqueue_all(at(10)).await.unwrap();
        tx.commit().await.unwrap();
    };
    let claim = async || store.claim(at(10), at(99), 9).await.unwrap().remove(0);
    let standing = Standing { release: [1; 16], inputs: [2; 16], from: at(3), until: Some(at(50)) };
    let done = |job: &Job, standing| End { job: job.clone(), next: Some(at(51)), standing };
    enqueue(store, &["a"], 10).await;
    let job = claim().await;
    assert_eq!(job.standing, None);
    end(store, done(&job, Some(standing))).await;
    // Everybody is looked at again: no fact has come.
    all_due().await;
    let job = claim().await;
    assert_eq!(job.standing, Some(standing));
    let open = Standing { until: None, ..standing };
    end(store, done(&job, Some(open))).await;
    all_due().await;
    let job = claim().await;
    assert_eq!(job.standing, Some(open));
    // A fact comes while it is looked at.
    enqueue(store, &["a"], 10).await;
    end(store, done(&job, Some(open))).await;
    let job = claim().await;
    assert_eq!(job.standing, None);
    end(store, done(&job, Some(open))).await;
    // One comes, and all are looked at.
    enqueue(store, &["a"], 10).await;
    all_due().await;
    let job = claim().await;
    assert_eq!(job.standing, None);
    // To be assessed whenever it is looked at.
    end(store, done(&job, None)).await;
    all_due().await;
    assert_eq!(claim().await.standing, None);
}

async fn a_job_lives_and_is_done(f: Fixture) {
    let store = &*f.store;
    assert_eq!(store.next_due().await.unwrap(), None);
    enqueue(store, &["b", "a", "a"], 10).await;
    assert_eq!(store.next_due().await.unwrap(), Some(at(10)));
    assert_eq!((store.pending(at(9)).await.unwrap(), store.pending(at(10)).await.unwrap()), (0, 2));
    assert_eq!(store.claim(at(9), at(99), 10).await.unwrap(), []);
    assert_eq!(store.claim(at(10), at(99), 0).await.unwrap(), []);
    let jobs = store.claim(at(10), at(99), 10).await.unwrap();
    assert_eq!(jobs.iter().map(|job| &*job.client).collect::<Vec<_>>(), ["a", "b"]);
    assert!(jobs.iter().all(|job| job.generation == 1 && job.due == at(10)));
    assert_eq!(store.claim(at(10), at(99), 10).await.unwrap(), []);
    assert_eq!(store.pending(at(10)).await.unwrap(), 2);
    assert_eq!(store.next_due().await.unwrap(), Some(at(99)));
    finish(store, &jobs[0], None).await;
    finish(store, &jobs[1], Some(50)).await;
    assert_eq!(store.pending(at(49)).await.unwrap(), 0);
    assert_eq!(store.next_due().await.unwrap(), Some(at(50)));
    assert_eq!(store.claim(at(50), at(99), 10).await.unwrap().len(), 1);
    // Done for good, then new: its generation goes on.
    enqueue(store, &["a"], 60).await;
    assert_eq!(store.claim(at(60), at(98), 10).await.unwrap()[0].generation, 2);
}

async fn new_facts_while_it_runs(f: Fixture) {
    let store = &*f.store;
    enqueue(store, &["a"], 10).await;
    let job = store.claim(at(10), at(99), 1).await.unwrap().remove(0);
    enqueue(store, &["a"], 11).await;
    // Still claimed: one at a time.
    assert_eq!(store.claim(at(20), at(99), 1).await.unwrap(), []);
    finish(store, &job, Some(1000)).await;
    let again = store.claim(at(20), at(99), 1).await.unwrap();
    assert_eq!((again.len(), again[0].generation), (1, 2));
    finish(store, &again[0], None).await;
    assert_eq!(store.next_due().await.unwrap(), None);
}

async fn a_lease_ends(f: Fixture) {
    let store = &*f.store;
    enqueue(store, &["a"], 10).await;
    let lost = store.claim(at(10), at(20), 1).await.unwrap().remove(0);
    assert_eq!(store.claim(at(19), at(99), 1).await.unwrap(), []);
    let other = f.again().await;
    assert_eq!(other.claim(at(20), at(99), 1).await.unwrap(), [lost]);
}

async fn a_lease_is_renewed(f: Fixture) {
    let store = &*f.store;
    enqueue(store, &["a", "b", "c"], 10).await;
    let jobs = store.claim(at(10), at(20), 3).await.unwrap();
    finish(store, &jobs[2], None).await;
    store.renew(&jobs, at(20), at(30)).await.unwrap();
    // Whoever opens the file anew frees what its last process had claimed.
    let other = if f.url.starts_with("sqlite:") { f.store.clone() } else { f.again().await };
    assert_eq!(other.claim(at(29), at(99), 3).await.unwrap(), []);
    // What is done, or another's by now, is not held.
    assert_eq!(other.claim(at(30), at(40), 3).await.unwrap(), jobs[..2]);
    store.renew(&jobs, at(30), at(99)).await.unwrap();
    assert_eq!(other.claim(at(40), at(99), 3).await.unwrap(), jobs[..2]);
}

/// The longest wait for what comes at once, on a machine under load.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

async fn whoever_waits_is_told(f: Fixture) {
    let told = |store: Arc<dyn Store>| async move { tokio::time::timeout(TOLD_WITHIN, store.rung()).await };
    if !f.url.starts_with("sqlite:") {
        // As soon as it listens, it looks.
        assert_eq!(told(f.store.clone()).await, Ok(Timestamp::MIN));
    }
    enqueue(&*f.store, &["a"], 10).await;
    assert_eq!(told(f.store.clone()).await, Ok(at(10)));
    // What is rolled back is not told.
    let mut tx = f.store.begin().await.unwrap();
    tx.enqueue(&["b".into()], at(11)).await.unwrap();
    drop(tx);
    enqueue(&*f.store, &["c", "d"], 13).await;
    enqueue(&*f.store, &["e"], 12).await;
    assert_eq!(told(f.store.clone()).await, Ok(at(12)));
    if f.url.starts_with("sqlite:") {
        return;
    }
    // In another process.
    let other = f.again().await;
    assert_eq!(told(other.clone()).await, Ok(Timestamp::MIN));
    tokio::time::sleep(Duration::from_millis(100)).await;
    enqueue(&*f.store, &["f"], 14).await;
    assert_eq!(told(other.clone()).await, Ok(at(14)));
    // The connection is lost: it looks again.
    let db = sea_orm::Database::connect(&f.url).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    sea_orm::ConnectionTrait::execute_unprepared(&db, cut).await.unwrap();
    assert_eq!(told(other.clone()).await, Ok(Timestamp::MIN));
    tokio::time::sleep(Duration::from_millis(100)).await;
    enqueue(&*f.store, &["g"], 15).await;
    assert_eq!(told(other).await, Ok(at(15)));
}

async fn too_many_writers_are_refused_at_once(f: Fixture) {
    let store = sea::connect_with(sea::ConnectOptions { writers_max: 2, ..sea::ConnectOptions::new(&f.url) });
    let store = store.await.unwrap();
    let first = store.begin().await.unwrap();
    // On SQLite it waits for its turn.
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let second = tokio::spawn({
        let store = store.clone();
        async move {
            let tx = store.begin().await.unwrap();
            let _ = wait.await;
            tx.commit().await
        }
    });
    let both = async {
        while store.figures().writers < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(TOLD_WITHIN, both).await.unwrap();
    assert!(store.is_crowded());
    assert!(matches!(store.begin().await, Err(StoreError::Busy)));
    assert_eq!(store.figures().shed, 2);
    // Our own work is nobody's to refuse.
    let claimed = tokio::spawn({
        let store = store.clone();
        async move { store.claim(at(1), at(2), 1).await }
    });
    drop(first);
    go.send(()).unwrap();
    second.await.unwrap().unwrap();
    claimed.await.unwrap().unwrap();
    store.begin().await.unwrap().commit().await.unwrap();
    assert_eq!(store.figures().writers, 0);
}

async fn claimers_never_share(f: Fixture) {
    let names: Vec<String> = (0..200).map(|n| format!("c{n:03}")).collect();
    enqueue(&*f.store, &names.iter().map(String::as_str).collect::<Vec<_>>(), 10).await;
    let stores = [f.store.clone(), f.again().await];
    let tasks: Vec<_> = (0..6)
        .map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move {
                let (mut mine, mut idle) = (Vec::new(), 0);
                while idle < 3 {
                    let jobs = store.claim(at(10), at(1_000_000), 7).await.unwrap();
                    idle = if jobs.is_empty() { idle + 1 } else { 0 };
                    mine.extend(jobs.into_iter().map(|job| job.client));
                }
                mine
            })
        })
        .collect();
    let mut seen = HashSet::new();
    for task in tasks {
        for client in task.await.unwrap() {
            assert!(seen.insert(client.clone()), "{client} was claimed twice");
        }
    }
    assert_eq!(seen.len(), 200);
}

async fn the_earliest_time_stands(f: Fixture) {
    let store = &*f.store;
    for due in [50, 40, 60] {
        enqueue(store, &["a"], due).await;
    }
    assert_eq!(store.next_due().await.unwrap(), Some(at(40)));
    assert_eq!(store.claim(at(40), at(99), 1).await.unwrap()[0].generation, 3);
}

async fn all_or_nothing_with_the_write(f: Fixture) {
    f.write(vec![resource("Task", "a", 1)]).await;
    let mut tx = f.store.begin().await.unwrap();
    tx.enqueue(&["1".into()], at(10)).await.unwrap();
    assert!(matches!(tx.put(vec![resource("Task", "a", 1)]).await, Err(StoreError::Conflict)));
    drop(tx);
    assert_eq!(f.store.pending(at(10)).await.unwrap(), 0);
    let mut tx = f.store.begin().await.unwrap();
    tx.put(vec![resource("Task", "b", 1)]).await.unwrap();
    tx.enqueue(&["1".into()], at(10)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(f.store.pending(at(10)).await.unwrap(), 1);
}
