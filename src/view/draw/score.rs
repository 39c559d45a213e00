//! The score with its cut-off and expected range; the alliance measure, drawn the same way but smaller.

use super::{Grid, px};
use crate::domain::{Measure, RomOutcome};
use crate::words::{self, ColumnKind, ui};
use maud::{Markup, html};

pub const SCORE_HEIGHT: f64 = 128.0;
pub const ALLIANCE_HEIGHT: f64 = 66.0;
const CUT_LABEL_WIDTH: f64 = 24.0;
const LABELS_MAX: usize = 14;

struct Scale {
    low: f64,
    high: f64,
    top: f64,
    bottom: f64,
}

impl Scale {
    /// Around the values, not the whole range: a long scale would flatten every change.
    fn around(values: &[f64], measure: &Measure, top: f64, bottom: f64) -> Self {
        let rci = measure.rci.unwrap_or((measure.max - measure.min) / 6.0).max(0.1);
        let (mut low, mut high) =
            values.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
        let missing = (2.5 * rci - (high - low)).max(0.0) / 2.0;
        low = (low - missing - rci / 3.0).max(measure.min);
        high = (high + missing + rci / 3.0).min(measure.max);
        Scale { low, high: high.max(low + 0.1), top, bottom }
    }

    fn y(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(-0.05, 1.05);
        self.bottom - share * (self.bottom - self.top)
    }
}

/// One point of the line.
struct Point {
    x: f64,
    value: f64,
    expected: Option<(f64, f64)>,
    title: String,
}

pub fn score(grid: &Grid, measure: &Measure, title: &str, desc: &str) -> Markup {
    let points: Vec<Point> = grid
        .columns
        .iter()
        .enumerate()
        .flat_map(|(i, column)| {
            let scores: Vec<_> = column.scores.iter().filter(|s| s.measure.canonical == measure.canonical).collect();
            let apart = grid.pitch * 0.8 / scores.len().max(1) as f64;
            let first = grid.x(i) - apart * (scores.len().saturating_sub(1)) as f64 / 2.0;
            scores.into_iter().enumerate().map(move |(n, seen)| (first + apart * n as f64, column, seen))
        })
        .map(|(x, column, seen)| Point {
            x,
            value: seen.score,
            expected: Some(seen.expected),
            title: grid.title(column, &format!("{} {}", measure.name, words::points(seen.score, measure, grid.manner))),
        })
        .collect();
    let missing = missing(grid, &points);
    super::row(grid, "score", title, desc, SCORE_HEIGHT, &line(grid, measure, &points, &missing, SCORE_HEIGHT))
}

/// Columns that were due a score and have none: where on the line they would lie.
fn missing(grid: &Grid, points: &[Point]) -> Vec<(f64, f64, String)> {
    grid.columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.scores.is_empty() && column.kind != ColumnKind::Break)
        .filter(|(_, column)| column.rom_outcome().is_some_and(|rom| rom.outcome != RomOutcome::Complete))
        .filter_map(|(i, column)| {
            let x = grid.x(i);
            let before = points.iter().rev().find(|p| p.x < x);
            let after = points.iter().find(|p| p.x > x);
            let value = match (before, after) {
                (Some(a), Some(b)) => a.value + (b.value - a.value) * (x - a.x) / (b.x - a.x),
                (Some(only), None) | (None, Some(only)) => only.value,
                (None, None) => return None,
            };
            Some((x, value, grid.title(column, "no score")))
        })
        .collect()
}

pub fn alliance(grid: &Grid, measure: &Measure, title: &str, desc: &str) -> Markup {
    let points: Vec<Point> = grid
        .columns
        .iter()
        .enumerate()
        .filter_map(|(i, column)| {
            let given = column.alliance.iter().rfind(|a| a.measure.canonical == measure.canonical)?;
            let value = given.score?;
            let title = grid.title(column, &format!("{} {}", measure.name, words::points(value, measure, grid.manner)));
            Some(Point { x: grid.x(i), value, expected: None, title })
        })
        .collect();
    super::row(grid, "alliance", title, desc, ALLIANCE_HEIGHT, &line(grid, measure, &points, &[], ALLIANCE_HEIGHT))
}

fn line(grid: &Grid, measure: &Measure, points: &[Point], missing: &[(f64, f64, String)], height: f64) -> Markup {
    let mut values: Vec<f64> = points.iter().map(|p| p.value).collect();
    values.extend(points.iter().filter_map(|p| p.expected).flat_map(|(low, high)| [low, high]));
    // A cut-off far from every value would flatten the line; it is drawn where it is near.
    let reach = measure.rci.unwrap_or((measure.max - measure.min) / 5.0) * 2.0;
    let near = |cut: f64| points.iter().any(|p| (p.value - cut).abs() <= reach);
    let cut = measure.cutoff.filter(|cut| near(*cut));
    values.extend(cut);
    if values.is_empty() {
        return html! {};
    }
    let scale = Scale::around(&values, measure, 18.0, height - 8.0);
    let path: String = points.iter().map(|p| format!("{},{} ", px(p.x), px(scale.y(p.value)))).collect();
    // A long flat line says each figure once.
    let labelled = |i: usize| {
        points.len() <= LABELS_MAX || i == 0 || i + 1 == points.len() || points[i].value != points[i - 1].value
    };
    html! {
        (band(grid, points, &scale))
        @if let Some(cut) = cut {
            line class="cut" x1=(px(leftmost(grid))) x2=(px(grid.width)) y1=(px(scale.y(cut))) y2=(px(scale.y(cut))) {}
            @if leftmost(grid) >= CUT_LABEL_WIDTH {
                text class="tick" x=(px(leftmost(grid) - 4.0)) y=(px(scale.y(cut) + 4.0)) text-anchor="end" { (words::points(cut, measure, grid.manner)) }
            } @else {
                text class="tick" x="0" y=(px(scale.y(cut) + 13.0)) { (words::points(cut, measure, grid.manner)) }
            }
        }
        @if points.len() > 1 { polyline class="line" points=(path.trim_end()) {} }
        @for (x, value, title) in missing {
            g { title { (title) } circle class="hollow" cx=(px(*x)) cy=(px(scale.y(*value))) r="4.5" {} }
        }
        @for (i, point) in points.iter().enumerate() {
            g {
                title { (point.title) }
                circle class="dot" cx=(px(point.x)) cy=(px(scale.y(point.value))) r="4.5" {}
                @if labelled(i) {
                    text class="val" x=(px(point.x)) y=(px(scale.y(point.value) - 9.0)) text-anchor="middle" {
                        (words::points(point.value, measure, grid.manner))
                    }
                }
            }
        }
    }
}

fn leftmost(grid: &Grid) -> f64 {
    grid.x(0) - grid.pitch / 2.0
}

/// The expected range as an area; one score alone gets a short one.
fn band(grid: &Grid, points: &[Point], scale: &Scale) -> Markup {
    let known: Vec<(f64, f64, f64)> =
        points.iter().filter_map(|p| p.expected.map(|(low, high)| (p.x, low, high))).collect();
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return html! {};
    };
    let reach = grid.pitch / 2.0;
    let ends = [(first.0 - reach, first.1, first.2)].into_iter().chain(known.iter().copied()).chain([(
        last.0 + reach,
        last.1,
        last.2,
    )]);
    let upper: Vec<String> = ends.clone().map(|(x, _, high)| format!("{},{}", px(x), px(scale.y(high)))).collect();
    let mut lower: Vec<String> = ends.map(|(x, low, _)| format!("{},{}", px(x), px(scale.y(low)))).collect();
    lower.reverse();
    html! {
        polygon class="expected" points={ (upper.join(" ")) " " (lower.join(" ")) } {
            title { (ui::EXPECTED) }
        }
    }
}
