//! Which entry of an index serves a platform.

use crate::{Descriptor, Platform};

/// BuildKit marks the entries of an index that describe other entries.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

impl Platform {
    /// The entry that serves this platform best: the same variant, else the next lower one that this
    /// machine can run; of equals the first. Entries for `unknown/unknown` and attestations are skipped.
    /// An entry that names no platform is taken only where nothing else is offered.
    pub fn choose(&self, entries: &[Descriptor]) -> Option<usize> {
        let candidates: Vec<(usize, &Descriptor)> =
            entries.iter().enumerate().filter(|(_, entry)| is_image(entry)).collect();
        let best = candidates
            .iter()
            .filter_map(|(at, entry)| Some((self.rank(entry.platform.as_ref()?)?, *at)))
            .min()
            .map(|(_, at)| at);
        best.or(match candidates.as_slice() {
            [(at, only)] if only.platform.is_none() => Some(*at),
            _ => None,
        })
    }

    /// Whether an image for `other` runs on this platform.
    pub fn runs(&self, other: &Platform) -> bool {
        self.rank(other).is_some()
    }

    /// How far `other` is from this platform: 0 is the same; `None` does not run.
    fn rank(&self, other: &Platform) -> Option<usize> {
        let (wanted, offered) = (self.normalise(), other.normalise());
        if wanted.os != offered.os || !version_fits(&wanted, &offered) {
            return None;
        }
        ladder(&wanted).iter().position(|(architecture, variant)| {
            *architecture == offered.architecture && variant.as_deref() == offered.variant.as_deref()
        })
    }
}

fn is_image(entry: &Descriptor) -> bool {
    let unknown = entry.platform.as_ref().is_some_and(|p| p.os == "unknown" || p.architecture == "unknown");
    let kind = &entry.media_type;
    !unknown && (kind.is_manifest() || kind.is_index()) && !entry.annotations.contains_key(REFERENCE_TYPE)
}

/// Windows runs only images of its own build; elsewhere the version is a remark.
fn version_fits(wanted: &Platform, offered: &Platform) -> bool {
    match (&wanted.os_version, &offered.os_version) {
        (Some(wanted_version), Some(offered_version)) if wanted.os == "windows" => {
            build(wanted_version) == build(offered_version)
        }
        (Some(_), None) => wanted.os != "windows",
        (Some(_) | None, _) => true,
    }
}

/// `10.0.17763` of `10.0.17763.1339`.
fn build(version: &str) -> Vec<&str> {
    version.split('.').take(3).collect()
}

/// Everything a platform runs, best first, in normal form.
fn ladder(platform: &Platform) -> Vec<(String, Option<String>)> {
    let own = (platform.architecture.clone(), platform.variant.clone());
    let variant = platform.variant.as_deref().unwrap_or_default();
    let mut steps = vec![own];
    match platform.architecture.as_str() {
        "amd64" => {
            steps.extend(below("amd64", variant, 1));
            steps.push(("386".to_owned(), None));
        }
        "arm" => steps.extend(below("arm", variant, 5)),
        "arm64" => {
            steps.extend(arm64_below(variant));
            steps.push(("arm".to_owned(), Some("v8".to_owned())));
            steps.extend(below("arm", "v8", 5));
        }
        _ => {}
    }
    steps
}

/// The variants under `vN`, down to `lowest`; the lowest of amd64 is written without a variant.
fn below(architecture: &str, variant: &str, lowest: u32) -> Vec<(String, Option<String>)> {
    let number = variant.strip_prefix('v').and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0).min(99);
    (lowest..number)
        .rev()
        .map(|step| {
            let plain = architecture == "amd64" && step == 1;
            (architecture.to_owned(), (!plain).then(|| format!("v{step}")))
        })
        .collect()
}

/// `v9.y` runs `v9` to `v9.y` and `v8` to `v8.(y+5)`; `v8.x` runs `v8` to `v8.x`; `v8` is written without a variant.
fn arm64_below(variant: &str) -> Vec<(String, Option<String>)> {
    let (major, minor) = variant.split_once('.').unwrap_or((variant, "0"));
    let minor: u32 = minor.parse().unwrap_or(0).min(99);
    let name = |major: &str, minor: u32| {
        let text = match (major, minor) {
            ("v8", 0) => None,
            (major, 0) => Some(major.to_owned()),
            (major, minor) => Some(format!("{major}.{minor}")),
        };
        ("arm64".to_owned(), text)
    };
    match major {
        "v8" => (0..minor).rev().map(|step| name("v8", step)).collect(),
        "v9" => {
            let nines = (0..minor).rev().map(|step| name("v9", step));
            nines.chain((0..=(minor + 5).min(9)).rev().map(|step| name("v8", step))).collect()
        }
        _ => Vec::new(),
    }
}
