//! Findings published step by step under disorder: clients whose resources come shuffled, one at a time. What stands at
//! the end is what one Bundle in order gives, and the writes on the way are few. Larger:
//! `TAUTLINE_DISORDER="100 20" cargo test --test api disorder::sqlite -- --nocapture` (clients, slots).

use crate::server::{Backend, Place, Server};
use crate::story::{start_for, withdrawing};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// In the larger load nobody waits for the findings.
const FINDINGS_WITHIN: Duration = Duration::from_secs(1_800);
/// Findings written per resource pushed: 25.8 where each is assessed by itself, fewer where several fall into one.
const WRITES_PER_RESOURCE_MAX: f64 = 30.0;

/// In an order that has nothing to do with theirs, the same for the same seed (a linear congruential generator).
pub fn shuffled(resources: &[Value], seed: u64) -> Vec<Value> {
    let mut state = seed;
    let mut keyed: Vec<(u64, &Value)> = resources
        .iter()
        .map(|resource| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11, resource)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, resource)| resource.clone()).collect()
}

/// By id: what is said (not entered in error), without what depends on the moment of publishing.
pub async fn said(server: &Server) -> (BTreeMap<String, Value>, Counted) {
    let (mut out, mut counted) = (BTreeMap::new(), Counted::default());
    for kind in ["Flag", "Observation", "Provenance"] {
        for mut finding in server.all(&format!("{kind}?_count=500")).await {
            let versions = finding["meta"]["versionId"].as_str().and_then(|text| text.parse::<u64>().ok());
            counted.writes += versions.expect("a version");
            counted.findings += 1;
            if finding["status"] == "entered-in-error" {
                counted.in_error += 1;
                continue;
            }
            let members = finding.as_object_mut().expect("an object");
            members.remove("meta");
            members.remove("recorded");
            if kind != "Provenance" {
                out.insert(format!("{kind}/{}", finding["id"].as_str().expect("id")), finding);
            }
        }
    }
    (out, counted)
}

#[derive(Debug, Default)]
pub struct Counted {
    /// Versions of all findings, superseded ones included.
    writes: u64,
    findings: u64,
    in_error: u64,
}

async fn one_at_a_time(backend: Backend, clients: usize, slots: usize) -> Option<f64> {
    let start = start_for(slots as i64);
    let away = slots.saturating_sub(12).max(1);
    let stories = (0..clients).map(|n| withdrawing(&format!("d{n}"), &start, away));
    let all: Vec<Value> = stories.flatten().collect();

    let place = Place::new(backend).await?;
    let server = Server::start(&place).await;
    for some in all.chunks(500) {
        server.push(some).await;
    }
    server.settle_within(FINDINGS_WITHIN).await;
    let (in_order, counted) = said(&server).await;
    println!("in order: {} resources, {counted:?}", all.len());
    server.stop().await;

    let place = Place::new(backend).await?;
    let server = Server::start(&place).await;
    let began = Instant::now();
    for resource in shuffled(&all, 1) {
        let kind = resource["resourceType"].as_str().expect("type");
        server.put(&format!("/fhir/{kind}/{}", resource["id"].as_str().expect("id")), &resource).await.expect(201);
    }
    server.settle_within(FINDINGS_WITHIN).await;
    let (at_the_end, counted) = said(&server).await;
    let per_resource = counted.writes as f64 / all.len() as f64;
    println!("one at a time: {counted:?}, {per_resource:.1} a resource, {:.0} s", began.elapsed().as_secs_f64());
    server.stop().await;
    assert_eq!(at_the_end.keys().collect::<Vec<_>>(), in_order.keys().collect::<Vec<_>>());
    for (key, finding) in &in_order {
        assert_eq!(&at_the_end[key], finding, "{key}");
    }
    Some(per_resource)
}

async fn few_writes(backend: Backend) {
    let asked = std::env::var("TAUTLINE_DISORDER").unwrap_or_else(|_| "3 15".into());
    let numbers: Vec<usize> = asked.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [clients, slots] = numbers[..] else { panic!("TAUTLINE_DISORDER: two numbers, clients and slots") };
    if let Some(per_resource) = one_at_a_time(backend, clients, slots).await {
        assert!(per_resource <= WRITES_PER_RESOURCE_MAX, "{per_resource} findings written a resource");
    }
}

#[actix_web::test]
async fn sqlite() {
    few_writes(Backend::Sqlite).await;
}

#[actix_web::test]
async fn postgres() {
    few_writes(Backend::Postgres).await;
}
