//! The pictures: one SVG a row, all on one grid, so that the columns stand under each other.
//!
//! Colour never stands alone: full, half and hollow, ticks and crosses say the same. Every mark has a title.

mod legend;
mod marks;
mod score;

pub use legend::legend;
pub use marks::{Content, attendance, homework, level, pattern, questionnaire};
pub use score::{alliance, score};

use crate::words::{Column, ColumnKind, Manner, date_short, day_name, ui};
use jiff::Timestamp;
use maud::{Markup, html};

const PITCH_MAX: f64 = 76.0;
/// Left of the oldest column: room for the cut-off's figure.
const MARGIN: f64 = 26.0;

/// Where the columns stand. Newest on the right, always in the same place.
pub struct Grid<'a> {
    pub columns: &'a [Column<'a>],
    pub width: f64,
    pub pitch: f64,
    pub manner: &'a Manner,
    /// Names the SVGs apart: "w" or "n".
    pub key: &'static str,
}

impl<'a> Grid<'a> {
    pub fn new(all: &'a [Column<'a>], most: usize, width: f64, key: &'static str, manner: &'a Manner) -> Self {
        let columns = &all[all.len().saturating_sub(most)..];
        let pitch = ((width - MARGIN) / columns.len().max(1) as f64).min(PITCH_MAX);
        Grid { columns, width, pitch, manner, key }
    }

    /// Middle of a column.
    pub fn x(&self, i: usize) -> f64 {
        self.width - self.pitch * (self.columns.len() - i) as f64 + self.pitch / 2.0
    }

    /// Half the width of a mark.
    pub fn half(&self) -> f64 {
        (self.pitch * 0.27).clamp(4.0, 10.0)
    }

    /// Left edge and width of the shaded weeks.
    fn shade(&self) -> Option<(f64, f64)> {
        let first = self.columns.iter().position(|c| c.recent)?;
        let last = self.columns.iter().rposition(|c| c.recent)?;
        let left = self.x(first) - self.pitch / 2.0;
        (last >= first).then(|| (left, self.x(last) + self.pitch / 2.0 - left))
    }

    /// Left edge of now's column: what came before stands left of it.
    fn now_from(&self) -> Option<f64> {
        self.now().map(|x| x - self.pitch / 2.0)
    }

    fn now(&self) -> Option<f64> {
        let last = self.columns.len().checked_sub(1)?;
        (self.columns[last].kind == ColumnKind::Now).then(|| self.x(last))
    }

    pub fn title(&self, column: &Column, what: &str) -> String {
        match column.kind {
            ColumnKind::Now => format!("{}: {what}", ui::NOW),
            ColumnKind::Session | ColumnKind::Break => format!(
                "{} {}: {what}",
                &day_name(column.start, self.manner)[..3],
                date_short(column.start, self.manner)
            ),
        }
    }
}

/// One decimal is a tenth of a pixel.
pub fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A row's SVG: shaded weeks and today's line behind, `marks` in front.
pub fn row(grid: &Grid, name: &str, title: &str, desc: &str, height: f64, marks: &Markup) -> Markup {
    let class = if grid.key == "w" { "chart wide" } else { "chart narrow" };
    let id = format!("{}-{name}", grid.key);
    html! {
        svg class=(class) viewBox={ "0 0 " (px(grid.width)) " " (px(height)) } role="img"
            aria-labelledby={ (id) "-t " (id) "-d" } {
            title id={ (id) "-t" } { (title) }
            desc id={ (id) "-d" } { (desc) }
            (behind(grid, height))
            (marks)
        }
    }
}

fn behind(grid: &Grid, height: f64) -> Markup {
    html! {
        g class="behind" aria-hidden="true" {
            @if let Some((x, width)) = grid.shade() {
                rect class="recent" x=(px(x)) y="0" width=(px(width)) height=(px(height)) {}
            }
            (gaps(grid, height))
            @if let Some(x) = grid.now_from() {
                line class="today" x1=(px(x)) x2=(px(x)) y1="0" y2=(px(height)) {}
            }
        }
    }
}

/// Sessions that the service cancelled, and a longer while between two: the axis is broken there.
fn gaps(grid: &Grid, height: f64) -> Markup {
    html! {
        @for (i, _) in grid.columns.iter().enumerate().filter(|(_, c)| c.kind == ColumnKind::Break) {
            rect class="break" x=(px(grid.x(i) - grid.pitch * 0.42)) y="0"
                width=(px(grid.pitch * 0.84)) height=(px(height)) {}
        }
        @for (i, _) in grid.columns.iter().enumerate().filter(|(_, c)| c.gap_days.is_some()) {
            @for aside in [-1.5, 1.5] {
                @let x = grid.x(i) - grid.pitch / 2.0 + aside;
                line class="gap" x1=(px(x)) x2=(px(x)) y1="0" y2=(px(height)) {}
            }
        }
    }
}

/// Stretched behind all rows at once, where these stand under each other without a gap.
pub fn backdrop(grid: &Grid) -> Markup {
    html! {
        svg class="backdrop" viewBox={ "0 0 " (px(grid.width)) " 100" } preserveAspectRatio="none"
            aria-hidden="true" {
            @if let Some((x, width)) = grid.shade() {
                rect class="recent" x=(px(x)) y="0" width=(px(width)) height="100" {}
            }
            (gaps(grid, 100.0))
            @if let Some(x) = grid.now_from() {
                line class="today" x1=(px(x)) x2=(px(x)) y1="0" y2="100" {}
            }
        }
    }
}

/// Dates above the columns; over them what is shaded, and today.
pub fn axis(grid: &Grid, lately: &str, now_label: &str, looking_at: Timestamp) -> Markup {
    const DATE_WIDTH: f64 = 54.0;
    const LABEL_WIDTH: f64 = 92.0;
    let every = (DATE_WIDTH / grid.pitch).ceil().max(1.0) as usize;
    let sessions = grid.columns.len() - usize::from(grid.now().is_some());
    // The newest date that leaves room for today's.
    let last = (sessions + usize::from(grid.now().is_some())).saturating_sub(1 + every);
    let last = if grid.now().is_some() { last } else { sessions.saturating_sub(1) };
    let dates = grid
        .columns
        .iter()
        .enumerate()
        .filter(|(i, c)| c.kind != ColumnKind::Now && *i <= last && (last - i).is_multiple_of(every));
    let end = grid.now().map_or(grid.width, |x| x - 22.0);
    let label_x = grid.shade().map(|(x, width)| {
        let middle = x + width / 2.0;
        if middle + LABEL_WIDTH / 2.0 <= end { (middle, "middle") } else { (end, "end") }
    });
    html! {
        svg class=(if grid.key == "w" { "chart wide" } else { "chart narrow" })
            viewBox={ "0 0 " (px(grid.width)) " 38" } aria-hidden="true" {
            (behind(grid, 0.0))
            @if let Some((x, width)) = grid.shade() {
                rect class="recent" x=(px(x)) y="18" width=(px(width)) height="20" {}
            }
            @if let Some((x, anchor)) = label_x {
                text class="tick strong" x=(px(x)) y="12" text-anchor=(anchor) { (lately) }
            }
            @if let Some(x) = grid.now() {
                text class="tick strong" x=(px(x)) y="12" text-anchor="middle" { (now_label) }
                text class="tick" x=(px(x)) y="31" text-anchor="middle" { (date_short(looking_at, grid.manner)) }
            }
            @for (i, column) in dates {
                text class="tick" x=(px(grid.x(i))) y="31" text-anchor="middle" {
                    (date_short(column.start, grid.manner))
                }
            }
        }
    }
}
