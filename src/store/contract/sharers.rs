//! Resources that belong to several clients.

use super::fixture::*;
use super::on_both;
use crate::store::*;

on_both!(
    each_has_the_fact_as_it_is_for_them,
    whoever_left_has_it_no_more,
    each_finds_it_in_their_compartment,
    each_has_its_history,
    all_are_clients_with_facts,
);

fn shared(id: &str, version: u64, clients: &[&str]) -> Put {
    let event = |client: &str| format!("{client} {version}").into_bytes();
    let sharers = clients[1..].iter().map(|client| Sharer { client: (*client).into(), event: Some(event(client)) });
    let mut put = resource("Appointment", id, version).client(clients[0]).event(&event(clients[0]));
    put.sharers = sharers.collect();
    put
}

/// `version current fact` of each.
async fn facts(store: &dyn Store, client: &str) -> Vec<String> {
    let events = store.events(client).await.unwrap().into_iter();
    let text = |event: Vec<u8>| String::from_utf8(event).unwrap();
    events.map(|event| format!("{} {} {}", event.version, event.current, text(event.event))).collect()
}

async fn each_has_the_fact_as_it_is_for_them(f: Fixture) {
    let store = &*f.store;
    f.write(vec![shared("1", 1, &["a", "b", "c"])]).await;
    assert_eq!(facts(store, "a").await, ["1 true a 1"]);
    assert_eq!(facts(store, "b").await, ["1 true b 1"]);
    // In one call with others, in another order: the first is whoever is named first.
    f.write(vec![shared("1", 2, &["b", "a"]), resource("Task", "1", 1).client("b").event(b"task")]).await;
    assert_eq!(facts(store, "a").await, ["2 true a 2", "1 false a 1"]);
    assert_eq!(facts(store, "b").await, ["2 true b 2", "1 true task", "1 false b 1"]);
    let behind = Put { behind: true, ..shared("1", 3, &["a", "b"]) };
    f.write(vec![behind]).await;
    assert_eq!(facts(store, "a").await, ["2 true a 2", "1 false a 1", "3 false a 3"]);
    assert_eq!(facts(store, "b").await, ["2 true b 2", "1 true task", "1 false b 1", "3 false b 3"]);
}

async fn whoever_left_has_it_no_more(f: Fixture) {
    let store = &*f.store;
    f.write(vec![shared("1", 1, &["a", "b"])]).await;
    f.write(vec![shared("1", 2, &["a"])]).await;
    assert_eq!(facts(store, "b").await, [""; 0]);
    assert_eq!(facts(store, "a").await, ["2 true a 2", "1 false a 1"]);
    f.write(vec![shared("1", 3, &["b"])]).await;
    assert_eq!(facts(store, "a").await, [""; 0]);
    assert_eq!(facts(store, "b").await, ["3 true b 3", "1 false b 1"]);
    let mut gone = deleted("Appointment", "1", 4).client("b");
    gone.sharers = vec![Sharer { client: "a".into(), event: None }];
    f.write(vec![gone]).await;
    assert!(store.events("a").await.unwrap().iter().any(|event| event.current && event.deleted));
}

async fn each_finds_it_in_their_compartment(f: Fixture) {
    let store = &*f.store;
    f.write(vec![shared("1", 1, &["a", "b"]).date("date", 10, 11), shared("2", 1, &["b"]).date("date", 5, 6)]).await;
    let of = |client: &str| Query { client: Some(client.into()), total: true, ..query("Appointment") };
    let ids = async |query: Query| {
        let page = store.search(&query).await.unwrap();
        let mut ids: Vec<String> = page.versions.iter().map(|version| version.key.id.to_string()).collect();
        ids.sort();
        assert_eq!(page.total, Some(ids.len() as u64));
        ids
    };
    assert_eq!(ids(of("a")).await, ["1"]);
    assert_eq!(ids(of("b")).await, ["1", "2"]);
    assert_eq!(ids(of("c")).await, [""; 0]);
    let allowed = vec![Allowed { client: Some("b".into()), filters: Vec::new() }];
    assert_eq!(ids(Query { allowed, total: true, ..query("Appointment") }).await, ["1", "2"]);
    f.write(vec![shared("1", 2, &["a"])]).await;
    assert_eq!(ids(of("b")).await, ["2"]);
}

async fn each_has_its_history(f: Fixture) {
    let store = &*f.store;
    f.write(vec![shared("1", 1, &["a", "b"])]).await;
    f.write(vec![shared("1", 2, &["a"])]).await;
    let versions = async |client: &str| {
        let within = HistoryOf::Within(vec![("Appointment", Some(client.into()))]);
        let page = store.history(within, None, 10, None).await.unwrap();
        page.versions.iter().map(|version| version.version).collect::<Vec<_>>()
    };
    assert_eq!((versions("a").await, versions("b").await, versions("c").await), (vec![2, 1], vec![1], vec![]));
}

async fn all_are_clients_with_facts(f: Fixture) {
    let store = &*f.store;
    f.write(vec![shared("1", 1, &["b", "a", "d"]), resource("Task", "1", 1).client("c").event(b"task")]).await;
    let all = async |after, count| {
        let clients = store.clients(after, count).await.unwrap();
        clients.iter().map(|client| client.to_string()).collect::<Vec<_>>().join("")
    };
    assert_eq!(all(None, 10).await, "abcd");
    assert_eq!(
        (all(None, 2).await, all(Some("b"), 2).await, all(Some("d"), 2).await),
        ("ab".into(), "cd".into(), "".into())
    );
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.enqueue_all(at(5)).await.unwrap(), 4);
    tx.commit().await.unwrap();
}
