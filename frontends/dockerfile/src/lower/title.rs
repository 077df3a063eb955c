//! What people see of a step.

use graph::path;
use oci::Platform;

use super::env::Env;

/// Counts the steps of a stage: `[stage 2/5] RUN make`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Name of the stage; empty where there is only one.
    pub(crate) stage: String,
    /// How many steps there are.
    pub(crate) total: usize,
    /// How many were shown.
    pub(crate) shown: usize,
    /// Say the platform, too.
    pub(crate) platforms: bool,
}

impl Progress {
    /// The title of the next step.
    pub(crate) fn next(&mut self, text: &str, platform: &Platform, env: &Env, on_build: bool) -> String {
        self.shown += 1;
        self.again(text, platform, env, on_build)
    }

    /// The title of another part of the same step.
    pub(crate) fn again(&self, text: &str, platform: &Platform, env: &Env, on_build: bool) -> String {
        if self.total == 0 {
            return text.to_owned();
        }
        let platform =
            if self.platforms { format!("{platform}{} ", cross(platform, env)) } else { String::new() };
        let stage = if self.stage.is_empty() { String::new() } else { format!("{} ", self.stage) };
        let width = self.total.to_string().len();
        let trigger = if on_build { "ONBUILD " } else { "" };
        format!("[{platform}{stage}{:width$}/{}] {trigger}{text}", self.shown, self.total)
    }
}

/// `->arm64` where the environment tells of another target than the platform of the stage.
fn cross(platform: &Platform, env: &Env) -> String {
    let whole = env.get("TARGETPLATFORM").and_then(|text| text.parse::<Platform>().ok());
    let part = |name| env.get(name).map(str::to_owned);
    let (os, architecture, variant) = (part("TARGETOS"), part("TARGETARCH"), part("TARGETVARIANT"));
    let target = match whole {
        Some(target) => target,
        None if os.is_none() && architecture.is_none() && variant.is_none() => return String::new(),
        None => Platform::new(
            os.as_deref().filter(|os| !os.is_empty()).unwrap_or(&platform.os),
            architecture.as_deref().filter(|a| !a.is_empty()).unwrap_or(&platform.architecture),
            variant.as_deref().filter(|variant| !variant.is_empty()),
        ),
    };
    let target = target.normalise();
    if target.os != platform.os {
        return format!("->{target}");
    }
    if target.architecture == platform.architecture {
        return String::new();
    }
    match &target.variant {
        Some(variant) => format!("->{}/{variant}", target.architecture),
        None => format!("->{}", target.architecture),
    }
}

/// The instruction's first word in capitals.
pub(crate) fn capitalised(text: &str) -> String {
    match text.split_once(' ') {
        Some((keyword, rest)) => format!("{} {rest}", keyword.to_uppercase()),
        None => text.to_uppercase(),
    }
}

/// The first line of a heredoc, with dots when there is more.
pub(crate) fn summary(content: &str) -> String {
    let content = content.trim();
    match content.split_once('\n') {
        Some((first, _)) => format!("{}...", first.trim_end_matches('\r')),
        None => content.to_owned(),
    }
}

/// The last part of a path.
pub(crate) fn base_name(text: &str) -> String {
    let cleaned = path::clean(text);
    cleaned.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles() {
        let amd64 = Platform::new("linux", "amd64", None);
        let mut env = Env::default();
        let mut one = Progress { total: 12, ..Progress::default() };
        assert_eq!(one.next("RUN x", &amd64, &env, false), "[ 1/12] RUN x");
        let mut many = Progress { stage: "build".into(), total: 3, shown: 1, platforms: true };
        assert_eq!(many.next("RUN x", &amd64, &env, true), "[linux/amd64 build 2/3] ONBUILD RUN x");
        env.set("TARGETARCH", "arm64");
        assert_eq!(many.again("RUN x", &amd64, &env, false), "[linux/amd64->arm64 build 2/3] RUN x");
        env.set("TARGETPLATFORM", "linux/amd64");
        assert_eq!(many.again("RUN x", &amd64, &env, false), "[linux/amd64 build 2/3] RUN x");
        assert_eq!(Progress::default().next("RUN x", &amd64, &env, false), "RUN x");
        assert_eq!(capitalised("run Echo x"), "RUN Echo x");
        assert_eq!(summary("\na\r\nb\n"), "a...");
        assert_eq!(summary("a\n"), "a");
    }
}
