//! Keys: whose tokens are believed, what their scopes grant, our own authorization server for systems, and the
//! launch from an EHR. The network is reached through [`fetch`] alone.

pub mod fetch;
pub mod keys;
pub mod scope;
pub mod token;

use crate::config::{self, Auth, Config};
use fetch::Fetcher;
use keys::{RemoteKeys, Source};
use token::Issuer;

/// Everything of this room that a server needs.
pub struct Smart {
    /// Whose access tokens are accepted.
    pub issuers: Vec<Issuer>,
}

impl Smart {
    /// From the configuration. Contacts nobody.
    ///
    /// # Errors
    /// A setting that cannot be; the text says what to do.
    pub fn new(config: &Config) -> Result<Self, String> {
        fetch::install_tls();
        let mut issuers = Vec::new();
        if config.auth == Auth::Smart {
            for issuer in &config.issuers {
                issuers.push(remote(issuer, &config.fhir_base())?);
            }
        }
        Ok(Self { issuers })
    }
}

fn remote(issuer: &config::Issuer, fhir_base: &str) -> Result<Issuer, String> {
    let urls = [Some(issuer.issuer.as_str()), issuer.jwks_url.as_deref()];
    let urls: Vec<&str> = urls.into_iter().flatten().collect();
    let fetcher = Fetcher::new(&urls, issuer.allow_insecure)?;
    for url in &urls {
        fetcher.allowed(url).map_err(|error| format!("[[issuers]] {url}: {error} (allow_insecure is for tests)"))?;
    }
    let source = match &issuer.jwks_url {
        Some(url) => Source::Url(url.clone()),
        None => Source::Issuer(issuer.issuer.clone()),
    };
    Ok(Issuer {
        name: issuer.issuer.clone(),
        audience: issuer.audience.clone().unwrap_or_else(|| fhir_base.to_owned()),
        keys: RemoteKeys::new(source, fetcher),
    })
}
