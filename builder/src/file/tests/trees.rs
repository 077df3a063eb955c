//! Random trees: what `COPY . /` makes is the tree.

use std::collections::BTreeMap;

use layer_store::Snapshot;
use proptest::prelude::*;

use super::support::{bench, copy};
use crate::file::{FileInput, selection_digest};

/// Lines of a random tree, directories before what they hold, names sorted.
fn tree() -> impl Strategy<Value = Vec<String>> {
    let name = "[a-c.\\-\\[é][a-c *?]{0,2}".prop_filter("a real name", |name| name != "." && name != "..");
    let leaf = (0u8..3, 0u32..0o10000, "[a-z]{0,9}");
    let path = prop::collection::vec(name, 1..4);
    prop::collection::vec((path, leaf), 0..12).prop_map(|leaves| {
        let mut lines: BTreeMap<Vec<String>, String> = BTreeMap::new();
        for (path, (kind, mode, text)) in leaves {
            let path: Vec<String> = path.iter().map(|name| name.replace(' ', "_")).collect();
            let above = (1..path.len()).map(|depth| path[..depth].to_vec());
            let blocked =
                above.clone().any(|above| lines.get(&above).is_some_and(|line| !line.starts_with("dir")));
            let below = lines.keys().any(|known| known.len() > path.len() && known.starts_with(&path));
            if blocked || below {
                continue;
            }
            for above in above {
                let line = format!("dir {} 0755 0:0", above.join("/"));
                lines.entry(above).or_insert(line);
            }
            let shown = path.join("/");
            let line = match kind {
                0 => format!("dir {shown} {mode:04o} 0:0"),
                1 => format!("link {shown} t{text}"),
                _ => format!("file {shown} {mode:04o} 0:0 {text}").trim_end().to_owned(),
            };
            lines.insert(path, line);
        }
        lines.into_values().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn copy_of_everything_is_the_tree(lines in tree(), again in tree()) {
        let Some(bench) = bench() else { return Ok(()) };
        let borrowed: Vec<&str> = lines.iter().map(String::as_str).collect();
        let root = bench.directory("context", &borrowed);
        let stage = FileInput::Snapshot(bench.snapshot(&Snapshot::default(), &borrowed));
        let context = bench.context(&root, &[]);
        for from in [&stage, &context] {
            let made = bench.copy(&Snapshot::default(), from.clone(), copy(".", "/")).expect("copy");
            prop_assert_eq!(&made, &lines);
        }
        // The key is the same exactly if the tree is.
        let other: Vec<&str> = again.iter().map(String::as_str).collect();
        let other = bench.context(&bench.directory("other", &other), &[]);
        let key = |input: &FileInput| selection_digest(&bench.store, input, &copy(".", "/")).expect("digest");
        prop_assert_eq!(key(&context) == key(&other), lines == again);
        prop_assert_eq!(key(&context), key(&bench.context(&root, &[])));
    }
}
