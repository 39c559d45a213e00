//! Our own keys change by configuration alone, and no EHR that knows them is surprised.

use crate::ehr::Ehr;
use crate::server::{Backend, Place, Server};
use crate::visitor::Browser;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

/// A private key, as an operator has it.
pub fn private(kid: &str) -> Value {
    let random = ring::rand::SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).expect("a key");
    // d is at 35 of the PKCS#8 document, the point at its end.
    let (d, point) = (&made.as_ref()[35..83], &made.as_ref()[made.as_ref().len() - 96..]);
    let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    json!({"kty": "EC", "crv": "P-384", "kid": kid, "d": text(d), "x": text(&point[..48]), "y": text(&point[48..])})
}

#[actix_web::test]
async fn the_next_key_is_published_before_it_signs_and_the_last_one_after() {
    let ehr = Ehr::start().await;
    ehr.with(|ward| ward.context = json!({"patient": "p1"}));
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    let mut rsa: Value = serde_json::from_str(include_str!("../fixtures/rsa-of-the-tests.jwk.json")).expect("JSON");
    rsa["kid"] = json!("old");
    let new = private("new");
    let lines = |key_id: &str| {
        format!(
            "auth = \"smart\"\n[[ehrs]]\niss = \"{}\"\nclient_id = \"tautline\"\nallow_insecure = true\n\
             scope = \"launch patient/*.rs\"\nprivate_key_file = \"{}\"\n{key_id}\n",
            ehr.iss,
            file.display()
        )
    };
    // (keys of the file, key_id, who signs, who is published); the EHR fetched our keys once, at the first launch.
    for (keys, key_id, signs, published) in [
        (vec![&rsa], "key_id = \"old\"", "old", vec!["old"]),
        (vec![&rsa, &new], "key_id = \"old\"", "old", vec!["new", "old"]),
        (vec![&rsa, &new], "key_id = \"new\"", "new", vec!["new", "old"]),
        (vec![&new], "", "new", vec!["new"]),
    ] {
        std::fs::write(&file, json!({"keys": keys}).to_string()).expect("written");
        let server = Server::configured(&place, &lines(key_id)).await;
        let set = server.get("/.well-known/jwks.json").await.expect(200);
        let mut names: Vec<String> = set.json()["keys"]
            .as_array()
            .expect("keys")
            .iter()
            .map(|key| key["kid"].as_str().expect("kid").to_owned())
            .collect();
        names.sort();
        assert_eq!(names, published);
        assert!(!set.text.contains("\"d\""), "{}", set.text);
        ehr.with(|ward| {
            ward.app_keys = Some(format!("{}/.well-known/jwks.json", server.base));
            // It looks again when a day has passed: before the switch, not at it.
            if names.len() == 2 && signs == "old" {
                ward.known_keys = None;
            }
            ward.asked.clear();
        });
        let mut browser = Browser::new(&server);
        browser.enter(&ehr).await;
        let (_, form) = ehr.with(|ward| ward.asked.remove(0));
        let head = form["client_assertion"].split('.').next().expect("a head");
        let head: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(head).expect("base64")).expect("json");
        assert_eq!(head["kid"], signs);
        server.stop().await;
    }
    // A key that nobody publishes lets nobody in; a name that is no key's does not start.
    std::fs::write(&file, json!({"keys": [private("new")]}).to_string()).expect("written");
    let server = Server::configured(&place, &lines("")).await;
    let mut browser = Browser::new(&server);
    let asked = browser.launch(&ehr, Some("1")).await;
    browser.get(&asked.redirect).await.expect(403);
    server.stop().await;
    std::fs::write(&file, json!({"keys": [rsa, new]}).to_string()).expect("written");
    let path = folder.path().join("tautline.toml");
    std::fs::write(&path, lines("key_id = \"another\"")).expect("written");
    let options = tautline::config::Options {
        config: Some(path),
        listen: "127.0.0.1:0".parse().ok(),
        database_url: Some(place.url.clone()),
        ..Default::default()
    };
    let config = tautline::config::Config::read(&options).expect("the configuration reads");
    let refused = tautline::app::start(config).await.err().expect("refused").to_string();
    assert!(refused.contains("key_id"), "{refused}");
}
