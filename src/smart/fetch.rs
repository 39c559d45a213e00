//! Outgoing HTTP, on a leash: no redirects, no proxies, https and public addresses alone, capped in size and time.
//!
//! The addresses are judged when they are resolved for the connection itself, so that a name cannot show one
//! address to a check and another to the connection. A host that the operator wrote into the configuration may be
//! on a private network (hospitals have them), never on loopback or link-local; a host that a discovery document
//! names has to be public.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Method, RequestBuilder, Url, redirect};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const CONNECT_SECONDS_MAX: u64 = 5;
const ANSWER_SECONDS_MAX: u64 = 15;
/// Discovery documents, key sets, token answers.
pub const DOCUMENT_BYTES_MAX: usize = 512 * 1024;
/// A `smart_style_url`.
pub const STYLE_BYTES_MAX: usize = 16 * 1024;

/// Why something was not fetched. Holds no URL, no token, nothing that was sent back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("the address may not be contacted: {0}")]
    Refused(&'static str),
    #[error("there was no answer: {0}")]
    Away(&'static str),
    /// The status, and OAuth's `error` where the answer has one we know.
    #[error("the answer was {0}")]
    Status(u16, Option<&'static str>),
    #[error("the answer was too long")]
    TooLong,
    #[error("the answer was not the JSON expected")]
    NotJson,
}

/// How a resource is written.
#[derive(Clone, Copy, Debug)]
pub enum Writing<'a> {
    Create { if_none_exist: &'a str },
    Update { if_match: Option<&'a str> },
}

/// An HTTP client for one issuer or EHR.
#[derive(Clone)]
pub struct Fetcher {
    client: Client,
    guard: Guard,
}

#[derive(Clone)]
struct Guard {
    /// Named by the operator.
    hosts: Arc<[String]>,
    insecure: bool,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetcher")
    }
}

/// Installs the TLS provider of the process, once.
pub fn install_tls() {
    // A second call finds the first one's: the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Fetcher {
    /// `urls`: those that the operator wrote down.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(urls: &[&str], insecure: bool) -> Result<Self, String> {
        install_tls();
        let hosts = urls.iter().filter_map(|url| Url::parse(url).ok()?.host_str().map(str::to_ascii_lowercase));
        let guard = Guard { hosts: hosts.collect(), insecure };
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .https_only(!insecure)
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
            .dns_resolver(Arc::new(guard.clone()))
            .user_agent(concat!("tautline/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("no HTTP client: {error}"))?;
        Ok(Self { client, guard })
    }

    /// The URL, if it may be contacted as far as can be told without resolving it.
    ///
    /// # Errors
    /// Not https, credentials in it, an address that is not public.
    pub fn allowed(&self, url: &str) -> Result<Url, FetchError> {
        let url = Url::parse(url).map_err(|_| FetchError::Refused("it is no URL"))?;
        let scheme_fits = url.scheme() == "https" || (self.guard.insecure && url.scheme() == "http");
        if !scheme_fits {
            return Err(FetchError::Refused("it has to be https"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(FetchError::Refused("it carries more than an address"));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        if host.is_empty() {
            return Err(FetchError::Refused("it names no host"));
        }
        if let Ok(ip) = host.parse::<IpAddr>()
            && !self.guard.takes(&host, ip)
        {
            return Err(FetchError::Refused("it is not a public address"));
        }
        let local = host == "localhost" || host.ends_with(".localhost") || host.ends_with(".local");
        if local && !self.guard.insecure {
            return Err(FetchError::Refused("it is not a public address"));
        }
        Ok(url)
    }

    /// GET a JSON document.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn get(&self, url: &str, bearer: Option<&str>, bytes_max: usize) -> Result<Value, FetchError> {
        let url = self.allowed(url)?;
        let mut request = self.client.request(Method::GET, url);
        request = match bearer {
            Some(token) => request.header("accept", "application/fhir+json").bearer_auth(token),
            None => request.header("accept", "application/json"),
        };
        answer(request, bytes_max).await
    }

    /// Writes a resource; what the answer holds, `Null` where it is empty.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn write(&self, how: Writing<'_>, url: &str, bearer: &str, body: &Value) -> Result<Value, FetchError> {
        let url = self.allowed(url)?;
        let (method, condition) = match how {
            Writing::Create { if_none_exist } => (Method::POST, Some(("if-none-exist", if_none_exist))),
            Writing::Update { if_match } => (Method::PUT, if_match.map(|tag| ("if-match", tag))),
        };
        let mut request = self
            .client
            .request(method, url)
            .header("accept", "application/fhir+json")
            .header("content-type", "application/fhir+json")
            .header("prefer", "return=representation")
            .bearer_auth(bearer)
            .body(body.to_string());
        if let Some((name, value)) = condition {
            request = request.header(name, value);
        }
        match answer(request, DOCUMENT_BYTES_MAX).await {
            Err(FetchError::NotJson) => Ok(Value::Null),
            other => other,
        }
    }

    /// POST a form.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn post_form(&self, url: &str, basic: Option<&str>, pairs: &[(&str, &str)]) -> Result<Value, FetchError> {
        let url = self.allowed(url)?;
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let mut request = self
            .client
            .request(Method::POST, url)
            .header("accept", "application/json")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        if let Some(basic) = basic {
            request = request.header("authorization", format!("Basic {basic}"));
        }
        answer(request, DOCUMENT_BYTES_MAX).await
    }
}

async fn answer(request: RequestBuilder, bytes_max: usize) -> Result<Value, FetchError> {
    let away = |error: reqwest::Error| match (error.is_timeout(), error.is_connect()) {
        (true, _) => FetchError::Away("it took too long"),
        (_, true) => FetchError::Away("no connection"),
        _ => FetchError::Away("the connection broke"),
    };
    let mut response = request.send().await.map_err(away)?;
    let status = response.status();
    if response.content_length().is_some_and(|length| length > bytes_max as u64) {
        return Err(FetchError::TooLong);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(away)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    let json = serde_json::from_slice::<Value>(&body);
    if !status.is_success() {
        let code = json.ok().as_ref().and_then(|value| oauth_error(value.get("error")?.as_str()?));
        return Err(FetchError::Status(status.as_u16(), code));
    }
    json.map_err(|_| FetchError::NotJson)
}

/// OAuth's own words; others' are not said back.
#[must_use]
pub fn oauth_error(code: &str) -> Option<&'static str> {
    const KNOWN: &[&str] = &[
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "login_required",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
    ];
    KNOWN.iter().find(|known| **known == code).copied()
}

impl Guard {
    fn takes(&self, host: &str, ip: IpAddr) -> bool {
        if self.insecure {
            return true;
        }
        match reach(ip) {
            Reach::Public => true,
            Reach::Private => self.hosts.iter().any(|named| named.trim_matches(['[', ']']) == host),
            Reach::Never => false,
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_ascii_lowercase();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let taken: Vec<SocketAddr> = found.into_iter().filter(|at| guard.takes(&host, at.ip())).collect();
            if taken.is_empty() {
                return Err("the name has no address that may be contacted".into());
            }
            Ok(Box::new(taken.into_iter()) as Addrs)
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Never,
}

/// Where an address is. IPv6 that carries IPv4 counts as that.
fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            if v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a, b, c) == (192, 0, 0)
                || (a == 198 && (b & 0xfe) == 18)
            {
                Reach::Never
            } else if v4.is_private() || (a == 100 && (b & 0xc0) == 64) {
                Reach::Private
            } else {
                Reach::Public
            }
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped() {
                return reach(v4.into());
            }
            let parts = v6.segments();
            // 6to4, Teredo, NAT64, and the old "compatible" form hide an IPv4 address.
            let hides = parts[0] == 0x2002
                || (parts[0] == 0x2001 && parts[1] == 0)
                || (parts[0] == 0x64 && parts[1] == 0xff9b)
                || parts[..6].iter().all(|part| *part == 0);
            if v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || (parts[0] & 0xffc0) == 0xfe80
                || (parts[0] == 0x2001 && parts[1] == 0xdb8)
                || hides
            {
                Reach::Never
            } else if (parts[0] & 0xfe00) == 0xfc00 {
                Reach::Private
            } else {
                Reach::Public
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_nobodys_business() {
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "ff02::1",
            "198.18.0.1",
            "0.1.2.3",
        ] {
            assert_eq!(reach(ip.parse().expect("an address")), Reach::Never, "{ip}");
        }
        for ip in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"] {
            assert_eq!(reach(ip.parse().expect("an address")), Reach::Private, "{ip}");
        }
        for ip in ["8.8.8.8", "2606:4700::1"] {
            assert_eq!(reach(ip.parse().expect("an address")), Reach::Public, "{ip}");
        }
    }

    #[test]
    fn urls_that_are_refused_without_a_packet() {
        let fetcher = Fetcher::new(&["https://ehr.example/fhir", "https://10.1.1.1/fhir"], false).expect("a client");
        for url in [
            "http://ehr.example/",
            "file:///etc/passwd",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://localhost/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://169.254.169.254/",
            "https://10.0.0.2/",
            "https://user:pass@ehr.example/",
            "https://ehr.example/#x",
            "gopher://x",
            "",
            "https://a.localhost/",
        ] {
            assert!(fetcher.allowed(url).is_err(), "{url}");
        }
        for url in ["https://ehr.example/x", "https://10.1.1.1/token"] {
            assert!(fetcher.allowed(url).is_ok(), "{url}");
        }
    }
}
