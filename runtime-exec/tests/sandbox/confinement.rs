//! What a step can see and do.

use std::fs;

use runtime_exec::{
    Confinement, EtcFiles, Exit, HostMode, MountSource, MountSpec, NetworkMode, ReadOnly, Resource, Rlimit,
    StepUser,
};

use super::support::{Case, Place, lines};

pub fn cases() -> Vec<Case> {
    vec![
        ("capabilities", capabilities),
        ("capabilities_of_users", capabilities_of_users),
        ("system_calls", system_calls),
        ("namespaces", namespaces),
        ("network_none", network_none),
        ("hidden_paths", hidden_paths),
        ("read_only_paths", read_only_paths),
        ("devices", devices),
        ("nodes_of_devices_are_useless", nodes_of_devices_are_useless),
        ("nodes_of_the_host_stay_as_they_are", nodes_of_the_host_stay_as_they_are),
        ("descriptors", descriptors),
        ("environment", environment),
        ("host_name", host_name),
        ("etc_files", etc_files),
        ("user_and_groups", user_and_groups),
        ("limits", limits),
        ("insecure", insecure),
        ("standard_mounts", standard_mounts),
        ("root_is_the_end_of_the_world", root_is_the_end_of_the_world),
    ]
}

fn capabilities(place: &Place) {
    let said = place.says("grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; umask");
    let expected = [
        "CapInh:\t0000000000000000",
        "CapPrm:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
        "Seccomp:\t2",
        "0022",
    ];
    assert_eq!(lines(&said), expected);
}

fn capabilities_of_users(place: &Place) {
    let step = place.sh("grep -E '^(Cap|NoNew)' /proc/self/status").with(|spec| {
        spec.user = StepUser { uid: 1000, gid: 1000, groups: vec![] };
        spec.no_new_privs = true;
    });
    let none = "0000000000000000";
    let own = match place.host.mode() {
        HostMode::Root | HostMode::Mapped => none,
        // Users are emulated: really there is one, and this is about what is real.
        HostMode::SingleId => "00000000a80425fb",
    };
    let expected = [
        ("CapInh", none),
        ("CapPrm", own),
        ("CapEff", own),
        ("CapBnd", "00000000a80425fb"),
        ("CapAmb", none),
        ("NoNewPrivs", "1"),
    ];
    assert_eq!(lines(&step.output()), expected.map(|(name, value)| format!("{name}:\t{value}")));
}

fn system_calls(place: &Place) {
    let said = place.says("unshare -U true; unshare -m true; mount -t tmpfs x /tmp; hostname x; chroot / true && echo chroot; mknod /tmp/p p && echo fifo");
    assert_eq!(
        said.matches("Operation not permitted").count() + said.matches("permission denied").count(),
        4,
        "{said}"
    );
    assert!(said.contains("chroot\nfifo\n"), "{said}");
}

fn namespaces(place: &Place) {
    const KINDS: [&str; 7] = ["pid", "ipc", "uts", "mnt", "net", "cgroup", "user"];
    let host: Vec<String> = KINDS
        .iter()
        .map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_str().unwrap().to_owned())
        .collect();
    let script = format!("for n in {}; do readlink /proc/self/ns/$n; done; echo $$", KINDS.join(" "));
    let shared = |said: &str| {
        let own: Vec<&str> = lines(said);
        assert_eq!(own.last(), Some(&"1"));
        KINDS
            .iter()
            .zip(own.iter().zip(&host))
            .filter(|(_, (own, host))| *own == host)
            .map(|(kind, _)| *kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(shared(&place.says(&script)), ["user"]);
    let host_network = place.sh(&script).with(|spec| spec.network = NetworkMode::Host);
    assert_eq!(shared(&host_network.output()), ["net", "user"]);
}

fn network_none(place: &Place) {
    let said = place.says("ip -o addr show up; ip route");
    assert!(lines(&said).iter().all(|line| line.contains("lo")), "{said}");
    assert!(said.contains("127.0.0.1"), "{said}");
}

fn hidden_paths(place: &Place) {
    let said = place.says(
        "for f in acpi asound kcore keys latency_stats timer_list timer_stats sched_debug scsi; do
            [ -d /proc/$f ] && ls -A /proc/$f; [ -f /proc/$f ] && head -c 1 /proc/$f
            [ -c /proc/$f ] && head -c 1 /proc/$f; done; ls -A /sys/firmware /sys/devices/virtual/powercap 2>/dev/null; true",
    );
    assert_eq!(said.replace("/sys/firmware:", "").replace("/sys/devices/virtual/powercap:", "").trim(), "");
}

fn read_only_paths(place: &Place) {
    let said = place.says(
        "for f in sys/kernel/domainname irq/default_smp_affinity; do echo x 2>&1 > /proc/$f; done 2>&1
         touch /sys/x /sys/fs/cgroup/x 2>&1; true",
    );
    assert_eq!(said.matches("Read-only file system").count(), 4, "{said}");
}

fn devices(place: &Place) {
    let said = place.says(
        "ls /dev | sort | tr '\\n' ' ' 2>/dev/null || true; echo x > /dev/null; head -c 2 /dev/zero | wc -c
         head -c 2 /dev/urandom | wc -c; echo x 2>/dev/null > /dev/full || echo full; echo out > /dev/stdout
         readlink /dev/ptmx; ls -ld /dev/shm | cut -c1-10; ls -d /dev/pts/ptmx; touch /dev/shm/x /dev/new && echo written",
    );
    for word in ["full", "out", "pts/ptmx", "drwxrwxrwt", "/dev/pts/ptmx", "written"] {
        assert!(lines(&said).contains(&word), "{word}: {said}");
    }
    let listed = place.says("ls /dev");
    let expected = [
        "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
        "tty", "urandom", "zero",
    ];
    assert_eq!(lines(&listed), expected);
}

/// Whoever can make nodes, or has them in an image, must not read the disks of the host with them.
fn nodes_of_devices_are_useless(place: &Place) {
    let (other, cache) = (place.fresh(), place.fresh());
    let zero = rustix::fs::makedev(1, 5);
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    let kind = rustix::fs::FileType::CharacterDevice;
    // In a user namespace no node can be made, and none of another's file system works.
    for dir in [&other, &cache] {
        let _ = rustix::fs::mknodat(rustix::fs::CWD, dir.join("node"), kind, mode, zero);
    }
    let overlay = |subpath: &str| MountSource::Overlay {
        lower: vec![other.clone()],
        subpath: subpath.to_owned(),
        scratch: None,
    };
    let tmpfs = MountSource::Tmpfs { size: None };
    let mut mounts =
        vec![(overlay("/"), "/other"), (MountSource::Directory(cache.clone()), "/cache"), (tmpfs, "/memory")];
    if other.join("node").exists() {
        mounts.push((overlay("/node"), "/node"));
    }
    let script = "for dir in / /dev /dev/shm /other /cache /memory; do
            mknod $dir/own c 1 5 2>/dev/null
            for node in $dir/own $dir/node; do
                [ \"$(head -c 1 $node 2>/dev/null | wc -c)\" = 0 ] || echo $node works
            done
        done; echo x > /dev/null && echo done";
    let step = place.sh(script).with(|spec| {
        for (source, target) in mounts {
            spec.mounts.push(MountSpec { target: target.to_owned(), source, read_only: ReadOnly::No });
        }
    });
    assert_eq!(lines(&step.output()), ["done"]);
}

/// Nobody inside changes the nodes of the host.
fn nodes_of_the_host_stay_as_they_are(place: &Place) {
    let before = rustix::fs::stat("/dev/null").unwrap();
    place.says(
        "for f in /dev/* /proc/keys /proc/kcore; do chmod 0600 $f; chown 1:1 $f; done 2>/dev/null; true",
    );
    let after = rustix::fs::stat("/dev/null").unwrap();
    // A machine without a usable /dev/null would be of no use to anyone.
    let _ = rustix::fs::chmod("/dev/null", rustix::fs::Mode::from_raw_mode(before.st_mode));
    assert_eq!((after.st_mode, after.st_uid, after.st_gid), (before.st_mode, before.st_uid, before.st_gid));
}

/// `ls` itself has the directory open.
fn descriptors(place: &Place) {
    assert_eq!(lines(&place.step(&["ls", "/proc/self/fd"]).output()), ["0", "1", "2", "3"]);
}

fn environment(place: &Place) {
    let step = place.step(&["env"]).with(|spec| {
        for (name, value) in [("Z", "1"), ("A", "2"), ("Z", "3")] {
            spec.env.push((name.to_owned(), value.to_owned()));
        }
    });
    assert_eq!(lines(&step.output()), ["PATH=/bin", "Z=3", "A=2"]);
}

fn host_name(place: &Place) {
    assert_eq!(place.says("hostname; cat /proc/sys/kernel/domainname").trim(), "buildkitsandbox");
    let named = place.step(&["hostname"]).with(|spec| spec.hostname = "other".to_owned());
    assert_eq!(named.output(), "other\n");
}

fn etc_files(place: &Place) {
    let step = place
        .sh("cat /etc/hosts /etc/resolv.conf; stat -c '%a %u %g' /etc/hosts; echo x 2>/dev/null > /etc/hosts; echo x > /etc/resolv.conf; true")
        .with(|spec| {
            spec.etc = EtcFiles { hosts: Some(b"127.0.0.1 localhost\n".to_vec()), resolv_conf: Some(b"nameserver 9.9.9.9\n".to_vec()) }
        });
    let said = step.output();
    assert!(said.starts_with("127.0.0.1 localhost\nnameserver 9.9.9.9\n644 0 0\n"), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
    assert_eq!(place.says("cat /etc/hosts"), "of the image\n");
}

fn user_and_groups(place: &Place) {
    let step = place.sh("id; pwd; touch f; stat -c '%u:%g' f . /deep; echo x > /dev/stderr").with(|spec| {
        spec.user = StepUser { uid: 1000, gid: 1001, groups: vec![7, 9] };
        spec.cwd = "/deep/down".to_owned();
    });
    let said = step.output();
    assert_eq!(
        lines(&said),
        ["uid=1000(ann) gid=1001 groups=7,9", "/deep/down", "1000:1001", "1000:1001", "1000:1001", "x"]
    );
    assert_eq!(step.changes(), ["deep", "deep/down", "deep/down/f"]);
}

fn limits(place: &Place) {
    let step = place.sh("ulimit -n; ulimit -Hn; ulimit -c").with(|spec| {
        spec.rlimits = vec![
            Rlimit { resource: "nofile".parse().unwrap(), soft: Some(5), hard: Some(6) },
            Rlimit { resource: Resource::Fsize, soft: Some(0), hard: Some(0) },
            Rlimit { resource: Resource::Core, soft: Some(0), hard: Some(0) },
        ];
    });
    assert_eq!(lines(&step.output()), ["5", "6", "0"]);
    assert!("nosuch".parse::<Resource>().is_err());
}

fn insecure(place: &Place) {
    let step = place
        .sh("grep -E '^(CapEff|CapBnd|CapInh|CapAmb|Seccomp:)' /proc/self/status; mount -t tmpfs x /tmp && echo mounted; grep -c ' /proc/' /proc/mounts")
        .with(|spec| spec.confinement = Confinement::Insecure);
    let done = step.run().unwrap();
    let said = lines(&done.out);
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    for name in ["CapEff", "CapBnd", "CapInh", "CapAmb"] {
        assert!(said.contains(&format!("{name}:\t{own}").as_str()), "{name} {own}: {said:?}");
    }
    let filtered = match place.host.mode() {
        HostMode::Root | HostMode::Mapped => "Seccomp:\t0",
        HostMode::SingleId => "Seccomp:\t2",
    };
    assert!(said.contains(&filtered) && said.contains(&"mounted"), "{said:?}");
    assert_eq!((said.last(), done.exit), (Some(&"0"), Exit::Code(1)));
}

fn standard_mounts(place: &Place) {
    let said = place.says("cut -d' ' -f1-4 /proc/mounts");
    let expected = [
        "proc /proc proc rw,nosuid,nodev,noexec,relatime",
        "tmpfs /dev tmpfs rw,nosuid,nodev,size=65536k,mode=755",
        "mqueue /dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime",
        "sysfs /sys sysfs ro,nosuid,nodev,noexec,relatime",
        "proc /proc/sys proc ro,nosuid,nodev,noexec,relatime",
    ];
    for line in expected {
        let found = lines(&said).iter().any(|said| said.starts_with(line));
        assert!(found, "{line}: {said}");
    }
    let shm = lines(&said).into_iter().find(|line| line.starts_with("tmpfs /dev/shm ")).unwrap();
    assert!(shm.contains("rw,nosuid,nodev,noexec,relatime,size=65536k"), "{shm}");
    let unified = fs::read_to_string("/proc/self/mounts")
        .unwrap()
        .lines()
        .rfind(|line| line.contains(" /sys/fs/cgroup "))
        .is_some_and(|line| line.contains(" cgroup2 "));
    let groups = if unified { "cgroup2" } else { "tmpfs" };
    assert!(said.contains(&format!("{groups} /sys/fs/cgroup {groups} ro,nosuid,nodev,noexec")), "{said}");
    let user_namespace = place.host.mode() != HostMode::Root;
    assert_eq!(lines(&said)[0].contains("userxattr"), user_namespace, "{said}");
}

/// Nothing lies over or above the root: neither the host's tree nor what was needed to set up.
fn root_is_the_end_of_the_world(place: &Place) {
    let step = place.sh("grep -c ' / ' /proc/mounts; for d in / /.. /../../etc/..; do [ \"$(ls -ai /)\" = \"$(ls -ai $d)\" ] && echo same; done").with(|spec| {
        spec.etc = EtcFiles { hosts: Some(b"h".to_vec()), resolv_conf: Some(b"r".to_vec()) };
    });
    assert_eq!(lines(&step.output()), ["1", "same", "same", "same"]);
}
