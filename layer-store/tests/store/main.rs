//! The store as its users see it. Tests that need root say so and are counted as skipped without it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::print_stderr
)]

mod archives;
mod attributes;
mod basics;
mod bombs;
mod crash;
mod damage;
mod dead;
mod first_names;
mod hostile;
mod images;
mod overlay;
mod partial;
mod pins;
mod properties;
mod quota;
mod sparse;
mod states;
mod stop;
mod support;
mod view;
mod wide;
mod writer;
