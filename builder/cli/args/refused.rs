//! Options of skopeo that are refused, each with what to do instead.

use clap::Args;

fn refused(instead: &'static str) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync {
    move |_| Err(format!("it is not taken: {instead}"))
}

const COMPRESS: &str =
    "layers are copied byte for byte; --compression says how layers of the store are packed";
const DAEMON: &str = "no daemon is asked; `rbuild save` writes what `docker load` reads";
const SHARED: &str = "a layout holds its own blobs; one layout holds many images that share theirs";
const SIGN: &str = "`rbuild sign` signs what was copied, as cosign does";

/// Those of `copy`.
#[derive(Clone, Debug, Args)]
pub struct RefusedCopyArgs {
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "", value_parser = refused(COMPRESS))]
    dest_compress: Option<String>,
    #[arg(long, hide = true, value_parser = refused(COMPRESS))]
    dest_compress_format: Option<String>,
    #[arg(long, hide = true, value_parser = refused(COMPRESS))]
    dest_compress_level: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "", value_parser = refused(COMPRESS))]
    dest_decompress: Option<String>,
    #[arg(long, hide = true, value_parser = refused(DAEMON))]
    src_daemon_host: Option<String>,
    #[arg(long, hide = true, value_parser = refused(DAEMON))]
    dest_daemon_host: Option<String>,
    #[arg(long, hide = true, value_parser = refused(SHARED))]
    src_shared_blob_dir: Option<String>,
    #[arg(long, hide = true, value_parser = refused(SHARED))]
    dest_shared_blob_dir: Option<String>,
    #[arg(long, hide = true, value_parser = refused("`rbuild save` writes one archive with several names"))]
    additional_tag: Option<String>,
    #[command(flatten)]
    sign: RefusedSignArgs,
}

/// Those of `copy` and `sync`.
#[derive(Clone, Debug, Args)]
pub struct RefusedSignArgs {
    #[arg(long, hide = true, value_parser = refused(SIGN))]
    sign_by: Option<String>,
    #[arg(long, hide = true, value_parser = refused(SIGN))]
    sign_by_sigstore_private_key: Option<String>,
    #[arg(long, hide = true, value_parser = refused(SIGN))]
    sign_identity: Option<String>,
    #[arg(long, hide = true, value_parser = refused(SIGN))]
    sign_passphrase_file: Option<String>,
}
