//! Comma-separated fields with quotes, as Docker's option values are written (RFC 4180).

/// Splits a line into fields. A field may be quoted as a whole; a doubled quote stands for one.
pub fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_field(quoted).ok_or_else(|| format!("unclosed quote in {text:?}"))?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(format!("text after a closing quote in {text:?}")),
        }
    }
}

fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, rest)),
        }
    }
}

/// Splits a line into `key=value` fields; a field without `=` has an empty value and `false`.
pub fn pairs(text: &str) -> Result<Vec<(String, Option<String>)>, String> {
    Ok(fields(text)?
        .into_iter()
        .map(|field| match field.split_once('=') {
            Some((key, value)) => (key.trim().to_owned(), Some(value.to_owned())),
            None => (field.trim().to_owned(), None),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_protect_commas() {
        for (given, expected) in [
            ("a,b", vec!["a", "b"]),
            ("", vec![""]),
            ("a,", vec!["a", ""]),
            ("\"name=x,y\",push=true", vec!["name=x,y", "push=true"]),
            ("\"a\"\"b\"", vec!["a\"b"]),
        ] {
            assert_eq!(fields(given).unwrap(), expected, "{given}");
        }
        assert!(fields("\"a").is_err());
        assert!(fields("\"a\"b").is_err());
    }
}
