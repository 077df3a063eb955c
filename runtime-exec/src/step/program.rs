//! Finding and executing the step's program.

use std::ffi::CString;
use std::io;

use super::At;
use crate::error::{Failure, Stage};
use crate::spec::{DEFAULT_PATH, ProcessSpec};
use crate::sys;

/// A program ready to be executed.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    places: Vec<CString>,
    args: Vec<CString>,
    env: Vec<CString>,
}

/// Builds everything that executing takes, while memory and errors are still easy to have.
pub(super) fn prepare(spec: &ProcessSpec) -> Result<Program, Failure> {
    let name =
        spec.args.first().filter(|name| !name.is_empty()).ok_or(io::Error::from_raw_os_error(libc::ENOENT));
    let name = name.at(Stage::Exec, "")?;
    let env = environment(&spec.env);
    let path = env.iter().rev().find(|(key, _)| key == "PATH").map_or(DEFAULT_PATH, |(_, value)| value);
    let places = places(name, path);
    let strings = |texts: Vec<String>| -> Result<Vec<CString>, Failure> {
        texts
            .into_iter()
            .map(|text| CString::new(text).map_err(io::Error::from).at(Stage::Spec, name))
            .collect()
    };
    Ok(Program {
        name: name.clone(),
        places: strings(places)?,
        args: strings(spec.args.clone())?,
        env: strings(env.into_iter().map(|(key, value)| format!("{key}={value}")).collect())?,
    })
}

/// The environment with each name once: where it first stood, with the value it last had.
fn environment(env: &[(String, String)]) -> Vec<(String, String)> {
    let mut result: Vec<(String, String)> = Vec::with_capacity(env.len());
    for (key, value) in env {
        match result.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => old.clone_from(value),
            None => result.push((key.clone(), value.clone())),
        }
    }
    result
}

/// Where a program may lie. A name with a slash is a path already; an empty entry of `PATH` is the
/// working directory.
fn places(name: &str, path: &str) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    path.split(':').map(|dir| format!("{}/{name}", if dir.is_empty() { "." } else { dir })).collect()
}

impl Program {
    /// Executes the first that can be; returns the failure that tells most.
    pub(super) fn execute(&self) -> Failure {
        let mut worst = io::Error::from_raw_os_error(libc::ENOENT);
        for place in &self.places {
            let error = sys::exec::execve(place, &self.args, &self.env);
            match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                Some(libc::EACCES) => worst = error,
                _ => return Failure::new(Stage::Exec, &self.name, &error),
            }
        }
        Failure::new(Stage::Exec, &self.name, &worst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_wins_at_the_first_place() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let env = environment(&[pair("A", "1"), pair("B", "2"), pair("A", "3")]);
        assert_eq!(env, [pair("A", "3"), pair("B", "2")]);
    }

    #[test]
    fn programs_are_looked_up_in_order() {
        assert_eq!(places("sh", "/bin::/usr/bin"), ["/bin/sh", "./sh", "/usr/bin/sh"]);
        assert_eq!(places("./sh", "/bin"), ["./sh"]);
    }
}
