//! Sessions are the service's, not a process's; nobody but the browser that has the cookie can open one.

use crate::ehr::Ehr;
use crate::server::{Ahead, Backend, Place, Server};
use crate::story::{start_for, withdrawing};
use crate::visitor::Browser;
use reqwest::Method;
use serde_json::json;
use std::sync::Arc;

/// The token that the EHR of the tests gives out, and its refresh token.
const SECRETS: [&str; 2] = ["the-token-of-the-ehr", "fresh"];

fn lines(ehr: &Ehr, base: &str, more: &str) -> String {
    format!(
        "auth = \"smart\"\nbase_url = \"{base}\"\n{more}\n[[ehrs]]\niss = \"{}\"\nclient_id = \"tautline\"\nallow_insecure = true\n\
         scope = \"launch openid fhirUser patient/Patient.r patient/QuestionnaireResponse.rs patient/Task.rs patient/Appointment.rs\"\n",
        ehr.iss
    )
}

async fn ward() -> Ehr {
    let ehr = Ehr::start().await;
    ehr.with(|ward| {
        ward.resources = withdrawing("p1", &start_for(15), 3);
        ward.context = json!({"patient": "p1", "refresh_token": "fresh"});
    });
    ehr
}

/// The same browser, through another door of the same house.
fn moved(browser: &Browser, to: &Server) -> Browser {
    let mut other = Browser::at(&to.base);
    other.cookies.clone_from(&browser.cookies);
    other
}

/// The part of a redirect behind the external address.
fn path(url: &str, base: &str) -> String {
    url.strip_prefix(base).unwrap_or_else(|| panic!("{url} is not at {base}")).to_owned()
}

fn csrf_of(page: &str, form: &str) -> String {
    let form = page.split(form).nth(1).unwrap_or_else(|| panic!("no form {form}"));
    form.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a token").to_owned()
}

#[actix_web::test]
async fn a_launch_goes_on_at_any_process_of_the_service() {
    let Some(place) = Place::new(Backend::Postgres).await else { return };
    let ehr = ward().await;
    let base = "https://tautline.example";
    let (one, two) = (
        Server::configured(&place, &lines(&ehr, base, "")).await,
        Server::configured(&place, &lines(&ehr, base, "")).await,
    );
    let mut at_one = Browser::new(&one);
    let asked = at_one.launch(&ehr, Some("1")).await;
    let mut at_two = moved(&at_one, &two);
    let back = path(&asked.redirect, base);
    let there = at_two.get(&back).await.expect(303).header("location").to_owned();
    // The other process is reading; this one says how far it is, and then shows what was read.
    let mut at_one = moved(&at_two, &one);
    assert!(at_one.page(&there).await.expect(200).text.contains("Ana Muster"));
    assert!(at_two.page(&there).await.expect(200).text.contains("Ana Muster"));
    // Used up everywhere.
    at_one.get(&back).await.expect(400);
    // A form of one's is taken by the other.
    let page = at_one.page(&there).await.text;
    let action = there.split('?').next().expect("a path").to_owned() + "/judgements";
    let csrf = csrf_of(&page, "/judgements");
    at_two.send(Method::POST, &action, Some(&[("verdict", "named-in-session"), ("csrf", &csrf)])).await.expect(303);
    // One of them starts anew: nobody is signed out.
    one.stop().await;
    let one = Server::configured(&place, &lines(&ehr, base, "")).await;
    let mut at_one = moved(&at_two, &one);
    assert!(at_one.page(&there).await.expect(200).text.contains("Ana Muster"));
    // Signed out at one, signed out at all.
    let page = at_one.page(&there).await.text;
    let csrf = csrf_of(&page, "/app/sign-out");
    let client = there.trim_start_matches("/app/patients/").split('?').next().expect("an id").to_owned();
    let form = [("csrf", csrf.as_str()), ("patient", client.as_str())];
    let kept = at_two.cookies.clone();
    at_one.send(Method::POST, "/app/sign-out", Some(&form)).await.expect(200);
    assert!(at_one.cookies.is_empty(), "{:?}", at_one.cookies.keys());
    at_two.cookies = kept;
    at_two.get(&there).await.expect(401);
    one.stop().await;
    two.stop().await;
}

#[actix_web::test]
async fn a_token_that_ends_is_renewed_once_however_many_look() {
    let Some(place) = Place::new(Backend::Postgres).await else { return };
    let ehr = ward().await;
    ehr.with(|ward| ward.expires_in = 2);
    let base = "https://tautline.example";
    let (one, two) = (
        Server::configured(&place, &lines(&ehr, base, "")).await,
        Server::configured(&place, &lines(&ehr, base, "")).await,
    );
    let mut browser = Browser::new(&one);
    let asked = browser.launch(&ehr, Some("1")).await;
    let there = browser.get(&path(&asked.redirect, base)).await.expect(303).header("location").to_owned();
    browser.page(&there).await.expect(200);
    tokio::time::sleep(std::time::Duration::from_millis(2200)).await;
    // From now on a token lasts.
    ehr.with(|ward| {
        ward.expires_in = 300;
        ward.asked.clear();
    });
    let mut looks = Vec::new();
    for n in 0..8 {
        let mut browser = moved(&browser, if n % 2 == 0 { &one } else { &two });
        let there = there.clone();
        looks.push(async move { browser.get(&there).await.expect(200) });
    }
    futures_util::future::join_all(looks).await;
    assert_eq!(ehr.with(|ward| ward.asked.len()), 1, "a refresh token may be good once");
    one.stop().await;
    two.stop().await;
}

#[actix_web::test]
async fn a_restart_signs_nobody_out_and_a_copy_of_the_database_opens_nothing() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let ehr = ward().await;
    let base = "https://tautline.example";
    let server = Server::configured(&place, &lines(&ehr, base, "")).await;
    let mut browser = Browser::new(&server);
    let asked = browser.launch(&ehr, Some("1")).await;
    let waiting: Vec<String> = browser.cookies.values().cloned().collect();
    server.stop().await;
    let server = Server::configured(&place, &lines(&ehr, base, "")).await;
    let mut browser = moved(&browser, &server);
    let there = browser.get(&path(&asked.redirect, base)).await.expect(303).header("location").to_owned();
    browser.page(&there).await.expect(200);
    server.stop().await;
    let server = Server::configured(&place, &lines(&ehr, base, "")).await;
    let mut browser = moved(&browser, &server);
    assert!(browser.page(&there).await.expect(200).text.contains("Ana Muster"));
    // Everything that lies beside the database too: journal and shared memory.
    let folder = place._folder.as_ref().expect("a folder").path();
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(folder).expect("files").flatten() {
        bytes.extend(std::fs::read(file.path()).expect("readable"));
    }
    let has = |secret: &str| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    assert!(has("Muster"), "this is where the data is");
    for cookie in browser.cookies.values().chain(&waiting) {
        assert!(cookie.len() >= 43 && !has(cookie), "a cookie's secret is in the database");
    }
    for (name, secret) in [("token", SECRETS[0]), ("refresh token", "\"fresh\""), ("state", &asked.parameters["state"])]
    {
        assert!(!has(secret), "the {name} is in the database");
    }
    server.stop().await;
}

#[actix_web::test]
async fn a_new_launch_ends_the_browsers_old_session_and_somebody_elses() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let ehr = ward().await;
    ehr.with(|ward| ward.signer = Some(crate::issuer::Signer::es384("id")));
    let server = Server::configured(&place, &lines(&ehr, "https://tautline.example", "")).await;
    let enter = async |browser: &mut Browser, patient: &str, user: Option<&str>| {
        ehr.with(|ward| {
            ward.context = json!({"patient": patient});
            if let Some(user) = user {
                ward.context["signed_in"] = json!(user);
            }
        });
        let asked = browser.launch(&ehr, Some("1")).await;
        let back = path(&asked.redirect, "https://tautline.example");
        let there = browser.get(&back).await.expect(303).header("location").to_owned();
        browser.page(&there).await.expect(200);
        there
    };
    let mut browser = Browser::new(&server);
    let there = enter(&mut browser, "p1", Some("Practitioner/a")).await;
    let mut old = moved(&browser, &server);
    let again = enter(&mut browser, "p1", Some("Practitioner/a")).await;
    assert_eq!(there, again);
    assert_ne!(old.cookies, browser.cookies);
    browser.get(&there).await.expect(200);
    old.get(&there).await.expect(401);
    // A second tab of the same person's stays; a colleague at the same machine closes both.
    ehr.with(|ward| ward.resources.push(json!({"resourceType": "Patient", "id": "p2"})));
    let second = enter(&mut browser, "p2", Some("Practitioner/a")).await;
    browser.get(&there).await.expect(200);
    let mut both = moved(&browser, &server);
    enter(&mut browser, "p2", Some("Practitioner/b")).await;
    both.get(&there).await.expect(401);
    both.get(&second).await.expect(401);
    browser.get(&there).await.expect(401);
    browser.get(&second).await.expect(200);
    server.stop().await;
}

#[actix_web::test]
async fn sessions_are_bounded_in_number() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let ehr = ward().await;
    let base = "https://tautline.example";
    let server = Server::configured(&place, &lines(&ehr, base, "sessions_max = 2")).await;
    let mut browsers = Vec::new();
    for status in [303, 303, 429] {
        let mut browser = Browser::new(&server);
        let asked = browser.launch(&ehr, Some("1")).await;
        let answer = browser.get(&path(&asked.redirect, base)).await.expect(status);
        assert_eq!(answer.header("retry-after").is_empty(), status == 303);
        browsers.push((browser, answer.header("location").to_owned()));
    }
    // Whoever signs out makes room; a form that another site sends does not sign anyone out.
    let (mut browser, there) = browsers.remove(0);
    let page = browser.page(&there).await.expect(200).text;
    let client = there.trim_start_matches("/app/patients/").split('?').next().expect("an id").to_owned();
    let forged = [("csrf", "forged"), ("patient", client.as_str())];
    browser.send(Method::POST, "/app/sign-out", Some(&forged)).await.expect(403);
    browser.get(&there).await.expect(200);
    let form = [("csrf", &*csrf_of(&page, "/app/sign-out")), ("patient", client.as_str())];
    browser.send(Method::POST, "/app/sign-out", Some(&form)).await.expect(200);
    let mut next = Browser::new(&server);
    let asked = next.launch(&ehr, Some("1")).await;
    next.get(&path(&asked.redirect, base)).await.expect(303);
    server.stop().await;
}

#[actix_web::test]
async fn a_session_ends_when_nobody_looks_and_after_a_day_anyway() {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let ehr = ward().await;
    ehr.with(|ward| ward.expires_in = 24 * 3600);
    let base = "https://tautline.example";
    let clock = Arc::new(Ahead::default());
    let server = Server::clocked(&place, &lines(&ehr, base, "session_idle_minutes = 30"), clock.clone()).await;
    let enter = async || {
        let mut browser = Browser::new(&server);
        let asked = browser.launch(&ehr, Some("1")).await;
        let there = browser.get(&path(&asked.redirect, base)).await.expect(303).header("location").to_owned();
        browser.page(&there).await.expect(200);
        (browser, there)
    };
    let (mut busy, there) = enter().await;
    let (mut idle, _) = enter().await;
    for _ in 0..4 {
        clock.by_minutes(20);
        busy.get(&there).await.expect(200);
    }
    idle.get(&there).await.expect(401);
    clock.by_minutes(31);
    busy.get(&there).await.expect(401);
    // Whoever never stops looking launches again after twelve hours.
    let (mut busy, there) = enter().await;
    for _ in 0..28 {
        clock.by_minutes(25);
        busy.get(&there).await.expect(200);
    }
    clock.by_minutes(25);
    busy.get(&there).await.expect(401);
    // A launch that waits too long is none any more.
    let mut browser = Browser::new(&server);
    let asked = browser.launch(&ehr, Some("1")).await;
    clock.by_minutes(11);
    browser.get(&path(&asked.redirect, base)).await.expect(400);
    server.stop().await;
}
