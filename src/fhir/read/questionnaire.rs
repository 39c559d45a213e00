//! Questionnaire: what its items mean, and the measure it defines through `measure-scoring` (see
//! `profiles/README.md`).

use super::json::{LOINC, code, each, extensions, items, number, ordinal, text};
use super::{BASE, loinc};
use crate::domain::definition::{ItemDefinition, Method, Place, SubscaleDefinition, without_version};
use crate::domain::fact::{Questionnaire, QuestionnaireItem};
use crate::domain::{Definition, Measure, Role, Subscale, Worse};
use serde_json::Value;
use std::sync::Arc;

/// A Questionnaire this long is not kept item by item.
const ITEMS_MAX: usize = 512;

/// Why a Questionnaire that has scoring defines no measure: where, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// FHIRPath from the Questionnaire.
    pub expression: String,
    pub expected: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.expression, self.expected)
    }
}

fn problem<T>(expression: impl Into<String>, expected: impl Into<String>) -> Result<T, Problem> {
    Err(Problem { expression: expression.into(), expected: expected.into() })
}

pub fn read(resource: &Value) -> Questionnaire {
    let mut found = Vec::new();
    items(resource, &mut |item| {
        if let Some(link) = text(item, "linkId").filter(|_| found.len() < ITEMS_MAX) {
            let codes = place(link, item).codes.into_iter().map(Box::from).collect();
            found.push(QuestionnaireItem { link: link.into(), codes, options: options(item) });
        }
    });
    Questionnaire {
        url: text(resource, "url").map(|url| without_version(url).into()),
        items: found,
        definition: definition(resource).ok().flatten().map(Box::new),
    }
}

/// LOINC codes of an item, by its codes or its linkId (`/44250-9`); wrong check digits left out.
fn place(link: &str, item: &Value) -> Place {
    let coded = each(item, "code").filter(|coding| text(coding, "system") == Some(LOINC));
    let named = link.rsplit('/').next().filter(|code| loinc::valid(code));
    let mut codes: Vec<String> = coded
        .filter_map(|coding| text(coding, "code"))
        .chain(named)
        .filter(|code| loinc::valid(code))
        .map(str::to_owned)
        .collect();
    codes.dedup();
    Place { links: vec![link.to_owned()], codes }
}

fn options(item: &Value) -> Vec<(crate::domain::fact::Code, f64)> {
    let worth = |option: &Value| Some((code(option.get("valueCoding")?)?, ordinal(option)?));
    each(item, "answerOption").filter_map(worth).collect()
}

/// The measure a Questionnaire defines; `None` where it has no scoring.
pub fn definition(resource: &Value) -> Result<Option<Definition>, Problem> {
    let url = format!("{BASE}/StructureDefinition/measure-scoring");
    let Some(scoring) = extensions(resource, &url).next() else { return Ok(None) };
    let scoring = Scoring { at: format!("Questionnaire.extension('{url}')"), value: scoring };
    let Some(canonical) = text(resource, "url").map(without_version) else {
        return problem("Questionnaire.url", "a measure needs a canonical");
    };
    let Some(name) = text(resource, "title").or_else(|| text(resource, "name")) else {
        return problem("Questionnaire.title", "a measure needs a short name");
    };
    let form = Form::read(resource)?;
    let totals = form.places(&scoring.texts("total"), &scoring)?;
    let mut subscales = Vec::new();
    for subscale in scoring.parts("subscale") {
        subscales.push((subscale.kind()?, form.places(&subscale.texts("total"), &subscale)?, subscale.texts("item")));
    }
    let score_only = scoring.flag("scoreOnly");
    let reversed = scoring.texts("reversed");
    let elsewhere: Vec<&str> = totals
        .links
        .iter()
        .chain(subscales.iter().flat_map(|(_, place, _)| &place.links))
        .map(String::as_str)
        .collect();
    let items = match scoring.parts("parts").next() {
        Some(parts) => parts.numbered()?,
        None if score_only => Vec::new(),
        None => form.scored(&scoring, &elsewhere)?,
    };
    let index = |link: &str| {
        let found = (0..).zip(&items).find(|(_, item)| item.place.links.iter().any(|other| other == link));
        found.map_or_else(|| problem(&scoring.at, format!("linkId {link} is no scored item")), |(n, _): (u16, _)| Ok(n))
    };
    let subscales = subscales.into_iter().map(|(subscale, place, items)| {
        Ok(SubscaleDefinition {
            subscale,
            place,
            items: items.iter().map(|link| index(link)).collect::<Result<_, _>>()?,
        })
    });
    let subscales = subscales.collect::<Result<_, Problem>>()?;
    let safety = scoring.texts("safety").first().map(|link| index(link)).transpose()?;
    let turned = reversed.iter().map(|link| index(link)).collect::<Result<Vec<_>, _>>()?;
    let items: Vec<ItemDefinition> =
        (0..).zip(items).map(|(n, item)| ItemDefinition { reversed: turned.contains(&n), ..item }).collect();
    let measure = scoring.measure(canonical, name, if score_only { 1 } else { items.len() })?;
    let method = scoring.method()?;
    scoring.range(&measure, method, &items)?;
    let panel = |coding: &&Value| text(coding, "system") == Some(LOINC);
    let panels = each(resource, "code").filter(panel).filter_map(|coding| text(coding, "code"));
    Ok(Some(Definition {
        aliases: scoring
            .texts("alias")
            .iter()
            .map(|alias| without_version(alias).to_owned())
            .chain(panels.map(|code| format!("{LOINC}/q/{code}")))
            .collect(),
        measure: Arc::new(measure),
        items,
        score_only,
        method,
        missing_max: scoring.number("missingMax").map_or(0, |most| most.clamp(0.0, 1000.0) as u16),
        total: totals,
        safety,
        subscales,
    }))
}

/// The items of a Questionnaire, checked.
struct Form<'a>(Vec<(&'a str, &'a Value)>);

impl<'a> Form<'a> {
    fn read(resource: &'a Value) -> Result<Self, Problem> {
        let mut found = Vec::new();
        items(resource, &mut |item| found.extend(text(item, "linkId").map(|link| (link, item))));
        if found.len() > ITEMS_MAX {
            return problem("Questionnaire.item", format!("a measure has at most {ITEMS_MAX} items"));
        }
        let wrong =
            |coding: &&Value| text(coding, "system") == Some(LOINC) && !text(coding, "code").is_some_and(loinc::valid);
        for (link, item) in &found {
            let options = each(item, "answerOption").filter_map(|option| option.get("valueCoding"));
            if each(item, "code").chain(options).any(|coding| wrong(&coding)) {
                return problem(
                    format!("Questionnaire.item.where(linkId='{link}')"),
                    "a LOINC code with the right check digit",
                );
            }
        }
        if each(resource, "code").any(|coding| wrong(&coding)) {
            return problem("Questionnaire.code", "a LOINC code with the right check digit");
        }
        Ok(Form(found))
    }

    fn places(&self, links: &[&str], scoring: &Scoring) -> Result<Place, Problem> {
        let mut all = Place::default();
        for link in links {
            let Some((_, item)) = self.0.iter().find(|(other, _)| other == link) else {
                return problem(&scoring.at, format!("linkId {link} is no item"));
            };
            let Place { links, codes } = place(link, item);
            all.links.extend(links);
            all.codes.extend(codes);
        }
        Ok(all)
    }

    /// The items the scoring lists, else every one that can have points and is no total.
    fn scored(&self, scoring: &Scoring, elsewhere: &[&str]) -> Result<Vec<ItemDefinition>, Problem> {
        let listed = scoring.texts("item");
        let can = |item: &Value| {
            matches!(text(item, "type"), Some("integer" | "decimal" | "quantity" | "choice" | "open-choice"))
        };
        let mut found = Vec::new();
        for (link, item) in &self.0 {
            let scored = if listed.is_empty() { can(item) && !elsewhere.contains(link) } else { listed.contains(link) };
            if scored {
                found.push(scored_item(link, item)?);
            }
        }
        found.sort_by_key(|item| listed.iter().position(|link| item.place.links.iter().any(|other| other == link)));
        if found.is_empty() {
            return problem("Questionnaire.item", "a measure that is not score-only needs items");
        }
        Ok(found)
    }
}

fn scored_item(link: &str, item: &Value) -> Result<ItemDefinition, Problem> {
    let options = options(item);
    let limit = |name: &str| {
        let url = format!("http://hl7.org/fhir/StructureDefinition/{name}");
        extensions(item, &url)
            .find_map(|limit| ["valueInteger", "valueDecimal"].iter().find_map(|key| limit.get(key).and_then(number)))
    };
    let points = || options.iter().map(|(_, points)| *points);
    let min = points().reduce(f64::min).or_else(|| limit("minValue"));
    let max = points().reduce(f64::max).or_else(|| limit("maxValue"));
    match (min, max) {
        (Some(min), Some(max)) if min < max => {
            Ok(ItemDefinition { place: place(link, item), min, max, reversed: false, options })
        }
        _ => problem(
            format!("Questionnaire.item.where(linkId='{link}')"),
            "answer options with ordinal values, or minValue and maxValue",
        ),
    }
}

/// The `measure-scoring` extension, or a complex part of it.
struct Scoring<'a> {
    at: String,
    value: &'a Value,
}

impl<'a> Scoring<'a> {
    fn values(&self, name: &'a str) -> impl Iterator<Item = &'a Value> + use<'a> {
        extensions(self.value, name)
    }

    fn parts(&self, name: &'static str) -> impl Iterator<Item = Scoring<'a>> {
        let at = format!("{}.extension('{name}')", self.at);
        extensions(self.value, name).map(move |value| Scoring { at: at.clone(), value })
    }

    fn texts(&self, name: &'static str) -> Vec<&'a str> {
        let keys = ["valueString", "valueCode", "valueUri", "valueCanonical"];
        self.values(name).filter_map(|value| keys.iter().find_map(|key| text(value, key))).collect()
    }

    fn number(&self, name: &'static str) -> Option<f64> {
        let keys = ["valueDecimal", "valueInteger"];
        self.values(name).find_map(|value| keys.iter().find_map(|key| value.get(key).and_then(number)))
    }

    fn needed(&self, name: &'static str) -> Result<f64, Problem> {
        self.number(name).map_or_else(|| problem(&self.at, format!("{name}, a number")), Ok)
    }

    fn flag(&self, name: &'static str) -> bool {
        self.values(name).any(|value| value.get("valueBoolean").and_then(Value::as_bool) == Some(true))
    }

    fn measure(&self, canonical: &str, name: &str, items: usize) -> Result<Measure, Problem> {
        let positive = |name: &'static str| match self.number(name) {
            Some(value) if value <= 0.0 => problem(&self.at, format!("{name} above zero")),
            value => Ok(value),
        };
        let (min, max) = (self.needed("min")?, self.needed("max")?);
        let cutoff = self.number("cutoff");
        if min >= max || cutoff.is_some_and(|cutoff| !(min..=max).contains(&cutoff)) {
            return problem(&self.at, "min below max, and the cut-off between them");
        }
        Ok(Measure {
            canonical: canonical.to_owned(),
            name: name.to_owned(),
            role: match self.texts("role").first() {
                Some(&"outcome") | None => Role::Outcome,
                Some(&"alliance") => Role::Alliance,
                Some(_) => return problem(&self.at, "role outcome or alliance"),
            },
            min,
            max,
            worse: match self.texts("worse").first() {
                Some(&"up") => Worse::Up,
                Some(&"down") => Worse::Down,
                _ => return problem(&self.at, "worse up or down"),
            },
            rci: positive("rci")?,
            cutoff,
            items: u16::try_from(items).unwrap_or(u16::MAX),
        })
    }

    fn method(&self) -> Result<Method, Problem> {
        match self.texts("method").first() {
            Some(&"sum") | None => Ok(Method::Sum),
            Some(&"mean") => Ok(Method::MeanTimes(self.number("factor").unwrap_or(1.0))),
            Some(_) => problem(&self.at, "method sum or mean"),
        }
    }

    /// Items that cannot reach the ends of the range, or go beyond them, are a mistake in one or the other.
    fn range(&self, measure: &Measure, method: Method, items: &[ItemDefinition]) -> Result<(), Problem> {
        if items.is_empty() {
            return Ok(());
        }
        let ends = items.iter().fold((0.0, 0.0), |(low, high), item| (low + item.min, high + item.max));
        let scale = match method {
            Method::Sum => 1.0,
            Method::MeanTimes(factor) => factor / items.len() as f64,
        };
        let (low, high) = (ends.0 * scale, ends.1 * scale);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        if near(low, measure.min) && near(high, measure.max) {
            return Ok(());
        }
        problem(&self.at, format!("min and max as the items add up: {low} and {high}"))
    }

    /// Items that are known by number alone: linkIds "1", "2" …
    fn numbered(&self) -> Result<Vec<ItemDefinition>, Problem> {
        let (count, min, max) = (self.needed("count")?, self.needed("min")?, self.needed("max")?);
        if !(1.0..=ITEMS_MAX as f64).contains(&count) || min >= max {
            return problem(&self.at, "count of at least 1, and min below max");
        }
        let item = |n: u16| ItemDefinition {
            place: Place { links: vec![n.to_string()], codes: Vec::new() },
            min,
            max,
            reversed: false,
            options: Vec::new(),
        };
        Ok((1..=count as u16).map(item).collect())
    }

    fn kind(&self) -> Result<Subscale, Problem> {
        match self.texts("code").first() {
            Some(&"task") => Ok(Subscale::Task),
            Some(&"goal") => Ok(Subscale::Goal),
            Some(&"bond") => Ok(Subscale::Bond),
            _ => problem(&self.at, "code task, goal or bond"),
        }
    }
}
