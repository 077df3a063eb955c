//! Profiles of system calls in the format of Docker and the OCI runtime specification, made into
//! filters.
//!
//! Names of calls that no table has are left out, as other runtimes do: a profile is written for many
//! kernels. What else is not understood is an error. Where several rules are about one call, the
//! first without conditions decides, and without such a one the first whose conditions hold.

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

use super::bpf::{AUDIT_AARCH64, AUDIT_ARM, AUDIT_X86, AUDIT_X86_64, FAIL, KILL, X32_BIT};
use super::calls::{CALLS, Column};
use super::emit::{self, Program, Range};
use super::names;
use super::others::OTHERS;
use super::rules::{Comparison, Decision, Operator, Rule};
use super::{Machine, THIS, without_gaps};
use crate::capabilities::Capabilities;
use crate::sys::seccomp::Instruction;

/// How many instructions a kernel takes.
const LONGEST: usize = 4096;

/// A filter that was made from a profile, for a step with certain capabilities on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCallFilter(Vec<(u16, u8, u8, u32)>);

/// A profile is not understood.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ProfileError {
    #[error("it is no profile of system calls: {0}")]
    Json(#[from] serde_json::Error),
    #[error("unknown action {0:?}")]
    Action(String),
    #[error("SCMP_ACT_NOTIFY is not supported: nobody would answer")]
    Notify,
    #[error("unknown operator {0:?}")]
    Operator(String),
    #[error("unknown architecture {0:?}")]
    Architecture(String),
    #[error("unknown error {0:?}; give its number as errnoRet")]
    Errno(String),
    #[error("{0:?} is no version of a kernel")]
    Kernel(String),
    #[error("a call has six arguments, 0 to 5, and no {0}")]
    Argument(u8),
    #[error("{0} and {1} exclude each other")]
    Both(&'static str, &'static str),
    #[error("a rule names no call")]
    NoName,
    #[error("it makes {0} instructions, and the kernel takes {LONGEST} at most")]
    Long(usize),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    default_action: String,
    default_errno_ret: Option<u16>,
    default_errno: Option<String>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    arch_map: Vec<ArchEntry>,
    #[serde(default)]
    syscalls: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArchEntry {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    names: Vec<String>,
    name: Option<String>,
    action: String,
    errno_ret: Option<u16>,
    errno: Option<String>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arg {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    arches: Vec<String>,
    min_kernel: Option<String>,
}

/// What conditions are asked about.
struct Circumstances {
    machine: Machine,
    capabilities: CapabilitySet,
    /// The version of the kernel.
    kernel: (u32, u32),
}

impl SystemCallFilter {
    /// Reads a profile, for a step with these capabilities.
    ///
    /// # Errors
    /// The text is not understood, or asks for what is not supported.
    pub fn from_profile(text: &str, capabilities: Capabilities) -> Result<SystemCallFilter, ProfileError> {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let kernel = version(&release).ok_or(ProfileError::Kernel(release))?;
        let here = Circumstances { machine: THIS, capabilities: capabilities.set(), kernel };
        let program = compile(text, &here)?;
        Ok(SystemCallFilter(program.iter().map(|i| (i.code, i.jt, i.jf, i.k)).collect()))
    }

    pub(crate) fn instructions(&self) -> Vec<Instruction> {
        self.0.iter().map(|&(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect()
    }
}

fn compile(text: &str, here: &Circumstances) -> Result<Vec<Instruction>, ProfileError> {
    let document: Document = serde_json::from_str(text)?;
    let default_errno = number(document.default_errno_ret, document.default_errno.as_deref())?;
    let default = names::action(&document.default_action, default_errno)?;
    let mut rules: Vec<(String, Rule)> = Vec::new();
    for entry in &document.syscalls {
        for rule in entry.rules()?.into_iter().filter(|rule| rule.answer != default) {
            if entry.includes.is_met(here)? && !entry.excludes.excludes(here)? {
                rules.extend(entry.all_names()?.into_iter().map(|name| (name, rule.clone())));
            }
        }
    }
    let columns = document.columns(here.machine)?;
    let ranges = |column: Column, base: u32| ranges(column, base, &rules, default);
    let (first, second) = match here.machine {
        Machine::X86_64 => {
            let mut native = ranges(Column::X86_64, 0);
            native.extend(match columns.contains(&Column::X32) {
                true => ranges(Column::X32, X32_BIT),
                false => vec![Range { first: X32_BIT, decision: always(KILL) }],
            });
            (native, (AUDIT_X86, Column::X86))
        }
        Machine::Aarch64 => (ranges(Column::Aarch64, 0), (AUDIT_ARM, Column::Arm)),
    };
    let native = match here.machine {
        Machine::X86_64 => AUDIT_X86_64,
        Machine::Aarch64 => AUDIT_AARCH64,
    };
    let mut programs = vec![(native, Program::new(first))];
    if columns.contains(&second.1) {
        programs.push((second.0, Program::new(ranges(second.1, 0))));
    }
    let program = emit::architectures(&programs);
    match program.len() {
        0..=LONGEST => Ok(program),
        length => Err(ProfileError::Long(length)),
    }
}

/// What the rules say of all calls of an interface.
fn ranges(column: Column, base: u32, rules: &[(String, Rule)], default: u32) -> Vec<Range> {
    let tables = CALLS.iter().chain(OTHERS);
    let known: Vec<(u32, Decision)> = tables
        .filter_map(|(name, numbers)| {
            let number = u32::try_from(numbers[column as usize]).ok()?;
            let own = rules.iter().filter(|(named, _)| named == name);
            let own: Vec<Rule> = match column {
                Column::X86 => own.map(|(_, rule)| rule.narrow()).chain(names::within(name, rules)).collect(),
                Column::Arm => own.map(|(_, rule)| rule.narrow()).collect(),
                Column::X86_64 | Column::X32 | Column::Aarch64 => own.map(|(_, rule)| rule.clone()).collect(),
            };
            (!own.is_empty()).then(|| (base + number, decision(own, default)))
        })
        .collect();
    // A call that is newer than all that the profile knows looks as on an older kernel, so that
    // programs fall back.
    let newer = match default & 0xffff_0000 == FAIL {
        true => FAIL | libc::ENOSYS as u32,
        false => default,
    };
    without_gaps(base, known, always(default), always(newer))
}

fn decision(rules: Vec<Rule>, otherwise: u32) -> Decision {
    match rules.iter().find(|rule| rule.tests.is_empty()) {
        Some(rule) => always(rule.answer),
        None => Decision::Rules { rules, otherwise },
    }
}

fn always(answer: u32) -> Decision {
    Decision::Rules { rules: Vec::new(), otherwise: answer }
}

impl Document {
    /// The interfaces of this machine that the rules are for.
    fn columns(&self, machine: Machine) -> Result<Vec<Column>, ProfileError> {
        if !self.architectures.is_empty() && !self.arch_map.is_empty() {
            return Err(ProfileError::Both("architectures", "archMap"));
        }
        let column = |name: &String| names::column(machine, name);
        let mut all = Vec::new();
        for name in &self.architectures {
            all.extend(column(name)?);
        }
        for entry in &self.arch_map {
            let of_entry = column(&entry.architecture)?;
            let subordinate = entry.sub_architectures.iter().flatten();
            let below: Vec<_> = subordinate.map(column).collect::<Result<_, _>>()?;
            if matches!(of_entry, Some(Column::X86_64 | Column::Aarch64)) {
                all.extend(below.into_iter().flatten());
            }
        }
        Ok(all)
    }
}

impl Entry {
    fn all_names(&self) -> Result<Vec<String>, ProfileError> {
        match (&self.name, self.names.is_empty()) {
            (Some(_), false) => Err(ProfileError::Both("name", "names")),
            (Some(name), true) => Ok(vec![name.clone()]),
            (None, false) => Ok(self.names.clone()),
            (None, true) => Err(ProfileError::NoName),
        }
    }

    /// One rule if each argument is asked about once, else one for each question.
    fn rules(&self) -> Result<Vec<Rule>, ProfileError> {
        let answer = names::action(&self.action, number(self.errno_ret, self.errno.as_deref())?)?;
        let tests: Vec<Comparison> =
            self.args.iter().flatten().map(Arg::comparison).collect::<Result<_, _>>()?;
        let repeats =
            tests.iter().any(|test| tests.iter().filter(|other| other.argument == test.argument).count() > 1);
        Ok(match repeats {
            true => tests.into_iter().map(|test| Rule { tests: vec![test], answer }).collect(),
            false => vec![Rule { tests, answer }],
        })
    }
}

/// An error, by its number or its name.
fn number(number: Option<u16>, name: Option<&str>) -> Result<Option<u16>, ProfileError> {
    match number {
        Some(number) => Ok(Some(number)),
        None => name.map(names::errno).transpose(),
    }
}

impl Arg {
    fn comparison(&self) -> Result<Comparison, ProfileError> {
        if self.index > 5 {
            return Err(ProfileError::Argument(self.index));
        }
        let operator = match self.op.as_str() {
            "SCMP_CMP_NE" => Operator::Not(self.value),
            "SCMP_CMP_LT" => Operator::Below(self.value),
            "SCMP_CMP_LE" => Operator::AtMost(self.value),
            "SCMP_CMP_EQ" => Operator::Is(self.value),
            "SCMP_CMP_GE" => Operator::AtLeast(self.value),
            "SCMP_CMP_GT" => Operator::Above(self.value),
            // What the mask leaves out cannot be compared.
            "SCMP_CMP_MASKED_EQ" => Operator::Bits { mask: self.value, value: self.value_two & self.value },
            _ => return Err(ProfileError::Operator(self.op.clone())),
        };
        Ok(Comparison { argument: self.index, operator })
    }
}

impl Condition {
    /// As `includes`: everything that it names is so.
    fn is_met(&self, here: &Circumstances) -> Result<bool, ProfileError> {
        let arch = self.arches.is_empty() || self.has_arch(here);
        Ok(arch && self.caps.iter().all(|cap| here.has(cap)) && self.kernel(here)?.unwrap_or(true))
    }

    /// As `excludes`: anything that it names is so.
    fn excludes(&self, here: &Circumstances) -> Result<bool, ProfileError> {
        let kernel = self.kernel(here)?.unwrap_or(false);
        Ok(kernel || self.has_arch(here) || self.caps.iter().any(|cap| here.has(cap)))
    }

    fn has_arch(&self, here: &Circumstances) -> bool {
        self.arches.iter().any(|arch| arch == names::docker_arch(here.machine))
    }

    /// Whether the kernel is as new as is asked for.
    fn kernel(&self, here: &Circumstances) -> Result<Option<bool>, ProfileError> {
        let at_least = |text: &String| version(text).ok_or_else(|| ProfileError::Kernel(text.clone()));
        Ok(self.min_kernel.as_ref().map(at_least).transpose()?.map(|least| here.kernel >= least))
    }
}

impl Circumstances {
    fn has(&self, capability: &str) -> bool {
        let bare = capability.strip_prefix("CAP_").unwrap_or(capability);
        CapabilitySet::from_name(bare).is_some_and(|one| self.capabilities.contains(one))
    }
}

/// The first two numbers of a version.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.');
    let leading = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part.get(..end)?.parse().ok()
    };
    Some((leading(numbers.next()?)?, leading(numbers.next()?)?))
}
