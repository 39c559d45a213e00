//! What of a client's record the pages of a launch may show: least privilege, one rule for every kind.
//!
//! Everything on a page is made of resources. What is made of a type is shown where a scope of the launch lets its
//! person read or search that type, whoever's launch, or whatever push, brought it here. A scope with a filter covers
//! part of a type, and so does not count. Whether the EHR pushes makes no difference: the operator trusts it to say,
//! by the scopes it grants, what this person may see.
//!
//! | kind | shown of it |
//! | --- | --- |
//! | Patient | name, pronoun |
//! | QuestionnaireResponse, Observation | scores, items, the safety item, the course expected |
//! | Task | homework, what was asked for |
//! | Appointment, Encounter | attendance, times, who treats |
//! | EpisodeOfCare | what the treatment is called |
//! | Flag | that our Flags stand, where the assessment itself may not be shown |
//!
//! The assessment (gist, flags, pattern, evidence, judgements) rests on all of what is kept of the client; so it is
//! shown to whoever may read every kind it rests on, and to nobody else.

use super::scope::{Grant, Level, Right, grants};

/// Types that a page is made of.
pub const KINDS: [&str; 8] =
    ["Patient", "QuestionnaireResponse", "Task", "Appointment", "Encounter", "EpisodeOfCare", "Observation", "Flag"];

/// The types that the scopes of a launch cover.
#[derive(Clone, Debug)]
pub struct Cover {
    /// `None`: no launch, but the operator's own machine or a token that was judged by itself.
    granted: Option<Vec<Grant>>,
}

impl Cover {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self { granted: None }
    }

    /// By the scopes granted. `patient`: the launch is for one; without, only `user/…` counts.
    #[must_use]
    pub fn of(scope: &str, patient: bool) -> Self {
        let counts = |grant: &Grant| match grant.level {
            Level::User => true,
            Level::Patient => patient,
            Level::System => false,
        };
        let whole = |grant: &Grant| grant.filter.is_empty() && (grant.has(Right::Read) || grant.has(Right::Search));
        Self { granted: Some(grants(scope).into_iter().filter(|grant| counts(grant) && whole(grant)).collect()) }
    }

    #[must_use]
    pub fn shows(&self, kind: &str) -> bool {
        self.granted.as_ref().is_none_or(|granted| granted.iter().any(|grant| grant.covers(kind)))
    }

    /// Anything of a page.
    #[must_use]
    pub fn shows_anything(&self) -> bool {
        KINDS.iter().any(|kind| self.shows(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_shown_by_a_scope_that_reads_all_of_it() {
        let shown = |scope: &str, patient| {
            let cover = Cover::of(scope, patient);
            KINDS.iter().filter(|kind| cover.shows(kind)).copied().collect::<Vec<_>>().join(" ")
        };
        let all = KINDS.join(" ");
        for scope in ["patient/*.rs", "patient/*.read", "patient/*.*", "user/*.r", "launch openid patient/*.s"] {
            assert_eq!(shown(scope, true), all, "{scope}");
        }
        for scope in ["", "launch openid fhirUser", "patient/*.cud", "system/*.rs", "patient/AuditEvent.rs"] {
            assert_eq!(shown(scope, true), "", "{scope}");
            assert!(!Cover::of(scope, true).shows_anything());
        }
        assert_eq!(shown("patient/Task.rs user/Patient.r", true), "Patient Task");
        assert_eq!(shown("patient/Task.rs user/Patient.r", false), "Patient", "nobody's patient/… scope");
        assert_eq!(shown("patient/Observation.rs?category=survey patient/Task.write", true), "");
        assert!(KINDS.iter().all(|kind| Cover::all().shows(kind)));
    }
}
