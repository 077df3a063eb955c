//! The options of `login`, `logout` and `auth`, named as docker names them.

use std::convert::Infallible;

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
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// The registry, or a path below one
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub registry: String,
}

#[derive(Debug, Subcommand)]
pub enum AuthCommand {
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
