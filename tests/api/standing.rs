//! Whoever's findings stand is passed over; whoever's might not is never: a late fact, time that passes, a measure that
//! changes, other constants, another time zone.

use crate::server::{Ahead, Backend, Place, Server};
use crate::story::{PHQ9, start_for, withdrawing};
use serde_json::{Value, json};
use std::sync::Arc;
use tautline::detection::Constants;

const WEEK_MINUTES: i64 = 7 * 24 * 60;
const FORM: &str = "http://ehr.example/Questionnaire/mood";

/// Looked at, of these passed over, findings written.
type Figures = (i64, i64, i64);

async fn figures(server: &Server) -> Figures {
    server.settle().await;
    // Counted a moment after they are durable.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let metrics = server.get("/metrics").await.text;
    let one = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.and_then(|number| number.parse::<i64>().ok()).expect("a metric")
    };
    (one("tautline_assessments_total"), one("tautline_assessments_stood_total"), one("tautline_findings_written_total"))
}

/// What came since.
async fn since(server: &Server, before: &mut Figures) -> Figures {
    let now = figures(server).await;
    let grown = (now.0 - before.0, now.1 - before.1, now.2 - before.2);
    *before = now;
    grown
}

fn questionnaire(id: &str, url: &str, title: &str, codes: &[&str]) -> Value {
    let item = |(n, code): (usize, &&str)| {
        let code = json!([{"system": "http://loinc.org", "code": code}]);
        json!({"linkId": format!("q{n}"), "type": "integer", "text": "?", "code": code})
    };
    let items: Vec<Value> = codes.iter().enumerate().map(item).collect();
    let mut form = json!({"resourceType": "Questionnaire", "id": id, "url": url, "status": "active", "title": title});
    if !items.is_empty() {
        form["item"] = items.into();
    }
    form
}

fn response(id: &str, client: &str, authored: &str, points: i64) -> Value {
    let item = |n: usize| json!({"linkId": format!("q{n}"), "answer": [{"valueInteger": points}]});
    json!({
        "resourceType": "QuestionnaireResponse", "id": id, "status": "completed", "questionnaire": FORM,
        "subject": {"reference": format!("Patient/{client}")}, "authored": authored,
        "item": (0..PHQ9.len()).map(item).collect::<Vec<_>>(),
    })
}

async fn passed_over(backend: Backend) {
    let Some(place) = Place::new(backend).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let fitted = folder.path().join("fitted.json");
    let mut other = Constants::default();
    other.calibration.intercept -= 1.0;
    std::fs::write(&fitted, serde_json::to_string(&other).expect("JSON")).expect("written");
    let clock = Arc::new(Ahead::default());
    let start = async |lines: &str| Server::clocked(&place, &format!("auth = \"none\"\n{lines}"), clock.clone()).await;

    let server = start("").await;
    server.push(&withdrawing("w", &start_for(15), 3)).await;
    let mut at = figures(&server).await;
    assert!(at.0 >= 1 && at.1 == 0 && at.2 > 50, "{at:?}");

    // A form that nobody has filled in, then a word of it.
    server.push(&[questionnaire("f", "http://ehr.example/Questionnaire/other", "One", &[])]).await;
    assert_eq!(since(&server, &mut at).await, (1, 1, 0));
    server.push(&[questionnaire("f", "http://ehr.example/Questionnaire/other", "Another", &[])]).await;
    assert_eq!(since(&server, &mut at).await, (1, 1, 0));

    // Facts: one that says nothing yet, and what makes it say something.
    let day = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(240)).to_string();
    server.push(&[response("late", "w", &day, 3)]).await;
    let (looked_at, stood, _) = since(&server, &mut at).await;
    assert_eq!((looked_at, stood), (1, 0));
    server.push(&[questionnaire("mood", FORM, "Mood", &PHQ9)]).await;
    let (looked_at, stood, written) = since(&server, &mut at).await;
    assert!((looked_at, stood) == (1, 0) && written > 0, "a measure: {written}");
    server.push(&[response("late", "w", &day, 0)]).await;
    let (looked_at, stood, written) = since(&server, &mut at).await;
    assert!((looked_at, stood) == (1, 0) && written > 0, "a late fact: {written}");

    // Time.
    clock.by_minutes(4 * WEEK_MINUTES);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let (looked_at, stood, written) = since(&server, &mut at).await;
    assert!(looked_at > 0 && stood == 0 && written > 0, "time: {looked_at} {stood} {written}");
    // It has passed; now it stands again.
    server.push(&[questionnaire("f", "http://ehr.example/Questionnaire/other", "A third", &[])]).await;
    assert_eq!(since(&server, &mut at).await, (1, 1, 0));
    server.stop().await;

    // Who speaks.
    let constants = format!("constants = {:?}", fitted.display().to_string());
    for (n, lines) in [constants.as_str(), "", "time_zone = \"Pacific/Auckland\"", ""].iter().enumerate() {
        let server = start(lines).await;
        let mut at = figures(&server).await;
        server.push(&[questionnaire("f", "http://ehr.example/Questionnaire/other", &format!("{n}"), &[])]).await;
        since(&server, &mut at).await;
        // Another zone has made everybody due already.
        assert!(at.0 > at.1, "{lines}: {at:?}");
        server.push(&[questionnaire("f", "http://ehr.example/Questionnaire/other", &format!("again {n}"), &[])]).await;
        assert_eq!(since(&server, &mut at).await, (1, 1, 0), "{lines}");
        server.stop().await;
    }
}

#[actix_web::test]
async fn sqlite() {
    passed_over(Backend::Sqlite).await;
}

#[actix_web::test]
async fn postgres() {
    passed_over(Backend::Postgres).await;
}
