//! Where the conformance suite is.

use std::path::{Path, PathBuf};

/// The folder of the suite. `None`, said so: it is not beside this checkout. In CI it has to be there.
#[allow(clippy::disallowed_methods, reason = "a test looks whether it runs in CI")]
#[allow(clippy::print_stderr, reason = "a test says that it is left out")]
pub fn conformance() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance");
    if root.is_dir() {
        return Some(root);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", root.display());
    eprintln!("left out: no {}", root.display());
    None
}
