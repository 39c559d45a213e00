//! How figures, dates and times are written where the reader lives. The words stay English.

/// The default is that of `en-150`, English in Europe, but with a decimal point: 9 March, 14:00, 12.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Formats {
    /// 12,5.
    pub decimal_comma: bool,
    /// March 9.
    pub month_first: bool,
    /// 2:00 PM.
    pub clock_12: bool,
}

/// Languages of CLDR that write a decimal comma; where a region differs, see [`POINT_REGIONS`].
const COMMA_LANGUAGES: [&str; 33] = [
    "bg", "bs", "ca", "cs", "da", "de", "el", "es", "et", "eu", "fi", "fr", "gl", "hr", "hu", "id", "is", "it", "lt",
    "lv", "nb", "nl", "nn", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "tr", "uk",
];
const POINT_REGIONS: [&str; 5] = ["CH", "LI", "MX", "PR", "US"];
const CLOCK_12_REGIONS: [&str; 6] = ["AU", "CA", "IN", "NZ", "PH", "US"];
const MONTH_FIRST_REGIONS: [&str; 3] = ["CA", "PH", "US"];

impl Formats {
    /// From `Accept-Language`: its most wanted language. What cannot be read gets the default.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let mut best: (f32, &str) = (0.0, "");
        for part in header.split(',').take(20) {
            let mut parts = part.split(';');
            let tag = parts.next().unwrap_or_default().trim();
            let weight = parts.find_map(|one| one.trim().strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if weight > best.0 && tag != "*" {
                best = (weight, tag);
            }
        }
        let mut subtags = best.1.split('-');
        let language = subtags.next().unwrap_or_default().to_ascii_lowercase();
        let region = subtags.find(|tag| tag.len() == 2).unwrap_or_default().to_ascii_uppercase();
        let is_in = |regions: &[&str]| regions.contains(&&*region) && (region != "CA" || language == "en");
        Formats {
            decimal_comma: COMMA_LANGUAGES.contains(&&*language) && !is_in(&POINT_REGIONS),
            month_first: is_in(&MONTH_FIRST_REGIONS),
            clock_12: is_in(&CLOCK_12_REGIONS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Formats;
    use crate::words::{Manner, amount, date, date_and_time, date_short, time};

    #[test]
    fn figures_and_dates_are_the_readers() {
        let at: jiff::Timestamp = "2026-03-09T14:05:00Z".parse().expect("an instant");
        let old: jiff::Timestamp = "2024-03-09T00:05:00Z".parse().expect("an instant");
        let said = |header: &str| {
            let manner = Manner { formats: Formats::accepted(header), ..Manner::default() };
            let short = date_short(at, &manner);
            let whole = date_and_time(at, at, &manner);
            format!(
                "{whole} | {short} | {} | {} | {}",
                date(old, at, &manner),
                time(old, &manner),
                amount(12.5, &manner)
            )
        };
        let plain = "9 March, 14:05 | 9 Mar | 9 March 2024 | 00:05 | 12.5";
        for header in ["", "*", "en", "en-GB,en;q=0.9", "x;q=;;,,", "de-CH", "ja-JP"] {
            assert_eq!(said(header), plain, "{header}");
        }
        for header in ["de", "de-DE,de;q=0.9,en-US;q=0.8", "en-US;q=0.5, fr-CA", "pt_BR;q=0.1,es"] {
            assert_eq!(said(header), plain.replace("12.5", "12,5"), "{header}");
        }
        let us = "March 9, 2:05 PM | Mar 9 | March 9, 2024 | 12:05 AM | 12.5";
        for header in ["en-US", "EN-us,en;q=0.5", "es-US"] {
            assert_eq!(said(header), us, "{header}");
        }
    }
}
