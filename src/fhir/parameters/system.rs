//! The systems of codes that stand alone: `Flag.status` is a `code`, and its system follows from its binding.

use super::ParameterType;
use super::path::{Path, Step};
use crate::fhir::definitions::{CodesOf, Element, Primitive, Shape, Type, type_at, type_named};
use std::sync::LazyLock;

/// The systems of true and false, as R4 and its terminology server have them.
static BOOLEAN: LazyLock<[CodesOf; 2]> = LazyLock::new(|| {
    ["http://hl7.org/fhir/special-values", "http://terminology.hl7.org/CodeSystem/special-values"]
        .map(|system| CodesOf { system, codes: Vec::new() })
});

/// What the elements of a token parameter of `base` imply; `None` where any of them can name a system itself.
pub(super) fn implied(kind: ParameterType, base: &str, paths: &[Path]) -> Option<Vec<&'static CodesOf>> {
    if kind != ParameterType::Token {
        return None;
    }
    let mut systems = Vec::new();
    for path in paths {
        systems.extend(of_path(type_named(base)?, &path.steps)?);
    }
    Some(systems)
}

fn of_path(mut kind: &'static Type, steps: &[Step]) -> Option<Vec<&'static CodesOf>> {
    // Whether it is there: true or false.
    if matches!(steps.last(), Some(Step::Exists)) {
        return Some(BOOLEAN.iter().collect());
    }
    let mut found: Option<(&Element, Primitive)> = None;
    for step in steps {
        let name = match step {
            Step::Child(name) => *name,
            Step::Choice(name) => name.as_str(),
            Step::Target(_) | Step::System(_) | Step::Exists => continue,
        };
        let property = kind.property(name)?;
        match property.shape {
            Shape::Primitive(primitive) => found = Some((kind.element(property), primitive)),
            Shape::Complex(index) => (kind, found) = (type_at(index), None),
            Shape::Resource => return None,
        }
    }
    match found? {
        (_, Primitive::Boolean) => Some(BOOLEAN.iter().collect()),
        (element, _) => Some(element.systems.iter().collect()),
    }
}
