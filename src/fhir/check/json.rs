//! Bytes to JSON, more strictly than serde_json alone: no duplicate keys, nothing after the value, and our
//! own bounds on depth and number of values. Numbers keep their digits.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::DEPTH_MAX;
use super::path::shown;
use crate::fhir::outcome::{Issue, IssueType, Severity};
use crate::fhir::place::Place;

/// What [`parse`] takes at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub body_bytes_max: usize,
    /// Levels of arrays and objects; at most 100.
    pub depth_max: usize,
    /// Values of any kind, containers included: bounds memory, some 100 bytes each.
    pub nodes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes_max: 16 * 1024 * 1024, depth_max: DEPTH_MAX, nodes_max: 1_000_000 }
    }
}

/// serde_json's own bound on recursion is 128; ours must come first.
const DEPTH_POSSIBLE: usize = 100;
/// With `arbitrary_precision`, serde_json hands all but short whole numbers over as a map with this
/// key and an owned string.
const NUMBER_TOKEN: &str = "$serde_json::private::Number";

/// Reads one JSON value, tolerating a byte order mark in front. The issue says line and column.
///
/// # Errors
/// One issue: `too-long` where a limit is passed, `structure` or `invalid` where it is not JSON that we take.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Value, Issue> {
    if bytes.len() > limits.body_bytes_max {
        return Err(fatal(IssueType::TooLong, format!("The body is longer than {} bytes.", limits.body_bytes_max)));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = position(bytes, error.valid_up_to());
        let text = format!("The body is not UTF-8: a wrong byte at line {line}, column {column}.");
        Issue { place: Some(Place { line, column }), ..fatal(IssueType::Invalid, text) }
    })?;
    let mut door =
        Door { depth_max: limits.depth_max.min(DEPTH_POSSIBLE), nodes_max: limits.nodes_max, nodes: 0, refusal: None };
    let mut reader = serde_json::Deserializer::from_str(text);
    let read =
        Node { door: &mut door, depth: 0 }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| explain(&error, door.refusal))
}

fn fatal(code: IssueType, diagnostics: String) -> Issue {
    Issue { severity: Severity::Fatal, ..Issue::error(code, diagnostics) }
}

/// Line and column of a byte, both from 1.
fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = &bytes[..offset.min(bytes.len())];
    let line = before.split(|&byte| byte == b'\n').count();
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    (line, offset - start + 1)
}

/// serde_json's messages on syntax name no content; those on types might, so ours replace them.
fn explain(error: &serde_json::Error, refusal: Option<Refusal>) -> Issue {
    let place = format!("line {}, column {}", error.line(), error.column());
    let (code, what) = match refusal {
        Some(Refusal::Depth(limit)) => {
            (IssueType::Structure, format!("The JSON is nested deeper than {limit} levels at {place}."))
        }
        Some(Refusal::Nodes(limit)) => (IssueType::TooLong, format!("The body holds more than {limit} JSON values.")),
        Some(Refusal::Duplicate(name)) => {
            (IssueType::Structure, format!("The property `{name}` is given twice in one object, before {place}."))
        }
        Some(Refusal::Number) => {
            (IssueType::Structure, format!("This is not a number that can be read, before {place}."))
        }
        None => {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            let message =
                if error.classify() == serde_json::error::Category::Data { "unexpected content" } else { message };
            (IssueType::Structure, format!("The body is not valid JSON: {message} at {place}."))
        }
    };
    Issue { place: Some(Place { line: error.line().max(1), column: error.column().max(1) }), ..fatal(code, what) }
}

enum Refusal {
    Depth(usize),
    Nodes(usize),
    Duplicate(String),
    Number,
}

struct Door {
    depth_max: usize,
    nodes_max: usize,
    nodes: usize,
    refusal: Option<Refusal>,
}

impl Door {
    fn refuse<E: de::Error>(&mut self, refusal: Refusal) -> E {
        self.refusal = Some(refusal);
        E::custom("refused")
    }
}

/// Reads one value at a depth.
struct Node<'d> {
    door: &'d mut Door,
    depth: usize,
}

impl Node<'_> {
    fn inner(&mut self) -> Node<'_> {
        Node { door: self.door, depth: self.depth + 1 }
    }

    fn enter<E: de::Error>(&mut self) -> Result<(), E> {
        if self.depth >= self.door.depth_max {
            return Err(self.door.refuse(Refusal::Depth(self.door.depth_max)));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.door.nodes += 1;
        if self.door.nodes > self.door.nodes_max {
            return Err(self.door.refuse(Refusal::Nodes(self.door.nodes_max)));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self.inner())? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let Some(first) = map.next_key::<String>()? else {
            self.enter()?;
            return Ok(Value::Object(Map::new()));
        };
        if first == NUMBER_TOKEN {
            return match map.next_value_seed(Digits)? {
                Some(number) => Ok(Value::Number(number)),
                None => Err(self.door.refuse(Refusal::Number)),
            };
        }
        self.enter()?;
        let mut object = Map::new();
        let mut key = first;
        loop {
            let value = map.next_value_seed(self.inner())?;
            // Looked up by the insertion itself; the name is only shown where there were two.
            match object.entry(key) {
                serde_json::map::Entry::Vacant(vacant) => {
                    vacant.insert(value);
                }
                serde_json::map::Entry::Occupied(occupied) => {
                    let name = shown(occupied.key());
                    return Err(self.door.refuse(Refusal::Duplicate(name)));
                }
            }
            match map.next_key()? {
                Some(next) => key = next,
                None => return Ok(Value::Object(object)),
            }
        }
    }
}

/// The digits of a number. A real number comes as an owned string; an object in the body that imitates the
/// token comes as a borrowed one, or as anything else, and is refused.
struct Digits;

impl<'de> DeserializeSeed<'de> for Digits {
    type Value = Option<Number>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Digits {
    type Value = Option<Number>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_string<E>(self, digits: String) -> Result<Self::Value, E> {
        Ok(digits.parse().ok())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> Issue {
        parse(bytes, Limits::default()).expect_err("must be refused")
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text = r#"{"a":1.00,"b":-0.0,"c":1e999,"d":12345678901234567890123,"e":[0,1.50E+2]}"#;
        let value = parse(text.as_bytes(), Limits::default()).expect("sound");
        assert_eq!(value["a"].to_string(), "1.00");
        assert_eq!(value["d"].to_string(), "12345678901234567890123");
        assert_eq!(value, serde_json::from_str::<Value>(text).expect("sound"));
    }

    #[test]
    fn a_byte_order_mark_is_tolerated() {
        assert!(parse(b"\xEF\xBB\xBF{}", Limits::default()).is_ok());
    }

    #[test]
    fn what_serde_json_would_let_through() {
        let twice = refused(br#"{"a":{"b":1,"c":2,"b":1}}"#);
        assert_eq!(twice.code, IssueType::Structure);
        assert!(twice.diagnostics.contains("`b`"), "{}", twice.diagnostics);
        for imitation in [
            r#"{"$serde_json::private::Number":"1"}"#,
            r#"{"$serde_json::private::Number":1}"#,
            r#"{"\u0024serde_json::private::Number":"1"}"#,
            r#"{"$serde_json::private::Number":"\u0031"}"#,
            r#"[{"$serde_json::private::Number":{"a":[]}}]"#,
            r#"{"$serde_json::private::Number":"1","a":2}"#,
        ] {
            assert_eq!(refused(imitation.as_bytes()).code, IssueType::Structure);
        }
    }

    #[test]
    fn syntax_errors_say_where_and_nothing_else() {
        let issue = refused(b"{\"a\": 1,\n  \"secret\": tru }");
        assert_eq!(issue.code, IssueType::Structure);
        assert!(issue.diagnostics.contains("line 2"), "{}", issue.diagnostics);
        assert!(!issue.diagnostics.contains("secret"));
        for broken in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1} x",
            "{}{}",
            "01",
            "+1",
            ".5",
            "NaN",
            "'a'",
            "{a:1}",
            "\"\\ud800\"",
            "\"\\udc00x\"",
            "\"\u{1}\"",
            "[1e]",
        ] {
            assert!(refused(broken.as_bytes()).refuses(), "{broken}");
        }
        assert_eq!(refused(b"{\"a\":\"\xFF\"}").code, IssueType::Invalid);
        assert!(refused(b"{\"a\":\"\xED\xA0\x80\"}").diagnostics.contains("column 7"));
    }

    #[test]
    fn limits_hold() {
        let deep = "[".repeat(100_000);
        assert!(refused(deep.as_bytes()).diagnostics.contains("64 levels"));
        let deepest = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(parse(deepest.as_bytes(), Limits::default()).is_ok());
        let deeper = format!("[{deepest}]");
        assert_eq!(refused(deeper.as_bytes()).code, IssueType::Structure);
        let objects = format!("{}{}", r#"{"a":"#.repeat(65), "}".repeat(65));
        assert_eq!(refused(objects.as_bytes()).code, IssueType::Structure);
        let few = Limits { nodes_max: 3, ..Limits::default() };
        assert!(parse(b"[1,2]", few).is_ok());
        assert_eq!(parse(b"[1,2,3]", few).expect_err("too many").code, IssueType::TooLong);
        let short = Limits { body_bytes_max: 4, ..Limits::default() };
        assert_eq!(parse(b"[1,2]", short).expect_err("too long").code, IssueType::TooLong);
    }
}
