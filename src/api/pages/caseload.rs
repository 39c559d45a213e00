//! The day's clients.

use super::covered;
use super::judge::csrf;
use super::mine::Mine;
use super::{Looker, answer, day, looker, manner, palette_of, thresholds, turned_away};
use crate::api::{State, launch};
use crate::detection;
use crate::domain::{Course, FlagKind, Timeline};
use crate::error::{Error, Result};
use crate::fhir::outcome::IssueType;
use crate::fhir::{read, search};
use crate::view::{self, CaseloadModel, CaseloadRow};
use crate::words::{Person, covered::withheld, ui};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Clients on the caseload at most.
const CASELOAD_MAX: usize = 200;
/// Clients looked at side by side.
const PARALLEL_MAX: usize = 8;

pub(super) async fn caseload(state: web::Data<State>, http: HttpRequest) -> HttpResponse {
    let looker = match looker(&state, &http, None).await {
        Ok(looker) => looker,
        Err(error) => return turned_away(&state, &http, None, &error),
    };
    let made = async {
        if !looker.access.caseload() {
            return Err(Error::new(IssueType::Forbidden, "This launch is for one client alone."));
        }
        draw_caseload(&state, &looker).await
    };
    answer(&state, &looker.access, &http, None, made.await).await
}

/// The clients whom the asker may see, and by which rule, in words.
async fn theirs(state: &State, looker: &Looker, today: jiff::civil::Date) -> Result<(Vec<Arc<str>>, Option<String>)> {
    let clients = caseload_clients(state, today).await?;
    let (Some(session), Some(launches)) = (&looker.session, &state.smart.launches) else { return Ok((clients, None)) };
    let Some(mine) = Mine::of(state, session).await? else {
        return Err(Error::new(IssueType::Forbidden, "This launch does not show who signed in."));
    };
    let mut all = mine.clients(state).await?;
    all.extend(clients.into_iter().filter(|client| !all.contains(client)).collect::<Vec<_>>());
    let mut shown = Vec::new();
    for client in all.into_iter().filter(|client| launches.reaches(session, client)) {
        if shown.len() < CASELOAD_MAX && mine.shows(state, &client).await? {
            shown.push(client);
        }
    }
    Ok((shown, Some(ui::OF_THE_PRACTITIONER.to_owned())))
}

struct Row {
    id: Arc<str>,
    person: Person,
    timeline: Timeline,
    course: Course,
    appointment: Option<Timestamp>,
    yesterday: Option<crate::domain::Band>,
    withheld: Option<String>,
}

async fn draw_caseload(state: &State, looker: &Looker) -> Result<String> {
    let pipeline = &state.pipeline;
    let now = pipeline.clock.now();
    let today = day(state, now);
    let (clients, rule) = theirs(state, looker, today).await?;
    let cover = &looker.cover();
    let mut rows: Vec<Row> = Vec::with_capacity(clients.len());
    let mut made = futures_util::stream::iter(clients)
        .map(|id| async move {
            let mut assessed = pipeline.look(&id, now).await?;
            let missing = covered::missing(cover, &assessed.timeline);
            if !missing.is_empty() {
                assessed.timeline = covered::shown(cover, &assessed.timeline);
                assessed.course = detection::assess(&assessed.timeline, now, &pipeline.constants);
            }
            let before =
                detection::assess(&assessed.timeline, now - SignedDuration::from_hours(24), &pipeline.constants);
            let standing = assessed.timeline.slots.iter().filter(|slot| !slot.outcome.is_cancelled());
            let appointment = standing.map(|slot| slot.start).find(|start| day(state, *start) == today);
            let person = if cover.shows("Patient") { pipeline.person(&id).await? } else { Person::default() };
            Ok::<Row, Error>(Row {
                id,
                person,
                yesterday: before.open.as_ref().map(|open| open.band),
                timeline: assessed.timeline,
                course: assessed.course,
                appointment,
                withheld: (!missing.is_empty()).then(|| withheld(&missing)),
            })
        })
        .buffered(PARALLEL_MAX);
    while let Some(row) = made.next().await {
        let row = row?;
        looker.access.note_client(&row.id);
        // Whoever has ended and is not expected today is on nobody's list; but for a safety item that stands.
        let safety = row.course.episodes.iter().any(|one| one.kind == FlagKind::SafetyItem && one.closed.is_none());
        if safety || row.course.open.is_some() || row.appointment.is_some() || row.withheld.is_some() {
            rows.push(row);
        }
    }
    rows.sort_by(|a, b| {
        let next = |row: &Row| {
            let standing = row.timeline.slots.iter().filter(|slot| !slot.outcome.is_cancelled());
            standing.map(|slot| slot.start).find(|start| *start >= now)
        };
        let key = |row: &Row| (row.appointment.is_none(), row.appointment, next(row).is_none(), next(row));
        key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
    });
    let model = CaseloadModel {
        rows: rows
            .iter()
            .map(|row| CaseloadRow {
                id: &row.id,
                person: row.person.clone(),
                course: &row.course,
                timeline: Some(&row.timeline),
                appointment: row.appointment,
                withheld: row.withheld.clone(),
                band_yesterday: row.yesterday,
            })
            .collect(),
        now,
        manner: manner(state, looker),
        therapist: None,
        base_path: String::new(),
        thresholds: thresholds(state),
        rule,
        palette: palette_of(looker.session.as_ref()),
        sign_out: looker.session.as_ref().map(|session| csrf(&session.csrf(), launch::SIGN_OUT)),
    };
    Ok(view::caseload(&model))
}

/// Those with an appointment today first, then those with a safety item that stands, then others, up to the limit.
async fn caseload_clients(state: &State, today: jiff::civil::Date) -> Result<Vec<Arc<str>>> {
    let store = &state.pipeline.store;
    let context = state.pipeline.term_context();
    let mut clients: Vec<Arc<str>> = Vec::new();
    let today = today.to_string();
    let safety = FlagKind::SafetyItem.code();
    for (kind, pairs) in
        [("Appointment", vec![("date", &*today)]), ("Flag", vec![("code", safety), ("status", "active")])]
    {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let mut query = search::read(kind, &pairs, &context, true)?.query;
        query.count = CASELOAD_MAX;
        for version in store.search(&query).await?.versions {
            let about = read::clients_of(version.key.kind, version.client.as_deref(), &version.json);
            for client in about.into_iter().map(Arc::from) {
                if !clients.contains(&client) {
                    clients.push(client);
                }
            }
        }
    }
    for client in store.clients(None, CASELOAD_MAX).await? {
        if clients.len() >= CASELOAD_MAX {
            break;
        }
        if !clients.contains(&client) {
            clients.push(client);
        }
    }
    Ok(clients)
}
