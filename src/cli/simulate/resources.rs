//! A history in FHIR R4, as its sender would have written it: `meta.lastUpdated` is the moment the sender
//! wrote, and a moved appointment has two versions.

use super::history::*;
use jiff::Timestamp;
use serde_json::{Value, json};

const BASE: &str = "https://tautline.example/fhir";
const LOINC: &str = "http://loinc.org";
const CANCELLATION: &str = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason";
const SDC: &str = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp";
const LOINC_ANSWERS: [&str; 4] = ["LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9"];
const PHQ9_ITEMS: [&str; 9] =
    ["44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8"];
const GAD7_ITEMS: [&str; 7] = ["69725-0", "68509-9", "69733-4", "69734-2", "69735-9", "69689-8", "69736-7"];

impl Instrument {
    fn canonical(self) -> String {
        match self {
            Instrument::Phq9 => format!("{LOINC}/q/44249-1"),
            Instrument::Gad7 => format!("{LOINC}/q/69737-5"),
            Instrument::Ors => format!("{BASE}/Questionnaire/ors"),
            Instrument::Srs => format!("{BASE}/Questionnaire/srs"),
            Instrument::WaiSr => format!("{BASE}/Questionnaire/wai-sr"),
        }
    }
}

/// Every resource of one client, in the order of the client's record: each resource's older version before
/// the newer one, and nothing before what it refers to.
pub fn write(history: &History) -> Vec<Value> {
    let mut out = Vec::new();
    let first = history.slots.first().map(|slot| slot.booked);
    let began = first.unwrap_or(Timestamp::UNIX_EPOCH);
    out.extend(history.therapists.iter().map(practitioner));
    out.push(patient(history, began));
    if let Some(episode) = &history.episode {
        out.push(episode_of_care(history, episode));
    }
    for (n, slot) in history.slots.iter().enumerate() {
        appointment(history, n, slot, &mut out);
    }
    for (n, form) in history.forms.iter().enumerate() {
        out.push(response(history, n, form));
    }
    for (n, ask) in history.asks.iter().enumerate() {
        out.push(request(history, n, ask));
    }
    for (n, homework) in history.homework.iter().enumerate() {
        out.push(task(history, n, homework));
    }
    out
}

fn meta(version: u32, updated: Timestamp) -> Value {
    json!({"versionId": version.to_string(), "lastUpdated": updated.to_string()})
}

fn reference(history: &History) -> Value {
    json!({"reference": format!("Patient/{}", history.patient)})
}

fn practitioner(therapist: &Therapist) -> Value {
    json!({
        "resourceType": "Practitioner",
        "id": therapist.id,
        "active": true,
        "name": [{"family": therapist.family, "given": [therapist.given]}],
    })
}

fn patient(history: &History, began: Timestamp) -> Value {
    let who = &history.identity;
    json!({
        "resourceType": "Patient",
        "id": history.patient,
        "meta": meta(1, began),
        "active": true,
        "name": [{"use": "official", "family": who.family, "given": [who.given]}],
        "gender": who.gender,
        "birthDate": who.birth_year.to_string(),
    })
}

fn episode_of_care(history: &History, episode: &Episode) -> Value {
    let mut period = json!({"start": episode.from.to_string()});
    let mut status = "active";
    if let Some(end) = episode.finished {
        period["end"] = json!(end.to_string());
        status = "finished";
    }
    json!({
        "resourceType": "EpisodeOfCare",
        "id": format!("{}-episode", history.patient),
        "meta": meta(1 + u32::from(episode.finished.is_some()), episode.finished.unwrap_or(episode.from)),
        "status": status,
        "patient": reference(history),
        "period": period,
    })
}

fn appointment(history: &History, n: usize, slot: &Slot, out: &mut Vec<Value>) {
    let id = format!("{}-a{:02}", history.patient, n + 1);
    let written = match &slot.fate {
        Fate::Booked => slot.booked,
        Fate::Kept { .. } => slot.start + minutes(SESSION_MINUTES + 5),
        Fate::NoShow => slot.start + minutes(20),
        Fate::Cancelled { at, .. } => *at,
    };
    let mut versions = Vec::new();
    if let Some((from, at)) = slot.moved {
        versions.push((1, from, &Fate::Booked, slot.booked));
        versions.push((2, slot.start, &Fate::Booked, at));
    } else if matches!(slot.fate, Fate::Booked) {
        versions.push((1, slot.start, &slot.fate, written));
    }
    if !matches!(slot.fate, Fate::Booked) {
        let number = if slot.moved.is_some() { 3 } else { 2 };
        versions.push((number, slot.start, &slot.fate, written));
    }
    for (number, start, fate, at) in versions {
        out.push(appointment_version(history, &id, slot, start, fate, meta(number, at)));
    }
    if let (true, Fate::Kept { late }) = (slot.encounter, &slot.fate) {
        out.push(encounter(history, n, &id, slot, *late));
    }
}

fn appointment_version(history: &History, id: &str, slot: &Slot, start: Timestamp, fate: &Fate, meta: Value) -> Value {
    let status = match fate {
        Fate::Booked => "booked",
        Fate::Kept { .. } => "fulfilled",
        Fate::NoShow => "noshow",
        Fate::Cancelled { .. } => "cancelled",
    };
    let end = start + minutes(SESSION_MINUTES);
    let mut resource = json!({
        "resourceType": "Appointment",
        "id": id,
        "meta": meta,
        "status": status,
    });
    if let Fate::Cancelled { reason: Some(reason), .. } = fate {
        resource["cancelationReason"] = json!({"coding": [{"system": CANCELLATION, "code": reason}]});
    }
    resource["start"] = json!(start.to_string());
    resource["end"] = json!(end.to_string());
    resource["created"] = json!(slot.booked.to_string());
    let mut client = json!({"actor": reference(history), "status": "accepted"});
    if let (false, Fate::Kept { late: Some(late) }) = (slot.encounter, fate) {
        client["period"] = json!({"start": (start + minutes(*late)).to_string(), "end": end.to_string()});
    }
    let therapist = &history.therapists[slot.therapist];
    resource["participant"] = json!([
        client,
        {"actor": {"reference": format!("Practitioner/{}", therapist.id)}, "status": "accepted"},
    ]);
    resource
}

fn encounter(history: &History, n: usize, appointment: &str, slot: &Slot, late: Option<i64>) -> Value {
    let end = slot.start + minutes(SESSION_MINUTES);
    json!({
        "resourceType": "Encounter",
        "id": format!("{}-e{:02}", history.patient, n + 1),
        "meta": meta(1, end + minutes(5)),
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": reference(history),
        "appointment": [{"reference": format!("Appointment/{appointment}")}],
        "period": {
            "start": (slot.start + minutes(late.unwrap_or(0))).to_string(),
            "end": end.to_string(),
        },
    })
}

fn response(history: &History, n: usize, form: &Form) -> Value {
    let mut resource = json!({
        "resourceType": "QuestionnaireResponse",
        "id": form_id(history, n),
        "meta": meta(1, form.at),
    });
    if let Some(seconds) = form.seconds {
        let seconds = (seconds * 10.0).round() / 10.0;
        resource["extension"] = json!([{
            "url": format!("{BASE}/StructureDefinition/completion-seconds"),
            "valueDecimal": seconds,
        }]);
    }
    resource["questionnaire"] = json!(form.instrument.canonical());
    resource["status"] = json!(if form.finished { "completed" } else { "stopped" });
    resource["subject"] = reference(history);
    resource["authored"] = json!(form.at.to_string());
    resource["source"] = reference(history);
    let items = items(form);
    if !items.is_empty() {
        resource["item"] = Value::Array(items);
    }
    resource
}

fn form_id(history: &History, n: usize) -> String {
    format!("{}-q{:02}", history.patient, n + 1)
}

fn items(form: &Form) -> Vec<Value> {
    let total = |link: &str, value: f64| {
        let value = (value * 10.0).round() / 10.0;
        json!({"linkId": link, "answer": [{"valueDecimal": value}]})
    };
    match &form.answers {
        Answers::Total(value) => vec![total("total", *value)],
        Answers::Alliance([task, goal, bond]) => {
            vec![total("total", task + goal + bond), total("task", *task), total("goal", *goal), total("bond", *bond)]
        }
        Answers::Items(answers) => {
            let codes: &[&str] = match form.instrument {
                Instrument::Gad7 => &GAD7_ITEMS,
                _ => &PHQ9_ITEMS,
            };
            let answered = codes.iter().zip(answers).filter_map(|(code, answer)| {
                let answer = LOINC_ANSWERS[usize::from((*answer)?)];
                Some(json!({
                    "linkId": format!("/{code}"),
                    "answer": [{"valueCoding": {"system": LOINC, "code": answer}}],
                }))
            });
            answered.collect()
        }
    }
}

fn request(history: &History, n: usize, ask: &Ask) -> Value {
    let coding = |code: &str| json!({"coding": [{"system": SDC, "code": code}]});
    let answered = ask.answer.map(|form| &history.forms[form]);
    let (status, written) = match (ask.withdrawn, answered) {
        (Some(at), _) => ("cancelled", at),
        (None, Some(form)) if form.finished => ("completed", form.at),
        (None, Some(form)) => ("in-progress", form.at),
        (None, None) => ("requested", ask.asked),
    };
    let mut resource = json!({
        "resourceType": "Task",
        "id": format!("{}-m{:02}", history.patient, n + 1),
        "meta": meta(if written > ask.asked { 2 } else { 1 }, written),
        "status": status,
        "intent": "order",
        "code": coding("complete-questionnaire"),
        "for": reference(history),
        "authoredOn": ask.asked.to_string(),
        "lastModified": written.to_string(),
        "owner": reference(history),
        "restriction": {"period": {"end": ask.due.to_string()}},
        "input": [{"type": coding("questionnaire"), "valueCanonical": ask.instrument.canonical()}],
    });
    if let Some(form) = ask.answer {
        resource["output"] = json!([{
            "type": coding("questionnaire-response"),
            "valueReference": {"reference": format!("QuestionnaireResponse/{}", form_id(history, form))},
        }]);
    }
    resource
}

fn task(history: &History, n: usize, homework: &Homework) -> Value {
    let (status, written, version) = match homework.result {
        HomeworkResult::Open => ("requested", homework.assigned, 1),
        HomeworkResult::Done(at) => ("completed", at, 2),
        HomeworkResult::Failed(at) => ("failed", at, 2),
        HomeworkResult::Rejected(at) => ("rejected", at, 2),
        HomeworkResult::Withdrawn(at) => ("cancelled", at, 2),
    };
    let mut resource = json!({
        "resourceType": "Task",
        "id": format!("{}-h{:02}", history.patient, n + 1),
        "meta": meta(version, written),
        "status": status,
        "intent": "plan",
        "code": {"text": homework.title},
        "for": reference(history),
    });
    if let HomeworkResult::Done(at) = homework.result {
        resource["executionPeriod"] = json!({"start": homework.assigned.to_string(), "end": at.to_string()});
    }
    resource["authoredOn"] = json!(homework.assigned.to_string());
    resource["lastModified"] = json!(written.to_string());
    resource["owner"] = reference(history);
    if let Some(due) = homework.due {
        resource["restriction"] = json!({"period": {"end": due.to_string()}});
    }
    let system = format!("{BASE}/CodeSystem/homework-output");
    let outputs: Vec<Value> = [
        ("completion-percent", homework.percent),
        ("quality", homework.quality),
        ("minutes", homework.minutes),
        ("words", homework.words),
    ]
    .into_iter()
    .filter_map(|(code, value)| {
        Some(json!({
            "type": {"coding": [{"system": system, "code": code}]},
            "valueInteger": value?,
        }))
    })
    .collect();
    if !outputs.is_empty() {
        resource["output"] = Value::Array(outputs);
    }
    resource
}
