//! What strangers send: a small corpus and what chance makes of it, at every place where text is read. Nothing may
//! panic or take long, what is found sound has to be usable, and no token but the true one may be believed.
//!
//! ```sh
//! TAUTLINE_FUZZ_ROUNDS=10000000 cargo test --release --test fuzz -- --nocapture
//! ```

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use tautline::detection::{Constants, assess};
use tautline::domain::build::{VersionedFact, timeline};
use tautline::domain::{Source, SourceKind};
use tautline::fhir::parameters::{TermContext, terms};
use tautline::fhir::{accept, bundle, check, kinds, patch, read, search, time, xml};
use tautline::smart::keys::{self, KeySet};
use tautline::smart::scope;
use tautline::smart::signing::Signing;

const ROUNDS_VARIABLE: &str = "TAUTLINE_FUZZ_ROUNDS";
/// Inputs to a target, unless the variable says otherwise.
const ROUNDS: u64 = 3000;
const SEED_VARIABLE: &str = "TAUTLINE_FUZZ_SEED";
/// One input, in a debug build on a machine under load.
const TOOK_MAX: Duration = Duration::from_secs(5);
const SEARCHES: &str = include_str!("fuzz/search.txt");
const SCOPES: &str = include_str!("fuzz/scopes.txt");
const DOCUMENTS: &str = include_str!("fuzz/documents.ndjson");
const XML: &str = include_str!("fuzz/xml.txt");
/// What is likely to mean something somewhere.
const WORDS: &[&str] = &[
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "|",
    "$",
    "&",
    "=",
    "%",
    "%00",
    "%C3",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "1e999",
    "-0",
    "0.1e-400",
    "99999999999999999999",
    "9999-12-31T23:59:60Z",
    "-0001",
    "2026-02-30",
    "2026-13",
    "24:00:00",
    "+14:00",
    "Patient/",
    "#",
    "urn:uuid:",
    "http://",
    "_id",
    ":not",
    ":missing=true",
    ":contains",
    "_has:",
    "ge",
    "\u{0}",
    "\u{202e}",
    "😀",
    "é",
    "<",
    ">",
    "</",
    "<!--",
    "]]>",
    "&#0;",
    "&lt;",
    ".",
    "..",
    "/",
    "*",
    "?",
    " ",
    "\n",
    "resourceType",
    "entry",
    "item",
    "linkId",
    "answer",
    "valueDecimal",
    "extension",
    "contained",
    "meta",
];

/// The same seed, the same inputs.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }
}

/// Bytes changed, cut, doubled, spliced with another's.
fn mangled(text: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut out = text.to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(out.len() + 1);
        let to = (at + dice.roll(24)).min(out.len());
        match dice.roll(6) {
            0 if at < out.len() => out[at] ^= 1 << dice.roll(8),
            1 => drop(out.drain(at..to)),
            2 => drop(out.splice(at..at, dice.one(WORDS).bytes())),
            3 => drop(out.splice(at..to, dice.one(WORDS).bytes())),
            4 => {
                let piece = out[at..to].repeat(1 + dice.roll(40));
                drop(out.splice(at..at, piece));
            }
            _ => {
                let from = dice.roll(other.len() + 1);
                let piece = &other[from..(from + dice.roll(200)).min(other.len())];
                drop(out.splice(at..at, piece.iter().copied()));
            }
        }
    }
    out
}

/// One place of a document replaced, doubled or taken away: still JSON.
fn bent(document: &mut Value, other: &Value, dice: &mut Dice) {
    let odd = |dice: &mut Dice| match dice.roll(9) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => json!(dice.one(WORDS)),
        4 => json!(i64::MIN),
        5 => json!(1e308),
        6 => json!(""),
        7 => json!([[null]]),
        _ => other.clone(),
    };
    match document {
        Value::Object(object) if !object.is_empty() => {
            let key = object.keys().nth(dice.roll(object.len())).cloned().unwrap_or_default();
            match dice.roll(8) {
                0 => drop(object.remove(&key)),
                1 => drop(object.insert(key, odd(dice))),
                2 => drop(object.insert(dice.one(WORDS).to_owned(), odd(dice))),
                _ => bent(&mut object[&key], other, dice),
            }
        }
        Value::Array(array) if !array.is_empty() => {
            let at = dice.roll(array.len());
            match dice.roll(8) {
                0 => drop(array.remove(at)),
                1 => array.push(odd(dice)),
                2 => array.push(array[at].clone()),
                _ => bent(&mut array[at], other, dice),
            }
        }
        Value::String(text) if dice.roll(2) == 0 => {
            *text = String::from_utf8_lossy(&mangled(text.as_bytes(), b"x", dice)).into_owned();
        }
        value => *value = odd(dice),
    }
}

/// Hands `target` the corpus as it is, then what chance makes of it.
fn fuzz(name: &str, corpus: &[Vec<u8>], is_json: bool, target: impl Fn(&[u8])) {
    let number = |variable| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = number(ROUNDS_VARIABLE).unwrap_or(ROUNDS);
    let mut dice = Dice(number(SEED_VARIABLE).unwrap_or(1));
    for round in 0..rounds + corpus.len() as u64 {
        let own = corpus.get(round as usize).map_or_else(|| corpus[dice.roll(corpus.len())].clone(), Vec::clone);
        let other = &corpus[dice.roll(corpus.len())];
        let input = match (round as usize) < corpus.len() {
            true => own,
            false if is_json && dice.roll(3) > 0 => {
                let mut document: Value = serde_json::from_slice(&own).expect("the corpus is JSON");
                let other = serde_json::from_slice(other).expect("the corpus is JSON");
                (0..=dice.roll(3)).for_each(|_| bent(&mut document, &other, &mut dice));
                document.to_string().into_bytes()
            }
            false => mangled(&own, other, &mut dice),
        };
        let text = String::from_utf8_lossy(&input);
        // Slow is what is slow again: the machine may have stood still.
        for again in [true, false] {
            let began = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
            assert!(outcome.is_ok(), "{name}: round {round}: {text}");
            if began.elapsed() < TOOK_MAX {
                break;
            }
            assert!(again, "{name}: round {round} took {:?}: {text}", began.elapsed());
        }
    }
    println!("{name}: {rounds} inputs");
}

fn lines(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

fn term_context() -> TermContext {
    TermContext { zone: TimeZone::UTC, base: "http://127.0.0.1:8080/fhir".into() }
}

fn name_of(resource: &Value) -> Option<&'static str> {
    kinds::kind(resource["resourceType"].as_str()?).map(|row| row.name)
}

/// What is sound can be indexed, read for facts, and written as XML.
fn sound(resource: &Value) {
    let Some(kind) = name_of(resource) else { return };
    std::hint::black_box(terms(kind, resource, &term_context()));
    std::hint::black_box(read::fact(resource, &read::ReadContext { zone: TimeZone::UTC }));
    std::hint::black_box(xml::write(resource));
}

#[test]
fn resources() {
    fuzz("resources", &lines(DOCUMENTS), true, |input| {
        let Ok(mut resource) = check::parse(input, check::Limits::default()) else { return };
        if check::check(&resource).is_empty() {
            sound(&resource);
        }
        let _ = accept::bulk(&mut resource);
        let _ = KeySet::read(&resource);
    });
}

#[test]
fn bundles() {
    fuzz("bundles", &lines(DOCUMENTS), true, |input| {
        let Ok(document) = check::parse(input, check::Limits::default()) else { return };
        let Ok(parts) = bundle::read(document) else { return };
        for resource in parts.entries.iter().filter_map(|entry| entry.resource.as_ref()) {
            let _ = check::check_at(resource, "Bundle.entry[0].resource");
            for reference in bundle::conditional_references(resource) {
                let _ = bundle::Target::read(&reference, "http://127.0.0.1:8080/fhir");
            }
        }
    });
}

#[test]
fn documents_in_xml() {
    fuzz("xml", &lines(XML), false, |input| {
        let Ok(resource) = xml::read(input, check::Limits::default()) else { return };
        if check::check(&resource).is_empty() {
            sound(&resource);
        }
    });
}

#[test]
fn patches() {
    let task = json!({"resourceType": "Task", "id": "t", "status": "requested", "intent": "order",
        "note": [{"text": "a"}, {"text": "b"}]});
    fuzz("patches", &lines(DOCUMENTS), true, |input| {
        let Ok(document) = check::parse(input, check::Limits::default()) else { return };
        let Ok(patch) = patch::read(&document) else { return };
        let mut resource = task.clone();
        if patch::apply(&patch, &mut resource).is_ok() && check::check(&resource).is_empty() {
            sound(&resource);
        }
    });
}

#[test]
fn searches() {
    fuzz("searches", &lines(SEARCHES), false, |input| {
        let text = String::from_utf8_lossy(input);
        let (kind, query) = text.split_once('?').unwrap_or(("Task", &text));
        let kind = kinds::kind(kind).map_or("Task", |row| row.name);
        let pairs = bundle::pairs(query);
        for strict in [true, false] {
            let _ = search::read(kind, &pairs, &term_context(), strict);
        }
        for (_, value) in &pairs {
            let _ = (time::interval(value, &TimeZone::UTC), time::instant(value, &TimeZone::UTC));
        }
    });
}

#[test]
fn scopes() {
    fuzz("scopes", &lines(SCOPES), false, |input| {
        for grant in scope::grants(&String::from_utf8_lossy(input)) {
            let _ = grant.covers("Patient");
        }
    });
}

#[test]
fn tokens() {
    let folder = tempfile::tempdir().expect("a folder");
    let signing = Signing::open_or_make(&folder.path().join("keys")).expect("keys");
    let set = KeySet::read(&tautline::smart::signing::public_set(&signing));
    let claims = json!({"iss": "https://a.example", "aud": "x", "exp": 4_102_444_800_i64, "scope": "system/*.rs"});
    let token = signing[0].sign(&claims, "JWT").expect("signed");
    assert_eq!(set.verify(&token), Ok(claims.clone()));
    let corpus = [token.into_bytes(), b"eyJhbGciOiJub25lIn0.e30.".to_vec(), b"eyJhbGciOiJIUzI1NiJ9.e30.AA".to_vec()];
    fuzz("tokens", &corpus, false, |input| {
        let text = String::from_utf8_lossy(input);
        let _ = (keys::header(&text), keys::unverified_claims(&text));
        if let Ok(believed) = set.verify(&text) {
            assert_eq!(believed, claims);
        }
    });
}

/// A record of bent forms, appointments and homework: detection always has an answer.
#[test]
fn records() {
    let whole: Vec<Value> = DOCUMENTS.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let kinds = ["QuestionnaireResponse", "Appointment", "Task", "Encounter", "Patient"];
    let whole: Vec<Value> =
        whole.into_iter().filter(|one| kinds.iter().any(|kind| one["resourceType"] == *kind)).collect();
    let corpus = [serde_json::to_vec(&whole).expect("JSON")];
    let constants = Constants::default();
    fuzz("records", &corpus, true, |input| {
        let Ok(Value::Array(resources)) = serde_json::from_slice(input) else { return };
        let kind = |resource: &Value| match name_of(resource)? {
            "Appointment" => Some(SourceKind::Appointment),
            "Encounter" => Some(SourceKind::Encounter),
            "Patient" => Some(SourceKind::Patient),
            "QuestionnaireResponse" => Some(SourceKind::QuestionnaireResponse),
            "Task" => Some(SourceKind::Task),
            _ => None,
        };
        let fact = |(place, resource): (usize, &Value)| {
            let sound = check::check(resource).is_empty();
            Some(VersionedFact {
                source: Source::new(kind(resource).filter(|_| sound)?, resource["id"].as_str()?),
                version: place as u64 + 1,
                current: true,
                deleted: false,
                sender_updated: read::sender_updated(resource),
                received: None,
                fact: read::fact(resource, &read::ReadContext { zone: TimeZone::UTC }),
            })
        };
        let facts: Vec<VersionedFact> = resources.iter().enumerate().filter_map(fact).collect();
        let built = timeline(facts, read::shipped());
        for as_of in ["2026-01-05T11:00:00Z", "2026-06-01T00:00:00Z"] {
            let as_of: Timestamp = as_of.parse().expect("a time");
            for step in &assess(&built, as_of, &constants).steps {
                assert!((0.0..=1.0).contains(&step.probability), "{}", step.probability);
            }
        }
    });
}
