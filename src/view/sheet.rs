//! The sheet: one time axis, one column a session, one row a signal. Left what it is, right what it says.

use super::draw::{self, Grid};
use super::model::PageModel;
use super::page::next_session;
use crate::domain::{HomeworkSeen, SignalKind};
use crate::words::{self, ColumnKind, Line, Record, ui};
use maud::{Markup, html};

const WIDE_COLUMNS_MAX: usize = 20;
const NARROW_COLUMNS_MAX: usize = 9;
const WIDE: f64 = 600.0;
const NARROW: f64 = 352.0;

pub fn sheet(model: &PageModel, record: &Record) -> Markup {
    let wide = Grid::new(&record.columns, WIDE_COLUMNS_MAX, WIDE, "w", &model.manner);
    let narrow = Grid::new(&record.columns, NARROW_COLUMNS_MAX, NARROW, "n", &model.manner);
    let grids = [&wide, &narrow];
    let hidden = |grid: &Grid| record.columns.len() - grid.columns.len();
    html! {
        section class="card sheet" aria-labelledby="sheet-h" {
            h2 id="sheet-h" class="unseen" { (ui::SHEET) }
            @if record.columns.is_empty() {
                p class="soft" { (words::nothing_yet(record)) }
            } @else {
                div class="rows" {
                    div class="layer" aria-hidden="true" { div {} div { (draw::backdrop(&wide)) } div {} }
                    div class="row axis" {
                        div {}
                        div class="pictures" {
                            @for grid in grids {
                                (draw::axis(grid, &ui::lately(record, &model.manner), now_label(model, record), record.as_of))
                            }
                        }
                        div {}
                    }
                    (rows(model, record, &grids))
                }
                (draw::legend(wide.columns))
                @if hidden(&wide) > 0 {
                    p class="earlier wide-note" { (ui::earlier_sessions(hidden(&wide), wide.columns.len() - 1)) }
                }
                @if hidden(&narrow) > 0 {
                    p class="earlier narrow-note" { (ui::earlier_sessions(hidden(&narrow), narrow.columns.len() - 1)) }
                }
            }
        }
    }
}

fn now_label(model: &PageModel, record: &Record) -> &'static str {
    let open = record.columns.last().is_some_and(|c| c.kind == ColumnKind::Now);
    match (open && !model.looking_back, next_session(model)) {
        (false, _) => ui::THEN,
        // With the session on another day, "today" over the column would look like it.
        (true, Some(at)) if !words::same_day(at, record.as_of, &model.manner) => ui::NOW,
        (true, _) => ui::TODAY,
    }
}

fn rows(model: &PageModel, record: &Record, grids: &[&Grid; 2]) -> Markup {
    let line = |kind| words::signal_line(record, kind, &model.person, &model.manner);
    let score = line(SignalKind::RomTrajectory);
    let questionnaire = line(SignalKind::RomEngagement);
    let homework = line(SignalKind::HomeworkEngagement);
    let attendance = line(SignalKind::Attendance);
    let alliance = line(SignalKind::AllianceMeasure);
    let pattern = words::pattern_line(record, &model.person, &model.manner);
    let measure = record.measure().map(AsRef::as_ref);
    let alliance_measure = record.columns.iter().rev().find_map(|c| c.alliance.last().map(|a| &a.measure));
    let content = content(record);
    let items = record.columns.iter().filter_map(|c| c.rom_outcome().map(|r| r.expected)).max();
    let name = |kind| ui::row_name(kind, measure.map(|m| m.name.as_str()));
    html! {
        (row("score", &name(SignalKind::RomTrajectory), &measure.map_or_else(String::new, |m| ui::score_sub(m.worse)), &score, |title| {
            measure.filter(|_| !score.absent).map(|m| pair(grids, |g| draw::score(g, m, title, &score.sentence())))
        }))
        (row("questionnaire", &name(SignalKind::RomEngagement), &ui::items_answered(items.unwrap_or(1), record.several_measures()), &questionnaire, |title| {
            drawn(&questionnaire, || pair(grids, |g| draw::questionnaire(g, title, &questionnaire.sentence(), questionnaire.raised)))
        }))
        (row("homework", &name(SignalKind::HomeworkEngagement), &ui::homework_sub(content.map(|((what, _), _)| what)), &homework, |title| {
            drawn(&homework, || pair(grids, |g| draw::homework(g, title, &homework.sentence(), homework.raised, content)))
        }))
        (row("attendance", &name(SignalKind::Attendance), ui::ATTENDANCE_SUB, &attendance, |title| {
            drawn(&attendance, || pair(grids, |g| draw::attendance(g, title, &attendance.sentence(), attendance.raised)))
        }))
        @if let Some(measure) = alliance_measure {
            (row("alliance", &measure.name, ui::better(measure.worse), &alliance, |title| {
                drawn(&alliance, || pair(grids, |g| draw::alliance(g, measure, title, &alliance.sentence())))
            }))
        }
        (row("pattern", ui::PATTERN, ui::PATTERN_SUB, &pattern, |title| {
            drawn(&pattern, || pair(grids, |g| draw::pattern(g, title, &pattern.sentence(), model.thresholds)))
        }))
    }
}

fn drawn(line: &Line, draw: impl FnOnce() -> Markup) -> Option<Markup> {
    (!line.absent).then(draw)
}

fn pair(grids: &[&Grid; 2], draw: impl Fn(&Grid) -> Markup) -> Markup {
    html! { @for grid in grids { (draw(grid)) } }
}

fn row(key: &str, name: &str, what: &str, line: &Line, picture: impl FnOnce(&str) -> Option<Markup>) -> Markup {
    html! {
        div class={ "row " (key) @if line.raised { " raised" } @if line.absent { " absent" } } {
            div class="what" {
                h3 { (name) }
                @if !what.is_empty() { p { (what) } }
            }
            div class="pictures" { @if let Some(picture) = picture(name) { (picture) } }
            div class="says" {
                p class="main" { (line.main) }
                @if !line.sub.is_empty() { p { (line.sub) } }
            }
        }
    }
}

/// The content drawn beside completion, and the client's usual amount of it.
fn content(record: &Record) -> Option<(draw::Content, f64)> {
    let kinds: [draw::Content; 3] = [
        ("quality", |h: &HomeworkSeen| h.quality),
        ("minutes", |h: &HomeworkSeen| h.minutes),
        ("words", |h: &HomeworkSeen| h.words.map(f64::from)),
    ];
    kinds.into_iter().find_map(|(name, read)| {
        let mut values: Vec<f64> = record.baseline().filter_map(|c| c.homework_outcome().and_then(read)).collect();
        values.sort_by(f64::total_cmp);
        (values.len() >= 3).then(|| ((name, read), values[values.len() / 2]))
    })
}
