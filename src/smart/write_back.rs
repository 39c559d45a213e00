//! Our Flags in the EHR's own list (`write_flags`): created once, kept in step, closed with ours.
//!
//! A Flag there is known by the identifier (our FHIR base + `/Flag`, our id); no other is touched. Whatever the EHR
//! refuses is said in the log and tried again at the next occasion: the page does not depend on it.

use super::ehr::Ehr;
use super::fetch::FetchError;
use super::scope::{Right, grants};
use super::session::Session;
use serde_json::{Value, json};

const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What became of one Flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Created,
    Updated,
    /// It stands there so already; or it closed before it was ever there.
    Same,
    /// The token's scope does not let us.
    NotAllowed,
}

/// Brings the EHR's copy of one Flag of ours in step. `base`: our FHIR base.
///
/// # Errors
/// The EHR refuses, or is away.
pub async fn keep(ehr: &Ehr, session: &Session, base: &str, flag: &Value) -> Result<Kept, FetchError> {
    let granted = grants(&session.scope);
    let may = |right| granted.iter().any(|grant| grant.covers("Flag") && grant.has(right) && grant.filter.is_empty());
    let Some(patient) = session.remote_patient.as_deref() else { return Ok(Kept::NotAllowed) };
    let (Some(wanted), Some(id)) = (theirs(flag, patient, base), flag.get("id").and_then(Value::as_str)) else {
        return Ok(Kept::Same);
    };
    let criteria: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("identifier", &format!("{base}/Flag|{id}"))
        .finish();
    let url = format!("{}/Flag", ehr.iss);
    let mut stands = None;
    if may(Right::Search) {
        let search = format!("{url}?patient={patient}&{criteria}");
        let found = ehr.fetcher.get(&search, Some(&session.token), ANSWER_BYTES_MAX).await?;
        let entries = found.get("entry").and_then(Value::as_array).into_iter().flatten();
        stands = entries.filter_map(|entry| entry.get("resource")).find(|one| is_of(one, &wanted)).cloned();
    }
    let active = wanted["status"] == "active";
    let mut created = false;
    if stands.is_none() && active {
        if !may(Right::Create) {
            return Ok(Kept::NotAllowed);
        }
        // Where it stands already (a search was not allowed), it comes back as it is.
        let answer = ehr.fetcher.write(false, &url, &session.token, &wanted, Some(&criteria)).await?;
        created = true;
        stands = Some(answer).filter(|answer| is_of(answer, &wanted));
    }
    let Some(stands) = stands else { return Ok(if created { Kept::Created } else { Kept::Same }) };
    if wanted.as_object().into_iter().flatten().all(|(key, value)| stands.get(key) == Some(value)) {
        return Ok(if created { Kept::Created } else { Kept::Same });
    }
    if !may(Right::Update) {
        return Ok(Kept::NotAllowed);
    }
    let Some(remote) = stands.get("id").and_then(Value::as_str).filter(|id| super::ehr::is_id(id)) else {
        return Err(FetchError::NotJson);
    };
    let mut changed = wanted;
    changed["id"] = json!(remote);
    ehr.fetcher.write(true, &format!("{url}/{remote}"), &session.token, &changed, None).await?;
    Ok(Kept::Updated)
}

fn is_of(theirs: &Value, wanted: &Value) -> bool {
    let all = theirs.get("identifier").and_then(Value::as_array).into_iter().flatten();
    theirs.get("resourceType") == wanted.get("resourceType")
        && all
            .into_iter()
            .any(|one| ["system", "value"].iter().all(|key| one.get(key) == wanted["identifier"][0].get(key)))
}

/// Our Flag as the EHR may keep it: about its own patient, our references as URLs, nothing of ours it would have
/// to resolve.
fn theirs(flag: &Value, patient: &str, base: &str) -> Option<Value> {
    let id = flag.get("id")?.as_str()?;
    let mut out = json!({
        "resourceType": "Flag",
        "identifier": [{"system": format!("{base}/Flag"), "value": id}],
        "status": flag.get("status")?,
    });
    for key in ["category", "code", "period"] {
        if let Some(value) = flag.get(key) {
            out[key] = value.clone();
        }
    }
    out["subject"] = json!({"reference": format!("Patient/{patient}")});
    out["author"] = json!({"display": "Tautline"});
    let details = flag.get("extension").and_then(Value::as_array).into_iter().flatten();
    let details: Vec<Value> = details
        .filter_map(|one| {
            let reference = one.get("valueReference")?.get("reference")?.as_str()?;
            Some(json!({"url": one.get("url")?, "valueReference": {"reference": format!("{base}/{reference}")}}))
        })
        .collect();
    if !details.is_empty() {
        out["extension"] = json!(details);
    }
    Some(out)
}
