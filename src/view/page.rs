//! The page before the session, in reading order.

use super::model::PageModel;
use super::{afterwards, details, document, sheet, url};
use crate::domain::{FlagKind, Pattern, Slot, SlotOutcome};
use crate::words::{self, At, FlagWords, Gist, Listen, Part, Record, Standing, ui};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

pub fn page(model: &PageModel) -> Markup {
    let record = Record::new(model.course, At::Open, Some(model.timeline));
    let body = html! {
        a class="skip" href="#main" { (ui::SKIP_TO_CONTENT) }
        main id="main" {
            (looking_back(model))
            (who(model, &record))
            (unread(model))
            (safety(model, &record))
            (gist(&words::gist(&record, &model.person, &model.manner)))
            section class="flags" aria-label=(ui::TWO_FLAGS) {
                (flag(&words::engagement_flag(&record, &model.person, &model.manner)))
                (flag(&words::response_flag(&record, &model.manner)))
            }
            @let listen = words::listen_for(&record, &model.person);
            @if let Some(first) = listen.items.first().filter(|_| listen.pointed) {
                p class="first" { strong { (ui::LISTEN_FIRST) } " " (first) }
            }
            (sheet::sheet(model, &record))
            div class="two" {
                (listen_for(&listen, &record))
                (afterwards::afterwards(model, &record))
            }
            (details::small_print(model, &record))
        }
    };
    let title = format!("{}: {}", ui::BEFORE_THE_SESSION, model.person.name);
    document(&model.base_path, model.manner.locale, &title, model.palette.as_deref(), &body)
}

pub(super) fn looking_back(model: &PageModel) -> Markup {
    html! {
        @if model.looking_back {
            aside class="looking-back" {
                p {
                    (words::looking_back(model.course.as_of, model.now, &model.manner)) " "
                    a href=(url::client(&model.base_path, model.id)) { (ui::BACK_TO_NOW) }
                }
            }
        }
    }
}

fn who(model: &PageModel, record: &Record) -> Markup {
    let next = next_session(model);
    let number = model.session_number.unwrap_or_else(|| kept(model, next) + 1);
    html! {
        header {
            h1 class=[(!model.banner).then_some("unseen")] {
                (if model.person.name.trim().is_empty() { ui::UNNAMED } else { &model.person.name })
            }
            p class="when" {
                @if record.weekly() { (ui::NO_APPOINTMENTS) } @else { (words::session_and_time(
                    record.ended().is_none().then_some(number),
                    model.sessions_planned,
                    next,
                    model.now,
                    &model.manner,
                )) }
            }
            @if let Some(treatment) = &model.treatment { p { (treatment) } }
            @if let Some(therapist) = &model.therapist { p { (words::with_therapist(therapist)) } }
            @if model.caseload_link {
                p class="away" { a href=(url::caseload(&model.base_path)) { (ui::BACK_TO_CASELOAD) } }
            }
        }
    }
}

/// Sessions that took place before the one that is next, or has just begun.
pub(super) fn kept(model: &PageModel, next: Option<Timestamp>) -> u32 {
    let before = next.unwrap_or(model.course.as_of).min(model.course.as_of);
    let kept = |slot: &&Slot| {
        matches!(slot.outcome, SlotOutcome::Kept { .. })
            && slot.start < before
            && slot.outcome_known < model.course.as_of
    };
    u32::try_from(model.timeline.slots.iter().filter(kept).count()).unwrap_or(u32::MAX)
}

/// The session about to begin, or just begun. Today's page goes by what the record says now, also where nobody said
/// when a session was cancelled or moved (such a change counts as known at its start alone, and so it does looking back).
pub fn next_session(model: &PageModel) -> Option<Timestamp> {
    if model.session_at.is_some() {
        return model.session_at;
    }
    let now = !model.looking_back;
    let just_begun = model.course.as_of.checked_sub(SignedDuration::from_mins(50)).ok()?;
    model
        .timeline
        .slots
        .iter()
        .filter(|slot| slot.booked.is_none_or(|booked| booked <= model.course.as_of))
        .filter(|slot| !(slot.outcome.is_cancelled() && (now || slot.outcome_known <= model.course.as_of)))
        .map(|slot| if now { slot.start } else { start_known(slot, model.course.as_of) })
        .filter(|start| *start > just_begun)
        .min()
}

/// Where the session stood as far as was known: it may have been moved since.
fn start_known(slot: &Slot, as_of: Timestamp) -> Timestamp {
    slot.moves.iter().find(|one| one.known >= as_of).map_or(slot.start, |one| one.from)
}

fn unread(model: &PageModel) -> Markup {
    html! {
        @if let Some(text) = &model.unread {
            section class="safety-item" role="alert" {
                (icon("safety"))
                div { h2 { (ui::UNREAD) } p { (text) } }
            }
        }
    }
}

pub(super) fn safety(model: &PageModel, record: &Record) -> Markup {
    let said = words::safety_item(record, &model.manner);
    html! {
        @if let Some(said) = said {
            section class="safety-item" aria-labelledby="safety-h" {
                (icon("safety"))
                div {
                    h2 id="safety-h" { (said.title) }
                    p { (said.text) }
                    (afterwards::acknowledge(model, record))
                }
            }
        }
        @if let Some(note) = words::safety_note(record, &model.manner) {
            p class="safety-note" { (note) }
        }
    }
}

fn gist(gist: &Gist) -> Markup {
    html! {
        p class="gist" {
            @for part in &gist.parts {
                @match part {
                    Part::Plain(text) => (text),
                    Part::Strong(text) => strong { (text) },
                }
            }
        }
    }
}

fn flag(words: &FlagWords) -> Markup {
    html! {
        div class={ "flag " (standing(words.standing)) } {
            (icon(standing(words.standing)))
            div {
                h2 { (words.title) }
                p { (words.why) }
            }
        }
    }
}

pub fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::On => "on",
        Standing::Watch => "watch",
        Standing::Off => "off",
        Standing::Quiet => "quiet",
        Standing::Unknown => "unknown",
        Standing::Ended => "ended",
    }
}

/// A shape for each standing; the words beside it say the same.
pub fn icon(name: &str) -> Markup {
    html! {
        svg class={ "icon " (name) } viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false" {
            @match name {
                "on" => path d="M10 2.2 L19 17.8 H1 Z" {},
                "watch" => {
                    circle class="line-only" cx="10" cy="10" r="7.5" {}
                    path d="M10 2.5 a7.5 7.5 0 0 1 0 15 z" {}
                }
                "off" => path class="line-only" d="M3 10.5 l4.7 5 L17 5" {},
                "quiet" => circle class="line-only" cx="10" cy="10" r="7" {},
                "unknown" => path class="line-only dashed" d="M10 2.5 a7.5 7.5 0 1 1 0 15 a7.5 7.5 0 1 1 0 -15" {},
                "ended" => path class="line-only" d="M4 4 h12 v12 h-12 z" {},
                _ => {
                    path d="M6.2 1.5 h7.6 l4.7 4.7 v7.6 l-4.7 4.7 h-7.6 l-4.7 -4.7 v-7.6 z" {}
                    path class="cutout" d="M10 5.2 v6 M10 13.6 v1.4" {}
                }
            }
        }
    }
}

/// What stands above the sheet is not said again.
fn listen_for(listen: &Listen, record: &Record) -> Markup {
    let rest = if listen.pointed { listen.items.get(1..).unwrap_or_default() } else { &listen.items };
    html! {
        section class="card listen" aria-labelledby="listen-h" {
            h2 id="listen-h" { (if listen.pointed { ui::LISTEN_ALSO } else { ui::LISTEN_FOR }) }
            @if listen.items.is_empty() {
                p class="soft" { (ui::NOTHING_TO_LISTEN_FOR) }
            } @else if rest.is_empty() {
                p class="soft" { (ui::LISTEN_ABOVE) }
            } @else {
                ul { @for item in rest { li { (item) } } }
            }
            @if !listen.items.is_empty() && !listen.pointed { p class="soft" { (ui::AS_EVER) } }
            @if record.active(FlagKind::EngagementDrop).is_some() {
                @let confrontation = record.current.is_some_and(|now| now.pattern == Pattern::Confrontation);
                p class="soft" { (if confrontation { ui::MOSTLY_UNSEEN } else { ui::WHAT_IT_SAYS }) }
            }
        }
    }
}
