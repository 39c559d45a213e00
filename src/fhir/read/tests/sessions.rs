use super::*;
use crate::domain::{Covered, EndingKind, Slot, SlotOutcome, Verdict};

const START: &str = "2026-03-02T10:00:00Z";

fn appointment(id: &str, status: &str, start: &str) -> Value {
    json!({"resourceType": "Appointment", "id": id, "status": status, "start": start,
        "participant": [{"actor": {"reference": "Practitioner/d"}, "period": {"start": "2026-03-02T08:00:00Z"}},
            {"actor": {"reference": "Patient/p1"}, "status": "accepted"}]})
}

fn cancelled(id: &str, start: &str, code: &str) -> Value {
    let mut appointment = appointment(id, "cancelled", start);
    appointment["cancelationReason"] = json!({"coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason", "code": code}]});
    appointment
}

fn one(resources: &[Value]) -> Slot {
    let timeline = read(resources);
    assert_eq!(timeline.slots.len(), 1);
    timeline.slots.into_iter().next().expect("one")
}

#[test]
fn status_decides_what_is_a_slot_and_what_became_of_it() {
    for status in ["proposed", "pending", "waitlist", "entered-in-error", "nonsense"] {
        assert!(read(&[appointment("a", status, START)]).slots.is_empty(), "{status}");
    }
    let kept = SlotOutcome::Kept { late_minutes: None };
    for (status, outcome) in [
        ("booked", SlotOutcome::Booked),
        ("arrived", kept),
        ("checked-in", kept),
        ("fulfilled", kept),
        ("noshow", SlotOutcome::NoShow),
        ("cancelled", SlotOutcome::CancelledUnattributed),
    ] {
        let slot = one(&[appointment("a", status, START)]);
        assert_eq!((slot.outcome, slot.outcome_known, slot.booked), (outcome, at(START), None), "{status}");
    }
    let mut no_start = appointment("a", "booked", START);
    no_start.as_object_mut().expect("object").shift_remove("start");
    assert!(read(&[no_start]).slots.is_empty());
}

#[test]
fn who_cancelled_is_said_by_the_code() {
    for code in ["pat", "pat-crs", "pat-cpp", "pat-fb", "pat-lt", "pat-ucp"] {
        let slot = one(&[cancelled("a", START, code)]);
        assert_eq!(slot.outcome, SlotOutcome::CancelledByClient, "{code}");
        assert_eq!(slot.unhappy_or_changed_provider, code == "pat-ucp");
    }
    let never = [
        "pat-dec",
        "pat-mt",
        "pat-mv",
        "pat-preg",
        "pat-swl",
        "prov",
        "prov-pers",
        "prov-hosp",
        "other",
        "oth-weath",
        "oth-err",
        "maint",
        "meds-inc",
    ];
    for code in never {
        assert_eq!(one(&[cancelled("a", START, code)]).outcome, SlotOutcome::CancelledByService, "{code}");
    }
    assert_eq!(one(&[cancelled("a", START, "novel")]).outcome, SlotOutcome::CancelledUnattributed);
    let mut elsewhere = cancelled("a", START, "pat");
    elsewhere["cancelationReason"]["coding"][0]["system"] = json!("urn:local");
    assert_eq!(one(&[elsewhere]).outcome, SlotOutcome::CancelledUnattributed);
}

#[test]
fn a_cancellation_is_known_when_written_and_at_the_start_at_the_latest() {
    let early = sent(cancelled("a", START, "pat"), "2026-03-01T12:00:00Z");
    assert_eq!(one(std::slice::from_ref(&early)).outcome_known, at("2026-03-01T12:00:00Z"));
    let late = sent(cancelled("a", START, "pat"), "2026-03-05T12:00:00Z");
    assert_eq!(one(std::slice::from_ref(&late)).outcome_known, at(START));
    assert_eq!(one(&[cancelled("a", START, "pat")]).outcome_known, at(START));
    // Sent again later, it was not cancelled later; struck out in between, it was.
    assert_eq!(one(&[late.clone(), early.clone()]).outcome_known, at("2026-03-01T12:00:00Z"));
    let again = sent(appointment("a", "booked", START), "2026-03-01T13:00:00Z");
    let twice = sent(cancelled("a", START, "pat"), "2026-03-01T15:00:00Z");
    assert_eq!(one(&[early, again, twice]).outcome_known, at("2026-03-01T15:00:00Z"));
}

#[test]
fn lateness_is_the_patients_period_else_the_encounter() {
    let encounter = |start: &str| {
        json!({"resourceType": "Encounter", "id": "e", "status": "finished",
        "appointment": [{"reference": "Appointment/a"}], "period": {"start": start}})
    };
    let late = |resources: &[Value]| match one(resources).outcome {
        SlotOutcome::Kept { late_minutes } => late_minutes,
        other => panic!("{other:?}"),
    };
    let plain = appointment("a", "fulfilled", START);
    assert_eq!(late(&[plain.clone(), encounter("2026-03-02T10:12:30Z")]), Some(12.5));
    assert_eq!(
        one(&[plain.clone(), encounter("2026-03-02T10:12:30Z")]).also,
        [Source::new(SourceKind::Encounter, "e")]
    );
    assert_eq!(late(&[plain.clone(), encounter("2026-03-02T09:55:00Z")]), Some(0.0));
    // A date says nothing of minutes; what is written after the session is over is not an arrival.
    assert_eq!(late(&[plain.clone(), encounter("2026-03-02")]), None);
    assert_eq!(late(&[plain.clone(), encounter("2026-03-02T15:00:00Z")]), None);
    let mut planned = encounter("2026-03-02T10:30:00Z");
    planned["status"] = json!("planned");
    assert_eq!(late(&[plain.clone(), planned]), None);
    let mut own = plain;
    own["participant"][1]["period"] = json!({"start": "2026-03-02T10:09:00Z"});
    assert_eq!(late(&[own, encounter("2026-03-02T10:30:00Z")]), Some(9.0));
}

#[test]
fn two_versions_with_different_starts_are_a_move() {
    let first = sent(appointment("a", "booked", START), "2026-02-20T10:00:00Z");
    let second = sent(appointment("a", "booked", "2026-03-04T10:00:00Z"), "2026-03-01T18:00:00Z");
    let third = sent(appointment("a", "fulfilled", "2026-03-04T10:00:00Z"), "2026-03-04T11:00:00Z");
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]] {
        let all = [first.clone(), second.clone(), third.clone()];
        let slot = one(&order.map(|n| all[n].clone()));
        assert_eq!(slot.start, at("2026-03-04T10:00:00Z"));
        let moves: Vec<_> = slot.moves.iter().map(|moved| (moved.from, moved.to, moved.known)).collect();
        assert_eq!(moves, [(at(START), at("2026-03-04T10:00:00Z"), at("2026-03-01T18:00:00Z"))]);
    }
    // Without the sender's time, a move is known when the first of both starts has come.
    let slot = one(&[appointment("a", "booked", START), appointment("a", "booked", "2026-03-04T10:00:00Z")]);
    assert_eq!(slot.moves[0].known, at(START));
    // An error in between never was.
    let mut wrong = sent(appointment("a", "entered-in-error", "2026-03-09T10:00:00Z"), "2026-02-25T10:00:00Z");
    wrong["id"] = json!("a");
    assert_eq!(one(&[first, wrong, second]).moves.len(), 1);
}

#[test]
fn a_booking_soon_after_the_client_cancelled_replaces_that_session() {
    let booking = |id: &str, start: &str, created: &str| {
        let mut booking = appointment(id, "booked", start);
        booking["created"] = json!(created);
        booking
    };
    let gone = sent(cancelled("a", START, "pat"), "2026-03-01T12:00:00Z");
    let soon = booking("b", "2026-03-05T10:00:00Z", "2026-03-02T12:00:00Z");
    let later = booking("c", "2026-03-09T10:00:00Z", "2026-03-03T11:00:00Z");
    let series = booking("d", "2026-03-16T10:00:00Z", "2026-01-01T11:00:00Z");
    let too_late = booking("e", "2026-03-23T10:00:00Z", "2026-03-03T12:00:01Z");
    let timeline = read(&[later, series, too_late, gone, soon]);
    let replaced: Vec<_> = timeline.slots.iter().filter(|slot| slot.replaces.is_some()).collect();
    assert_eq!(replaced.len(), 1);
    assert_eq!(&*replaced[0].source.id, "b");
    assert_eq!(replaced[0].replaces, Some(Source::new(SourceKind::Appointment, "a")));
    // The clinician's cancellation is nobody's rescheduling.
    let theirs = sent(cancelled("a", START, "prov"), "2026-03-01T12:00:00Z");
    let soon = booking("b", "2026-03-05T10:00:00Z", "2026-03-02T12:00:00Z");
    assert!(read(&[theirs, soon]).slots.iter().all(|slot| slot.replaces.is_none()));
}

#[test]
fn a_deletion_removes_and_what_came_before_it_never_was() {
    let mut facts = kept(&[appointment("a", "booked", START), appointment("a", "booked", "2026-03-04T10:00:00Z")]);
    let deletion = VersionedFact { version: 2, deleted: true, fact: None, sender_updated: None, ..facts[1].clone() };
    facts[1].current = false;
    facts.push(deletion);
    assert!(timeline(facts.clone(), shipped()).slots.is_empty());
    facts[2].current = false;
    let mut again = kept(&[appointment("a", "booked", "2026-03-06T10:00:00Z")]);
    again[0].version = 3;
    facts.extend(again);
    let slots = timeline(facts, shipped()).slots;
    assert_eq!((slots.len(), slots[0].moves.len()), (1, 0));
}

#[test]
fn endings_and_judgements() {
    let episode = |id: &str, status: &str, period: Value| {
        json!({"resourceType": "EpisodeOfCare", "id": id, "status": status, "patient": {"reference": "Patient/p1"},
            "period": period})
    };
    let done = episode("c1", "finished", json!({"start": "2025-01-01", "end": "2026-03-31"}));
    let endings = read(std::slice::from_ref(&done)).endings;
    assert_eq!((endings[0].kind, endings[0].at), (EndingKind::EpisodeFinished, at("2026-03-31T21:59:59.999999Z")));
    // Another episode goes on.
    let other = episode("c2", "active", json!({"start": "2026-02-01"}));
    assert!(read(&[done.clone(), other]).endings.is_empty());
    // The client comes back later.
    let again = episode("c2", "active", json!({"start": "2026-09-01T08:00:00Z"}));
    assert_eq!(read(&[done, again]).endings[0].resumed, Some(at("2026-09-01T08:00:00Z")));
    let kept = |n: usize, start: &str| appointment(&format!("a{n}"), "fulfilled", start);
    let resumed = |starts: &[&str]| {
        let mut all: Vec<Value> = starts.iter().enumerate().map(|(n, start)| kept(n, start)).collect();
        all.push(episode("c1", "finished", json!({"end": "2026-03-31T10:00:00Z"})));
        read(&all).endings[0].resumed
    };
    // Written down late, aftercare, follow-ups far apart: none of them is treatment again.
    assert_eq!(resumed(&["2026-03-31T14:00:00Z", "2026-04-07T14:00:00Z", "2026-04-14T14:00:00Z"]), None);
    assert_eq!(resumed(&["2026-05-05T14:00:00Z", "2026-06-30T14:00:00Z", "2026-09-29T14:00:00Z"]), None);
    assert_eq!(
        resumed(&["2026-04-07T14:00:00Z", "2026-06-02T14:00:00Z", "2026-06-09T14:00:00Z", "2026-06-16T14:00:00Z"]),
        Some(at("2026-06-09T14:00:00Z"))
    );
    let called_off = sent(episode("c1", "cancelled", json!({})), "2026-04-01T09:00:00Z");
    assert_eq!(read(&[called_off]).endings[0].at, at("2026-04-01T09:00:00Z"));
    let patient = |extra: &str, value: Value| sent(json!({"resourceType": "Patient", "id": "p1", extra: value}), START);
    assert!(read(&[patient("active", json!(true))]).endings.is_empty());
    assert_eq!(read(&[patient("active", json!(false))]).endings[0].kind, EndingKind::Inactive);
    let died = read(&[patient("deceasedDateTime", json!("2026-02-01T01:00:00Z"))]).endings;
    assert_eq!((died[0].kind, died[0].at), (EndingKind::Deceased, at("2026-02-01T01:00:00Z")));

    let judged = |status: &str| {
        json!({"resourceType": "Observation", "id": "j", "status": status,
        "code": {"coding": [{"system": "https://tautline.example/fhir/CodeSystem/signal", "code": "judgement"}]},
        "subject": {"reference": "Patient/p1"}, "issued": START, "focus": [{"reference": "Flag/f1"}],
        "valueCodeableConcept": {"coding": [
            {"system": "https://tautline.example/fhir/CodeSystem/judgement", "code": "rupture-yes"}]},
        "note": [{"text": "We talked about it"}]})
    };
    let judgements = read(&[judged("final")]).judgements;
    assert_eq!((judgements[0].verdict, judgements[0].known), (Verdict::RuptureYes, at(START)));
    assert_eq!(judgements[0].flag.as_deref(), Some("f1"));
    assert!(read(&[judged("entered-in-error")]).judgements.is_empty());
    // What was seen twice was seen once, but for what the second one saw alone; without a list each speaks for its time.
    let seen = |id: &str, forms: &[&str]| {
        let mut one = judged("final");
        one["id"] = json!(id);
        drop(one.as_object_mut().map(|fields| fields.remove("note")));
        one["valueCodeableConcept"]["coding"][0]["code"] = json!("safety-acknowledged");
        let url = "https://tautline.example/fhir/StructureDefinition/answer-seen";
        let form = |id: &&str| json!({"reference": format!("QuestionnaireResponse/{id}/_history/3"), "extension": [{"url": url, "valueDecimal": 2}]});
        if !forms.is_empty() {
            one["derivedFrom"] = forms.iter().map(form).collect();
        }
        one
    };
    let all = |seen: &[Value]| read(seen).judgements;
    let listed = all(&[seen("j1", &["q1", "q2"]), seen("j2", &["q2"]), seen("j3", &["q3"])]);
    assert_eq!(listed.iter().map(|one| &*one.source.id).collect::<Vec<_>>(), ["j1", "j3"]);
    let q3 = Source::new(SourceKind::QuestionnaireResponse, "q3");
    assert_eq!(listed[1].covers, Some(vec![Covered { source: q3, value: Some(2.0) }]));
    assert_eq!(all(&[seen("j1", &[]), seen("j2", &[])]).len(), 2);
    let mut signal = judged("final");
    signal["code"]["coding"][0]["code"] = json!("attendance");
    assert_eq!(fact(&signal, &context()), None);
}

/// A group's session is held without who declined; where the record says when they came, they came.
#[test]
fn who_declined_did_not_come() {
    for status in ["booked", "fulfilled", "arrived"] {
        let mut declined = appointment("a", status, START);
        declined["participant"][1]["status"] = json!("declined");
        assert_eq!(one(&[declined.clone()]).outcome, SlotOutcome::CancelledByClient, "{status}");
        declined["participant"][0]["status"] = json!("declined");
        declined["participant"][1]["status"] = json!("accepted");
        assert_ne!(one(&[declined]).outcome, SlotOutcome::CancelledByClient, "{status}: the practitioner declined");
    }
    let mut came = appointment("a", "fulfilled", START);
    came["participant"][1]["status"] = json!("declined");
    came["participant"][1]["period"] = json!({"start": START});
    assert!(matches!(one(&[came]).outcome, SlotOutcome::Kept { .. }));
}
