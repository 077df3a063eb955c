//! Options of `rbuild layers`.

use clap::Args;

use super::ListForm;
use super::registry::PLACES;
use super::values::bytes;

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct LayersArgs {
    /// The image; a bare name is the store's, else the registry's
    #[arg(value_name = "PLACE")]
    pub image: String,
    /// Leave out the files
    #[arg(long)]
    pub no_files: bool,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = ListForm::Table)]
    pub format: ListForm,
    /// Platform, of an image for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Fail where all files of all layers are larger (`500MB`)
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub max_size: Option<u64>,
    /// Fail where files that a later layer removes or replaces are larger: `20MB`, or a part of all files, `5%`
    #[arg(long, value_name = "BYTES|PERCENT", value_parser = waste)]
    pub max_wasted: Option<WasteLimit>,
}

#[derive(Debug, Args)]
#[command(after_help = PLACES)]
pub struct BrowseArgs {
    /// The image; a bare name is the store's, else the registry's
    #[arg(value_name = "PLACE")]
    pub image: String,
    /// Platform, of an image for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

/// How much may be wasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasteLimit {
    /// That many bytes.
    Bytes(u64),
    /// That part of the size of all files, in percent.
    Percent(u64),
}

impl WasteLimit {
    /// The bytes that it lets an image of a size waste.
    pub fn of(self, size: u64) -> u64 {
        match self {
            WasteLimit::Bytes(bytes) => bytes,
            WasteLimit::Percent(percent) => {
                u64::try_from(u128::from(size) * u128::from(percent) / 100).unwrap_or(u64::MAX)
            }
        }
    }
}

fn waste(text: &str) -> Result<WasteLimit, String> {
    match text.strip_suffix('%') {
        None => bytes(text).map(WasteLimit::Bytes),
        Some(number) => {
            let percent = number.parse::<u64>().ok().filter(|percent| *percent <= 100);
            percent.map(WasteLimit::Percent).ok_or_else(|| format!("{text:?} is no part of a whole"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_waste() {
        assert_eq!(waste("5%"), Ok(WasteLimit::Percent(5)));
        assert_eq!(waste("1k"), Ok(WasteLimit::Bytes(1024)));
        for wrong in ["101%", "-1%", "%", "5 %x", ""] {
            assert!(waste(wrong).is_err(), "{wrong}");
        }
        assert_eq!(WasteLimit::Percent(5).of(1000), 50);
        assert_eq!(WasteLimit::Bytes(7).of(1000), 7);
    }
}
