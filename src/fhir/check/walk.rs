//! The walk: one resource against the table of R4 elements, every fault noted.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::path::{At, SHOWN_CHARS_MAX, shown};
use super::{DEPTH_MAX, ISSUES_MAX, primitive, reference, rules};
use crate::fhir::definitions::{self, Element, Primitive, Property, Shape, Type, TypeKind, resource_type, type_at};
use crate::fhir::outcome::{Issue, IssueType};

pub(super) type Object = Map<String, Value>;

/// What one outermost resource shares with those it contains.
#[derive(Default)]
pub(super) struct Scope<'v> {
    /// Contained resources by id, with their type.
    pub(super) contained: HashMap<&'v str, &'v str>,
    /// Ids that are pointed at as `#id`.
    pointed: Vec<&'v str>,
    /// Now inside a contained resource.
    inside: bool,
    /// The contained resource of now points at its container.
    points_out: bool,
}

#[derive(Default)]
pub(super) struct Checker<'v> {
    issues: Vec<Issue>,
    more: bool,
    pub(super) scope: Scope<'v>,
    /// A reference may be `Type?query`.
    pub(super) conditional: bool,
    /// Leave `Bundle.entry.resource` to the caller.
    pub(super) shell: bool,
}

impl<'v> Checker<'v> {
    pub(super) fn run(mut self, resource: &'v Value, root: &str) -> Vec<Issue> {
        self.resource(resource, &At::root(root), 0);
        if self.more {
            let text = format!("There are more than {ISSUES_MAX} faults; the others are not listed.");
            self.issues.push(Issue::error(IssueType::TooCostly, text));
        }
        self.issues
    }

    pub(super) fn fault(&mut self, code: IssueType, at: &At, diagnostics: impl Into<String>) {
        if self.issues.len() >= ISSUES_MAX {
            self.more = true;
            return;
        }
        self.issues.push(Issue::error(code, diagnostics).at(at.to_string()));
    }

    /// A resource of its own, or one inside a Bundle or Parameters: `#` means what it contains itself.
    fn resource(&mut self, value: &'v Value, at: &At, depth: usize) {
        let Some((object, kind)) = self.typed(value, at, depth) else {
            return;
        };
        let mut contained = HashMap::new();
        let list = object.get("contained").and_then(Value::as_array);
        for (position, inner) in list.into_iter().flatten().enumerate() {
            let text = |name| inner.get(name).and_then(Value::as_str);
            let Some(id) = text("id") else { continue };
            if contained.insert(id, text("resourceType").unwrap_or_default()).is_some() {
                let field = at.field("contained");
                let rule = "Each contained resource needs an id of its own.";
                self.fault(IssueType::Invariant, &field.index(position), rule);
            }
        }
        let scope = Scope { contained, ..Scope::default() };
        let outer = std::mem::replace(&mut self.scope, scope);
        self.object(object, kind, at, depth, false);
        self.all_pointed_at(object, at);
        self.scope = outer;
    }

    /// dom-3, second half: what is contained is pointed at from somewhere.
    fn all_pointed_at(&mut self, object: &'v Object, at: &At) {
        if self.scope.contained.is_empty() {
            return;
        }
        let mut unseen = std::mem::take(&mut self.scope.contained);
        for id in &self.scope.pointed {
            unseen.remove(id);
        }
        let field = at.field("contained");
        let list = object.get("contained").and_then(Value::as_array);
        for (position, inner) in list.into_iter().flatten().enumerate() {
            if inner.get("id").and_then(Value::as_str).is_some_and(|id| unseen.contains_key(id)) {
                let text = "dom-3: A contained resource must be referred to, as `#` and its id, or refer to `#`.";
                self.fault(IssueType::Invariant, &field.index(position), text);
            }
        }
    }

    fn contained(&mut self, value: &'v Value, at: &At, depth: usize) {
        let Some((object, kind)) = self.typed(value, at, depth) else {
            return;
        };
        if self.scope.inside {
            self.fault(IssueType::Invariant, at, "dom-2: A contained resource must not contain resources.");
            return;
        }
        let id = object.get("id").and_then(Value::as_str);
        if id.is_none() {
            self.fault(IssueType::Required, &at.field("id"), "A contained resource needs an id.");
        }
        if let Some(meta) = object.get("meta").and_then(Value::as_object) {
            let meta_at = at.field("meta");
            if meta.contains_key("versionId") || meta.contains_key("lastUpdated") {
                let text = "dom-4: A contained resource must not have meta.versionId or meta.lastUpdated.";
                self.fault(IssueType::Invariant, &meta_at, text);
            }
            if meta.contains_key("security") {
                let text = "dom-5: A contained resource must not have meta.security.";
                self.fault(IssueType::Invariant, &meta_at, text);
            }
        }
        self.scope.inside = true;
        self.scope.points_out = false;
        self.object(object, kind, at, depth, false);
        self.scope.inside = false;
        if self.scope.points_out
            && let Some(id) = id
        {
            self.scope.pointed.push(id);
        }
    }

    /// The object and its type, where it is a resource that R4 knows.
    fn typed(&mut self, value: &'v Value, at: &At, depth: usize) -> Option<(&'v Object, &'static Type)> {
        let Some(object) = value.as_object() else {
            self.fault(IssueType::Structure, at, "Expected a resource: a JSON object with a resourceType.");
            return None;
        };
        if depth >= DEPTH_MAX {
            self.too_deep(at);
            return None;
        }
        match object.get("resourceType") {
            Some(Value::String(name)) => {
                let found = resource_type(name);
                if found.is_none() {
                    self.fault(IssueType::Structure, at, "The resourceType is not one of FHIR R4.");
                }
                found.map(|kind| (object, kind))
            }
            Some(_) => {
                self.fault(IssueType::Structure, at, "The resourceType must be a JSON string.");
                None
            }
            None => {
                self.fault(IssueType::Structure, at, "The resourceType is missing.");
                None
            }
        }
    }

    fn too_deep(&mut self, at: &At) {
        self.fault(IssueType::Structure, at, format!("Nested deeper than {DEPTH_MAX} levels."));
    }

    /// Any object of a known type. `has_value`: it stands beside the value of a primitive.
    fn object(&mut self, object: &'v Object, kind: &'static Type, at: &At, depth: usize, has_value: bool) {
        if depth >= DEPTH_MAX {
            return self.too_deep(at);
        }
        let is_resource = kind.kind == TypeKind::Resource;
        let mut seen = 0_u64;
        let mut only_id = true;
        for (name, value) in object {
            if self.more {
                return;
            }
            let plain = name.strip_prefix('_');
            if is_resource && name == "resourceType" {
                continue;
            }
            let Some(property) = kind.property(plain.unwrap_or(name)) else {
                self.unknown(kind, name, at);
                only_id = false;
                continue;
            };
            let element = kind.element(property);
            only_id &= property.name == "id";
            if element.bit != 0 {
                if seen & element.bit != 0 && element.is_choice() {
                    self.one_of_a_choice(object, kind, property, at);
                }
                seen |= element.bit;
            }
            let here = at.field(name);
            if plain.is_some() {
                self.sibling(object, property, element, value, &here, depth);
            } else {
                self.property(object, property, element, value, &here, depth);
            }
        }
        if only_id && !has_value && !is_resource {
            self.fault(IssueType::Invariant, at, "ele-1: An element must have a value or children, not be empty.");
        }
        let missing = kind.required & !seen;
        if missing != 0 {
            self.missing(kind, missing, at);
        }
        if let Some(rule) = rules::of(kind.index) {
            rule(self, object, at);
        }
    }

    fn unknown(&mut self, kind: &Type, name: &str, at: &At) {
        let owner = kind.name;
        let text = if name == "resourceType" {
            format!("Only a resource has a resourceType; this is {owner}.")
        } else {
            format!("`{}` is not an element of {owner} in FHIR R4.", shown(name))
        };
        // The place names the stranger where its name can stand in a FHIRPath at all.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.len() <= SHOWN_CHARS_MAX && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
            self.fault(IssueType::Structure, &at.field(name), text);
        } else {
            self.fault(IssueType::Structure, at, text);
        }
    }

    fn missing(&mut self, kind: &Type, missing: u64, at: &At) {
        for element in kind.elements.iter().filter(|element| element.bit & missing != 0) {
            let stem = element.name.trim_end_matches("[x]");
            let text = format!("`{}` is required in {}.", element.name, kind.name);
            self.fault(IssueType::Required, &at.field(stem), text);
        }
    }

    /// A second property of a choice: sound only as the underscore sibling of the first.
    fn one_of_a_choice(&mut self, object: &Object, kind: &Type, property: &Property, at: &At) {
        let others = object.keys().any(|name| {
            kind.property(name.strip_prefix('_').unwrap_or(name))
                .is_some_and(|other| other.element == property.element && other.name != property.name)
        });
        if others {
            let text = format!("Only one of the choice `{}` may be given.", kind.element(property).name);
            self.fault(IssueType::Structure, &at.field(property.name), text);
        }
    }

    fn property(
        &mut self,
        owner: &'v Object,
        property: &'static Property,
        element: &'static Element,
        value: &'v Value,
        at: &At,
        depth: usize,
    ) {
        match value {
            Value::Array(_) if !element.many => {
                let text = format!("`{}` holds a single value here, not an array.", property.name);
                self.fault(IssueType::Structure, at, text);
            }
            Value::Array(list) if list.is_empty() => {
                self.fault(IssueType::Structure, at, "An array must not be empty: leave the element out.");
            }
            Value::Array(list) => {
                for (position, one) in list.iter().enumerate() {
                    if self.more {
                        return;
                    }
                    let here = at.index(position);
                    if one.is_null() && matches!(property.shape, Shape::Primitive(_)) {
                        self.gap(owner, property, position, &here);
                    } else {
                        self.value(property, element, one, &here, depth + 2);
                    }
                }
            }
            _ if element.many => {
                let text = format!("`{}` is a list: expected a JSON array.", property.name);
                self.fault(IssueType::Structure, at, text);
            }
            Value::Null => {
                self.fault(IssueType::Structure, at, "null is no value: leave the element out.");
            }
            _ => self.value(property, element, value, at, depth + 1),
        }
    }

    /// A null in a list of primitives keeps the place of one that has only extensions.
    fn gap(&mut self, owner: &Object, property: &Property, position: usize, at: &At) {
        let filled = owner
            .get(&format!("_{}", property.name))
            .and_then(|list| list.get(position))
            .is_some_and(|sibling| !sibling.is_null());
        if !filled {
            let text = format!("null is allowed only where `_{}` has an extension in its place.", property.name);
            self.fault(IssueType::Structure, at, text);
        }
    }

    fn value(
        &mut self,
        property: &'static Property,
        element: &'static Element,
        value: &'v Value,
        at: &At,
        depth: usize,
    ) {
        match property.shape {
            Shape::Primitive(kind) => {
                if let Err(fault) = primitive::check(kind, value) {
                    self.fault(fault.code, at, fault.expected);
                } else if let Value::String(text) = value {
                    self.text(kind, element, text, at);
                }
            }
            Shape::Complex(index) => {
                let kind = type_at(index);
                let Some(object) = value.as_object() else {
                    let text = format!("Expected a JSON object ({}).", kind.name);
                    return self.fault(IssueType::Structure, at, text);
                };
                self.object(object, kind, at, depth, false);
                if kind.name == "Reference" {
                    reference::check(self, object, element, at);
                }
                if let Some(codes) = element.codes
                    && kind.name == "CodeableConcept"
                {
                    self.coded(object, codes, at);
                }
            }
            Shape::Resource if element.name == "contained" => self.contained(value, at, depth),
            Shape::Resource if self.shell => {}
            Shape::Resource => self.resource(value, at, depth),
        }
    }

    fn text(&mut self, kind: Primitive, element: &Element, text: &'v str, at: &At) {
        if let Some(codes) = element.codes
            && codes.binary_search(&text).is_err()
        {
            self.fault(IssueType::CodeInvalid, at, one_of(codes));
        }
        let pointer = matches!(kind, Primitive::Uri | Primitive::Url | Primitive::Canonical);
        if pointer && let Some(id) = text.strip_prefix('#') {
            self.point(id);
            if kind == Primitive::Canonical && !id.is_empty() && !self.scope.contained.contains_key(id) {
                self.fault(IssueType::Value, at, "`#` and an id must name a contained resource.");
            }
        }
    }

    /// Notes a pointer to a contained resource, or from one to its container.
    pub(super) fn point(&mut self, id: &'v str) {
        if id.is_empty() {
            self.scope.points_out = true;
        } else if !self.scope.contained.is_empty() {
            self.scope.pointed.push(id);
        }
    }

    /// True inside a contained resource, from where `#` points at the container.
    pub(super) fn is_inside(&self) -> bool {
        self.scope.inside
    }

    /// A CodeableConcept with a required binding: one of its codings is from the list.
    fn coded(&mut self, concept: &Object, codes: &[&str], at: &At) {
        let codings = concept.get("coding").and_then(Value::as_array);
        let bound = codings.into_iter().flatten().any(|coding| {
            let text = |name| coding.get(name).and_then(Value::as_str);
            matches!((text("system"), text("code")), (Some(system), Some(code))
                if codes.iter().any(|known| known.split_once('|') == Some((system, code))))
        });
        if !bound && !concept.contains_key("extension") {
            self.fault(IssueType::CodeInvalid, at, "Expected a coding of the required value set.");
        }
    }

    /// `_name`: ids and extensions of primitives.
    fn sibling(
        &mut self,
        owner: &'v Object,
        property: &'static Property,
        element: &'static Element,
        value: &'v Value,
        at: &At,
        depth: usize,
    ) {
        if !matches!(property.shape, Shape::Primitive(_)) {
            let text = format!("Only a primitive has an underscore sibling; `{}` is none.", property.name);
            return self.fault(IssueType::Structure, at, text);
        }
        if element.bare {
            let text = format!("`{}` takes no extensions.", property.name);
            return self.fault(IssueType::Structure, at, text);
        }
        let beside = owner.get(property.name);
        if !element.many {
            return match value {
                Value::Object(object) => self.extended(object, at, depth + 1, beside.is_some()),
                _ => self.fault(IssueType::Structure, at, "Expected a JSON object with id or extension."),
            };
        }
        let Value::Array(list) = value else {
            return self.fault(IssueType::Structure, at, "Expected a JSON array beside a list of values.");
        };
        let values = beside.and_then(Value::as_array);
        if list.is_empty() {
            return self.fault(IssueType::Structure, at, "An array must not be empty: leave the element out.");
        }
        if values.is_some_and(|values| values.len() != list.len()) {
            let text = format!("`_{0}` must be as long as `{0}`.", property.name);
            self.fault(IssueType::Structure, at, text);
        }
        for (position, one) in list.iter().enumerate() {
            if self.more {
                return;
            }
            let here = at.index(position);
            let has_value = values.and_then(|values| values.get(position)).is_some_and(|value| !value.is_null());
            match one {
                Value::Object(object) => self.extended(object, &here, depth + 2, has_value),
                Value::Null if has_value => {}
                // With values at all, their null in the same place is the one that is reported.
                Value::Null if values.is_some_and(|values| position < values.len()) => {}
                Value::Null => self.fault(IssueType::Structure, &here, "null here needs a value in its place."),
                _ => self.fault(IssueType::Structure, &here, "Expected a JSON object with id or extension, or null."),
            }
        }
    }

    fn extended(&mut self, object: &'v Object, at: &At, depth: usize, has_value: bool) {
        match definitions::type_named("Element") {
            Some(element) => self.object(object, element, at, depth, has_value),
            None => debug_assert!(false, "the table has Element"),
        }
    }
}

/// A list of codes in words, as far as it is short.
fn one_of(codes: &[&str]) -> String {
    const SHOWN_CODES_MAX: usize = 16;
    if codes.len() > SHOWN_CODES_MAX {
        return "Expected a code of the required value set.".to_owned();
    }
    format!("Expected one of: {}.", codes.join(", "))
}
