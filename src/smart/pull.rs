//! Data by launch: what an EHR that pushes nothing holds of the launch's patient, read with the launch's token and
//! made ours. Bounded in pages, size and time; what is not about that patient is left out.

use super::ehr::{Ehr, is_id};
use super::fetch::{DOCUMENT_BYTES_MAX, FetchError};
use super::scope::{Right, grants};
use super::session::{Progress, Session};
use crate::fhir::kinds::kind;
use crate::fhir::person::{best_name, display_name};
use crate::fhir::read;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pages of one type.
const PAGES_MAX: usize = 50;
/// Resources of one launch.
const RESOURCES_MAX: usize = 10_000;
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
const PAGE_COUNT: usize = 200;
/// The whole of it.
const READ_SECONDS_MAX: u64 = 90;

/// Types that are read, beside the Patient.
pub const KINDS: &[&str] = &["Appointment", "CareTeam", "Encounter", "EpisodeOfCare", "QuestionnaireResponse", "Task"];

/// Without these a page would state an absence that is none.
const NEEDED: &[&str] = &["Appointment", "QuestionnaireResponse", "Task"];

/// What was read.
#[derive(Default)]
pub struct Found {
    pub resources: Vec<(&'static str, Value)>,
    /// Types that were read to the end: what is not among them is not there any more.
    pub whole: Vec<&'static str>,
}

/// What has become of something that a search does not show any more.
#[derive(Debug)]
pub enum Missing {
    /// It is not there any more, as far as this patient's launch is told.
    Gone,
    /// It is there, under our id, and not about this patient any more.
    Elsewhere(Value),
    /// There it is, under our id: the search shows less than there is.
    There(Value),
    /// The EHR does not say.
    Unsaid,
}

/// Asks for one resource by the EHR's own id.
pub async fn look_for(ehr: &Ehr, session: &Session, name: &'static str, id: &str) -> Missing {
    if !may(&session.scope)(name, Right::Read) || !is_id(id) {
        return Missing::Unsaid;
    }
    let url = format!("{}/{name}/{id}", ehr.iss);
    match ehr.fetcher.get(&url, Some(&session.token), PAGE_BYTES_MAX).await {
        Ok(found) if found.get("resourceType").and_then(Value::as_str) == Some(name) => {
            let ours = renamed(ehr, name, &found).filter(|_| found.get("id").and_then(Value::as_str) == Some(id));
            match (ours, session.patient.as_deref()) {
                (Some(ours), Some(patient)) if is_about(&ours, patient) => Missing::There(ours),
                (Some(ours), _) => Missing::Elsewhere(ours),
                (None, _) => Missing::Unsaid,
            }
        }
        Err(FetchError::Status(404 | 410, _)) => Missing::Gone,
        _ => Missing::Unsaid,
    }
}

fn may(scope: &str) -> impl Fn(&str, Right) -> bool {
    let granted = grants(scope);
    move |kind, right| granted.iter().any(|grant| grant.covers(kind) && grant.has(right))
}

/// Everything the token lets us read of the patient, renamed. What cannot be had is left out, and said in
/// `progress`.
pub async fn read_all(ehr: &Ehr, session: &Session, progress: &Progress) -> Found {
    let mut found = Found::default();
    let reading = read_into(&mut found, ehr, session, progress);
    if tokio::time::timeout(Duration::from_secs(READ_SECONDS_MAX), reading).await.is_err() {
        tracing::warn!("a record system took too long");
    }
    let may = may(&session.scope);
    for kind in KINDS.iter().filter(|kind| !found.whole.contains(kind)) {
        if NEEDED.contains(kind) || may(kind, Right::Search) {
            progress.note_unread(kind);
        }
    }
    found
}

async fn read_into(found: &mut Found, ehr: &Ehr, session: &Session, progress: &Progress) {
    let (Some(remote), Some(local)) = (&session.remote_patient, &session.patient) else { return };
    let Found { resources: out, whole } = found;
    let may = may(&session.scope);
    let mut take = |kind: &'static str, resource: &Value| {
        let ours = renamed(ehr, kind, resource).filter(|ours| is_about(ours, local));
        match ours {
            Some(ours) => {
                progress.read.fetch_add(1, Ordering::Relaxed);
                out.push((kind, ours));
            }
            // Without an id, or not about the patient as far as it says.
            None => progress.note_unread(kind),
        }
        out.len() < RESOURCES_MAX
    };
    let failed = |error: FetchError| {
        tracing::warn!(%error, "a record system could not be read to the end");
        if matches!(error, FetchError::Status(401, _)) {
            progress.refused.store(true, Ordering::Release);
        }
    };
    if may("Patient", Right::Read) {
        let url = format!("{}/Patient/{remote}", ehr.iss);
        match ehr.fetcher.get(&url, Some(&session.token), PAGE_BYTES_MAX).await {
            Ok(patient) => drop(take("Patient", &patient)),
            Err(error) => {
                progress.note_unread("Patient");
                failed(error);
            }
        }
    }
    if let Some(encounter) = session.moment.encounter.as_deref().filter(|_| may("Encounter", Right::Read)) {
        let url = format!("{}/Encounter/{encounter}", ehr.iss);
        match ehr.fetcher.get(&url, Some(&session.token), PAGE_BYTES_MAX).await {
            Ok(encounter) => drop(take("Encounter", &encounter)),
            Err(error) => {
                progress.note_unread("Encounter");
                failed(error);
            }
        }
    }
    name_user(ehr, session, progress).await;
    for name in KINDS.iter().filter(|name| may(name, Right::Search)) {
        let Some(row) = kind(name) else { continue };
        let mut url = Some(format!("{}/{name}?patient={remote}&_count={PAGE_COUNT}", ehr.iss));
        let mut read_whole = true;
        for _ in 0..PAGES_MAX {
            let Some(at) = url.take() else { break };
            let bundle = match ehr.fetcher.get(&at, Some(&session.token), PAGE_BYTES_MAX).await {
                Ok(bundle) => bundle,
                Err(error) => {
                    // The other types may still be had.
                    failed(error);
                    read_whole = false;
                    break;
                }
            };
            // Whatever else came with a 200 does not say that nothing is there.
            if bundle.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
                failed(FetchError::NotJson);
                read_whole = false;
                break;
            }
            let entries = bundle.get("entry").and_then(Value::as_array).into_iter().flatten();
            for resource in entries.filter_map(|entry| entry.get("resource")) {
                let right = resource.get("resourceType").and_then(Value::as_str) == Some(row.name);
                if right && !take(row.name, resource) {
                    return failed(FetchError::TooLong);
                }
            }
            let links = bundle.get("link").and_then(Value::as_array).into_iter().flatten();
            let next = links
                .filter(|link| link.get("relation").and_then(Value::as_str) == Some("next"))
                .find_map(|link| link.get("url").and_then(Value::as_str));
            url = next.and_then(|next| follow(ehr, next));
            // A next page elsewhere is not followed, nor are more than so many.
            read_whole = next.is_none();
        }
        if read_whole {
            whole.push(row.name);
        }
    }
}

/// Who signed in, by name: `fhirUser` may be read by the scope of that name. Without an answer there is no name.
async fn name_user(ehr: &Ehr, session: &Session, progress: &Progress) {
    let Some(user) = session.fhir_user.as_deref().filter(|_| progress.user_name.get().is_none()) else { return };
    let local = user.strip_prefix(&ehr.iss).map_or(user, |rest| rest.trim_start_matches('/'));
    let Some(id) = local.strip_prefix("Practitioner/").filter(|id| is_id(id)) else { return };
    let url = format!("{}/Practitioner/{id}", ehr.iss);
    let Ok(found) = ehr.fetcher.get(&url, Some(&session.token), DOCUMENT_BYTES_MAX).await else { return };
    if let Some(name) = best_name(&found).map(display_name).filter(|name| !name.is_empty()) {
        let _ = progress.user_name.set(name);
    }
}

/// A link to the next page, if it stays at the EHR: our token goes nowhere else.
fn follow(ehr: &Ehr, next: &str) -> Option<String> {
    let base = ehr.fetcher.allowed(&format!("{}/", ehr.iss)).ok()?;
    let joined = base.join(next).ok()?;
    (joined.origin() == base.origin()).then(|| joined.to_string())
}

fn is_about(resource: &Value, patient: &str) -> bool {
    read::clients(resource).iter().any(|client| **client == *patient)
}

/// The EHR's id of something that was renamed.
#[must_use]
pub fn remote_id(ehr: &Ehr, kind: &str, ours: &Value) -> Option<String> {
    let place = format!("{}/{kind}", ehr.iss);
    let source =
        ours.get("meta").and_then(|meta| meta.get("source")?.as_str()?.strip_prefix(&place)?.strip_prefix('/'));
    let identifiers = match ours.get("identifier") {
        Some(Value::Array(all)) => all.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let named = identifiers.iter().find(|one| one.get("system").and_then(Value::as_str) == Some(&place));
    let id = source.or_else(|| named?.get("value")?.as_str())?;
    let own = ours.get("id").and_then(Value::as_str);
    (own == Some(&ehr.local_id(kind, id))).then(|| id.to_owned())
}

/// The resource under our id, its references to its neighbours ours too, the original in `identifier`.
fn renamed(ehr: &Ehr, kind: &str, resource: &Value) -> Option<Value> {
    let id = resource.get("id").and_then(Value::as_str)?.to_owned();
    let mut ours = resource.clone();
    rename_references(ehr, &mut ours);
    let object = ours.as_object_mut()?;
    object.insert("id".into(), json!(ehr.local_id(kind, &id)));
    if !ehr.pushes {
        let original = json!({"system": format!("{}/{kind}", ehr.iss), "value": id});
        if kind == "QuestionnaireResponse" {
            // It has room for one; its own comes first, and ours is where it came from.
            if object.contains_key("identifier") {
                let meta = object.entry("meta").or_insert_with(|| json!({}));
                meta["source"] = json!(format!("{}/{kind}/{id}", ehr.iss));
            } else {
                object.insert("identifier".into(), original);
            }
        } else if let Some(all) = object.entry("identifier").or_insert_with(|| json!([])).as_array_mut() {
            all.push(original);
        }
    }
    Some(ours)
}

fn rename_references(ehr: &Ehr, value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(text) if key == "reference" => {
                        if let Some(ours) = reference(ehr, text) {
                            *text = ours;
                        }
                    }
                    _ => rename_references(ehr, value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename_references(ehr, item)),
        _ => {}
    }
}

fn reference(ehr: &Ehr, text: &str) -> Option<String> {
    let local = text.strip_prefix(&ehr.iss).map_or(text, |rest| rest.trim_start_matches('/'));
    let local = local.split("/_history/").next().unwrap_or(local);
    let (kind, id) = local.split_once('/')?;
    let plain = kind.bytes().all(|byte| byte.is_ascii_alphabetic()) && !id.contains(['/', ':', '?', '#']);
    plain.then(|| format!("{kind}/{}", ehr.local_id(kind, id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn ehr(iss: &str) -> Ehr {
        Ehr::new(&config::Ehr {
            iss: iss.into(),
            client_id: "tautline".into(),
            client_secret_file: None,
            private_key_file: None,
            key_id: None,
            scope: "launch".into(),
            frame_ancestors: Vec::new(),
            write_flags: false,
            system_scope: None,
            pushes: false,
            allow_insecure: false,
        })
        .expect("an EHR")
    }

    #[test]
    fn two_ehrs_never_collide_and_the_original_is_kept() {
        let (one, two) = (ehr("https://one.example/fhir"), ehr("https://two.example/fhir"));
        let task = json!({"resourceType": "Task", "id": "1", "for": {"reference": "https://one.example/fhir/Patient/7/_history/2"},
            "owner": {"reference": "Patient/7"}, "focus": {"reference": "#x"}, "basedOn": [{"reference": "https://else.example/Patient/7"}]});
        let ours = renamed(&one, "Task", &task).expect("renamed");
        let patient = one.local_id("Patient", "7");
        assert_eq!(ours["for"]["reference"], format!("Patient/{patient}"));
        assert_eq!(ours["owner"]["reference"], ours["for"]["reference"]);
        assert_eq!(ours["focus"]["reference"], "#x");
        assert_eq!(ours["basedOn"][0]["reference"], "https://else.example/Patient/7");
        assert_eq!(ours["identifier"][0], json!({"system": "https://one.example/fhir/Task", "value": "1"}));
        assert_ne!(one.local_id("Task", "1"), two.local_id("Task", "1"));
        assert!(one.local_id("Task", "1").len() <= 64);
        for (kind, more) in [
            ("Task", json!({})),
            ("QuestionnaireResponse", json!({})),
            ("QuestionnaireResponse", json!({"identifier": {"system": "urn:x", "value": "own"}})),
        ] {
            let mut resource = json!({"resourceType": kind, "id": "7"});
            resource.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            let ours = renamed(&one, kind, &resource).expect("renamed");
            assert_eq!(remote_id(&one, kind, &ours).as_deref(), Some("7"), "{ours}");
            assert_eq!(remote_id(&two, kind, &ours), None);
        }
    }

    #[test]
    fn pages_are_followed_at_the_ehr_alone() {
        let ehr = ehr("https://one.example/fhir");
        assert!(follow(&ehr, "https://one.example/fhir?page=2").is_some());
        assert!(follow(&ehr, "Task?page=2").is_some());
        for url in [
            "https://evil.example/fhir?page=2",
            "http://one.example/fhir?page=2",
            "https://one.example:444/",
            "file:///x",
        ] {
            assert_eq!(follow(&ehr, url), None, "{url}");
        }
    }
}
