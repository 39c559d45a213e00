//! XML to JSON. No document types, no entities but XML's own five, our bounds on depth and number of elements.

use super::FHIR;
use crate::fhir::check::Limits;
use crate::fhir::definitions::{
    Element, Primitive, Property, Shape, Type, TypeKind, resource_type, type_at, type_named,
};
use crate::fhir::outcome::{Issue, IssueType, Severity};
use crate::fhir::place::Place;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use serde_json::{Map, Number, Value};

/// Reads one resource. Its values are not checked: `fhir::check` does that.
///
/// # Errors
/// One issue, with the place: what is no XML, or has elements and attributes that FHIR does not.
pub fn read(bytes: &[u8], limits: Limits) -> Result<Value, Issue> {
    if bytes.len() > limits.body_bytes_max {
        return Err(fatal(IssueType::TooLong, format!("The body is longer than {} bytes.", limits.body_bytes_max)));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| fatal(IssueType::Invalid, "The body is not UTF-8.".into()))?;
    let mut source =
        Source { reader: Reader::from_str(text), text, left: limits.nodes_max, depth_max: limits.depth_max };
    let (start, empty) = match source.next("")? {
        Next::Start(start) => (start, false),
        Next::Empty(start) => (start, true),
        _ => return Err(source.wrong("", "a resource as the outermost element")),
    };
    if attribute(&source, "", &start, "xmlns")?.as_deref() != Some(FHIR) {
        return Err(source.wrong("", &format!("the namespace {FHIR} on the outermost element")));
    }
    let resource = source.resource(&start, empty, "", 0)?;
    match source.next("")? {
        Next::Eof => Ok(resource),
        _ => Err(source.wrong("", "nothing after the resource")),
    }
}

fn fatal(code: IssueType, diagnostics: String) -> Issue {
    Issue { severity: Severity::Fatal, ..Issue::error(code, diagnostics) }
}

/// What matters of the events.
enum Next<'a> {
    Start(BytesStart<'a>),
    Empty(BytesStart<'a>),
    End,
    Eof,
}

struct Source<'a> {
    reader: Reader<&'a [u8]>,
    text: &'a str,
    /// Elements that may still come.
    left: usize,
    depth_max: usize,
}

/// A primitive: its value, and what stands beside it.
type Pair = (Option<Value>, Option<Value>);

impl<'a> Source<'a> {
    fn wrong(&self, path: &str, expected: &str) -> Issue {
        let at = usize::try_from(self.reader.buffer_position()).unwrap_or_default().min(self.text.len());
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let text = format!("The XML cannot be read at line {line}, column {column}; expected: {expected}.");
        let issue = Issue { place: Some(Place { line, column }), ..fatal(IssueType::Structure, text) };
        if path.is_empty() { issue } else { issue.at(path) }
    }

    fn next(&mut self, path: &str) -> Result<Next<'a>, Issue> {
        loop {
            // The reader's own message may say content back.
            let event = self.reader.read_event().map_err(|_| self.wrong(path, "well-formed XML"))?;
            match event {
                Event::Start(start) => return self.count(path).map(|()| Next::Start(start)),
                Event::Empty(start) => return self.count(path).map(|()| Next::Empty(start)),
                Event::End(_) => return Ok(Next::End),
                Event::Eof => return Ok(Next::Eof),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if text.trim_ascii().is_empty() => {}
                Event::DocType(_) => return Err(self.wrong(path, "no document type")),
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    return Err(self.wrong(path, "values in attributes, no text between elements"));
                }
            }
        }
    }

    fn count(&mut self, path: &str) -> Result<(), Issue> {
        self.left = self.left.checked_sub(1).ok_or_else(|| self.wrong(path, "fewer elements"))?;
        Ok(())
    }

    fn resource(&mut self, start: &BytesStart<'a>, empty: bool, path: &str, depth: usize) -> Result<Value, Issue> {
        let name = local(start);
        let kind = resource_type(&name).ok_or_else(|| self.wrong(path, "a resource type of R4"))?;
        let path = if path.is_empty() { name.clone() } else { path.to_owned() };
        let mut object = Map::new();
        object.insert("resourceType".into(), Value::from(name));
        self.element(kind, start, empty, &path, depth, object)
    }

    fn element(
        &mut self,
        kind: &'static Type,
        start: &BytesStart<'a>,
        empty: bool,
        path: &str,
        depth: usize,
        mut object: Map<String, Value>,
    ) -> Result<Value, Issue> {
        if depth > self.depth_max {
            return Err(self.wrong(path, &format!("at most {} levels", self.depth_max)));
        }
        self.attributes(kind, start, path, &mut object)?;
        if empty {
            return Ok(Value::Object(object));
        }
        loop {
            let here = self.position();
            let (child, empty) = match self.next(path)? {
                Next::Start(child) => (child, false),
                Next::Empty(child) => (child, true),
                Next::End => return Ok(Value::Object(object)),
                Next::Eof => return Err(self.wrong(path, "a closing tag")),
            };
            let name = local(&child);
            let property = kind.property(&name).filter(|property| is_child(kind, property));
            let Some(property) = property else {
                return Err(self.wrong(path, "elements that the type has, and no others"));
            };
            let path = format!("{path}.{}", property.name);
            self.child(kind, property, (&child, empty, here), &path, depth, &mut object)?;
        }
    }

    fn child(
        &mut self,
        kind: &'static Type,
        property: &'static Property,
        (child, empty, here): (&BytesStart<'a>, bool, usize),
        path: &str,
        depth: usize,
        object: &mut Map<String, Value>,
    ) -> Result<(), Issue> {
        let element = kind.element(property);
        match property.shape {
            Shape::Primitive(Primitive::Xhtml) => {
                let text = self.narrative(here, empty, path)?;
                keep(object, property.name, element, Value::from(text));
            }
            Shape::Primitive(primitive) => {
                let pair = self.primitive(primitive, child, empty, path, depth)?;
                keep_primitive(object, property.name, element, pair);
            }
            Shape::Complex(index) => {
                let value = self.element(type_at(index), child, empty, path, depth + 1, Map::new())?;
                keep(object, property.name, element, value);
            }
            Shape::Resource => {
                let value = self.inner(empty, path, depth)?;
                keep(object, property.name, element, value);
            }
        }
        Ok(())
    }

    /// `contained` and `resource`: one resource inside.
    fn inner(&mut self, empty: bool, path: &str, depth: usize) -> Result<Value, Issue> {
        let one = |source: &Self| source.wrong(path, "exactly one resource inside");
        if empty {
            return Err(one(self));
        }
        let (start, empty) = match self.next(path)? {
            Next::Start(start) => (start, false),
            Next::Empty(start) => (start, true),
            _ => return Err(one(self)),
        };
        let resource = self.resource(&start, empty, path, depth + 1)?;
        match self.next(path)? {
            Next::End => Ok(resource),
            _ => Err(one(self)),
        }
    }

    fn attributes(
        &self,
        kind: &'static Type,
        start: &BytesStart<'a>,
        path: &str,
        object: &mut Map<String, Value>,
    ) -> Result<(), Issue> {
        for name in names(self, path, start)? {
            let known = kind.property(&name).filter(|property| !is_child(kind, property));
            match known {
                Some(property) => {
                    if let Some(text) = attribute(self, path, start, property.name)? {
                        object.insert(property.name.into(), Value::from(text));
                    }
                }
                None if name.starts_with("xmlns") || name.starts_with("xsi:") => {}
                None => return Err(self.wrong(path, "no attributes but id, url and value where they belong")),
            }
        }
        Ok(())
    }

    fn primitive(
        &mut self,
        primitive: Primitive,
        start: &BytesStart<'a>,
        empty: bool,
        path: &str,
        depth: usize,
    ) -> Result<Pair, Issue> {
        if names(self, path, start)?.iter().any(|name| !matches!(name.as_str(), "value" | "id")) {
            return Err(self.wrong(path, "no attributes but id and value"));
        }
        let value = attribute(self, path, start, "value")?.map(|text| typed(primitive, text));
        let mut beside = Map::new();
        if let Some(id) = attribute(self, path, start, "id")? {
            beside.insert("id".into(), Value::from(id));
        }
        if !empty {
            self.extensions(path, depth, &mut beside)?;
        }
        Ok((value, (!beside.is_empty()).then_some(Value::Object(beside))))
    }

    /// What may stand inside a primitive, up to its end.
    fn extensions(&mut self, path: &str, depth: usize, beside: &mut Map<String, Value>) -> Result<(), Issue> {
        loop {
            let (child, empty) = match self.next(path)? {
                Next::Start(child) => (child, false),
                Next::Empty(child) => (child, true),
                Next::End => return Ok(()),
                Next::Eof => return Err(self.wrong(path, "a closing tag")),
            };
            let kind = type_named("Extension").filter(|_| local(&child) == "extension");
            let kind = kind.ok_or_else(|| self.wrong(path, "nothing inside a primitive but extensions"))?;
            let inner = format!("{path}.extension");
            let extension = self.element(kind, &child, empty, &inner, depth + 1, Map::new())?;
            if let Value::Array(all) = beside.entry("extension").or_insert_with(|| Value::Array(Vec::new())) {
                all.push(extension);
            }
        }
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX).min(self.text.len())
    }

    /// The text of a `div`, from its own tag to its end, as it stands.
    fn narrative(&mut self, here: usize, empty: bool, path: &str) -> Result<String, Issue> {
        let mut depth = usize::from(!empty);
        while depth > 0 {
            match self.reader.read_event().map_err(|_| self.wrong(path, "well-formed XML"))? {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                Event::Eof | Event::DocType(_) => return Err(self.wrong(path, "the end of the narrative")),
                _ => {}
            }
        }
        let text = self.text.get(here..self.position()).unwrap_or_default();
        // Blanks and comments before the tag are none of it.
        Ok(text.find("<div").map_or(text, |at| &text[at..]).to_owned())
    }
}

fn local(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

/// False for `id` and `url` where they are attributes.
fn is_child(kind: &Type, property: &Property) -> bool {
    !kind.element(property).bare
        || kind.kind == TypeKind::Resource
        || property.shape == Shape::Primitive(Primitive::Xhtml)
}

fn names(source: &Source<'_>, path: &str, start: &BytesStart<'_>) -> Result<Vec<String>, Issue> {
    let name = |attribute: Result<quick_xml::events::attributes::Attribute<'_>, _>| {
        attribute.map(|attribute| attribute.key.as_ref().to_owned()).map_err(|_| source.wrong(path, "well-formed XML"))
    };
    start.attributes().map(name).collect()
}

fn attribute(source: &Source<'_>, path: &str, start: &BytesStart<'_>, name: &str) -> Result<Option<String>, Issue> {
    let wrong = || source.wrong(path, "well-formed attributes, with no entities but XML's own");
    let found = start.try_get_attribute(name).map_err(|_| wrong())?;
    found
        .map(|found| found.normalized_value(XmlVersion::Implicit1_0).map(|text| text.into_owned()).map_err(|_| wrong()))
        .transpose()
}

/// As JSON has it; what cannot be stays a text.
fn typed(primitive: Primitive, text: String) -> Value {
    match primitive {
        Primitive::Boolean => text.parse().map_or(Value::from(text), Value::Bool),
        Primitive::Decimal | Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => {
            serde_json::from_str::<Number>(&text).map_or(Value::from(text), Value::Number)
        }
        _ => Value::from(text),
    }
}

fn keep(object: &mut Map<String, Value>, name: &str, element: &Element, value: Value) {
    match object.get_mut(name) {
        Some(Value::Array(items)) => items.push(value),
        // Twice what may stand once: a list, which the check refuses.
        Some(first) => *first = Value::from(vec![first.take(), value]),
        None => drop(object.insert(name.to_owned(), if element.many { Value::from(vec![value]) } else { value })),
    }
}

fn keep_primitive(object: &mut Map<String, Value>, name: &str, element: &Element, (value, beside): Pair) {
    let companion = format!("_{name}");
    let twice = object.contains_key(name) || object.contains_key(&companion);
    if !element.many && !twice {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
        if let Some(beside) = beside {
            object.insert(companion, beside);
        }
        return;
    }
    let length = |value: Option<&Value>| value.map_or(0, |value| value.as_array().map_or(1, Vec::len));
    let before = length(object.get(name)).max(length(object.get(&companion)));
    for (key, value) in [(name, value), (&*companion, beside)] {
        if value.is_none() && !object.contains_key(key) {
            continue;
        }
        let slot = object.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        if !slot.is_array() {
            *slot = Value::from(vec![slot.take()]);
        }
        if let Value::Array(items) = slot {
            items.resize(before, Value::Null);
            items.push(value.unwrap_or_default());
        }
    }
}
