//! The page before the session.

use super::covered;
use super::judge::{csrf, secret};
use super::{Looker, answer, json, looker, manner, palette_of, reading, refusal, thresholds, turned_away};
use crate::api::{State, flags, judgements, launch};
use crate::detection;
use crate::domain::{Course, FlagKind, SourceKind, Timeline};
use crate::error::{Error, Result};
use crate::fhir::outcome::IssueType;
use crate::fhir::person::{best_name, display_name};
use crate::fhir::time;
use crate::fhir::write::{flag_id, flag_provenance_id};
use crate::pipeline::MODEL;
use crate::smart::cover::{self, Cover};
use crate::smart::session::Session;
use crate::store::{Key, Query};
use crate::view::{self, PageModel, Published, Said, Withheld};
use crate::words::{At, Person, Record, covered as words};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// Judgements that the page gets, the last ones; it shows fewer.
const SAID_MAX: usize = 20;

#[derive(Deserialize)]
pub(super) struct Look {
    #[serde(rename = "asOf")]
    as_of: Option<String>,
}

pub(super) async fn page(
    state: web::Data<State>,
    http: HttpRequest,
    id: web::Path<String>,
    look: web::Query<Look>,
) -> HttpResponse {
    let looker = match looker(&state, &http, Some(&id)).await {
        Ok(looker) => looker,
        Err(error) => return turned_away(&state, &http, Some(&id), &error),
    };
    if let Some(wait) = reading(&state, &http, &looker).await {
        return wait;
    }
    if looker.report.refused {
        return refusal(&state, &launch::ended());
    }
    if let Some(session) = looker.session.clone() {
        flags::keep_in_step(&state, session);
    }
    let made = async {
        looker.access.page(&id)?;
        looker.access.note_client(&id);
        draw_page(&state, &looker, &id, look.as_of.as_deref()).await
    };
    answer(&state, &looker.access, &http, Some(&id), made.await).await
}

async fn draw_page(state: &State, looker: &Looker, id: &str, as_of: Option<&str>) -> Result<String> {
    let pipeline = &state.pipeline;
    let now = pipeline.clock.now();
    // A form sends an empty field where nothing was chosen.
    let asked = as_of.map(str::trim).filter(|text| !text.is_empty());
    let as_of = match asked {
        None => now,
        Some(text) => time::instant(&text.replace(' ', "+"), &pipeline.zone).ok_or_else(|| {
            Error::new(IssueType::Value, "The day to look back to has to be a date.").with_status(400)
        })?,
    };
    if !crate::api::rest::is_id(id) {
        return Err(Error::not_found("client", id));
    }
    let assessed = pipeline.look(id, as_of).await?;
    let key = Key { kind: "Patient", id: id.into() };
    let known = pipeline.store.read(&key).await?.is_some_and(|version| !version.deleted);
    if !known && assessed.timeline == Timeline::default() {
        return Err(Error::new(IssueType::NotFound, "There is no such client."));
    }
    let cover = looker.cover();
    let missing = covered::missing(&cover, &assessed.timeline);
    let person = if cover.shows("Patient") { pipeline.person(id).await? } else { Person::default() };
    let unread = crate::words::unread(&looker.report.unread.iter().map(String::as_str).collect::<Vec<_>>());
    let bare = PageModel {
        id,
        person,
        course: &assessed.course,
        timeline: &assessed.timeline,
        now,
        looking_back: asked.is_some(),
        manner: manner(state, looker),
        therapist: match cover.shows("Appointment") {
            true => therapist(state, &assessed.timeline, now).await?,
            false => None,
        },
        treatment: None,
        session_number: None,
        sessions_planned: None,
        published: Vec::new(),
        judgements: Vec::new(),
        csrf: None,
        base_path: String::new(),
        caseload_link: looker.access.caseload(),
        model_version: MODEL.to_owned(),
        thresholds: thresholds(state),
        banner: !looker.session.as_ref().is_some_and(|session| session.moment.no_banner),
        session_at: match asked {
            None if cover.shows("Appointment") => {
                session_at(state, looker.session.as_ref(), &assessed.timeline).await?
            }
            _ => None,
        },
        palette: palette_of(looker.session.as_ref()),
        sign_out: looker.session.as_ref().map(|session| csrf(&session.csrf(), launch::SIGN_OUT)),
        unread,
    };
    if !missing.is_empty() {
        let timeline = covered::shown(&cover, &assessed.timeline);
        let course = detection::assess(&timeline, as_of, &pipeline.constants);
        let withheld = withheld(&cover, missing, &assessed.course);
        return Ok(view::part(&PageModel { course: &course, timeline: &timeline, ..bare }, &withheld));
    }
    let published = published(state, id, &assessed.course).await?;
    let unnamed = (!cover.shows("Patient")).then(words::unnamed);
    Ok(view::page(&PageModel {
        treatment: match cover.shows("EpisodeOfCare") {
            true => treatment(state, id).await?,
            false => None,
        },
        judgements: said(state, &assessed.timeline, &assessed.course, &published, as_of).await?,
        published,
        csrf: Some(csrf(&secret(state, looker.session.as_ref()), id)),
        unread: match (bare.unread.clone(), unnamed) {
            (Some(unread), Some(unnamed)) => Some(format!("{unread} {unnamed}")),
            (unread, unnamed) => unread.or(unnamed),
        },
        ..bare
    }))
}

/// What is not shown, and our Flags that stand where the launch covers them.
fn withheld(cover: &Cover, kinds: Vec<&'static str>, course: &Course) -> Withheld {
    let record = Record::new(course, At::Open, None);
    let each = [FlagKind::SafetyItem, FlagKind::EngagementDrop, FlagKind::NotOnTrack];
    let flags = cover.shows("Flag").then(|| each.into_iter().filter(|kind| record.active(*kind).is_some()).collect());
    Withheld { kinds, shown: cover::KINDS.into_iter().filter(|kind| cover.shows(kind)).collect(), flags }
}

/// The start of the appointment that the EHR says is now: named by the launch, or the encounter's.
async fn session_at(state: &State, session: Option<&Session>, timeline: &Timeline) -> Result<Option<Timestamp>> {
    let Some(session) = session else { return Ok(None) };
    let ehr = state.smart.launches.as_ref().and_then(|launches| launches.ehrs.get(session.ehr));
    let Some(ehr) = ehr else { return Ok(None) };
    let mut appointment = session.moment.appointment.as_deref().map(|id| ehr.local_id("Appointment", id));
    if let (None, Some(encounter)) = (&appointment, session.moment.encounter.as_deref()) {
        let encounter = json(state, "Encounter", &ehr.local_id("Encounter", encounter)).await?;
        let named = encounter.as_ref().and_then(|one| one.get("appointment")?.get(0)?.get("reference")?.as_str());
        appointment = named.and_then(|named| named.rsplit('/').next()).map(str::to_owned);
    }
    let slot = timeline.slots.iter().find(|slot| Some(&*slot.source.id) == appointment.as_deref());
    Ok(slot.map(|slot| slot.start))
}

/// When each Flag was first published: the first `Provenance.recorded`, which is never rewritten.
async fn published(state: &State, client: &str, course: &Course) -> Result<Vec<Published>> {
    let mut out = Vec::with_capacity(course.episodes.len());
    for (index, episode) in course.episodes.iter().enumerate() {
        let id = flag_provenance_id(client, episode.kind, &episode.key);
        let stored = state.pipeline.store.read(&Key { kind: "Provenance", id: id.into() }).await?;
        let first =
            stored.and_then(|version| serde_json::from_str::<Value>(&version.json).ok()).and_then(|provenance| {
                provenance.get("recorded").and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok())
            });
        out.push(Published { episode: index, flag_id: flag_id(client, episode.kind, &episode.key), first });
    }
    Ok(out)
}

async fn said(
    state: &State,
    timeline: &Timeline,
    course: &Course,
    published: &[Published],
    as_of: Timestamp,
) -> Result<Vec<Said>> {
    let about = |flag: Option<&str>| {
        published.iter().find(|one| Some(one.flag_id.as_str()) == flag).map(|one| course.episodes[one.episode].kind)
    };
    let ours = timeline.judgements.iter().filter(|one| one.source.kind == SourceKind::Observation);
    let known: Vec<_> = ours.filter(|one| one.known <= as_of).collect();
    let mut out = Vec::with_capacity(known.len());
    for judgement in &known[known.len().saturating_sub(SAID_MAX)..] {
        let stored = json(state, "Observation", &judgement.source.id).await?;
        out.push(Said {
            id: judgement.source.id.to_string(),
            at: judgement.known,
            verdict: judgement.verdict,
            about: about(judgement.flag.as_deref()),
            note: judgement.note.clone(),
            by: match &stored {
                Some(observation) => judgements::by(state, observation).await?,
                None => None,
            },
        });
    }
    Ok(out)
}

/// The practitioner of the next appointment, else of the last.
async fn therapist(state: &State, timeline: &Timeline, now: Timestamp) -> Result<Option<String>> {
    let next = timeline.slots.iter().find(|slot| slot.start >= now).or(timeline.slots.last());
    let Some(slot) = next else { return Ok(None) };
    let Some(appointment) = json(state, "Appointment", &slot.source.id).await? else { return Ok(None) };
    let actors = appointment.get("participant").and_then(Value::as_array).into_iter().flatten();
    let Some(actor) = actors.filter_map(|participant| participant.get("actor")).find(|actor| {
        actor.get("reference").and_then(Value::as_str).is_some_and(|text| text.contains("Practitioner/"))
    }) else {
        return Ok(None);
    };
    if let Some(display) = actor.get("display").and_then(Value::as_str) {
        return Ok(Some(display.to_owned()));
    }
    let id =
        actor.get("reference").and_then(Value::as_str).and_then(|text| text.rsplit('/').next()).unwrap_or_default();
    let practitioner = json(state, "Practitioner", id).await?;
    Ok(practitioner.as_ref().and_then(best_name).map(display_name).filter(|name| !name.is_empty()))
}

/// The words of the episode of care, where there is one.
async fn treatment(state: &State, client: &str) -> Result<Option<String>> {
    let query = Query { kind: "EpisodeOfCare", client: Some(client.into()), count: 5, ..Query::default() };
    let page = state.pipeline.store.search(&query).await?;
    Ok(page.versions.iter().find_map(|version| {
        let episode: Value = serde_json::from_str(&version.json).ok()?;
        let kind = episode.get("type")?.get(0)?;
        let text = kind.get("text").or_else(|| kind.get("coding")?.get(0)?.get("display"))?;
        text.as_str().map(str::to_owned)
    }))
}
