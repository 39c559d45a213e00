//! The R4 definitions as tables: every element of every type, and every search parameter.
//!
//! Read from two generated text files (see `conformance/generate/README.md`) once, at first use, in a few
//! milliseconds. Lookups afterwards do not allocate. The files are part of the program: a fault in them
//! panics at first use, and the tests here use every line.

mod search;

pub use search::{SearchParameter, search_parameter, search_parameters};

use std::collections::HashMap;
use std::sync::LazyLock;

static ELEMENTS: &str = include_str!("elements.tsv");
static DEFINITIONS: LazyLock<Definitions> = LazyLock::new(|| Definitions::read(ELEMENTS));

/// A primitive datatype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Primitive {
    Base64Binary,
    Boolean,
    Canonical,
    Code,
    Date,
    DateTime,
    Decimal,
    Id,
    Instant,
    Integer,
    Markdown,
    Oid,
    PositiveInt,
    String,
    Time,
    UnsignedInt,
    Uri,
    Url,
    Uuid,
    Xhtml,
}

impl Primitive {
    /// The type's FHIR name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base64Binary => "base64Binary",
            Self::Boolean => "boolean",
            Self::Canonical => "canonical",
            Self::Code => "code",
            Self::Date => "date",
            Self::DateTime => "dateTime",
            Self::Decimal => "decimal",
            Self::Id => "id",
            Self::Instant => "instant",
            Self::Integer => "integer",
            Self::Markdown => "markdown",
            Self::Oid => "oid",
            Self::PositiveInt => "positiveInt",
            Self::String => "string",
            Self::Time => "time",
            Self::UnsignedInt => "unsignedInt",
            Self::Uri => "uri",
            Self::Url => "url",
            Self::Uuid => "uuid",
            Self::Xhtml => "xhtml",
        }
    }

    fn named(name: &str) -> Option<Self> {
        use Primitive::*;
        [
            Base64Binary,
            Boolean,
            Canonical,
            Code,
            Date,
            DateTime,
            Decimal,
            Id,
            Instant,
            Integer,
            Markdown,
            Oid,
            PositiveInt,
            String,
            Time,
            UnsignedInt,
            Uri,
            Url,
            Uuid,
            Xhtml,
        ]
        .into_iter()
        .find(|primitive| primitive.as_str() == name)
    }
}

/// What kind of thing a type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeKind {
    /// A resource that can stand alone.
    Resource,
    /// `Resource` and `DomainResource`.
    Abstract,
    /// `HumanName`, `Period` …
    Datatype,
    /// A nested element of a type, `Patient.contact`.
    Nested,
}

/// Position of a type in the table.
pub type TypeIndex = u16;

/// What a JSON property holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Primitive(Primitive),
    Complex(TypeIndex),
    /// Any resource.
    Resource,
}

/// A code system, and which of its codes a set holds; empty: all that the set has.
#[derive(Debug, PartialEq, Eq)]
pub struct CodesOf {
    pub system: &'static str,
    pub codes: Vec<&'static str>,
}

impl CodesOf {
    /// `system`, or `system#code,code`.
    fn read(text: &'static str) -> Self {
        let (system, codes) = text.split_once('#').unwrap_or((text, ""));
        Self { system, codes: codes.split(',').filter(|code| !code.is_empty()).collect() }
    }
}

/// An element of a type, as the specification lists it.
#[derive(Debug)]
pub struct Element {
    /// `birthDate`; `value[x]` for a choice of types.
    pub name: &'static str,
    pub required: bool,
    /// False: at most one.
    pub many: bool,
    pub summary: bool,
    pub modifier: bool,
    /// Takes no extensions: `id` of an element, `url` of an extension, `div`.
    pub bare: bool,
    /// Types by FHIR name; nested elements by their path, `Patient.contact`.
    pub types: Vec<&'static str>,
    /// Resource types that a Reference may point to; empty: any.
    pub targets: Vec<&'static str>,
    /// The closed list of a required binding: codes, or `system|code` for a CodeableConcept.
    pub codes: Option<&'static [&'static str]>,
    /// Of a `code` with a required binding: the systems that its codes are of, which the JSON does not repeat.
    pub systems: &'static [CodesOf],
    /// One bit per required element and per choice within a type; 0 where nobody counts.
    pub(crate) bit: u64,
}

impl Element {
    /// True for `value[x]`.
    #[must_use]
    pub fn is_choice(&self) -> bool {
        self.name.ends_with("[x]")
    }
}

/// A JSON property of a type: `birthDate`, or one of a choice, `valueQuantity`.
#[derive(Debug)]
pub struct Property {
    pub name: &'static str,
    pub shape: Shape,
    /// Position in [`Type::elements`].
    pub element: u16,
}

/// A resource type, datatype or nested element.
#[derive(Debug)]
pub struct Type {
    pub name: &'static str,
    pub kind: TypeKind,
    pub index: TypeIndex,
    /// Own and inherited elements, inherited first.
    pub elements: Vec<Element>,
    pub properties: Vec<Property>,
    /// The bits of all required elements.
    pub(crate) required: u64,
    /// Open addressing over `properties`; `EMPTY` or a position. Its length is a power of two.
    slots: Box<[u16]>,
}

const EMPTY: u16 = u16::MAX;

impl Type {
    /// The property of that JSON name, without `resourceType` and without a leading underscore.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Property> {
        let mask = self.slots.len() - 1;
        let mut slot = hash(name) & mask;
        loop {
            let found = self.slots[slot];
            if found == EMPTY {
                return None;
            }
            let property = &self.properties[usize::from(found)];
            if property.name == name {
                return Some(property);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The element that a property belongs to.
    #[must_use]
    pub fn element(&self, property: &Property) -> &Element {
        &self.elements[usize::from(property.element)]
    }

    /// The element of that name, `value[x]` for a choice.
    #[must_use]
    pub fn element_named(&self, name: &str) -> Option<&Element> {
        self.elements.iter().find(|element| element.name == name)
    }
}

/// Names are short and few; length, both ends and the middle tell nearly all of them apart.
fn hash(name: &str) -> usize {
    let bytes = name.as_bytes();
    let mut sum = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0_u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum = (sum.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    usize::try_from(sum >> 48).unwrap_or(0)
}

/// All types.
struct Definitions {
    types: Vec<Type>,
    by_name: HashMap<&'static str, TypeIndex>,
}

/// The resource type of that name; nothing for datatypes and abstract types.
#[must_use]
pub fn resource_type(name: &str) -> Option<&'static Type> {
    type_named(name).filter(|found| found.kind == TypeKind::Resource)
}

/// Any type: `Patient`, `Period`, `Patient.contact`.
#[must_use]
pub fn type_named(name: &str) -> Option<&'static Type> {
    let definitions = &*DEFINITIONS;
    definitions.by_name.get(name).map(|&index| &definitions.types[usize::from(index)])
}

/// The type at that position of the table.
///
/// # Panics
/// Where `index` did not come from this table.
#[must_use]
pub fn type_at(index: TypeIndex) -> &'static Type {
    &DEFINITIONS.types[usize::from(index)]
}

/// Every type, in the table's order; [`Type::index`] is the position here.
#[must_use]
pub fn types() -> &'static [Type] {
    &DEFINITIONS.types
}

/// A line of the file, not yet resolved.
struct RawElement {
    name: &'static str,
    cardinality: &'static str,
    flags: &'static str,
    types: &'static str,
    set: &'static str,
}

struct RawType {
    name: &'static str,
    kind: TypeKind,
    base: &'static str,
    own: Vec<RawElement>,
}

impl Definitions {
    fn read(text: &'static str) -> Self {
        let mut sets: Sets = HashMap::new();
        let mut raw: Vec<RawType> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut cells = line.split('\t');
            let mut next = || cells.next().unwrap_or_default();
            match next() {
                "V" => {
                    let key = next();
                    // Lives as long as the program, like the text it points into.
                    let codes = Vec::leak(next().split(' ').collect());
                    let systems = next().split(' ').filter(|system| !system.is_empty()).map(CodesOf::read).collect();
                    sets.insert(key, (codes, Vec::leak(systems)));
                }
                "T" => raw.push(RawType { name: next(), kind: kind(next()), base: next(), own: Vec::new() }),
                _ => {
                    let element =
                        RawElement { name: next(), cardinality: next(), flags: next(), types: next(), set: next() };
                    raw.last_mut().expect("elements.tsv starts with a type").own.push(element);
                }
            }
        }
        let by_name: HashMap<&'static str, TypeIndex> =
            (0_u16..).zip(&raw).map(|(index, raw)| (raw.name, index)).collect();
        let types = (0_u16..).zip(&raw).map(|(index, one)| build(index, one, &raw, &by_name, &sets)).collect();
        Self { types, by_name }
    }
}

fn kind(code: &str) -> TypeKind {
    match code {
        "R" => TypeKind::Resource,
        "A" => TypeKind::Abstract,
        "D" => TypeKind::Datatype,
        "B" => TypeKind::Nested,
        _ => unreachable!("elements.tsv has an unknown kind of type"),
    }
}

type Names = HashMap<&'static str, TypeIndex>;
type Sets<'a> = HashMap<&'a str, (&'static [&'static str], &'static [CodesOf])>;

fn build(index: TypeIndex, one: &RawType, raw: &[RawType], names: &Names, sets: &Sets) -> Type {
    // From the root of the inheritance down; a redefinition replaces in place.
    let mut chain = vec![one];
    while let Some(&up) = chain.last().and_then(|last| names.get(last.base)) {
        chain.push(&raw[usize::from(up)]);
    }
    let mut all: Vec<&RawElement> = Vec::new();
    for element in chain.iter().rev().flat_map(|level| &level.own) {
        match all.iter_mut().find(|earlier| earlier.name == element.name) {
            Some(earlier) => *earlier = element,
            None => all.push(element),
        }
    }
    let mut built = Type {
        name: one.name,
        kind: one.kind,
        index,
        elements: Vec::new(),
        properties: Vec::new(),
        required: 0,
        slots: Box::default(),
    };
    let mut bits = 0_u32;
    for element in all {
        push_element(&mut built, element, names, sets, &mut bits);
    }
    let mut slots = vec![EMPTY; (built.properties.len() * 2 + 1).next_power_of_two()];
    let mask = slots.len() - 1;
    for (position, property) in (0_u16..).zip(&built.properties) {
        let mut slot = hash(property.name) & mask;
        while slots[slot] != EMPTY {
            slot = (slot + 1) & mask;
        }
        slots[slot] = position;
    }
    built.slots = slots.into_boxed_slice();
    built
}

fn push_element(built: &mut Type, raw: &RawElement, names: &Names, sets: &Sets, bits: &mut u32) {
    let (min, max) = raw.cardinality.split_once("..").expect("elements.tsv: cardinality");
    assert!(max == "1" || max == "*", "elements.tsv: only 1 and * are upper bounds");
    let mut types = Vec::new();
    let mut targets = Vec::new();
    for text in raw.types.split(',') {
        let (name, inside) = text.split_once('(').unwrap_or((text, ""));
        types.push(name);
        targets.extend(inside.trim_end_matches(')').split(' ').filter(|target| !target.is_empty()));
    }
    let mut element = Element {
        name: raw.name,
        required: min != "0",
        many: max == "*",
        summary: raw.flags.contains('S'),
        modifier: raw.flags.contains('!'),
        bare: raw.flags.contains('@'),
        types,
        targets,
        codes: sets.get(raw.set).map(|(codes, _)| *codes),
        systems: sets.get(raw.set).map_or(&[], |(_, systems)| *systems),
        bit: 0,
    };
    if element.required || element.is_choice() {
        element.bit = 1_u64.checked_shl(*bits).expect("elements.tsv: more than 64 bits in a type");
        *bits += 1;
    }
    if element.required {
        built.required |= element.bit;
    }
    let position = u16::try_from(built.elements.len()).expect("elements.tsv: few elements in a type");
    for &name in &element.types {
        let property = match element.name.strip_suffix("[x]") {
            // Lives as long as the program: one short name per choice and type.
            Some(stem) => &*String::leak(format!("{stem}{}{}", name[..1].to_uppercase(), &name[1..])),
            None => element.name,
        };
        let shape = match Primitive::named(name) {
            Some(primitive) => Shape::Primitive(primitive),
            None if name == "Resource" => Shape::Resource,
            None => Shape::Complex(*names.get(name).expect("elements.tsv: a type is missing")),
        };
        built.properties.push(Property { name: property, shape, element: position });
    }
    built.elements.push(element);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_is_found_and_others_are_not() {
        assert_eq!(types().iter().filter(|t| t.kind == TypeKind::Resource).count(), 146);
        for one in types() {
            for property in &one.properties {
                let found = one.property(property.name).map(|p| p.name);
                assert_eq!(found, Some(property.name), "{}", one.name);
            }
            assert!(one.property("").is_none());
            assert!(one.property("nonsense").is_none());
        }
    }

    #[test]
    fn a_patient_as_the_specification_has_it() {
        let patient = resource_type("Patient").expect("Patient is a resource");
        let names: Vec<_> = patient.elements.iter().map(|element| element.name).collect();
        assert_eq!(names[..6], ["id", "meta", "implicitRules", "language", "text", "contained"]);
        assert!(patient.property("deceasedDateTime").is_some());
        assert!(patient.property("deceasedString").is_none());
        let gender = patient.element_named("gender").expect("Patient has a gender");
        assert_eq!(gender.codes, Some(&["female", "male", "other", "unknown"][..]));
        let link = type_named("Patient.link").expect("nested");
        assert_eq!(link.element_named("other").map(|e| e.targets.clone()), Some(vec!["Patient", "RelatedPerson"]));
        assert!(resource_type("Period").is_none());
        assert!(resource_type("DomainResource").is_none());
    }

    #[test]
    fn items_repeat_themselves() {
        let item = type_named("Questionnaire.item").expect("nested");
        let inner = item.property("item").expect("items nest");
        assert_eq!(inner.shape, Shape::Complex(item.index));
    }
}
