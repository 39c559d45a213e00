//! The RESTful interactions, on top of the pipeline and the store. The same table serves an HTTP request and a
//! Bundle entry.

mod artefact;
mod bundle;
mod detect;
mod everything;
mod history;
mod include;
mod narrow;
mod patch;
mod read;
mod search;
mod searchset;
mod validate;
mod write;

use crate::api::State;
use crate::api::access::Access;
use crate::error::{Error, Result};
use crate::fhir::bundle::{Target, Verb};
use crate::fhir::capability;
use crate::fhir::kinds::{KindRow, Writer, kind};
use crate::fhir::outcome::{Issue, IssueType};
use crate::fhir::place;
use crate::pipeline::ingest::Expected;
use crate::store::Query;
use actix_web::web::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What the `Prefer` header asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefer {
    /// `None`: not said; a request of its own then gets the resource, a Bundle entry only its response.
    pub answer: Option<Return>,
    /// `handling=strict`: an unknown search parameter is refused.
    pub strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    Minimal,
    Representation,
    OperationOutcome,
}

/// A request under the FHIR base, whatever it came in.
#[derive(Clone, Debug)]
pub struct Request {
    pub verb: Verb,
    pub target: Target,
    pub prefer: Prefer,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub if_none_exist: Option<String>,
    pub if_modified_since: Option<Timestamp>,
    pub body: Option<Value>,
    /// The body as it came.
    pub source: Option<Source>,
    /// FHIRPath before faults of the body: `Bundle.entry[3].`; empty for a request of its own.
    pub prefix: String,
    pub full_url: Option<String>,
}

/// A body as it came, to say where in it a fault is.
#[derive(Clone, Debug)]
pub struct Source {
    pub text: Bytes,
    pub is_xml: bool,
}

impl Source {
    /// `under`: as [`place::locate`] has it.
    pub fn locate<'i>(&self, under: &str, issues: impl Iterator<Item = &'i mut Issue>) {
        place::locate(&self.text, self.is_xml, under, issues);
    }
}

/// The answer to one.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    /// A whole resource, as JSON.
    pub body: Option<Arc<str>>,
    pub version: Option<u64>,
    pub updated: Option<Timestamp>,
    pub location: Option<String>,
    /// What there is to say of a write beside its status: an OperationOutcome, for `response.outcome` in a Bundle.
    pub remark: Option<Value>,
}

impl Response {
    fn json(body: &Value) -> Self {
        Self { status: 200, body: Some(body.to_string().into()), ..Self::default() }
    }

    fn text(body: String) -> Self {
        Self { status: 200, body: Some(body.into()), ..Self::default() }
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response>> + Send + 'a>>;
type Handler = for<'a> fn(&'a State, &'a Access, Request) -> Answer<'a>;

/// A part of the path: a literal, a type that is kept, an id, a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Lit(&'static str),
    Type,
    Id,
    Version,
}

struct Route {
    verb: Verb,
    path: &'static [Part],
    /// R4's code of the interaction, or the operation's name.
    code: &'static str,
    handler: Handler,
}

macro_rules! routes {
    ($($verb:ident [$($part:expr),*] $code:literal => $handler:path;)*) => {
        /// Every interaction, one line each.
        static ROUTES: &[Route] = &[$(Route {
            verb: Verb::$verb,
            path: &[$($part),*],
            code: $code,
            handler: |state, access, request| Box::pin($handler(state, access, request)),
        }),*];
    };
}

use Part::{Id, Lit, Type};
routes! {
    Post   []                                           "transaction"      => bundle::post;
    Get    [Lit("metadata")]                            "capabilities"     => read::metadata;
    Get    []                                           ""                 => search::everywhere;
    Post   [Lit("_search")]                             ""                 => search::everywhere;
    Get    [Lit("_history")]                            "history-system"   => history::system;
    Get    [Lit("Patient"), Id, Lit("$detect-rupture")] "$detect-rupture"  => detect::detect_rupture;
    Post   [Lit("Patient"), Id, Lit("$detect-rupture")] "$detect-rupture"  => detect::detect_rupture;
    Get    [Lit("Patient"), Id, Lit("$everything")]     "$everything"      => everything::everything;
    Get    [Lit("Patient"), Id, Type]                   "search-type"      => search::compartment;
    Post   [Lit("Patient"), Id, Type, Lit("_search")]   "search-type"      => search::compartment;
    Get    [Type]                                       "search-type"      => search::search;
    Post   [Type, Lit("_search")]                       "search-type"      => search::search;
    Post   [Type, Lit("$validate")]                     "$validate"        => validate::validate;
    Post   [Type, Id, Lit("$validate")]                 "$validate"        => validate::validate;
    Get    [Type, Id, Lit("$validate")]                 "$validate"        => validate::stored;
    Get    [Type, Lit("_history")]                      "history-type"     => history::of_type;
    Get    [Type, Id]                                   "read"             => read::read;
    Get    [Type, Id, Lit("_history")]                  "history-instance" => history::instance;
    Get    [Type, Id, Lit("_history"), Part::Version]   "vread"            => read::vread;
    Post   [Type]                                       "create"           => write::create;
    Put    [Type]                                       "update"           => write::update;
    Put    [Type, Id]                                   "update"           => write::update;
    Patch  [Type]                                       "patch"            => patch::patch;
    Patch  [Type, Id]                                   "patch"            => patch::patch;
    Delete [Type]                                       "delete"           => write::delete;
    Delete [Type, Id]                                   "delete"           => write::delete;
}

/// The interactions and operations (`$…`) of the table, each once: what the CapabilityStatement claims.
pub fn interactions() -> impl Iterator<Item = &'static str> {
    let first = |at: usize, code: &str| ROUTES.iter().position(|route| route.code == code) == Some(at);
    let own = ROUTES.iter().enumerate().filter(move |(at, route)| first(*at, route.code)).map(|(_, route)| route.code);
    own.chain(super::bulk::OPERATIONS.iter().copied())
}

/// Finds the line of the table and carries it out.
///
/// # Errors
/// Those of the interaction; 404 for a type or path that is not here, 405 for a method that the path does not take.
pub async fn answer(state: &State, access: &Access, mut request: Request) -> Result<Response> {
    if request.verb == Verb::Head {
        request.verb = Verb::Get;
    }
    let path = request.target.path.clone();
    if let Some(route) = ROUTES.iter().find(|route| route.verb == request.verb && fits(route.path, &path)) {
        return (route.handler)(state, access, request).await;
    }
    Err(no_route(&path))
}

/// The methods that a path takes, for `Allow`; none where there is nothing.
#[must_use]
pub fn allowed(path: &[String]) -> Vec<&'static str> {
    let mut methods = Vec::new();
    for route in ROUTES.iter().filter(|route| fits(route.path, path)) {
        let takes: &[&str] = match route.verb {
            Verb::Get => &["GET", "HEAD"],
            Verb::Post => &["POST"],
            Verb::Put => &["PUT"],
            Verb::Patch => &["PATCH"],
            Verb::Delete => &["DELETE"],
            Verb::Head => &[],
        };
        if is_open(route, path) {
            methods.extend(takes.iter().filter(|method| !methods.contains(*method)).copied().collect::<Vec<_>>());
        }
    }
    if !methods.is_empty() {
        methods.push("OPTIONS");
    }
    methods
}

/// Whether anybody may use the route on the type that the path names.
fn is_open(route: &Route, path: &[String]) -> bool {
    let name = path.first().map_or("", String::as_str);
    let writes = capability::WRITES.contains(&route.code);
    if artefact::is_kind(name) && kind(name).is_none() {
        return matches!(route.code, "read" | "search-type");
    }
    // A judgement is posted, or put.
    let judged = name == "Observation" && matches!(route.code, "create" | "update");
    !writes || judged || kind(name).is_none_or(|row| row.writer == Writer::Others)
}

fn fits(pattern: &[Part], path: &[String]) -> bool {
    pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(part, text)| match part {
            Lit(name) => text == name,
            Type => kind(text).is_some() || artefact::is_kind(text),
            Id => is_id(text),
            Part::Version => text.parse::<u64>().is_ok(),
        })
}

fn no_route(path: &[String]) -> Error {
    if ROUTES.iter().any(|route| fits(route.path, path)) {
        return Error::new(IssueType::NotSupported, "This interaction is not supported here.").with_status(405);
    }
    match path.first() {
        Some(name) if kind(name).is_none() => {
            Error::new(IssueType::NotSupported, "This server does not keep resources of this type; see metadata.")
                .with_status(404)
        }
        Some(_) if path.get(1).is_some_and(|id| !is_id(id)) => {
            Error::new(IssueType::Value, "An id is 1 to 64 letters, digits, '-' or '.'.").with_status(400)
        }
        _ => Error::new(IssueType::NotFound, "There is nothing at this path."),
    }
}

/// R4's id: `[A-Za-z0-9\-\.]{1,64}`.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// Narrows a query, and every one inside it, to what the asker may find.
///
/// # Errors
/// 403 where a type, itself or by way of a reference, may not be searched.
fn may_ask(access: &Access, query: &mut Query) -> Result<()> {
    query.walk(&mut |query| {
        access.search(query.kind)?;
        access.restrict(query);
        Ok(())
    })
}

/// The row of the type that the path begins with.
fn row(request: &Request) -> Result<&'static KindRow> {
    request.target.path.first().and_then(|name| kind(name)).ok_or_else(|| {
        Error::new(IssueType::NotSupported, "This server does not keep resources of this type.").with_status(404)
    })
}

/// The row, if others may write the type.
fn writable(request: &Request) -> Result<&'static KindRow> {
    if request.target.path.first().is_some_and(|name| artefact::is_kind(name) && kind(name).is_none()) {
        let text = "Resources of this type are part of this server; they can be read and searched.";
        return Err(Error::new(IssueType::NotSupported, text).with_status(405));
    }
    let row = row(request)?;
    if row.writer == Writer::Ours {
        let text =
            format!("{} is written by this server alone; it can be read, searched and followed in history.", row.name);
        return Err(Error::new(IssueType::NotSupported, text).with_status(405));
    }
    Ok(row)
}

/// If-Match: an ETag of ours, or `*` for anything that stands.
fn expected(tag: &str) -> Result<Expected> {
    if tag.trim() == "*" { Ok(Expected::Any) } else { version_of(tag).map(Expected::Version) }
}

/// `W/"3"` or `"3"` as a version.
fn version_of(tag: &str) -> Result<u64> {
    tag.trim().trim_start_matches("W/").trim_matches('"').parse().map_err(|_| {
        Error::new(IssueType::Value, "If-Match takes an ETag of this server, such as W/\"3\".").with_status(400)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_r4_says() {
        assert!(is_id("a-B.9"));
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn etags_weak_and_strong() {
        assert_eq!(version_of("W/\"3\"").expect("weak"), 3);
        assert_eq!(version_of("\"12\"").expect("strong"), 12);
        assert!(version_of("x").is_err());
    }
}
