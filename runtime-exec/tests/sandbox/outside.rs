//! Programs outside, and what the host says of itself.

use std::ffi::OsString;

use runtime_exec::{HostMode, OutsideCommand, OutsideError, OutsideOutput};

use super::support::{Case, Place};

pub fn cases() -> Vec<Case> {
    vec![
        ("as_the_real_user", as_the_real_user),
        ("input_output_code", input_output_code),
        ("several_at_once", several_at_once),
        ("missing_program", missing_program),
        ("id_maps", id_maps),
    ]
}

fn run(place: &Place, script: &str, stdin: &[u8]) -> OutsideOutput {
    let command = OutsideCommand {
        program: OsString::from("sh"),
        args: vec!["-c".into(), script.into()],
        env: vec![("MARK".into(), "set".into())],
        stdin: stdin.to_vec(),
    };
    place.host.helper().run(&command).unwrap()
}

fn as_the_real_user(place: &Place) {
    let said = String::from_utf8(run(place, "id -u; readlink /proc/self/ns/user", b"").stdout).unwrap();
    let mut lines = said.lines();
    let uid: u32 = lines.next().unwrap().parse().unwrap();
    let own = std::fs::read_link("/proc/self/ns/user").unwrap();
    assert_eq!(lines.next() == own.to_str(), place.host.mode() == HostMode::Root);
    assert_eq!(uid == 12345, std::env::args().any(|arg| arg == "ordinary"));
}

fn input_output_code(place: &Place) {
    let long = vec![b'x'; 1 << 20];
    let output = run(place, "cat; echo $MARK >&2; exit 3", &long);
    assert_eq!((output.code, output.stdout, output.stderr.as_slice()), (3, long, &b"set\n"[..]));
    assert_eq!(run(place, "kill -9 $$", b"unread").code, 137);
}

fn several_at_once(place: &Place) {
    let start = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| run(place, "sleep 1", b""));
        }
    });
    assert!(start.elapsed() < std::time::Duration::from_secs(3));
}

fn missing_program(place: &Place) {
    let command = OutsideCommand { program: "no-such-program".into(), ..OutsideCommand::default() };
    let error = place.host.helper().run(&command).unwrap_err();
    assert!(
        matches!(error, OutsideError::Program { ref program, .. } if program == "no-such-program"),
        "{error}"
    );
}

fn id_maps(place: &Place) {
    let (uids, gids) = place.host.id_maps();
    let count =
        |ranges: &[runtime_exec::IdRange]| ranges.iter().map(|range| u64::from(range.count)).sum::<u64>();
    match place.host.mode() {
        HostMode::Root | HostMode::Mapped => assert!(count(&uids) >= 65536 && count(&gids) >= 65536),
        HostMode::SingleId => assert_eq!((count(&uids), count(&gids)), (1, 1)),
    }
    assert_eq!((uids[0].inside, gids[0].inside), (0, 0));
}
