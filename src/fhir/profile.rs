//! A resource against our own StructureDefinitions: what a differential says of cardinality, types, targets, fixed and
//! pattern values, required bindings to our value sets, and slices told apart by fixed values inside them. R4 itself is
//! [`check`](super::check)'s business.

use super::artefacts;
use super::outcome::{Issue, IssueType};
use serde_json::{Map, Value};

const R4: &str = "http://hl7.org/fhir/StructureDefinition/";

/// What is known of a profile.
pub enum Profile {
    Ours(Value),
    /// R4's own definition of this type: nothing beyond R4.
    Base(String),
    Unknown,
}

/// The profile of that canonical URL, with or without a version.
#[must_use]
pub fn find(url: &str) -> Profile {
    let plain = url.split('|').next().unwrap_or(url);
    let ours = artefacts::of_kind("StructureDefinition").filter_map(|one| serde_json::from_str::<Value>(one.json).ok());
    if let Some(found) = ours.into_iter().find(|one| one.get("url").and_then(Value::as_str) == Some(plain)) {
        return Profile::Ours(found);
    }
    match plain.strip_prefix(R4).filter(|name| super::definitions::resource_type(name).is_some()) {
        Some(name) => Profile::Base(name.to_owned()),
        None => Profile::Unknown,
    }
}

/// What keeps `resource` from meeting the profile; expressions start with `root`.
#[must_use]
pub fn faults(definition: &Value, resource: &Value, root: &str) -> Vec<Issue> {
    let mut issues = Vec::new();
    let kind = text(definition, "type").unwrap_or_default();
    if kind != "Extension" && text(resource, "resourceType") != Some(kind) {
        let words = format!("The profile is one of {kind}.");
        return vec![Issue::error(IssueType::Structure, words).at(root)];
    }
    if let Some(object) = resource.as_object() {
        inside(&tree(definition), object, root, &mut issues);
    }
    issues
}

/// The same for every extension of ours, wherever it stands in the resource.
#[must_use]
pub fn extension_faults(resource: &Value, root: &str) -> Vec<Issue> {
    let mut issues = Vec::new();
    walk(resource, root, &mut |extension, place| {
        if let Some(Profile::Ours(definition)) = text(extension, "url").map(find) {
            issues.extend(faults(&definition, extension, place));
        }
    });
    issues
}

fn walk(value: &Value, place: &str, each: &mut dyn FnMut(&Value, &str)) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                let here = format!("{place}.{key}");
                if key == "extension" || key == "modifierExtension" {
                    for (n, one) in inner.as_array().into_iter().flatten().enumerate() {
                        each(one, &format!("{here}[{n}]"));
                    }
                }
                if inner.is_object() || inner.is_array() {
                    walk(inner, &here, each);
                }
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| walk(item, &format!("{place}[{n}]"), each));
        }
        _ => {}
    }
}

/// An element of the differential, with those inside it.
#[derive(Debug, Default)]
struct Node<'a> {
    /// Last part of the id, without its slice.
    name: &'a str,
    slice: Option<&'a str>,
    /// `None` where only something inside it is constrained.
    element: Option<&'a Map<String, Value>>,
    inside: Vec<Node<'a>>,
}

fn tree(definition: &Value) -> Vec<Node<'_>> {
    let mut root = Node::default();
    let all = definition.pointer("/differential/element").and_then(Value::as_array).into_iter().flatten();
    for element in all.filter_map(Value::as_object) {
        let Some(id) = element.get("id").and_then(Value::as_str) else { continue };
        let mut at = &mut root;
        for part in id.split('.').skip(1) {
            let (name, slice) = part.split_once(':').map_or((part, None), |(name, slice)| (name, Some(slice)));
            let found = at.inside.iter().position(|node| node.name == name && node.slice == slice);
            let position = found.unwrap_or_else(|| {
                at.inside.push(Node { name, slice, ..Node::default() });
                at.inside.len() - 1
            });
            at = &mut at.inside[position];
        }
        at.element = Some(element);
    }
    root.inside
}

/// One value of an element: its JSON, where it stands, and its type where the key tells.
struct Found<'v> {
    value: &'v Value,
    place: String,
    kind: Option<String>,
}

fn found<'v>(object: &'v Map<String, Value>, name: &str, place: &str) -> Vec<Found<'v>> {
    if let Some(stem) = name.strip_suffix("[x]") {
        let typed = |key: &str| {
            key.strip_prefix(stem).filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase())).map(str::to_owned)
        };
        let all = object.iter().filter_map(|(key, value)| Some((key, value, typed(key)?)));
        return all
            .map(|(key, value, kind)| Found { value, place: format!("{place}.{key}"), kind: Some(kind) })
            .collect();
    }
    match object.get(name) {
        Some(Value::Array(items)) => {
            let all = items.iter().enumerate();
            all.map(|(n, value)| Found { value, place: format!("{place}.{name}[{n}]"), kind: None }).collect()
        }
        Some(value) => vec![Found { value, place: format!("{place}.{name}"), kind: None }],
        None => Vec::new(),
    }
}

fn inside(nodes: &[Node], object: &Map<String, Value>, place: &str, issues: &mut Vec<Issue>) {
    for node in nodes {
        let mut values = found(object, node.name, place);
        if node.slice.is_some() {
            values.retain(|one| node.tells(one.value));
        }
        node.count(values.len(), place, issues);
        for one in values {
            node.value(&one, issues);
            if let Some(object) = one.value.as_object() {
                inside(&node.inside, object, &one.place, issues);
            }
        }
    }
}

impl Node<'_> {
    fn words(&self) -> String {
        let stem = self.name.trim_end_matches("[x]");
        self.slice.map_or_else(|| format!("`{stem}`"), |slice| format!("`{stem}` ({slice})"))
    }

    /// Whether a value belongs to this slice: the fixed and pattern values inside it tell.
    fn tells(&self, value: &Value) -> bool {
        let mut told = self.inside.iter().filter(|node| node.constant().is_some()).peekable();
        let Some(object) = value.as_object().filter(|_| told.peek().is_some()) else { return false };
        told.all(|node| found(object, node.name, "").iter().any(|one| node.has_constant(one.value)))
    }

    /// `fixed[x]` or `pattern[x]`.
    fn constant(&self) -> Option<(bool, &Value)> {
        let all = self.element.into_iter().flatten();
        all.filter_map(|(key, value)| match key.strip_prefix("fixed") {
            Some(_) => Some((true, value)),
            None => key.strip_prefix("pattern").map(|_| (false, value)),
        })
        .next()
    }

    fn has_constant(&self, value: &Value) -> bool {
        match self.constant() {
            Some((true, fixed)) => value == fixed,
            Some((false, pattern)) => holds(value, pattern),
            None => true,
        }
    }

    fn count(&self, count: usize, place: &str, issues: &mut Vec<Issue>) {
        let Some(element) = self.element else { return };
        let number =
            |key: &str| element.get(key).and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
        let stem = self.name.trim_end_matches("[x]");
        if let Some(least) = number("min").filter(|least| (count as u64) < *least) {
            let words = format!("The profile asks for at least {least} of {}.", self.words());
            issues.push(Issue::error(IssueType::Required, words).at(format!("{place}.{stem}")));
        }
        if let Some(most) = number("max").filter(|most| count as u64 > *most) {
            let words = format!("The profile allows at most {most} of {}.", self.words());
            issues.push(Issue::error(IssueType::Structure, words).at(format!("{place}.{stem}")));
        }
    }

    fn value(&self, one: &Found, issues: &mut Vec<Issue>) {
        let mut fault = |code, words: String| issues.push(Issue::error(code, words).at(one.place.clone()));
        if !self.has_constant(one.value) {
            fault(IssueType::Value, format!("The profile gives {} one value, which this is not.", self.words()));
        }
        let Some(element) = self.element else { return };
        let types = || element.get("type").and_then(Value::as_array).into_iter().flatten();
        if let Some(kind) = &one.kind
            && types().next().is_some()
            && !types().any(|of| text(of, "code").is_some_and(|code| code.eq_ignore_ascii_case(kind)))
        {
            let codes: Vec<&str> = types().filter_map(|of| text(of, "code")).collect();
            fault(IssueType::Structure, format!("The profile takes {} as {} alone.", self.words(), codes.join(" or ")));
        }
        let targets: Vec<&str> = types()
            .flat_map(|of| of.get("targetProfile").and_then(Value::as_array).into_iter().flatten())
            .filter_map(|target| target.as_str()?.strip_prefix(R4))
            .collect();
        if let Some(kind) = referred(one.value)
            && !targets.is_empty()
            && !targets.contains(&kind)
        {
            fault(
                IssueType::Value,
                format!("The profile lets {} refer to {} alone.", self.words(), targets.join(" or ")),
            );
        }
        if let Some(binding) = element.get("binding")
            && text(binding, "strength") == Some("required")
            && let Some(codes) = text(binding, "valueSet").and_then(artefacts::expansion)
            && !bound(one.value, &codes)
        {
            let set = text(binding, "valueSet").unwrap_or_default();
            fault(IssueType::CodeInvalid, format!("The profile asks for a code of {set}."));
        }
    }
}

/// The type that a reference names; `None` where it does not say.
fn referred(value: &Value) -> Option<&str> {
    if let Some(kind) = text(value, "type") {
        return Some(kind);
    }
    let reference = text(value, "reference")?.split("/_history/").next()?;
    let (before, _) = reference.rsplit_once('/')?;
    before.rsplit('/').next().filter(|name| super::definitions::resource_type(name).is_some())
}

/// A code, Coding or CodeableConcept out of the list.
fn bound(value: &Value, codes: &[(String, String)]) -> bool {
    if let Some(code) = value.as_str() {
        return codes.iter().any(|(_, known)| known == code);
    }
    let of_set = |coding: &Value| {
        codes.iter().any(|(system, code)| text(coding, "system") == Some(system) && text(coding, "code") == Some(code))
    };
    match value.get("coding").and_then(Value::as_array) {
        Some(codings) => codings.iter().any(of_set),
        None => of_set(value),
    }
}

/// Everything in `pattern` stands in `value` too.
fn holds(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (Value::Object(value), Value::Object(pattern)) => {
            pattern.iter().all(|(key, wanted)| value.get(key).is_some_and(|has| holds(has, wanted)))
        }
        (Value::Array(value), Value::Array(pattern)) => {
            pattern.iter().all(|wanted| value.iter().any(|has| holds(has, wanted)))
        }
        _ => value == pattern,
    }
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BASE: &str = "https://tautline.example/fhir/StructureDefinition/";

    fn against(name: &str, resource: &Value) -> Vec<String> {
        let Profile::Ours(definition) = find(&format!("{BASE}{name}")) else { panic!("{name} is ours") };
        let root = text(resource, "resourceType").unwrap_or("Extension").to_owned();
        let mut all = faults(&definition, resource, &root);
        all.extend(extension_faults(resource, &root));
        all.into_iter()
            .map(|issue| format!("{} {}", issue.code.as_str(), issue.expression.unwrap_or_default()))
            .collect()
    }

    /// What the code writes meets the profiles that it names.
    #[test]
    fn every_finding_meets_its_profile() {
        let mut named = 0;
        for finding in crate::fhir::write::tests::sample::all() {
            let resource = &finding.resource;
            assert_eq!(extension_faults(resource, "R").len(), 0, "{resource}");
            for profile in resource.pointer("/meta/profile").and_then(Value::as_array).into_iter().flatten() {
                let Profile::Ours(definition) = find(profile.as_str().expect("a url")) else { continue };
                assert_eq!(faults(&definition, resource, "R"), [], "{resource}");
                named += 1;
            }
        }
        let kinds = [("Flag", "finding-flag"), ("Provenance", "finding-provenance")];
        for finding in crate::fhir::write::tests::sample::all() {
            let kind = text(&finding.resource, "resourceType").expect("a type").to_owned();
            if let Some((_, profile)) = kinds.iter().find(|(name, _)| *name == kind) {
                assert_eq!(against(profile, &finding.resource), Vec::<String>::new());
                named += 1;
            }
        }
        assert!(named > 5, "{named}");
    }

    #[test]
    fn what_the_differential_asks_for() {
        let task = json!({"resourceType": "Task", "status": "requested", "intent": "order"});
        assert_eq!(against("homework", &task), ["required Task.for"]);
        let mut task = task;
        task["for"] = json!({"reference": "http://x/fhir/Group/1"});
        assert_eq!(against("homework", &task), ["value Task.for"]);
        task["for"] = json!({"reference": "Patient/1"});
        assert_eq!(against("homework", &task), Vec::<String>::new());
        let flag = json!({"resourceType": "Flag", "status": "active", "category": [{}], "period": {"start": "2026"},
            "code": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/flag", "code": "colour"}]},
            "subject": {"reference": "Patient/1"}, "author": {"reference": "Practitioner/1"}});
        assert_eq!(against("finding-flag", &flag), ["code-invalid Flag.code", "value Flag.author"]);
        let signal = json!({"resourceType": "Observation", "effectivePeriod": {}, "valueString": "x", "code": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/signal", "code": "attendance"}]}, "subject": {"reference": "Patient/1"}, "device": {}, "method": {}});
        assert_eq!(
            against("signal", &signal),
            ["structure Observation.effectivePeriod", "structure Observation.valueString"]
        );
        assert_eq!(against("signal", &json!({"resourceType": "Patient"})), ["structure Patient"]);
    }

    /// Slices are told apart by their fixed values, also inside one another.
    #[test]
    fn slices_of_extensions() {
        let url = format!("{BASE}measure-scoring");
        let part = |name: &str, key: &str, value: Value| json!({"url": name, key: value});
        let good = json!({"url": url, "extension": [part("min", "valueDecimal", json!(0)), part("max", "valueDecimal", json!(3)), part("worse", "valueCode", json!("higher"))]});
        assert_eq!(against("measure-scoring", &good), Vec::<String>::new());
        let bad = json!({"url": url, "valueString": "x", "extension": [part("min", "valueString", json!("0")), part("min", "valueDecimal", json!(0)), part("max", "valueDecimal", json!(3)),
            json!({"url": "subscale", "extension": [part("item", "valueString", json!("a"))]})]});
        let told = against("measure-scoring", &bad);
        for fault in [
            "structure Extension.extension",
            "structure Extension.extension[0].valueString",
            "required Extension.extension",
            "required Extension.extension[3].extension",
            "structure Extension.value",
        ] {
            assert!(told.iter().any(|one| one == fault), "{fault} of {told:?}");
        }
        let resource = json!({"resourceType": "QuestionnaireResponse", "extension": [{"url": format!("{BASE}completion-seconds"), "valueString": "x"}]});
        assert_eq!(extension_faults(&resource, "R")[0].expression.as_deref(), Some("R.extension[0].valueString"));
    }

    #[test]
    fn profiles_by_their_url() {
        assert!(matches!(find(&format!("{BASE}signal|0.1.0")), Profile::Ours(_)));
        assert!(
            matches!(find("http://hl7.org/fhir/StructureDefinition/Patient"), Profile::Base(name) if name == "Patient")
        );
        assert!(matches!(find("http://elsewhere/x"), Profile::Unknown));
    }
}
