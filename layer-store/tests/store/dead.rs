//! What layers hold for nothing.

use std::path::PathBuf;

use layer_store::{Content, Snapshot};

use crate::support::{Place, directory, file, place, symlink};

/// Adds a layer: `-path size`, `dpath`, `lpath`, `xpath` (removed), `opath` (hides what is below), `hpath target`.
fn layer(place: &Place, below: &Snapshot, text: &str) -> Snapshot {
    let mut writer = place.lease.write_layer(below).unwrap();
    for line in text.split(", ").filter(|line| !line.is_empty()) {
        let (path, last) = line[1..].split_once(' ').unwrap_or((&line[1..], ""));
        let path = path.as_ref();
        match &line[..1] {
            "d" => writer.directory(path, &directory()),
            "l" => writer.symlink(path, &symlink("target")),
            "x" => writer.whiteout(path),
            "o" => writer.opaque(path),
            "h" => writer.hardlink(path, last.as_ref()),
            _ => writer.file(path, &file(0o644), Content::Bytes(&vec![b'.'; last.parse().unwrap()])),
        }
        .unwrap();
    }
    below.with(writer.commit().unwrap())
}

fn check(layers: &[&str], base: usize, expected: &[(&str, u64, usize, usize)]) {
    let place = place();
    let snapshot = layers.iter().fold(Snapshot::default(), |below, text| layer(&place, &below, text));
    let mut found = Vec::new();
    let mut visit = |dead: layer_store::DeadFile| {
        found.push((dead.path, dead.size, dead.layer, dead.by));
        Ok(())
    };
    place.store.stack(&snapshot).unwrap().dead_files(base, &mut visit).unwrap();
    found.sort();
    let expected: Vec<_> =
        expected.iter().map(|&(path, size, layer, by)| (PathBuf::from(path), size, layer, by)).collect();
    assert_eq!(found, expected, "{layers:?}");
}

#[test]
fn what_is_removed_or_replaced_is_dead() {
    check(&["-a 5, -b 7", "xa"], 0, &[("a", 5, 0, 1)]);
    check(&["-a 5", "-a 6", "-a 1"], 0, &[("a", 5, 0, 1), ("a", 6, 1, 2)]);
    check(&["dd, -d/a 5, -d/s/b 6, -da 9", "xd"], 0, &[("d/a", 5, 0, 1), ("d/s/b", 6, 0, 1)]);
    check(&["dd, -d/a 5", "dd"], 0, &[]);
    check(&["dd, -d/a 5", "dd, od, -d/b 1"], 0, &[("d/a", 5, 0, 1)]);
    check(&["dd, -d/a 5", "-d 2"], 0, &[("d/a", 5, 0, 1)]);
    check(&["-d 5", "dd, -d/a 1"], 0, &[("d", 5, 0, 1)]);
    check(&["-a 5", "la"], 0, &[("a", 5, 0, 1)]);
    check(&["-a 5", "", "-b 1"], 0, &[]);
    // Hidden twice: the lower layer did it.
    check(&["dd, -d/a 5", "dd, xd/a", "xd"], 0, &[("d/a", 5, 0, 1)]);
    check(&["dd, -d/a 5", "dd, -d/a 3", "dd, od"], 0, &[("d/a", 3, 1, 2), ("d/a", 5, 0, 1)]);
    // Below the root itself.
    check(&["-a 5, ds, -s/b 6", "o"], 0, &[("a", 5, 0, 1), ("s/b", 6, 0, 1)]);
}

#[test]
fn layers_below_the_base_do_not_count() {
    check(&["-a 5, -b 1", "-a 6", "xa, xb"], 1, &[("a", 6, 1, 2)]);
    check(&["-a 5", "xa"], 1, &[]);
}

#[test]
fn a_file_is_dead_with_its_last_name() {
    check(&["-a 5, hb a", "xa"], 0, &[]);
    check(&["-a 5, hb a", "xa", "xb"], 0, &[("b", 5, 0, 2)]);
    check(&["-a 5, hb a", "-b 3"], 0, &[]);
    check(&["dd, -a 5, hd/b a", "xa"], 0, &[]);
    check(&["dd, -a 5, hd/b a", "xa, xd"], 0, &[("a", 5, 0, 1)]);
}
