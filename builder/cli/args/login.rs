//! The options of `login`, `logout` and `auth`, named as docker names them.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use registry_client::Secret;

#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The registry, or a path below one (quay.io/org)
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub registry: String,
    /// User name; asked for where absent
    #[arg(short, long)]
    pub username: Option<String>,
    /// Password or token; it is seen in the list of processes, so --password-stdin is better
    #[arg(short, long, value_parser = secret, conflicts_with = "password_stdin")]
    pub password: Option<Secret>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
    /// Directory with authorities (*.crt) and our certificate (*.cert, *.key) for the registry
    #[arg(long, value_name = "DIR")]
    pub cert_dir: Option<PathBuf>,
    #[command(flatten)]
    pub file: PasswordFileArgs,
    /// Print the user name that is kept for the registry, and ask it nothing
    #[arg(long, conflicts_with_all = ["username", "password", "password_stdin", "cert_dir"])]
    pub get_login: bool,
    /// Say how the registry let us in
    #[arg(short, long)]
    pub verbose: bool,
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// Where passwords are kept, beside `--authfile`.
#[derive(Debug, Args)]
pub struct PasswordFileArgs {
    /// Keep the password in this file, as Docker has it: for a registry, not for a path below one
    #[arg(long, value_name = "FILE")]
    pub compat_auth_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// The registry, or a path below one
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub registry: String,
    #[command(flatten)]
    pub file: PasswordFileArgs,
    /// Forget the passwords for all registries
    #[arg(short, long, conflicts_with = "registry")]
    pub all: bool,
}

#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Log in to a registry, and keep the password (`rbuild login`)
    Login(LoginArgs),
    /// Forget the password for a registry (`rbuild logout`)
    Logout(LogoutArgs),
    /// Say which credential counts for an image, and what the registry allows with it
    Check(AuthCheckArgs),
}

#[derive(Debug, Args)]
pub struct AuthCheckArgs {
    /// The image at its registry
    #[arg(value_name = "NAME")]
    pub image: String,
    /// Ask for leave to push as well
    #[arg(long)]
    pub push: bool,
}
