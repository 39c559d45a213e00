//! Nouns: what happened to one client, and what was made of it.
//!
//! Nothing here does I/O, reads a clock, logs or knows FHIR. The only outside types are
//! [`jiff::Timestamp`] and serde's derives (a fact is kept beside the resource it came from).
//!
//! * [`measure`]: a questionnaire as a measuring instrument (range, direction, reliable change, cut-off).
//! * [`definition`]: how a measure is scored, and which are known.
//! * [`fact`]: what one version of one resource says.
//! * [`build`]: facts joined into a timeline.
//! * [`timeline`]: the ordered record of one client, each entry with the time it could be known.
//! * [`assessment`]: what detection says of a timeline at each step.

pub mod assessment;
pub mod build;
pub mod definition;
pub mod fact;
pub mod ids;
pub mod measure;
pub mod timeline;

pub use assessment::*;
pub use definition::{Definition, Measures};
pub use ids::*;
pub use measure::*;
pub use timeline::*;
