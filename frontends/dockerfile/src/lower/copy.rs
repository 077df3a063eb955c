//! `COPY`, `ADD` and `WORKDIR`: changes to files without a process.

use graph::{
    ChmodSpec, ContextName, Copy as CopyAction, Diagnostic, Edge, FileAction, MkDir, Op, OwnerSpec, Unpack,
    path,
};

use super::inputs::Inputs;
use super::run::rooted;
use super::stage::{StageBuilder, separator};
use super::{chmod, paths};
use crate::instruction::{Add, Copy, InlineFile};
use crate::syntax::Word;

/// What `COPY` and `ADD` have in common, expanded.
pub(crate) struct Transfer {
    /// `ADD`: addresses may be sources.
    pub(crate) is_add: bool,
    pub(crate) keep_git_dir: Option<bool>,
    pub(crate) checksum: Option<String>,
    /// `--unpack`, if given.
    pub(crate) unpack: Option<bool>,
    pub(crate) owner: Option<OwnerSpec>,
    pub(crate) mode: Option<ChmodSpec>,
    pub(crate) exclude: Vec<String>,
    pub(crate) parents: bool,
    /// Absolute destination.
    pub(crate) dest: String,
    /// The destination for the history.
    written_dest: String,
    pub(crate) title: String,
    link: bool,
    /// Where paths are taken from, with the rules that hide them.
    from: Origin,
    history: String,
}

/// Where the paths of a copy are taken from.
enum Origin {
    Context,
    Tree(Option<Edge>),
}

impl StageBuilder<'_, '_, '_> {
    pub(crate) fn copy(&mut self, copy: &Copy, original: &str) -> Result<(), Diagnostic> {
        let from = match copy.from.as_ref().filter(|from| !from.value.is_empty()) {
            None => Origin::Context,
            Some(from) => {
                let origin = self.stages.copy_origin(&from.value, from.span)?;
                Origin::Tree(self.tree(&origin, false)?)
            }
        };
        let flags = Flags { chown: copy.chown.as_ref(), chmod: copy.chmod.as_ref(), checksum: None };
        let mut transfer = self.transfer(&flags, &copy.dest, &copy.exclude, original)?;
        transfer.from = from;
        transfer.link = copy.link;
        transfer.parents = copy.parents;
        let flag = if copy.parents { " --parents" } else { "" };
        transfer.history = format!("COPY{flag}{}", transfer.history);
        self.perform(transfer, &copy.sources, &copy.files)
    }

    pub(crate) fn add(&mut self, add: &Add, original: &str) -> Result<(), Diagnostic> {
        let checksum = add.checksum.as_ref();
        let flags = Flags { chown: add.chown.as_ref(), chmod: add.chmod.as_ref(), checksum };
        let mut transfer = self.transfer(&flags, &add.dest, &add.exclude, original)?;
        transfer.is_add = true;
        transfer.keep_git_dir = add.keep_git_dir;
        transfer.unpack = add.unpack;
        transfer.link = add.link;
        transfer.history = format!("ADD{}", transfer.history);
        self.perform(transfer, &add.sources, &add.files)
    }

    fn transfer(
        &mut self,
        flags: &Flags<'_>,
        dest: &Word,
        exclude: &[Word],
        original: &str,
    ) -> Result<Transfer, Diagnostic> {
        let chown = self.expand_option(flags.chown)?;
        let chmod = self.expand_option(flags.chmod)?;
        let checksum = self.expand_option(flags.checksum)?;
        let mode = match &chmod {
            Some(text) => Some(chmod::parse(text).map_err(|message| self.error(message))?),
            None => None,
        };
        let mut history = String::new();
        for (flag, value) in [("chown", &chown), ("chmod", &chmod)] {
            if let Some(value) = value {
                history += &format!(" --{flag}={value}");
            }
        }
        let written_dest = self.expand(dest)?;
        Ok(Transfer {
            is_add: false,
            keep_git_dir: None,
            checksum,
            unpack: None,
            owner: chown.as_deref().map(owner),
            mode,
            exclude: exclude.iter().map(|word| word.value.clone()).collect(),
            parents: false,
            dest: clean_destination(&paths::destination(&self.state.directory, &written_dest)),
            written_dest,
            title: self.title(original),
            link: false,
            from: Origin::Context,
            history,
        })
    }

    fn perform(
        &mut self,
        transfer: Transfer,
        sources: &[Word],
        files: &[InlineFile],
    ) -> Result<(), Diagnostic> {
        let sources = self.expand_all(sources)?;
        let files = self.inline_contents(files)?;
        self.check_checksum(&transfer, &sources)?;
        // `--link` makes a layer of its own, unless the mode of what is there has to be known.
        let link = transfer.link && transfer.mode.is_none();
        let base = if link { None } else { self.state.root };
        let mut inputs = Inputs::new(base);
        let mut actions = Vec::new();
        let mut history = transfer.history.clone();
        for source in &sources {
            history += &format!(" {source}");
            let action = match self.remote(source, &transfer, &mut inputs)? {
                Some(action) => action,
                None => self.local(source, &transfer, &mut inputs),
            };
            actions.push(FileAction::Copy(Box::new(action)));
        }
        for (name, content) in files {
            history += &format!(" <<{name}");
            let file = self.inline_file(&name, 0o644, content);
            let mut action = transfer.action(inputs.place(Some(file)), rooted(&name));
            action.exclude = transfer.exclude.clone();
            actions.push(FileAction::Copy(Box::new(action)));
        }
        history += &format!(" {} # buildkit", transfer.written_dest);
        let title = transfer.title.clone();
        let copied = self.add_vertex(Op::File(actions), inputs.into_vec(), title, self.no_cache);
        self.state.root = Some(if link { self.link(copied, &transfer.title) } else { copied });
        self.record(history, false);
        Ok(())
    }

    /// Lays a copy that knows nothing of what is below on top of it.
    fn link(&mut self, copied: Edge, title: &str) -> Edge {
        match self.state.root {
            None => copied,
            Some(root) => {
                let title = match title.split_once("] ") {
                    Some((place, text)) => format!("{place}] LINK {text}"),
                    None => format!("LINK {title}"),
                };
                self.add_vertex(Op::Merge, vec![Some(root), Some(copied)], title, self.no_cache)
            }
        }
    }

    /// A path of the context, a stage or an image.
    fn local(&mut self, source: &str, transfer: &Transfer, inputs: &mut Inputs) -> CopyAction {
        let root = match &transfer.from {
            Origin::Tree(root) => *root,
            Origin::Context => {
                self.warn_ignored(source, transfer.is_add);
                Some(self.main_context())
            }
        };
        let (source, required) = match (transfer.parents, source.split_once("/./")) {
            (false, _) => (rooted(source), false),
            (true, None) => (rooted(source), !has_wildcards(source)),
            (true, Some((base, pattern))) => {
                let pattern = rooted(pattern);
                let base = rooted(base);
                let base = if base == "/" { "" } else { base.as_str() };
                (format!("{base}/.{pattern}"), !has_wildcards(base) && !has_wildcards(&pattern))
            }
        };
        let mut action = transfer.action(inputs.place(root), source);
        action.wildcard = true;
        action.allow_empty_wildcard = true;
        action.follow_symlinks = true;
        action.dir_contents = true;
        action.parents = transfer.parents;
        action.required = required;
        if transfer.unpack.unwrap_or(transfer.is_add) {
            action.unpack = Unpack::Detect;
        }
        action
    }

    /// `CopyIgnoredFile`
    fn warn_ignored(&mut self, source: &str, is_add: bool) {
        if self.pass.ignore.hides(source) {
            let verb = if is_add { "Add" } else { "Copy" };
            let cleaned = path::clean(source);
            let message = format!("Attempting to {verb} file {cleaned:?} that is excluded by .dockerignore");
            self.warn("CopyIgnoredFile", message);
        }
    }

    /// The build context.
    pub(crate) fn main_context(&mut self) -> Edge {
        let op = Op::Local(self.pass.ignore.source(ContextName::Main));
        self.add_vertex(op, Vec::new(), "[internal] load build context".to_owned(), false)
    }

    fn inline_contents(&mut self, files: &[InlineFile]) -> Result<Vec<(String, String)>, Diagnostic> {
        let mut contents = Vec::with_capacity(files.len());
        for file in files {
            if path::clean(&format!("/{}", file.name)).rfind('/') != Some(0) {
                let message = format!("the heredoc {:?} would need a directory for its file", file.name);
                let help = "name it after the file alone, and put the directory into the destination";
                return Err(Diagnostic::error(message, file.span).with_help(help));
            }
            let content = if file.expand {
                let expanded = crate::expand_heredoc(&file.content, &self.values())
                    .map_err(|error| Diagnostic::error(error.fault.to_string(), file.span))?;
                self.world.notes.used(&expanded.matched);
                self.undefined(expanded.unmatched);
                expanded.text
            } else {
                file.content.clone()
            };
            contents.push((file.name.clone(), content));
        }
        Ok(contents)
    }

    pub(crate) fn workdir(&mut self, word: &Word, original: &str) -> Result<(), Diagnostic> {
        let given = self.expand(word)?;
        if !self.state.workdir_set && !given.starts_with('/') {
            let message =
                format!("Relative workdir {given:?} can have unexpected results if the base image changes");
            self.warn("WorkdirRelativePath", message);
        }
        self.state.workdir_set = true;
        let directory = paths::absolute(&self.state.directory, &given);
        self.state.image.config.working_dir = directory.replace('/', separator(&self.state.platform));
        self.state.directory.clone_from(&directory);
        let makes_layer = directory != "/";
        if makes_layer {
            let user = self.state.image.config.user.as_str();
            let action = FileAction::MkDir(MkDir {
                path: path::clean(&directory),
                mode: 0o755,
                owner: (!user.is_empty()).then(|| owner(user)),
                parents: true,
                created: self.pass.epoch,
            });
            let title = self.title(original);
            let edge = self.add_vertex(Op::File(vec![action]), vec![self.state.root], title, false);
            self.state.root = Some(edge);
        }
        self.record(format!("WORKDIR {directory}"), !makes_layer);
        Ok(())
    }
}

/// Flags with words to expand.
struct Flags<'a> {
    chown: Option<&'a Word>,
    chmod: Option<&'a Word>,
    checksum: Option<&'a Word>,
}

impl Transfer {
    /// A copy with what all of them have in common.
    pub(crate) fn action(&self, input: usize, source: String) -> CopyAction {
        CopyAction {
            input,
            source,
            dest: self.dest.clone(),
            wildcard: false,
            allow_empty_wildcard: false,
            follow_symlinks: false,
            dir_contents: false,
            create_dest_path: true,
            owner: self.owner.clone(),
            mode: self.mode.clone(),
            exclude: self.exclude.clone(),
            parents: false,
            unpack: Unpack::Never,
            required: false,
        }
    }
}

/// `user[:group]`. What is empty, but for the colon, is root's.
fn owner(text: &str) -> OwnerSpec {
    match text.split_once(':') {
        Some((user, group)) => OwnerSpec { user: user.to_owned(), group: Some(group.to_owned()) },
        None => OwnerSpec { user: text.to_owned(), group: None },
    }
}

/// The destination without detours; `/.` at the end means a directory as `/` does.
fn clean_destination(dest: &str) -> String {
    let cleaned = path::clean(dest);
    let directory = dest.ends_with('/') || dest.ends_with("/.");
    if directory && cleaned != "/" { format!("{cleaned}/") } else { cleaned }
}

fn has_wildcards(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' => return true,
            '\\' => drop(chars.next()),
            _ => {}
        }
    }
    false
}
