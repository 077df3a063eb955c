//! `--chmod`: octal and symbolic modes.

use graph::ChmodSpec;

use super::FileError;

const STANDARD: u32 = 0o6777;
const STICKY: u32 = 0o1000;

/// A change of permission bits, read.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Set(u32),
    Clauses(Vec<Clause>),
}

#[derive(Clone, Debug)]
pub(super) struct Clause {
    /// Bits of the classes that are named; none named: zero.
    who: u32,
    op: char,
    /// Plain bits.
    bits: u32,
    /// `X` is among them.
    conditional: bool,
    /// Shifts of the classes whose bits are copied.
    copied: Vec<u32>,
}

impl Change {
    pub(super) fn new(spec: &ChmodSpec) -> Result<Self, FileError> {
        match spec {
            ChmodSpec::Octal(mode) => Ok(Self::Set(mode & 0o7777)),
            ChmodSpec::Symbolic(text) => {
                parse(text).map(Self::Clauses).ok_or_else(|| FileError::Mode(text.clone()))
            }
        }
    }

    /// The bits after the change. The umask counts as 0.
    pub(super) fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Set(bits) => *bits,
            Self::Clauses(clauses) => {
                clauses.iter().fold(mode, |now, clause| clause.apply(now, mode, is_directory))
            }
        }
    }

    /// The mode of directories that have to be made on the way.
    pub(super) fn for_parents(&self) -> u32 {
        match self {
            Self::Set(bits) => bits & 0o777,
            Self::Clauses(_) => 0o755,
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, original: u32, is_directory: bool) -> u32 {
        let reach = if self.who == 0 { STANDARD | STICKY } else { self.who };
        let mut bits = self.bits & reach;
        if self.conditional && (is_directory || original & 0o111 != 0) {
            bits |= 0o111 & reach;
        }
        for shift in &self.copied {
            let class = mode >> shift & 0o7;
            bits |= (class << 6 | class << 3 | class) & reach;
        }
        match self.op {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !self.cleared() | bits,
        }
    }

    /// What `=` takes away first.
    fn cleared(&self) -> u32 {
        let named = if self.who == 0 { STANDARD | self.bits & STICKY } else { self.who };
        // A copy of another class leaves the special bits alone.
        if self.bits == 0 && !self.conditional && !self.copied.is_empty() { named & 0o777 } else { named }
    }
}

fn parse(text: &str) -> Option<Vec<Clause>> {
    let mut clauses = Vec::new();
    for part in text.split(',') {
        let operators = part.find(['+', '-', '='])?;
        let (who, mut rest) = part.split_at(operators);
        let who = classes(who)?;
        while let Some(op) = rest.chars().next() {
            let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
            clauses.push(clause(who, op, &rest[1..end])?);
            rest = &rest[end..];
        }
    }
    Some(clauses)
}

fn classes(text: &str) -> Option<u32> {
    text.chars().try_fold(0, |who, class| {
        Some(
            who | match class {
                'a' => STANDARD,
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o0007,
                _ => return None,
            },
        )
    })
}

fn clause(who: u32, op: char, permissions: &str) -> Option<Clause> {
    let mut clause = Clause { who, op, bits: 0, conditional: false, copied: Vec::new() };
    let only_others = who != 0 && who & !0o007 == 0;
    for permission in permissions.chars() {
        match permission {
            'r' => clause.bits |= 0o444,
            'w' => clause.bits |= 0o222,
            'x' => clause.bits |= 0o111,
            'X' if op == '-' => clause.bits |= 0o111,
            'X' => clause.conditional = true,
            's' | 't' if only_others => {}
            's' => clause.bits |= 0o6000,
            't' => {
                clause.bits |= STICKY;
                if clause.who != 0 {
                    clause.who |= STICKY;
                }
            }
            'u' => clause.copied.push(6),
            'g' => clause.copied.push(3),
            'o' => clause.copied.push(0),
            _ => return None,
        }
    }
    Some(clause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbolic_modes() {
        for (text, mode, directory, expected) in [
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o700, true, 0o755),
            ("u=rwX,go=rX", 0o000, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("g=u", 0o640, false, 0o660),
            ("g=u", 0o2640, false, 0o2660),
            ("go=", 0o777, false, 0o700),
            ("a-w", 0o666, false, 0o444),
            ("u+s", 0o755, false, 0o4755),
            ("+t", 0o777, true, 0o1777),
            ("o+s", 0o755, false, 0o755),
            ("=r", 0o777, false, 0o444),
            ("go=u-w", 0o700, false, 0o755),
            ("u=rw+x", 0o000, false, 0o700),
            ("ug+rw,o-r", 0o004, false, 0o660),
            ("go-X", 0o755, false, 0o744),
        ] {
            let change = Change::new(&ChmodSpec::Symbolic(text.into())).unwrap_or_else(|e| panic!("{e}"));
            let got = change.apply(mode, directory);
            assert_eq!(got, expected, "{text} on {mode:o}: {got:o}");
        }
        for bad in ["", "u", "z=r", "u=q", "u=r,", ",u=r"] {
            assert!(Change::new(&ChmodSpec::Symbolic(bad.into())).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn octal_modes() {
        let change = Change::new(&ChmodSpec::Octal(0o4711)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(change.apply(0o644, true), 0o4711);
        assert_eq!(change.for_parents(), 0o711);
    }
}
