//! How a measure is scored, and the registry of the measures that are known.
//!
//! A [`Measure`] is what detection sees; a [`Definition`] is what turns answers into its points. Definitions
//! are data: shipped ones from `profiles/`, an operator's own from files or from stored Questionnaires.

use super::fact::{Code, Questionnaire, Response};
use super::{Measure, Subscale};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// A measure with its scoring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    pub measure: Arc<Measure>,
    /// Other canonicals it goes by.
    pub aliases: Vec<String>,
    /// Items that add up to the score, in the measure's order.
    pub items: Vec<ItemDefinition>,
    /// Only the total is kept as an answer, even where the items are sent.
    pub score_only: bool,
    pub method: Method,
    /// How many items may be missing before there is no score.
    pub missing_max: u16,
    pub total: Place,
    /// Index of the item whose answer above zero is shown at once.
    pub safety: Option<u16>,
    pub subscales: Vec<SubscaleDefinition>,
}

/// Where in a form something stands: by linkId within this measure's own form, by LOINC code in any.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub links: Vec<String>,
    pub codes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemDefinition {
    pub place: Place,
    pub min: f64,
    pub max: f64,
    /// A bare number counts from the other end; choices carry their points and are never turned.
    pub reversed: bool,
    pub options: Vec<(Code, f64)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubscaleDefinition {
    pub subscale: Subscale,
    pub place: Place,
    pub items: Vec<u16>,
}

/// How items make a score. Missing ones are prorated by the mean of the answered ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Method {
    Sum,
    /// Mean of the answered items, times this.
    MeanTimes(f64),
}

/// What one answer is to a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Item(u16),
    Total,
    Subscale(u16),
}

/// A definition with its places indexed.
#[derive(Debug)]
pub struct Known {
    pub definition: Definition,
    links: HashMap<String, Part>,
    codes: HashMap<String, Part>,
}

impl Known {
    fn new(definition: Definition) -> Self {
        let (mut links, mut codes) = (HashMap::new(), HashMap::new());
        let mut place = |place: &Place, part: Part| {
            for link in &place.links {
                links.entry(link.clone()).or_insert(part);
            }
            for code in &place.codes {
                codes.entry(code.clone()).or_insert(part);
            }
        };
        for (n, item) in (0..).zip(&definition.items) {
            place(&item.place, Part::Item(n));
        }
        for (n, subscale) in (0..).zip(&definition.subscales) {
            place(&subscale.place, Part::Subscale(n));
        }
        place(&definition.total, Part::Total);
        Known { definition, links, codes }
    }

    fn coded(&self, codes: &[Box<str>]) -> Option<Part> {
        codes.iter().find_map(|code| self.codes.get(&**code).copied())
    }
}

/// A stored Questionnaire that is not itself a definition: what its linkIds mean.
#[derive(Debug)]
struct Structure {
    url: Option<String>,
    items: HashMap<Box<str>, Meaning>,
    /// Measures whose every item (or whose total) it holds, by LOINC code.
    holds: Vec<Arc<Known>>,
}

#[derive(Debug)]
struct Meaning {
    codes: Vec<Box<str>>,
    options: Vec<(Code, f64)>,
}

/// Every measure that is known, and what stored Questionnaires say of their items.
#[derive(Clone, Debug, Default)]
pub struct Measures {
    known: Vec<Arc<Known>>,
    by_canonical: HashMap<String, Arc<Known>>,
    /// By `Questionnaire/id`, and by canonical.
    structures: HashMap<String, Arc<Structure>>,
}

/// A response read as one measure.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    pub known: &'a Arc<Known>,
    structure: Option<&'a Structure>,
    /// The response names the measure itself, so that its own linkIds count.
    named: bool,
}

impl Reading<'_> {
    /// What an answer is to this measure.
    pub fn part(&self, link: &str) -> Option<Part> {
        if let Some(meaning) = self.structure.and_then(|structure| structure.items.get(link))
            && let Some(part) = self.known.coded(&meaning.codes)
        {
            return Some(part);
        }
        if let Some(part) = self.known.codes.get(code_of(link)) {
            return Some(*part);
        }
        self.named.then(|| self.known.links.get(link).copied()).flatten()
    }

    /// What a choice is worth: by the measure, else by the stored Questionnaire.
    pub fn points(&self, item: &ItemDefinition, link: &str, code: &Code) -> Option<f64> {
        lookup(&item.options, code).or_else(|| {
            let meaning = self.structure?.items.get(link)?;
            lookup(&meaning.options, code)
        })
    }
}

fn lookup(options: &[(Code, f64)], code: &Code) -> Option<f64> {
    use super::fact::System::Unsaid;
    let same =
        |a: &Code| a.code == code.code && (a.system == code.system || a.system == Unsaid || code.system == Unsaid);
    options.iter().find(|(option, _)| same(option)).map(|(_, points)| *points)
}

const KIND: &str = "Questionnaire/";

/// The LOINC code in a linkId: `44250-9`, `/44250-9`, `/44249-1/44250-9`.
fn code_of(link: &str) -> &str {
    link.rsplit('/').next().unwrap_or(link)
}

/// A canonical without its version.
pub fn without_version(canonical: &str) -> &str {
    canonical.split('|').next().unwrap_or(canonical)
}

impl Measures {
    /// A later definition of the same canonical replaces an earlier one, so an operator can correct a shipped one.
    pub fn new(definitions: impl IntoIterator<Item = Definition>) -> Self {
        let mut measures = Measures::default();
        for definition in definitions {
            measures.add(definition);
        }
        measures
    }

    /// With these beside (or in place of) what is known.
    #[must_use]
    pub fn with_definitions(&self, definitions: impl IntoIterator<Item = Definition>) -> Self {
        let mut measures = self.clone();
        definitions.into_iter().for_each(|definition| measures.add(definition));
        measures
    }

    fn add(&mut self, definition: Definition) {
        let known = Arc::new(Known::new(definition));
        let canonical = &known.definition.measure.canonical;
        if let Some(old) = self.by_canonical.get(canonical).filter(|old| old.definition.measure.canonical == *canonical)
        {
            let old = Arc::clone(old);
            self.known.retain(|other| !Arc::ptr_eq(other, &old));
            self.by_canonical.retain(|_, other| !Arc::ptr_eq(other, &old));
        }
        for alias in &known.definition.aliases {
            self.by_canonical.entry(alias.clone()).or_insert_with(|| Arc::clone(&known));
        }
        self.by_canonical.insert(canonical.clone(), Arc::clone(&known));
        self.known.push(known);
    }

    /// With what stored Questionnaires (logical id and fact) say: measures of their own, or what the items of an
    /// unknown form mean. The result does not depend on their order.
    #[must_use]
    pub fn with_questionnaires(&self, stored: impl IntoIterator<Item = (Arc<str>, Questionnaire)>) -> Self {
        let mut stored: Vec<_> = stored.into_iter().collect();
        stored.sort_by(|a, b| a.0.cmp(&b.0));
        let mut measures = self.clone();
        for (_, questionnaire) in &mut stored {
            if let Some(definition) = questionnaire.definition.take() {
                measures.add(*definition);
            }
        }
        for (id, questionnaire) in stored {
            let url = questionnaire.url.as_deref().map(|url| without_version(url).to_owned());
            let structure = Arc::new(measures.structure(url.clone(), questionnaire));
            measures.structures.insert(format!("Questionnaire/{id}"), Arc::clone(&structure));
            if let Some(url) = url {
                measures.structures.entry(url).or_insert(structure);
            }
        }
        measures
    }

    fn structure(&self, url: Option<String>, questionnaire: Questionnaire) -> Structure {
        let items: HashMap<_, _> = questionnaire
            .items
            .into_iter()
            .map(|item| (item.link, Meaning { codes: item.codes, options: item.options }))
            .collect();
        let has = |place: &Place| {
            items.iter().any(|(link, meaning)| {
                place
                    .codes
                    .iter()
                    .any(|code| code == code_of(link) || meaning.codes.iter().any(|other| **other == **code))
            })
        };
        let holds = self.known.iter().filter(|known| {
            let definition = &known.definition;
            has(&definition.total)
                || (!definition.items.is_empty() && definition.items.iter().all(|item| has(&item.place)))
        });
        let holds = largest(holds.cloned().collect());
        Structure { url, items, holds }
    }

    /// A measure by canonical (its version is ignored), or by a reference to a stored Questionnaire.
    pub fn get(&self, name: &str) -> Option<&Arc<Known>> {
        let name = without_version(name);
        if let Some(known) = self.by_canonical.get(name) {
            return Some(known);
        }
        if let Some(structure) = self.structure_of(name) {
            return self.by_canonical.get(structure.url.as_deref()?);
        }
        // A definition by its relative name alone.
        let named = |known: &&Arc<Known>| {
            let rest = known.definition.measure.canonical.strip_suffix(name);
            name.starts_with(KIND) && rest.is_some_and(|rest| rest.ends_with('/'))
        };
        self.known.iter().filter(named).min_by_key(|known| &known.definition.measure.canonical)
    }

    fn structure_of(&self, name: &str) -> Option<&Structure> {
        if let Some(found) = self.structures.get(name) {
            return Some(found);
        }
        // An absolute address may be that of a stored Questionnaire only where that has no canonical of its own.
        let at = name.rfind(KIND).filter(|at| *at > 0 && name.as_bytes()[at - 1] == b'/')?;
        self.structures.get(&name[at..]).map(Arc::as_ref).filter(|structure| structure.url.is_none())
    }

    /// Measures in the order of their canonicals.
    pub fn all(&self) -> Vec<&Definition> {
        let mut all: Vec<_> = self.known.iter().map(|known| &known.definition).collect();
        all.sort_by(|a, b| a.measure.canonical.cmp(&b.measure.canonical));
        all
    }

    /// The measures a response is an administration of: the one it names, else those its items are.
    pub fn read<'a>(&'a self, response: &Response) -> Vec<Reading<'a>> {
        let name = response.questionnaire.as_deref().map(without_version);
        let structure = name.and_then(|name| self.structure_of(name));
        if let Some(known) = name.and_then(|name| self.get(name)) {
            return vec![Reading { known, structure, named: true }];
        }
        if let Some(found) = structure {
            return found.holds.iter().map(|known| Reading { known, structure, named: false }).collect();
        }
        let found: Vec<_> = self.known.iter().filter(|known| known.enough(response)).cloned().collect();
        let found = largest(found);
        let all = self.known.iter().filter(|known| found.iter().any(|other| Arc::ptr_eq(known, other)));
        all.map(|known| Reading { known, structure: None, named: false }).collect()
    }
}

impl Known {
    /// Whether the answers alone, by LOINC codes as linkIds, show this measure: its total, more than half of its
    /// items, or its safety item (which must never be overlooked).
    fn enough(&self, response: &Response) -> bool {
        let parts = response.answers.iter().filter_map(|answer| self.codes.get(code_of(&answer.link)));
        let mut seen = vec![false; self.definition.items.len()];
        for part in parts {
            match part {
                Part::Total => return true,
                Part::Item(n) => seen[usize::from(*n)] = true,
                Part::Subscale(_) => {}
            }
        }
        let safety = self.definition.safety.is_some_and(|n| seen[usize::from(n)]);
        safety || seen.iter().filter(|seen| **seen).count() * 2 > seen.len()
    }
}

/// Leaves out a measure whose every item belongs to a larger one that was found too.
fn largest(mut found: Vec<Arc<Known>>) -> Vec<Arc<Known>> {
    let order = |known: &Arc<Known>| {
        let definition = &known.definition;
        (std::cmp::Reverse(definition.items.len()), definition.measure.canonical.clone())
    };
    found.sort_by_key(order);
    let mut kept: Vec<Arc<Known>> = Vec::new();
    for known in found {
        let mut items = known.definition.items.iter().flat_map(|item| &item.place.codes).peekable();
        let inside = items.peek().is_some()
            && items.all(|code| kept.iter().any(|other| matches!(other.codes.get(code), Some(Part::Item(_)))));
        if !inside {
            kept.push(known);
        }
    }
    kept.sort_by(|a, b| a.definition.measure.canonical.cmp(&b.definition.measure.canonical));
    kept
}
