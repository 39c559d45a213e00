//! Numbers, dates and lists as words.

use super::Manner;
use crate::domain::Measure;
use jiff::Timestamp;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const NUMBERS: [&str; 11] = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/// Counts as words to ten, then figures.
pub fn number(n: usize) -> String {
    NUMBERS.get(n).map_or_else(|| n.to_string(), |word| (*word).to_owned())
}

pub fn number_capital(n: usize) -> String {
    capital(&number(n))
}

/// "once", "twice", "three times".
pub fn times(n: usize) -> String {
    match n {
        1 => "once".into(),
        2 => "twice".into(),
        n => format!("{} times", number(n)),
    }
}

pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// "one session", "two sessions".
pub(super) fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// "a", "a and b", "a, b and c".
pub(super) fn list(parts: &[String]) -> String {
    joined(parts, "and")
}

/// "a", "a or b", "a, b or c".
pub(super) fn either(parts: &[&str]) -> String {
    joined(parts, "or")
}

fn joined<T: AsRef<str>>(parts: &[T], word: &str) -> String {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    match parts.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

/// A figure as a clinician writes it: no needless decimals.
pub(super) fn figure(value: f64, manner: &Manner) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    if rounded.fract() == 0.0 { format!("{rounded:.0}") } else { decimal(rounded, 1, manner) }
}

/// With so many decimals.
pub fn decimal(value: f64, digits: usize, manner: &Manner) -> String {
    let text = format!("{value:.digits$}");
    if manner.formats.decimal_comma { text.replace('.', ",") } else { text }
}

/// A score in its measure's points: whole where the items are, also where one left out was made up for.
pub fn points(score: f64, measure: &Measure, manner: &Manner) -> String {
    let whole = measure.items > 1 && ((measure.max - measure.min) / f64::from(measure.items)).fract() == 0.0;
    figure(if whole { score.round() } else { score }, manner)
}

/// "9 March"; with the year where it is not the year of `now`.
pub fn date(at: Timestamp, now: Timestamp, manner: &Manner) -> String {
    let (then, today) =
        (at.to_zoned_datetime(manner.time_zone.clone()), now.to_zoned_datetime(manner.time_zone.clone()));
    let month = MONTHS[month_index(then.month())];
    let months_apart = (i32::from(today.year()) * 12 + i32::from(today.month())
        - i32::from(then.year()) * 12
        - i32::from(then.month()))
    .abs();
    let with_year = then.year() != today.year() && months_apart >= 10;
    match (manner.formats.month_first, with_year) {
        (false, false) => format!("{} {month}", then.day()),
        (false, true) => format!("{} {month} {}", then.day(), then.year()),
        (true, false) => format!("{month} {}", then.day()),
        (true, true) => format!("{month} {}, {}", then.day(), then.year()),
    }
}

/// "9 Mar": for the axis and the small lines beside it.
pub fn date_short(at: Timestamp, manner: &Manner) -> String {
    let then = at.to_zoned_datetime(manner.time_zone.clone());
    let month = &MONTHS[month_index(then.month())][..3];
    if manner.formats.month_first { format!("{month} {}", then.day()) } else { format!("{} {month}", then.day()) }
}

pub fn day_name(at: Timestamp, manner: &Manner) -> &'static str {
    let weekday = at.to_zoned_datetime(manner.time_zone.clone()).weekday().to_monday_zero_offset();
    DAYS[usize::try_from(weekday).unwrap_or(0).min(6)]
}

/// "14:00".
pub fn time(at: Timestamp, manner: &Manner) -> String {
    let then = at.to_zoned_datetime(manner.time_zone.clone());
    if !manner.formats.clock_12 {
        return format!("{:02}:{:02}", then.hour(), then.minute());
    }
    let half = if then.hour() < 12 { "AM" } else { "PM" };
    format!("{}:{:02} {half}", (then.hour() + 11) % 12 + 1, then.minute())
}

/// "9 March, 13:40".
pub fn date_and_time(at: Timestamp, now: Timestamp, manner: &Manner) -> String {
    format!("{}, {}", date(at, now, manner), time(at, manner))
}

/// "2026-03-09" in the reader's time zone: the value of a date field.
pub fn iso_date(at: Timestamp, manner: &Manner) -> String {
    at.to_zoned_datetime(manner.time_zone.clone()).date().to_string()
}

/// The instant as `?asOf=` takes it.
pub fn iso_instant(at: Timestamp) -> String {
    at.to_string()
}

pub fn same_day(a: Timestamp, b: Timestamp, manner: &Manner) -> bool {
    iso_date(a, manner) == iso_date(b, manner)
}

/// "three weeks", "five days".
pub(super) fn weeks(days: f64) -> String {
    let whole = (days / 7.0).round().max(1.0) as usize;
    counted(whole, "week", "weeks")
}

fn month_index(month: i8) -> usize {
    usize::try_from(month - 1).unwrap_or(0).min(11)
}
