//! The options of `explain`, `history` and `logs`.

use clap::{Args, Subcommand};

use super::ListForm;

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Number of a step as `history show` has it, or a part of its title [default: the first that ran]
    pub step: Option<String>,
    /// Build to look at
    #[arg(long, value_name = "ID", conflicts_with = "last")]
    pub build: Option<String>,
    /// The last build; this is the default
    #[arg(long)]
    pub last: bool,
}

#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// List builds, the newest first
    Ls(HistoryLsArgs),
    /// Show the steps of a build: time, cache state, bytes, critical path
    Show(HistoryShowArgs),
}

#[derive(Debug, Args)]
pub struct HistoryLsArgs {
    /// Print only ids
    #[arg(short, long)]
    pub quiet: bool,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = ListForm::Table)]
    pub format: ListForm,
}

#[derive(Debug, Args)]
pub struct HistoryShowArgs {
    /// Id of a build, or its beginning [default: the last build]
    pub build: Option<String>,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = ListForm::Table)]
    pub format: ListForm,
}

#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Id of a build, or its beginning [default: the last build]
    pub build: Option<String>,
    /// Number of a step, or a part of its title [default: all steps]
    pub step: Option<String>,
    /// Print before each line when it began
    #[arg(short, long)]
    pub timestamps: bool,
}
