//! How many Bundles and resources a second, how long an answer takes; of ours, what the same rows cost a bare loop
//! that writes them to the same kind of database with the same durability.

use crate::asking::{Ask, Asker, heading};
use crate::{Options, Target, floor, support};
use serde_json::{Value, json};

/// Simulated caseloads, one for each purpose: no resource is written twice.
const WARM_SEED: u64 = 1;
pub const ALONE_SEED: u64 = 2;
const CROWD_SEED: u64 = 3;
const SINGLE_SEED: u64 = 4;
pub const CROWD: usize = 8;
const WARM_BUNDLES: usize = 10;
/// Resources to a stored page of a search.
const PAGE: usize = 20;

pub async fn measure(options: &Options, target: Target) {
    target.say_memory("idle");
    let (alone, whole) = load(options, &target).await;
    target.say_memory("after the load");
    let Some((own, place)) = target.own else { return };
    drop(own);
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
    let every = millis + floor.findings * floor.findings_ms;
    println!("  findings' rows       {:>9.2} ms a hundred, {:.2} to a resource", floor.findings_ms, floor.findings);
    println!(
        "with findings, until everybody is assessed: {whole:.2} ms a bundle, {:.2} × its rows and its findings' rows",
        whole / every
    );
}

pub fn posts(bodies: Vec<Vec<u8>>) -> Vec<Ask> {
    bodies.into_iter().map(|body| Ask::post("", body)).collect()
}

/// Milliseconds of a transaction by one client alone: the median, and the mean with the assessments it causes.
async fn load(options: &Options, target: &Target) -> (f64, f64) {
    let asker = &target.asker;
    heading();
    asker.all("", 1, posts(support::transactions(WARM_SEED, WARM_BUNDLES))).await;
    asker.settle().await;
    let bundles = options.bundles;
    let alone = asker.all("transaction of 100, 1 client", 1, posts(support::transactions(ALONE_SEED, bundles))).await;
    alone.print(support::BUNDLE_ENTRIES);
    let later = asker.settle().await;
    println!("  (everybody is assessed {later:.1} s later)");
    let crowd = posts(support::transactions(CROWD_SEED, bundles));
    asker.all("transaction of 100, 8 clients", CROWD, crowd).await.print(support::BUNDLE_ENTRIES);
    println!("  (everybody is assessed {:.1} s later)", asker.settle().await);
    target.say_memory("after the transactions");
    if !options.transactions_only {
        singles(options, asker).await;
    }
    (alone.at(0.5), (alone.whole_ms() + later * 1000.0) / bundles as f64)
}

async fn singles(options: &Options, asker: &Asker) {
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
    asker.settle().await;
    asker.all("create, 8 clients", CROWD, creates(options.requests).collect()).await.print(1);
    asker.settle().await;

    let written: Vec<Value> = support::resources(ALONE_SEED).take(options.bundles * support::BUNDLE_ENTRIES).collect();
    let of = |kind: &'static str| written.iter().filter(move |resource| resource["resourceType"] == kind);
    let patients: Vec<&str> = of("Patient").filter_map(|patient| patient["id"].as_str()).collect();
    flags(asker, &patients).await;
    let many = |ask: &dyn Fn(&str) -> String| {
        patients.iter().cycle().take(options.requests).map(|patient| Ask::get(&ask(patient))).collect::<Vec<_>>()
    };
    let form_page = format!("_sort=-authored&_count={PAGE}");
    let reads: Vec<Ask> =
        written.iter().cycle().take(options.requests).map(|one| Ask::get(&format!("/{}", support::url(one)))).collect();
    let mut kinds = vec![
        ("Flag?patient=", many(&|patient| format!("/Flag?patient={patient}"))),
        ("Flag?patient=&status=active", many(&|patient| format!("/Flag?patient={patient}&status=active"))),
        (
            "QuestionnaireResponse?patient=&_sort&_count=20",
            many(&|patient| format!("/QuestionnaireResponse?patient={patient}&{form_page}")),
        ),
        ("Appointment?patient=&date=ge", many(&|patient| format!("/Appointment?patient={patient}&date=ge2026-01-01"))),
        ("read by id", reads),
    ];
    if asker.metric("tautline_jobs_pending ").await.is_some() {
        kinds.push((
            "the page",
            many(&|patient| format!("/app/patients/{patient}")).split_off(options.requests * 3 / 4),
        ));
        kinds.push(("the caseload", vec![Ask::get("/app/caseload"); 50]));
    }
    for (name, asks) in kinds {
        asker.all(&format!("{name}, 1 client"), 1, asks.clone()).await.print(1);
        asker.all(&format!("{name}, 8 clients"), CROWD, asks).await.print(1);
    }
}

/// Our server writes Flags itself; another is given two for each client, one of them active. Says whether it filters.
async fn flags(asker: &Asker, patients: &[&str]) {
    let flag = |patient: &str, status: &str| {
        json!({"resourceType": "Flag", "id": format!("{status}-{patient}"), "status": status,
            "code": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/flag", "code": "engagement-drop"}]},
            "subject": {"reference": format!("Patient/{patient}")}})
    };
    let ours = asker.metric("tautline_jobs_pending ").await.is_some();
    if !ours {
        let all: Vec<Value> =
            patients.iter().flat_map(|patient| ["active", "inactive"].map(|status| flag(patient, status))).collect();
        for some in all.chunks(support::BUNDLE_ENTRIES) {
            asker.well(0, &Ask::post("", support::transaction(some))).await;
        }
    }
    let (mut all, mut wrong) = (0, 0);
    for patient in patients {
        let answer = asker.well(0, &Ask::get(&format!("/Flag?patient={patient}&status=active"))).await;
        let bundle: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        for entry in bundle["entry"].as_array().into_iter().flatten() {
            all += 1;
            wrong += usize::from(entry["resource"]["status"] != "active");
        }
    }
    println!("  (Flag?patient=&status=active gave {all} Flags to {} clients, {wrong} not active)", patients.len());
}
