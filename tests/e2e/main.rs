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

mod attestations;
mod bad_input;
mod broken;
mod browse;
mod cache;
mod call;
mod commands;
mod concurrent;
mod containers;
mod contexts;
mod copies;
mod copy;
mod crash;
mod debian;
mod debug;
mod devices;
mod doctor;
mod early_push;
mod edits;
mod encryption;
mod epoch;
mod estargz;
mod explain;
mod faults;
mod forty_layers;
mod history;
mod leftovers;
mod load;
mod login;
mod look;
mod metamorphic;
mod mounted;
mod nested;
mod offline;
mod output_options;
mod outputs;
mod platforms;
mod progress;
mod proxies;
mod registry_verbs;
mod remote_cache;
mod reproducible;
mod requests;
mod resume;
mod road;
mod round_trip;
mod save;
mod semantics;
mod serve;
mod short_names;
mod signing;
mod single_id;
mod small_files;
mod software;
mod squash;
mod ssh_keys;
mod store;
mod sync;
mod tls;
mod verify_cache;
