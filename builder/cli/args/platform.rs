//! The options that choose one platform of an index, named as docker and as skopeo name them.

use clap::{Args, ValueEnum};

/// Options of commands that look at one platform.
#[derive(Clone, Debug, Default, Args)]
pub struct PlatformArgs {
    /// One platform, of an image for several
    #[arg(long, value_name = "OS/ARCH", conflicts_with_all = ["override_os", "override_arch", "override_variant"])]
    pub platform: Option<String>,
    /// This operating system, and this machine's architecture unless another is named
    #[arg(long, value_name = "OS")]
    pub override_os: Option<String>,
    /// This architecture, and this machine's operating system unless another is named
    #[arg(long, value_name = "ARCH")]
    pub override_arch: Option<String>,
    /// This variant of the architecture
    #[arg(long, value_name = "VARIANT")]
    pub override_variant: Option<String>,
}

/// Options of skopeo that ask for what is done anyway.
#[derive(Clone, Copy, Debug, Args)]
pub struct UsualArgs {
    /// Accepted for compatibility: all platforms are copied unless one is named
    #[arg(short, long, conflicts_with_all = ["platform", "override_os", "override_arch", "override_variant"])]
    all: bool,
    /// Accepted for compatibility: signatures are copied with --referrers alone
    #[arg(long, conflicts_with = "referrers")]
    remove_signatures: bool,
}

/// `--multi-arch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MultiArch {
    All,
    System,
}

/// Reads `--multi-arch`.
pub fn multi_arch(text: &str) -> Result<MultiArch, String> {
    match text {
        "all" => Ok(MultiArch::All),
        "system" => Ok(MultiArch::System),
        "index-only" => {
            Err("an index without its images cannot be pulled; all and system are taken".to_owned())
        }
        _ => Err("it is all or system".to_owned()),
    }
}
