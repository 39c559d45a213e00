//! The only corridor: what comes in goes through [`ingest`], what is made of it through [`assess`].

pub mod assess;
pub mod ingest;
pub mod load;

use crate::clock::Clock;
use crate::detection::Constants;
use crate::domain::Measures;
use crate::fhir::parameters::TermContext;
use crate::store::Store;
use jiff::tz::TimeZone;
use std::sync::{Arc, RwLock};

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
    /// Known measures: those shipped, and those that stored Questionnaires define.
    pub measures: RwLock<Arc<Measures>>,
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
        match self.measures.read() {
            Ok(measures) => Arc::clone(&measures),
            Err(poisoned) => Arc::clone(&poisoned.into_inner()),
        }
    }
}
