//! A client's history in FHIR, small enough to read: what several tests push.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub const PHQ9: [&str; 9] =
    ["44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8"];

pub fn at(start: &str, days: i64) -> Timestamp {
    let start: Timestamp = start.parse().expect("an instant");
    start + SignedDuration::from_hours(24 * days)
}

pub fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"given": ["Ana"], "family": "Muster"}], "gender": "female"})
}

pub fn appointment(client: &str, n: usize, start: Timestamp, status: &str) -> Value {
    json!({"resourceType": "Appointment", "id": format!("{client}-a{n}"), "status": status, "start": start.to_string(),
        "end": (start + SignedDuration::from_mins(50)).to_string(),
        "created": (start - SignedDuration::from_hours(24 * 7)).to_string(),
        "participant": [{"actor": {"reference": format!("Patient/{client}")}, "status": "accepted"}]})
}

/// A PHQ-9 with this total spread over its items; the last item (the safety item) stays 0.
pub fn phq9(client: &str, n: usize, authored: Timestamp, total: u32) -> Value {
    let items: Vec<Value> = PHQ9
        .iter()
        .enumerate()
        .map(|(i, code)| {
            let share = if i == 8 { 0 } else { (total / 8 + u32::from((i as u32) < total % 8)).min(3) };
            let answer = ["LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9"][share as usize];
            json!({"linkId": format!("/{code}"), "answer": [{"valueCoding": {"system": "http://loinc.org", "code": answer}}]})
        })
        .collect();
    json!({"resourceType": "QuestionnaireResponse", "id": format!("{client}-q{n}"), "status": "completed",
        "questionnaire": "http://loinc.org/q/44249-1", "subject": {"reference": format!("Patient/{client}")},
        "authored": authored.to_string(), "item": items})
}

pub fn homework(client: &str, n: usize, assigned: Timestamp, due: Timestamp, done: Option<Timestamp>) -> Value {
    let mut task = json!({"resourceType": "Task", "id": format!("{client}-h{n}"), "status": if done.is_some() { "completed" } else { "requested" },
        "intent": "order", "code": {"text": "Thought record"}, "for": {"reference": format!("Patient/{client}")},
        "owner": {"reference": format!("Patient/{client}")}, "authoredOn": assigned.to_string(),
        "restriction": {"period": {"end": due.to_string()}}});
    if let Some(done) = done {
        task["executionPeriod"] = json!({"end": done.to_string()});
    }
    task
}

/// Twelve faithful weeks, then `away` weeks of quiet withdrawal: questionnaire missed, homework undone, and
/// a session cancelled by the client or missed. The last slot is booked and ahead of the record's end.
pub fn withdrawing(client: &str, start: &str, away: usize) -> Vec<Value> {
    let mut out = vec![patient(client)];
    let weeks = 12 + away;
    for week in 0..weeks {
        let session = at(start, 7 * week as i64);
        let leaving = week >= 12;
        let status = if !leaving {
            "fulfilled"
        } else if week % 2 == 0 {
            "noshow"
        } else {
            "cancelled"
        };
        let mut slot = appointment(client, week, session, status);
        if status == "cancelled" {
            slot["cancelationReason"] = json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "code": "pat"}]});
            slot["meta"] = json!({"lastUpdated": (session - SignedDuration::from_hours(20)).to_string()});
        }
        out.push(slot);
        if !leaving {
            let total = 18_u32.saturating_sub(week as u32).max(9);
            out.push(phq9(client, week, session - SignedDuration::from_hours(3), total));
        }
        let due = at(start, 7 * (week as i64 + 1)) - SignedDuration::from_hours(12);
        let done = (week < 11).then(|| due - SignedDuration::from_hours(24));
        out.push(homework(client, week, session, due, done));
    }
    out.push(appointment(client, weeks, at(start, 7 * weeks as i64), "booked"));
    out
}

/// Said again by its sender, so many seconds later: what is dated no later than a deletion revives nothing.
pub fn said_later(resource: &Value, seconds: i64) -> Value {
    let mut resource = resource.clone();
    if let Some(dated) = resource["meta"]["lastUpdated"].as_str() {
        let dated: Timestamp = dated.parse().expect("an instant");
        resource["meta"]["lastUpdated"] = json!((dated + SignedDuration::from_secs(seconds)).to_string());
    }
    resource
}

/// A start so that a story of `weeks` weeks ends with its booked slot tomorrow.
pub fn start_for(weeks: i64) -> String {
    let now = Timestamp::now();
    let hour = Timestamp::from_second(now.as_second() / 3600 * 3600).expect("an instant");
    (hour + SignedDuration::from_hours(24 - 24 * 7 * weeks)).to_string()
}
