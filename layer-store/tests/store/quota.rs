//! One quota: what goes, what stays, and that the numbers are those of `du`.

use std::process::Command;

use layer_store::{
    CacheKey, Evicted, LayerId, Lease, Quota, Record, ResultId, Sharing, Snapshot, StoredImage, StoredVariant,
};
use oci::{Descriptor, Digest, MediaType, Platform};

use crate::support::{layer_of, place};

fn step(lease: &Lease, number: u8, size: usize, millis: u64, used: i64) -> LayerId {
    let id = layer_of(lease, &Snapshot::default(), &[(&format!("f{number}"), &"x".repeat(size))]);
    let record = Record {
        outputs: vec![Snapshot(vec![id.clone()])],
        result: ResultId([number; 32]),
        inputs: Vec::new(),
        components: Vec::new(),
        content: None,
        created: used,
        millis,
    };
    // Every result has two keys.
    for key in [number, number + 100] {
        lease.put_record(&CacheKey([key; 32]), &record).unwrap();
    }
    id
}

#[test]
fn what_is_cheap_large_and_idle_goes_first() {
    let place = place();
    let now = 1_000_000;
    let dear = step(&place.lease, 1, 1 << 20, 600_000, now - 1000);
    let cheap = step(&place.lease, 2, 1 << 20, 100, now - 1000);
    let recent = step(&place.lease, 3, 1 << 20, 100, now - 1);
    let small = step(&place.lease, 4, 10, 100, now - 1000);
    let used = step(&place.lease, 5, 1 << 20, 1, now - 100_000);
    let variant = StoredVariant {
        platform: Platform::host(),
        config: Descriptor::new(MediaType::OciConfig, Digest::sha256("config"), 1),
        manifest: None,
        snapshot: Snapshot(vec![used.clone()]),
    };
    let image = StoredImage { created: 1, index: None, variants: vec![variant] };
    place.store.tag(&"kept".parse().unwrap(), &image).unwrap();
    let store = place.store.clone();
    drop(place.lease);
    let before = store.usage().unwrap().total;
    let quota = Quota { most: Some(before - 100_000), ..Quota::default() };
    let plan = store.plan_eviction(quota, now).unwrap();
    assert_eq!(plan.victims[0].keys.len(), 2);
    let order: Vec<u8> = plan.victims.iter().map(|victim| victim.keys[0].0[0] % 100).collect();
    assert_eq!(order, [2]);
    // A process that uses it keeps it.
    let living = store.lease().unwrap();
    assert!(living.record(&CacheKey([2; 32])).unwrap().is_some());
    let nothing = store.evict(&plan).unwrap().gone;
    assert_eq!((nothing.layers, nothing.records, nothing.in_use), (0, 2, 1));
    assert!(store.layer(&cheap).unwrap().is_some());
    drop(living);
    let Evicted { gone, after, .. } = store.evict(&plan).unwrap();
    assert_eq!((gone.layers, gone.records, gone.in_use), (1, 0, 0));
    assert!(after.total <= before - 100_000, "{after:?} of {before}");
    for (id, there) in [(&dear, true), (&cheap, false), (&recent, true), (&small, true), (&used, true)] {
        assert_eq!(store.layer(id).unwrap().is_some(), there, "{id}");
    }
    // What was used lately may be kept from it.
    let most = Quota { most: Some(0), unused_since: None, keep_since: Some(now - 10) };
    store.evict(&store.plan_eviction(most, now).unwrap()).unwrap();
    assert!(store.layer(&recent).unwrap().is_some() && store.layer(&dear).unwrap().is_none());
    let nothing = Quota { most: Some(0), ..Quota::default() };
    store.evict(&store.plan_eviction(nothing, now).unwrap()).unwrap();
    assert!(store.layer(&used).unwrap().is_some() && store.layer(&recent).unwrap().is_none());
}

#[test]
fn age_alone_and_cache_mounts() {
    let place = place();
    let old = step(&place.lease, 1, 10, 1, 100);
    let new = step(&place.lease, 2, 10, 1, 900);
    let mount = place.lease.cache_mount("m", Sharing::Shared).unwrap();
    std::fs::write(mount.dir().join("f"), [1; 100_000]).unwrap();
    drop(mount);
    let store = place.store.clone();
    drop(place.lease);
    let quota = Quota { unused_since: Some(500), ..Quota::default() };
    store.evict(&store.plan_eviction(quota, 1000).unwrap()).unwrap();
    assert!(store.layer(&old).unwrap().is_none() && store.layer(&new).unwrap().is_some());
    assert!(store.usage().unwrap().mounts > 100_000);
    let quota = Quota { most: Some(1000), ..Quota::default() };
    assert_eq!(store.evict(&store.plan_eviction(quota, 1000).unwrap()).unwrap().mounts, 1);
}

#[test]
fn beside_a_living_process_goes_what_it_does_not_use() {
    let place = place();
    let (used, other) = (step(&place.lease, 1, 100_000, 1, 100), step(&place.lease, 2, 100_000, 1, 100));
    let pack = |id: &LayerId| {
        place.lease.pack(id, &Snapshot::default(), &layer_store::Packing::PLAIN).unwrap().descriptor()
    };
    let (used_blob, other_blob) = (pack(&used), pack(&other));
    let unrelated = place.lease.put_blob(b"of nobody").unwrap();
    let store = place.store.clone();
    drop(place.lease);
    let living = store.lease().unwrap();
    assert!(living.record(&CacheKey([1; 32])).unwrap().is_some());
    let nothing = Quota { most: Some(0), ..Quota::default() };
    let evict = || store.evict(&store.plan_eviction(nothing, 1000).unwrap()).unwrap().gone;
    // A blob that was used just now may be what a process relies on that holds nothing else.
    let gone = evict();
    assert_eq!((gone.layers, gone.records, gone.blobs), (1, 2, 0));
    assert!(store.layer(&used).unwrap().is_some() && store.layer(&other).unwrap().is_none());
    assert!(store.has_blob(&other_blob));
    drop(living);
    let gone = evict();
    assert_eq!((gone.layers, gone.in_use, gone.blobs), (1, 0, 3));
    assert!(!store.has_blob(&used_blob) && store.open_blob(&unrelated).unwrap().is_none());
}

#[test]
fn a_packed_layer_goes_with_its_blob_when_nobody_used_that_for_long() {
    let place = place();
    let id = step(&place.lease, 1, 100_000, 1, 100);
    let blob =
        place.lease.pack(&id, &Snapshot::default(), &layer_store::Packing::PLAIN).unwrap().descriptor();
    let store = place.store.clone();
    drop(place.lease);
    let _living = store.lease().unwrap();
    let path = store.root().join("blobs/sha256").join(blob.digest.hex());
    let date = |file: &std::path::Path| {
        let done = Command::new("touch").args(["-a", "-d", "1 hour ago"]).arg(file).status().unwrap();
        assert!(done.success());
    };
    date(&path);
    // A look at it is a use.
    assert!(store.has_blob(&blob));
    let fresh = std::fs::metadata(&path).unwrap().accessed().unwrap().elapsed().unwrap();
    assert!(fresh.as_secs() < 600, "{fresh:?}");
    date(&path);
    let nothing = Quota { most: Some(0), ..Quota::default() };
    let gone = store.evict(&store.plan_eviction(nothing, 1000).unwrap()).unwrap().gone;
    assert_eq!((gone.layers, gone.blobs), (1, 1));
}

#[test]
fn sizes_agree_with_du() {
    let place = place();
    for number in 0..20 {
        step(&place.lease, number, 5000 * usize::from(number), 1, 1);
    }
    let output = Command::new("du").args(["-s", "-B1"]).arg(place.store.root()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let du: u64 = text.split_whitespace().next().unwrap().parse().unwrap();
    let ours = place.store.usage().unwrap().total;
    assert!(ours.abs_diff(du) * 100 <= du, "{ours} and {du}");
}

#[test]
fn a_short_look_finds_layers_and_blobs_that_came_or_went() {
    let place = place();
    for number in 0..4 {
        step(&place.lease, number, 50_000, 1, 1);
    }
    let known = place.store.usage().unwrap();
    assert_eq!(place.store.usage_since(&known), known);
    let lease = place.store.lease().unwrap();
    step(&lease, 4, 300_000, 1, 1);
    lease.put_blob(&noise(200_000)).unwrap();
    let grown = place.store.usage_since(&known);
    assert_eq!(grown.layers, place.store.usage().unwrap().layers);
    assert!(grown.total >= known.total + 500_000, "{grown:?} {known:?}");
    drop((lease, place.lease));
    let nothing = Quota { most: Some(0), ..Quota::default() };
    place.store.evict(&place.store.plan_eviction(nothing, 1000).unwrap()).unwrap();
    let shrunk = place.store.usage_since(&grown);
    assert!(shrunk.layers.is_empty() && shrunk.total < known.total, "{shrunk:?}");
}

#[test]
fn the_journal_counts_and_its_oldest_parts_go_before_cache_mounts() {
    let place = place();
    let mut builds = Vec::new();
    for _ in 0..4 {
        let build = place.lease.begin_build().unwrap();
        build.append(1, &noise(200_000)).unwrap();
        builds.push(build.finish(b"{}").unwrap());
        // File systems count time in ticks of some milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mount = place.lease.cache_mount("m", Sharing::Shared).unwrap();
    std::fs::write(mount.dir().join("f"), [1; 100_000]).unwrap();
    drop(mount);
    let store = place.store.clone();
    drop(place.lease);
    let usage = store.usage().unwrap();
    assert!(usage.journal > 800_000 && usage.total > usage.journal, "{usage:?}");
    let quota = Quota { most: Some(usage.total - 300_000), ..Quota::default() };
    let plan = store.plan_eviction(quota, 1000).unwrap();
    let Evicted { journal, mounts, after, .. } = store.evict(&plan).unwrap();
    assert_eq!((journal, mounts), (2, 0));
    assert!(after.total <= usage.total - 300_000, "{after:?}");
    builds.reverse();
    assert_eq!(store.builds().unwrap(), builds[..2]);
}

/// Bytes that nothing packs.
fn noise(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}
