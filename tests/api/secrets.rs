//! What must never stand in a log, at its most talkative; and what a crash may not take from the trail.

use crate::crash::transaction;
use crate::ehr::Ehr;
use crate::issuer::{Signer, now};
use crate::process::{Process, client};
use crate::server::{Backend, Place};
use crate::story::{start_for, withdrawing};
use crate::visitor::Browser;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// A configuration with a confidential EHR, systems of our own, and where its files are.
struct Setting {
    folder: tempfile::TempDir,
    config: PathBuf,
    signer: Signer,
}

impl Setting {
    fn new(ehr: Option<&Ehr>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let signer = Signer::es384("e1");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let keys = file("keys.json", &json!({"keys": [signer.public]}).to_string());
        let secret = file("secret", "the-secret-of-the-client");
        let mut lines = format!(
            "auth = \"smart\"\n[[clients]]\nclient_id = \"feed\"\njwks_file = \"{}\"\nscope = \"system/*.cruds system/AuditEvent.rs\"\n",
            keys.display()
        );
        if let Some(ehr) = ehr {
            lines += &format!(
                "[[ehrs]]\niss = \"{}\"\nclient_id = \"tautline\"\nclient_secret_file = \"{}\"\nallow_insecure = true\nwrite_flags = true\n\
                 scope = \"launch openid fhirUser patient/*.rs patient/Flag.cus\"\n",
                ehr.iss,
                secret.display()
            );
        }
        let config = file("tautline.toml", &lines);
        Self { config, folder, signer }
    }

    async fn start(&self, place: &Place, client: &Client) -> Process {
        let config = self.config.to_str().expect("text");
        let log = self.log();
        Process::start_with(&place.url, client, &["--config", config], Some(&log)).await
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The assertion, and the token that it gets.
    async fn token(&self, client: &Client, base: &str) -> (String, String) {
        let jti = uuid::Uuid::new_v4().to_string();
        let claims =
            json!({"iss": "feed", "sub": "feed", "aud": format!("{base}/auth/token"), "exp": now() + 240, "jti": jti});
        let assertion = self.signer.sign(&claims);
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("scope", "system/*.cruds system/AuditEvent.rs")
            .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
            .append_pair("client_assertion", &assertion)
            .finish();
        let request = client.post(format!("{base}/auth/token"));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer: Value =
            serde_json::from_str(&request.send().await.expect("an answer").text().await.expect("text")).expect("json");
        (assertion, answer["access_token"].as_str().expect("a token").to_owned())
    }
}

async fn send(client: &Client, method: Method, url: &str, token: &str, body: String) -> (u16, String) {
    let request = client.request(method, url).bearer_auth(token).header("content-type", "application/fhir+json");
    match request.body(body).send().await {
        Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
        Err(_) => (0, String::new()),
    }
}

#[actix_web::test]
async fn no_secret_and_nothing_of_anybody_is_in_the_log() {
    let ehr = Ehr::start().await;
    ehr.with(|ward| {
        ward.resources = withdrawing("the-client-of-the-ehr", &start_for(15), 3);
        ward.expires_in = 2;
        ward.context = json!({"patient": "the-client-of-the-ehr", "refresh_token": "fresh",
            "scope": "launch patient/*.rs patient/Flag.cus"});
    });
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let (client, setting) = (client(), Setting::new(Some(&ehr)));
    let mut process = setting.start(&place, &client).await;
    let base = process.base.clone();
    // A launch, a look, a word, a renewal, and a launch that is refused.
    let mut browser = Browser::at(&base);
    let asked = browser.launch(&ehr, Some("the-launch-parameter")).await;
    let mut secrets: Vec<String> = browser.cookies.values().cloned().collect();
    secrets.push(asked.parameters["state"].clone());
    let there = browser.get(&asked.redirect).await.expect(303).header("location").to_owned();
    secrets.extend(browser.cookies.values().cloned());
    let page = browser.page(&there).await.expect(200).text;
    assert!(page.contains("Muster"));
    let csrf = page
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a token")
        .to_owned();
    let path = there.split('?').next().expect("a path");
    let form = [("verdict", "rupture-yes"), ("csrf", csrf.as_str()), ("note", "what-was-said-in-the-room")];
    browser.send(Method::POST, &format!("{path}/judgements"), Some(&form)).await.expect(303);
    secrets.push(csrf);
    tokio::time::sleep(Duration::from_millis(2200)).await;
    browser.page(&there).await.expect(200);
    browser.get(&asked.redirect).await.expect(400);
    let forms = ehr.with(|ward| ward.asked.clone());
    for (authorization, form) in &forms {
        secrets.extend(authorization.clone().map(|text| text.replace("Basic ", "")));
        secrets.extend(["code", "code_verifier", "refresh_token"].iter().filter_map(|key| form.get(*key).cloned()));
    }
    assert!(forms.iter().any(|(_, form)| form.contains_key("refresh_token")), "the token was renewed");
    // A system's tokens, good writes, bad ones, and noise.
    let (assertion, token) = setting.token(&client, &base).await;
    let fhir = |path: &str| format!("{base}/fhir/{path}");
    let pushed = transaction(&withdrawing("the-client-that-was-pushed", &start_for(15), 3)).to_string();
    assert_eq!(send(&client, Method::POST, &format!("{base}/fhir"), &token, pushed).await.0, 200);
    for (method, path, token, body) in [
        (Method::GET, "Patient?name=a-name-that-was-searched", token.as_str(), ""),
        (Method::GET, "Flag", "a-token-that-does-not-hold", ""),
        (Method::GET, "Flag", "aaaa.a-token-in-parts.cccc", ""),
        (
            Method::POST,
            "Patient",
            &token,
            "{\"resourceType\":\"Patient\",\"name\":[{\"text\":\"a-name-that-is-broken\"}",
        ),
        (
            Method::POST,
            "Patient",
            &token,
            "{\"resourceType\":\"Patient\",\"name\":[{\"text\":\"a-name-that-is-odd\",\"x\":1}]}",
        ),
        (
            Method::PUT,
            "Task/the-task-of-nobody",
            &token,
            "{\"resourceType\":\"Task\",\"note\":[{\"text\":\"an-answer\"}]}",
        ),
    ] {
        send(&client, method, &fhir(path), token, body.to_owned()).await;
    }
    let _ = client.get(format!("{base}/callback?code=a-code-of-a-stranger&state=a-state-of-a-stranger")).send().await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    process.kill();
    let log = std::fs::read_to_string(setting.log()).expect("a log");
    assert!(log.lines().count() > 20 && log.contains("\"TRACE\""), "it talks: {} lines", log.lines().count());
    secrets.extend([assertion, token].iter().flat_map(|token| {
        let parts: Vec<String> = token.split('.').skip(1).map(str::to_owned).collect();
        parts
    }));
    secrets.retain(|secret| !secret.is_empty() && secret != "fresh");
    for told in [
        "the-secret-of-the-client",
        "the-token-of-the-ehr",
        "the-launch-parameter",
        "the-client-of-the-ehr",
        "the-client-that-was-pushed",
        "Muster",
        "what-was-said-in-the-room",
        "a-name-that",
        "a-token-that",
        "a-token-in",
        "an-answer",
        "a-code-of-a-stranger",
        "a-state-of-a-stranger",
        "LA6568-5",
    ] {
        secrets.push(told.to_owned());
    }
    assert!(secrets.len() > 20);
    let found: Vec<&str> = log.lines().filter(|line| secrets.iter().any(|secret| line.contains(secret))).collect();
    assert!(found.is_empty(), "{} lines tell, such as {:?}", found.len(), found.first());
}

async fn events(client: &Client, base: &str, token: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut next = Some(format!("{base}/fhir/AuditEvent?action=C&_count=500"));
    while let Some(url) = next {
        let (status, text) = send(client, Method::GET, &url, token, String::new()).await;
        assert_eq!(status, 200, "{text}");
        let bundle: Value = serde_json::from_str(&text).expect("json");
        for entry in bundle["entry"].as_array().into_iter().flatten() {
            let what = entry["resource"]["entity"].as_array().into_iter().flatten();
            out.extend(what.filter_map(|entity| entity["what"]["reference"].as_str()).map(str::to_owned));
        }
        let links = bundle["link"].as_array().into_iter().flatten();
        next = links.filter(|link| link["relation"] == "next").find_map(|link| link["url"].as_str().map(str::to_owned));
    }
    out
}

#[actix_web::test]
async fn a_write_and_its_event_survive_a_crash_together_or_not_at_all() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let Some(place) = Place::new(backend).await else { continue };
        let (client, setting) = (client(), Setting::new(None));
        let mut done = Vec::new();
        for round in 0..3 {
            let mut process = setting.start(&place, &client).await;
            let (_, token) = setting.token(&client, &process.base).await;
            let at = process.base.clone();
            let writes = (0..40).map(|n| {
                let (client, token, base) = (client.clone(), token.clone(), at.clone());
                async move {
                    tokio::time::sleep(Duration::from_millis(15 * n)).await;
                    let id = format!("c{round}-{n}");
                    let body = json!({"resourceType": "Patient", "id": id}).to_string();
                    let (status, _) =
                        send(&client, Method::PUT, &format!("{base}/fhir/Patient/{id}"), &token, body).await;
                    (id, status == 201)
                }
            });
            let axe = async {
                tokio::time::sleep(Duration::from_millis(250 + 60 * round)).await;
                process.kill();
            };
            let (wrote, ()) = tokio::join!(futures_util::future::join_all(writes), axe);
            done.extend(wrote);
        }
        let kept = done.iter().filter(|(_, acknowledged)| *acknowledged).count();
        assert!(kept > 0 && kept < done.len(), "{kept} of {}", done.len());
        let process = setting.start(&place, &client).await;
        let (_, token) = setting.token(&client, &process.base).await;
        let events = events(&client, &process.base, &token).await;
        for (id, acknowledged) in done {
            let there =
                send(&client, Method::GET, &format!("{}/fhir/Patient/{id}", process.base), &token, String::new())
                    .await
                    .0
                    == 200;
            assert!(there || !acknowledged, "{id} was acknowledged");
            assert_eq!(there, events.contains(&format!("Patient/{id}")), "{id}: written and traced, or neither");
        }
    }
}
