//! `rbuild store`.

use builder::error::Category;
use layer_store::{Damage, Repair};
use serde_json::json;

use crate::args::{CheckArgs, DuArgs, Global, ListForm, StoreCommand};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress;

/// Runs one of the commands.
pub fn run(command: &StoreCommand, global: &Global, environment: &Environment) -> Result<(), Failure> {
    match command {
        StoreCommand::Check(args) => check(args, global, environment),
        StoreCommand::Du(args) => du(args, global, environment),
    }
}

/// Names what is damaged. Damage that stays is a failure.
fn check(args: &CheckArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let local = host::open_local(global, environment)?;
    let repair = if args.repair { Repair::Yes } else { Repair::No };
    let found = local.store.check(repair).map_err(super::images::local_failure)?;
    let text = match args.format {
        ListForm::Table if found.is_empty() => "nothing is damaged\n".to_owned(),
        ListForm::Table => found.iter().map(line).collect(),
        ListForm::Json => {
            let rows: Vec<_> = found
                .iter()
                .map(|one| json!({"path": one.path.to_string_lossy(), "reason": one.reason}))
                .collect();
            format!("{:#}\n", serde_json::Value::Array(rows))
        }
    };
    super::print(&text);
    match (found.len(), repair) {
        (0, _) | (_, Repair::Yes) => Ok(()),
        (count, Repair::No) => Err(Failure::new(
            Category::Local,
            format!("{count} damaged: `rbuild store check --repair` removes what cannot be used"),
        )),
    }
}

fn line(damage: &Damage) -> String {
    format!("{}: {}\n", damage.path.display(), damage.reason)
}

fn du(args: &DuArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let local = host::open_local(global, environment)?;
    let usage = local.store.usage().map_err(super::images::local_failure)?;
    let layers: u64 = usage.layers.values().sum();
    let text = match args.format {
        ListForm::Json => format!(
            "{:#}\n",
            json!({
                "layers": layers, "blobs": usage.blobs, "cacheMounts": usage.mounts,
                "journal": usage.journal, "total": usage.total,
            })
        ),
        ListForm::Table => super::columns(&[
            ["layers".to_owned(), progress::bytes(layers)],
            ["blobs".to_owned(), progress::bytes(usage.blobs)],
            ["cache mounts".to_owned(), progress::bytes(usage.mounts)],
            ["journal of builds".to_owned(), progress::bytes(usage.journal)],
            ["total".to_owned(), progress::bytes(usage.total)],
        ]),
    };
    super::print(&text);
    Ok(())
}
