//! The registry client, set up from the environment and the usual files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use oci::ShortNames;
use registry_client::{
    AuthFile, Client, ClientOptions, Credential, Credentials, HelperName, HelperOutput, HelperRunner, Hosts,
    Proxies, RegistryError, Remarks, RetryPolicy, Verify,
};
use runtime_exec::{OutsideCommand, OutsideHelper};

use crate::args::{Global, ShortNamesArg, ShortNamesArgs};
use crate::environment::Environment;
use crate::failure::Failure;

const SYSTEM_CONF: &str = "/etc/containers/registries.conf";

/// What counts for one command beside the settings.
#[derive(Default)]
pub struct Additions {
    /// Hosts (with their ports) for which options say whose word counts.
    pub trust: Vec<(String, Verify)>,
    /// Credentials that win over all others, by host or repository; `None`: nothing is shown there.
    pub logins: Vec<(String, Option<Credential>)>,
    /// Credentials files that count for a repository alone.
    pub files: Vec<(String, PathBuf)>,
    /// Directories with certificates of hosts (with their ports).
    pub certificates: Vec<(String, PathBuf)>,
}

impl Additions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let Self { trust, logins, files, certificates } = self;
        trust.is_empty() && logins.is_empty() && files.is_empty() && certificates.is_empty()
    }
}

/// A client that knows the user's credentials, mirrors and proxies, and what is added to them.
pub fn open(
    global: &Global,
    environment: &Environment,
    helper: OutsideHelper,
    additions: &Additions,
    remarks: &Remarks,
) -> Result<Client, RegistryError> {
    let credentials = known_credentials(global, environment, Some(helper))?;
    let options = ClientOptions {
        hosts: added_hosts(hosts(environment)?, global, environment, additions),
        credentials: added_credentials(credentials, additions)?,
        ca_bundles: environment.path("SSL_CERT_FILE").into_iter().collect(),
        proxies: proxies(environment),
        upload_notes: upload_notes(environment),
        remarks: remarks.clone(),
        retry: retries(global.retry_times),
        ..ClientOptions::default()
    };
    Client::new(options)
}

fn added_credentials(
    mut credentials: Credentials,
    additions: &Additions,
) -> Result<Credentials, RegistryError> {
    for (key, credential) in &additions.logins {
        credentials = match credential {
            Some(credential) => credentials.with(key, credential.clone()),
            None => credentials.without(key),
        };
    }
    for (key, path) in &additions.files {
        let missing = || RegistryError::File { path: path.clone(), source: ErrorKind::NotFound.into() };
        credentials = credentials.with_file_at(key, AuthFile::read(path)?.ok_or_else(missing)?);
    }
    Ok(credentials)
}

fn added_hosts(hosts: Hosts, global: &Global, environment: &Environment, additions: &Additions) -> Hosts {
    let hosts = certificates(hosts, environment).verifying(verify(global.tls_verify));
    let hosts = global.registry_ca.iter().fold(hosts, Hosts::with_authorities);
    let trust = additions.trust.iter();
    let hosts = trust.fold(hosts, |all, (host, verify)| all.verifying_at(host, *verify));
    let certificates = additions.certificates.iter();
    certificates.fold(hosts, |all, (host, directory)| all.with_certificates_at(host, directory))
}

/// Tries, as `--retry-times` says.
fn retries(again: Option<u32>) -> RetryPolicy {
    let usual = RetryPolicy::default();
    RetryPolicy { attempts: again.map_or(usual.attempts, |again| again.saturating_add(1)), ..usual }
}

/// Whose word counts, as `--tls-verify` and its like say.
pub fn verify(flag: Option<bool>) -> Verify {
    match flag {
        None => Verify::BySettings,
        Some(true) => Verify::Always,
        Some(false) => Verify::Never,
    }
}

/// What names of images without a registry mean.
pub fn short_names(args: ShortNamesArgs, environment: &Environment) -> Result<ShortNames, Failure> {
    let chosen = match (args.short_names, environment.non_empty("RBUILD_SHORT_NAMES")) {
        (Some(given), _) => given,
        (None, Some(text)) => ShortNamesArg::from_str(text, true).map_err(|_| {
            Failure::usage(format!("RBUILD_SHORT_NAMES: {text:?} is neither docker nor settings"))
        })?,
        (None, None) => ShortNamesArg::Docker,
    };
    match chosen {
        ShortNamesArg::Docker => Ok(ShortNames::DockerHub),
        ShortNamesArg::Settings => {
            hosts(environment).map(|hosts| hosts.short_names()).map_err(Failure::usage)
        }
    }
}

/// `registries.conf`: the named one alone, else the user's, else the system's; with their drop-ins.
fn hosts(environment: &Environment) -> Result<Hosts, RegistryError> {
    if let Some(named) = environment.path("CONTAINERS_REGISTRIES_CONF") {
        return Hosts::load(Some(&named), &[]);
    }
    let user = environment.config_dir().map(|config| config.join("containers"));
    let file = user
        .as_ref()
        .map(|dir| dir.join("registries.conf"))
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(SYSTEM_CONF));
    let mut drop_ins = vec![PathBuf::from(format!("{SYSTEM_CONF}.d"))];
    drop_ins.extend(user.map(|dir| dir.join("registries.conf.d")));
    Hosts::load(Some(&file), &drop_ins)
}

/// Where it is noted which uploads are under way.
fn upload_notes(environment: &Environment) -> Option<PathBuf> {
    let cache = environment.path("XDG_CACHE_HOME").or_else(|| Some(environment.home()?.join(".cache")));
    cache.map(|cache| cache.join("rbuild/uploads"))
}

/// The directories that hold certificates by host.
fn certificates(hosts: Hosts, environment: &Environment) -> Hosts {
    let (config, docker) = (environment.config_dir(), environment.docker_dir());
    let own = [
        config.as_ref().map(|dir| dir.join("containers/certs.d")),
        config.map(|dir| dir.join("docker/certs.d")),
        docker.map(|dir| dir.join("certs.d")),
    ];
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d", "/etc/containerd/certs.d"];
    let all = own.into_iter().flatten().chain(system.map(PathBuf::from));
    all.fold(hosts, Hosts::with_directory)
}

/// The user's credentials, with the helpers that their files name.
pub fn known_credentials(
    global: &Global,
    environment: &Environment,
    helper: Option<OutsideHelper>,
) -> Result<Credentials, RegistryError> {
    let credentials = credentials(global, environment)?;
    Ok(match helper {
        Some(helper) => credentials.with_helpers(runner(helper)),
        None => credentials,
    })
}

/// The named file alone, else containers' `auth.json` and Docker's `config.json`.
fn credentials(global: &Global, environment: &Environment) -> Result<Credentials, RegistryError> {
    let mut credentials = Credentials::anonymous();
    if let Some(text) = environment.non_empty("DOCKER_AUTH_CONFIG") {
        credentials =
            credentials.with_file(AuthFile::parse(Path::new("DOCKER_AUTH_CONFIG"), text.as_bytes())?);
    }
    let files = match global.authfile.clone().or_else(|| environment.path("REGISTRY_AUTH_FILE")) {
        Some(named) => vec![named],
        None => {
            let runtime = environment.path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json"));
            let user = environment.home().map(|home| home.join(".config/containers/auth.json"));
            let docker = environment.docker_dir();
            runtime.into_iter().chain(user).chain(docker.map(|dir| dir.join("config.json"))).collect()
        }
    };
    for file in files {
        if let Some(file) = AuthFile::read(&file)? {
            credentials = credentials.with_file(file);
        }
    }
    Ok(credentials)
}

fn proxies(environment: &Environment) -> Proxies {
    let get =
        |upper: &str| environment.non_empty(&upper.to_lowercase()).or_else(|| environment.non_empty(upper));
    let get = |name| get(name).map(str::to_owned);
    Proxies {
        http: get("HTTP_PROXY"),
        https: get("HTTPS_PROXY"),
        all: get("ALL_PROXY"),
        none: get("NO_PROXY"),
    }
}

/// Runs credential helpers outside, as the real user.
pub fn runner(helper: OutsideHelper) -> HelperRunner {
    Arc::new(move |name: &HelperName, verb: &str, stdin: &[u8]| {
        let output = helper
            .run(&OutsideCommand {
                program: name.program().into(),
                args: vec![verb.into()],
                env: Vec::new(),
                stdin: stdin.to_vec(),
            })
            .map_err(std::io::Error::other)?;
        Ok(HelperOutput { code: output.code, stdout: output.stdout, stderr: output.stderr })
    })
}
