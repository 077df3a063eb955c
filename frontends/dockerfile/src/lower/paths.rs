//! Paths inside an image, against its working directory.

use graph::path;

/// `given` as an absolute path: relative ones lie below `directory` and are cleaned, absolute ones
/// stay as they were written.
pub(crate) fn absolute(directory: &str, given: &str) -> String {
    let directory = if directory.starts_with('/') { directory.to_owned() } else { format!("/{directory}") };
    match given {
        "" => directory,
        rooted if rooted.starts_with('/') => rooted.to_owned(),
        relative => path::clean(&format!("{directory}/{relative}")),
    }
}

/// The destination of a copy: as [`absolute`], but a trailing `/` or `/.` of what was written, and
/// an empty or `.` destination, go on meaning "a directory".
pub(crate) fn destination(directory: &str, given: &str) -> String {
    let given = if matches!(given, "" | ".") { "./" } else { given };
    let mut dest = absolute(directory, given);
    if given.starts_with('/') {
        return dest;
    }
    if given.ends_with('/') && !dest.ends_with('/') {
        dest.push('/');
    } else if given.ends_with("/.") {
        if dest != "/" {
            dest.push('/');
        }
        dest.push('.');
    }
    dest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining() {
        let cases = [
            ("/", "a", "/a"),
            ("/a/", "b/", "/a/b"),
            ("", "x", "/x"),
            ("/w", "/tmp/", "/tmp/"),
            ("/w", "", "/w"),
            ("/w", "..", "/"),
            ("w", "x", "/w/x"),
        ];
        for (directory, given, expected) in cases {
            assert_eq!(absolute(directory, given), expected, "{directory} {given}");
        }
        let cases = [
            ("/w", ".", "/w/"),
            ("/w", "", "/w/"),
            ("/w", "./", "/w/"),
            ("/", ".", "/"),
            ("/w", "d/.", "/w/d/."),
            ("/w", "d/", "/w/d/"),
            ("/w", "d", "/w/d"),
            ("/w", "/d/.", "/d/."),
        ];
        for (directory, given, expected) in cases {
            assert_eq!(destination(directory, given), expected, "{directory} {given}");
        }
    }
}
