//! Guesses at what was meant.

use graph::edit_distance;

/// Names as far away as this, or farther, are not meant.
const TOO_FAR: usize = 3;

/// The nearest of the known names, if one is near.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let length = written.chars().count();
    let near = known
        .into_iter()
        .filter(|name| name.chars().count().abs_diff(length) < TOO_FAR)
        .map(|name| (edit_distance(&written, &name.to_lowercase()), name));
    near.filter(|(far, _)| (1..TOO_FAR).contains(far)).min_by_key(|(far, _)| *far).map(|(_, name)| name)
}

/// A message with the nearest known name after it.
pub(crate) fn with_guess<'a>(
    message: String,
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    match nearest(written, known) {
        Some(name) => format!("{message} (did you mean {name}?)"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_only() {
        assert_eq!(nearest("typ", ["type", "target"]), Some("type"));
        assert_eq!(nearest("FNTRYPOINT", ["ENTRYPOINT", "CMD"]), Some("ENTRYPOINT"));
        assert_eq!(nearest("type", ["type"]), None);
        assert_eq!(nearest("banana", ["type"]), None);
    }
}
