//! The trail beyond the FHIR API: pages, refusals, imports from files, and how long it is kept.

use crate::ehr::Ehr;
use crate::server::{Ahead, Backend, Place, Server};
use crate::smart::{World, in_a_world};
use crate::story::{start_for, withdrawing};
use crate::visitor::Browser;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;

/// How many events of the trail stand in the database, by the program that another process would be.
pub async fn events(url: &str) -> Vec<Value> {
    let store = tautline::store::connect(url).await.expect("the store");
    let query = tautline::store::Query { kind: "AuditEvent", count: 1000, ..Default::default() };
    let found = store.search(&query).await.expect("a search").versions;
    found.iter().map(|version| serde_json::from_str(&version.json).expect("json")).collect()
}

fn line(event: &Value) -> String {
    let entities = event["entity"].as_array().into_iter().flatten();
    let query = entities.filter_map(|entity| entity["query"].as_str()).next().unwrap_or_default();
    use base64::Engine;
    let bytes = base64::prelude::BASE64_STANDARD.decode(query).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

in_a_world! {
    async fn a_page_that_is_refused_is_in_the_trail(world: &World) {
        world.two_clients().await;
        world.server.get("/app/patients/a").await.expect(401);
        world.server.send(Method::POST, "/app/patients/a/judgements", &[], Some(b"x".to_vec())).await.expect(401);
        let token = world.patient_token("a", "patient/*.rs");
        world.get(&token, "/app/patients/b").await.expect(404);
        world.get(&token, "/app/caseload").await.expect(403);
        let form = "csrf=forged&verdict=named-in-session";
        let headers = [("authorization", format!("Bearer {token}")), ("content-type", "application/x-www-form-urlencoded".into())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        world.server.send(Method::POST, "/app/patients/a/judgements", &headers, Some(form.into())).await.expect(403);
        let refused = world.trail("outcome=4", 5).await;
        let lines: Vec<String> = refused.iter().map(line).collect();
        for asked in ["GET /app/patients/a", "POST /app/patients/a/judgements", "GET /app/patients/b", "GET /app/caseload"] {
            assert!(lines.iter().any(|line| line == asked), "{asked} is not in {lines:?}");
        }
        assert_eq!(lines.iter().filter(|line| line.starts_with("POST /app/patients/a")).count(), 2);
    }

    async fn each_entry_of_a_batch_is_an_access(world: &World) {
        world.two_clients().await;
        let entry = |method: &str, url: &str| json!({"request": {"method": method, "url": url}});
        let urls = ["Patient/a", "Task?patient=a", "Flag/nowhere", "Flag?patient=nobody"];
        let mut entries: Vec<Value> = urls.iter().map(|url| entry("GET", url)).collect();
        entries.push(entry("DELETE", "Task/a-h1"));
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
        let token = world.token("system/Flag.rs");
        let answer = world.send(&token, Method::POST, "/fhir", Some(&bundle)).await.expect(200).json();
        let statuses: Vec<&str> =
            answer["entry"].as_array().expect("entries").iter().filter_map(|one| one["response"]["status"].as_str()).collect();
        assert!(statuses.iter().map(|status| &status[..3]).eq(["403", "403", "404", "200", "403"]), "{statuses:?}");
        let refused: Vec<String> = world.trail("outcome=4", 4).await.iter().map(line).collect();
        for asked in ["GET Patient/a", "GET Task?patient=a", "GET Flag/nowhere", "DELETE Task/a-h1"] {
            assert!(refused.iter().any(|line| line == asked), "{asked} is not in {refused:?}");
        }
        // Who is asked about is named; a search that finds nothing tells something too.
        world.trail("patient=Patient/a&outcome=4&subtype=read", 1).await;
        let searched: Vec<String> = world.trail("outcome=0&subtype=search", 1).await.iter().map(line).collect();
        assert!(searched.iter().any(|line| line == "GET Flag?patient=nobody"), "{searched:?}");
        // One that is answered is one event, of what it was.
        let own = world.token("system/Task.rs");
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry("GET", "Task/a-h1")]});
        world.send(&own, Method::POST, "/fhir", Some(&bundle)).await.expect(200);
        assert_eq!(world.trail("outcome=0&subtype=read&entity=Task/a-h1", 1).await.len(), 1);
    }
}

#[actix_web::test]
async fn an_import_leaves_an_event_for_each_client() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let Some(place) = Place::new(backend).await else { continue };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history.ndjson");
        let mut lines = String::new();
        for client in ["a", "b"] {
            for one in withdrawing(client, &start_for(15), 1) {
                lines += &format!("{one}\n");
            }
        }
        std::fs::write(&path, lines).expect("written");
        let import = || {
            let mut program = Command::new(env!("CARGO_BIN_EXE_tautline"));
            program
                .arg("import")
                .arg(&path)
                .args(["--database-url", &place.url])
                .env("USER", "the-operator")
                .env_remove("SUDO_USER");
            assert!(program.output().expect("it runs").status.success());
        };
        import();
        let all = events(&place.url).await;
        let about = |client: &str| {
            all.iter().filter(|event| event.to_string().contains(&format!("\"Patient/{client}\""))).count()
        };
        assert_eq!((about("a"), about("b")), (1, 1), "{all:?}");
        assert!(all.iter().all(|event| event.to_string().contains("the-operator") && line(event) == "tautline import"));
        // The same again changes nothing.
        let before = all.len();
        import();
        assert_eq!(events(&place.url).await.len(), before);
    }
}

#[actix_web::test]
async fn the_trail_is_kept_for_as_long_as_is_said() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let Some(place) = Place::new(backend).await else { continue };
        let server = Server::configured(&place, "auth = \"smart\"").await;
        server.get("/fhir/Patient/a").await.expect(401);
        server.stop().await;
        assert_eq!(events(&place.url).await.len(), 1);
        for (days, ahead, left) in [(None, 4000, 1), (Some(30), 29, 1), (Some(30), 31, 0)] {
            let clock = Arc::new(Ahead::default());
            clock.by_minutes(ahead * 24 * 60);
            let lines = days.map_or_else(String::new, |days: u32| format!("audit_days = {days}\n"));
            let server = Server::clocked(&place, &format!("auth = \"smart\"\n{lines}"), clock).await;
            let mut stands = events(&place.url).await.len();
            for _ in 0..100 {
                if stands == left {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                stands = events(&place.url).await.len();
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            assert_eq!(events(&place.url).await.len(), left, "{days:?} after {ahead} days");
            server.stop().await;
        }
    }
}

#[actix_web::test]
async fn nothing_of_the_app_is_kept_by_anyone() {
    let ehr = Ehr::start().await;
    ehr.with(|ward| {
        ward.resources = withdrawing("p1", &start_for(15), 3);
        ward.context = json!({"patient": "p1"});
    });
    let (server, _place) = crate::visitor::server(&[(&ehr, "")]).await;
    let mut browser = Browser::new(&server);
    let there = browser.enter(&ehr).await;
    let page = browser.page(&there).await.expect(200);
    let path = there.split('?').next().expect("a path").to_owned();
    let judge = format!("{path}/judgements");
    let csrf = page
        .text
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a token")
        .to_owned();
    let good = [("csrf", csrf.as_str()), ("verdict", "named-in-session")];
    let odd = [("csrf", csrf.as_str()), ("verdict", "nonsense")];
    let mut answers = vec![("the page", page)];
    for (what, method, path, form) in [
        ("a judgement", Method::POST, judge.as_str(), Some(&good[..])),
        ("a judgement that is none", Method::POST, &judge, Some(&odd[..])),
        ("a forged one", Method::POST, &judge, Some(&[("csrf", "x")][..])),
        ("a day that is none", Method::GET, &format!("{path}?asOf=nonsense"), None),
        ("a day twice", Method::GET, &format!("{path}?asOf=2026-01-01&asOf=2026-01-02"), None),
        ("another method", Method::DELETE, &path, None),
        ("another method on the form", Method::GET, &judge, None),
        ("another client", Method::GET, "/app/patients/x", None),
        ("an odd name", Method::GET, "/app/patients/%00", None),
        ("the caseload", Method::GET, "/app/caseload", None),
        ("home", Method::GET, "/app", None),
        ("nowhere", Method::GET, "/app/x", None),
        ("colours that are none", Method::GET, "/app/palette.css?c=x", None),
        ("signing out by a forged form", Method::POST, "/app/sign-out", Some(&[("csrf", "x")][..])),
        ("a launch that is none", Method::GET, "/launch", None),
        ("a callback that is none", Method::GET, "/callback", None),
        ("another method on launch", Method::POST, "/launch", None),
        ("no path of ours", Method::GET, "/x", None),
    ] {
        answers.push((what, browser.send(method, path, form).await));
    }
    for (what, answer) in answers {
        assert_eq!(answer.header("cache-control"), "no-store", "{what}: {}", answer.status);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
    }
    server.stop().await;
}
