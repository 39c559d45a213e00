//! In from an EHR's chart.

use crate::ehr::{Ehr, basic, in_an_hour};
use crate::issuer::{Issuer, Signer};
use crate::story::{start_for, withdrawing};
use crate::visitor::{Browser, server};
use reqwest::Method;
use serde_json::{Value, json};

#[actix_web::test]
async fn a_therapist_opens_the_chart_and_sees_what_the_ehr_knows() {
    let ehr = Ehr::start().await;
    ehr.with(|ward| {
        ward.resources = withdrawing("p1", &start_for(15), 3);
        // The EHR is careless: another patient's task comes along.
        ward.resources.push(json!({"resourceType": "Task", "id": "foreign", "status": "requested", "intent": "order", "for": {"reference": "Patient/p2"}}));
        ward.context = json!({"patient": "p1", "encounter": "e1", "need_patient_banner": true, "fhirContext": [{"reference": "Appointment/a"}]});
    });
    let (server, _place) = server(&[(&ehr, "")]).await;
    let mut browser = Browser::new(&server);
    let asked = browser.launch(&ehr, Some("the launch & more")).await;
    let of = |name: &str| asked.parameters.get(name).map(String::as_str).unwrap_or_default();
    assert_eq!((of("response_type"), of("client_id"), of("code_challenge_method")), ("code", "tautline", "S256"));
    assert_eq!(
        (of("launch"), of("aud"), of("redirect_uri")),
        ("the launch & more", ehr.iss.as_str(), format!("{}/callback", server.base).as_str())
    );
    assert!(of("state").len() >= 22 && of("code_challenge").len() == 43 && of("scope").contains("launch"));
    let before: Vec<String> = browser.cookies.values().cloned().collect();
    let answer = browser.get(&asked.redirect).await.expect(303);
    let there = answer.header("location").to_owned();
    assert!(there.starts_with("/app/patients/l"), "{there}");
    assert!(browser.cookies.values().all(|value| !before.contains(value)), "a new session has a new name");
    let page = browser.page(&there).await.expect(200);
    for part in ["Ana Muster", "<svg", "Engagement"] {
        assert!(page.text.contains(part), "{part}");
    }
    assert!(page.header("content-security-policy").contains("frame-ancestors https://ehr.example"));
    assert!(!page.text.contains("/app/caseload"), "one client's launch leads to no other");
    assert!(!page.text.contains("the-token-of-the-ehr"));
    // Used up, in this browser too.
    browser.get(&asked.redirect).await.expect(400);
    // The public client shows its id, and no secret.
    let (authorization, form) = ehr.with(|ward| ward.asked.remove(0));
    assert_eq!((authorization, form["client_id"].as_str()), (None, "tautline"));
    // The patient of the token is the only one.
    browser.get("/app/patients/p1").await.expect(401);
    browser.get("/app/caseload").await.expect(401);
    let stranger = Browser::new(&server).get(&there).await.expect(401);
    assert!(stranger.text.contains("cookie"), "{}", stranger.text);
    assert!(stranger.header("content-security-policy").contains("frame-ancestors https://ehr.example"));
    // It is said, undone and audited by whoever signed in; a forged form is refused.
    let action = there.split('?').next().expect("a path").to_owned() + "/judgements";
    browser.send(Method::POST, &action, Some(&[("verdict", "named-in-session"), ("csrf", "forged")])).await.expect(403);
    let token =
        page.text.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a token");
    browser.send(Method::POST, &action, Some(&[("verdict", "named-in-session"), ("csrf", token)])).await.expect(303);
    // Again: the same data, nothing twice.
    let again = browser.enter(&ehr).await;
    assert_eq!(again, there);
    browser.page(&again).await.expect(200);
    ehr.stop().await;
    server.stop().await;
}

#[actix_web::test]
async fn two_tabs_with_two_patients_stay_apart() {
    let ehr = Ehr::start().await;
    ehr.with(|ward| {
        for id in ["p1", "p2"] {
            ward.resources
                .push(json!({"resourceType": "Patient", "id": id, "name": [{"text": format!("Name of {id}")}]}));
        }
    });
    let (server, _place) = server(&[(&ehr, "")]).await;
    let mut browser = Browser::new(&server);
    // Both begin before either ends.
    let (one, two) = (browser.launch(&ehr, Some("1")).await, browser.launch(&ehr, Some("2")).await);
    ehr.with(|ward| ward.context = json!({"patient": "p1"}));
    let first = browser.get(&one.redirect).await.expect(303).header("location").to_owned();
    ehr.with(|ward| ward.context = json!({"patient": "p2"}));
    let second = browser.get(&two.redirect).await.expect(303).header("location").to_owned();
    assert_ne!(first, second);
    assert!(browser.page(&first).await.expect(200).text.contains("Name of p1"));
    assert!(browser.page(&second).await.expect(200).text.contains("Name of p2"));
    assert!(browser.page(&first).await.expect(200).text.contains("Name of p1"));
    server.stop().await;
}

#[actix_web::test]
async fn a_launch_that_is_not_this_browsers_or_not_in_order_is_refused() {
    let ehr = Ehr::start().await;
    ehr.with(|ward| ward.context = json!({"patient": "p1"}));
    let (server, _place) = server(&[(&ehr, "")]).await;
    let mut victim = Browser::new(&server);
    let mut attacker = Browser::new(&server);
    let asked = victim.launch(&ehr, Some("1")).await;
    attacker.get(&asked.redirect).await.expect(400);
    // The attacker's own cookie under the victim's name.
    attacker.launch(&ehr, Some("2")).await;
    let value = attacker.cookies.values().next().expect("a cookie").clone();
    let name = victim.cookies.keys().next().expect("a cookie").clone();
    let mut forger = Browser::new(&server);
    forger.cookies.insert(name, value);
    forger.get(&asked.redirect).await.expect(400);
    // A refusal says so, and repeats nothing of what it was sent.
    let asked = victim.launch(&ehr, Some("3")).await;
    let state = &asked.parameters["state"];
    let refused = victim
        .get(&format!(
            "/callback?state={state}&error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E"
        ))
        .await
        .expect(403);
    assert!(!refused.text.contains("<script") && refused.text.contains("launch again"));
    assert!(refused.header("content-security-policy").contains("default-src 'none'"));
    // Mixed up with another issuer (RFC 9207).
    let asked = victim.launch(&ehr, Some("4")).await;
    victim.get(&format!("{}&iss=https%3A%2F%2Fevil.example", asked.redirect)).await.expect(400);
    // Odd answers of the EHR's.
    for context in [
        json!({"token_type": "mac"}),
        json!({"access_token": ""}),
        json!({"patient": "../../etc"}),
        json!({"access_token": 7}),
    ] {
        ehr.with(|ward| ward.context = context.clone());
        let asked = victim.launch(&ehr, Some("5")).await;
        victim.get(&asked.redirect).await.expect(400);
    }
    for path in ["/callback", "/callback?state=x", "/callback?code=x&state=%00", "/launch", "/launch?iss="] {
        let answer = victim.get(path).await.expect(400);
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn only_listed_ehrs_are_contacted_and_where_they_point_is_guarded() {
    let (ehr, trap) = (Ehr::start().await, Ehr::start().await);
    let (server, _place) = server(&[(&ehr, "")]).await;
    let mut browser = Browser::new(&server);
    for iss in [
        trap.iss.as_str(),
        "http://169.254.169.254/latest",
        "http://localhost:1",
        "file:///etc/passwd",
        "https://ehr.example/fhir",
        "javascript:alert(1)",
        "<script>alert(1)</script>",
        &format!("{}/../fhir", ehr.iss),
        &format!("{}@evil.example", ehr.iss),
    ] {
        let query: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("iss", iss).append_pair("launch", "x").finish();
        let refused = browser.get(&format!("/launch?{query}")).await.expect(400);
        assert!(!refused.text.contains("<script>alert"), "{iss}");
    }
    assert_eq!(trap.with(|ward| ward.reads + ward.asked.len()), 0);
    for endpoint in ["file:///etc/passwd", "gopher://x/", "", "ftp://x/"] {
        ehr.with(|ward| ward.discovery = json!({"token_endpoint": endpoint}));
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("iss", &ehr.iss)
            .append_pair("launch", "x")
            .finish();
        browser.get(&format!("/launch?{query}")).await.expect(400);
    }
    server.stop().await;
}

#[actix_web::test]
async fn confidential_clients_show_their_secret_or_sign() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret:with/odd&signs\n").expect("written");
    let key = folder.path().join("key.pem");
    std::fs::write(&key, include_str!("../fixtures/rsa-of-the-tests.pem")).expect("written");
    let (one, two) = (Ehr::start().await, Ehr::start().await);
    for ehr in [&one, &two] {
        ehr.with(|ward| ward.context = json!({"patient": "p1"}));
    }
    let symmetric = format!("client_secret_file = \"{}\"", secret.display());
    let asymmetric = format!("private_key_file = \"{}\"\nkey_id = \"k7\"", key.display());
    let (server, _place) = server(&[(&one, &symmetric), (&two, &asymmetric)]).await;
    let mut browser = Browser::new(&server);
    browser.enter(&one).await;
    let (authorization, form) = one.with(|ward| ward.asked.remove(0));
    assert_eq!(authorization, Some(basic("tautline", "s3cret%3Awith%2Fodd%26signs")));
    assert!(!form.contains_key("client_secret") && !form.contains_key("client_assertion"));
    browser.enter(&two).await;
    let (authorization, form) = two.with(|ward| ward.asked.remove(0));
    assert_eq!(authorization, None);
    let keys = server.get("/.well-known/jwks.json").await.expect(200);
    assert!(keys.json()["keys"][0]["kid"] == "k7" && !keys.text.contains("\"d\""), "{}", keys.text);
    let set = tautline::smart::keys::KeySet::read(&keys.json());
    let claims = set.verify(&form["client_assertion"]).expect("signed by the published key");
    assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("tautline"), Some("tautline")));
    assert_eq!(claims["aud"], format!("{}/token", two.with(|ward| ward.url.clone())));
    assert!(claims["jti"].is_string() && claims["exp"].as_i64().is_some_and(|exp| exp <= crate::issuer::now() + 300));
    server.stop().await;
}

#[actix_web::test]
async fn a_token_that_ends_is_renewed_or_ends_the_session() {
    let ehr = Ehr::start().await;
    ehr.with(|ward| {
        ward.resources.push(json!({"resourceType": "Patient", "id": "p1", "name": [{"text": "Name of p1"}]}));
        ward.expires_in = 1;
        ward.context = json!({"patient": "p1"});
    });
    let (server, _place) = server(&[(&ehr, "")]).await;
    let mut browser = Browser::new(&server);
    let there = browser.enter(&ehr).await;
    tokio::time::sleep(std::time::Duration::from_millis(1300)).await;
    let ended = browser.get(&there).await.expect(401);
    assert!(ended.text.contains("launch again") && !ended.text.contains("Name of p1"));
    ehr.with(|ward| ward.context = json!({"patient": "p1", "refresh_token": "fresh"}));
    let there = browser.enter(&ehr).await;
    tokio::time::sleep(std::time::Duration::from_millis(1300)).await;
    browser.page(&there).await.expect(200);
    // Revoked: the renewal is refused.
    ehr.with(|ward| ward.context = json!({"patient": "p2"}));
    tokio::time::sleep(std::time::Duration::from_millis(1300)).await;
    browser.get(&there).await.expect(401);
    server.stop().await;
}

#[actix_web::test]
async fn who_signed_in_is_verified_where_it_is_said() {
    let signer = Signer::es384("id");
    let keys = Issuer::start(&[&signer]).await;
    let ehr = Ehr::start().await;
    let url = ehr.with(|ward| {
        ward.discovery = json!({"jwks_uri": format!("{}/jwks", keys.url)});
        ward.resources.push(json!({"resourceType": "Patient", "id": "p1", "name": [{"text": "Name of p1"}]}));
        ward.url.clone()
    });
    let (server, _place) = server(&[(&ehr, "pushes = true")]).await;
    let mut browser = Browser::new(&server);
    let asked = browser.launch(&ehr, Some("1")).await;
    let claims = |nonce: &str, user: &str| json!({"iss": url, "aud": "tautline", "exp": in_an_hour(), "nonce": nonce, "sub": "s", "fhirUser": user});
    let token = |claims: &Value| json!({"patient": "p1", "id_token": signer.sign(claims)});
    ehr.with(|ward| ward.context = token(&claims(&asked.parameters["nonce"], "Practitioner/dr")));
    browser.get(&asked.redirect).await.expect(303);
    // A patient who launches is told that this is not for them.
    let asked = browser.launch(&ehr, Some("1")).await;
    ehr.with(|ward| ward.context = token(&claims(&asked.parameters["nonce"], "https://x/Patient/p1")));
    browser.get(&asked.redirect).await.expect(403);
    for wrong in [claims("another", "Practitioner/dr"), {
        let mut claims = claims("", "Practitioner/dr");
        claims["aud"] = json!("another");
        claims
    }] {
        let asked = browser.launch(&ehr, Some("1")).await;
        ehr.with(|ward| ward.context = token(&wrong));
        browser.get(&asked.redirect).await.expect(400);
    }
    let asked = browser.launch(&ehr, Some("1")).await;
    let forged = Signer::es384("id").sign(&claims(&asked.parameters["nonce"], "Practitioner/dr"));
    ehr.with(|ward| ward.context = json!({"patient": "p1", "id_token": forged}));
    browser.get(&asked.redirect).await.expect(400);
    server.stop().await;
}

#[actix_web::test]
async fn a_practitioner_without_a_patient_gets_the_caseload_of_that_ehr() {
    let (one, two) = (Ehr::start().await, Ehr::start().await);
    one.with(|ward| ward.signer = Some(Signer::es384("id")));
    for (ehr, name) in [(&one, "Of One"), (&two, "Of Two")] {
        ehr.with(|ward| {
            ward.resources = withdrawing("p1", &start_for(15), 3);
            ward.resources[0]["name"] = json!([{"text": name}]);
            ward.context = json!({"patient": "p1"});
        });
    }
    let (server, _place) = server(&[(&one, ""), (&two, "")]).await;
    let mut browser = Browser::new(&server);
    let (first, second) = (browser.enter(&one).await, browser.enter(&two).await);
    assert_ne!(first, second, "the same id at two EHRs is two clients");
    browser.page(&first).await.expect(200);
    browser.page(&second).await.expect(200);
    // Nobody in particular, or a launch for one client that forgot to say which: nothing is shown.
    let mut own = Browser::new(&server);
    let (user, dr) = ("launch openid fhirUser user/Patient.rs", "Practitioner/dr");
    for context in [
        json!({"scope": user}),
        json!({"signed_in": dr}),
        json!({"scope": user, "signed_in": "Person/x"}),
        json!({"scope": user, "signed_in": dr, "patient": 5}),
    ] {
        one.with(|ward| ward.context = context);
        let asked = own.launch(&one, Some("1")).await;
        own.get(&asked.redirect).await.expect(400);
    }
    one.with(|ward| ward.context = json!({"scope": user, "signed_in": dr}));
    let there = own.enter(&one).await;
    assert!(there.starts_with("/app/caseload"), "{there}");
    let caseload = own.page(&there).await.expect(200);
    assert!(caseload.text.contains("Of One") && !caseload.text.contains("Of Two"));
    own.get(&first).await.expect(200);
    own.get(&second).await.expect(401);
    // Standalone: the EHR is asked to let a patient be chosen.
    let asked = own.launch(&one, None).await;
    assert!(asked.parameters["scope"].contains("launch/patient") && !asked.parameters.contains_key("launch"));
    server.stop().await;
}

#[actix_web::test]
async fn what_could_not_be_read_is_said_and_what_was_deleted_goes() {
    let ehr = Ehr::start().await;
    ehr.with(|ward| {
        ward.resources = withdrawing("p1", &start_for(15), 3);
        ward.context = json!({"patient": "p1"});
    });
    let (server, _place) = server(&[(&ehr, "")]).await;
    let mut browser = Browser::new(&server);
    let there = browser.enter(&ehr).await;
    let whole = browser.page(&there).await.expect(200);
    assert!(!whole.text.contains("Not everything could be read"));
    // Questionnaires are not given: nothing that was read before is lost, and the page says so.
    ehr.with(|ward| ward.refuse_kind = Some("QuestionnaireResponse"));
    let there = browser.enter(&ehr).await;
    let part = browser.page(&there).await.expect(200);
    for said in ["Not everything could be read", "questionnaires", "safety item"] {
        assert!(part.text.contains(said), "{said}");
    }
    // What is no valid R4 is not kept, and said.
    ehr.with(|ward| {
        ward.refuse_kind = None;
        for one in ward.resources.iter_mut().filter(|one| one["resourceType"] == "Appointment") {
            one["status"] = json!("nonsense");
        }
    });
    let there = browser.enter(&ehr).await;
    let odd = browser.page(&there).await.expect(200);
    assert!(odd.text.contains("Not everything could be read") && odd.text.contains("appointments"));
    // Something that is no searchset, with a 200, takes nothing away.
    ehr.with(|ward| ward.instead = Some(json!({"resourceType": "OperationOutcome", "issue": []})));
    let there = browser.enter(&ehr).await;
    let kept = browser.page(&there).await.expect(200);
    assert!(kept.text.contains("Not everything could be read") && kept.text.contains("PHQ-9"), "{}", kept.text);
    ehr.with(|ward| ward.instead = None);
    // All of it gone from the record: gone here.
    ehr.with(|ward| ward.resources.retain(|one| one["resourceType"] == "Patient"));
    let there = browser.enter(&ehr).await;
    let empty = browser.page(&there).await.expect(200);
    assert!(empty.text.contains("Nothing has happened in this record yet"), "{}", empty.text);
    // Scopes that show nothing of a record, and a token that is not taken any more.
    ehr.with(|ward| ward.context = json!({"patient": "p1", "scope": "launch openid"}));
    let asked = browser.launch(&ehr, Some("1")).await;
    browser.get(&asked.redirect).await.expect(403);
    ehr.with(|ward| {
        ward.context = json!({"patient": "p1"});
        ward.refuse = Some(401);
    });
    let there = browser.enter(&ehr).await;
    let ended = browser.page(&there).await.expect(401);
    assert!(ended.text.contains("launch again") && !ended.text.contains("Ana Muster"));
    server.stop().await;
}

#[actix_web::test]
async fn an_id_token_that_cannot_be_checked_ends_the_launch() {
    let signer = Signer::es384("id");
    for (keys, status) in [(None, 400), (Some("nowhere"), 502)] {
        let ehr = Ehr::start().await;
        let url = ehr.with(|ward| {
            if let Some(keys) = keys {
                ward.discovery = json!({"jwks_uri": format!("{}/{keys}", ward.url)});
            }
            ward.url.clone()
        });
        let (server, _place) = server(&[(&ehr, "")]).await;
        let mut browser = Browser::new(&server);
        let asked = browser.launch(&ehr, Some("1")).await;
        let nonce = &asked.parameters["nonce"];
        let claims = json!({"iss": url, "aud": "tautline", "exp": in_an_hour(), "nonce": nonce, "sub": "s"});
        ehr.with(|ward| ward.context = json!({"patient": "p1", "id_token": signer.sign(&claims)}));
        browser.get(&asked.redirect).await.expect(status);
        server.stop().await;
    }
}

#[actix_web::test]
async fn what_a_search_hides_is_not_taken_for_deleted() {
    let ehr = Ehr::start().await;
    ehr.with(|ward| {
        ward.resources = withdrawing("p1", &start_for(15), 3);
        // One that has an identifier of its own: where it came from is kept beside it.
        for one in ward.resources.iter_mut().filter(|one| one["resourceType"] == "QuestionnaireResponse") {
            one["identifier"] = json!({"system": "urn:forms", "value": one["id"]});
        }
        ward.context = json!({"patient": "p1"});
    });
    let all: Vec<String> = ehr.with(|ward| {
        let responses = ward.resources.iter().filter(|one| one["resourceType"] == "QuestionnaireResponse");
        responses.map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
    });
    let place = crate::server::Place::new(crate::server::Backend::Sqlite).await.expect("a place");
    let lines = format!(
        "auth = \"smart\"\n[[ehrs]]\niss = \"{}\"\nclient_id = \"tautline\"\nallow_insecure = true\nscope = \"launch\"\n",
        ehr.iss
    );
    let server = crate::server::Server::configured(&place, &lines).await;
    let kept = async || {
        let store = tautline::store::connect(&place.url).await.expect("the store");
        let query = tautline::store::Query { kind: "QuestionnaireResponse", count: 100, ..Default::default() };
        store.search(&query).await.expect("a search").versions.len()
    };
    let mut browser = Browser::new(&server);
    let mut look = async || {
        let there = browser.enter(&ehr).await;
        browser.page(&there).await.expect(200).text
    };
    look().await;
    assert_eq!(kept().await, all.len());
    // Hidden, and the read says that one may not: kept, and said.
    for status in [403, 401, 500, 429] {
        ehr.with(|ward| {
            ward.hides.clone_from(&all);
            ward.hidden_says = Some(status);
        });
        let page = look().await;
        assert!(page.contains("Not everything could be read") && page.contains("questionnaires"), "{status}");
        assert_eq!(kept().await, all.len(), "{status}");
    }
    // Hidden by the search alone: it is there, and there is nothing to say.
    ehr.with(|ward| ward.hidden_says = None);
    assert!(!look().await.contains("Not everything could be read"));
    assert_eq!(kept().await, all.len());
    // Gone; and one that is another patient's now.
    ehr.with(|ward| ward.hidden_says = Some(410));
    assert!(!look().await.contains("Not everything could be read"));
    assert_eq!(kept().await, 0);
    ehr.with(|ward| {
        ward.hides.clear();
        ward.hidden_says = None;
    });
    look().await;
    assert_eq!(kept().await, all.len());
    ehr.with(|ward| {
        let moved = ward.resources.iter_mut().find(|one| one["id"] == all[0].as_str()).expect("it");
        moved["subject"] = json!({"reference": "Patient/p2"});
    });
    look().await;
    assert_eq!(kept().await, all.len() - 1);
    server.stop().await;
}

#[actix_web::test]
async fn a_patient_who_cannot_be_read_and_results_that_cannot_be_taken_are_said() {
    let ehr = Ehr::start().await;
    ehr.with(|ward| {
        ward.resources = withdrawing("p1", &start_for(15), 3);
        ward.context = json!({"patient": "p1"});
    });
    let place = crate::server::Place::new(crate::server::Backend::Sqlite).await.expect("a place");
    let lines = format!(
        "auth = \"smart\"\n[[ehrs]]\niss = \"{}\"\nclient_id = \"tautline\"\nallow_insecure = true\nscope = \"launch\"\n",
        ehr.iss
    );
    let server = crate::server::Server::configured(&place, &lines).await;
    let mut browser = Browser::new(&server);
    let mut look = async || {
        let there = browser.enter(&ehr).await;
        browser.page(&there).await.expect(200).text
    };
    assert!(!look().await.contains("Not everything could be read"));
    for status in [500, 403, 404] {
        ehr.with(|ward| {
            ward.hides = vec!["p1".to_owned()];
            ward.hidden_says = Some(status);
        });
        let page = look().await;
        assert!(page.contains("Not everything could be read") && page.contains("who the client is"), "{status}");
    }
    ehr.with(|ward| {
        ward.hides.clear();
        ward.hidden_says = None;
        let one = ward.resources.iter_mut().find(|one| one["resourceType"] == "Task").expect("homework");
        one.as_object_mut().expect("a resource").remove("id");
    });
    let page = look().await;
    assert!(page.contains("Not everything could be read") && page.contains("homework"), "a Task without an id");
    server.stop().await;
}
