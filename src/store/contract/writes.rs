//! Versions, history, races, and what a crash or a dropped transaction may not do.

use super::fixture::*;
use super::on_both;
use crate::store::*;

on_both!(
    what_is_old_is_forgotten_whole,
    versions_stay_readable,
    history_is_newest_first,
    history_pages,
    a_late_version_goes_behind,
    deletion_and_return,
    the_same_key_twice,
    a_stale_version_conflicts,
    conditional_creators_race,
    counters_add_up,
    shared_commits_are_durable,
    a_dropped_transaction_leaves_nothing,
    a_failed_writer_harms_no_other,
    a_failed_transaction_cannot_commit,
    nobody_reads_what_is_not_committed,
    many_rows_at_once,
    facts_of_a_client,
    clients_page,
    marks_of_several_clients,
    ready,
);

async fn versions_stay_readable(f: Fixture) {
    f.write(vec![resource("Task", "a", 1).client("1")]).await;
    f.write(vec![Put { method: Method::Patch, ..resource("Task", "a", 2).client("1") }]).await;
    let current = f.store.read(&key("Task", "a")).await.unwrap().unwrap();
    assert_eq!((current.version, &*current.json, current.method), (2, "Task/a v2", Method::Patch));
    assert_eq!(current.updated, at(1_000_002));
    let first = f.store.read_version(&key("Task", "a"), 1).await.unwrap().unwrap();
    assert_eq!((&*first.json, first.method, first.version), ("Task/a v1", Method::Post, 1));
    assert_eq!(f.store.read_version(&key("Task", "a"), 2).await.unwrap().unwrap(), current);
    assert_eq!(f.store.read_version(&key("Task", "a"), 3).await.unwrap(), None);
    assert_eq!(f.store.read_version(&key("Task", "a"), u64::MAX).await.unwrap(), None);
    assert_eq!(f.store.read(&key("Task", "b")).await.unwrap(), None);
    assert_eq!(f.store.read(&key("Flag", "a")).await.unwrap(), None);
    assert_eq!(f.store.read(&key("Nonsense", "a")).await.unwrap(), None);
}

fn names(page: &Page) -> Vec<String> {
    page.versions.iter().map(|v| format!("{}{}", v.key.id, v.version)).collect()
}

async fn history_is_newest_first(f: Fixture) {
    f.write(vec![resource("Task", "a", 1).at(10), resource("Flag", "f", 1).at(11)]).await;
    f.write(vec![resource("Task", "a", 2).at(20)]).await;
    f.write(vec![resource("Task", "b", 1).at(30)]).await;
    f.write(vec![deleted("Task", "a", 3).at(40)]).await;
    let of = |of, since| f.store.history(of, since, 100, None);
    let task = HistoryOf::Instance(key("Task", "a"));
    let page = of(task.clone(), None).await.unwrap();
    assert_eq!(names(&page), ["a3", "a2", "a1"]);
    assert!(page.versions[0].deleted && page.versions[0].method == Method::Delete && page.versions[0].json.is_empty());
    assert_eq!(names(&of(task, Some(at(20))).await.unwrap()), ["a3", "a2"]);
    assert_eq!(names(&of(HistoryOf::Type("Task"), None).await.unwrap()), ["a3", "b1", "a2", "a1"]);
    assert_eq!(names(&of(HistoryOf::System, None).await.unwrap()), ["a3", "b1", "a2", "f1", "a1"]);
    assert_eq!(names(&of(HistoryOf::System, Some(at(11))).await.unwrap()), ["a3", "b1", "a2", "f1"]);
    assert_eq!(names(&of(HistoryOf::Type("Goal"), None).await.unwrap()), [""; 0]);
    assert_eq!(names(&of(HistoryOf::Instance(key("Task", "z")), None).await.unwrap()), [""; 0]);
}

async fn history_pages(f: Fixture) {
    for version in 1..=5 {
        // All at the same microsecond: ties must page too.
        f.write(vec![resource("Task", "a", version).at(7), resource("Task", "b", version).at(7)]).await;
    }
    for of in [HistoryOf::Type("Task"), HistoryOf::System, HistoryOf::Instance(key("Task", "a"))] {
        let whole = f.store.history(of.clone(), None, 100, None).await.unwrap();
        assert!(whole.next.is_none());
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = f.store.history(of.clone(), None, 3, after).await.unwrap();
            assert!(page.versions.len() <= 3);
            pages.extend(page.versions);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(pages, whole.versions);
        let page = f.store.history(of.clone(), None, 3, None).await.unwrap();
        let other = f.store.history(HistoryOf::Type("Flag"), None, 3, page.next).await;
        assert!(matches!(other, Err(StoreError::BadCursor)));
    }
}

async fn a_late_version_goes_behind(f: Fixture) {
    f.write(vec![resource("Appointment", "a", 1).client("1").event(b"new")]).await;
    let late = Put { behind: true, ..resource("Appointment", "a", 2).client("1").event(b"old") };
    f.write(vec![Put { sender_updated: Some(at(5)), ..late }]).await;
    assert_eq!(f.json(&key("Appointment", "a")).await.unwrap(), "Appointment/a v1");
    let mut tx = f.store.begin().await.unwrap();
    let heads = tx.heads(&[key("Appointment", "a")]).await.unwrap();
    assert_eq!((heads[0].version, heads[0].last_version), (1, 2));
    tx.put(vec![resource("Appointment", "a", 3).client("1").event(b"newest")]).await.unwrap();
    tx.commit().await.unwrap();
    let history = f.store.history(HistoryOf::Instance(key("Appointment", "a")), None, 9, None).await.unwrap();
    assert_eq!(names(&history), ["a3", "a2", "a1"]);
    let events = f.store.events("1").await.unwrap();
    let seen: Vec<_> = events.iter().map(|e| (e.version, e.current, e.event.as_slice())).collect();
    assert_eq!(seen, [(3, true, &b"newest"[..]), (1, false, b"new"), (2, false, b"old")]);
    assert_eq!(events[2].sender_updated, Some(at(5)));
    // Behind nothing: the caller is wrong about what stands.
    let nothing = Put { behind: true, ..resource("Appointment", "z", 1) };
    assert!(matches!(write(&*f.store, vec![nothing]).await, Err(StoreError::Conflict)));
}

async fn deletion_and_return(f: Fixture) {
    let task = |version| resource("Task", "a", version).client("1").token("status", "", "open").text("x", "y");
    f.write(vec![task(1).event(b"e")]).await;
    f.write(vec![deleted("Task", "a", 2).client("1")]).await;
    let open = query("Task").filter("status", &[code("open")]);
    assert_eq!(f.ids(&open).await, [""; 0]);
    assert_eq!(f.ids(&query("Task")).await, [""; 0]);
    assert!(f.store.read(&key("Task", "a")).await.unwrap().unwrap().deleted);
    let events = f.store.events("1").await.unwrap();
    assert!(events.len() == 1 && events[0].deleted && events[0].current && events[0].event.is_empty());
    assert_eq!(f.store.marks_each(&["1".into()], &["Task"]).await.unwrap(), [[]]);
    f.write(vec![task(3)]).await;
    assert_eq!(f.ids(&open).await, ["a"]);
    let history = f.store.history(HistoryOf::Instance(key("Task", "a")), None, 9, None).await.unwrap();
    assert_eq!(history.versions.iter().map(|v| v.deleted).collect::<Vec<_>>(), [false, true, false]);
}

async fn the_same_key_twice(f: Fixture) {
    let mut tx = f.store.begin().await.unwrap();
    tx.put(vec![resource("Task", "a", 1).text("x", "one"), resource("Task", "b", 1)]).await.unwrap();
    tx.put(vec![resource("Task", "a", 2).text("x", "two"), resource("Task", "a", 3).text("x", "three")]).await.unwrap();
    assert_eq!(tx.heads(&[key("Task", "a"), key("Task", "a")]).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
    assert_eq!(f.json(&key("Task", "a")).await.unwrap(), "Task/a v3");
    let history = f.store.history(HistoryOf::Instance(key("Task", "a")), None, 9, None).await.unwrap();
    assert_eq!(names(&history), ["a3", "a2", "a1"]);
    assert_eq!(f.ids(&query("Task").filter("x", &[Match::TextStarts("t".into())])).await, ["a"]);
    assert_eq!(f.ids(&query("Task").filter("x", &[Match::TextStarts("one".into())])).await, [""; 0]);
}

async fn a_stale_version_conflicts(f: Fixture) {
    f.write(vec![resource("Task", "a", 1)]).await;
    f.write(vec![resource("Task", "a", 2)]).await;
    for stale in [1, 2] {
        let outcome = write(&*f.store, vec![resource("Task", "b", 1), resource("Task", "a", stale)]).await;
        assert!(matches!(outcome, Err(StoreError::Conflict)), "version {stale}");
    }
    assert_eq!(f.json(&key("Task", "a")).await.unwrap(), "Task/a v2");
    assert_eq!(f.json(&key("Task", "b")).await, None);
}

/// Runs a write again while it loses races.
async fn retried<F: Future<Output = Result<()>>>(mut attempt: impl FnMut() -> F) {
    for _ in 0..100 {
        match attempt().await {
            Ok(()) => return,
            Err(StoreError::Conflict) => {}
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }
    panic!("lost a hundred races");
}

async fn conditional_creators_race(f: Fixture) {
    let stores = [f.again().await, f.store.clone()];
    // On SQLite the second store stands for a second process, which shares the file.
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move {
                retried(|| async {
                    let criteria = query("Patient").filter("identifier", &[coded("urn:mrn", "7")]);
                    let mut tx = store.begin().await?;
                    if tx.matches(&criteria, 2).await?.is_empty() {
                        let patient = resource("Patient", &format!("p{number}"), 1);
                        tx.put(vec![patient.token("identifier", "urn:mrn", "7")]).await?;
                    }
                    tx.commit().await
                })
                .await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(f.ids(&query("Patient")).await.len(), 1);
}

async fn counters_add_up(f: Fixture) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = f.store.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    retried(|| async {
                        let mut tx = store.begin().await?;
                        let heads = tx.heads(&[key("Task", "counter")]).await?;
                        let (version, count) =
                            heads.first().map_or((0, 0), |head| (head.last_version, head.json.parse::<u64>().unwrap()));
                        let next =
                            Put { json: (count + 1).to_string().into(), ..resource("Task", "counter", version + 1) };
                        tx.put(vec![next]).await?;
                        tx.commit().await
                    })
                    .await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(f.json(&key("Task", "counter")).await.unwrap(), "80");
    let history = f.store.history(HistoryOf::Instance(key("Task", "counter")), None, 100, None).await.unwrap();
    assert_eq!(history.versions.len(), 80);
}

async fn shared_commits_are_durable(f: Fixture) {
    let tasks: Vec<_> = (0..32)
        .map(|number| {
            let store = f.store.clone();
            let other = f.store.clone();
            tokio::spawn(async move {
                for round in 0..5 {
                    let id = format!("t{number}-{round}");
                    write(&*store, vec![resource("Task", &id, 1).client("1")]).await.unwrap();
                    // Acknowledged: seen by the next read.
                    assert!(other.read(&key("Task", &id)).await.unwrap().is_some());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let again = f.again().await;
    assert_eq!(again.search(&query("Task").count(1000)).await.unwrap().versions.len(), 160);
}

async fn a_dropped_transaction_leaves_nothing(f: Fixture) {
    let mut tx = f.store.begin().await.unwrap();
    tx.put(vec![resource("Task", "a", 1)]).await.unwrap();
    tx.enqueue(&["1".into()], at(5)).await.unwrap();
    drop(tx);
    f.write(vec![resource("Task", "b", 1)]).await;
    assert_eq!(f.json(&key("Task", "a")).await, None);
    assert_eq!(f.store.pending(at(9)).await.unwrap(), 0);

    // Requests that are cancelled anywhere, among others that are not.
    let mut dice = Dice(42);
    let tasks: Vec<_> = (0..60)
        .map(|number| {
            let store = f.store.clone();
            let wait = std::time::Duration::from_micros(dice.roll(3000));
            tokio::spawn(async move {
                let work = write(&*store, vec![resource("Task", &format!("c{number}"), 1)]);
                if number % 3 == 0 {
                    let _ = tokio::time::timeout(wait, work).await;
                } else {
                    work.await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for number in (0..60).filter(|number| number % 3 != 0) {
        assert!(f.json(&key("Task", &format!("c{number}"))).await.is_some());
    }
    f.write(vec![resource("Task", "z", 1)]).await;
}

async fn a_failed_writer_harms_no_other(f: Fixture) {
    f.write(vec![resource("Task", "taken", 1)]).await;
    let tasks: Vec<_> = (0..24)
        .map(|number| {
            let store = f.store.clone();
            tokio::spawn(async move {
                let mut puts = vec![resource("Task", &format!("t{number}"), 1)];
                if number % 4 == 0 {
                    puts.push(resource("Task", "taken", 1));
                }
                (number, write(&*store, puts).await)
            })
        })
        .collect();
    for task in tasks {
        let (number, outcome) = task.await.unwrap();
        let stands = f.json(&key("Task", &format!("t{number}"))).await.is_some();
        assert_eq!(outcome.is_ok(), number % 4 != 0);
        assert_eq!(stands, number % 4 != 0);
    }
}

async fn a_failed_transaction_cannot_commit(f: Fixture) {
    f.write(vec![resource("Task", "taken", 1)]).await;
    let mut tx = f.store.begin().await.unwrap();
    tx.put(vec![resource("Task", "a", 1)]).await.unwrap();
    assert!(matches!(tx.put(vec![resource("Task", "taken", 1)]).await, Err(StoreError::Conflict)));
    assert!(tx.commit().await.is_err());
    assert_eq!(f.json(&key("Task", "a")).await, None);
    f.write(vec![resource("Task", "a", 1)]).await;
}

async fn nobody_reads_what_is_not_committed(f: Fixture) {
    let mut tx = f.store.begin().await.unwrap();
    tx.put(vec![resource("Task", "a", 1)]).await.unwrap();
    assert_eq!(tx.heads(&[key("Task", "a")]).await.unwrap().len(), 1);
    assert_eq!(tx.matches(&query("Task"), 9).await.unwrap().len(), 1);
    assert_eq!(f.json(&key("Task", "a")).await, None);
    assert_eq!(f.ids(&query("Task")).await, [""; 0]);
    tx.commit().await.unwrap();
    assert!(f.json(&key("Task", "a")).await.is_some());
}

async fn many_rows_at_once(f: Fixture) {
    let tasks = |version| {
        let task = |n| {
            let task = resource("Task", &format!("t{n}"), version).client(&format!("c{}", n % 7));
            (0..6).fold(task, |task, term| task.token("code", "urn:s", &format!("{n}-{term}-{version}")))
        };
        (0..1003).map(task).collect::<Vec<_>>()
    };
    f.write(tasks(1)).await;
    f.write(tasks(2)).await;
    let keys: Vec<Key> = (0..1003).map(|n| key("Task", &format!("t{n}"))).collect();
    let mut tx = f.store.begin().await.unwrap();
    let heads = tx.heads(&keys).await.unwrap();
    assert!(heads.len() == 1003 && heads.iter().all(|head| head.version == 2 && head.hash == [2; 16]));
    tx.commit().await.unwrap();
    for n in [0, 63, 64, 512, 1002] {
        assert_eq!(
            f.ids(&query("Task").filter("code", &[coded("urn:s", &format!("{n}-5-2"))])).await,
            [format!("t{n}")]
        );
        assert_eq!(f.ids(&query("Task").filter("code", &[coded("urn:s", &format!("{n}-5-1"))])).await, [""; 0]);
        assert_eq!(f.json(&key("Task", &format!("t{n}"))).await.unwrap(), format!("Task/t{n} v2"));
    }
    let total = f.store.search(&Query { total: true, count: 0, ..query("Task") }).await.unwrap();
    assert_eq!((total.total, total.versions.len()), (Some(1003), 0));
}

async fn facts_of_a_client(f: Fixture) {
    f.write(vec![
        resource("Appointment", "a", 1).client("A").event(b"a1"),
        resource("Task", "t", 1).client("A").event(b"t1"),
        resource("Questionnaire", "q", 1).event(b"q1"),
        resource("Basic", "n", 1).client("A"),
    ])
    .await;
    f.write(vec![
        resource("Appointment", "a", 2).client("A").event(b"a2"),
        resource("Task", "t", 2).client("A").event(b"t2"),
        resource("Questionnaire", "q", 2).event(b"q2"),
    ])
    .await;
    let seen = |events: &[StoredEvent]| {
        let text = |e: &StoredEvent| (String::from_utf8_lossy(&e.event).into_owned(), e.current);
        events.iter().map(text).collect::<Vec<_>>()
    };
    let expected = [("a2", true), ("t2", true), ("a1", false)].map(|(event, current)| (event.to_owned(), current));
    assert_eq!(seen(&f.store.events("A").await.unwrap()), expected);
    assert_eq!(seen(&f.store.events_of("Questionnaire").await.unwrap()), [("q2".to_owned(), true)]);
    // Moved to another client: no fact about the first any more.
    f.write(vec![resource("Appointment", "a", 3).client("B").event(b"a3")]).await;
    assert_eq!(seen(&f.store.events("A").await.unwrap()), [("t2".to_owned(), true)]);
    assert_eq!(seen(&f.store.events("B").await.unwrap()), [("a3".to_owned(), true)]);
    assert_eq!(f.store.events("nobody").await.unwrap(), []);
}

async fn clients_page(f: Fixture) {
    let mut puts: Vec<Put> =
        (0..25).map(|n| resource("Task", &format!("t{n}"), 1).client(&format!("c{n:02}")).event(b"e")).collect();
    puts.extend((0..25).map(|n| resource("Goal", &format!("g{n}"), 1).client(&format!("c{n:02}x"))));
    puts.push(resource("Task", "none", 1).event(b"e"));
    f.write(puts).await;
    let expected: Vec<String> = (0..25).map(|n| format!("c{n:02}")).collect();
    for size in [1, 4, 25, 100] {
        let mut found: Vec<String> = Vec::new();
        loop {
            let page = f.store.clients(found.last().map(String::as_str), size).await.unwrap();
            assert!(page.len() <= size);
            found.extend(page.iter().map(ToString::to_string));
            if page.len() < size {
                break;
            }
        }
        assert_eq!(found, expected);
    }
    let mut tx = f.store.begin().await.unwrap();
    assert_eq!(tx.enqueue_all(at(3)).await.unwrap(), 25);
    tx.commit().await.unwrap();
    assert_eq!(f.store.pending(at(3)).await.unwrap(), 25);
}

async fn marks_of_several_clients(f: Fixture) {
    f.write(vec![
        resource("Flag", "f1", 1).client("1").token("status", "", "active"),
        resource("Observation", "o1", 1).client("1"),
        resource("Flag", "f2", 1).client("2"),
        resource("Task", "t1", 1).client("1"),
    ])
    .await;
    let clients = ["2".into(), "nobody".into(), "1".into()];
    let marks = f.store.marks_each(&clients, &["Flag", "Observation"]).await.unwrap();
    let keys: Vec<Vec<Key>> = marks.iter().map(|all| all.iter().map(|mark| mark.key.clone()).collect()).collect();
    assert_eq!(keys, [vec![key("Flag", "f2")], vec![], vec![key("Flag", "f1"), key("Observation", "o1")]]);
    let flag = &marks[2][0];
    assert_eq!((flag.version, flag.status.as_deref(), flag.hash), (1, Some("active"), resource("Flag", "f1", 1).hash));
    assert_eq!(f.store.marks_each(&clients, &[]).await.unwrap(), [[], [], []]);
    let mut read = f.store.read_all(&[key("Flag", "f1"), key("Task", "t1"), key("Task", "none")]).await.unwrap();
    read.sort_by(|a, b| a.key.cmp(&b.key));
    let texts: Vec<&str> = read.iter().map(|version| &*version.json).collect();
    assert_eq!(texts, ["Flag/f1 v1", "Task/t1 v1"]);
}

async fn ready(f: Fixture) {
    f.store.ready().await.unwrap();
    // Several processes that start together.
    let urls: Vec<_> = (0..4).map(|_| f.url.clone()).collect();
    let starts: Vec<_> = urls.into_iter().map(|url| tokio::spawn(async move { connect(&url).await })).collect();
    for start in starts {
        start.await.unwrap().unwrap().ready().await.unwrap();
    }
}

async fn what_is_old_is_forgotten_whole(f: Fixture) {
    let store = &*f.store;
    for id in ["a", "b", "c"] {
        f.write(vec![resource("AuditEvent", id, 1)]).await;
    }
    f.write(vec![resource("AuditEvent", "c", 2), resource("Task", "a", 1)]).await;
    assert_eq!(store.forget("AuditEvent", at(1_000_001), 10).await.unwrap(), 0);
    assert_eq!(store.forget("AuditEvent", at(1_000_002), 1).await.unwrap(), 1);
    assert_eq!(store.forget("AuditEvent", at(1_000_002), 10).await.unwrap(), 1);
    let left = f.ids(&Query { kind: "AuditEvent", count: 10, ..Query::default() }).await;
    assert_eq!(left, ["c"], "written anew since");
    assert!(f.json(&key("Task", "a")).await.is_some(), "another type");
    assert_eq!(store.forget("AuditEvent", at(1_000_003), 10).await.unwrap(), 1);
    let history = store.history(HistoryOf::Type("AuditEvent"), None, 10, None).await.unwrap();
    assert_eq!(history.versions.len(), 0, "{history:?}");
    f.write(vec![resource("AuditEvent", "a", 1)]).await;
}
