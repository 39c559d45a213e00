//! What went wrong, in FHIR's words: issues, the status each stands for, and the OperationOutcome.
//!
//! Diagnostics say what was expected, never what was sent: a value may be about a person.

use super::place::Place;
use serde_json::{Value, json};

/// How bad an issue is. `Fatal` is kept for input that could not be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Fatal,
    Error,
    Warning,
    Information,
}

impl Severity {
    /// The code of <http://hl7.org/fhir/issue-severity>.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

/// One row per issue type: variant, code of <http://hl7.org/fhir/issue-type>, HTTP status.
/// The whole error policy of the server is this table.
macro_rules! issue_types {
    ($($variant:ident $code:literal $status:literal)*) => {
        /// A code of <http://hl7.org/fhir/issue-type>.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum IssueType { $($variant),* }

        impl IssueType {
            /// Every issue type, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The FHIR code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }
        }

        /// The HTTP status that an issue of this type stands for. `NotSupported` is 400 for content;
        /// a caller who refuses an interaction as a whole says 501. `Conflict` is 412 on If-Match.
        #[must_use]
        pub const fn status_of(code: IssueType) -> u16 {
            match code { $(IssueType::$variant => $status),* }
        }
    };
}

issue_types! {
    Structure       "structure"        400
    Invalid         "invalid"          400
    Required        "required"         422
    Value           "value"            422
    CodeInvalid     "code-invalid"     422
    Invariant       "invariant"        422
    BusinessRule    "business-rule"    422
    Extension       "extension"        422
    Processing      "processing"       422
    NotSupported    "not-supported"    400
    Security        "security"         401
    Login           "login"            401
    Unknown         "unknown"          401
    Expired         "expired"          401
    Forbidden       "forbidden"        403
    Suppressed      "suppressed"       403
    NotFound        "not-found"        404
    Deleted         "deleted"          410
    Conflict        "conflict"         409
    Duplicate       "duplicate"        409
    MultipleMatches "multiple-matches" 412
    TooLong         "too-long"         413
    TooCostly       "too-costly"       413
    Throttled       "throttled"        429
    Exception       "exception"        500
    NoStore         "no-store"         500
    Incomplete      "incomplete"       500
    Transient       "transient"        503
    LockError       "lock-error"       503
    Timeout         "timeout"          504
    Informational   "informational"    200
}

/// One fault (or remark) about what was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    pub severity: Severity,
    pub code: IssueType,
    /// A sentence for an integrator; safe to send to any client.
    pub diagnostics: String,
    /// FHIRPath of the element, as `Patient.name[0].family`.
    pub expression: Option<String>,
    /// Where that is in what was sent; known once something is refused.
    pub place: Option<Place>,
}

impl Issue {
    /// An error without a place.
    #[must_use]
    pub fn error(code: IssueType, diagnostics: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, diagnostics: diagnostics.into(), expression: None, place: None }
    }

    /// The same issue at `expression`.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.expression = Some(expression.into());
        self
    }

    /// True where the issue refuses what was sent.
    #[must_use]
    pub fn refuses(&self) -> bool {
        matches!(self.severity, Severity::Fatal | Severity::Error)
    }
}

/// The HTTP status of a list: that of the first issue that refuses, 200 where none does.
#[must_use]
pub fn status(issues: &[Issue]) -> u16 {
    issues.iter().find(|issue| issue.refuses()).map_or(200, |issue| status_of(issue.code))
}

/// The issues as an OperationOutcome resource. An empty list says that all is well.
#[must_use]
pub fn operation_outcome(issues: &[Issue]) -> Value {
    let issue: Vec<Value> = if issues.is_empty() {
        vec![json!({"severity": "information", "code": "informational", "diagnostics": "No issues."})]
    } else {
        issues.iter().map(issue_json).collect()
    };
    json!({"resourceType": "OperationOutcome", "issue": issue})
}

fn issue_json(issue: &Issue) -> Value {
    let mut out = json!({
        "severity": issue.severity.as_str(),
        "code": issue.code.as_str(),
        "diagnostics": issue.diagnostics,
    });
    if let Some(expression) = &issue.expression {
        out["expression"] = json!([expression]);
    }
    if let Some(Place { line, column }) = issue.place {
        let words = format!("line {line}, column {column}");
        if !issue.diagnostics.contains(&words) {
            out["diagnostics"] = json!(format!("{} At {words}.", issue.diagnostics));
        }
        out["extension"] = json!([
            {"url": format!("{ISSUE}-line"), "valueInteger": line},
            {"url": format!("{ISSUE}-col"), "valueInteger": column},
        ]);
    }
    out
}

/// Of HL7's extensions for line and column, which HAPI and the reference validator give too.
const ISSUE: &str = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_statuses() {
        let table: Vec<String> =
            IssueType::ALL.iter().map(|&code| format!("{} {}", code.as_str(), status_of(code))).collect();
        assert_eq!(
            table.join(", "),
            "structure 400, invalid 400, required 422, value 422, code-invalid 422, invariant 422, \
             business-rule 422, extension 422, processing 422, not-supported 400, security 401, login 401, \
             unknown 401, expired 401, forbidden 403, suppressed 403, not-found 404, deleted 410, conflict 409, \
             duplicate 409, multiple-matches 412, too-long 413, too-costly 413, throttled 429, exception 500, \
             no-store 500, incomplete 500, transient 503, lock-error 503, timeout 504, informational 200"
        );
    }

    #[test]
    fn an_outcome_names_the_place() {
        let issue = Issue::error(IssueType::Value, "Expected a date.").at("Patient.birthDate");
        let outcome = operation_outcome(&[issue]);
        assert_eq!(outcome["issue"][0]["code"], "value");
        assert_eq!(outcome["issue"][0]["expression"][0], "Patient.birthDate");
        assert_eq!(operation_outcome(&[])["issue"][0]["severity"], "information");
    }
}
