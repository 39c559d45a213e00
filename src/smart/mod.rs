//! Keys: whose tokens are believed, what their scopes grant, our own authorization server for systems, and the
//! launch from an EHR. The network is reached through [`fetch`] alone.

pub mod cover;
pub mod crypto;
pub mod ehr;
pub mod fetch;
pub mod introspection;
pub mod keys;
pub mod launch;
pub mod limit;
pub mod pull;
pub mod scope;
pub mod session;
pub mod signing;
pub mod style;
pub mod systems;
pub mod token;
pub mod vault;
pub mod write_back;

use crate::config::{self, Auth, Config};
use fetch::Fetcher;
use introspection::Introspection;
use keys::{KeySet, RemoteKeys, Source};
use launch::Launches;
use limit::Limiter;
use serde_json::{Value, json};
use signing::Signing;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use systems::{System, Systems};
use token::Issuer;
use vault::Vault;

/// Failed or nameless requests of one address: a second, and at once.
const STRANGERS: (f64, f64) = (20.0, 200.0);
/// How long another server's discovery document is passed on before it is asked again.
const DESCRIBED_FRESH: Duration = Duration::from_secs(15 * 60);
/// After it could not be had.
const DESCRIBED_PAUSE: Duration = Duration::from_secs(30);

/// Everything of this room that a server needs.
pub struct Smart {
    /// Whose access tokens are accepted.
    pub issuers: Vec<Issuer>,
    /// The embedded authorization server, where `[[clients]]` are configured.
    pub systems: Option<Systems>,
    /// Where `[[ehrs]]` are configured.
    pub launches: Option<Launches>,
    /// By client.
    pub clients: Limiter,
    /// By address: whoever has not shown a good token.
    pub strangers: Limiter,
    /// The first issuer's own endpoints, for those who look for them here.
    described: Mutex<Option<(Instant, Value)>>,
    elsewhere: Option<(String, Fetcher)>,
    base: String,
}

impl Smart {
    /// From the configuration. Contacts nobody.
    ///
    /// # Errors
    /// A setting that cannot be; the text says what to do.
    pub fn new(config: &Config, vault: Arc<dyn Vault>) -> Result<Self, String> {
        fetch::install_tls();
        let base = config.base_url.clone();
        let rate = f64::from(config.requests_per_second);
        let mut smart = Self {
            issuers: Vec::new(),
            systems: None,
            launches: None,
            clients: Limiter::new(rate, rate * 5.0),
            strangers: Limiter::new(STRANGERS.0, STRANGERS.1),
            described: Mutex::default(),
            elsewhere: None,
            base,
        };
        if config.auth == Auth::None {
            return Ok(smart);
        }
        if !config.ehrs.is_empty() {
            smart.launches = Some(Launches::new(config, vault)?);
        }
        for issuer in &config.issuers {
            let (issuer, fetcher) = remote(issuer, &config.fhir_base())?;
            smart.elsewhere.get_or_insert_with(|| (issuer.name.clone(), fetcher));
            smart.issuers.push(issuer);
        }
        if !config.clients.is_empty() {
            let systems = systems(config)?;
            smart.issuers.push(Issuer {
                name: systems.issuer.clone(),
                audience: systems.audience.clone(),
                keys: RemoteKeys::given(KeySet::read(&signing::public_set(&systems.signing))),
                introspection: None,
            });
            smart.systems = Some(systems);
        }
        Ok(smart)
    }

    /// `.well-known/smart-configuration` of our FHIR base.
    pub async fn describe(&self) -> Value {
        let mut out = json!({
            "grant_types_supported": [],
            "scopes_supported": ["system/*.rs", "system/*.cruds", "user/*.rs", "patient/*.rs"],
            "code_challenge_methods_supported": ["S256"],
            "capabilities": ["permission-patient", "permission-user", "permission-v1", "permission-v2"],
        });
        let mut grants: Vec<&str> = Vec::new();
        let mut capabilities = vec!["permission-patient", "permission-user", "permission-v1", "permission-v2"];
        if let Some(systems) = &self.systems {
            out["issuer"] = json!(systems.issuer);
            out["jwks_uri"] = json!(format!("{}/auth/jwks", self.base));
            out["token_endpoint"] = json!(systems.token_url);
            out["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt"]);
            out["token_endpoint_auth_signing_alg_values_supported"] = json!(["RS384", "ES384"]);
            grants.push("client_credentials");
            capabilities.push("client-confidential-asymmetric");
        }
        // People sign in elsewhere: apps that look here are sent there.
        let theirs = self.theirs().await;
        for key in ["authorization_endpoint", "token_endpoint", "issuer", "jwks_uri"] {
            if theirs.get("authorization_endpoint").is_some_and(Value::is_string)
                && let Some(url) = theirs.get(key).filter(|url| url.is_string())
            {
                out[key] = url.clone();
            }
        }
        if out.get("authorization_endpoint").is_some() {
            grants.push("authorization_code");
            capabilities.extend(["launch-standalone", "context-standalone-patient", "client-public"]);
        }
        out["grant_types_supported"] = json!(grants);
        out["capabilities"] = json!(capabilities);
        out
    }

    async fn theirs(&self) -> Value {
        let Some((issuer, fetcher)) = &self.elsewhere else { return Value::Null };
        let kept = self.described.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if let Some((at, value)) = kept {
            let fresh = if value.is_null() { DESCRIBED_PAUSE } else { DESCRIBED_FRESH };
            if at.elapsed() < fresh {
                return value;
            }
        }
        let found = keys::discovery(issuer, fetcher, "authorization_endpoint").await.unwrap_or_default();
        *self.described.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some((Instant::now(), found.clone()));
        found
    }
}

fn systems(config: &Config) -> Result<Systems, String> {
    let mut clients = Vec::new();
    for client in &config.clients {
        let named = |what: &str| format!("[[clients]] {}: {what}", client.client_id);
        let keys = match (&client.jwks_file, &client.jwks_url) {
            (Some(path), None) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| named(&format!("cannot read {}: {error}", path.display())))?;
                let set = serde_json::from_str(&text).map(|set| KeySet::read(&set)).unwrap_or_default();
                if set.is_empty() {
                    return Err(named("jwks_file holds no usable public key (RSA of 2048 bits or more, or EC P-384)"));
                }
                RemoteKeys::given(set)
            }
            (None, Some(url)) => {
                let fetcher = Fetcher::new(&[url], client.allow_insecure)?;
                fetcher.allowed(url).map_err(|error| named(&format!("jwks_url: {error}")))?;
                RemoteKeys::new(Source::Url(url.clone()), fetcher)
            }
            _ => return Err(named("give jwks_file or jwks_url")),
        };
        let scopes = systems::registered(&client.scope);
        if scopes.is_empty() {
            return Err(named("scope has to hold at least one system/… scope"));
        }
        if clients.iter().any(|other: &System| other.client_id == client.client_id) {
            return Err(named("the client_id is given twice"));
        }
        clients.push(System { client_id: client.client_id.clone(), keys, scopes });
    }
    Ok(Systems {
        issuer: config.base_url.clone(),
        token_url: format!("{}/auth/token", config.base_url),
        audience: config.fhir_base(),
        signing: Signing::open_or_make(&config.signing_key_file)?,
        clients,
    })
}

fn remote(issuer: &config::Issuer, fhir_base: &str) -> Result<(Issuer, Fetcher), String> {
    let urls = [Some(issuer.issuer.as_str()), issuer.jwks_url.as_deref(), issuer.introspection_url.as_deref()];
    let urls: Vec<&str> = urls.into_iter().flatten().collect();
    let fetcher = Fetcher::new(&urls, issuer.allow_insecure)?;
    for url in &urls {
        fetcher.allowed(url).map_err(|error| format!("[[issuers]] {url}: {error} (allow_insecure is for tests)"))?;
    }
    let source = match &issuer.jwks_url {
        Some(url) => Source::Url(url.clone()),
        None => Source::Issuer(issuer.issuer.clone()),
    };
    let keys = RemoteKeys::new(source, fetcher.clone());
    let audience = issuer.audience.clone().unwrap_or_else(|| fhir_base.to_owned());
    let introspection = introspection(issuer, &fetcher)?;
    Ok((Issuer { name: issuer.issuer.clone(), audience, keys, introspection }, fetcher))
}

fn introspection(issuer: &config::Issuer, fetcher: &Fetcher) -> Result<Option<Introspection>, String> {
    let parts = (&issuer.introspection_url, &issuer.introspection_client_id, &issuer.introspection_client_secret_file);
    match parts {
        (None, None, None) => Ok(None),
        (Some(url), Some(client_id), Some(path)) => {
            let secret = std::fs::read_to_string(path)
                .map_err(|error| format!("[[issuers]] {}: cannot read {}: {error}", issuer.issuer, path.display()))?;
            Ok(Some(Introspection::new(url, client_id, secret.trim(), fetcher.clone())))
        }
        _ => Err(format!(
            "[[issuers]] {}: introspection_url, introspection_client_id and introspection_client_secret_file belong together",
            issuer.issuer
        )),
    }
}
