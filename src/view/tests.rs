//! The pages are safe, say what they draw, and need neither script nor inline style.

use super::samples::{Case, all};
use super::*;
use crate::words::{Manner, Person};

fn model(case: &Case) -> PageModel<'_> {
    PageModel {
        id: case.name,
        person: case.person.clone(),
        course: &case.course,
        timeline: &case.timeline,
        now: case.course.as_of,
        looking_back: false,
        manner: Manner::default(),
        therapist: None,
        treatment: case.treatment.map(str::to_owned),
        session_number: None,
        sessions_planned: case.planned,
        published: Vec::new(),
        judgements: Vec::new(),
        csrf: Some("token".into()),
        base_path: String::new(),
        caseload_link: true,
        model_version: "1.0".into(),
        thresholds: Thresholds::default(),
    }
}

#[test]
fn no_page_carries_script_or_inline_style() {
    for case in all() {
        let html = page(&model(&case));
        for forbidden in ["<script", "<style", " style=", " onclick", "javascript:", "NaN"] {
            assert!(!html.contains(forbidden), "{}: {forbidden}", case.name);
        }
        assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    }
}

#[test]
fn a_hostile_name_stays_text() {
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    for mut case in all() {
        case.person = Person::new(evil, Some(evil), case.person.gender);
        let mut model = model(&case);
        model.therapist = Some(evil.into());
        model.treatment = Some(evil.into());
        model.csrf = Some(evil.into());
        model.id = evil;
        let html = page(&model);
        assert!(!html.contains("<script"), "{}", case.name);
        assert!(!html.contains("<img"), "{}", case.name);
    }
}
