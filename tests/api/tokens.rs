//! Whose tokens count, at the door of the resource server.

use crate::issuer::{Issuer, Signer, by_hand, now};
use crate::server::{Backend, Place, Server};
use crate::smart::{World, in_a_world};
use base64::Engine;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

in_a_world! {
    async fn no_token_is_401_and_a_wrong_scope_403(world: &World) {
        let bare = world.server.get("/fhir/Patient").await.expect(401);
        assert_eq!(bare.header("www-authenticate"), "Bearer");
        assert_eq!(bare.issues()[0].0, "login");
        for path in ["/fhir/Patient/a", "/fhir/Patient/a/_history", "/fhir/_history", "/fhir/Patient/a/$detect-rupture", "/fhir/Nonsense", "/app/patients/a", "/app/caseload"] {
            world.server.get(path).await.expect(401);
        }
        world.server.get("/fhir/metadata").await.expect(200);
        let token = world.token("system/Flag.rs");
        world.get(&token, "/fhir/Flag").await.expect(200);
        for path in ["/fhir/Patient", "/fhir/Patient/a", "/fhir/Patient/_history", "/fhir/Patient/a/$detect-rupture", "/app/patients/a", "/app/caseload"] {
            let refused = world.get(&token, path).await.expect(403);
            assert!(refused.header("www-authenticate").contains("insufficient_scope") || path.starts_with("/app"), "{path}");
        }
        world.send(&token, Method::POST, "/fhir/Patient", Some(&json!({"resourceType": "Patient"}))).await.expect(403);
        world.get(&world.token(""), "/fhir/Flag").await.expect(403);
        world.get(&world.token("openid fhirUser launch/patient"), "/fhir/Flag").await.expect(403);
    }

    async fn tokens_that_do_not_hold_are_refused(world: &World) {
        let good = world.claims("system/*.rs");
        world.get(&world.signer.sign(&good), "/fhir/Flag").await.expect(200);
        let with = |change: &dyn Fn(&mut Value)| {
            let mut claims = good.clone();
            change(&mut claims);
            world.signer.sign(&claims)
        };
        let stranger = Signer::es384("k1");
        let header = json!({"alg": "ES384", "kid": "k1"});
        let own_key = {
            // A key of the attacker's, offered in the header.
            let jwk = serde_json::from_value(stranger.public.clone()).expect("jwk");
            stranger.sign_with(&good, |header| {
                header.jwk = Some(jwk);
                header.jku = Some(format!("{}/evil", world.issuer.url));
                header.x5u = Some("http://169.254.169.254/".into());
            })
        };
        let hmac = {
            // The public key as the secret: the classic confusion.
            let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, world.signer.public.to_string().as_bytes());
            let whole = by_hand(&json!({"alg": "HS256", "typ": "JWT"}), &good, &[]);
            let signature = ring::hmac::sign(&secret, whole.trim_end_matches('.').as_bytes());
            by_hand(&json!({"alg": "HS256", "typ": "JWT"}), &good, signature.as_ref())
        };
        let whole = world.signer.sign(&good);
        let mut parts: Vec<String> = whole.split('.').map(str::to_owned).collect();
        let mut more = good.clone();
        more["scope"] = json!("system/*.cruds");
        parts[1] = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(more.to_string());
        let tokens = [
            ("expired", with(&|claims| claims["exp"] = json!(now() - 120))),
            ("no exp", with(&|claims| { claims.as_object_mut().expect("object").remove("exp"); })),
            ("exp text", with(&|claims| claims["exp"] = json!("9999999999"))),
            ("no aud", with(&|claims| { claims.as_object_mut().expect("object").remove("aud"); })),
            ("other aud", with(&|claims| claims["aud"] = json!("https://other.example/fhir"))),
            ("aud prefix", with(&|claims| claims["aud"] = json!(world.server.base.clone()))),
            ("no iss", with(&|claims| { claims.as_object_mut().expect("object").remove("iss"); })),
            ("other iss", with(&|claims| claims["iss"] = json!("https://other.example"))),
            ("iss with slash", with(&|claims| claims["iss"] = json!(format!("{}/", world.issuer.url)))),
            ("not yet", with(&|claims| claims["nbf"] = json!(now() + 3600))),
            ("another's key", stranger.sign(&good)),
            ("own key in the header", own_key),
            ("hmac", hmac),
            ("none", by_hand(&json!({"alg": "none"}), &good, b"")),
            ("None", by_hand(&json!({"alg": "None", "kid": "k1"}), &good, b"")),
            ("no signature", by_hand(&header, &good, b"")),
            ("zero signature", by_hand(&header, &good, &[0; 96])),
            ("other algorithm", by_hand(&json!({"alg": "RS384", "kid": "k1"}), &good, &[1; 256])),
            ("crit", world.signer.sign_with(&good, |header| header.crit = Some(vec!["x".into()]))),
            ("changed claims", parts.join(".")),
            ("four parts", format!("{whole}.x")),
            ("garbage", "garbage".into()),
            ("long", "x".repeat(20_000)),
        ];
        for (name, token) in &tokens {
            let refused = world.get(token, "/fhir/Flag").await;
            assert_eq!(refused.status.as_u16(), 401, "{name}: {}", refused.text);
            assert!(refused.header("www-authenticate").contains("invalid_token"), "{name}");
            assert!(token.len() < 10 || !refused.text.contains(token.as_str()), "{name}");
        }
        // From the header alone, once, as Bearer.
        let token = world.signer.sign(&good);
        world.server.get(&format!("/fhir/Flag?access_token={token}")).await.expect(401);
        world.server.send(Method::GET, "/fhir/Flag", &[("authorization", &format!("Basic {token}"))], None).await.expect(401);
        world.server.send(Method::GET, "/fhir/Flag", &[("authorization", &format!("bearer {token}"))], None).await.expect(200);
        let listed = with(&|claims| claims["aud"] = json!(["x", format!("{}/fhir", world.server.base)]));
        world.get(&listed, "/fhir/Flag").await.expect(200);
        assert!(world.issuer.fetched.load(Ordering::SeqCst) <= 2, "strangers cost {} fetches", world.issuer.fetched.load(Ordering::SeqCst));
    }

    async fn keys_rotate_and_an_outage_is_bridged(world: &World) {
        let claims = world.claims("system/*.rs");
        world.get(&world.signer.sign(&claims), "/fhir/Flag").await.expect(200);
        let next = Signer::rs384("k2");
        world.issuer.rotate(&[&next]);
        world.get(&next.sign(&claims), "/fhir/Flag").await.expect(200);
        world.get(&world.signer.sign(&claims), "/fhir/Flag").await.expect(401);
        world.issuer.broken.store(500, Ordering::SeqCst);
        world.get(&next.sign(&claims), "/fhir/Flag").await.expect(200);
        let fetched = world.issuer.fetched.load(Ordering::SeqCst);
        for _ in 0..5 {
            world.get(&Signer::es384("k9").sign(&claims), "/fhir/Flag").await.expect(401);
        }
        assert!(world.issuer.fetched.load(Ordering::SeqCst) <= fetched + 1);
    }
}

#[actix_web::test]
async fn keys_that_cannot_be_had_are_503_and_not_401() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let signer = Signer::es384("k1");
    let issuer = Issuer::start(&[&signer]).await;
    let lines = format!(
        "auth = \"smart\"\n[[issuers]]\nissuer = \"{0}\"\njwks_url = \"{0}/jwks\"\nallow_insecure = true\n",
        issuer.url
    );
    let server = Server::configured(&place, &lines).await;
    let claims =
        json!({"iss": issuer.url, "aud": format!("{}/fhir", server.base), "exp": now() + 300, "scope": "system/*.rs"});
    let bearer = format!("Bearer {}", signer.sign(&claims));
    for fault in [500, 200, 302] {
        issuer.broken.store(fault, Ordering::SeqCst);
        let away = server.send(Method::GET, "/fhir/Flag", &[("authorization", &bearer)], None).await.expect(503);
        assert!(!away.header("retry-after").is_empty());
    }
    issuer.broken.store(0, Ordering::SeqCst);
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    server.send(Method::GET, "/fhir/Flag", &[("authorization", &bearer)], None).await.expect(200);
    issuer.stop().await;
    server.send(Method::GET, "/fhir/Flag", &[("authorization", &bearer)], None).await.expect(200);
    server.stop().await;
}
