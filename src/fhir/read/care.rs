//! Encounter, EpisodeOfCare, Patient, and the judgements of practitioners.

use super::json::{codings, each, extensions, id, number, text};
use super::{BASE, ReadContext};
use crate::domain::fact::{Encounter, Episode, EpisodeState, Judgement, Patient};
use crate::domain::{EndingKind, Verdict};
use serde_json::Value;

/// A note on a judgement is for the page: long enough for a remark.
const NOTE_CHARS_MAX: usize = 2_000;

pub fn encounter(resource: &Value, context: &ReadContext) -> Encounter {
    let happened = ["arrived", "triaged", "in-progress", "onleave", "finished"];
    Encounter {
        happened: text(resource, "status").is_some_and(|status| happened.contains(&status)),
        start: context.to_the_minute(resource.get("period").and_then(|period| period.get("start"))),
        appointments: each(resource, "appointment")
            .filter_map(|reference| id(reference, "Appointment"))
            .map(Box::from)
            .collect(),
    }
}

pub fn episode(resource: &Value, context: &ReadContext) -> Episode {
    let period = |key: &str| context.at(resource.get("period").and_then(|period| period.get(key)));
    Episode {
        state: match text(resource, "status").unwrap_or_default() {
            "finished" => EpisodeState::Finished,
            "cancelled" => EpisodeState::Cancelled,
            "entered-in-error" => EpisodeState::Void,
            _ => EpisodeState::Open,
        },
        start: period("start"),
        end: period("end"),
    }
}

pub fn patient(resource: &Value, context: &ReadContext) -> Patient {
    let at = context.at(resource.get("deceasedDateTime"));
    let is = |key: &str, expected: bool| resource.get(key).and_then(Value::as_bool) == Some(expected);
    let ended = if resource.get("deceasedDateTime").is_some() || is("deceasedBoolean", true) {
        Some(EndingKind::Deceased)
    } else {
        is("active", false).then_some(EndingKind::Inactive)
    };
    Patient { ended, at }
}

/// One of our own judgement Observations; any other Observation is none.
pub fn judgement(resource: &Value, context: &ReadContext) -> Option<Judgement> {
    let signal = format!("{BASE}/CodeSystem/signal");
    let answer_seen = format!("{BASE}/StructureDefinition/answer-seen");
    let is = |coding: &Value| {
        text(coding, "code") == Some("judgement") && text(coding, "system").is_none_or(|system| system == signal)
    };
    if !codings(resource, "code").any(is) {
        return None;
    }
    let undone = matches!(text(resource, "status"), Some("entered-in-error" | "cancelled"));
    let verdict = codings(resource, "valueCodeableConcept").find_map(|coding| verdict(text(coding, "code")?));
    let issued = context.at(resource.get("issued")).or_else(|| context.at(resource.get("effectiveDateTime")));
    let note = each(resource, "note").find_map(|note| text(note, "text"));
    Some(Judgement {
        verdict: verdict.filter(|_| !undone),
        issued,
        flag: each(resource, "focus").find_map(|reference| id(reference, "Flag")).map(Box::from),
        note: note.map(|note| note.chars().take(NOTE_CHARS_MAX).collect::<String>().into()),
        covers: each(resource, "derivedFrom")
            .filter_map(|form| {
                let seen = extensions(form, &answer_seen).find_map(|one| number(one.get("valueDecimal")?));
                Some((id(form, "QuestionnaireResponse")?.into(), seen))
            })
            .collect(),
    })
}

/// Codes of `CodeSystem/judgement`.
fn verdict(code: &str) -> Option<Verdict> {
    Some(match code {
        "named-in-session" => Verdict::Named,
        "rupture-yes" => Verdict::RuptureYes,
        "rupture-no" => Verdict::RuptureNo,
        "rupture-unsure" => Verdict::RuptureUnsure,
        "safety-acknowledged" => Verdict::SafetyAcknowledged,
        _ => return None,
    })
}
