//! QuestionnaireResponse.

use super::json::{code, each, extensions, items, number, ordinal, text};
use super::{BASE, ReadContext};
use crate::domain::definition::without_version;
use crate::domain::fact::{Answer, AnswerValue, Response, ResponseState};
use serde_json::Value;

/// No measure has this many items; a longer form is not one.
const ANSWERS_MAX: usize = 512;
const LINK_BYTES_MAX: usize = 255;

pub fn read(resource: &Value, context: &ReadContext) -> Response {
    let mut answers = Vec::new();
    items(resource, &mut |item| {
        let Some(link) = text(item, "linkId").filter(|link| link.len() <= LINK_BYTES_MAX) else { return };
        for value in each(item, "answer").filter_map(value) {
            if answers.len() < ANSWERS_MAX {
                answers.push(Answer { link: link.into(), value });
            }
        }
    });
    let completion = format!("{BASE}/StructureDefinition/completion-seconds");
    let seconds = extensions(resource, &completion).find_map(|extension| {
        ["valueDecimal", "valueInteger"].iter().find_map(|key| extension.get(key).and_then(number))
    });
    Response {
        state: match text(resource, "status").unwrap_or_default() {
            "completed" | "amended" => ResponseState::Finished,
            "entered-in-error" => ResponseState::Void,
            _ => ResponseState::Unfinished,
        },
        questionnaire: text(resource, "questionnaire").map(|canonical| without_version(canonical).into()),
        authored: context.at(resource.get("authored")),
        authored_from: context.from(resource.get("authored")),
        seconds: seconds.filter(|seconds| *seconds > 0.0),
        answers,
    }
}

/// What can be scored; words, dates and attachments cannot.
fn value(answer: &Value) -> Option<AnswerValue> {
    let bare = ["valueInteger", "valueDecimal"].iter().find_map(|key| answer.get(key).and_then(number));
    let bare = bare.or_else(|| number(answer.get("valueQuantity")?.get("value")?));
    if let Some(bare) = bare {
        return Some(AnswerValue::Number(bare));
    }
    let coding = answer.get("valueCoding")?;
    ordinal(answer).map(AnswerValue::Ordinal).or_else(|| code(coding).map(AnswerValue::Coded))
}
