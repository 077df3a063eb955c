//! The environment of a step.

use graph::ExecOp;

/// Where programs are looked for when the environment does not say.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What joins the environment besides what the op says.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// Variables of devices.
    pub devices: Vec<(String, String)>,
    /// Secrets that become variables.
    pub secrets: Vec<(String, String)>,
    /// Home directory of the user.
    pub home: String,
    /// Socket of the first ssh agent that is mounted.
    pub ssh_socket: Option<String>,
    /// How `git` reaches hosts with a key of their own.
    pub ssh_command: Option<(&'static str, String)>,
    /// Settings of `git`, which come after those that the step has in variables.
    pub git: Vec<(String, String)>,
}

/// The variables of the step, each once.
pub fn assemble(op: &ExecOp, additions: &Additions) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in op.env.iter() {
        set(&mut all, name, value);
    }
    for (name, value) in &op.proxy.0 {
        set_default(&mut all, name, value);
    }
    for (name, value) in additions.devices.iter().chain(&additions.secrets) {
        set(&mut all, name, value);
    }
    if let Some(socket) = &additions.ssh_socket {
        set_default(&mut all, "SSH_AUTH_SOCK", socket);
    }
    if let Some((name, value)) = &additions.ssh_command {
        set_default(&mut all, name, value);
    }
    git_settings(&mut all, &additions.git);
    set_default(&mut all, "PATH", DEFAULT_PATH);
    if all.iter().all(|(name, value)| name != "HOME" || value.is_empty()) {
        set(&mut all, "HOME", &additions.home);
    }
    all
}

/// Settings that `git` takes from numbered variables.
fn git_settings(all: &mut Vec<(String, String)>, settings: &[(String, String)]) {
    if settings.is_empty() {
        return;
    }
    let count = all.iter().find(|(name, _)| name == "GIT_CONFIG_COUNT");
    let first: usize = count.and_then(|(_, count)| count.parse().ok()).unwrap_or(0);
    for (number, (key, value)) in settings.iter().enumerate() {
        let number = first.saturating_add(number);
        set(all, &format!("GIT_CONFIG_KEY_{number}"), key);
        set(all, &format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    set(all, "GIT_CONFIG_COUNT", &first.saturating_add(settings.len()).to_string());
}

/// Splits the `NAME=value` entries of an image config.
pub fn split(entries: &[String]) -> Vec<(String, String)> {
    entries
        .iter()
        .map(|entry| entry.split_once('=').unwrap_or((entry, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Sets a variable; one that is there keeps its place.
pub fn set(all: &mut Vec<(String, String)>, name: &str, value: &str) {
    match all.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => value.clone_into(old),
        None => all.push((name.to_owned(), value.to_owned())),
    }
}

/// Sets a variable unless it is there.
pub fn set_default(all: &mut Vec<(String, String)>, name: &str, value: &str) {
    if all.iter().all(|(known, _)| known != name) {
        all.push((name.to_owned(), value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(env: &[(&str, &str)], proxy: &[(&str, &str)]) -> ExecOp {
        let pair = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        ExecOp {
            args: vec!["true".into()],
            env: env.iter().map(pair).collect(),
            cwd: "/".into(),
            user: String::new(),
            mounts: Vec::new(),
            network: graph::Network::Default,
            security: graph::Security::Sandbox,
            hostname: None,
            extra_hosts: Vec::new(),
            shm_size: None,
            ulimits: Vec::new(),
            proxy: graph::ProxyEnv(proxy.iter().map(pair).collect()),
            secret_env: Vec::new(),
            devices: Vec::new(),
            valid_exit_codes: Vec::new(),
        }
    }

    fn text(all: &[(String, String)]) -> String {
        all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn later_entries_win_and_defaults_fill_gaps() {
        let op =
            op(&[("A", "1"), ("B", "2"), ("A", "3"), ("PATH", "/p")], &[("http_proxy", "x"), ("B", "no")]);
        let additions = Additions {
            devices: vec![("GPU".into(), "0".into())],
            secrets: vec![("TOKEN".into(), "t".into())],
            home: "/root".into(),
            ssh_socket: Some("/run/agent".into()),
            ..Additions::default()
        };
        assert_eq!(
            text(&assemble(&op, &additions)),
            "A=3 B=2 PATH=/p http_proxy=x GPU=0 TOKEN=t SSH_AUTH_SOCK=/run/agent HOME=/root"
        );
    }

    #[test]
    fn settings_of_git_follow_those_of_the_step() {
        let additions = Additions {
            home: "/".into(),
            ssh_command: Some(("GIT_SSH_COMMAND", "ssh -F f".into())),
            git: vec![("k".into(), "v".into())],
            ..Additions::default()
        };
        let path = format!("PATH={DEFAULT_PATH} HOME=/");
        assert_eq!(
            text(&assemble(&op(&[], &[]), &additions)),
            format!(
                "GIT_SSH_COMMAND=ssh -F f GIT_CONFIG_KEY_0=k GIT_CONFIG_VALUE_0=v GIT_CONFIG_COUNT=1 {path}"
            )
        );
        let own = [("GIT_CONFIG_COUNT", "2"), ("GIT_SSH_COMMAND", "mine")];
        assert_eq!(
            text(&assemble(&op(&own, &[]), &additions)),
            format!("GIT_CONFIG_COUNT=3 GIT_SSH_COMMAND=mine GIT_CONFIG_KEY_2=k GIT_CONFIG_VALUE_2=v {path}")
        );
    }

    #[test]
    fn an_empty_environment_gets_path_and_home() {
        let additions = Additions { home: "/".into(), ..Additions::default() };
        assert_eq!(text(&assemble(&op(&[], &[]), &additions)), format!("PATH={DEFAULT_PATH} HOME=/"));
        assert_eq!(text(&assemble(&op(&[("PATH", ""), ("HOME", "/h")], &[]), &additions)), "PATH= HOME=/h");
    }
}
