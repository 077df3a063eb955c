//! One conformance case.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dockerfile::{NamedContext, Options};
use graph::ContextName;
use oci::Platform;
use serde_json::Value;

pub struct Case {
    pub name: String,
    root: PathBuf,
    spec: Value,
    golden: Value,
}

impl Case {
    /// All cases of a suite that were scored.
    pub fn all(conformance: &Path, suite: &str) -> Vec<Self> {
        let mut cases: Vec<Self> = std::fs::read_dir(conformance.join("cases").join(suite))
            .expect("a suite is a directory")
            .filter_map(|entry| Self::load(conformance, suite, &entry.ok()?.path()))
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        cases
    }

    fn load(conformance: &Path, suite: &str, root: &Path) -> Option<Self> {
        let name = root.file_name()?.to_str()?.to_owned();
        let json =
            |path: PathBuf| -> Option<Value> { serde_json::from_slice(&std::fs::read(path).ok()?).ok() };
        let golden = json(conformance.join("golden").join(suite).join(format!("{name}.json")))?;
        Some(Self { spec: json(root.join("case.json"))?, name, root: root.to_owned(), golden })
    }

    /// What BuildKit made; `None` if it failed.
    pub fn expected(&self) -> Option<Vec<Value>> {
        (self.golden["ok"] == true).then(|| self.golden["images"].as_array().cloned().unwrap_or_default())
    }

    /// Parts of the message that the source of the case expects.
    pub fn expected_error(&self) -> Vec<&str> {
        self.spec["expect_error"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The remarks that the source of the case expects.
    pub fn lint(&self) -> &[Value] {
        self.spec["lint"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The Dockerfile.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dockerfile()).unwrap_or_default()).into_owned()
    }

    /// What the user wrote: the Dockerfile, and the target.
    pub fn written(&self) -> String {
        let target = self.spec["target"].as_str().unwrap_or_default();
        format!("{} {target}", self.text())
    }

    /// Why BuildKit failed.
    pub fn failure(&self) -> String {
        self.golden.to_string()
    }

    /// BuildKit failed at a step, not before all of them.
    pub fn failed_while_building(&self) -> bool {
        let steps = [
            "failed to compute cache key",
            "did not complete successfully",
            "failed to resolve source metadata",
            "secret mysecret: not found",
        ];
        steps.iter().any(|text| self.failure().contains(text))
    }

    fn dockerfile(&self) -> PathBuf {
        self.root.join(self.spec["dockerfile"].as_str().unwrap_or("Dockerfile"))
    }

    pub fn options(&self) -> Options {
        let texts = |key: &str| -> BTreeMap<String, String> {
            let pairs = self.spec[key].as_object().into_iter().flatten();
            pairs.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
        };
        let text = |key: &str| self.spec[key].as_str().map(str::to_owned);
        let platforms = text("platform").unwrap_or_default();
        let name = self.dockerfile();
        Options {
            dockerfile_name: name.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned(),
            target: text("target"),
            platforms: platforms.split(',').filter_map(|platform| platform.parse().ok()).collect(),
            build_platform: Platform::new("linux", "amd64", None),
            build_args: texts("build_args").into_iter().map(|(key, value)| (key, Some(value))).collect(),
            labels: texts("labels"),
            named_contexts: texts("named_contexts")
                .iter()
                .map(|(name, value)| (name.clone(), context(value)))
                .collect(),
            allow: self.spec["allow"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect(),
            ..Options::default()
        }
    }

    /// A file that lowering asks for.
    pub fn file(&self, context: &ContextName, path: &str) -> Option<Bytes> {
        let directory = match context {
            ContextName::BuildFile => self.dockerfile().parent().map(Path::to_owned)?,
            ContextName::Main => self.root.join(self.spec["context"].as_str().unwrap_or("context")),
            ContextName::Named(name) => {
                self.root.join(self.spec["named_contexts"][name].as_str()?.strip_prefix("dir:")?)
            }
        };
        let content = std::fs::read(directory.join(path)).ok()?;
        // A link, told by its target: the repository of the cases holds none.
        let link = std::str::from_utf8(&content).ok().filter(|text| !text.contains(['\n', ' ']));
        match link.and_then(|link| std::fs::read(directory.join(link)).ok()) {
            Some(target) => Some(Bytes::from(target)),
            None => Some(Bytes::from(content)),
        }
    }
}

fn context(value: &str) -> NamedContext {
    match value.strip_prefix("docker-image://") {
        Some("scratch") => NamedContext::Scratch,
        Some(image) => NamedContext::Image(image.parse().expect("an image name")),
        None => NamedContext::Local,
    }
}
