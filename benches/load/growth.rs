//! What grows as the database does: intake, pages, reads; and a backlog in which nothing changes.

use crate::asking::{Ask, Asker, heading};
use crate::speed::{CROWD, posts};
use crate::{Options, Target, support};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use std::time::Instant;
use tautline::cli::simulate;

const SEED: u64 = 11;
/// Of the day, beside what grows.
const CASELOAD: usize = 40;
/// Resources pushed at a time.
const PIECE: usize = 10_000;
const SAMPLE: usize = 300;
const STEP: usize = 7919;

pub async fn measure(options: &Options, target: &Target) {
    let asker = &target.asker;
    caseload(asker).await;
    let mut rest = support::resources(SEED);
    let mut patients: Vec<String> = Vec::new();
    let mut stored = 0;
    heading();
    for size in &options.sizes {
        let (began, mut pushing, before) = (Instant::now(), 0.0, stored);
        while stored < *size {
            let piece: Vec<Value> = rest.by_ref().take(PIECE.min(size - stored)).collect();
            stored += piece.len();
            let ids = piece.iter().filter(|resource| resource["resourceType"] == "Patient");
            patients.extend(ids.filter_map(|patient| patient["id"].as_str()).map(str::to_owned));
            let bundles = piece.chunks(support::BUNDLE_ENTRIES).map(support::transaction).collect();
            pushing += asker.all("", CROWD, posts(bundles)).await.whole_ms() / 1000.0;
        }
        asker.settle().await;
        let grown = (stored - before) as f64;
        println!(
            "{stored} resources pushed, {} clients: {:.0} resources/s while pushing by {CROWD}, {:.0}/s with their findings",
            patients.len(),
            grown / pushing,
            grown / began.elapsed().as_secs_f64()
        );
        target.say_memory("resident");
        let alone: Vec<Value> = rest.by_ref().take(50 * support::BUNDLE_ENTRIES).collect();
        let bundles = alone.chunks(support::BUNDLE_ENTRIES).map(support::transaction).collect();
        asker.all("transaction of 100, 1 client", 1, posts(bundles)).await.print(support::BUNDLE_ENTRIES);
        asker.settle().await;
        let some: Vec<&String> = (0..SAMPLE).map(|n| &patients[n * STEP % patients.len()]).collect();
        let each = |ask: &dyn Fn(&str) -> String| some.iter().map(|patient| Ask::get(&ask(patient))).collect();
        asker.all("the page", 1, each(&|patient| format!("/app/patients/{patient}"))).await.print(1);
        asker.all("the caseload", 1, vec![Ask::get("/app/caseload"); 50]).await.print(1);
        asker.all("read by id", 1, each(&|patient| format!("/Patient/{patient}"))).await.print(1);
        let flags = each(&|patient| format!("/Flag?patient={patient}&status=active"));
        asker.all("Flag?patient=&status=active", 1, flags).await.print(1);
        let forms = each(&|patient| format!("/QuestionnaireResponse?patient={patient}&_sort=-authored&_count=20"));
        asker.all("QuestionnaireResponse?patient=&_sort&_count=20", 1, forms).await.print(1);
    }
}

/// The day's clients; says how many the page shows.
async fn caseload(asker: &Asker) {
    for bundle in simulate::demo_caseload(CASELOAD, SEED, jiff::Timestamp::now()) {
        asker.well(0, &Ask::post("", bundle.to_string().into_bytes())).await;
    }
    asker.settle().await;
    let page = asker.well(0, &Ask::get("/app/caseload")).await.body;
    println!("the caseload page links to {} clients", page.matches("href=\"/app/patients/").count());
}

/// Everybody becomes due at once, and nothing has changed.
pub async fn backlog(options: &Options, target: &Target) {
    let asker = &target.asker;
    let Some((_, place)) = &target.own else { return };
    let clients: Vec<Value> = support::clients(SEED).take(options.clients).flatten().collect();
    let slots = clients.iter().filter(|resource| resource["resourceType"] == "Appointment").count();
    let bundles: Vec<Vec<u8>> = clients.chunks(support::BUNDLE_ENTRIES).map(support::transaction).collect();
    let (began, pushed) = (Instant::now(), clients.len());
    asker.all("", CROWD, posts(bundles)).await;
    asker.settle().await;
    let rate = |count: f64, began: Instant| count / began.elapsed().as_secs_f64();
    println!(
        "{} clients, {pushed} resources, {:.1} slots a client: {:.0} clients/s taken in and assessed for the first time",
        options.clients,
        slots as f64 / options.clients as f64,
        rate(options.clients as f64, began)
    );
    let db = Database::connect(place.url.as_str()).await.expect("the database");
    let now = jiff::Timestamp::now;
    let due = async |how: &str| {
        let sql = format!("UPDATE job SET generation = generation + 1, due = {}{how}", now().as_microsecond());
        db.execute_unprepared(&sql).await.expect("everybody is due");
    };
    looked_at(asker, "no fact came, nothing else changed", due(", assessed = assessed + 1")).await;
    let form = json!({"resourceType": "Questionnaire", "id": "q", "url": "http://example.org/q", "status": "active"});
    let pushed = async || drop(asker.well(0, &Ask::post("", support::transaction(std::slice::from_ref(&form)))).await);
    looked_at(asker, "a measure came that none of them uses", pushed()).await;
    looked_at(asker, "facts may have come: all assessed, findings the same", due(", assessed = NULL")).await;
}

/// Makes everybody due, and says how soon all have been looked at.
async fn looked_at(asker: &Asker, what: &str, due: impl Future<Output = ()>) {
    let figures = async || {
        let metric = async |name| asker.metric(name).await.unwrap_or_default();
        let looked_at = metric("tautline_assessments_total ").await;
        (looked_at, metric("tautline_assessments_stood_total ").await, metric("tautline_findings_written_total ").await)
    };
    let before = figures().await;
    due.await;
    let began = Instant::now();
    // A write makes due a moment later.
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    while asker.metric("tautline_jobs_pending ").await != Some(0.0) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let after = figures().await;
    println!(
        "{what}: {:.0} clients in {seconds:.2} s, {:.0} clients/s; {:.0} of them passed over, {:.0} findings written",
        after.0 - before.0,
        (after.0 - before.0) / seconds,
        after.1 - before.1,
        after.2 - before.2
    );
}
