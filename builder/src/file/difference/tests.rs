//! Differences of trees, laid on the lower tree again.

use layer_store::{Attributes, IdRanges, Mode, OpenOptions};

use super::*;

fn file(size: u64, secs: i64) -> Attributes {
    let mut attributes = Attributes::new(Kind::File { size }, 0o644);
    attributes.mtime.secs = secs;
    attributes
}

fn shown(store: &Store, snapshot: &Snapshot) -> Vec<String> {
    let view = store.stack(snapshot).unwrap();
    let mut all = Vec::new();
    view.walk(Path::new("/"), &mut |path, entry| {
        let text = match &entry.attributes.kind {
            Kind::File { .. } => String::from_utf8(view.read_file(path, 100)?.unwrap()).unwrap(),
            Kind::Symlink { target } => format!("-> {}", target.display()),
            Kind::Directory => "directory".to_owned(),
            Kind::Fifo | Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Socket => {
                "other".to_owned()
            }
        };
        all.push(format!(
            "{} {:o} {} {}",
            path.display(),
            entry.attributes.mode,
            entry.attributes.mtime.secs,
            text
        ));
        Ok(layer_store::Walk::Continue)
    })
    .unwrap();
    all
}

#[test]
fn one_layer_gives_what_several_gave() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { mode: Mode::Root, ids: IdRanges::of_this_process() };
    let store = Store::open(dir.path(), &options).unwrap();
    let lease = store.lease().unwrap();
    let mut layer = lease.write_layer(&Snapshot::default()).unwrap();
    for name in ["d/kept", "d/changed", "d/gone", "was-dir/inside", "was-file"] {
        layer.file(Path::new(name), &file(3, 1), Content::Bytes(b"one")).unwrap();
    }
    let lower = Snapshot(vec![layer.commit().unwrap()]);
    let mut layer = lease.write_layer(&lower).unwrap();
    layer.file(Path::new("dead"), &file(4, 2), Content::Bytes(b"dead")).unwrap();
    layer.file(Path::new("d/changed"), &file(3, 2), Content::Bytes(b"two")).unwrap();
    layer.remove(Path::new("was-dir")).unwrap();
    layer.remove(Path::new("was-file")).unwrap();
    let middle = lower.with(layer.commit().unwrap());
    let mut layer = lease.write_layer(&middle).unwrap();
    layer.remove(Path::new("dead")).unwrap();
    layer.remove(Path::new("d/gone")).unwrap();
    layer.file(Path::new("was-dir"), &file(1, 3), Content::Bytes(b"f")).unwrap();
    layer.file(Path::new("was-file/now"), &file(1, 3), Content::Bytes(b"d")).unwrap();
    layer.hardlink(Path::new("was-file/again"), Path::new("was-file/now")).unwrap();
    let link = Attributes::new(Kind::Symlink { target: "d".into() }, 0o777);
    layer.symlink(Path::new("link"), &link).unwrap();
    let upper = middle.with(layer.commit().unwrap());

    let squashed = lower.with(difference(&store, &lease, &lower, &upper).unwrap());
    assert_eq!(squashed.0.len(), 2);
    assert_eq!(shown(&store, &squashed), shown(&store, &upper));
    let alone = Snapshot(squashed.0[1..].to_vec());
    let changed = shown(&store, &alone);
    assert!(!changed.iter().any(|line| line.contains("dead") || line.contains("d/kept")), "{changed:?}");
    let view = store.stack(&squashed).unwrap();
    let identity = |path: &str| view.lookup(Path::new(path)).unwrap().unwrap().identity;
    assert_eq!(identity("was-file/now"), identity("was-file/again"));
    let whole = Snapshot(vec![difference(&store, &lease, &Snapshot::default(), &upper).unwrap()]);
    assert_eq!(shown(&store, &whole), shown(&store, &upper));
}
