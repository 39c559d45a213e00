//! Load as it comes over time: findings lag beside a steady push, and a long mixed day with broken requests in it.

use crate::asking::{Answer, Ask, Asker, Measured, heading};
use crate::own::{anonymous_mb, resident_mb};
use crate::speed::{CROWD, posts};
use crate::{Options, Target, support};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

const PEAK_SEED: u64 = 21;
const STEADY_SEED: u64 = 22;
const PROBE_SEED: u64 = 23;
const DAY_SEED: u64 = 24;
const PEAK_BUNDLES: usize = 100;
/// One client pushed and watched this often.
const PROBE_EVERY: Duration = Duration::from_millis(250);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const FOUND_WITHIN: Duration = Duration::from_secs(60);
/// One request in so many is broken.
const BROKEN: u64 = 20;
/// One in so many brings a new client.
const NEW: u64 = 40;
const SAY_EVERY: Duration = Duration::from_secs(60);

/// From the answer to a push until its findings can be searched.
pub async fn lag(options: &Options, target: &Target) {
    let asker = &target.asker;
    heading();
    let asks = posts(support::transactions(PEAK_SEED, PEAK_BUNDLES));
    let peak = asker.all("the peak: 100 entries, 8 clients", CROWD, asks).await;
    peak.print(support::BUNDLE_ENTRIES);
    let seconds = peak.whole_ms() / 1000.0 + asker.settle().await;
    let sustained = PEAK_BUNDLES as f64 / seconds;
    println!("  (with all findings {:.0} resources/s: half of that from now on)", sustained * 100.0);
    let every = Duration::from_secs_f64(2.0 / sustained);
    let count = (options.seconds as f64 / every.as_secs_f64()) as usize;
    let bundles = support::transactions(STEADY_SEED, count);
    let probes: Vec<Vec<Value>> = support::clients(PROBE_SEED).take(4 * options.seconds as usize).collect();
    let began = Instant::now();
    let pushing = {
        let asker = asker.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut pushed = Vec::new();
            for (number, bundle) in bundles.into_iter().enumerate() {
                ticks.tick().await;
                let asker = asker.clone();
                pushed.push(tokio::spawn(async move { asker.well(number, &Ask::post("", bundle)).await.took }));
            }
            let mut took = Vec::new();
            for one in pushed {
                took.push(one.await.expect("an answer"));
            }
            took
        })
    };
    let mut lags = Vec::new();
    for (number, resources) in probes.iter().enumerate() {
        if pushing.is_finished() {
            break;
        }
        lags.push(watched(asker, number, resources).await);
        tokio::time::sleep(PROBE_EVERY).await;
    }
    let took = pushing.await.expect("it pushes");
    Measured::new("half of that, steadily", took, began.elapsed()).print(support::BUNDLE_ENTRIES);
    Measured::new("from its answer to its findings, one client", lags, began.elapsed()).print(1);
    println!("  (everybody is assessed {:.1} s later)", asker.settle().await);
    buckets(asker).await;
}

async fn watched(asker: &Asker, number: usize, resources: &[Value]) -> Duration {
    let patient = resources.iter().find(|resource| resource["resourceType"] == "Patient").expect("a Patient");
    let ask = Ask::get(&format!("/Observation?patient={}&_summary=count", patient["id"].as_str().unwrap_or_default()));
    asker.well(number, &Ask::post("", support::transaction(resources))).await;
    let began = Instant::now();
    // By another instance, where there are several.
    while serde_json::from_str::<Value>(&asker.well(number + 1, &ask).await.body).unwrap_or_default()["total"] == 0 {
        assert!(began.elapsed() < FOUND_WITHIN, "no findings");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    began.elapsed()
}

/// The server's own figure, of every client since it started: from due to durable.
async fn buckets(asker: &Asker) {
    let all = asker.metric("tautline_findings_lag_seconds_count ").await.unwrap_or_default();
    for bound in ["0.05", "0.1", "0.25", "0.5", "1", "2.5", "10"] {
        let within = asker.metric(&format!("tautline_findings_lag_seconds_bucket{{le=\"{bound}\"}} ")).await;
        println!("  {:>6.2} % within {bound} s of being due", within.unwrap_or_default() / all * 100.0);
    }
}

#[derive(Default)]
struct Tally {
    good: AtomicU64,
    broken: AtomicU64,
    shed: AtomicU64,
    wrong: AtomicU64,
    slowest_us: AtomicU64,
}

/// A mixed day.
pub async fn soak(options: &Options, target: &Target) {
    let asker = &target.asker;
    let tally = Arc::new(Tally::default());
    let forms = |client: &Vec<Value>| client.iter().any(|one| one["resourceType"] == "QuestionnaireResponse");
    let mut clients = support::clients(DAY_SEED).filter(forms);
    let mut known: Vec<Vec<Value>> = Vec::new();
    let began = Instant::now();
    let mut said = began;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / options.rate as f64));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut dice = Dice(DAY_SEED);
    println!("  minute  MB resident   MB own  requests  broken  shed  wrong  pending  slowest ms  assessed");
    while began.elapsed() < Duration::from_secs(options.seconds) {
        ticks.tick().await;
        if known.len() < 2 || dice.roll(NEW) == 0 {
            // Nobody asks for it before it is there.
            let client = clients.next().expect("without end");
            tally.count(&asker.one(0, &Ask::post("", support::transaction(&client))).await, false);
            known.push(client);
            continue;
        }
        let is_broken = dice.roll(BROKEN) == 0;
        let ask = if is_broken { broken(&known, &mut dice) } else { good(&known, &mut dice) };
        let (one, counts, number) = (asker.clone(), Arc::clone(&tally), dice.roll(8) as usize);
        tokio::spawn(async move {
            let answer = one.one(number, &ask).await;
            counts.count(&answer, is_broken);
        });
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            tally.say(asker, began, &target.pids).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    asker.settle().await;
    tally.say(asker, began, &target.pids).await;
    buckets(asker).await;
    assert_eq!(tally.wrong.load(Ordering::Relaxed), 0, "answers that were not deserved");
}

impl Tally {
    fn count(&self, answer: &Answer, is_broken: bool) {
        let kind = match answer.status {
            429 | 503 => &self.shed,
            200..=299 if !is_broken => &self.good,
            400..=499 if is_broken => &self.broken,
            status => {
                let short: String = answer.body.chars().take(300).collect();
                eprintln!("wrong: {status}, broken request: {is_broken}: {short}");
                &self.wrong
            }
        };
        kind.fetch_add(1, Ordering::Relaxed);
        self.slowest_us.fetch_max(answer.took.as_micros() as u64, Ordering::Relaxed);
    }

    async fn say(&self, asker: &Asker, began: Instant, pids: &[u32]) {
        let pending = asker.metric("tautline_jobs_pending ").await.unwrap_or_default();
        let assessed = asker.metric("tautline_assessments_total ").await.unwrap_or_default();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        println!(
            "{:>8.1}{:>13.1}{:>9.1}{:>10}{:>8}{:>6}{:>7}{pending:>9}{:>12.1}{assessed:>10}",
            began.elapsed().as_secs_f64() / 60.0,
            resident_mb(pids),
            anonymous_mb(pids),
            read(&self.good),
            read(&self.broken),
            read(&self.shed),
            read(&self.wrong),
            self.slowest_us.swap(0, Ordering::Relaxed) as f64 / 1000.0,
        );
    }
}

/// A small generator: the same seed, the same day.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len() as u64) as usize]
    }
}

fn good(known: &[Vec<Value>], dice: &mut Dice) -> Ask {
    let client = dice.one(known);
    let id = client.iter().find(|one| one["resourceType"] == "Patient").and_then(|one| one["id"].as_str());
    let id = id.unwrap_or_default();
    match dice.roll(10) {
        0 | 1 => {
            let forms: Vec<&Value> =
                client.iter().filter(|one| one["resourceType"] == "QuestionnaireResponse").collect();
            let mut form = (*dice.one(&forms)).clone();
            form.as_object_mut().map(|form| form.remove("id"));
            form["language"] = json!(dice.one(&["de", "en", "fr"]));
            Ask::post("/QuestionnaireResponse", form.to_string().into_bytes())
        }
        2 => {
            let few = client.iter().rev().take(3).cloned().map(|mut one| {
                one["language"] = json!(dice.one(&["de", "en", "fr"]));
                one
            });
            Ask::post("", support::transaction(&few.collect::<Vec<_>>()))
        }
        3 => Ask::get(&format!("/{}", support::url(dice.one(client)))),
        4 => Ask::get(&format!("/Flag?patient={id}&status=active")),
        5 => Ask::get(&format!("/QuestionnaireResponse?patient={id}&_sort=-authored&_count=20")),
        6 => Ask::get(&format!("/app/patients/{id}")),
        7 => Ask::get(&format!("/Observation?patient={id}&_count=50")),
        8 => Ask::get(&format!("/Patient/{id}/$detect-rupture")),
        _ => Ask::get(dice.one::<&str>(&["/app/caseload", "/metadata", "/Appointment?date=ge2026-01-01&_count=20"])),
    }
}

fn broken(known: &[Vec<Value>], dice: &mut Dice) -> Ask {
    let client = dice.one(known);
    let mut one = dice.one(client).clone();
    let kind = one["resourceType"].as_str().unwrap_or_default().to_owned();
    let path = format!("/{kind}");
    match dice.roll(8) {
        0 => {
            let text = one.to_string();
            Ask::post(&path, text.as_bytes()[..text.len() / 2].to_vec())
        }
        1 => {
            one["unheardOf"] = json!(1);
            Ask::post(&path, one.to_string().into_bytes())
        }
        2 => {
            one["id"] = json!(17);
            Ask::post(&path, one.to_string().into_bytes())
        }
        3 => Ask::post(&path, format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)).into_bytes()),
        4 => Ask::post("", support::transaction(&[one.clone(), one])),
        5 => Ask::get("/Task/that-is-not-here"),
        6 => Ask::get("/Spaceship?name=x"),
        _ => Ask::get("/Flag?date=yesterday"),
    }
}
