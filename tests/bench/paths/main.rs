//! The hot paths of a build that do the same work each time: for divan, which times them, and for
//! `tests/bench/guards`, which counts their instructions.
//!
//!     cargo bench --bench paths
//!     tests/bench/guards

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]

mod build_file;
mod layers;

/// A hot path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// A Dockerfile of 10,000 instructions is parsed.
    Parse,
    /// The same is parsed and becomes a graph.
    Lower,
    /// The key of a context of 10,000 files that the store knows: listing, looking up, digest.
    Key,
    /// A layer of 10,000 files becomes an archive of gzip members.
    Pack,
    /// The archive of 10,000 files becomes a layer.
    Unpack,
    /// All entries of three layers of 10,000 files each are seen as one tree.
    Walk,
}

impl Path {
    const ALL: [Self; 6] = [Self::Parse, Self::Lower, Self::Key, Self::Pack, Self::Unpack, Self::Walk];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|path| path.to_string() == name)
    }

    /// Makes what the path works on. The function goes the path once.
    fn prepare(self) -> Box<dyn FnMut()> {
        match self {
            Self::Parse => build_file::parse(),
            Self::Lower => build_file::lower(),
            Self::Key => layers::key(),
            Self::Pack => layers::pack(),
            Self::Unpack => layers::unpack(),
            Self::Walk => layers::walk(),
        }
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Parse => "parse",
            Self::Lower => "lower",
            Self::Key => "key",
            Self::Pack => "pack",
            Self::Unpack => "unpack",
            Self::Walk => "walk",
        })
    }
}

#[divan::bench(args = Path::ALL)]
fn path(bencher: divan::Bencher<'_, '_>, path: Path) {
    let go = path.prepare();
    bencher.bench_local(go);
}

/// `--names` lists the paths; `--prepare NAME` makes ready and ends; `--once NAME` goes the path once, after it
/// was gone once to warm up, so that the difference of both is one going.
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--names"] => Path::ALL.iter().for_each(|path| println!("{path}")),
        ["--prepare", name] => drop(warm(name)),
        ["--once", name] => warm(name)(),
        _ => divan::main(),
    }
}

fn warm(name: &str) -> Box<dyn FnMut()> {
    let mut go = Path::named(name).unwrap_or_else(|| panic!("no path {name}")).prepare();
    go();
    go
}
