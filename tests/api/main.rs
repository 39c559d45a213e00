//! Black-box tests over HTTP against the real application on a port of its own, with a database of its own.
//! Each test runs on SQLite, and again on PostgreSQL where that is installed.

mod agreement;
mod attacks;
mod bad_input;
mod browser;
mod bulk;
mod bundles;
mod commands;
mod conformance;
mod constants;
mod crash;
mod disorder;
mod ehr;
mod elsewhere;
mod findings;
mod integrators;
mod interactions;
mod introspection;
mod issuer;
mod judgements;
mod launch;
mod launch_context;
mod negotiation;
mod oracle;
mod pages;
mod patches;
mod process;
mod regressions;
mod search;
mod secrets;
mod server;
mod slow;
mod smart;
mod story;
mod systems;
mod visitor;
