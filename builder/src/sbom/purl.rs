//! Package URLs (the purl specification): `pkg:TYPE/NAMESPACE/NAME@VERSION?QUALIFIERS`.

use std::fmt::Write as _;

/// Builds one. Namespaces may hold slashes; qualifiers come sorted, and empty ones are left out.
pub(crate) fn purl(
    kind: &str,
    namespace: &str,
    name: &str,
    version: &str,
    qualifiers: &[(&str, &str)],
) -> String {
    let mut text = format!("pkg:{kind}");
    for part in namespace.split('/').filter(|part| !part.is_empty()) {
        let _ = write!(text, "/{}", encoded(part));
    }
    let _ = write!(text, "/{}", encoded(name));
    if !version.is_empty() {
        let _ = write!(text, "@{}", encoded(version));
    }
    let mut mark = '?';
    for (key, value) in qualifiers.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(text, "{mark}{key}={}", encoded(value));
        mark = '&';
    }
    text
}

/// Everything but letters, digits and `.-_~` is escaped.
fn encoded(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_escaped_and_empty_ones_left_out() {
        let deb = purl("deb", "debian", "libstdc++6", "1:2+b1~x", &[("arch", "amd64"), ("distro", "")]);
        assert_eq!(deb, "pkg:deb/debian/libstdc%2B%2B6@1%3A2%2Bb1~x?arch=amd64");
        assert_eq!(purl("npm", "@scope", "a", "", &[]), "pkg:npm/%40scope/a");
        assert_eq!(
            purl("golang", "a.b/c", "d", "v1", &[("x", "1"), ("y", "2")]),
            "pkg:golang/a.b/c/d@v1?x=1&y=2"
        );
    }
}
