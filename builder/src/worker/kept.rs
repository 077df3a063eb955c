//! Records that are read outside of a solve.

use layer_store::{CacheKey, Record};

use crate::Session;

/// Reads a record and says that its layers are in use. Looks again afterwards, since a collection
/// may have been faster. Blocking.
pub(crate) fn kept(session: &Session, key: &CacheKey) -> Option<Record> {
    let record = session.store.record(key).ok()??;
    for id in record.outputs.iter().flat_map(|snapshot| &snapshot.0) {
        session.lease.hold(id).ok()?;
    }
    session.store.record(key).ok()?
}
