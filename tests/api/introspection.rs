//! Tokens that only their issuer can read.

use crate::ehr::basic;
use crate::issuer::{Issuer, Signer, now};
use crate::server::{Backend, Place, Server};
use crate::story::patient;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

#[actix_web::test]
async fn opaque_tokens_are_asked_about_and_believed_for_a_moment() {
    let issuer = Issuer::start(&[&Signer::es384("k1")]).await;
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret\n").expect("written");
    let lines = format!(
        "auth = \"smart\"\n[[issuers]]\nissuer = \"{0}\"\nallow_insecure = true\nintrospection_url = \"{0}/introspect\"\n\
         introspection_client_id = \"tautline\"\nintrospection_client_secret_file = \"{1}\"\n",
        issuer.url,
        secret.display()
    );
    let server = Server::configured(&place, &lines).await;
    let audience = format!("{}/fhir", server.base);
    let know = |token: &str, answer: Value| {
        issuer.opaque.lock().expect("tokens").insert(token.into(), answer);
    };
    let ask = async |token: &str, path: &str| {
        let bearer = format!("Bearer {token}");
        server.send(Method::GET, path, &[("authorization", &bearer)], None).await
    };
    know("writes", json!({"active": true, "scope": "system/*.cruds", "client_id": "engine"}));
    let body = patient("a").to_string().into_bytes();
    let headers = [("authorization", "Bearer writes"), ("content-type", "application/fhir+json")];
    server.send(Method::PUT, "/fhir/Patient/a", &headers, Some(body)).await.expect(201);
    let good = json!({"active": true, "scope": "patient/Patient.r", "patient": "a", "client_id": "an-app", "sub": "s",
        "iss": issuer.url, "aud": audience, "exp": now() + 300});
    know("good", good.clone());
    ask("good", "/fhir/Patient/a").await.expect(200);
    // Its scopes are those of the answer, and it is not asked about again at once.
    let before = issuer.asked.lock().expect("askers").len();
    ask("good", "/fhir/Flag").await.expect(403);
    ask("good", "/fhir/Patient/a").await.expect(200);
    assert_eq!(issuer.asked.lock().expect("askers").len(), before);
    assert!(issuer.asked.lock().expect("askers").iter().all(|by| *by == basic("tautline", "s3cret")));
    // What the answer says has to hold.
    for (name, change) in [
        ("expired", json!({"exp": now() - 300})),
        ("elsewhere", json!({"aud": "https://another.example/fhir"})),
        ("foreign", json!({"iss": "https://another.example"})),
        ("early", json!({"nbf": now() + 3000})),
        ("inactive", json!({"active": false})),
        ("text", json!({"active": "true"})),
    ] {
        let mut answer = good.clone();
        for (key, value) in change.as_object().expect("an object") {
            answer[key] = value.clone();
        }
        know(name, answer);
        for _ in 0..2 {
            ask(name, "/fhir/Patient/a").await.expect(401);
        }
    }
    // Refused is not for ever, and never good: a token that becomes active is seen soon.
    ask("later", "/fhir/Patient/a").await.expect(401);
    know("later", good.clone());
    ask("later", "/fhir/Patient/a").await.expect(401);
    tokio::time::sleep(std::time::Duration::from_millis(5200)).await;
    ask("later", "/fhir/Patient/a").await.expect(200);
    // An end that comes while the answer is still believed is an end.
    let mut ending = good.clone();
    ending["exp"] = json!(now() - 28);
    know("ending", ending);
    ask("ending", "/fhir/Patient/a").await.expect(200);
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    ask("ending", "/fhir/Patient/a").await.expect(401);
    // The issuer is away: 503, not 401; nobody is let in, and what is kept still holds.
    issuer.broken.store(500, Ordering::SeqCst);
    know("new", good);
    let away = ask("new", "/fhir/Patient/a").await.expect(503);
    assert!(!away.header("retry-after").is_empty());
    ask("later", "/fhir/Patient/a").await.expect(200);
    let count = issuer.asked.lock().expect("askers").len();
    ask("no%20token", "/fhir/Patient/a").await.expect(401);
    ask(&"x".repeat(20_000), "/fhir/Patient/a").await;
    assert_eq!(issuer.asked.lock().expect("askers").len(), count, "what was never a token is not asked about");
    server.stop().await;
}
