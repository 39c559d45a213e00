//! R4's search parameters by base type.

use std::sync::LazyLock;

static TEXT: &str = include_str!("search.tsv");
static PARAMETERS: LazyLock<Vec<SearchParameter>> =
    LazyLock::new(|| TEXT.lines().filter_map(SearchParameter::read).collect());

/// One search parameter of one base type.
#[derive(Debug, PartialEq, Eq)]
pub struct SearchParameter {
    /// `Patient`; `Resource` for `_id` and its like.
    pub base: &'static str,
    pub code: &'static str,
    /// `number`, `date`, `string`, `token`, `reference`, `composite`, `quantity`, `uri` or `special`.
    pub kind: &'static str,
    /// Resource types that a reference may point to; empty: any.
    pub targets: Vec<&'static str>,
    /// FHIRPath, narrowed to the base where the official one is a union over bases.
    pub expression: &'static str,
    /// Canonical URL of the official SearchParameter.
    pub url: &'static str,
}

impl SearchParameter {
    fn read(line: &'static str) -> Option<Self> {
        let mut cells = line.split('\t');
        Some(Self {
            base: cells.next().filter(|base| !base.starts_with('#'))?,
            code: cells.next()?,
            kind: cells.next()?,
            targets: cells.next()?.split(' ').filter(|target| !target.is_empty()).collect(),
            expression: cells.next()?,
            url: cells.next()?,
        })
    }
}

/// The parameters of a base type, by code; those of `Resource` are not repeated.
#[must_use]
pub fn search_parameters(base: &str) -> &'static [SearchParameter] {
    // The file is sorted by base.
    let start = PARAMETERS.partition_point(|parameter| parameter.base < base);
    let length = PARAMETERS[start..].partition_point(|parameter| parameter.base == base);
    &PARAMETERS[start..start + length]
}

/// One parameter of a base type, or of every resource.
#[must_use]
pub fn search_parameter(base: &str, code: &str) -> Option<&'static SearchParameter> {
    [base, "Resource"].iter().find_map(|base| search_parameters(base).iter().find(|parameter| parameter.code == code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_sorted_and_whole() {
        assert!(PARAMETERS.is_sorted_by(|a, b| (a.base, a.code) <= (b.base, b.code)));
        assert_eq!(PARAMETERS.len(), TEXT.lines().count() - 1);
    }

    #[test]
    fn parameters_of_a_type() {
        let authored = search_parameter("QuestionnaireResponse", "authored").expect("R4 has it");
        assert_eq!((authored.kind, authored.expression), ("date", "QuestionnaireResponse.authored"));
        assert_eq!(search_parameter("Task", "_lastUpdated").map(|p| p.kind), Some("date"));
        assert_eq!(search_parameter("Appointment", "date").map(|p| p.kind), Some("date"));
        assert!(search_parameter("Task", "nonsense").is_none());
        assert!(search_parameters("Nonsense").is_empty());
    }
}
