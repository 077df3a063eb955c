//! The files that a lowering begins with: the Dockerfile and the ignore rules.

use bytes::Bytes;
use graph::{ContextName, Diagnostic, Known, LocalSource, Need, Patterns, parse_ignore_lines};

use super::Needs;
use super::options::{Naming, Options};
use crate::syntax::Directives;

const IGNORE_FILE: &str = ".dockerignore";
const PODMANS_IGNORE_FILE: &str = ".containerignore";
const CONTAINERFILE: &str = "Containerfile";

/// The text of the build file, and the name it was found under.
pub(crate) struct BuildFile<'k> {
    name: String,
    pub(crate) text: &'k Bytes,
}

/// The build file. `None`: it was asked for.
pub(crate) fn dockerfile<'k>(
    options: &Options,
    known: &'k Known,
    needs: &mut Needs,
) -> Result<Option<BuildFile<'k>>, Diagnostic> {
    let given = graph::path::clean(&options.dockerfile_name);
    let mut names = vec![given.clone()];
    let is_usual = |directory: &&str| directory.is_empty() || directory.ends_with('/');
    if let Some(directory) = given.strip_suffix("Dockerfile").filter(is_usual) {
        names.push(format!("{directory}dockerfile"));
        match options.naming {
            Naming::Given => {}
            Naming::Usual => names.push(format!("{directory}{CONTAINERFILE}")),
        }
    }
    for name in names {
        match file(known, needs, ContextName::BuildFile, &name) {
            None => return Ok(None),
            Some(None) => {}
            Some(Some(text)) => return Ok(Some(BuildFile { name, text })),
        }
    }
    let error = Diagnostic::error(format!("there is no build file {given}"), None);
    let raw = format!("{CONTAINERFILE}.in");
    let is_raw = match options.naming {
        Naming::Given => false,
        Naming::Usual => match file(known, needs, ContextName::BuildFile, &raw) {
            None => return Ok(None),
            Some(found) => found.is_some(),
        },
    };
    Err(error.with_help(match is_raw {
        true => format!("{raw} has to be preprocessed: cpp -E -P {raw} | rbuild build -f - CONTEXT"),
        false => "name another with -f, or - to read it from the standard input".to_owned(),
    }))
}

/// The ignore rules of the main context: of the file that the caller names, else of the one beside the
/// Dockerfile, else of the one in the context. `None`: they were asked for.
///
/// Beside a `Containerfile` that nobody named, which BuildKit would not find, the names that podman knows come
/// first.
pub(crate) fn main_ignore(
    options: &Options,
    found: Option<&BuildFile<'_>>,
    known: &Known,
    needs: &mut Needs,
) -> Result<Option<Ignore>, Diagnostic> {
    if let Some((name, text)) = &options.ignore_file {
        return Ignore::read(name, Some(text)).map(Some);
    }
    let given = graph::path::clean(&options.dockerfile_name);
    let candidates = match found.filter(|found| found.name != given && found.name.ends_with(CONTAINERFILE)) {
        None => {
            vec![
                (ContextName::BuildFile, format!("{given}{IGNORE_FILE}")),
                (ContextName::Main, IGNORE_FILE.to_owned()),
            ]
        }
        Some(BuildFile { name, .. }) => vec![
            (ContextName::BuildFile, format!("{name}{PODMANS_IGNORE_FILE}")),
            (ContextName::BuildFile, format!("{name}{IGNORE_FILE}")),
            (ContextName::Main, PODMANS_IGNORE_FILE.to_owned()),
            (ContextName::Main, IGNORE_FILE.to_owned()),
        ],
    };
    let mut all = Vec::with_capacity(candidates.len());
    for (context, name) in candidates {
        all.push(file(known, needs, context, &name).map(|text| Some((name, text?))));
    }
    let Some(all) = all.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    match all.into_iter().flatten().next() {
        Some((name, text)) => Ignore::read(&name, Some(text)).map(Some),
        None => Ignore::read(IGNORE_FILE, None).map(Some),
    }
}

/// The ignore rules of a named context. `None`: they were asked for.
pub(crate) fn named_ignore(
    context: &ContextName,
    known: &Known,
    needs: &mut Needs,
) -> Result<Option<Ignore>, Diagnostic> {
    let Some(text) = file(known, needs, context.clone(), IGNORE_FILE) else {
        return Ok(None);
    };
    Ignore::read(IGNORE_FILE, text).map(Some)
}

fn file<'k>(
    known: &'k Known,
    needs: &mut Needs,
    context: ContextName,
    name: &str,
) -> Option<Option<&'k Bytes>> {
    match known.files.get(&(context.clone(), name.to_owned())) {
        Some(answer) => Some(answer.as_ref()),
        None => {
            needs.insert(Need::File(context, name.to_owned()), None);
            None
        }
    }
}

/// The rules of an ignore file.
#[derive(Debug, Default)]
pub(crate) struct Ignore {
    lines: Vec<String>,
    places: Vec<String>,
    patterns: Patterns,
}

impl Ignore {
    fn read(name: &str, text: Option<&Bytes>) -> Result<Self, Diagnostic> {
        let (mut lines, mut places) = (Vec::new(), Vec::new());
        for (number, line) in text.map(|text| parse_ignore_lines(text)).unwrap_or_default() {
            let place = format!("{name}:{number}");
            Patterns::new([&line]).map_err(|error| Diagnostic::error(format!("{place}: {error}"), None))?;
            lines.push(line);
            places.push(place);
        }
        let patterns =
            Patterns::new(&lines).map_err(|error| Diagnostic::error(format!("{name}: {error}"), None))?;
        Ok(Self { lines, places, patterns })
    }

    /// A context with these rules.
    pub(crate) fn source(&self, context: ContextName) -> LocalSource {
        LocalSource { context, ignore: self.lines.clone(), ignore_places: self.places.clone() }
    }

    /// Whether a source of a copy is certainly left out. Exceptions make it hard to tell.
    pub(crate) fn hides(&self, source: &str) -> bool {
        if self.patterns.is_empty() || self.patterns.has_exceptions() {
            return false;
        }
        let cleaned = graph::path::clean(source);
        if matches!(cleaned.as_str(), "." | "/")
            && !self.lines.iter().any(|line| matches!(line.as_str(), "*" | "**" | "**/*"))
        {
            return false;
        }
        self.patterns.matches_or_parent(&cleaned)
    }
}

/// Refuses a file that asks for another frontend.
pub(crate) fn our_syntax(options: &Options, directives: &Directives) -> Result<(), Diagnostic> {
    let refuse = |syntax: &str, span| {
        let message = format!("the frontend {syntax} is not this builder's");
        let help = "docker/dockerfile in any version is built in; others cannot be run";
        Err(Diagnostic::error(message, span).with_help(help))
    };
    if let Some(syntax) = options.build_arg("BUILDKIT_SYNTAX").filter(|syntax| !is_ours(syntax)) {
        return refuse(syntax, None);
    }
    match &directives.syntax {
        Some(syntax) if !is_ours(&syntax.value) => refuse(&syntax.value, Some(syntax.span)),
        Some(_) | None => Ok(()),
    }
}

/// Any version of docker's own frontend, from any mirror of it.
fn is_ours(syntax: &str) -> bool {
    let name = syntax.split([' ', '@']).next().unwrap_or_default();
    let (directory, last) = name.rsplit_once('/').unwrap_or(("", name));
    let repository = last.split(':').next().unwrap_or_default();
    if repository.starts_with("dockerfile.v0") {
        return true;
    }
    let owner = directory.rsplit('/').next().unwrap_or_default();
    matches!(repository, "dockerfile" | "dockerfile-upstream")
        && matches!(owner, "docker" | "dockerfile" | "moby")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntaxes() {
        for ours in [
            "docker/dockerfile:1",
            "docker/dockerfile",
            "docker.io/docker/dockerfile:1.7-labs",
            "docker/dockerfile-upstream:master",
            "docker/dockerfile:1@sha256:0123",
            "dockerfile.v0",
            "mirror.example:5000/docker/dockerfile:1",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in ["ghcr.io/someone/frontend", "docker/dockerfiles", "dockerfile", "x/dockerfile:1"] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn hidden_sources() {
        let ignore = |text: &'static str| Ignore::read("x", Some(&Bytes::from_static(text.as_bytes())));
        let plain = ignore("*.log\ndir").expect("valid");
        for (source, hidden) in [("a.log", true), ("dir/x", true), ("x", false), (".", false)] {
            assert_eq!(plain.hides(source), hidden, "{source}");
        }
        assert!(!ignore("*\n!x").expect("valid").hides("y"));
        assert!(ignore("*").expect("valid").hides("."));
        assert!(ignore("a[").is_err());
    }
}
