//! Our Flags in the EHR's own list, kept in step when nobody looks.

use crate::ehr::{Ehr, basic};
use crate::issuer::{Issuer, Signer, now};
use crate::process::Process;
use crate::server::{Backend, Place, Server};
use crate::story::{start_for, withdrawing};
use crate::visitor::Browser;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A server that an EHR launches and that others push to, and whose Flags go back to the EHR.
struct House {
    ehr: Ehr,
    issuer: Issuer,
    signer: Signer,
    folder: tempfile::TempDir,
    place: Place,
}

impl House {
    async fn new() -> Self {
        Self::on(Backend::Sqlite).await.expect("a place")
    }

    async fn on(backend: Backend) -> Option<Self> {
        let place = Place::new(backend).await?;
        let signer = Signer::es384("k1");
        let issuer = Issuer::start(&[&signer]).await;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), "s3cret").expect("written");
        Some(Self { ehr: Ehr::start().await, issuer, signer, folder, place })
    }

    async fn server(&self, more: &str) -> Server {
        Server::configured(&self.place, &self.lines(more)).await
    }

    fn lines(&self, more: &str) -> String {
        format!(
            "auth = \"smart\"\nbase_url = \"https://tautline.example\"\n[[issuers]]\nissuer = \"{}\"\nallow_insecure = true\n[[ehrs]]\niss = \"{}\"\n\
             client_id = \"tautline\"\nscope = \"launch\"\nallow_insecure = true\npushes = true\nwrite_flags = true\nclient_secret_file = \"{}\"\n{more}\n",
            self.issuer.url,
            self.ehr.iss,
            self.folder.path().join("secret").display()
        )
    }

    async fn push(&self, server: &Server, resources: &[Value]) {
        self.push_to(&server.base, resources).await;
    }

    async fn push_to(&self, base: &str, resources: &[Value]) {
        let claims = json!({"iss": self.issuer.url, "aud": "https://tautline.example/fhir", "exp": now() + 300, "scope": "system/*.cruds"});
        let entry = |one: &Value| {
            let url = format!("{}/{}", one["resourceType"].as_str().expect("type"), one["id"].as_str().expect("id"));
            json!({"resource": one, "request": {"method": "PUT", "url": url}})
        };
        let entries: Vec<Value> = resources.iter().map(entry).collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let bearer = format!("Bearer {}", self.signer.sign(&claims));
        let request = crate::process::client().post(format!("{base}/fhir")).header("authorization", bearer);
        let answer = request.header("content-type", "application/fhir+json").body(bundle.to_string()).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    }

    /// Waits for the EHR to have this many writes, then a little longer for one too many.
    async fn written(&self, count: usize) -> Vec<Value> {
        let began = Instant::now();
        while self.ehr.with(|ward| ward.writes.len()) < count {
            assert!(began.elapsed() < Duration::from_secs(30), "{} writes", self.ehr.with(|ward| ward.writes.len()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let writes = self.ehr.with(|ward| ward.writes.clone());
        assert_eq!(writes.len(), count, "{writes:?}");
        writes
    }
}

fn ended(client: &str) -> Value {
    let mut patient = crate::story::patient(client);
    patient["active"] = json!(false);
    patient
}

#[actix_web::test]
async fn as_a_system_we_write_without_a_launch_and_the_ehrs_own_changes_stand() {
    let house = House::new().await;
    let ehr = &house.ehr;
    ehr.with(|ward| ward.refuse_writes = Some(503));
    let more = "system_scope = \"system/Flag.crus\"";
    let server = house.server(more).await;
    house.push(&server, &withdrawing("p1", &start_for(15), 3)).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(ehr.with(|ward| ward.writes.len()), 0);
    // It is back: what could not be written is, by itself.
    ehr.with(|ward| ward.refuse_writes = None);
    let first = house.written(1).await.remove(0);
    assert_eq!(
        (first["status"].as_str(), first["subject"]["reference"].as_str()),
        (Some("active"), Some("Patient/p1"))
    );
    let (authorization, form) = ehr.with(|ward| ward.asked[0].clone());
    assert_eq!(
        (authorization, form["grant_type"].as_str(), form["scope"].as_str()),
        (Some(basic("tautline", "s3cret")), "client_credentials", "system/Flag.crus")
    );
    assert_eq!(ehr.with(|ward| ward.asked.len()), 1, "one token for as long as it lasts");
    // Somebody there adds to it: that stays when it closes.
    ehr.with(|ward| {
        let theirs = ward.resources.iter_mut().find(|one| one["resourceType"] == "Flag").expect("a flag");
        theirs["identifier"].as_array_mut().expect("identifiers").push(json!({"system": "urn:ehr", "value": "7"}));
        theirs["encounter"] = json!({"reference": "Encounter/e"});
        theirs["meta"]["versionId"] = json!("5");
    });
    house.push(&server, &[ended("p1")]).await;
    let closed = house.written(2).await.remove(1);
    assert_eq!(
        (closed["status"].as_str(), &closed["id"], closed["meta"]["versionId"].as_str()),
        (Some("inactive"), &first["id"], Some("6"))
    );
    assert_eq!(
        (closed["encounter"]["reference"].as_str(), closed["identifier"][1]["value"].as_str()),
        (Some("Encounter/e"), Some("7"))
    );
    // Closed there, still open here: theirs stands, after a restart too.
    house.push(&server, &withdrawing("p2", &start_for(15), 3)).await;
    house.written(3).await;
    ehr.with(|ward| {
        let theirs = ward.resources.iter_mut().rfind(|one| one["resourceType"] == "Flag").expect("a flag");
        theirs["status"] = json!("inactive");
    });
    server.stop().await;
    let server = house.server(more).await;
    house.written(3).await;
    // What changed while nobody was there is written by whoever comes.
    ehr.with(|ward| ward.refuse_writes = Some(503));
    house.push(&server, &withdrawing("p3", &start_for(15), 3)).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    server.stop().await;
    ehr.with(|ward| ward.refuse_writes = None);
    let server = house.server(more).await;
    let last = house.written(4).await.remove(3);
    assert_eq!(last["subject"]["reference"], "Patient/p3");
    server.stop().await;
}

#[actix_web::test]
async fn while_a_session_lasts_what_changes_is_written_though_nobody_looks() {
    let house = House::new().await;
    house.ehr.with(|ward| ward.context = json!({"patient": "p1", "scope": "launch patient/*.rs patient/Flag.crus"}));
    let server = house.server("").await;
    // Before anybody has launched there is no leave to write.
    house.push(&server, &withdrawing("p1", &start_for(15), 3)).await;
    house.written(0).await;
    let mut browser = Browser::new(&server);
    let asked = browser.launch(&house.ehr, Some("1")).await;
    let back = asked.redirect.strip_prefix("https://tautline.example").expect("our address").to_owned();
    browser.get(&back).await.expect(303);
    house.written(1).await;
    house.push(&server, &[ended("p1")]).await;
    let closed = house.written(2).await.remove(1);
    assert_eq!(closed["status"], "inactive");
    // Another client's Flags are not this launch's to write.
    house.push(&server, &withdrawing("p2", &start_for(15), 3)).await;
    house.written(2).await;
    server.stop().await;
}

const AS_A_SYSTEM: &str = "system_scope = \"system/Flag.crus\"";

#[actix_web::test]
async fn of_several_processes_one_asks_and_writes() {
    let Some(house) = House::on(Backend::Postgres).await else { return };
    let ehr = &house.ehr;
    let (one, two) = (house.server(AS_A_SYSTEM).await, house.server(AS_A_SYSTEM).await);
    for client in ["p1", "p2", "p3"] {
        house.push(&one, &withdrawing(client, &start_for(15), 3)).await;
    }
    house.written(3).await;
    let reads = || ehr.with(|ward| ward.reads);
    assert_eq!(reads(), 6, "one look and one write for each Flag");
    // Whoever starts knows what stands.
    one.stop().await;
    let one = house.server(AS_A_SYSTEM).await;
    house.written(3).await;
    assert_eq!(reads(), 6);
    house.push(&two, &[ended("p2")]).await;
    house.written(4).await;
    assert_eq!(reads(), 8);
    one.stop().await;
    two.stop().await;
}

#[actix_web::test]
async fn what_a_process_had_begun_when_it_died_another_ends() {
    let Some(house) = House::on(Backend::Postgres).await else { return };
    let ehr = &house.ehr;
    // As long as nobody would wait.
    ehr.with(|ward| ward.stall = Some(Duration::from_secs(300)));
    let path = house.folder.path().join("tautline.toml");
    std::fs::write(&path, house.lines(AS_A_SYSTEM)).expect("written");
    let options = ["--config", path.to_str().expect("a path")];
    let client = crate::process::client();
    let mut first = Process::start_with(&house.place.url, &client, &options, None).await;
    let second = Process::start_with(&house.place.url, &client, &options, None).await;
    // While the first is alone, it is the one that writes.
    second.signal("STOP");
    house.push_to(&first.base, &withdrawing("p1", &start_for(15), 3)).await;
    let began = Instant::now();
    while ehr.with(|ward| ward.stall.is_some()) {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody writes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.kill();
    second.signal("CONT");
    let died = Instant::now();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(ehr.with(|ward| ward.writes.len()), 0, "the dead one's claim still holds");
    while ehr.with(|ward| ward.writes.is_empty()) {
        assert!(died.elapsed() < Duration::from_secs(90), "nobody takes over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!("taken over after {:?}", died.elapsed());
    house.written(1).await;
}

#[actix_web::test]
async fn one_that_we_closed_and_take_back_is_open_there_again() {
    let house = House::new().await;
    let server = house.server(AS_A_SYSTEM).await;
    house.push(&server, &withdrawing("p1", &start_for(15), 3)).await;
    house.written(1).await;
    house.push(&server, &[ended("p1")]).await;
    assert_eq!(house.written(2).await[1]["status"], "inactive");
    house.push(&server, &[crate::story::patient("p1")]).await;
    let again = house.written(3).await.remove(2);
    assert_eq!(
        (again["status"].as_str(), &again["id"]),
        (Some("active"), &house.ehr.with(|ward| ward.writes[0]["id"].clone()))
    );
    server.stop().await;
}

#[actix_web::test]
async fn a_public_client_is_no_system() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tautline.toml");
    let lines = "[[ehrs]]\niss = \"https://ehr.example/fhir\"\nclient_id = \"x\"\nscope = \"launch\"\nsystem_scope = \"system/Flag.crus\"\n";
    std::fs::write(&path, lines).expect("written");
    let options = tautline::config::Options {
        config: Some(path),
        listen: "127.0.0.1:0".parse().ok(),
        database_url: Some(place.url.clone()),
        ..Default::default()
    };
    let config = tautline::config::Config::read(&options).expect("the configuration reads");
    let refused = tautline::app::start(config).await.err().expect("refused").to_string();
    assert!(refused.contains("system_scope"), "{refused}");
}
