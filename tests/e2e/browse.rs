//! The full-screen browser, driven through tmux as a person would.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::road::BUSYBOX;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

/// A tmux server of our own, which ends with the test.
pub struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// Runs a script in a terminal of that size.
    pub fn start(workspace: &Workspace, script: &str) -> Tmux {
        // A server that was told to end may still hold its socket for a while.
        static SERVERS: AtomicUsize = AtomicUsize::new(0);
        let nth = SERVERS.fetch_add(1, Ordering::Relaxed);
        let tmux = Tmux { socket: workspace.path().join(format!("tmux-{nth}")) };
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "30", script]);
        tmux
    }

    pub fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.env("LC_ALL", "C.UTF-8").arg("-u").arg("-S").arg(&self.socket).args(words);
        let output = command.output().unwrap();
        assert!(output.status.success(), "tmux {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn press(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    pub fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// Waits until the screen is as wanted, and gives it.
    pub fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let screen = self.screen();
            if is(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "no {what} on the screen:\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

/// Browses an image between two looks at the terminal's settings.
fn browse(workspace: &Workspace) -> Tmux {
    let (root, home) = (workspace.store(), workspace.path().join("home"));
    let rbuild = env!("CARGO_BIN_EXE_rbuild");
    let script = format!(
        "cd {home}; export HOME={home}; stty -g > before; {rbuild} --root {root} browse app:1; echo code=$?; \
         stty -g > after; cmp before after && echo same terminal; sleep 1000",
        home = home.display(),
        root = root.display()
    );
    Tmux::start(workspace, &script)
}

fn left_behind(tmux: &Tmux, code: &str) {
    let screen = tmux.shows("same terminal");
    assert!(screen.contains(code) && !screen.contains("instruction"), "{screen}");
    let state = tmux.run(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
    assert_eq!(state.trim(), "0 1");
}

#[test]
fn layers_and_files_are_browsed_on_a_terminal_that_is_given_back() {
    if !(is_root() && has("busybox") && has("tmux")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN mkdir /d && dd if=/dev/zero of=/d/large bs=1k count=300 && echo 1 > /d/kept\n\
         RUN rm /d/large && echo 2 > /d/kept && echo 3 > /d/new && printf x > \"/d/$(printf 'a\\033[2Jb')\"\n"
    ));
    workspace.build(&["-t", "app:1"]);
    let tmux = browse(&workspace);
    let screen = tmux.shows("307.20kB wasted");
    assert!(screen.contains("layers of app:1") && screen.contains("files after layer 3"), "{screen}");
    // The directory that the last layer changed is opened: each file has its mark.
    tmux.press(&["Tab", "/", "k", "e", "p", "Enter"]);
    tmux.until("the filter", |screen| screen.contains("with \"kep\"") && !screen.contains("dev/"));
    tmux.press(&["Escape"]);
    tmux.shows("dev/");
    tmux.press(&["g", "Down", "Enter"]);
    let screen = tmux.until("the files", |screen| screen.contains("▾ d/"));
    let files: Vec<&str> = screen.lines().filter_map(|line| line.rsplit('│').nth(1)).collect();
    for (name, sign) in [
        (" d/", "*d0755"),
        (" kept ", "~-0644"),
        (" new ", "+-0644"),
        (" large ", "--0644"),
        (" a^[[2Jb ", "+-0644"),
        (" dev/", " d0755"),
    ] {
        let line = files.iter().find(|line| line.contains(name));
        assert!(line.is_some_and(|line| line.starts_with(sign)), "{name}\n{screen}");
    }
    // Only what it did; then the layer below.
    tmux.press(&["u"]);
    tmux.until("changes only", |screen| !screen.contains("dev/") && screen.contains("without ="));
    tmux.press(&["["]);
    tmux.until("the layer below", |screen| {
        screen.contains("files after layer 2") && !screen.contains(" new")
    });
    tmux.press(&["w"]);
    tmux.shows("/d/large, hidden by layer 3");
    // Any size will do, and the larger one is used again.
    tmux.run(&["resize-window", "-x", "9", "-y", "3"]);
    tmux.until("a tiny screen", |screen| screen.lines().all(|line| line.chars().count() <= 9));
    tmux.run(&["resize-window", "-x", "100", "-y", "25"]);
    tmux.shows("hidden by layer 3");
    tmux.press(&["?"]);
    tmux.shows("open or close all directories");
    tmux.press(&["q", "q"]);
    left_behind(&tmux, "code=0");
}

#[test]
fn the_terminal_is_given_back_when_the_browser_is_told_to_end() {
    if !(is_root() && has("busybox") && has("tmux")) {
        return;
    }
    let workspace = Workspace::with("FROM scratch\nCOPY busybox /bin/busybox\n");
    workspace.build(&["-t", "app:1"]);
    let tmux = browse(&workspace);
    tmux.shows("files after layer 0");
    let parent = tmux.run(&["display-message", "-p", "#{pane_pid}"]);
    let children = Command::new("pgrep").args(["-P", parent.trim(), "rbuild"]).output().unwrap();
    let browser = String::from_utf8(children.stdout).unwrap();
    assert!(Command::new("kill").arg(browser.trim()).status().unwrap().success());
    left_behind(&tmux, "code=130");
    drop(tmux);
    // A terminal that goes away ends it, too: the workspace looks for processes.
    let tmux = browse(&workspace);
    tmux.shows("files after layer 0");
    drop(tmux);
    // Without a terminal there is nothing to draw on.
    let refused = workspace.fails(2, &["browse", "app:1"]);
    assert!(refused.err.contains("rbuild layers"), "{refused:?}");
}
