//! Where a page ended, as opaque text: the sort keys and the row number of its last entry, with a tag that ties it
//! to the question that was asked. A cursor that was altered, or belongs to another question, is refused.

use crate::store::{Cursor, Result, StoreError};
use sha2::{Digest, Sha256};

/// One sort key's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    Integer(i64),
    Real(f64),
    Text(String),
}

const TAG_BYTES: usize = 8;

pub(super) fn encode(question: &str, keys: &[Key]) -> Cursor {
    let mut bytes = Vec::new();
    for key in keys {
        match key {
            Key::Integer(value) => {
                bytes.push(b'i');
                bytes.extend(value.to_be_bytes());
            }
            Key::Real(value) => {
                bytes.push(b'r');
                bytes.extend(value.to_be_bytes());
            }
            Key::Text(text) => {
                bytes.push(b't');
                bytes.extend((text.len() as u32).to_be_bytes());
                bytes.extend(text.as_bytes());
            }
        }
    }
    bytes.extend(tag(question, &bytes));
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Cursor(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect())
}

pub(super) fn decode(question: &str, cursor: &Cursor) -> Result<Vec<Key>> {
    parse(question, &cursor.0).ok_or(StoreError::BadCursor)
}

fn parse(question: &str, text: &str) -> Option<Vec<Key>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect::<Option<_>>()?;
    let (mut rest, found) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
    if found != tag(question, rest) {
        return None;
    }
    let mut keys = Vec::new();
    while let Some((kind, left)) = rest.split_first() {
        rest = match kind {
            b'i' => {
                let (value, left) = left.split_first_chunk()?;
                keys.push(Key::Integer(i64::from_be_bytes(*value)));
                left
            }
            b'r' => {
                let (value, left) = left.split_first_chunk()?;
                keys.push(Key::Real(f64::from_be_bytes(*value)));
                left
            }
            b't' => {
                let (length, left) = left.split_first_chunk()?;
                let (text, left) = left.split_at_checked(u32::from_be_bytes(*length) as usize)?;
                keys.push(Key::Text(std::str::from_utf8(text).ok()?.to_owned()));
                left
            }
            _ => return None,
        };
    }
    Some(keys)
}

fn tag(question: &str, bytes: &[u8]) -> [u8; TAG_BYTES] {
    let hash = Sha256::new_with_prefix("tautline cursor 1")
        .chain_update((question.len() as u64).to_be_bytes())
        .chain_update(question)
        .chain_update(bytes)
        .finalize();
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&hash[..TAG_BYTES]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_for_its_own_question_only() {
        let keys = [Key::Integer(-5), Key::Text("müller".into()), Key::Real(1.5)];
        let cursor = encode("q", &keys);
        assert_eq!(decode("q", &cursor).unwrap(), keys);
        assert!(matches!(decode("other", &cursor), Err(StoreError::BadCursor)));
        for place in 0..cursor.0.len() {
            let mut text = cursor.0.clone();
            let swapped = if &text[place..=place] == "0" { "1" } else { "0" };
            text.replace_range(place..=place, swapped);
            assert!(decode("q", &Cursor(text)).is_err());
        }
        for text in ["", "0", "zz", "é", "00112233445566778899"] {
            assert!(decode("q", &Cursor(text.into())).is_err());
        }
    }
}
