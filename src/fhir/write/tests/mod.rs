//! Findings and their reconciliation, on courses made by hand (`sample`).

mod content;
mod judged;
mod properties;
mod releases;
pub mod sample;
mod samples_on_disk;
