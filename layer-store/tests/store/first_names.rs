//! Files with several names.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::support::place;

#[test]
fn the_first_name_of_each_file_is_told_however_many_there_are() {
    let place = place();
    let mut names = place.store.first_names();
    let mut known: HashMap<(u64, u64), PathBuf> = HashMap::new();
    let mut state = 1u64;
    for number in 0..60_000u64 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Neighbours, the same inode on several devices, and numbers without order.
        let file = match number % 3 {
            0 => (0, number % 10_000),
            1 => (number % 7, 5),
            _ => (u64::MAX, state >> 40),
        };
        let name = PathBuf::from(format!("d/name-{number}"));
        let before = known.get(&file).cloned();
        assert_eq!(names.first(file, &name).unwrap(), before, "{number} {file:?}");
        known.entry(file).or_insert(name);
    }
    assert_eq!(std::fs::read_dir(place.store.root().join("tmp")).unwrap().count(), 1, "only the lease's own");
}
