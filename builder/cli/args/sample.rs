//! `--verify-cache`.

use std::str::FromStr;

use builder::request::{CacheSample, Percent};

/// `N%[,seed=N]`, the sign being optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleArg {
    percent: Percent,
    seed: Option<u64>,
}

impl SampleArg {
    /// The sample; by that seed where none was given.
    pub fn sample(self, seed: impl FnOnce() -> u64) -> CacheSample {
        CacheSample { percent: self.percent, seed: self.seed.unwrap_or_else(seed) }
    }
}

impl FromStr for SampleArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (part, seed) = match text.split_once(',') {
            Some((part, rest)) => (part, Some(seed(rest)?)),
            None => (text, None),
        };
        let digits = part.strip_suffix('%').unwrap_or(part);
        let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let percent = all_digits.then(|| digits.parse().ok().and_then(Percent::new)).flatten();
        let percent = percent.ok_or_else(|| format!("{part:?} is no percentage from 1% to 100%"))?;
        Ok(Self { percent, seed })
    }
}

fn seed(text: &str) -> Result<u64, String> {
    let value = text.strip_prefix("seed=").ok_or_else(|| format!("{text:?}: only seed=N may follow"))?;
    value.parse().map_err(|_| format!("{value:?} is no seed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_and_seeds() {
        let given = |text: &str| text.parse::<SampleArg>().map(|one| one.sample(|| 9));
        let sample = |percent, seed| CacheSample { percent: Percent::new(percent).unwrap(), seed };
        for (text, expected) in [
            ("10%", sample(10, 9)),
            ("10", sample(10, 9)),
            ("100%", sample(100, 9)),
            ("1%,seed=7", sample(1, 7)),
        ] {
            assert_eq!(given(text), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "%",
            "0",
            "0%",
            "101%",
            "-1",
            "+5",
            "1.5%",
            "10 %",
            "300",
            "x",
            "10%,",
            "10%,seed=",
            "10%,sed=1",
        ] {
            assert!(given(bad).is_err(), "{bad}");
        }
    }
}
