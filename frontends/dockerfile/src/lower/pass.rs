//! What one pass over the file for one platform has at hand.

use std::collections::{BTreeMap, BTreeSet};

use graph::{Diagnostic, Graph, Known, ProxyEnv};
use oci::Platform;

use super::Needs;
use super::args;
use super::check::Lint;
use super::env::Env;
use super::notes::Notes;
use super::options::Options;
use super::source::Ignore;
use super::variables::Variables;
use crate::expand::Expanded;
use crate::instruction::File;
use crate::survey::VariableOrigin;
use crate::syntax::{EscapeChar, Word};

/// What is in scope of a `FROM`.
pub(crate) struct Scope<'a, 'l> {
    pub(crate) options: &'a Options,
    pub(crate) escape: EscapeChar,
    pub(crate) target_platform: Platform,
    /// Predefined arguments and those before the first `FROM`, with their values.
    pub(crate) globals: Env,
    /// The latter's names, with or without a value.
    pub(crate) declared: BTreeSet<String>,
    pub(crate) lint: &'l mut Lint,
}

impl Scope<'_, '_> {
    /// Expands a word of a `FROM`.
    pub(crate) fn expand(&self, word: &Word) -> Result<Expanded, Diagnostic> {
        let values = |name: &str| self.globals.get(name).map(str::to_owned);
        crate::expand(&word.value, &values, self.escape)
            .map_err(|error| Diagnostic::error(error.to_string(), word.span))
    }
}

/// What stays the same while the stages of one platform are lowered.
pub(crate) struct Pass<'a> {
    pub(crate) options: &'a Options,
    pub(crate) file: &'a File,
    pub(crate) ignore: &'a Ignore,
    pub(crate) target_platform: Platform,
    /// The platform was not asked for: the base image may say another.
    pub(crate) implicit_platform: bool,
    /// Titles name the platform.
    pub(crate) show_platforms: bool,
    /// Build arguments with a value.
    pub(crate) arguments: BTreeMap<String, String>,
    pub(crate) globals: Env,
    pub(crate) proxies: ProxyEnv,
    pub(crate) epoch: Option<i64>,
}

impl Pass<'_> {
    pub(crate) fn escape(&self) -> EscapeChar {
        self.file.directives.escape
    }

    /// Where an `ARG` of a stage gets a value from that neither it nor the caller gives.
    pub(crate) fn origin_of_global(&self, name: &str) -> VariableOrigin {
        let declared = || args::leading(&self.file.instructions).any(|arg| arg.name.value == name);
        match self.globals.get(name) {
            None => VariableOrigin::Nowhere,
            Some(_) if declared() => VariableOrigin::Global,
            Some(_) => VariableOrigin::Predefined,
        }
    }
}

/// What grows while lowering.
pub(crate) struct World<'k> {
    pub(crate) known: &'k Known,
    pub(crate) needs: Needs,
    pub(crate) graph: Graph,
    pub(crate) lint: Lint,
    pub(crate) notes: Notes,
    pub(crate) variables: Variables,
    /// Entitlements that steps asked for and have.
    pub(crate) entitlements: BTreeSet<String>,
}
