//! A session on a store of its own, layers made by hand, and a registry on loopback.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;

use builder::event::StepId;
use builder::export::{ExportRequest, FinishedTarget};
use builder::request::{Output, OutputKind};
use builder::session::EventStream;
use builder::{EventSink, HostFacts, Session};
use graph::Target;
use layer_store::{Attributes, Content, IdRanges, Kind, LayerId, Mode, OpenOptions, Snapshot, Store};
use oci::{Descriptor, History, ImageConfig, Platform, Reference};
use registry_client::{Client, ClientOptions};
use runtime_exec::HostMode;
use tempfile::TempDir;

#[path = "../../../registry-client/tests/support/docker_registry.rs"]
pub mod docker_registry;
#[path = "../../../registry-client/tests/support/fake.rs"]
pub mod fake;
#[path = "../../../registry-client/tests/support/server.rs"]
pub mod server;

/// A session and the directory it lives in.
pub struct Place {
    pub session: Session,
    pub directory: TempDir,
    events: EventStream,
}

/// A session on a fresh store. `None`, said aloud, where this process is not root (an error in CI).
pub fn place() -> Option<Place> {
    if !rustix::process::getuid().is_root() {
        skipped("these tests need root");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let (session, events) = session_in(directory.path());
    Some(Place { session, directory, events })
}

/// A session on the store of a directory.
pub fn session_in(directory: &Path) -> (Session, EventStream) {
    let options = OpenOptions { mode: Mode::Root, ids: IdRanges::of_this_process() };
    let store = Store::open(&directory.join("store"), &options).unwrap();
    let (sink, events) = EventSink::channel(4096);
    let session = Session {
        lease: store.lease().unwrap(),
        store,
        client: Client::new(ClientOptions::default()).unwrap(),
        helper: None,
        remote_secrets: builder::remote::RemoteSecrets::default(),
        git_agent: None,
        events: sink,
        keepers: runtime_exec::Keepers::default(),
        steps: 2,
        jobs: 2,
        ceiling: None,
        host: HostFacts {
            mode: HostMode::Root,
            isolation: builder::exec::StepIsolation::Namespaces,
            snapshotter: builder::exec::Snapshotter::Overlay,
            resolv_conf: bytes::Bytes::new(),
        },
    };
    (session, events)
}

/// Says that something cannot be tested here; in CI that is a failure.
pub fn skipped(why: &str) {
    assert!(std::env::var("CI").is_err(), "{why}");
    eprintln!("skipped: {why}");
}

pub fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn file(mode: u32, size: u64) -> Attributes {
    Attributes::new(Kind::File { size }, mode)
}

/// A layer with directories, a file, a further name of it, and a link.
pub fn first_layer(session: &Session) -> LayerId {
    let mut layer = session.lease.write_layer(&Snapshot::default()).unwrap();
    layer.directory(Path::new("etc"), &Attributes::new(Kind::Directory, 0o755)).unwrap();
    let text = b"root:x:0:0:root:/root:/bin/sh\n";
    layer.file(Path::new("etc/passwd"), &file(0o644, text.len() as u64), Content::Bytes(text)).unwrap();
    layer.file(Path::new("etc/gone"), &file(0o600, 4), Content::Bytes(b"gone")).unwrap();
    layer.hardlink(Path::new("etc/again"), Path::new("etc/passwd")).unwrap();
    let link = Attributes::new(Kind::Symlink { target: "passwd".into() }, 0o777);
    layer.symlink(Path::new("etc/link"), &link).unwrap();
    layer.commit().unwrap()
}

/// A layer over it, which removes a file and adds another.
pub fn second_layer(session: &Session, base: &Snapshot) -> LayerId {
    let mut layer = session.lease.write_layer(base).unwrap();
    layer.whiteout(Path::new("etc/gone")).unwrap();
    let mut own = file(0o4755, 3);
    own.uid = 12;
    own.mtime.secs = 1_600_000_000;
    layer.file(Path::new("program"), &own, Content::Bytes(b"run")).unwrap();
    layer.commit().unwrap()
}

pub fn entry(text: &str) -> History {
    History { created_by: Some(text.to_owned()), ..History::default() }
}

/// A target with so many layers of its own, each with its entry, and one entry without a layer.
pub fn target(
    base: Option<(Reference, Descriptor, ImageConfig)>,
    snapshot: Snapshot,
    own: usize,
) -> FinishedTarget {
    let platform = Platform::host();
    let (base, mut config) = match base {
        Some((reference, manifest, config)) => (Some((reference, manifest)), config),
        None => (None, ImageConfig::default()),
    };
    let base_history = config.history.len();
    config.architecture.clone_from(&platform.architecture);
    config.os.clone_from(&platform.os);
    config.config.cmd = Some(vec!["/program".to_owned()]);
    config.history.extend((0..own).map(|number| entry(&format!("RUN step {number}"))));
    config.history.push(History { empty_layer: true, ..entry("CMD [\"/program\"]") });
    FinishedTarget {
        target: Target { platform, root: None, config, base_history, base, epoch: None, scans: Vec::new() },
        snapshot,
        scans: Vec::new(),
        generated: None,
    }
}

pub fn output(kind: OutputKind) -> Output {
    Output::new(kind)
}

pub fn request(outputs: Vec<Output>, tags: &[&str], targets: Vec<FinishedTarget>) -> ExportRequest {
    ExportRequest {
        outputs,
        tags: tags.iter().map(|tag| name(tag)).collect(),
        targets,
        force_index: false,
        source_date_epoch: None,
        iidfile: None,
        attest: None,
        step: StepId(1000),
        remote: Default::default(),
        beside: Vec::new(),
        sent: Default::default(),
    }
}
