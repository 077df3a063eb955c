//! Users, groups and owners inside: the same in every mode, be they the kernel's or emulated.

use std::fs;
use std::os::unix::fs::MetadataExt;

use runtime_exec::{HostMode, StepUser};

use super::support::{Case, Place, lines};

pub fn cases() -> Vec<Case> {
    vec![
        ("files_are_given_away", files_are_given_away),
        ("directories_hand_their_group_on", directories_hand_their_group_on),
        ("links_and_pipes_have_owners", links_and_pipes_have_owners),
        ("another_user_makes_files_of_its_own", another_user_makes_files_of_its_own),
        ("another_user_gives_nothing_away", another_user_gives_nothing_away),
        ("root_becomes_others", root_becomes_others),
        ("owners_are_seen_below_another_root", owners_are_seen_below_another_root),
        ("owners_are_seen_through_descriptors", owners_are_seen_through_descriptors),
        ("giving_away_takes_set_id_bits", giving_away_takes_set_id_bits),
        ("owners_outlive_a_step", owners_outlive_a_step),
        ("many_at_once", many_at_once),
        ("no_path_leads_to_files_of_the_host", no_path_leads_to_files_of_the_host),
        ("devices_are_made", devices_are_made),
    ]
}

fn check(place: &Place, script: &str, expected: &[&str]) {
    assert_eq!(lines(&place.says(script)), expected, "{script}");
}

fn files_are_given_away(place: &Place) {
    check(
        place,
        "umask 022; touch /f; mkdir /d; chown 1000:1001 /f; chown 33 /d; chown :44 /d
        stat -c '%u %g %a' /f /d; chown 0:0 /f; chown 60000:65534 /d; stat -c '%u %g' /f /d",
        &["1000 1001 644", "33 44 755", "0 0", "60000 65534"],
    );
    // Of a lower layer, too.
    check(place, "chown 7:8 /etc/passwd; stat -c '%u %g' /etc/passwd", &["7 8"]);
}

fn directories_hand_their_group_on(place: &Place) {
    check(
        place,
        "umask 022; mkdir /d; chown 0:50 /d; chmod 2775 /d; echo x > /d/f; mkdir /d/s; touch /d/s/g
        ln -s x /d/l; mkfifo /d/p; stat -c '%n %u %g %a' /d/f /d/s /d/s/g; stat -c '%u %g' /d/l /d/p",
        &["/d/f 0 50 644", "/d/s 0 50 2755", "/d/s/g 0 50 644", "0 50", "0 50"],
    );
}

fn links_and_pipes_have_owners(place: &Place) {
    check(
        place,
        "ln -s nowhere /l; mkfifo /p; chown -h 5:6 /l; chown 7:8 /p; stat -c '%u %g' /l /p
        mv /l /m; ln /m /n; stat -c '%u %g' /m /n; rm /m /n; ln -s other /l; stat -c '%u %g' /l
        ln -s /etc/passwd /q; chown -h 9 /q; stat -c '%u' /q; stat -L -c '%u' /q",
        &["5 6", "7 8", "5 6", "5 6", "0 0", "9", "0"],
    );
}

fn another_user_makes_files_of_its_own(place: &Place) {
    let step = place
        .sh("id -u; id -g; id -G; umask 027; cd /home; echo 1 > f; mkdir d; ln -s f l; mkfifo p; echo 2 >> f
            stat -c '%n %u %g %a' f d; stat -c '%n %u %g' l p; cp f g; mv g d/g; stat -c '%u' d/g; cat d/g
            touch new; chmod 600 new; stat -c '%u %a' new")
        .with(|spec| {
            spec.user = StepUser { uid: 1000, gid: 1001, groups: vec![1001, 27] };
        });
    // The home is root's, and others may write there.
    let home = step.upper.join("home");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let said = step.output();
    let expected = [
        "1000",
        "1001",
        "1001 27",
        "f 1000 1001 640",
        "d 1000 1001 750",
        "l 1000 1001",
        "p 1000 1001",
        "1000",
        "1",
        "2",
        "1000 600",
    ];
    assert_eq!(lines(&said), expected);
}

fn another_user_gives_nothing_away(place: &Place) {
    let script = "touch /tmp/f; chown 0 /tmp/f; echo $?; chown :27 /tmp/f; echo $?; stat -c '%u %g' /tmp/f
        chown 1000 /etc/passwd; echo $?; mknod /tmp/n c 1 3; echo $?; su ann -c true; echo $?";
    let step = place.sh(&format!("exec 2>&-; {script}")).with(|spec| {
        spec.user = StepUser { uid: 1000, gid: 1000, groups: vec![1000, 27] };
    });
    let tmp = step.upper.join("tmp");
    fs::create_dir(&tmp).unwrap();
    fs::set_permissions(&tmp, std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    assert_eq!(lines(&step.output()), ["1", "0", "1000 27", "1", "1", "1"]);
}

fn root_becomes_others(place: &Place) {
    check(
        place,
        "chmod 777 /home; su ann -c 'id -u; touch /home/mine; su root -c true' 2>/dev/null; echo $?; id -u
        stat -c %u /home/mine",
        &["1000", "1", "0", "1000"],
    );
}

fn owners_are_seen_below_another_root(place: &Place) {
    check(
        place,
        "mkdir -p /jail/bin /jail/x; cp /bin/busybox /jail/bin; touch /jail/x/f; chown 5:6 /jail/x/f
        ln -s /x/f /jail/l
        chroot /jail /bin/busybox stat -L -c '%u %g' /x/f /l x/../x/f
        chroot /jail /bin/busybox sh -c 'cd /x; busybox=/bin/busybox; $busybox touch g; $busybox chown 7 g'
        chroot /jail /bin/busybox ln -s /l /m; stat -c '%u' /jail/x/g; stat -c '%u' /jail/x/f",
        &["5 6", "5 6", "5 6", "7", "5"],
    );
}

fn owners_are_seen_through_descriptors(place: &Place) {
    check(
        place,
        "touch /f; chown 5:6 /f; exec 3</f; stat -L -c '%u %g' /proc/self/fd/3 /dev/fd/3; cd /home; mkdir d
        chown 8 d; cd d; stat -c %u . ../d; rm -r ../d; stat -c %u .",
        &["5 6", "5 6", "8", "8", "8"],
    );
}

fn giving_away_takes_set_id_bits(place: &Place) {
    check(
        place,
        "touch /f /g; chmod 6755 /f /g; chown 5 /f; stat -c '%a' /f /g; chmod 4755 /f; stat -c '%u %a' /f",
        &["755", "6755", "5 4755"],
    );
}

/// What one step wrote, the next one finds, upon the same layer.
fn owners_outlive_a_step(place: &Place) {
    let first = place.sh("mkdir /d; touch /d/f; chown -R 5:6 /d; ln -s x /d/l; chown -h 7:8 /d/l");
    first.output();
    let lower = vec![place.base.clone(), first.upper.clone()];
    let second =
        place.step_on(lower, &["sh", "-c", "stat -c '%u %g' /d /d/f; mv /d/f /d/g; stat -c %u /d/g"]);
    assert_eq!(lines(&second.output()), ["5 6", "5 6", "5"]);
    let attrs = first.upper.parent().unwrap().join("attrs");
    let expected = match place.host.mode() {
        HostMode::Root | HostMode::Mapped => None,
        HostMode::SingleId => Some(
            "{\"path\":\"642f6c\",\"uid\":{\"true\":7,\"shown\":0},\"gid\":{\"true\":8,\"shown\":0}}\n"
                .to_owned(),
        ),
    };
    assert_eq!(fs::read_to_string(attrs).ok(), expected);
}

fn many_at_once(place: &Place) {
    let script = "chmod 777 /home; for i in 1 2 3 4 5 6 7 8; do (
            for j in 1 2 3 4 5 6 7 8 9 10; do touch /f$i.$j; chown $i:$j /f$i.$j; done
            su ann -c \"touch /home/f$i\" ) & done; wait
        for i in 1 2 3 4 5 6 7 8; do for j in 1 2 3 4 5 6 7 8 9 10; do
            [ \"$(stat -c '%u %g' /f$i.$j)\" = \"$i $j\" ] || echo /f$i.$j; done
            stat -c %u /home/f$i; done";
    check(place, script, &["1000"; 8]);
}

/// Whoever answers for a step sees more of the host than the step does.
fn no_path_leads_to_files_of_the_host(place: &Place) {
    let dir = place.fresh();
    let file = dir.join("theirs");
    fs::write(&file, "untouched").unwrap();
    let before = fs::metadata(&file).unwrap();
    let script = format!(
        "exec 3</ 2>&-; mkdir -p /jail/bin /jail/proc; cp /bin/busybox /jail/bin; ln -s /proc/self/root/..{file} /l
        for way in {file} /proc/self/../..{file} /proc/self/../../../../..{file} /proc/self/root{file} \
            /proc/self/root/..{file} /proc/self/cwd/../..{file} /proc/self/fd/3/..{file} /dev/fd/3{file} \
            /dev/fd/../../..{file} /proc/1/root/..{file} /proc/thread-self/../../../..{file} /l ../../..{file}; do
            stat -L $way && echo seen $way; chown 5 $way && echo given $way; touch $way && echo made $way
            mkdir $way/d && echo below $way
            chroot /jail /bin/busybox chown 5 /..$way && echo given $way from the jail
        done; echo tried",
        file = file.display()
    );
    assert_eq!(place.says(&script), "tried\n");
    let after = fs::metadata(&file).unwrap();
    let facts = |of: &fs::Metadata| (of.uid(), of.gid(), of.ctime(), of.ctime_nsec(), of.ino());
    assert_eq!(facts(&after), facts(&before));
}

/// The kernel makes none in a user namespace; where users are emulated, devices are, too.
fn devices_are_made(place: &Place) {
    if place.host.mode() == HostMode::Mapped {
        return;
    }
    check(
        place,
        "umask 022; mknod /c c 1 3; mknod -m 600 /b b 7 300; chown 0:6 /b; stat -c '%F %u %g %a %t %T' /c /b
        mv /b /e; stat -c '%F' /e",
        &["character special file 0 0 644 1 3", "block special file 0 6 600 7 12c", "block special file"],
    );
}
