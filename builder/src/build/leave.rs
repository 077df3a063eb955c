//! Asking for leave to push while the build begins: a refusal after an hour of steps comes too late.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use futures::future::Either;
use futures::stream::FuturesUnordered;
use oci::Reference;
use registry_client::{Access, RegistryError};

use crate::error::{BuildError, Cause};
use crate::export::ExportError;
use crate::request::{BuildRequest, OutputKind, Push};
use crate::session::Session;

/// How long a quick build waits for the end of its question.
const CLOSING: Duration = Duration::from_secs(5);

/// Does the work of a build, unless a registry says meanwhile that it takes no push from us.
pub(super) async fn unless_refused<T>(
    session: &Session,
    pushed: &[Reference],
    work: impl Future<Output = Result<T, BuildError>>,
) -> Result<T, BuildError> {
    match futures::future::select(pin!(work), pin!(refusal(session, pushed))).await {
        Either::Left((result, asking)) => {
            // The upload that was opened for the question is closed before the client goes.
            let _ = tokio::time::timeout(CLOSING, asking).await;
            result
        }
        Either::Right((None, work)) => work.await,
        Either::Right((Some(error), _)) => Err(BuildError::Export(Cause::from(ExportError::from(error)))),
    }
}

/// The first refusal there is. Whatever else goes wrong, the push itself meets it again, and is patient.
async fn refusal(session: &Session, pushed: &[Reference]) -> Option<RegistryError> {
    let asked = pushed.iter().map(|name| async move {
        let report = session.client.check_access(name, Access::Push).await.ok()?;
        report.refused.map(|refusal| RegistryError::Denied(Box::new(refusal)))
    });
    let mut answers = asked.collect::<FuturesUnordered<_>>();
    while let Some(answer) = answers.next().await {
        if answer.is_some() {
            return answer;
        }
    }
    None
}

/// A name of each repository that is pushed to.
pub(super) fn pushed(request: &BuildRequest) -> Vec<Reference> {
    let mut names: Vec<Reference> = Vec::new();
    for output in &request.outputs {
        let OutputKind::Image(image) = &output.kind else { continue };
        if image.push == Push::No {
            continue;
        }
        for name in output.names_or(&request.tags) {
            if !names.iter().any(|known| known.repository() == name.repository()) {
                names.push(name.clone());
            }
        }
    }
    names
}
