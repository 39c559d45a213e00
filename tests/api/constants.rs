//! Fitted constants in a running server: they speak, they are named, they are refused where they cannot be used, and
//! taking the key away brings the shipped ones back.

use crate::server::{Backend, Place, Server};
use crate::story::{start_for, withdrawing};
use serde_json::{Value, json};
use std::path::Path;
use tautline::app;
use tautline::config::{Config, Options};
use tautline::detection::{Constants, MODEL};

/// What the newest Provenance names as the release that spoke.
async fn release(server: &Server) -> Vec<String> {
    let mut all = server.all("Provenance?_count=500").await;
    all.sort_by_key(|provenance| provenance["recorded"].as_str().map(str::to_owned));
    let newest = all.last().expect("a Provenance");
    newest["policy"].as_array().expect("policy").iter().filter_map(|p| p.as_str().map(str::to_owned)).collect()
}

async fn probability(server: &Server, client: &str) -> f64 {
    let patterns: Vec<Value> = server.all(&format!("Observation?patient={client}&code=pattern&_count=200")).await;
    let newest = patterns.iter().max_by_key(|pattern| pattern["effectiveDateTime"].as_str().map(str::to_owned));
    newest.expect("a pattern")["valueQuantity"]["value"].as_f64().expect("a probability")
}

fn lines(constants: Option<&Path>) -> String {
    let key = constants.map_or_else(String::new, |path| format!("constants = {:?}\n", path.display().to_string()));
    format!("auth = \"none\"\n{key}")
}

async fn refused(folder: &Path, file: &Path) -> String {
    let path = folder.join("tautline.toml");
    std::fs::write(&path, lines(Some(file))).expect("written");
    let options = Options {
        config: Some(path),
        listen: "127.0.0.1:0".parse().ok(),
        database_url: Some(format!("sqlite://{}", folder.join("none.db").display())),
        ..Options::default()
    };
    let config = Config::read(&options).expect("the configuration reads");
    app::start(config).await.map(|_| ()).expect_err("it started").to_string()
}

#[actix_web::test]
async fn a_fitted_file_speaks_is_named_and_can_be_taken_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fitted.json");
    let mut fitted = Constants::default();
    fitted.calibration.intercept -= 1.0;
    std::fs::write(&file, serde_json::to_string_pretty(&fitted).expect("JSON")).expect("written");
    let place = Place::new(Backend::Sqlite).await.expect("SQLite");

    let server = Server::configured(&place, &lines(None)).await;
    server.push(&withdrawing("w", &start_for(15), 3)).await;
    server.settle().await;
    let shipped = release(&server).await;
    assert!(shipped.iter().any(|policy| policy.ends_with(&format!("/model/{MODEL}"))), "{shipped:?}");
    assert!(shipped.iter().any(|policy| policy.ends_with("/constants/shipped")), "{shipped:?}");
    let before = probability(&server, "w").await;
    server.stop().await;

    let server = Server::configured(&place, &lines(Some(&file))).await;
    server.push(&withdrawing("w2", &start_for(15), 3)).await;
    server.settle().await;
    let named = release(&server).await;
    assert!(named.iter().any(|p| p.contains("/constants/") && !p.ends_with("/shipped")), "{named:?}");
    let device = server.all("Device").await;
    assert!(device[0].to_string().contains(named[1].rsplit('/').next().expect("a name")), "{device:?} {named:?}");
    let now = probability(&server, "w2").await;
    assert!(now < before - 0.05, "the same story, an intercept lower by one: {before} {now}");
    server.stop().await;

    let server = Server::configured(&place, &lines(None)).await;
    server.push(&withdrawing("w3", &start_for(15), 3)).await;
    server.settle().await;
    assert_eq!(release(&server).await, shipped);
    server.stop().await;
}

#[actix_web::test]
async fn a_file_that_cannot_be_used_is_refused_by_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fitted.json");
    let shipped = serde_json::to_value(Constants::default()).expect("JSON");
    let with = |pointer: &str, value: Value| {
        let mut spoilt = shipped.clone();
        *spoilt.pointer_mut(pointer).expect("a key") = value;
        spoilt.to_string()
    };
    let unknown = {
        let mut spoilt = shipped.clone();
        spoilt["flag"]["colour"] = json!("red");
        spoilt.to_string()
    };
    for (text, key) in [
        (with("/calibration/slope", json!("steep")), "calibration.slope"),
        (with("/calibration/slope", json!(-1)), "calibration.slope"),
        (with("/prior/0", json!(2)), "prior"),
        (unknown, "flag"),
        ("{".to_owned(), "EOF"),
    ] {
        std::fs::write(&file, &text).expect("written");
        let said = refused(folder.path(), &file).await;
        assert!(said.starts_with("constants: ") && said.contains("fitted.json") && said.contains(key), "{said}");
        assert!(!said.contains('\n'), "{said}");
    }
    std::fs::remove_file(&file).expect("removed");
    assert!(refused(folder.path(), &file).await.starts_with("constants: "));
}
