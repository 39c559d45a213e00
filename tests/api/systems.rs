//! The embedded authorization server: systems that get their tokens here.

use crate::issuer::{Signer, now};
use crate::server::{Answer, Backend, Place, Server};
use crate::smart::{World, in_a_world};
use crate::story::{start_for, withdrawing};
use reqwest::Method;
use serde_json::{Value, json};

struct Desk {
    server: Server,
    place: Place,
    lines: String,
    ec: Signer,
    rsa: Signer,
    _folder: tempfile::TempDir,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (ec, rsa) = (Signer::es384("e1"), Signer::rs384("r1"));
        let path = folder.path().join("dashboard.jwks.json");
        std::fs::write(&path, json!({"keys": [ec.public, rsa.public]}).to_string()).expect("written");
        let lines = format!(
            "auth = \"smart\"\n[[clients]]\nclient_id = \"dashboard\"\njwks_file = \"{}\"\nscope = \"system/Flag.rs system/Observation.rs\"\n\
             [[clients]]\nclient_id = \"feed\"\njwks_file = \"{0}\"\nscope = \"system/*.cruds\"\n",
            path.display()
        );
        let place = Place::new(Backend::Sqlite).await.expect("a place");
        let server = Server::configured(&place, &lines).await;
        Self { server, place, lines, ec, rsa, _folder: folder }
    }

    fn claims(&self, client: &str) -> Value {
        json!({"iss": client, "sub": client, "aud": format!("{}/auth/token", self.server.base), "exp": now() + 240,
            "jti": format!("{}-{}", client, uuid::Uuid::new_v4())})
    }

    async fn ask(&self, assertion: &str, scope: &str) -> Answer {
        self.post(&[
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ])
        .await
    }

    async fn post(&self, pairs: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.server.send(Method::POST, "/auth/token", &headers, Some(body.into_bytes())).await
    }

    async fn token(&self, client: &str, scope: &str) -> String {
        let answer = self.ask(&self.ec.sign(&self.claims(client)), scope).await.expect(200).json();
        answer["access_token"].as_str().expect("a token").to_owned()
    }
}

#[actix_web::test]
async fn a_system_reads_flags_with_a_token_of_ours() {
    let desk = Desk::new().await;
    for signer in [&desk.ec, &desk.rsa] {
        let answer = desk.ask(&signer.sign(&desk.claims("dashboard")), "system/Flag.rs").await.expect(200);
        assert_eq!(answer.header("cache-control"), "no-store");
        let answer = answer.json();
        assert_eq!((answer["token_type"].as_str(), answer["scope"].as_str()), (Some("bearer"), Some("system/Flag.rs")));
        assert!(answer["expires_in"].as_i64().is_some_and(|seconds| (1..=300).contains(&seconds)));
    }
    let feed = format!("Bearer {}", desk.token("feed", "system/*.cruds").await);
    let entries: Vec<Value> = withdrawing("w", &start_for(15), 3)
        .into_iter()
        .map(|one| json!({"request": {"method": "PUT", "url": format!("{}/{}", one["resourceType"].as_str().expect("type"), one["id"].as_str().expect("id"))}, "resource": one}))
        .collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    desk.server.with(Method::POST, "/fhir", &[("authorization", &feed)], &bundle).await.expect(200);
    desk.server.settle().await;
    let dashboard = format!("Bearer {}", desk.token("dashboard", "system/Flag.rs").await);
    let get = async |path: &str| desk.server.send(Method::GET, path, &[("authorization", &dashboard)], None).await;
    let flags = get("/fhir/Flag?patient=w").await.expect(200).json();
    assert!(flags["total"].as_u64().is_some_and(|total| total > 0), "{flags}");
    get("/fhir/Patient/w").await.expect(403);
    get("/fhir/Observation?patient=w").await.expect(403);
    desk.server.stop().await;
}

#[actix_web::test]
async fn assertions_that_do_not_hold_get_nothing() {
    let desk = Desk::new().await;
    let good = desk.claims("dashboard");
    let with = |key: &str, value: Value| {
        let mut claims = desk.claims("dashboard");
        if value.is_null() {
            claims.as_object_mut().expect("object").remove(key);
        } else {
            claims[key] = value;
        }
        desk.ec.sign(&claims)
    };
    let cases = [
        ("expired", with("exp", json!(now() - 60))),
        ("six minutes", with("exp", json!(now() + 360))),
        ("no exp", with("exp", Value::Null)),
        ("no jti", with("jti", Value::Null)),
        ("other aud", with("aud", json!(desk.server.base.clone()))),
        ("no aud", with("aud", Value::Null)),
        ("other sub", with("sub", json!("feed"))),
        ("other iss", with("iss", json!("feed"))),
        ("unknown", with("iss", json!("nobody"))),
        ("other key", Signer::es384("e1").sign(&good)),
        ("no kid", desk.ec.sign_with(&good, |header| header.kid = None)),
        ("none", crate::issuer::by_hand(&json!({"alg": "none", "kid": "e1"}), &good, b"")),
        ("garbage", "x.y.z".into()),
    ];
    for (name, assertion) in &cases {
        let refused = desk.ask(assertion, "system/Flag.rs").await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["error"].as_str()),
            (401, Some("invalid_client")),
            "{name}"
        );
        assert!(!refused.text.contains(assertion.as_str()), "{name}");
    }
    let own = desk.ec.sign(&desk.claims("dashboard"));
    let another = [
        ("client_id", "feed"),
        ("grant_type", "client_credentials"),
        ("scope", "system/Flag.rs"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", own.as_str()),
    ];
    assert_eq!(desk.post(&another).await.expect(401).json()["error"], "invalid_client");
    // Once, and not again: not after a restart either.
    let assertion = desk.ec.sign(&good);
    desk.ask(&assertion, "system/Flag.rs").await.expect(200);
    desk.ask(&assertion, "system/Flag.rs").await.expect(401);
    for (scope, error) in
        [("system/Patient.rs", "invalid_scope"), ("patient/Flag.rs", "invalid_scope"), ("", "invalid_scope")]
    {
        let refused = desk.ask(&desk.ec.sign(&desk.claims("dashboard")), scope).await.expect(400);
        assert_eq!(refused.json()["error"], error, "{scope}");
    }
    for (pairs, error) in [
        (&[("grant_type", "password")][..], "unsupported_grant_type"),
        (&[("grant_type", "client_credentials")], "invalid_request"),
        (&[], "invalid_request"),
        (&[("grant_type", "client_credentials"), ("grant_type", "client_credentials")], "invalid_request"),
    ] {
        assert_eq!(desk.post(pairs).await.expect(400).json()["error"], error);
    }
    desk.server
        .send(Method::POST, "/auth/token", &[("content-type", "application/json")], Some(b"{}".to_vec()))
        .await
        .expect(400);
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    desk.server.send(Method::POST, "/auth/token", &headers, Some(vec![b'a'; 100_000])).await.expect(400);
    let Desk { server, place, lines, .. } = desk;
    let base = server.base.clone();
    server.stop().await;
    let again = Server::configured(
        &place,
        &lines.replace("auth = \"smart\"", &format!("auth = \"smart\"\nbase_url = \"{base}\"")),
    )
    .await;
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("grant_type", "client_credentials"),
            ("scope", "system/Flag.rs"),
            ("client_assertion", &assertion),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ])
        .finish();
    let replayed = again.send(Method::POST, "/auth/token", &headers, Some(body.into_bytes())).await.expect(401);
    assert!(replayed.text.contains("used before"), "{}", replayed.text);
    again.stop().await;
}

#[actix_web::test]
async fn anyone_finds_out_where_tokens_come_from() {
    let desk = Desk::new().await;
    let found = desk.server.get("/fhir/.well-known/smart-configuration").await.expect(200);
    assert!(found.header("content-type").starts_with("application/json"));
    assert_eq!(found.header("access-control-allow-origin"), "*");
    let found = found.json();
    assert_eq!(found["token_endpoint"], format!("{}/auth/token", desk.server.base));
    assert_eq!(found["code_challenge_methods_supported"], json!(["S256"]));
    assert!(found["capabilities"].as_array().expect("a list").iter().all(Value::is_string));
    assert!(found["capabilities"].to_string().contains("client-confidential-asymmetric"));
    let keys = desk.server.get("/auth/jwks").await.expect(200);
    assert!(keys.json()["keys"][0]["kid"].is_string() && !keys.text.contains("\"d\""));
    let metadata = desk.server.get("/fhir/metadata").await.expect(200);
    assert_eq!(metadata.header("access-control-allow-origin"), "*");
    let security = &metadata.json()["rest"][0]["security"];
    assert_eq!(security["extension"][0]["extension"][0]["valueUri"], format!("{}/auth/token", desk.server.base));
    for path in ["/fhir/.well-known/smart-configuration", "/fhir/metadata"] {
        let asked =
            desk.server.send(Method::OPTIONS, path, &[("origin", "https://app.example")], None).await.expect(204);
        assert_eq!(asked.header("access-control-allow-origin"), "*");
    }
    desk.server.stop().await;
}

#[actix_web::test]
async fn whoever_asks_too_often_waits() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let signer = Signer::es384("k1");
    let issuer = crate::issuer::Issuer::start(&[&signer]).await;
    let lines = format!(
        "auth = \"smart\"\nrequests_per_second = 2\n[[issuers]]\nissuer = \"{}\"\nallow_insecure = true\n",
        issuer.url
    );
    let server = Server::configured(&place, &lines).await;
    let token = |client: &str| {
        let claims = json!({"iss": issuer.url, "aud": format!("{}/fhir", server.base), "exp": now() + 300, "client_id": client, "scope": "system/*.rs"});
        format!("Bearer {}", signer.sign(&claims))
    };
    let (busy, calm) = (token("busy"), token("calm"));
    let mut last = None;
    for _ in 0..40 {
        let answer = server.send(Method::GET, "/fhir/Flag", &[("authorization", &busy)], None).await;
        if answer.status == 429 {
            last = Some(answer);
            break;
        }
        answer.expect(200);
    }
    let throttled = last.expect("a limit");
    assert!(throttled.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1));
    assert_eq!(throttled.issues()[0].0, "throttled");
    server.send(Method::GET, "/fhir/Flag", &[("authorization", &calm)], None).await.expect(200);
    // Strangers, by address.
    let mut statuses = Vec::new();
    for _ in 0..400 {
        statuses.push(server.get("/fhir/Flag").await.status.as_u16());
    }
    assert!(statuses.contains(&401) && statuses.contains(&429));
    server.send(Method::GET, "/fhir/Flag", &[("authorization", &calm)], None).await.expect(200);
    server.stop().await;
}

in_a_world! {
    async fn apps_are_sent_to_the_issuer_for_people_to_sign_in(world: &World) {
        let found = world.server.get("/fhir/.well-known/smart-configuration").await.expect(200).json();
        assert_eq!(found["authorization_endpoint"], format!("{}/authorize", world.issuer.url));
        assert_eq!(found["token_endpoint"], format!("{}/token", world.issuer.url));
    }
}

#[actix_web::test]
async fn tokens_asked_for_in_vain_are_in_the_trail() {
    let desk = Desk::new().await;
    let used = desk.ec.sign(&desk.claims("dashboard"));
    desk.ask(&used, "system/Flag.rs").await.expect(200);
    desk.ask(&used, "system/Flag.rs").await.expect(401);
    desk.ask(&desk.ec.sign(&desk.claims("dashboard")), "system/Patient.rs").await.expect(400);
    desk.ask(&Signer::es384("e1").sign(&desk.claims("feed")), "system/Flag.rs").await.expect(401);
    desk.ask(&desk.ec.sign(&desk.claims("stranger-s3cret")), "system/Flag.rs").await.expect(401);
    desk.post(&[("grant_type", "password"), ("password", "s3cret")]).await.expect(400);
    desk.server.send(Method::POST, "/auth/token", &[], Some(b"s3cret".to_vec())).await.expect(400);
    desk.server.stop().await;
    let mut found: Vec<Value> = crate::trail::events(&desk.place.url).await;
    found.retain(|one| one["type"]["code"] == "110114" && one["outcome"] == "4");
    found.sort_by_key(|one| one["id"].as_str().unwrap_or_default().to_owned());
    let said: Vec<_> = found
        .iter()
        .map(|one| (one["outcomeDesc"].as_str().unwrap_or_default(), one["agent"][0]["who"]["display"].as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("refused: invalid_client", Some("dashboard")),
            ("refused: invalid_scope", Some("dashboard")),
            ("refused: invalid_client", Some("feed")),
            ("refused: invalid_client", Some("unknown")),
            ("refused: unsupported_grant_type", Some("unknown")),
            ("refused: invalid_request", Some("unknown")),
        ]
    );
    for event in &found {
        let text = event.to_string();
        assert!(!text.contains("s3cret") && !text.contains(&used), "{text}");
    }
}
