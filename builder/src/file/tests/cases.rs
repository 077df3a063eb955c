//! Copies, as data: what is there, what is copied, what the layer holds then.

use graph::{ChmodSpec, Copy, OwnerSpec};
use layer_store::Snapshot;

use super::support::{bench, copy};
use crate::file::FileInput;

struct Case {
    name: &'static str,
    base: &'static [&'static str],
    from: &'static [&'static str],
    copy: Copy,
    /// The layer, or a part of the error.
    makes: Result<&'static [&'static str], &'static str>,
}

fn with(mut copy: Copy, change: impl FnOnce(&mut Copy)) -> Copy {
    change(&mut copy);
    copy
}

fn owned(copy: Copy, user: &str, group: Option<&str>) -> Copy {
    let owner = OwnerSpec { user: user.into(), group: group.map(str::to_owned) };
    with(copy, |copy| copy.owner = Some(owner))
}

fn octal(copy: Copy, mode: u32) -> Copy {
    with(copy, |copy| copy.mode = Some(ChmodSpec::Octal(mode)))
}

fn symbolic(copy: Copy, mode: &str) -> Copy {
    with(copy, |copy| copy.mode = Some(ChmodSpec::Symbolic(mode.into())))
}

fn parents(copy: Copy) -> Copy {
    with(copy, |copy| (copy.parents, copy.required) = (true, true))
}

fn excluding(copy: Copy, patterns: &[&str]) -> Copy {
    with(copy, |copy| copy.exclude = patterns.iter().map(|pattern| pattern.to_string()).collect())
}

const TREE: &[&str] = &[
    "dir d 0700 0:0",
    "file d/a 0600 0:0 one",
    "dir d/sub 0711 0:0",
    "file d/sub/b 0755 0:0 two",
    "link d/l a",
    "file .env 0644 0:0 env",
    "file f 0640 0:0 text",
    "file g[0].txt 0644 0:0 bracket",
    "link lf d/a",
    "link ld /d/sub",
    "link out ../../../f",
];

const USERS: &[&str] = &[
    "dir etc 0755 0:0",
    "file etc/passwd 0644 0:0 root:x:0:0\ndaemon:x:7:8:::",
    "file etc/group 0644 0:0 root:x:0:\nstaff:x:50:",
];

fn cases() -> Vec<Case> {
    let case = |name, base, from, copy, makes| Case { name, base, from, copy, makes };
    let link_base: &[&str] =
        &["dir real 0750 3:4", "link l /real", "file real/old 0600 1:1 old", "link lf /real/old"];
    vec![
        case(
            "39 contents of a directory",
            &[],
            TREE,
            copy("d", "/x"),
            Ok(&[
                "dir x 0755 0:0",
                "file x/a 0600 0:0 one",
                "link x/l a",
                "dir x/sub 0711 0:0",
                "file x/sub/b 0755 0:0 two",
            ]),
        ),
        case(
            "39 contents with slashes",
            &[],
            TREE,
            copy("d/", "/x/"),
            Ok(&[
                "dir x 0755 0:0",
                "file x/a 0600 0:0 one",
                "link x/l a",
                "dir x/sub 0711 0:0",
                "file x/sub/b 0755 0:0 two",
            ]),
        ),
        case("file to name", &[], TREE, copy("f", "/n/m"), Ok(&["dir n 0755 0:0", "file n/m 0640 0:0 text"])),
        case(
            "file into slash",
            &[],
            TREE,
            copy("/f", "/n/"),
            Ok(&["dir n 0755 0:0", "file n/f 0640 0:0 text"]),
        ),
        case(
            "43 file into dot",
            &[],
            TREE,
            copy("f", "/n/."),
            Ok(&["dir n 0755 0:0", "file n/f 0640 0:0 text"]),
        ),
        case(
            "file into existing",
            &["dir n 0700 5:6"],
            TREE,
            copy("f", "/n"),
            Ok(&["dir n 0700 5:6", "file n/f 0640 0:0 text"]),
        ),
        case(
            "40 a directory that matches is flattened",
            &[],
            TREE,
            copy("d*", "/x/"),
            Ok(&[
                "dir x 0755 0:0",
                "file x/a 0600 0:0 one",
                "link x/l a",
                "dir x/sub 0711 0:0",
                "file x/sub/b 0755 0:0 two",
            ]),
        ),
        case(
            "41 dotfiles match",
            &[],
            TREE,
            copy(".*", "/x/"),
            Ok(&["dir x 0755 0:0", "file x/.env 0644 0:0 env"]),
        ),
        case("42 bracket", &[], TREE, copy("g[[]0].txt", "/"), Ok(&["file g[0].txt 0644 0:0 bracket"])),
        case(
            "pattern below a directory",
            &[],
            TREE,
            copy("d/*/b", "/x/"),
            Ok(&["dir x 0755 0:0", "file x/b 0755 0:0 two"]),
        ),
        case("pattern without a match", &[], TREE, copy("z*", "/x/"), Ok(&[])),
        case(
            "pattern that must match",
            &[],
            TREE,
            with(copy("z*", "/x/"), |copy| copy.allow_empty_wildcard = false),
            Err("/z* not found"),
        ),
        case("pattern in a missing directory", &[], TREE, copy("zzz/*", "/x/"), Err("/zzz/* not found")),
        case("missing", &[], TREE, copy("nothing", "/"), Err("/nothing not found")),
        case("nearly there", &[], TREE, copy("d/subs", "/"), Err("there is /d/sub")),
        case("44 link is followed", &[], TREE, copy("lf", "/a"), Ok(&["file a 0600 0:0 one"])),
        case(
            "44 its name stays",
            &[],
            TREE,
            copy("lf", "/a/"),
            Ok(&["dir a 0755 0:0", "file a/lf 0600 0:0 one"]),
        ),
        case(
            "link is kept where asked",
            &[],
            TREE,
            with(copy("lf", "/a"), |copy| copy.follow_symlinks = false),
            Ok(&["link a d/a"]),
        ),
        case("45 absolute link in the path", &[], TREE, copy("ld/b", "/"), Ok(&["file b 0755 0:0 two"])),
        case(
            "link to a directory",
            &[],
            TREE,
            copy("ld", "/x"),
            Ok(&["dir x 0755 0:0", "file x/b 0755 0:0 two"]),
        ),
        case("14 a link stays inside", &[], TREE, copy("out", "/x"), Ok(&["file x 0640 0:0 text"])),
        case("2 above the root", &[], TREE, copy("../../f", "/x"), Ok(&["file x 0640 0:0 text"])),
        case(
            "47 through a link in the destination",
            link_base,
            TREE,
            copy("f", "/l/"),
            Ok(&["dir real 0750 3:4", "file real/f 0640 0:0 text"]),
        ),
        case(
            "18 onto a link to a file",
            link_base,
            TREE,
            copy("f", "/lf"),
            Ok(&["dir real 0750 3:4", "file real/old 0640 0:0 text"]),
        ),
        case(
            "18 nested, it replaces the link",
            link_base,
            &["dir s 0755 0:0", "file s/lf 0644 0:0 new"],
            copy("s", "/"),
            Ok(&["file lf 0644 0:0 new"]),
        ),
        case(
            "48 directory over a link to one",
            link_base,
            &["dir s 0755 0:0", "dir s/l 0755 0:0", "file s/l/x 0644 0:0"],
            copy("s", "/"),
            Err("onto /l, which is a symbolic link"),
        ),
        case(
            "20 file over directory",
            link_base,
            &["dir s 0755 0:0", "file s/real 0644 0:0 x"],
            copy("s", "/"),
            Err("the file /s/real onto /real"),
        ),
        case(
            "20 directory over file",
            link_base,
            &["dir s 0755 0:0", "dir s/old 0755 0:0"],
            copy("s", "/real"),
            Err("directory /s/old onto /real/old, which is a file"),
        ),
        case(
            "through a file",
            link_base,
            TREE,
            copy("f", "/real/old/x"),
            Err("/real/old is not a directory"),
        ),
        case(
            "51 number is group, too",
            &[],
            TREE,
            owned(copy("f", "/n/"), "1000", None),
            Ok(&["dir n 0755 1000:1000", "file n/f 0640 1000:1000 text"]),
        ),
        case(
            "52 names of the destination",
            USERS,
            TREE,
            owned(copy("f", "/n"), "daemon", None),
            Ok(&["file n 0640 7:8 text"]),
        ),
        case(
            "52 group by name",
            USERS,
            TREE,
            owned(copy("f", "/n"), "5", Some("staff")),
            Ok(&["file n 0640 5:50 text"]),
        ),
        case(
            "52 unknown user",
            USERS,
            TREE,
            owned(copy("f", "/n"), "nobody", None),
            Ok(&["file n 0640 0:0 text"]),
        ),
        case(
            "12 unknown group",
            USERS,
            TREE,
            owned(copy("f", "/n"), "0", Some("nobody")),
            Ok(&["file n 0640 0:0 text"]),
        ),
        case(
            "53 owner of made parents",
            USERS,
            TREE,
            owned(copy("f", "/new/a/"), "1", Some("2")),
            Ok(&["dir new 0755 1:2", "dir new/a 0755 1:2", "file new/a/f 0640 1:2 text"]),
        ),
        case(
            "53 existing ones stay",
            USERS,
            TREE,
            owned(copy("f", "/etc/"), "1", None),
            Ok(&["dir etc 0755 0:0", "file etc/f 0640 1:1 text"]),
        ),
        case(
            "54 octal, directories too",
            &[],
            TREE,
            octal(copy("d", "/x"), 0o644),
            Ok(&[
                "dir x 0644 0:0",
                "file x/a 0644 0:0 one",
                "link x/l a",
                "dir x/sub 0644 0:0",
                "file x/sub/b 0644 0:0 two",
            ]),
        ),
        case(
            "13 special bits",
            &[],
            TREE,
            octal(copy("f", "/x/"), 0o4711),
            Ok(&["dir x 0711 0:0", "file x/f 4711 0:0 text"]),
        ),
        case(
            "55 symbolic",
            &[],
            TREE,
            symbolic(copy("d", "/x"), "u=rwX,go=rX"),
            Ok(&[
                "dir x 0755 0:0",
                "file x/a 0644 0:0 one",
                "link x/l a",
                "dir x/sub 0755 0:0",
                "file x/sub/b 0755 0:0 two",
            ]),
        ),
        case(
            "60 nested directories take the source's",
            &["dir tmp 1777 0:0", "file tmp/x 0600 1:1 x"],
            &["dir d 0700 0:0", "dir d/tmp 0755 0:0", "file d/tmp/y 0644 0:0 y"],
            copy("d", "/"),
            Ok(&["dir tmp 0755 0:0", "file tmp/y 0644 0:0 y"]),
        ),
        case(
            "60 the top keeps its own",
            &["dir tmp 1777 2:3"],
            &["dir d 0700 0:0", "file d/y 0644 0:0 y"],
            copy("d", "/tmp"),
            Ok(&["dir tmp 1777 2:3", "file tmp/y 0644 0:0 y"]),
        ),
        case(
            "64 pivot",
            &[],
            &[
                "dir a 0711 0:0",
                "dir a/b 0712 0:0",
                "file a/b/x.txt 0644 0:0 x",
                "file a/b/y 0644 0:0",
                "dir a/c 0755 0:0",
            ],
            parents(copy("a/./b/*.txt", "/o/")),
            Ok(&["dir o 0755 0:0", "dir o/b 0712 0:0", "file o/b/x.txt 0644 0:0 x"]),
        ),
        case(
            "28 parents of a literal",
            &[],
            TREE,
            parents(copy("d/sub/b", "/o")),
            Ok(&[
                "dir o 0755 0:0",
                "dir o/d 0700 0:0",
                "dir o/d/sub 0711 0:0",
                "file o/d/sub/b 0755 0:0 two",
            ]),
        ),
        case("28 missing literal", &[], TREE, parents(copy("d/none", "/o")), Err("/d/none not found")),
        case("28 missing pattern", &[], TREE, parents(copy("d/**/none*", "/o")), Ok(&["dir o 0755 0:0"])),
        case(
            "28 any depth",
            &[],
            TREE,
            parents(copy("**/b", "/o")),
            Ok(&[
                "dir o 0755 0:0",
                "dir o/d 0700 0:0",
                "dir o/d/sub 0711 0:0",
                "file o/d/sub/b 0755 0:0 two",
            ]),
        ),
        case(
            "65 exclude",
            &[],
            TREE,
            excluding(copy("d", "/x"), &["sub", "l"]),
            Ok(&["dir x 0755 0:0", "file x/a 0600 0:0 one"]),
        ),
        case(
            "29 exclude with exception",
            &[],
            TREE,
            excluding(copy("d", "/x"), &["*", "!sub/b"]),
            Ok(&["dir x 0755 0:0", "dir x/sub 0711 0:0", "file x/sub/b 0755 0:0 two"]),
        ),
        case(
            "67 exclude is anchored",
            &[],
            TREE,
            excluding(copy("d", "/x"), &["b"]),
            Ok(&[
                "dir x 0755 0:0",
                "file x/a 0600 0:0 one",
                "link x/l a",
                "dir x/sub 0711 0:0",
                "file x/sub/b 0755 0:0 two",
            ]),
        ),
        case(
            "73 whiteout names",
            &[],
            &["dir d 0755 0:0", "file d/.wh.x 0644 0:0"],
            copy("d", "/x"),
            Err("/x/.wh.x: names that begin with .wh."),
        ),
        case(
            "73 whiteout directories",
            &[],
            &["dir .wh.d 0755 0:0"],
            copy(".", "/x"),
            Err("/x/.wh.d: names"),
        ),
        case("28 a link above", &[], TREE, parents(copy("ld/b", "/o")), Err("/ld/b not found")),
        case(
            "28 everything",
            &[],
            &["dir a 0700 0:0"],
            parents(copy(".", "/o")),
            Ok(&["dir o 0755 0:0", "dir o/a 0700 0:0"]),
        ),
        case(
            "28 excluded",
            &[],
            TREE,
            parents(excluding(copy("d/sub", "/o"), &["**/b"])),
            Ok(&["dir o 0755 0:0", "dir o/d 0700 0:0", "dir o/d/sub 0711 0:0"]),
        ),
        case(
            "no destination to make",
            &[],
            TREE,
            with(copy("f", "/a/b"), |copy| copy.create_dest_path = false),
            Err("the directory /a does not exist"),
        ),
        case(
            "the directory itself",
            &["dir x 0755 0:0"],
            TREE,
            with(copy("d/sub", "/x"), |copy| copy.dir_contents = false),
            Ok(&["dir x 0755 0:0", "dir x/sub 0711 0:0", "file x/sub/b 0755 0:0 two"]),
        ),
        case(
            "the directory itself, new",
            &[],
            TREE,
            with(copy("d/sub", "/x"), |copy| copy.dir_contents = false),
            Ok(&["dir x 0711 0:0", "file x/b 0755 0:0 two"]),
        ),
        case(
            "22 fifo",
            &[],
            &["dir d 0755 0:0", "fifo d/p 0620 0:0"],
            copy("d", "/x"),
            Ok(&["dir x 0755 0:0", "fifo x/p 0620 0:0"]),
        ),
    ]
}

/// Every case twice: from a stage and from a context, which differ in nothing here.
#[test]
fn copies() {
    let Some(bench) = bench() else { return };
    for (number, case) in cases().into_iter().enumerate() {
        let base = if case.base.is_empty() {
            Snapshot::default()
        } else {
            bench.snapshot(&Snapshot::default(), case.base)
        };
        let stage = FileInput::Snapshot(bench.snapshot(&Snapshot::default(), case.from));
        let context = bench.context(&bench.directory(&number.to_string(), case.from), &[]);
        for from in [stage, context] {
            let shown = format!("{} from {from:?}", case.name);
            match (bench.copy(&base, from, case.copy.clone()), case.makes) {
                (Ok(lines), Ok(expected)) => assert_eq!(lines, expected, "{shown}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{shown}: {error}"),
                (Ok(lines), Err(_)) => panic!("{shown}: made {lines:#?}"),
                (Err(error), Ok(_)) => panic!("{shown}: {error}"),
            }
        }
    }
}
