//! The page before the session and the caseload: pure functions from models to HTML.
//!
//! No I/O, no clock, no script. Pictures are inline SVG; nothing carries an inline style, so the pages live
//! under `default-src 'none'; style-src 'self'; form-action 'self'`. All text is escaped by `maud`; ids are
//! percent-encoded by [`url`]. The words are in [`crate::words`], the drawing in `sheet` and `draw`.
//!
//! The API layer fills [`PageModel`] and [`CaseloadModel`], and serves [`stylesheet`] at [`STYLESHEET_PATH`].

mod afterwards;
mod caseload;
mod details;
mod draw;
mod model;
mod page;
mod part;
#[cfg(test)]
pub(crate) mod samples;
mod sheet;
#[cfg(test)]
mod tests;
mod url;

pub use model::{CaseloadModel, CaseloadRow, PageModel, Published, Said, Thresholds};
pub use part::Withheld;

use crate::words::{Locale, ui};
use maud::{DOCTYPE, Markup, html};

/// Where the stylesheet is served, under the base path; `text/css; charset=utf-8`, cacheable for ever, since
/// its URL carries [`stylesheet_version`].
pub const STYLESHEET_PATH: &str = "/app/page.css";

pub fn stylesheet() -> &'static str {
    include_str!("page.css")
}

/// Changes with the stylesheet (FNV-1a), so that a cache never serves an old one to a new page.
pub fn stylesheet_version() -> String {
    let hash = stylesheet()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// The page before the session, a whole HTML document.
pub fn page(model: &PageModel) -> String {
    page::page(model).into_string()
}

/// The page of a launch that covers a part of the record; nothing else is in `model`.
pub fn part(model: &PageModel, withheld: &Withheld) -> String {
    part::part(model, withheld).into_string()
}

/// The day's clients, a whole HTML document.
pub fn caseload(model: &CaseloadModel) -> String {
    caseload::caseload(model).into_string()
}

/// A plain notice: an error, cookies blocked, launch again.
pub fn message(base_path: &str, title: &str, text: &str) -> String {
    let body = html! {
        main class="notice" id="main" {
            h1 { (title) }
            @for paragraph in text.split("\n\n") {
                p { (paragraph) }
            }
        }
    };
    document(base_path, Locale::En, title, None, &body).into_string()
}

/// Ends the session of this client's page, or of the caseload.
fn sign_out(base_path: &str, client: Option<&str>, csrf: Option<&str>) -> Markup {
    html! {
        @if let Some(csrf) = csrf {
            form method="post" action={ (base_path) "/app/sign-out" } class="sign-out" {
                input type="hidden" name="csrf" value=(csrf);
                input type="hidden" name="patient" value=(client.unwrap_or_default());
                button type="submit" class="quiet" { (ui::SIGN_OUT) }
            }
        }
    }
}

fn document(base_path: &str, locale: Locale, title: &str, palette: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(locale.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex";
                title { (title) " · " (ui::PRODUCT) }
                link rel="stylesheet" href={ (base_path) (STYLESHEET_PATH) "?v=" (stylesheet_version()) };
                @if let Some(palette) = palette {
                    link rel="stylesheet" href={ (base_path) "/app/palette.css?c=" (palette) };
                }
            }
            body { (body) }
        }
    }
}
