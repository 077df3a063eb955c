//! One pattern, ready to be held against paths.

use crate::glob::{Class, class, decode};

/// A pattern as a small automaton; its states are the positions of `steps`.
#[derive(Clone, Debug)]
pub(super) enum Compiled {
    /// No special character: the path itself.
    Exact(Vec<u8>),
    Automaton(Vec<Step>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Literal(char),
    /// One character but `/`.
    Any,
    /// Any number of characters but `/`.
    Star,
    /// `**/`: nothing, or anything that ends in `/`. It is followed by `Directories`.
    MaybeDirectories,
    /// Within the directories of `**/`.
    Directories,
    /// `**` at the end, or before plain text: anything.
    Everything,
    Class(Class),
}

impl Compiled {
    /// Reads a pattern whose grammar was checked.
    pub(super) fn new(pattern: &str) -> Self {
        if !pattern.contains(['*', '?', '[', '\\']) {
            return Self::Exact(pattern.as_bytes().to_vec());
        }
        // `**name` matches whatever ends in `name`, but only if the rest is plain.
        if let Some(rest) = pattern.strip_prefix("**")
            && !rest.starts_with('/')
            && !rest.contains(['*', '?', '[', '\\'])
        {
            let rest = rest.chars().map(Step::Literal);
            return Self::Automaton(std::iter::once(Step::Everything).chain(rest).collect());
        }
        Self::Automaton(steps(pattern))
    }

    /// Whether the path, or a directory above it, matches.
    pub(super) fn matches_or_parent(&self, path: &[u8]) -> bool {
        let parents = path.iter().enumerate().filter(|&(at, &byte)| byte == b'/' && at > 0);
        self.matches(path) || parents.into_iter().any(|(at, _)| self.matches(&path[..at]))
    }

    /// Whether the path itself matches.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        let steps = match self {
            Self::Exact(exact) => return exact == path,
            Self::Automaton(steps) => steps,
        };
        let mut now = vec![false; steps.len() + 1];
        let mut next = now.clone();
        enter(steps, &mut now, 0);
        for c in decode(path) {
            next.fill(false);
            for (state, _) in now.iter().enumerate().filter(|(_, active)| **active) {
                advance(steps, &mut next, state, c);
            }
            std::mem::swap(&mut now, &mut next);
            if !now.contains(&true) {
                return false;
            }
        }
        now[steps.len()]
    }
}

/// Activates a state and those reached from it without a character.
fn enter(steps: &[Step], states: &mut [bool], state: usize) {
    if std::mem::replace(&mut states[state], true) {
        return;
    }
    match steps.get(state) {
        Some(Step::Star | Step::Everything) => enter(steps, states, state + 1),
        Some(Step::MaybeDirectories) => {
            enter(steps, states, state + 1);
            enter(steps, states, state + 2);
        }
        Some(Step::Literal(_) | Step::Any | Step::Directories | Step::Class(_)) | None => {}
    }
}

fn advance(steps: &[Step], next: &mut [bool], state: usize, c: char) {
    match steps.get(state) {
        Some(Step::Literal(literal)) if *literal == c => enter(steps, next, state + 1),
        Some(Step::Any) if c != '/' => enter(steps, next, state + 1),
        Some(Step::Class(class)) if class.contains(c) => enter(steps, next, state + 1),
        Some(Step::Star) if c != '/' => enter(steps, next, state),
        Some(Step::Everything) => enter(steps, next, state),
        Some(Step::Directories) => {
            enter(steps, next, state);
            if c == '/' {
                enter(steps, next, state + 1);
            }
        }
        Some(Step::Literal(_) | Step::Any | Step::Class(_) | Step::Star | Step::MaybeDirectories) | None => {}
    }
}

fn steps(pattern: &str) -> Vec<Step> {
    let mut chars = pattern.chars().peekable();
    let mut steps = Vec::new();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                if chars.peek().is_none() {
                    steps.push(Step::Everything);
                } else {
                    steps.extend([Step::MaybeDirectories, Step::Directories]);
                }
            }
            '*' => steps.push(Step::Star),
            '?' => steps.push(Step::Any),
            '[' => steps.extend(class(&mut chars).map(Step::Class)),
            '\\' => steps.extend(chars.next().map(Step::Literal)),
            literal => steps.push(Step::Literal(literal)),
        }
    }
    steps
}
