//! Typed instructions.
//!
//! Words ([`Word`]) are kept as written, to be expanded by whoever knows the values in scope; plain
//! strings are final. Everything that can be refused without knowing a value is refused here.

use std::time::Duration;

use graph::{Diagnostic, Span};

use crate::syntax::{Directives, Heredoc, Spanned, Word};

mod copy;
mod duration;
mod flags;
mod from;
mod health;
mod key_value;
mod keyword;
mod onbuild;
mod parse;
mod run;
mod simple;

#[cfg(test)]
mod tests;

pub use keyword::Keyword;
pub use parse::{Reading, Refused, parse, parse_instruction, parse_leniently};

/// A whole Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What the first lines say about the file itself.
    pub directives: Directives,
    /// In the order of the file. Before the first `FROM` there are only `ARG`s, and, unless an error was
    /// found, there is at least one `FROM`.
    pub instructions: Vec<Instruction>,
    /// Remarks about the text (`NoEmptyContinuation`).
    pub warnings: Vec<Diagnostic>,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// All of it, with continuations and heredoc bodies, without the last line end.
    pub span: Span,
    /// The keyword as written.
    pub keyword: Spanned<String>,
    /// The comment lines right above, without `#` and outer blanks.
    pub comments: Vec<String>,
    /// The joined line without heredoc bodies, for titles and history.
    pub original: String,
    /// What it says.
    pub kind: InstructionKind,
}

impl Instruction {
    /// What the comments above say about `name`: the rest of the line that starts with it.
    pub fn doc_comment(&self, name: &str) -> Option<&str> {
        if name.is_empty() {
            return None;
        }
        self.comments.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    }
}

/// What an instruction says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstructionKind {
    /// `ADD`
    Add(Add),
    /// `ARG`
    Arg(Vec<ArgDecl>),
    /// `CMD`
    Cmd(CommandForm),
    /// `COPY`
    Copy(Copy),
    /// `ENTRYPOINT`
    Entrypoint(CommandForm),
    /// `ENV`
    Env(Vec<KeyValue>),
    /// `EXPOSE`; each word may expand to several ports.
    Expose(Vec<Word>),
    /// `FROM`
    From(From),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`; keys expand, too.
    Label(Vec<KeyValue>),
    /// `MAINTAINER`
    Maintainer(String),
    /// `ONBUILD`
    OnBuild(OnBuild),
    /// `RUN`
    Run(Run),
    /// `SHELL`; never empty.
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    StopSignal(Word),
    /// `USER`
    User(Word),
    /// `VOLUME`; no word is blank.
    Volume(Vec<Word>),
    /// `WORKDIR`
    Workdir(Word),
}

/// `FROM [--platform=P] IMAGE [AS NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// Image or earlier stage.
    pub image: Word,
    /// The value of `--platform`.
    pub platform: Option<Word>,
    /// The name of the stage.
    pub name: Option<StageName>,
}

/// The name after `AS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageName {
    /// In lower case, as names are compared.
    pub name: String,
    /// As written.
    pub written: Word,
    /// `AS` as written.
    pub keyword: Word,
}

/// One name of an `ARG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgDecl {
    /// The name; it expands, too.
    pub name: Word,
    /// The default, if there is a `=`.
    pub default: Option<Word>,
}

/// One pair of `ENV` or `LABEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// Left of `=`.
    pub key: Word,
    /// Right of it.
    pub value: Word,
    /// The old form, `KEY VALUE` without `=`.
    pub legacy: bool,
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandForm {
    /// Text for the shell. May be empty (`CMD` without operands).
    Shell(String),
    /// Program and arguments, from a JSON array. May be empty.
    Exec(Vec<String>),
}

/// `RUN`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The command; with heredocs, only its first line. [`Run::script`] puts them together.
    pub form: CommandForm,
    /// In the order in which they appear.
    pub heredocs: Vec<Heredoc>,
    /// Values of `--mount` as written, for [`crate::parse_mount`].
    pub mounts: Vec<Word>,
    /// `--network`
    pub network: RunNetwork,
    /// `--security`
    pub security: RunSecurity,
    /// `--device`
    pub devices: Vec<Device>,
}

/// What a `RUN` hands to the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// Program and arguments, without a shell. May be empty.
    Exec(Vec<String>),
    /// One argument for the shell.
    Shell(String),
    /// A heredoc that starts with `#!`: a file to be executed itself.
    File {
        /// Its name.
        name: String,
        /// Its content.
        content: String,
    },
}

/// The value of `RUN --network`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunNetwork {
    /// As the build was told.
    #[default]
    Default,
    /// Loopback only.
    None,
    /// The host's.
    Host,
}

/// The value of `RUN --security`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunSecurity {
    /// Confined as usual.
    #[default]
    Sandbox,
    /// With every privilege of the builder.
    Insecure,
}

/// One value of `RUN --device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// CDI name.
    pub name: String,
    /// Fail if it is absent.
    pub required: bool,
    /// The flag.
    pub span: Span,
}

/// `COPY`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Paths, in order. Empty if all sources are inline files.
    pub sources: Vec<Word>,
    /// Inline files.
    pub files: Vec<InlineFile>,
    /// Destination.
    pub dest: Word,
    /// `--from`; holds no variable.
    pub from: Option<Word>,
    /// `--chown`
    pub chown: Option<Word>,
    /// `--chmod`
    pub chmod: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`; not expanded.
    pub exclude: Vec<Word>,
}

/// `ADD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// Paths and URLs, in order.
    pub sources: Vec<Word>,
    /// Inline files.
    pub files: Vec<InlineFile>,
    /// Destination.
    pub dest: Word,
    /// `--chown`
    pub chown: Option<Word>,
    /// `--chmod`
    pub chmod: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--keep-git-dir`, if given.
    pub keep_git_dir: Option<bool>,
    /// `--checksum`
    pub checksum: Option<Word>,
    /// `--unpack`, if given.
    pub unpack: Option<bool>,
    /// `--exclude`; not expanded.
    pub exclude: Vec<Word>,
}

/// A heredoc as a source of `COPY` or `ADD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineFile {
    /// Name of the file: the word after `<<`, without quotes.
    pub name: String,
    /// Its content, leading tabs already removed for `<<-`.
    pub content: String,
    /// Whether variables in the content are to be expanded ([`crate::expand_heredoc`]).
    pub expand: bool,
    /// The word in the instruction.
    pub span: Span,
}

/// `HEALTHCHECK`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// Switches an inherited one off.
    None,
    /// Runs a command; a zero duration or zero retries is the default.
    Command {
        /// Never empty.
        form: CommandForm,
        /// `--interval`
        interval: Duration,
        /// `--timeout`
        timeout: Duration,
        /// `--start-period`
        start_period: Duration,
        /// `--start-interval`
        start_interval: Duration,
        /// `--retries`
        retries: u32,
    },
}

/// `ONBUILD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnBuild {
    /// Text for the image configuration: the inner instruction and its heredocs.
    pub trigger: String,
    /// The same, parsed. What is wrong with it ends no build but those upon the image.
    pub inner: Result<Box<Instruction>, Diagnostic>,
}
