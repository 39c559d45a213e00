//! JSON or XML: of bodies by their Content-Type, of answers by `_format`, then `Accept`, then the body's own.

use crate::error::{Error, Result};
use crate::fhir::bundle::{Verb, pairs};
use crate::fhir::outcome::IssueType;
use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Xml,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub format: Format,
    /// `_pretty=true`: JSON with line breaks.
    pub pretty: bool,
}

/// What the request asks for; `None`: something that is not to be had here.
pub fn asked(http: &HttpRequest) -> Option<Form> {
    let query = pairs(http.query_string());
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let pretty = value("_pretty") == Some("true");
    let format = match value("_format") {
        Some(format) => named(format)?,
        None => accepted(http.headers())?,
    };
    Some(Form { format, pretty })
}

/// A media type, or a short name; in a query a plus is a blank.
fn named(text: &str) -> Option<Format> {
    let lower = text.to_ascii_lowercase();
    match lower.split(';').next().unwrap_or_default().trim() {
        "json"
        | "application/json"
        | "application/fhir+json"
        | "application/fhir json"
        | "text/json"
        | "application/json+fhir" => Some(Format::Json),
        "xml"
        | "application/xml"
        | "application/fhir+xml"
        | "application/fhir xml"
        | "text/xml"
        | "application/xml+fhir" => Some(Format::Xml),
        _ => None,
    }
}

/// The best of `Accept` by its quality, the first of equals; nothing said: as the body came.
fn accepted(headers: &HeaderMap) -> Option<Format> {
    let own = text(headers, header::CONTENT_TYPE).and_then(named).unwrap_or_default();
    let accept = text(headers, header::ACCEPT).unwrap_or_default();
    if accept.trim().is_empty() {
        return Some(own);
    }
    let mut best: Option<(f32, Format)> = None;
    for part in accept.split(',') {
        let mut cells = part.split(';').map(str::trim);
        let kind = cells.next().unwrap_or_default().to_ascii_lowercase();
        let quality = cells.find_map(|cell| cell.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        let format = match kind.as_str() {
            "*/*" | "application/*" => Some(own),
            // A browser that looks in, and what bulk clients say.
            "text/html" | "application/fhir+ndjson" => Some(Format::Json),
            kind => named(kind),
        };
        if let Some(format) = format
            && quality > best.map_or(0.0, |(quality, _)| quality)
        {
            best = Some((quality, format));
        }
    }
    best.map(|(_, format)| format)
}

/// Whether the body is XML; nothing said counts as JSON.
///
/// # Errors
/// 415 for what is neither.
pub fn is_xml(headers: &HeaderMap, verb: Verb) -> Result<bool> {
    let sent = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match (essence.as_str(), named(&essence)) {
        ("", _) => Ok(false),
        ("application/json-patch+json", _) if verb == Verb::Patch => Ok(false),
        (_, Some(format)) => Ok(format == Format::Xml),
        _ => {
            let text = "The body has to be FHIR, Content-Type application/fhir+json or application/fhir+xml; a patch \
                        also application/json-patch+json.";
            Err(Error::new(IssueType::NotSupported, text).with_status(415))
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
