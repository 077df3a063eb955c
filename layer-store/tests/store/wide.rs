//! Directories with more files than are looked up at once, and more content than is kept at hand.

use std::io::Read;
use std::path::{Path, PathBuf};

use layer_store::tar::TarReader;
use layer_store::{Content, Snapshot};

use crate::support::{archive_of, file, place};

/// Two directories, one within the other's names, whose files together have 16 MiB.
const FILES: usize = 300;

fn content(number: usize) -> Vec<u8> {
    let size = [0, 1, 511, 65_536, 65_537][number % 5];
    (0..size).map(|at| (at * 31 + number) as u8).collect()
}

#[test]
fn the_archive_of_wide_directories_has_all_files_sorted_with_their_content() {
    let place = place();
    let base =
        Snapshot(vec![crate::support::layer_of(&place.lease, &Snapshot::default(), &[("w/gone", "")])]);
    let mut writer = place.lease.write_layer(&base).unwrap();
    let mut expected = vec![(PathBuf::from("w/.wh.gone"), Vec::new())];
    for dir in ["w", "w/150"] {
        for number in 0..FILES {
            // One of the names is the inner directory.
            let name = if dir == "w" && number == 150 { continue } else { format!("{number:03}") };
            let path = Path::new(dir).join(name);
            writer.file(&path, &file(0o644), Content::Bytes(&content(number))).unwrap();
            expected.push((path, content(number)));
        }
    }
    writer.remove("w/gone".as_ref()).unwrap();
    let id = writer.commit().unwrap();
    let archive = archive_of(&place.lease, &id, &base);
    let mut found = Vec::new();
    let mut reader = TarReader::new(&archive[..]);
    while let Some(mut entry) = reader.next_entry().unwrap() {
        if entry.attributes.is_dir() {
            continue;
        }
        let mut bytes = Vec::new();
        entry.body.read_to_end(&mut bytes).unwrap();
        found.push((entry.path, bytes));
    }
    expected[1..].sort();
    let names = |all: &[(PathBuf, Vec<u8>)]| all.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected));
    assert!(found == expected, "contents differ");
}

#[test]
fn content_ids_of_wide_directories_do_not_depend_on_how_files_are_read() {
    let place = place();
    let layer = |change: Option<usize>| {
        let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
        for number in 0..FILES {
            let mut bytes = content(number);
            if change == Some(number) {
                bytes.push(0);
            }
            writer.file(format!("{number:03}").as_ref(), &file(0o644), Content::Bytes(&bytes)).unwrap();
        }
        place.store.content_id(&writer.commit().unwrap()).unwrap()
    };
    let plain = layer(None);
    assert_eq!(plain, layer(None));
    for changed in [0, 127, 128, 299] {
        assert_ne!(plain, layer(Some(changed)), "{changed}");
    }
}
