//! SMART scopes, v1 and v2, as grants. A scope that is not understood grants nothing.

use std::sync::Arc;

/// Longest scope text that is read, bytes.
const SCOPE_BYTES_MAX: usize = 16 * 1024;
/// Most scopes of one token.
const SCOPES_MAX: usize = 200;

/// Whose data a scope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The one patient of the token.
    Patient,
    /// What the person who signed in may see.
    User,
    /// A system, with nobody behind it.
    System,
}

/// The letters of v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    Create,
    /// read, vread, history of a resource
    Read,
    Update,
    Delete,
    /// search, history of a type or of the system
    Search,
}

impl Right {
    pub const EACH: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Search];
}

impl Right {
    const ALL: [(char, Self); 5] =
        [('c', Self::Create), ('r', Self::Read), ('u', Self::Update), ('d', Self::Delete), ('s', Self::Search)];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// One scope, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub level: Level,
    /// `None`: every type (`*`).
    pub kind: Option<Arc<str>>,
    rights: u8,
    /// `?category=…`: decoded pairs; all must hold.
    pub filter: Vec<(String, String)>,
}

impl Grant {
    #[must_use]
    pub fn has(&self, right: Right) -> bool {
        self.rights & right.bit() != 0
    }

    /// `*` is every type but AuditEvent, which has to be named: auditors alone read the trail.
    #[must_use]
    pub fn covers(&self, kind: &str) -> bool {
        match &self.kind {
            Some(named) => **named == *kind,
            None => kind != "AuditEvent",
        }
    }
}

/// As it is written in a token of v2; read again it is the same grant.
impl std::fmt::Display for Grant {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let level = match self.level {
            Level::Patient => "patient",
            Level::User => "user",
            Level::System => "system",
        };
        write!(out, "{level}/{}.", self.kind.as_deref().unwrap_or("*"))?;
        for (letter, _) in Right::ALL.iter().filter(|(_, right)| self.has(*right)) {
            write!(out, "{letter}")?;
        }
        if self.filter.is_empty() {
            return Ok(());
        }
        let pairs = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.filter).finish();
        write!(out, "?{pairs}")
    }
}

/// Reads the scopes of a token, separated by spaces.
#[must_use]
pub fn grants(text: &str) -> Vec<Grant> {
    if text.len() > SCOPE_BYTES_MAX {
        return Vec::new();
    }
    text.split_ascii_whitespace().take(SCOPES_MAX).filter_map(grant).collect()
}

/// One scope; `None` for those that are not about resources (`openid`, `launch`) or not understood.
#[must_use]
pub fn grant(text: &str) -> Option<Grant> {
    let (level, rest) = text.split_once('/')?;
    let level = match level {
        "patient" => Level::Patient,
        "user" => Level::User,
        "system" => Level::System,
        _ => return None,
    };
    let (what, query) = rest.split_once('?').map_or((rest, None), |(what, query)| (what, Some(query)));
    let (kind, letters) = what.split_once('.')?;
    let named = kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.bytes().all(|b| b.is_ascii_alphabetic());
    let kind = match kind {
        "*" => None,
        _ if named => Some(Arc::from(kind)),
        _ => return None,
    };
    let (rights, first) = rights(letters)?;
    let filter = match query {
        None => Vec::new(),
        // v1 knows no filters; an empty one is a mistake, and a mistake grants nothing.
        Some(query) if first || query.is_empty() => return None,
        Some(query) => form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
    };
    // A filter needs a type whose parameters it can name.
    if kind.is_none() && !filter.is_empty() {
        return None;
    }
    Some(Grant { level, kind, rights, filter })
}

/// The rights, and whether they were written as in v1.
fn rights(letters: &str) -> Option<(u8, bool)> {
    use Right::{Create, Delete, Read, Search, Update};
    let of = |rights: &[Right]| rights.iter().fold(0, |all, right| all | right.bit());
    match letters {
        "read" => return Some((of(&[Read, Search]), true)),
        "write" => return Some((of(&[Create, Update, Delete]), true)),
        "*" => return Some((of(&[Create, Read, Update, Delete, Search]), true)),
        "" => return None,
        _ => {}
    }
    // In the order of "cruds", each once.
    let mut rest = Right::ALL.iter();
    let mut all = 0;
    for letter in letters.chars() {
        let (_, right) = rest.by_ref().find(|(name, _)| *name == letter)?;
        all |= right.bit();
    }
    Some((all, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights_of(text: &str) -> String {
        let grant = grant(text);
        Right::ALL
            .iter()
            .filter(|(_, right)| grant.as_ref().is_some_and(|grant| grant.has(*right)))
            .map(|(name, _)| *name)
            .collect()
    }

    #[test]
    fn both_versions() {
        for (scope, rights) in [
            ("patient/Observation.rs", "rs"),
            ("system/*.cruds", "cruds"),
            ("user/Task.u", "u"),
            ("patient/Patient.read", "rs"),
            ("user/Task.write", "cud"),
            ("system/*.*", "cruds"),
        ] {
            assert_eq!(rights_of(scope), rights, "{scope}");
        }
    }

    #[test]
    fn what_is_not_understood_grants_nothing() {
        for scope in [
            "openid",
            "launch/patient",
            "patient/Observation.sr",
            "patient/Observation.rr",
            "patient/Observation.",
            "patient/Observation",
            "patient/observation.rs",
            "Patient/Observation.rs",
            "patient/*.rs?category=x",
            "patient/Observation.read?category=x",
            "patient/Observation.rs?",
            "patient/Observation.readwrite",
            "patient/../Observation.rs",
            "practice/Observation.rs",
            "patient/Observation.RS",
        ] {
            assert_eq!(grant(scope), None, "{scope}");
        }
        assert!(grants(&"patient/*.rs ".repeat(10_000)).is_empty());
    }

    #[test]
    fn filters_are_kept() {
        let grant = grant("patient/Observation.rs?category=http://x|vital-signs&status=final").expect("a grant");
        assert_eq!(grant.filter[0], ("category".into(), "http://x|vital-signs".into()));
        assert_eq!(grant.filter.len(), 2);
    }

    #[test]
    fn a_grant_is_written_as_it_is_read() {
        for scope in
            ["system/*.cruds", "patient/Task.rs", "user/Observation.rs?category=http%3A%2F%2Fx%7Ca+b&status=final"]
        {
            assert_eq!(grant(scope).expect("a grant").to_string(), scope);
        }
        let first = grant("system/*.write").expect("a grant");
        assert_eq!(grant(&first.to_string()), Some(first));
    }

    #[test]
    fn the_trail_has_to_be_named() {
        assert!(!grant("system/*.rs").expect("a grant").covers("AuditEvent"));
        assert!(grant("system/AuditEvent.rs").expect("a grant").covers("AuditEvent"));
    }
}
