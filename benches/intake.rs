//! What it costs to understand a Bundle of 100 entries, beside what it costs to read its JSON at all.
//! The ratio is that of `intake/whole` to `serde_json`.

mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use serde_json::Value;
use std::hint::black_box;
use tautline::fhir::check::{Limits, check_at, parse};
use tautline::fhir::parameters::{TermContext, terms};
use tautline::fhir::{bundle, read};
use tautline::pipeline::ingest::content_hash;

fn kind(resource: &Value) -> &str {
    resource["resourceType"].as_str().unwrap_or_default()
}

fn intake(criterion: &mut Criterion) {
    let bytes = support::transactions(1, 4).pop().expect("a Bundle");
    let term_context = TermContext { zone: TimeZone::UTC, base: "http://127.0.0.1:8080/fhir".into() };
    let read_context = read::ReadContext { zone: TimeZone::UTC };
    let whole = parse(&bytes, Limits::default()).expect("JSON");
    let resources: Vec<Value> =
        bundle::read(whole.clone()).expect("a Bundle").entries.into_iter().filter_map(|entry| entry.resource).collect();
    assert_eq!(resources.len(), support::BUNDLE_ENTRIES);
    assert!(resources.iter().all(|resource| check_at(resource, "Bundle.entry[0].resource").is_empty()));
    assert!(resources.iter().all(|resource| !terms(kind(resource), resource, &term_context).is_empty()));

    let mut group = criterion.benchmark_group("intake");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group
        .bench_function("serde_json", |b| b.iter(|| serde_json::from_slice::<Value>(black_box(&bytes)).expect("JSON")));
    group.bench_function("whole", |b| {
        b.iter(|| {
            let body = parse(black_box(&bytes), Limits::default()).expect("JSON");
            let entries = bundle::read(body).expect("a Bundle").entries;
            for resource in entries.iter().filter_map(|entry| entry.resource.as_ref()) {
                assert!(check_at(resource, "Bundle.entry[0].resource").is_empty());
                black_box(read::fact(resource, &read_context));
                black_box(terms(kind(resource), resource, &term_context));
            }
        });
    });

    // The parts, for all 100.
    group.bench_function("parse", |b| b.iter(|| parse(black_box(&bytes), Limits::default())));
    group
        .bench_function("shell", |b| b.iter_with_setup(|| whole.clone(), |body| bundle::read(body).expect("a Bundle")));
    let mut each = |name: &str, work: &dyn Fn(&Value)| {
        group.bench_function(name, |b| b.iter(|| black_box(&resources).iter().for_each(work)));
    };
    each("check", &|resource| {
        black_box(check_at(resource, "Bundle.entry[0].resource"));
    });
    each("facts", &|resource| {
        black_box(read::fact(resource, &read_context).map(|fact| read::encode(&fact)));
    });
    each("terms", &|resource| {
        black_box(terms(kind(resource), resource, &term_context));
    });
    each("hash", &|resource| {
        black_box(content_hash(resource));
    });
    each("text", &|resource| {
        black_box(resource.to_string());
    });
    group.finish();
}

criterion_group!(benches, intake);
criterion_main!(benches);
