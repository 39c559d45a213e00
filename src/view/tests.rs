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
        banner: true,
        session_at: None,
        palette: None,
        sign_out: None,
        unread: None,
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

fn drawn(case: &Case) -> String {
    page(&model(case))
}

#[test]
fn notes_titles_and_reasons_stay_text() {
    let evil = "\"><script>alert(1)</script>";
    for mut case in all() {
        for step in case.course.steps.iter_mut().chain(&mut case.course.open) {
            for homework in &mut step.seen.homework {
                homework.title = Some(evil.into());
            }
        }
        let mut model = model(&case);
        model.judgements = vec![Said {
            id: evil.into(),
            at: model.now,
            verdict: crate::domain::Verdict::Named,
            about: None,
            note: Some(evil.into()),
            by: Some(evil.into()),
        }];
        model.model_version = evil.into();
        assert!(!page(&model).contains("<script"), "{}", case.name);
    }
    assert!(!message("", evil, evil).contains("<script"));
}

#[test]
fn ids_are_percent_encoded_wherever_they_stand_in_a_link() {
    let cases = all();
    let mut model = model(&cases[0]);
    model.id = "../a b?c#d&e\"/";
    let html = page(&model);
    assert!(html.contains("/app/patients/..%2Fa%20b%3Fc%23d%26e%22%2F/judgements"));
    assert!(!html.contains("../a b"));
    assert_eq!(url::encode(".."), "%2E%2E");
}

#[test]
fn each_homework_of_a_session_has_its_mark() {
    let mut case = all().into_iter().next().expect("a sample");
    let seen = &mut case.course.steps[4].seen.homework;
    let one = seen.first().expect("homework").clone();
    *seen = ["Diary", "Walk", "Call a friend"]
        .map(|title| crate::domain::HomeworkSeen {
            source: crate::domain::Source::new(crate::domain::SourceKind::Task, title),
            title: Some(title.into()),
            ..one.clone()
        })
        .into();
    case.timeline.homework.clear();
    let html = drawn(&case);
    for title in ["Diary", "Walk", "Call a friend"] {
        assert!(html.contains(&format!(": {title}: ")), "{title}");
    }
}

#[test]
fn both_flags_always_stand_side_by_side() {
    for case in all() {
        let html = drawn(&case);
        assert!(html.contains("<h2>Engagement: "), "{}", case.name);
        assert!(html.contains("<h2>Treatment response: "), "{}", case.name);
    }
}

#[test]
fn the_safety_item_stands_above_everything() {
    let cases = all();
    let case = cases.iter().find(|case| case.name == "safety").expect("a sample");
    let html = drawn(case);
    let at = |text: &str| html.find(text).expect(text);
    assert!(at("Safety item answered above zero") < at("class=\"gist\""));
    assert!(at("class=\"first\"") < at("class=\"card sheet\""));
    assert!(html.contains("value=\"safety-acknowledged\""));
}

#[test]
fn every_picture_has_its_title_and_every_column_its_row_in_the_table() {
    for case in all() {
        let html = drawn(&case);
        assert_eq!(html.matches("role=\"img\"").count(), html.matches("<title id=").count(), "{}", case.name);
        assert_eq!(html.matches("<title id=").count(), html.matches("<desc id=").count());
        let record = crate::words::Record::new(&case.course, crate::words::At::Open, Some(&case.timeline));
        let table = &html[html.find("<table class=\"values\"").expect("a table")..];
        assert_eq!(table.matches("<tr").count(), record.columns.len() + 1, "{}", case.name);
    }
}

#[test]
fn no_percentage_before_the_small_print() {
    for case in all() {
        let html = drawn(&case);
        let first = &html[html.find("<main").expect("main")..html.find("<footer").expect("footer")];
        assert!(!first.contains('%'), "{}", case.name);
    }
}

#[test]
fn every_post_carries_the_token_and_looking_back_has_none() {
    for case in all() {
        let mut model = model(&case);
        let html = page(&model);
        assert_eq!(html.matches("method=\"post\"").count(), html.matches("name=\"csrf\" value=\"token\"").count());
        model.looking_back = true;
        assert!(!page(&model).contains("method=\"post\""));
        model.looking_back = false;
        model.csrf = None;
        assert!(!page(&model).contains("method=\"post\""));
    }
}

#[test]
fn sixty_sessions_fit_and_the_page_says_so() {
    let cases = all();
    let case = cases.iter().find(|case| case.name == "faultless-sixty").expect("a sample");
    let html = drawn(case);
    assert!(html.contains("The last 19 sessions are drawn; 41 earlier ones are in the table below."));
    assert!(html.contains("The last 8 sessions are drawn; 52 earlier ones are in the table below."));
}

#[test]
fn a_late_publication_is_said() {
    let cases = all();
    let mut model = model(&cases[0]);
    model.published = vec![Published { episode: 0, flag_id: "f".into(), first: Some(model.now) }];
    assert!(page(&model).contains("by the days in the record from 2 March; first shown on"));
    assert!(page(&model).contains("name=\"flag\" value=\"f\""));
}

#[test]
fn the_caseload_links_each_client_and_keeps_the_order() {
    let cases = all();
    let rows = cases
        .iter()
        .map(|case| CaseloadRow {
            id: case.name,
            person: case.person.clone(),
            course: &case.course,
            timeline: Some(&case.timeline),
            appointment: Some(samples::session_today()),
            withheld: None,
            band_yesterday: Some(crate::domain::Band::NothingUnusual),
        })
        .collect();
    let model = CaseloadModel {
        rows,
        now: cases[0].course.as_of,
        manner: Manner::default(),
        therapist: None,
        base_path: "/t".into(),
        thresholds: Thresholds::default(),
        rule: None,
        palette: None,
        sign_out: None,
    };
    let html = caseload(&model);
    let places: Vec<usize> = cases
        .iter()
        .map(|case| html.find(&format!("href=\"/t/app/patients/{}\"", case.name)).expect(case.name))
        .collect();
    assert!(places.is_sorted());
    for forbidden in ["<script", "<style", " style=", "NaN"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("href=\"/t/app/page.css?v="));
}

#[test]
fn the_stylesheet_fetches_nothing() {
    for forbidden in ["url(", "@import", "expression", "</"] {
        assert!(!stylesheet().contains(forbidden), "{forbidden}");
    }
}

/// WCAG 2.1: relative luminance of `#rrggbb`.
fn luminance(colour: &str) -> f64 {
    let full = match colour.len() {
        3 => colour.chars().flat_map(|c| [c, c]).collect(),
        _ => colour.to_owned(),
    };
    let channel = |i: usize| {
        let c = f64::from(u8::from_str_radix(&full[i..i + 2], 16).expect("hex")) / 255.0;
        if c <= 0.03928 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
}

#[test]
fn contrast_is_aa_in_light_and_dark() {
    let mut roots = stylesheet().split(":root {").skip(1);
    for scheme in [roots.next().expect("light"), roots.next().expect("dark")] {
        let colour = |name: &str| {
            let from = scheme.find(&format!("--{name}: #")).expect(name) + name.len() + 5;
            let text = &scheme[from..];
            luminance(&text[..text.find(';').expect("an end")])
        };
        let contrast = |a: f64, b: f64| (a.max(b) + 0.05) / (a.min(b) + 0.05);
        for ground in ["paper", "wash", "warmwash", "okwash", "dangerwash"] {
            for ink in ["ink", "soft"] {
                assert!(contrast(colour(ink), colour(ground)) >= 4.5, "{ink} on {ground}");
            }
        }
        for (ink, ground) in [
            ("warm", "paper"),
            ("warm", "wash"),
            ("warm", "warmwash"),
            ("danger", "dangerwash"),
            ("main", "wash"),
            ("paper", "main"),
        ] {
            assert!(contrast(colour(ink), colour(ground)) >= 4.5, "{ink} on {ground}");
        }
        for (shape, ground) in [("edge", "paper"), ("ok", "okwash"), ("main", "paper"), ("focus", "wash")] {
            assert!(contrast(colour(shape), colour(ground)) >= 3.0, "{shape} on {ground}");
        }
    }
}

/// In the order in which the Tab key goes.
#[test]
fn the_note_comes_before_the_buttons_that_send_it() {
    let html = drawn(&all()[0]);
    let form = &html[html.find("id=\"afterwards\"").expect("a card")..];
    let form = &form[..form.find("</form>").expect("a form")];
    assert!(form.find("<textarea").expect("a note") < form.find("<button").expect("a button"));
}

/// Declarations of the rule with this selector, the last one of that name.
fn rule(selector: &str) -> &'static str {
    let css = stylesheet();
    let from = css.rfind(&format!("{selector} {{")).expect(selector);
    &css[from..from + css[from..].find('}').expect("an end")]
}

#[test]
fn the_narrow_caseload_keeps_its_words() {
    // what hides the label is all undone where the label is shown
    let hidden = rule("\n.unseen").split_once('{').expect("a block").1;
    let shown = rule("  .mini .unseen");
    for declared in hidden.split(';').map(str::trim).filter(|d| !d.is_empty()) {
        let property = declared.split(':').next().expect("a property");
        assert!(shown.contains(&format!("{property}:")), "{property}");
    }
    // no column grows beyond its share because of a word in it
    assert!(!rule("  .caseload tr").replace("minmax(0, 1fr)", "").contains("fr"));
    assert!(rule("\n  .mini").contains("white-space: normal"));
}

/// Each mark that a row draws is in the legend, and no other.
#[test]
fn the_legend_explains_the_marks_that_are_drawn() {
    for case in all() {
        let html = drawn(&case);
        let legend = &html[html.find("<ul class=\"marks\"").unwrap_or(html.len())..];
        let legend = &legend[..legend.find("</ul>").unwrap_or(legend.len())];
        for (title, words) in [
            (": not done", "homework not done"),
            (": done in part", "homework in part"),
            (": did not come", "did not come"),
            (": moved by the client", "moved by the client"),
            (": not filled in", "not filled in"),
        ] {
            let drawn = ["<", ";"].iter().any(|end| html.contains(&format!("{title}{end}")));
            assert_eq!(drawn, legend.contains(&format!("{words}<")), "{}: {words}", case.name);
        }
    }
}

#[test]
fn nothing_is_named_where_nothing_was_said() {
    for case in all() {
        let record = crate::words::Record::new(&case.course, crate::words::At::Open, Some(&case.timeline));
        let flagged = record.active(crate::domain::FlagKind::EngagementDrop).is_some();
        let watched = record.current.is_some_and(|now| now.band != crate::domain::Band::NothingUnusual);
        assert_eq!(drawn(&case).contains("value=\"named-in-session\""), flagged || watched, "{}", case.name);
    }
}

/// The first thing to listen for stands above the sheet only where the record asks for it, and only there.
#[test]
fn what_to_listen_for_is_said_once() {
    let mut pointed = 0;
    for case in all() {
        let record = crate::words::Record::new(&case.course, crate::words::At::Open, Some(&case.timeline));
        let html = drawn(&case);
        let listen = crate::words::listen_for(&record, &case.person);
        assert_eq!(html.contains("class=\"first\""), listen.pointed, "{}", case.name);
        pointed += usize::from(listen.pointed);
        for item in &listen.items {
            let escaped = maud::Markup::from(maud::html! { (item) }).into_string();
            assert_eq!(html.matches(&escaped).count(), 1, "{}: {item}", case.name);
        }
    }
    assert!(pointed > 0 && pointed < all().len());
}
