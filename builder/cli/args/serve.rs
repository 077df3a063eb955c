//! The options of `registry serve` and `registry limits`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ListForm;
use super::access::RegistryAccess;

#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Serve the store as a registry, so that other tools pull from it and push into it
    Serve(ServeArgs),
    /// Show how many pulls a registry allows, and how many are left
    Limits(LimitsArgs),
}

#[derive(Debug, Args)]
pub struct LimitsArgs {
    /// An image of the registry; it is asked about and not pulled
    #[arg(value_name = "[docker://]NAME")]
    pub image: String,
    #[command(flatten)]
    pub access: RegistryAccess,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = ListForm::Table)]
    pub format: ListForm,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen; port 0 is any free one. Other addresses than those of loopback need TLS and
    /// passwords
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000")]
    pub listen: SocketAddr,
    /// Refuse pushes and deletion
    #[arg(long)]
    pub read_only: bool,
    /// Certificate (PEM), followed by those that vouch for it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Let in only who knows a password of this file (lines of htpasswd -B)
    #[arg(long, value_name = "FILE")]
    pub htpasswd: Option<PathBuf>,
}
