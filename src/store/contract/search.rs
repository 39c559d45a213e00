//! Search, one kind of match after another, and pages.

use super::fixture::*;
use super::on_both;
use crate::store::*;

on_both!(
    tokens,
    references,
    texts,
    uris,
    numbers,
    missing_and_not,
    own_parameters,
    chains,
    pairs,
    main_dates,
    sorted,
    pages_are_stable,
    cursors_are_checked,
    strange_input,
);

async fn sorted_ids(f: &Fixture, query: Query) -> String {
    let mut ids = f.ids(&query).await;
    let total = f.store.search(&Query { total: true, count: 0, ..query.clone() }).await.unwrap();
    assert_eq!(total.total, Some(ids.len() as u64));
    let mut tx = f.store.begin().await.unwrap();
    let mut matched: Vec<_> = tx.matches(&query, 1000).await.unwrap().iter().map(|key| key.id.to_string()).collect();
    drop(tx);
    ids.sort();
    matched.sort();
    assert_eq!(matched, ids);
    ids.join(" ")
}

async fn tokens(f: Fixture) {
    f.write(vec![
        resource("Observation", "a", 1).token("code", "urn:s", "x").token("status", "", "final"),
        resource("Observation", "b", 1).token("code", "", "x").token("status", "", "amended"),
        resource("Observation", "c", 1).token("code", "urn:t", "x").token("code", "urn:s", "y"),
        resource("Observation", "d", 1).token("code", "urn:s", "xx").token("code", "urn:s", "xx"),
        resource("Flag", "e", 1).token("code", "urn:s", "x"),
    ])
    .await;
    let of = |any: &[Match]| sorted_ids(&f, query("Observation").filter("code", any));
    let system = |system: &str| Match::Token { system: Some(system.into()), code: None };
    assert_eq!(of(&[code("x")]).await, "a b c");
    assert_eq!(of(&[coded("urn:s", "x")]).await, "a");
    assert_eq!(of(&[coded("", "x")]).await, "b");
    assert_eq!(of(&[system("urn:s")]).await, "a c d");
    assert_eq!(of(&[system("urn")]).await, "");
    assert_eq!(of(&[system("")]).await, "b");
    assert_eq!(of(&[code("X")]).await, "");
    assert_eq!(of(&[coded("urn:s", "xx")]).await, "d");
    assert_eq!(of(&[coded("urn:s", "y"), coded("urn:s", "xx")]).await, "c d");
    let status = |any: &[Match]| sorted_ids(&f, query("Observation").filter("status", any));
    assert_eq!(status(&[code("final")]).await, "a");
    assert_eq!(status(&[code("amended"), code("final")]).await, "a b");
    // Of an element that is a `code`, the system is given with the element.
    assert_eq!(status(&[coded("http://hl7.org/fhir/observation-status", "final")]).await, "a");
    // Both must hold, each by whichever value.
    let both = query("Observation").filter("code", &[code("x")]).filter("code", &[code("y")]);
    assert_eq!(sorted_ids(&f, both).await, "c");
    let other = query("Observation").filter("code", &[code("x")]).filter("status", &[code("amended")]);
    assert_eq!(sorted_ids(&f, other).await, "b");
}

async fn references(f: Fixture) {
    let appointment = |id: &str| resource("Appointment", id, 1);
    f.write(vec![
        appointment("a").client("1").reference("patient", "Patient/1").reference("actor", "Patient/1"),
        appointment("b").client("2").reference("patient", "Patient/2").reference("patient", "Patient/1"),
        appointment("c").client("1").reference("actor", "Practitioner/1"),
        appointment("d").client("2").reference("actor", "http://elsewhere/fhir/Patient/1"),
        resource("Task", "t", 1).client("1").reference("patient", "Patient/1"),
    ])
    .await;
    let of = |param, wanted: Match| sorted_ids(&f, query("Appointment").filter(param, &[wanted]));
    let to = |text: &str| Match::Reference(text.into());
    let id = |text: &str| Match::ReferenceId(text.into());
    assert_eq!(of("patient", to("Patient/1")).await, "a b");
    assert_eq!(of("patient", to("Patient/2")).await, "b");
    assert_eq!(of("patient", to("Patient/3")).await, "");
    assert_eq!(of("patient", id("1")).await, "a b");
    assert_eq!(of("actor", id("1")).await, "a c");
    assert_eq!(of("actor", to("Practitioner/1")).await, "c");
    assert_eq!(of("actor", to("http://elsewhere/fhir/Patient/1")).await, "d");
    assert_eq!(of("patient", Match::Missing(true)).await, "c d");
    assert_eq!(of("patient", Match::Missing(false)).await, "a b");
    let client = |client: &str| Query { client: Some(client.into()), ..query("Appointment") };
    assert_eq!(sorted_ids(&f, client("1")).await, "a c");
    assert_eq!(sorted_ids(&f, client("1").filter("patient", &[to("Patient/1")])).await, "a");
    assert_eq!(sorted_ids(&f, client("2").filter("patient", &[to("Patient/1")])).await, "b");
    assert_eq!(sorted_ids(&f, query("Appointment").not("patient", &[to("Patient/1")])).await, "c d");
    let either = query("Appointment").filter("patient", &[to("Patient/2"), to("Patient/1")]);
    assert_eq!(sorted_ids(&f, either).await, "a b");
}

async fn texts(f: Fixture) {
    f.write(vec![
        resource("Patient", "a", 1).text("name", "Müller"),
        resource("Patient", "b", 1).text("name", "MULLEN").text("name", "Eva"),
        resource("Patient", "c", 1).text("name", "Van der Muller"),
        resource("Patient", "d", 1).text("name", "100% _real_"),
        resource("Patient", "e", 1).text("name", &"long ".repeat(2000)),
    ])
    .await;
    let of = |wanted: Match| sorted_ids(&f, query("Patient").filter("name", &[wanted]));
    let starts = |text: &str| Match::TextStarts(text.into());
    assert_eq!(of(starts("mul")).await, "a b");
    assert_eq!(of(starts("MÜLLER")).await, "a");
    assert_eq!(of(starts("muller")).await, "a");
    assert_eq!(of(starts("%")).await, "");
    assert_eq!(of(Match::TextContains("ulle".into())).await, "a b c");
    assert_eq!(of(Match::TextContains("_REAL".into())).await, "d");
    assert_eq!(of(Match::TextExact("Müller".into())).await, "a");
    assert_eq!(of(Match::TextExact("Muller".into())).await, "");
    assert_eq!(of(Match::TextExact("muller".into())).await, "");
    assert_eq!(of(starts("long long")).await, "e");
    assert_eq!(of(Match::TextExact("long ".repeat(2000))).await, "e");
    assert_eq!(of(Match::TextExact("long ".repeat(1999))).await, "");
    assert_eq!(of(starts("")).await, "a b c d e");
}

async fn uris(f: Fixture) {
    let uri = |id: &str, uri: &str| resource("Questionnaire", id, 1).term("url", TermValue::Uri(uri.into()));
    f.write(vec![
        uri("a", "http://x.org/q"),
        uri("b", "http://x.org/q/1"),
        uri("c", "http://x.org/qq"),
        uri("d", "http://x.org/Q"),
        uri("e", &format!("http://x.org/{}", "z".repeat(4000))),
    ])
    .await;
    let of = |wanted: Match| sorted_ids(&f, query("Questionnaire").filter("url", &[wanted]));
    assert_eq!(of(Match::Uri("http://x.org/q".into())).await, "a");
    assert_eq!(of(Match::UriBelow("http://x.org/q".into())).await, "a b");
    assert_eq!(of(Match::UriBelow("http://x.org/q/".into())).await, "a b");
    assert_eq!(of(Match::UriBelow("http://x.org".into())).await, "a b c d e");
    assert_eq!(of(Match::Uri(format!("http://x.org/{}", "z".repeat(4000)))).await, "e");
    assert_eq!(of(Match::Uri(format!("http://x.org/{}", "z".repeat(4001)))).await, "");
}

async fn numbers(f: Fixture) {
    let quantity = |id: &str, value, system: Option<&str>, code: Option<&str>| {
        let (system, code) = (system.map(str::to_owned), code.map(str::to_owned));
        resource("Observation", id, 1).term("value-quantity", TermValue::Quantity { value, system, code })
    };
    let number = |id: &str, value| resource("RiskAssessment", id, 1).term("probability", TermValue::Number(value));
    f.write(vec![
        quantity("a", 5.0, Some("urn:u"), Some("mg")),
        quantity("b", 5.4, Some("urn:u"), Some("g")),
        quantity("c", -1.0, None, None),
        number("x", 0.5),
        number("y", 0.54),
        number("z", 1e30),
    ])
    .await;
    let of = |prefix, low, high| {
        sorted_ids(&f, query("RiskAssessment").filter("probability", &[Match::Number { prefix, low, high }]))
    };
    assert_eq!(of(Prefix::Eq, 0.45, 0.55).await, "x y");
    assert_eq!(of(Prefix::Eq, 0.5, 0.5).await, "x");
    assert_eq!(of(Prefix::Ne, 0.45, 0.55).await, "z");
    assert_eq!(of(Prefix::Gt, 0.5, 0.5).await, "y z");
    assert_eq!(of(Prefix::Ge, 0.5, 0.5).await, "x y z");
    assert_eq!(of(Prefix::Lt, 0.54, 0.54).await, "x");
    assert_eq!(of(Prefix::Le, 0.54, 0.54).await, "x y");
    assert_eq!(of(Prefix::Ap, 0.4, 0.6).await, "x y");
    // As the border gives them: the range implied by the last digit, of which these take the middle.
    assert_eq!(of(Prefix::Eq, 0.535, 0.545).await, "y");
    assert_eq!(of(Prefix::Ge, 0.535, 0.545).await, "y z");
    assert_eq!(of(Prefix::Gt, 0.535, 0.545).await, "z");
    assert_eq!(of(Prefix::Le, 0.535, 0.545).await, "x y");
    assert_eq!(of(Prefix::Lt, 0.535, 0.545).await, "x");
    assert_eq!(of(Prefix::Eq, 0.4, 0.5).await, "");
    let quantity = |low, high, system: Option<&str>, code: Option<&str>| {
        let (system, code) = (system.map(str::to_owned), code.map(str::to_owned));
        let wanted = Match::Quantity { prefix: Prefix::Eq, low, high, system, code };
        sorted_ids(&f, query("Observation").filter("value-quantity", &[wanted]))
    };
    assert_eq!(quantity(4.5, 5.5, None, None).await, "a b");
    assert_eq!(quantity(4.5, 5.5, None, Some("mg")).await, "a");
    assert_eq!(quantity(4.5, 5.5, Some("urn:u"), Some("g")).await, "b");
    assert_eq!(quantity(4.5, 5.5, Some("urn:v"), Some("g")).await, "");
    assert_eq!(quantity(-1.5, -0.5, None, None).await, "c");
}

async fn missing_and_not(f: Fixture) {
    f.write(vec![
        resource("Task", "a", 1).token("code", "", "x").token("status", "", "open").date("authored-on", 5, 6),
        resource("Task", "b", 1).token("code", "", "y"),
        resource("Task", "c", 1),
    ])
    .await;
    for param in ["code", "status", "authored-on"] {
        let of = |missing| sorted_ids(&f, query("Task").filter(param, &[Match::Missing(missing)]));
        let expected = if param == "code" { ["c", "a b"] } else { ["b c", "a"] };
        assert_eq!([of(true).await, of(false).await], expected, "{param}");
    }
    assert_eq!(sorted_ids(&f, query("Task").not("code", &[code("x")])).await, "b c");
    assert_eq!(sorted_ids(&f, query("Task").not("code", &[code("x"), code("y")])).await, "c");
    assert_eq!(sorted_ids(&f, query("Task").not("status", &[code("open")])).await, "b c");
    assert_eq!(sorted_ids(&f, query("Task").filter("code", &[])).await, "");
}

async fn own_parameters(f: Fixture) {
    f.write(vec![
        resource("Task", "a", 1).at(10).client("1"),
        resource("Task", "b", 1).at(20),
        resource("Task", "c", 1).at(30),
    ])
    .await;
    let id = |id: &str| Match::Id(id.into());
    assert_eq!(sorted_ids(&f, query("Task").filter("_id", &[id("a"), id("c"), id("z")])).await, "a c");
    assert_eq!(sorted_ids(&f, query("Task").not("_id", &[id("a")])).await, "b c");
    let client = Query { client: Some("1".into()), ..query("Task") };
    assert_eq!(sorted_ids(&f, client.filter("_id", &[id("a"), id("b")])).await, "a");
    let updated = |prefix| sorted_ids(&f, query("Task").filter("_lastUpdated", &[date(prefix, 20, 21)]));
    assert_eq!(updated(Prefix::Eq).await, "b");
    assert_eq!(updated(Prefix::Gt).await, "c");
    assert_eq!(updated(Prefix::Ge).await, "b c");
    assert_eq!(updated(Prefix::Lt).await, "a");
    assert_eq!(updated(Prefix::Le).await, "a b");
    assert_eq!(updated(Prefix::Ne).await, "a c");
}

async fn main_dates(f: Fixture) {
    // The same intervals as a column (Appointment.date) and as terms (Goal.start-date).
    let intervals = [(10, 11), (10, 20), (15, 16), (19, 20), (20, 21), (0, 100), (-50, 10), (30, i64::MAX)];
    let mut puts = Vec::new();
    for (n, (from, to)) in intervals.into_iter().enumerate() {
        puts.push(resource("Appointment", &n.to_string(), 1).date("date", from, to));
        puts.push(resource("Goal", &n.to_string(), 1).date("start-date", from, to));
    }
    puts.push(resource("Appointment", "none", 1));
    puts.push(resource("Goal", "none", 1));
    f.write(puts).await;
    for (prefix, expected) in [
        (Prefix::Eq, "0 1 2 3"),
        (Prefix::Ne, "4 5 6 7"),
        (Prefix::Gt, "4 5 7"),
        (Prefix::Lt, "5 6"),
        (Prefix::Ge, "0 1 2 3 4 5 7"),
        (Prefix::Le, "0 1 2 3 5 6"),
        (Prefix::Sa, "4 7"),
        (Prefix::Eb, "6"),
        (Prefix::Ap, "0 1 2 3 5"),
    ] {
        for (kind, param) in [("Appointment", "date"), ("Goal", "start-date")] {
            let wanted = date(prefix, 10, 20);
            let found = sorted_ids(&f, query(kind).filter(param, std::slice::from_ref(&wanted))).await;
            assert_eq!(found, expected, "{prefix:?} of {kind}");
            let both = query(kind).filter(param, &[wanted]).filter(param, &[date(Prefix::Lt, 15, 16)]);
            let both = sorted_ids(&f, both).await;
            let early = ["0", "1", "5", "6"];
            let expected: Vec<_> = expected.split(' ').filter(|id| early.contains(id)).collect();
            assert_eq!(both, expected.join(" "), "{prefix:?} of {kind} and early");
        }
    }
}

async fn sorted(f: Fixture) {
    let patient = |id: &str, name: &str, born: i64| {
        let patient = resource("Patient", id, 1).at(born * 3 % 7);
        let patient = if name.is_empty() { patient } else { patient.text("family", name) };
        if born == 0 { patient } else { patient.date("birthdate", born, born + 1) }
    };
    f.write(vec![
        patient("a", "Zoë", 3),
        patient("b", "adam", 5),
        patient("c", "", 4),
        patient("d", "Émile", 0),
        patient("e", "Adam", 1),
    ])
    .await;
    let of = |param, descending| f.ids_owned(query("Patient").sort(param, descending));
    assert_eq!(f.ids(&query("Patient")).await.join(" "), "e d c b a");
    assert_eq!(of("_id", false).await, "a b c d e");
    assert_eq!(of("_id", true).await, "e d c b a");
    assert_eq!(of("family", false).await, "c b e d a");
    assert_eq!(of("family", true).await, "a d e b c");
    assert_eq!(of("birthdate", false).await, "d e a c b");
    assert_eq!(of("birthdate", true).await, "b c a e d");
    // Two keys in different directions, and all of them page by page.
    let mixed = query("Patient").sort("family", false).sort("birthdate", true);
    assert_eq!(f.ids(&mixed).await.join(" "), "c b e d a");
    for sort in ["_id", "_lastUpdated", "family", "birthdate", "_other"] {
        for descending in [false, true] {
            let whole = query("Patient").sort(sort, descending).sort("birthdate", !descending);
            for size in [1, 2, 3] {
                let pages = all_pages(&*f.store, whole.clone().count(size)).await;
                assert_eq!(pages, f.ids(&whole).await, "{sort} {descending} by {size}");
            }
        }
    }
    f.write(
        (0..9).map(|n| resource("Task", &n.to_string(), 1).client("1").date("authored-on", n % 4, n % 4 + 1)).collect(),
    )
    .await;
    for descending in [false, true] {
        let of_client = Query { client: Some("1".into()), ..query("Task").sort("authored-on", descending) };
        let whole = f.ids(&of_client).await;
        let expected = if descending { "7 3 6 2 5 1 8 4 0" } else { "0 4 8 1 5 2 6 3 7" };
        assert_eq!(whole.join(" "), expected);
        assert_eq!(all_pages(&*f.store, of_client.count(2)).await, whole);
    }
}

impl Fixture {
    async fn ids_owned(&self, query: Query) -> String {
        self.ids(&query).await.join(" ")
    }
}

async fn pages_are_stable(f: Fixture) {
    let task = |n: i64, version| {
        let task = resource("Task", &format!("t{n:03}"), version).client("1").date("authored-on", n / 3, n / 3 + 1);
        task.token("code", "urn:s", "x").at(n)
    };
    f.write((0..100).map(|n| task(n, 1)).collect()).await;
    let kept: Vec<String> = (0..100).filter(|n| n % 10 != 3).map(|n| format!("t{n:03}")).collect();
    let questions = [
        query("Task"),
        query("Task").sort("authored-on", false),
        query("Task").sort("authored-on", true),
        query("Task").filter("code", &[coded("urn:s", "x")]),
        Query { client: Some("1".into()), ..query("Task") },
    ];
    for (round, question) in (1..).zip(questions) {
        let (mut seen, mut after, mut page_number) = (Vec::new(), None, 0);
        loop {
            let page = f.store.search(&Query { count: 7, after, ..question.clone() }).await.unwrap();
            seen.extend(page.versions.iter().map(|version| version.key.id.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
            // Meanwhile: a new one, an update of every kept one on the way, a deletion.
            page_number += 1;
            let fresh = Put { key: key("Task", &format!("new-{round}-{page_number}")), ..task(50, 1) };
            f.write(vec![fresh]).await;
            let mut tx = f.store.begin().await.unwrap();
            let ids: Vec<Key> = (0..100).filter(|n| n % 7 == page_number % 7).map(|n| task(n, 1).key).collect();
            let heads = tx.heads(&ids).await.unwrap();
            let again = heads.iter().map(|head| {
                let n: i64 = head.key.id[1..].parse().unwrap();
                let next = head.last_version + 1;
                if n % 10 == 3 { deleted("Task", &head.key.id, next).client("1") } else { task(n, next).at(10_000 + n) }
            });
            tx.put(again.collect()).await.unwrap();
            tx.commit().await.unwrap();
        }
        let mut of_kept: Vec<_> = seen.iter().filter(|id| kept.contains(id)).cloned().collect();
        of_kept.sort();
        assert_eq!(of_kept, kept, "question {round}");
    }
}

async fn cursors_are_checked(f: Fixture) {
    f.write((0..5).map(|n| resource("Task", &n.to_string(), 1)).collect()).await;
    let page = f.store.search(&query("Task").count(2)).await.unwrap();
    let next = page.next.unwrap();
    let asked = |query: Query, after: &str| {
        let store = f.store.clone();
        let query = Query { after: Some(Cursor(after.into())), ..query };
        async move { store.search(&query).await.map(|page| page.versions.len()) }
    };
    assert_eq!(asked(query("Task").count(2), &next.0).await.unwrap(), 2);
    // Another page size is the same question; another filter, sort or type is not.
    assert_eq!(asked(query("Task").count(9), &next.0).await.unwrap(), 3);
    for other in [query("Flag"), query("Task").sort("_id", true), query("Task").filter("code", &[code("x")])] {
        assert!(matches!(asked(other, &next.0).await, Err(StoreError::BadCursor)));
    }
    for bad in ["", "0", "x", "'; DROP TABLE resource; --", &next.0[1..], &format!("{}00", next.0)] {
        assert!(matches!(asked(query("Task"), bad).await, Err(StoreError::BadCursor)), "{bad}");
    }
    let last = f.store.search(&Query { after: Some(next), ..query("Task") }).await.unwrap();
    assert!(last.next.is_none());
    assert!(f.store.search(&query("Task").count(5)).await.unwrap().next.is_none());
}

async fn chains(f: Fixture) {
    let task = |id: &str, client: &str| {
        let about = format!("Patient/{client}");
        resource("Task", id, 1).client(client).reference("patient", &about).reference("subject", &about)
    };
    f.write(vec![
        resource("Patient", "1", 1).client("1").text("name", "Ana").reference("organization", "Organization/o"),
        resource("Patient", "2", 1).client("2").text("name", "Bo"),
        resource("Organization", "o", 1).text("name", "Clinic"),
        resource("Practitioner", "1", 1).text("name", "Ana"),
        task("a", "1").token("status", "", "requested").reference("owner", "Practitioner/1"),
        task("b", "2").token("status", "", "requested").reference("owner", "Patient/1"),
        task("c", "2").token("status", "", "completed").reference("owner", "http://elsewhere/Patient/1"),
        resource("Task", "d", 1).reference("patient", "Patient/1"),
    ])
    .await;
    let to = |kind, name: &str| Match::Chain(Box::new(query(kind).filter("name", &[Match::TextStarts(name.into())])));
    let tasks = |param, wanted: Match| sorted_ids(&f, query("Task").filter(param, &[wanted]));
    assert_eq!(tasks("patient", to("Patient", "ana")).await, "a d");
    assert_eq!(tasks("subject", to("Patient", "ana")).await, "a");
    assert_eq!(tasks("patient", to("Patient", "bo")).await, "b c");
    assert_eq!(tasks("owner", to("Patient", "ana")).await, "b");
    assert_eq!(tasks("owner", to("Practitioner", "ana")).await, "a");
    assert_eq!(tasks("patient", to("Patient", "nobody")).await, "");
    let either = query("Task").filter("owner", &[to("Patient", "ana"), to("Practitioner", "ana")]);
    assert_eq!(sorted_ids(&f, either).await, "a b");
    let clinic = query("Patient").filter("organization", &[to("Organization", "clin")]);
    assert_eq!(tasks("patient", Match::Chain(Box::new(clinic))).await, "a d");
    let open = query("Task").filter("patient", &[to("Patient", "bo")]).filter("status", &[code("requested")]);
    assert_eq!(sorted_ids(&f, open).await, "b");

    let has =
        |param, status: &str| Match::Has { param, query: Box::new(query("Task").filter("status", &[code(status)])) };
    let patients = |wanted: Match| sorted_ids(&f, query("Patient").filter("_has", &[wanted]));
    assert_eq!(patients(has("patient", "requested")).await, "1 2");
    assert_eq!(patients(has("patient", "completed")).await, "2");
    assert_eq!(patients(has("owner", "requested")).await, "1");
    assert_eq!(patients(Match::Has { param: "patient", query: Box::new(query("Task")) }).await, "1 2");
    let both = query("Patient")
        .filter("_has", &[has("patient", "completed")])
        .filter("name", &[Match::TextStarts("ana".into())]);
    assert_eq!(sorted_ids(&f, both).await, "");
}

async fn pairs(f: Fixture) {
    let pair = |code: &str, value: TermValue| TermValue::Pair {
        system: Some("urn:s".into()),
        code: code.into(),
        value: Box::new(value),
    };
    let kilos = |value| TermValue::Quantity { value, system: None, code: Some("kg".into()) };
    f.write(vec![
        resource("Observation", "a", 1)
            .term("component-code-value-quantity", pair("weight", kilos(70.0)))
            .term("component-code-value-quantity", pair("height", kilos(2.0))),
        resource("Observation", "b", 1).term("component-code-value-quantity", pair("height", kilos(70.0))),
        resource("Observation", "c", 1)
            .term("code-value-concept", pair("x", TermValue::Token { system: None, code: "yes".into() }))
            .term("code-value-string", pair("x", TermValue::Text("Änne".into())))
            .term("code-value-date", pair("x", TermValue::Date { from: 10, to: 20 })),
    ])
    .await;
    let of = |param, system: Option<&str>, code: &str, value: Match| {
        let wanted = Match::Pair { system: system.map(Into::into), code: code.into(), value: Box::new(value) };
        sorted_ids(&f, query("Observation").filter(param, &[wanted]))
    };
    let number = |low, unit: Option<&str>| Match::Quantity {
        prefix: Prefix::Ge,
        low,
        high: low,
        system: None,
        code: unit.map(Into::into),
    };
    let quantity = "combo-code-value-quantity";
    assert_eq!(of(quantity, Some("urn:s"), "weight", number(60.0, None)).await, "a");
    assert_eq!(of(quantity, None, "height", number(60.0, Some("kg"))).await, "b");
    assert_eq!(of(quantity, None, "height", number(1.0, Some("kg"))).await, "a b");
    assert_eq!(of(quantity, None, "height", number(1.0, Some("g"))).await, "");
    assert_eq!(of(quantity, Some("urn:t"), "weight", number(60.0, None)).await, "");
    assert_eq!(of("code-value-concept", None, "x", code("yes")).await, "c");
    assert_eq!(of("code-value-concept", None, "x", code("no")).await, "");
    assert_eq!(of("code-value-string", None, "x", Match::TextStarts("an".into())).await, "c");
    assert_eq!(of("code-value-date", None, "x", date(Prefix::Lt, 15, 16)).await, "c");
    assert_eq!(of("code-value-date", None, "x", date(Prefix::Gt, 30, 31)).await, "");
}

async fn strange_input(f: Fixture) {
    let strange = ["'", "\"", "\0", "\u{1f}", "a\u{1f}b", "?", "$1", "%", "\\", "\u{10ffff}", "", " ", "日本", "-- x"];
    let mut puts = Vec::new();
    for (n, text) in strange.iter().enumerate() {
        let patient = resource("Patient", &n.to_string(), 1);
        let patient = patient.text("name", text).token("identifier", text, text).reference("organization", text);
        puts.push(patient.term("url", TermValue::Uri((*text).into())));
    }
    puts.push(resource("Patient", "nan", 1).term("n", TermValue::Number(f64::NAN)));
    puts.push(resource("Patient", "inf", 1).term("n", TermValue::Number(f64::INFINITY)));
    puts.push(resource("Patient", "far", 1).date("birthdate", i64::MIN, i64::MAX));
    f.write(puts).await;
    for (n, text) in strange.iter().enumerate() {
        for (param, wanted) in [
            ("name", Match::TextStarts((*text).into())),
            ("name", Match::TextContains((*text).into())),
            ("name", Match::TextExact((*text).into())),
            ("identifier", coded(text, text)),
            ("identifier", code(text)),
            ("organization", Match::Reference((*text).into())),
            ("url", Match::Uri((*text).into())),
            ("url", Match::UriBelow((*text).into())),
        ] {
            let found = f.ids(&query("Patient").filter(param, std::slice::from_ref(&wanted))).await;
            assert!(found.contains(&n.to_string()), "{param} {wanted:?}");
        }
    }
    let far = query("Patient").filter("birthdate", &[date(Prefix::Ap, i64::MIN, i64::MAX)]);
    assert_eq!(f.ids(&far).await, ["far"]);
}
