//! LOINC's check digit: wrong codes circulate, and one digit wrong is another code.

/// Whether a LOINC code (`44250-9`) or answer code (`LA6568-5`) has the check digit its number calls for: mod 10,
/// where a letter counts by its distance from the character 0.
pub fn valid(code: &str) -> bool {
    let Some((number, check)) = code.split_once('-') else { return false };
    let prefix = ["LA", "LG", "LL", "LP"].iter().find(|prefix| number.starts_with(*prefix)).map_or(0, |_| 2);
    let digits = &number[prefix..];
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(digits) || digits.len() > 8 || !all_digits(check) || check.len() != 1 {
        return false;
    }
    let sum: u32 = (number.bytes().rev().enumerate())
        .map(|(n, byte)| {
            let value = u32::from(byte - b'0');
            if n % 2 == 0 { 2 * value - value / 5 * 9 } else { value }
        })
        .sum();
    u32::from(check.as_bytes()[0] - b'0') == (10 - sum % 10) % 10
}

#[cfg(test)]
mod tests {
    use super::valid;

    #[test]
    fn known_codes_pass_and_wrong_ones_that_circulate_do_not() {
        for code in ["44249-1", "44261-6", "69737-5", "70274-6", "71354-5", "LA6568-5", "LA6571-9", "LA18334-5"] {
            assert!(valid(code), "{code}");
        }
        for code in ["44261-8", "70274-5", "44249", "-1", "44249-", "4424x-1", "LA6568-4", ""] {
            assert!(!valid(code), "{code}");
        }
    }
}
