//! A part of a context as a layer, for bind mounts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use layer_store::{LayerId, Lease, Snapshot, Store};

use super::dest::Dest;
use super::links::{Last, clean};
use super::missing::not_found;
use super::owner::Unknown;
use super::tree::Tree;
use super::{FileError, copy, now};
use crate::context::ContextScan;

/// Writes a path of a context, with everything below it, as a layer. In the layer it has the path it
/// has in the context; links that lead to it are there, too.
pub fn materialise(
    store: &Store,
    lease: &Lease,
    scan: &Arc<ContextScan>,
    path: &str,
) -> Result<LayerId, FileError> {
    let tree = Tree::Context(Arc::clone(scan));
    let mut crossed: Vec<PathBuf> = Vec::new();
    let real = tree.resolve(&clean(path), Last::Follow, |link| crossed.push(link.into()))?;
    let Some(entry) = tree.lookup(&real)? else { return Err(not_found(&tree, path)) };
    let empty = Snapshot::default();
    let mut dest = Dest::new(store.stack(&empty)?, lease.write_layer(&empty)?, now(), Unknown::Refused);
    for link in &crossed {
        parents(&mut dest, &tree, link)?;
        if let (Some(entry), None) = (tree.lookup(link)?, dest.lookup(link)?) {
            dest.special(link, &entry.attributes)?;
        }
    }
    parents(&mut dest, &tree, &real)?;
    if entry.attributes.is_dir() && !real.as_os_str().is_empty() {
        dest.directory(&real, &entry.attributes)?;
    }
    copy::whole(&mut dest, &tree, &real)?;
    Ok(dest.finish().0.commit()?)
}

/// The directories above a path, as the context has them.
fn parents(dest: &mut Dest, tree: &Tree, path: &Path) -> Result<(), FileError> {
    let above: Vec<&Path> = path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
    for above in above.into_iter().rev() {
        if let (Some(entry), None) = (tree.lookup(above)?, dest.lookup(above)?) {
            dest.directory(above, &entry.attributes)?;
        }
    }
    Ok(())
}
