//! Keys that others sign with, and the check of a signature: the algorithm comes from the key, never from the
//! token; what a token says of where its key is (`jku`, `x5u`, `jwk`, `x5c`) is not looked at.

use super::fetch::{DOCUMENT_BYTES_MAX, FetchError, Fetcher};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Longest token that is looked at, bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Keys of one set that are kept.
const KEYS_MAX: usize = 100;
/// Keys that are tried for a token that names none.
const TRIES_MAX: usize = 8;
/// Shortest RSA modulus, bytes.
const RSA_BYTES_MIN: usize = 256;
/// A set is fetched anew after this long.
const FRESH: Duration = Duration::from_secs(15 * 60);
/// While its source is away, it is believed for this long.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two fetches, whatever the reason.
const PAUSE: Duration = Duration::from_secs(60);
/// Between two tries while there are no keys at all.
const PAUSE_EMPTY: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Key {
    id: Option<String>,
    /// Those it may be used with: its own `alg`, or those of its type.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// A JWK set, as far as it is understood.
#[derive(Clone, Default)]
pub struct KeySet(Vec<Key>);

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not a signed JWT.
    Malformed,
    /// None of the keys has the token's key id, or fits its algorithm.
    UnknownKey,
    Signature,
}

/// A token's header, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub algorithm: Algorithm,
    pub key_id: Option<String>,
}

/// Reads a token's header without believing it.
///
/// # Errors
/// No signed JWT: `none` is no algorithm here.
pub fn header(token: &str) -> Result<Header, Fault> {
    let part = part(token, 0)?;
    let text = |key: &str| part.get(key).and_then(Value::as_str);
    let algorithm = text("alg").and_then(|name| name.parse().ok()).ok_or(Fault::Malformed)?;
    // An extension that has to be understood is not.
    if part.get("crit").is_some() || part.get("enc").is_some() {
        return Err(Fault::Malformed);
    }
    Ok(Header { algorithm, key_id: text("kid").map(str::to_owned) })
}

/// A token's claims before its signature is checked: to find out whose keys to use, for nothing else.
///
/// # Errors
/// No JWT.
pub fn unverified_claims(token: &str) -> Result<Value, Fault> {
    part(token, 1)
}

fn part(token: &str, place: usize) -> Result<Value, Fault> {
    if token.len() > TOKEN_BYTES_MAX || token.split('.').count() != 3 {
        return Err(Fault::Malformed);
    }
    let text = token.split('.').nth(place).ok_or(Fault::Malformed)?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::Malformed)?;
    serde_json::from_slice::<Value>(&bytes).ok().filter(Value::is_object).ok_or(Fault::Malformed)
}

impl KeySet {
    /// Reads a JWK set. Keys that are not for signatures, secret, weak or not understood are left out.
    #[must_use]
    pub fn read(set: &Value) -> Self {
        super::crypto::install();
        let keys = set.get("keys").and_then(Value::as_array).into_iter().flatten().take(KEYS_MAX);
        Self(keys.filter_map(key).collect())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn candidates<'a>(&'a self, header: &'a Header) -> impl Iterator<Item = &'a Key> {
        self.0
            .iter()
            .filter(|key| header.key_id.is_none() || key.id == header.key_id)
            .filter(|key| key.algorithms.contains(&header.algorithm))
            .take(TRIES_MAX)
    }

    /// The claims, if one of the keys signed them. Nothing else is judged.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn verify(&self, token: &str) -> Result<Value, Fault> {
        let header = header(token)?;
        let mut fault = Fault::UnknownKey;
        for key in self.candidates(&header) {
            let mut validation = Validation::new(header.algorithm);
            validation.algorithms.clone_from(&key.algorithms);
            // Ours to check, by our own clock.
            validation.required_spec_claims.clear();
            validation.validate_exp = false;
            validation.validate_aud = false;
            match jsonwebtoken::decode::<Value>(token, &key.key, &validation) {
                Ok(data) => return Ok(data.claims),
                Err(_) => fault = Fault::Signature,
            }
        }
        Err(fault)
    }
}

fn key(value: &Value) -> Option<Key> {
    let mut public = value.as_object()?.clone();
    // A set that shows private parts is used for its public ones; certificates are not looked at.
    for part in ["d", "p", "q", "dp", "dq", "qi", "oth", "x5c", "x5u", "x5t", "x5t#S256", "key_ops"] {
        public.remove(part);
    }
    let jwk: Jwk = serde_json::from_value(Value::Object(public)).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|use_| *use_ != PublicKeyUse::Signature) {
        return None;
    }
    let of_type: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let modulus = BASE64_URL_SAFE_NO_PAD.decode(&rsa.n).ok()?;
            if modulus.iter().skip_while(|byte| **byte == 0).count() < RSA_BYTES_MIN {
                return None;
            }
            use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
            &[RS256, RS384, RS512, PS256, PS384, PS512]
        }
        AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => return None,
    };
    let algorithms = match value.get("alg").and_then(Value::as_str) {
        None => of_type.to_vec(),
        Some(name) => {
            let own = name.parse::<Algorithm>().ok().filter(|own| of_type.contains(own))?;
            vec![own]
        }
    };
    Some(Key { id: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(&jwk).ok()? })
}

/// Where a set is.
#[derive(Clone, Debug)]
pub enum Source {
    Url(String),
    /// Through the discovery document of this issuer.
    Issuer(String),
    /// It is here, and stays as it is.
    Given,
}

/// A key set of somebody else's: fetched when it is needed, kept, and fetched again when a token names a key it
/// does not have, once a minute at most.
pub struct RemoteKeys {
    source: Source,
    fetcher: Option<Fetcher>,
    kept: RwLock<Kept>,
    fetching: Mutex<()>,
}

#[derive(Clone, Default)]
struct Kept {
    keys: Arc<KeySet>,
    fetched: Option<Instant>,
    /// The last fetch after the first: rotation right after a start is seen at once, and unknown keys cost one
    /// fetch a minute.
    renewed: Option<Instant>,
}

impl RemoteKeys {
    #[must_use]
    pub fn new(source: Source, fetcher: Fetcher) -> Self {
        Self { source, fetcher: Some(fetcher), kept: RwLock::default(), fetching: Mutex::default() }
    }

    #[must_use]
    pub fn given(keys: KeySet) -> Self {
        let kept = Kept { keys: Arc::new(keys), ..Kept::default() };
        Self { source: Source::Given, fetcher: None, kept: RwLock::new(kept), fetching: Mutex::default() }
    }

    fn kept(&self) -> Kept {
        self.kept.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The claims, if one of the keys signed them.
    ///
    /// # Errors
    /// `Err(Some)`: what is wrong with the token. `Err(None)`: the keys cannot be had at the moment.
    pub async fn verify(&self, token: &str) -> Result<Value, Option<Fault>> {
        header(token)?;
        let kept = self.kept();
        let Some(fetcher) = &self.fetcher else { return Ok(kept.keys.verify(token)?) };
        let fresh = kept.fetched.is_some_and(|at| at.elapsed() < FRESH);
        if fresh {
            match kept.keys.verify(token) {
                // Rotated, perhaps, even under the same id.
                Err(Fault::UnknownKey | Fault::Signature) => {}
                done => return Ok(done?),
            }
        }
        let kept = self.renew(fetcher).await;
        if kept.fetched.is_none_or(|at| at.elapsed() > STALE) {
            return Err(None);
        }
        Ok(kept.keys.verify(token)?)
    }

    /// Fetches the set, unless that was tried a moment ago; what could not be fetched stays as it was.
    async fn renew(&self, fetcher: &Fetcher) -> Kept {
        let _one_at_a_time = self.fetching.lock().await;
        let kept = self.kept();
        let first = kept.fetched.is_none();
        let pause = if first { PAUSE_EMPTY } else { PAUSE };
        if kept.renewed.is_some_and(|at| at.elapsed() < pause) {
            return kept;
        }
        let found = fetch(&self.source, fetcher).await;
        let mut kept = self.kept.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.renewed = Some(Instant::now());
        match found {
            Ok(keys) => {
                kept.renewed = kept.renewed.filter(|_| !first);
                kept.keys = Arc::new(keys);
                kept.fetched = Some(Instant::now());
            }
            Err(error) => tracing::warn!(%error, "a key set could not be fetched"),
        }
        kept.clone()
    }
}

async fn fetch(source: &Source, fetcher: &Fetcher) -> Result<KeySet, FetchError> {
    let url = match source {
        Source::Given => return Err(FetchError::Refused("the set is given")),
        Source::Url(url) => url.clone(),
        Source::Issuer(issuer) => discover(issuer, fetcher).await?,
    };
    let set = fetcher.get(&url, None, DOCUMENT_BYTES_MAX).await?;
    if set.get("keys").is_none_or(|keys| !keys.is_array()) {
        return Err(FetchError::NotJson);
    }
    Ok(KeySet::read(&set))
}

async fn discover(issuer: &str, fetcher: &Fetcher) -> Result<String, FetchError> {
    let document = discovery(issuer, fetcher, "jwks_uri").await?;
    document.get("jwks_uri").and_then(Value::as_str).map(str::to_owned).ok_or(FetchError::NotJson)
}

/// The issuer's discovery document, OpenID's, OAuth's or SMART's: the first that has `wanted`.
///
/// # Errors
/// None can be had.
pub async fn discovery(issuer: &str, fetcher: &Fetcher, wanted: &str) -> Result<Value, FetchError> {
    let plain = issuer.trim_end_matches('/');
    let mut urls = vec![format!("{plain}/.well-known/openid-configuration")];
    if let Ok(url) = fetcher.allowed(issuer) {
        let origin = url.origin().ascii_serialization();
        let path = url.path().trim_end_matches('/');
        urls.push(format!("{origin}/.well-known/oauth-authorization-server{path}"));
    }
    urls.push(format!("{plain}/.well-known/smart-configuration"));
    let mut last = FetchError::NotJson;
    for url in urls {
        match fetcher.get(&url, None, DOCUMENT_BYTES_MAX).await {
            Ok(document) => {
                // Another's document is not this issuer's.
                if document.get("issuer").and_then(Value::as_str).is_some_and(|named| named != issuer) {
                    last = FetchError::Refused("the discovery document is of another issuer");
                    continue;
                }
                if document.get(wanted).is_some_and(Value::is_string) {
                    return Ok(document);
                }
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
