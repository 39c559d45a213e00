//! Anything at all.

use super::*;
use proptest::prelude::*;

fn anything() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "resourceType",
        "id",
        "extension",
        "url",
        "valueString",
        "valueReference",
        "reference",
        "contained",
        "item",
        "linkId",
        "answer",
        "_id",
        "_status",
        "status",
        "subject",
        "period",
        "start",
        "end",
        "name",
        "_given",
        "given",
        "text",
        "div",
        "entry",
        "resource",
        "type",
        "request",
        "parameter",
        "part",
        "meta",
        "coding",
        "code",
    ]);
    let texts = prop::sample::select(vec![
        "Patient",
        "Questionnaire",
        "QuestionnaireResponse",
        "Task",
        "Bundle",
        "Parameters",
        "",
        "#",
        "#a",
        "a",
        "2024-02-30",
        "2024-03-01T10:00:00Z",
        "<div>a</div>",
        "<",
        "Patient/1",
        "é\u{0}",
        "group",
        "transaction",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        texts.prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics(mut value in anything(), kind in prop::sample::select(vec![
        "Patient", "Questionnaire", "QuestionnaireResponse", "Task", "Appointment", "Bundle", "Parameters",
    ])) {
        if let Value::Object(object) = &mut value {
            object.insert("resourceType".to_owned(), kind.into());
        }
        let _ = check(&value);
        let _ = check_bundle_shell(&value);
        let text = value.to_string();
        let read = parse(text.as_bytes(), Limits::default()).expect("serde_json writes JSON");
        prop_assert_eq!(read, value);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, Limits::default());
    }

    /// Where serde_json reads a text, so does the door, alike; but for duplicate keys.
    #[test]
    fn the_door_agrees_with_serde_json(text in r#"[\[\]{}",:0-9eE.\-a-c\\u tn]{0,40}"#) {
        match (parse(text.as_bytes(), Limits::default()), serde_json::from_str::<Value>(&text)) {
            (Ok(ours), theirs) => prop_assert_eq!(Some(ours), theirs.ok()),
            (Err(issue), Ok(_)) => prop_assert!(issue.diagnostics.contains("twice"), "{}", issue.diagnostics),
            (Err(_), Err(_)) => {}
        }
    }
}
