//! Paths as text, cleaned without looking at any file system.

/// The shortest path that means the same as `path`, by its text alone: no `.`, no doubled or
/// trailing slashes, `..` taken back where something stands before it. The empty path is `.`, and
/// nothing lies above `/`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// `path` below `base`, cleaned; an absolute `path` stays itself.
pub fn join(base: &str, path: &str) -> String {
    if path.starts_with('/') { clean(path) } else { clean(&format!("{base}/{path}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning() {
        let cases = [
            ("", "."),
            (".", "."),
            ("./a//b/", "a/b"),
            ("/", "/"),
            ("//a/../..", "/"),
            ("a/..", "."),
            ("../a/..", ".."),
            ("a/../../b", "../b"),
            ("/a/./b/../c", "/a/c"),
            ("!./a", "!./a"),
        ];
        for (given, expected) in cases {
            assert_eq!(clean(given), expected, "{given:?}");
        }
        assert_eq!(join("/a", "b/../c"), "/a/c");
        assert_eq!(join("/a", "/b"), "/b");
        assert_eq!(join("", "b"), "/b");
    }
}
