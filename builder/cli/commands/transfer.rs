//! `rbuild pull` and `rbuild push`.

use builder::export::Family;
use builder::request::CompressionChoice;
use builder::toolchain::{self, CopyOptions, LayerCrypt, Referrers, Types};
use oci::Compression;

use crate::args::{FamilyArg, Global, PackForm, PullArgs, PushArgs, TypesArgs};
use crate::client;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress;

/// Pulls an image into the store and prints its id.
pub fn pull(args: &PullArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let name = client::short_names(args.short_names, environment)?.complete(&args.image);
    let name = name.map_err(Failure::usage)?;
    let platform = super::chosen(&args.platform)?.unwrap_or_else(oci::Platform::host);
    let crypt = super::crypt::decrypting(&args.decrypt)?;
    let form = progress::choose(args.quiet, None, environment).map_err(Failure::usage)?;
    let mut open = host::open(global, environment, form, None)?;
    open.add(&super::access::of(&args.access, name.repository())?, global, environment)?;
    let session = open.session.clone();
    let title = format!("pull {}", name.familiar());
    let id = open.step(&title, |step| async move {
        match crypt {
            LayerCrypt::Keep => Ok(toolchain::pull(&session, &name, &platform, step).await?.id),
            crypt @ (LayerCrypt::Encrypt(..) | LayerCrypt::Decrypt(_)) => {
                toolchain::pull_decrypted(&session, &name, &platform, crypt, step).await
            }
        }
    })?;
    super::print(&format!("{id}\n"));
    Ok(())
}

/// Pushes an image of the store and prints the digest it has at the registry.
pub fn push(args: &PushArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let name = super::name(&args.image)?;
    let target = args.target.as_deref().map(super::name).transpose()?.unwrap_or_else(|| name.clone());
    let form = progress::choose(args.quiet, None, environment).map_err(Failure::usage)?;
    let mut open = host::open(global, environment, form, None)?;
    open.add(&super::access::of(&args.access, target.repository())?, global, environment)?;
    let session = open.session.clone();
    let title = format!("push {}", target.familiar());
    let options = CopyOptions {
        referrers: if args.referrers { Referrers::Follow } else { Referrers::Leave },
        compression: compression(args.compression),
        crypt: super::crypt::encrypting(&args.encrypt)?,
        types: types(args.types),
        ..CopyOptions::default()
    };
    let pushed =
        open.step(
            &title,
            |step| async move { toolchain::push(&session, &name, &target, &options, step).await },
        )?;
    if let Some(file) = &args.digestfile {
        super::write_file(file, pushed.digest.to_string().as_bytes())?;
    }
    super::print(&format!("{}\n", pushed.digest));
    Ok(())
}

/// The media types of what is sent.
pub fn types(args: TypesArgs) -> Types {
    match args.format {
        None => Types::Keep,
        Some(FamilyArg::Oci) => Types::Of(Family::Oci),
        Some(FamilyArg::V2s2) => Types::Of(Family::Docker),
    }
}

/// How layers are packed.
pub fn compression(form: PackForm) -> CompressionChoice {
    let form = match form {
        PackForm::Gzip => Compression::Gzip,
        PackForm::Zstd => Compression::Zstd,
        PackForm::Uncompressed => Compression::None,
    };
    CompressionChoice { form, ..CompressionChoice::default() }
}
