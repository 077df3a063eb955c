//! `rbuild login`, `logout` and `auth check`.

use std::io::{BufRead, IsTerminal, Read};
use std::path::PathBuf;

use builder::error::Category;
use oci::Reference;
use registry_client::{
    Access, AccessReport, AuthStorage, Credential, KeptIn, LogInMethod, RegistryError, Secret,
};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::args::{AuthCheckArgs, AuthCommand, Global, LoginArgs, LogoutArgs, PasswordFileArgs};
use crate::client::{self, Additions};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// No password is longer.
const LONGEST: u64 = 1 << 20;
/// Every image of Docker Hub can be read, but one that does not exist is refused like a wrong password.
const ON_DOCKER_HUB: &str = "docker.io/library/hello-world:latest";

/// Asks the registry whether it takes a password, and keeps it if so.
pub fn login(args: &LoginArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let probe = probe(&args.registry)?;
    let global = &keeping(&args.file, &args.registry, global)?;
    if args.get_login {
        return get_login(args, global, environment);
    }
    let path = file(global, environment)?;
    let username = match &args.username {
        Some(name) => name.clone(),
        None => ask("Username: ")?,
    };
    let password = match (&args.password, args.password_stdin) {
        (Some(password), _) => password.clone(),
        (None, true) => from_stdin()?,
        (None, false) => hidden("Password: ")?,
    };
    let credential = Credential::Basic { username, password };
    let open = host::open(global, environment, Form::Quiet, None)?;
    let helper = open.session.helper.clone();
    let helper = helper.ok_or_else(|| Failure::new(Category::Host, "credential helpers cannot be run"))?;
    let host = args.registry.split('/').next().unwrap_or_default().to_owned();
    let mut login =
        Additions { logins: vec![(args.registry.clone(), Some(credential.clone()))], ..Additions::default() };
    if let Some(directory) = &args.cert_dir {
        login.certificates.push((host, super::access::certificates("", directory)?));
    }
    let client = client::open(global, environment, helper.clone(), &login, &open.remarks).map_err(remote)?;
    let registry = args.registry.clone();
    let (kept, report) = open.work(async move {
        let report = client.check_access(&probe, Access::Pull).await.map_err(Remote)?;
        if let Some(refusal) = rejected(&report) {
            return Err(Remote(refusal));
        }
        let storage = AuthStorage::new(path, Some(client::runner(helper)));
        Ok((storage.store(&registry, &credential).await.map_err(Remote)?, report))
    })?;
    if args.verbose {
        super::print(&shown(&report, Access::Pull));
    }
    super::print(&format!("logged in to {}; the password is kept {}\n", args.registry, place(&kept)));
    Ok(())
}

/// Prints the name of the user that we are at a registry.
fn get_login(args: &LoginArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let open = host::open(global, environment, Form::Quiet, None)?;
    let credentials =
        client::known_credentials(global, environment, open.session.helper.clone()).map_err(remote)?;
    let registry = args.registry.clone();
    let found = open.work(async move { credentials.user(&registry).await.map_err(Remote) })?;
    let (user, source) =
        found.ok_or_else(|| Failure::new(Category::Local, format!("not logged in to {}", args.registry)))?;
    super::print(&format!("{user}\n"));
    if args.verbose {
        super::print(&format!("{source}\n"));
    }
    Ok(())
}

/// Forgets a password, or all.
pub fn logout(args: &LogoutArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let global = &keeping(&args.file, &args.registry, global)?;
    let path = file(global, environment)?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let runner = open.session.helper.clone().map(client::runner);
    let registry = args.registry.clone();
    let all = args.all;
    let from = open.work(async move {
        let storage = AuthStorage::new(path, runner);
        let erased = if all { storage.erase_all().await } else { storage.erase(&registry).await };
        erased.map_err(Remote)
    })?;
    // to forget all is done also where there was nothing
    if from.is_empty() && !all {
        return Err(Failure::new(Category::Local, format!("no password for {} was kept", args.registry)));
    }
    let what = if all { "no password is" } else { "the password is no longer" };
    for place_of in &from {
        super::print(&format!("{what} kept {}\n", place(place_of)));
    }
    Ok(())
}

/// Runs one of the commands of `auth`.
pub fn auth(command: &AuthCommand, global: &Global, environment: &Environment) -> Result<(), Failure> {
    match command {
        AuthCommand::Login(args) => login(args, global, environment),
        AuthCommand::Logout(args) => logout(args, global, environment),
        AuthCommand::Check(args) => check(args, global, environment),
    }
}

fn check(args: &AuthCheckArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let name = super::name(args.image.strip_prefix("docker://").unwrap_or(&args.image))?;
    let access = if args.push { Access::Push } else { Access::Pull };
    let open = host::open(global, environment, Form::Quiet, None)?;
    let client = open.session.client.clone();
    let report = open.work(async move { client.check_access(&name, access).await.map_err(Remote) })?;
    super::print(&shown(&report, access));
    match report.refused {
        None => Ok(()),
        Some(refusal) => Err(Failure::new(Category::Remote, refusal)),
    }
}

fn shown(report: &AccessReport, access: Access) -> String {
    let source = report.source.as_ref().map_or("none".to_owned(), ToString::to_string);
    let granted = match (&report.granted, &report.refused) {
        (Some(scopes), _) => scopes.join(" "),
        (None, Some(_)) => "nothing".to_owned(),
        (None, None) => match access {
            Access::Pull => "pull".to_owned(),
            Access::Push => "push".to_owned(),
        },
    };
    format!(
        "registry    {}\ncredential  {source}\nlog-in      {}\ngranted     {granted}\n",
        report.host, report.method
    )
}

/// A registry's error with its category.
#[derive(Debug)]
struct Remote(RegistryError);

impl std::fmt::Display for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Remote {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl builder::Categorised for Remote {
    fn category(&self) -> Category {
        self.0.category()
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn remote(error: RegistryError) -> Failure {
    Failure::from_error(Category::Remote, &error)
}

/// Why the password itself is wrong. A token that was issued proves it right, whatever it allows.
fn rejected(report: &AccessReport) -> Option<RegistryError> {
    let refusal = report.refused.clone()?;
    let wrong = match &report.method {
        LogInMethod::None | LogInMethod::Basic => refusal.status == 401,
        LogInMethod::Token(_) => refusal.subject.starts_with("token for"),
    };
    wrong.then(|| RegistryError::Denied(Box::new(refusal)))
}

/// An image that the registry is asked about.
fn probe(registry: &str) -> Result<Reference, Failure> {
    let bare = registry.trim_end_matches('/');
    let text = match bare {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => ON_DOCKER_HUB.to_owned(),
        other => format!("{other}/rbuild-login:latest"),
    };
    let probe: Reference =
        text.parse().map_err(|_| Failure::usage(format!("{registry} names no registry")))?;
    let host = bare.split('/').next().unwrap_or_default();
    match probe.repository().registry == host || text == ON_DOCKER_HUB {
        true => Ok(probe),
        false => Err(Failure::usage(format!("{registry} names no registry"))),
    }
}

/// The options of all commands, with the file that Docker reads, too, as the one of credentials. Docker keeps
/// passwords by registry and would never find one that is kept for a path.
fn keeping(at: &PasswordFileArgs, registry: &str, global: &Global) -> Result<Global, Failure> {
    let Some(file) = &at.compat_auth_file else { return Ok(global.clone()) };
    if global.authfile.is_some() {
        return Err(Failure::usage("--compat-auth-file and --authfile name one file each: give one of them"));
    }
    if registry.trim_end_matches('/').contains('/') {
        return Err(Failure::usage(format!(
            "--compat-auth-file: {registry} is a path below a registry, and Docker's format has registries alone"
        )));
    }
    Ok(Global { authfile: Some(file.clone()), ..global.clone() })
}

/// The file that passwords are kept in: the named one, else Docker's.
fn file(global: &Global, environment: &Environment) -> Result<PathBuf, Failure> {
    let docker = || Some(environment.docker_dir()?.join("config.json"));
    let named = global.authfile.clone().or_else(|| environment.path("REGISTRY_AUTH_FILE"));
    named
        .or_else(docker)
        .ok_or_else(|| Failure::usage("no place for passwords: set HOME, or give --authfile"))
}

fn place(kept: &KeptIn) -> String {
    match kept {
        KeptIn::File(path) => format!("in {}", path.display()),
        KeptIn::Helper(helper) => format!("by {}", helper.program()),
    }
}

fn unreadable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Category::Local, format!("standard input cannot be read: {error}"))
}

fn from_stdin() -> Result<Secret, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().take(LONGEST).read_to_string(&mut text).map_err(unreadable)?;
    let password = text.trim_end_matches(['\r', '\n']);
    match password.is_empty() {
        true => Err(Failure::usage("standard input holds no password")),
        false => Ok(Secret::new(password)),
    }
}

fn ask(prompt: &str) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("standard input is no terminal: give --username, and --password-stdin"));
    }
    super::say(prompt);
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks for a password.
fn hidden(prompt: &str) -> Result<Secret, Failure> {
    hidden_line(prompt, "--password-stdin").map(Secret::new)
}

/// Asks without showing what is typed. Without a terminal it is said what to give instead.
pub fn hidden_line(prompt: &str, instead: &str) -> Result<String, Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Failure::usage(format!("standard input is no terminal: give {instead}")));
    }
    let before = tcgetattr(&input).map_err(unreadable)?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&input, OptionalActions::Flush, &quiet).map_err(unreadable)?;
    let line = ask(prompt);
    let restored = tcsetattr(&input, OptionalActions::Flush, &before);
    super::say("\n");
    restored.map_err(unreadable)?;
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_asked_about_an_image_of_theirs() {
        for (registry, expected) in [
            ("docker.io", Some(ON_DOCKER_HUB)),
            ("quay.io/org", Some("quay.io/org/rbuild-login:latest")),
            ("127.0.0.1:5000", Some("127.0.0.1:5000/rbuild-login:latest")),
            ("org", None),
            ("https://quay.io", None),
        ] {
            let found = probe(registry).ok().map(|name| name.to_string());
            assert_eq!(found.as_deref(), expected, "{registry}");
        }
    }
}
