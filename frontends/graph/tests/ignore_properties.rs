//! Ignore files of any bytes: rules or an error, and one verdict however a path is asked about.

use graph::{Patterns, WalkState, parse_ignore_file, parse_ignore_lines};
use proptest::prelude::*;

/// Lines made of what means something in patterns.
fn rules() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "b", "ab", "/", "*", "**", "?", "!", "[a-b]", "[^a]", ".", "..", "\\", " ", "\n", "#",
        "\u{feff}", "é",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "é", "c.d"]), 1..4)
        .prop_map(|names| names.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), path in "\\PC{0,20}") {
        if let Ok(patterns) = Patterns::new(parse_ignore_file(&bytes)) {
            let _ = patterns.matches_or_parent(&path);
        }
    }

    /// Asking for a path alone and walking down to it come to the same.
    #[test]
    fn walking_agrees_with_asking(text in rules(), path in paths()) {
        let Ok(patterns) = Patterns::new(parse_ignore_file(text.as_bytes())) else { return Ok(()) };
        let mut state = WalkState::default();
        let mut so_far = String::new();
        for name in path.split('/') {
            if !so_far.is_empty() {
                so_far.push('/');
            }
            so_far.push_str(name);
            let visit = patterns.visit(&state, so_far.as_bytes());
            prop_assert_eq!(visit.excluded, patterns.matches_or_parent(&so_far), "{:?} {}", text, so_far);
            state = visit.state;
        }
    }

    /// A directory is passed over only when nothing below it is in.
    #[test]
    fn what_is_passed_over_is_left_out(text in rules(), directory in paths(), below in paths()) {
        let Ok(patterns) = Patterns::new(parse_ignore_file(text.as_bytes())) else { return Ok(()) };
        let mut state = WalkState::default();
        let mut so_far = String::new();
        let mut enter = true;
        for name in directory.split('/') {
            so_far = if so_far.is_empty() { name.to_owned() } else { format!("{so_far}/{name}") };
            let visit = patterns.visit(&state, so_far.as_bytes());
            enter &= visit.enter;
            state = visit.state;
        }
        prop_assert!(enter || patterns.matches_or_parent(format!("{directory}/{below}")), "{:?}", text);
    }

    #[test]
    fn lines_keep_their_numbers(text in rules()) {
        let numbered = parse_ignore_lines(text.as_bytes());
        prop_assert!(numbered.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert!(numbered.iter().all(|(line, _)| *line <= text.matches('\n').count() + 1));
        let texts: Vec<String> = numbered.into_iter().map(|(_, rule)| rule).collect();
        prop_assert_eq!(texts, parse_ignore_file(text.as_bytes()));
    }
}
