//! Steps on copies of their trees: the images are those of overlay mounts.

use serde_json::Value;

use crate::road::BUSYBOX;
use crate::support::layout::layout;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

/// What steps do to a tree: with fixed times, since layers with the same times have the same digest.
const STEPS: &str = r#"
FROM base AS tree
RUN mkdir -p /d/e/deep /gone/x /emptied/y /turned && echo 1 > /d/a && ln /d/a /d/linked && ln -s a /d/link && \
    mkfifo /d/pipe && echo 2 > /d/e/kept && echo 3 > /d/e/deep/lost && echo 4 > /gone/x/y && touch /emptied/y/z && \
    chown 5:6 /d/a && chmod 4755 /d/e/kept && dd if=/dev/zero of=/sparse bs=1 count=1 seek=200000 2>/dev/null && \
    find /d /gone /emptied /turned /sparse -exec touch -h -t 202001010101 {} + && touch -t 202001010101 /
RUN chmod 600 /d/linked && rm -r /gone /d/e/deep && rm -r /emptied && mkdir /emptied && \
    rm -r /turned && echo file > /turned && ln /d/e/kept /d/also && mv /d/link /d/renamed && \
    touch /d/untouched && rm /d/untouched && chmod 700 /sparse && chmod 644 /sparse && \
    find /d /emptied /turned /sparse -exec touch -h -t 202001010102 {} + && touch -t 202001010102 /
RUN cat /d/a >> /d/linked; true && find /d -exec touch -h -t 202001010103 {} +
FROM base
RUN --mount=type=bind,from=tree,source=/d,target=/mnt --mount=type=bind,from=tree,target=/rw,rw \
    --mount=type=bind,source=words,target=/words --mount=type=cache,target=/cache,from=tree,source=/d \
    [ "$(cat /mnt/a /words | tr '\n' ' ')" = "1 words " ] && ! touch /mnt/new 2>/dev/null && echo x > /rw/d/a && rm -r /rw/bin && test -e /cache/also && \
    mkdir /out && touch -t 202001010101 /out /
COPY --from=tree /d /tree/
"#;

fn digests(workspace: &Workspace, how: &str) -> Vec<Value> {
    let out = workspace.path().join(how);
    let output = format!("type=oci,tar=false,dest={}", out.display());
    let how = format!("--snapshotter={how}");
    let tree = ["--no-cache", "--target=tree", "-o", &output, &how];
    let last = ["--no-cache", "-o", &output, &how];
    let mut all = Vec::new();
    for words in [&tree[..], &last] {
        workspace.build(words);
        let layers = layout(&out).top()["layers"].as_array().unwrap().clone();
        // The first steps set no times.
        all.extend(layers.into_iter().skip(2).map(|layer| layer["digest"].clone()));
        std::fs::remove_dir_all(&out).unwrap();
    }
    all
}

#[test]
fn layers_of_copies_are_those_of_overlay_mounts() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}{STEPS}"));
    workspace.file("words", "words\n");
    let overlay = digests(&workspace, "overlay");
    assert_eq!(overlay.len(), 5);
    assert_eq!(digests(&workspace, "copy"), overlay);
    workspace.build(&["-t", "app:1"]);
    let said =
        workspace.ok(&["--snapshotter=copy", "run", "app:1", "sh", "-c", "cat /tree/also; rm -r /tree"]);
    assert_eq!(said.out, "2\n");
    assert_eq!(workspace.ok(&["run", "app:1", "cat", "/tree/also"]).out, "2\n");
}

#[test]
fn a_failed_step_on_a_copy_is_kept_and_entered() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN echo 1 > /made; rm /bin/vi; exit 3\n"));
    let context = workspace.context();
    workspace.fails(1, &["--snapshotter=copy", "build", context.to_str().unwrap()]);
    let look = ["debug", "--", "sh", "-c", "cat /made; ls /bin/vi 2>/dev/null || echo gone"];
    for how in ["--snapshotter=copy", "--snapshotter=overlay"] {
        assert_eq!(workspace.ok(&[&[how], &look[..]].concat()).out, "1\ngone\n", "{how}");
    }
}

#[test]
fn a_store_on_overlayfs_is_built_in_by_copies_and_says_so_once() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace =
        Workspace::with(&format!("{BUSYBOX}RUN rm /bin/vi\nRUN ! ls /bin/vi && echo 1 > /made\n"));
    let script = "mkdir lower upper work mnt && mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work \
        overlay mnt && \"$@\"";
    let inside = |words: &[&str]| {
        let mut command = std::process::Command::new("unshare");
        command.args([
            "--mount",
            "sh",
            "-ec",
            script,
            "sh",
            env!("CARGO_BIN_EXE_rbuild"),
            "--root=mnt/store",
        ]);
        let place = tempfile::tempdir().unwrap();
        let output = command.args(words).current_dir(place.path()).output().unwrap();
        crate::support::workspace::Said::from(output)
    };
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let said = inside(&["build", "--progress=plain", "-t", "app:1", context]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.err.matches("steps run on copies").count(), 1, "{said:?}");
    assert!(said.err.contains("refuses the marks of overlayfs"), "{said:?}");
    let said = inside(&["--snapshotter=overlay", "build", context]);
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.err.contains("--snapshotter=overlay: the file system of"), "{said:?}");
}
