//! Load: how many Bundles and resources a second, how long an answer takes, and what the same rows cost a bare
//! loop that writes them to the same kind of database with the same durability.
//!
//! ```sh
//! cargo bench --bench load -- --sqlite                                # our server in this process, SQLite
//! cargo bench --bench load -- --postgres                              # the same on PostgreSQL
//! cargo bench --bench load -- --url http://127.0.0.1:8081/fhir        # any FHIR server on this machine
//! ```
//!
//! The one who asks and the one who answers share the machine's processors; the floor has them for itself.

mod asking;
mod floor;
mod own;
#[path = "../../tests/support/postgres.rs"]
mod postgres_support;
#[path = "../support/mod.rs"]
mod support;

use asking::{Ask, Asker};
use clap::Parser;
use own::Own;
use serde_json::Value;

/// Simulated caseloads, one for each purpose: no resource is written twice.
const WARM_SEED: u64 = 1;
const ALONE_SEED: u64 = 2;
const CROWD_SEED: u64 = 3;
const SINGLE_SEED: u64 = 4;
const CROWD: usize = 8;
const WARM_BUNDLES: usize = 10;

#[derive(Parser)]
struct Options {
    /// Our server on SQLite (the default)
    #[arg(long)]
    sqlite: bool,
    /// Our server on PostgreSQL: TAUTLINE_TEST_POSTGRES_URL, or a throw-away one
    #[arg(long)]
    postgres: bool,
    /// A FHIR server that runs already, by its base
    #[arg(long)]
    url: Option<String>,
    /// Transactions of 100 entries, by one client and by eight
    #[arg(long, default_value_t = 200)]
    bundles: usize,
    /// Single creates, and reads of each kind
    #[arg(long, default_value_t = 1000)]
    requests: usize,
    /// Stop after the transactions
    #[arg(long)]
    transactions_only: bool,
    /// The clock stands still, so that no assessment is ever due
    #[arg(long)]
    no_worker: bool,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Some(url) = &options.url {
        runtime.block_on(load(&options, url.trim_end_matches('/'), None));
        return;
    }
    let _ = options.bench;
    if options.sqlite || !options.postgres {
        runtime.block_on(ours(&options, own::Place::sqlite()));
    }
    if options.postgres
        && let Some(place) = runtime.block_on(own::Place::postgres())
    {
        runtime.block_on(ours(&options, place));
    }
}

async fn ours(options: &Options, place: own::Place) {
    let worker = if options.no_worker { "the worker idle" } else { "the worker at work" };
    println!("\n{}, {worker}, {} processors", place.name, std::thread::available_parallelism().map_or(0, Into::into));
    let server = Own::start(&place, options.no_worker);
    let (alone, whole) = load(options, &server.base, Some(&server)).await;
    server.stop();
    let floor = floor::measure(&place, options.bundles).await;
    let millis = floor.pushed_ms;
    println!("the floor: the same rows in a bare loop, 100 resources to a commit");
    println!("  rows                 {:>9.2} ms a bundle, {:.0} resources/s", millis, 100_000.0 / millis);
    println!("  rows and serde_json  {:>9.2} ms a bundle", millis + floor.parse_ms);
    println!(
        "a transaction is {:.2} × the rows, {:.2} × rows and serde_json",
        alone / millis,
        alone / (millis + floor.parse_ms)
    );
    if !options.no_worker {
        let every = millis + floor.findings * floor.findings_ms;
        println!("  findings' rows       {:>9.2} ms a hundred, {:.2} to a resource", floor.findings_ms, floor.findings);
        println!(
            "with findings, until everybody is assessed: {whole:.2} ms a bundle, {:.2} × its rows and its findings' rows",
            whole / every
        );
    }
}

/// Milliseconds of a transaction by one client alone: the median, and the mean with the assessments it causes.
async fn load(options: &Options, base: &str, own: Option<&Own>) -> (f64, f64) {
    let asker = Asker::new(base);
    asking::heading();
    let post = |bodies: Vec<Vec<u8>>| bodies.into_iter().map(|body| Ask::post("", body)).collect::<Vec<_>>();
    asker.all("", 1, post(support::transactions(WARM_SEED, WARM_BUNDLES))).await;
    settle(own, &asker).await;
    let bundles = options.bundles;
    let alone = asker.all("transaction of 100, 1 client", 1, post(support::transactions(ALONE_SEED, bundles))).await;
    alone.print(support::BUNDLE_ENTRIES);
    let whole = alone.whole_ms() + settle(own, &asker).await * 1000.0;
    let crowd =
        asker.all("transaction of 100, 8 clients", CROWD, post(support::transactions(CROWD_SEED, bundles))).await;
    crowd.print(support::BUNDLE_ENTRIES);
    settle(own, &asker).await;
    if !options.transactions_only {
        singles(options, &asker, own).await;
    }
    (alone.median_ms(), whole / bundles as f64)
}

async fn singles(options: &Options, asker: &Asker, own: Option<&Own>) {
    let creates = |skip: usize| {
        let forms =
            support::resources(SINGLE_SEED).filter(|resource| resource["resourceType"] == "QuestionnaireResponse");
        forms.skip(skip).take(options.requests).map(|mut resource: Value| {
            let kind = resource["resourceType"].as_str().unwrap_or_default().to_owned();
            resource.as_object_mut().map(|object| object.remove("id"));
            Ask::post(&format!("/{kind}"), resource.to_string().into_bytes())
        })
    };
    asker.all("create, 1 client", 1, creates(0).collect()).await.print(1);
    settle(own, asker).await;
    asker.all("create, 8 clients", CROWD, creates(options.requests).collect()).await.print(1);
    settle(own, asker).await;

    let written: Vec<Value> = support::resources(ALONE_SEED).take(options.bundles * support::BUNDLE_ENTRIES).collect();
    let of = |kind: &'static str| written.iter().filter(move |resource| resource["resourceType"] == kind);
    let patients: Vec<&str> = of("Patient").filter_map(|patient| patient["id"].as_str()).collect();
    let many = |ask: &dyn Fn(&str) -> String| {
        patients.iter().cycle().take(options.requests).map(|patient| Ask::get(&ask(patient))).collect::<Vec<_>>()
    };
    let flags = many(&|patient| format!("/Flag?patient={patient}&status=active"));
    let forms = many(&|patient| format!("/QuestionnaireResponse?patient={patient}&_sort=-authored&_count=20"));
    let reads: Vec<Ask> =
        written.iter().cycle().take(options.requests).map(|one| Ask::get(&format!("/{}", support::url(one)))).collect();
    let mut kinds = vec![
        ("Flag?patient=&status=active", flags),
        ("QuestionnaireResponse?patient=&_sort=…", forms),
        ("read by id", reads),
    ];
    if let Some(own) = own {
        let page = |patient: &&str| Ask::get(&format!("{}/app/patients/{patient}", own.root));
        kinds.push(("the page", patients.iter().cycle().take(options.requests / 4).map(page).collect()));
    }
    for (name, asks) in kinds {
        asker.all(&format!("{name}, 1 client"), 1, asks.clone()).await.print(1);
        asker.all(&format!("{name}, 8 clients"), CROWD, asks).await.print(1);
    }
}

/// Waits until everybody is assessed, so that one measurement does not pay for the one before; seconds.
async fn settle(own: Option<&Own>, asker: &Asker) -> f64 {
    match own.filter(|own| !own.stands_still) {
        Some(own) => asker.settle(&own.root).await,
        None => 0.0,
    }
}
