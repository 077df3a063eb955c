//! What is at hand to begin with, and the tokens that mean something in it.

use std::path::{Path, PathBuf};

/// Where a target begins.
pub struct Seeds {
    /// Inputs that are mostly right.
    pub files: Vec<Vec<u8>>,
    /// Pieces that are put in between.
    pub tokens: Vec<Vec<u8>>,
}

/// Tokens, and what is odd in every format: bytes that end something, and numbers at the borders of types.
fn tokens(of_the_format: &[&str]) -> Vec<Vec<u8>> {
    let odd: [&[u8]; 8] = [b"\0", b"\xff", b"\n", b"\r\n", b" ", b"9223372036854775808", b"-1", b"\xc3\xa9"];
    lines(of_the_format).into_iter().chain(odd.map(<[u8]>::to_vec)).collect()
}

fn lines(lines: &[&str]) -> Vec<Vec<u8>> {
    lines.iter().map(|line| line.as_bytes().to_vec()).collect()
}

/// The files of a folder and of the folders in it.
fn files_below(folder: &str) -> Vec<Vec<u8>> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut paths: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { paths.push(path) }
        }
    }
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Dockerfiles, some with triggers behind them.
pub fn dockerfiles() -> Seeds {
    let mut files = files_below("frontends/dockerfile/tests/vectors/parser");
    files.extend(files_below("frontends/dockerfile/tests/corpus"));
    files.extend(files_below("tests/broken"));
    files.extend(lines(&[
        "FROM a\nRUN x\0RUN b\u{1}COPY --from=c d e\u{1}ADD <<x y\nz\nx",
        "FROM a AS b\nFROM b\n\0ONBUILD RUN x\u{1}FROM y\u{1}ARG $a",
        "FROM a\nRUN <<E cat <<-'F' >x\n$b\nE\n\tc\n\tF\nCOPY <<\"a b\" <<c /\na b\nc\n",
        "FROM a\nCOPY --parents --exclude=**/*.md --link --chmod=u=rwX,go-w --chown=1:a b/./c*/d[e-f] /\n",
        "FROM a\nADD --checksum=sha256:0 --keep-git-dir https://h/r.git?ref=a&subdir=b#c:d git@h:r.git /x/\n",
        "FROM a\nENV b=${c:-${d##*/}} e=${f/g/\\}} h=${i//j/k}\nEXPOSE $b 1-65535 [::1]:1:2/UDP\n",
    ]));
    let tokens = tokens(&[
        "FROM ",
        "RUN ",
        "COPY ",
        "ADD ",
        "ENV ",
        "ARG ",
        "ONBUILD ",
        "HEALTHCHECK ",
        "WORKDIR ",
        "EXPOSE ",
        "LABEL ",
        "USER ",
        "VOLUME ",
        "SHELL [\"a\"]",
        "\\\n",
        "`\n",
        "# escape=`\n",
        "# syntax=a\n",
        "# check=skip=all\n",
        "<<EOF",
        "<<-",
        "\nEOF\n",
        "--mount=type=",
        "--from=",
        "--chmod=",
        "--chown=",
        "--exclude=",
        "--parents",
        "--link",
        "$",
        "${",
        "}",
        ":-",
        ":?",
        "##",
        "//",
        "'",
        "\"",
        "[",
        "]",
        "[[:",
        "**",
        "/./",
        "..",
        "https://h/a.git#b:c",
        "AS a",
        "\u{feff}",
    ]);
    Seeds { files, tokens }
}

/// Ignore files, with a path behind each.
pub fn ignore_files() -> Seeds {
    let files = lines(&[
        "# a\n**/*.log\n!keep/**\n/a/./b/../c\n\0a/b/c.log",
        "[a-z]*\n[^a]?\\*\n!\\!x\n**\n\0x/y",
        "**/node_modules/**/x\n!**/x/?[0-9]\n\0a/node_modules/b/c/x/y1",
        "*a*a*a*a*a*a*a*b\n\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ]);
    Seeds {
        files,
        tokens: tokens(&[
            "*", "**", "**/", "/", "!", "[", "]", "[^", "a-", "\\", "?", ".", "..", "#", "\u{feff}",
        ]),
    }
}

/// Words with variables.
pub fn words() -> Seeds {
    let files = lines(&[
        "${a:-b} \"$c\" '$d' \\$e",
        "${a#*/}${b##x?}${c%.*}${d%%[a]}",
        "${a/b/c}${d//e\\/f/$g}${h/%i/}",
        "${a:?b ${c}}${d:+'e f'} $1 $@ $$ ${}",
        "`$a` `` \"a`\"b\"",
        "${a//*/}${b//**/x}${a##***********b}",
    ]);
    Seeds {
        files,
        tokens: tokens(&[
            "$", "${", "}", "${a", ":-", ":+", ":?", "#", "##", "%", "%%", "/", "//", "*", "?", "\\", "`",
            "'", "\"",
        ]),
    }
}

/// Values of `RUN --mount`.
pub fn mounts() -> Seeds {
    let files = lines(&[
        "type=bind,source=a,target=b,from=c,rw",
        "type=cache,id=$a,target=/b,sharing=locked,mode=0755,uid=1,gid=2,ro",
        "type=secret,id=a,env=B,required=true,mode=0400",
        "type=ssh,id=default,target=/s,required",
        "\"type=tmpfs\",target=\"/a,b\",size=1.5gb",
    ]);
    Seeds {
        files,
        tokens: tokens(&[
            "type=", ",", "\"", "\"\"", "=", "target=", "size=", "mode=", "uid=", "1e9g", "required",
            "from=$x",
        ]),
    }
}

/// Addresses of git repositories.
pub fn git_remotes() -> Seeds {
    let files = lines(&[
        "https://u:p@h:1/a.git#b:c",
        "git@h:a/b.git?ref=c&subdir=d&submodules=false&checksum=0123abc",
        "ssh://git@h/~/a.git?tag=v1&keep-git-dir=1&mtime=commit",
        "git://h/a#:b",
        "github.com/a/b.git",
        "file:///a/b.git?branch=c&fetch-by-commit=true",
    ]);
    Seeds {
        files,
        tokens: tokens(&[
            "#",
            "?",
            "&",
            ":",
            "@",
            "//",
            ".git",
            "%2d",
            "%00",
            "-",
            "--upload-pack=x",
            "ref=",
            "[::1]",
            "..",
        ]),
    }
}

/// Names of images, platforms, digests.
pub fn names() -> Seeds {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let mut files = lines(&["a", "h:1/a/b__c-d.e:v1", "[::1]:5000/a", "linux/arm/v7", "windows(10.0)/amd64"]);
    files.push(format!("docker.io/library/a:b@{digest}").into_bytes());
    files.push(digest.as_bytes().to_vec());
    Seeds {
        files,
        tokens: tokens(&["/", ":", "@", "sha256:", ".", "_", "-", "--", "(", ")", "localhost", "v8", "A"]),
    }
}

/// Documents of images.
pub fn documents() -> Seeds {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let descriptor = format!(
        r#"{{"mediaType":"a/b","digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"arm","variant":"v7"}}}}"#
    );
    let config = format!(
        r#"{{"architecture":"a","os":"b","created":"2020-01-01T00:00:00Z","config":{{"Env":["A=b"],"ExposedPorts":{{"1/tcp":{{}}}}}},"rootfs":{{"type":"layers","diff_ids":["{digest}"]}},"history":[{{"created_by":"x","empty_layer":true}}]}}"#
    );
    let files = vec![
        format!(
            r#"{{"schemaVersion":2,"config":{descriptor},"layers":[{descriptor}],"annotations":{{"a":"b"}}}}"#
        ),
        format!(r#"{{"schemaVersion":2,"manifests":[{descriptor},{descriptor}],"x":[1]}}"#),
        config,
    ];
    Seeds {
        files: files.into_iter().map(String::into_bytes).collect(),
        tokens: tokens(&[
            "{",
            "}",
            "[",
            "]",
            "null",
            "\"size\":",
            "1e999",
            "\"mediaType\":",
            "\"\\ud800\"",
            ",",
            ":",
            "\"",
        ]),
    }
}

/// Archives of all kinds of entries.
pub fn archives() -> Seeds {
    let entry = |kind: tar::EntryType, path: &str, link: Option<&str>, body: &[u8]| {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        match link {
            Some(link) => builder.append_link(&mut header, path, link).unwrap(),
            None => builder.append_data(&mut header, path, body).unwrap(),
        }
        builder.into_inner().unwrap()
    };
    let long = "a/".repeat(120) + "b";
    let mut files = vec![
        entry(tar::EntryType::Regular, "a", None, b"text"),
        entry(tar::EntryType::Regular, &long, None, &[7; 600]),
        entry(tar::EntryType::Symlink, "l", Some(&long), b""),
        entry(tar::EntryType::Link, "h", Some("a"), b""),
        entry(tar::EntryType::Directory, "d", None, b""),
        entry(tar::EntryType::Char, "c", None, b""),
        entry(tar::EntryType::XHeader, "x", None, b"20 path=some/where\n30 SCHILY.xattr.user.a=abcdefg\n"),
        entry(tar::EntryType::XGlobalHeader, "g", None, b"19 GNU.sparse.major=1\n"),
        entry(tar::EntryType::GNUSparse, "s", None, b"data"),
    ];
    let all = files.iter().flat_map(|file| file[..file.len() - 1024].to_vec()).collect();
    files.push(all);
    Seeds {
        files,
        tokens: tokens(&[
            "ustar\0",
            "ustar  \0",
            "GNU.sparse.realsize=9\n",
            "path=",
            "00000000000",
            "77777777777",
            "../",
            "S",
        ]),
    }
}

/// Settings and passwords of registries.
pub fn registries() -> Seeds {
    let files = lines(&[
        "[[registry]]\nprefix=\"a\"\nlocation=\"b\"\ninsecure=true\n[[registry.mirror]]\nlocation=\"c\"\n",
        "unqualified-search-registries = [\"a\"]\nshort-name-mode=\"x\"\n[aliases]\n\"b\"=\"c/d\"\n",
        "{\"auths\":{\"h\":{\"auth\":\"YTpi\"}},\"credHelpers\":{\"g\":\"x\"},\"credsStore\":\"y\"}",
    ]);
    Seeds {
        files,
        tokens: tokens(&["\"", "\\", "=", ",", "[[registry]]\n", "[", "{", "}", "\"auth\":\"", "Og=="]),
    }
}

/// Databases of rpm in all forms, with small pages.
pub fn rpm_databases() -> Seeds {
    let mut files = files_below("builder/tests/rpm");
    files.retain(|file| file.contains(&0));
    let numbers: [&[u8]; 5] = [&[0; 4], &[0xff; 4], &[0, 0, 0, 1], &[1, 0, 0, 0], &[0x7f, 0xff, 0xff, 0xff]];
    let tokens = tokens(&["Slot", "BlbS", "RpmP", "SQLite format 3", "Packages"]);
    Seeds { files, tokens: tokens.into_iter().chain(numbers.map(<[u8]>::to_vec)).collect() }
}
