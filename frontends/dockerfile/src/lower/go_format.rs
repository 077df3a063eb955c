//! Values as Go prints them: history entries are made of such text.

use std::fmt::Write as _;

/// A list as `%v`: `[a b]`.
pub(crate) fn list<T: AsRef<str>>(items: &[T]) -> String {
    format!("[{}]", items.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(" "))
}

/// A list as `%q`: `["a" "b"]`.
pub(crate) fn quoted_list<T: AsRef<str>>(items: &[T]) -> String {
    format!("[{}]", items.iter().map(|item| quote(item.as_ref())).collect::<Vec<_>>().join(" "))
}

/// A text in double quotes, with Go's escapes.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if c == ' ' || is_printable(c) => out.push(c),
            c if (c as u32) < 0x1_0000 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => {
                let _ = write!(out, "\\U{:08x}", c as u32);
            }
        }
    }
    out.push('"');
    out
}

/// Near enough to Go's table: letters, marks, numbers, punctuation and symbols are printable;
/// spaces other than the ASCII one, controls, private and unassigned code points are not.
fn is_printable(c: char) -> bool {
    let hidden = ('\u{200b}'..='\u{200f}').contains(&c)
        || ('\u{2028}'..='\u{202e}').contains(&c)
        || ('\u{2060}'..='\u{206f}').contains(&c)
        || ('\u{e000}'..='\u{f8ff}').contains(&c)
        || matches!(c, '\u{ad}' | '\u{feff}');
    !(c.is_control() || c.is_whitespace() || hidden)
}

/// A duration in nanoseconds as `time.Duration` prints it: `1m30s`, `1.5s`, `500ms`, `0s`.
pub(crate) fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let below_second = |unit: u64, name: &str| format!("{sign}{}{name}", fraction(nanos, unit));
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => below_second(1, "ns"),
        1_000..1_000_000 => below_second(1_000, "µs"),
        1_000_000..1_000_000_000 => below_second(1_000_000, "ms"),
        _ => {
            let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
            let seconds = format!("{}s", fraction(rest, 1_000_000_000));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

fn fraction(value: u64, unit: u64) -> String {
    let rest = value % unit;
    if rest == 0 {
        return (value / unit).to_string();
    }
    let digits = format!("{:0width$}", rest, width = unit.ilog10() as usize);
    format!("{}.{}", value / unit, digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_quotes() {
        assert_eq!(list::<&str>(&[]), "[]");
        assert_eq!(list(&["a", "b c"]), "[a b c]");
        assert_eq!(quoted_list(&["/bin/sh", "-c", "a \"b\"\n"]), r#"["/bin/sh" "-c" "a \"b\"\n"]"#);
        assert_eq!(quote("é\u{1}\u{a0}"), "\"é\\x01\\u00a0\"");
    }

    #[test]
    fn durations() {
        let cases = [
            (0, "0s"),
            (3_000_000_000, "3s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (1_500_000_000, "1.5s"),
            (500_000_000, "500ms"),
            (1_500, "1.5µs"),
            (61_001_000_000, "1m1.001s"),
        ];
        for (nanos, expected) in cases {
            assert_eq!(duration(nanos), expected);
        }
    }
}
