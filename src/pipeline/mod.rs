//! The only corridor: what comes in goes through [`ingest`], what is made of it through [`assess`].

pub mod assess;
pub mod ingest;
pub mod load;
pub mod reindex;
pub mod standing;

use crate::clock::Clock;
use crate::detection::Constants;
use crate::domain::Measures;
use crate::fhir::parameters::TermContext;
use crate::store::Store;
use jiff::tz::TimeZone;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError, RwLock};

/// Name and version of the model that findings carry.
pub const MODEL: &str = crate::detection::MODEL;

/// What both ends of the corridor need. One for the whole process.
pub struct Pipeline {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub zone: TimeZone,
    /// Our FHIR base, without a last slash.
    pub base: String,
    pub constants: Constants,
    /// Name of the fitted constants; `None`: those shipped.
    pub constants_name: Option<String>,
    pub measures: RwLock<MeasuresInUse>,
    /// They are read one after another, so that the newest stand.
    pub reading_measures: tokio::sync::Mutex<()>,
    /// Writes under way that change them: until they are done, those in use may be old.
    pub changing_measures: AtomicUsize,
    /// Writers may lose races with other processes (PostgreSQL): keep what a second try needs.
    pub shared: bool,
}

impl Pipeline {
    #[must_use]
    pub fn term_context(&self) -> TermContext {
        TermContext { zone: self.zone.clone(), base: self.base.clone() }
    }

    /// The measures as they are known now.
    #[must_use]
    pub fn measures(&self) -> Arc<Measures> {
        self.measures_in_use().measures
    }

    fn measures_in_use(&self) -> MeasuresInUse {
        self.measures.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Known measures: those shipped, and those that stored Questionnaires define.
#[derive(Clone, Debug)]
pub struct MeasuresInUse {
    pub measures: Arc<Measures>,
    /// Of the Questionnaires.
    pub print: standing::Print,
}
