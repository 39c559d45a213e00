//! Our Flags in the EHR's own list (`write_flags`): created once, kept in step, closed with ours.
//!
//! A Flag there is known by the identifier (our FHIR base + `/Flag`, our id); no other is touched. What the EHR has
//! added to it stays; one that was closed there stays closed; a change that came between (If-Match) goes first.

use super::ehr::Ehr;
use super::fetch::{FetchError, Writing};
use super::scope::{Right, grants};
use serde_json::{Value, json};

const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What became of one Flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Created,
    Updated,
    /// It stands there so already; or it closed before it was ever there.
    Same,
    /// Somebody has closed it there: that stands.
    Theirs,
    /// The token's scope does not let us.
    NotAllowed,
}

/// By whose leave we write, and of whom.
pub struct Pen {
    pub token: String,
    pub scope: String,
    /// The EHR's id of the patient.
    pub patient: String,
}

impl std::fmt::Debug for Pen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a pen")
    }
}

/// Brings the EHR's copy of one Flag of ours in step. `base`: our FHIR base; `reopened`: we had closed it before.
///
/// # Errors
/// The EHR refuses, or is away.
pub async fn keep(ehr: &Ehr, pen: &Pen, base: &str, flag: &Value, reopened: bool) -> Result<Kept, FetchError> {
    let granted = grants(&pen.scope);
    let may = |right| granted.iter().any(|grant| grant.covers("Flag") && grant.has(right) && grant.filter.is_empty());
    let patient = pen.patient.as_str();
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
        let found = ehr.fetcher.get(&search, Some(&pen.token), ANSWER_BYTES_MAX).await?;
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
        let answer = ehr.fetcher.write(Writing::Create { if_none_exist: &criteria }, &url, &pen.token, &wanted).await?;
        created = true;
        stands = Some(answer).filter(|answer| is_of(answer, &wanted));
    }
    let Some(stands) = stands else { return Ok(if created { Kept::Created } else { Kept::Same }) };
    if holds(&stands, &wanted) {
        return Ok(if created { Kept::Created } else { Kept::Same });
    }
    if active && stands.get("status").and_then(Value::as_str) != Some("active") && !reopened {
        return Ok(Kept::Theirs);
    }
    if !may(Right::Update) {
        return Ok(Kept::NotAllowed);
    }
    let Some(remote) = stands.get("id").and_then(Value::as_str).filter(|id| super::ehr::is_id(id)) else {
        return Err(FetchError::NotJson);
    };
    let version = stands.get("meta").and_then(|meta| meta.get("versionId")?.as_str());
    let tag = version.filter(|version| super::ehr::is_id(version)).map(|version| format!("W/\"{version}\""));
    let url = format!("{url}/{remote}");
    let mut changed = stands.clone();
    for (key, value) in wanted.as_object().into_iter().flatten() {
        // Their identifiers stay beside ours.
        if key != "identifier" {
            changed[key] = value.clone();
        }
    }
    ehr.fetcher.write(Writing::Update { if_match: tag.as_deref() }, &url, &pen.token, &changed).await?;
    Ok(Kept::Updated)
}

/// Whether `theirs` says all that `ours` says; it may say more.
fn holds(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            ours.iter().all(|(key, value)| theirs.get(key).is_some_and(|their| holds(their, value)))
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            ours.iter().all(|own| theirs.iter().any(|their| holds(their, own)))
        }
        (theirs, ours) => theirs == ours,
    }
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
