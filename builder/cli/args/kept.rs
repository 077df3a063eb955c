//! Options of `rbuild cache`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ListForm;

#[derive(Debug, Subcommand)]
pub enum KeptCommand {
    /// List results of steps and cache mounts
    Ls(KeptArgs),
    /// Show how much space they take
    Du(KeptArgs),
    /// Show all that is known of them
    Show(KeptArgs),
    /// Remove them, and the results that were made upon them
    Rm(KeptArgs),
}

/// Which results and mounts. All conditions must hold; steps are known as long as a build of theirs is in
/// the journal.
#[derive(Debug, Args)]
pub struct KeptArgs {
    /// Result whose key begins so
    pub key: Option<String>,
    /// Steps of that Dockerfile
    #[arg(short, long, value_name = "DOCKERFILE")]
    pub file: Option<PathBuf>,
    /// Steps of that stage
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
    /// The step of the instruction that begins in that line
    #[arg(long, value_name = "NUMBER")]
    pub line: Option<usize>,
    /// The cache mount of that id
    #[arg(long, value_name = "ID")]
    pub mount: Option<String>,
    /// Cache mounts that steps had there
    #[arg(long, value_name = "PATH")]
    pub target: Option<String>,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = ListForm::Table)]
    pub format: ListForm,
}

impl KeptArgs {
    /// Whether anything is asked for that results of steps have.
    pub fn names_results(&self) -> bool {
        self.key.is_some() || self.file.is_some() || self.stage.is_some() || self.line.is_some()
    }

    /// Whether anything is asked for that cache mounts have.
    pub fn names_mounts(&self) -> bool {
        self.mount.is_some() || self.target.is_some()
    }
}
