//! Random searches over a random population, answered by the server and by a plain loop over every resource, which
//! reads the JSON by itself. Numbers look random and are the same each time.

use crate::on_both;
use jiff::civil::Date;
use serde_json::{Value, json};

/// Searches of one run.
const SEARCHES: usize = 220;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    fn perhaps<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (self.roll(3) > 0).then(|| self.pick(from))
    }
}

const NAMES: &[&str] = &["Muster", "Müller", "Mu", "muster", "Zed O'Neil", "A,B"];
const DATES: &[&str] = &[
    "2026",
    "2026-03",
    "2026-03-02",
    "2026-03-02T10:00:00Z",
    "2026-03-02T12:00:00+02:00",
    "2026-04-01",
    "2025-12-31T23:59:59.5Z",
    "2027",
];
const INSTANTS: &[&str] = &[
    "2026-03-02T10:00:00Z",
    "2026-03-02T11:00:00Z",
    "2026-03-03T10:00:00Z",
    "2026-04-01T00:00:00Z",
    "2025-12-31T23:00:00Z",
];
const SYSTEMS: &[&str] = &["urn:a", "urn:b"];
const CODES: &[&str] = &["x", "y", "x|y", "X"];
const GENDERS: &[&str] = &["female", "male", "other"];
const SLOTS: &[&str] = &["booked", "fulfilled", "noshow"];
const STATES: &[&str] = &["requested", "completed", "cancelled"];
const INTENTS: &[&str] = &["order", "plan", "unknown"];
const PEOPLE: &[&str] = &["p0", "p1", "p2", "p3", "p4", "p5"];
const DOCTORS: &[&str] = &["d0", "d1", "p1"];

fn identifier(dice: &mut Dice) -> Value {
    let mut out = json!({"value": dice.pick(CODES)});
    if let Some(system) = dice.perhaps(SYSTEMS) {
        out["system"] = json!(system)
    }
    out
}

fn set(resource: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        resource[key] = value.into()
    }
}

fn population(dice: &mut Dice) -> Vec<Value> {
    let mut out = Vec::new();
    for id in PEOPLE {
        let mut one = json!({"resourceType": "Patient", "id": id});
        set(&mut one, "gender", dice.perhaps(GENDERS));
        set(&mut one, "birthDate", dice.perhaps(&["2026", "2026-03", "2026-03-02", "1980-01-01"]));
        set(&mut one, "active", dice.perhaps(&[true, false]));
        if let Some(name) = dice.perhaps(NAMES) {
            one["name"] = json!([{"family": name, "given": [dice.pick(NAMES)]}])
        }
        if dice.roll(2) == 0 {
            one["identifier"] = json!([identifier(dice), identifier(dice)])
        }
        out.push(one);
    }
    for id in DOCTORS {
        let mut one = json!({"resourceType": "Practitioner", "id": id});
        if let Some(name) = dice.perhaps(NAMES) {
            one["name"] = json!([{"family": name}])
        }
        out.push(one);
    }
    for n in 0..30 {
        let (start, who) = (dice.pick(INSTANTS), format!("Patient/{}", dice.pick(PEOPLE)));
        let mut people = vec![json!({"actor": {"reference": who}, "status": "accepted"})];
        if let Some(doctor) = dice.perhaps(DOCTORS) {
            people.push(json!({"actor": {"reference": format!("Practitioner/{doctor}")}, "status": "accepted"}))
        }
        out.push(json!({"resourceType": "Appointment", "id": format!("a{n}"), "status": dice.pick(SLOTS), "start": start, "end": "2027-01-01T00:00:00Z", "participant": people}));
    }
    for n in 0..40 {
        let mut one = json!({"resourceType": "Task", "id": format!("t{n}"), "status": dice.pick(STATES), "intent": dice.pick(INTENTS)});
        one["for"] = if dice.roll(4) == 0 {
            json!({"identifier": identifier(dice)})
        } else {
            json!({"reference": format!("Patient/{}", dice.pick(PEOPLE))})
        };
        match dice.roll(3) {
            0 => one["owner"] = json!({"reference": format!("Patient/{}", dice.pick(PEOPLE))}),
            1 => one["owner"] = json!({"reference": format!("Practitioner/{}", dice.pick(DOCTORS))}),
            _ => {}
        }
        set(&mut one, "authoredOn", dice.perhaps(DATES));
        if dice.roll(2) == 0 {
            let coding = |dice: &mut Dice| {
                let mut coding = json!({"code": dice.pick(CODES)});
                set(&mut coding, "system", dice.perhaps(SYSTEMS));
                coding
            };
            one["code"] = json!({"coding": [coding(dice), coding(dice)]});
        }
        match dice.roll(4) {
            0 => one["executionPeriod"] = json!({"start": "2026-03-02"}),
            1 => one["executionPeriod"] = json!({"end": "2026-03-31"}),
            2 => one["executionPeriod"] = json!({"start": "2026-03-01", "end": "2026-03-02T10:00:00Z"}),
            _ => {}
        }
        out.push(one);
    }
    out
}

/// Half-open, microseconds.
fn interval(text: &str) -> (i64, i64) {
    if let Some((_, time)) = text.split_once('T') {
        let at: jiff::Timestamp = text.parse().expect("an instant");
        return (at.as_microsecond(), at.as_microsecond() + if time.contains('.') { 100_000 } else { 1_000_000 });
    }
    let mut parts = text.split('-').map(|part| part.parse::<i16>().expect("a number"));
    let (year, month, day) = (parts.next().expect("a year"), parts.next(), parts.next());
    let first = Date::new(year, month.unwrap_or(1) as i8, day.unwrap_or(1) as i8).expect("a day");
    let next = match (month, day) {
        (None, _) => Date::new(year + 1, 1, 1).expect("a day"),
        (Some(_), None) => first.last_of_month().tomorrow().expect("a day"),
        _ => first.tomorrow().expect("a day"),
    };
    let micros =
        |date: Date| format!("{date}T00:00:00Z").parse::<jiff::Timestamp>().expect("an instant").as_microsecond();
    (micros(first), micros(next))
}

/// What a resource has under a parameter.
enum Has {
    Token(Option<String>, String),
    Date(i64, i64),
    Text(String),
    Reference(String),
}

const EVER: i64 = 1 << 60;

fn has(resource: &Value, parameter: &str) -> Vec<Has> {
    let kind = resource["resourceType"].as_str().expect("a type");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let token = |system: &str, value: &Value| {
        text(value).map(|code| Has::Token(Some(system.to_owned()), code)).into_iter().collect::<Vec<_>>()
    };
    let own = |value: &Value, key: &str| text(&value[key]).map(|code| Has::Token(text(&value["system"]), code));
    let date = |value: &Value| {
        value
            .as_str()
            .map(|text| {
                let (from, to) = interval(text);
                Has::Date(from, to)
            })
            .into_iter()
            .collect::<Vec<_>>()
    };
    let reference = |value: &Value| text(&value["reference"]).map(Has::Reference);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match (kind, parameter) {
        (_, "_id") => vec![Has::Token(None, text(&resource["id"]).expect("an id"))],
        (_, "identifier") => list(&resource["identifier"]).iter().filter_map(|one| own(one, "value")).collect(),
        ("Patient", "gender") => token("http://hl7.org/fhir/administrative-gender", &resource["gender"]),
        ("Patient", "active") => resource["active"]
            .as_bool()
            .map(|flag| Has::Token(Some("http://hl7.org/fhir/special-values".into()), flag.to_string()))
            .into_iter()
            .collect(),
        ("Patient", "birthdate") => date(&resource["birthDate"]),
        ("Patient" | "Practitioner", "family") => {
            list(&resource["name"]).iter().filter_map(|name| text(&name["family"])).map(Has::Text).collect()
        }
        ("Patient" | "Practitioner", "name") => list(&resource["name"])
            .iter()
            .flat_map(|name| {
                text(&name["family"])
                    .into_iter()
                    .chain(list(&name["given"]).iter().filter_map(text))
                    .collect::<Vec<_>>()
            })
            .map(Has::Text)
            .collect(),
        ("Appointment", "status") => token("http://hl7.org/fhir/appointmentstatus", &resource["status"]),
        ("Appointment", "date") => date(&resource["start"]),
        ("Appointment", "actor" | "patient" | "practitioner") => {
            let all = list(&resource["participant"]).into_iter().filter_map(|one| text(&one["actor"]["reference"]));
            let wanted = match parameter {
                "patient" => "Patient/",
                "practitioner" => "Practitioner/",
                _ => "",
            };
            all.filter(|one| one.starts_with(wanted)).map(Has::Reference).collect()
        }
        ("Task", "status") => token("http://hl7.org/fhir/task-status", &resource["status"]),
        ("Task", "intent") => {
            let system = if resource["intent"] == "unknown" {
                "http://hl7.org/fhir/task-intent"
            } else {
                "http://hl7.org/fhir/request-intent"
            };
            token(system, &resource["intent"])
        }
        ("Task", "patient" | "subject") => reference(&resource["for"]).into_iter().collect(),
        ("Task", "subject:identifier") => own(&resource["for"]["identifier"], "value").into_iter().collect(),
        ("Task", "owner") => reference(&resource["owner"]).into_iter().collect(),
        ("Task", "authored-on") => date(&resource["authoredOn"]),
        ("Task", "code") => list(&resource["code"]["coding"]).iter().filter_map(|one| own(one, "code")).collect(),
        ("Task", "period") => {
            let end = |key: &str| resource["executionPeriod"][key].as_str().map(interval);
            match (end("start"), end("end")) {
                (None, None) => Vec::new(),
                (start, end) => vec![Has::Date(start.map_or(-EVER, |one| one.0), end.map_or(EVER, |one| one.1))],
            }
        }
        other => panic!("a parameter that nobody reads: {other:?}"),
    }
}

/// Parameters of a type, and what kind of value each takes.
fn parameters(kind: &str) -> &'static [(&'static str, char)] {
    match kind {
        "Patient" => &[
            ("gender", 'c'),
            ("active", 'c'),
            ("birthdate", 'd'),
            ("family", 's'),
            ("name", 's'),
            ("identifier", 't'),
            ("_id", 'i'),
        ],
        "Practitioner" => &[("family", 's'), ("name", 's')],
        "Appointment" => &[("status", 'c'), ("date", 'd'), ("actor", 'r'), ("patient", 'r'), ("practitioner", 'r')],
        _ => &[
            ("status", 'c'),
            ("intent", 'c'),
            ("patient", 'r'),
            ("subject", 'r'),
            ("owner", 'r'),
            ("authored-on", 'd'),
            ("code", 't'),
            ("period", 'd'),
            ("subject:identifier", 't'),
        ],
    }
}

/// Whether something that a resource has is what one value asks for.
type Fits = Box<dyn Fn(&Has) -> bool>;

/// One parameter of a search: as it is written, and whether a resource meets it.
type Meets = Box<dyn Fn(&Value, &[Value]) -> bool>;

fn escaped(text: &str) -> String {
    ['\\', ',', '|', '$'].iter().fold(text.to_owned(), |text, letter| text.replace(*letter, &format!("\\{letter}")))
}

fn fold(text: &str) -> String {
    text.to_lowercase().replace('ü', "u")
}

/// One value: as it is written, and whether something a resource has meets it.
fn value(dice: &mut Dice, kind: &str, parameter: &str, of: char, modifier: &str) -> (String, Fits) {
    match of {
        'c' | 't' => {
            let code = match (kind, parameter) {
                ("Patient", "gender") => dice.pick(GENDERS),
                ("Patient", "active") => dice.pick(&["true", "false"]),
                ("Appointment", "status") => dice.pick(SLOTS),
                ("Task", "status") => dice.pick(STATES),
                ("Task", "intent") => dice.pick(INTENTS),
                _ => dice.pick(CODES),
            };
            let systems: &[&str] = match parameter {
                "gender" => &["http://hl7.org/fhir/administrative-gender", "urn:a"],
                "intent" => &["http://hl7.org/fhir/request-intent", "http://hl7.org/fhir/task-intent"],
                "status" => &["http://hl7.org/fhir/task-status", "http://hl7.org/fhir/appointmentstatus"],
                "active" => &["http://hl7.org/fhir/special-values"],
                _ => SYSTEMS,
            };
            let (system, coded) = (dice.pick(systems), of == 'c');
            match dice.roll(4) {
                0 => (
                    format!("{system}|{}", escaped(code)),
                    Box::new(move |has| matches!(has, Has::Token(Some(s), c) if s == system && c == code)),
                ),
                1 => (format!("{system}|"), Box::new(move |has| matches!(has, Has::Token(Some(s), _) if s == system))),
                2 => (
                    format!("|{}", escaped(code)),
                    Box::new(move |has| matches!(has, Has::Token(s, c) if (coded || s.is_none()) && c == code)),
                ),
                _ => (escaped(code), Box::new(move |has| matches!(has, Has::Token(_, c) if c == code))),
            }
        }
        'i' => {
            let id = dice.pick(PEOPLE);
            (id.to_owned(), Box::new(move |has| matches!(has, Has::Token(_, c) if c == id)))
        }
        's' => {
            let text = match modifier {
                "exact" => dice.pick(NAMES),
                _ => dice.pick(&["mu", "MÜ", "zed", "A,", "ster", "neil", "o'n"]),
            };
            let modifier = modifier.to_owned();
            (
                escaped(text),
                Box::new(move |has| {
                    matches!(has, Has::Text(name) if match modifier.as_str() {
                        "exact" => name == text,
                        "contains" => fold(name).contains(&fold(text)),
                        _ => fold(name).starts_with(&fold(text)),
                    })
                }),
            )
        }
        'd' => {
            let (prefix, date) = (dice.pick(&["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]), dice.pick(DATES));
            let (from, to) = interval(date);
            let meets = move |has: &Has| {
                matches!(has, Has::Date(lo, hi) if {
                    let within = from <= *lo && *hi <= to;
                    match prefix {
                        "ne" => !within,
                        "gt" => *hi > to,
                        "lt" => *lo < from,
                        "ge" => *hi > to || within,
                        "le" => *lo < from || within,
                        "sa" => *lo >= to,
                        "eb" => *hi <= from,
                        _ => within,
                    }
                })
            };
            (format!("{prefix}{date}"), Box::new(meets))
        }
        _ => {
            let patient = parameter == "patient" || dice.roll(2) == 0;
            let id = if patient { dice.pick(PEOPLE) } else { dice.pick(DOCTORS) };
            let whole = format!("{}/{id}", if patient { "Patient" } else { "Practitioner" });
            if modifier == "Practitioner" || modifier == "Patient" {
                let whole = format!("{modifier}/{id}");
                return (id.to_owned(), Box::new(move |has| matches!(has, Has::Reference(to) if *to == whole)));
            }
            match dice.roll(2) {
                0 => (
                    id.to_owned(),
                    Box::new(move |has| matches!(has, Has::Reference(to) if to.rsplit('/').next() == Some(id))),
                ),
                _ => (whole.clone(), Box::new(move |has| matches!(has, Has::Reference(to) if *to == whole))),
            }
        }
    }
}

/// A parameter with one or two values; `links` more may be followed.
fn filter(dice: &mut Dice, kind: &'static str, links: usize) -> (String, String, Meets) {
    let (parameter, of) = dice.pick(parameters(kind));
    if links > 0 && kind == "Patient" && dice.roll(4) == 0 {
        let (other, by) =
            dice.pick(&[("Task", "patient"), ("Task", "owner"), ("Appointment", "patient"), ("Appointment", "actor")]);
        let (key, value, meets) = filter(dice, other, links - 1);
        let meets: Meets = Box::new(move |resource, all| {
            let own = format!("Patient/{}", resource["id"].as_str().expect("an id"));
            let points = |one: &Value| has(one, by).iter().any(|to| matches!(to, Has::Reference(to) if *to == own));
            all.iter().any(|one| one["resourceType"] == other && points(one) && meets(one, all))
        });
        return (format!("_has:{other}:{by}:{key}"), value, meets);
    }
    if links > 0 && of == 'r' && dice.roll(2) == 0 {
        let target = match parameter {
            "patient" | "subject" => "Patient",
            "practitioner" => "Practitioner",
            _ => dice.pick(&["Patient", "Practitioner"]),
        };
        let (key, value, meets) = filter(dice, target, links - 1);
        let meets: Meets = Box::new(move |resource, all| {
            has(resource, parameter).iter().any(|to| matches!(to, Has::Reference(to) if all.iter().any(|one| {
                one["resourceType"] == target && *to == format!("{target}/{}", one["id"].as_str().expect("an id")) && meets(one, all)
            })))
        });
        let typed =
            if parameter == "practitioner" || parameter == "patient" { String::new() } else { format!(":{target}") };
        return (format!("{parameter}{typed}.{key}"), value, meets);
    }
    let plain = of != 'i' && !parameter.contains(':');
    if plain && dice.roll(8) == 0 {
        let missing = dice.roll(2) == 0;
        return (
            format!("{parameter}:missing"),
            missing.to_string(),
            Box::new(move |resource, _| has(resource, parameter).is_empty() == missing),
        );
    }
    let modifier = match of {
        's' => dice.pick(&["", "exact", "contains"]),
        't' | 'c' if plain => dice.pick(&["", "", "not"]),
        'r' if parameter == "owner" || parameter == "actor" => dice.pick(&["", "Patient", "Practitioner"]),
        _ => "",
    };
    let values: Vec<_> = (0..=dice.roll(2)).map(|_| value(dice, kind, parameter, of, modifier)).collect();
    let text = values.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(",");
    let key = if modifier.is_empty() { parameter.to_owned() } else { format!("{parameter}:{modifier}") };
    let not = modifier == "not";
    let meets: Meets = Box::new(move |resource, _| {
        has(resource, parameter).iter().any(|one| values.iter().any(|(_, meets)| meets(one))) != not
    });
    (key, text, meets)
}

fn sorted(found: &[Value], key: &str) -> bool {
    let (down, key) = key.strip_prefix('-').map_or((false, key), |key| (true, key));
    let text = |one: &Value| {
        one[match key {
            "date" => "start",
            "_id" => "id",
            other => other,
        }]
        .as_str()
        .unwrap_or_default()
        .to_owned()
    };
    found.is_sorted_by(|a, b| if down { text(a) >= text(b) } else { text(a) <= text(b) })
}

on_both! {
    async fn searches_agree_with_a_plain_loop(server: &Server) {
        let began = std::time::Instant::now();
        let mut dice = Dice(0x7461_7574_6c69_6e65);
        let all = population(&mut dice);
        server.push(&all).await;
        let mut some = 0;
        for n in 0..SEARCHES {
            let kind = dice.pick(&["Patient", "Appointment", "Task", "Task"]);
            let filters: Vec<_> = (0..=dice.roll(3)).map(|_| filter(&mut dice, kind, 2)).collect();
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(filters.iter().map(|(key, value, _)| (key, value)));
            let sort = dice.pick(&["_id", "-_id", "status", "-status", "date", "-date"]);
            let sort = if kind == "Appointment" || sort.contains("_id") { sort } else { "" };
            if !sort.is_empty() { query.append_pair("_sort", sort); }
            let query = query.finish();
            let mut expected: Vec<String> = all
                .iter()
                .filter(|one| one["resourceType"] == kind && filters.iter().all(|(.., meets)| meets(one, &all)))
                .map(|one| one["id"].as_str().expect("an id").to_owned())
                .collect();
            expected.sort();
            let id = |one: &Value| one["id"].as_str().expect("an id").to_owned();
            let found = server.all(&format!("{kind}?{query}&_count=100")).await;
            let mut ids: Vec<String> = found.iter().map(id).collect();
            assert!(sort.is_empty() || sorted(&found, sort), "search {n}: {kind}?{query}: {ids:?}");
            if n % 3 == 0 {
                let pages: Vec<String> = server.all(&format!("{kind}?{query}&_count=4")).await.iter().map(id).collect();
                assert_eq!(pages, ids, "search {n}, page by page: {kind}?{query}");
            }
            ids.sort();
            assert_eq!(ids, expected, "search {n}: {kind}?{query}");
            let counted = server.get(&format!("/fhir/{kind}?{query}&_summary=count")).await.expect(200).json();
            assert_eq!(counted["total"], expected.len(), "search {n}, counted: {kind}?{query}");
            some += usize::from(!expected.is_empty());
        }
        assert!(some > SEARCHES / 3, "{some} of {SEARCHES} found anything");
        assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    }
}
