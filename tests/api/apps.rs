//! npm `fhirclient`, unmodified and headless (`conformance/validate/smart.mjs`): an app that somebody signs in to at an
//! issuer of ours, and a system with a token from our own server.

use crate::issuer::{Issuer, Signer, now};
use crate::rotation::private;
use crate::server::{Backend, Place, Server};
use crate::story::{start_for, withdrawing};
use crate::validated::tools;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Command;

#[actix_web::test]
async fn fhirclient_reads_flags_as_an_app_and_as_a_system() {
    let Some(tools) = tools() else { return };
    if !tools.join("node_modules/fhirclient").exists() {
        let how = "install it with conformance/validate/install.sh";
        assert!(std::env::var_os("CI").is_none(), "npm fhirclient is missing in CI: {how}");
        return eprintln!("SKIPPED: npm fhirclient is missing; {how}");
    }
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let folder = tempfile::tempdir().expect("a folder");
    let signer = Signer::es384("k1");
    let issuer = Issuer::start(&[&signer]).await;
    let key = private("system-1");
    let mut public = key.clone();
    public.as_object_mut().expect("a key").remove("d");
    let (own, shown) = (folder.path().join("key.jwk.json"), folder.path().join("jwks.json"));
    std::fs::write(&own, key.to_string()).expect("written");
    std::fs::write(&shown, json!({"keys": [public]}).to_string()).expect("written");
    let lines = format!(
        "auth = \"smart\"\n[[issuers]]\nissuer = \"{}\"\nallow_insecure = true\n\
         [[clients]]\nclient_id = \"system\"\njwks_file = \"{}\"\nscope = \"system/Flag.rs\"\n",
        issuer.url,
        shown.display()
    );
    let server = Server::configured(&place, &lines).await;
    let base = format!("{}/fhir", server.base);
    let claims = json!({"iss": issuer.url, "aud": base, "exp": now() + 300, "scope": "system/*.cruds"});
    let bearer = format!("Bearer {}", signer.sign(&claims));
    for client in ["p1", "p2"] {
        let entry = |one: &Value| {
            let url = format!("{}/{}", one["resourceType"].as_str().expect("type"), one["id"].as_str().expect("id"));
            json!({"resource": one, "request": {"method": "PUT", "url": url}})
        };
        let entries: Vec<Value> = withdrawing(client, &start_for(15), 3).iter().map(entry).collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        server.with(Method::POST, "/fhir", &[("authorization", &bearer)], &bundle).await.expect(200);
    }
    server.settle().await;
    let run = move || {
        // Node looks for packages beside the script.
        let script = tools.join("smart.mjs");
        std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/validate/smart.mjs"), &script).expect("copied");
        Command::new("node").arg(script).arg(base).arg(own).output().expect("node runs")
    };
    let done = tokio::task::spawn_blocking(run).await.expect("its end");
    let told = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && told.contains("finds what it expects"), "{told}");
    issuer.stop().await;
    server.stop().await;
}
