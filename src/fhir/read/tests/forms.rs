use super::*;
use crate::domain::Subscale;

const PHQ9: [&str; 9] =
    ["44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8"];
const CODES: [&str; 4] = ["LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9"];

fn form(questionnaire: &str, items: Vec<Value>) -> Value {
    json!({"resourceType": "QuestionnaireResponse", "id": "r1", "status": "completed", "questionnaire": questionnaire,
        "authored": "2026-03-02T10:00:00+01:00", "item": items})
}

fn coded(answers: &[usize]) -> Vec<Value> {
    let item = |(code, answer): (&&str, &usize)| json!({"linkId": format!("/{code}"), "answer": [{"valueCoding": {"system": "http://loinc.org", "code": CODES[*answer]}}]});
    PHQ9.iter().zip(answers).map(item).collect()
}

fn one(resource: Value) -> crate::domain::Administration {
    let timeline = read(&[resource]);
    assert_eq!(timeline.administrations.len(), 1);
    timeline.administrations.into_iter().next().expect("one")
}

#[test]
fn a_complete_phq9_by_loinc_answer_codes() {
    let mut response = form("http://loinc.org/q/44249-1|2.73", coded(&[1, 2, 3, 0, 1, 2, 3, 0, 0]));
    response["extension"] =
        json!([{"url": "https://tautline.example/fhir/StructureDefinition/completion-seconds", "valueDecimal": 41.5}]);
    let form = one(response.clone());
    assert_eq!((form.measure.name.as_str(), form.measure.items), ("PHQ-9", 9));
    assert_eq!(form.at, at("2026-03-02T09:00:00Z"));
    assert_eq!((form.score, form.complete, form.finished, form.seconds), (Some(12.0), true, true, Some(41.5)));
    assert_eq!(form.answers, [1., 2., 3., 0., 1., 2., 3., 0., 0.].map(Some));
    assert_eq!(form.safety.map(|answer| answer.value), Some(0.0));
    // Known from when it was filled in; what its sender wrote later is known from then.
    assert_eq!((form.safety_told, form.safety_known), (form.at, form.at));
    let later = one(sent(response.clone(), "2026-03-03T02:00:00Z"));
    assert_eq!((later.safety_told, later.safety_known), (form.at, at("2026-03-03T02:00:00Z")));
    let earlier = one(sent(response, "2026-03-01T02:00:00Z"));
    assert_eq!(earlier.safety_known, form.at);
}

#[test]
fn two_missing_items_are_prorated_and_three_give_no_score() {
    let seven = one(form("http://loinc.org/q/44249-1", coded(&[1, 2, 3, 0, 1, 2, 3])));
    assert_eq!((seven.score, seven.complete, seven.answered()), (Some(12.0 / 7.0 * 9.0), false, 7));
    assert_eq!(seven.safety, None);
    let six = one(form("http://loinc.org/q/44249-1", coded(&[1, 2, 3, 0, 1, 2])));
    assert_eq!((six.score, six.answered()), (None, 6));
}

#[test]
fn numbers_ordinals_weights_and_quantities_are_answers_too() {
    let ordinal = |url: &str, n: i64| {
        json!([{"valueCoding": {"extension": [{"url": format!("http://hl7.org/fhir/StructureDefinition/{url}"),
            "valueDecimal": n}], "code": "local"}}])
    };
    let answers = [
        json!([{"valueInteger": 1}]),
        json!([{"valueDecimal": 2.0}]),
        json!([{"valueQuantity": {"value": 3}}]),
        ordinal("ordinalValue", 1),
        ordinal("itemWeight", 2),
        json!([{"valueCoding": {"code": "LA6571-9"}}]),
        json!([{"valueString": "0"}]),
        json!([{"valueInteger": 1}]),
        json!([{"valueInteger": 2}]),
    ];
    let items = PHQ9.iter().zip(answers).map(|(code, answer)| json!({"linkId": format!("/{code}"), "answer": answer}));
    // In groups, as many senders do.
    let group = json!({"linkId": "g", "item": [{"linkId": "h", "item": items.collect::<Vec<_>>()}]});
    let form = one(form("http://loinc.org/q/44249-1", vec![group]));
    let expected = [Some(1.), Some(2.), Some(3.), Some(1.), Some(2.), Some(3.), None, Some(1.), Some(2.)];
    assert_eq!(form.answers, expected);
    assert_eq!(form.score, Some(15.0 / 8.0 * 9.0));
    assert_eq!(form.safety.map(|answer| answer.value), Some(2.0));
}

#[test]
fn a_total_is_taken_as_sent() {
    let total = |value: i64| json!({"linkId": "/44261-6", "answer": [{"valueInteger": value}]});
    let alone = one(form("http://loinc.org/q/44249-1", vec![total(17)]));
    assert_eq!((alone.score, alone.complete, alone.answered()), (Some(17.0), true, 9));
    let mut items = coded(&[1; 9]);
    items.push(total(10));
    assert_eq!(one(form("http://loinc.org/q/44249-1", items)).score, Some(10.0));
    // Out of range: no score, and the items beside it are not believed either; they are shown.
    let mut items = coded(&[1; 9]);
    items.push(total(99));
    let wrong = one(form("http://loinc.org/q/44249-1", items));
    assert_eq!((wrong.score, wrong.answered()), (None, 9));
}

#[test]
fn an_answer_out_of_range_is_no_score_and_still_raises_the_safety_item() {
    let item = |code: &str, value: i64| json!({"linkId": format!("/{code}"), "answer": [{"valueInteger": value}]});
    let items = PHQ9.iter().map(|code| item(code, 4)).collect();
    let form = one(form("http://loinc.org/q/44249-1", items));
    assert_eq!((form.score, form.answered()), (None, 0));
    assert_eq!(form.safety.map(|answer| answer.value), Some(4.0));
}

#[test]
fn of_two_answers_to_one_item_the_worse_stands() {
    let mut items = coded(&[1; 9]);
    items[0]["answer"] = json!([{"valueInteger": 3}, {"valueInteger": 0}]);
    items.push(json!({"linkId": "/44260-8", "answer": [{"valueInteger": 2}]}));
    let form = one(form("http://loinc.org/q/44249-1", items));
    assert_eq!(form.score, Some(12.0));
    assert_eq!(form.safety.map(|answer| answer.value), Some(2.0));
}

#[test]
fn begun_is_not_finished_and_an_error_never_was() {
    let mut response = form("http://loinc.org/q/44249-1", coded(&[1, 1, 1, 1, 1, 1, 1, 1, 3]));
    response["status"] = json!("in-progress");
    let begun = one(response.clone());
    assert_eq!((begun.finished, begun.complete, begun.score, begun.answered()), (false, false, None, 9));
    assert_eq!(begun.safety.map(|answer| answer.value), Some(3.0));
    response["status"] = json!("entered-in-error");
    assert!(read(&[response]).administrations.is_empty());
}

#[test]
fn a_time_is_authored_else_the_senders_else_none() {
    let mut response = form("http://loinc.org/q/44249-1", coded(&[1; 9]));
    response["authored"] = json!("2026-03-02");
    assert_eq!(one(response.clone()).at, at("2026-03-02T22:59:59.999999Z"));
    response.as_object_mut().expect("object").shift_remove("authored");
    assert_eq!(one(sent(response.clone(), "2026-03-05T08:00:00Z")).at, at("2026-03-05T08:00:00Z"));
    let timeline = read(&[response]);
    assert!(timeline.administrations.is_empty());
    assert_eq!(timeline.undated[0].safety.map(|answer| answer.value), Some(1.0));
}

#[test]
fn an_unknown_form_counts_by_its_codes() {
    // By linkId alone.
    let items = PHQ9[..6].iter().map(|code| json!({"linkId": code, "answer": [{"valueInteger": 1}]})).collect();
    let found = one(form("https://clinic.example/Questionnaire/mood", items));
    assert_eq!((found.measure.name.as_str(), found.answered()), ("PHQ-9", 6));
    // Two of nine are a PHQ-2, which is no known measure.
    let items = PHQ9[..2].iter().map(|code| json!({"linkId": code, "answer": [{"valueInteger": 1}]})).collect();
    assert!(read(&[form("https://clinic.example/Questionnaire/mood", items)]).administrations.is_empty());
}

/// A local form whose items carry the LOINC codes, with options of its own.
fn stored(codes: &[&str]) -> Measures {
    let items: Vec<Value> = codes.iter().enumerate().map(|(n, code)| json!({
        "linkId": format!("q{n}"), "type": "choice", "code": [{"system": "http://loinc.org", "code": code}],
        "answerOption": [
            {"valueCoding": {"system": "urn:local", "code": "never",
                "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 0}]}},
            {"valueCoding": {"system": "urn:local", "code": "often",
                "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/ordinalValue", "valueDecimal": 2}]}}]
    })).collect();
    let questionnaire = json!({"resourceType": "Questionnaire", "id": "mood", "status": "active",
        "url": "https://clinic.example/Questionnaire/mood", "item": items});
    let Some(crate::domain::fact::Fact::Questionnaire(fact)) = fact(&questionnaire, &context()) else {
        panic!("a fact")
    };
    shipped().with_questionnaires([("mood".into(), fact)])
}

#[test]
fn a_stored_questionnaire_says_what_a_local_form_means() {
    let items: Vec<Value> = (0..9)
        .map(|n| json!({"linkId": format!("q{n}"), "answer": [{"valueCoding": {"system": "urn:local", "code": "often"}}]}))
        .collect();
    for name in ["https://clinic.example/Questionnaire/mood|3", "Questionnaire/mood"] {
        let response = form(name, items[..8].to_vec());
        let timeline = read_with(&[response], &stored(&PHQ9));
        assert_eq!(timeline.administrations.len(), 1, "{name}");
        let form = &timeline.administrations[0];
        assert_eq!((form.measure.name.as_str(), form.score, form.answered()), ("PHQ-9", Some(18.0), 8));
    }
    // A form that holds only some of the items is another measure.
    let response = form("https://clinic.example/Questionnaire/mood", items);
    assert!(read_with(&[response], &stored(&PHQ9[..8])).administrations.is_empty());
}

#[test]
fn one_form_may_hold_two_measures() {
    let gad7 = ["69725-0", "68509-9", "69733-4", "69734-2", "69735-9", "69689-8", "69736-7"];
    let both: Vec<&str> = PHQ9.iter().chain(&gad7).copied().collect();
    let items = (0..16).map(|n| json!({"linkId": format!("q{n}"), "answer": [{"valueInteger": 1}]})).collect();
    let response = form("https://clinic.example/Questionnaire/mood", items);
    let timeline = read_with(&[response], &stored(&both));
    let scores: Vec<_> = timeline.administrations.iter().map(|form| (form.measure.name.as_str(), form.score)).collect();
    assert_eq!(scores, [("PHQ-9", Some(9.0)), ("GAD-7", Some(7.0))]);
}

#[test]
fn a_score_only_measure_takes_its_total_or_its_numbered_items() {
    let srs = "https://tautline.example/fhir/Questionnaire/srs";
    let total = one(form(srs, vec![json!({"linkId": "total", "answer": [{"valueDecimal": 34.5}]})]));
    assert_eq!((total.score, total.complete, total.answers), (Some(34.5), true, vec![Some(34.5)]));
    let marks =
        |n: usize| (1..=n).map(|n| json!({"linkId": n.to_string(), "answer": [{"valueDecimal": 9.5}]})).collect();
    let items = one(form(srs, marks(4)));
    assert_eq!((items.score, items.complete, items.answers), (Some(38.0), true, vec![Some(38.0)]));
    let three = one(form(srs, marks(3)));
    assert_eq!((three.score, three.complete, three.answers), (None, false, vec![None]));
    // Bare numbers are nobody's linkIds elsewhere.
    assert!(read(&[form("https://clinic.example/Questionnaire/x", marks(4))]).administrations.is_empty());
}

#[test]
fn wai_sr_has_subscales_and_core_om_is_a_mean() {
    let wai = "https://tautline.example/fhir/Questionnaire/wai-sr";
    let number = |link: &str, value: i64| json!({"linkId": link, "answer": [{"valueInteger": value}]});
    let sent = one(form(wai, vec![number("task", 15), number("goal", 16), number("bond", 18)]));
    assert_eq!((sent.score, sent.complete), (Some(49.0), true));
    assert_eq!(sent.subscales, [(Subscale::Task, 15.0), (Subscale::Goal, 16.0), (Subscale::Bond, 18.0)]);
    // Item by item: bond is 3, 5, 7, 9.
    let items = (1..=12).map(|n| number(&n.to_string(), if [3, 5, 7, 9].contains(&n) { 2 } else { 4 })).collect();
    let items = one(form(wai, items));
    assert_eq!(items.score, Some(40.0));
    assert_eq!(items.subscales, [(Subscale::Task, 16.0), (Subscale::Goal, 16.0), (Subscale::Bond, 8.0)]);
    assert_eq!(one(form(wai, vec![number("bond", 9), number("total", 40)])).subscales, [(Subscale::Bond, 9.0)]);

    let core = "https://tautline.example/fhir/Questionnaire/core-om";
    let items = |n: usize| (1..=n).map(|n| number(&n.to_string(), if n % 2 == 0 { 1 } else { 2 })).collect();
    assert_eq!(one(form(core, items(34))).score, Some(15.0));
    assert_eq!(one(form(core, items(32))).score, Some(15.0));
    assert_eq!(one(form(core, items(30))).score, None);
}

#[test]
fn every_safety_item_is_seen() {
    for (measure, link) in [("core-10", "6"), ("epds", "10")] {
        let url = format!("https://tautline.example/fhir/Questionnaire/{measure}");
        let form = one(form(&url, vec![json!({"linkId": link, "answer": [{"valueInteger": 1}]})]));
        assert_eq!((form.score, form.safety.map(|answer| answer.value)), (None, Some(1.0)), "{measure}");
    }
}

#[test]
fn an_amendment_replaces_and_a_late_older_version_does_not() {
    let first = sent(form("http://loinc.org/q/44249-1", coded(&[1; 9])), "2026-03-02T10:00:00Z");
    let mut second = sent(form("http://loinc.org/q/44249-1", coded(&[2; 9])), "2026-03-03T10:00:00Z");
    second["status"] = json!("amended");
    for order in [[first.clone(), second.clone()], [second, first]] {
        assert_eq!(read(&order).administrations[0].score, Some(18.0));
    }
}

#[test]
fn odd_resources_are_no_trouble() {
    for odd in [json!(null), json!([]), json!({"resourceType": 7}), json!({"resourceType": "Basic"})] {
        assert_eq!(fact(&odd, &context()), None, "{odd}");
    }
    for kind in ["Appointment", "Encounter", "EpisodeOfCare", "Patient", "Questionnaire", "QuestionnaireResponse"] {
        assert!(fact(&json!({"resourceType": kind}), &context()).is_some(), "{kind}");
    }
    let odd = json!({"resourceType": "QuestionnaireResponse", "id": "r1", "status": 3, "item": "x", "authored": [],
        "extension": {}, "questionnaire": {}});
    assert!(read(&[odd]).administrations.is_empty());
    assert_eq!(decode(&[]), None);
    assert_eq!(decode(&[0, 1, 2]), None);
    assert_eq!(decode(&[2, 0]), None);
}
