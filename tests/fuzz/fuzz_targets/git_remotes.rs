//! Any text as the address of a git repository: a remote, an error, or something else altogether. A
//! part of an address never begins like an option of the git program.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(Some(remote)) = dockerfile::parse_git_remote(text) {
        assert!(!remote.url.starts_with('-'), "{remote:?}");
        let commit = remote.commit().unwrap_or("0123456789abcdef0123456789abcdef01234567").to_owned();
        let _ = remote.source(commit, None);
    }
});
