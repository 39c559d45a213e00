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
    if parameter(&lower, "fhirversion").is_some_and(|version| !is_r4(version)) {
        return None;
    }
    match lower.split(';').next().unwrap_or_default().trim() {
        // A browser that looks in gets JSON, as by `Accept`.
        "json"
        | "html"
        | "text/html"
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
        let quality = parameter(part, "q").and_then(|text| text.parse::<f32>().ok()).unwrap_or(1.0);
        let format = match part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "*/*" | "application/*" => Some(own),
            // A browser that looks in, and what bulk clients say.
            "text/html" | "application/fhir+ndjson" => Some(Format::Json),
            _ => named(part),
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
/// 415 for what is neither, for another FHIR than R4, and for another charset than UTF-8.
pub fn is_xml(headers: &HeaderMap, verb: Verb) -> Result<bool> {
    let sent = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let unsupported = |text: &str| Err(Error::new(IssueType::NotSupported, text).with_status(415));
    if parameter(sent, "fhirVersion").is_some_and(|version| !is_r4(version)) {
        return unsupported("This server speaks FHIR R4 alone: fhirVersion=4.0, or none.");
    }
    if parameter(sent, "charset").is_some_and(|charset| !is_utf8(charset)) {
        return unsupported("Bodies are UTF-8: charset=utf-8, or none.");
    }
    let essence = sent.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match (essence.as_str(), named(&essence)) {
        ("", _) => Ok(false),
        ("application/json-patch+json" | "application/merge-patch+json", _) if verb == Verb::Patch => Ok(false),
        (essence, Some(format)) if !essence.ends_with("html") => Ok(format == Format::Xml),
        _ => {
            let text = "The body has to be FHIR, Content-Type application/fhir+json or application/fhir+xml; a patch \
                        also application/json-patch+json or application/merge-patch+json.";
            unsupported(text)
        }
    }
}

/// Whether the body says that it is a JSON Patch.
pub fn is_json_patch(headers: &HeaderMap) -> bool {
    let sent = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    sent.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json-patch+json")
}

/// The parameters of a `_search` come as a form.
///
/// # Errors
/// 415 for anything else.
pub fn is_form(headers: &HeaderMap) -> Result<()> {
    let sent = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(());
    }
    let text = "A _search takes its parameters as a form, Content-Type application/x-www-form-urlencoded.";
    Err(Error::new(IssueType::NotSupported, text).with_status(415))
}

/// A parameter of a media type, without quotes.
fn parameter<'a>(media: &'a str, name: &str) -> Option<&'a str> {
    media.split(';').skip(1).find_map(|cell| {
        let (key, value) = cell.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

fn is_r4(version: &str) -> bool {
    matches!(version, "4.0" | "4.0.0" | "4.0.1")
}

/// ASCII is UTF-8.
fn is_utf8(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
