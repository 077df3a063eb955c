//! `rbuild copy`.

use builder::toolchain::{self, CopyOptions, LayerCrypt, Place, Referrers};

use crate::args::{CopyArgs, Global, MultiArch};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress;

/// Copies an image and prints its digest.
pub fn run(args: &CopyArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let (from, to) = (super::place(&args.source)?, target(&args.target)?);
    let additions = super::access::both(
        super::access::of_place(&args.from.said(), &from)?,
        super::access::of_place(&args.to.said(), &to)?,
    )?;
    let options = CopyOptions {
        platform: match args.multi_arch {
            Some(MultiArch::System) => Some(oci::Platform::host()),
            Some(MultiArch::All) | None => super::chosen(&args.platform)?,
        },
        referrers: if args.referrers { Referrers::Follow } else { Referrers::Leave },
        compression: super::transfer::compression(args.compression),
        crypt: match (super::crypt::encrypting(&args.encrypt)?, super::crypt::decrypting(&args.decrypt)?) {
            (LayerCrypt::Keep, crypt) | (crypt, LayerCrypt::Keep) => crypt,
            (_, _) => return Err(Failure::usage("layers are either encrypted or decrypted, not both")),
        },
        types: super::transfer::types(args.types),
    };
    let form = progress::choose(args.quiet, None, environment).map_err(Failure::usage)?;
    let mut open = host::open(global, environment, form, None)?;
    open.add(&additions, global, environment)?;
    let session = open.session.clone();
    let title = format!("copy {from} to {to}");
    let copied =
        open.step(&title, |step| async move { toolchain::copy(&session, &from, &to, &options, step).await })?;
    if let Some(file) = &args.digestfile {
        super::write_file(file, copied.top.digest.to_string().as_bytes())?;
    }
    if !args.quiet {
        super::say(&format!(
            "{} documents, {} blobs, {} of them were there\n",
            copied.documents, copied.blobs, copied.present
        ));
    }
    super::print(&format!("{}\n", copied.top.digest));
    Ok(())
}

/// A place that is written to. A bare name does not say which.
pub fn target(text: &str) -> Result<Place, Failure> {
    let place = super::place(text)?;
    if let Place::Either(name) = &place {
        let name = name.familiar();
        return Err(Failure::usage(format!(
            "{name}: say where it goes: docker://{name} for the registry, store:{name} for the store"
        )));
    }
    Ok(place)
}
