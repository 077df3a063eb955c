//! What the kernel offers to a step: its own file systems, system calls, capabilities.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use defence::Defence;
use runtime_exec::{Exit, MountSource, MountSpec, ReadOnly};

use crate::descriptors::said;
use crate::exhibit::{Exhibit, Loot};
use crate::modes::Mode;
use crate::support::Place;

pub const EXHIBITS: &[Exhibit] = &[
    Exhibit::entered("hidden-paths", &[Defence::PathsHidden], &Mode::ALL, hidden_paths),
    Exhibit::entered("read-only-paths", &[Defence::PathsReadOnly], &Mode::ALL, |place| {
        // Whose it is depends on the mode.
        let files = ["net/ipv4/ip_forward", "user/max_net_namespaces", "kernel/msgmax", "fs/mqueue/msg_max"];
        files.into_iter().find_map(|file| writes(place, &format!("/proc/sys/{file}")))
    }),
    Exhibit::entered("read-only-system", &[Defence::SystemReadOnly], &Mode::ALL, |place| {
        writes(place, "/sys/class/net/lo/tx_queue_len")
    }),
    Exhibit::entered("write-to-kernel-redirected", &[Defence::ProcessFilesReal], &Mode::ALL, redirected),
    Exhibit::entered("capabilities", &[Defence::CapabilitiesBounded], &Mode::ALL, capabilities),
    Exhibit::entered("system-calls", &[Defence::CallsFiltered], &Mode::ALL, |place| {
        succeeds(place, "unshare -U true")
    }),
    #[cfg(target_arch = "x86_64")]
    Exhibit::entered(
        "system-calls-of-another-architecture",
        &[Defence::ForeignCallsFiltered],
        &Mode::ALL,
        foreign_calls,
    ),
];

fn succeeds(place: &Place, script: &str) -> Loot {
    let done = place.sh(script).run().unwrap();
    (done.exit == Exit::Code(0)).then(|| format!("{script}: {}", done.out))
}

/// Opens, no more, a file that belongs to the network of the step.
fn writes(place: &Place, file: &str) -> Loot {
    succeeds(place, &format!(": > {file}"))
}

fn hidden_paths(place: &Place) -> Loot {
    let script = "for f in kcore keys timer_list latency_stats sched_debug; do
            [ \"$(head -c 1 /proc/$f 2>/dev/null | wc -c)\" = 0 ] || echo /proc/$f; done
        for d in /proc/acpi /proc/scsi /proc/asound /sys/firmware /sys/devices/virtual/powercap; do
            ls -A $d/ 2>/dev/null; done; true";
    let found = place.says(script);
    (!found.is_empty()).then_some(found)
}

/// A step's mount lies where the kernel is told which profile the step runs in.
fn redirected(place: &Place) -> Loot {
    let dir = place.fresh();
    fs::create_dir_all(dir.join("attr/apparmor")).unwrap();
    let file = dir.join("attr/apparmor/exec");
    fs::write(&file, "").unwrap();
    let step = place.step(&["true"]).with(|spec| {
        let source = MountSource::Directory(dir);
        spec.mounts = vec![MountSpec { target: "/proc/1".to_owned(), source, read_only: ReadOnly::No }];
        spec.security.apparmor = Some("strict".to_owned());
    });
    let ran = step.run().is_ok();
    ran.then(|| format!("ran unconfined; the profile went to a file: {}", fs::read_to_string(file).unwrap()))
}

fn capabilities(place: &Place) -> Loot {
    const ADMINISTER: u64 = 1 << 21;
    let text = said(&place.sh("grep CapBnd /proc/self/status"));
    let set = u64::from_str_radix(text.split_whitespace().nth(1).unwrap(), 16).unwrap();
    (set & ADMINISTER != 0).then_some(text)
}

/// `unshare(CLONE_NEWUSER)` by a program of 32 bits; its exit code is what the call gave.
#[cfg(target_arch = "x86_64")]
fn foreign_calls(place: &Place) -> Loot {
    let layer = place.fresh();
    let program = layer.join("program");
    fs::write(&program, small_program(&UNSHARE)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    match place.step_on(vec![place.base.clone(), layer], &["/program"]).run() {
        Ok(done) => (done.exit == Exit::Code(0)).then(|| "a user namespace".to_owned()),
        Err(error) => {
            assert_eq!(error.errno(), Some(libc_enoexec()), "{error}");
            None
        }
    }
}

/// `mov eax, 310; mov ebx, 0x10000000; int 0x80; mov ebx, eax; mov eax, 1; int 0x80`
#[cfg(target_arch = "x86_64")]
const UNSHARE: [u8; 21] =
    [0xb8, 0x36, 0x01, 0, 0, 0xbb, 0, 0, 0, 0x10, 0xcd, 0x80, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80];

/// What the kernel answers that runs no programs of 32 bits.
#[cfg(target_arch = "x86_64")]
fn libc_enoexec() -> i32 {
    rustix::io::Errno::NOEXEC.raw_os_error()
}

/// The smallest ELF file of 32 bits around some code.
#[cfg(target_arch = "x86_64")]
fn small_program(code: &[u8]) -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, values: &[u16]| {
        values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    };
    let word = |file: &mut Vec<u8>, values: &[u32]| {
        values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    };
    // Executable, i386; where it starts, where its one program header lies; sizes.
    half(&mut file, &[2, 3]);
    word(&mut file, &[1, BASE + HEADERS, 52, 0, 0]);
    half(&mut file, &[52, 32, 1, 40, 0, 0]);
    let size = HEADERS + code.len() as u32;
    // Load all of it, to be read and executed.
    word(&mut file, &[1, 0, BASE, BASE, size, size, 5, 0x1000]);
    file.extend(code);
    file
}
