//! The page of a launch whose permissions cover a part of the record: what they cover, as it is, and no assessment.

use super::model::PageModel;
use super::{details, document, page};
use crate::domain::FlagKind;
use crate::words::{self, At, Record, covered, ui};
use maud::{Markup, html};

/// What is held back.
#[derive(Clone, Debug, Default)]
pub struct Withheld {
    /// Types of the record that are not covered.
    pub kinds: Vec<&'static str>,
    /// What the launch covers of what a page is made of.
    pub shown: Vec<&'static str>,
    /// Our Flags that stand; `None`: not covered.
    pub flags: Option<Vec<FlagKind>>,
}

/// `model` holds nothing that is held back: its course is made of what may be shown alone.
pub fn part(model: &PageModel, withheld: &Withheld) -> Markup {
    let record = Record::new(model.course, At::Open, Some(model.timeline));
    let shows = |kind: &str| withheld.shown.contains(&kind);
    let body = html! {
        a class="skip" href="#main" { (ui::SKIP_TO_CONTENT) }
        main id="main" {
            (page::looking_back(model))
            header {
                h1 class=[(!model.banner).then_some("unseen")] {
                    (if model.person.name.trim().is_empty() { ui::UNNAMED } else { &model.person.name })
                }
                @if shows("Appointment") {
                    p class="when" { (words::session_and_time(Some(page::kept(model, None) + 1), None, page::next_session(model), model.now, &model.manner)) }
                }
                @if let Some(therapist) = &model.therapist { p { (words::with_therapist(therapist)) } }
            }
            section class="safety-item" role="alert" {
                (page::icon("safety"))
                div { h2 { (ui::UNREAD) } p { (covered::withheld(&withheld.kinds)) } @if let Some(text) = &model.unread { p { (text) } } }
            }
            (page::safety(model, &record))
            section class="card" aria-labelledby="part-h" {
                h2 id="part-h" { (ui::ALL_VALUES) }
                ul {
                    @for kind in ["Patient", "QuestionnaireResponse", "Task", "Appointment"] {
                        @if !shows(kind) { li { (covered::made_of(kind)) ": " (covered::NOT_COVERED) } }
                    }
                    li {
                        "flags: "
                        @match withheld.flags.as_deref() {
                            None => (covered::NOT_COVERED),
                            Some([]) => (ui::NONE),
                            Some(all) => (all.iter().map(|kind| ui::flag_kind(*kind)).collect::<Vec<_>>().join(", ")),
                        }
                    }
                }
                (details::raw_values(model, &record, &shows))
            }
            footer { (super::sign_out(&model.base_path, Some(model.id), model.sign_out.as_deref())) }
        }
    };
    let title = format!("{}: {}", ui::BEFORE_THE_SESSION, model.person.name);
    document(&model.base_path, model.manner.locale, &title, model.palette.as_deref(), &body)
}
