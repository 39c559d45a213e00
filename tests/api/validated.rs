//! Everything that the server emits, held against R4 and our own profiles by two validators that are not ours
//! (`conformance/validate`). They live in a folder outside the repository, which `.ci/run` fills; where they are
//! missing this fails in CI, and says that it is skipped elsewhere.

use crate::bulk::{ASYNC, waited};
use crate::server::{Answer, Backend, Place, Server};
use crate::smart::World;
use crate::story::{appointment, at, homework, patient, phq9, start_for, withdrawing};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const BASE: &str = "https://tautline.example/fhir";

/// Where the validators are; `None` where they are not installed, which has been said.
pub fn tools() -> Option<PathBuf> {
    let named = std::env::var_os("TAUTLINE_VALIDATORS").map(PathBuf::from);
    let cache = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/tautline-validators"));
    let found = named.or(cache).filter(|folder| folder.join("installed").exists());
    if found.is_none() {
        let how = "install them with conformance/validate/install.sh";
        assert!(std::env::var_os("CI").is_none(), "the outside validators are missing in CI: {how}");
        eprintln!("SKIPPED: the outside validators are missing; {how}");
    }
    found
}

/// A server, and every resource that it said, by what it is.
struct Heard<'w> {
    world: &'w World,
    token: String,
    said: RefCell<BTreeMap<String, Vec<Value>>>,
}

impl Heard<'_> {
    fn keep(&self, resource: Value) {
        let kind = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut name = kind(&resource["resourceType"]);
        if name == "Bundle" {
            name = format!("Bundle of type {}", kind(&resource["type"]));
        }
        let mut said = self.said.borrow_mut();
        let same = said.entry(name).or_default();
        if !same.contains(&resource) {
            same.push(resource);
        }
    }

    async fn send(&self, method: Method, path: &str, more: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/fhir+json")];
        headers.extend(more);
        let bytes = body.map(|body| body.to_string().into_bytes());
        let answer = self.world.server.send(method, path, &headers, bytes).await;
        if let Ok(resource) = serde_json::from_str::<Value>(&answer.text)
            && resource["resourceType"].is_string()
        {
            self.keep(resource);
        }
        answer
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    /// All pages.
    async fn pages(&self, path: &str) {
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let page = self.get(&path).await.expect(200).json();
            let link = page["link"].as_array().into_iter().flatten().find(|link| link["relation"] == "next");
            let url = link.and_then(|link| link["url"].as_str());
            next = url.and_then(|url| url.strip_prefix(&self.world.server.base)).map(str::to_owned);
        }
    }

    async fn push(&self, resources: &[Value]) {
        let entry = |one: &Value| {
            let url = format!("{}/{}", one["resourceType"].as_str().expect("type"), one["id"].as_str().expect("id"));
            json!({"resource": one, "request": {"method": "PUT", "url": url}})
        };
        let entries: Vec<Value> = resources.iter().map(entry).collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        self.send(Method::POST, "/fhir", &[], Some(&bundle)).await.expect(200);
    }

    /// Waits until everybody is assessed; found, the current resources.
    async fn found(&self, search: &str) -> Vec<Value> {
        self.world.server.settle().await;
        let bundle = self.get(&format!("/fhir/{search}")).await.expect(200).json();
        crate::smart::entries(&bundle)
    }
}

/// Who withdrew, and came back to sessions, questionnaires and homework.
fn returning(client: &str) -> Vec<Value> {
    let start = start_for(24);
    let mut all = withdrawing(client, &start, 4);
    all.retain(|one| one["status"] != "booked");
    for week in 16..24 {
        let (session, due) = (at(&start, 7 * week), at(&start, 7 * (week + 1)) - SignedDuration::from_hours(12));
        let n = usize::try_from(week).expect("a week");
        all.push(appointment(client, n, session, "fulfilled"));
        all.push(phq9(client, n, session - SignedDuration::from_hours(3), 6));
        all.push(homework(client, n, session, due, Some(due - SignedDuration::from_hours(24))));
    }
    all
}

/// The same client as if nothing had been missed: what was said of the gaps was said on incomplete data.
fn completed(history: &[Value]) -> Vec<Value> {
    let mut all = Vec::new();
    for one in history.iter().filter(|one| one["resourceType"] != "Patient") {
        let mut one = one.clone();
        if let Some(fields) = one.as_object_mut() {
            fields.remove("meta");
            fields.remove("cancelationReason");
        }
        match one["resourceType"].as_str() {
            Some("Appointment") if one["status"] != "booked" => {
                one["status"] = json!("fulfilled");
                let start: Timestamp = one["start"].as_str().expect("a start").parse().expect("an instant");
                let n = one["id"].as_str().and_then(|id| id.rsplit_once("-a")).expect("numbered").1;
                let answered = start - SignedDuration::from_hours(3);
                all.push(phq9("gaps", n.parse().expect("a number"), answered, 9));
            }
            Some("Task") => {
                let due: Timestamp =
                    one["restriction"]["period"]["end"].as_str().expect("due").parse().expect("an instant");
                if due < Timestamp::now() {
                    one["status"] = json!("completed");
                    one["executionPeriod"] = json!({"end": (due - SignedDuration::from_hours(24)).to_string()});
                }
            }
            Some("QuestionnaireResponse") => continue,
            _ => {}
        }
        all.push(one);
    }
    all
}

fn judgement(client: &str, flag: &Value, status: &str) -> Value {
    let now = Timestamp::from_second(Timestamp::now().as_second()).expect("an instant").to_string();
    json!({"resourceType": "Observation", "id": format!("j-{client}"), "status": status,
        "code": {"coding": [{"system": format!("{BASE}/CodeSystem/signal"), "code": "judgement"}]},
        "subject": {"reference": format!("Patient/{client}")},
        "focus": [{"reference": format!("Flag/{}", flag["id"].as_str().expect("an id"))}],
        "effectiveDateTime": now, "issued": now, "performer": [{"reference": "Practitioner/dr"}],
        "valueCodeableConcept": {"coding": [{"system": format!("{BASE}/CodeSystem/judgement"), "code": "rupture-yes"}]}})
}

/// Findings of every kind: Flags active, closed and entered in error, safety, judgements made and undone.
async fn histories(heard: &Heard<'_>) {
    let gone = withdrawing("gone", &start_for(15), 3);
    let gaps = withdrawing("gaps", &start_for(14), 2);
    let mut risk = phq9("gone", 99, Timestamp::now() - SignedDuration::from_hours(30), 9);
    risk["item"][8]["answer"][0]["valueCoding"]["code"] = json!("LA6570-1");
    heard.push(&gone).await;
    heard.push(&returning("back")).await;
    heard.push(&gaps).await;
    heard.push(&[risk, json!({"resourceType": "Practitioner", "id": "dr", "name": [{"family": "Rau"}]})]).await;
    for client in ["gone", "back"] {
        let flags = heard.found(&format!("Flag?patient={client}")).await;
        let one = flags.first().unwrap_or_else(|| panic!("a Flag of {client}"));
        heard
            .send(Method::PUT, &format!("/fhir/Observation/j-{client}"), &[], Some(&judgement(client, one, "final")))
            .await
            .expect(201);
        if client == "back" {
            let undone = judgement(client, one, "entered-in-error");
            heard.send(Method::PUT, "/fhir/Observation/j-back", &[], Some(&undone)).await.expect(200);
        }
    }
    assert!(!heard.found("Flag?patient=gaps&status=active").await.is_empty());
    heard.push(&completed(&gaps)).await;
    for (search, what) in [
        ("Flag?status=active", "active"),
        ("Flag?status=inactive", "closed"),
        ("Flag?status=entered-in-error", "entered in error"),
        ("Flag?code=safety-item", "of a safety item"),
        ("Observation?status=entered-in-error&code=judgement", "undone judgement"),
        ("Provenance?target=Observation/j-gone", "Provenance of a judgement"),
    ] {
        assert!(!heard.found(search).await.is_empty(), "no {what}");
    }
}

/// Reads, searches, histories, operations.
async fn asked(heard: &Heard<'_>) {
    let statement = heard.get("/fhir/metadata").await.expect(200).json();
    for row in statement["rest"][0]["resource"].as_array().expect("types") {
        let kind = row["type"].as_str().expect("a type");
        heard.pages(&format!("/fhir/{kind}?_count=200")).await;
        heard.get(&format!("/fhir/{kind}?_count=5&colour=red&_total=accurate")).await.expect(200);
        heard.get(&format!("/fhir/{kind}?_summary=count")).await.expect(200);
        if row["readHistory"] == true {
            heard.get(&format!("/fhir/{kind}/_history?_count=20")).await.expect(200);
        }
        for include in row["searchInclude"].as_array().into_iter().flatten().take(2) {
            heard.get(&format!("/fhir/{kind}?_count=2&_include={}", include.as_str().expect("text"))).await.expect(200);
        }
    }
    for path in [
        "/fhir/_history?_count=50",
        "/fhir/_history?_summary=count",
        "/fhir/Patient/gone/_history",
        "/fhir/Observation/j-back/_history",
        "/fhir/Observation/j-back/_history/1",
        "/fhir/Patient?_revinclude=Flag:patient&_revinclude=Provenance:target&_count=2",
        "/fhir/Patient/gone/$everything?_count=100",
        "/fhir/Patient/gone/Task?status=requested",
        "/fhir/Patient/gone/$detect-rupture",
        "/fhir/Patient/nobody/$detect-rupture",
        "/fhir/Task?_elements=status&_count=2",
        "/fhir/Patient/gone?_summary=true",
        "/fhir/Observation?_summary=true&_count=5",
        "/fhir/Flag?_summary=data&_count=2",
    ] {
        heard.get(path).await;
    }
    for week in [1, 8, 13, 15] {
        heard
            .get(&format!("/fhir/Patient/gone/$detect-rupture?asOf={}", at(&start_for(15), 7 * week)))
            .await
            .expect(200);
    }
    for kind in
        ["CodeSystem", "ValueSet", "StructureDefinition", "SearchParameter", "OperationDefinition", "Questionnaire"]
    {
        heard.get(&format!("/fhir/{kind}")).await.expect(200);
    }
    for (id, _) in tautline::fhir::read::SHIPPED {
        heard.get(&format!("/fhir/Questionnaire/{id}")).await.expect(200);
    }
}

/// What is refused, remarked on, and what answers to Bundles.
async fn refused(heard: &Heard<'_>) {
    let bad = json!({"resourceType": "Patient", "id": "x", "gender": "x", "birthDate": "soon", "colour": 1});
    let mut again = patient("gone");
    again["meta"] = json!({"lastUpdated": "2020-01-01T00:00:00Z"});
    for (method, path, headers, body) in [
        (Method::PUT, "/fhir/Patient/x", &[][..], Some(&bad)),
        (Method::POST, "/fhir/Patient/$validate", &[], Some(&bad)),
        (Method::POST, "/fhir/Patient/$validate", &[], Some(&again)),
        (Method::PUT, "/fhir/Patient/gone", &[("prefer", "return=OperationOutcome")], Some(&again)),
        (Method::PUT, "/fhir/Patient/gone", &[("if-match", "W/\"99\"")], Some(&again)),
        (Method::GET, "/fhir/Patient/none", &[], None),
        (Method::GET, "/fhir/Medication/1", &[], None),
        (Method::GET, "/fhir/Patient?colour=red", &[("prefer", "handling=strict")], None),
        (Method::GET, "/fhir/Patient?name:sounds=red", &[], None),
        (Method::GET, "/fhir/Patient?_format=csv", &[], None),
        (Method::DELETE, "/fhir/Patient", &[], None),
        (Method::PUT, "/fhir/Flag/1", &[], Some(&bad)),
        (Method::POST, "/fhir", &[], Some(&bad)),
        (Method::GET, "/nowhere", &[], None),
    ] {
        heard.send(method, path, headers, body).await;
    }
    let entry = |method: &str, url: &str, resource: Option<&Value>| {
        let mut entry = json!({"request": {"method": method, "url": url}});
        if let Some(resource) = resource {
            entry["resource"] = resource.clone();
        }
        entry
    };
    let organization = json!({"resourceType": "Organization", "name": "O"});
    for kind in ["batch", "transaction"] {
        for prefer in ["return=minimal", "return=representation", "return=OperationOutcome"] {
            let mut entries = vec![
                entry("POST", "Organization", Some(&organization)),
                entry("GET", "Patient/gone", None),
                entry("GET", "Flag?patient=gone", None),
                entry("DELETE", "Organization/none", None),
            ];
            if kind == "batch" {
                entries.push(entry("PUT", "Patient/x", Some(&bad)));
                entries.push(entry("GET", "Patient/none", None));
                entries.push(entry("GET", "Medication/1", None));
            }
            let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
            heard.send(Method::POST, "/fhir", &[("prefer", prefer)], Some(&bundle)).await.expect(200);
        }
    }
    let document = json!({"resourceType": "Bundle", "type": "document"});
    heard.send(Method::POST, "/fhir", &[], Some(&document)).await;
    let created = heard.send(Method::POST, "/fhir/Organization", &[], Some(&organization)).await.expect(201).json();
    let one = format!("/fhir/Organization/{}", created["id"].as_str().expect("an id"));
    heard.send(Method::DELETE, &one, &[("prefer", "return=OperationOutcome")], None).await.expect(200);
    heard.get(&one).await.expect(410);
    heard.get(&format!("{one}/_history")).await.expect(200);
}

/// An export's lines, and what refuses to start one.
async fn exported(heard: &Heard<'_>) {
    heard.get("/fhir/$export").await.expect(400);
    let bearer = format!("Bearer {}", heard.token);
    let headers = [("authorization", bearer.as_str()), ASYNC];
    let server = &heard.world.server;
    let path = "/fhir/$export?_since=2020-01-01T00:00:00Z";
    let started = heard.send(Method::GET, path, &[ASYNC], None).await;
    let manifest = waited(server, started, &headers[..1]).await.expect(200).json();
    for part in ["output", "deleted"] {
        let files = manifest[part].as_array().expect("files");
        assert!(!files.is_empty(), "{part}");
        for file in files {
            let path = file["url"].as_str().and_then(|url| url.strip_prefix(&server.base)).expect("our own");
            let text = server.send(Method::GET, path, &headers[..1], None).await.expect(200).text;
            text.lines().for_each(|line| heard.keep(serde_json::from_str(line).expect("json")));
        }
    }
}

#[actix_web::test]
async fn everything_that_is_emitted_is_valid_to_others() {
    let Some(tools) = tools() else { return };
    let world = World::new(Backend::Sqlite).await.expect("a world");
    let token = world.token("system/*.cruds system/AuditEvent.rs");
    let heard = Heard { world: &world, token, said: RefCell::default() };
    histories(&heard).await;
    refused(&heard).await;
    asked(&heard).await;
    exported(&heard).await;
    for event in world.trail("action=E", 1).await.iter().take(5) {
        heard.get(&format!("/fhir/AuditEvent/{}", event["id"].as_str().expect("an id"))).await.expect(200);
    }
    heard.pages("/fhir/AuditEvent?_count=100").await;
    let folder = tempfile::tempdir().expect("a folder");
    let said = heard.said.take();
    for kind in
        ["AuditEvent", "Bundle of type transaction", "CapabilityStatement", "Flag", "OperationOutcome", "Provenance"]
    {
        assert!(said.contains_key(kind), "no {kind} was heard: {:?}", said.keys());
    }
    for (name, all) in &said {
        let text: String = all.iter().map(|one| format!("{one}\n")).collect();
        std::fs::write(folder.path().join(format!("{name}.ndjson")), text).expect("written");
    }
    let package = folder.path().join("package");
    let made = Command::new(env!("CARGO_BIN_EXE_tautline")).arg("conformance").arg(&package).status();
    assert!(made.expect("it runs").success());
    if let Some(keep) = std::env::var_os("TAUTLINE_SAMPLES") {
        Command::new("cp").arg("-r").arg(folder.path()).arg(keep).status().expect("cp runs");
    }
    world.server.stop().await;
    let run = format!("{ROOT}/conformance/validate/run.sh");
    let done =
        Command::new("sh").arg(run).arg(&tools).arg(folder.path()).arg(format!("{ROOT}/conformance/examples")).output();
    let done = done.expect("sh runs");
    let told = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{}", told.chars().take(20_000).collect::<String>());
    eprintln!("{told}");
}

/// PyPI `fhirpy` and `fhirclient`: save, patch, conditional forms, search, pages, includes, `$validate`.
#[actix_web::test]
async fn clients_of_others_get_along() {
    let Some(tools) = tools() else { return };
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let server = Server::start(&place).await;
    let base = format!("{}/fhir", server.base);
    let run = move || {
        let script = format!("{ROOT}/conformance/validate/clients.py");
        Command::new(tools.join("python/bin/python")).arg(script).arg(base).output().expect("python runs")
    };
    let done = tokio::task::spawn_blocking(run).await.expect("its end");
    let told = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && told.contains("what they expect"), "{told}");
    server.stop().await;
}
