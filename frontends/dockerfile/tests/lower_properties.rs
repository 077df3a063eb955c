//! Lowering never panics, whatever the text, and always comes to an end.

use bytes::Bytes;
use dockerfile::{Options, lower};
use graph::{ContextName, ImageFacts, Known, Need, Step};
use proptest::prelude::*;
use serde_json::json;

const LINES: &[&str] = &[
    "FROM busybox AS a",
    "FROM a AS b",
    "FROM $x",
    "FROM scratch",
    "FROM --platform=$BUILDPLATFORM b",
    "ARG x=1 y",
    "ARG x",
    "ENV a=$x b",
    "ENV a=${x:?no} b=$a",
    "RUN echo $x",
    "RUN --mount=from=a,target=t --mount=type=cache,target=/c x",
    "RUN --mount=type=secret,id=s,env= x",
    "RUN []",
    "RUN <<EOF\n#!/x\nEOF",
    "COPY --from=0 a b",
    "COPY --from=b --link --chmod=u+x a b/.",
    "COPY --parents a/./b /",
    "COPY <<x /y\n$x\nx",
    "ADD https://h/%zz /",
    "ADD https://h/r.git?tag=1#2 /",
    "WORKDIR $x",
    "USER",
    "EXPOSE $x 1-2",
    "HEALTHCHECK NONE",
    "ONBUILD COPY --from=a b c",
    "SHELL [\"x\"]",
    "CMD []",
    "VOLUME $x",
    "# check=error=true",
];

fn facts() -> ImageFacts {
    let digest = format!("sha256:{}", "1".repeat(64));
    let descriptor: oci::Descriptor =
        serde_json::from_value(json!({"mediaType": "x/y", "digest": digest, "size": 1}))
            .expect("a descriptor");
    let config = json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]},
        "config": {"Env": ["=", "x", "PATH"], "WorkingDir": "..", "OnBuild": ["RUN $x", "COPY --from=b /x /y"]},
    });
    let config = serde_json::from_value(config).expect("an image configuration");
    ImageFacts { manifest: descriptor.clone(), resolved: descriptor, config }
}

fn run(text: String) {
    let mut known = Known::default();
    for _ in 0..50 {
        let Ok(Step::Need(needs)) = lower(&Options::default(), &known) else { return };
        assert!(!needs.is_empty());
        for need in needs.into_keys() {
            match need {
                Need::File(ContextName::BuildFile, path) if path == "Dockerfile" => {
                    known.files.insert((ContextName::BuildFile, path), Some(Bytes::from(text.clone())));
                }
                Need::File(context, path) => drop(known.files.insert((context, path), None)),
                Need::Image(reference, platform) => drop(known.images.insert((reference, platform), facts())),
                Need::Time(source) => drop(known.times.insert(source, Some(5))),
                Need::GitRef(url, reference) => drop(known.git.insert((url, reference), "2".repeat(40))),
            }
        }
    }
    panic!("endless questions:\n{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_lines(lines in proptest::collection::vec(proptest::sample::select(LINES), 0..12)) {
        run(format!("FROM busybox\n{}", lines.join("\n")));
        run(lines.join("\n"));
    }

    #[test]
    fn any_words(keyword in "(COPY|ADD|RUN|ENV|ARG|FROM|EXPOSE|WORKDIR|ONBUILD|LABEL)", rest in "\\PC{0,40}") {
        run(format!("FROM busybox\n{keyword} {rest}"));
    }
}

#[test]
fn long_chains_of_stages() {
    let stage = |n: usize| format!("FROM scratch AS s{n}\nCOPY --from=s{} / /\n", n + 1);
    run((0..3000).map(stage).collect::<String>() + "FROM scratch AS s3000\n");
}
