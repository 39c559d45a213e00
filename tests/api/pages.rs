//! The page and the caseload, as a browser gets them.

use crate::on_both;
use crate::story::{start_for, withdrawing};
use reqwest::Method;

on_both! {
    async fn the_page_tells_who_and_why(server: &Server) {
        server.push(&withdrawing("w", &start_for(15), 3)).await;
        server.settle().await;
        let page = server.get("/app/patients/w").await.expect(200);
        assert!(page.header("content-type").starts_with("text/html"));
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-inline"), "{policy}");
        assert_eq!(page.header("cache-control"), "no-store");
        for part in ["Ana Muster", "<svg", "<table", "Engagement"] {
            assert!(page.text.contains(part), "{part}");
        }
        for part in ["<script", "style=\"", "onclick"] {
            assert!(!page.text.contains(part), "{part}");
        }
        let caseload = server.get("/app/caseload").await.expect(200);
        assert!(caseload.text.contains("/app/patients/w"));
        server.get("/app/page.css").await.expect(200);
        server.get("/app/patients/nobody").await.expect(404);
        server.get("/app/patients/w?asOf=2020-01-01").await.expect(200);
        server.get("/app/patients/w?asOf=soon").await.expect(400);
    }

    async fn a_judgement_needs_the_token_of_its_page(server: &Server) {
        server.push(&withdrawing("f", &start_for(15), 3)).await;
        server.settle().await;
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let path = "/app/patients/f/judgements";
        let forged = server.send(Method::POST, path, &form, Some(b"verdict=named-in-session&csrf=x".to_vec())).await;
        forged.expect(403);
        let page = server.get("/app/patients/f").await.expect(200).text;
        let token = page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a token");
        let body = format!("verdict=named-in-session&csrf={token}&note=we+spoke+about+it");
        server.send(Method::POST, path, &form, Some(body.into_bytes())).await;
        let judgements = server.all("Observation?patient=f&code=judgement").await;
        assert_eq!(judgements.len(), 1);
        assert_eq!(judgements[0]["note"][0]["text"], "we spoke about it");
    }

    /// Today's page goes by what the record says now, also where the sender does not say when a session was cancelled
    /// or moved.
    async fn a_session_cancelled_or_moved_without_a_date_is_not_the_next(server: &Server) {
        let in_days = |days: i64| (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days)).to_string();
        let booked = |status: &str, start: &str| serde_json::json!({
            "resourceType": "Appointment", "id": "next", "status": status, "start": start, "end": start,
            "participant": [{"actor": {"reference": "Patient/c"}, "status": "accepted"}]});
        let patient = serde_json::json!({"resourceType": "Patient", "id": "c", "name": [{"family": "Muster"}]});
        server.push(&[patient, booked("booked", &in_days(6))]).await;
        server.settle().await;
        let when = |page: &str| page.split("class=\"when\">").nth(1).and_then(|rest| rest.split('<').next()).map(str::to_owned);
        let before = when(&server.get("/app/patients/c").await.expect(200).text).expect("when");
        assert!(before.starts_with("session 1, "), "{before}");
        server.push(&[booked("booked", &in_days(4))]).await;
        server.settle().await;
        let moved = when(&server.get("/app/patients/c").await.expect(200).text).expect("when");
        assert!(moved.starts_with("session 1, ") && moved != before, "{moved}");
        server.push(&[booked("cancelled", &in_days(4))]).await;
        server.settle().await;
        let cancelled = when(&server.get("/app/patients/c").await.expect(200).text).expect("when");
        assert!(cancelled.contains("nothing booked"), "{cancelled}");
    }

    async fn names_are_hostile_input(server: &Server) {
        let mut resources = withdrawing("x", &start_for(15), 3);
        resources[0]["name"][0]["family"] = serde_json::json!("<script>alert(1)</script>");
        server.push(&resources).await;
        server.settle().await;
        for path in ["/app/patients/x", "/app/caseload"] {
            let page = server.get(path).await.expect(200).text;
            assert!(!page.contains("<script>alert"), "{path}");
        }
    }
}

on_both! {
    async fn a_stray_address_is_answered_as_a_page(server: &Server) {
        let moved = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let moved = moved.get(format!("{}/app/caseload/", server.base)).send().await.expect("an answer");
        assert_eq!((moved.status().as_u16(), &moved.headers()["location"]), (303, &"/app/caseload".parse().expect("text")));
        let nowhere = server.get("/app/nowhere").await.expect(404);
        assert!(nowhere.header("content-type").starts_with("text/html") && nowhere.text.contains("no such page"));
        assert_eq!(server.get("/favicon.ico").await.expect(200).header("content-type"), "image/svg+xml");
    }
}
