//! Whole builds in this process, without a sandbox and without a network: contexts, file steps,
//! files behind URLs, records, layouts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpListener;

use builder::request::{BuildRequest, Destination, Layout, LocalContext, Output, OutputKind, PullPolicy};
use builder::{BuildError, BuildOutcome, Category, EventSink, HostFacts, Session, build};
use bytes::Bytes;
use graph::{
    ContextName, Copy, Edge, FileAction, Graph, HttpSource, Input, LocalSource, Lowered, Meta, Op, Step,
    Target,
};
use layer_store::{Mode, OpenOptions, Store};
use oci::{ImageConfig, Platform};

/// A store in a directory that goes with the test.
struct Place {
    directory: tempfile::TempDir,
    session: Session,
}

fn place() -> Place {
    let directory = tempfile::tempdir().expect("a directory");
    let mode = if rustix::process::geteuid().is_root() { Mode::Root } else { Mode::SingleId };
    let options = OpenOptions { mode, ids: layer_store::IdRanges::default() };
    let store = Store::open(&directory.path().join("store"), &options).expect("a store");
    let (events, mut stream) = EventSink::channel(16);
    std::thread::spawn(move || while stream.next_blocking().is_some() {});
    let session = Session {
        lease: store.lease().expect("a lease"),
        store,
        client: registry_client::Client::new(registry_client::ClientOptions::default()).expect("a client"),
        helper: None,
        remote_secrets: builder::remote::RemoteSecrets::default(),
        git_agent: None,
        events,
        keepers: runtime_exec::Keepers::default(),
        steps: 2,
        jobs: 2,
        ceiling: None,
        host: HostFacts {
            mode: runtime_exec::HostMode::Root,
            isolation: builder::exec::StepIsolation::Namespaces,
            snapshotter: builder::exec::Snapshotter::Overlay,
            resolv_conf: Bytes::new(),
        },
    };
    Place { directory, session }
}

/// A copy of everything that `source` names in input 1.
fn copy(source: &str) -> FileAction {
    FileAction::Copy(Box::new(Copy {
        input: 1,
        source: source.to_owned(),
        dest: "/".to_owned(),
        wildcard: false,
        allow_empty_wildcard: false,
        follow_symlinks: true,
        dir_contents: true,
        create_dest_path: true,
        owner: None,
        mode: None,
        exclude: Vec::new(),
        parents: false,
        unpack: graph::Unpack::Never,
        required: false,
    }))
}

fn step(graph: &mut Graph, source: &str, from: Input, base: Input) -> Edge {
    let meta = Meta { title: format!("COPY {source} /"), ..Meta::default() };
    Edge::first(graph.add(Op::File(vec![copy(source)]), vec![base, from], meta))
}

fn context(graph: &mut Graph) -> Input {
    let source = LocalSource { context: ContextName::Main, ignore: Vec::new(), ignore_places: Vec::new() };
    Some(Edge::first(graph.add(Op::Local(source), Vec::new(), Meta::default())))
}

fn http(graph: &mut Graph, url: &str) -> Input {
    let source = HttpSource {
        url: url.to_owned(),
        checksum: None,
        filename: "fetched".to_owned(),
        mode: 0o600,
        owner: (0, 0),
    };
    Some(Edge::first(graph.add(
        Op::Http(source),
        Vec::new(),
        Meta { title: format!("ADD {url}"), ..Meta::default() },
    )))
}

/// Builds what `draw` draws, from the files of a context, into a layout.
async fn run(
    place: &Place,
    files: &[(&str, &str)],
    draw: impl Fn(&mut Graph) -> Edge + Send + Sync + 'static,
) -> Result<BuildOutcome, BuildError> {
    let memory: BTreeMap<String, Bytes> =
        files.iter().map(|(path, text)| ((*path).to_owned(), Bytes::from((*text).to_owned()))).collect();
    let lowered = move || {
        let mut graph = Graph::new();
        let root = Some(draw(&mut graph));
        let target = Target {
            platform: Platform::host(),
            root,
            config: ImageConfig::default(),
            base_history: 0,
            base: None,
            epoch: None,
            scans: Vec::new(),
        };
        Lowered { graph, targets: vec![target], warnings: Vec::new(), entitlements: BTreeSet::new() }
    };
    let out = Destination::Path(place.directory.path().join("out"));
    let output = Output::new(OutputKind::Oci(out, Layout::Directory));
    let request = BuildRequest {
        frontend: Box::new(move |_| Ok(Step::Done(Box::new(lowered())))),
        contexts: BTreeMap::from([(ContextName::Main, LocalContext::Memory(memory))]),
        context_metadata: Default::default(),
        source: None,
        build_file_name: String::new(),
        squash: Default::default(),
        attest: Default::default(),
        asked: Default::default(),
        secrets: BTreeMap::new(),
        ssh: BTreeMap::new(),
        device_directories: Vec::new(),
        cache_from: Vec::new(),
        cache_to: Vec::new(),
        outputs: vec![output],
        tags: Vec::new(),
        pull: PullPolicy::Never,
        jobs: None,
        no_cache: false,
        cache_ttl: None,
        verify_cache: None,
        on_failure: Default::default(),
        network: builder::request::StepNetwork::default(),
        limits: runtime_exec::Limits::default(),
        devices: builder::request::StepDevices::default(),
        timeouts: Default::default(),
        deadline: None,
        force_index: false,
        source_date_epoch: Some(0),
        iidfile: None,
        provenance: None,
        profile: None,
    };
    build(&place.session, request).await
}

fn two_files(graph: &mut Graph) -> Edge {
    let context = context(graph);
    let one = step(graph, "one", context, None);
    step(graph, "two", context, Some(one))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_build_finds_everything_and_a_change_only_what_it_touches() {
    let place = place();
    let first = run(&place, &[("one", "1"), ("two", "2")], two_files).await.expect("built");
    let again = run(&place, &[("one", "1"), ("two", "2"), ("three", "3")], two_files).await.expect("built");
    let changed = run(&place, &[("one", "1"), ("two", "x")], two_files).await.expect("built");
    assert_eq!((first.steps.ran, again.steps.ran, changed.steps.ran), (2, 0, 1));
    assert_eq!((first.steps.cached, again.steps.cached, changed.steps.cached), (0, 2, 1));
    assert_eq!(first.image_id, again.image_id);
    assert_ne!(first.image_id, changed.image_id);
    assert!(place.directory.path().join("out/index.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_fails_the_step_and_leaves_no_image() {
    let place = place();
    let error = run(&place, &[("one", "1")], two_files).await.expect_err("two is missing");
    let BuildError::Step(failure) = &error else { panic!("not a failed step: {error}") };
    assert_eq!(failure.title, "COPY two /");
    assert!(!place.directory.path().join("out").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_that_vanished_are_made_again() {
    let place = place();
    let files = [("one", "1"), ("two", "2")];
    let first = run(&place, &files, two_files).await.expect("built");
    for layer in std::fs::read_dir(place.session.store.root().join("layers")).expect("layers") {
        std::fs::remove_dir_all(layer.expect("a layer").path()).expect("removed");
    }
    let second = run(&place, &files, two_files).await.expect("built");
    assert_eq!(second.steps.ran, 2);
    assert_eq!(first.images.len(), second.images.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_fetched_each_time_and_copied_when_it_changed() {
    let place = place();
    let server = Server::start(&["first", "first", "second"]);
    let url = server.url.clone();
    let draw = move |graph: &mut Graph| {
        let fetched = http(graph, &url);
        step(graph, "fetched", fetched, None)
    };
    let mut ran = Vec::new();
    for _ in 0..3 {
        ran.push(run(&place, &[], draw.clone()).await.expect("built").steps.ran);
    }
    assert_eq!(ran, [2, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_source_needs_a_helper_that_runs_git() {
    let place = place();
    let draw = |graph: &mut Graph| {
        let source = graph::GitSource {
            url: "https://example.org/repo".to_owned(),
            commit: "0".repeat(40),
            subdir: None,
            keep_git_dir: false,
            submodules: false,
            mtime: graph::GitMtime::Checkout,
            history: graph::GitHistory::default(),
            large_files: graph::LargeFiles::default(),
        };
        let from = Some(Edge::first(graph.add(Op::Git(source), Vec::new(), Meta::default())));
        step(graph, "file", from, None)
    };
    let error = run(&place, &[], draw).await.expect_err("no helper");
    assert!(error.to_string().contains("no helper to run git"), "{error}");
    assert_eq!(error.category(), Category::Host);
}

/// Answers one request after the other with these bodies.
struct Server {
    url: String,
}

impl Server {
    fn start(bodies: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/file", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for body in bodies {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let _ = stream.read(&mut [0; 4096]);
                let head =
                    "HTTP/1.1 200 OK\r\nconnection: close\r\nlast-modified: Thu, 01 Jan 1970 00:01:00 GMT";
                let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
        });
        Self { url }
    }
}
