//! Options of the commands that show images to other programs.

use std::ffi::OsString;

use clap::Args;

use super::ListForm;
use super::registry::PLACES;

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct MountArgs {
    /// The image; a bare name is the store's, else the registry's [default: list what is mounted]
    #[arg(value_name = "PLACE")]
    pub image: Option<String>,
    /// Platform, of an image for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// How the list is printed: `table` or `json`
    #[arg(long, value_enum, default_value_t = ListForm::Table, conflicts_with = "image")]
    pub format: ListForm,
}

#[derive(Debug, Args)]
pub struct UnmountArgs {
    /// Images as they were named to `mount`, or the paths that it printed
    #[arg(value_name = "PLACE|PATH", required_unless_present = "all")]
    pub images: Vec<String>,
    /// Unmount all
    #[arg(short, long, conflicts_with = "images")]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct UnshareArgs {
    /// Command and its arguments [default: $SHELL, else /bin/sh]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}
