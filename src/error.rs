//! One Error for the whole server: what a client may be told, and beside it what the log may know.

use crate::fhir::outcome::{Issue, IssueType, status_of};
use crate::store::StoreError;

/// A refusal or a failure. `issues` go to the client; `source` goes to the log, once, at the border.
#[derive(Debug)]
pub struct Error {
    pub status: u16,
    pub issues: Vec<Issue>,
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Seconds after which to try again, for 429 and 503.
    pub retry_after_seconds: Option<u32>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The status follows from the issue type (the table in `fhir::outcome`).
    #[must_use]
    pub fn new(code: IssueType, diagnostics: impl Into<String>) -> Self {
        Self::from(Issue::error(code, diagnostics))
    }

    /// The same with a status of its own: 412 for a conflict on If-Match, 405, 501.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Of what stands in a URL: a value that cannot be makes a bad request there (R4, search), not content that
    /// cannot be processed.
    #[must_use]
    pub fn of_query(issues: impl Into<Self>) -> Self {
        let error: Self = issues.into();
        if error.status == 422 { error.with_status(400) } else { error }
    }

    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        if let Some(issue) = self.issues.first_mut() {
            issue.expression = Some(expression.into());
        }
        self
    }

    #[must_use]
    pub fn not_found(kind: &str, id: &str) -> Self {
        // The id was in the request's own URL; it is not said back, it may be anything.
        let _ = id;
        Self::new(IssueType::NotFound, format!("There is no such {kind}."))
    }
}

impl From<Issue> for Error {
    fn from(issue: Issue) -> Self {
        Self { status: status_of(issue.code), issues: vec![issue], source: None, retry_after_seconds: None }
    }
}

impl From<Vec<Issue>> for Error {
    /// Several faults of one request: the most basic one gives the status. That there are more than are listed
    /// does not make the request too large.
    fn from(issues: Vec<Issue>) -> Self {
        let statuses = || issues.iter().filter(|issue| issue.refuses()).map(|issue| issue.code);
        let basic = statuses().filter(|code| *code != IssueType::TooCostly).map(status_of).min();
        let status = basic.or_else(|| statuses().map(status_of).min()).unwrap_or(400);
        Self { status, issues, source: None, retry_after_seconds: None }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::new(IssueType::Conflict, "Another write came first. Read again, then retry."),
            StoreError::Busy => Self {
                retry_after_seconds: Some(1),
                ..Self::new(IssueType::Transient, "Too many writes are waiting at the moment. Nothing was stored.")
            },
            StoreError::BadCursor => {
                Self::new(IssueType::Value, "The page link is not one of this server, or is too old.").with_status(400)
            }
            StoreError::Unavailable(source) => Self {
                source: Some(source),
                retry_after_seconds: Some(2),
                ..Self::new(IssueType::Transient, "The database is not available at the moment. Nothing was stored.")
            },
            StoreError::Failed(source) => Self {
                source: Some(source),
                ..Self::new(IssueType::Exception, "The server failed. It has been logged.")
            },
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.issues.first() {
            Some(issue) => write!(f, "{}", issue.diagnostics),
            None => write!(f, "status {}", self.status),
        }
    }
}

impl std::error::Error for Error {}
