//! The safety item: marking it as seen covers what was seen, and nothing hides an answer that was not.

use crate::on_both;
use crate::server::Server;
use crate::story::{patient, phq9};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

/// A PHQ-9, filled in so many hours ago, with this answer to item 9.
fn form(client: &str, n: usize, hours_ago: i64, answer: &str) -> Value {
    let mut form = phq9(client, n, Timestamp::now() - SignedDuration::from_hours(hours_ago), 9);
    form["item"][8]["answer"][0]["valueCoding"]["code"] = json!(answer);
    form
}

async fn page(server: &Server, client: &str) -> String {
    server.get(&format!("/app/patients/{client}")).await.expect(200).text
}

fn hidden(form: &str, name: &str) -> Vec<String> {
    let field = format!("name=\"{name}\" value=\"");
    let values = form.split(&field).skip(1);
    values.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// "I have seen this", as a browser sends it, on a page that was got before.
async fn see(server: &Server, client: &str, page: &str) {
    let form =
        page.split("class=\"safety-item\"").nth(1).and_then(|rest| rest.split("</form>").next()).expect("a form");
    let (seen, flag) = (hidden(form, "seen"), hidden(form, "flag"));
    let mut body = format!("verdict=safety-acknowledged&csrf={}&flag={}", hidden(form, "csrf")[0], flag[0]);
    seen.iter().for_each(|one| body.push_str(&format!("&seen={}", one.replace(' ', "+"))));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("/app/patients/{client}/judgements");
    server.send(Method::POST, &path, &headers, Some(body.into_bytes())).await;
    server.settle().await;
}

async fn stands(server: &Server, client: &str) -> bool {
    let flags = server.all(&format!("Flag?patient={client}&code=safety-item&status=active")).await;
    let shown = page(server, client).await.contains("class=\"safety-item\"");
    assert_eq!(shown, !flags.is_empty(), "the page and the Flag say the same");
    shown
}

on_both! {
    async fn what_was_not_seen_stands(server: &Server) {
        server.push(&[patient("n"), form("n", 1, 24, "LA6569-3")]).await;
        server.settle().await;
        let before = page(server, "n").await;
        // It comes while the page is open, and was filled in before.
        server.push(&[form("n", 2, 2, "LA6571-9")]).await;
        server.settle().await;
        see(server, "n", &before).await;
        assert!(stands(server, "n").await, "the second answer was not on the page");
        let said = server.all("Observation?patient=n&code=judgement").await;
        assert_eq!(said[0]["derivedFrom"][0]["reference"], "QuestionnaireResponse/n-q1");
        assert_eq!(said[0]["derivedFrom"][0]["extension"][0]["valueDecimal"], 1);
        assert_eq!(said[0]["derivedFrom"].as_array().map(Vec::len), Some(1));
        see(server, "n", &page(server, "n").await).await;
        assert!(!stands(server, "n").await);
        // From a nightly interface, filled in before it was marked.
        server.push(&[form("n", 3, 1, "LA6570-1")]).await;
        server.settle().await;
        assert!(stands(server, "n").await);
        see(server, "n", &page(server, "n").await).await;
        assert!(!stands(server, "n").await);
        // Amended to a higher answer.
        let mut amended = form("n", 1, 24, "LA6571-9");
        amended["status"] = json!("amended");
        server.put("/fhir/QuestionnaireResponse/n-q1", &amended).await;
        server.settle().await;
        assert!(stands(server, "n").await);
        see(server, "n", &page(server, "n").await).await;
        assert!(!stands(server, "n").await);
        // A form that does not say what was seen marks nothing.
        let csrf = hidden(&before, "csrf")[0].clone();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let body = format!("verdict=safety-acknowledged&csrf={csrf}&seen=other+3");
        server.send(Method::POST, "/app/patients/n/judgements", &headers, Some(body.into_bytes())).await.expect(422);
    }

    async fn an_answer_without_a_date_stands_alone(server: &Server) {
        let mut form = form("u", 1, 1, "LA6571-9");
        drop(form.as_object_mut().map(|fields| fields.remove("authored")));
        server.push(&[patient("u"), form]).await;
        server.settle().await;
        let page = page(server, "u").await;
        assert!(page.contains("Safety item answered above zero, on a day not recorded"), "{page}");
        assert!(!page.contains("Nothing has happened in this record yet") && !page.contains("no safety question is asked"));
        assert!(server.get("/app/caseload").await.expect(200).text.contains("/app/patients/u"));
        see(server, "u", &page).await;
        assert!(!stands(server, "u").await);
    }
}
