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
        let mut writer = Writer::new(DIRECTORY);
        for (socket, keys) in agents {
            writer.keys(socket, keys);
        }
        if writer.number == 0 {
            return Self::default();
        }
        let hosts = writer.hosts.clone();
        let mut setup = writer.finish("Match all\nInclude ~/.ssh/config\n");
        setup.files.push((INCLUDED.to_owned(), hosts.into_bytes()));
        setup
    }

    /// For a program beside the build that asks the agent at `socket` alone: no key of a file (so nothing of the
    /// user's own configuration), no question to anybody, nothing that the other side could use of this one. The
    /// files lie in `directory`; neither path needs quotes.
    pub(crate) fn outside(directory: &str, socket: &str, keys: Option<&Keyring>, known_hosts: &str) -> Self {
        let mut writer = Writer::new(directory);
        if let Some(keys) = keys {
            writer.keys(socket, keys);
        }
        writer.known = known_hosts.to_owned();
        let known = writer.known_hosts_line();
        writer.finish(&format!(
            "Match all\n{known}\nIdentityAgent {socket}\nIdentityFile none\nBatchMode yes\nForwardAgent no\n\
             ForwardX11 no\nClearAllForwardings yes\nPermitLocalCommand no\n"
        ))
    }

    /// The variable that leads the `git` of a step to the configuration.
    pub(crate) fn command() -> (&'static str, String) {
        Self::command_in(DIRECTORY)
    }

    /// The same for one that lies elsewhere.
    pub(crate) fn command_in(directory: &str) -> (&'static str, String) {
        ("GIT_SSH_COMMAND", format!("ssh -F {directory}/config"))
    }
}

/// A setup while it is written.
struct Writer<'a> {
    directory: &'a str,
    /// How many keys there are so far.
    number: usize,
    hosts: String,
    known: String,
    setup: ClientSetup,
}

impl<'a> Writer<'a> {
    fn new(directory: &'a str) -> Self {
        let setup = ClientSetup::default();
        Self { directory, number: 0, hosts: String::new(), known: String::new(), setup }
    }

    /// The keys that are for some hosts.
    fn keys(&mut self, socket: &str, keys: &Keyring) {
        self.known.push_str(keys.known_hosts());
        for (destination, public) in keys.bound() {
            self.number += 1;
            let file = format!("{}/{}.pub", self.directory, self.number);
            self.destination(destination, socket, &file);
            self.setup.files.push((file, format!("{public}\n").into_bytes()));
        }
    }

    /// Adds the configuration, with what is to be read after the keys. ssh reads a file that is named to it
    /// instead of the usual ones; what it reads first counts.
    fn finish(self, then: &str) -> ClientSetup {
        let Self { directory, hosts, known, mut setup, .. } = self;
        let all = format!("{hosts}{then}Match all\nInclude /etc/ssh/ssh_config\n");
        setup.files.push((format!("{directory}/config"), all.into_bytes()));
        setup.files.push((format!("{directory}/known_hosts"), known.into_bytes()));
        setup
    }

    /// The lines of one key.
    fn destination(&mut self, to: &Destination, socket: &str, file: &str) {
        let Destination { user, host, port, path } = to;
        let hosts = &mut self.hosts;
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            writeln!(hosts, "{key} {value}").expect("a string takes all");
        };
        match path {
            None => line("Host", host),
            Some(path) => {
                let alias = format!("rbuild-key-{}", self.number);
                line("Host", &alias);
                line("HostName", host);
                self.setup.addresses(to, &alias, path);
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
        let known = self.known_hosts_line();
        self.hosts.push_str(&known);
        self.hosts.push('\n');
    }

    fn known_hosts_line(&self) -> String {
        format!("UserKnownHostsFile ~/.ssh/known_hosts ~/.ssh/known_hosts2 {}/known_hosts", self.directory)
    }
}

impl ClientSetup {
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
