//! States of failed steps: kept with their layers, forgotten, and pushed out by newer ones.

use layer_store::{Keep, Lease, Snapshot, Store};
use serde_json::json;

use crate::support::{layer_of, options, place};

/// A build with one failed step, upon a layer of its own.
fn failed(lease: &Lease, text: &str) -> (layer_store::BuildId, layer_store::LayerId) {
    let layer = layer_of(lease, &Snapshot::default(), &[("file", text)]);
    // File systems count time in ticks of some milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let build = lease.begin_build().unwrap();
    build.keep_state(3, std::slice::from_ref(&layer), json!({ "text": text })).unwrap();
    (build.finish(b"{}").unwrap(), layer)
}

#[test]
fn layers_of_a_state_are_kept_until_it_is_forgotten() {
    let place = place();
    let (root, (build, layer)) = (place.store.root().to_owned(), failed(&place.lease, "1"));
    assert_eq!(place.store.states(&build).unwrap(), [3]);
    place.store.seal(&place.lease).unwrap();
    let crate::support::Place { store, lease, dir } = place;
    drop((store, lease));
    let store = Store::open(&root, &options()).unwrap();
    store.collect(Keep::NoRecords).unwrap();
    assert_eq!(store.state(&build, 3).unwrap(), Some(json!({ "text": "1" })));
    assert!(store.layer(&layer).unwrap().is_some());
    assert_eq!(store.forget_states().unwrap(), 1);
    assert_eq!(store.state(&build, 3).unwrap(), None);
    store.collect(Keep::NoRecords).unwrap();
    assert!(store.layer(&layer).unwrap().is_none());
    drop(dir);
}

#[test]
fn a_state_without_its_layer_is_gone_and_old_ones_are_pushed_out() {
    let place = place();
    let (first, _) = failed(&place.lease, "first");
    let (second, layer) = failed(&place.lease, "second");
    std::fs::remove_dir_all(place.store.layer_dir(&layer).parent().unwrap()).unwrap();
    assert_eq!(place.store.state(&second, 3).unwrap(), None);
    for number in 0..9 {
        failed(&place.lease, &number.to_string());
    }
    assert_eq!(place.store.states(&first).unwrap(), Vec::<u32>::new());
    assert_eq!(place.store.states(&second).unwrap(), [3]);
}
