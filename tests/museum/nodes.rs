//! Nodes of devices. Only root of the host can make or change them.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use defence::Defence;
use runtime_exec::{StepIo, spawn};

use crate::exhibit::{Exhibit, Loot};
use crate::modes::Mode;
use crate::support::Place;

const ROOT: &[Mode] = &[Mode::Root];
const NULL: &str = "/dev/null";

pub const EXHIBITS: &[Exhibit] = &[
    Exhibit::entered("node-of-a-device", &[Defence::NodesUseless], ROOT, node_of_a_device),
    Exhibit::entered("null-over-hidden-path", &[Defence::NullReadOnly], ROOT, null_over_hidden_path),
    Exhibit::entered("null-as-descriptor", &[Defence::NullReplaced], ROOT, null_as_descriptor),
];

fn node_of_a_device(place: &Place) -> Loot {
    let said = place.says("mknod /own c 1 5 && head -c 3 /own 2>/dev/null | wc -c");
    (said.trim() != "0").then(|| format!("read {} bytes of a device", said.trim()))
}

/// Whether a step changed what stands for the host's node in these tests, which gets its mode back.
fn changed() -> Loot {
    let mode = fs::metadata(NULL).unwrap().mode() & 0o777;
    fs::set_permissions(NULL, fs::Permissions::from_mode(0o666)).unwrap();
    (mode != 0o666).then(|| format!("{NULL} has mode {mode:o}"))
}

fn null_over_hidden_path(place: &Place) -> Loot {
    place.says("for f in /proc/keys /proc/kcore /proc/timer_list; do chmod 600 $f; done 2>/dev/null; true");
    changed()
}

fn null_as_descriptor(place: &Place) -> Loot {
    let null = || fs::OpenOptions::new().read(true).write(true).open(NULL).unwrap().into();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let step = place.sh("chmod 600 /proc/self/fd/1; true");
    let io = StepIo { stdin: None, stdout: null(), stderr: writer.into() };
    spawn(&step.spec, io).unwrap().wait().unwrap();
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    changed()
}
