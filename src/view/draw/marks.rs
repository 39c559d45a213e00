//! One mark a session: questionnaire, homework, attendance, pattern.

use super::{Grid, px, row};
use crate::domain::{Assessment, AttendanceOutcome, Band, FlagKind, HomeworkOutcome, HomeworkSeen, RomOutcome};
use crate::view::model::Thresholds;
use crate::words::{self, Column, ColumnKind, ui};
use maud::{Markup, html};

/// Warm where this row is one that raised the flag and the session is a recent one; else calm.
fn tone(raised: bool, column: &Column) -> &'static str {
    if raised && column.recent { "mark warm" } else { "mark" }
}

pub fn questionnaire(grid: &Grid, title: &str, desc: &str, raised: bool) -> Markup {
    const HEIGHT: f64 = 54.0;
    const TOP: f64 = 9.0;
    const FULL: f64 = 34.0;
    let half = grid.half();
    let marks = html! {
        @for (i, column) in grid.columns.iter().enumerate() {
            @if let Some(seen) = column.rom_outcome() {
                g class=(tone(raised, column)) {
                    title { (grid.title(column, &ui::rom(seen.outcome, seen.answered, seen.expected))) }
                    (form(seen.outcome, f64::from(seen.answered) / f64::from(seen.expected.max(1)), grid.x(i), TOP, half, FULL))
                }
            } @else { (nothing(grid, i, TOP + FULL / 2.0)) }
        }
    };
    row(grid, "questionnaire", title, desc, HEIGHT, &marks)
}

/// A sheet, filled to the share that was answered.
pub(super) fn form(outcome: RomOutcome, share: f64, x: f64, top: f64, half: f64, full: f64) -> Markup {
    let (left, wide, middle) = (x - half, half * 2.0, top + full / 2.0);
    let filled = (share.clamp(0.0, 1.0) * full).max(if share > 0.0 { 3.0 } else { 0.0 });
    html! {
        @if outcome == RomOutcome::Missed {
            rect class="empty" x=(px(left)) y=(px(top)) width=(px(wide)) height=(px(full)) rx="3" {}
            line class="stroke" x1=(px(x - half * 0.4)) x2=(px(x + half * 0.4)) y1=(px(middle)) y2=(px(middle)) {}
        } @else {
            @if share < 1.0 {
                rect class="empty" x=(px(left)) y=(px(top)) width=(px(wide)) height=(px(full)) rx="3" {}
            }
            rect class="fill" x=(px(left)) y=(px(top + full - filled)) width=(px(wide)) height=(px(filled)) rx="3" {}
            @if matches!(outcome, RomOutcome::Perfunctory | RomOutcome::Alike) {
                path class="cutout" d={ "M" (px(left + 2.0)) "," (px(top + full * 0.82)) " L" (px(x + half - 2.0)) "," (px(top + full * 0.18)) } {}
            }
        }
    }
}

/// A session without this: neither done nor missed, and not left blank.
fn nothing(grid: &Grid, i: usize, y: f64) -> Markup {
    let column = &grid.columns[i];
    html! {
        @if column.kind == ColumnKind::Session {
            g {
                title { (grid.title(column, ui::NOT_ASKED)) }
                circle class="unasked" cx=(px(grid.x(i))) cy=(px(y)) r="1.8" {}
            }
        }
    }
}

/// What the homework held, where the sender says: one kind a client, the first that is there.
pub type Content = (&'static str, fn(&HomeworkSeen) -> Option<f64>);

pub fn homework(grid: &Grid, title: &str, desc: &str, raised: bool, content: Option<(Content, f64)>) -> Markup {
    let height = if content.is_some() { 66.0 } else { 46.0 };
    let y = 20.0;
    let r = grid.half().min(9.0);
    let marks = html! {
        @if let Some((_, usual)) = content.filter(|(_, usual)| *usual > 0.0) {
            @let x = grid.x(0) - grid.pitch / 2.0;
            line class="cut" x1=(px(x)) x2=(px(grid.width)) y1=(px(height - 18.0)) y2=(px(height - 18.0)) {
                title { "usual: " (words::amount(usual, grid.manner)) }
            }
        }
        @for (i, column) in grid.columns.iter().enumerate() {
            @if column.homework.is_empty() { (nothing(grid, i, y)) }
            @let places = places(column.homework.len(), r);
            @for (seen, (dx, dy, r)) in column.homework.iter().zip(&places) {
                @let amount = content.and_then(|((name, read), usual)| Some((name, read(seen)?, usual)));
                g class=(tone(raised, column)) {
                    title { (grid.title(column, &homework_title(seen, amount, grid))) }
                    @if words::thin(seen) { (thin(grid.x(i) + dx, y + dy, *r)) }
                    @else { (circle(seen.outcome, grid.x(i) + dx, y + dy, *r)) }
                    @if let Some((_, value, usual)) = amount.filter(|_| *dy <= 0.0) {
                        @let tall = (value / usual.max(0.01) * 14.0).clamp(1.0, 22.0);
                        rect class="amount" x=(px(grid.x(i) + dx - r * 0.6)) y=(px(height - 4.0 - tall)) width=(px(r * 1.2)) height=(px(tall)) rx="1" {}
                    }
                }
            }
            @if column.homework.len() > places.len() {
                text class="note" x=(px(grid.x(i))) y=(px(y + r + 12.0)) text-anchor="middle" {
                    "+" (column.homework.len() - places.len())
                }
            }
        }
    };
    row(grid, "homework", title, desc, height, &marks)
}

/// Where in a column so many marks stand (x and y from its middle, radius): one alone, two side by side, four in a
/// square; more are counted.
fn places(n: usize, r: f64) -> Vec<(f64, f64, f64)> {
    let (small, aside) = (r * 0.62, r * 0.72);
    let rows: &[f64] = if n > 2 { &[-aside, aside] } else { &[0.0] };
    match n {
        0 | 1 => vec![(0.0, 0.0, r); n],
        n => rows.iter().flat_map(|dy| [(-aside, *dy, small), (aside, *dy, small)]).take(n).collect(),
    }
}

fn homework_title(seen: &HomeworkSeen, amount: Option<(&'static str, f64, f64)>, grid: &Grid) -> String {
    let mut title =
        if words::thin(seen) { ui::homework(HomeworkOutcome::Done) } else { ui::homework(seen.outcome) }.to_owned();
    if let Some(what) = &seen.title {
        title = format!("{what}: {title}");
    }
    match amount {
        Some((name, value, usual)) => {
            let figure = |value| words::amount(value, grid.manner);
            format!("{title}; {name} {}, usually {}", figure(value), figure(usual))
        }
        None => title,
    }
}

/// Done, with little in it.
pub(super) fn thin(x: f64, y: f64, r: f64) -> Markup {
    let k = r / 9.0;
    html! {
        circle class="ring" cx=(px(x)) cy=(px(y)) r=(px(r)) {}
        path class="stroke" d={ "M" (px(x - 4.0 * k)) "," (px(y)) " l" (px(3.0 * k)) "," (px(3.4 * k)) " l" (px(5.4 * k)) "," (px(-6.4 * k)) } {}
    }
}

pub(super) fn circle(outcome: HomeworkOutcome, x: f64, y: f64, r: f64) -> Markup {
    let k = r / 9.0;
    html! {
        @match outcome {
            HomeworkOutcome::Done => {
                circle class="fill" cx=(px(x)) cy=(px(y)) r=(px(r)) {}
                path class="cutout" d={ "M" (px(x - 4.0 * k)) "," (px(y)) " l" (px(3.0 * k)) "," (px(3.4 * k)) " l" (px(5.4 * k)) "," (px(-6.4 * k)) } {}
            }
            HomeworkOutcome::Partial => {
                circle class="ring" cx=(px(x)) cy=(px(y)) r=(px(r)) {}
                path class="fill" d={ "M" (px(x)) "," (px(y - r)) " a" (px(r)) "," (px(r)) " 0 0 0 0," (px(2.0 * r)) " z" } {}
            }
            HomeworkOutcome::Late => {
                circle class="ring" cx=(px(x)) cy=(px(y)) r=(px(r)) {}
                path class="stroke" d={ "M" (px(x)) "," (px(y - 5.0 * k)) " v" (px(5.0 * k)) " l" (px(3.6 * k)) "," (px(2.4 * k)) } {}
            }
            HomeworkOutcome::NotDone => {
                circle class="ring" cx=(px(x)) cy=(px(y)) r=(px(r)) {}
                path class="stroke" d={ "M" (px(x - 3.4 * k)) "," (px(y - 3.4 * k)) " l" (px(6.8 * k)) "," (px(6.8 * k)) " m0," (px(-6.8 * k)) " l" (px(-6.8 * k)) "," (px(6.8 * k)) } {}
            }
        }
    }
}

pub fn attendance(grid: &Grid, title: &str, desc: &str, raised: bool) -> Markup {
    const HEIGHT: f64 = 58.0;
    let half = grid.half().min(8.0);
    let y = 18.0;
    let notes = notes(grid);
    let marks = html! {
        @for (i, column) in grid.columns.iter().enumerate() {
            @let x = grid.x(i);
            @if let Some(days) = column.gap_days {
                text class="note" x=(px(x - grid.pitch / 2.0)) y="8" text-anchor="middle" { (ui::gap(days)) }
            }
            @if let Some(outcome) = column.attended() {
                g class=(tone(raised, column)) {
                    title { (grid.title(column, &ui::attendance(outcome))) }
                    (square(outcome, x, y, half))
                    @if let Some((text, line)) = &notes[i] {
                        text class="note" x=(px(x)) y=(px(40.0 + 13.0 * f64::from(*line))) text-anchor="middle" { (text) }
                    }
                }
            }
        }
    };
    row(grid, "attendance", title, desc, HEIGHT, &marks)
}

/// Words under the marks; two neighbours share no line, and a crowd says nothing twice.
fn notes(grid: &Grid) -> Vec<Option<(String, u8)>> {
    let mut lines_end = [f64::MIN, f64::MIN];
    grid.columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let outcome = column.attended()?;
            let text = if column.moved() && outcome == AttendanceOutcome::Attended {
                ui::attendance_note(AttendanceOutcome::Rescheduled)
            } else {
                ui::attendance_note(outcome)
            };
            if text.is_empty() {
                return None;
            }
            let half = text.len() as f64 * 2.9 + 2.0;
            let line = lines_end.iter().position(|end| grid.x(i) - half >= *end)?;
            lines_end[line] = grid.x(i) + half;
            Some((text, line as u8))
        })
        .collect()
}

pub(super) fn square(outcome: AttendanceOutcome, x: f64, y: f64, half: f64) -> Markup {
    let rect = |class: &'static str| {
        html! { rect class=(class) x=(px(x - half)) y=(px(y - half)) width=(px(half * 2.0)) height=(px(half * 2.0)) rx="3.5" {} }
    };
    html! {
        @match outcome {
            AttendanceOutcome::Attended => (rect("fill")),
            AttendanceOutcome::Late { .. } => {
                (rect("ring"))
                path class="fill" d={ "M" (px(x - half * 0.2)) "," (px(y - half)) " h" (px(half * 0.8)) " q" (px(half * 0.4)) ",0 " (px(half * 0.4)) "," (px(half * 0.4)) " v" (px(half * 1.2)) " q0," (px(half * 0.4)) " " (px(-half * 0.4)) "," (px(half * 0.4)) " h" (px(-half * 0.8)) " z" } {}
            }
            AttendanceOutcome::CancelledByClient => (rect("ring")),
            AttendanceOutcome::Rescheduled => {
                (rect("ring"))
                path class="stroke" d={ "M" (px(x - half * 0.5)) "," (px(y)) " h" (px(half)) " m" (px(-half * 0.45)) "," (px(-half * 0.45)) " l" (px(half * 0.45)) "," (px(half * 0.45)) " l" (px(-half * 0.45)) "," (px(half * 0.45)) } {}
            }
            AttendanceOutcome::NoShow => {
                (rect("ring"))
                path class="stroke" d={ "M" (px(x - half * 0.45)) "," (px(y - half * 0.45)) " l" (px(half * 0.9)) "," (px(half * 0.9)) " m0," (px(-half * 0.9)) " l" (px(-half * 0.9)) "," (px(half * 0.9)) } {}
            }
            AttendanceOutcome::CancelledByService | AttendanceOutcome::CancelledUnattributed => (rect("nothing")),
        }
    }
}

pub fn pattern(grid: &Grid, title: &str, desc: &str, thresholds: Thresholds) -> Markup {
    const HEIGHT: f64 = 58.0;
    const BASE: f64 = 50.0;
    const TALL: f64 = 40.0;
    let open = BASE - TALL * thresholds.open;
    let width = grid.pitch * 0.86;
    let left = grid.x(0) - grid.pitch / 2.0;
    let marks = html! {
        @for (i, column) in grid.columns.iter().enumerate() {
            @if let Some(now) = column.assessment {
                @let tall = (now.engagement_probability.clamp(0.0, 1.0) * TALL).max(1.5);
                g class=(level(now, thresholds)) {
                    title { (grid.title(column, if now.warming_up { "too early to say" } else { ui::band(now.band) })) }
                    rect x=(px(grid.x(i) - width / 2.0)) y=(px(BASE - tall)) width=(px(width)) height=(px(tall)) rx="2" {}
                    @if now.flags.contains(&FlagKind::EngagementDrop) {
                        path class="peak" d={ "M" (px(grid.x(i) - 4.0)) "," (px(BASE - tall - 3.0)) " h8 l-4,-7 z" } {}
                    }
                }
            }
        }
        line class="cut" x1=(px(left)) x2=(px(grid.width)) y1=(px(open)) y2=(px(open)) { title { (ui::THRESHOLD) } }
        @if left >= 28.0 {
            text class="note" x=(px(left - 4.0)) y=(px(open + 3.5)) text-anchor="end" { (ui::FLAG) }
        } @else {
            text class="note" x="0" y=(px(open - 4.0)) { (ui::FLAG) }
        }
    };
    row(grid, "pattern", title, desc, HEIGHT, &marks)
}

pub fn level(now: &Assessment, thresholds: Thresholds) -> &'static str {
    if now.flags.contains(&FlagKind::EngagementDrop) {
        "level flag"
    } else if now.band != Band::NothingUnusual || now.engagement_probability >= thresholds.watch {
        "level watch"
    } else if now.warming_up {
        "level early"
    } else {
        "level calm"
    }
}
