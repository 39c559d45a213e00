//! Random searches, answered by the store and by a plain loop over everything.

use super::fixture::*;
use super::on_both;
use crate::store::*;

on_both!(agrees_with_a_plain_loop);

const CODES: [&str; 4] = ["x", "y", "xx", "Z"];
const SYSTEMS: [&str; 3] = ["", "urn:s", "urn:t"];
const PATIENTS: [&str; 3] = ["1", "2", "3"];
const NAMES: [&str; 5] = ["Anna", "anna", "Änne", "Bo Ann", "Zed"];
/// Parameters of Observation that are kept in every way there is, and the type of their terms.
const PARAMS: [(&str, Type); 8] = [
    ("status", Type::Status),
    ("code", Type::Token),
    ("date", Type::Date),
    ("issued", Type::Date),
    ("patient", Type::Reference),
    ("performer", Type::Reference),
    ("name", Type::Text),
    ("score", Type::Number),
];

/// Parameters of which some are kept by others' terms alone.
const SHARED: [(&str, Type); 8] = [
    ("component-code", Type::Token),
    ("component-value-quantity", Type::Quantity),
    ("component-code-value-quantity", Type::Pair),
    ("combo-code", Type::Token),
    ("combo-value-quantity", Type::Quantity),
    ("combo-code-value-quantity", Type::Pair),
    ("value-quantity", Type::Quantity),
    ("code-value-quantity", Type::Pair),
];

#[derive(Clone, Copy)]
enum Type {
    Status,
    Quantity,
    Pair,
    Token,
    Date,
    Reference,
    Text,
    Number,
}

fn random_value(dice: &mut Dice, of: Type) -> TermValue {
    match of {
        Type::Status => TermValue::Token { system: None, code: dice.pick(&CODES).into() },
        Type::Token => {
            let system = dice.pick(&SYSTEMS);
            let system = (!system.is_empty()).then(|| system.to_owned());
            TermValue::Token { system, code: dice.pick(&CODES).into() }
        }
        Type::Date => {
            let from = dice.roll(40) as i64;
            TermValue::Date { from, to: from + 1 + dice.pick(&[0, 0, 0, 5, 20]) }
        }
        Type::Reference => TermValue::Reference(format!("Patient/{}", dice.pick(&PATIENTS))),
        Type::Text => TermValue::Text(dice.pick(&NAMES).into()),
        Type::Number => TermValue::Number(dice.roll(10) as f64),
        Type::Quantity => TermValue::Quantity {
            value: dice.roll(6) as f64,
            system: None,
            code: (dice.roll(2) == 0).then(|| dice.pick(&CODES).into()),
        },
        Type::Pair => {
            let (code, value) = (dice.pick(&CODES).into(), Box::new(random_value(dice, Type::Quantity)));
            TermValue::Pair { system: None, code, value }
        }
    }
}

/// The terms of a value and of a few components, as the border makes them.
fn random_components(dice: &mut Dice) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    let mut add = |param, value: &TermValue| terms.push(Term { param, value: value.clone() });
    if dice.roll(3) == 0 {
        let value = random_value(dice, Type::Quantity);
        add("value-quantity", &value);
        add("combo-value-quantity", &value);
        if let TermValue::Token { system, code } = random_value(dice, Type::Token) {
            let pair = TermValue::Pair { system, code, value: Box::new(value) };
            add("code-value-quantity", &pair);
            add("combo-code-value-quantity", &pair);
        }
    }
    for _ in 0..dice.roll(4) {
        // Without a code, without a value, or with both.
        let (code, value) = (random_value(dice, Type::Token), random_value(dice, Type::Quantity));
        let (coded, valued) = dice.pick(&[(true, true), (true, false), (false, true)]);
        if coded {
            add("component-code", &code);
            add("combo-code", &code);
        }
        if valued {
            add("component-value-quantity", &value);
            add("combo-value-quantity", &value);
        }
        if let (true, true, TermValue::Token { system, code }) = (coded, valued, code) {
            let pair = TermValue::Pair { system, code, value: Box::new(value) };
            add("component-code-value-quantity", &pair);
            add("combo-code-value-quantity", &pair);
        }
    }
    terms
}

fn random_put(dice: &mut Dice, n: u64) -> Put {
    let mut put = resource("Observation", &format!("o{n:03}"), 1).client(dice.pick(&PATIENTS));
    for (param, of) in PARAMS {
        let several = !matches!(param, "status" | "date");
        for _ in 0..dice.roll(if several { 3 } else { 2 }) {
            put.terms.push(Term { param, value: random_value(dice, of) });
        }
    }
    let codes: Vec<Term> = put.terms.iter().filter(|term| term.param == "code").cloned().collect();
    put.terms.extend(codes.into_iter().map(|term| Term { param: "combo-code", ..term }));
    put.terms.extend(random_components(dice));
    put
}

fn random_match(dice: &mut Dice, of: Type) -> Match {
    if dice.roll(8) == 0 {
        return Match::Missing(dice.roll(2) == 0);
    }
    let prefixes =
        [Prefix::Eq, Prefix::Ne, Prefix::Gt, Prefix::Lt, Prefix::Ge, Prefix::Le, Prefix::Sa, Prefix::Eb, Prefix::Ap];
    match of {
        Type::Status => code(dice.pick(&CODES)),
        Type::Token => {
            let system = (dice.roll(2) == 0).then(|| dice.pick(&SYSTEMS).to_owned());
            let code = (system.is_none() || dice.roll(3) > 0).then(|| dice.pick(&CODES).to_owned());
            Match::Token { system, code }
        }
        Type::Date => {
            let from = dice.roll(40) as i64;
            Match::Date { prefix: dice.pick(&prefixes), from, to: from + dice.pick(&[1, 1, 10]) }
        }
        Type::Reference if dice.roll(2) == 0 => Match::ReferenceId(dice.pick(&PATIENTS).into()),
        Type::Reference => Match::Reference(format!("Patient/{}", dice.pick(&PATIENTS))),
        Type::Text => match dice.roll(3) {
            0 => Match::TextStarts(dice.pick(&["an", "ANN", "b", "zed", "ä"]).into()),
            1 => Match::TextContains(dice.pick(&["n", "o a", "ED"]).into()),
            _ => Match::TextExact(dice.pick(&NAMES).into()),
        },
        Type::Number => {
            let low = dice.roll(10) as f64;
            let prefix = dice.pick(&prefixes);
            let wide = matches!(prefix, Prefix::Eq | Prefix::Ne | Prefix::Ap);
            Match::Number { prefix, low, high: if wide { low + 2.0 } else { low } }
        }
        Type::Quantity => {
            let low = dice.roll(6) as f64;
            let code = (dice.roll(2) == 0).then(|| dice.pick(&CODES).to_owned());
            Match::Quantity { prefix: dice.pick(&[Prefix::Eq, Prefix::Gt]), low, high: low, system: None, code }
        }
        Type::Pair => {
            let value = Box::new(random_match(dice, Type::Quantity));
            match *value {
                Match::Missing(_) => *value,
                _ => Match::Pair { system: None, code: dice.pick(&CODES).into(), value },
            }
        }
    }
}

fn plain_match(terms: &[&TermValue], wanted: &Match) -> bool {
    let fold = |text: &str| text.to_lowercase().replace('ä', "a");
    match wanted {
        Match::Missing(missing) => terms.is_empty() == *missing,
        _ => terms.iter().any(|term| match (term, wanted) {
            (TermValue::Token { system, code }, Match::Token { system: wanted, code: wanted_code }) => {
                wanted.as_deref().is_none_or(|wanted| system.as_deref().unwrap_or_default() == wanted)
                    && wanted_code.as_ref().is_none_or(|wanted| code == wanted)
            }
            (TermValue::Reference(to), Match::Reference(wanted)) => to == wanted,
            (TermValue::Reference(to), Match::ReferenceId(id)) => to.rsplit('/').next() == Some(id),
            (TermValue::Text(text), Match::TextStarts(wanted)) => fold(text).starts_with(&fold(wanted)),
            (TermValue::Text(text), Match::TextContains(wanted)) => fold(text).contains(&fold(wanted)),
            (TermValue::Text(text), Match::TextExact(wanted)) => text == wanted,
            (TermValue::Date { from: lo, to: hi }, Match::Date { prefix, from, to }) => {
                let contained = from <= lo && hi <= to;
                match prefix {
                    Prefix::Eq => contained,
                    Prefix::Ne => !contained,
                    Prefix::Gt => hi > to,
                    Prefix::Lt => lo < from,
                    Prefix::Ge => hi > to || contained,
                    Prefix::Le => lo < from || contained,
                    Prefix::Sa => lo >= to,
                    Prefix::Eb => hi <= from,
                    Prefix::Ap => lo < to && from < hi,
                }
            }
            (TermValue::Pair { code, value, .. }, Match::Pair { code: wanted, value: wanted_value, .. }) => {
                code == wanted && plain_match(&[value], wanted_value)
            }
            (TermValue::Quantity { value, code, .. }, Match::Quantity { prefix, low, high, code: wanted, .. }) => {
                let number = Match::Number { prefix: *prefix, low: *low, high: *high };
                plain_match(&[&TermValue::Number(*value)], &number) && (wanted.is_none() || code == wanted)
            }
            (TermValue::Number(value), Match::Number { prefix, low, high }) => match prefix {
                Prefix::Eq | Prefix::Ap => low == value || low < value && value < high,
                Prefix::Ne => low != value && (value < low || value >= high),
                Prefix::Gt | Prefix::Sa => value > high,
                Prefix::Lt | Prefix::Eb => value < low,
                Prefix::Ge => value >= low,
                Prefix::Le => value <= high,
            },
            _ => false,
        }),
    }
}

fn plain_search(puts: &[Put], query: &Query) -> Vec<String> {
    let holds = |put: &Put, filter: &Filter| {
        let terms: Vec<_> =
            put.terms.iter().filter(|term| term.param == filter.param).map(|term| &term.value).collect();
        filter.any.iter().any(|wanted| plain_match(&terms, wanted)) != filter.not
    };
    let of_client = |put: &&Put| query.client.is_none() || put.client == query.client;
    let found = puts.iter().filter(of_client).filter(|put| query.filters.iter().all(|filter| holds(put, filter)));
    let mut ids: Vec<_> = found.map(|put| put.key.id.to_string()).collect();
    ids.sort();
    ids
}

async fn agrees_with_a_plain_loop(f: Fixture) {
    let mut dice = Dice(0x7461_7574);
    let mut puts: Vec<Put> = (0..150).map(|n| random_put(&mut dice, n)).collect();
    f.write(puts.clone()).await;
    // A third of them anew: terms of old versions must be gone.
    for put in puts.iter_mut().step_by(3) {
        let n = put.key.id[1..].parse().unwrap();
        *put = Put { version: 2, ..random_put(&mut dice, n) };
    }
    f.write(puts.iter().step_by(3).cloned().collect()).await;
    for _ in 0..400 {
        let mut question = query("Observation").count(1000);
        if dice.roll(3) == 0 {
            question.client = Some(dice.pick(&PATIENTS).into());
        }
        for _ in 0..=dice.roll(3) {
            let (param, of) = if dice.roll(3) == 0 { dice.pick(&SHARED) } else { dice.pick(&PARAMS) };
            let any = (0..=dice.roll(2)).map(|_| random_match(&mut dice, of)).collect();
            question.filters.push(Filter { param, any, not: dice.roll(5) == 0 });
        }
        if dice.roll(2) == 0 {
            let param = if dice.roll(4) == 0 { dice.pick(&SHARED).0 } else { dice.pick(&PARAMS).0 };
            question.sort.push(Sort { param, descending: dice.roll(2) == 0 });
        }
        let expected = plain_search(&puts, &question);
        let mut found = f.ids(&question).await;
        assert_eq!(all_pages(&*f.store, question.clone().count(11)).await, found, "pages of {question:?}");
        found.sort();
        assert_eq!(found, expected, "{question:?}");
    }
}
