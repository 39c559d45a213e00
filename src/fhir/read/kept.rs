//! Facts as bytes, kept in the store beside the resource.

use super::ReadContext;
use crate::domain::fact::Fact;
use serde_json::Value;

/// First byte of every encoding. Count it up when [`Fact`] changes: older bytes then decode to `None`, and the
/// fact is read again from the resource.
const ENCODING: u8 = 3;

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

/// Before the encoding, for the store: the time zone of a fact that is the same in all of them.
const ANY_ZONE: [u8; 4] = [0; 4];

/// [`encode`] for the store. Where `resource`, from which it was read, has a date without a time, the bytes name the
/// time zone.
pub fn keep(fact: &Fact, resource: &Value, context: &ReadContext) -> Vec<u8> {
    let zone = if has_date(resource) { zone(context) } else { ANY_ZONE };
    [&zone[..], &encode(fact)].concat()
}

/// `None`: as [`decode`], or read in another time zone; read the resource again.
pub fn recall(bytes: &[u8], context: &ReadContext) -> Option<Fact> {
    let (read_in, rest) = bytes.split_first_chunk()?;
    if *read_in == ANY_ZONE || *read_in == zone(context) { decode(rest) } else { None }
}

/// The time zone in four bytes (FNV-1a of its IANA name), never those of [`ANY_ZONE`].
fn zone(context: &ReadContext) -> [u8; 4] {
    let name = context.zone.iana_name().unwrap_or_default().bytes();
    let hash = name.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.max(1).to_be_bytes()
}

/// Whether anything in it could be a date without a time.
fn has_date(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            matches!(text.len(), 4 | 7 | 10) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        }
        Value::Array(items) => items.iter().any(has_date),
        Value::Object(members) => members.values().any(has_date),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::read::fact;
    use jiff::tz::TimeZone;
    use serde_json::json;

    fn context(zone: &str) -> ReadContext {
        ReadContext { zone: TimeZone::get(zone).expect("bundled") }
    }

    #[test]
    fn a_fact_of_another_time_zone_is_read_again() {
        let (berlin, auckland) = (context("Europe/Berlin"), context("Pacific/Auckland"));
        let kept = |end: &str| {
            let resource = json!({"resourceType": "EpisodeOfCare", "status": "finished", "period": {"end": end}});
            let fact = fact(&resource, &berlin).expect("a fact");
            (keep(&fact, &resource, &berlin), fact)
        };
        let (dated, fact) = kept("2026-03-31");
        assert_eq!(recall(&dated, &berlin), Some(fact));
        assert_eq!(recall(&dated, &auckland), None);
        let (timed, fact) = kept("2026-03-31T10:00:00Z");
        assert_eq!(recall(&timed, &auckland), Some(fact));
        assert_eq!((recall(&timed[..4], &berlin), recall(&[], &berlin)), (None, None));
    }
}
