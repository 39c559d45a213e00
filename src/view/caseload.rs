//! The caseload: the same sheet, small. One row a client, forty on a screen.

use super::draw::{level, px};
use super::model::{CaseloadModel, CaseloadRow, Thresholds};
use super::page::{icon, standing};
use super::{document, url};
use crate::domain::{AttendanceOutcome, FlagKind, HomeworkOutcome, RomOutcome};
use crate::words::{self, At, Column, ColumnKind, FlagWords, Record, Standing, ui};
use maud::{Markup, html};

const STRIP_COLUMNS_MAX: usize = 9;

pub fn caseload(model: &CaseloadModel) -> Markup {
    let first_without = model.rows.iter().position(|row| row.appointment.is_none());
    let body = html! {
        a class="skip" href="#main" { (ui::SKIP_TO_CONTENT) }
        main id="main" class="caseload" {
            header {
                h1 { (ui::CASELOAD) }
                p { (words::caseload_day(model.now, &model.manner)) }
                @if let Some(therapist) = &model.therapist { p { (therapist) } }
                p class="away" { (words::caseload_count(&counts(model))) }
            }
            @if model.rows.is_empty() {
                p class="gist" { (ui::EMPTY_CASELOAD) }
            } @else {
                table {
                    caption class="unseen" { (ui::CASELOAD_CAPTION) }
                    thead { tr { @for heading in ui::CASELOAD_HEADINGS { th scope="col" { (heading) } } } }
                    tbody {
                        @for (i, row) in model.rows.iter().enumerate() {
                            @if Some(i) == first_without {
                                tr class="divide" { th colspan="6" scope="colgroup" { (ui::NO_APPOINTMENT) } }
                            }
                            (client(model, row))
                        }
                    }
                }
                p class="small legend" { (ui::STRIP_LEGEND) }
            }
            @if let Some(rule) = &model.rule { p class="small soft" { (rule) } }
            (super::sign_out(&model.base_path, None, model.sign_out.as_deref()))
        }
    };
    document(&model.base_path, model.manner.locale, ui::CASELOAD, model.palette.as_deref(), &body)
}

/// Clients today, engagement flags, response flags, safety items.
fn counts(model: &CaseloadModel) -> [usize; 4] {
    let stands =
        |row: &&CaseloadRow, kind: FlagKind| Record::new(row.course, At::Open, row.timeline).active(kind).is_some();
    let told = |row: &&CaseloadRow, kind| row.withheld.is_none() || kind == FlagKind::SafetyItem;
    let count = |kind| model.rows.iter().filter(|row| told(row, kind) && stands(row, kind)).count();
    [
        model.rows.iter().filter(|row| row.appointment.is_some()).count(),
        count(FlagKind::EngagementDrop),
        count(FlagKind::NotOnTrack),
        count(FlagKind::SafetyItem),
    ]
}

fn client(model: &CaseloadModel, row: &CaseloadRow) -> Markup {
    let record = Record::new(row.course, At::Open, row.timeline);
    let engagement = words::engagement_flag(&record, &row.person, &model.manner);
    let response = words::response_flag(&record, &model.manner);
    let safety = record.active(FlagKind::SafetyItem).is_some();
    if let Some(withheld) = &row.withheld {
        return html! {
            tr { (whose(model, row, safety)) td class="line" colspan="4" { (withheld) } }
        };
    }
    let off_track = response.standing == Standing::On;
    let calm = matches!(engagement.standing, Standing::Off | Standing::Quiet | Standing::Ended) && !off_track;
    let changed = words::changed_since_yesterday(&record, row.band_yesterday, model.now, &model.manner);
    let line = words::caseload_line(&record, &row.person, &model.manner);
    html! {
        tr class={ (standing(engagement.standing)) @if changed.is_some() { " changed" } @if off_track { " off-track" } } {
            (whose(model, row, safety))
            td class="strip" { (strip(&record, model.thresholds, &line)) }
            td class="flag-cell" { (small_flag(&engagement, ui::flag_kind(FlagKind::EngagementDrop))) }
            td class="flag-cell" { (small_flag(&response, ui::flag_kind(FlagKind::NotOnTrack))) }
            td class={ "line" @if calm { " calm" } } {
                @if let Some(changed) = changed { span class="new" { (changed) } " " }
                (line)
            }
        }
    }
}

fn whose(model: &CaseloadModel, row: &CaseloadRow, safety: bool) -> Markup {
    let name = if row.person.name.trim().is_empty() { ui::UNNAMED } else { &row.person.name };
    html! {
        td class="time" { @if let Some(at) = row.appointment { (words::time(at, &model.manner)) } }
        th scope="row" class="name" {
            a href=(url::client(&model.base_path, row.id)) { (name) }
            @if safety { " " span class="badge" { (icon("safety")) span class="unseen" { (ui::SAFETY) } } }
        }
    }
}

fn small_flag(words: &FlagWords, of: &str) -> Markup {
    html! {
        span class={ "mini " (standing(words.standing)) } title=(words.why) {
            (icon(standing(words.standing)))
            span { span class="unseen" { (of) ": " } (words.short) }
        }
    }
}

/// Five signals over the last eight columns: score, questionnaire, homework, attendance, pattern.
fn strip(record: &Record, thresholds: Thresholds, desc: &str) -> Markup {
    const PITCH: f64 = 13.0;
    const WIDTH: f64 = PITCH * STRIP_COLUMNS_MAX as f64;
    let columns = &record.columns[record.columns.len().saturating_sub(STRIP_COLUMNS_MAX)..];
    let x = |i: usize| WIDTH - PITCH * (columns.len() - i) as f64;
    let first_recent = columns.iter().position(|c| c.recent);
    html! {
        svg viewBox={ "0 0 " (px(WIDTH)) " 28" } width=(px(WIDTH)) height="28" role="img" {
            title { (ui::STRIP_TITLE) }
            desc { (desc) }
            @if let Some(i) = first_recent {
                rect class="recent" x=(px(x(i))) y="0" width=(px(WIDTH - x(i))) height="28" {}
            }
            (spark(columns, &x, PITCH))
            @for (i, column) in columns.iter().enumerate() {
                (cell(column, x(i) + 1.0, PITCH - 2.0, thresholds))
            }
        }
    }
}

fn spark(columns: &[Column], x: &dyn Fn(usize) -> f64, pitch: f64) -> Markup {
    let points: Vec<(f64, f64)> =
        columns.iter().enumerate().filter_map(|(i, c)| Some((x(i) + pitch / 2.0, c.scores.last()?.score))).collect();
    let (low, high) = points.iter().fold((f64::MAX, f64::MIN), |(l, h), p| (l.min(p.1), h.max(p.1)));
    let span = (high - low).max(columns.iter().find_map(|c| c.scores.last()?.measure.rci).unwrap_or(1.0));
    let y = |value: f64| 7.0 - (value - (low + high - span) / 2.0) / span * 6.0;
    let line: String = points.iter().map(|(x, v)| format!("{},{} ", px(*x), px(y(*v)))).collect();
    html! {
        @match points.as_slice() {
            [] => {},
            [(x, v)] => circle class="dot" cx=(px(*x)) cy=(px(y(*v))) r="1.6" {},
            _ => polyline class="line" points=(line.trim_end()) {},
        }
    }
}

fn cell(column: &Column, x: f64, width: f64, thresholds: Thresholds) -> Markup {
    if column.kind == ColumnKind::Break {
        return html! { rect class="break" x=(px(x)) y="9" width=(px(width)) height="19" {} };
    }
    let rom = column.rom_outcome().map(|r| match r.outcome {
        RomOutcome::Complete => 1.0,
        RomOutcome::Partial | RomOutcome::Perfunctory | RomOutcome::Alike => 0.5,
        RomOutcome::Missed => 0.0,
    });
    let homework = column.homework_outcome().map(|h| match h.outcome {
        HomeworkOutcome::Done => 1.0,
        HomeworkOutcome::Partial | HomeworkOutcome::Late => 0.5,
        HomeworkOutcome::NotDone => 0.0,
    });
    let attended = column.attended().and_then(|a| match a {
        AttendanceOutcome::Attended => Some(1.0),
        AttendanceOutcome::Late { .. } | AttendanceOutcome::Rescheduled => Some(0.5),
        AttendanceOutcome::CancelledByClient | AttendanceOutcome::NoShow => Some(0.0),
        AttendanceOutcome::CancelledByService | AttendanceOutcome::CancelledUnattributed => None,
    });
    let warm = column.assessment.is_some_and(|a| a.flags.contains(&FlagKind::EngagementDrop));
    html! {
        g class=(if warm || column.recent { "mark near" } else { "mark" }) {
            @for (i, value) in [rom, homework, attended].into_iter().enumerate() {
                @if let Some(value) = value { (bar(x, 9.6 + 4.6 * i as f64, width, value)) }
            }
        }
        @if let Some(now) = column.assessment {
            @let tall = (now.engagement_probability.clamp(0.0, 1.0) * 5.0).max(0.6);
            g class=(level(now, thresholds)) { rect x=(px(x)) y=(px(28.0 - tall)) width=(px(width)) height=(px(tall)) {} }
        }
    }
}

/// Full, half or hollow.
fn bar(x: f64, y: f64, width: f64, value: f64) -> Markup {
    html! {
        @if value < 1.0 {
            rect class="empty" x=(px(x + 0.4)) y=(px(y + 0.4)) width=(px(width - 0.8)) height="2.4" {}
        }
        @if value > 0.0 {
            rect class="fill" x=(px(x)) y=(px(y)) width=(px(width * value)) height="3.2" {}
        }
    }
}
