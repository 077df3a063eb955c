//! A repository as the context.

use graph::{GitSource, Op};
use layer_store::Record;

use super::{RemoteError, context};
use crate::Session;
use crate::error::Cause;
use crate::git;
use crate::keys;
use crate::plan::Extra;
use crate::request::LocalContext;
use crate::worker::{Permit, blocking};

/// The commit that a name in a repository stands for; the empty name is the default branch.
pub async fn git_commit(session: &Session, url: &str, name: &str) -> Result<String, RemoteError> {
    let extra = Extra::before(session.events.clone());
    let step = extra.begin(format!("resolve {}", git::shown(url)), None).await;
    let result = git::resolve(session, url, name).await;
    extra.end(step, &result).await;
    Ok(result?)
}

/// The files of a commit as a context. A commit that an earlier build fetched is not fetched again.
pub async fn git_context(session: &Session, source: &GitSource) -> Result<LocalContext, RemoteError> {
    let op = Op::Git(source.clone());
    let key = keys::definition(&op, &[]);
    let found = {
        let lease = session.lease.clone();
        blocking(Permit::free(), move || lease.record(&key).ok()?).await
    };
    if let Some(snapshot) = found.and_then(|record| record.outputs.into_iter().next()) {
        return context(session, snapshot);
    }
    let extra = Extra::before(session.events.clone());
    let step = extra.begin(format!("load {} at {}", git::shown(&source.url), source.commit), None).await;
    let result = git::fetch(session, source).await;
    extra.end(step, &result).await;
    let snapshot = result?;
    let outputs = vec![snapshot.clone()];
    let record = Record {
        result: keys::identity(&outputs),
        outputs,
        inputs: Vec::new(),
        components: keys::components(&op, &[]),
        content: None,
        created: 0,
        millis: 0,
    };
    let lease = session.lease.clone();
    blocking(Permit::free(), move || lease.put_record(&key, &record)).await.map_err(Cause::from)?;
    context(session, snapshot)
}
