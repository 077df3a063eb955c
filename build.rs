//! Links the binary `rbuild` statically against glibc.
//!
//! `-C target-feature=+crt-static` for a whole build cannot make procedural macros without naming a
//! target, and naming one moves the binary away from `target/release`. Only the last link differs,
//! so only the last link is told: `-static-pie`, and linker scripts under the names of the shared
//! libraries that the standard library asks for, each naming the static archive instead.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a build script reads the environment and speaks to cargo"
)]

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let target_env = env::var("CARGO_CFG_TARGET_ENV").unwrap_or_default();
    if target_env == "gnu" {
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?);
        fs::write(out.join("libgcc_s.so"), "GROUP ( -l:libgcc_eh.a -l:libgcc.a )\n")?;
        for name in ["c", "m", "rt", "dl", "util", "pthread"] {
            fs::write(out.join(format!("lib{name}.so")), format!("GROUP ( -l:lib{name}.a )\n"))?;
        }
        println!("cargo:rustc-link-arg-bins=-static-pie");
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        println!("cargo:rustc-link-arg-bins=-L{}", out.display());
    }
    Ok(())
}
