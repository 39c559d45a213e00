//! What an EHR says of the moment, whose clients a practitioner sees, and our Flags in the EHR's own list.

use crate::ehr::{Ehr, in_an_hour};
use crate::issuer::{Issuer, Signer};
use crate::story::{start_for, withdrawing};
use crate::visitor::{Browser, server};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn ehr_with(client: &str) -> impl Fn(&mut crate::ehr::Ward) + '_ {
    move |ward| ward.resources.extend(withdrawing(client, &start_for(15), 3))
}

#[actix_web::test]
async fn the_moment_of_the_launch_is_understood() {
    let ehr = Ehr::start().await;
    ehr.with(ehr_with("p1"));
    let style = ehr.with(|ward| {
        ward.style = json!({"color_background": "#fbfbf5", "color_text": "#101010", "font_family_body": "url(x)"});
        ward.resources
            .push(json!({"resourceType": "Encounter", "id": "e1", "status": "in-progress", "class": {"code": "AMB"},
            "subject": {"reference": "Patient/p1"}, "appointment": [{"reference": "Appointment/p1-a3"}]}));
        format!("{}/style.json", ward.url)
    });
    let (server, _place) = server(&[(&ehr, "")]).await;
    let mut browser = Browser::new(&server);
    // Nothing said: our banner, our colours, the session found from the slots.
    ehr.with(|ward| ward.context = json!({"patient": "p1"}));
    let there = browser.enter(&ehr).await;
    let plain = browser.page(&there).await.expect(200).text;
    assert!(plain.contains("<h1>Ana Muster</h1>") && !plain.contains("palette.css"));
    let third: jiff::Timestamp = crate::story::at(&start_for(15), 21);
    let day = third.strftime("%-d %B").to_string();
    let when = |page: &str| {
        page.split("class=\"when\">").nth(1).and_then(|rest| rest.split("</p>").next()).expect("when").to_owned()
    };
    assert!(!when(&plain).contains(&day), "{}", when(&plain));
    for context in [
        json!({"patient": "p1", "fhirContext": [{"reference": "Appointment/p1-a3"}]}),
        json!({"patient": "p1", "encounter": "e1", "scope": "launch patient/Patient.r patient/Encounter.r patient/Appointment.rs"}),
    ] {
        ehr.with(|ward| ward.context = context);
        let there = browser.enter(&ehr).await;
        let page = browser.page(&there).await.expect(200).text;
        assert!(when(&page).contains(&day), "{day} is not in {}", when(&page));
    }
    // A role of its own: something else than the session. Whatever is no reference is nothing.
    for odd in [
        json!([{"reference": "Appointment/p1-a3", "role": "https://x/other"}]),
        json!("x"),
        json!([1, {"reference": "../x"}]),
    ] {
        ehr.with(|ward| ward.context = json!({"patient": "p1", "fhirContext": odd, "encounter": "../e1", "intent": 7}));
        let there = browser.enter(&ehr).await;
        assert!(!when(&browser.page(&there).await.expect(200).text).contains(&day));
    }
    ehr.with(|ward| {
        ward.context =
            json!({"patient": "p1", "need_patient_banner": false, "smart_style_url": style, "intent": "afterwards"})
    });
    let there = browser.enter(&ehr).await;
    assert!(there.ends_with("#afterwards"), "{there}");
    let page = browser.page(there.split('#').next().expect("a path")).await.expect(200).text;
    assert!(page.contains("<h1 class=\"unseen\">Ana Muster</h1>"), "the chart around us shows who it is");
    let sheet = page.split("/app/palette.css?c=").nth(1).and_then(|rest| rest.split('"').next()).expect("a palette");
    let sheet = server.get(&format!("/app/palette.css?c={sheet}")).await.expect(200);
    assert!(sheet.header("content-type").starts_with("text/css") && sheet.text.contains("--wash: #fbfbf5"));
    server.get("/app/palette.css?c=ffffff-eeeeee").await.expect(404);
    // Colours that cannot be read against, and an address that may not be asked for, leave ours.
    for (document, url) in
        [(json!({"color_background": "#fff", "color_text": "#fff"}), style.as_str()), (json!({}), "file:///etc/passwd")]
    {
        ehr.with(|ward| {
            ward.style = document;
            ward.context = json!({"patient": "p1", "smart_style_url": url});
        });
        let there = browser.enter(&ehr).await;
        assert!(!browser.page(&there).await.expect(200).text.contains("palette.css"));
    }
    server.stop().await;
}

#[actix_web::test]
async fn standalone_a_patient_is_chosen_at_the_ehr_and_a_refused_scope_is_said() {
    let ehr = Ehr::start().await;
    ehr.with(ehr_with("p1"));
    ehr.with(|ward| ward.context = json!({"patient": "p1"}));
    let (server, _place) = server(&[(&ehr, "")]).await;
    let mut browser = Browser::new(&server);
    let asked = browser.launch(&ehr, None).await;
    assert!(asked.parameters["scope"].split(' ').any(|scope| scope == "launch/patient"));
    let there = browser.get(&asked.redirect).await.expect(303).header("location").to_owned();
    assert!(browser.page(&there).await.expect(200).text.contains("Ana Muster"));
    ehr.with(|ward| ward.denies = Some("invalid_scope"));
    let asked = browser.launch(&ehr, None).await;
    assert!(browser.get(&asked.redirect).await.expect(403).text.contains("invalid_scope"));
    server.stop().await;
}

#[actix_web::test]
async fn a_practitioner_sees_those_whom_the_record_gives_them() {
    let signer = Signer::es384("id");
    let keys = Issuer::start(&[&signer]).await;
    let ehr = Ehr::start().await;
    let url = ehr.with(|ward| {
        ward.discovery = json!({"jwks_uri": format!("{}/jwks", keys.url)});
        for (id, name) in [("p1", "Of Mine"), ("p2", "Of Another"), ("p3", "Of Nobody"), ("p4", "Of My Team")] {
            let mut story = withdrawing(id, &start_for(13), 1);
            story[0]["name"] = json!([{"text": name}]);
            match id {
                "p1" => story[0]["generalPractitioner"] = json!([{"reference": "Practitioner/me"}]),
                "p2" => {
                    let participants = story[1]["participant"].as_array_mut().expect("participants");
                    participants.push(json!({"actor": {"reference": "Practitioner/other"}, "status": "accepted"}));
                }
                "p4" => story.push(json!({"resourceType": "CareTeam", "id": "t4", "status": "active", "subject": {"reference": "Patient/p4"},
                    "participant": [{"member": {"reference": format!("{}/fhir/Practitioner/me", ward.url)}}]})),
                _ => {}
            }
            ward.resources.extend(story);
        }
        ward.resources.push(json!({"resourceType": "Practitioner", "id": "me", "name": [{"given": ["Mia"], "family": "Eich"}]}));
        ward.url.clone()
    });
    let (server, _place) = server(&[(&ehr, "")]).await;
    let mut browser = Browser::new(&server);
    let mut launch_as = async |patient: Option<&str>, user: Option<&str>| {
        let asked = browser.launch(&ehr, Some("1")).await;
        let claims = json!({"iss": url, "aud": "tautline", "exp": in_an_hour(), "nonce": asked.parameters["nonce"], "fhirUser": user});
        ehr.with(|ward| {
            ward.context = json!({"patient": patient, "id_token": signer.sign(&claims),
                "scope": if patient.is_some() { "launch openid fhirUser patient/*.rs" } else { "launch openid fhirUser user/*.rs" }});
        });
        let there = browser.get(&asked.redirect).await.expect(303).header("location").to_owned();
        (there.clone(), browser.page(&there).await.expect(200).text)
    };
    let mut pages = Vec::new();
    for patient in ["p1", "p2", "p3", "p4"] {
        pages.push(launch_as(Some(patient), Some("Practitioner/me")).await.0);
    }
    // By name, on the page, once something is said.
    let (there, caseload) = launch_as(None, Some("Practitioner/me")).await;
    assert!(there.starts_with("/app/caseload"));
    for (name, shown) in [("Of Mine", true), ("Of Another", false), ("Of Nobody", true), ("Of My Team", true)] {
        assert_eq!(caseload.contains(name), shown, "{name}");
    }
    assert!(caseload.contains("whose record names you"), "the rule is said");
    // The rule holds for the pages behind the list as well.
    let caseload_only = browser
        .cookies
        .iter()
        .filter(|(name, _)| name.ends_with("caseload"))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    browser.cookies = caseload_only;
    let mut own = browser;
    let asked = own.launch(&ehr, Some("1")).await;
    let claims = json!({"iss": url, "aud": "tautline", "exp": in_an_hour(), "nonce": asked.parameters["nonce"], "fhirUser": "Practitioner/me"});
    ehr.with(|ward| {
        ward.context = json!({"id_token": signer.sign(&claims), "scope": "launch openid fhirUser user/*.rs"})
    });
    own.get(&asked.redirect).await.expect(303);
    for (page, status) in pages.iter().zip([200, 404, 200, 200]) {
        own.get(page.split('?').next().expect("a path")).await.expect(status);
    }
    server.stop().await;
}

/// Waits for the EHR to have this many writes, then a little longer for one too many.
async fn written(ehr: &Ehr, count: usize) -> Vec<Value> {
    let began = Instant::now();
    while ehr.with(|ward| ward.writes.len()) < count {
        assert!(began.elapsed() < Duration::from_secs(20), "{} writes", ehr.with(|ward| ward.writes.len()));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let writes = ehr.with(|ward| ward.writes.clone());
    assert_eq!(writes.len(), count, "{writes:?}");
    writes
}

#[actix_web::test]
async fn flags_are_kept_in_step_in_the_ehr() {
    let ehr = Ehr::start().await;
    ehr.with(ehr_with("p1"));
    let scope = "launch patient/*.rs patient/Flag.cud";
    ehr.with(|ward| ward.context = json!({"patient": "p1", "scope": scope}));
    let (server, _place) = server(&[(&ehr, "write_flags = true")]).await;
    let mut browser = Browser::new(&server);
    // The EHR refuses at first: the page is there all the same.
    ehr.with(|ward| ward.refuse_writes = Some(500));
    let there = browser.enter(&ehr).await;
    assert!(browser.page(&there).await.expect(200).text.contains("Ana Muster"));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(ehr.with(|ward| ward.writes.len()), 0);
    ehr.with(|ward| ward.refuse_writes = None);
    browser.page(&there).await.expect(200);
    let first = written(&ehr, 1).await.remove(0);
    assert_eq!((first["resourceType"].as_str(), first["status"].as_str()), (Some("Flag"), Some("active")));
    assert_eq!(first["subject"]["reference"], "Patient/p1", "the EHR's own id");
    assert_eq!(first["code"]["coding"][0]["code"], "engagement-drop");
    let detail = first["extension"][0]["valueReference"]["reference"].as_str().expect("a detail");
    assert!(detail.starts_with(&format!("{}/fhir/Observation/", server.base)), "{detail}");
    // Looked at again, launched again: nothing twice.
    browser.page(&there).await.expect(200);
    let there = browser.enter(&ehr).await;
    browser.page(&there).await.expect(200);
    written(&ehr, 1).await;
    // Treatment ends: ours closes, and theirs with it.
    ehr.with(|ward| ward.resources[0]["active"] = json!(false));
    let there = browser.enter(&ehr).await;
    browser.page(&there).await.expect(200);
    let last = written(&ehr, 2).await.remove(1);
    assert_eq!((last["status"].as_str(), &last["id"]), (Some("inactive"), &first["id"]));
    assert!(last["period"]["end"].is_string());
    server.stop().await;
    // Without the scope, or where the operator does not say so, nothing is written.
    let other = Ehr::start().await;
    other.with(ehr_with("p1"));
    for (more, scope) in [("write_flags = true", "launch patient/*.rs"), ("", scope)] {
        other.with(|ward| ward.context = json!({"patient": "p1", "scope": scope}));
        let (server, _place) = crate::visitor::server(&[(&other, more)]).await;
        let mut browser = Browser::new(&server);
        let there = browser.enter(&other).await;
        browser.page(&there).await.expect(200);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(other.with(|ward| ward.writes.len()), 0);
        server.stop().await;
    }
}
