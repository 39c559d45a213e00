//! JSON to XML.

use super::{FHIR, XHTML};
use crate::fhir::definitions::{Primitive, Property, Shape, Type, TypeKind, resource_type, type_at};
use serde_json::{Map, Value};

/// A checked resource as XML; `None` where its type is unknown. What the type does not have is left out.
#[must_use]
pub fn write(resource: &Value) -> Option<String> {
    let mut out = String::with_capacity(1024);
    whole(resource, true, &mut out)?;
    Some(out)
}

fn whole(resource: &Value, outermost: bool, out: &mut String) -> Option<()> {
    let object = resource.as_object()?;
    let kind = resource_type(object.get("resourceType")?.as_str()?)?;
    out.push('<');
    out.push_str(kind.name);
    if outermost {
        attribute("xmlns", FHIR, out);
    }
    close(kind.name, out, |out| children(kind, object, out));
    Some(())
}

/// Ends the open tag, empty where `inside` writes nothing.
fn close(name: &str, out: &mut String, inside: impl FnOnce(&mut String)) {
    let open = out.len();
    out.push('>');
    inside(out);
    if out.len() == open + 1 {
        out.truncate(open);
        out.push_str("/>");
    } else {
        out.push_str("</");
        out.push_str(name);
        out.push('>');
    }
}

/// `id` and `url` where they are attributes.
fn is_attribute(kind: &Type, property: &Property) -> bool {
    kind.element(property).bare
        && kind.kind != TypeKind::Resource
        && property.shape != Shape::Primitive(Primitive::Xhtml)
}

fn attributes(kind: &Type, object: &Map<String, Value>, out: &mut String) {
    for property in kind.properties.iter().filter(|property| is_attribute(kind, property)) {
        if let Some(text) = object.get(property.name).and_then(Value::as_str) {
            attribute(property.name, text, out);
        }
    }
}

fn children(kind: &Type, object: &Map<String, Value>, out: &mut String) {
    for property in kind.properties.iter().filter(|property| !is_attribute(kind, property)) {
        let value = object.get(property.name);
        match property.shape {
            Shape::Primitive(Primitive::Xhtml) => narrative(value, out),
            Shape::Primitive(_) => {
                let companion = object.get(&*format!("_{}", property.name));
                primitives(property.name, value, companion, out);
            }
            Shape::Complex(index) => each(value, |value| complex(property.name, type_at(index), value, out)),
            Shape::Resource => each(value, |value| {
                out.push('<');
                out.push_str(property.name);
                close(property.name, out, |out| {
                    let _ = whole(value, false, out);
                });
            }),
        }
    }
}

fn each(value: Option<&Value>, mut write: impl FnMut(&Value)) {
    match value {
        Some(Value::Array(items)) => items.iter().for_each(write),
        Some(value) => write(value),
        None => {}
    }
}

fn complex(name: &str, kind: &Type, value: &Value, out: &mut String) {
    let Some(object) = value.as_object() else { return };
    out.push('<');
    out.push_str(name);
    attributes(kind, object, out);
    close(name, out, |out| children(kind, object, out));
}

fn primitives(name: &str, value: Option<&Value>, companion: Option<&Value>, out: &mut String) {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).map_or(0, Vec::len);
    let at = |value: Option<&Value>, index: usize| value.and_then(|value| value.get(index)).cloned();
    match list(value).max(list(companion)) {
        0 => primitive(name, value, companion, out),
        length => {
            for index in 0..length {
                primitive(name, at(value, index).as_ref(), at(companion, index).as_ref(), out);
            }
        }
    }
}

fn primitive(name: &str, value: Option<&Value>, companion: Option<&Value>, out: &mut String) {
    let companion = companion.and_then(Value::as_object);
    let text = match value {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::Bool(flag)) => Some(flag.to_string()),
        _ => None,
    };
    if text.is_none() && companion.is_none() {
        return;
    }
    out.push('<');
    out.push_str(name);
    if let Some(id) = companion.and_then(|companion| companion.get("id")).and_then(Value::as_str) {
        attribute("id", id, out);
    }
    if let Some(text) = text {
        attribute("value", &text, out);
    }
    let extensions = companion.and_then(|companion| companion.get("extension"));
    close(name, out, |out| {
        if let Some(kind) = crate::fhir::definitions::type_named("Extension") {
            each(extensions, |value| complex("extension", kind, value, out));
        }
    });
}

/// It was checked when it came in: well-formed, one `div`.
fn narrative(value: Option<&Value>, out: &mut String) {
    let Some(text) = value.and_then(Value::as_str) else { return };
    match text.trim().strip_prefix("<div") {
        Some(rest) if !text.contains("xmlns=") => {
            out.push_str("<div");
            attribute("xmlns", XHTML, out);
            out.push_str(rest);
        }
        _ => out.push_str(text.trim()),
    }
}

fn attribute(name: &str, value: &str, out: &mut String) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    for letter in value.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            '\t' => out.push_str("&#x9;"),
            _ => out.push(letter),
        }
    }
    out.push('"');
}
