//! Dockerfiles: from text to typed instructions, and from instructions to a graph.
//!
//! The way of a file: bytes → statements ([`syntax`]: lines, directives, heredocs, flags, operands)
//! → typed instructions ([`instruction`]) → stages, scopes and operations. Words of instructions
//! stay as they were written until they are expanded ([`expand`]) with the values that are in
//! scope at that place.
//!
//! Invariants:
//! - no I/O, no clock, no environment: facts come in as values;
//! - text from users and from image configurations never panics, whatever its bytes;
//! - every diagnostic about the file carries a span of the file's bytes.

pub mod expand;
pub mod instruction;
pub mod lint;
pub mod lower;
pub mod mount;
mod suggest;
pub mod survey;
pub mod syntax;

pub use expand::{ExpandError, Expanded, expand, expand_heredoc, expand_words};
pub use instruction::{
    File, Instruction, InstructionKind, Reading, Refused, parse, parse_instruction, parse_leniently,
};
pub use lint::rules::{Origin, RULES, Rule, Status, rule};
pub use lower::git_remote::{GitRemote, parse as parse_git_remote};
pub use lower::{Coverage, Deny, NamedContext, Naming, NoCache, Options, lower, lower_with_survey, targets};
pub use mount::{MountSpec, go_bool, parse_mount};
pub use suggest::nearest;
pub use syntax::{EscapeChar, Spanned, Word};
