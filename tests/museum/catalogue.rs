//! The README of the museum says what is shown; and that no release has a switch.

use std::collections::BTreeSet;
use std::process::Command;

use defence::Defence;

use crate::exhibits;

const README: &str = include_str!("README.md");
const FEWEST: usize = 40;

pub fn check() {
    every_exhibit_is_in_the_readme();
    every_defence_has_an_exhibit();
    no_release_has_a_switch();
    println!("{} exhibits", exhibits().count());
}

/// The rows of the README: name of the exhibit, and its defences.
fn every_exhibit_is_in_the_readme() {
    let rows: BTreeSet<(String, String)> = README
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
            let name = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
            Some((name.to_owned(), cells.get(1)?.replace('`', "")))
        })
        .collect();
    let shown: BTreeSet<(String, String)> = exhibits()
        .map(|exhibit| {
            let defences: Vec<&str> = exhibit.defences.iter().map(|defence| defence.name()).collect();
            (exhibit.name.to_owned(), defences.join(", "))
        })
        .collect();
    assert_eq!(rows, shown, "the rows of the README, and the exhibits");
    assert_eq!(shown.len(), exhibits().count(), "two exhibits of one name");
    assert!(shown.len() >= FEWEST, "{} exhibits", shown.len());
}

fn every_defence_has_an_exhibit() {
    let shown: BTreeSet<Defence> = exhibits().flat_map(|exhibit| exhibit.defences).copied().collect();
    let idle: Vec<&str> = Defence::ALL.iter().filter(|it| !shown.contains(it)).map(|it| it.name()).collect();
    assert!(idle.is_empty(), "defences without an exhibit: {idle:?}");
}

/// Built as a release is, even with the feature, the answer is constant; and nothing that ships asks for the
/// feature.
fn no_release_has_a_switch() {
    let cargo = |words: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(words)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("CARGO_MAKEFLAGS")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        said
    };
    let said = cargo(&["test", "--release", "--offline", "-p", "defence", "--features", "switches"]);
    assert!(said.contains("test tests::nothing_can_be_taken_down ... ok"), "{said}");
    let said = cargo(&["tree", "--offline", "-p", "rbuild", "-e", "normal,build,features", "-i", "defence"]);
    assert!(!said.contains("switches"), "{said}");
}
