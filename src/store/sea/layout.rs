//! Where things are kept: the number of each resource type, and which search parameters have a column of
//! their own in `resource`. Everything else becomes rows of `term`.

use super::sql::SEPARATOR;
use crate::store::Kind;

/// Every resource type of FHIR R4, in alphabetical order. A type's number in the database is its place here,
/// counted from 1. R4 is closed; the order must never change.
const KINDS: [&str; KIND_COUNT] = [
    "Account",
    "ActivityDefinition",
    "AdverseEvent",
    "AllergyIntolerance",
    "Appointment",
    "AppointmentResponse",
    "AuditEvent",
    "Basic",
    "Binary",
    "BiologicallyDerivedProduct",
    "BodyStructure",
    "Bundle",
    "CapabilityStatement",
    "CarePlan",
    "CareTeam",
    "CatalogEntry",
    "ChargeItem",
    "ChargeItemDefinition",
    "Claim",
    "ClaimResponse",
    "ClinicalImpression",
    "CodeSystem",
    "Communication",
    "CommunicationRequest",
    "CompartmentDefinition",
    "Composition",
    "ConceptMap",
    "Condition",
    "Consent",
    "Contract",
    "Coverage",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "DetectedIssue",
    "Device",
    "DeviceDefinition",
    "DeviceMetric",
    "DeviceRequest",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "EffectEvidenceSynthesis",
    "Encounter",
    "Endpoint",
    "EnrollmentRequest",
    "EnrollmentResponse",
    "EpisodeOfCare",
    "EventDefinition",
    "Evidence",
    "EvidenceVariable",
    "ExampleScenario",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Flag",
    "Goal",
    "GraphDefinition",
    "Group",
    "GuidanceResponse",
    "HealthcareService",
    "ImagingStudy",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "ImplementationGuide",
    "InsurancePlan",
    "Invoice",
    "Library",
    "Linkage",
    "List",
    "Location",
    "Measure",
    "MeasureReport",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationKnowledge",
    "MedicationRequest",
    "MedicationStatement",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "MessageDefinition",
    "MessageHeader",
    "MolecularSequence",
    "NamingSystem",
    "NutritionOrder",
    "Observation",
    "ObservationDefinition",
    "OperationDefinition",
    "OperationOutcome",
    "Organization",
    "OrganizationAffiliation",
    "Parameters",
    "Patient",
    "PaymentNotice",
    "PaymentReconciliation",
    "Person",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RelatedPerson",
    "RequestGroup",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "ResearchStudy",
    "ResearchSubject",
    "RiskAssessment",
    "RiskEvidenceSynthesis",
    "Schedule",
    "SearchParameter",
    "ServiceRequest",
    "Slot",
    "Specimen",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Subscription",
    "Substance",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
    "SupplyDelivery",
    "SupplyRequest",
    "Task",
    "TerminologyCapabilities",
    "TestReport",
    "TestScript",
    "ValueSet",
    "VerificationResult",
    "VisionPrescription",
];
const KIND_COUNT: usize = 146;

/// The type's number in the database; 0, which no row has, for a name that is no R4 resource type.
pub(super) fn kind_code(kind: &str) -> i16 {
    KINDS.binary_search(&kind).map_or(0, |place| place as i16 + 1)
}

pub(super) fn kind_name(code: i16) -> Option<Kind> {
    usize::try_from(code).ok().and_then(|code| code.checked_sub(1)).and_then(|place| KINDS.get(place)).copied()
}

/// The only type whose superseded facts are evidence (a session that was moved, and when).
pub(super) const KIND_WITH_PAST_EVENTS: &str = "Appointment";

/// The only type whose resources can belong to several clients, who then have rows in `sharer`.
pub(super) const KIND_SHARED: &str = "Appointment";

/// How a search parameter of a type is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Column `status`: elements that can hold one `code` alone. Their system follows from the element, so that
    /// only the code is kept and compared.
    Status,
    /// Columns `date_from` and `date_to`: the type's one main date. Several values (a Timing) become the
    /// interval from the first to the last, as FHIR has it.
    Date,
    /// A reference that names the resource's own client is a bit in column `held`; any other is a term.
    Client(i16),
    Term,
    /// Found by the terms of other parameters (and its own, where it is one of them): see [`answering`].
    Shared(&'static [&'static str]),
}

/// The table of columns. Types that come in great numbers, or that the page asks for, have their main date and
/// status here.
pub(super) fn place(kind: &str, param: &str) -> Place {
    match (kind, param) {
        (_, "patient") => Place::Client(1),
        (_, "subject") => Place::Client(2),
        (
            "Appointment"
            | "Communication"
            | "Encounter"
            | "EpisodeOfCare"
            | "Flag"
            | "Observation"
            | "QuestionnaireResponse"
            | "Task",
            "status",
        ) => Place::Status,
        ("Appointment" | "Encounter" | "EpisodeOfCare" | "Flag" | "Observation", "date")
        | ("QuestionnaireResponse", "authored")
        | ("Task", "authored-on")
        | ("Communication", "sent")
        | ("AuditEvent", "date")
        | ("Provenance", "recorded") => Place::Date,
        ("Observation", param) => answering(param).map_or(Place::Term, Place::Shared),
        _ => Place::Term,
    }
}

/// Parameters of Observation whose terms answer for this one. A pair keeps its code as a code is kept and its
/// quantity as a quantity is, so that it is both; and what R4 calls combo- is what the whole or a component has.
/// Findings have many components: each is one row, not six.
fn answering(param: &str) -> Option<&'static [&'static str]> {
    const CODED: &[&str] = &["code", "component-code", "component-code-value-concept", "component-code-value-quantity"];
    const VALUED: &[&str] =
        &["component-value-quantity", "component-code-value-quantity", "value-quantity", "code-value-quantity"];
    Some(match param {
        "combo-code" => CODED,
        "component-code" => &CODED[1..],
        "combo-value-quantity" => VALUED,
        "component-value-quantity" => &VALUED[..2],
        "value-quantity" => &VALUED[2..],
        "combo-value-concept" => &["value-concept", "component-value-concept"],
        "combo-data-absent-reason" => &["data-absent-reason", "component-data-absent-reason"],
        "combo-code-value-concept" => &["code-value-concept", "component-code-value-concept"],
        "combo-code-value-quantity" => &["code-value-quantity", "component-code-value-quantity"],
        _ => return None,
    })
}

/// Numbers of the parameters whose terms answer for this one; first its own, if it has terms of its own.
pub(super) fn param_codes(kind: &str, param: &str) -> Vec<i32> {
    match place(kind, param) {
        Place::Shared(params) => params.iter().map(|param| param_code(kind, param)).collect(),
        _ => vec![param_code(kind, param)],
    }
}

/// A search parameter's number: FNV-1a over "Type.param". Two that meet within one type would be confused; a
/// test walks all of R4's.
pub(super) fn param_code(kind: &str, param: &str) -> i32 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in kind.bytes().chain([b'.']).chain(param.bytes()) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash as i32
}

/// No date: smaller than every date, so that it sorts like one (-2^62).
pub(super) const NO_DATE: i64 = -(1 << 62);

/// A pair of texts as one, the more selective first: code and system, id and type.
pub(super) fn pair(first: &str, second: &str) -> String {
    let mut text = String::with_capacity(first.len() + second.len() + 1);
    text.extend(first.chars().filter(|c| *c != SEPARATOR && *c != '\0'));
    text.push(SEPARATOR);
    text.extend(second.chars().filter(|c| *c != SEPARATOR && *c != '\0'));
    text
}

/// `Patient/1` as (id, type); None for anything that is not relative, type and id.
pub(super) fn relative(reference: &str) -> Option<(&str, &str)> {
    let (kind, id) = reference.split_once('/')?;
    (kind_code(kind) != 0 && !id.is_empty() && !id.contains('/')).then_some((id, kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn kinds_are_sorted_and_numbered_both_ways() {
        assert!(KINDS.is_sorted());
        for kind in KINDS {
            assert_eq!(kind_name(kind_code(kind)), Some(kind));
        }
        assert_eq!(kind_code("Nothing"), 0);
        assert_eq!(kind_name(0), None);
        assert_eq!(kind_name(-1), None);
        assert_eq!(kind_code("Appointment"), 5);
        assert_eq!(kind_code("VisionPrescription"), 146);
    }

    #[test]
    fn no_two_search_parameters_of_r4_share_a_number() {
        let mut seen = HashMap::new();
        for line in include_str!("../../fhir/definitions/search.tsv").lines() {
            let mut fields = line.split('\t');
            if let (Some(kind), Some(param)) = (fields.next(), fields.next()) {
                let other = seen.insert(param_code(kind, param), (kind, param));
                assert!(other.is_none_or(|other| other == (kind, param)), "{kind}.{param} meets {other:?}");
            }
        }
    }

    #[test]
    fn only_type_and_id_are_relative() {
        assert_eq!(relative("Patient/1"), Some(("1", "Patient")));
        assert_eq!(relative("urn:uuid:1"), None);
        assert_eq!(relative("http://x/Patient/1"), None);
        assert_eq!(relative("Patient/"), None);
    }
}
