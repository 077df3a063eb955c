//! What the end-to-end tests share: a working directory with a store, and servers that end with the
//! test.

pub mod http;
pub mod layout;
pub mod leftovers;
pub mod ordinary;
pub mod registry;
pub mod relay;
pub mod schemas;
pub mod served;
pub mod workspace;

/// Says that a test cannot run here. In CI that is a failure: there every capability is installed.
pub fn missing(what: &str) {
    let message = format!("left out: {what} is missing");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
    eprintln!("{message}");
}

/// Whether a program is installed; says so when it is not.
pub fn has(program: &str) -> bool {
    let found = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|dir| std::path::Path::new(dir).join(program).exists());
    if !found {
        missing(program);
    }
    found
}

/// Whether the tests run as root; says so when they do not.
pub fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    if !root {
        missing("root");
    }
    root
}
