//! The options of `debug`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::values::SecretArg;

#[derive(Debug, Args)]
pub struct DebugArgs {
    /// Id of a build, or its beginning [default: the last build with a failed step]
    pub build: Option<String>,
    /// The last build with a failed step; this is the default
    #[arg(long, conflicts_with = "build")]
    pub last: bool,
    /// Number of the step, where several failed [default: the first]
    #[arg(long, value_name = "N")]
    pub step: Option<u32>,
    /// The state before the step instead of the one it left
    #[arg(long)]
    pub before: bool,
    /// Write the step with all that it stands on to FILE, to fail again elsewhere
    #[arg(long, value_name = "FILE", conflicts_with_all = ["import", "before", "command"])]
    pub export: Option<PathBuf>,
    /// Take a step from FILE and run it once more
    #[arg(long, value_name = "FILE", conflicts_with_all = ["build", "last", "step", "before", "command"])]
    pub import: Option<PathBuf>,
    /// Offer a secret, as to a build: none was kept
    #[arg(long = "secret", value_name = "id=ID[,src=FILE|,env=NAME]")]
    pub secrets: Vec<SecretArg>,
    /// Offer an ssh agent, as to a build
    #[arg(long = "ssh", value_name = "default|ID[=SOCKET|=[HOST[/PATH]:]KEY[,…]]")]
    pub ssh: Vec<String>,
    /// Allow what the step of a bundle may not have by itself (network.host, security.insecure, device)
    #[arg(long = "allow", value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
    /// Command to run instead of a shell
    #[arg(last = true)]
    pub command: Vec<OsString>,
}
