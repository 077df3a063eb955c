//! Passwords in addresses.

use defence::Defence;
use serde_json::Value;

/// Takes user names and passwords out of every address in a document.
pub(super) fn redact(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(clean) = without_credentials(text)
                && defence::stands(Defence::CredentialsRedacted)
            {
                *text = clean;
            }
        }
        Value::Array(all) => all.iter_mut().for_each(redact),
        Value::Object(fields) => fields.iter_mut().for_each(|(_, value)| redact(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text without what stands between `://` and `@`; `None` where there is no such thing.
fn without_credentials(text: &str) -> Option<String> {
    let mut clean = String::new();
    let mut rest = text;
    let mut changed = false;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after.find(|c: char| c == '/' || c.is_whitespace() || "\"'<>\\".contains(c));
        let authority = &after[..end.unwrap_or(after.len())];
        match authority.rfind('@') {
            Some(at) => {
                clean.push_str("xxxxx");
                rest = &after[at..];
                changed = true;
            }
            None => rest = after,
        }
    }
    clean.push_str(rest);
    changed.then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_wherever_they_stand() {
        for (given, expected) in [
            ("https://me:secret@host/x", Some("https://xxxxx@host/x")),
            (
                "RUN curl https://a:b@h/ && curl http://t@h:1",
                Some("RUN curl https://xxxxx@h/ && curl http://xxxxx@h:1"),
            ),
            ("https://a:p@ss@h", Some("https://xxxxx@h")),
            ("https://host/@scope/x", None),
            ("mail@example.org", None),
            ("", None),
        ] {
            assert_eq!(without_credentials(given).as_deref(), expected, "{given}");
        }
        let mut value = serde_json::json!({"a": [{"b": "ssh://u:p@h"}], "c": 1});
        redact(&mut value);
        assert_eq!(value, serde_json::json!({"a": [{"b": "ssh://xxxxx@h"}], "c": 1}));
    }
}
