//! FHIRPath Patch: Parameters of operations add, insert, delete, replace, move.

use super::path::{At, Place, Step, is_choice, parse, places, value, value_mut};
use super::{OPERATIONS_MAX, clip, too_many, within};
use crate::fhir::definitions::{Shape, Type, resource_type, type_at};
use crate::fhir::outcome::{Issue, IssueType};
use serde_json::{Map, Value};

/// One operation, as it was sent.
#[derive(Debug)]
pub struct Operation {
    number: usize,
    kind: Kind,
    pub(super) path: String,
    name: String,
    /// The parameter that holds the value.
    value: Value,
    index: usize,
    source: usize,
    destination: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Add,
    Insert,
    Delete,
    Replace,
    Move,
}

pub(super) fn read(body: &Value) -> Result<Vec<Operation>, Issue> {
    let parameters = body.get("parameter").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if parameters.len() > OPERATIONS_MAX {
        return Err(too_many());
    }
    parameters.iter().enumerate().map(|(number, parameter)| operation(number, parameter)).collect()
}

fn operation(number: usize, parameter: &Value) -> Result<Operation, Issue> {
    let place = place(number);
    let wrong = |what: &str| Issue::error(IssueType::Structure, format!("A FHIRPath Patch needs {what}.")).at(&*place);
    if parameter.get("name").and_then(Value::as_str) != Some("operation") {
        return Err(wrong("parameters named operation"));
    }
    let parts = parameter.get("part").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let part = |name: &str| parts.iter().find(|part| part.get("name").and_then(Value::as_str) == Some(name));
    let text = |name: &str| part(name).and_then(datum).and_then(|(_, value)| value.as_str().map(str::to_owned));
    let number_of =
        |name: &str| part(name).and_then(datum).and_then(|(_, value)| usize::try_from(value.as_u64()?).ok());
    let kind = match text("type").as_deref() {
        Some("add") => Kind::Add,
        Some("insert") => Kind::Insert,
        Some("delete") => Kind::Delete,
        Some("replace") => Kind::Replace,
        Some("move") => Kind::Move,
        _ => return Err(wrong("a type: add, insert, delete, replace or move")),
    };
    let whole = |name: &str, needed: bool| match number_of(name) {
        None if needed => Err(wrong("index (insert), or source and destination (move), as whole numbers")),
        found => Ok(found.unwrap_or_default()),
    };
    let name = text("name").unwrap_or_default();
    if name.is_empty() && kind == Kind::Add {
        return Err(wrong("the name of what is added"));
    }
    let value = part("value").cloned().unwrap_or_default();
    if value.is_null() && !matches!(kind, Kind::Delete | Kind::Move) {
        return Err(wrong("a value"));
    }
    Ok(Operation {
        number,
        kind,
        path: text("path").ok_or_else(|| wrong("a path"))?,
        name,
        value,
        index: whole("index", kind == Kind::Insert)?,
        source: whole("source", kind == Kind::Move)?,
        destination: whole("destination", kind == Kind::Move)?,
    })
}

/// Where in the document an operation is.
pub(super) fn place(number: usize) -> String {
    format!("Parameters.parameter[{number}]")
}

/// The element that an operation is about, as far as names and numbers lead, without the type.
pub(super) fn element(operation: &Operation) -> String {
    let plain = operation.path.split(".where(").next().unwrap_or_default();
    let inside = plain.split_once('.').map_or("", |(_, inside)| inside);
    match operation.kind {
        Kind::Add if inside.is_empty() => operation.name.clone(),
        Kind::Add => format!("{inside}.{}", operation.name),
        _ => inside.to_owned(),
    }
}

/// `valueQuantity` of a parameter as (`Quantity`, the value).
fn datum(parameter: &Value) -> Option<(&str, &Value)> {
    parameter.as_object()?.iter().find_map(|(key, value)| Some((key.strip_prefix("value")?, value)))
}

pub(super) fn apply(operations: &[Operation], resource: &mut Value) -> Result<(), Issue> {
    for operation in operations {
        let done = one(operation, resource);
        done.map_err(|why| {
            let (number, path) = (operation.number, clip(&operation.path));
            let text = format!("Operation {number} of the patch ({path}) was not possible: {why}.");
            Issue::error(IssueType::Processing, text).at(place(number))
        })?;
        within(resource)?;
    }
    Ok(())
}

type Done = Result<(), &'static str>;

fn one(operation: &Operation, resource: &mut Value) -> Done {
    let kind = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default();
    let steps = parse(&operation.path, kind).ok_or("its path is none that patches are written in here")?;
    match operation.kind {
        Kind::Add => add(operation, resource, &steps),
        Kind::Insert => insert(operation, resource, &steps),
        Kind::Delete => match places(resource, &steps).as_slice() {
            [] => Ok(()),
            [place] if !place.is_empty() => remove(resource, place),
            _ => Err("its path leads to more than one element, or to the whole"),
        },
        Kind::Replace => replace(operation, resource, &steps),
        Kind::Move => shift(operation, resource, &steps),
    }
}

fn single(resource: &Value, steps: &[Step]) -> Result<Place, &'static str> {
    match <[Place; 1]>::try_from(places(resource, steps)) {
        Ok([place]) => Ok(place),
        Err(_) => Err("its path has to lead to exactly one element"),
    }
}

/// The type of what stands at a place; `None` for a primitive.
fn type_of(resource: &Value, place: &[At]) -> Option<&'static Type> {
    let mut kind = resource_type(resource.get("resourceType")?.as_str()?)?;
    for (depth, at) in place.iter().enumerate() {
        let At::Key(key) = at else { continue };
        kind = match kind.property(key)?.shape {
            Shape::Complex(index) => type_at(index),
            Shape::Primitive(_) => return None,
            Shape::Resource => {
                let inner = place.get(..depth + 2).and_then(|to| value(resource, to));
                let inner = inner.filter(|inner| inner.is_object()).or_else(|| value(resource, &place[..=depth]))?;
                resource_type(inner.get("resourceType")?.as_str()?)?
            }
        };
    }
    Some(kind)
}

/// The JSON key of an element that is to hold `value`, and whether it holds many.
fn key_of(kind: &'static Type, name: &str, value: &Value) -> Option<(String, bool)> {
    if let Some(property) = kind.property(name) {
        return Some((name.to_owned(), kind.element(property).many));
    }
    let key = format!("{name}{}", datum(value)?.0);
    let property = kind.property(&key)?;
    is_choice(&key, name).then(|| (key, kind.element(property).many))
}

/// What a parameter holds: a value, or parts that make one of the type `kind`.
fn content(parameter: &Value, kind: Option<&'static Type>) -> Result<Value, &'static str> {
    if let Some((_, value)) = datum(parameter) {
        return Ok(value.clone());
    }
    let parts = parameter.get("part").and_then(Value::as_array).ok_or("a value is missing")?;
    let kind = kind.ok_or("a primitive has no parts")?;
    let mut object = Map::new();
    for part in parts {
        let name = part.get("name").and_then(Value::as_str).unwrap_or_default();
        let (key, many) = key_of(kind, name, part).ok_or("a part names an element that the type does not have")?;
        let inner = kind.property(&key).and_then(|property| match property.shape {
            Shape::Complex(index) => Some(type_at(index)),
            _ => None,
        });
        let value = content(part, inner)?;
        match object.get_mut(&key) {
            Some(Value::Array(items)) => items.push(value),
            Some(_) => return Err("a part is given twice"),
            None => drop(object.insert(key, if many { Value::from(vec![value]) } else { value })),
        }
    }
    Ok(Value::Object(object))
}

fn inner_type(kind: &'static Type, key: &str) -> Option<&'static Type> {
    match kind.property(key)?.shape {
        Shape::Complex(index) => Some(type_at(index)),
        _ => None,
    }
}

fn add(operation: &Operation, resource: &mut Value, steps: &[Step]) -> Done {
    let place = single(resource, steps)?;
    let kind = type_of(resource, &place).ok_or("nothing can be added to a primitive")?;
    let (key, many) = key_of(kind, &operation.name, &operation.value).ok_or("the type has no such element")?;
    let new = content(&operation.value, inner_type(kind, &key))?;
    let object = value_mut(resource, &place).and_then(Value::as_object_mut).ok_or("nothing can be added there")?;
    if many {
        let items = object.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        items.as_array_mut().ok_or("the element is no list")?.push(new);
        return Ok(());
    }
    if object.contains_key(&key) || object.keys().any(|present| is_choice(present, &operation.name)) {
        return Err("the element is there already; use replace");
    }
    object.insert(key, new);
    Ok(())
}

fn replace(operation: &Operation, resource: &mut Value, steps: &[Step]) -> Done {
    let mut place = single(resource, steps)?;
    let new = content(&operation.value, type_of(resource, &place))?;
    // A choice may change its type, and with it its key.
    if let (Some(At::Key(key)), Some(Step::Name(name)), Some((kind, _))) =
        (place.last().cloned(), steps.last(), datum(&operation.value))
        && key != *name
        && key != format!("{name}{kind}")
    {
        place.pop();
        let object = value_mut(resource, &place).and_then(Value::as_object_mut).ok_or("its path leads nowhere")?;
        object.remove(&key);
        object.remove(&format!("_{key}"));
        object.insert(format!("{name}{kind}"), new);
        return Ok(());
    }
    *value_mut(resource, &place).ok_or("its path leads nowhere")? = new;
    Ok(())
}

/// The place of the list that the path names, and its key's companion for extensions of primitives.
fn list(resource: &Value, steps: &[Step]) -> Result<(Place, String), &'static str> {
    let Some((Step::Name(name), before)) = steps.split_last() else { return Err("its path has to end in a name") };
    let place = single(resource, before)?;
    let parent = value(resource, &place).ok_or("its path leads nowhere")?;
    parent.get(name).and_then(Value::as_array).ok_or("its path has to lead to a list that is there")?;
    Ok((place, name.clone()))
}

fn lists<'a>(resource: &'a mut Value, place: &[At], name: &str) -> impl Iterator<Item = &'a mut Vec<Value>> {
    let companion = format!("_{name}");
    let name = name.to_owned();
    let object = value_mut(resource, place).and_then(Value::as_object_mut);
    object
        .into_iter()
        .flat_map(|object| object.iter_mut())
        .filter(move |(key, _)| **key == name || **key == companion)
        .filter_map(|(_, value)| value.as_array_mut())
}

fn insert(operation: &Operation, resource: &mut Value, steps: &[Step]) -> Done {
    let (place, name) = list(resource, steps)?;
    let kind = type_of(resource, &place).and_then(|kind| inner_type(kind, &name));
    let new = content(&operation.value, kind)?;
    let length = value(resource, &place).and_then(|parent| parent.get(&name)?.as_array()).map_or(0, Vec::len);
    if operation.index > length {
        return Err("its index lies behind the end of the list");
    }
    for (number, items) in lists(resource, &place, &name).enumerate() {
        let at = operation.index.min(items.len());
        items.insert(at, if number == 0 { new.clone() } else { Value::Null });
    }
    Ok(())
}

fn shift(operation: &Operation, resource: &mut Value, steps: &[Step]) -> Done {
    let (place, name) = list(resource, steps)?;
    let length = value(resource, &place).and_then(|parent| parent.get(&name)?.as_array()).map_or(0, Vec::len);
    if operation.source >= length || operation.destination >= length {
        return Err("its source or destination lies behind the end of the list");
    }
    for items in lists(resource, &place, &name).filter(|items| items.len() == length) {
        let item = items.remove(operation.source);
        items.insert(operation.destination, item);
    }
    Ok(())
}

/// Takes an element away, its companion with it, and lists that it leaves empty.
fn remove(resource: &mut Value, place: &[At]) -> Done {
    let nowhere = "its path leads nowhere";
    let (last, before) = place.split_last().ok_or(nowhere)?;
    match (last, before.split_last()) {
        (At::Key(key), _) => {
            let object = value_mut(resource, before).and_then(Value::as_object_mut).ok_or(nowhere)?;
            object.remove(key);
            object.remove(&format!("_{key}"));
        }
        (At::Index(index), Some((At::Key(key), parent))) => {
            for items in lists(resource, parent, key).filter(|items| *index < items.len()) {
                items.remove(*index);
            }
            let object = value_mut(resource, parent).and_then(Value::as_object_mut).ok_or(nowhere)?;
            for key in [key.clone(), format!("_{key}")] {
                if object.get(&key).and_then(Value::as_array).is_some_and(Vec::is_empty) {
                    object.remove(&key);
                }
            }
        }
        (At::Index(_), _) => return Err(nowhere),
    }
    Ok(())
}
