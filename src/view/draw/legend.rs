//! What the marks mean: those that are drawn, once each, with the words that the table uses.

use super::marks::{circle, form, square, thin};
use crate::domain::{AttendanceOutcome, HomeworkOutcome, RomOutcome};
use crate::words::{self, Column, ColumnKind, ui};
use maud::{Markup, html};

const MIDDLE: f64 = 9.0;

pub fn legend(columns: &[Column]) -> Markup {
    let forms =
        [RomOutcome::Complete, RomOutcome::Partial, RomOutcome::Perfunctory, RomOutcome::Alike, RomOutcome::Missed]
            .into_iter()
            .filter(|one| columns.iter().any(|c| c.rom_outcome().is_some_and(|seen| seen.outcome == *one)));
    let homework = [HomeworkOutcome::Done, HomeworkOutcome::Partial, HomeworkOutcome::Late, HomeworkOutcome::NotDone]
        .into_iter()
        .filter(|one| columns.iter().any(|c| c.homework.iter().any(|h| h.outcome == *one && !words::thin(h))));
    let low = columns.iter().any(|c| c.homework.iter().any(|h| words::thin(h)));
    let attendance = [
        AttendanceOutcome::Attended,
        AttendanceOutcome::Late { minutes: 0.0 },
        AttendanceOutcome::CancelledByClient,
        AttendanceOutcome::Rescheduled,
        AttendanceOutcome::NoShow,
    ]
    .into_iter()
    .filter(|one| columns.iter().filter_map(|c| c.attended()).any(|seen| same(seen, *one)));
    let unasked =
        columns.iter().any(|c| c.kind == ColumnKind::Session && (c.homework.is_empty() || c.rom_outcome().is_none()));
    html! {
        ul class="marks" aria-label=(ui::MARKS) {
            @for one in forms {
                (entry(&form(one, if one == RomOutcome::Partial { 0.6 } else { 1.0 }, MIDDLE, 1.0, 5.0, 16.0), ui::rom_mark(one)))
            }
            @for one in homework { (entry(&circle(one, MIDDLE, MIDDLE, 8.0), ui::homework_mark(one))) }
            @if low { (entry(&thin(MIDDLE, MIDDLE, 8.0), ui::HOMEWORK_THIN)) }
            @for one in attendance { (entry(&square(one, MIDDLE, MIDDLE, 7.0), ui::attendance_mark(one))) }
            @if unasked {
                (entry(&html! { circle class="unasked" cx="9" cy="9" r="1.8" {} }, ui::UNASKED_MARK))
            }
        }
    }
}

/// Of one kind; by how much late is no kind of its own.
fn same(a: AttendanceOutcome, b: AttendanceOutcome) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

fn entry(mark: &Markup, words: &str) -> Markup {
    html! {
        li {
            svg class="mark" viewBox="0 0 18 18" width="15" height="15" aria-hidden="true" focusable="false" { (mark) }
            (words)
        }
    }
}
