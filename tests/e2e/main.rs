//! The binary against real file systems, real registries and other people's tools.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may fail and speak"
)]
#![allow(clippy::disallowed_methods, reason = "a test looks whether it runs in CI")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod cache;
mod commands;
mod concurrent;
mod contexts;
mod copy;
mod debian;
mod devices;
mod epoch;
mod explain;
mod forty_layers;
mod history;
mod leftovers;
mod outputs;
mod registry_verbs;
mod road;
