//! AuditEvent: who did what with whose data, in the shape of IHE's Basic Audit Log Patterns.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Longest query that is written down, bytes.
const QUERY_BYTES_MAX: usize = 2_000;

/// Who asks, as the token, the launch or the connection says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// Issuer of the token; the EHR of a launch.
    pub issuer: Option<String>,
    pub client_id: Option<String>,
    pub subject: Option<String>,
    pub fhir_user: Option<String>,
    /// Network address.
    pub address: Option<String>,
}

/// A RESTful interaction, as the trail names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interaction {
    Read,
    Vread,
    Search,
    History,
    Operation,
    Batch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Interaction {
    const fn code(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Vread => "vread",
            Self::Search => "search",
            Self::History => "history",
            Self::Operation => "operation",
            Self::Batch => "batch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// `AuditEvent.action`
    const fn action(self) -> &'static str {
        match self {
            Self::Create => "C",
            Self::Read | Self::Vread | Self::History => "R",
            Self::Update | Self::Patch => "U",
            Self::Delete => "D",
            Self::Search | Self::Operation | Self::Batch => "E",
        }
    }

    /// The pattern of IHE's that an event about a patient follows.
    const fn profile(self, patient: bool) -> Option<&'static str> {
        match (self, patient) {
            (Self::Create, true) => Some("PatientCreate"),
            (Self::Create, false) => Some("Create"),
            (Self::Read | Self::Vread, true) => Some("PatientRead"),
            (Self::Read | Self::Vread, false) => Some("Read"),
            (Self::Update | Self::Patch, true) => Some("PatientUpdate"),
            (Self::Update | Self::Patch, false) => Some("Update"),
            (Self::Delete, true) => Some("PatientDelete"),
            (Self::Delete, false) => Some("Delete"),
            (Self::Search, true) => Some("PatientQuery"),
            (Self::Search, false) => Some("Query"),
            _ => None,
        }
    }

    /// Data flows to the asker.
    const fn reads(self) -> bool {
        !matches!(self, Self::Create | Self::Update | Self::Patch | Self::Delete)
    }
}

/// One event.
#[derive(Clone, Debug)]
pub struct Audited<'a> {
    pub id: &'a str,
    pub recorded: Timestamp,
    pub interaction: Interaction,
    pub asker: &'a Asker,
    /// Logical id of the Patient it is about.
    pub client: Option<&'a str>,
    /// `Task/1` or `Task/1/_history/2`.
    pub data: Option<String>,
    /// The request, as `GET Task?patient=1`.
    pub query: Option<&'a str>,
    /// HTTP status of the answer.
    pub status: u16,
}

/// The resource.
#[must_use]
pub fn event(audited: &Audited) -> Value {
    let Audited { id, recorded, interaction, asker, client, data, query, status } = audited;
    let coding = |system: &str, code: &str, display: &str| json!({"system": system, "code": code, "display": display});
    let dicom = "http://dicom.nema.org/resources/ontology/DCM";
    let (source, destination) = (("110153", "Source Role ID"), ("110152", "Destination Role ID"));
    // A search is sent from the asker to us; what is read flows from us to the asker.
    let pulls = interaction.reads() && *interaction != Interaction::Search;
    let (theirs, ours) = if pulls { (destination, source) } else { (source, destination) };
    let mut them = json!({
        "type": {"coding": [coding(dicom, theirs.0, theirs.1)]},
        "who": {"display": asker.client_id.as_deref().unwrap_or("unknown")},
        "requestor": asker.fhir_user.is_none(),
    });
    if let Some(client_id) = &asker.client_id {
        them["who"]["identifier"] = json!({"value": client_id});
        if let Some(issuer) = asker.issuer.as_deref().filter(|text| !text.is_empty()) {
            them["who"]["identifier"]["system"] = json!(issuer);
        }
    }
    if let Some(address) = &asker.address {
        them["network"] = json!({"address": address, "type": "2"});
    }
    let us = json!({
        "type": {"coding": [coding(dicom, ours.0, ours.1)]},
        "who": {"reference": format!("Device/{}", super::write::DEVICE_ID)},
        "requestor": false,
    });
    let mut agents = vec![them, us];
    if let Some(user) = &asker.fhir_user {
        let kind = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
        // Of another server's directory, so by identifier: a reference would say it was ours.
        agents.push(json!({
            "type": {"coding": [coding(kind, "IRCP", "information recipient")]},
            "who": {"identifier": {"value": user}},
            "requestor": true,
        }));
    }
    let entity_type = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
    let role = "http://terminology.hl7.org/CodeSystem/object-role";
    let mut entities = Vec::new();
    if let Some(client) = client {
        entities.push(json!({
            "what": {"reference": format!("Patient/{client}")},
            "type": coding(entity_type, "1", "Person"),
            "role": coding(role, "1", "Patient"),
        }));
    }
    if let Some(data) = data {
        entities.push(json!({
            "what": {"reference": data},
            "type": coding(entity_type, "2", "System Object"),
            "role": coding(role, "4", "Domain Resource"),
        }));
    }
    if let Some(query) = query {
        let mut end = query.len().min(QUERY_BYTES_MAX);
        while !query.is_char_boundary(end) {
            end -= 1;
        }
        entities.push(json!({
            "type": coding(entity_type, "2", "System Object"),
            "role": coding(role, "24", "Query"),
            "query": BASE64_STANDARD.encode(&query[..end]),
        }));
    }
    let code = interaction.code();
    let mut out = json!({
        "resourceType": "AuditEvent",
        "id": id,
        "type": coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation"),
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": code, "display": code}],
        "action": interaction.action(),
        "recorded": format!("{recorded:.3}"),
        "outcome": match status { 0..400 => "0", 400..500 => "4", _ => "8" },
        "agent": agents,
        "source": {
            "observer": {"reference": format!("Device/{}", super::write::DEVICE_ID)},
            "type": [coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")],
        },
    });
    if let Some(profile) = interaction.profile(client.is_some()) {
        let url = format!("https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.{profile}");
        out["meta"] = json!({"profile": [url]});
    }
    if *status >= 400 {
        out["outcomeDesc"] = json!(format!("refused: {status}"));
    }
    if !entities.is_empty() {
        out["entity"] = json!(entities);
    }
    out
}

/// Somebody has shown who they are, and is let in: a system by its token, a person by a launch.
#[must_use]
pub fn sign_in(id: &str, recorded: Timestamp, asker: &Asker) -> Value {
    authentication(id, recorded, asker, 200)
}

/// Somebody was not let in. `why`: one of our own words or OAuth's, never what was sent.
#[must_use]
pub fn refused_sign_in(id: &str, recorded: Timestamp, asker: &Asker, status: u16, why: &'static str) -> Value {
    let mut out = authentication(id, recorded, asker, status);
    out["outcomeDesc"] = json!(format!("refused: {why}"));
    out
}

fn authentication(id: &str, recorded: Timestamp, asker: &Asker, status: u16) -> Value {
    let audited = Audited {
        id,
        recorded,
        interaction: Interaction::Operation,
        asker,
        client: None,
        data: None,
        query: None,
        status,
    };
    let mut out = event(&audited);
    let dicom = "http://dicom.nema.org/resources/ontology/DCM";
    out["type"] = json!({"system": dicom, "code": "110114", "display": "User Authentication"});
    out["subtype"] = json!([{"system": dicom, "code": "110122", "display": "Login"}]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::check;

    #[test]
    fn sign_ins_are_events_that_r4_takes() {
        let asker = Asker { client_id: Some("launch".into()), ..Asker::default() };
        let (at, mut all) = (Timestamp::UNIX_EPOCH, Vec::new());
        all.push(sign_in("a", at, &asker));
        all.push(refused_sign_in("b", at, &asker, 403, "access_denied"));
        all.push(refused_sign_in("c", at, &Asker::default(), 502, "the record system is away"));
        let outcomes: Vec<_> = all.iter().map(|event| event["outcome"].as_str().unwrap_or_default()).collect();
        assert_eq!(outcomes, ["0", "4", "8"]);
        for event in &all {
            assert_eq!(event["type"]["code"], "110114");
            let faults: Vec<_> = check::check(event).into_iter().filter(|issue| issue.refuses()).collect();
            assert!(faults.is_empty(), "{faults:?}");
        }
    }

    #[test]
    fn every_interaction_makes_an_event_that_r4_takes() {
        use Interaction::{Batch, Create, Delete, History, Operation, Patch, Read, Search, Update, Vread};
        let asker = Asker {
            issuer: Some("https://auth.example".into()),
            client_id: Some("dashboard".into()),
            subject: Some("s".into()),
            fhir_user: Some("Practitioner/1".into()),
            address: Some("127.0.0.1".into()),
        };
        for asker in [asker, Asker::default()] {
            for interaction in [Read, Vread, Search, History, Operation, Batch, Create, Update, Patch, Delete] {
                for status in [200, 403, 500] {
                    let event = event(&Audited {
                        id: "a",
                        recorded: Timestamp::UNIX_EPOCH,
                        interaction,
                        asker: &asker,
                        client: Some("p1"),
                        data: Some("Task/1".into()),
                        query: Some("GET Task?patient=p1"),
                        status,
                    });
                    let faults: Vec<_> = check::check(&event).into_iter().filter(|issue| issue.refuses()).collect();
                    assert!(faults.is_empty(), "{interaction:?}: {faults:?}");
                }
            }
        }
    }
}
