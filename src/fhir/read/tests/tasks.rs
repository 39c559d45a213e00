use super::*;
use crate::domain::{Homework, HomeworkState, MeasureDue};

const BASE: &str = "https://tautline.example/fhir";

fn task(status: &str) -> Value {
    json!({"resourceType": "Task", "id": "t1", "status": status, "intent": "order", "for": {"reference": "Patient/p1"},
        "owner": {"reference": "Patient/p1"}, "authoredOn": "2026-03-02T10:00:00Z", "code": {"text": "Thought record"},
        "restriction": {"period": {"end": "2026-03-09T10:00:00Z"}}})
}

fn one(task: Value) -> Homework {
    let timeline = read(&[task]);
    assert_eq!((timeline.homework.len(), timeline.dues.len()), (1, 0));
    timeline.homework.into_iter().next().expect("one")
}

fn due(task: Value) -> MeasureDue {
    let timeline = read(&[task]);
    assert_eq!((timeline.homework.len(), timeline.dues.len()), (0, 1));
    timeline.dues.into_iter().next().expect("one")
}

#[test]
fn homework_is_for_the_client_and_the_clients_to_do() {
    let homework = one(task("requested"));
    assert_eq!((homework.assigned, homework.due), (at("2026-03-02T10:00:00Z"), Some(at("2026-03-09T10:00:00Z"))));
    assert_eq!((homework.state, homework.state_known), (HomeworkState::Open, None));
    assert_eq!(homework.title.as_deref(), Some("Thought record"));
    let owned = |owner: &str| {
        let mut task = task("requested");
        task["owner"] = json!({"reference": owner});
        read(&[task]).homework.len()
    };
    assert_eq!(owned("RelatedPerson/mother"), 1);
    assert_eq!(owned("https://ehr.example/fhir/Patient/p1"), 1);
    assert_eq!((owned("Practitioner/d"), owned("Patient/p2")), (0, 0));
    let mut nobody = task("requested");
    nobody.as_object_mut().expect("object").shift_remove("owner");
    // What is no longer the client's replaces what was.
    assert!(read(&[task("requested"), nobody.clone()]).homework.is_empty());
    assert!(read(&[nobody]).homework.is_empty());
}

#[test]
fn status_and_reason_say_whether_it_is_evidence() {
    for (status, state) in [
        ("requested", HomeworkState::Open),
        ("in-progress", HomeworkState::Open),
        ("completed", HomeworkState::Done),
        ("failed", HomeworkState::NotDone),
        ("rejected", HomeworkState::NotDone),
        ("cancelled", HomeworkState::Withdrawn),
        ("on-hold", HomeworkState::Withdrawn),
    ] {
        assert_eq!(one(task(status)).state, state, "{status}");
    }
    for status in ["entered-in-error", "draft"] {
        assert!(read(&[task(status)]).homework.is_empty());
    }
    let because = |status: &str, key: &str, reason: Value| {
        let mut task = task(status);
        task[key] = reason;
        one(task).state
    };
    let system = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason";
    let coded = |code: &str| json!({"coding": [{"system": system, "code": code}]});
    assert_eq!(because("cancelled", "statusReason", coded("pat")), HomeworkState::NotDone);
    assert_eq!(because("cancelled", "statusReason", coded("prov")), HomeworkState::Withdrawn);
    assert_eq!(because("rejected", "statusReason", coded("prov-pers")), HomeworkState::Withdrawn);
    let said = |words: &str| because("cancelled", "businessStatus", json!({"text": words}));
    for words in ["Cancelled by client", "client-declined", "Patient refused", "patient", "withdrawn by the patient"] {
        assert_eq!(said(words), HomeworkState::NotDone, "{words}");
    }
    for words in ["Cancelled by therapist for client", "Patient in hospital", "no longer needed", "clinician", ""] {
        assert_eq!(said(words), HomeworkState::Withdrawn, "{words}");
    }
}

#[test]
fn done_is_known_by_execution_then_modification_then_the_sender_then_the_due_instant() {
    let mut done = task("completed");
    assert_eq!(one(done.clone()).state_known, Some(at("2026-03-09T10:00:00Z")));
    done = sent(done, "2026-03-08T09:00:00Z");
    assert_eq!(one(done.clone()).state_known, Some(at("2026-03-08T09:00:00Z")));
    done["lastModified"] = json!("2026-03-07T09:00:00Z");
    assert_eq!(one(done.clone()).state_known, Some(at("2026-03-07T09:00:00Z")));
    done["executionPeriod"] = json!({"end": "2026-03-06"});
    let homework = one(done);
    assert_eq!(homework.state_known, Some(at("2026-03-06T22:59:59.999999Z")));
    assert_eq!(homework.due, Some(at("2026-03-09T10:00:00Z")));
    let mut planned = task("requested");
    planned.as_object_mut().expect("object").shift_remove("restriction");
    planned["executionPeriod"] = json!({"end": "2026-03-06T09:00:00Z"});
    assert_eq!(one(planned.clone()).due, Some(at("2026-03-06T09:00:00Z")));
    // Once done, the same end is when it was done, and no due date.
    planned["status"] = json!("completed");
    let homework = one(planned);
    assert_eq!((homework.due, homework.state_known), (None, Some(at("2026-03-06T09:00:00Z"))));
    assert_eq!(one(task("failed")).state_known, Some(at("2026-03-09T10:00:00Z")));
}

#[test]
fn outputs_say_how_much_and_how_well() {
    let output = |code: &str, key: &str, value: Value| json!({"type": {"coding": [{"system": format!("{BASE}/CodeSystem/homework-output"), "code": code}]}, key: value});
    let mut done = task("completed");
    done["output"] = json!([
        output("completion-percent", "valueQuantity", json!({"value": 80, "code": "%"})),
        output("quality", "valueInteger", json!(3)),
        output("minutes", "valueDecimal", json!(20)),
        output("minutes", "valueDuration", json!({"value": 0.5, "code": "h"})),
        {"type": {"text": "Notes"}, "valueString": "I wrote  this\ndown"},
        output("pages", "valueInteger", json!(2)),
    ]);
    let homework = one(done.clone());
    assert_eq!((homework.completion, homework.quality, homework.minutes), (Some(0.8), Some(3.0), Some(50.0)));
    assert_eq!(homework.words, Some(4));
    done["output"] = json!([
        output("completion-percent", "valueInteger", json!(140)),
        output("quality", "valueInteger", json!(9)),
        output("minutes", "valueString", json!("many")),
        output("words", "valueInteger", json!(120)),
    ]);
    let homework = one(done);
    assert_eq!(
        (homework.completion, homework.quality, homework.minutes, homework.words),
        (Some(1.0), None, None, Some(120))
    );
}

fn asking() -> Value {
    let mut asking = task("requested");
    asking["code"] =
        json!({"coding": [{"system": "http://hl7.org/fhir/uv/sdc/CodeSystem/temp", "code": "complete-questionnaire"}]});
    asking["input"] =
        json!([{"type": {"coding": [{"code": "questionnaire"}]}, "valueCanonical": "http://loinc.org/q/44249-1|1"}]);
    asking
}

#[test]
fn a_measure_is_asked_for_by_code_or_by_focus() {
    let found = due(asking());
    assert_eq!(found.measure.map(|measure| measure.name.clone()).as_deref(), Some("PHQ-9"));
    assert_eq!((found.asked, found.due), (at("2026-03-02T10:00:00Z"), Some(at("2026-03-09T10:00:00Z"))));
    assert!(!found.withdrawn);
    let focus = |reference: &str| {
        let mut task = task("requested");
        task["focus"] = json!({"reference": reference});
        due(task).measure.map(|measure| measure.name.clone())
    };
    assert_eq!(focus("Questionnaire/srs").as_deref(), Some("SRS"));
    assert_eq!(focus("https://tautline.example/fhir/Questionnaire/srs").as_deref(), Some("SRS"));
    assert_eq!(focus("https://elsewhere.example/fhir/Questionnaire/srs"), None);
    let mut cancelled = asking();
    cancelled["status"] = json!("cancelled");
    assert!(due(cancelled).withdrawn);
}

#[test]
fn the_output_ties_the_response_unless_it_was_an_error() {
    let mut asking = asking();
    asking["status"] = json!("completed");
    asking["output"] = json!([{"type": {"coding": [{"code": "questionnaire-response"}]},
        "valueReference": {"reference": "QuestionnaireResponse/r1"}}]);
    let tied = Some(Source::new(SourceKind::QuestionnaireResponse, "r1"));
    assert_eq!(due(asking.clone()).response, tied);
    assert_eq!(due(asking.clone()).completed, Some(at("2026-03-09T10:00:00Z")));
    let mut response = json!({"resourceType": "QuestionnaireResponse", "id": "r1", "status": "completed",
        "questionnaire": "http://loinc.org/q/44249-1", "authored": "2026-03-08T10:00:00Z"});
    assert_eq!(read(&[asking.clone(), response.clone()]).dues[0].response, tied);
    response["status"] = json!("entered-in-error");
    assert_eq!(read(&[asking, response]).dues[0].response, None);
}

#[test]
fn homework_rejected_by_the_client_is_an_open_no() {
    let declined = one(task("rejected"));
    assert_eq!((declined.state, declined.declined), (HomeworkState::NotDone, true));
    let failed = one(task("failed"));
    assert_eq!((failed.state, failed.declined), (HomeworkState::NotDone, false));
    assert!(!one(task("completed")).declined);
}
