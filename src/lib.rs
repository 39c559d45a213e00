//! Tautline notices when a psychotherapy client is quietly leaving.
//!
//! The floor plan; data walks one way:
//!
//! ```text
//! bytes -> fhir::check -> fhir::read -> facts -> store (and a job, in the same transaction)
//! job   -> domain::build (timeline) -> detection -> fhir::write -> store -> api / view
//! ```
//!
//! | room | what is in it | may touch |
//! | --- | --- | --- |
//! | [`domain`] | nouns: facts, timeline, measures, assessment | std, a time type |
//! | [`detection`] | verbs: (timeline, as of) in, course out | `domain` |
//! | [`words`] | every sentence that is said of a client | `domain` |
//! | [`fhir`] | the border: check, read, write, search, the tables | `domain`, serde_json; fhirbolt in the member crate `codec`, a second judge in its tests |
//! | [`store`] | what is kept; sea-orm in `store::sea` alone | the database |
//! | [`pipeline`] | the only corridor: ingest and assess | all of the above |
//! | [`smart`] | keys: tokens, scopes, the embedded authorization server, launch | the network |
//! | [`worker`] | claims clients that are due | `pipeline` |
//! | [`api`], [`view`] | the doors, and the page | actix; `view` is pure |
//! | [`cli`] | demo, simulate, backtest | |
//! | [`app`] | composition root | everything |

pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod detection;
pub mod domain;
pub mod error;
pub mod fhir;
pub mod pipeline;
pub mod smart;
pub mod store;
pub mod view;
pub mod words;
pub mod worker;
