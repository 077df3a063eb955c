//! All layers of an image as one.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use layer_store::Snapshot;
use oci::{Algorithm, Compression, Descriptor, DiffId, Hasher};

use super::Image;
use crate::Session;
use crate::event::StepId;
use crate::export::{PlacedTree, recompress, write_tar};
use crate::toolchain::error::ToolError;
use crate::toolchain::place::{Content, PlaceError, stored_image, take_in};
use crate::worker::{Permit, blocking};

/// Unpacks the image into the store and packs its tree as one layer.
pub(super) async fn flatten(session: &Session, mut image: Image, step: StepId) -> Result<Image, ToolError> {
    if image.manifest.layers.len() < 2 {
        return Ok(image);
    }
    let snapshot = unpacked(session, &image, step).await?;
    let (session, family) = (session.clone(), image.family);
    let (blob, diff) = blocking(Permit::free(), move || {
        let failed =
            |source: std::io::Error| PlaceError::Io { path: PathBuf::from("flattened layer"), source };
        let view = session.store.stack(&snapshot)?;
        let mut sink = BufWriter::new(session.lease.blob()?);
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let tree = PlacedTree { directory: PathBuf::new(), view, clamp: None, more: Vec::new() };
        write_tar(&session.store, &[tree], &mut Both { sink: &mut sink, hasher: &mut hasher })
            .map_err(crate::export::ExportError::from)?;
        let writer = sink.into_inner().map_err(|error| failed(error.into_error()))?;
        let (digest, size) = writer.commit()?;
        let plain = Descriptor::new(family.layer(Compression::None), digest, size);
        let (digest, size) = recompress(&session.lease, &plain, Compression::Gzip, None).map_err(failed)?;
        let blob = Descriptor::new(family.layer(Compression::Gzip), digest, size);
        Ok::<_, ToolError>((blob, DiffId(hasher.finish())))
    })
    .await?;
    image.manifest.layers.clear();
    image.config.rootfs.diff_ids.clear();
    image.config.history.clear();
    image.push(blob, diff, "flatten");
    Ok(image)
}

/// The image's layers in the store, under no name.
async fn unpacked(session: &Session, image: &Image, step: StepId) -> Result<Snapshot, ToolError> {
    let source = image.source(session);
    let content = Content::of(&source, None).await?;
    take_in(session, &source, &content, step).await?;
    let name = match "flatten.invalid/image".parse::<oci::Reference>() {
        Ok(name) => name,
        Err(error) => unreachable!("letters are a name: {error}"),
    };
    let stored = stored_image(session, &name, &content, step).await?;
    let first = stored.variants.into_iter().next();
    let refuse = || PlaceError::refused(&image.shown, "it has layers that cannot be unpacked");
    Ok(first.ok_or_else(refuse)?.snapshot)
}

/// Writes what it hashes.
struct Both<'a, W> {
    sink: &'a mut W,
    hasher: &'a mut Hasher,
}

impl<W: Write> Write for Both<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}
