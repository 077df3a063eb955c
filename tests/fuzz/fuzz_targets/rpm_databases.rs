//! See `targets::rpm_databases`.
#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code, reason = "each program runs one of them")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::rpm_databases(bytes));
