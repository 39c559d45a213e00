//! A walk over the tags of FHIR XML.

use super::{Counter, Wanted};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use std::collections::HashMap;

/// An element that is open: what is looked for in it, and how many of each name it had so far.
#[derive(Default)]
struct Open {
    node: Option<usize>,
    seen: HashMap<String, usize>,
}

pub(super) fn walk(text: &str, wanted: &mut Wanted) {
    let mut reader = Reader::from_str(text);
    let mut counter = Counter::new(text);
    let mut open: Vec<Open> = Vec::new();
    while wanted.left > 0 {
        let event = reader.read_event();
        let end = usize::try_from(reader.buffer_position()).unwrap_or(text.len()).min(text.len());
        match event {
            Ok(Event::Start(start)) => {
                let inside = enter(&start, text, end, &mut open, &mut counter, wanted);
                open.push(inside);
            }
            Ok(Event::Empty(start)) => drop(enter(&start, text, end, &mut open, &mut counter, wanted)),
            Ok(Event::End(_)) => drop(open.pop()),
            Ok(Event::Eof) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn enter(
    start: &BytesStart<'_>,
    text: &str,
    end: usize,
    open: &mut [Open],
    counter: &mut Counter<'_>,
    wanted: &mut Wanted,
) -> Open {
    let tag = text.get(..end).and_then(|before| before.rfind('<')).unwrap_or_default();
    let name = start.local_name().as_ref().to_owned();
    let Some(parent) = open.last_mut() else {
        wanted.found(0, counter.place(tag));
        return Open { node: Some(0), ..Open::default() };
    };
    // A resource stands in an element of its own, which JSON has not.
    if name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Open { node: parent.node, ..Open::default() };
    }
    let Some(within) = parent.node else { return Open::default() };
    let seen = parent.seen.entry(name.clone()).or_default();
    let index = *seen;
    *seen += 1;
    let field = wanted.field(within, &name).or_else(|| wanted.field(within, &format!("_{name}")));
    let Some(field) = field else { return Open::default() };
    let place = counter.place(tag);
    wanted.found(field, place);
    let item = wanted.item(field, index);
    if let Some(item) = item {
        wanted.found(item, place);
    }
    Open { node: item.or_else(|| wanted.nodes[field].items.is_empty().then_some(field)), ..Open::default() }
}
