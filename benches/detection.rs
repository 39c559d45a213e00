//! One client with 20 sessions: from facts to course, and the course alone. Of many simulated clients the one
//! with the most entries in its record is taken.

mod support;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::hint::black_box;
use tautline::cli::simulate::{self, Generator};
use tautline::detection::{Constants, assess};
use tautline::domain::build::{VersionedFact, timeline};
use tautline::domain::{SlotOutcome, Source, SourceKind, Timeline};
use tautline::fhir::read;

const SESSIONS: usize = 20;
const CLIENTS: u64 = 400;

fn source_kind(resource: &Value) -> Option<SourceKind> {
    match resource["resourceType"].as_str()? {
        "Appointment" => Some(SourceKind::Appointment),
        "EpisodeOfCare" => Some(SourceKind::EpisodeOfCare),
        "Patient" => Some(SourceKind::Patient),
        "QuestionnaireResponse" => Some(SourceKind::QuestionnaireResponse),
        "Task" => Some(SourceKind::Task),
        _ => None,
    }
}

/// Every version of every resource, as the store would give it back.
fn facts(resources: &[Value]) -> Vec<VersionedFact> {
    let context = read::ReadContext { zone: TimeZone::UTC };
    let fact = |(place, resource): (usize, &Value)| {
        Some(VersionedFact {
            source: Source::new(source_kind(resource)?, resource["id"].as_str()?),
            version: place as u64 + 1,
            current: false,
            deleted: false,
            sender_updated: read::sender_updated(resource),
            received: None,
            fact: read::fact(resource, &context),
        })
    };
    resources.iter().enumerate().filter_map(fact).collect()
}

fn kept(timeline: &Timeline) -> usize {
    timeline.slots.iter().filter(|slot| matches!(slot.outcome, SlotOutcome::Kept { .. })).count()
}

fn last(timeline: &Timeline) -> Timestamp {
    timeline.slots.iter().map(|slot| slot.start).max().unwrap_or(Timestamp::UNIX_EPOCH)
}

fn detection(criterion: &mut Criterion) {
    let measures = read::shipped();
    let constants = Constants::default();
    let facts = (1..=CLIENTS)
        .map(|n| facts(&simulate::client(1, n, Generator::Strain).resources))
        .filter(|facts| kept(&timeline(facts.clone(), measures)) == SESSIONS)
        .max_by_key(Vec::len)
        .expect("a client with so many sessions");
    let built = timeline(facts.clone(), measures);
    let end = last(&built);
    let later = end + SignedDuration::from_hours(24 * 365);
    let course = assess(&built, end, &constants);
    eprintln!(
        "{} facts, {} slots ({SESSIONS} kept), {} forms, {} pieces of homework, {} steps",
        facts.len(),
        built.slots.len(),
        built.administrations.len(),
        built.homework.len(),
        course.steps.len()
    );

    let mut group = criterion.benchmark_group("detection");
    group.bench_function("timeline and assess", |b| {
        b.iter_batched(
            || facts.clone(),
            |facts| assess(&timeline(facts, measures), end, &constants),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("timeline", |b| {
        b.iter_batched(|| facts.clone(), |facts| timeline(facts, measures), BatchSize::SmallInput);
    });
    group.bench_function("assess", |b| b.iter(|| assess(black_box(&built), end, &constants)));
    group.bench_function("assess a year later", |b| b.iter(|| assess(black_box(&built), later, &constants)));
    group.finish();
}

criterion_group!(benches, detection);
criterion_main!(benches);
