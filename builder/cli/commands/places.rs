//! Where the contexts and the build file of a build come from.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use builder::error::Category;
use builder::remote::{self, HttpContext, RemoteError};
use builder::request::LocalContext;
use builder::{Categorised, Session};
use bytes::Bytes;
use dockerfile::{GitRemote, NamedContext, Naming, parse_git_remote};
use graph::{ContextName, GitSource, Remote};
use oci::Reference;

use crate::args::BuildArgs;
use crate::failure::Failure;

/// Name of a build file that no option names, or that has none.
const NAME: &str = "Dockerfile";
/// As much of standard input as tells an archive from a text.
const START: usize = 1024;

/// What the command line names, before anything is fetched.
pub struct Sources {
    context: Context,
    file: File,
}

enum Context {
    Nothing,
    Directory(PathBuf),
    Archive(Box<dyn Read + Send>),
    Git(GitRemote),
    Url(String),
}

enum File {
    /// In the context, under the default name.
    Default,
    /// In a fetched context.
    Inside(String),
    /// Of this machine.
    Local { directory: PathBuf, name: String, shown: String },
    /// From standard input.
    Text(Bytes),
    /// Behind a URL.
    Url(String),
}

/// Where the context and the build file are.
pub struct Places {
    pub contexts: BTreeMap<ContextName, LocalContext>,
    /// What the context was fetched from, if it is no directory.
    pub source: Option<Remote>,
    /// The build file's name in its context.
    pub name: String,
    /// Whether that name was given.
    pub naming: Naming,
    /// The build file's name for people.
    pub shown: String,
}

impl Sources {
    /// Reads the operand and `-f`, and as much of standard input as they ask for.
    pub fn find(args: &BuildArgs) -> Result<Self, Failure> {
        let file = args.file.as_deref();
        if args.context == "-" {
            return from_stdin(file);
        }
        let context = context(&args.context)?;
        let file = match file {
            None => File::Default,
            Some("-") => File::Text(read_all_of_stdin()?),
            Some(file) if is_url(file) => File::Url(file.to_owned()),
            Some(file) => match context {
                Context::Directory(_) | Context::Nothing => local_file(file)?,
                Context::Archive(_) | Context::Git(_) | Context::Url(_) => fetched_file(file)?,
            },
        };
        Ok(Self { context, file })
    }

    /// Fetches and unpacks what is not in a directory of this machine.
    pub async fn fetch(self, session: &Session, keep_git_dir: Option<bool>) -> Result<Places, Failure> {
        let (mut text, mut source) = (None, None);
        let context = match self.context {
            Context::Nothing => LocalContext::Memory(BTreeMap::new()),
            Context::Directory(path) => LocalContext::Directory(path),
            Context::Archive(stream) => {
                remote::archive_context(session, "standard input", stream).await.map_err(failure)?
            }
            Context::Git(remote) => {
                let git = git_source(session, remote, keep_git_dir).await?;
                let context = remote::git_context(session, &git).await.map_err(failure)?;
                source = Some(Remote::Git(git));
                context
            }
            Context::Url(url) => match remote::http_context(session, &url).await.map_err(failure)? {
                HttpContext::Archive(context) => {
                    source = Some(Remote::Http(remote::http_source(&url)));
                    context
                }
                HttpContext::Dockerfile(found) => {
                    if !matches!(self.file, File::Default) {
                        return Err(Failure::usage(format!(
                            "{url} is itself a Dockerfile, and -f names another"
                        )));
                    }
                    text = Some(found);
                    LocalContext::Memory(BTreeMap::new())
                }
            },
        };
        let file = match text {
            Some(text) => File::Text(text),
            None => self.file,
        };
        Ok(Places { source, ..Places::new(session, context, file).await? })
    }
}

impl Places {
    async fn new(session: &Session, context: LocalContext, file: File) -> Result<Self, Failure> {
        let naming = match &file {
            File::Default => Naming::Usual,
            File::Inside(_) | File::Local { .. } | File::Text(_) | File::Url(_) => Naming::Given,
        };
        let (place, name, shown) = match file {
            File::Default => {
                let shown = match &context {
                    LocalContext::Directory(path) => path.join(NAME).to_string_lossy().into_owned(),
                    LocalContext::Memory(_) | LocalContext::Layers { .. } => NAME.to_owned(),
                };
                (context.clone(), NAME.to_owned(), shown)
            }
            File::Inside(name) => (context.clone(), name.clone(), name),
            File::Local { directory, name, shown } => (LocalContext::Directory(directory), name, shown),
            File::Text(text) => (one_file(text), NAME.to_owned(), NAME.to_owned()),
            File::Url(url) => match remote::http_context(session, &url).await.map_err(failure)? {
                HttpContext::Dockerfile(text) => (one_file(text), NAME.to_owned(), url),
                HttpContext::Archive(_) => {
                    return Err(Failure::usage(format!("-f {url}: an archive is no Dockerfile")));
                }
            },
        };
        let contexts = BTreeMap::from([(ContextName::Main, context), (ContextName::BuildFile, place)]);
        Ok(Self { contexts, source: None, name, naming, shown })
    }
}

fn one_file(text: Bytes) -> LocalContext {
    LocalContext::Memory(BTreeMap::from([(NAME.to_owned(), text)]))
}

async fn git_source(
    session: &Session,
    remote: GitRemote,
    keep_git_dir: Option<bool>,
) -> Result<GitSource, Failure> {
    let commit = match remote.commit() {
        Some(commit) => commit.to_owned(),
        None => remote::git_commit(session, &remote.url, &remote.reference).await.map_err(failure)?,
    };
    remote.source(commit, keep_git_dir).map_err(Failure::usage)
}

fn failure(error: RemoteError) -> Failure {
    Failure::from_error(error.category(), &error)
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// A repository, if the text is the address of one.
fn repository(text: &str) -> Result<Option<GitRemote>, Failure> {
    let whole = match text.strip_prefix("github.com/") {
        // An old short form, unless there is such a directory.
        Some(_) if !Path::new(text).exists() => {
            let end = text.find(['#', '?']).unwrap_or(text.len());
            let (path, rest) = text.split_at(end);
            format!("https://{}.git{rest}", path.trim_end_matches('/').trim_end_matches(".git"))
        }
        Some(_) | None => text.to_owned(),
    };
    parse_git_remote(&whole).map_err(|fault| Failure::usage(format!("{text}: {fault}")))
}

fn context(text: &str) -> Result<Context, Failure> {
    if let Some(remote) = repository(text)? {
        return Ok(Context::Git(remote));
    }
    if is_url(text) {
        return Ok(Context::Url(text.to_owned()));
    }
    context_directory(text).map(Context::Directory)
}

fn context_directory(text: &str) -> Result<PathBuf, Failure> {
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(Failure::usage(format!("{text}: contexts at {scheme}:// addresses are not supported")));
    }
    let path = PathBuf::from(text);
    match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err(Failure::new(Category::Local, format!("the context {text} is not a directory"))),
        Err(error) => {
            Err(Failure::new(Category::Local, format!("the context {text} cannot be read: {error}")))
        }
    }
}

fn local_file(file: &str) -> Result<File, Failure> {
    let path = Path::new(file);
    let name = path.file_name().ok_or_else(|| Failure::usage(format!("{file} names no file")))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(File::Local {
        directory: parent.to_owned(),
        name: name.to_string_lossy().into_owned(),
        shown: file.to_owned(),
    })
}

/// In a fetched context a relative path is one inside it.
fn fetched_file(file: &str) -> Result<File, Failure> {
    if Path::new(file).is_absolute() { local_file(file) } else { Ok(File::Inside(file.to_owned())) }
}

fn from_stdin(file: Option<&str>) -> Result<Sources, Failure> {
    if file == Some("-") {
        return Err(Failure::usage("context and Dockerfile cannot both be standard input"));
    }
    let mut start = Vec::new();
    std::io::stdin().lock().take(START as u64).read_to_end(&mut start).map_err(unreadable)?;
    if remote::is_archive(&start) {
        let file = file.map_or(Ok(File::Default), fetched_file)?;
        return Ok(Sources {
            context: Context::Archive(Box::new(Cursor::new(start).chain(std::io::stdin()))),
            file,
        });
    }
    let file = match file {
        Some(file) if start.is_empty() => local_file(file)?,
        Some(_) => {
            return Err(Failure::usage(
                "standard input is a Dockerfile, not an archive, and -f names another Dockerfile",
            ));
        }
        None => {
            std::io::stdin().lock().read_to_end(&mut start).map_err(unreadable)?;
            File::Text(start.into())
        }
    };
    Ok(Sources { context: Context::Nothing, file })
}

fn read_all_of_stdin() -> Result<Bytes, Failure> {
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text).map_err(unreadable)?;
    if remote::is_archive(&text) {
        return Err(Failure::usage("-f -: standard input is an archive, not a Dockerfile"));
    }
    Ok(text.into())
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::new(Category::Local, format!("standard input cannot be read: {error}"))
}

/// What `--build-context` names.
pub fn named_contexts(args: &BuildArgs) -> Result<BTreeMap<String, NamedContext>, Failure> {
    let one = |value: &str, option: &str| {
        if let Some(name) = value.strip_prefix("docker-image://") {
            if name == "scratch" {
                return Ok(NamedContext::Scratch);
            }
            let bad = |error| Failure::usage(format!("--build-context {option}: {error}"));
            return Ok(NamedContext::Image(name.parse::<Reference>().map_err(bad)?));
        }
        if let Some(path) = value.strip_prefix("oci-layout://") {
            return Ok(NamedContext::OciLayout(path.to_owned()));
        }
        if let Some(stage) = value.strip_prefix("target:") {
            return Ok(NamedContext::Target(stage.to_owned()));
        }
        if parse_git_remote(value)
            .map_err(|fault| Failure::usage(format!("--build-context {option}: {fault}")))?
            .is_some()
        {
            return Ok(NamedContext::Git(value.to_owned()));
        }
        if is_url(value) {
            return Ok(NamedContext::Http(value.to_owned()));
        }
        if let Some(refused) = unsupported(value) {
            return Err(Failure::usage(format!("--build-context {option}: {refused}")));
        }
        context_directory(value).map(|_| NamedContext::Local).map_err(|failure| Failure {
            text: failure.text.replacen("error: ", &format!("error: --build-context {option}: "), 1),
            ..failure
        })
    };
    let named = args
        .build_contexts
        .iter()
        .map(|context| Ok((context.name.clone(), one(&context.value, &context.name)?)));
    named.collect()
}

/// What is wrong with a source that is no directory, be it the source of another program or of none.
fn unsupported(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(':').filter(|_| !Path::new(value).exists())?;
    let archive = |form: &str| {
        let file = rest.trim_start_matches("//");
        format!("; rbuild copy {form}:{file} oci:DIR makes a layout of it, for oci-layout://DIR")
    };
    let way = match scheme {
        "docker-archive" | "oci-archive" => archive(scheme),
        "oci" | "oci-dir" => format!("; write oci-layout://{rest}"),
        "docker" | "containers-storage" | "store" => {
            format!("; write docker-image://{}", rest.trim_start_matches("//"))
        }
        "input" => "; inputs come from frontends, not from a command line".to_owned(),
        _ => String::new(),
    };
    Some(format!("unsupported context source {scheme} ({value}){way}"))
}

/// Takes the images of layouts into the store; from there on they are images like any.
pub async fn take_layouts(
    session: &Session,
    contexts: &mut BTreeMap<String, NamedContext>,
) -> Result<(), Failure> {
    for (name, context) in contexts {
        if let NamedContext::OciLayout(text) = context {
            *context = NamedContext::Image(remote::layout_image(session, name, text).await.map_err(failure)?);
        }
    }
    Ok(())
}
