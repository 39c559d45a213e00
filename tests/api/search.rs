//! Search: includes, chains, `_has`, modifiers, composites, compartments.

use crate::on_both;
use crate::server::Server;
use crate::story::{appointment, at, homework, patient, withdrawing};
use reqwest::Method;
use serde_json::{Value, json};

/// Two clients of two practices, with a task and sessions.
async fn practice(server: &Server) {
    let mut ana = patient("ana");
    ana["identifier"] =
        json!([{"system": "urn:mrn", "value": "1", "type": {"coding": [{"system": "urn:types", "code": "MR"}]}}]);
    ana["generalPractitioner"] = json!([{"reference": "Practitioner/dr"}]);
    ana["meta"] = json!({"tag": [{"system": "urn:tags", "code": "pilot"}], "profile": ["http://example.org/p"], "security": [{"system": "urn:sec", "code": "R"}]});
    let mut bo = patient("bo");
    bo["name"] = json!([{"family": "O'Neill, Jr", "given": ["Bo"]}]);
    bo["managingOrganization"] = json!({"reference": "Organization/clinic"});
    let start = at("2026-03-02T10:00:00Z", 0);
    let mut task = homework("ana", 1, start, start, None);
    task["requester"] = json!({"reference": "Practitioner/dr"});
    let mut logical = homework("bo", 1, start, start, Some(start));
    logical["owner"] = json!({"identifier": {"system": "urn:staff", "value": "9"}});
    server.push(&[
        ana, bo, task, logical,
        json!({"resourceType": "Practitioner", "id": "dr", "name": [{"family": "House"}]}),
        json!({"resourceType": "Organization", "id": "clinic", "name": "Clinic", "partOf": {"reference": "Organization/group"}}),
        json!({"resourceType": "Organization", "id": "group", "name": "Group"}),
        appointment("ana", 1, start, "fulfilled"),
        appointment("bo", 1, start, "noshow"),
    ]).await;
}

async fn ids(server: &Server, search: &str) -> String {
    let mut ids: Vec<String> =
        server.all(search).await.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect();
    ids.sort();
    ids.join(" ")
}

fn modes(bundle: &Value, mode: &str) -> Vec<String> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let mut found: Vec<String> = entries
        .filter(|entry| entry["search"]["mode"] == mode)
        .map(|entry| {
            format!(
                "{}/{}",
                entry["resource"]["resourceType"].as_str().unwrap_or_default(),
                entry["resource"]["id"].as_str().unwrap_or_default()
            )
        })
        .collect();
    found.sort();
    found
}

on_both! {
    async fn words_and_hierarchies(server: &Server) {
        practice(server).await;
        let mut task = homework("ana", 7, at("2026-03-02T10:00:00Z", 0), at("2026-03-02T10:00:00Z", 0), None);
        task["code"] = json!({"text": "Gedankenprotokoll führen", "coding": [{"system": "urn:c", "code": "x", "display": "Thought diary"}]});
        server.push(&[task,
            json!({"resourceType": "Questionnaire", "id": "q1", "status": "active", "url": "http://forms.example/a/b"}),
            json!({"resourceType": "Questionnaire", "id": "q2", "status": "active", "url": "http://forms.example/a/b/c"}),
            json!({"resourceType": "Questionnaire", "id": "q3", "status": "active", "url": "http://forms.example/a/bc"})]).await;
        for (search, expected) in [
            ("Task?code:text=gedanken", "ana-h7"),
            ("Task?code:text=thought%20DIARY", "ana-h7"),
            ("Task?code:text=thought", "ana-h1 ana-h7 bo-h1"),
            ("Task?code:text=diary", ""),
            ("Task?code:text=nothing,gedankenprotokoll%20FUHREN", "ana-h7"),
            ("Task?code=thought", ""),
            ("Patient?identifier:text=x", ""),
            ("Patient?name:text=neill", "bo"),
            ("Questionnaire?url:below=http://forms.example/a/b", "q1 q2"),
            ("Questionnaire?url:above=http://forms.example/a/b/c", "q1 q2"),
            ("Questionnaire?url:above=http://forms.example/a/bc/d", "q3"),
        ] {
            assert_eq!(ids(server, search).await, expected, "{search}");
        }
        // Findings by the words of our code systems.
        server.push(&withdrawing("word", &crate::story::start_for(16), 4)).await;
        server.settle().await;
        let flags = ids(server, "Flag?patient=word&code=engagement-drop").await;
        assert!(!flags.is_empty());
        assert_eq!(ids(server, "Flag?patient=word&code:text=ENGAGEMENT").await, flags);
        assert_eq!(ids(server, "Flag?code:text=nothing").await, "");
        for (search, word) in [("Task?status:text=x", "missing, not"), ("Task?code:below=x", "hierarchy"), ("Task?code:above=x", "in, not-in"), ("Task?patient:below=x", "identifier"), ("Appointment?date:text=2026", "missing"), ("Patient?name:below=x", "contains")] {
            for handling in ["handling=strict", "handling=lenient"] {
                let refused = server.send(Method::GET, &format!("/fhir/{search}"), &[("prefer", handling)], None).await.expect(400);
                assert!(refused.text.contains(word), "{search} {}", refused.text);
            }
        }
    }

    async fn chains_and_has(server: &Server) {
        practice(server).await;
        assert_eq!(ids(server, "Task?patient.name=muster").await, "ana-h1");
        assert_eq!(ids(server, "Task?patient:Patient.identifier=urn:mrn|1").await, "ana-h1");
        assert_eq!(ids(server, "Task?subject:Patient.name:exact=Muster").await, "ana-h1");
        assert_eq!(ids(server, "Task?subject.name=bo").await, "bo-h1");
        assert_eq!(ids(server, "Task?requester:Practitioner.name=house").await, "ana-h1");
        assert_eq!(ids(server, "Appointment?patient.organization.name=clin").await, "bo-a1");
        assert_eq!(ids(server, "Appointment?patient.organization.partof.name=group").await, "bo-a1");
        assert_eq!(ids(server, "Appointment?patient.name=muster&status=noshow").await, "");
        assert_eq!(ids(server, "Patient?_has:Appointment:patient:status=noshow").await, "bo");
        assert_eq!(ids(server, "Patient?_has:Task:patient:status=requested,completed").await, "ana bo");
        assert_eq!(ids(server, "Practitioner?_has:Task:requester:patient=ana").await, "dr");
        assert_eq!(ids(server, "Practitioner?_has:Patient:general-practitioner:_has:Task:patient:status=requested").await, "dr");
        assert_eq!(ids(server, "Patient?_has:Appointment:patient:status:not=noshow").await, "ana");
        for bad in ["Task?status.name=x", "Task?patient.nonsense:exact=x", "Patient?_has:Task=x", "Appointment?patient.organization.partof.partof.name=x"] {
            let strict = server.send(Method::GET, &format!("/fhir/{bad}"), &[("prefer", "handling=strict")], None).await;
            assert!(strict.status.is_client_error(), "{bad}: {}", strict.text);
        }
    }

    async fn includes(server: &Server) {
        practice(server).await;
        let ask = async |search: &str| server.get(&format!("/fhir/{search}")).await.expect(200).json();
        let bundle = ask("Task?_include=Task:patient&_include=Task:requester&_sort=_id").await;
        assert_eq!(modes(&bundle, "match"), ["Task/ana-h1", "Task/bo-h1"]);
        assert_eq!(modes(&bundle, "include"), ["Patient/ana", "Patient/bo", "Practitioner/dr"]);
        assert_eq!(bundle["total"], 2);
        assert!(bundle["link"][0]["url"].as_str().expect("self").contains("_include=Task%3Apatient"));
        let bundle = ask("Task?patient=bo&_include=Task:patient&_include:iterate=Patient:organization&_include:iterate=Organization:partof").await;
        assert_eq!(modes(&bundle, "include"), ["Organization/clinic", "Organization/group", "Patient/bo"]);
        let bundle = ask("Task?patient=ana&_include=*").await;
        assert_eq!(modes(&bundle, "include").len(), 2, "{bundle}");
        let bundle = ask("Patient?_id=ana&_revinclude=Task:patient&_revinclude=Appointment:actor").await;
        assert_eq!(modes(&bundle, "include"), ["Appointment/ana-a1", "Task/ana-h1"]);
        let bundle = ask("Task?_include=Task:subject:Practitioner").await;
        assert_eq!(modes(&bundle, "include").len(), 0);
        // What is there already is not there twice.
        let bundle = ask("Organization?_include=Organization:partof").await;
        assert_eq!((modes(&bundle, "match").len(), modes(&bundle, "include").len()), (2, 0));
        for bad in ["Task?_include=Patient:organization", "Task?_include=Task:status", "Task?_include=Task", "Task?_revinclude=Nonsense:x"] {
            assert!(server.get(&format!("/fhir/{bad}")).await.status.is_client_error(), "{bad}");
        }
    }

    async fn modifiers(server: &Server) {
        practice(server).await;
        assert_eq!(ids(server, "Task?status:not=requested").await, "bo-h1");
        assert_eq!(ids(server, "Task?requester:missing=true").await, "bo-h1");
        assert_eq!(ids(server, "Task?requester:missing=false").await, "ana-h1");
        assert_eq!(ids(server, "Patient?family:exact=Muster").await, "ana");
        assert_eq!(ids(server, "Patient?family:exact=muster").await, "");
        assert_eq!(ids(server, "Patient?family:contains=UST").await, "ana");
        assert_eq!(ids(server, "Patient?family=O%27Neill%5C%2C").await, "bo");
        assert_eq!(ids(server, "Patient?identifier:of-type=urn:types|MR|1").await, "ana");
        assert_eq!(ids(server, "Patient?identifier:of-type=urn:types|SS|1").await, "");
        assert_eq!(ids(server, "Task?owner:identifier=urn:staff|9").await, "bo-h1");
        assert_eq!(ids(server, "Task?subject:Patient=ana").await, "ana-h1");
        assert_eq!(ids(server, "Patient?_tag=urn:tags|pilot").await, "ana");
        assert_eq!(ids(server, "Patient?_tag:not=urn:tags|pilot").await, "bo");
        assert_eq!(ids(server, "Patient?_profile=http://example.org/p").await, "ana");
        assert_eq!(ids(server, "Patient?_profile:below=http://example.org").await, "ana");
        assert_eq!(ids(server, "Patient?_profile:above=http://example.org/p/q").await, "ana");
        assert_eq!(ids(server, "Patient?_security=R").await, "ana");
        assert_eq!(ids(server, "Patient?_id=ana,bo&_lastUpdated=gt2020").await, "ana bo");
        for bad in ["Task?code:in=http://elsewhere/ValueSet/x", "Task?status:contains=x", "Patient?identifier:of-type=x", "Task?status:missing=maybe", "Task?status="] {
            assert!(server.get(&format!("/fhir/{bad}")).await.status.is_client_error(), "{bad}");
        }
    }

    async fn compartments_summaries_and_elements(server: &Server) {
        practice(server).await;
        assert_eq!(ids(server, "Patient/ana/Task").await, "ana-h1");
        assert_eq!(ids(server, "Patient/ana/Appointment?status=noshow").await, "");
        assert_eq!(ids(server, "Patient/bo/Appointment?status=noshow").await, "bo-a1");
        server.get("/fhir/Patient/ana/Medication").await.expect(404);
        let posted = server.send(Method::POST, "/fhir/Patient/bo/Task/_search", &[("content-type", "application/x-www-form-urlencoded")], Some(b"status=completed".to_vec())).await;
        assert_eq!(posted.expect(200).json()["total"], 1);
        let bundle = server.get("/fhir/Patient?_elements=gender&_id=ana").await.expect(200).json();
        let one = &bundle["entry"][0]["resource"];
        assert_eq!((one["gender"].as_str(), &one["name"]), (Some("female"), &Value::Null));
        let read = server.get("/fhir/Patient/ana?_elements=name").await.expect(200);
        assert_eq!((&read.json()["gender"], read.header("etag")), (&Value::Null, "W/\"1\""));
        assert!(read.json()["meta"]["tag"].to_string().contains("SUBSETTED"));
        assert_eq!(server.get("/fhir/Task/ana-h1?_summary=true").await.expect(200).json()["executionPeriod"], Value::Null);
        // fhirpy and others name what the type does not have.
        let odd = server.get("/fhir/Patient?_elements=colour,gender&_id=ana").await.expect(200).json();
        assert!(odd["entry"][0]["resource"]["gender"].is_string() && odd["entry"][0]["resource"]["name"].is_null());
        server.get("/fhir?name=x").await.expect(400);
        server.post("/fhir/_search", &json!({})).await.expect(415);
        server.send(reqwest::Method::POST, "/fhir/_search", &[], None).await.expect(400);
        let everything = server.get("/fhir/Patient/bo/$everything").await.expect(200).json();
        let counted = server.get("/fhir/Patient/bo/$everything?_summary=count").await.expect(200).json();
        assert_eq!(counted["total"].as_u64(), Some(modes(&everything, "match").len() as u64), "{counted}");
        assert_eq!(counted["entry"], Value::Null);
        server.get("/fhir/Patient/bo/$everything?_summary=text").await.expect(400);
        let matches = modes(&everything, "match");
        for one in ["Patient/bo", "Task/bo-h1", "Appointment/bo-a1"] {
            assert!(matches.iter().any(|found| found == one), "{one} of {matches:?}");
        }
        assert!(modes(&everything, "include").contains(&"Organization/clinic".to_owned()));
        assert_eq!(ids(server, "Patient/bo/$everything?_count=1&_type=Patient,Task,Appointment").await, "bo bo-a1 bo-h1 clinic");
        server.get("/fhir/Patient/nobody/$everything").await.expect(404);
        let paged = server.get("/fhir/Patient?_count=1&_total=accurate").await.expect(200).json();
        assert_eq!(paged["total"], 2);
        assert_eq!(server.get("/fhir/Patient?_count=1").await.expect(200).json()["total"], Value::Null);
    }

    async fn findings_by_composites_and_value_sets(server: &Server) {
        server.push(&withdrawing("w", &crate::story::start_for(16), 4)).await;
        server.settle().await;
        let all = server.all("Observation?patient=w").await;
        let signals = server.all("Observation?code:in=https://tautline.example/fhir/ValueSet/finding").await;
        assert_eq!(signals.len(), all.len());
        assert_eq!(ids(server, "Observation?code:not-in=https://tautline.example/fhir/ValueSet/finding").await, "");
        let strong = |one: &&Value| {
            let attendance = one["code"]["coding"][0]["code"] == "attendance";
            attendance && one["valueQuantity"]["value"].as_f64().is_some_and(|value| value > 0.2)
        };
        let expected = all.iter().filter(strong).count();
        assert!(expected > 0);
        let found = server.all("Observation?code-value-quantity=attendance$gt0.2").await;
        assert_eq!(found.len(), expected);
        let system = "https://tautline.example/fhir/CodeSystem/signal";
        assert_eq!(server.all(&format!("Observation?code-value-quantity={system}|attendance$gt0.2||{{nat}}")).await.len(), expected);
        assert_eq!(server.all("Flag?patient.name=muster&status=active").await.len(), server.all("Flag?status=active").await.len());
        let flags = server.get("/fhir/Flag?patient=w&_revinclude=Provenance:target&_include=Flag:author").await.expect(200).json();
        assert!(modes(&flags, "include").iter().any(|one| one == "Device/tautline"), "{flags}");
        assert!(modes(&flags, "include").iter().any(|one| one.starts_with("Provenance/")));
    }
}
