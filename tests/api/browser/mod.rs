//! The page in a real browser, in the frame of an EHR of another site.
//!
//! The EHR is at `http://localhost`, we are at `https://127.0.0.1` behind a certificate of our own: two sites, so
//! that all our cookies are third-party ones. Chromium is told to block those, as the strictest clinics do.

mod driver;

use crate::ehr::{Ehr, basic};
use crate::issuer::Signer;
use crate::server::{Backend, Place, Server};
use crate::story::{start_for, withdrawing};
use driver::Browser;
use fantoccini::Locator;
use serde_json::{Value, json};

fn strict() -> Value {
    json!({"profile": {"block_third_party_cookies": true, "cookie_controls_mode": 1}})
}

const CLIENT: &str = "Ana Muster";

/// An EHR with one withdrawing client, `p1`, launched as "one"; another, `p2`, as "two"; none at all as "own".
fn ehr() -> Ehr {
    let ehr = Ehr::start_as("localhost");
    ehr.with(|ward| {
        ward.resources = withdrawing("p1", &start_for(15), 3);
        let mut second = withdrawing("p2", &start_for(12), 0);
        second[0]["name"] = json!([{"text": "Bela Beispiel"}]);
        ward.resources.extend(second);
        ward.launches.insert("one".into(), json!({"patient": "p1"}));
        ward.launches.insert("two".into(), json!({"patient": "p2"}));
        ward.signer = Some(Signer::es384("id"));
        let many = "launch openid fhirUser user/Patient.rs";
        ward.launches.insert("own".into(), json!({"scope": many, "signed_in": "Practitioner/dr"}));
    });
    ehr
}

/// A server over TLS that these EHRs may launch, and frame where `framing`.
async fn server(ehrs: &[(&Ehr, &str, bool)]) -> (Server, Place) {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let mut lines = format!(
        "auth = \"smart\"\ntls_cert_file = \"{fixtures}/tls-of-the-tests.crt\"\n\
         tls_key_file = \"{fixtures}/tls-of-the-tests.key\"\n"
    );
    for (ehr, more, framing) in ehrs {
        let origin = ehr.with(|ward| ward.url.clone());
        lines += &format!(
            "[[ehrs]]\niss = \"{}\"\nclient_id = \"tautline\"\nallow_insecure = true\nframe_ancestors = {}\n\
             scope = \"launch openid fhirUser patient/Patient.r patient/QuestionnaireResponse.rs patient/Task.rs patient/Appointment.rs\"\n{more}\n",
            ehr.iss,
            if *framing { format!("[\"{origin}\"]") } else { "[]".into() },
        );
    }
    let server = Server::configured(&place, &lines).await;
    for (ehr, ..) in ehrs {
        ehr.with(|ward| ward.app.clone_from(&server.base));
    }
    (server, place)
}

fn chart(ehr: &Ehr, launch: &str) -> String {
    ehr.with(|ward| format!("{}/chart/{launch}", ward.url))
}

#[actix_web::test]
async fn from_the_chart_to_the_page_and_a_judgement() {
    let Some(browser) = Browser::open(strict()).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret\n").expect("written");
    let symmetric = format!("client_secret_file = \"{}\"", secret.display());
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rsa-of-the-tests.pem");
    let asymmetric = format!("private_key_file = \"{key}\"\nkey_id = \"k7\"");
    let (public, shared, signed) = (ehr(), ehr(), ehr());
    let (server, _place) =
        server(&[(&public, "", true), (&shared, &symmetric, true), (&signed, &asymmetric, true)]).await;
    for ehr in [&public, &shared, &signed] {
        browser.go(&chart(ehr, "one")).await;
        browser.sees(CLIENT).await;
        assert_eq!(browser.client.title().await.expect("a title"), "With script");
        let looks = browser.run("return [document.styleSheets.length, document.cookie, document.scripts.length]").await;
        assert_eq!(looks, json!([1, "", 0]), "styled; its cookies are out of reach; no script");
    }
    let (authorization, form) = public.with(|ward| ward.asked.remove(0));
    assert_eq!((authorization, form["client_id"].as_str()), (None, "tautline"));
    assert_eq!(shared.with(|ward| ward.asked.remove(0)).0, Some(basic("tautline", "s3cret")));
    let form = signed.with(|ward| ward.asked.remove(0)).1;
    let keys = server.get("/.well-known/jwks.json").await.expect(200).json();
    let claims = tautline::smart::keys::KeySet::read(&keys).verify(&form["client_assertion"]).expect("signed");
    assert_eq!(claims["sub"], "tautline");
    // It is said in the frame, and taken back there.
    browser.find("#note").await.send_keys("She brought it up <b>herself</b>").await.expect("typed");
    browser.find("button[value=named-in-session]").await.click().await.expect("clicked");
    let page = browser.sees("She brought it up <b>herself</b>").await;
    assert!(page.contains(CLIENT));
    browser.find("button[name=undo]").await.click().await.expect("clicked");
    let began = std::time::Instant::now();
    while browser.framed().await.contains("herself") {
        assert!(began.elapsed().as_secs() < 20, "it is not taken back");
    }
    browser.sees(CLIENT).await;
    browser.close().await;
    server.stop().await;
}

#[actix_web::test]
async fn what_goes_wrong_is_said_in_the_frame() {
    let Some(browser) = Browser::open(strict()).await else { return };
    let ehr = ehr();
    let (server, _place) = server(&[(&ehr, "", true)]).await;
    for denies in ["invalid_scope", "access_denied"] {
        ehr.with(|ward| ward.denies = Some(denies));
        browser.go(&chart(&ehr, "one")).await;
        let said = browser.sees("launch again").await;
        assert!(said.contains(denies) && !said.contains(CLIENT), "{said}");
    }
    ehr.with(|ward| ward.denies = None);
    // The token's end: nothing of the client's is left.
    ehr.with(|ward| ward.expires_in = 6);
    browser.go(&chart(&ehr, "one")).await;
    browser.sees(CLIENT).await;
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
    browser.sees(CLIENT).await;
    browser.run("location.href = location.pathname").await;
    let said = browser.sees("launch again").await;
    assert!(!said.contains(CLIENT), "{said}");
    // The same redirect once more.
    ehr.with(|ward| ward.expires_in = 300);
    browser.go(&chart(&ehr, "one")).await;
    browser.sees(CLIENT).await;
    let again = ehr.with(|ward| ward.redirected.clone());
    browser.run(&format!("location.href = {}", json!(again))).await;
    let said = browser.sees("This launch did not work").await;
    assert!(!said.contains(CLIENT), "{said}");
    browser.close().await;
    // No cookies at all.
    let none = json!({"profile": {"default_content_setting_values": {"cookies": 2}}});
    let browser = Browser::open(none).await.expect("it was there a moment ago");
    browser.go(&chart(&ehr, "one")).await;
    let said = browser.sees("allow cookies").await;
    assert!(!said.contains(CLIENT), "{said}");
    browser.close().await;
    server.stop().await;
}

#[actix_web::test]
async fn who_may_not_frame_us_gets_an_empty_frame() {
    let Some(browser) = Browser::open(json!({})).await else { return };
    let (listed, unlisted) = (ehr(), ehr());
    let (server, _place) = server(&[(&listed, "", true), (&unlisted, "", false)]).await;
    browser.go(&chart(&unlisted, "one")).await;
    // The launch goes through; what it leads to is not shown.
    let began = std::time::Instant::now();
    while unlisted.with(|ward| ward.asked.is_empty()) {
        assert!(began.elapsed().as_secs() < 30, "the launch does not come through");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for _ in 0..20 {
        let seen = browser.framed().await;
        assert!(!seen.contains(CLIENT), "{seen}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let at = browser.run("return location.protocol").await;
    assert_eq!(at, "chrome-error:", "the browser refuses to draw it");
    // The same client, the same browser, an origin on the list.
    browser.go(&chart(&listed, "one")).await;
    browser.sees(CLIENT).await;
    browser.close().await;
    server.stop().await;
}

#[actix_web::test]
async fn two_tabs_with_two_clients() {
    let Some(browser) = Browser::open(strict()).await else { return };
    let ehr = ehr();
    let (server, _place) = server(&[(&ehr, "", true)]).await;
    let first = browser.tab().await;
    browser.go(&chart(&ehr, "one")).await;
    browser.sees(CLIENT).await;
    let second = browser.new_tab().await;
    browser.go(&chart(&ehr, "two")).await;
    browser.sees("Bela Beispiel").await;
    browser.switch(&first).await;
    browser.sees(CLIENT).await;
    browser.run("location.href = location.pathname").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(!browser.sees(CLIENT).await.contains("Bela"));
    // One says something; the other does not have it.
    browser.find("button[value=rupture-yes]").await.click().await.expect("clicked");
    browser.sees("Said so far").await;
    browser.switch(&second).await;
    browser.sees("Bela Beispiel").await;
    browser.run("location.href = location.pathname").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let seen = browser.sees("Bela Beispiel").await;
    assert!(!seen.contains(CLIENT) && !seen.contains("Said so far"), "{seen}");
    browser.close().await;
    server.stop().await;
}

#[actix_web::test]
async fn without_script_by_keyboard_at_any_width_and_on_paper() {
    let mut settings = strict();
    settings["profile"]["managed_default_content_settings"] = json!({"javascript": 2});
    let Some(browser) = Browser::open(settings).await else { return };
    let ehr = ehr();
    let (server, _place) = server(&[(&ehr, "", true)]).await;
    browser.client.set_window_size(2000, 1000).await.expect("resized");
    for launch in ["one", "own"] {
        for width in [400, 1280, 1920] {
            browser.go(&format!("{}?width={width}", chart(&ehr, launch))).await;
            browser.sees(CLIENT).await;
            let sizes =
                browser.run("const e = document.documentElement; return [innerWidth, e.scrollWidth <= e.clientWidth]");
            assert_eq!(sizes.await, json!([width, true]), "{launch} overflows");
        }
    }
    browser.go(&chart(&ehr, "one")).await;
    assert_eq!(browser.client.title().await.expect("a title"), "The chart", "script is off");
    browser.sees(CLIENT).await;
    // By keyboard: the way past the head first, then everything in the order in which it stands.
    let order = "const all = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), textarea, summary, \
                 [tabindex=\"0\"]')].filter(e => e.checkVisibility()); return [all.indexOf(document.activeElement), all.length]";
    let stops = browser.run(order).await[1].as_i64().expect("a number");
    assert!(stops > 5, "{stops}");
    let mut last = -1;
    for stop in 0..stops {
        browser.client.active_element().await.expect("focus").send_keys("\u{e004}").await.expect("Tab");
        let at = browser.run(order).await[0].as_i64().expect("a number");
        if stop == 0 {
            let text = browser.run("return document.activeElement.className").await;
            assert_eq!(text, "skip", "the first stop is the way to the content");
        }
        assert!(at > last, "stop {stop} goes from {last} to {at}");
        let outlined = browser.run("return getComputedStyle(document.activeElement).outlineStyle").await;
        assert_ne!(outlined, "none", "where the keyboard is can be seen");
        last = at;
    }
    assert_eq!(last, stops - 1, "every control is reached");
    browser.find("button[value=rupture-unsure]").await.click().await.expect("clicked");
    browser.sees("Said so far").await;
    // On paper, outside the frame: its cookie is the frame's own, so the launch goes through once more.
    browser.go(&format!("{}/launch?iss={}&launch=one", server.base, ehr.iss)).await;
    let began = std::time::Instant::now();
    while browser.client.find(Locator::Css("h1")).await.is_err()
        || !browser.client.source().await.expect("html").contains(CLIENT)
    {
        assert!(began.elapsed().as_secs() < 30, "no page of its own");
    }
    let pdf = browser.client.print(fantoccini::wd::PrintConfiguration::default()).await.expect("printed");
    assert!(pdf.starts_with(b"%PDF"));
    let pages = String::from_utf8_lossy(&pdf).matches("/Type /Page\n").count();
    assert!((1..=4).contains(&pages), "{pages} sheets of paper");
    browser.close().await;
    server.stop().await;
}
