//! A base whose directories have more names than are kept of them.

use layer_store::Snapshot;

use super::support::{bench, copy};

#[test]
fn what_is_in_the_way_is_found_in_directories_that_are_wide_or_many() {
    let Some(bench) = bench() else { return };
    let lines = |dir: &str, count: usize| -> Vec<String> {
        let files = (0..count).map(|number| format!("file {dir}/f{number:03} 0644 0:0 x"));
        std::iter::once(format!("dir {dir} 0755 0:0")).chain(files).collect()
    };
    // One is wider than any that is listed, and all together have more names than are kept.
    let dirs = [("a", 35), ("b", 90), ("c", 38), ("d", 38)];
    for (at, (dir, count)) in dirs.iter().enumerate() {
        let mut base: Vec<String> = dirs.iter().flat_map(|(dir, count)| lines(dir, count - 1)).collect();
        base.push(format!("dir {dir}/f{:03} 0755 0:0", count - 1));
        let base: Vec<&str> = base.iter().map(String::as_str).collect();
        let base = bench.snapshot(&Snapshot::default(), &base);
        let copied: Vec<String> = dirs.iter().flat_map(|(dir, count)| lines(dir, count - 1)).collect();
        let blocked: Vec<String> = dirs.iter().flat_map(|(dir, count)| lines(dir, *count)).collect();
        let from = |name: &str, lines: &[String]| {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            bench.context(&bench.directory(&format!("{name}{at}"), &lines), &[])
        };
        let made = bench.copy(&base, from("copied", &copied), copy(".", "/")).expect("copy");
        assert_eq!(made, copied);
        let error = bench.copy(&base, from("blocked", &blocked), copy(".", "/")).expect_err("a directory");
        assert!(error.to_string().contains(&format!("{dir}/f{:03}", count - 1)), "{error}");
    }
}
