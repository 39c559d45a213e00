//! `_include` and `_revinclude` as they stand in a URL.

use super::{bad, clip};
use crate::fhir::kinds::{KINDS, kind};
use crate::fhir::outcome::{Issue, IssueType};
use crate::fhir::parameters::{Parameter, ParameterType, parameter, parameters};
use crate::store::Kind;

/// One of them: along these references, from the matches to what they refer to, or (`reverse`) back.
#[derive(Debug)]
pub struct Include {
    /// Type and parameter of the references to follow.
    pub along: Vec<(Kind, &'static Parameter)>,
    /// Only what is of this type.
    pub target: Option<Kind>,
    pub reverse: bool,
    /// From what was included, too.
    pub iterate: bool,
}

impl Include {
    /// Along every reference there is.
    #[must_use]
    pub fn outward() -> Self {
        let of_kind = |name| parameters(name).iter().filter(|one| one.kind == ParameterType::Reference);
        let along = KINDS.iter().flat_map(|row| of_kind(row.name).map(|one| (row.name, one))).collect();
        Self { along, target: None, reverse: false, iterate: false }
    }
}

/// Reads `Task:patient`, `Task:owner:Practitioner`, `Task:*` or `*` in a search over `name`.
pub(super) fn read(name: Kind, key: &str, value: &str) -> Result<Include, Issue> {
    let reverse = key.starts_with("_revinclude");
    let iterate = key.contains(':');
    let mut cells = value.splitn(3, ':');
    let (source, by, target) = (cells.next().unwrap_or_default(), cells.next(), cells.next());
    let references = |name| parameters(name).iter().filter(|one| one.kind == ParameterType::Reference);
    let along: Vec<(Kind, &'static Parameter)> = match (source, by) {
        ("*", None) if reverse => {
            KINDS.iter().flat_map(|row| references(row.name).map(|one| (row.name, one))).collect()
        }
        ("*", None) => references(name).map(|one| (name, one)).collect(),
        (source, Some("*")) => {
            let row = kind(source).ok_or_else(|| unknown(key))?;
            references(row.name).map(|one| (row.name, one)).collect()
        }
        (source, Some(by)) => {
            let row = kind(source).ok_or_else(|| unknown(key))?;
            let by = parameter(row.name, by).filter(|one| one.kind == ParameterType::Reference);
            vec![(row.name, by.ok_or_else(|| unknown(key))?)]
        }
        _ => return Err(bad(key, "Type:parameter, or Type:parameter:TargetType")),
    };
    if !reverse && !iterate && along.iter().any(|(source, _)| *source != name) {
        let text = format!("'{}': without :iterate it begins at {name}.", clip(key));
        return Err(Issue::error(IssueType::NotSupported, text));
    }
    let target = target.map(|target| kind(target).map(|row| row.name).ok_or_else(|| unknown(key))).transpose()?;
    Ok(Include { along, target, reverse, iterate })
}

fn unknown(key: &str) -> Issue {
    let text = format!("'{}': this server keeps no such type, or the type has no such reference.", clip(key));
    Issue::error(IssueType::NotSupported, text)
}
