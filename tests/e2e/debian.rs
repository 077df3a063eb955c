//! A real Debian root file system: gcc is installed inside a step, a real program is compiled, and
//! the result runs; as root and as an ordinary user. Needs a Debian package mirror.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::ordinary::Ordinary;
use crate::support::registry::{Access, Registry};
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

const SOURCES: usize = 30;

fn run(command: &mut Command) -> Said {
    let said = Said::from(command.output().unwrap());
    assert!(said.code == Some(0), "{command:?}: {said:?}");
    said
}

/// A minimal Debian as a tar, made once and kept in the build directory.
pub fn debian() -> &'static Path {
    static TAR: OnceLock<PathBuf> = OnceLock::new();
    TAR.get_or_init(|| {
        let tar = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-minbase.tar");
        if !tar.exists() {
            let dir = tar.with_extension("dir");
            let unfinished = tar.with_extension("part");
            drop(std::fs::remove_dir_all(&dir));
            run(Command::new("debootstrap").args(["--variant=minbase", "bookworm"]).arg(&dir));
            run(Command::new("tar")
                .arg("-C")
                .arg(&dir)
                .args(["--xattrs", "--numeric-owner", "--exclude=./dev/*", "-cf"])
                .arg(&unfinished)
                .arg("."));
            std::fs::remove_dir_all(dir).unwrap();
            std::fs::rename(unfinished, &tar).unwrap();
        }
        tar
    })
}

/// A registry that serves Debian and busybox, pushed there by skopeo.
fn bases() -> (Registry, String, String) {
    let registry = Registry::start(Access::Open);
    let workspace = Workspace::with(
        "FROM scratch AS debian\nADD debian.tar /\nCMD [\"bash\"]\nFROM scratch AS busybox\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\nCMD [\"sh\"]\n",
    );
    std::fs::hard_link(debian(), workspace.context().join("debian.tar"))
        .or_else(|_| std::fs::copy(debian(), workspace.context().join("debian.tar")).map(drop))
        .unwrap();
    let mut names = Vec::new();
    for target in ["debian", "busybox"] {
        let archive = workspace.path().join(format!("{target}.oci"));
        workspace.build(&["--target", target, "-o", &format!("type=oci,dest={}", archive.display())]);
        let name = registry.name(&format!("base/{target}:1"));
        run(Command::new("skopeo").args([
            "copy",
            "--dest-tls-verify=false",
            &format!("oci-archive:{}", archive.display()),
            &format!("docker://{name}"),
        ]));
        names.push(name);
    }
    let busybox = names.pop().unwrap();
    let debian = names.pop().unwrap();
    (registry, debian, busybox)
}

/// A C program of many files.
fn program(context: &Path) {
    let source = context.join("src");
    std::fs::create_dir_all(&source).unwrap();
    let mut calls = String::new();
    let mut header = String::new();
    for number in 0..SOURCES {
        header.push_str(&format!("int part_{number}(int);\n"));
        calls.push_str(&format!("  sum += part_{number}({number});\n"));
        let body = format!("#include \"parts.h\"\nint part_{number}(int x) {{ return x * {number} + 1; }}\n");
        std::fs::write(source.join(format!("part_{number}.c")), body).unwrap();
    }
    std::fs::write(source.join("parts.h"), header).unwrap();
    let main = format!(
        "#include <stdio.h>\n#include \"parts.h\"\nint main(void) {{\n  int sum = 0;\n{calls}  printf(\"sum %d\\n\", sum);\n  return 0;\n}}\n"
    );
    std::fs::write(source.join("main.c"), main).unwrap();
    let makefile = "OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))\nprogram: $(OBJECTS)\n\t$(CC) -static -o $@ $^\n%.o: %.c parts.h\n\t$(CC) -O1 -c -o $@ $<\n";
    std::fs::write(source.join("Makefile"), makefile).unwrap();
}

fn expected_sum() -> usize {
    (0..SOURCES).map(|number| number * number + 1).sum()
}

fn dockerfile(debian: &str, busybox: &str) -> String {
    format!(
        "FROM {debian} AS compile\n\
         RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*\n\
         WORKDIR /src\nCOPY src/ .\nRUN make -j2\n\
         FROM {busybox}\nCOPY --from=compile /src/program /usr/bin/program\nRUN program\nCMD [\"program\"]\n"
    )
}

fn tools() -> bool {
    let tools = ["debootstrap", "docker-registry", "skopeo", "umoci", "runc", "busybox", "newuidmap"];
    is_root() && tools.iter().all(|tool| has(tool))
}

/// skopeo pulls the image, umoci unpacks it, and the program in it runs.
fn others_can_use(name: &str, dir: &Path) {
    let layout = dir.join("others");
    run(Command::new("skopeo").args([
        "copy",
        "--src-tls-verify=false",
        &format!("docker://{name}"),
        &format!("oci:{}:1", layout.display()),
    ]));
    let bundle = dir.join("others-bundle");
    run(Command::new("umoci").args(["unpack", "--image", &format!("{}:1", layout.display())]).arg(&bundle));
    let said = run(Command::new("chroot").arg(bundle.join("rootfs")).arg("/usr/bin/program"));
    assert_eq!(said.out, format!("sum {}\n", expected_sum()));
}

fn size_of(said: &str) -> u64 {
    let layers: serde_json::Value = serde_json::from_str(said).unwrap();
    layers.as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap()).sum()
}

#[test]
fn a_program_is_compiled_on_debian_as_root_and_as_an_ordinary_user() {
    if !tools() {
        return;
    }
    let (registry, debian, busybox) = bases();
    let workspace = Workspace::with(&dockerfile(&debian, &busybox));
    program(&workspace.context());
    let name = registry.name("app/root:1");
    workspace.build(&["-t", &name, "--push"]);
    others_can_use(&name, workspace.path());
    for image in [&name, &debian] {
        workspace.ok(&["pull", image]);
        let size = size_of(&workspace.ok(&["layers", "--format=json", "--no-files", image]).out);
        println!("{image}: {size} bytes in layers");
    }

    // Nothing runs the second time; an edited source file runs the copy, the compiler and what
    // depends on its result.
    assert_eq!(workspace.build(&["-t", &name]).steps().0, 0);
    let part = workspace.context().join("src/part_1.c");
    std::fs::write(part, "#include \"parts.h\"\nint part_1(int x) { return x + 101; }\n").unwrap();
    let said = workspace.build(&["-t", &name]);
    assert_eq!(said.steps().0, 4, "{said:?}");
    assert_eq!(workspace.ok(&["run", &name]).out, format!("sum {}\n", expected_sum() + 100));

    as_an_ordinary_user(&registry, &debian, &busybox);
}

fn as_an_ordinary_user(registry: &Registry, debian: &str, busybox: &str) {
    let user = Ordinary::new();
    let context = user.home().join("context");
    std::fs::create_dir(&context).unwrap();
    program(&context);
    std::fs::write(context.join("Dockerfile"), dockerfile(debian, busybox)).unwrap();
    let rbuild = user.home().join("rbuild");
    std::fs::copy(env!("CARGO_BIN_EXE_rbuild"), &rbuild).unwrap();
    let name = registry.name("app/user:1");
    run(user.command(&rbuild).args(["build", "--progress=plain", "-t", &name, "--push"]).arg(&context));
    let said = run(user.command(&rbuild).args(["run", &name]));
    assert_eq!(said.out, format!("sum {}\n", expected_sum()));
    others_can_use(&name, &user.home());
}
