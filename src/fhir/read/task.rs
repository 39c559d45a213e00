//! Task: a measure asked for, homework, or neither.

use super::appointment::{self, By};
use super::json::{codings, each, id, number, text};
use super::{BASE, ReadContext};
use crate::domain::fact::{Ask, Task, TaskState};
use serde_json::Value;

const SDC: &str = "http://hl7.org/fhir/uv/sdc/CodeSystem/temp";
const TITLE_CHARS_MAX: usize = 200;

pub fn read(resource: &Value, context: &ReadContext) -> Task {
    let ask = measure(resource).or_else(|| homework(resource)).unwrap_or(Ask::Neither);
    let period = |key: &str, end: &str| context.at(resource.get(key).and_then(|period| period.get(end)));
    let restriction = |end: &str| {
        context.at(resource.get("restriction").and_then(|limit| limit.get("period")).and_then(|period| period.get(end)))
    };
    let state = state(resource);
    let ended = period("executionPeriod", "end");
    // Of a finished Task it is when it was done, and that was no due date anybody knew before.
    let planned = ended.filter(|_| state != TaskState::Done);
    Task {
        state,
        given: context
            .at(resource.get("authoredOn"))
            .or_else(|| restriction("start"))
            .or_else(|| period("executionPeriod", "start")),
        due: restriction("end").or(planned),
        done: ended.or_else(|| context.at(resource.get("lastModified"))),
        ask,
    }
}

/// By SDC's code, or a Questionnaire as its focus; whoever owns it.
fn measure(resource: &Value) -> Option<Ask> {
    let coded = codings(resource, "code").any(|coding| {
        text(coding, "code") == Some("complete-questionnaire")
            && text(coding, "system").is_none_or(|system| system == SDC)
    });
    let focus = resource.get("focus").and_then(questionnaire);
    if !coded && focus.is_none() {
        return None;
    }
    let asked = each(resource, "input").filter_map(|input| {
        ["valueCanonical", "valueUri", "valueUrl", "valueString"]
            .iter()
            .find_map(|key| text(input, key))
            .filter(|_| typed(input, "questionnaire"))
            .or_else(|| input.get("valueReference").and_then(questionnaire))
    });
    Some(Ask::Measure {
        questionnaires: focus.into_iter().chain(asked).map(Box::from).collect(),
        response: each(resource, "output")
            .find_map(|output| id(output.get("valueReference")?, "QuestionnaireResponse"))
            .map(Box::from),
    })
}

/// A reference to a Questionnaire, by its type or its text.
fn questionnaire(reference: &Value) -> Option<&str> {
    let name = text(reference, "reference")?;
    let is = text(reference, "type") == Some("Questionnaire")
        || name.starts_with("Questionnaire/")
        || name.contains("/Questionnaire/");
    is.then_some(name)
}

fn typed(part: &Value, code: &str) -> bool {
    codings(part, "type").any(|coding| text(coding, "code") == Some(code))
        || part.get("type").and_then(|kind| text(kind, "text")) == Some(code)
}

/// For the client, and the client's (or a RelatedPerson's) to do.
fn homework(resource: &Value) -> Option<Ask> {
    let client = id(resource.get("for")?, "Patient")?;
    let owner = resource.get("owner")?;
    if id(owner, "Patient") != Some(client) && id(owner, "RelatedPerson").is_none() {
        return None;
    }
    let (mut completion, mut quality, mut minutes, mut words) = (None, None, None, None::<u32>);
    let mut counted = None::<u32>;
    for output in each(resource, "output") {
        let value = amount(output);
        match kind(output) {
            Some("completion-percent") => {
                let share = value.filter(|percent| *percent >= 0.0).map(|percent| (percent / 100.0).min(1.0));
                completion = share.or(completion);
            }
            Some("quality") => quality = value.filter(|quality| (0.0..=4.0).contains(quality)).or(quality),
            // Practised more than once: the times add up.
            Some("minutes") => {
                minutes = value.filter(|value| *value >= 0.0).map(|value| value + minutes.unwrap_or(0.0)).or(minutes);
            }
            Some("words") => {
                let more = value.filter(|value| (0.0..1e9).contains(value)).map(|value| value as u32);
                words = more.map(|more| more.saturating_add(words.unwrap_or(0))).or(words);
            }
            _ => {}
        }
        if let Some(free) = ["valueString", "valueMarkdown"].iter().find_map(|key| text(output, key)) {
            let more = u32::try_from(free.split_whitespace().count()).unwrap_or(u32::MAX);
            counted = Some(counted.unwrap_or(0).saturating_add(more));
        }
    }
    Some(Ask::Homework { completion, quality, minutes, words: words.or(counted), title: title(resource) })
}

/// Code in `CodeSystem/homework-output`.
fn kind(output: &Value) -> Option<&str> {
    let system = format!("{BASE}/CodeSystem/homework-output");
    let ours = |coding: &&Value| text(coding, "system").is_none_or(|other| other == system);
    codings(output, "type").filter(ours).find_map(|coding| text(coding, "code"))
}

/// A number however it was sent; times in minutes.
fn amount(output: &Value) -> Option<f64> {
    let keys = ["valueInteger", "valueDecimal", "valueUnsignedInt", "valuePositiveInt"];
    if let Some(bare) = keys.iter().find_map(|key| output.get(key).and_then(number)) {
        return Some(bare);
    }
    let quantity = ["valueQuantity", "valueDuration", "valueCount"].iter().find_map(|key| output.get(key))?;
    let value = number(quantity.get("value")?)?;
    let unit = text(quantity, "code").or_else(|| text(quantity, "unit")).unwrap_or_default();
    Some(match unit {
        "h" => value * 60.0,
        "s" => value / 60.0,
        _ => value,
    })
}

fn title(resource: &Value) -> Option<Box<str>> {
    let code = resource.get("code");
    let words = code
        .and_then(|code| text(code, "text"))
        .or_else(|| text(resource, "description"))
        .or_else(|| codings(resource, "code").find_map(|coding| text(coding, "display")))?;
    Some(words.chars().take(TITLE_CHARS_MAX).collect::<String>().into())
}

fn state(resource: &Value) -> TaskState {
    let by = by(resource);
    match text(resource, "status").unwrap_or_default() {
        "completed" => TaskState::Done,
        // The owner's to do, so the owner's refusal, unless it is said to be the clinician's.
        "failed" | "rejected" if by == Some(By::Nobody) => TaskState::Withdrawn,
        "rejected" => TaskState::Declined,
        "failed" => TaskState::NotDone,
        // Cancelled is the requester's, unless it is said to be the client's.
        "cancelled" if by == Some(By::Client) => TaskState::NotDone,
        "cancelled" | "on-hold" => TaskState::Withdrawn,
        "entered-in-error" | "draft" => TaskState::Void,
        _ => TaskState::Open,
    }
}

/// Who ended it, by the reason or the business status.
fn by(resource: &Value) -> Option<By> {
    ["statusReason", "businessStatus"].into_iter().find_map(|key| {
        let coded = appointment::reason(resource, key);
        let concept = resource.get(key)?;
        let codes = each(concept, "coding").filter_map(|coding| text(coding, "code"));
        let words = each(concept, "coding").filter_map(|coding| text(coding, "display")).chain(text(concept, "text"));
        coded.or_else(|| codes.chain(words).find_map(said))
    })
}

/// "cancelled-by-client", "Patient declined", "Withdrawn by therapist": who stands behind "by", else who comes
/// first and chose it ("Patient in hospital" is nobody's choice).
fn said(words: &str) -> Option<By> {
    let words: Vec<String> =
        words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let who = |word: &String| match word.as_str() {
        "client" | "patient" => Some(By::Client),
        "clinician" | "therapist" | "practitioner" | "provider" | "service" => Some(By::Nobody),
        _ => None,
    };
    let chose = |word: &String| CHOSE.contains(&word.as_str());
    let after_by = words.iter().position(|word| word == "by").map_or(&[][..], |at| &words[at + 1..]);
    let named = after_by.iter().take(2).find_map(who);
    named.or_else(|| who(words.first()?).filter(|_| words.len() == 1 || words.iter().any(chose)))
}

const CHOSE: [&str; 10] = [
    "cancelled",
    "canceled",
    "declined",
    "refused",
    "rejected",
    "withdrew",
    "stopped",
    "requested",
    "request",
    "choice",
];
