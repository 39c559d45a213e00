//! Appointment.

use super::ReadContext;
use super::json::{codings, each, id, text};
use crate::domain::fact::{Appointment, AppointmentState};
use serde_json::Value;

/// `client`: of several clients, the one whose coming late it is.
pub fn read(resource: &Value, client: Option<&str>, context: &ReadContext) -> Appointment {
    let reason = reason(resource, "cancelationReason");
    let patient = each(resource, "participant").find(|participant| {
        client.is_some() && participant.get("actor").and_then(|actor| id(actor, "Patient")) == client
    });
    let came = patient.and_then(|participant| context.to_the_minute(participant.get("period")?.get("start")));
    let state = match text(resource, "status").unwrap_or_default() {
        "booked" => AppointmentState::Booked,
        "arrived" | "checked-in" | "fulfilled" => AppointmentState::Kept,
        "noshow" => AppointmentState::NoShow,
        "cancelled" => match reason {
            Some(By::Client) => AppointmentState::CancelledByClient,
            Some(By::Nobody) => AppointmentState::CancelledByService,
            None => AppointmentState::CancelledUnattributed,
        },
        "entered-in-error" => AppointmentState::Void,
        _ => AppointmentState::NotYet,
    };
    // A group's session is held without who declined: "will not participate", R4 participationstatus.
    let declined = came.is_none() && patient.and_then(|patient| text(patient, "status")) == Some("declined");
    let state = match state {
        AppointmentState::Booked | AppointmentState::Kept if declined => AppointmentState::CancelledByClient,
        state => state,
    };
    Appointment {
        state,
        start: context.at(resource.get("start")),
        end: context.at(resource.get("end")),
        created: context.at(resource.get("created")),
        came,
        unhappy_or_changed_provider: codings(resource, "cancelationReason")
            .any(|coding| ours(coding) == Some("pat-ucp")),
    }
}

/// Whose doing a cancellation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Client,
    /// The clinician's, the service's, or a reason that is never evidence.
    Nobody,
}

/// By the codes of the standard value set alone. Where codings disagree, it is no evidence.
pub fn reason(resource: &Value, key: &str) -> Option<By> {
    let said: Vec<By> = codings(resource, key).filter_map(ours).filter_map(by).collect();
    if said.contains(&By::Nobody) { Some(By::Nobody) } else { said.first().copied() }
}

fn by(code: &str) -> Option<By> {
    match code {
        "pat" | "pat-crs" | "pat-cpp" | "pat-fb" | "pat-lt" | "pat-ucp" => Some(By::Client),
        "pat-dec" | "pat-mt" | "pat-mv" | "pat-preg" | "pat-swl" | "maint" | "meds-inc" => Some(By::Nobody),
        _ if code.starts_with("prov") || code.starts_with("oth") => Some(By::Nobody),
        _ => None,
    }
}

const SYSTEMS: [&str; 2] = [
    "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason",
    "http://hl7.org/fhir/appointment-cancellation-reason",
];

/// The code, where its system is the standard one or is not said.
fn ours(coding: &Value) -> Option<&str> {
    let known = text(coding, "system").is_none_or(|system| SYSTEMS.contains(&system));
    text(coding, "code").filter(|_| known)
}
