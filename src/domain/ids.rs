//! Names of the things a finding rests on.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The kind of resource an entry of the timeline came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SourceKind {
    Appointment,
    Encounter,
    EpisodeOfCare,
    Observation,
    Patient,
    QuestionnaireResponse,
    Task,
}

impl SourceKind {
    /// The resource's type name as it stands in a reference.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceKind::Appointment => "Appointment",
            SourceKind::Encounter => "Encounter",
            SourceKind::EpisodeOfCare => "EpisodeOfCare",
            SourceKind::Observation => "Observation",
            SourceKind::Patient => "Patient",
            SourceKind::QuestionnaireResponse => "QuestionnaireResponse",
            SourceKind::Task => "Task",
        }
    }
}

/// One resource by type and logical id, so that every finding can say what it rests on.
/// Ordered by type, then id (bytewise): the tie-breaker wherever two entries share an instant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    pub kind: SourceKind,
    pub id: Arc<str>,
}

impl Source {
    pub fn new(kind: SourceKind, id: impl Into<Arc<str>>) -> Self {
        Source { kind, id: id.into() }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.id)
    }
}
