//! Pins of mounted images: what they hold, and when they hold no longer.

use layer_store::{Keep, Repair, Snapshot};

use crate::support::{layer_of, place};

#[test]
fn a_pin_holds_its_layers_until_it_is_released() {
    let place = place();
    let id = layer_of(&place.lease, &Snapshot::default(), &[("f", "1")]);
    let snapshot = Snapshot(vec![id.clone()]);
    // One that was given up leaves nothing.
    drop(place.lease.pin(&snapshot, "app:1", |_| serde_json::Value::Null).unwrap());
    assert!(place.store.pins().unwrap().is_empty());
    assert_eq!(std::fs::read_dir(place.store.root().join("pins")).unwrap().count(), 0);
    let pin = place.lease.pin(&snapshot, "app:1", |at| at.to_string_lossy().into()).unwrap();
    // The layer lies between what stands for the root and something empty.
    assert_eq!((pin.lower().len(), &pin.lower()[1]), (3, &place.store.layer_dir(&id)));
    let mount_point = pin.commit();
    let store = place.store.clone();
    drop(place.lease);
    store.collect(Keep::NoRecords).unwrap();
    assert!(store.layer(&id).unwrap().is_some());
    let pins = store.pins().unwrap();
    assert_eq!((pins.len(), pins[0].image.as_str()), (1, "app:1"));
    assert_eq!(pins[0].place, serde_json::json!(mount_point));
    let review = store.review_pins().unwrap();
    review.release_spent().unwrap();
    assert_eq!(store.pins().unwrap(), pins);
    review.release(&pins[0]);
    assert!(!mount_point.exists() && store.pins().unwrap().is_empty());
    assert_eq!(store.collect(Keep::NoRecords).unwrap().layers, 1);
}

#[test]
fn a_damaged_pin_and_one_of_another_boot_hold_nothing() {
    let place = place();
    let id = layer_of(&place.lease, &Snapshot::default(), &[("f", "1")]);
    let store = place.store.clone();
    let pin = |lease: &layer_store::Lease| {
        let pin = lease.pin(&Snapshot(vec![id.clone()]), "app:1", |_| serde_json::Value::Null).unwrap();
        pin.commit().with_file_name("pin.json")
    };
    let (damaged, old) = (pin(&place.lease), pin(&place.lease));
    drop(place.lease);
    std::fs::write(&damaged, "{").unwrap();
    let mut document: serde_json::Value = serde_json::from_slice(&std::fs::read(&old).unwrap()).unwrap();
    document["boot"] = "another".into();
    std::fs::write(&old, document.to_string()).unwrap();
    assert!(store.pins().unwrap().is_empty());
    let found = store.check(Repair::No).unwrap();
    let paths: Vec<_> = found.iter().map(|damage| store.root().join(&damage.path)).collect();
    assert_eq!(paths, [damaged]);
    store.check(Repair::Yes).unwrap();
    assert!(store.check(Repair::No).unwrap().is_empty());
    store.review_pins().unwrap().release_spent().unwrap();
    assert_eq!(std::fs::read_dir(store.root().join("pins")).unwrap().count(), 0);
    assert_eq!(store.collect(Keep::NoRecords).unwrap().layers, 1);
}
