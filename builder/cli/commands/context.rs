//! `rbuild context ls`: what a context contains, and why.

use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use builder::error::Category;
use graph::{Patterns, WalkState, parse_ignore_lines};

use super::suspect;
use crate::args::{ContextCommand, ContextLsArgs};
use crate::failure::Failure;

/// Runs the command.
pub fn run(command: &ContextCommand) -> Result<(), Failure> {
    match command {
        ContextCommand::Ls(args) => list(args),
    }
}

fn list(args: &ContextLsArgs) -> Result<(), Failure> {
    let rules = Rules::find(args)?;
    if let Some(path) = &args.why {
        super::print(&rules.why(&args.path, path)?);
        return Ok(());
    }
    let patterns = rules.patterns()?;
    let mut found = Vec::new();
    Walk { root: &args.path, patterns: &patterns }.below(Path::new(""), &WalkState::default(), &mut found)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for path in &found {
        // A reader that went away is no failure.
        if out.write_all(path).and_then(|()| out.write_all(b"\n")).is_err() {
            return Ok(());
        }
    }
    drop(out.flush());
    suspect::remarks(&args.path, &found).iter().for_each(|line| super::say(line));
    Ok(())
}

/// The ignore rules that count for a context.
struct Rules {
    file: PathBuf,
    lines: Vec<(usize, String)>,
}

impl Rules {
    /// Those of the file that an option names, else of the one beside the Dockerfile, else of the one in the
    /// context; beside a `Containerfile` that nobody named, files that podman knows come first.
    fn find(args: &ContextLsArgs) -> Result<Self, Failure> {
        if let Some(file) = &args.ignore_file {
            let text = fs::read(file).map_err(|error| unreadable(file, &error))?;
            return Ok(Self { lines: parse_ignore_lines(&text), file: file.clone() });
        }
        let context = &args.path;
        let there = |name: &str| context.join(name).exists();
        let podmans =
            args.file.is_none() && !there("Dockerfile") && !there("dockerfile") && there("Containerfile");
        let usual = if podmans { "Containerfile" } else { "Dockerfile" };
        let dockerfile = args.file.clone().unwrap_or_else(|| context.join(usual));
        let endings: &[&str] =
            if podmans { &[".containerignore", ".dockerignore"] } else { &[".dockerignore"] };
        let own = endings.iter().map(|ending| {
            let mut own = dockerfile.clone().into_os_string();
            own.push(ending);
            PathBuf::from(own)
        });
        for file in own.chain(endings.iter().map(|name| context.join(name))) {
            match fs::read(&file) {
                Ok(text) => return Ok(Self { lines: parse_ignore_lines(&text), file }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(&file, &error)),
            }
        }
        Ok(Self { file: context.join(".dockerignore"), lines: Vec::new() })
    }

    fn patterns(&self) -> Result<Patterns, Failure> {
        let texts = self.lines.iter().map(|(_, text)| text);
        Patterns::new(texts).map_err(|error| Failure::usage(format!("{}: {error}", self.file.display())))
    }

    /// The sentence about one path.
    fn why(&self, context: &Path, path: &str) -> Result<String, Failure> {
        let clean = graph::path::clean(&format!("/{path}"));
        let clean = clean.trim_start_matches('/');
        self.patterns()?;
        let verdict = match (clean, self.deciding(clean)) {
            ("", _) => "included: it is the context itself".to_owned(),
            (_, None) if self.lines.is_empty() => "included: there are no ignore rules".to_owned(),
            (_, None) => format!("included: no rule of {} matches it", self.file.display()),
            (_, Some((line, rule))) => {
                let verb = if rule.starts_with('!') { "included" } else { "excluded" };
                format!("{verb} by {}:{line}: {rule}", self.file.display())
            }
        };
        let there = context.join(clean).symlink_metadata().is_ok();
        let absent = if there { "" } else { " (there is no such file)" };
        Ok(format!("{}: {verdict}{absent}\n", if clean.is_empty() { "." } else { clean }))
    }

    /// The last rule that changed the verdict.
    fn deciding(&self, path: &str) -> Option<(usize, &str)> {
        let (mut excluded, mut deciding) = (false, None);
        for (line, rule) in &self.lines {
            let pattern = rule.strip_prefix('!');
            let matches =
                || Patterns::new([pattern.unwrap_or(rule)]).is_ok_and(|alone| alone.matches_or_parent(path));
            if pattern.is_some() == excluded && matches() {
                excluded = !excluded;
                deciding = Some((*line, rule.as_str()));
            }
        }
        deciding
    }
}

struct Walk<'a> {
    root: &'a Path,
    patterns: &'a Patterns,
}

impl Walk<'_> {
    /// What is in, below a directory; an excluded directory only where something in it is in.
    fn below(&self, directory: &Path, state: &WalkState, found: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        let host = self.root.join(directory);
        let failed = |error: io::Error| unreadable(&host, &error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&host).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            entries.push((entry.file_name(), entry.file_type().map_err(failed)?));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, kind) in entries {
            let path = directory.join(name);
            let visit = self.patterns.visit(state, path.as_os_str().as_bytes());
            let before = found.len();
            let mut line = path.as_os_str().as_bytes().to_vec();
            if kind.is_dir() {
                line.push(b'/');
            }
            found.push(line);
            if kind.is_dir() && visit.enter {
                self.below(&path, &visit.state, found)?;
            }
            if visit.excluded && found.len() == before + 1 {
                found.pop();
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Category::Local, format!("{} cannot be read: {error}", path.display()))
}
