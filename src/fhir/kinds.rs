//! The resource types this server keeps, and whose they are to write.

/// Who may write a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Anyone who is let in: what comes from EHRs and integration engines.
    Others,
    /// Tautline alone; judgements (Observation) excepted.
    Ours,
}

/// One row of the table that routes, searches and describes the server.
#[derive(Debug)]
pub struct KindRow {
    pub name: &'static str,
    pub writer: Writer,
    /// The timeline reads it: a fact is kept beside it and its client is assessed again.
    pub timeline: bool,
}

/// Every type that is kept. The CapabilityStatement, the router and the search are made from it.
pub const KINDS: &[KindRow] = &[
    row("Appointment", Writer::Others, true),
    row("AuditEvent", Writer::Ours, false),
    row("CareTeam", Writer::Others, false),
    row("Device", Writer::Ours, false),
    row("Encounter", Writer::Others, true),
    row("EpisodeOfCare", Writer::Others, true),
    row("Flag", Writer::Ours, false),
    row("Group", Writer::Others, false),
    row("Observation", Writer::Ours, true),
    row("Organization", Writer::Others, false),
    row("Patient", Writer::Others, true),
    row("Practitioner", Writer::Others, false),
    row("PractitionerRole", Writer::Others, false),
    row("Provenance", Writer::Ours, false),
    row("Questionnaire", Writer::Others, true),
    row("QuestionnaireResponse", Writer::Others, true),
    row("Task", Writer::Others, true),
];

const fn row(name: &'static str, writer: Writer, timeline: bool) -> KindRow {
    KindRow { name, writer, timeline }
}

/// The row of a type, `None` for one that is not kept.
#[must_use]
pub fn kind(name: &str) -> Option<&'static KindRow> {
    KINDS.binary_search_by(|row| row.name.cmp(name)).ok().map(|at| &KINDS[at])
}

/// Types whose resources belong to a patient: R4's compartment, and `Task.for`. The others are everyone's. A Group names
/// many patients and belongs to none of them: who may see one patient alone sees no Group.
#[must_use]
pub fn in_compartment(kind: &str) -> bool {
    !matches!(kind, "Device" | "Organization" | "Practitioner" | "PractitionerRole" | "Questionnaire")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_it_can_be_searched() {
        assert!(KINDS.is_sorted_by(|a, b| a.name < b.name));
        assert_eq!(kind("Task").map(|row| row.writer), Some(Writer::Others));
        assert!(kind("Medication").is_none());
    }
}
