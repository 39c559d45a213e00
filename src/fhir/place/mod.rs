//! Where in what was sent a fault is: line and column of the element that its FHIRPath names, or of the nearest one
//! around it that is there. Looked for only when something is refused, in one walk over the text for all faults.

mod json;
mod xml;

use super::outcome::Issue;
use std::collections::HashMap;

/// A place in a text, both from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// Says of each issue with a FHIRPath where in `text` that is. `under`: the path, as `parameter[0].resource`, to the
/// resource that the expressions begin at; empty where that is the outermost.
pub fn locate<'i>(text: &[u8], is_xml: bool, under: &str, issues: impl Iterator<Item = &'i mut Issue>) {
    let Ok(text) = std::str::from_utf8(text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text)) else { return };
    let mut issues: Vec<&mut Issue> =
        issues.filter(|issue| issue.place.is_none() && issue.expression.is_some()).collect();
    if issues.is_empty() {
        return;
    }
    let mut wanted = Wanted::default();
    let ends: Vec<Vec<usize>> =
        issues.iter().map(|issue| wanted.add(under, issue.expression.as_deref().unwrap_or_default())).collect();
    if is_xml {
        xml::walk(text, &mut wanted)
    } else {
        json::walk(text, &mut wanted)
    }
    for (issue, nodes) in issues.iter_mut().zip(ends) {
        issue.place = nodes.iter().rev().find_map(|node| wanted.nodes[*node].place);
    }
}

/// The elements that are looked for, as a tree; its root, 0, is the outermost resource.
struct Wanted {
    nodes: Vec<Node>,
    /// Nodes that are not found so far.
    left: usize,
}

#[derive(Default)]
struct Node {
    fields: HashMap<String, usize>,
    items: HashMap<usize, usize>,
    place: Option<Place>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], left: 1 }
    }
}

impl Wanted {
    /// The nodes on the way to an expression, the root first.
    fn add(&mut self, under: &str, expression: &str) -> Vec<usize> {
        // The first name is the resource's type, and no step.
        let typed = expression.starts_with(|c: char| c.is_ascii_uppercase());
        let path = if typed { expression.split_once('.').map_or("", |(_, path)| path) } else { expression };
        let mut nodes = vec![0];
        for cell in under.split('.').chain(path.split('.')).filter(|cell| !cell.is_empty()) {
            let mut parts = cell.split('[');
            let name = parts.next().unwrap_or_default().trim_end_matches("[x]").to_owned();
            let mut here = nodes[nodes.len() - 1];
            // `$this[2]`: of the outermost, which is a list.
            if name != "$this" {
                here = self.step(here, |node| &mut node.fields, name);
                nodes.push(here);
            }
            for index in parts.filter_map(|part| part.trim_end_matches(']').parse().ok()) {
                here = self.step(here, |node| &mut node.items, index);
                nodes.push(here);
            }
        }
        nodes
    }

    fn step<K: std::hash::Hash + Eq>(
        &mut self,
        from: usize,
        of: impl Fn(&mut Node) -> &mut HashMap<K, usize>,
        key: K,
    ) -> usize {
        let fresh = self.nodes.len();
        let node = *of(&mut self.nodes[from]).entry(key).or_insert(fresh);
        if node == fresh {
            self.nodes.push(Node::default());
            self.left += 1;
        }
        node
    }

    /// The node of a property: `value` in an expression is `valueQuantity` in the text.
    fn field(&self, node: usize, name: &str) -> Option<usize> {
        let fields = &self.nodes[node].fields;
        let of_choice = |stem: &&String| {
            name.strip_prefix(stem.as_str()).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        };
        fields.get(name).or_else(|| fields.keys().find(of_choice).and_then(|stem| fields.get(stem))).copied()
    }

    fn item(&self, node: usize, index: usize) -> Option<usize> {
        self.nodes[node].items.get(&index).copied()
    }

    fn is_leaf(&self, node: usize) -> bool {
        self.nodes[node].fields.is_empty() && self.nodes[node].items.is_empty()
    }

    fn found(&mut self, node: usize, place: Place) {
        let node = &mut self.nodes[node];
        // The first that is there counts.
        if node.place.is_none() {
            node.place = Some(place);
            self.left -= 1;
        }
    }
}

/// Counts lines and characters, forward alone: the whole text once, however many places are asked for.
struct Counter<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    column: usize,
}

impl<'t> Counter<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0, line: 1, column: 1 }
    }

    /// Of a byte that begins a character, at or after the last one asked for.
    fn place(&mut self, at: usize) -> Place {
        for c in self.text.get(self.at..at).unwrap_or_default().chars() {
            (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
        self.at = self.at.max(at);
        Place { line: self.line, column: self.column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::outcome::IssueType;

    fn placed(text: &str, is_xml: bool, under: &str, expression: &str) -> (usize, usize) {
        let mut issue = Issue::error(IssueType::Value, "x").at(expression);
        locate(text.as_bytes(), is_xml, under, std::iter::once(&mut issue));
        issue.place.map(|place| (place.line, place.column)).expect("a place")
    }

    const JSON: &str = "{\n \"resourceType\": \"Patient\", \"note\\\"\": \"}{\",\n \"name\": [{\"given\": [\"ü\", \"a\\\\\"],\n   \"family\": 1}, {\"family\": [[1], {\"a\": 2}]}],\n \"deceasedBoolean\": 7, \"contact\": {\"x\": {}}\n}";

    #[test]
    fn json_places_are_those_of_the_elements() {
        for (expression, line, column) in [
            ("Patient", 1, 1),
            ("Patient.name", 3, 2),
            ("Patient.name[0]", 3, 11),
            ("Patient.name[0].given[1]", 3, 27),
            ("Patient.name[0].family", 4, 4),
            ("Patient.name[1].family", 4, 19),
            ("Patient.deceased", 5, 2),
            // What is missing is where it should be.
            ("Patient.birthDate", 1, 1),
            ("Patient.name[1].given[3]", 4, 18),
            ("Patient.contact.x.y.z", 5, 36),
        ] {
            assert_eq!(placed(JSON, false, "", expression), (line, column), "{expression}");
        }
        let within = format!("{{\"parameter\": [{{\"resource\": {JSON}}}]}}");
        assert_eq!(placed(&within, false, "parameter[0].resource", "Patient.deceased"), (5, 2));
        assert_eq!(placed(&format!("\u{feff}{JSON}"), false, "", "Patient.deceased"), (5, 2));
    }

    #[test]
    fn xml_places_are_those_of_the_tags() {
        let xml = "<?xml version=\"1.0\"?>\n<Bundle xmlns=\"http://hl7.org/fhir\"><!-- <entry> -->\n<entry/><entry><resource>\n <Patient><id value='a>b'/>\n  <name><given value=\"ü\"/><given value=\"b\"/></name><deceasedBoolean value=\"x\"/></Patient></resource></entry></Bundle>";
        for (expression, line, column) in [
            ("Bundle", 2, 1),
            ("Bundle.entry[1]", 3, 9),
            ("Bundle.entry[1].resource.name[0].given[1]", 5, 27),
            ("Bundle.entry[1].resource.deceased", 5, 52),
            ("Bundle.entry[1].resource.gender", 3, 16),
        ] {
            assert_eq!(placed(xml, true, "", expression), (line, column), "{expression}");
        }
    }

    #[test]
    fn nothing_panics_on_what_is_not_sound() {
        for cut in (0..JSON.len()).filter(|at| JSON.is_char_boundary(*at)) {
            let mut issue = Issue::error(IssueType::Value, "x").at("Patient.name[1].family[0].a");
            for is_xml in [false, true] {
                locate(&JSON.as_bytes()[..cut], is_xml, "", std::iter::once(&mut issue));
            }
        }
    }
}
