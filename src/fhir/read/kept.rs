//! Facts as bytes, kept in the store beside the resource.

use crate::domain::fact::Fact;

/// First byte of every encoding. Count it up when [`Fact`] changes: older bytes then decode to `None`, and the
/// fact is read again from the resource.
const ENCODING: u8 = 1;

pub fn encode(fact: &Fact) -> Vec<u8> {
    // Writing into memory fails for no fact; if it ever did, one byte alone decodes to nothing.
    postcard::to_extend(fact, vec![ENCODING]).unwrap_or_else(|_| vec![ENCODING])
}

/// `None`: not one of ours, or of an older encoding; read the resource again.
pub fn decode(bytes: &[u8]) -> Option<Fact> {
    let (&encoding, rest) = bytes.split_first()?;
    if encoding != ENCODING {
        return None;
    }
    match postcard::take_from_bytes(rest) {
        Ok((fact, [])) => Some(fact),
        _ => None,
    }
}
