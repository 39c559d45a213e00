//! Pages of other sites, in a browser on this machine: with `auth = "none"` the address is all that protects, and
//! a browser would lend it to any page. So a request has to be for us by name (a rebound name is not), and a
//! write has to come from no page, or from ours.

use super::State;
use crate::error::{Error, Result};
use crate::fhir::outcome::IssueType;
use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header;

/// # Errors
/// 403 for a Host that is neither this machine nor ours, and for a write from another origin.
pub fn own(state: &State, http: &HttpRequest) -> Result<()> {
    let forbidden = |text: &str| Err(Error::new(IssueType::Forbidden, text));
    let text = |name| http.headers().get(name).and_then(|value| value.to_str().ok());
    let base = &state.config.base_url;
    let ours = base.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let host = http.uri().authority().map(|authority| authority.as_str()).or_else(|| text(header::HOST));
    if let Some(host) = host
        && !(host.eq_ignore_ascii_case(ours) || is_this_machine(host))
    {
        return forbidden("This server answers under its own name alone.");
    }
    if matches!(*http.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    // The pages send no referrer, so their forms say "Origin: null"; the token in each form speaks for them.
    if http.path().starts_with("/app/") { Ok(()) } else { same(state, http) }
}

/// # Errors
/// 403 for a request that another origin's page sends.
fn same(state: &State, http: &HttpRequest) -> Result<()> {
    let text = |name| http.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let after = |url: &str| url.split_once("://").map_or_else(String::new, |(_, rest)| rest.to_ascii_lowercase());
    let host = http.uri().authority().map(|authority| authority.as_str()).or_else(|| text(header::HOST));
    let name = after(origin);
    let ours = after(&state.config.base_url);
    let ours = ours.split('/').next().unwrap_or_default();
    if !name.is_empty() && (name == ours || host.is_some_and(|host| name.eq_ignore_ascii_case(host))) {
        return Ok(());
    }
    Err(Error::new(IssueType::Forbidden, "Pages of other sites do not write here."))
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
