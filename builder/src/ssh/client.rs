//! What the ssh client of a step has to know where keys serve some hosts alone: ssh offers an agent's keys one
//! after the other, a server takes the first that it knows, and one that belongs to another repository ends the
//! matter. So a step gets a configuration that names the key of each host. It is mounted and is in no layer and no
//! key of a result.
//!
//! Keys for some repositories of a host need a name of their own for that host, which ssh resolves; `git` is told to
//! put it into their addresses.

use std::fmt::Write as _;

use super::destination::Destination;
use super::keyring::Keyring;

/// Where the files lie in a step.
const DIRECTORY: &str = "/run/buildkit/ssh";
/// Where the configuration of most systems takes further files from.
const INCLUDED: &str = "/etc/ssh/ssh_config.d/00-rbuild.conf";

/// Files and variables for a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientSetup {
    /// Paths and contents; all may read them, nobody may write.
    pub files: Vec<(String, Vec<u8>)>,
    /// Settings for `git`, as names and values.
    pub git: Vec<(String, String)>,
}

impl ClientSetup {
    /// For the agents of a step, each with the path of its socket there. Empty when no key is for some hosts alone.
    pub(crate) fn of<'a>(agents: impl IntoIterator<Item = (&'a str, &'a Keyring)>) -> Self {
        let (mut hosts, mut known, mut setup) = (String::new(), String::new(), Self::default());
        let mut number = 0;
        for (socket, keys) in agents {
            known.push_str(keys.known_hosts());
            for (destination, public) in keys.bound() {
                number += 1;
                let file = format!("{DIRECTORY}/{number}.pub");
                setup.destination(destination, number, socket, &file, &mut hosts);
                setup.files.push((file, format!("{public}\n").into_bytes()));
            }
        }
        if number == 0 {
            return Self::default();
        }
        // ssh reads a file that is named to it instead of the usual ones.
        let all = format!("{hosts}Match all\nInclude ~/.ssh/config\nInclude /etc/ssh/ssh_config\n");
        setup.files.push((format!("{DIRECTORY}/config"), all.into_bytes()));
        setup.files.push((format!("{DIRECTORY}/known_hosts"), known.into_bytes()));
        setup.files.push((INCLUDED.to_owned(), hosts.into_bytes()));
        setup
    }

    /// The variable that leads `git` to the configuration.
    pub(crate) fn command() -> (&'static str, String) {
        ("GIT_SSH_COMMAND", format!("ssh -F {DIRECTORY}/config"))
    }

    /// The lines of one key.
    fn destination(&mut self, to: &Destination, number: usize, socket: &str, file: &str, hosts: &mut String) {
        let Destination { user, host, port, path } = to;
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            writeln!(hosts, "{key} {value}").expect("a string takes all");
        };
        match path {
            None => line("Host", host),
            Some(path) => {
                let alias = format!("rbuild-key-{number}");
                line("Host", &alias);
                line("HostName", host);
                self.addresses(to, &alias, path);
            }
        }
        user.iter().for_each(|user| line("User", user));
        port.iter().for_each(|port| line("Port", port));
        // One that cannot be written there is found by SSH_AUTH_SOCK.
        if !socket.contains(['"', '\\', '%', '\n', '\r']) {
            line("IdentityAgent", &format!("\"{socket}\""));
        }
        line("IdentityFile", &file);
        line("IdentitiesOnly", &"yes");
        line(
            "UserKnownHostsFile",
            &format!("~/.ssh/known_hosts ~/.ssh/known_hosts2 {DIRECTORY}/known_hosts"),
        );
    }

    /// Addresses of repositories that get the host's other name. Each form stays as it is: in one a path begins
    /// at the root, in the other at the home of the user.
    fn addresses(&mut self, to: &Destination, alias: &str, path: &str) {
        let user = to.user.as_deref().unwrap_or("git");
        let host = match to.host.contains(':') {
            true => format!("[{}]", to.host),
            false => to.host.clone(),
        };
        let mut instead = |new: String, old: String| {
            self.git.push((format!("url.{new}.insteadOf"), old));
        };
        let url = format!("ssh://{user}@{alias}/{path}");
        instead(url.clone(), format!("ssh://{user}@{host}/{path}"));
        if let Some(port) = to.port {
            instead(url, format!("ssh://{user}@{host}:{port}/{path}"));
        }
        instead(format!("{user}@{alias}:{path}"), format!("{user}@{host}:{path}"));
        instead(format!("{user}@{alias}:/{path}"), format!("{user}@{host}:/{path}"));
    }
}
