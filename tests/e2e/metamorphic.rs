//! Random Dockerfiles, random edits: with the cache the same image comes out as without it, and as with
//! the remote cache of another store.
//!
//! A case is a seed. `tests/metamorphic CASES [SEED]` runs many of them; a seed that failed once is kept in
//! [`KEPT`].

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::road::BUSYBOX;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

/// Seeds that are always run.
const KEPT: &[u64] = &[1, 7, 927];

/// Numbers that follow from a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn one<'a>(&mut self, among: &[&'a str]) -> &'a str {
        among[self.below(among.len())]
    }
}

const FILES: &[&str] = &["a.txt", "b.txt", "d/c.txt", "d/e/f.sh", "d/g.txt", "h.md"];
const PLACES: &[&str] = &["/x", "/y/z", "/d", "/w/", "/x/y"];

/// A project: files with modes, the stages of the Dockerfile, ignore rules, a build argument.
#[derive(Clone)]
struct Project {
    files: BTreeMap<String, (String, u32)>,
    stages: Vec<Vec<String>>,
    ignore: Vec<String>,
    argument: String,
}

impl Project {
    fn new(dice: &mut Dice) -> Self {
        let mut files = BTreeMap::new();
        for name in FILES {
            files.insert((*name).to_owned(), (format!("{}\n", dice.below(4)), [0o644, 0o755][dice.below(2)]));
        }
        let stages = 1 + dice.below(3);
        let stages = (0..stages).map(|nth| (0..2 + dice.below(4)).map(|_| instruction(dice, nth)).collect());
        let stages = stages.collect();
        Self { files, stages, ignore: Vec::new(), argument: "0".to_owned() }
    }

    fn dockerfile(&self) -> String {
        let mut text = String::from("ARG GLOBAL=g\n");
        for (nth, stage) in self.stages.iter().enumerate() {
            let from = if nth > 0 && stage.len() % 2 == 0 { "s0" } else { "base" };
            writeln!(text, "FROM {from} AS s{nth}\nARG A=unset").unwrap();
            stage.iter().for_each(|line| writeln!(text, "{line}").unwrap());
        }
        text
    }

    /// Changes one thing.
    fn edit(&mut self, dice: &mut Dice) -> String {
        let name = dice.one(FILES).to_owned();
        let stage = dice.below(self.stages.len());
        let line = dice.below(self.stages[stage].len());
        match dice.below(11) {
            0 | 1 => {
                let content = format!("{}\n", dice.below(4));
                self.files.entry(name.clone()).or_insert((String::new(), 0o644)).0 = content;
                format!("content of {name}")
            }
            2 => {
                self.files.entry(name.clone()).and_modify(|file| file.1 ^= 0o111);
                format!("mode of {name}")
            }
            3 => {
                let new = format!("d/new{}.txt", dice.below(3));
                self.files.insert(new.clone(), ("new\n".to_owned(), 0o644));
                format!("new {new}")
            }
            4 => {
                self.files.remove(&name);
                format!("{name} is gone")
            }
            5 => {
                if let Some(file) = self.files.remove(&name) {
                    self.files.insert(format!("{name}.moved.txt"), file);
                }
                format!("{name} has another name")
            }
            6 => {
                self.stages[stage][line] = instruction(dice, stage);
                format!("instruction {line} of stage {stage}")
            }
            7 => {
                self.stages[stage].insert(line, instruction(dice, stage));
                format!("a new instruction {line} in stage {stage}")
            }
            8 => {
                self.argument = dice.below(3).to_string();
                format!("argument {}", self.argument)
            }
            9 => {
                self.ignore =
                    vec![dice.one(&["d/e", "*.md", "d/*.txt", "**/c.txt", "d\n!d/g.txt"]).to_owned()];
                format!("ignore {:?}", self.ignore)
            }
            _ => "times alone".to_owned(),
        }
    }

    fn write(&self, workspace: &Workspace) {
        let context = workspace.context();
        std::fs::remove_dir_all(&context).unwrap();
        std::fs::create_dir(&context).unwrap();
        for (name, (content, mode)) in &self.files {
            workspace.file(name, content);
            workspace.mode(name, *mode);
            // As where only what changed is written anew: then layers share the files that did not.
            let path = context.join(name);
            let dated = std::fs::File::options().append(true).open(path).unwrap();
            dated
                .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000))
                .unwrap();
        }
        workspace.file("Dockerfile", self.dockerfile());
        if !self.ignore.is_empty() {
            workspace.file(".dockerignore", self.ignore.join("\n"));
        }
    }
}

/// An instruction for a stage. None of them fails, whatever is there, and none has a result of its own
/// each time.
fn instruction(dice: &mut Dice, stage: usize) -> String {
    let (file, place) = (dice.one(FILES), dice.one(PLACES));
    let number = dice.below(3);
    match dice.below(14) {
        0 => format!("COPY {}* {place}/", &file[..1]),
        1 => format!("COPY d* {place}/"),
        2 => "COPY . /all/".to_owned(),
        3 => format!("COPY --chmod=0{} --chown={number}:7 *.txt {place}/", dice.one(&["600", "755"])),
        4 => format!("COPY --link [a-h]* {place}/"),
        5 => format!(
            "RUN find / -xdev -type f ! -path '/bin/*' ! -path '/etc/*' ! -path '/sum*' | sort | xargs cat | md5sum > /sum{number}"
        ),
        6 => format!("RUN mkdir -p {place}/made && echo $A$V$GLOBAL > {place}/made/{number}"),
        7 => format!("RUN rm -rf {place}; ln -sf {place} /link{number}"),
        8 => format!(
            "RUN --mount=type=bind,source=.,target=/in cat /in/*.txt > /bound{number} 2>/dev/null || true"
        ),
        9 => format!("ENV V={number}"),
        10 => format!("WORKDIR {place}"),
        11 if stage > 0 => format!("COPY --from=s{} / /from{number}/", dice.below(stage)),
        12 if stage > 0 => {
            let from = dice.below(stage);
            format!("RUN --mount=type=bind,from=s{from},target=/in ls -R /in | md5sum > /listed{number}")
        }
        13 => format!("RUN chmod -R u+w {place} 2>/dev/null; mkdir -p /same && echo same > /same/{number}"),
        _ => format!("LABEL l{number}={}", dice.below(3)),
    }
}

/// The machines of one run: one with a cache, one that never uses it, one that has only a remote one.
struct Machines {
    cached: Workspace,
    uncached: Workspace,
    /// A layout with the base of all images.
    base: tempfile::TempDir,
}

impl Machines {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let maker = Workspace::with(BUSYBOX);
        let output = format!("type=oci,tar=false,rewrite-timestamp=true,dest={}", base.path().display());
        maker.build(&["-t", "base:1", "--build-arg=SOURCE_DATE_EPOCH=0", "-o", &output]);
        Self { cached: Workspace::new(), uncached: Workspace::new(), base }
    }

    /// Runs a case; how many images were compared. Builds that fail, alike with and without the cache, are
    /// none.
    fn case(&self, seed: u64) -> usize {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut project = Project::new(&mut dice);
        let edits = 2 + dice.below(3);
        let mut done = vec!["nothing".to_owned()];
        let remote = tempfile::tempdir().unwrap();
        let place = remote.path().display();
        let mut images = 0;
        for nth in 0..=edits {
            let with_cache = self.image(
                &self.cached,
                &project,
                &[&format!("--cache-to=type=local,dest={place},mode=max")],
            );
            let without = self.image(&self.uncached, &project, &["--no-cache"]);
            let said = || format!("seed {seed}, edits {done:?}\n{}", project.dockerfile());
            assert_eq!(with_cache, without, "{}", said());
            images += usize::from(without.is_ok());
            if nth == edits && seed % 4 == 1 {
                let other = Workspace::new();
                let from = format!("--cache-from=type=local,src={place}");
                assert_eq!(self.image(&other, &project, &[&from]), without, "remote: {}", said());
            }
            done.push(project.edit(&mut dice));
        }
        images
    }

    /// The id of the image of a project: its config, and through it all layers, without times.
    fn image(&self, workspace: &Workspace, project: &Project, words: &[&str]) -> Result<String, String> {
        project.write(workspace);
        let archive = workspace.path().join("image.tar");
        let output =
            format!("type=oci,dest={},rewrite-timestamp=true,compression=uncompressed", archive.display());
        let id = workspace.path().join("id");
        let context = workspace.context();
        let argument = format!("--build-arg=A={}", project.argument);
        let mut command = workspace.rbuild();
        command.args(["build", "-q", "--build-arg=SOURCE_DATE_EPOCH=0", &argument, "-o", &output]);
        command.arg(format!("--build-context=base=oci-layout://{}:1", self.base.path().display()));
        command.arg("--iidfile").arg(&id).args(words).arg(&context);
        let said = crate::support::workspace::Said::from(command.output().unwrap());
        match said.code {
            Some(0) => Ok(std::fs::read_to_string(&id).unwrap()),
            // A pattern without a match fails with and without the cache, in the same words.
            Some(1) => {
                Err(said.err.lines().find(|line| line.starts_with("error:")).unwrap_or_default().to_owned())
            }
            _ => panic!("{said:?}"),
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn cached_equals_uncached() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let machines = Machines::new();
    let first = number("METAMORPHIC_SEED").unwrap_or(0);
    let Some(cases) = number("METAMORPHIC_CASES") else {
        for seed in KEPT {
            machines.case(*seed);
        }
        return;
    };
    let mut compared = 0;
    for seed in first..first + cases {
        compared += machines.case(seed);
        if seed % 25 == 24 {
            println!("seed {seed}: {compared} images compared");
        }
    }
    println!("{cases} cases, {compared} images compared");
}
