//! `--chmod`.

use graph::ChmodSpec;

/// Reads octal digits or symbolic clauses. The error is a sentence.
pub(crate) fn parse(text: &str) -> Result<ChmodSpec, String> {
    let number =
        || format!("invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777");
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return match u32::from_str_radix(text, 8) {
            Ok(bits) if bits <= 0o7777 => Ok(ChmodSpec::Octal(bits)),
            Ok(_) | Err(_) => Err(number()),
        };
    }
    if !text.is_empty() && text.split(',').all(is_clause) {
        return Ok(ChmodSpec::Symbolic(text.to_owned()));
    }
    Err(format!(
        "invalid chmod parameter: '{text}'. it is neither an octal number nor clauses like u=rwX,go=rX"
    ))
}

/// `[ugoa]*` and then, once or more, `[-+=]` with permissions or one class to copy from.
fn is_clause(clause: &str) -> bool {
    let mut actions = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let mut any = false;
    while let Some(rest) = actions.strip_prefix(['+', '-', '=']) {
        any = true;
        actions = match rest.strip_prefix(['u', 'g', 'o']) {
            Some(rest) => rest,
            None => rest.trim_start_matches(['r', 'w', 'x', 'X', 's', 't']),
        };
    }
    any && actions.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading() {
        assert_eq!(parse("0644"), Ok(ChmodSpec::Octal(0o644)));
        assert_eq!(parse("7777"), Ok(ChmodSpec::Octal(0o7777)));
        for good in ["u=rwX,go=rX", "+x", "g=u", "a-w+r", "u+s,+t", "="] {
            assert_eq!(parse(good), Ok(ChmodSpec::Symbolic(good.to_owned())), "{good}");
        }
        for bad in ["", "10000", "888", "0x1", "u", "foo", "u+y", "u=rw,,g=r", "-1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
