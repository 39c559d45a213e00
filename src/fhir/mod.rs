//! The border: FHIR in, FHIR out. Nothing behind it knows FHIR.

pub mod accept;
pub mod artefacts;
pub mod audit;
pub mod bundle;
pub mod capability;
pub mod check;
pub mod definitions;
pub mod kinds;
pub mod outcome;
pub mod parameters;
pub mod patch;
pub mod person;
pub mod place;
pub mod profile;
pub mod read;
pub mod search;
pub mod time;
pub mod write;
pub mod xml;
