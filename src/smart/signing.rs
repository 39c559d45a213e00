//! Our own keys: to sign access tokens (for systems) and client assertions (for EHRs).

use super::keys::KeySet;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use simple_asn1::{ASN1Block, ASN1Class, BigInt, BigUint, oid, to_der};
use std::path::Path;

/// A private key, and the public half that others may see.
#[derive(Clone)]
pub struct Signing {
    pub key_id: String,
    algorithm: Algorithm,
    key: EncodingKey,
    public: Value,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the private key {}", self.key_id)
    }
}

impl Signing {
    fn new(key: EncodingKey, algorithm: Algorithm, key_id: Option<&str>) -> Option<Self> {
        let jwk = Jwk::from_encoding_key(&key, algorithm).ok()?;
        let mut public = serde_json::to_value(&jwk).ok()?;
        if algorithm == Algorithm::ES384 && public.get("crv").and_then(Value::as_str) != Some("P-384") {
            return None;
        }
        let key_id = key_id.map_or_else(|| thumb(&public), str::to_owned);
        public["kid"] = json!(key_id);
        public["use"] = json!("sig");
        public["alg"] = json!(if algorithm == Algorithm::ES384 { "ES384" } else { "RS384" });
        // Read again as others will read it: a weak or odd key shows here.
        if KeySet::read(&json!({"keys": [public]})).is_empty() {
            return None;
        }
        Some(Self { key_id, algorithm, key, public })
    }

    /// Keys of a file: PEM (PKCS#8, or PKCS#1 for RSA), a JWK, or a JWK set of which one signs, the first here, and all
    /// are published, so that the next key is known before it is used and the last one still after. `key_id`: the name
    /// of a single key; of a set, which one signs (the first, where it is not said).
    ///
    /// # Errors
    /// Text that holds no usable key; the words are for the operator.
    pub fn read(text: &str, key_id: Option<&str>) -> Result<Vec<Self>, &'static str> {
        super::crypto::install();
        const WANTED: &str = "a private key is PEM (PKCS#8) or JWK: RSA of 2048 bits or more, or EC on P-384";
        if text.trim_start().starts_with('{') {
            let json: Value = serde_json::from_str(text).map_err(|_| WANTED)?;
            let set = json.get("keys").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![json]);
            // A single one that has a name may be given another; in a set a name chooses.
            let given = key_id.filter(|_| set.len() == 1);
            let named = |jwk| from_jwk(jwk, given.or_else(|| jwk.get("kid")?.as_str()));
            let mut read: Vec<Self> = set.iter().filter_map(named).collect();
            if read.len() != set.len() || read.is_empty() {
                return Err(WANTED);
            }
            if let Some(key_id) = key_id {
                let signs = read.iter().position(|key| key.key_id == key_id);
                let signs = signs.ok_or("key_id names no key of private_key_file")?;
                read[..=signs].rotate_right(1);
            }
            return Ok(read);
        }
        let pem = text.as_bytes();
        let rsa = EncodingKey::from_rsa_pem(pem).ok().and_then(|key| Self::new(key, Algorithm::RS384, key_id));
        let ec = || EncodingKey::from_ec_pem(pem).ok().and_then(|key| Self::new(key, Algorithm::ES384, key_id));
        rsa.or_else(ec).map(|one| vec![one]).ok_or(WANTED)
    }

    /// The keys of this file; where there is none, a new one is made and kept there, for its owner alone.
    ///
    /// # Errors
    /// The file cannot be read or written; the words are for the operator.
    pub fn open_or_make(path: &Path) -> Result<Vec<Self>, String> {
        let named = |what: &str| format!("the signing key {}: {what}", path.display());
        match std::fs::read_to_string(path) {
            Ok(text) => return Self::read(&text, None).map_err(named),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(named(&error.to_string())),
            Err(_) => {}
        }
        let pem = make().ok_or_else(|| named("could not be made"))?;
        match write_once(path, &pem) {
            Ok(()) => Self::read(&pem, None).map_err(named),
            // Another process was first.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let text = std::fs::read_to_string(path).map_err(|error| named(&error.to_string()))?;
                Self::read(&text, None).map_err(named)
            }
            Err(error) => Err(named(&error.to_string())),
        }
    }

    /// A signed JWT.
    ///
    /// # Errors
    /// The key cannot sign, which reading it has ruled out.
    pub fn sign(&self, claims: &Value, kind: &str) -> Result<String, &'static str> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some(kind.to_owned());
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| "the key does not sign")
    }
}

/// The public halves, as a JWK set.
#[must_use]
pub fn public_set(keys: &[Signing]) -> Value {
    json!({"keys": keys.iter().map(|key| &key.public).collect::<Vec<_>>()})
}

/// RFC 7638, shortened.
fn thumb(public: &Value) -> String {
    let digest = Sha256::digest(public.to_string());
    BASE64_URL_SAFE_NO_PAD.encode(&digest[..12])
}

fn from_jwk(jwk: &Value, key_id: Option<&str>) -> Option<Signing> {
    let bytes = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
    let whole = |number: BigUint| ASN1Block::Integer(0, BigInt::from(number));
    let sequence = |parts| ASN1Block::Sequence(0, parts);
    match jwk.get("kty")?.as_str()? {
        "EC" if jwk.get("crv")?.as_str()? == "P-384" => {
            // PKCS#8 around RFC 5915.
            let point = [vec![4], bytes("x")?, bytes("y")?].concat();
            let point = ASN1Block::BitString(0, point.len() * 8, point);
            let point = ASN1Block::Explicit(ASN1Class::ContextSpecific, 0, 1_u8.into(), Box::new(point));
            let inner = sequence(vec![whole(1_u8.into()), ASN1Block::OctetString(0, bytes("d")?), point]);
            let curve = [oid!(1, 2, 840, 10045, 2, 1), oid!(1, 3, 132, 0, 34)];
            let curve = sequence(curve.into_iter().map(|oid| ASN1Block::ObjectIdentifier(0, oid)).collect());
            let inner = ASN1Block::OctetString(0, to_der(&inner).ok()?);
            let der = to_der(&sequence(vec![whole(0_u8.into()), curve, inner])).ok()?;
            Signing::new(EncodingKey::from_ec_der(&der), Algorithm::ES384, key_id)
        }
        "RSA" => {
            // PKCS#1. RFC 7518, 6.3.2: with one of the primes' numbers come all of them.
            let mut parts = vec![whole(0_u8.into())];
            for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
                parts.push(whole(BigUint::from_bytes_be(&bytes(name)?)));
            }
            let der = to_der(&sequence(parts)).ok()?;
            Signing::new(EncodingKey::from_rsa_der(&der), Algorithm::RS384, key_id)
        }
        _ => None,
    }
}

/// A new P-384 key, as PEM.
fn make() -> Option<String> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).ok()?;
    let text = BASE64_STANDARD.encode(document.as_ref());
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    Some(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")))
}

fn write_once(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key.pem");
        let first = Signing::open_or_make(&path).expect("a key");
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        let second = Signing::open_or_make(&path).expect("the key");
        assert_eq!(first[0].key_id, second[0].key_id);
        let token = first[0].sign(&json!({"a": 1}), "JWT").expect("a token");
        assert_eq!(KeySet::read(&public_set(&second)).verify(&token).expect("holds")["a"], 1);
        let text = public_set(&first).to_string();
        assert!(!text.contains("\"d\"") && !format!("{first:?}").contains("EncodingKey"), "{text}");
    }

    #[test]
    fn keys_come_as_pem_and_as_jwk() {
        let rsa = Signing::read(include_str!("../../tests/fixtures/rsa-of-the-tests.pem"), Some("r")).expect("RSA");
        assert_eq!((rsa[0].key_id.as_str(), rsa[0].algorithm), ("r", Algorithm::RS384));
        let jwk: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/rsa-of-the-tests.jwk.json")).expect("JSON");
        let same = Signing::read(&jwk.to_string(), Some("r")).expect("RSA");
        assert_eq!(same[0].public, rsa[0].public);
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new()).expect("a key");
        // d is at 35 of the PKCS#8 document, the point at its end.
        let (d, point) = (&made.as_ref()[35..83], &made.as_ref()[made.as_ref().len() - 96..]);
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({"kty": "EC", "crv": "P-384", "kid": "e", "d": text(d), "x": text(&point[..48]), "y": text(&point[48..])});
        let mut next = jwk.clone();
        next["kid"] = json!("next");
        let set = json!({"keys": [jwk, next]}).to_string();
        let names =
            |key_id| Signing::read(&set, key_id).map(|all| all.into_iter().map(|key| key.key_id).collect::<Vec<_>>());
        assert_eq!(names(None), Ok(vec!["e".to_owned(), "next".into()]));
        assert_eq!(names(Some("next")), Ok(vec!["next".to_owned(), "e".into()]));
        assert!(names(Some("another")).is_err());
        let read = Signing::read(&set, None).expect("a set");
        for signing in read.iter().chain(&same) {
            let token = signing.sign(&json!({}), "JWT").expect("a token");
            assert!(KeySet::read(&public_set(std::slice::from_ref(signing))).verify(&token).is_ok());
        }
        for bad in [
            "",
            "{}",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "{\"kty\":\"oct\",\"k\":\"AAAA\"}",
        ] {
            assert!(Signing::read(bad, None).is_err(), "{bad}");
        }
    }
}
