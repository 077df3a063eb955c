//! The solver with a fake worker: no privilege, no files, no time.

mod fake;
mod histories;
mod keys_in_use;
mod offers;
mod policy;
mod random;
mod runs;
mod verify;

use graph::{
    Copy, Edge, ExecOp, FileAction, Graph, Input, LocalSource, Meta, Mount, MountKind, Op, VertexId,
};

use super::{Policy, Solution, Solver, solve};
use crate::error::StepFailure;
use crate::session::EventSink;
use crate::worker::Permits;
use fake::FakeWorker;

/// What a fake step does with what it reads.
const ALL: &str = "all"; // its layer depends on everything it reads
const SAME: &str = "same"; // its layer is the same whatever it reads
const DICE: &str = "dice"; // its layer is another one each time

/// A process named `name` upon a root.
fn exec(graph: &mut Graph, name: &str, what: &str, root: Input) -> VertexId {
    exec_with(graph, name, what, vec![root], Vec::new(), false)
}

/// A process with read-only binds; each names an input and the path of it that is read.
fn exec_with(
    graph: &mut Graph,
    name: &str,
    what: &str,
    inputs: Vec<Input>,
    binds: Vec<(usize, &str)>,
    no_cache: bool,
) -> VertexId {
    let bind = |(input, source): (usize, &str)| Mount {
        target: format!("/{source}"),
        kind: MountKind::Bind { input, source: source.to_owned(), writable: false },
    };
    let op = ExecOp {
        args: vec![name.to_owned(), what.to_owned()],
        env: graph::Environment::default(),
        cwd: "/".to_owned(),
        user: String::new(),
        mounts: binds.into_iter().map(bind).collect(),
        network: graph::Network::None,
        security: graph::Security::Sandbox,
        hostname: None,
        extra_hosts: Vec::new(),
        shm_size: None,
        ulimits: Vec::new(),
        proxy: graph::ProxyEnv::default(),
        secret_env: Vec::new(),
        devices: Vec::new(),
        valid_exit_codes: Vec::new(),
    };
    graph.add(Op::Exec(Box::new(op)), inputs, Meta { title: name.to_owned(), span: None, no_cache })
}

/// A copy of one path of `from` upon `base`.
fn copy(graph: &mut Graph, path: &str, from: VertexId, base: Input) -> VertexId {
    let copy = Copy {
        input: 1,
        source: path.to_owned(),
        dest: format!("copied-{path}"),
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
    };
    let op = Op::File(vec![FileAction::Copy(Box::new(copy))]);
    let title = format!("copy {path}");
    graph.add(op, vec![base, Some(Edge::first(from))], Meta { title, ..Meta::default() })
}

/// The main context.
fn local(graph: &mut Graph) -> VertexId {
    let source =
        LocalSource { context: graph::ContextName::Main, ignore: Vec::new(), ignore_places: Vec::new() };
    graph.add(Op::Local(source), Vec::new(), Meta::default())
}

/// All inputs on top of one another.
fn merge(graph: &mut Graph, inputs: &[VertexId]) -> VertexId {
    graph.add(Op::Merge, inputs.iter().map(|id| of(*id)).collect(), Meta::default())
}

/// The first output of a vertex.
fn of(id: VertexId) -> Input {
    Some(Edge::first(id))
}

/// Solves with room for four steps at once.
async fn run(worker: &FakeWorker, graph: &Graph, targets: &[VertexId]) -> Result<Solution, Box<StepFailure>> {
    run_with(worker, graph, targets, 4, false).await
}

/// Solves with given width, with or without the cache.
async fn run_with(
    worker: &FakeWorker,
    graph: &Graph,
    targets: &[VertexId],
    jobs: usize,
    no_cache: bool,
) -> Result<Solution, Box<StepFailure>> {
    run_by(worker, graph, targets, jobs, Policy { no_cache, ..Policy::default() }).await
}

/// Solves by a policy.
async fn run_by(
    worker: &FakeWorker,
    graph: &Graph,
    targets: &[VertexId],
    jobs: usize,
    policy: Policy,
) -> Result<Solution, Box<StepFailure>> {
    let (events, _) = EventSink::channel(1);
    let permits = Permits::new(jobs);
    let solver = Solver { worker, events: &events, permits: &permits, policy, checking: None };
    let edges: Vec<Edge> = targets.iter().map(|id| Edge::first(*id)).collect();
    solve(&solver, graph, &edges).await
}
