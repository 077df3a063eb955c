//! What counts in keys, and what does not.

use graph::{CacheSharing, ExecOp, ExtraHost, Mount, MountKind, Network, Op, ProxyEnv, Security};

use super::*;

fn op(change: impl FnOnce(&mut ExecOp)) -> Op {
    let mut exec = ExecOp {
        args: vec!["make".to_owned()],
        env: [("PATH".to_owned(), "/bin".to_owned())].into_iter().collect(),
        cwd: "/".to_owned(),
        user: String::new(),
        mounts: Vec::new(),
        network: Network::Default,
        security: Security::Sandbox,
        hostname: None,
        extra_hosts: Vec::new(),
        shm_size: None,
        ulimits: Vec::new(),
        proxy: ProxyEnv::default(),
        secret_env: Vec::new(),
        devices: Vec::new(),
        valid_exit_codes: Vec::new(),
    };
    change(&mut exec);
    Op::Exec(Box::new(exec))
}

fn cache(id: &str, target: &str, sharing: CacheSharing) -> Mount {
    let kind = MountKind::Cache {
        id: id.to_owned(),
        sharing,
        seed: None,
        source: "/".to_owned(),
        mode: 0o755,
        owner: None,
        read_only: false,
    };
    Mount { target: target.to_owned(), kind }
}

fn host(address: &str) -> ExtraHost {
    ExtraHost { name: "db".to_owned(), address: address.parse().expect("an address") }
}

fn key(op: &Op) -> CacheKey {
    definition(op, &[Named::Empty])
}

#[test]
fn what_does_not_count() {
    let plain = key(&op(|_| {}));
    let proxy = ProxyEnv(vec![("http_proxy".to_owned(), "http://proxy".to_owned())]);
    assert_eq!(key(&op(|exec| exec.proxy = proxy)), plain);
    let mounted = |id, sharing| key(&op(|exec| exec.mounts = vec![cache(id, "/c", sharing)]));
    assert_eq!(mounted("one", CacheSharing::Shared), mounted("two", CacheSharing::Locked));
    let hosted = |address| key(&op(|exec| exec.extra_hosts = vec![host(address)]));
    assert_eq!(hosted("10.0.0.1"), hosted("10.0.0.2"));
}

#[test]
fn what_counts() {
    let all = [
        op(|_| {}),
        op(|exec| exec.args.push("all".to_owned())),
        op(|exec| exec.env = [("PATH".to_owned(), "/usr/bin".to_owned())].into_iter().collect()),
        op(|exec| exec.cwd = "/src".to_owned()),
        op(|exec| exec.user = "1000".to_owned()),
        op(|exec| exec.network = Network::None),
        op(|exec| exec.security = Security::Insecure),
        op(|exec| exec.hostname = Some("box".to_owned())),
        op(|exec| exec.shm_size = Some(1)),
        op(|exec| exec.extra_hosts = vec![host("10.0.0.1")]),
        op(|exec| exec.mounts = vec![cache("one", "/c", CacheSharing::Shared)]),
        op(|exec| exec.mounts = vec![cache("one", "/d", CacheSharing::Shared)]),
    ];
    let keys: std::collections::BTreeSet<CacheKey> = all.iter().map(key).collect();
    assert_eq!(keys.len(), all.len());
}

#[test]
fn inputs_count_by_name_output_and_content() {
    let op = op(|_| {});
    let step = |byte, output| definition(&op, &[Named::Step(CacheKey([byte; 32]), output)]);
    let local = |byte| definition(&op, &[Named::Local(vec![(Reading::Path("a".to_owned()), [byte; 32])])]);
    let held = |byte| result(&op, &[Held::Whole(vec![ContentId([byte; 32])])]);
    let keys = [step(1, 0), step(2, 0), step(1, 1), local(1), local(2), held(1), held(2), key(&op)];
    assert_eq!(std::collections::BTreeSet::from(keys).len(), keys.len());
}

#[test]
fn no_two_lists_of_layers_run_together() {
    let op = op(|_| {});
    let one = ContentId([1; 32]);
    let split = result(&op, &[Held::Whole(vec![one]), Held::Whole(vec![one])]);
    let joined = result(&op, &[Held::Whole(vec![one, one]), Held::Whole(Vec::new())]);
    assert_ne!(split, joined);
}

#[test]
fn components_have_names() {
    let op = op(|exec| exec.mounts = vec![cache("one", "/c", CacheSharing::Shared)]);
    let inputs = [Named::Local(vec![(Reading::Path("src".to_owned()), [7; 32])])];
    let all = components(&op, &inputs);
    let value = |name: &str| all.iter().find(|one| one.name == name).map(|one| one.value.as_str());
    assert_eq!(value("Exec.args.0"), Some("make"));
    assert_eq!(value("Exec.env.PATH"), Some("/bin"));
    assert_eq!(value("Exec.mounts.0.target"), Some("/c"));
    assert!(value("input.0.src").is_some_and(|digest| digest.starts_with("0707")));
}

#[test]
fn content_of_made_files_is_named_by_a_digest() {
    let file =
        graph::MkFile { path: "/a".to_owned(), mode: 0o644, owner: None, content: vec![b'x'; 5000].into() };
    let all = components(&Op::File(vec![graph::FileAction::MkFile(file)]), &[]);
    assert!(all.len() < 10, "{all:?}");
}
