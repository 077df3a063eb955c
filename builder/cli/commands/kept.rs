//! `rbuild cache`: results of steps and cache mounts, by where they come from.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use builder::history::{self, KnownStep};
use layer_store::{CacheKey, CachedResult, EvictionPlan, KeptMount, LayerId, Store};
use serde_json::{Value, json};

use super::images::local_failure;
use crate::args::{Global, KeptArgs, KeptCommand, ListForm};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress;

/// A result with the step it belongs to, where that is known.
struct Row {
    result: CachedResult,
    step: Option<KnownStep>,
}

/// What was asked for.
struct Chosen {
    results: Vec<Row>,
    mounts: Vec<KeptMount>,
}

/// Runs one of the commands.
pub fn run(command: &KeptCommand, global: &Global, environment: &Environment) -> Result<(), Failure> {
    if let KeptCommand::Rm(args) = command
        && !args.names_results()
        && !args.names_mounts()
    {
        return Err(Failure::usage("say which results or mounts; `rbuild prune --all` removes all results"));
    }
    let store = host::open_local(global, environment)?.store;
    super::print(&match command {
        KeptCommand::Ls(args) => list(&choose(&store, args)?, args.format),
        KeptCommand::Du(args) => usage(&store, &choose(&store, args)?, args.format)?,
        KeptCommand::Show(args) => details(&choose(&store, args)?, args.format),
        KeptCommand::Rm(args) => remove(&store, choose(&store, args)?)?,
    });
    Ok(())
}

fn choose(store: &Store, args: &KeptArgs) -> Result<Chosen, Failure> {
    let mut chosen = Chosen { results: Vec::new(), mounts: Vec::new() };
    if args.names_results() || !args.names_mounts() {
        let steps = history::known_steps(store).map_err(local_failure)?;
        for result in store.cached_results().map_err(local_failure)? {
            // An image that a step ends in is the same result under a further key.
            let known = result.keys.iter().filter_map(|key| steps.get(&key.to_string()));
            let step = known.min_by_key(|step| step.kind == history::Kind::Image).cloned();
            let row = Row { result, step };
            if fits(&row, args) {
                chosen.results.push(row);
            }
        }
        chosen.results.sort_by_key(|row| std::cmp::Reverse(row.result.bytes));
    }
    if args.names_mounts() || !args.names_results() {
        chosen.mounts = store.cache_mounts().map_err(local_failure)?;
        chosen.mounts.retain(|mount| {
            args.mount.as_ref().is_none_or(|id| *id == mount.id)
                && args.target.as_ref().is_none_or(|target| mount.targets.contains(target))
        });
    }
    Ok(chosen)
}

fn fits(row: &Row, args: &KeptArgs) -> bool {
    let has_key =
        |wanted: &String| row.result.keys.iter().any(|key| key.to_string().starts_with(wanted.as_str()));
    let of_step = |holds: &dyn Fn(&KnownStep) -> bool| row.step.as_ref().is_some_and(holds);
    args.key.as_ref().is_none_or(has_key)
        && args.file.as_ref().is_none_or(|file| of_step(&|step| is_file(&step.file, file)))
        && args.stage.as_ref().is_none_or(|stage| of_step(&|step| step.stage() == Some(stage)))
        && args.line.is_none_or(|line| of_step(&|step| step.line == Some(line)))
}

/// Whether a build file is the one that is meant: by its whole path, or by the end of it.
fn is_file(known: &Path, wanted: &Path) -> bool {
    known.ends_with(wanted) || std::path::absolute(wanted).is_ok_and(|wanted| wanted == known)
}

fn list(chosen: &Chosen, form: ListForm) -> String {
    if form == ListForm::Json {
        return documents(chosen);
    }
    let now = jiff::Timestamp::now().as_second();
    let unused = |used: i64| super::prune::age(now.saturating_sub(used));
    let mut rows = vec![["KEY", "SIZE", "UNUSED FOR", "TOOK", "LINE", "STEP"].map(str::to_owned)];
    rows.extend(chosen.results.iter().map(|Row { result, step }| {
        let key = result.keys.first().map(ToString::to_string).unwrap_or_default();
        let title = step.as_ref().map_or("-", |step| step.title.lines().next().unwrap_or_default());
        [
            key[..key.len().min(12)].to_owned(),
            progress::bytes(result.bytes),
            unused(result.used),
            format!("{}.{:03} s", result.millis / 1000, result.millis % 1000),
            step.as_ref().and_then(|step| step.line).map_or("-".to_owned(), |line| line.to_string()),
            progress::printable(title.as_bytes()),
        ]
    }));
    rows.extend(chosen.mounts.iter().map(|mount| {
        let title = format!("{} at {}", mount.id, mount.targets.join(" "));
        let none = || "-".to_owned();
        let title = progress::printable(title.as_bytes());
        ["mount".to_owned(), progress::bytes(mount.bytes), unused(mount.used), none(), none(), title]
    }));
    super::columns(&rows)
}

fn documents(chosen: &Chosen) -> String {
    let results: Vec<Value> = chosen.results.iter().map(result_document).collect();
    let mounts: Vec<Value> = chosen.mounts.iter().map(mount_document).collect();
    format!("{:#}\n", json!({"results": results, "mounts": mounts}))
}

fn result_document(row: &Row) -> Value {
    let step = row.step.as_ref();
    json!({
        "keys": row.result.keys.iter().map(CacheKey::to_string).collect::<Vec<_>>(),
        "bytes": row.result.bytes,
        "millis": row.result.millis,
        "created": row.result.created,
        "used": row.result.used,
        "layers": row.result.layers.iter().map(LayerId::to_string).collect::<Vec<_>>(),
        "dockerfile": step.map(|step| step.file.to_string_lossy()),
        "stage": step.and_then(KnownStep::stage),
        "line": step.and_then(|step| step.line),
        "title": step.map(|step| &step.title),
    })
}

fn mount_document(mount: &KeptMount) -> Value {
    json!({
        "id": mount.id, "variant": mount.variant, "targets": mount.targets, "bytes": mount.bytes,
        "used": mount.used, "path": mount.path.to_string_lossy(),
    })
}

/// Layers count once, however many results name them.
fn usage(store: &Store, chosen: &Chosen, form: ListForm) -> Result<String, Failure> {
    let all = store.usage().map_err(local_failure)?.layers;
    let named: HashSet<&LayerId> = chosen.results.iter().flat_map(|row| &row.result.layers).collect();
    let results: u64 = named.into_iter().filter_map(|layer| all.get(layer)).sum();
    let mounts: u64 = chosen.mounts.iter().map(|mount| mount.bytes).sum();
    Ok(match form {
        ListForm::Json => {
            format!("{:#}\n", json!({"results": results, "mounts": mounts, "total": results + mounts}))
        }
        ListForm::Table => super::columns(&[
            ["results".to_owned(), progress::bytes(results)],
            ["mounts".to_owned(), progress::bytes(mounts)],
            ["total".to_owned(), progress::bytes(results + mounts)],
        ]),
    })
}

fn details(chosen: &Chosen, form: ListForm) -> String {
    if form == ListForm::Json {
        return documents(chosen);
    }
    let mut text = String::new();
    let all = chosen.results.iter().map(result_document).chain(chosen.mounts.iter().map(mount_document));
    for document in all {
        for (name, value) in document.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null())
        {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = writeln!(text, "{name}: {}", progress::printable(value.as_bytes()));
        }
        text.push('\n');
    }
    text
}

/// Removes results and what was made upon them: otherwise that would be found, and nothing would run.
fn remove(store: &Store, chosen: Chosen) -> Result<String, Failure> {
    let mut victims: Vec<CachedResult> = chosen.results.into_iter().map(|row| row.result).collect();
    let keys: HashSet<CacheKey> = victims.iter().flat_map(|victim| victim.keys.clone()).collect();
    let upon = |result: &CachedResult| {
        !result.inputs.is_disjoint(&keys) && !result.keys.iter().any(|key| keys.contains(key))
    };
    if !keys.is_empty() {
        victims.extend(store.cached_results().map_err(local_failure)?.into_iter().filter(upon));
    }
    let mut text = String::new();
    for mount in &chosen.mounts {
        let gone = store.remove_cache_mount(mount).map_err(local_failure)?;
        let what = if gone { "removed mount" } else { "in use, stays: mount" };
        let _ = writeln!(text, "{what} {}", progress::printable(mount.id.as_bytes()));
    }
    if victims.is_empty() {
        return Ok(text);
    }
    let count = victims.len();
    let plan = EvictionPlan { victims, ..EvictionPlan::default() };
    let used = match store.evict(&plan).map_err(local_failure)?.gone.in_use {
        0 => String::new(),
        layers => format!("; {layers} layers stay, which other processes use"),
    };
    let _ = writeln!(text, "removed {count} results{used}");
    Ok(text)
}
