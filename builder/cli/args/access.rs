//! The options about access to one registry, named as skopeo names them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use registry_client::Secret;

/// `USER:PASSWORD`. What is wrong is told later and without the text, which holds a password.
#[derive(Clone, Debug)]
pub enum CredsArg {
    Login { username: String, password: Secret },
    Malformed,
}

/// What names of images without a registry mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShortNamesArg {
    /// Docker Hub's, as Docker has it
    Docker,
    /// What the aliases and the search registries of `registries.conf` make of them, as Buildah has it
    Settings,
}

/// How names of images without a registry are read.
#[derive(Clone, Copy, Debug, Args)]
pub struct ShortNamesArgs {
    /// What names of images without a registry mean [default: $RBUILD_SHORT_NAMES, docker]
    #[arg(long = "short-names", value_name = "BY", value_enum)]
    pub short_names: Option<ShortNamesArg>,
}

/// What options say of the access to one registry.
#[derive(Clone, Copy, Debug)]
pub struct AccessArg<'a> {
    /// What the names of the options begin with, for messages.
    pub prefix: &'static str,
    pub creds: Option<&'a CredsArg>,
    pub username: Option<&'a str>,
    pub password: Option<&'a Secret>,
    pub token: Option<&'a Secret>,
    /// Whether no credential is shown.
    pub anonymous: bool,
    pub authfile: Option<&'a PathBuf>,
    pub cert_dir: Option<&'a PathBuf>,
    pub tls_verify: Option<bool>,
}

macro_rules! options {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Args)]
        pub struct $name {
            /// Credentials for the repository; they show in lists of processes, so `rbuild login` is better
            #[arg(id = concat!($prefix, "creds"), long = concat!($prefix, "creds"), value_name = "USER:PASSWORD",
                value_parser = creds,
                conflicts_with_all = [concat!($prefix, "username"), concat!($prefix, "registry-token"), concat!($prefix, "no-creds")])]
            creds: Option<CredsArg>,
            /// User name, with a password
            #[arg(id = concat!($prefix, "username"), long = concat!($prefix, "username"), value_name = "NAME",
                requires = concat!($prefix, "password"),
                conflicts_with_all = [concat!($prefix, "registry-token"), concat!($prefix, "no-creds")])]
            username: Option<String>,
            /// Password, with a user name; it shows in lists of processes
            #[arg(id = concat!($prefix, "password"), long = concat!($prefix, "password"), value_name = "PASSWORD",
                value_parser = secret, requires = concat!($prefix, "username"))]
            password: Option<Secret>,
            /// Bearer token, sent as it is
            #[arg(id = concat!($prefix, "registry-token"), long = concat!($prefix, "registry-token"), value_name = "TOKEN",
                value_parser = secret, conflicts_with = concat!($prefix, "no-creds"))]
            token: Option<Secret>,
            /// Show no credential, whatever files and helpers have
            #[arg(id = concat!($prefix, "no-creds"), long = concat!($prefix, "no-creds"))]
            anonymous: bool,
            /// Directory with authorities (*.crt) and our certificate (*.cert, *.key) for the host
            #[arg(id = concat!($prefix, "cert-dir"), long = concat!($prefix, "cert-dir"), value_name = "DIR")]
            cert_dir: Option<PathBuf>,
        }
    };
}

macro_rules! sided {
    ($(#[$doc:meta])* $name:ident, $sided:ident, $prefix:literal) => {
        options!($(#[$doc])* $sided, $prefix);

        $(#[$doc])*
        #[derive(Clone, Debug, Args)]
        pub struct $name {
            #[command(flatten)]
            one: $sided,
            /// What --tls-verify says, for this host alone
            #[arg(id = concat!($prefix, "tls-verify"), long = concat!($prefix, "tls-verify"), value_name = "BOOL",
                num_args = 0..=1, require_equals = true, default_missing_value = "true")]
            tls_verify: Option<bool>,
            /// What --authfile says, for this host alone
            #[arg(id = concat!($prefix, "authfile"), long = concat!($prefix, "authfile"), value_name = "FILE")]
            authfile: Option<PathBuf>,
        }

        impl $name {
            /// What was said.
            pub fn said(&self) -> AccessArg<'_> {
                let (tls_verify, authfile) = (self.tls_verify, self.authfile.as_ref());
                AccessArg { tls_verify, authfile, ..self.one.said() }
            }
        }

        said!($sided, $prefix);
    };
}

macro_rules! said {
    ($name:ident, $prefix:literal) => {
        impl $name {
            /// What was said.
            pub fn said(&self) -> AccessArg<'_> {
                AccessArg {
                    prefix: $prefix,
                    creds: self.creds.as_ref(),
                    username: self.username.as_deref(),
                    password: self.password.as_ref(),
                    token: self.token.as_ref(),
                    anonymous: self.anonymous,
                    authfile: None,
                    cert_dir: self.cert_dir.as_ref(),
                    tls_verify: None,
                }
            }
        }
    };
}

options!(
    /// Of commands about one registry; `--authfile` and `--tls-verify` are for all commands.
    RegistryAccess,
    ""
);
said!(RegistryAccess, "");
sided!(
    /// Of commands that read from one registry and write to another: the one that is read.
    SourceAccess,
    SourceOptions,
    "src-"
);
sided!(
    /// The one that is written.
    TargetAccess,
    TargetOptions,
    "dest-"
);

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

fn creds(text: &str) -> Result<CredsArg, std::convert::Infallible> {
    Ok(match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => {
            CredsArg::Login { username: user.to_owned(), password: Secret::new(password) }
        }
        Some(_) | None => CredsArg::Malformed,
    })
}
