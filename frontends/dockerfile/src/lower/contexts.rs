//! Trees that are not stages: images and named contexts.

use graph::{
    ContextName, Diagnostic, Edge, GitSource, HttpSource, ImageFacts, ImageSource, LocalSource, Meta, Need,
    Op, Span,
};
use oci::{Descriptor, ImageConfig, Platform, Reference, ShortNameError};

use super::git_remote;
use super::options::{NamedContext, Options};
use super::pass::World;
use super::source;
use crate::suggest::nearest;

const COMMON_IMAGES: &[&str] = &["alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"];

/// The named context of that name, and its key; one for the platform (`name::linux/arm64`) comes first.
pub(crate) fn find<'o>(
    options: &'o Options,
    name: &str,
    platform: &Platform,
) -> Option<(&'o str, &'o NamedContext)> {
    if name.eq_ignore_ascii_case("scratch") || name.eq_ignore_ascii_case("context") {
        return None;
    }
    let name = short_name(name);
    let platform = platform.normalise().to_string();
    let mut fitting = options.named_contexts.iter().filter_map(|(key, context)| {
        let (own, only_for) =
            key.split_once("::").map_or((key.as_str(), None), |(own, only)| (own, Some(only)));
        let fits = short_name(own) == name && only_for.is_none_or(|only| only == platform);
        fits.then_some((only_for.is_none(), key.as_str(), context))
    });
    let first = fitting.next()?;
    let best = fitting.fold(first, |best, other| if best.0 && !other.0 { other } else { best });
    Some((best.1, best.2))
}

/// Image names in their shortest form, without `:latest`; other names as they are.
pub(crate) fn short_name(name: &str) -> String {
    match name.parse::<Reference>() {
        Ok(reference) => {
            let familiar = reference.familiar();
            familiar.strip_suffix(":latest").unwrap_or(&familiar).to_owned()
        }
        Err(_) => name.to_owned(),
    }
}

/// A tree that was found, not yet in the graph.
pub(crate) enum Found {
    Empty,
    Image { reference: Reference, platform: Platform, facts: Box<ImageFacts>, context: Option<String> },
    Local(LocalSource),
    Git(GitSource),
    Http(HttpSource),
}

/// A tree in the graph.
pub(crate) struct Tree {
    pub(crate) root: Option<Edge>,
    /// Of an image.
    pub(crate) config: Option<ImageConfig>,
    pub(crate) base: Option<(Reference, Descriptor)>,
}

/// The image or named context of that name. `None`: something was asked for.
pub(crate) fn look(
    name: &str,
    platform: &Platform,
    span: Span,
    stages: &[&str],
    options: &Options,
    world: &mut World<'_>,
) -> Result<Option<Found>, Diagnostic> {
    if let Some((key, context)) = find(options, name, platform) {
        return look_at_context(key, context, platform, span, world);
    }
    let reference = reference(name, span, stages, options)?;
    Ok(image(reference, platform, span, None, world))
}

/// An image name as the file has it.
pub(crate) fn reference(
    name: &str,
    span: Span,
    stages: &[&str],
    options: &Options,
) -> Result<Reference, Diagnostic> {
    options.short_names.complete(name).map_err(|error| {
        let reason = match error {
            ShortNameError::NoName(error) => error.reason,
            ShortNameError::Nowhere { .. } | ShortNameError::Ambiguous { .. } => {
                return Diagnostic::error(error.to_string(), span);
            }
        };
        let message = format!("failed to parse stage name {name:?}: invalid reference format: {reason}");
        let error = Diagnostic::error(message, span);
        match nearest(name, stages.iter().copied().chain(COMMON_IMAGES.iter().copied())) {
            Some(guess) => error.with_help(format!("did you mean {guess}?")),
            None => error,
        }
    })
}

/// A named context. `None`: something was asked for.
pub(crate) fn look_at_context(
    key: &str,
    context: &NamedContext,
    platform: &Platform,
    span: Span,
    world: &mut World<'_>,
) -> Result<Option<Found>, Diagnostic> {
    let refuse = |message: String| Err(Diagnostic::error(message, span));
    match context {
        NamedContext::Scratch => Ok(Some(Found::Empty)),
        NamedContext::Image(reference) => Ok(image(reference.clone(), platform, span, Some(key), world)),
        NamedContext::Local => {
            let context = ContextName::Named(key.to_owned());
            let ignore = source::named_ignore(&context, world.known, &mut world.needs)?;
            Ok(ignore.map(|ignore| Found::Local(ignore.source(context))))
        }
        NamedContext::Git(address) => match git_remote::parse(address) {
            Ok(Some(remote)) => Ok(git(remote, None, span, world)?.map(Found::Git)),
            Ok(None) => refuse(format!("named context {key}: {address} is no git repository")),
            Err(fault) => refuse(format!("named context {key}: {fault}")),
        },
        NamedContext::Http(url) => Ok(Some(Found::Http(http(url, "context", None)))),
        NamedContext::Target(stage) => {
            refuse(format!("named context {key}: target:{stage} is for another platform"))
        }
        NamedContext::OciLayout(layout) => {
            refuse(format!("named context {key}: oci-layout contexts are not supported yet ({layout})"))
        }
    }
}

fn image(
    reference: Reference,
    platform: &Platform,
    span: Span,
    context: Option<&str>,
    world: &mut World<'_>,
) -> Option<Found> {
    let key = (reference.clone(), platform.clone());
    let Some(facts) = world.known.images.get(&key) else {
        world.needs.entry(Need::Image(key.0, key.1)).or_insert(Some(span));
        return None;
    };
    let (facts, platform) = (Box::new(facts.clone()), platform.clone());
    Some(Found::Image { reference, platform, facts, context: context.map(str::to_owned) })
}

/// The commit that a remote stands for. `None`: it was asked for.
pub(crate) fn git(
    remote: git_remote::GitRemote,
    keep_git_dir: Option<bool>,
    span: Span,
    world: &mut World<'_>,
) -> Result<Option<GitSource>, Diagnostic> {
    let key = (remote.url.clone(), remote.reference.clone());
    let commit = if let Some(commit) = remote.commit() {
        commit.to_owned()
    } else if let Some(commit) = world.known.git.get(&key) {
        commit.clone()
    } else {
        world.needs.entry(Need::GitRef(key.0, key.1)).or_insert(Some(span));
        return Ok(None);
    };
    remote.source(commit, keep_git_dir).map(Some).map_err(|fault| Diagnostic::error(fault, span))
}

/// A file behind a URL, as `ADD` fetches it.
pub(crate) fn http(url: &str, filename: &str, checksum: Option<oci::Digest>) -> HttpSource {
    HttpSource { url: url.to_owned(), checksum, filename: filename.to_owned(), mode: 0o600, owner: (0, 0) }
}

impl Found {
    /// The config, if it is an image.
    pub(crate) fn config(&self) -> Option<&ImageConfig> {
        match self {
            Self::Image { facts, .. } => Some(&facts.config),
            Self::Empty | Self::Local(_) | Self::Git(_) | Self::Http(_) => None,
        }
    }

    /// Puts the tree into the graph. `title` makes the title of an image from its full name.
    pub(crate) fn into_tree(
        self,
        span: Span,
        world: &mut World<'_>,
        title: impl FnOnce(&str) -> String,
    ) -> Tree {
        let mut add = |op, title| {
            let meta = Meta { title, span: Some(span), no_cache: false };
            Some(Edge::first(world.graph.add(op, Vec::new(), meta)))
        };
        let plain = |root| Tree { root, config: None, base: None };
        match self {
            Self::Empty => plain(None),
            Self::Local(local) => {
                let title = format!("[context {}] load from client", context_title(&local.context));
                plain(add(Op::Local(local), title))
            }
            Self::Git(git) => {
                let title = format!("load git source {}", git.url);
                plain(add(Op::Git(git), title))
            }
            Self::Http(http) => {
                let title = http.url.clone();
                plain(add(Op::Http(http), title))
            }
            Self::Image { reference, platform, facts, context } => {
                let ImageFacts { manifest, resolved, config } = *facts;
                let full = reference.with_digest(resolved.digest.clone()).to_string();
                let title = match context {
                    Some(key) => format!("[context {key}] {reference}"),
                    None => title(&full),
                };
                let base = Some((reference.clone(), manifest.clone()));
                let root = if is_empty(&config) {
                    None
                } else {
                    add(Op::Image(ImageSource { reference, manifest, platform }), title)
                };
                Tree { root, config: Some(config), base }
            }
        }
    }
}

fn context_title(context: &ContextName) -> &str {
    match context {
        ContextName::Main => "context",
        ContextName::BuildFile => "dockerfile",
        ContextName::Named(name) => name,
    }
}

/// An image without any layer.
fn is_empty(config: &ImageConfig) -> bool {
    config.rootfs.diff_ids.is_empty() && config.history.iter().all(|entry| entry.empty_layer)
}
