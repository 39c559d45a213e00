//! What the therapist says afterwards: plain forms, one endpoint.
//!
//! `POST {base}/app/patients/{id}/judgements`, `application/x-www-form-urlencoded`:
//! `csrf`; `verdict` (`named-in-session`, `rupture-yes`, `rupture-no`, `rupture-unsure`, `safety-acknowledged`), `flag`
//! (logical id, absent without one) and `note`; of `safety-acknowledged` also `seen`, one for each answer that the page
//! shows: the logical id of its QuestionnaireResponse, a space, the answer; or `undo` (logical id of the judgement).

use super::model::{PageModel, Said};
use super::url;
use crate::domain::{Band, FlagKind, Verdict};
use crate::words::{self, Record, ui};
use maud::{Markup, html};

/// A note longer than this is cut by the browser; the endpoint has its own limit.
const NOTE_CHARS_MAX: usize = 2000;

/// The code of a verdict in the form.
pub fn verdict_code(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Named => "named-in-session",
        Verdict::RuptureYes => "rupture-yes",
        Verdict::RuptureNo => "rupture-no",
        Verdict::RuptureUnsure => "rupture-unsure",
        Verdict::SafetyAcknowledged => "safety-acknowledged",
    }
}

pub fn afterwards(model: &PageModel, record: &Record) -> Markup {
    let said: Vec<&Said> = model.judgements.iter().filter(|said| said.at <= model.now).rev().take(6).collect();
    html! {
        section id="afterwards" class="card afterwards" aria-labelledby="afterwards-h" {
            h2 id="afterwards-h" { (ui::AFTERWARDS) }
            @match (&model.csrf, model.looking_back) {
                (_, true) => p class="soft" { (ui::LOOK_BACK_ANSWERS) },
                (None, _) => p class="soft" { (ui::READ_ONLY) },
                (Some(csrf), false) => (answer(model, record, csrf)),
            }
            @if !said.is_empty() {
                h3 { (ui::SAID_SO_FAR) }
                ul class="said" { @for said in said { li { (one(model, said)) } } }
            }
        }
    }
}

fn answer(model: &PageModel, record: &Record, csrf: &str) -> Markup {
    let button = |verdict: Verdict, label: &str, main: bool| {
        html! {
            button type="submit" name="verdict" value=(verdict_code(verdict)) class=[main.then_some("main")] { (label) }
        }
    };
    html! {
        form method="post" action=(url::judgements(&model.base_path, model.id)) {
            (hidden(csrf, flag_id(model, record, FlagKind::EngagementDrop)))
            label for="note" { (ui::NOTE) }
            textarea id="note" name="note" rows="1" maxlength=(NOTE_CHARS_MAX) autocomplete="off" {}
            @if to_name(record) { p { (button(Verdict::Named, ui::NAMED_IT, true)) } }
            fieldset {
                legend { (ui::WAS_THERE_A_RUPTURE) }
                (button(Verdict::RuptureYes, ui::YES, false))
                (button(Verdict::RuptureNo, ui::NO, false))
                (button(Verdict::RuptureUnsure, ui::UNSURE, false))
            }
        }
    }
}

/// Something on this page could have been named: a pattern that is flagged, or worth watching.
fn to_name(record: &Record) -> bool {
    record.active(FlagKind::EngagementDrop).is_some()
        || record.current.is_some_and(|now| now.band != Band::NothingUnusual)
}

fn hidden(csrf: &str, flag: Option<&str>) -> Markup {
    html! {
        input type="hidden" name="csrf" value=(csrf);
        @if let Some(flag) = flag { input type="hidden" name="flag" value=(flag); }
    }
}

/// Logical id of the Flag that stands.
fn flag_id<'m>(model: &'m PageModel, record: &Record, kind: FlagKind) -> Option<&'m str> {
    let episode = record.active(kind)?;
    let index = model.course.episodes.iter().position(|e| std::ptr::eq(e, episode))?;
    model.published.iter().find(|p| p.episode == index).map(|p| p.flag_id.as_str())
}

fn one(model: &PageModel, said: &Said) -> Markup {
    html! {
        span {
            (ui::verdict(said.verdict))
            span class="soft" {
                " · " (words::date_and_time(said.at, model.now, &model.manner))
                @if let Some(by) = &said.by { " · " (by) }
            }
            @if let Some(note) = said.note.as_deref().filter(|note| !note.trim().is_empty()) {
                br; q { (note) }
            }
        }
        @if let (Some(csrf), false) = (&model.csrf, model.looking_back) {
            form method="post" action=(url::judgements(&model.base_path, model.id)) {
                (hidden(csrf, None))
                button type="submit" name="undo" value=(said.id) class="quiet"
                    aria-label={ (ui::UNDO) ": " (ui::verdict(said.verdict)) } { (ui::UNDO) }
            }
        }
    }
}

/// Under the safety item.
pub fn acknowledge(model: &PageModel, record: &Record) -> Markup {
    html! {
        @if let (Some(csrf), false) = (&model.csrf, model.looking_back) {
            form method="post" action=(url::judgements(&model.base_path, model.id)) {
                (hidden(csrf, flag_id(model, record, FlagKind::SafetyItem)))
                @for one in words::safety_shown(record) {
                    @if let Some(value) = one.value {
                        input type="hidden" name="seen" value={ (one.source.id) " " (value) };
                    }
                }
                button type="submit" name="verdict" value=(verdict_code(Verdict::SafetyAcknowledged)) { (ui::SEEN_IT) }
            }
        }
    }
}
