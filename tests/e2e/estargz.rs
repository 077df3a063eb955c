//! Layers with an index, read by Python as the specification says, and by tools that know nothing of it.

use std::process::Command;

use crate::copy::skopeo;
use crate::support::layout::{layout, sha256};
use crate::support::registry::{Access, Registry};
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

/// Reads a layer by its footer and its index, then as any gzip: blob, index digest, archive size, diff ID.
const READ: &str = "
import gzip, hashlib, io, json, sys, tarfile, zlib
blob = open(sys.argv[1], 'rb').read()
footer = blob[-51:]
assert footer[:4] == b'\\x1f\\x8b\\x08\\x04' and footer[10:16] == b'\\x1a\\x00SG\\x16\\x00' and footer[32:38] == b'STARGZ'
assert gzip.decompress(footer) == b''
digest = lambda data: 'sha256:' + hashlib.sha256(data).hexdigest()
def member(offset):
    reader = zlib.decompressobj(31)
    data = reader.decompress(blob[offset:])
    assert reader.eof
    return data
tail = tarfile.open(fileobj=io.BytesIO(member(int(footer[16:32], 16))))
(entry,) = tail.getmembers()
index = tail.extractfile(entry).read()
assert entry.name == 'stargz.index.json' and digest(index) == sys.argv[2]
plain = gzip.decompress(blob)
assert len(plain) == int(sys.argv[3]) and digest(plain) == sys.argv[4]
index = json.loads(index)
assert index['version'] == 1
files, order = {}, []
for line in index['entries']:
    name = line['name'].rstrip('/')
    if line['type'] != 'chunk':
        order.append(name)
    if 'offset' in line:
        data = member(line['offset'])
        assert digest(data) == line['chunkDigest'], name
        assert line.get('chunkSize', len(data)) == len(data) and line.get('chunkOffset', 0) == len(files.get(name, b''))
        files[name] = files.get(name, b'') + data
        if line['type'] == 'reg':
            whole = line['digest']
        if 'chunkSize' not in line:
            assert digest(files[name]) == whole, name
archive = tarfile.open(fileobj=io.BytesIO(plain))
members = archive.getmembers()
assert [one.name for one in members] == order + ['stargz.index.json'], (order, members)
for one in members[:-1]:
    if one.isreg():
        assert archive.extractfile(one).read() == files.get(one.name, b''), one.name
print(len(members), max(len(data) for data in files.values()))
";

fn python(words: &[&str]) -> String {
    let done = Command::new("python3").args(["-c", READ]).args(words).output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Two layers with files of no byte, of a few, and of several chunks.
fn workspace() -> Workspace {
    let workspace = Workspace::with(
        "FROM scratch\nCOPY tree /tree\nCOPY busybox /bin/\nCMD [\"/bin/busybox\", \"ls\"]\n",
    );
    let large: Vec<u8> =
        (0..9_500_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    workspace.file("tree/large", large);
    workspace.file("tree/empty", "");
    workspace.file("tree/below/few", "a few bytes");
    std::os::unix::fs::symlink("large", workspace.context().join("tree/link")).unwrap();
    workspace
}

#[test]
fn an_indexed_layer_is_read_in_parts_and_whole() {
    if !(has("python3") && has("skopeo") && has("busybox")) {
        return;
    }
    let workspace = workspace();
    let digest = |name: &str| {
        let path = workspace.path().join(name);
        let output = format!("type=oci,tar=false,dest={},compression=estargz", path.display());
        workspace.build(&["-t", "app:1", "-o", &output, "--reproducible"]);
        layout(&path).index()["manifests"][0]["digest"].clone()
    };
    assert_eq!(digest("one"), digest("two"));
    let layout = layout(&workspace.path().join("one"));
    let manifest = layout.top();
    let config = layout.json(&manifest["config"]);
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    for (layer, diff_id) in layers.iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        let annotation = |key: &str| layer["annotations"][key].as_str().unwrap().to_owned();
        let words = [
            layout.path(layer).display().to_string(),
            annotation("containerd.io/snapshot/stargz/toc.digest"),
            annotation("io.containers.estargz.uncompressed-size"),
            diff_id.as_str().unwrap().to_owned(),
        ];
        python(&words.each_ref().map(String::as_str));
        assert_eq!(sha256(&layout.bytes(layer)), layer["digest"].as_str().unwrap());
    }
    let to = workspace.path().join("copy");
    skopeo(&["copy", "--quiet", &format!("oci:{}:1", layout.0.display()), &format!("dir:{}", to.display())]);
}

#[test]
fn an_image_with_indexed_layers_goes_through_store_and_registry() {
    if !(is_root() && has("docker-registry") && has("busybox")) {
        return;
    }
    let (registry, workspace) = (Registry::start(Access::Open), workspace());
    let (pushed, kept) = (registry.name("app:1"), registry.name("kept:1"));
    workspace.build(&["-o", &format!("type=registry,name={pushed},compression=estargz")]);
    workspace.build(&["-o", &format!("type=image,name={kept},compression=estargz")]);
    workspace.ok(&["push", &kept]);
    let digest = |name: &str| workspace.ok(&["digest", &format!("docker://{name}")]).out;
    assert_eq!(digest(&pushed), digest(&kept));
    workspace.ok(&["validate", &format!("docker://{kept}")]);
    workspace.ok(&["rm", &kept]);
    workspace.ok(&["pull", &pushed]);
    let shown = workspace.ok(&["run", &pushed, "/bin/busybox", "wc", "-c", "/tree/large"]).out;
    assert!(shown.starts_with("9500000 "), "{shown}");
}

#[test]
fn forms_that_hold_no_index_are_refused() {
    let workspace = Workspace::with("FROM scratch\nCOPY Dockerfile /\n");
    let context = workspace.context().display().to_string();
    for (option, output, said) in [
        ("-o", "type=oci,dest=o,compression=estargz,oci-mediatypes=false", "oci-mediatypes=true"),
        ("-o", "type=docker,dest=o,compression=estargz,oci-mediatypes=false", "oci-mediatypes=true"),
        ("-o", "type=oci,dest=o,compression=estargz,force-compression=true", "force-compression"),
        ("--cache-to", "type=local,dest=c,compression=estargz", "no index"),
    ] {
        let found = workspace.fails(2, &["build", option, output, &context]);
        assert!(found.err.contains(said), "{output}: {found:?}");
    }
}
