//! A launch shows what its scopes cover, whoever's launch brought it here.

use crate::ehr::Ehr;
use crate::issuer::Signer;
use crate::server::Server;
use crate::story::{start_for, withdrawing};
use crate::visitor::{Browser, server};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const USUAL: &str =
    "launch openid fhirUser patient/Patient.r patient/QuestionnaireResponse.rs patient/Task.rs patient/Appointment.rs";
const NOT_COVERED: &str = "not covered by this launch's permissions";

/// Everything on a page that tells something of a kind.
const OF_PATIENT: &[&str] = &["Ana", "Muster"];
const OF_ANSWERS: &[&str] = &["PHQ-9", "Safety item answered"];
const OF_SESSIONS: &[&str] = &["class=\"when\""];
const OF_ASSESSMENT: &[&str] = &[
    "class=\"gist\"",
    "class=\"evidence\"",
    "class=\"flag ",
    "log-odds",
    "Named it in session",
    "class=\"row pattern",
];

/// A client who withdraws, and answered item 9 above zero.
fn ward(ehr: &Ehr) {
    ehr.with(|ward| {
        let mut all = withdrawing("p1", &start_for(15), 3);
        let last = all.iter_mut().rfind(|one| one["resourceType"] == "QuestionnaireResponse").expect("a response");
        last["item"][8]["answer"][0]["valueCoding"]["code"] = json!("LA6570-1");
        ward.resources = all;
    });
}

async fn page(server: &Server, ehr: &Ehr, context: Value) -> String {
    ehr.with(|ward| ward.context = context);
    let mut browser = Browser::new(server);
    let there = browser.enter(ehr).await;
    browser.page(&there).await.expect(200).text
}

fn holds(page: &str, words: &[&str], wanted: bool, scope: &str) {
    for word in words {
        assert_eq!(page.contains(word), wanted, "{scope}: {word:?} in {page}");
    }
}

#[actix_web::test]
async fn a_page_shows_what_the_launch_covers_and_says_what_it_does_not() {
    let ehr = Ehr::start().await;
    ward(&ehr);
    let (server, _place) = server(&[(&ehr, "")]).await;
    let whole = page(&server, &ehr, json!({"patient": "p1", "scope": USUAL})).await;
    for words in [OF_PATIENT, OF_ANSWERS, OF_SESSIONS, OF_ASSESSMENT] {
        holds(&whole, words, true, USUAL);
    }
    assert!(!whole.contains(NOT_COVERED));
    // Whatever reads everything shows everything.
    for scope in ["launch patient/*.rs", "launch patient/*.read", "launch user/*.rs"] {
        let page = page(&server, &ehr, json!({"patient": "p1", "scope": scope})).await;
        holds(&page, OF_ASSESSMENT, true, scope);
        holds(&page, OF_PATIENT, true, scope);
    }
    for (scope, patient, answers, homework, sessions) in [
        ("launch patient/Task.rs", false, false, true, false),
        ("launch patient/Patient.r", true, false, false, false),
        ("launch patient/Appointment.rs patient/Patient.r", true, false, false, true),
        ("launch patient/QuestionnaireResponse.rs", false, true, false, false),
        ("launch patient/Flag.rs", false, false, false, false),
        // A filter covers part of a type: not all that is kept of it.
        (
            "launch patient/Patient.r patient/Task.rs patient/Appointment.rs patient/QuestionnaireResponse.rs?questionnaire=x",
            true,
            false,
            true,
            true,
        ),
    ] {
        let page = page(&server, &ehr, json!({"patient": "p1", "scope": scope})).await;
        holds(&page, OF_ASSESSMENT, false, scope);
        for (words, shown) in [(OF_PATIENT, patient), (OF_ANSWERS, answers), (OF_SESSIONS, sessions)] {
            holds(&page, words, shown, scope);
        }
        assert_eq!(page.contains("homework and what was asked for: not covered"), !homework, "{scope}: {page}");
        assert!(page.contains(NOT_COVERED) || page.contains("permissions do not cover"), "{scope}");
        assert_eq!(page.contains("flags: not covered"), !scope.contains("Flag"), "{scope}: {page}");
    }
    // Flags are named where they are covered, and nothing of what they rest on.
    let flags = page(&server, &ehr, json!({"patient": "p1", "scope": "launch patient/Flag.rs"})).await;
    assert!(flags.to_lowercase().contains("flags: safety item"), "{flags}");
    // What shows nothing is no launch.
    for scope in ["launch openid", "launch patient/*.cud", "launch patient/Practitioner.rs"] {
        ehr.with(|ward| ward.context = json!({"patient": "p1", "scope": scope}));
        let mut browser = Browser::new(&server);
        let asked = browser.launch(&ehr, Some("1")).await;
        browser.get(&asked.redirect).await.expect(403);
    }
    server.stop().await;
}

#[actix_web::test]
async fn looking_back_and_the_caseload_cover_no_more() {
    let ehr = Ehr::start().await;
    ward(&ehr);
    ehr.with(|ward| ward.signer = Some(Signer::es384("id")));
    let (server, _place) = server(&[(&ehr, "")]).await;
    page(&server, &ehr, json!({"patient": "p1", "scope": USUAL})).await;
    ehr.with(|ward| ward.context = json!({"patient": "p1", "scope": "launch patient/Task.rs"}));
    let mut browser = Browser::new(&server);
    let there = browser.enter(&ehr).await;
    browser.page(&there).await.expect(200);
    let there = there.split('?').next().expect("a path").to_owned();
    for weeks in [4, 9, 14] {
        let at = crate::story::at(&start_for(15), 7 * weeks);
        let back = browser.get(&format!("{there}?asOf={at}")).await.expect(200).text;
        holds(&back, OF_ASSESSMENT, false, "looking back");
        holds(&back, &["Ana", "PHQ-9", "Safety item answered", "class=\"when\""], false, "looking back");
    }
    // A list of several: names where they are covered, and of whom nothing may be said, that.
    for (scope, named, assessed) in [
        ("launch openid fhirUser user/*.rs", true, true),
        ("launch openid fhirUser user/Patient.rs", true, false),
        ("launch openid fhirUser user/Task.rs user/Appointment.rs", false, false),
        // One patient's scopes are about nobody here.
        ("launch openid fhirUser user/Patient.rs patient/*.rs", true, false),
    ] {
        let list = page(&server, &ehr, json!({"scope": scope, "signed_in": "Practitioner/dr"})).await;
        holds(&list, &["Ana Muster"], named, scope);
        holds(&list, &["class=\"strip\"", "class=\"flag-cell\""], assessed, scope);
        assert_eq!(list.contains("permissions do not cover"), !assessed, "{scope}: {list}");
    }
    server.stop().await;
}

/// A form's token is made of the cookie's secret: whoever has a launch can make one, and it is of no use.
#[actix_web::test]
async fn who_may_not_see_the_assessment_says_nothing_of_it() {
    let ehr = Ehr::start().await;
    ward(&ehr);
    let (server, _place) = server(&[(&ehr, "")]).await;
    for (scope, status) in [("launch patient/Task.rs", 403), (USUAL, 303)] {
        page(&server, &ehr, json!({"patient": "p1", "scope": USUAL})).await;
        ehr.with(|ward| ward.context = json!({"patient": "p1", "scope": scope}));
        let mut browser = Browser::new(&server);
        let there = browser.enter(&ehr).await;
        browser.page(&there).await.expect(200);
        let path = there.split('?').next().expect("a path").to_owned();
        let client = path.rsplit('/').next().expect("an id");
        assert_eq!(browser.cookies.len(), 1, "the session's");
        let secret = browser.cookies.values().next().expect("a cookie").clone();
        let token = tautline::smart::vault::Secret::new(&secret).derived("csrf");
        let digest = Sha256::new().chain_update(token).chain_update([0]).chain_update(client).finalize();
        let token: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let form = [("verdict", "rupture-no"), ("csrf", token.as_str())];
        browser.send(Method::POST, &format!("{path}/judgements"), Some(&form)).await.expect(status);
    }
    server.stop().await;
}
