//! Opening what the commands work with: the host, the store, the client.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Instant;

use builder::error::{Categorised, Category};
use builder::event::{Ending, Event, StepId};
use builder::exec::{Snapshotter, StepIsolation, WhyCopies};
use builder::remote::RemoteSecrets;
use builder::{EventSink, HostFacts, Session};
use layer_store::{IdRange, IdRanges, Mode, Mounting, OpenOptions, Store, mode_of_store};
use registry_client::Remarks;
use runtime_exec::{
    Host, HostMode, HostOptions, IdMapping, Isolation, Mounts, OutsideHelper, OverlaySupport,
};

use crate::args::{Global, IsolationArg, SnapshotterArg};
use crate::client::{self, Additions};
use crate::commands;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::jobs;
use crate::progress::{self, Form};

/// Events that may wait for the drawer.
const EVENTS: usize = 1024;

/// Everything open.
pub struct Open {
    pub session: Session,
    pub runtime: tokio::runtime::Runtime,
    /// What registries remark, on its way to the drawer.
    pub remarks: Remarks,
    drawer: JoinHandle<()>,
}

/// The store alone, for commands that need no registry and run nothing.
pub struct Local {
    pub store: Store,
    pub helper: OutsideHelper,
}

/// Enters the host's namespaces and opens the store, and nothing else.
pub fn open_local(global: &Global, environment: &Environment) -> Result<Local, Failure> {
    open_local_with(Mounts::Own, global, environment)
}

/// The same, among the mounts of whoever is to see what is mounted.
pub fn open_local_with(mounts: Mounts, global: &Global, environment: &Environment) -> Result<Local, Failure> {
    let (store, host) = enter(mounts, global, environment)?;
    Ok(Local { store, helper: host.helper() })
}

fn enter(mounts: Mounts, global: &Global, environment: &Environment) -> Result<(Store, Host), Failure> {
    let root = store_root(global, environment)?;
    let options = HostOptions { mounts, ..options(&root, global) };
    let host = Host::enter(&options).map_err(|error| Failure::from_error(Category::Host, &error))?;
    Ok((open_store(&root, &host)?, host))
}

/// How to enter for a store at `root`: one that was made with a single id stays so, also when others
/// can be had by now.
pub fn options(root: &std::path::Path, global: &Global) -> HostOptions {
    let ids = match mode_of_store(root) {
        Some(Mode::SingleId) => IdMapping::Single,
        Some(Mode::Root | Mode::Mapped) | None => IdMapping::Auto,
    };
    let isolation = match global.isolation {
        IsolationArg::Default => Isolation::Namespaces,
        IsolationArg::Chroot => Isolation::Chroot,
    };
    HostOptions { ids, isolation, ..HostOptions::default() }
}

/// Enters the host's namespaces and opens the store. To be called before any thread is started.
pub fn open(
    global: &Global,
    environment: &Environment,
    form: Form,
    jobs: Option<usize>,
) -> Result<Open, Failure> {
    open_with(Mounts::Own, global, environment, form, jobs)
}

/// The same, among the mounts of whoever is to see what is mounted.
pub fn open_with(
    mounts: Mounts,
    global: &Global,
    environment: &Environment,
    form: Form,
    jobs: Option<usize>,
) -> Result<Open, Failure> {
    let (store, host) = enter(mounts, global, environment)?;
    let facts = facts(&host, &store, global)?;
    let lease = store.lease().map_err(|error| Failure::from_error(Category::Local, &error))?;
    let (events, stream) = EventSink::channel(EVENTS);
    let sink = events.clone();
    let remarks = Remarks::to(move |text| {
        sink.offer(Event::Warning(text));
    });
    let client = client::open(global, environment, host.helper(), &Additions::default(), &remarks)
        .map_err(|error| Failure::from_error(Category::Usage, &error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::from_error(Category::Host, &error))?;
    let drawer = progress::draw(form, stream);
    let session = Session {
        store,
        lease,
        client,
        helper: Some(host.helper()),
        remote_secrets: RemoteSecrets::default(),
        git_agent: None,
        host: facts,
        events,
        keepers: runtime_exec::Keepers::for_many(),
        steps: jobs.unwrap_or_else(jobs::steps),
        jobs: jobs.unwrap_or_else(jobs::packers),
        ceiling: None,
    };
    Ok(Open { session, runtime, remarks, drawer })
}

impl Open {
    /// Lets the session know the credentials and hosts that options name.
    pub fn add(
        &mut self,
        additions: &Additions,
        global: &Global,
        environment: &Environment,
    ) -> Result<(), Failure> {
        if let (false, Some(helper)) = (additions.is_empty(), &self.session.helper) {
            self.session.client = client::open(global, environment, helper.clone(), additions, &self.remarks)
                .map_err(|error| Failure::from_error(Category::Usage, &error))?;
        }
        Ok(())
    }

    /// Does one piece of work, unless the user asks to stop, and closes everything.
    pub fn work<T, E: Categorised>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, Failure> {
        let result = self.runtime.block_on(async {
            tokio::select! {
                result = work => result.map_err(Some),
                () = commands::interrupted() => Err(None),
            }
        });
        self.end(&result);
        match result {
            Ok(value) => Ok(value),
            Err(Some(error)) => Err(Failure::from_error(error.category(), &error)),
            Err(None) => Err(Failure::new(Category::Interrupted, "cancelled")),
        }
    }

    /// Closes everything; what still goes on after a failure or a signal is asked to stop first.
    pub fn end<T, E>(self, result: &Result<T, E>) {
        if result.is_err() {
            self.session.store.stop();
        }
        self.close();
    }

    /// Does work that goes on until the user asks to stop: it is told so, and ends by itself.
    pub fn until_stopped<T, E: Categorised, F: Future<Output = Result<T, E>>>(
        self,
        work: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) -> F,
    ) -> Result<T, Failure> {
        let result = self.runtime.block_on(work(Box::pin(commands::interrupted())));
        self.close();
        result.map_err(|error| Failure::from_error(error.category(), &error))
    }

    /// Does one piece of work that is shown as a step.
    pub fn step<T, E: Categorised, F: Future<Output = Result<T, E>>>(
        self,
        title: &str,
        work: impl FnOnce(StepId) -> F,
    ) -> Result<T, Failure> {
        let (step, events) = (StepId(0), self.session.events.clone());
        let (title, work) = (title.to_owned(), work(step));
        self.work(async move { shown(&events, step, title, work).await })
    }

    /// Closes everything and waits until all progress is drawn.
    pub fn close(self) {
        let events = self.session.events.clone();
        drop(self.session);
        drop(self.runtime);
        events.end_blocking();
        drop(self.drawer.join());
    }
}

fn facts(host: &Host, store: &Store, global: &Global) -> Result<HostFacts, Failure> {
    let (isolation, snapshotter) = match (global.isolation, global.snapshotter) {
        (IsolationArg::Default, wanted) => (StepIsolation::Namespaces, snapshotter(store, wanted)?),
        (IsolationArg::Chroot, SnapshotterArg::Overlay) => {
            return Err(Failure::usage("--isolation=chroot has no mounts, and so no --snapshotter=overlay"));
        }
        (IsolationArg::Chroot, SnapshotterArg::Auto | SnapshotterArg::Copy) => {
            (StepIsolation::chroot(), Snapshotter::Copy(WhyCopies::Asked))
        }
    };
    let resolv_conf = std::fs::read("/etc/resolv.conf").unwrap_or_default().into();
    Ok(HostFacts { mode: host.mode(), isolation, snapshotter, resolv_conf })
}

/// Overlay mounts where the place of the store allows them, unless the user wants it otherwise.
fn snapshotter(store: &Store, wanted: SnapshotterArg) -> Result<Snapshotter, Failure> {
    let cause = match (wanted, store.mounting()) {
        (SnapshotterArg::Copy, _) => return Ok(Snapshotter::Copy(WhyCopies::Asked)),
        (SnapshotterArg::Auto | SnapshotterArg::Overlay, Mounting::Impossible) => {
            format!("the file system of {} refuses the marks of overlayfs", store.root().display())
        }
        (SnapshotterArg::Auto | SnapshotterArg::Overlay, Mounting::Possible) => {
            let probed = Host::probe_overlay(store.root());
            match probed.map_err(|error| Failure::from_error(Category::Host, &error))? {
                OverlaySupport::Works => return Ok(Snapshotter::Overlay),
                OverlaySupport::Refused { what, errno, hint } => {
                    let error = std::io::Error::from_raw_os_error(errno);
                    format!("{what} is refused: {error} ({hint})")
                }
            }
        }
    };
    match wanted {
        SnapshotterArg::Overlay => {
            Err(Failure::new(Category::Host, format!("--snapshotter=overlay: {cause}")))
        }
        SnapshotterArg::Auto | SnapshotterArg::Copy => Ok(Snapshotter::refused(cause)),
    }
}

/// Does work that is shown as a step.
pub async fn shown<T, E: std::fmt::Display>(
    events: &EventSink,
    step: StepId,
    title: String,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let began = Instant::now();
    events.send(Event::Planned { step, title, span: None, inputs: Vec::new() }).await;
    events.send(Event::Started { step }).await;
    let result = work.await;
    let ending = match &result {
        Ok(_) => Ending::Done,
        Err(error) => Ending::Failed(error.to_string()),
    };
    events.send(Event::Finished { step, ending, took: began.elapsed() }).await;
    result
}

/// Where the store is.
pub fn store_root(global: &Global, environment: &Environment) -> Result<PathBuf, Failure> {
    let is_root = rustix::process::getuid().is_root();
    let root = global.root.clone().or_else(|| environment.default_root(is_root));
    let root = root.ok_or_else(|| Failure::usage("no place for the store: set HOME, or give --root DIR"))?;
    std::path::absolute(&root).map_err(|error| Failure::from_error(Category::Local, &error))
}

fn open_store(root: &std::path::Path, host: &Host) -> Result<Store, Failure> {
    let (uids, gids) = host.id_maps();
    let convert = |ranges: Vec<runtime_exec::IdRange>| {
        ranges
            .into_iter()
            .map(|range| IdRange { inside: range.inside, outside: range.outside, count: range.count })
            .collect()
    };
    let mode = match host.mode() {
        HostMode::Root => Mode::Root,
        HostMode::Mapped => Mode::Mapped,
        HostMode::SingleId => Mode::SingleId,
    };
    let options = OpenOptions { mode, ids: IdRanges { users: convert(uids), groups: convert(gids) } };
    Store::open(root, &options).map_err(|error| Failure::from_error(Category::Local, &error))
}
