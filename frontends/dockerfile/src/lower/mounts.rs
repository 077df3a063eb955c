//! `RUN --mount`.

use graph::{Diagnostic, Mount, MountKind, SecretEnv, path};

use super::inputs::Inputs;
use super::notes::Taking;
use super::paths;
use super::run::{Mounts, rooted};
use super::stage::StageBuilder;
use super::title::base_name;
use crate::mount::{MountSpec, MountType, csv_fields};
use crate::syntax::Word;

/// What a mount says about its source, before variables are known.
pub(crate) fn source_name(written: &Word) -> Result<Option<String>, Diagnostic> {
    let fields =
        csv_fields(&written.value).map_err(|error| Diagnostic::error(error.to_string(), written.span))?;
    let from = fields.iter().rev().find_map(|field| {
        let (key, value) = field.split_once('=')?;
        key.eq_ignore_ascii_case("from").then(|| value.to_owned())
    });
    Ok(from.filter(|from| !from.is_empty()))
}

/// Refuses a path in a mount that begins empty.
fn begins_empty(spec: &MountSpec) -> Result<(), Diagnostic> {
    match spec.source.as_deref().map(rooted) {
        Some(source) if source != "/" => {
            let message = format!("{} mount: source {source} not found: it begins empty", spec.kind.name());
            Err(Diagnostic::error(message, spec.span)
                .with_help("a source= is a path in the stage or image that from= names"))
        }
        Some(_) | None => Ok(()),
    }
}

impl StageBuilder<'_, '_, '_> {
    pub(crate) fn mount(
        &mut self,
        spec: &MountSpec,
        written: &Word,
        inputs: &mut Inputs,
        mounts: &mut Mounts,
    ) -> Result<(), Diagnostic> {
        match spec.kind {
            MountType::Secret => self.secret(spec, mounts),
            MountType::Ssh => self.agent(spec, mounts),
            MountType::Bind | MountType::Cache | MountType::Tmpfs => {
                let target = self.mount_target(spec)?;
                let kind = match spec.kind {
                    MountType::Cache => self.cache(spec, written, inputs)?,
                    MountType::Tmpfs => {
                        if spec.from.is_none() {
                            begins_empty(spec)?;
                        }
                        MountKind::Tmpfs { size: spec.size }
                    }
                    MountType::Bind | MountType::Secret | MountType::Ssh => {
                        self.bind(spec, written, inputs)?
                    }
                };
                mounts.list.push(Mount { target, kind });
                Ok(())
            }
        }
    }

    fn mount_target(&self, spec: &MountSpec) -> Result<String, Diagnostic> {
        let given = spec.target.as_deref().unwrap_or_default();
        let target = path::clean(&paths::absolute(&self.state.directory, given));
        if target == "/" {
            return Err(Diagnostic::error(format!("invalid mount target {target:?}"), spec.span)
                .with_help("give the mount a target=, other than the root"));
        }
        Ok(target)
    }

    fn bind(
        &mut self,
        spec: &MountSpec,
        written: &Word,
        inputs: &mut Inputs,
    ) -> Result<MountKind, Diagnostic> {
        let source = self.mount_source(written)?;
        let root = match source {
            Some(root) => root,
            None => Some(self.main_context()),
        };
        let input = inputs.place(root);
        let source = rooted(spec.source.as_deref().unwrap_or_default());
        Ok(MountKind::Bind { input, source, writable: !spec.read_only })
    }

    fn cache(
        &mut self,
        spec: &MountSpec,
        written: &Word,
        inputs: &mut Inputs,
    ) -> Result<MountKind, Diagnostic> {
        let id = match &spec.id {
            Some(id) => id.clone(),
            None => path::clean(spec.target.as_deref().unwrap_or_default()),
        };
        let id = match self.pass.arguments.get("BUILDKIT_CACHE_MOUNT_NS").filter(|space| !space.is_empty()) {
            Some(space) => format!("{space}/{id}"),
            None => id,
        };
        self.world.notes.take(Taking::Cache, &id, false, self.here);
        let source = rooted(spec.source.as_deref().unwrap_or_default());
        let seed = self.mount_source(written)?.flatten().map(|root| inputs.place(Some(root)));
        let owner = match (spec.uid, spec.gid) {
            (None, None) => None,
            (uid, gid) => Some((uid.unwrap_or(0), gid.unwrap_or(0))),
        };
        // Mode and owner are those of a directory that is made, and a part is there already.
        let (mode, owner) = match source.as_str() {
            "/" => (spec.mode.unwrap_or(0o755), owner),
            _ => (0o755, None),
        };
        let sharing = spec.sharing.unwrap_or_default();
        Ok(MountKind::Cache { id, sharing, seed, source, mode, owner, read_only: spec.read_only })
    }

    /// The tree of `from`. `None`: there is no `from`.
    #[allow(clippy::option_option)]
    fn mount_source(&mut self, written: &Word) -> Result<Option<Option<graph::Edge>>, Diagnostic> {
        match source_name(written)? {
            None => Ok(None),
            Some(name) => {
                let origin = self.stages.named_origin(&name);
                self.tree(&origin, true).map(Some)
            }
        }
    }

    fn secret(&mut self, spec: &MountSpec, mounts: &mut Mounts) -> Result<(), Diagnostic> {
        let target = spec.target.as_deref();
        let id = match (&spec.source, &spec.id, target) {
            (Some(id), _, _) | (None, Some(id), _) => id.clone(),
            (None, None, Some(target)) => base_name(target),
            (None, None, None) => return Err(Diagnostic::error("one of source, target required", spec.span)),
        };
        self.world.notes.take(Taking::Secret, &id, spec.required, self.here);
        let usual = format!("/run/secrets/{}", base_name(&id));
        let target = match (target, &spec.env) {
            (Some(target), _) => Some(paths::absolute(&self.state.directory, target)),
            (None, None) => Some(usual),
            (None, Some(_)) => None,
        };
        if let Some(variable) = &spec.env {
            let (id, variable) = (id.clone(), variable.clone());
            mounts.secret_env.push(SecretEnv { id, variable, required: spec.required });
        }
        if let Some(target) = target {
            let kind = MountKind::Secret {
                id,
                mode: spec.mode.unwrap_or(0o400),
                owner: (spec.uid.unwrap_or(0), spec.gid.unwrap_or(0)),
                required: spec.required,
            };
            mounts.list.push(Mount { target: path::clean(&target), kind });
        }
        Ok(())
    }

    fn agent(&mut self, spec: &MountSpec, mounts: &mut Mounts) -> Result<(), Diagnostic> {
        if spec.source.is_some() {
            return Err(Diagnostic::error("ssh does not support source", spec.span));
        }
        let target = match &spec.target {
            Some(target) => path::clean(&paths::absolute(&self.state.directory, target)),
            None => format!("/run/buildkit/ssh_agent.{}", mounts.agents),
        };
        mounts.agents += 1;
        let id = spec.id.clone().unwrap_or_else(|| "default".to_owned());
        self.world.notes.take(Taking::Agent, &id, spec.required, self.here);
        mounts.agent.get_or_insert_with(|| target.clone());
        let kind = MountKind::Ssh {
            id,
            mode: spec.mode.unwrap_or(0o600),
            owner: (spec.uid.unwrap_or(0), spec.gid.unwrap_or(0)),
            required: spec.required,
        };
        mounts.list.push(Mount { target, kind });
        Ok(())
    }
}
