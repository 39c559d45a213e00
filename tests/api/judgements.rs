//! What practitioners say about a Flag: checked, kept with who said it, reflected, taken back.

use crate::on_both;
use crate::server::Server;
use crate::story::{start_for, withdrawing};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

const BASE: &str = "https://tautline.example/fhir";

fn judgement(client: &str, flag: &str, answer: &str) -> Value {
    let at = Timestamp::from_second(Timestamp::now().as_second()).expect("an instant").to_string();
    json!({"resourceType": "Observation", "status": "final",
        "code": {"coding": [{"system": format!("{BASE}/CodeSystem/signal"), "code": "judgement"}]},
        "subject": {"reference": format!("Patient/{client}")}, "focus": [{"reference": format!("Flag/{flag}")}],
        "effectiveDateTime": at, "issued": at, "performer": [{"reference": "Practitioner/dr"}],
        "valueCodeableConcept": {"coding": [{"system": format!("{BASE}/CodeSystem/judgement"), "code": answer}]}})
}

async fn flag_of(server: &Server, client: &str) -> Value {
    let flags = server.all(&format!("Flag?patient={client}&status=active&code=engagement-drop")).await;
    flags.into_iter().next().expect("an engagement flag")
}

async fn two_clients(server: &Server) -> (Value, Value) {
    for client in ["j1", "j2"] {
        server.push(&withdrawing(client, &start_for(15), 3)).await;
    }
    server
        .push(&[json!({"resourceType": "Practitioner", "id": "dr", "name": [{"given": ["Dora"], "family": "Rau"}]})])
        .await;
    server.settle().await;
    (flag_of(server, "j1").await, flag_of(server, "j2").await)
}

fn verdicts(flag: &Value) -> Vec<String> {
    let url = format!("{BASE}/StructureDefinition/flag-judgement");
    let all = flag["extension"].as_array().into_iter().flatten().filter(|one| one["url"] == url.as_str());
    all.flat_map(|one| one["extension"].as_array().cloned().unwrap_or_default())
        .filter_map(|part| part["valueCodeableConcept"]["coding"][0]["code"].as_str().map(str::to_owned))
        .collect()
}

on_both! {
    async fn a_judgement_that_says_nothing_is_refused_at_its_place(server: &Server) {
        let (flag, foreign) = two_clients(server).await;
        let (flag, foreign) = (flag["id"].as_str().expect("an id"), foreign["id"].as_str().expect("an id"));
        let good = judgement("j1", flag, "named-in-session");
        let wrong = |change: &dyn Fn(&mut Value)| { let mut one = good.clone(); change(&mut one); one };
        let tomorrow = (Timestamp::now() + SignedDuration::from_hours(24)).to_string();
        for (body, code, place) in [
            (wrong(&|one| drop(one.as_object_mut().map(|o| o.remove("valueCodeableConcept")))), "required", "value"),
            (wrong(&|one| one["valueCodeableConcept"]["coding"][0]["code"] = json!("perhaps")), "code-invalid", "value"),
            (wrong(&|one| one["valueCodeableConcept"]["coding"][0]["system"] = json!("http://else")), "code-invalid", "value"),
            (wrong(&|one| one["issued"] = json!(tomorrow)), "value", "issued"),
            (wrong(&|one| one["effectiveDateTime"] = json!(tomorrow)), "value", "effective"),
            (wrong(&|one| { let o = one.as_object_mut().expect("an object"); o.remove("issued"); o.remove("effectiveDateTime"); }), "required", "issued"),
            (wrong(&|one| one["focus"][0]["reference"] = json!("Flag/none")), "business-rule", "focus[0].reference"),
            (wrong(&|one| one["focus"][0]["reference"] = json!(format!("Flag/{foreign}"))), "business-rule", "focus[0].reference"),
            (wrong(&|one| one["focus"][0]["reference"] = json!("Appointment/j1-a1")), "business-rule", "focus[0].reference"),
        ] {
            let refused = server.post("/fhir/Observation", &body).await.expect(422);
            assert_eq!(refused.issues(), [(code.to_owned(), format!("Observation.{place}"))], "{}", refused.text);
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
                {"resource": body, "request": {"method": "POST", "url": "Observation"}}]});
            let refused = server.post("/fhir", &bundle).await.expect(422);
            assert_eq!(refused.issues()[0].1, format!("Bundle.entry[0].resource.{place}"));
        }
        assert_eq!(server.all("Observation?code=judgement").await.len(), 0);
        // The page's form: the same check, in words.
        let page = server.get("/app/patients/j1").await.expect(200).text;
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a token");
        let form = |flag: &str| format!("csrf={csrf}&verdict=rupture-yes&flag={flag}").into_bytes();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        for flag in ["none", foreign, "..%2Fx"] {
            let answer = server.send(Method::POST, "/app/patients/j1/judgements", &headers, Some(form(flag))).await;
            assert!(answer.expect(422).text.contains("there is none of this name"));
        }
        assert_eq!(server.all("Observation?code=judgement").await.len(), 0);
    }

    async fn a_judgement_is_kept_with_who_made_it_reflected_and_taken_back(server: &Server) {
        let (flag, _) = two_clients(server).await;
        let id = flag["id"].as_str().expect("an id");
        let made = server.post("/fhir/Observation", &judgement("j1", id, "rupture-no")).await.expect(201).json();
        let own = made["id"].as_str().expect("an id");
        let said = server.all(&format!("Provenance?target=Observation/{own}")).await;
        assert_eq!(said.len(), 1);
        assert_eq!(said[0]["agent"][0]["who"]["reference"], "Practitioner/dr");
        assert_eq!(said[0]["activity"]["coding"][0]["code"], "CREATE");
        server.settle().await;
        let flagged = server.get(&format!("/fhir/Flag/{id}")).await.json();
        assert_eq!(verdicts(&flagged), ["rupture-no"], "{flagged}");
        let page = server.get("/app/patients/j1").await.expect(200).text;
        assert!(page.contains("Dora Rau"), "who said it stands beside it");
        // The same again changes nothing; taken back, it is as if never made.
        let mut undone = made.clone();
        undone["status"] = json!("entered-in-error");
        for _ in 0..2 {
            server.put(&format!("/fhir/Observation/{own}"), &undone).await.expect(200);
        }
        server.settle().await;
        let said = server.all(&format!("Provenance?target=Observation/{own}")).await;
        assert_eq!(said.len(), 2, "one for each write that changed something");
        let flagged = server.get(&format!("/fhir/Flag/{id}")).await.json();
        assert_eq!(verdicts(&flagged), [""; 0]);
        assert!(!server.get("/app/patients/j1").await.expect(200).text.contains("Dora Rau"));
    }
}
