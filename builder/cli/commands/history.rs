//! `rbuild history`, `rbuild logs`, `rbuild explain`: builds of the past.

use std::fmt::Write;

use builder::error::Category;
use builder::history::{self, Build, Step};
use layer_store::{BuildId, LogPiece, StepLog, Store, StoreError};
use serde_json::{Value, json};

use crate::args::{ExplainArgs, Global, HistoryCommand, HistoryLsArgs, HistoryShowArgs, ListForm, LogsArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::{host, progress};

/// Runs `history`.
pub fn run(command: &HistoryCommand, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let store = host::open_local(global, environment)?.store;
    match command {
        HistoryCommand::Ls(args) => list(args, &store),
        HistoryCommand::Show(args) => show(args, &store),
    }
}

fn failed(error: StoreError) -> Failure {
    Failure::from_error(Category::Local, &error)
}

fn list(args: &HistoryLsArgs, store: &Store) -> Result<(), Failure> {
    let mut builds = Vec::new();
    for id in store.builds().map_err(failed)? {
        builds.extend(history::load(store, &id).map_err(failed)?);
    }
    let text = match (args.quiet, args.format) {
        (true, _) => builds.iter().map(|build| format!("{}\n", build.id)).collect(),
        (false, ListForm::Json) => {
            format!("{:#}\n", Value::Array(builds.iter().map(summary).collect()))
        }
        (false, ListForm::Table) => table(&builds),
    };
    super::print(&text);
    Ok(())
}

fn summary(build: &Build) -> Value {
    let (ran, cached) = counts(build);
    json!({
        "id": build.id, "began": time(build), "millis": build.millis, "outcome": outcome(build),
        "ran": ran, "cached": cached, "subject": build.asked.subject,
    })
}

fn table(builds: &[Build]) -> String {
    let mut rows = vec![["ID", "BEGAN", "TOOK", "OUTCOME", "RAN", "CACHED", "BUILD"].map(str::to_owned)];
    rows.extend(builds.iter().map(|build| {
        let (ran, cached) = counts(build);
        [
            build.id.clone(),
            time(build),
            seconds(build.millis),
            outcome(build).to_owned(),
            ran.to_string(),
            cached.to_string(),
            progress::printable(build.asked.subject.join(" ").as_bytes()),
        ]
    }));
    super::columns(&rows)
}

fn counts(build: &Build) -> (usize, usize) {
    let count = |state| {
        let of_graph = |step: &&Step| {
            step.state == state && step.parts.as_ref().is_some_and(|parts| parts.kind != history::Kind::Image)
        };
        build.steps.iter().filter(of_graph).count()
    };
    (count(history::State::Ran), count(history::State::Cached))
}

fn outcome(build: &Build) -> &'static str {
    if build.failure.is_some() { "failed" } else { "done" }
}

fn time(build: &Build) -> String {
    let millis = i64::try_from(build.began).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    time.round(jiff::Unit::Second).unwrap_or(time).to_string()
}

fn seconds(millis: u64) -> String {
    format!("{}.{:02}s", millis / 1000, millis % 1000 / 10)
}

fn show(args: &HistoryShowArgs, store: &Store) -> Result<(), Failure> {
    let build = find(store, args.build.as_deref())?;
    if args.format == ListForm::Json {
        let value = serde_json::to_value(&build).map_err(|error| Failure::new(Category::Local, error))?;
        super::print(&format!("{value:#}\n"));
        return Ok(());
    }
    let mut text = format!("{} {} {}\n", build.id, time(&build), build.asked.subject.join(" "));
    let (ran, cached) = counts(&build);
    let _ = writeln!(text, "{} in {}: {ran} ran, {cached} cached", outcome(&build), seconds(build.millis));
    if let Some(failure) = &build.failure {
        let _ = writeln!(text, "{}", progress::printable(failure.as_bytes()));
    }
    let mut rows = vec![["STEP", "STATE", "TOOK", "LOG", "TRANSFERRED", "TITLE"].map(str::to_owned)];
    rows.extend(build.steps.iter().filter(|step| step.state != history::State::Waiting).map(row));
    text.push_str(&super::columns(&rows));
    let (total, path) = history::critical_path(&build);
    if !path.is_empty() {
        let _ = writeln!(text, "critical path: {}", seconds(total));
        for step in path {
            let _ = writeln!(text, "  {} {}", seconds(step.millis), title(step));
        }
    }
    super::print(&text);
    Ok(())
}

fn row(step: &Step) -> [String; 6] {
    [
        step.id.to_string(),
        step.state.word().to_owned(),
        seconds(step.millis),
        progress::bytes(step.log_bytes),
        progress::bytes(step.transferred),
        title(step),
    ]
}

fn title(step: &Step) -> String {
    progress::printable(step.title.lines().next().unwrap_or_default().as_bytes())
}

/// A build by its id or the beginning of it; the last one where none is named.
pub fn find(store: &Store, wanted: Option<&str>) -> Result<Build, Failure> {
    let wanted = wanted.unwrap_or_default().to_ascii_lowercase();
    let absent = || match wanted.as_str() {
        "" => Failure::new(Category::Local, "the store knows no builds"),
        _ => Failure::new(Category::Local, format!("the store knows no build {wanted}")),
    };
    let all = store.builds().map_err(failed)?;
    let mut fitting = all.into_iter().filter(|id| id.as_str().starts_with(&wanted));
    let id = fitting.next().ok_or_else(absent)?;
    if !wanted.is_empty() && fitting.next().is_some() {
        return Err(Failure::usage(format!("several builds begin with {wanted}")));
    }
    history::load(store, &id).map_err(failed)?.ok_or_else(absent)
}

/// A step by its number, else the only one whose title contains the text.
fn step<'a>(build: &'a Build, wanted: &str) -> Result<&'a Step, Failure> {
    if let Some(step) = wanted.parse().ok().and_then(|id| build.step(id)) {
        return Ok(step);
    }
    let mut fitting = build.steps.iter().filter(|step| step.title.contains(wanted));
    match (fitting.next(), fitting.next()) {
        (Some(step), None) => Ok(step),
        (None, _) => Err(Failure::usage(format!("build {} has no step {wanted:?}", build.id))),
        (Some(_), Some(_)) => Err(Failure::usage(format!("several steps have {wanted:?} in their title"))),
    }
}

/// Runs `logs`.
pub fn logs(args: &LogsArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let store = host::open_local(global, environment)?.store;
    let build = find(&store, args.build.as_deref())?;
    let steps: Vec<&Step> = match &args.step {
        Some(wanted) => vec![step(&build, wanted)?],
        None => build.steps.iter().filter(|step| step.log_bytes > 0).collect(),
    };
    let id =
        BuildId::parse(&build.id).ok_or_else(|| Failure::new(Category::Local, "a build without an id"))?;
    for one in steps {
        if args.step.is_none() {
            super::print(&format!("# {} {}\n", one.id, title(one)));
        }
        if let Some(log) = store.step_log(&id, one.id).map_err(failed)? {
            print_log(log, args.timestamps)?;
        }
    }
    Ok(())
}

/// Prints a log line by line. A line has the time at which it began.
fn print_log(mut log: StepLog, times: bool) -> Result<(), Failure> {
    let (mut open, mut began) = (Vec::new(), None);
    let print = |line: &[u8], began: u64| {
        let time = if times { format!("{} ", line_time(began)) } else { String::new() };
        super::print(&format!("{time}{}\n", progress::printable(line)));
    };
    while let Some(LogPiece { millis, bytes }) = log.next_piece().map_err(failed)? {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let time = *began.get_or_insert(millis);
            match part.strip_suffix(b"\n") {
                Some(end) => {
                    open.extend_from_slice(end);
                    print(&open, time);
                    (open, began) = (Vec::new(), None);
                }
                None => open.extend_from_slice(part),
            }
        }
    }
    if let Some(time) = began {
        print(&open, time);
    }
    Ok(())
}

/// A time as `docker logs --timestamps` has it, in milliseconds.
fn line_time(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    format!("{:.3}", jiff::Timestamp::from_millisecond(millis).unwrap_or_default())
}

/// Runs `explain`.
pub fn explain(args: &ExplainArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let store = host::open_local(global, environment)?.store;
    let build = find(&store, args.build.as_deref())?;
    let step = match &args.step {
        Some(wanted) => Some(step(&build, wanted)?),
        None => build.first_miss(),
    };
    let Some(step) = step else {
        super::print("every step was found in the cache\n");
        return Ok(());
    };
    let why = match &step.why {
        Some(why) => why.clone(),
        None if step.state == history::State::Cached => "it was found in the cache".to_owned(),
        None => {
            history::why(&store, &build, step.id).unwrap_or_else(|| "it is no step with a key".to_owned())
        }
    };
    super::print(&format!("{}\n  {}\n", title(step), progress::printable(why.as_bytes())));
    Ok(())
}
