//! Texts as they are compared: without case and accents, and never longer than an index can hold.

use sha2::{Digest, Sha256};

/// Longest text that is indexed, in bytes (PostgreSQL allows about 2,700 in an index row). Longer ones are cut;
/// codes and URLs get a hash of the whole at the end, so that equal stays equal and different stays different.
const TEXT_BYTES_MAX: usize = 1024;

/// Lower case, accents and other marks stripped, white space made single.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.trim().chars() {
        if c.is_whitespace() || c.is_control() {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) {
            folded.push(' ');
        }
        if c.is_ascii() {
            folded.push(c.to_ascii_lowercase());
        } else if !is_mark(c) {
            for c in c.to_lowercase().filter(|c| !is_mark(*c)) {
                match base(c) {
                    Base::Same => folded.push(c),
                    Base::Text(text) => folded.push_str(text),
                    Base::Char(base) => folded.push(base),
                }
            }
        }
    }
    folded.truncate(folded.floor_char_boundary(TEXT_BYTES_MAX));
    folded
}

/// A text that is compared for equality.
pub(super) fn bounded(text: &str) -> String {
    // PostgreSQL keeps no NUL.
    let text = text.replace('\0', "");
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let hash = Sha256::digest(text.as_bytes());
    let mut bounded = text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
    bounded.push('#');
    bounded.extend(
        hash.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)),
    );
    bounded
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}')
}

enum Base {
    Same,
    Text(&'static str),
    Char(char),
}

/// The letter without its marks, for lower-case Latin, Greek and Cyrillic.
fn base(c: char) -> Base {
    match c {
        'ß' => return Base::Text("ss"),
        'æ' => return Base::Text("ae"),
        'œ' => return Base::Text("oe"),
        'ø' => return Base::Char('o'),
        'đ' | 'ð' => return Base::Char('d'),
        'ł' => return Base::Char('l'),
        'ħ' => return Base::Char('h'),
        'ı' => return Base::Char('i'),
        'ŧ' => return Base::Char('t'),
        'þ' => return Base::Text("th"),
        'ς' => return Base::Char('σ'),
        _ => {}
    }
    BASES.binary_search_by_key(&c, |(marked, _)| *marked).map_or(Base::Same, |place| Base::Char(BASES[place].1))
}

/// Letters and what is left of them without marks (Unicode's canonical decomposition), sorted.
#[rustfmt::skip]
const BASES: &[(char, char)] = &[
    ('à', 'a'), ('á', 'a'), ('â', 'a'), ('ã', 'a'), ('ä', 'a'), ('å', 'a'), ('ç', 'c'), ('è', 'e'), ('é', 'e'),
    ('ê', 'e'), ('ë', 'e'), ('ì', 'i'), ('í', 'i'), ('î', 'i'), ('ï', 'i'), ('ñ', 'n'), ('ò', 'o'), ('ó', 'o'),
    ('ô', 'o'), ('õ', 'o'), ('ö', 'o'), ('ù', 'u'), ('ú', 'u'), ('û', 'u'), ('ü', 'u'), ('ý', 'y'), ('ÿ', 'y'),
    ('ā', 'a'), ('ă', 'a'), ('ą', 'a'), ('ć', 'c'), ('ĉ', 'c'), ('ċ', 'c'), ('č', 'c'), ('ď', 'd'), ('ē', 'e'),
    ('ĕ', 'e'), ('ė', 'e'), ('ę', 'e'), ('ě', 'e'), ('ĝ', 'g'), ('ğ', 'g'), ('ġ', 'g'), ('ģ', 'g'), ('ĥ', 'h'),
    ('ĩ', 'i'), ('ī', 'i'), ('ĭ', 'i'), ('į', 'i'), ('ĵ', 'j'), ('ķ', 'k'), ('ĺ', 'l'), ('ļ', 'l'), ('ľ', 'l'),
    ('ń', 'n'), ('ņ', 'n'), ('ň', 'n'), ('ō', 'o'), ('ŏ', 'o'), ('ő', 'o'), ('ŕ', 'r'), ('ŗ', 'r'), ('ř', 'r'),
    ('ś', 's'), ('ŝ', 's'), ('ş', 's'), ('š', 's'), ('ţ', 't'), ('ť', 't'), ('ũ', 'u'), ('ū', 'u'), ('ŭ', 'u'),
    ('ů', 'u'), ('ű', 'u'), ('ų', 'u'), ('ŵ', 'w'), ('ŷ', 'y'), ('ź', 'z'), ('ż', 'z'), ('ž', 'z'), ('ơ', 'o'),
    ('ư', 'u'), ('ǎ', 'a'), ('ǐ', 'i'), ('ǒ', 'o'), ('ǔ', 'u'), ('ǖ', 'u'), ('ǘ', 'u'), ('ǚ', 'u'), ('ǜ', 'u'),
    ('ǟ', 'a'), ('ǡ', 'a'), ('ǣ', 'æ'), ('ǧ', 'g'), ('ǩ', 'k'), ('ǫ', 'o'), ('ǭ', 'o'), ('ǯ', 'ʒ'), ('ǰ', 'j'),
    ('ǵ', 'g'), ('ǹ', 'n'), ('ǻ', 'a'), ('ǽ', 'æ'), ('ǿ', 'ø'), ('ȁ', 'a'), ('ȃ', 'a'), ('ȅ', 'e'), ('ȇ', 'e'),
    ('ȉ', 'i'), ('ȋ', 'i'), ('ȍ', 'o'), ('ȏ', 'o'), ('ȑ', 'r'), ('ȓ', 'r'), ('ȕ', 'u'), ('ȗ', 'u'), ('ș', 's'),
    ('ț', 't'), ('ȟ', 'h'), ('ȧ', 'a'), ('ȩ', 'e'), ('ȫ', 'o'), ('ȭ', 'o'), ('ȯ', 'o'), ('ȱ', 'o'), ('ȳ', 'y'),
    ('΅', '¨'), ('ΐ', 'ι'), ('ά', 'α'), ('έ', 'ε'), ('ή', 'η'), ('ί', 'ι'), ('ΰ', 'υ'), ('ϊ', 'ι'), ('ϋ', 'υ'),
    ('ό', 'ο'), ('ύ', 'υ'), ('ώ', 'ω'), ('ϓ', 'ϒ'), ('ϔ', 'ϒ'), ('й', 'и'), ('ѐ', 'е'), ('ё', 'е'), ('ѓ', 'г'),
    ('ї', 'і'), ('ќ', 'к'), ('ѝ', 'и'), ('ў', 'у'), ('ѷ', 'ѵ'), ('ӂ', 'ж'), ('ӑ', 'а'), ('ӓ', 'а'), ('ӗ', 'е'),
    ('ӛ', 'ә'), ('ӝ', 'ж'), ('ӟ', 'з'), ('ӣ', 'и'), ('ӥ', 'и'), ('ӧ', 'о'), ('ӫ', 'ө'), ('ӭ', 'э'), ('ӯ', 'у'),
    ('ӱ', 'у'), ('ӳ', 'у'), ('ӵ', 'ч'), ('ӹ', 'ы'), ('ḁ', 'a'), ('ḃ', 'b'), ('ḅ', 'b'), ('ḇ', 'b'), ('ḉ', 'c'),
    ('ḋ', 'd'), ('ḍ', 'd'), ('ḏ', 'd'), ('ḑ', 'd'), ('ḓ', 'd'), ('ḕ', 'e'), ('ḗ', 'e'), ('ḙ', 'e'), ('ḛ', 'e'),
    ('ḝ', 'e'), ('ḟ', 'f'), ('ḡ', 'g'), ('ḣ', 'h'), ('ḥ', 'h'), ('ḧ', 'h'), ('ḩ', 'h'), ('ḫ', 'h'), ('ḭ', 'i'),
    ('ḯ', 'i'), ('ḱ', 'k'), ('ḳ', 'k'), ('ḵ', 'k'), ('ḷ', 'l'), ('ḹ', 'l'), ('ḻ', 'l'), ('ḽ', 'l'), ('ḿ', 'm'),
    ('ṁ', 'm'), ('ṃ', 'm'), ('ṅ', 'n'), ('ṇ', 'n'), ('ṉ', 'n'), ('ṋ', 'n'), ('ṍ', 'o'), ('ṏ', 'o'), ('ṑ', 'o'),
    ('ṓ', 'o'), ('ṕ', 'p'), ('ṗ', 'p'), ('ṙ', 'r'), ('ṛ', 'r'), ('ṝ', 'r'), ('ṟ', 'r'), ('ṡ', 's'), ('ṣ', 's'),
    ('ṥ', 's'), ('ṧ', 's'), ('ṩ', 's'), ('ṫ', 't'), ('ṭ', 't'), ('ṯ', 't'), ('ṱ', 't'), ('ṳ', 'u'), ('ṵ', 'u'),
    ('ṷ', 'u'), ('ṹ', 'u'), ('ṻ', 'u'), ('ṽ', 'v'), ('ṿ', 'v'), ('ẁ', 'w'), ('ẃ', 'w'), ('ẅ', 'w'), ('ẇ', 'w'),
    ('ẉ', 'w'), ('ẋ', 'x'), ('ẍ', 'x'), ('ẏ', 'y'), ('ẑ', 'z'), ('ẓ', 'z'), ('ẕ', 'z'), ('ẖ', 'h'), ('ẗ', 't'),
    ('ẘ', 'w'), ('ẙ', 'y'), ('ẛ', 'ſ'), ('ạ', 'a'), ('ả', 'a'), ('ấ', 'a'), ('ầ', 'a'), ('ẩ', 'a'), ('ẫ', 'a'),
    ('ậ', 'a'), ('ắ', 'a'), ('ằ', 'a'), ('ẳ', 'a'), ('ẵ', 'a'), ('ặ', 'a'), ('ẹ', 'e'), ('ẻ', 'e'), ('ẽ', 'e'),
    ('ế', 'e'), ('ề', 'e'), ('ể', 'e'), ('ễ', 'e'), ('ệ', 'e'), ('ỉ', 'i'), ('ị', 'i'), ('ọ', 'o'), ('ỏ', 'o'),
    ('ố', 'o'), ('ồ', 'o'), ('ổ', 'o'), ('ỗ', 'o'), ('ộ', 'o'), ('ớ', 'o'), ('ờ', 'o'), ('ở', 'o'), ('ỡ', 'o'),
    ('ợ', 'o'), ('ụ', 'u'), ('ủ', 'u'), ('ứ', 'u'), ('ừ', 'u'), ('ử', 'u'), ('ữ', 'u'), ('ự', 'u'), ('ỳ', 'y'),
    ('ỵ', 'y'), ('ỷ', 'y'), ('ỹ', 'y'), ('ἀ', 'α'), ('ἁ', 'α'), ('ἂ', 'α'), ('ἃ', 'α'), ('ἄ', 'α'), ('ἅ', 'α'),
    ('ἆ', 'α'), ('ἇ', 'α'), ('ἐ', 'ε'), ('ἑ', 'ε'), ('ἒ', 'ε'), ('ἓ', 'ε'), ('ἔ', 'ε'), ('ἕ', 'ε'), ('ἠ', 'η'),
    ('ἡ', 'η'), ('ἢ', 'η'), ('ἣ', 'η'), ('ἤ', 'η'), ('ἥ', 'η'), ('ἦ', 'η'), ('ἧ', 'η'), ('ἰ', 'ι'), ('ἱ', 'ι'),
    ('ἲ', 'ι'), ('ἳ', 'ι'), ('ἴ', 'ι'), ('ἵ', 'ι'), ('ἶ', 'ι'), ('ἷ', 'ι'), ('ὀ', 'ο'), ('ὁ', 'ο'), ('ὂ', 'ο'),
    ('ὃ', 'ο'), ('ὄ', 'ο'), ('ὅ', 'ο'), ('ὐ', 'υ'), ('ὑ', 'υ'), ('ὒ', 'υ'), ('ὓ', 'υ'), ('ὔ', 'υ'), ('ὕ', 'υ'),
    ('ὖ', 'υ'), ('ὗ', 'υ'), ('ὠ', 'ω'), ('ὡ', 'ω'), ('ὢ', 'ω'), ('ὣ', 'ω'), ('ὤ', 'ω'), ('ὥ', 'ω'), ('ὦ', 'ω'),
    ('ὧ', 'ω'), ('ὰ', 'α'), ('ά', 'α'), ('ὲ', 'ε'), ('έ', 'ε'), ('ὴ', 'η'), ('ή', 'η'), ('ὶ', 'ι'), ('ί', 'ι'),
    ('ὸ', 'ο'), ('ό', 'ο'), ('ὺ', 'υ'), ('ύ', 'υ'), ('ὼ', 'ω'), ('ώ', 'ω'), ('ᾀ', 'α'), ('ᾁ', 'α'), ('ᾂ', 'α'),
    ('ᾃ', 'α'), ('ᾄ', 'α'), ('ᾅ', 'α'), ('ᾆ', 'α'), ('ᾇ', 'α'), ('ᾐ', 'η'), ('ᾑ', 'η'), ('ᾒ', 'η'), ('ᾓ', 'η'),
    ('ᾔ', 'η'), ('ᾕ', 'η'), ('ᾖ', 'η'), ('ᾗ', 'η'), ('ᾠ', 'ω'), ('ᾡ', 'ω'), ('ᾢ', 'ω'), ('ᾣ', 'ω'), ('ᾤ', 'ω'),
    ('ᾥ', 'ω'), ('ᾦ', 'ω'), ('ᾧ', 'ω'), ('ᾰ', 'α'), ('ᾱ', 'α'), ('ᾲ', 'α'), ('ᾳ', 'α'), ('ᾴ', 'α'), ('ᾶ', 'α'),
    ('ᾷ', 'α'), ('῁', '¨'), ('ῂ', 'η'), ('ῃ', 'η'), ('ῄ', 'η'), ('ῆ', 'η'), ('ῇ', 'η'), ('῍', '᾿'), ('῎', '᾿'),
    ('῏', '᾿'), ('ῐ', 'ι'), ('ῑ', 'ι'), ('ῒ', 'ι'), ('ΐ', 'ι'), ('ῖ', 'ι'), ('ῗ', 'ι'), ('῝', '῾'), ('῞', '῾'),
    ('῟', '῾'), ('ῠ', 'υ'), ('ῡ', 'υ'), ('ῢ', 'υ'), ('ΰ', 'υ'), ('ῤ', 'ρ'), ('ῥ', 'ρ'), ('ῦ', 'υ'), ('ῧ', 'υ'),
    ('῭', '¨'), ('΅', '¨'), ('ῲ', 'ω'), ('ῳ', 'ω'), ('ῴ', 'ω'), ('ῶ', 'ω'), ('ῷ', 'ω'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_accents_fold() {
        assert_eq!(fold("  Müller-Lüdenscheidt "), "muller-ludenscheidt");
        assert_eq!(fold("Mu\u{308}ller"), "muller");
        assert_eq!(fold("ÉCOLE  d\u{2019}été"), "ecole d\u{2019}ete");
        assert_eq!(fold("Strauß ŁÓDŹ Ærø Nguyễn"), "strauss lodz aero nguyen");
        assert_eq!(fold("Άγγελος ЁЖ"), "αγγελοσ еж");
        assert_eq!(fold("İstanbul"), "istanbul");
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for text in ["Ǖber", "ΐ", "ﬁ", "漢字", "É\u{301}"] {
            assert_eq!(fold(&fold(text)), fold(text));
        }
    }

    #[test]
    fn long_texts_stay_different() {
        let (one, other) = ("x".repeat(5000) + "1", "x".repeat(5000) + "2");
        assert_ne!(bounded(&one), bounded(&other));
        assert!(bounded(&one).len() < 1100 && fold(&one).len() <= TEXT_BYTES_MAX);
        assert_eq!(fold(&one), fold(&other));
    }

    #[test]
    fn bases_are_sorted() {
        assert!(BASES.is_sorted());
    }
}
