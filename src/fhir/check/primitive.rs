//! The lexical rules of R4's primitive datatypes, by hand: no regular expressions, no allocation.

use serde_json::Value;

use super::{DECIMAL_CHARS_MAX, FRACTION_DIGITS_MAX, STRING_CHARS_MAX, narrative};
use crate::fhir::definitions::Primitive;
use crate::fhir::outcome::IssueType;

/// What is wrong with a value, and what was expected instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: IssueType,
    pub(super) expected: &'static str,
}

const fn fault(code: IssueType, expected: &'static str) -> Result<(), Fault> {
    Err(Fault { code, expected })
}

/// Holds a JSON value against a primitive datatype. Nothing is coerced.
pub(super) fn check(kind: Primitive, value: &Value) -> Result<(), Fault> {
    match (kind, value) {
        (Primitive::Boolean, Value::Bool(_)) => Ok(()),
        (Primitive::Boolean, _) => fault(IssueType::Structure, "Expected true or false, not in quotes."),
        (
            Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt | Primitive::Decimal,
            Value::Number(number),
        ) => number_of(kind, number.as_str()),
        (Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt | Primitive::Decimal, _) => {
            fault(IssueType::Structure, "Expected a JSON number, not in quotes.")
        }
        (_, Value::String(text)) => text_of(kind, text),
        (_, _) => fault(IssueType::Structure, "Expected a JSON string."),
    }
}

fn number_of(kind: Primitive, literal: &str) -> Result<(), Fault> {
    let whole = |min: i64| {
        // The grammar has no fraction, no exponent and no minus zero.
        literal != "-0" && literal.parse::<i64>().is_ok_and(|n| n >= min && i32::try_from(n).is_ok())
    };
    match kind {
        Primitive::Integer if whole(i64::from(i32::MIN)) => Ok(()),
        Primitive::Integer => {
            fault(IssueType::Value, "Expected a whole number of 32 bits, written without fraction or exponent.")
        }
        Primitive::PositiveInt if whole(1) => Ok(()),
        Primitive::PositiveInt => fault(IssueType::Value, "Expected a whole number from 1 to 2147483647."),
        Primitive::UnsignedInt if whole(0) => Ok(()),
        Primitive::UnsignedInt => fault(IssueType::Value, "Expected a whole number from 0 to 2147483647."),
        _ if is_decimal(literal) => Ok(()),
        _ => fault(IssueType::Value, "Expected a decimal of at most 64 characters within the range of a double."),
    }
}

fn is_decimal(literal: &str) -> bool {
    if literal.len() > DECIMAL_CHARS_MAX {
        return false;
    }
    let mantissa = literal.split(['e', 'E']).next().unwrap_or_default();
    // Short and without exponent: cannot leave the range.
    if mantissa.len() == literal.len() {
        return true;
    }
    let is_zero = !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    literal.parse::<f64>().is_ok_and(|number| number.is_finite() && (is_zero || number != 0.0))
}

fn text_of(kind: Primitive, text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return fault(IssueType::Value, "An empty string is no value: leave the element out.");
    }
    let binary = matches!(kind, Primitive::Base64Binary | Primitive::Xhtml);
    if !binary && text.len() > STRING_CHARS_MAX && text.chars().count() > STRING_CHARS_MAX {
        return fault(IssueType::TooLong, "Expected at most 1048576 characters.");
    }
    let bytes = text.as_bytes();
    let (sound, expected) = match kind {
        Primitive::String | Primitive::Markdown => {
            (is_string(bytes), "Control characters other than tab, line feed and carriage return are not allowed.")
        }
        Primitive::Code => (is_code(text), "Expected a code: no blanks at the ends, and only single ones within."),
        Primitive::Id => (is_id(bytes), "Expected an id: 1 to 64 of letters, digits, `-` and `.`."),
        Primitive::Date => (is_date(bytes), "Expected a date: YYYY, YYYY-MM or YYYY-MM-DD, one of the calendar."),
        Primitive::DateTime => (
            is_date_time(bytes),
            "Expected a dateTime: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with an offset such as Z or +02:00.",
        ),
        Primitive::Instant => {
            (is_instant(bytes), "Expected an instant: YYYY-MM-DDThh:mm:ss with an offset such as Z or +02:00.")
        }
        Primitive::Time => (time_length(bytes) == Some(bytes.len()), "Expected a time: hh:mm:ss, without offset."),
        Primitive::Uri | Primitive::Url | Primitive::Canonical => {
            (is_uri(text), "Expected a URI: no blanks and no control characters.")
        }
        Primitive::Oid => (is_oid(text), "Expected an OID: urn:oid:1.2.3."),
        Primitive::Uuid => (is_uuid(text), "Expected a UUID: urn:uuid: and 36 lower-case characters."),
        Primitive::Base64Binary => (is_base64(bytes), "Expected base64."),
        Primitive::Xhtml => return narrative::check(text).or_else(|expected| fault(IssueType::Invariant, expected)),
        Primitive::Boolean
        | Primitive::Integer
        | Primitive::PositiveInt
        | Primitive::UnsignedInt
        | Primitive::Decimal => (true, ""),
    };
    if sound { Ok(()) } else { fault(IssueType::Value, expected) }
}

fn is_string(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r'))
}

fn is_code(text: &str) -> bool {
    let mut blank = true;
    for c in text.chars() {
        let now = c.is_whitespace();
        if (now && blank) || (c < ' ' && !now) {
            return false;
        }
        blank = now;
    }
    !blank
}

/// `[A-Za-z0-9\-\.]{1,64}`
pub(super) fn is_id(bytes: &[u8]) -> bool {
    (1..=64).contains(&bytes.len())
        && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

pub(super) fn is_uri(text: &str) -> bool {
    if text.is_ascii() {
        return text.bytes().all(|byte| byte.is_ascii_graphic());
    }
    !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn is_oid(text: &str) -> bool {
    let Some(digits) = text.strip_prefix("urn:oid:") else {
        return false;
    };
    let mut arcs = digits.split('.');
    let first = arcs.next();
    let mut count = 0;
    let rest = arcs.all(|arc| {
        count += 1;
        !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'))
    });
    matches!(first, Some("0" | "1" | "2")) && rest && count > 0
}

fn is_uuid(text: &str) -> bool {
    text.strip_prefix("urn:uuid:")
        .is_some_and(|uuid| is_uuid_shape(uuid) && !uuid.bytes().any(|b| b.is_ascii_uppercase()))
}

/// 8-4-4-4-12 hexadecimal digits of either case.
pub(super) fn is_uuid_shape(uuid: &str) -> bool {
    uuid.len() == 36
        && uuid.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_base64(bytes: &[u8]) -> bool {
    let mut count = 0_usize;
    let mut padding = 0_usize;
    for &byte in bytes {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => {}
            _ => return false,
        }
        count += 1;
    }
    count > 0 && count.is_multiple_of(4) && padding <= 2
}

fn digits(bytes: &[u8], at: usize, count: usize) -> Option<u32> {
    bytes
        .get(at..at + count)?
        .iter()
        .try_fold(0, |sum, &byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

const fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Length of the date at the start: 4, 7 or 10.
fn date_length(bytes: &[u8]) -> Option<usize> {
    let year = digits(bytes, 0, 4).filter(|&year| year > 0)?;
    if bytes.get(4) != Some(&b'-') {
        return Some(4);
    }
    let month = digits(bytes, 5, 2).filter(|month| (1..=12).contains(month))?;
    if bytes.get(7) != Some(&b'-') {
        return Some(7);
    }
    digits(bytes, 8, 2).filter(|&day| day >= 1 && day <= days_in(year, month)).map(|_| 10)
}

/// Length of the `hh:mm:ss` with optional fraction at the start.
fn time_length(bytes: &[u8]) -> Option<usize> {
    let colons = bytes.get(2) == Some(&b':') && bytes.get(5) == Some(&b':');
    let sound = colons && digits(bytes, 0, 2)? < 24 && digits(bytes, 3, 2)? < 60 && digits(bytes, 6, 2)? <= 60;
    if !sound {
        return None;
    }
    if bytes.get(8) != Some(&b'.') {
        return Some(8);
    }
    let fraction = bytes[9..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=FRACTION_DIGITS_MAX).contains(&fraction).then_some(9 + fraction)
}

/// Minutes east of Greenwich.
fn offset_minutes(bytes: &[u8]) -> Option<i64> {
    match bytes {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (digits(bytes, 1, 2)?, digits(bytes, 4, 2)?);
            let sound = (hours < 14 && minutes < 60) || (hours == 14 && minutes == 0);
            let total = i64::from(hours * 60 + minutes);
            sound.then_some(if *sign == b'-' { -total } else { total })
        }
        _ => None,
    }
}

fn is_date(bytes: &[u8]) -> bool {
    date_length(bytes) == Some(bytes.len())
}

fn is_instant(bytes: &[u8]) -> bool {
    date_length(bytes) == Some(10)
        && bytes.get(10) == Some(&b'T')
        && time_length(&bytes[11..]).is_some_and(|length| offset_minutes(&bytes[11 + length..]).is_some())
}

fn is_date_time(bytes: &[u8]) -> bool {
    is_date(bytes) || is_instant(bytes)
}

/// True where `first` is surely later than `second`, both sound dateTimes. Where precision or the missing
/// offset leaves it open, false.
pub(super) fn is_after(first: &str, second: &str) -> bool {
    if !first.contains('T') && !second.contains('T') {
        let common = first.len().min(second.len());
        return first.get(..common) > second.get(..common);
    }
    match (range(first), range(second)) {
        (Some((earliest, _)), Some((_, latest))) => earliest > latest,
        _ => false,
    }
}

/// Earliest and latest nanosecond, since 1970 in UTC, that a dateTime may mean.
fn range(text: &str) -> Option<(i128, i128)> {
    const SECOND: i128 = 1_000_000_000;
    const DAY: i128 = 86_400 * SECOND;
    let bytes = text.as_bytes();
    let year = digits(bytes, 0, 4)?;
    let month = digits(bytes, 5, 2);
    let day = digits(bytes, 8, 2);
    let first = days_since_1970(year, month.unwrap_or(1), day.unwrap_or(1));
    if bytes.get(10) != Some(&b'T') {
        let last_month = month.unwrap_or(12);
        let last = days_since_1970(year, last_month, day.unwrap_or(days_in(year, last_month)));
        // Somewhere on earth it is that day for 26 hours more.
        return Some((i128::from(first) * DAY - DAY / 24 * 14, i128::from(last + 1) * DAY + DAY / 2));
    }
    let clock = bytes.get(11..)?;
    let length = time_length(clock)?;
    let seconds = digits(clock, 0, 2)? * 3600 + digits(clock, 3, 2)? * 60 + digits(clock, 6, 2)?;
    let mut fraction = 0;
    for at in 0..FRACTION_DIGITS_MAX {
        fraction =
            fraction * 10 + clock.get(9 + at).filter(|_| 9 + at < length).map_or(0, |byte| i128::from(byte - b'0'));
    }
    let offset = offset_minutes(clock.get(length..)?)?;
    let moment = i128::from(first) * DAY + (i128::from(seconds) - i128::from(offset) * 60) * SECOND + fraction;
    Some((moment, moment))
}

/// Days since 1970-01-01 in the Gregorian calendar, for a year from 1 on.
fn days_since_1970(year: u32, month: u32, day: u32) -> i64 {
    let years = i64::from(year) - 1;
    let leap_days = years / 4 - years / 100 + years / 400;
    let before: u32 = (1..month).map(|m| days_in(year, m)).sum();
    years * 365 + leap_days + i64::from(before) + i64::from(day) - 1 - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sound(kind: Primitive, value: Value) -> bool {
        check(kind, &value).is_ok()
    }

    fn all(kind: Primitive, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(sound(kind, json!(text)), "{} {text:?}", kind.as_str());
        }
        for text in bad {
            assert!(!sound(kind, json!(text)), "{} {text:?}", kind.as_str());
        }
    }

    #[test]
    fn dates() {
        all(
            Primitive::Date,
            &["2024", "2024-02", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"],
            &[
                "",
                "24",
                "0000",
                "2023-02-29",
                "1900-02-29",
                "2024-13",
                "2024-00",
                "2024-04-31",
                "2024-2-1",
                "2024-",
                "2024-02-29T",
                "2024-02-29T10:00:00Z",
                " 2024",
                "２０２４",
            ],
        );
        all(
            Primitive::DateTime,
            &[
                "2024",
                "2024-02-29",
                "2024-02-29T23:59:60Z",
                "2024-02-29T00:00:00.123456789+14:00",
                "2024-02-29T00:00:00-13:59",
            ],
            &[
                "2024-02-29T10:00Z",
                "2024-02-29T10:00:00",
                "2024-02-29T24:00:00Z",
                "2024-02-29T10:00:00z",
                "2024-02-29 10:00:00Z",
                "2024-02-29T10:00:00+14:01",
                "2024-02-29T10:00:00.Z",
                "2024-02-30T10:00:00Z",
                "2024-02T10:00:00Z",
                "2024-02-29T10:00:00+2:00",
            ],
        );
        all(
            Primitive::Instant,
            &["2015-02-07T13:28:17.239+02:00", "2017-01-01T00:00:00Z"],
            &["2017-01-01", "2017", "2017-01-01T00:00:00", "2017-01-01T00:00:00.1234567890Z"],
        );
        all(Primitive::Time, &["00:00:00", "23:59:60", "10:00:00.5"], &["24:00:00", "10:00", "10:00:00Z", "10:60:00"]);
    }

    #[test]
    fn order_of_dates() {
        assert!(is_after("2024-03-02", "2024-03-01"));
        assert!(!is_after("2024-03", "2024-03-01"));
        assert!(!is_after("2024-03-01", "2024"));
        assert!(is_after("2025", "2024-12-31"));
        assert!(is_after("2024-03-01T10:00:00.5Z", "2024-03-01T10:00:00.49Z"));
        assert!(!is_after("2024-03-01T12:00:00+02:00", "2024-03-01T10:00:00Z"));
        assert!(is_after("2024-03-01T12:00:01+02:00", "2024-03-01T10:00:00Z"));
        assert!(!is_after("2024-03-02T01:00:00Z", "2024-03-01"));
        assert!(is_after("2024-03-03T00:00:00Z", "2024-03-01"));
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(days_since_1970(2000, 3, 1), 11_017);
        assert_eq!(days_since_1970(1, 1, 1), -719_162);
    }

    #[test]
    fn numbers() {
        let number = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        for (kind, good, bad) in [
            (
                Primitive::Integer,
                &["0", "-1", "2147483647", "-2147483648"][..],
                &["1.0", "1e2", "-0", "2147483648", "99999999999999999999"][..],
            ),
            (Primitive::PositiveInt, &["1", "2147483647"], &["0", "-1", "1.5"]),
            (Primitive::UnsignedInt, &["0", "1"], &["-1", "-0", "4294967296"]),
            (Primitive::Decimal, &["0", "1.00", "-0.0", "1e-24", "1E+24", "0e999"], &["1e999", "-1e400", "1e-999"]),
        ] {
            good.iter().for_each(|text| assert!(sound(kind, number(text)), "{} {text}", kind.as_str()));
            bad.iter().for_each(|text| assert!(!sound(kind, number(text)), "{} {text}", kind.as_str()));
            assert!(!sound(kind, json!("1")));
        }
        assert!(!sound(Primitive::Decimal, number(&format!("0.{}", "1".repeat(64)))));
        assert!(!sound(Primitive::Boolean, json!("true")));
        assert!(!sound(Primitive::String, json!(1)));
        assert!(!sound(Primitive::String, Value::Null));
    }

    #[test]
    fn texts() {
        all(Primitive::String, &["a", " ", "a\tb\r\nc", "\u{7f}é😀"], &["", "\u{0}", "a\u{b}b", "\u{1b}[0m"]);
        all(Primitive::Code, &["a", "a b", "a-b_c"], &["", " a", "a ", "a  b", "a\n\nb", "a\u{0}"]);
        all(Primitive::Id, &["a", "A-1.b", &"x".repeat(64)], &["", "a b", "a_b", "é", &"x".repeat(65)]);
        all(Primitive::Uri, &["http://x", "urn:a:b", "#a", "é"], &["", "a b", "a\n", "\u{a0}", "a\u{0}"]);
        all(
            Primitive::Oid,
            &["urn:oid:1.2.3", "urn:oid:2.0"],
            &["urn:oid:1", "urn:oid:3.1", "urn:oid:1.02", "1.2", "urn:oid:1..2"],
        );
        all(
            Primitive::Uuid,
            &["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
            &[
                "urn:uuid:C757873D-ec9a-4326-a141-556f43239520",
                "c757873d-ec9a-4326-a141-556f43239520",
                "urn:uuid:c757873d",
            ],
        );
        all(
            Primitive::Base64Binary,
            &["AAAA", "AA==", "AAA=", "AA AA\n"],
            &["", " ", "A", "AAA", "A===", "AA=A", "AA-_"],
        );
        let long = "x".repeat(STRING_CHARS_MAX);
        assert!(sound(Primitive::String, json!(long)));
        assert!(!sound(Primitive::Markdown, json!(format!("{long}x"))));
        assert!(sound(Primitive::String, json!("é".repeat(STRING_CHARS_MAX))));
    }
}
