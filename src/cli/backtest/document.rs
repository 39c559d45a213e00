//! A JSON document read as a stream: of a Bundle only the entry at hand is held, however long it is. Several
//! documents, one after the other, count too.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::io::BufRead;

const STOPPED: &str = "stopped by the one who asked";

/// Hands each resource to `take` until it says no.
///
/// # Errors
/// Line and fault, where it is no JSON.
pub fn read(mut reader: impl BufRead, take: &mut dyn FnMut(Value) -> bool) -> Result<(), (u64, String)> {
    let start = reader.fill_buf().map_err(|error| (0, error.to_string()))?;
    if start.starts_with(b"\xEF\xBB\xBF") {
        reader.consume(3);
    }
    let mut json = serde_json::Deserializer::from_reader(reader);
    loop {
        // `end` fails where something follows, and at the end of the input all is well.
        if json.end().is_ok() {
            return Ok(());
        }
        match (Document { take }).deserialize(&mut json) {
            Ok(()) => {}
            Err(error) if error.to_string().starts_with(STOPPED) => return Ok(()),
            Err(error) => return Err((error.line() as u64, fault(&error))),
        }
    }
}

/// What serde_json says of syntax names no content; what it says of types might.
fn fault(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    match error.classify() {
        Category::Io => "The file cannot be read to its end.".to_owned(),
        Category::Eof => "The file ends in the middle of a value.".to_owned(),
        Category::Syntax => format!("This is not JSON, at column {}.", error.column()),
        Category::Data => format!("This is not a FHIR resource or Bundle, at column {}.", error.column()),
    }
}

struct Document<'a> {
    take: &'a mut dyn FnMut(Value) -> bool,
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a FHIR resource")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut rest = Map::new();
        let mut bundle = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "entry" && rest.get("resourceType").is_none_or(|kind| kind == "Bundle") {
                bundle = true;
                map.next_value_seed(Entries { take: self.take })?;
            } else {
                rest.insert(name, map.next_value()?);
            }
        }
        if !bundle && rest.get("resourceType").is_none_or(|kind| kind != "Bundle") && !(self.take)(Value::Object(rest))
        {
            return Err(Error::custom(STOPPED));
        }
        Ok(())
    }
}

struct Entries<'a> {
    take: &'a mut dyn FnMut(Value) -> bool,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the entries of a Bundle")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(mut entry) = entries.next_element::<Map<String, Value>>()? {
            let Some(resource) = entry.remove("resource") else { continue };
            if !(self.take)(resource) {
                return Err(Error::custom(STOPPED));
            }
        }
        while entries.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
