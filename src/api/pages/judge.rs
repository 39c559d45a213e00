//! What is said on the page about a Flag.

use super::{Looker, covered, json, looker, refusal, trace, turned_away};
use crate::api::{State, flags, judgements, launch, token};
use crate::domain::{Covered, Source, SourceKind, Timeline, Verdict};
use crate::error::{Error, Result};
use crate::fhir::check;
use crate::fhir::outcome::{Issue, IssueType};
use crate::fhir::write::judgement;
use crate::pipeline::ingest::{Action, Target, Write};
use crate::smart::session::Session;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};

/// Longest note, characters.
const NOTE_CHARS_MAX: usize = 2_000;

/// What a therapist says on the page.
#[derive(Default)]
struct Judged {
    csrf: String,
    /// named-in-session, rupture-yes, rupture-no, rupture-unsure, safety-acknowledged
    verdict: Option<String>,
    flag: Option<String>,
    note: Option<String>,
    /// Id of the judgement to take back.
    undo: Option<String>,
    /// Answers to a safety item that the page showed: form and value.
    seen: Vec<Covered>,
}

impl Judged {
    fn read(form: Vec<(String, String)>) -> Self {
        let mut judged = Self::default();
        for (key, value) in form {
            match key.as_str() {
                "csrf" => judged.csrf = value,
                "verdict" => judged.verdict = Some(value),
                "flag" => judged.flag = Some(value),
                "note" => judged.note = Some(value),
                "undo" => judged.undo = Some(value),
                "seen" => judged.seen.extend(answer_seen(&value)),
                _ => {}
            }
        }
        judged
    }
}

/// "q1 2"
fn answer_seen(text: &str) -> Option<Covered> {
    let (id, value) = text.split_once(' ')?;
    let value = value.parse().ok().filter(|value: &f64| value.is_finite())?;
    Some(Covered { source: Source::new(SourceKind::QuestionnaireResponse, id), value: Some(value) })
}

pub(super) async fn judge(
    state: web::Data<State>,
    http: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> HttpResponse {
    let looker = match looker(&state, &http, Some(&id)).await {
        Ok(looker) => looker,
        Err(error) => return turned_away(&state, &http, Some(&id), &error),
    };
    let done = async {
        looker.access.page(&id)?;
        let Some(form) = token::form(&http, payload).await.map(Judged::read) else {
            let text = "The answer has to be a form of at most 64 KiB, sent without delay.";
            return Err(Error::new(IssueType::Structure, text));
        };
        if !same(&form.csrf, &csrf(&secret(&state, looker.session.as_ref()), &id)) {
            let text = "The form is too old, or was not sent from this page. Please go back, reload and try again.";
            return Err(Error::new(IssueType::Forbidden, text));
        }
        keep_judgement(&state, &looker, &id, &form).await
    };
    match done.await {
        Ok(()) => {
            if let Some(session) = looker.session {
                flags::keep_in_step(&state, session);
            }
            let there = format!("/app/patients/{}#afterwards", *id);
            HttpResponse::SeeOther().insert_header((header::LOCATION, there)).finish()
        }
        Err(error) => match trace(&state, &looker.access, &http, Some(&id), error.status).await {
            Ok(()) => refusal(&state, &error),
            Err(untraced) => refusal(&state, &untraced),
        },
    }
}

/// What tokens in forms are made with: the session's own, else this process's.
pub(super) fn secret(state: &State, session: Option<&Session>) -> String {
    session.map_or_else(|| state.secret.clone(), Session::csrf)
}

async fn keep_judgement(state: &State, looker: &Looker, client: &str, form: &Judged) -> Result<()> {
    if !crate::api::rest::is_id(client) {
        return Err(Error::not_found("client", client));
    }
    let pipeline = &state.pipeline;
    // Who may not see the assessment has no form; and none that they made themselves is taken.
    let timeline = pipeline.look(client, pipeline.clock.now()).await?.timeline;
    if !covered::missing(&looker.cover(), &timeline).is_empty() {
        let text = "This launch's permissions do not cover what an answer would be about.";
        return Err(Error::new(IssueType::Forbidden, text));
    }
    let (id, resource) = match form.undo.as_deref().filter(|id| !id.is_empty()) {
        Some(undo) => {
            let stands = json(state, "Observation", undo).await?.filter(judgement::is_judgement);
            let own = stands.filter(|json| crate::fhir::read::client(json).as_deref() == Some(client));
            let stands = own.ok_or_else(|| Error::not_found("judgement", undo))?;
            (undo.to_owned(), judgement::undone(&stands))
        }
        None => {
            let verdict = verdict(form.verdict.as_deref().unwrap_or_default())?;
            let note: Option<String> = form.note.as_deref().map(|note| note.chars().take(NOTE_CHARS_MAX).collect());
            let flag = form.flag.as_deref().filter(|flag| !flag.is_empty());
            if flag.is_some_and(|flag| !crate::api::rest::is_id(flag)) {
                return Err(Error::new(IssueType::BusinessRule, judgements::NO_FLAG));
            }
            let covers = match verdict {
                Verdict::SafetyAcknowledged => seen(&timeline, &form.seen)?,
                _ => Vec::new(),
            };
            let performer = looker.session.as_ref().and_then(|session| launch::performer(state, session));
            let id = pipeline.clock.new_id();
            let input = judgement::JudgementInput {
                id: &id,
                client,
                flag,
                performer: performer.as_deref(),
                performer_name: looker.report.user_name.as_deref(),
                verdict,
                issued: pipeline.clock.now(),
                note: note.as_deref(),
                covers: &covers,
            };
            let resource = judgement::observation(&input);
            (id, resource)
        }
    };
    let faults: Vec<Issue> = check::check(&resource).into_iter().filter(Issue::refuses).collect();
    if !faults.is_empty() {
        return Err(faults.into());
    }
    let action = Action::Update { target: Target::Id(id), resource, if_match: None, must_be_new: false };
    let write = Write { kind: "Observation", full_url: None, prefix: String::new(), action };
    judgements::check(state, &write).await?;
    pipeline.write_by(&looker.access, vec![write]).await?;
    Ok(())
}

/// The answers that were seen, of those that the client's record has. There is one, or it would cover whatever came since.
fn seen(timeline: &Timeline, stated: &[Covered]) -> Result<Vec<Covered>> {
    let forms = timeline.administrations.iter().map(|one| &one.source);
    let known: Vec<&Source> = forms.chain(timeline.undated.iter().map(|one| &one.source)).collect();
    let covers: Vec<Covered> = stated.iter().filter(|one| known.contains(&&one.source)).cloned().collect();
    if covers.is_empty() {
        let text = "The form does not say which answers were seen. Please go back, reload and try again.";
        return Err(Error::new(IssueType::BusinessRule, text));
    }
    Ok(covers)
}

fn verdict(code: &str) -> Result<Verdict> {
    match code {
        "named-in-session" => Ok(Verdict::Named),
        "rupture-yes" => Ok(Verdict::RuptureYes),
        "rupture-no" => Ok(Verdict::RuptureNo),
        "rupture-unsure" => Ok(Verdict::RuptureUnsure),
        "safety-acknowledged" => Ok(Verdict::SafetyAcknowledged),
        _ => Err(Error::new(IssueType::Value, "Please choose one of the answers.").with_status(400)),
    }
}

/// Ties a form to this process and this client.
pub(in crate::api) fn csrf(secret: &str, client: &str) -> String {
    let digest = Sha256::new().chain_update(secret).chain_update([0]).chain_update(client).finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Compares without telling by its duration where two tokens differ.
pub(in crate::api) fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
