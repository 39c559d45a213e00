//! What the benches measure by: simulated clients as their senders would push them.

#![allow(dead_code)]

use serde_json::{Value, json};
use std::collections::HashSet;
use tautline::cli::simulate::{self, Generator};

pub const BUNDLE_ENTRIES: usize = 100;

/// Simulated clients without end, each with its resources as they stand last.
pub fn clients(seed: u64) -> impl Iterator<Item = Vec<Value>> {
    let mut shared = HashSet::new();
    (1..).map(move |n| {
        let mut client = simulate::client(seed, n, Generator::Strain).resources;
        // A later version comes after the earlier one.
        let mut seen = HashSet::new();
        client.reverse();
        client.retain(|resource| seen.insert(url(resource)));
        client.reverse();
        client.retain(|resource| resource["resourceType"] != "Practitioner" || shared.insert(url(resource)));
        client
    })
}

/// Each of their resources once, client after client.
pub fn resources(seed: u64) -> impl Iterator<Item = Value> {
    clients(seed).flatten()
}

/// `Task/1`
pub fn url(resource: &Value) -> String {
    let text = |key: &str| resource[key].as_str().unwrap_or_default();
    format!("{}/{}", text("resourceType"), text("id"))
}

/// A transaction that puts these.
pub fn transaction(resources: &[Value]) -> Vec<u8> {
    let entry = |resource| json!({"resource": resource, "request": {"method": "PUT", "url": url(resource)}});
    let entries: Vec<Value> = resources.iter().map(entry).collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string().into_bytes()
}

/// Transactions of 100 entries, no resource in two of them.
pub fn transactions(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let all: Vec<Value> = resources(seed).take(count * BUNDLE_ENTRIES).collect();
    all.chunks(BUNDLE_ENTRIES).map(transaction).collect()
}
