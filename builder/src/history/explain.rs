//! The first cause of a step that was not found.
//!
//! Of all that the step stands upon, the first whose key the earlier build did not have is the one
//! that changed by itself: all its inputs had their keys before.

use std::collections::BTreeSet;

use graph::Patterns;
use layer_store::Component;

use super::align::{Alignment, Was, wording};
use super::cause::Why;
use super::text::{Edit, edits};
use super::{Asked, Build, Input, Kind, Listing, Parts, State, Step, listing};

/// Flags that reach the key of a process, and of an image.
const OF_PROCESSES: &[&str] = &["network", "add-host", "shm-size", "ulimit", "hostname", "allow"];
const OF_IMAGES: &[&str] = &["platform", "build-context"];

/// Why `step` of `new` was not found, held against the build before. `listings` gives the listing for
/// a digest, where it is kept.
pub(super) fn explain(
    old: Option<&Build>,
    new: &Build,
    step: u32,
    listings: &dyn Fn(&str) -> Option<Listing>,
) -> Option<Why> {
    let asked = new.step(step)?.parts.as_ref()?;
    let Some(old) = old else {
        return Some(if asked.uncached { Why::NoCache } else { Why::FirstBuild });
    };
    let cone = cone(new, step);
    let known = old.keys();
    let first = new.steps.iter().find(|one| {
        cone.contains(&one.id) && one.parts.as_ref().is_some_and(|parts| !known.contains(parts.key.as_str()))
    });
    match first {
        Some(first) => {
            let alignment = Alignment::new(old, new);
            Some(Comparison { old, new, alignment: &alignment, listings }.of(first))
        }
        None => Some(known_key(old, new, &cone, asked)),
    }
}

/// All that a step stands upon, and itself.
fn cone(build: &Build, step: u32) -> BTreeSet<u32> {
    let mut cone = BTreeSet::from([step]);
    for one in build.steps.iter().rev() {
        if let (true, Some(parts)) = (cone.contains(&one.id), &one.parts) {
            cone.extend(parts.inputs.iter().filter_map(|input| match input {
                Input::Step(id) => Some(*id),
                Input::Empty | Input::Local { .. } => None,
            }));
        }
    }
    cone
}

/// The key was there before: something else kept the step from being found.
fn known_key(old: &Build, new: &Build, cone: &BTreeSet<u32>, asked: &Parts) -> Why {
    let parts = || new.steps.iter().filter(|one| cone.contains(&one.id)).filter_map(|one| one.parts.as_ref());
    if let Some(uncached) = parts().find(|parts| parts.uncached) {
        return if uncached.kind == Kind::Fetched { Why::Unpinned } else { Why::NoCache };
    }
    let before = old.steps.iter().find(|one| one.parts.as_ref().is_some_and(|parts| parts.key == asked.key));
    match before.map(|before| before.state) {
        Some(State::Failed | State::Cancelled | State::Waiting) => Why::Unfinished,
        Some(State::Ran | State::Cached) | None => Why::Gone,
    }
}

struct Comparison<'a> {
    old: &'a Build,
    new: &'a Build,
    alignment: &'a Alignment<'a>,
    listings: &'a dyn Fn(&str) -> Option<Listing>,
}

impl Comparison<'_> {
    fn of(&self, step: &Step) -> Why {
        match self.alignment.was(step.id) {
            Was::Absent => self.added(step),
            Was::Other(old) => Why::Instruction {
                line: line(step),
                old: wording(old).to_owned(),
                new: wording(step).to_owned(),
            },
            Was::Same(old) => self.same(old, step),
        }
    }

    /// A step that had no counterpart: its instruction is new, or something else brought it in.
    fn added(&self, step: &Step) -> Why {
        match self.flag(OF_IMAGES) {
            Some(why) => why,
            None => Why::New { line: line(step), text: wording(step).to_owned() },
        }
    }

    /// The same instruction with another key: what it reads, what it is told, what it stands upon.
    fn same(&self, old: &Step, new: &Step) -> Why {
        let (Some(before), Some(after)) = (&old.parts, &new.parts) else { return Why::Gone };
        let names = different(&before.op, &after.op);
        if !names.is_empty() {
            return self.told(old, new, &names);
        }
        for (before, after) in before.inputs.iter().zip(&after.inputs) {
            if let Some(why) = self.read(before, after) {
                return why;
            }
        }
        self.stands_upon(before, after)
    }

    /// Parts of the op are others although the instruction reads the same.
    fn told(&self, old: &Step, new: &Step, names: &[String]) -> Why {
        let edits = self.edits(new);
        let kind = new.parts.as_ref().map_or(Kind::Other, |parts| parts.kind);
        if let Some(why) = self.argument(names) {
            return why;
        }
        if let Some(edit) = relevant(&edits, names) {
            return told_by(edit);
        }
        let flags = match kind {
            Kind::Image => OF_IMAGES,
            Kind::Process | Kind::Fetched | Kind::Other => OF_PROCESSES,
        };
        if let Some(why) = self.flag(flags) {
            return why;
        }
        match kind {
            Kind::Image => base(old, new),
            Kind::Fetched => Why::Fetched { name: new.title.clone() },
            Kind::Process | Kind::Other => Why::Part { names: names.to_vec() },
        }
    }

    /// The edits of the build file above a step.
    fn edits(&self, step: &Step) -> Vec<Edit> {
        let (Some(old), Some(new)) = (&self.old.text, &self.new.text) else { return Vec::new() };
        let above = line(step);
        edits(old, new).into_iter().filter(|edit| above == 0 || edit.line <= above).collect()
    }

    /// A build argument with another value; one that the parts name comes first.
    fn argument(&self, names: &[String]) -> Option<Why> {
        let (old, new) = (&self.old.asked.arguments, &self.new.asked.arguments);
        let mut all: Vec<&String> =
            old.keys().chain(new.keys()).filter(|&name| old.get(name) != new.get(name)).collect();
        all.sort_by_key(|name| !names.iter().any(|part| part.ends_with(&format!(".{name}"))));
        let text = self.new.text.as_deref().unwrap_or_default();
        let name = all
            .into_iter()
            .find(|name| text.contains(name.as_str()) || name.as_str() == "SOURCE_DATE_EPOCH")?;
        Some(Why::Argument { name: name.clone(), old: old.get(name).cloned(), new: new.get(name).cloned() })
    }

    fn flag(&self, names: &[&str]) -> Option<Why> {
        let Asked { flags: old, .. } = &self.old.asked;
        let Asked { flags: new, .. } = &self.new.asked;
        let name = names.iter().find(|&&name| old.get(name) != new.get(name))?;
        Some(Why::Flag {
            name: (*name).to_owned(),
            old: old.get(*name).cloned(),
            new: new.get(*name).cloned(),
        })
    }

    /// What is read of a context.
    fn read(&self, old: &Input, new: &Input) -> Option<Why> {
        let (
            Input::Local { ignore: ignored, reads: before, .. },
            Input::Local { context, ignore, reads: after },
        ) = (old, new)
        else {
            return None;
        };
        let (_, (before, after)) = before
            .iter()
            .zip(after)
            .map(|((_, before), (name, after))| (name, (before, after)))
            .find(|(_, (before, after))| before != after)?;
        if let Some(why) = self.flag(&["context-metadata"]) {
            return Some(why);
        }
        let (Some(before), Some(after)) = ((self.listings)(before), (self.listings)(after)) else {
            return Some(Why::Part { names: vec![format!("files of the context {context}")] });
        };
        let changes = listing::changes(&before, &after);
        let by_a_rule = changes.iter().find_map(|(path, _)| decided(path, ignored, ignore));
        by_a_rule.or_else(|| listing::difference(context, &before, &after, changes))
    }

    /// Nothing of its own changed, so it stands upon something else.
    fn stands_upon(&self, old: &Parts, new: &Parts) -> Why {
        for (before, after) in old.inputs.iter().zip(&new.inputs) {
            let (Input::Step(before), Input::Step(_)) = (before, after) else { continue };
            let gone = self.alignment.removed.iter().find(|step| step.id == *before);
            if let Some(gone) = gone {
                return Why::Removed { text: wording(gone).to_owned() };
            }
        }
        match self.flag(OF_IMAGES) {
            Some(why) => why,
            None => Why::Part { names: vec!["the steps it stands upon".to_owned()] },
        }
    }
}

fn line(step: &Step) -> usize {
    step.instruction.as_ref().map_or(0, |(_, line)| *line)
}

/// Names of components that only one side has, or with another value.
fn different(old: &[Component], new: &[Component]) -> Vec<String> {
    let missing = |from: &[Component], of: &[Component]| -> Vec<String> {
        of.iter().filter(|one| !from.contains(one)).map(|one| one.name.clone()).collect()
    };
    let all: BTreeSet<String> = missing(old, new).into_iter().chain(missing(new, old)).collect();
    all.into_iter().collect()
}

/// The edit that the parts come from: one that names a variable among them, else the first of an
/// instruction that sets what later ones use.
fn relevant<'a>(edits: &'a [Edit], names: &[String]) -> Option<&'a Edit> {
    const SETTING: &[&str] = &["ARG", "ENV", "FROM", "USER", "SHELL", "WORKDIR", "ONBUILD"];
    let variable = |edit: &&Edit| {
        names.iter().any(|name| {
            let variable = name.rsplit('.').next().unwrap_or_default();
            name.contains("env.") && texts(edit).any(|line| line.contains(variable))
        })
    };
    let setting = |edit: &&Edit| {
        texts(edit).any(|line| {
            let word = line.split_whitespace().next().unwrap_or_default();
            SETTING.iter().any(|setting| word.eq_ignore_ascii_case(setting))
        })
    };
    edits.iter().find(variable).or_else(|| edits.iter().find(setting)).or_else(|| edits.first())
}

/// Both sides of an edit.
fn texts(edit: &Edit) -> impl Iterator<Item = &str> {
    [edit.old.as_deref(), edit.new.as_deref()].into_iter().flatten()
}

fn told_by(edit: &Edit) -> Why {
    match (edit.old.clone(), edit.new.clone()) {
        (Some(old), Some(new)) => Why::Instruction { line: edit.line, old, new },
        (None, Some(text)) => Why::New { line: edit.line, text },
        (Some(text), None) => Why::Removed { text },
        (None, None) => Why::Gone,
    }
}

/// The image of a stage under the same name.
fn base(old: &Step, new: &Step) -> Why {
    let digest = |step: &Step| {
        let parts = step.parts.as_ref();
        let digest = parts.and_then(|parts| parts.op.iter().find(|part| part.name.ends_with("manifest")));
        digest.map_or_else(String::new, |digest| digest.value.clone())
    };
    let name = wording(new);
    let name = name.strip_prefix("FROM ").unwrap_or(name);
    Why::Base { name: name.to_owned(), old: digest(old), new: digest(new) }
}

/// The rule that decides on a path in one set of rules and stands not in the other.
fn decided(path: &str, old: &[String], new: &[String]) -> Option<Why> {
    let excluded = |rules: &[String]| Patterns::new(rules).is_ok_and(|rules| rules.matches_or_parent(path));
    if old == new || excluded(old) == excluded(new) {
        return None;
    }
    let only = |from: &[String], of: &[String]| of.iter().find(|rule| !from.contains(rule)).cloned();
    let (rule, removed) = match (only(old, new), only(new, old)) {
        (Some(added), _) => (added, false),
        (None, Some(removed)) => (removed, true),
        (None, None) => (new.last()?.clone(), false),
    };
    Some(Why::Ignore { rule, path: path.to_owned(), removed })
}
