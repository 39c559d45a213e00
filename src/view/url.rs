//! Links. Only logical ids go into URLs, percent-encoded.

/// RFC 3986: everything but unreserved characters.
pub fn encode(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    // A segment of dots alone would climb.
    match encoded.as_str() {
        "." | ".." => encoded.replace('.', "%2E"),
        _ => encoded,
    }
}

pub fn client(base_path: &str, id: &str) -> String {
    format!("{base_path}/app/patients/{}", encode(id))
}

pub fn client_as_of(base_path: &str, id: &str, as_of: &str) -> String {
    format!("{}?asOf={}", client(base_path, id), encode(as_of))
}

pub fn judgements(base_path: &str, id: &str) -> String {
    format!("{}/judgements", client(base_path, id))
}

pub fn caseload(base_path: &str) -> String {
    format!("{base_path}/app/caseload")
}
