//! Options of the commands that look into the store and keep it small.

use clap::{Args, Subcommand};

use super::ListForm;
use super::registry::PLACES;
use super::values::{age_seconds, bytes};

#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Remove the results of steps as well, those that other options choose or else all of them
    #[arg(short, long)]
    pub all: bool,
    /// Remove results that were not used for so long: `until=24h` or `unused-for=24h`
    #[arg(long = "filter", value_name = "FILTER", value_parser = filter)]
    pub filters: Vec<i64>,
    /// Remove results until the store takes no more (`10GB`); large, cheap and long unused ones go first
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub max_used_space: Option<u64>,
    /// Remove results until the file system of the store has so much left
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub min_free_space: Option<u64>,
    /// Leave the store so much, whatever the two above ask for; alone it is what the store may take
    #[arg(long, value_name = "BYTES", value_parser = bytes, visible_alias = "keep-storage")]
    pub reserved_space: Option<u64>,
    /// Keep results that were used within that time (`24h`), whatever the store takes
    #[arg(long, value_name = "DURATION", value_parser = age_seconds, visible_alias = "keep-duration")]
    pub keep: Option<i64>,
    /// Accepted for compatibility: nothing is asked
    #[arg(short, long)]
    pub force: bool,
    /// Remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Say what goes, and why
    #[arg(long)]
    pub explain: bool,
}

/// The seconds of `until=24h` or `unused-for=24h`.
fn filter(text: &str) -> Result<i64, String> {
    let known = text.strip_prefix("until=").or_else(|| text.strip_prefix("unused-for="));
    age_seconds(known.ok_or("known filters are until=DURATION and unused-for=DURATION")?)
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Compare everything in the store with what it should be
    Check(CheckArgs),
    /// Show how much space the store takes
    Du(DuArgs),
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Remove what is damaged: it will be made or pulled anew
    #[arg(long)]
    pub repair: bool,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = ListForm::Table)]
    pub format: ListForm,
}

#[derive(Debug, Args)]
pub struct DuArgs {
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = ListForm::Table)]
    pub format: ListForm,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct LookArgs {
    /// The image; a bare name is the store's, else the registry's
    #[arg(value_name = "PLACE")]
    pub image: String,
    /// Path inside the image
    #[arg(default_value = "/")]
    pub path: std::path::PathBuf,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = ListForm::Table)]
    pub format: ListForm,
    /// Platform, of an image for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct CatArgs {
    /// The image; a bare name is the store's, else the registry's
    #[arg(value_name = "PLACE")]
    pub image: String,
    /// Path of a file inside the image; links are followed
    pub path: std::path::PathBuf,
    /// Platform, of an image for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct DiffArgs {
    /// An image
    #[arg(value_name = "PLACE")]
    pub old: String,
    /// The image it is compared with
    #[arg(value_name = "OTHER")]
    pub new: String,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = ListForm::Table)]
    pub format: ListForm,
    /// Platform, of images for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        assert_eq!(filter("until=24h"), Ok(86_400));
        assert_eq!(filter("unused-for=1h30m5s"), Ok(5405));
        assert_eq!(filter("until=0s"), Ok(0));
        for wrong in ["until=", "until=5", "until=5d", "label=x", "until=-5h", "until=5hx", "until=5é"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
