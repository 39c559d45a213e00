//! Launches and sessions, kept where every process of the service sees them and nobody can read them.
//!
//! The secret is in the browser's cookie alone. A row's name is the secret's SHA-256; its content is sealed
//! (ChaCha20-Poly1305, RFC 8439) under a key that HKDF-SHA256 (RFC 5869) makes of the secret. So a copy of the
//! database opens no session and tells no token.

use super::launch::hash;
use async_trait::async_trait;
use jiff::Timestamp;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Changes whenever what is kept changes its shape: rows of another one do not open, and one launches again.
const SALT: &[u8] = b"tautline vault 1";

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum Shelf {
    /// A launch that waits for its callback.
    Launch = 1,
    Session = 2,
    /// How far reading from the EHR has come.
    Report = 3,
    /// Whose turn it is to write Flags into an EHR, and what stands there: by no secret, and not sealed.
    Flags = 4,
}

/// A sealed row.
#[derive(Clone, Debug)]
pub struct Row {
    pub shelf: Shelf,
    pub name: [u8; 32],
    pub bytes: Vec<u8>,
    pub until: Timestamp,
}

/// The database cannot be asked at the moment. It has been logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// Where rows are kept; what each call means stands at `store::Store`.
#[async_trait]
pub trait Vault: Send + Sync {
    async fn insert(&self, row: Row, now: Timestamp, most: u64) -> Result<bool, Away>;
    async fn replace(&self, row: Row) -> Result<bool, Away>;
    async fn get(&self, shelf: Shelf, name: &[u8; 32], now: Timestamp) -> Result<Option<Row>, Away>;
    async fn take(&self, shelf: Shelf, name: &[u8; 32], now: Timestamp) -> Result<Option<Row>, Away>;
    async fn extend(&self, shelf: Shelf, name: &[u8; 32], until: Timestamp) -> Result<(), Away>;
    async fn hold(&self, shelf: Shelf, name: &[u8; 32], now: Timestamp, until: Timestamp) -> Result<bool, Away>;
}

/// A browser's secret.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a secret")
    }
}

impl Secret {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What its rows are called.
    #[must_use]
    pub fn name(&self) -> [u8; 32] {
        hash(&self.0)
    }

    fn key(&self, shelf: Shelf) -> Option<LessSafeKey> {
        let made = Salt::new(HKDF_SHA256, SALT).extract(self.0.as_bytes());
        let shelf = (shelf as i16).to_be_bytes();
        let info = [b"seal".as_slice(), &shelf];
        let key: UnboundKey = made.expand(&info, &CHACHA20_POLY1305).ok()?.into();
        Some(LessSafeKey::new(key))
    }

    /// Another secret for a purpose of its own, as hexadecimal digits.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> String {
        let made = Salt::new(HKDF_SHA256, SALT).extract(self.0.as_bytes());
        let mut bytes = [0; 32];
        let info = [b"derive".as_slice(), purpose.as_bytes()];
        // Fails for lengths alone that no hash can give.
        let filled = made.expand(&info, HKDF_SHA256).is_ok_and(|okm| okm.fill(&mut bytes).is_ok());
        debug_assert!(filled);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `None`: the machine has no randomness.
    #[must_use]
    pub fn seal(&self, shelf: Shelf, content: &impl Serialize, until: Timestamp) -> Option<Row> {
        let mut sealed = postcard::to_allocvec(content).ok()?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let name = self.name();
        let own = Nonce::assume_unique_for_key(nonce);
        self.key(shelf)?.seal_in_place_append_tag(own, Aad::from(name), &mut sealed).ok()?;
        Some(Row { shelf, name, bytes: [nonce.as_slice(), &sealed].concat(), until })
    }

    /// `None`: sealed by another secret, for another shelf, or of another shape.
    #[must_use]
    pub fn open<T: DeserializeOwned>(&self, row: &Row) -> Option<T> {
        let (nonce, sealed) = row.bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = sealed.to_vec();
        let content = self.key(row.shelf)?.open_in_place(nonce, Aad::from(self.name()), &mut bytes).ok()?;
        postcard::from_bytes(content).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_opens_with_its_secret_alone_and_tells_nothing() {
        let (secret, other) = (Secret::new("cookie"), Secret::new("another"));
        let until = Timestamp::from_second(9).expect("a time");
        let content = ("the-token-of-the-ehr".to_owned(), 7_i64);
        let row = secret.seal(Shelf::Session, &content, until).expect("sealed");
        assert_eq!(secret.open::<(String, i64)>(&row), Some(content.clone()));
        assert!(!row.bytes.windows(9).any(|part| part == b"the-token"));
        assert_eq!(other.open::<(String, i64)>(&row), None);
        assert_eq!(other.open::<(String, i64)>(&Row { name: other.name(), ..row.clone() }), None);
        assert_eq!(secret.open::<(String, i64)>(&Row { shelf: Shelf::Launch, ..row.clone() }), None, "another shelf");
        for place in 0..row.bytes.len() {
            let mut bytes = row.bytes.clone();
            bytes[place] ^= 1;
            assert_eq!(secret.open::<(String, i64)>(&Row { bytes, ..row.clone() }), None, "byte {place}");
        }
        for length in 0..row.bytes.len() {
            let bytes = row.bytes[..length].to_vec();
            assert_eq!(secret.open::<(String, i64)>(&Row { bytes, ..row.clone() }), None, "{length} bytes");
        }
        let again = secret.seal(Shelf::Session, &content, until).expect("sealed");
        assert_ne!(again.bytes, row.bytes, "a nonce of its own");
        assert_ne!(secret.derived("a"), secret.derived("b"));
        assert_eq!(secret.derived("a").len(), 64);
        assert!(!format!("{secret:?}").contains("cookie"));
    }
}
