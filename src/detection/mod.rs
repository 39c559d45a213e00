//! Detection: what a record says of the alliance, as of an instant.
//!
//! [`assess`] reads a [`Timeline`] once, forward in time, and returns a [`Course`]: one assessment a step and
//! the episodes in which a Flag stood. It is a function of its arguments: no clock, no randomness, no I/O.
//! Too little data is a value (an absent signal), never an error.
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`constants`] | every number and its source |
//! | `record` | the timeline as moments, in the order in which they could be known |
//! | `pass`, `take_in`, `silence` | the forward pass: looks, steps, facts, and what time alone does |
//! | `intake`, `state` | what became known since the last step, and what is remembered of all before |
//! | `baseline` | Dirichlet counts of one client, and evidence against them |
//! | `attendance`, `homework`, `rom_engagement`, `rom_trajectory`, `alliance` | the five signals |
//! | `evaluate`, `fusion` | their evidence, and the three-state filter |
//! | `flags`, `raise` | episodes, and when one opens |
//! | `report` | an evaluation in the words of the domain |

pub mod constants;

mod alliance;
mod attendance;
mod baseline;
mod evaluate;
mod flags;
mod fusion;
mod homework;
mod intake;
mod pass;
mod raise;
mod record;
mod report;
mod rom_engagement;
mod rom_trajectory;
mod silence;
mod state;
mod take_in;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod worked;

pub use constants::Constants;

/// Version of the model: findings carry it.
pub const MODEL: &str = "1.4";

use crate::domain::{Course, Timeline};
use jiff::Timestamp;

/// Everything said of one client as of `as_of`, knowing only what could be known strictly before each step.
pub fn assess(timeline: &Timeline, as_of: Timestamp, constants: &Constants) -> Course {
    let record = record::Record::new(timeline, as_of, constants.homework.grace_hours);
    pass::Pass::new(&record, constants).run(as_of)
}
