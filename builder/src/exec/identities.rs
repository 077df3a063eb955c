//! Who the users of a step are, by the mode of the host.

use std::path::PathBuf;

use layer_store::ActiveLayer;
use runtime_exec::{HostMode, Identities, KeptNode};

/// The users of a process that writes on a layer. In a user namespace with one id they are emulated, and what
/// cannot carry its owner itself is written to `report` in the end.
pub(crate) fn identities(
    mode: HostMode,
    layer: &ActiveLayer,
    report: Option<PathBuf>,
) -> layer_store::Result<Identities> {
    match mode {
        HostMode::Root | HostMode::Mapped => Ok(Identities::Kernel),
        HostMode::SingleId => {
            let kept = layer.kept_nodes()?.into_iter();
            let kept = kept
                .map(|node| KeptNode { inode: node.inode, uid: node.uid, gid: node.gid, born: node.born })
                .collect();
            Ok(Identities::Emulated { kept, report })
        }
    }
}
