//! Equality: whatever the way there (pushes in any order and size, amendments, deletions and returns, the same again,
//! restarts, findings made in between or not), the findings are those of a clean run over what stands at the end.
//!
//! The model is a map from resource to what was last said of it. What is not varied: when an Appointment starts (a move
//! is evidence, so that the way matters), and what its sender dated. Longer, by cases and steps:
//! `TAUTLINE_MODEL="200 60" cargo test --test api model -- --nocapture`; one seed again: `TAUTLINE_MODEL_SEED=7`.

use crate::disorder::said;
use crate::server::{Backend, Place, Server};
use crate::story::{at, homework, phq9, start_for, withdrawing};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CLIENTS: [&str; 2] = ["m0", "m1"];
const WEEKS: usize = 15;

/// A linear congruential generator: the same seed, the same way.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides as u64) as usize
    }
}

fn key(resource: &Value) -> String {
    format!("{}/{}", resource["resourceType"].as_str().expect("type"), resource["id"].as_str().expect("id"))
}

/// What senders could say: nothing that they dated.
fn world(start: &str) -> Vec<Value> {
    let mut all: Vec<Value> = CLIENTS.iter().flat_map(|client| withdrawing(client, start, WEEKS - 12)).collect();
    for one in all.iter_mut().filter(|one| one["status"] == "cancelled") {
        one["status"] = json!("noshow");
        let members = one.as_object_mut().expect("an object");
        members.remove("meta");
        members.remove("cancelationReason");
    }
    all
}

/// The same resource, saying something else.
fn amended(resource: &Value, start: &str, dice: &mut Dice) -> Value {
    let id = resource["id"].as_str().expect("id");
    let Some((client, rest)) = id.split_once('-') else {
        let mut patient = resource.clone();
        patient["gender"] = json!(["female", "male", "other"][dice.roll(3)]);
        return patient;
    };
    let week: usize = rest[1..].parse().expect("a week");
    let session = at(start, 7 * week as i64);
    match &rest[..1] {
        "q" => phq9(client, week, session - SignedDuration::from_hours(3), dice.roll(24) as u32),
        "h" => {
            let due = at(start, 7 * (week as i64 + 1)) - SignedDuration::from_hours(12);
            homework(client, week, session, due, (dice.roll(2) == 0).then(|| due - SignedDuration::from_hours(24)))
        }
        _ if week < WEEKS => {
            let mut slot = resource.clone();
            slot["status"] = json!(["fulfilled", "noshow"][dice.roll(2)]);
            slot
        }
        _ => resource.clone(),
    }
}

async fn walk(backend: Backend, seed: u64, steps: usize) -> Option<()> {
    let start = start_for(WEEKS as i64);
    let (mut dice, world) = (Dice(seed), world(&start));
    let mut stands: BTreeMap<String, Value> = BTreeMap::new();
    let place = Place::new(backend).await?;
    let mut server = Server::start(&place).await;
    for _ in 0..steps {
        match dice.roll(8) {
            0..=2 => {
                let (from, count) = (dice.roll(world.len()), 1 + dice.roll(40));
                let some: Vec<Value> = world.iter().cycle().skip(from).take(count.min(world.len())).cloned().collect();
                server.push(&some).await;
                stands.extend(some.into_iter().map(|one| (key(&one), one)));
            }
            3 | 4 => {
                for _ in 0..1 + dice.roll(4) {
                    let one = amended(&world[dice.roll(world.len())], &start, &mut dice);
                    server.push(std::slice::from_ref(&one)).await;
                    stands.insert(key(&one), one);
                }
            }
            5 => {
                let known: Vec<&String> = stands.keys().filter(|key| !key.starts_with("Patient/")).collect();
                if !known.is_empty() {
                    let gone = known[dice.roll(known.len())].clone();
                    server.delete(&format!("/fhir/{gone}")).await.expect(204);
                    stands.remove(&gone);
                }
            }
            6 => server.settle().await,
            _ => {
                server.stop().await;
                server = Server::start(&place).await;
            }
        }
    }
    // A client without a Patient is another story.
    let patients: Vec<Value> = world.iter().filter(|one| one["resourceType"] == "Patient").cloned().collect();
    server.push(&patients).await;
    stands.extend(patients.into_iter().map(|one| (key(&one), one)));
    server.settle().await;
    let (walked, _) = said(&server).await;
    server.stop().await;

    let place = Place::new(backend).await?;
    let clean = Server::start(&place).await;
    clean.push(&stands.into_values().collect::<Vec<_>>()).await;
    clean.settle().await;
    let (whole, _) = said(&clean).await;
    clean.stop().await;
    assert_eq!(walked.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>(), "seed {seed}, {steps} steps");
    for (key, finding) in &whole {
        assert_eq!(&walked[key], finding, "{key}, seed {seed}, {steps} steps");
    }
    assert!(!whole.is_empty(), "seed {seed}: nothing was said");
    Some(())
}

async fn ways(backend: Backend) {
    let asked = std::env::var("TAUTLINE_MODEL").unwrap_or_else(|_| "3 24".into());
    let numbers: Vec<u64> = asked.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [cases, steps] = numbers[..] else { panic!("TAUTLINE_MODEL: two numbers, cases and steps") };
    let first = std::env::var("TAUTLINE_MODEL_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in first.map_or(1..=cases, |seed| seed..=seed) {
        if walk(backend, seed, steps as usize).await.is_none() {
            return;
        }
    }
}

#[actix_web::test]
async fn sqlite() {
    ways(Backend::Sqlite).await;
}

#[actix_web::test]
async fn postgres() {
    ways(Backend::Postgres).await;
}
