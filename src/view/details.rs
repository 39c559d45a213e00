//! The small print, and what is one step away: how it was worked out, look back, all values.

use super::model::PageModel;
use super::url;
use crate::domain::{Assessment, FlagKind, SignalKind};
use crate::words::{self, Column, ColumnKind, Record, ui};
use maud::{Markup, html};

pub fn small_print(model: &PageModel, record: &Record) -> Markup {
    html! {
        footer {
            p class="small" { (words::small_print(record, &model.person, &model.manner, &model.model_version)) }
            @for said in published(model, record) { p class="small" { (said) } }
            details id="worked-out" {
                summary { (ui::HOW_WORKED_OUT) }
                (worked_out(model, record))
            }
            details id="look-back" {
                summary { (ui::LOOK_BACK) }
                (look_back(model))
            }
            details id="values" {
                summary { (ui::ALL_VALUES) }
                (values(model, record))
            }
            (super::sign_out(&model.base_path, Some(model.id), model.sign_out.as_deref()))
        }
    }
}

/// Where a Flag was first shown later than it could have been: says so.
pub fn published(model: &PageModel, record: &Record) -> Vec<String> {
    model
        .published
        .iter()
        .filter_map(|p| {
            let episode = model.course.episodes.get(p.episode)?;
            let stands = record.active(episode.kind).is_some_and(|e| std::ptr::eq(e, episode));
            (stands && episode.kind != FlagKind::SafetyItem).then_some(())?;
            words::first_shown(episode, p.first, record.as_of, &model.manner)
        })
        .collect()
}

fn worked_out(model: &PageModel, record: &Record) -> Markup {
    let Some(now) = record.current else {
        return html! { p { (words::nothing_yet(record)) } };
    };
    html! {
        p { (ui::WHAT_IT_SAYS) " " (ui::MOSTLY_UNSEEN) }
        p { (ui::HOW_EVIDENCE_ADDS) }
        (evidence(model, record, now))
        h3 { (ui::WHAT_WOULD_CHANGE) }
        ul { @for said in words::what_would_change(record, &model.person, &model.manner) { li { (said) } } }
    }
}

fn evidence(model: &PageModel, record: &Record, now: &Assessment) -> Markup {
    let sum = now.carried + now.signals.iter().map(|s| s.evidence).sum::<f64>();
    html! {
        div class="scroll" tabindex="0" role="region" aria-label=(ui::HOW_WORKED_OUT) {
            table class="evidence" {
                thead { tr { @for heading in ui::EVIDENCE_HEADINGS { th scope="col" { (heading) } } th { span class="unseen" { (ui::AS_A_BAR) } } } }
                tbody {
                    tr { th scope="row" { (ui::CARRIED) } td {} (amount(now.carried, model)) td { (bar(now.carried)) } }
                    @for kind in SignalKind::ALL {
                        @let signal = now.signal(kind);
                        @let line = words::signal_line(record, kind, &model.person, &model.manner);
                        tr {
                            th scope="row" { (ui::row_name(kind, None)) }
                            @if signal.absent {
                                td class="soft" { (if line.absent { line.main.as_str() } else { ui::NOTHING_NEW }) }
                            } @else {
                                td { (words::evidence_seen(now, kind, &model.manner)) }
                            }
                            (amount(signal.evidence, model))
                            td { (bar(signal.evidence)) }
                        }
                    }
                    tr class="sum" { th scope="row" { (ui::SUM) } td {} (amount(sum, model)) td {} }
                    tr class="sum" { th scope="row" { (ui::PROBABILITY) } td { (ui::pattern(now.pattern)) } td class="number" { (percent(now.probability)) } td {} }
                    tr { th scope="row" { (ui::WITHOUT_SCORE) } td { (words::threshold(model.thresholds.open)) } td class="number" { (percent(now.engagement_probability)) } td {} }
                }
            }
        }
    }
}

fn amount(nats: f64, model: &PageModel) -> Markup {
    let rounded = (nats * 100.0).round() / 100.0;
    html! { td class="number" { @if rounded > 0.0 { "+" } @if rounded < 0.0 { "−" } (words::decimal(rounded.abs(), 2, &model.manner)) } }
}

/// Right of the middle speaks for a rupture, left against it.
fn bar(nats: f64) -> Markup {
    let length = (nats.abs() * 18.0).min(48.0);
    let x = if nats < 0.0 { 50.0 - length } else { 50.0 };
    html! {
        svg class="evidence-bar" viewBox="0 0 100 14" width="100" height="14" aria-hidden="true" {
            line class="middle" x1="50" x2="50" y1="0" y2="14" {}
            rect class=(if nats < 0.0 { "against" } else { "for" }) x=(format!("{x:.1}")) y="3" width=(format!("{length:.1}")) height="8" rx="1.5" {}
        }
    }
}

fn percent(probability: f64) -> String {
    format!("{:.0} %", (probability * 100.0).clamp(0.0, 100.0))
}

fn look_back(model: &PageModel) -> Markup {
    html! {
        p { (ui::LOOK_BACK_TEXT) }
        form method="get" action=(url::client(&model.base_path, model.id)) class="inline" {
            label for="as-of" { (ui::LOOK_BACK_DATE) }
            input type="date" id="as-of" name="asOf" required
                value=(words::iso_date(model.course.as_of, &model.manner))
                max=(words::iso_date(model.now, &model.manner));
            button type="submit" { (ui::SHOW) }
        }
    }
}

/// The same as the picture, in figures.
fn values(model: &PageModel, record: &Record) -> Markup {
    let score = record.measure().map_or(ui::SCORE, |m| m.name.as_str());
    let [session, attendance, questionnaire, homework, alliance, pattern] = ui::VALUES_HEADINGS;
    html! {
        @if record.left_out > 0 { p class="soft" { (words::left_out(record.left_out)) } }
        div class="scroll" tabindex="0" role="region" aria-label=(ui::ALL_VALUES) {
            table class="values" {
                caption class="unseen" { (ui::ALL_VALUES) }
                thead {
                    tr {
                        @for heading in [session, score, ui::EXPECTED, questionnaire, homework, attendance, alliance, pattern] {
                            th scope="col" { (heading) }
                        }
                    }
                }
                tbody {
                    @for column in record.columns.iter().rev() {
                        tr class=[column.recent.then_some("recent")] {
                            th scope="row" { (session_cell(model, column)) }
                            @for text in cells(model, record, column) { td { (text) } }
                        }
                    }
                }
            }
        }
    }
}

/// The same of some types alone, and of no assessment.
pub fn raw_values(model: &PageModel, record: &Record, shows: &dyn Fn(&str) -> bool) -> Markup {
    let score = record.measure().map_or(ui::SCORE, |m| m.name.as_str());
    let [session, attendance, questionnaire, homework, alliance, _] = ui::VALUES_HEADINGS;
    let columns: Vec<(usize, &str)> = [
        (0, score, "QuestionnaireResponse"),
        (2, questionnaire, "QuestionnaireResponse"),
        (3, homework, "Task"),
        (4, attendance, "Appointment"),
        (5, alliance, "QuestionnaireResponse"),
    ]
    .into_iter()
    .filter_map(|(place, heading, kind)| shows(kind).then_some((place, heading)))
    .collect();
    html! {
        @if !columns.is_empty() {
            div class="scroll" tabindex="0" role="region" aria-label=(ui::ALL_VALUES) {
                table class="values" {
                    thead { tr { th scope="col" { (session) } @for (_, heading) in &columns { th scope="col" { (heading) } } } }
                    tbody {
                        @for column in record.columns.iter().rev() {
                            @let all = cells(model, record, column);
                            tr {
                                th scope="row" { (session_cell(model, column)) }
                                @for (place, _) in &columns { td { (all[*place]) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn session_cell(model: &PageModel, column: &Column) -> Markup {
    let day = words::date(column.start, model.now, &model.manner);
    html! {
        @if column.kind == ColumnKind::Session {
            a href=(url::client_as_of(&model.base_path, model.id, &words::iso_instant(column.start))) { (day) }
        } @else if column.kind == ColumnKind::Now {
            (ui::NOW)
        } @else {
            (day)
        }
    }
}

fn cells(model: &PageModel, record: &Record, column: &Column) -> [String; 7] {
    let manner = &model.manner;
    let none = || ui::NONE.to_owned();
    let homework = column.homework.iter().map(|h| words::homework_cell(h, manner)).collect::<Vec<_>>().join("; ");
    let alliance = column
        .alliance
        .iter()
        .filter_map(|a| Some(format!("{} {}", a.measure.name, words::points(a.score?, &a.measure, manner))))
        .collect::<Vec<_>>()
        .join("; ");
    let forms: Vec<String> =
        column.rom.iter().map(|seen| words::rom_cell_with_total(record, column, seen, manner)).collect();
    let filled = |text: String| if text.is_empty() { none() } else { text };
    let scores = || words::scores_of(record, column);
    let expected = |(low, high)| format!("{} to {}", words::amount(low, manner), words::amount(high, manner));
    [
        filled(scores().map(|s| words::score_cell(record, s, manner)).collect::<Vec<_>>().join("; ")),
        filled(scores().map(|s| expected(s.expected)).collect::<Vec<_>>().join("; ")),
        filled(forms.join("; ")),
        filled(homework),
        filled(column.attendance.iter().map(|o| ui::attendance(*o)).collect::<Vec<_>>().join("; ")),
        filled(alliance),
        column.assessment.map_or_else(none, words::pattern_cell),
    ]
}
