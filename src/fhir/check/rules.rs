//! R4's invariants, by their own keys, for the datatypes and for the resources we take. One function per
//! type, found by the type's place in the table; each sees an object whose elements have been walked.
//!
//! A rule looks only at what it can read: where an element has a fault of its own, the rule stays silent.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::Value;

use super::path::At;
use super::primitive::is_after;
use super::walk::{Checker, Object};
use super::{bundle, questionnaire};
use crate::fhir::definitions::{TypeIndex, type_named, types};
use crate::fhir::outcome::IssueType;

pub(super) type Rule = for<'v> fn(&mut Checker<'v>, &'v Object, &At);

/// Type by type. A name that the table lacks would be silent; a test looks for that.
const RULES: &[(&str, Rule)] = &[
    ("Age", age),
    ("Appointment", appointment),
    ("Appointment.participant", appointment_participant),
    ("Attachment", attachment),
    ("Bundle", bundle::bundle),
    ("Bundle.entry", bundle::entry),
    ("CareTeam.participant", care_team_participant),
    ("ContactPoint", contact_point),
    ("Count", count),
    ("DataRequirement.codeFilter", data_filter),
    ("DataRequirement.dateFilter", data_filter),
    ("Distance", distance),
    ("Duration", duration),
    ("Expression", expression),
    ("Extension", extension),
    ("Observation", observation),
    ("Observation.referenceRange", reference_range),
    ("Organization", organization),
    ("Parameters.parameter", parameter),
    ("Patient.contact", patient_contact),
    ("Period", period),
    ("Quantity", quantity),
    ("Questionnaire", questionnaire::questionnaire),
    ("Questionnaire.item", questionnaire::item),
    ("Questionnaire.item.enableWhen", questionnaire::enable_when),
    ("QuestionnaireResponse.item", questionnaire::response_item),
    ("Range", range),
    ("Ratio", ratio),
    ("Task", task),
    ("Timing.repeat", timing_repeat),
    ("TriggerDefinition", trigger_definition),
];

static BY_TYPE: LazyLock<Vec<Option<Rule>>> = LazyLock::new(|| {
    let mut table = vec![None; types().len()];
    for (name, rule) in RULES {
        if let Some(found) = type_named(name) {
            table[usize::from(found.index)] = Some(*rule);
        }
    }
    table
});

pub(super) fn of(index: TypeIndex) -> Option<Rule> {
    BY_TYPE.get(usize::from(index)).copied().flatten()
}

/// True where the element is there, as a value or as an underscore sibling; `name` may be a choice's stem.
pub(super) fn has(object: &Object, name: &str) -> bool {
    // Objects are small: a scan beats two hashes, and allocates nothing.
    object.keys().any(|key| key == name || key.strip_prefix('_') == Some(name))
}

/// True where some type of the choice is there: `value` for `valueString`, `_valueDate` …
pub(super) fn has_choice(object: &Object, stem: &str) -> bool {
    object.keys().any(|name| {
        let name = name.strip_prefix('_').unwrap_or(name);
        name.strip_prefix(stem).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    })
}

pub(super) fn text<'v>(object: &'v Object, name: &str) -> Option<&'v str> {
    object.get(name).and_then(Value::as_str)
}

pub(super) fn list<'v>(object: &'v Object, name: &str) -> &'v [Value] {
    object.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn require(checker: &mut Checker, holds: bool, at: &At, rule: &str) {
    if !holds {
        checker.fault(IssueType::Invariant, at, rule);
    }
}

fn number(object: &Object, name: &str) -> Option<f64> {
    object.get(name).and_then(Value::as_number).and_then(serde_json::Number::as_f64)
}

// --- datatypes ---

fn extension<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let rule = "ext-1: An extension must have either a value[x] or extensions of its own, not both.";
    require(checker, object.contains_key("extension") != has_choice(object, "value"), at, rule);
}

fn period<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    if let (Some(start), Some(end)) = (text(object, "start"), text(object, "end")) {
        require(checker, !is_after(start, end), at, "per-1: The start must not be after the end.");
    }
}

fn quantity<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let holds = !has(object, "code") || has(object, "system");
    require(checker, holds, at, "qty-3: If a code for the unit is present, the system must be present.");
}

const UCUM: &str = "http://unitsofmeasure.org";

/// A code with every value, and no system but UCUM: shared by age-1, cnt-3 and dis-1.
fn ucum_unit(object: &Object) -> bool {
    (has(object, "code") || !has(object, "value")) && text(object, "system").is_none_or(|system| system == UCUM)
}

fn age<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    quantity(checker, object, at);
    let positive = number(object, "value").is_none_or(|value| value > 0.0);
    let rule = "age-1: An age needs a positive value with a UCUM code of time.";
    require(checker, ucum_unit(object) && positive, at, rule);
}

fn count<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    quantity(checker, object, at);
    let one = text(object, "code").is_none_or(|code| code == "1");
    let whole = number(object, "value").is_none_or(|value| value.fract() == 0.0);
    let rule = "cnt-3: A count needs a whole value with the UCUM code 1.";
    require(checker, ucum_unit(object) && one && whole, at, rule);
}

fn distance<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    quantity(checker, object, at);
    require(checker, ucum_unit(object), at, "dis-1: A distance needs a UCUM code of length.");
}

fn duration<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    quantity(checker, object, at);
    let ucum = text(object, "system") == Some(UCUM) && has(object, "value");
    let rule = "drt-1: A duration with a code needs a value and the system UCUM.";
    require(checker, !has(object, "code") || ucum, at, rule);
}

fn range<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let end = |name| object.get(name).and_then(Value::as_object);
    if let (Some(low), Some(high)) = (end("low"), end("high"))
        && low.get("code") == high.get("code")
        && let (Some(low), Some(high)) = (number(low, "value"), number(high, "value"))
    {
        require(checker, low <= high, at, "rng-2: The low value must not be above the high one.");
    }
}

fn ratio<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let (top, bottom) = (has(object, "numerator"), has(object, "denominator"));
    let holds = top == bottom && (top || has(object, "extension"));
    let rule = "rat-1: Numerator and denominator must both be present, or neither and an extension.";
    require(checker, holds, at, rule);
}

fn attachment<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let holds = !has(object, "data") || has(object, "contentType");
    require(checker, holds, at, "att-1: An attachment with data must have a contentType.");
}

fn contact_point<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let holds = !has(object, "value") || has(object, "system");
    require(checker, holds, at, "cpt-2: A system is required if a value is given.");
}

fn expression<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let holds = has(object, "expression") || has(object, "reference");
    require(checker, holds, at, "exp-1: An expression or a reference must be provided.");
}

fn data_filter<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let holds = has(object, "path") != has(object, "searchParam");
    require(checker, holds, at, "drq-1, drq-2: Either a path or a searchParam must be provided, but not both.");
}

fn trigger_definition<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let (data, timing) = (has(object, "data"), has_choice(object, "timing"));
    require(checker, !data || !timing, at, "trd-1: Either timing, or a data requirement, but not both.");
    require(checker, data || !has(object, "condition"), at, "trd-2: A condition only with a data requirement.");
    let holds = match text(object, "type") {
        Some("named-event") => has(object, "name"),
        Some("periodic") => timing,
        Some(kind) if kind.starts_with("data-") => data,
        _ => true,
    };
    let rule = "trd-3: A named event needs a name, a periodic one timing, a data event data.";
    require(checker, holds, at, rule);
}

fn timing_repeat<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let needs = [
        ("duration", "durationUnit", "tim-1: A duration needs a durationUnit."),
        ("period", "periodUnit", "tim-2: A period needs a periodUnit."),
        ("periodMax", "period", "tim-6: A periodMax needs a period."),
        ("durationMax", "duration", "tim-7: A durationMax needs a duration."),
        ("countMax", "count", "tim-8: A countMax needs a count."),
    ];
    for (given, needed, rule) in needs {
        require(checker, !has(object, given) || has(object, needed), at, rule);
    }
    for (name, rule) in
        [("duration", "tim-4: A duration must not be negative."), ("period", "tim-5: A period must not be negative.")]
    {
        require(checker, number(object, name).is_none_or(|value| value >= 0.0), at, rule);
    }
    let meal = list(object, "when").iter().any(|when| matches!(when.as_str(), Some("C" | "CM" | "CD" | "CV")));
    let holds = !has(object, "offset") || (has(object, "when") && !meal);
    require(checker, holds, at, "tim-9: An offset needs a when, and not C, CM, CD or CV.");
    let holds = !has(object, "timeOfDay") || !has(object, "when");
    require(checker, holds, at, "tim-10: Either timeOfDay or when, not both.");
}

// --- resources ---

fn appointment<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let (start, end) = (has(object, "start"), has(object, "end"));
    require(checker, start == end, at, "app-2: Either start and end are given, or neither.");
    if let Some(status) = text(object, "status") {
        let timeless = matches!(status, "proposed" | "cancelled" | "waitlist");
        let rule = "app-3: Only a proposed, cancelled or waitlisted appointment may lack start and end.";
        require(checker, timeless || (start && end), at, rule);
        let ended = matches!(status, "noshow" | "cancelled");
        let rule = "app-4: A cancelation reason is only for an appointment that is cancelled or a no-show.";
        require(checker, ended || !has(object, "cancelationReason"), at, rule);
    }
}

fn appointment_participant<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let holds = has(object, "type") || has(object, "actor");
    require(checker, holds, at, "app-1: A participant needs a type or an actor.");
}

fn care_team_participant<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    // Where the member's type cannot be read from its reference, the rule says nothing.
    let member = object.get("member").and_then(|member| member.get("reference")).and_then(Value::as_str);
    let other = member.is_some_and(|member| {
        ["CareTeam/", "Organization/", "Patient/", "PractitionerRole/", "RelatedPerson/"]
            .iter()
            .any(|kind| member.starts_with(kind))
    });
    let rule = "ctm-1: onBehalfOf is only for a participant who is a Practitioner.";
    require(checker, !other || !has(object, "onBehalfOf"), at, rule);
}

fn observation<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let value = has_choice(object, "value");
    let rule = "obs-6: dataAbsentReason is only for an observation without a value.";
    require(checker, !value || !has(object, "dataAbsentReason"), at, rule);
    if !value {
        return;
    }
    let own: HashSet<_> = object.get("code").into_iter().flat_map(codings).collect();
    let repeated = list(object, "component")
        .iter()
        .filter_map(|component| component.get("code"))
        .flat_map(codings)
        .any(|coding| own.contains(&coding));
    let rule = "obs-7: With a value, no component may have the observation's own code.";
    require(checker, !repeated, at, rule);
}

/// System and code of each coding of a CodeableConcept.
fn codings(concept: &Value) -> impl Iterator<Item = (&str, &str)> {
    let list = concept.get("coding").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|coding| {
        let text = |name| coding.get(name).and_then(Value::as_str);
        Some((text("system")?, text("code")?))
    })
}

fn reference_range<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let holds = ["low", "high", "text"].iter().any(|name| has(object, name));
    require(checker, holds, at, "obs-3: A reference range needs a low, a high or a text.");
}

fn organization<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let holds = has(object, "identifier") || has(object, "name");
    require(checker, holds, at, "org-1: An organization needs a name or an identifier.");
    for (name, rule) in [
        ("address", "org-2: An address of an organization is never of use home."),
        ("telecom", "org-3: A telecom of an organization is never of use home."),
    ] {
        let field = at.field(name);
        for (position, one) in list(object, name).iter().enumerate() {
            let home = one.get("use").and_then(Value::as_str) == Some("home");
            require(checker, !home, &field.index(position), rule);
        }
    }
}

fn parameter<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let kinds = [has_choice(object, "value"), has(object, "resource"), has(object, "part")];
    let holds = kinds.iter().filter(|&&given| given).count() == 1;
    require(checker, holds, at, "inv-1: A parameter must have one and only one of value[x], resource and part.");
}

fn patient_contact<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let holds = ["name", "telecom", "address", "organization"].iter().any(|name| has(object, name));
    let rule = "pat-1: A contact needs a name, telecom, address or organization.";
    require(checker, holds, at, rule);
}

fn task<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    if let (Some(authored), Some(modified)) = (text(object, "authoredOn"), text(object, "lastModified")) {
        let rule = "inv-1: lastModified must not be before authoredOn.";
        require(checker, !is_after(authored, modified), at, rule);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_for_a_type_that_exists() {
        for (name, _) in RULES {
            assert!(type_named(name).is_some_and(|found| of(found.index).is_some()), "{name}");
        }
    }
}
