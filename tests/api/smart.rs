//! The resource server under `auth = "smart"`: what a token's scopes reach.

use crate::issuer::{Issuer, Signer, now};
use crate::server::{Answer, Backend, Place, Server};
use crate::story::{appointment, at, homework, patient, phq9, start_for, withdrawing};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

/// A server, and the issuer whose tokens it takes.
pub struct World {
    pub server: Server,
    pub issuer: Issuer,
    pub signer: Signer,
    _place: Place,
}

impl World {
    pub async fn new(backend: Backend) -> Option<Self> {
        let place = Place::new(backend).await?;
        let signer = Signer::es384("k1");
        let issuer = Issuer::start(&[&signer]).await;
        let lines = format!(
            "auth = \"smart\"\nrequests_per_second = 100000\n[[issuers]]\nissuer = \"{}\"\nallow_insecure = true\n",
            issuer.url
        );
        let server = Server::configured(&place, &lines).await;
        Some(Self { server, issuer, signer, _place: place })
    }

    pub fn claims(&self, scope: &str) -> Value {
        json!({"iss": self.issuer.url, "aud": format!("{}/fhir", self.server.base), "exp": now() + 300,
            "sub": "someone", "client_id": "an-app", "scope": scope})
    }

    pub fn token(&self, scope: &str) -> String {
        self.signer.sign(&self.claims(scope))
    }

    pub fn patient_token(&self, patient: &str, scope: &str) -> String {
        let mut claims = self.claims(scope);
        claims["patient"] = json!(patient);
        self.signer.sign(&claims)
    }

    pub async fn send(&self, token: &str, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/fhir+json")];
        self.server.send(method, path, &headers, body.map(|body| body.to_string().into_bytes())).await
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(token, Method::GET, path, None).await
    }

    pub async fn push(&self, resources: &[Value]) {
        let entries: Vec<Value> = resources
            .iter()
            .map(|one| {
                let url =
                    format!("{}/{}", one["resourceType"].as_str().expect("type"), one["id"].as_str().expect("id"));
                json!({"resource": one, "request": {"method": "PUT", "url": url}})
            })
            .collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        self.send(&self.token("system/*.cruds"), Method::POST, "/fhir", Some(&bundle)).await.expect(200);
    }

    /// Two clients: `a` and `b`, each with an appointment, homework and a response.
    pub async fn two_clients(&self) {
        for id in ["a", "b"] {
            let start = at("2026-03-02T10:00:00Z", 0);
            self.push(&[
                patient(id),
                appointment(id, 1, start, "fulfilled"),
                homework(id, 1, start, at("2026-03-09T10:00:00Z", 0), None),
                phq9(id, 1, start, 9),
            ])
            .await;
        }
    }

    /// The trail, once it holds at least `count` events that `search` finds.
    pub async fn trail(&self, search: &str, count: usize) -> Vec<Value> {
        let auditor = self.token("system/AuditEvent.rs");
        for _ in 0..100 {
            let found =
                entries(&self.get(&auditor, &format!("/fhir/AuditEvent?{search}&_count=200")).await.expect(200).json());
            if found.len() >= count {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the trail does not hold {count} events of {search}");
    }
}

pub fn entries(bundle: &Value) -> Vec<Value> {
    let all = bundle["entry"].as_array().into_iter().flatten();
    all.filter(|entry| entry["search"]["mode"] != "outcome").map(|entry| entry["resource"].clone()).collect()
}

/// The same test on both databases.
macro_rules! in_a_world {
    ($(async fn $name:ident($world:ident: &World) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn body($world: &World) $body

            #[actix_web::test]
            async fn sqlite() {
                if let Some(world) = World::new(Backend::Sqlite).await {
                    body(&world).await;
                    world.server.stop().await;
                }
            }

            #[actix_web::test]
            async fn postgres() {
                if let Some(world) = World::new(Backend::Postgres).await {
                    body(&world).await;
                    world.server.stop().await;
                }
            }
        }
    )*};
}

pub(crate) use in_a_world;

in_a_world! {
    async fn one_patients_token_reaches_that_patient_alone(world: &World) {
        world.two_clients().await;
        let token = world.patient_token("a", "patient/*.rs");
        for (path, status) in [
            ("Patient/a", 200), ("Patient/b", 404), ("Patient/nobody", 404),
            ("Task/a-h1", 200), ("Task/b-h1", 404), ("Appointment/b-a1", 404), ("QuestionnaireResponse/b-q1", 404),
            ("Task/a-h1/_history", 200), ("Task/b-h1/_history", 404), ("Task/a-h1/_history/1", 200), ("Task/b-h1/_history/1", 404),
            ("Patient/a/$detect-rupture", 200), ("Patient/b/$detect-rupture", 404), ("Patient/nobody/$detect-rupture", 404),
        ] {
            world.get(&token, &format!("/fhir/{path}")).await.expect(status);
        }
        // Answers exactly as one that does not exist.
        for (foreign, none) in [("Task/b-h1", "Task/none"), ("Task/b-h1/_history", "Task/none/_history"), ("Task/b-h1/_history/1", "Task/none/_history/1"), ("Patient/b/$detect-rupture", "Patient/none/$detect-rupture")] {
            let (one, two) = (world.get(&token, &format!("/fhir/{foreign}")).await, world.get(&token, &format!("/fhir/{none}")).await);
            assert_eq!((one.status, &one.text), (two.status, &two.text), "{foreign}");
        }
        for search in ["Task", "Task?patient=b", "Task?_id=b-h1", "Task?patient=a,b", "Task?status:not=nonsense", "Patient", "Appointment", "Appointment?actor=Patient/b", "QuestionnaireResponse?_sort=authored"] {
            let bundle = world.get(&token, &format!("/fhir/{search}")).await.expect(200).json();
            let found = Value::from(entries(&bundle));
            assert!(!found.to_string().contains("b-") && !found.to_string().contains("Patient/b\""), "{search}: {bundle}");
        }
        let count = |bundle: Value| bundle["total"].as_u64();
        assert_eq!(count(world.get(&token, "/fhir/Task?_summary=count").await.expect(200).json()), Some(1));
        assert_eq!(count(world.get(&token, "/fhir/Task?patient=b&_summary=count").await.expect(200).json()), Some(0));
        assert_eq!(count(world.get(&token, "/fhir/Task?_total=accurate&_count=1").await.expect(200).json()), Some(1));
        for path in ["_history", "Task/_history", "Patient/_history"] {
            let bundle = world.get(&token, &format!("/fhir/{path}?_count=500")).await.expect(200).text;
            assert!(bundle.contains("/a"), "{path}");
            assert!(!bundle.contains("/b\"") && !bundle.contains("/b-"), "{path}: {bundle}");
        }
        // Page by page, no page stands for what is another's.
        for path in ["_history", "Task/_history"] {
            let mut next = Some(format!("{path}?_count=1"));
            while let Some(at) = next {
                let bundle = world.get(&token, &format!("/fhir/{at}")).await.expect(200).json();
                assert_eq!(entries(&bundle).len(), 1, "{at}: {bundle}");
                let links = bundle["link"].as_array().expect("links").iter();
                next = links.filter(|link| link["relation"] == "next").find_map(|link| link["url"].as_str())
                    .and_then(|url| url.split_once("/fhir/")).map(|(_, rest)| rest.to_owned());
            }
        }
        // Through a Bundle as well.
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [
            {"request": {"method": "GET", "url": "Task/b-h1"}}, {"request": {"method": "GET", "url": "Task?patient=b"}},
            {"request": {"method": "GET", "url": "Task/a-h1"}}, {"request": {"method": "GET", "url": "_history"}}]});
        let answer = world.send(&token, Method::POST, "/fhir", Some(&bundle)).await.expect(200).json();
        let statuses: Vec<&str> = answer["entry"].as_array().expect("entries").iter().map(|entry| entry["response"]["status"].as_str().expect("status")).collect();
        assert_eq!(statuses, ["404 Not Found", "200 OK", "200 OK", "200 OK"]);
        assert!(!answer.to_string().contains("/b\"") && !answer.to_string().contains("/b-h1\""), "{answer}");
        // A patient's scope without a patient reaches nobody.
        world.get(&world.token("patient/*.rs"), "/fhir/Task").await.expect(403);
        // Somebody who signs in as a patient is that patient, whatever the level.
        let mut claims = world.claims("user/*.rs");
        claims["fhirUser"] = json!("https://ehr.example/fhir/Patient/a");
        let own = world.signer.sign(&claims);
        world.get(&own, "/fhir/Task/a-h1").await.expect(200);
        world.get(&own, "/fhir/Task/b-h1").await.expect(404);
        claims["fhirUser"] = json!("RelatedPerson/r");
        world.get(&world.signer.sign(&claims), "/fhir/Task/a-h1").await.expect(403);
        claims["fhirUser"] = json!("Practitioner/p");
        world.get(&world.signer.sign(&claims), "/fhir/Task/b-h1").await.expect(200);
    }

    async fn one_patients_token_writes_about_that_patient_alone(world: &World) {
        world.two_clients().await;
        let token = world.patient_token("a", "patient/*.cruds");
        let task = |id: &str, client: &str| {
            let start = at("2026-04-02T10:00:00Z", 0);
            let mut task = homework(client, 1, start, at("2026-04-09T10:00:00Z", 0), None);
            task["id"] = json!(id);
            task
        };
        let put = async |url: &str, body: Value| world.send(&token, Method::PUT, &format!("/fhir/{url}"), Some(&body)).await;
        put("Task/new", task("new", "a")).await.expect(201);
        put("Task/new", { let mut one = task("new", "a"); one["status"] = json!("completed"); one }).await.expect(200);
        put("Task/other", task("other", "b")).await.expect(403);
        put("Task/b-h1", task("b-h1", "a")).await.expect(404);
        // As what is not there: what it would be is not reached.
        put("Task/b-h1", task("b-h1", "b")).await.expect(403);
        let moved = put("Task/a-h1", task("a-h1", "b")).await;
        assert!([403, 404, 422].contains(&moved.status.as_u16()), "{}", moved.text);
        let nobody = { let mut one = task("a-h1", "a"); one.as_object_mut().expect("object").remove("for"); one };
        let freed = put("Task/a-h1", nobody).await;
        assert!([403, 404, 422].contains(&freed.status.as_u16()), "{}", freed.text);
        world.send(&token, Method::POST, "/fhir/Patient", Some(&json!({"resourceType": "Patient"}))).await.expect(403);
        world.send(&token, Method::POST, "/fhir/Practitioner", Some(&json!({"resourceType": "Practitioner"}))).await.expect(403);
        world.send(&token, Method::POST, "/fhir/Questionnaire", Some(&json!({"resourceType": "Questionnaire", "status": "active"}))).await.expect(403);
        for (foreign, none) in [("Task/b-h1", "Task/none"), ("Task?_id=b-h1", "Task?_id=none")] {
            let one = world.send(&token, Method::DELETE, &format!("/fhir/{foreign}"), None).await;
            let two = world.send(&token, Method::DELETE, &format!("/fhir/{none}"), None).await;
            assert_eq!((one.status, &one.text), (two.status, &two.text), "{foreign}");
        }
        // A transaction that touches another patient is refused whole.
        for foreign in [
            json!({"resource": task("b-h1", "b"), "request": {"method": "PUT", "url": "Task/b-h1"}}),
            json!({"resource": task("x", "b"), "request": {"method": "POST", "url": "Task"}}),
            json!({"request": {"method": "DELETE", "url": "Task/b-h1"}}),
            json!({"resource": task("b-h1", "a"), "request": {"method": "PUT", "url": "Task?_id=b-h1"}}),
            json!({"resource": {"resourceType": "Task", "intent": "order", "status": "requested", "for": {"reference": "Patient?_id=b"}}, "request": {"method": "POST", "url": "Task"}}),
            json!({"request": {"method": "GET", "url": "Task/b-h1"}}),
        ] {
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
                {"resource": task("whole", "a"), "request": {"method": "PUT", "url": "Task/whole"}}, foreign.clone()]});
            let refused = world.send(&token, Method::POST, "/fhir", Some(&bundle)).await;
            assert!(refused.status.is_client_error(), "{foreign}: {}", refused.text);
            world.get(&token, "/fhir/Task/whole").await.expect(404);
        }
        // A create that would find another's finds nothing.
        let system = world.token("system/*.cruds");
        let b = world.get(&system, "/fhir/Task/b-h1").await.expect(200).json();
        assert_eq!((b["for"]["reference"].as_str(), b["meta"]["versionId"].as_str()), (Some("Patient/b"), Some("1")));
        // Nor may a system move a subject.
        world.send(&system, Method::PUT, "/fhir/Task/b-h1", Some(&task("b-h1", "a"))).await.expect(422);
        // Rights, one by one.
        for (scope, verb, path, status) in [
            ("patient/Task.r", Method::PUT, "Task/a-h1", 403),
            ("patient/Task.c", Method::PUT, "Task/a-h1", 403),
            ("patient/Task.u", Method::PUT, "Task/unheard", 403),
            ("patient/Task.u", Method::PUT, "Task/a-h1", 200),
            ("patient/Task.cu", Method::DELETE, "Task/a-h1", 403),
            ("patient/Task.write", Method::GET, "Task/a-h1", 403),
            ("patient/Task.r", Method::GET, "Task", 403),
            ("patient/Task.s", Method::GET, "Task/a-h1", 403),
            ("patient/Task.s", Method::GET, "Task", 200),
            ("patient/Task.read", Method::GET, "Task", 200),
            ("patient/Task.d", Method::DELETE, "Task/a-h1", 204),
        ] {
            let token = world.patient_token("a", scope);
            let id = path.split('/').nth(1).unwrap_or_default();
            let body = (verb == Method::PUT).then(|| task(id, "a"));
            let answer = world.send(&token, verb.clone(), &format!("/fhir/{path}"), body.as_ref()).await;
            assert_eq!(answer.status.as_u16(), status, "{scope} {verb} {path}: {}", answer.text);
        }
    }

    async fn nothing_leaks_through_includes_chains_or_patches(world: &World) {
        world.two_clients().await;
        // An appointment of the client's that names somebody else's task, as a careless sender might.
        let system = world.token("system/*.cruds");
        let mut linked = appointment("a", 9, at("2026-05-02T10:00:00Z", 0), "booked");
        linked["participant"].as_array_mut().expect("participants").push(json!({"actor": {"reference": "Patient/b"}, "status": "accepted"}));
        world.send(&system, Method::PUT, "/fhir/Appointment/a-a9", Some(&linked)).await.expect(201);
        let token = world.patient_token("a", "patient/*.cruds");
        let b = |bundle: &Value| entries(bundle).iter().any(|one| one["id"] == "b" || one["id"].as_str().is_some_and(|id| id.starts_with("b-")));
        for path in [
            "Appointment?_include=Appointment:actor", "Appointment?_include=Appointment:patient", "Appointment?_include=*",
            "Patient?_revinclude=Task:patient", "Patient?_revinclude=*", "Task?_include:iterate=Task:patient&_revinclude:iterate=Task:patient",
            "Task?patient.name=Muster", "Patient?_has:Task:patient:status=requested", "Patient?_has:Task:patient:_id=b-h1", "Task?patient:Patient._id=b",
            "Patient/a/Task", "Patient/b/Task", "Patient/a/$everything", "Patient/a/$everything?_count=1", "Task?_list=x", "Appointment?actor=Patient/b&_include=Appointment:actor",
        ] {
            let answer = world.get(&token, &format!("/fhir/{path}")).await;
            let bundle = serde_json::from_str(&answer.text).unwrap_or_default();
            assert!(answer.status.is_client_error() || !b(&bundle), "{path}: {bundle}");
        }
        world.get(&token, "/fhir/Patient/b/$everything").await.expect(404);
        assert_eq!(world.get(&token, "/fhir/Patient?_has:Task:patient:_id=b-h1&_summary=count").await.expect(200).json()["total"], 0);
        // A chain needs the scope of each type it goes through.
        let tasks = world.patient_token("a", "patient/Task.rs");
        world.get(&tasks, "/fhir/Task?patient.name=Muster").await.expect(403);
        world.get(&tasks, "/fhir/Task?_has:Appointment:patient:status=booked").await;
        let only = world.get(&tasks, "/fhir/Task?_include=Task:patient&_revinclude=Provenance:target").await.expect(200).json();
        assert!(entries(&only).iter().all(|one| one["resourceType"] == "Task"), "{only}");
        assert!(!world.get(&world.token("system/*.rs"), "/fhir/Task?_revinclude=AuditEvent:entity").await.text.contains("\"AuditEvent\""));
        // PATCH: of one's own, never of another's, and without reading nothing is shown.
        let patch = json!([{"op": "replace", "path": "/status", "value": "completed"}]);
        let send = async |token: &str, path: &str, patch: &Value| {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str()), ("content-type", "application/json-patch+json")];
            world.server.send(Method::PATCH, path, &headers, Some(patch.to_string().into_bytes())).await
        };
        send(&token, "/fhir/Task/b-h1", &patch).await.expect(404);
        send(&token, "/fhir/Task?_id=b-h1", &patch).await.expect(404);
        send(&token, "/fhir/Task/a-h1", &json!([{"op": "replace", "path": "/for/reference", "value": "Patient/b"}])).await.expect(422);
        send(&world.patient_token("a", "patient/Task.rs"), "/fhir/Task/a-h1", &patch).await.expect(403);
        let blind = send(&world.patient_token("a", "patient/Task.u"), "/fhir/Task/a-h1", &patch).await.expect(200);
        assert!(blind.text.is_empty(), "{}", blind.text);
        send(&token, "/fhir/Task/a-h1", &patch).await.expect(200);
        assert_eq!(world.get(&system, "/fhir/Task/b-h1").await.expect(200).json()["status"], "requested");
    }

    async fn granular_scopes_reach_what_they_name(world: &World) {
        world.two_clients().await;
        world.push(&[json!({"resourceType": "Task", "id": "a-done", "status": "completed", "intent": "order", "for": {"reference": "Patient/a"}})]).await;
        for token in [world.token("system/Task.rs?status=completed"), world.patient_token("a", "patient/Task.rs?status=completed")] {
            world.get(&token, "/fhir/Task/a-done").await.expect(200);
            world.get(&token, "/fhir/Task/a-h1").await.expect(404);
            assert_eq!(entries(&world.get(&token, "/fhir/Task").await.expect(200).json()).len(), 1);
            assert_eq!(world.get(&token, "/fhir/Task?_summary=count").await.expect(200).json()["total"], 1);
            assert!(!world.get(&token, "/fhir/Task/_history").await.expect(200).text.contains("a-h1"));
            world.get(&token, "/fhir/Patient/a").await.expect(403);
        }
        let both = world.token("system/Task.rs?status=completed system/Task.rs?status=requested");
        assert_eq!(entries(&world.get(&both, "/fhir/Task").await.expect(200).json()).len(), 3);
        let mixed = world.patient_token("a", "patient/Task.rs system/Task.rs?status=completed");
        assert_eq!(entries(&world.get(&mixed, "/fhir/Task").await.expect(200).json()).len(), 2);
        for scope in ["system/Task.rs?nonsense=1", "system/Task.rs?status:not=x", "system/Task.rs?authored-on=2020", "system/Task.rs?patient.name=x", "system/Task.rs?_count=1"] {
            world.get(&world.token(scope), "/fhir/Task").await.expect(403);
        }
        let writer = world.token("system/Task.cu?status=completed");
        let open = json!({"resourceType": "Task", "status": "requested", "intent": "order", "for": {"reference": "Patient/a"}});
        world.send(&writer, Method::POST, "/fhir/Task", Some(&open)).await.expect(403);
    }

    async fn the_trail_tells_who_read_and_wrote_what_and_auditors_alone_read_it(world: &World) {
        world.two_clients().await;
        let token = world.patient_token("a", "patient/*.rs");
        world.get(&token, "/fhir/Task/a-h1").await.expect(200);
        world.get(&token, "/fhir/Task/b-h1").await.expect(404);
        world.get(&token, "/fhir/Appointment?status=fulfilled").await.expect(200);
        let writes = world.trail("patient=b&action=C", 4).await;
        assert!(writes.iter().all(|event| event["subtype"][0]["code"] == "create"));
        let read = world.trail("patient=a&action=R", 1).await;
        assert_eq!(read[0]["agent"][0]["who"]["identifier"]["value"], "an-app");
        assert_eq!(read[0]["agent"][0]["who"]["identifier"]["system"], world.issuer.url);
        assert_eq!(read[0]["entity"][1]["what"]["reference"], "Task/a-h1");
        assert!(read[0]["meta"]["profile"][0].as_str().expect("a profile").ends_with("IHE.BasicAudit.PatientRead"));
        let refused = world.trail("outcome=4", 1).await;
        assert!(refused.iter().any(|event| event["outcomeDesc"] == "refused: 404"));
        let query = world.trail("patient=a&action=E", 1).await;
        let asked = |event: &Value| {
            let query = event["entity"].as_array().expect("entities").iter().find_map(|entity| entity["query"].as_str()).expect("a query");
            String::from_utf8(BASE64_STANDARD.decode(query).expect("base64")).expect("text")
        };
        // Reading the trail is in the trail.
        assert!(query.iter().any(|event| asked(event) == "GET /fhir/Appointment?status=fulfilled"));
        for scope in ["system/*.cruds", "user/AuditEvent.rs", "system/Patient.rs"] {
            world.get(&world.token(scope), "/fhir/AuditEvent").await.expect(403);
            let id = query[0]["id"].as_str().expect("an id");
            world.get(&world.token(scope), &format!("/fhir/AuditEvent/{id}")).await.expect(403);
        }
        world.get(&world.patient_token("a", "patient/AuditEvent.rs"), "/fhir/AuditEvent").await.expect(403);
        assert!(!world.get(&world.token("system/*.rs"), "/fhir/_history?_count=500").await.expect(200).text.contains("\"AuditEvent\""));
        let event = json!({"resourceType": "AuditEvent"});
        world.send(&world.token("system/*.cruds system/AuditEvent.cruds"), Method::POST, "/fhir/AuditEvent", Some(&event)).await.expect(405);
    }

    async fn the_page_is_for_those_whom_it_is_about(world: &World) {
        world.push(&withdrawing("a", &start_for(15), 3)).await;
        world.push(&[patient("b")]).await;
        let token = world.patient_token("a", "patient/*.rs");
        world.get(&token, "/app/patients/a").await.expect(200);
        world.get(&token, "/app/patients/b").await.expect(404);
        world.get(&token, "/app/caseload").await.expect(403);
        world.get(&world.token("user/*.rs"), "/app/caseload").await.expect(200);
        world.get(&world.patient_token("a", "patient/Patient.rs"), "/app/patients/a").await.expect(403);
    }
}
