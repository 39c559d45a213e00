//! FHIR's partial dates as intervals.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// The half-open interval `[from, to)` in microseconds since 1970 that a FHIR date, dateTime or instant
/// stands for: `2026` the whole year, `2026-03-02T10:00Z` one minute. A value without an offset is read in `zone`.
/// `None`: not a FHIR date.
#[must_use]
pub fn interval(text: &str, zone: &TimeZone) -> Option<(i64, i64)> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let Some(time) = time else {
        let mut parts = date.split('-');
        let year: i16 = number(parts.next()?, 4)?;
        let month = parts.next().map(|part| number(part, 2)).map_or(Some(None), |n: Option<i8>| n.map(Some))?;
        let day = parts.next().map(|part| number(part, 2)).map_or(Some(None), |n: Option<i8>| n.map(Some))?;
        if parts.next().is_some() {
            return None;
        }
        let first = Date::new(year, month.unwrap_or(1), day.unwrap_or(1)).ok()?;
        let span = match (month, day) {
            (None, _) => Span::new().years(1),
            (Some(_), None) => Span::new().months(1),
            _ => Span::new().days(1),
        };
        let last = first.checked_add(span).ok()?;
        return Some((midnight(first, zone)?, midnight(last, zone)?));
    };
    // Length tells the precision: hh:mm, hh:mm:ss, or with a fraction.
    let (clock, zoned) = split_offset(time);
    let unit = match clock.len() {
        5 => 60_000_000,
        8 => 1_000_000,
        n if n > 9 => fraction_unit(n - 9),
        _ => return None,
    };
    let from = if zoned {
        let whole = if clock.len() == 5 { text.replacen(clock, &format!("{clock}:00"), 1) } else { text.to_owned() };
        whole.parse::<Timestamp>().ok()?
    } else {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        zone.to_timestamp(civil).ok()?
    };
    let from = from.as_microsecond();
    Some((from, from + unit))
}

/// The instant a date, dateTime or instant stands for as evidence: a date without a time is the end of that
/// day in `zone` (its last microsecond), so that nothing is known too early.
#[must_use]
pub fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (from, to) = interval(text, zone)?;
    let micros = if text.contains('T') { from } else { to - 1 };
    Timestamp::from_microsecond(micros).ok()
}

fn fraction_unit(digits: usize) -> i64 {
    10_i64.pow(6_u32.saturating_sub(u32::try_from(digits).unwrap_or(6)))
}

fn split_offset(time: &str) -> (&str, bool) {
    match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], true),
        None => (time, false),
    }
}

fn number<T: std::str::FromStr>(text: &str, width: usize) -> Option<T> {
    (text.len() == width && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn midnight(date: Date, zone: &TimeZone) -> Option<i64> {
    zone.to_timestamp(date.at(0, 0, 0, 0)).ok().map(|at| at.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> f64 {
        let (from, to) = interval(text, &TimeZone::UTC).expect(text);
        (to - from) as f64 / 3.6e9
    }

    #[test]
    fn a_partial_date_is_the_whole_of_what_it_names() {
        assert_eq!(hours("2026"), 365.0 * 24.0);
        assert_eq!(hours("2026-02"), 28.0 * 24.0);
        assert_eq!(hours("2026-02-28"), 24.0);
        assert_eq!(hours("2026-02-28T10:00:00Z") * 3600.0, 1.0);
        let (from, to) = interval("2026-02-28T10:00:00.125+01:00", &TimeZone::UTC).expect("instant");
        assert_eq!((from % 1_000_000, to - from), (125_000, 1_000));
        assert_eq!((hours("2026-02-28T10:00Z") * 60.0).round(), 1.0);
    }

    #[test]
    fn nonsense_is_none() {
        for text in [
            "",
            "2026-13",
            "2026-02-30",
            "02-2026",
            "2026-2-1",
            "2026-02-01T",
            "2026-02-01T99:00:00Z",
            "x",
            "2026-01-01-01",
            "２０２６",
        ] {
            assert_eq!(interval(text, &TimeZone::UTC), None, "{text}");
        }
    }

    #[test]
    fn a_date_is_known_at_its_end_in_the_zone_of_the_service() {
        let berlin = TimeZone::get("Europe/Berlin").expect("bundled");
        let at = instant("2026-07-01", &berlin).expect("date");
        assert_eq!(at.to_string(), "2026-07-01T21:59:59.999999Z");
    }
}
