//! What made-up facts mean, and that facts of this host can be had.

use super::files::covers_proc;
use super::*;

fn refused(call: &str, errno: i32) -> Trial {
    Trial::Refused(Refusal { call: call.to_owned(), errno, words: String::new() })
}

fn emulator(lookup: Lookup) -> Emulator {
    Emulator { name: "qemu-arm".to_owned(), path: "/usr/bin/qemu-arm".to_owned(), lookup }
}

#[test]
fn entries_of_the_kernels_list() {
    let entry = |first: &str, flags: &str, magic: &str| {
        let text =
            format!("{first}\ninterpreter /usr/bin/qemu-arm\nflags: {flags}\noffset 0\nmagic {magic}\n");
        emulators::emulator("qemu-arm", &text)
    };
    let elf = "7f454c4601010100\nmask ffffffffffffff00";
    assert_eq!(entry("enabled", "OCF", elf), Some(emulator(Lookup::AtRegistration)));
    assert_eq!(entry("enabled", "", elf), Some(emulator(Lookup::InTheRoot)));
    assert_eq!(entry("disabled", "F", elf), None);
    assert_eq!(entry("enabled", "", "cafebabe"), None);
    assert_eq!(emulators::emulator("x", "enabled\ninterpreter /x\nflags: \nextension .jar\n"), None);
}

/// An ordinary user with everything installed.
fn good() -> Survey {
    let works = |name: &str| (name.to_owned(), Trial::works());
    Survey {
        kernel: "6.1.0-9-amd64".to_owned(),
        user: Asker {
            uid: 1000,
            name: Some("ann".to_owned()),
            may_mount: false,
            may_map: false,
            namespaced: false,
        },
        around: Surroundings::default(),
        user_namespace: Trial::works(),
        namespaces: vec![works("CLONE_NEWNS"), works("CLONE_NEWPID")],
        proc: Trial::works(),
        mount: Trial::works(),
        filter: Trial::works(),
        landlock: Trial::Works("version 2".to_owned()),
        map_programs: ["newuidmap", "newgidmap"]
            .map(|name| (name.to_owned(), Some("/bin/x".into())))
            .to_vec(),
        subordinate: [vec![(100_000, 65536)], vec![(100_000, 65536)]],
        entered: Ok(HostMode::Mapped),
        isolation: Isolation::Namespaces,
        chroot: refused("chroot (CAP_SYS_CHROOT)", libc::EPERM),
        overlay: Trial::works(),
        store: StorePlace {
            directory: "/home/ann".into(),
            file_system: "ext4".to_owned(),
            free: 1 << 40,
            write: Trial::works(),
        },
        controllers: vec![works("memory")],
        pasta: Some("/usr/bin/pasta".into()),
        tun: Trial::works(),
        fuse: Trial::works(),
        emulators: Some(vec![emulator(Lookup::AtRegistration)]),
    }
}

fn blocked(topic: Topic, advice: &str, change: impl FnOnce(&mut Survey)) {
    expect(topic, Severity::Blocking, advice, change);
}

fn expect(topic: Topic, severity: Severity, advice: &str, change: impl FnOnce(&mut Survey)) {
    let mut survey = good();
    change(&mut survey);
    let diagnosis = survey.diagnose();
    let finding = diagnosis.findings.iter().find(|finding| finding.topic == topic).unwrap();
    assert_eq!(finding.severity, severity, "{finding:?}");
    assert!(finding.advice.as_deref().unwrap_or_default().contains(advice), "{finding:?}");
    assert_eq!(diagnosis.can_build(), severity != Severity::Blocking, "{diagnosis:?}");
}

#[test]
fn a_good_host_can_build() {
    let diagnosis = good().diagnose();
    assert!(diagnosis.can_build());
    assert_eq!(diagnosis.mode, Some(HostMode::Mapped));
    assert!(diagnosis.findings.iter().all(|finding| finding.severity == Severity::Good), "{diagnosis:#?}");
}

#[test]
fn each_obstacle_is_named_with_its_remedy() {
    blocked(Topic::Kernel, "5.12", |survey| survey.kernel = "5.4.0-150-generic".to_owned());
    blocked(Topic::UserNamespace, "profile with `userns,`", |survey| {
        survey.user_namespace = refused("clone3", libc::EACCES);
        survey.around.settings = vec!["kernel.apparmor_restrict_unprivileged_userns = 1".to_owned()];
    });
    blocked(Topic::UserNamespace, "sysctl user.max_user_namespaces", |survey| {
        survey.user_namespace = refused("clone3", libc::ENOSPC);
        survey.around.settings = vec!["user.max_user_namespaces = 0".to_owned()];
    });
    blocked(Topic::UserNamespace, "system call filter", |survey| {
        survey.user_namespace = refused("clone3", libc::EPERM);
        survey.around.filtered = true;
    });
    blocked(Topic::UserNamespace, "CONFIG_USER_NS", |survey| {
        survey.user_namespace = refused("clone3", libc::EINVAL);
    });
    blocked(Topic::IdMaps, "no_new_privs", |survey| {
        survey.around.no_new_privs = true;
        survey.entered =
            Err(Refusal { call: "newgidmap".to_owned(), errno: 0, words: "not permitted".to_owned() });
    });
    blocked(Topic::Namespaces, "userns,", |survey| {
        survey.namespaces[0].1 = refused("unshare(CLONE_NEWNS)", libc::EPERM);
    });
    blocked(Topic::Mounts, "apparmor=unconfined", |survey| {
        survey.mount = refused("move_mount(/)", libc::EACCES);
    });
    blocked(Topic::Proc, "systempaths=unconfined", |survey| {
        survey.proc = refused("fsmount(proc)", libc::EPERM);
    });
    blocked(Topic::Store, "--root", |survey| survey.store.write = refused("open", libc::EROFS));
}

#[test]
fn what_is_merely_absent_does_not_keep_from_building() {
    let limited = |topic, advice, change: fn(&mut Survey)| expect(topic, Severity::Limited, advice, change);
    limited(Topic::IdMaps, "uidmap", |survey| {
        survey.map_programs[0].1 = None;
        survey.entered = Ok(HostMode::SingleId);
    });
    limited(Topic::IdMaps, "ann:100000:65536 to /etc/subgid", |survey| {
        survey.subordinate[1].clear();
        survey.entered = Ok(HostMode::SingleId);
    });
    limited(Topic::IdMaps, "set-user-id", |survey| survey.entered = Ok(HostMode::SingleId));
    limited(Topic::PrivateNetwork, "passt", |survey| survey.pasta = None);
    limited(Topic::PrivateNetwork, "/dev/net/tun", |survey| survey.tun = refused("open", libc::EACCES));
    limited(Topic::ControlGroups, "Delegate", |survey| {
        survey.controllers.push(("pids".to_owned(), refused("mkdir", libc::EACCES)));
    });
    limited(Topic::Overlay, "--root", |survey| survey.overlay = refused("mounting overlay", libc::EINVAL));
    limited(Topic::Proc, "systempaths=unconfined", |survey| {
        survey.around.masked_proc = true;
        survey.proc = refused("fsmount(proc)", libc::EPERM);
    });
    limited(Topic::Store, "room", |survey| survey.store.free = 5 << 20);
    limited(Topic::OtherMachines, "qemu-user-static", |survey| survey.emulators = None);
    limited(Topic::OtherMachines, "in the image", |survey| {
        survey.emulators = Some(vec![emulator(Lookup::AtRegistration), emulator(Lookup::InTheRoot)]);
    });
    let good = |topic, change: fn(&mut Survey)| expect(topic, Severity::Good, "", change);
    good(Topic::Fuse, |survey| survey.fuse = refused("open", libc::ENOENT));
    good(Topic::Landlock, |survey| survey.landlock = refused("landlock_create_ruleset", libc::ENOSYS));
}

#[test]
fn root_that_may_mount_needs_no_user_namespace() {
    let mut survey = good();
    survey.user =
        Asker { uid: 0, name: Some("root".to_owned()), may_mount: true, may_map: true, namespaced: false };
    survey.user_namespace = refused("clone3(CLONE_NEWUSER)", libc::ENOSPC);
    survey.subordinate = [Vec::new(), Vec::new()];
    survey.map_programs = vec![("newuidmap".to_owned(), None)];
    survey.entered = Ok(HostMode::Root);
    let diagnosis = survey.diagnose();
    assert!(diagnosis.can_build(), "{diagnosis:#?}");
    assert_eq!(diagnosis.mode, Some(HostMode::Root));
}

#[test]
fn masks_over_proc_are_seen() {
    let line = |point: &str| format!("45 36 0:50 / {point} rw - tmpfs tmpfs rw\n");
    assert!(covers_proc(&line("/proc/kcore")));
    assert!(!covers_proc(&line("/proc")));
    assert!(!covers_proc(&line("/proc/sys/fs/binfmt_misc")));
}

#[test]
fn what_namespaces_need_is_not_needed_without_them() {
    let mut survey = good();
    survey.user_namespace = refused("clone(CLONE_NEWUSER)", libc::EPERM);
    survey.namespaces = vec![("CLONE_NEWNS".to_owned(), Trial::Untried)];
    survey.entered = Err(Refusal { call: "unshare".to_owned(), errno: libc::EPERM, words: String::new() });
    survey.overlay = Trial::Untried;
    (survey.mount, survey.proc, survey.filter) = (Trial::Untried, Trial::Untried, Trial::Untried);
    let about = |survey: &Survey| {
        let findings = survey.diagnose().findings;
        findings.into_iter().find(|finding| finding.topic == Topic::WithoutNamespaces).unwrap()
    };
    assert!(about(&survey).advice.unwrap().contains("only root"));
    survey.chroot = Trial::works();
    assert!(about(&survey).advice.unwrap().contains("--isolation=chroot") && !survey.diagnose().can_build());
    survey.isolation = Isolation::Chroot;
    survey.entered = Ok(HostMode::Root);
    assert!(survey.diagnose().can_build(), "{:#?}", survey.diagnose());
    assert_eq!(about(&survey).severity, Severity::Limited);
    survey.chroot = refused("chroot (CAP_SYS_CHROOT)", libc::EPERM);
    assert!(!survey.diagnose().can_build());
}
